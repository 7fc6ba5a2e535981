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
#include "bus/mem_client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum news {
    NEWS_DOWN = 1,
    NEWS_BLOCKED = 2,
    NEWS_DRAINED = 4,
    NEWS_CLOSED = 8
};

static const struct ist_bus_class mem_class;

struct mem_bus *mem_of(struct ist_bus *bus)
{
    assert(bus->class == &mem_class);
    return (struct mem_bus *) bus;
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

void mem_drained_maybe(struct mem_bus *bus)
{
    if (!bus->is_over || bus->base.is_blocked || !bus->base.is_up ||
        bus->n_unconfirmed > IST_BUS_UNCONFIRMED / 2)
        return;
    bus->is_over = false;
    news_add(bus, NEWS_DRAINED);
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
            mem_sub_retry(sub);
        else
            mem_sub_placed(sub);
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
        ist_timer_arm_in(&bus->connect_timer, bus->base.loop,
                         after_ms + mem_between(faults->connect_min_ms,
                                                faults->connect_max_ms),
                         on_connect);
}

void mem_bus_lost(struct mem_bus *bus, int rc, const char *why)
{
    struct mem_packet *packet, *next;
    struct mem_sub *sub;

    ist_timer_disarm(&bus->connect_timer);
    TAILQ_FOREACH(sub, &bus->subs, bus_link)
    {
        ist_timer_disarm(&sub->retry);
        mem_detach(sub);
    }
    TAILQ_FOREACH_SAFE(packet, &bus->packets, sibling, next)
    {
        mem_packet_finish(packet, rc == -ECANCELED ? rc : -ENOTCONN, why);
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
    struct mem_packet *packet;

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
        mem_packet_send(packet, LANE_OUT);
    }
    mem_drained_maybe(bus);
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

static struct mem_packet *post(struct mem_bus *bus,
                               const struct ist_bus_message *message)
{
    struct mem_blob *blob = mem_blob_new(message, bus->user);
    struct mem_packet *packet = mem_packet_new(bus, ARRIVE, blob);
    struct ist_bus_message seen = *message;

    mem_blob_unref(blob);
    bus->base.n_sent++;
    seen.user = bus->user;
    if (bus->broker->tap)
        bus->broker->tap(bus->broker->tap_arg, &seen);
    mem_packet_send(packet, LANE_OUT);
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
    struct mem_packet *packet = IST_TAKE(publish->link[0]);

    if (packet)
        packet->publish = NULL;
    ist_op_finish(op, op->reason);
}

static void mem_publish(struct ist_bus *base, struct ist_bus_publish *publish,
                        const struct ist_bus_message *message)
{
    struct mem_bus *bus = mem_of(base);
    struct mem_packet *packet;
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

/* The class. */

static void mem_close(struct ist_bus *base)
{
    struct mem_bus *bus = mem_of(base);

    if (bus->is_closing)
        return;
    bus->is_closing = true;
    mem_bus_lost(bus, -ECANCELED, "closed");
    bus->news = 0; /* It was the owner's wish: no 'down'. */
    while (!TAILQ_EMPTY(&bus->subs))
        mem_sub_free(TAILQ_FIRST(&bus->subs));
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
