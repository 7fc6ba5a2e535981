/* The twin's broker, from its operator's side. */
#include "bus/mem_queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct ist_mem_broker *ist_mem_broker_new(struct ist_loop *loop)
{
    struct ist_mem_broker *broker = calloc(1, sizeof(*broker));

    if (!broker)
        return NULL;
    broker->loop = loop;
    RB_INIT(&broker->exchanges);
    RB_INIT(&broker->queues);
    TAILQ_INIT(&broker->buses);
    LIST_INIT(&broker->denials);
    return broker;
}

static void denial_free(struct mem_denial *denial)
{
    LIST_REMOVE(denial, sibling);
    free(denial->user);
    free(denial->exchange);
    free(denial);
}

struct ist_mem_broker *ist_mem_broker_free(struct ist_mem_broker *broker)
{
    struct mem_denial *denial;

    if (!broker)
        return NULL;
    assert(TAILQ_EMPTY(&broker->buses));
    mem_queue_free_all(broker);
    mem_exchange_free_all(broker);
    while ((denial = LIST_FIRST(&broker->denials)))
        denial_free(denial);
    ist_timer_disarm(&broker->back);
    free(broker);
    return NULL;
}

void ist_mem_broker_faults(struct ist_mem_broker *broker,
                           const struct ist_mem_faults *faults)
{
    broker->faults = *faults;
}

void ist_mem_queue_with(struct ist_mem_broker *broker, const char *name,
                        const struct ist_mem_queue_args *args)
{
    if (!mem_queue_find(broker, name))
        mem_queue_new(broker, name, args);
}

void ist_mem_queue(struct ist_mem_broker *broker, const char *name,
                   uint64_t ttl_ms, uint64_t max_length)
{
    struct ist_mem_queue_args args = {.ttl_ms = ttl_ms,
                                      .max_length = max_length};

    ist_mem_queue_with(broker, name, &args);
}

void ist_mem_queue_delete(struct ist_mem_broker *broker, const char *name)
{
    struct mem_queue *queue = mem_queue_find(broker, name);
    struct mem_sub *sub;
    bool gone = false;

    if (!queue)
        return;
    while (!gone && (sub = TAILQ_FIRST(&queue->subs))) {
        /* With its last consumer an exclusive queue goes by itself. */
        gone = queue->owner && !TAILQ_NEXT(sub, queue_link);
        mem_sub_cancelled(sub);
    }
    if (!gone)
        mem_queue_free(queue);
}

uint64_t ist_mem_queue_length(const struct ist_mem_broker *broker,
                              const char *name)
{
    const struct mem_queue *queue = mem_queue_find(broker, name);

    return queue ? queue->n_ready : 0;
}

void ist_mem_deny(struct ist_mem_broker *broker, const char *user,
                  const char *exchange, bool on)
{
    struct mem_denial *denial, *next;

    LIST_FOREACH_SAFE(denial, &broker->denials, sibling, next)
    {
        if (strcmp(denial->user, user) == 0 &&
            strcmp(denial->exchange, exchange) == 0)
            denial_free(denial);
    }
    if (!on)
        return;
    denial = mem_must(calloc(1, sizeof(*denial)));
    denial->user = mem_must(strdup(user));
    denial->exchange = mem_must(strdup(exchange));
    LIST_INSERT_HEAD(&broker->denials, denial, sibling);
}

bool mem_denied(const struct ist_mem_broker *broker, const char *user,
                const char *exchange)
{
    struct mem_denial *denial;

    LIST_FOREACH(denial, &broker->denials, sibling)
    {
        if (strcmp(denial->user, user) == 0 &&
            strcmp(denial->exchange, exchange) == 0)
            return true;
    }
    return false;
}

void ist_mem_broker_tap(struct ist_mem_broker *broker, ist_mem_tap_fn *tap,
                        void *arg)
{
    broker->tap = tap;
    broker->tap_arg = arg;
}

void ist_mem_inject(struct ist_mem_broker *broker,
                    const struct ist_bus_message *message)
{
    struct mem_blob *blob =
        mem_blob_new(message, message->user ? message->user : "");

    mem_route(broker, blob);
    mem_blob_unref(blob);
}

static void on_back(struct ist_timer *timer)
{
    struct ist_mem_broker *broker =
        IST_CONTAINER(timer, struct ist_mem_broker, back);
    struct mem_bus *bus;

    broker->is_down = false;
    for (bus = mem_bus_first(broker); bus; bus = mem_bus_next(bus))
        mem_bus_connect(bus, 0);
}

void ist_mem_broker_crash(struct ist_mem_broker *broker, uint64_t ms)
{
    struct mem_bus *bus;

    broker->is_down = true;
    for (bus = mem_bus_first(broker); bus; bus = mem_bus_next(bus))
        mem_bus_lost(bus, -ECONNRESET, "the broker died");
    mem_queue_crash_all(broker);
    mem_exchange_crash_all(broker);
    ist_timer_arm_in(&broker->back, broker->loop, ms, on_back);
}

void ist_mem_broker_block(struct ist_mem_broker *broker, bool on)
{
    struct mem_bus *bus;

    if (broker->is_blocked == on)
        return;
    broker->is_blocked = on;
    for (bus = mem_bus_first(broker); bus; bus = mem_bus_next(bus))
        mem_bus_blocked(bus);
}
