/* A client's end of the twin. Everything on its way is a packet with a timer:
 *
 *   publish --> OUT --(broker routes)--> CONFIRM --> op finishes
 *                            |
 *                            +--> IN --> consumer->deliver
 *
 * Each of the three lanes of a connection keeps its order, as TCP does, but
 * for those that a fault lets overtake. Packets die with their connection:
 * publishes then finish with -ENOTCONN, unacked deliveries go back to their
 * queue. Events for the owner wait in 'news', so that no callback runs inside
 * the owner's call. */
#include "bus/mem.h"

#include "base/rand.h"
#include "bus/mem_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHANCE_ALL 65536U

enum lane { LANE_OUT, LANE_CONFIRM, LANE_IN, N_LANES };

enum phase {
    ARRIVE,  /* At the broker. */
    HELD,    /* At a broker that is blocked. */
    CONFIRM, /* On the way back, with 'rc'. */
    LOST,    /* Nobody will confirm it; its publisher gives up then. */
    DELIVER, /* To a consumer. */
};

struct packet {
    struct ist_timer timer;
    struct mem_bus *bus;
    enum phase phase;
    struct mem_blob *blob;           /* One reference. */
    struct ist_bus_publish *publish; /* NULL: a send, or cancelled. */
    bool mandatory, confirmed, again;
    int rc;

    /* Of a delivery. */
    struct mem_sub *sub;
    uint64_t tag, offset, n_redelivered;

    TAILQ_ENTRY(packet) sibling;
};

enum news {
    NEWS_DOWN = 1,
    NEWS_BLOCKED = 2,
    NEWS_DRAINED = 4,
    NEWS_CLOSED = 8
};

struct mem_bus {
    struct ist_bus base;
    struct ist_mem_broker *broker; /* Borrowed. */
    char *user;                    /* Owned. */
    TAILQ_HEAD(packets, packet) packets;
    uint64_t lane_at[N_LANES]; /* When the last one of each arrives. */
    uint64_t n_unconfirmed;
    struct mem_subs subs;
    bool is_over; /* -EAGAIN was given: owes 'drained'. */
    bool is_closing, is_closed;
    unsigned news;
    struct ist_err lost; /* Why it went down. */
    struct ist_timer news_timer, connect_timer;
    TAILQ_ENTRY(mem_bus) sibling;
};

static const struct ist_bus_class mem_class;

static struct mem_bus *mem_of(struct ist_bus *bus)
{
    assert(bus->class == &mem_class);
    return (struct mem_bus *) bus;
}

static bool happens(uint32_t chance)
{
    return chance && ist_rand_below(CHANCE_ALL) < chance;
}

static uint64_t between(uint64_t min, uint64_t max)
{
    return max > min ? min + ist_rand_below(max - min + 1) : min;
}

struct ist_mem_broker *mem_bus_broker(const struct mem_bus *bus)
{
    return bus->broker;
}

struct mem_bus *mem_bus_first(struct ist_mem_broker *broker)
{
    return TAILQ_FIRST(&broker->buses);
}

struct mem_bus *mem_bus_next(struct mem_bus *bus)
{
    return TAILQ_NEXT(bus, sibling);
}

/* News. */

static void on_news(struct ist_timer *timer)
{
    struct mem_bus *bus = IST_CONTAINER(timer, struct mem_bus, news_timer);
    const struct ist_bus_events *events = bus->base.events;
    unsigned news = bus->news;

    bus->news = 0;
    if (news & NEWS_DOWN && events->down)
        events->down(&bus->base, &bus->lost);
    if (news & NEWS_BLOCKED && events->blocked)
        events->blocked(&bus->base, bus->base.is_blocked);
    if (news & NEWS_DRAINED && !bus->is_closing && events->drained)
        events->drained(&bus->base);
    if (news & NEWS_CLOSED) {
        bus->is_closed = true;
        if (events->closed)
            events->closed(&bus->base); /* May have freed it. */
    }
}

static void news_add(struct mem_bus *bus, unsigned news)
{
    bus->news |= news;
    ist_timer_arm_in(&bus->news_timer, bus->base.loop, 0, on_news);
}

static void drained_maybe(struct mem_bus *bus)
{
    if (!bus->is_over || bus->base.is_blocked || !bus->base.is_up ||
        bus->n_unconfirmed > IST_BUS_UNCONFIRMED / 2)
        return;
    bus->is_over = false;
    news_add(bus, NEWS_DRAINED);
}

/* Packets. */

static void on_packet(struct ist_timer *timer);

static struct packet *packet_new(struct mem_bus *bus, enum phase phase,
                                 struct mem_blob *blob)
{
    struct packet *packet = mem_must(calloc(1, sizeof(*packet)));

    packet->bus = bus;
    packet->phase = phase;
    packet->blob = mem_blob_ref(blob);
    TAILQ_INSERT_TAIL(&bus->packets, packet, sibling);
    return packet;
}

static struct packet *packet_free(struct packet *packet)
{
    ist_timer_disarm(&packet->timer);
    TAILQ_REMOVE(&packet->bus->packets, packet, sibling);
    if (packet->confirmed)
        packet->bus->n_unconfirmed--;
    mem_blob_unref(packet->blob);
    free(packet);
    return NULL;
}

static void packet_finish(struct packet *packet, int rc, const char *why)
{
    struct ist_bus_publish *publish = IST_TAKE(packet->publish);

    if (publish) {
        publish->link[0] = NULL;
        if (rc)
            ist_err_set(&publish->op.err, rc, "%s", why);
        ist_op_finish(&publish->op, rc);
    }
    packet_free(packet);
}

/* Puts it on its way. Ties keep their order, for timers do. */
static void packet_send(struct packet *packet, enum lane lane)
{
    struct mem_bus *bus = packet->bus;
    const struct ist_mem_faults *faults = &bus->broker->faults;
    uint64_t *last = &bus->lane_at[lane];
    uint64_t at = ist_loop_now(bus->base.loop) +
                  between(faults->delay_min_ms, faults->delay_max_ms);

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
static void packet_denied(struct packet *packet)
{
    struct mem_bus *bus = packet->bus;
    struct packet *other, *next;

    TAILQ_FOREACH_SAFE(other, &bus->packets, sibling, next)
    {
        if (other == packet || !other->confirmed ||
            strcmp(other->blob->exchange, packet->blob->exchange) != 0)
            continue;
        packet_finish(other, -ENOTCONN, "the channel was closed");
    }
}

static void packet_again(struct packet *packet)
{
    struct packet *copy = packet_new(packet->bus, ARRIVE, packet->blob);

    copy->again = true;
    packet_send(copy, LANE_OUT);
}

static void packet_confirm(struct packet *packet, int rc)
{
    const struct ist_mem_faults *faults = &packet->bus->broker->faults;

    if (!packet->confirmed) {
        packet_free(packet);
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
    packet_send(packet, LANE_CONFIRM);
}

static void packet_arrive(struct packet *packet)
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

static void packet_deliver(struct packet *packet)
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
        .user = blob->user,
        .tag = consumer->ack ? sub->incarnation << 32 | packet->tag : 0,
        .offset = packet->offset,
        .n_redelivered = packet->n_redelivered,
    };

    packet_free(packet);
    bus->base.n_delivered++;
    consumer->deliver(consumer, &message);
    mem_blob_unref(blob);
}

static void on_packet(struct ist_timer *timer)
{
    struct packet *packet = IST_CONTAINER(timer, struct packet, timer);
    struct mem_bus *bus = packet->bus;

    switch (packet->phase) {
    case ARRIVE:
        packet_arrive(packet);
        break;
    case CONFIRM:
        packet_finish(packet, packet->rc, outcome_text(packet->rc));
        drained_maybe(bus);
        break;
    case LOST:
        packet_finish(packet, -ETIMEDOUT, "no confirm in time");
        drained_maybe(bus);
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
    struct packet *packet = packet_new(sub->bus, DELIVER, item->blob);

    packet->sub = sub;
    packet->tag = tag;
    packet->offset = sub->queue->args.stream ? item->seq : 0;
    packet->n_redelivered = item->n_redelivered;
    if (!sub->consumer->ack)
        mem_item_free(item);
    packet_send(packet, LANE_IN);
}

/* Consumers. */

static void on_retry(struct ist_timer *timer);

static void sub_attach(struct mem_sub *sub)
{
    struct ist_err err = {0};

    if (sub->queue || !sub->bus->base.is_up)
        return;
    if (mem_attach(sub, &err) == 0) {
        sub->n_refused = 0;
        return;
    }
    ist_timer_arm_in(&sub->retry, sub->bus->base.loop,
                     ist_bus_backoff_ms(IST_BUS_RETRY_MIN_MS,
                                        IST_BUS_RETRY_MAX_MS, sub->n_refused++),
                     on_retry);
    if (sub->consumer->refused)
        sub->consumer->refused(sub->consumer, &err); /* May cancel it. */
}

static void on_retry(struct ist_timer *timer)
{
    sub_attach(IST_CONTAINER(timer, struct mem_sub, retry));
}

static void sub_detach(struct mem_sub *sub)
{
    struct packet *packet, *next;

    TAILQ_FOREACH_SAFE(packet, &sub->bus->packets, sibling, next)
    {
        if (packet->sub == sub)
            packet_free(packet);
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

static void mem_consume(struct ist_bus *base, struct ist_bus_consumer *consumer)
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
    ist_timer_arm_in(&sub->retry, base->loop, 0, on_retry);
}

static void sub_free(struct mem_sub *sub)
{
    sub_detach(sub);
    ist_timer_disarm(&sub->retry);
    TAILQ_REMOVE(&sub->bus->subs, sub, bus_link);
    sub->consumer->link[0] = NULL;
    free(sub);
}

static void mem_cancel(struct ist_bus *base, struct ist_bus_consumer *consumer)
{
    (void) base;
    if (consumer->link[0])
        sub_free(consumer->link[0]);
}

static int mem_ack(struct ist_bus *base, struct ist_bus_consumer *consumer,
                   uint64_t tag)
{
    struct mem_sub *sub = consumer->link[0];

    if (!base->is_up || !sub || !sub->queue || tag >> 32 != sub->incarnation)
        return -ENOTCONN;
    return mem_settle(sub, tag & UINT32_MAX) ? 0 : -EINVAL;
}

/* The connection. */

static void on_connect(struct ist_timer *timer)
{
    struct mem_bus *bus = IST_CONTAINER(timer, struct mem_bus, connect_timer);
    struct ist_err err = {0};
    struct mem_sub *sub;

    if (bus->broker->is_down)
        return; /* Its return connects us. */
    bus->base.generation = ist_bus_next_generation(&bus->base);
    bus->base.is_up = true;
    bus->base.n_connects++;
    /* A refusal is reported from the consumer's timer: the owner, when told,
     * may cancel others of this list. */
    TAILQ_FOREACH(sub, &bus->subs, bus_link)
    {
        if (mem_attach(sub, &err))
            ist_timer_arm_in(&sub->retry, bus->base.loop, 0, on_retry);
    }
    if (bus->base.events->up)
        bus->base.events->up(&bus->base);
    if (bus->broker->is_blocked)
        mem_bus_blocked(bus);
}

void mem_bus_connect(struct mem_bus *bus, uint64_t after_ms)
{
    const struct ist_mem_faults *faults = &bus->broker->faults;

    if (!bus->is_closing)
        ist_timer_arm_in(
            &bus->connect_timer, bus->base.loop,
            after_ms + between(faults->connect_min_ms, faults->connect_max_ms),
            on_connect);
}

void mem_bus_lost(struct mem_bus *bus, int rc, const char *why)
{
    struct packet *packet, *next;
    struct mem_sub *sub;

    ist_timer_disarm(&bus->connect_timer);
    TAILQ_FOREACH(sub, &bus->subs, bus_link)
    {
        ist_timer_disarm(&sub->retry);
        mem_detach(sub);
    }
    TAILQ_FOREACH_SAFE(packet, &bus->packets, sibling, next)
    {
        packet_finish(packet, rc == -ECANCELED ? rc : -ENOTCONN, why);
    }
    for (int i = 0; i < N_LANES; i++)
        bus->lane_at[i] = 0;
    if (bus->base.is_up) {
        ist_err_set(&bus->lost, rc, "%s", why);
        news_add(bus, NEWS_DOWN);
    }
    bus->base.is_up = bus->is_over = false;
    if (bus->base.is_blocked) {
        bus->base.is_blocked = false;
        news_add(bus, NEWS_BLOCKED);
    }
}

void mem_bus_blocked(struct mem_bus *bus)
{
    struct packet *packet;

    if (!bus->base.is_up || bus->base.is_blocked == bus->broker->is_blocked)
        return;
    bus->base.is_blocked = bus->broker->is_blocked;
    news_add(bus, NEWS_BLOCKED);
    if (bus->base.is_blocked)
        return;
    TAILQ_FOREACH(packet, &bus->packets, sibling)
    {
        if (packet->phase != HELD)
            continue;
        packet->phase = ARRIVE;
        packet_send(packet, LANE_OUT);
    }
    drained_maybe(bus);
}

void ist_mem_cut(struct ist_bus *base, uint64_t ms)
{
    struct mem_bus *bus = mem_of(base);

    mem_bus_lost(bus, -ECONNRESET, "the connection was cut");
    mem_bus_connect(bus, ms);
}

/* Publishing. */

static int may_publish(struct mem_bus *bus,
                       const struct ist_bus_message *message)
{
    if (message->size > IST_BUS_BODY_MAX)
        return -EMSGSIZE;
    if (!bus->base.is_up || bus->is_closing)
        return -ENOTCONN;
    if (bus->base.is_blocked || bus->n_unconfirmed >= IST_BUS_UNCONFIRMED) {
        bus->is_over = true;
        return -EAGAIN;
    }
    return 0;
}

static struct packet *post(struct mem_bus *bus,
                           const struct ist_bus_message *message)
{
    struct mem_blob *blob = mem_blob_new(message, bus->user);
    struct packet *packet = packet_new(bus, ARRIVE, blob);
    struct ist_bus_message seen = *message;

    mem_blob_unref(blob);
    bus->base.n_sent++;
    seen.user = bus->user;
    if (bus->broker->tap)
        bus->broker->tap(bus->broker->tap_arg, &seen);
    packet_send(packet, LANE_OUT);
    return packet;
}

static int mem_send(struct ist_bus *base, const struct ist_bus_message *message)
{
    struct mem_bus *bus = mem_of(base);
    int rc = may_publish(bus, message);

    if (rc == 0)
        post(bus, message);
    return rc;
}

/* It may have left already: then only the confirm finds nobody. */
static void publish_cancel(struct ist_op *op)
{
    struct ist_bus_publish *publish =
        IST_CONTAINER(op, struct ist_bus_publish, op);
    struct packet *packet = IST_TAKE(publish->link[0]);

    if (packet)
        packet->publish = NULL;
    ist_op_finish(op, op->reason);
}

static void mem_publish(struct ist_bus *base, struct ist_bus_publish *publish,
                        const struct ist_bus_message *message)
{
    struct mem_bus *bus = mem_of(base);
    struct packet *packet;
    int rc = may_publish(bus, message);

    ist_op_begin(&publish->op, publish_cancel);
    if (rc) {
        ist_op_fail(&publish->op, rc, "%s",
                    rc == -EAGAIN     ? "the bus is blocked"
                    : rc == -EMSGSIZE ? "the message is too large"
                                      : "not connected");
        return;
    }
    packet = post(bus, message);
    packet->publish = publish;
    packet->confirmed = true;
    packet->mandatory = message->mandatory;
    publish->link[0] = packet;
    bus->n_unconfirmed++;
}

static void mem_close(struct ist_bus *base)
{
    struct mem_bus *bus = mem_of(base);

    if (bus->is_closing)
        return;
    bus->is_closing = true;
    mem_bus_lost(bus, -ECANCELED, "closed");
    bus->news = 0; /* It was the owner's wish: no 'down'. */
    while (!TAILQ_EMPTY(&bus->subs))
        sub_free(TAILQ_FIRST(&bus->subs));
    news_add(bus, NEWS_CLOSED);
}

static struct ist_bus *mem_free(struct ist_bus *base)
{
    struct mem_bus *bus = mem_of(base);

    assert(bus->is_closed);
    TAILQ_REMOVE(&bus->broker->buses, bus, sibling);
    free(bus->user);
    free(bus);
    return NULL;
}

static const struct ist_bus_class mem_class = {
    .name = "mem",
    .close = mem_close,
    .free = mem_free,
    .send = mem_send,
    .publish = mem_publish,
    .consume = mem_consume,
    .cancel = mem_cancel,
    .ack = mem_ack,
};

struct ist_bus *ist_mem_new(struct ist_mem_broker *broker, const char *user,
                            const struct ist_bus_events *events, void *owner)
{
    struct mem_bus *bus = calloc(1, sizeof(*bus));

    if (!bus)
        return NULL;
    bus->user = strdup(user);
    if (!bus->user) {
        free(bus);
        return NULL;
    }
    bus->base = (struct ist_bus){.class = &mem_class,
                                 .loop = broker->loop,
                                 .events = events,
                                 .owner = owner};
    bus->broker = broker;
    TAILQ_INIT(&bus->packets);
    TAILQ_INIT(&bus->subs);
    TAILQ_INSERT_TAIL(&broker->buses, bus, sibling);
    if (!broker->is_down)
        mem_bus_connect(bus, 0);
    return &bus->base;
}
