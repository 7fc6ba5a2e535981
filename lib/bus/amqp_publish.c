/* Publishing and its confirms. Delivery tags count up from 1 on each channel,
 * so the client knows the tag of what it sends; the broker may confirm several
 * at once ('multiple'), and in another order. For a message that no queue
 * takes, a return comes before its confirm: then the confirm is none.
 *
 * A channel is reopened, and what is in flight on it fails,
 *   - when the broker has closed it (403, 404, 406),
 *   - when nothing was confirmed for 10 s,
 *   - after 20 nacks in a row: after a fail-over RabbitMQ may nack all of a
 *     channel for ever, and a new one at once works. */
#include "base/log.h"
#include "bus/amqp_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NACK_STREAK 20
#define STREAKS_MAX 3 /* Then another broker, if there is one. */

static int pending_cmp(struct amqp_pending *a, struct amqp_pending *b)
{
    return a->tag < b->tag ? -1 : a->tag > b->tag;
}

RB_GENERATE_INTERNAL(amqp_pendings, amqp_pending, node, pending_cmp,
                     IST_UNUSED_STATIC)

/* Publishes in flight. */

static void pending_finish(struct amqp_bus *bus, struct amqp_lane *lane,
                           struct amqp_pending *pending, int rc,
                           const char *why)
{
    struct ist_bus_publish *publish = pending->publish;

    RB_REMOVE(amqp_pendings, &lane->pendings, pending);
    bus->n_pending--;
    free(pending);
    if (!publish)
        return;
    publish->link[0] = NULL;
    if (rc)
        ist_err_set(&publish->op.err, rc, "%s", why);
    ist_op_finish(&publish->op, rc);
}

static void lane_fail(struct amqp_bus *bus, struct amqp_lane *lane, int rc,
                      const char *why)
{
    struct amqp_pending *pending;

    while ((pending = RB_MIN(amqp_pendings, &lane->pendings)))
        pending_finish(bus, lane, pending, rc, why);
    lane->channel = 0;
    lane->n_nacks = 0;
}

void amqp_lanes_fail(struct amqp_bus *bus, int rc, const char *why)
{
    for (unsigned i = 0; i < bus->n_lanes; i++)
        lane_fail(bus, &bus->lanes[i], rc, why);
}

/* The channel is given up, ours to close. */
static void lane_reopen(struct amqp_bus *bus, struct amqp_lane *lane, int rc,
                        const char *why)
{
    ist_log_warn("bus", "channel to %s reopened: %s",
                 *lane->exchange ? lane->exchange : "all exchanges", why);
    ist_conn_channel_close(amqp_conn(bus, AMQP_PUBLISH), lane->channel);
    lane_fail(bus, lane, rc, why);
}

/* The lane of an exchange, or the one without confirms (NULL), with an open
 * channel. */
static int lane_get(struct amqp_bus *bus, const char *exchange,
                    struct amqp_lane **ret)
{
    struct ist_conn *conn = amqp_conn(bus, AMQP_PUBLISH);
    bool confirms = exchange != NULL;
    struct amqp_lane *lane = NULL;
    int rc;

    exchange = exchange ? exchange : "";
    for (unsigned i = 0; i < bus->n_lanes && !lane; i++)
        if (bus->lanes[i].confirms == confirms &&
            strcmp(bus->lanes[i].exchange, exchange) == 0)
            lane = &bus->lanes[i];
    if (!lane) {
        if (bus->n_lanes == AMQP_LANES)
            return -ENOBUFS;
        lane = &bus->lanes[bus->n_lanes++];
        *lane = (struct amqp_lane){.confirms = confirms};
        strlcpy(lane->exchange, exchange, sizeof(lane->exchange));
        RB_INIT(&lane->pendings);
    }
    if (!lane->channel) {
        rc = ist_conn_channel_open(conn, &lane->channel);
        if (rc == 0 && confirms)
            rc = ist_conn_confirm_select(conn, lane->channel);
        if (rc)
            return rc;
        lane->last_tag = 0;
        lane->last_confirm_at = ist_loop_now(bus->base.loop);
    }
    *ret = lane;
    return 0;
}

static struct amqp_lane *lane_find(struct amqp_bus *bus, uint16_t channel)
{
    for (unsigned i = 0; i < bus->n_lanes; i++)
        if (bus->lanes[i].channel == channel)
            return &bus->lanes[i];
    return NULL;
}

/* Back-pressure. */

static int may_publish(struct amqp_bus *bus,
                       const struct ist_bus_message *message)
{
    if (message->size > bus->conf.body_max)
        return -EMSGSIZE;
    if (!bus->base.is_up || bus->conf.foreign)
        return -ENOTCONN;
    if (bus->base.is_blocked || bus->n_pending >= IST_BUS_UNCONFIRMED ||
        ist_conn_queued(amqp_conn(bus, AMQP_PUBLISH)) > bus->conf.out_high) {
        bus->is_over = true;
        return -EAGAIN;
    }
    return 0;
}

void amqp_drained_maybe(struct amqp_bus *bus)
{
    if (!bus->is_over || !bus->base.is_up || bus->base.is_blocked ||
        bus->n_pending > IST_BUS_UNCONFIRMED / 2 ||
        ist_conn_queued(amqp_conn(bus, AMQP_PUBLISH)) > bus->conf.out_high / 2)
        return;
    bus->is_over = false;
    if (bus->base.events->drained)
        bus->base.events->drained(&bus->base);
}

/* Sending. */

int amqp_send(struct ist_bus *base, const struct ist_bus_message *message)
{
    struct amqp_bus *bus = amqp_of(base);
    struct ist_bus_message plain = *message;
    struct amqp_lane *lane;
    int rc = may_publish(bus, message);

    /* Nobody would hear of a return. */
    plain.mandatory = false;
    if (rc == 0)
        rc = lane_get(bus, NULL, &lane);
    if (rc == 0)
        rc = ist_conn_publish(amqp_conn(bus, AMQP_PUBLISH), lane->channel,
                              &plain, bus->user, 0);
    if (rc == 0)
        base->n_sent++;
    return rc;
}

/* It has left: only its confirm will find nobody. */
static void publish_cancel(struct ist_op *op)
{
    struct ist_bus_publish *publish =
        IST_CONTAINER(op, struct ist_bus_publish, op);
    struct amqp_pending *pending = IST_TAKE(publish->link[0]);

    if (pending)
        pending->publish = NULL;
    ist_op_finish(op, op->reason);
}

static int publish_start(struct amqp_bus *bus, struct ist_bus_publish *publish,
                         const struct ist_bus_message *message)
{
    struct ist_conn *conn = amqp_conn(bus, AMQP_PUBLISH);
    size_t key_size = strlen(message->key) + 1;
    struct amqp_pending *pending;
    struct amqp_lane *lane;
    int rc = may_publish(bus, message);

    if (rc == 0)
        rc = lane_get(bus, message->exchange, &lane);
    if (rc)
        return rc;
    pending = malloc(sizeof(*pending) + key_size);
    if (!pending)
        return -ENOMEM;
    rc = ist_conn_publish(conn, lane->channel, message, bus->user,
                          lane->last_tag + 1);
    if (rc) {
        free(pending);
        return rc;
    }
    *pending = (struct amqp_pending){.tag = ++lane->last_tag,
                                     .sent_at = ist_loop_now(bus->base.loop),
                                     .publish = publish};
    memcpy(pending->key, message->key, key_size);
    RB_INSERT(amqp_pendings, &lane->pendings, pending);
    publish->link[0] = pending;
    publish->tag = pending->tag;
    bus->n_pending++;
    bus->base.n_sent++;
    return 0;
}

static const char *refusal(int rc)
{
    switch (rc) {
    case -EAGAIN:
        return "the broker has blocked publishing, or is slow";
    case -EMSGSIZE:
        return "the message is too large";
    case -ENOTCONN:
        return "not connected";
    default:
        return ist_err_name(rc);
    }
}

void amqp_publish(struct ist_bus *base, struct ist_bus_publish *publish,
                  const struct ist_bus_message *message)
{
    int rc;

    ist_op_begin(&publish->op, publish_cancel);
    rc = publish_start(amqp_of(base), publish, message);
    if (rc)
        ist_op_fail(&publish->op, rc, "%s", refusal(rc));
}

/* Confirms. */

static void confirm_one(struct amqp_bus *bus, struct amqp_lane *lane,
                        struct amqp_pending *pending, bool ack)
{
    if (!ack) {
        lane->n_nacks++;
        pending_finish(bus, lane, pending, IST_BUS_FULL, "the queue is full");
        return;
    }
    lane->n_nacks = lane->n_streaks = 0;
    if (pending->returned)
        pending_finish(bus, lane, pending, IST_BUS_UNROUTABLE,
                       "no queue takes that key");
    else
        pending_finish(bus, lane, pending, 0, "");
}

static void nack_streak(struct amqp_bus *bus, struct amqp_lane *lane)
{
    struct ist_err err = {0};

    if (++lane->n_streaks < STREAKS_MAX || bus->n_urls == 1) {
        lane_reopen(bus, lane, -ENOTCONN, "the broker refused many in a row");
        return;
    }
    lane->n_streaks = 0;
    ist_err_set(&err, -ECONNRESET,
                "the broker refuses all that goes to %s, the next one is tried",
                lane->exchange);
    amqp_lost(bus, &err);
}

/* A tag of 0 with 'multiple' means all. */
static unsigned confirm_range(struct amqp_bus *bus, struct amqp_lane *lane,
                              uint64_t tag, bool multiple, bool ack)
{
    struct amqp_pending find = {.tag = tag}, *pending;
    unsigned n = 0;

    if (!multiple) {
        pending = RB_FIND(amqp_pendings, &lane->pendings, &find);
        if (!pending)
            return 0;
        confirm_one(bus, lane, pending, ack);
        return 1;
    }
    while ((pending = RB_MIN(amqp_pendings, &lane->pendings)) &&
           (tag == 0 || pending->tag <= tag)) {
        confirm_one(bus, lane, pending, ack);
        n++;
    }
    return n;
}

void amqp_confirmed(struct amqp_bus *bus, uint16_t channel, uint64_t tag,
                    bool multiple, bool ack)
{
    struct amqp_lane *lane = lane_find(bus, channel);
    struct ist_err err = {0};

    if (!lane || !lane->confirms || tag > lane->last_tag ||
        confirm_range(bus, lane, tag, multiple, ack) == 0) {
        ist_err_set(&err, -EPROTO, "the broker confirmed what was not sent");
        amqp_lost(bus, &err);
        return;
    }
    lane->last_confirm_at = ist_loop_now(bus->base.loop);
    if (lane->n_nacks >= NACK_STREAK)
        nack_streak(bus, lane);
    amqp_drained_maybe(bus);
}

void amqp_returned(struct amqp_bus *bus, uint16_t channel, uint64_t id)
{
    struct amqp_lane *lane = lane_find(bus, channel);
    struct amqp_pending find = {.tag = id}, *pending;

    pending = lane ? RB_FIND(amqp_pendings, &lane->pendings, &find) : NULL;
    if (pending)
        pending->returned = true;
}

/* A refusal names no message. Where it is about one topic, the text quotes
 * the key, and the others with it only happened to be in flight. */
static bool is_denied(const struct amqp_pending *pending, const char *text)
{
    char quoted[IST_BUS_NAME_MAX + 16];

    if (!strstr(text, "topic '"))
        return true;
    snprintf(quoted, sizeof(quoted), "topic '%s'", pending->key);
    return strstr(text, quoted) != NULL;
}

void amqp_lane_closed(struct amqp_bus *bus, uint16_t channel, uint16_t code,
                      const char *text)
{
    struct amqp_lane *lane = lane_find(bus, channel);
    struct amqp_pending *pending, *next;
    bool is_refusal = code == 403 || code == 404 || code == 406;

    if (!lane)
        return;
    ist_log_warn("bus", "channel to %s closed by the broker: %u %s",
                 *lane->exchange ? lane->exchange : "all exchanges", code,
                 text);
    RB_FOREACH_SAFE(pending, amqp_pendings, &lane->pendings, next)
    {
        if (is_refusal && is_denied(pending, text))
            pending_finish(bus, lane, pending, IST_BUS_DENIED, text);
    }
    lane_fail(bus, lane, -ENOTCONN, "the channel was closed");
    amqp_drained_maybe(bus);
}

void amqp_lanes_unblocked(struct amqp_bus *bus)
{
    for (unsigned i = 0; i < bus->n_lanes; i++)
        bus->lanes[i].last_confirm_at = ist_loop_now(bus->base.loop);
}

void amqp_lanes_check(struct amqp_bus *bus)
{
    uint64_t now = ist_loop_now(bus->base.loop);

    for (unsigned i = 0; i < bus->n_lanes && !bus->base.is_blocked; i++) {
        struct amqp_lane *lane = &bus->lanes[i];
        struct amqp_pending *first = RB_MIN(amqp_pendings, &lane->pendings);

        if (first && now - first->sent_at >= IST_BUS_CONFIRM_MS &&
            now - lane->last_confirm_at >= IST_BUS_CONFIRM_MS)
            lane_reopen(bus, lane, -ETIMEDOUT, "no confirm in time");
    }
}
