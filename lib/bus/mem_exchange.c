/* A key without wildcards is found in its exchange's tree, so that a message
 * costs the same with ten sites or ten thousand; only patterns (a hub has two)
 * are tried one by one. */
#include "bus/mem_queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum exchange_type { DIRECT, TOPIC, FANOUT };

struct mem_route {
    const char *key; /* Borrowed from the first of its bindings. */
    struct mem_bindings bindings;
    RB_ENTRY(mem_route) node;
};
RB_HEAD(mem_routes, mem_route);

struct mem_exchange {
    char *name;
    enum exchange_type type;
    bool is_transient;
    struct mem_routes routes;     /* Plain keys. */
    struct mem_bindings patterns; /* Tried one by one. */
    RB_ENTRY(mem_exchange) node;
};

static int route_cmp(struct mem_route *a, struct mem_route *b)
{
    return strcmp(a->key, b->key);
}

static int exchange_cmp(struct mem_exchange *a, struct mem_exchange *b)
{
    return strcmp(a->name, b->name);
}

RB_GENERATE_INTERNAL(mem_routes, mem_route, node, route_cmp, IST_UNUSED_STATIC)
RB_GENERATE_INTERNAL(mem_exchanges, mem_exchange, node, exchange_cmp,
                     IST_UNUSED_STATIC)

/* Keys. */

/* RabbitMQ's topic match: words between dots, '*' is one, '#' any number. */
static bool topic_match(const char *pattern, const char *key)
{
    size_t p = strcspn(pattern, "."), k = strcspn(key, ".");
    bool last_p = !pattern[p], last_k = !key[k];

    if (p == 1 && pattern[0] == '#') {
        if (last_p)
            return true;
        for (;; key += k + 1, k = strcspn(key, ".")) {
            if (topic_match(pattern + 2, key))
                return true;
            if (!key[k])
                return false;
        }
    }
    if (!(p == 1 && pattern[0] == '*') &&
        !(p == k && memcmp(pattern, key, p) == 0))
        return false;
    if (last_k)
        return last_p || strcmp(pattern + p, ".#") == 0;
    return !last_p && topic_match(pattern + p + 1, key + k + 1);
}

static bool is_pattern(const struct mem_exchange *exchange, const char *key)
{
    return exchange->type == FANOUT ||
           (exchange->type == TOPIC && strpbrk(key, "*#"));
}

/* Exchanges. */

struct mem_exchange *mem_exchange_find(const struct ist_mem_broker *broker,
                                       const char *name)
{
    struct mem_exchange key = {.name = (char *) (uintptr_t) name};

    return RB_FIND(mem_exchanges,
                   (struct mem_exchanges *) (uintptr_t) &broker->exchanges,
                   &key);
}

void ist_mem_exchange(struct ist_mem_broker *broker, const char *name,
                      const char *type)
{
    struct mem_exchange *exchange;

    if (mem_exchange_find(broker, name))
        return;
    exchange = mem_must(calloc(1, sizeof(*exchange)));
    exchange->name = mem_must(strdup(name));
    exchange->type = strcmp(type, "topic") == 0    ? TOPIC
                     : strcmp(type, "fanout") == 0 ? FANOUT
                                                   : DIRECT;
    RB_INIT(&exchange->routes);
    RB_INSERT(mem_exchanges, &broker->exchanges, exchange);
}

struct mem_exchange *mem_exchange_declare(struct ist_mem_broker *broker,
                                          const char *name)
{
    struct mem_exchange *exchange;

    ist_mem_exchange(broker, name, "topic");
    exchange = mem_exchange_find(broker, name);
    exchange->is_transient = true;
    return exchange;
}

static void exchange_free(struct ist_mem_broker *broker,
                          struct mem_exchange *exchange)
{
    RB_REMOVE(mem_exchanges, &broker->exchanges, exchange);
    free(exchange->name);
    free(exchange);
}

void mem_exchange_crash_all(struct ist_mem_broker *broker)
{
    struct mem_exchange *exchange, *next;

    RB_FOREACH_SAFE(exchange, mem_exchanges, &broker->exchanges, next)
    {
        if (!exchange->is_transient)
            continue;
        while (!LIST_EMPTY(&exchange->patterns))
            mem_binding_free(LIST_FIRST(&exchange->patterns));
        while (!RB_EMPTY(&exchange->routes)) {
            struct mem_route *route = RB_MIN(mem_routes, &exchange->routes);

            mem_binding_free(LIST_FIRST(&route->bindings));
        }
        exchange_free(broker, exchange);
    }
}

void mem_exchange_free_all(struct ist_mem_broker *broker)
{
    while (!RB_EMPTY(&broker->exchanges))
        exchange_free(broker, RB_MIN(mem_exchanges, &broker->exchanges));
}

/* Bindings. */

void mem_binding_add(struct mem_queue *queue, struct mem_exchange *exchange,
                     const char *key)
{
    struct mem_binding *binding = mem_must(calloc(1, sizeof(*binding)));
    struct mem_route *route = NULL, find;

    binding->queue = queue;
    binding->exchange = exchange;
    binding->key = mem_must(strdup(key));
    LIST_INSERT_HEAD(&queue->bindings, binding, queue_link);
    if (is_pattern(exchange, key)) {
        LIST_INSERT_HEAD(&exchange->patterns, binding, route_link);
        return;
    }
    find.key = key;
    route = RB_FIND(mem_routes, &exchange->routes, &find);
    if (!route) {
        route = mem_must(calloc(1, sizeof(*route)));
        route->key = binding->key;
        RB_INSERT(mem_routes, &exchange->routes, route);
    }
    binding->route = route;
    LIST_INSERT_HEAD(&route->bindings, binding, route_link);
}

void mem_binding_free(struct mem_binding *binding)
{
    struct mem_route *route = binding->route;

    LIST_REMOVE(binding, queue_link);
    LIST_REMOVE(binding, route_link);
    if (route && LIST_EMPTY(&route->bindings)) {
        RB_REMOVE(mem_routes, &binding->exchange->routes, route);
        free(route);
    } else if (route) {
        route->key = LIST_FIRST(&route->bindings)->key;
    }
    free(binding->key);
    free(binding);
}

void ist_mem_bind(struct ist_mem_broker *broker, const char *queue_name,
                  const char *exchange_name, const char *key)
{
    struct mem_exchange *exchange = mem_exchange_find(broker, exchange_name);
    struct mem_queue *queue = mem_queue_find(broker, queue_name);

    assert(exchange && queue);
    mem_binding_add(queue, exchange, key);
}

/* Routing. */

static int route_to(struct mem_binding *binding, struct mem_blob *blob,
                    uint64_t number, unsigned *n_queues)
{
    struct mem_queue *queue = binding->queue;

    if (queue->routed == number)
        return 0;
    queue->routed = number;
    (*n_queues)++;
    return mem_enqueue(queue, blob);
}

int mem_route(struct ist_mem_broker *broker, struct mem_blob *blob)
{
    struct mem_exchange *exchange = mem_exchange_find(broker, blob->exchange);
    struct mem_route *route, find = {.key = blob->key};
    uint64_t number = ++broker->n_routed;
    struct mem_binding *binding;
    unsigned n_queues = 0;
    int rc = 0, one;

    if (!exchange)
        return -ENOENT;
    route = RB_FIND(mem_routes, &exchange->routes, &find);
    if (route)
        LIST_FOREACH(binding, &route->bindings, route_link)
        {
            one = route_to(binding, blob, number, &n_queues);
            rc = one ? one : rc;
        }
    LIST_FOREACH(binding, &exchange->patterns, route_link)
    {
        if (exchange->type == FANOUT || topic_match(binding->key, blob->key)) {
            one = route_to(binding, blob, number, &n_queues);
            rc = one ? one : rc;
        }
    }
    return n_queues ? rc : IST_BUS_UNROUTABLE;
}
