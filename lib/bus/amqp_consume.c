/* Consumers: each has a channel of its own, since what a broker refuses it
 * refuses by closing the channel. Cancelling is closing the channel, which
 * gives back what was not acked and leaves no race with deliveries on their
 * way.
 *
 * The tag that the owner sees holds the number of the attachment too, so that
 * an ack for an older one is known for what it is. */
#include "base/log.h"
#include "base/parse.h"
#include "bus/amqp_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TAG_BITS     40
#define TAG_MASK     ((1ULL << TAG_BITS) - 1)
#define PREFETCH_ALL UINT16_MAX /* Even "no limit" is one. */

static void on_retry(struct ist_timer *timer);

static struct amqp_sub *sub_find(struct amqp_bus *bus, uint16_t channel)
{
    return channel <= IST_CONN_CHANNELS ? bus->by_channel[channel] : NULL;
}

static void sub_settle(struct amqp_sub *sub)
{
    struct amqp_bus *bus = sub->bus;

    if (sub->is_settled)
        return;
    sub->is_settled = true;
    if (--bus->n_unsettled == 0)
        amqp_settled(bus);
}

/* Forgets the channel, which is closed or going to be. */
static void sub_detach(struct amqp_sub *sub)
{
    struct amqp_unacked *unacked = STAILQ_FIRST(&sub->unacked);

    if (sub->consumer->offset && unacked)
        sub->resume = unacked->offset + 1;
    while ((unacked = STAILQ_FIRST(&sub->unacked))) {
        STAILQ_REMOVE_HEAD(&sub->unacked, sibling);
        free(unacked);
    }
    if (sub->channel)
        sub->bus->by_channel[sub->channel] = NULL;
    sub->channel = 0;
}

static void sub_close(struct amqp_sub *sub)
{
    struct ist_conn *conn = amqp_conn(sub->bus, AMQP_CONSUME);

    if (sub->channel && conn)
        ist_conn_channel_close(conn, sub->channel);
    sub_detach(sub);
}

static void sub_retry_later(struct amqp_sub *sub)
{
    uint64_t max = sub->consumer->retry_max_ms ? sub->consumer->retry_max_ms
                                               : IST_BUS_RETRY_MAX_MS;

    ist_timer_arm_in(
        &sub->retry, sub->bus->base.loop,
        ist_bus_backoff_ms(IST_BUS_RETRY_MIN_MS, max, sub->n_refused++),
        on_retry);
}

/* From the loop only; the owner may cancel the consumer in it. */
static void sub_refused(struct amqp_sub *sub, const struct ist_err *err)
{
    struct ist_bus_consumer *consumer = sub->consumer;

    if (sub->n_refused == 0)
        ist_log_warn(amqp_label(sub->bus),
                     "consumer of %s, tried again until it works: %s",
                     consumer->queue, err->text);
    sub->declares = false;
    sub_retry_later(sub);
    sub_settle(sub);
    if (consumer->refused)
        consumer->refused(consumer, err);
}

/* Where a stream is to be read from. */
static int stream_offset(const struct amqp_sub *sub,
                         struct ist_conn_consume *ret, struct ist_err *err)
{
    const struct ist_bus_consumer *consumer = sub->consumer;

    if (!consumer->offset)
        return 0;
    /* Without acks the broker would close the connection (540). */
    if (!consumer->ack || !consumer->prefetch)
        return ist_err_set(err, -EINVAL, "a stream wants ack and prefetch");
    if (sub->resume) {
        ret->has_offset_number = true;
        ret->offset_number = sub->resume - 1;
    } else if (ist_parse_u64(consumer->offset, 0, INT64_MAX,
                             &ret->offset_number)) {
        ret->has_offset_number = true;
    } else {
        ret->offset = consumer->offset;
    }
    return 0;
}

static int sub_open(struct amqp_sub *sub, const struct ist_conn_consume *conf,
                    struct ist_err *err)
{
    struct ist_conn *conn = amqp_conn(sub->bus, AMQP_CONSUME);
    uint16_t channel;
    int rc = ist_conn_channel_open(conn, &channel);

    if (rc)
        return ist_err_set(err, rc, "no channel: %s", ist_err_name(rc));
    sub->channel = channel;
    sub->bus->by_channel[channel] = sub;
    sub->incarnation = ++sub->bus->n_incarnations;
    rc = ist_conn_consume(conn, channel, conf);
    if (rc) {
        sub_close(sub);
        return ist_err_set(err, rc, "cannot consume: %s", ist_err_name(rc));
    }
    return 0;
}

static int sub_attach(struct amqp_sub *sub, struct ist_err *err)
{
    struct ist_bus_consumer *consumer = sub->consumer;
    uint64_t n = ist_bus_generation(&sub->bus->base);
    char queue[IST_BUS_NAME_MAX + 1], key[IST_BUS_NAME_MAX + 1],
        also[IST_BUS_NAME_MAX + 1];
    struct ist_conn_consume conf = {
        .queue = queue,
        .bind_exchange = consumer->bind_exchange,
        .bind_key = key,
        .bind_also = consumer->bind_also ? also : NULL,
        .declare_exchange = sub->declares,
        .ttl_ms = consumer->ttl_ms,
        .max_length = consumer->max_length,
        .prefetch = consumer->prefetch ? consumer->prefetch : PREFETCH_ALL,
        .ack = consumer->ack,
        /* Whoever connected last gets all: a half-open older connection would
         * take its share of the requests, and lose them. */
        .priority = consumer->newest_first ? n : 0,
    };
    int rc;

    if (!ist_bus_expand(consumer->queue, n, queue, sizeof(queue)) ||
        (consumer->bind_exchange &&
         (!consumer->bind_key ||
          !ist_bus_expand(consumer->bind_key, n, key, sizeof(key)))) ||
        (consumer->bind_also &&
         !ist_bus_expand(consumer->bind_also, n, also, sizeof(also))))
        return ist_err_set(err, -EINVAL, "a queue or key of over %d bytes",
                           IST_BUS_NAME_MAX);
    rc = stream_offset(sub, &conf, err);
    return rc ? rc : sub_open(sub, &conf, err);
}

static void sub_try(struct amqp_sub *sub)
{
    struct ist_err err = {0};

    if (sub->bus->state < AMQP_SETTLING || sub->channel)
        return;
    if (sub_attach(sub, &err))
        sub_refused(sub, &err);
}

static void on_retry(struct ist_timer *timer)
{
    sub_try(IST_CONTAINER(timer, struct amqp_sub, retry));
}

void amqp_subs_attach(struct amqp_bus *bus)
{
    struct amqp_sub *sub;
    struct ist_err err = {0};

    bus->n_unsettled = 0;
    TAILQ_FOREACH(sub, &bus->subs, sibling)
    {
        ist_timer_disarm(&sub->retry);
        sub->is_settled = false;
        bus->n_unsettled++;
    }
    /* One that cannot even be tried is reported from its timer: the owner,
     * when told, may cancel others of this list. */
    TAILQ_FOREACH(sub, &bus->subs, sibling)
    {
        if (sub_attach(sub, &err)) {
            sub_settle(sub);
            ist_timer_arm_in(&sub->retry, bus->base.loop, 0, on_retry);
        }
    }
}

void amqp_subs_detach(struct amqp_bus *bus)
{
    struct amqp_sub *sub;

    TAILQ_FOREACH(sub, &bus->subs, sibling)
    {
        ist_timer_disarm(&sub->retry);
        sub_detach(sub);
        sub->declares = false;
        sub->is_settled = true;
    }
    bus->n_unsettled = 0;
}

static void sub_free(struct amqp_sub *sub)
{
    sub_close(sub);
    sub_settle(sub);
    ist_timer_disarm(&sub->retry);
    TAILQ_REMOVE(&sub->bus->subs, sub, sibling);
    sub->consumer->link[0] = NULL;
    free(sub);
}

void amqp_subs_free(struct amqp_bus *bus)
{
    while (!TAILQ_EMPTY(&bus->subs))
        sub_free(TAILQ_FIRST(&bus->subs));
}

/* The class's slots. */

void amqp_consume(struct ist_bus *base, struct ist_bus_consumer *consumer)
{
    struct amqp_bus *bus = amqp_of(base);
    struct amqp_sub *sub;

    assert(!consumer->link[0]);
    if (bus->is_closing)
        return;
    sub = calloc(1, sizeof(*sub));
    if (!sub)
        abort(); /* There is no way to say so, and nothing would be heard. */
    sub->consumer = consumer;
    sub->bus = bus;
    sub->is_settled = true;
    STAILQ_INIT(&sub->unacked);
    TAILQ_INSERT_TAIL(&bus->subs, sub, sibling);
    consumer->link[0] = sub;
    if (bus->state >= AMQP_SETTLING)
        ist_timer_arm_in(&sub->retry, base->loop, 0, on_retry);
}

void amqp_cancel(struct ist_bus *base, struct ist_bus_consumer *consumer)
{
    (void) base;
    if (consumer->link[0])
        sub_free(consumer->link[0]);
}

/* Usually the oldest. */
static struct amqp_unacked *unacked_find(struct amqp_sub *sub, uint64_t tag)
{
    struct amqp_unacked *unacked;

    STAILQ_FOREACH(unacked, &sub->unacked, sibling)
    {
        if (unacked->tag == tag)
            return unacked;
    }
    return NULL;
}

int amqp_ack(struct ist_bus *base, struct ist_bus_consumer *consumer,
             uint64_t tag)
{
    struct amqp_bus *bus = amqp_of(base);
    struct amqp_sub *sub = consumer->link[0];
    struct amqp_unacked *unacked;
    int rc;

    if (!sub || !sub->channel || tag >> TAG_BITS != sub->incarnation)
        return -ENOTCONN;
    unacked = unacked_find(sub, tag & TAG_MASK);
    if (!unacked)
        return -EINVAL; /* The broker would close the channel (406). */
    rc = ist_conn_ack(amqp_conn(bus, AMQP_CONSUME), sub->channel,
                      tag & TAG_MASK);
    if (rc)
        return -ENOTCONN;
    if (consumer->offset && sub->resume < unacked->offset + 2)
        sub->resume = unacked->offset + 2;
    STAILQ_REMOVE(&sub->unacked, unacked, amqp_unacked, sibling);
    free(unacked);
    return 0;
}

/* The connection's events. */

static bool unacked_add(struct amqp_sub *sub, uint64_t tag, uint64_t offset)
{
    struct amqp_unacked *unacked = malloc(sizeof(*unacked));

    if (!unacked)
        return false;
    *unacked = (struct amqp_unacked){.tag = tag, .offset = offset};
    STAILQ_INSERT_TAIL(&sub->unacked, unacked, sibling);
    return true;
}

void amqp_delivered(struct amqp_bus *bus,
                    const struct ist_conn_delivery *delivery)
{
    struct amqp_sub *sub = sub_find(bus, delivery->channel);
    struct ist_bus_message message = delivery->message;
    struct ist_bus_consumer *consumer;
    struct ist_err err = {0};

    if (!sub)
        return;
    consumer = sub->consumer;
    if (delivery->tag > TAG_MASK ||
        (consumer->ack && !unacked_add(sub, delivery->tag, message.offset))) {
        ist_err_set(&err, -EPROTO, "a delivery that cannot be tracked");
        amqp_lost(bus, &err);
        return;
    }
    if (consumer->ack)
        message.tag = sub->incarnation << TAG_BITS | delivery->tag;
    message.n_redelivered = delivery->delivery_count;
    if (!message.n_redelivered && delivery->redelivered)
        message.n_redelivered = 1;
    bus->base.n_delivered++;
    consumer->deliver(consumer, &message);
}

void amqp_dropped(struct amqp_bus *bus, uint16_t channel, uint64_t tag)
{
    struct amqp_sub *sub = sub_find(bus, channel);

    if (!sub)
        return;
    bus->base.n_dropped++;
    ist_log_warn(amqp_label(bus),
                 "message from %s dropped: too large, encoded, or with "
                 "headers out of bounds",
                 sub->consumer->queue);
    if (sub->consumer->ack)
        ist_conn_ack(amqp_conn(bus, AMQP_CONSUME), channel, tag);
    if (sub->consumer->dropped)
        sub->consumer->dropped(sub->consumer);
}

void amqp_consuming(struct amqp_bus *bus, uint16_t channel)
{
    struct amqp_sub *sub = sub_find(bus, channel);

    if (!sub)
        return;
    sub->n_refused = 0;
    sub->declares = false;
    sub_settle(sub);
    if (sub->consumer->placed)
        sub->consumer->placed(sub->consumer);
}

void amqp_cancelled(struct amqp_bus *bus, uint16_t channel)
{
    struct amqp_sub *sub = sub_find(bus, channel);
    struct ist_err err = {0};

    if (!sub)
        return;
    sub_close(sub);
    ist_err_set(&err, -ECANCELED, "the broker cancelled it");
    sub_refused(sub, &err);
}

void amqp_sub_closed(struct amqp_bus *bus, uint16_t channel, uint16_t code,
                     const char *text)
{
    struct amqp_sub *sub = sub_find(bus, channel);
    struct ist_err err = {0};

    if (!sub)
        return;
    sub_detach(sub);
    if (code == 404 && sub->consumer->declare_exchange && !sub->declares) {
        sub->declares = true;
        ist_timer_arm_in(&sub->retry, bus->base.loop, 0, on_retry);
        return;
    }
    ist_err_set(&err,
                code == 403   ? -EACCES
                : code == 404 ? -ENOENT
                              : -EPROTO,
                "%u %s", code, text);
    sub_refused(sub, &err);
}
