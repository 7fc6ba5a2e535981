/* Consumers, from the client's end: attached whenever the connection is up, and
 * tried again with growing pauses when the broker refuses. */
#include "bus/mem_client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static void on_retry(struct ist_timer *timer);

static void sub_attach(struct mem_sub *sub)
{
    struct ist_bus_consumer *consumer = sub->consumer;
    uint64_t max =
        consumer->retry_max_ms ? consumer->retry_max_ms : IST_BUS_RETRY_MAX_MS;
    struct ist_err err = {0};

    if (sub->queue || !sub->bus->base.is_up)
        return;
    if (mem_attach(sub, &err) == 0) {
        sub->n_refused = 0;
        if (consumer->placed)
            consumer->placed(consumer); /* May cancel it. */
        return;
    }
    ist_timer_arm_in(
        &sub->retry, sub->bus->base.loop,
        ist_bus_backoff_ms(IST_BUS_RETRY_MIN_MS, max, sub->n_refused++),
        on_retry);
    if (consumer->refused)
        consumer->refused(consumer, &err); /* May cancel it. */
}

static void on_retry(struct ist_timer *timer)
{
    sub_attach(IST_CONTAINER(timer, struct mem_sub, retry));
}

static void on_placed(struct ist_timer *timer)
{
    struct mem_sub *sub = IST_CONTAINER(timer, struct mem_sub, retry);

    if (sub->queue && sub->consumer->placed)
        sub->consumer->placed(sub->consumer); /* May cancel it. */
}

void mem_sub_placed(struct mem_sub *sub)
{
    ist_timer_arm_in(&sub->retry, sub->bus->base.loop, 0, on_placed);
}

void mem_sub_retry(struct mem_sub *sub)
{
    ist_timer_arm_in(&sub->retry, sub->bus->base.loop, 0, on_retry);
}

static void sub_detach(struct mem_sub *sub)
{
    struct mem_packet *packet, *next;

    TAILQ_FOREACH_SAFE(packet, &sub->bus->packets, sibling, next)
    {
        if (packet->sub == sub)
            mem_packet_free(packet);
    }
    mem_detach(sub);
}

void mem_sub_cancelled(struct mem_sub *sub)
{
    sub_detach(sub);
    ist_timer_arm_in(
        &sub->retry, sub->bus->base.loop,
        ist_bus_backoff_ms(IST_BUS_RETRY_MIN_MS, IST_BUS_RETRY_MAX_MS, 0),
        on_retry);
}

void mem_consume(struct ist_bus *base, struct ist_bus_consumer *consumer)
{
    struct mem_bus *bus = mem_of(base);
    struct mem_sub *sub;

    assert(!consumer->link[0]);
    if (bus->is_closing)
        return;
    sub = mem_must(calloc(1, sizeof(*sub)));
    sub->consumer = consumer;
    sub->bus = bus;
    TAILQ_INIT(&sub->unacked);
    TAILQ_INSERT_TAIL(&bus->subs, sub, bus_link);
    consumer->link[0] = sub;
    mem_sub_retry(sub);
}

void mem_sub_free(struct mem_sub *sub)
{
    sub_detach(sub);
    ist_timer_disarm(&sub->retry);
    TAILQ_REMOVE(&sub->bus->subs, sub, bus_link);
    sub->consumer->link[0] = NULL;
    free(sub);
}

void mem_cancel(struct ist_bus *base, struct ist_bus_consumer *consumer)
{
    (void) base;
    if (consumer->link[0])
        mem_sub_free(consumer->link[0]);
}

int mem_ack(struct ist_bus *base, struct ist_bus_consumer *consumer,
            uint64_t tag)
{
    struct mem_sub *sub = consumer->link[0];

    if (!base->is_up || !sub || !sub->queue || tag >> 32 != sub->incarnation)
        return -ENOTCONN;
    return mem_settle(sub, tag & UINT32_MAX) ? 0 : -EINVAL;
}
