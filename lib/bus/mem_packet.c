/* What is on its way between a client and the broker: a packet with a timer.
 * Faults happen here. */
#include "bus/mem_client.h"

#include "base/rand.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHANCE_ALL 65536U

static bool happens(uint32_t chance)
{
    return chance && ist_rand_below(CHANCE_ALL) < chance;
}

uint64_t mem_between(uint64_t min, uint64_t max)
{
    return max > min ? min + ist_rand_below(max - min + 1) : min;
}

static void on_packet(struct ist_timer *timer);

struct mem_packet *mem_packet_new(struct mem_bus *bus, enum phase phase,
                                  struct mem_blob *blob)
{
    struct mem_packet *packet = mem_must(calloc(1, sizeof(*packet)));

    packet->bus = bus;
    packet->phase = phase;
    packet->blob = mem_blob_ref(blob);
    TAILQ_INSERT_TAIL(&bus->packets, packet, sibling);
    return packet;
}

struct mem_packet *mem_packet_free(struct mem_packet *packet)
{
    ist_timer_disarm(&packet->timer);
    TAILQ_REMOVE(&packet->bus->packets, packet, sibling);
    if (packet->confirmed)
        packet->bus->n_unconfirmed--;
    mem_blob_unref(packet->blob);
    free(packet);
    return NULL;
}

void mem_packet_finish(struct mem_packet *packet, int rc, const char *why)
{
    struct ist_bus_publish *publish = IST_TAKE(packet->publish);

    if (publish) {
        publish->link[0] = NULL;
        if (rc)
            ist_err_set(&publish->op.err, rc, "%s", why);
        ist_op_finish(&publish->op, rc);
    }
    mem_packet_free(packet);
}

void mem_packet_send(struct mem_packet *packet, enum lane lane)
{
    struct mem_bus *bus = packet->bus;
    const struct ist_mem_faults *faults = &bus->broker->faults;
    uint64_t *last = &bus->lane_at[lane];
    uint64_t at = ist_loop_now(bus->base.loop) +
                  mem_between(faults->delay_min_ms, faults->delay_max_ms);

    if (happens(faults->reorder)) {
        at += 1 + ist_rand_below(2 * faults->delay_max_ms + 5);
    } else {
        if (at < *last)
            at = *last;
        *last = at;
    }
    ist_timer_arm(&packet->timer, bus->base.loop, at, on_packet);
}

static const char *outcome_text(int rc)
{
    switch (rc) {
    case IST_BUS_UNROUTABLE:
        return "no queue takes that key";
    case IST_BUS_FULL:
        return "the queue is full";
    default:
        return "the broker refused it";
    }
}

/* A 403 closes the channel: what else is in flight to that exchange fails. */
static void packet_denied(struct mem_packet *packet)
{
    struct mem_bus *bus = packet->bus;
    struct mem_packet *other, *next;

    TAILQ_FOREACH_SAFE(other, &bus->packets, sibling, next)
    {
        if (other == packet || !other->confirmed ||
            strcmp(other->blob->exchange, packet->blob->exchange) != 0)
            continue;
        mem_packet_finish(other, -ENOTCONN, "the channel was closed");
    }
}

static void packet_again(struct mem_packet *packet)
{
    struct mem_packet *copy = mem_packet_new(packet->bus, ARRIVE, packet->blob);

    copy->again = true;
    mem_packet_send(copy, LANE_OUT);
}

static void packet_confirm(struct mem_packet *packet, int rc)
{
    const struct ist_mem_faults *faults = &packet->bus->broker->faults;

    if (!packet->confirmed) {
        mem_packet_free(packet);
        return;
    }
    if (rc == IST_BUS_UNROUTABLE && !packet->mandatory)
        rc = 0;
    packet->rc = rc;
    packet->phase = CONFIRM;
    if (happens(faults->lose)) {
        packet->phase = LOST;
        ist_timer_arm_in(&packet->timer, packet->bus->base.loop,
                         IST_BUS_CONFIRM_MS, on_packet);
        return;
    }
    mem_packet_send(packet, LANE_CONFIRM);
}

static void packet_arrive(struct mem_packet *packet)
{
    struct mem_bus *bus = packet->bus;
    struct ist_mem_broker *broker = bus->broker;
    const struct ist_mem_faults *faults = &broker->faults;
    int rc;

    if (broker->is_blocked) { /* It reads no more; see mem_bus_blocked(). */
        packet->phase = HELD;
        return;
    }
    if (!packet->again && happens(faults->lose)) {
        packet->phase = LOST;
        ist_timer_arm_in(&packet->timer, bus->base.loop,
                         packet->confirmed ? IST_BUS_CONFIRM_MS : 0, on_packet);
        return;
    }
    if (mem_denied(broker, bus->user, packet->blob->exchange)) {
        packet_denied(packet);
        packet_confirm(packet, IST_BUS_DENIED);
        return;
    }
    if (!packet->again && happens(faults->nack)) {
        packet_confirm(packet, IST_BUS_FULL);
        return;
    }
    if (!packet->again && happens(faults->duplicate))
        packet_again(packet);
    rc = mem_route(broker, packet->blob);
    packet_confirm(packet, rc == -ENOENT ? IST_BUS_DENIED : rc);
}

static void packet_deliver(struct mem_packet *packet)
{
    struct mem_bus *bus = packet->bus;
    struct mem_sub *sub = packet->sub;
    struct ist_bus_consumer *consumer = sub->consumer;
    struct mem_blob *blob = mem_blob_ref(packet->blob);
    struct ist_bus_message message = {
        .exchange = blob->exchange,
        .key = blob->key,
        .body = blob->body,
        .size = blob->size,
        .type = *blob->type ? blob->type : NULL,
        .correlation = blob->correlation,
        .expiration_ms = blob->expiration_ms,
        .persistent = blob->persistent,
        .headers = blob->headers,
        .n_headers = blob->n_headers,
        .user = blob->user,
        .tag = consumer->ack ? sub->incarnation << 32 | packet->tag : 0,
        .offset = packet->offset,
        .n_redelivered = packet->n_redelivered,
    };

    mem_packet_free(packet);
    bus->base.n_delivered++;
    consumer->deliver(consumer, &message);
    mem_blob_unref(blob);
}

static void on_packet(struct ist_timer *timer)
{
    struct mem_packet *packet = IST_CONTAINER(timer, struct mem_packet, timer);
    struct mem_bus *bus = packet->bus;

    switch (packet->phase) {
    case ARRIVE:
        packet_arrive(packet);
        break;
    case CONFIRM:
        mem_packet_finish(packet, packet->rc, outcome_text(packet->rc));
        mem_drained_maybe(bus);
        break;
    case LOST:
        mem_packet_finish(packet, -ETIMEDOUT, "no confirm in time");
        mem_drained_maybe(bus);
        break;
    case DELIVER:
        packet_deliver(packet);
        break;
    case HELD:
        break;
    }
}

void mem_deliver(struct mem_sub *sub, struct mem_item *item, uint64_t tag)
{
    struct mem_packet *packet = mem_packet_new(sub->bus, DELIVER, item->blob);

    packet->sub = sub;
    packet->tag = tag;
    packet->offset = sub->queue->args.stream ? item->seq : 0;
    packet->n_redelivered = item->n_redelivered;
    if (!sub->consumer->ack)
        mem_item_free(item);
    mem_packet_send(packet, LANE_IN);
}
