/* The twin's broker: a tree of exchanges, a tree of queues. A key without
 * wildcards is found in its exchange's tree, so that a message costs the same
 * with ten sites or ten thousand; only patterns (a hub has two) are tried one
 * by one. */
#include "bus/mem_priv.h"

#include "base/rand.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One in so many messages of a stream leaves a gap in its offsets. */
#define STREAM_GAP 64

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

static int queue_cmp(struct mem_queue *a, struct mem_queue *b)
{
    return strcmp(a->name, b->name);
}

RB_GENERATE_INTERNAL(mem_routes, mem_route, node, route_cmp,
                     __attribute__((unused)) static)
RB_GENERATE_INTERNAL(mem_exchanges, mem_exchange, node, exchange_cmp,
                     __attribute__((unused)) static)
RB_GENERATE_INTERNAL(mem_queues, mem_queue, node, queue_cmp,
                     __attribute__((unused)) static)

/* The twin serves tests: out of memory is the end of them. */
static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

/* Blobs and items. */

static const char *blob_text(char **at, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = *at;

    memcpy(copy, text, size);
    *at += size;
    return copy;
}

struct mem_blob *mem_blob_new(const struct ist_bus_message *message,
                              const char *user)
{
    const char *type = message->type ? message->type : "";
    struct mem_blob *blob;
    char *at;

    blob = must(malloc(sizeof(*blob) + strlen(message->exchange) +
                       strlen(message->key) + strlen(type) + strlen(user) + 4 +
                       message->size));
    *blob = (struct mem_blob){.n_refs = 1,
                              .persistent = message->persistent,
                              .correlation = message->correlation,
                              .expiration_ms = message->expiration_ms,
                              .size = message->size};
    at = blob->bytes;
    blob->exchange = blob_text(&at, message->exchange);
    blob->key = blob_text(&at, message->key);
    blob->type = blob_text(&at, type);
    blob->user = blob_text(&at, user);
    if (message->size)
        memcpy(at, message->body, message->size);
    blob->body = at;
    return blob;
}

struct mem_blob *mem_blob_ref(struct mem_blob *blob)
{
    blob->n_refs++;
    return blob;
}

struct mem_blob *mem_blob_unref(struct mem_blob *blob)
{
    if (blob && --blob->n_refs == 0)
        free(blob);
    return NULL;
}

static struct mem_item *item_new(struct mem_blob *blob, uint64_t seq)
{
    struct mem_item *item = must(calloc(1, sizeof(*item)));

    item->blob = mem_blob_ref(blob);
    item->seq = seq;
    item->expires = UINT64_MAX;
    return item;
}

struct mem_item *mem_item_free(struct mem_item *item)
{
    if (item) {
        mem_blob_unref(item->blob);
        free(item);
    }
    return NULL;
}

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

static struct mem_exchange *exchange_find(const struct ist_mem_broker *broker,
                                          const char *name)
{
    struct mem_exchange key = {.name = (char *) (uintptr_t) name};

    return RB_FIND(mem_exchanges,
                   (struct mem_exchanges *) (uintptr_t) &broker->exchanges,
                   &key);
}

static struct mem_queue *queue_find(const struct ist_mem_broker *broker,
                                    const char *name)
{
    struct mem_queue key = {.name = (char *) (uintptr_t) name};

    return RB_FIND(mem_queues,
                   (struct mem_queues *) (uintptr_t) &broker->queues, &key);
}

/* Bindings. */

static void binding_add(struct mem_queue *queue, struct mem_exchange *exchange,
                        const char *key)
{
    struct mem_binding *binding = must(calloc(1, sizeof(*binding)));
    struct mem_route *route = NULL, find;

    binding->queue = queue;
    binding->exchange = exchange;
    binding->key = must(strdup(key));
    LIST_INSERT_HEAD(&queue->bindings, binding, queue_link);
    if (is_pattern(exchange, key)) {
        LIST_INSERT_HEAD(&exchange->patterns, binding, route_link);
        return;
    }
    find.key = key;
    route = RB_FIND(mem_routes, &exchange->routes, &find);
    if (!route) {
        route = must(calloc(1, sizeof(*route)));
        route->key = binding->key;
        RB_INSERT(mem_routes, &exchange->routes, route);
    }
    binding->route = route;
    LIST_INSERT_HEAD(&route->bindings, binding, route_link);
}

static void binding_free(struct mem_binding *binding)
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

/* Items in queues. */

static void on_expiry(struct ist_timer *timer);

static void ready_remove(struct mem_queue *queue, struct mem_item *item)
{
    struct mem_sub *sub;

    if (queue->args.stream)
        TAILQ_FOREACH(sub, &queue->subs, queue_link)
        {
            if (sub->position == item)
                sub->position = TAILQ_NEXT(item, sibling);
        }
    TAILQ_REMOVE(&queue->ready, item, sibling);
    queue->n_ready--;
}

static void dead_letter(struct mem_queue *queue, struct mem_item *item)
{
    struct mem_blob *blob = item->blob;
    struct ist_bus_message message = {.exchange = queue->dead_exchange,
                                      .key = blob->key,
                                      .type = blob->type,
                                      .body = blob->body,
                                      .size = blob->size,
                                      .correlation = blob->correlation,
                                      .persistent = blob->persistent};

    if (queue->dead_exchange) {
        struct mem_blob *copy = mem_blob_new(&message, blob->user);

        mem_route(queue->broker, copy);
        mem_blob_unref(copy);
    }
    mem_item_free(item);
}

/* Like RabbitMQ's, only the head expires: what lies behind it waits. */
static void drop_expired(struct mem_queue *queue)
{
    uint64_t now = ist_loop_now(queue->broker->loop);
    struct mem_item *item;

    while ((item = TAILQ_FIRST(&queue->ready)) && item->expires <= now) {
        ready_remove(queue, item);
        dead_letter(queue, item);
    }
    if (item && item->expires != UINT64_MAX)
        ist_timer_arm(&queue->expiry, queue->broker->loop, item->expires,
                      on_expiry);
    else
        ist_timer_disarm(&queue->expiry);
}

static void on_expiry(struct ist_timer *timer)
{
    drop_expired(IST_CONTAINER(timer, struct mem_queue, expiry));
}

/* Given back: to its old place, so that order holds. */
static void requeue(struct mem_queue *queue, struct mem_item *item)
{
    struct mem_item *at;

    item->n_redelivered++;
    if (queue->args.delivery_limit &&
        item->n_redelivered > queue->args.delivery_limit) {
        dead_letter(queue, item);
        return;
    }
    TAILQ_FOREACH(at, &queue->ready, sibling)
    {
        if (at->seq > item->seq)
            break;
    }
    if (at)
        TAILQ_INSERT_BEFORE(at, item, sibling);
    else
        TAILQ_INSERT_TAIL(&queue->ready, item, sibling);
    queue->n_ready++;
}

static void stream_append(struct mem_queue *queue, struct mem_item *item)
{
    struct mem_sub *sub;

    if (ist_rand_below(STREAM_GAP) == 0)
        queue->next_offset += 1 + ist_rand_below(3);
    item->seq = queue->next_offset++;
    if (queue->args.max_length && queue->n_ready >= queue->args.max_length) {
        struct mem_item *oldest = TAILQ_FIRST(&queue->ready);

        ready_remove(queue, oldest);
        mem_item_free(oldest);
    }
    TAILQ_INSERT_TAIL(&queue->ready, item, sibling);
    queue->n_ready++;
    TAILQ_FOREACH(sub, &queue->subs, queue_link)
    {
        if (!sub->position)
            sub->position = item;
    }
}

static int enqueue(struct mem_queue *queue, struct mem_blob *blob)
{
    struct ist_mem_broker *broker = queue->broker;
    uint64_t now = ist_loop_now(broker->loop);
    uint64_t ttl = queue->args.ttl_ms;
    struct mem_item *item;

    if (queue->args.stream) {
        stream_append(queue, item_new(blob, 0));
        mem_pump(queue);
        return 0;
    }
    drop_expired(queue);
    if (queue->args.max_length && queue->n_ready >= queue->args.max_length)
        return IST_BUS_FULL;
    item = item_new(blob, ++broker->n_items);
    if (blob->expiration_ms && (!ttl || blob->expiration_ms < ttl))
        ttl = blob->expiration_ms;
    if (ttl)
        item->expires = now + ttl;
    TAILQ_INSERT_TAIL(&queue->ready, item, sibling);
    queue->n_ready++;
    mem_pump(queue);
    drop_expired(queue); /* Arms the timer for what stayed. */
    return 0;
}

/* Handing out. */

static bool sub_has_room(const struct mem_sub *sub)
{
    return !sub->consumer->ack || !sub->consumer->prefetch ||
           sub->n_unacked < sub->consumer->prefetch;
}

/* Kept sorted: the highest priority first, then who waits longest. */
static void sub_insert(struct mem_queue *queue, struct mem_sub *sub)
{
    struct mem_sub *at;

    TAILQ_FOREACH(at, &queue->subs, queue_link)
    {
        if (at->priority < sub->priority)
            break;
    }
    if (at)
        TAILQ_INSERT_BEFORE(at, sub, queue_link);
    else
        TAILQ_INSERT_TAIL(&queue->subs, sub, queue_link);
}

static struct mem_sub *sub_pick(struct mem_queue *queue)
{
    struct mem_sub *sub;

    TAILQ_FOREACH(sub, &queue->subs, queue_link)
    {
        if (sub_has_room(sub)) {
            if (!queue->args.single_active) {
                TAILQ_REMOVE(&queue->subs, sub, queue_link);
                sub_insert(queue, sub);
            }
            return sub;
        }
        if (queue->args.single_active)
            break;
    }
    return NULL;
}

static void give(struct mem_sub *sub, struct mem_item *item)
{
    item->tag = ++sub->last_tag;
    if (sub->consumer->ack) {
        TAILQ_INSERT_TAIL(&sub->unacked, item, sibling);
        sub->n_unacked++;
    }
    mem_deliver(sub, item, item->tag);
}

static void pump_stream(struct mem_queue *queue)
{
    struct mem_sub *sub;

    TAILQ_FOREACH(sub, &queue->subs, queue_link)
    {
        while (sub->position && sub_has_room(sub)) {
            struct mem_item *at = sub->position;

            sub->position = TAILQ_NEXT(at, sibling);
            give(sub, item_new(at->blob, at->seq));
        }
    }
}

void mem_pump(struct mem_queue *queue)
{
    struct mem_item *item;
    struct mem_sub *sub;

    if (queue->broker->is_down)
        return;
    if (queue->args.stream) {
        pump_stream(queue);
        return;
    }
    if (TAILQ_EMPTY(&queue->subs))
        return;
    drop_expired(queue);
    while ((item = TAILQ_FIRST(&queue->ready)) && (sub = sub_pick(queue))) {
        ready_remove(queue, item);
        give(sub, item);
    }
}

bool mem_settle(struct mem_sub *sub, uint64_t tag)
{
    struct mem_item *item;

    TAILQ_FOREACH(item, &sub->unacked, sibling)
    {
        if (item->tag >= tag)
            break;
    }
    if (!item || item->tag != tag)
        return false;
    TAILQ_REMOVE(&sub->unacked, item, sibling);
    sub->n_unacked--;
    if (sub->queue->args.stream && sub->resume < item->seq + 2)
        sub->resume = item->seq + 2;
    mem_item_free(item);
    mem_pump(sub->queue);
    return true;
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
    return enqueue(queue, blob);
}

int mem_route(struct ist_mem_broker *broker, struct mem_blob *blob)
{
    struct mem_exchange *exchange = exchange_find(broker, blob->exchange);
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

/* Consumers. */

static struct mem_queue *queue_new(struct ist_mem_broker *broker,
                                   const char *name,
                                   const struct ist_mem_queue_args *args)
{
    struct mem_queue *queue = must(calloc(1, sizeof(*queue)));

    queue->name = must(strdup(name));
    queue->broker = broker;
    queue->args = *args;
    if (args->dead_exchange)
        queue->dead_exchange = must(strdup(args->dead_exchange));
    queue->args.dead_exchange = NULL;
    TAILQ_INIT(&queue->ready);
    TAILQ_INIT(&queue->subs);
    RB_INSERT(mem_queues, &broker->queues, queue);
    return queue;
}

static void queue_clear(struct mem_queue *queue, bool keep_persistent)
{
    struct mem_item *item, *next;

    TAILQ_FOREACH_SAFE(item, &queue->ready, sibling, next)
    {
        if (keep_persistent && (item->blob->persistent || queue->args.stream))
            continue;
        ready_remove(queue, item);
        mem_item_free(item);
    }
}

static void queue_free(struct mem_queue *queue)
{
    struct mem_binding *binding;

    assert(TAILQ_EMPTY(&queue->subs));
    queue_clear(queue, false);
    while ((binding = LIST_FIRST(&queue->bindings)))
        binding_free(binding);
    ist_timer_disarm(&queue->expiry);
    RB_REMOVE(mem_queues, &queue->broker->queues, queue);
    free(queue->dead_exchange);
    free(queue->name);
    free(queue);
}

static int declare_exclusive(struct mem_sub *sub, struct ist_mem_broker *broker,
                             const char *name, struct mem_queue **ret,
                             struct ist_err *err)
{
    struct ist_bus_consumer *consumer = sub->consumer;
    struct ist_mem_queue_args args = {.ttl_ms = consumer->ttl_ms,
                                      .max_length = consumer->max_length};
    struct mem_exchange *exchange =
        exchange_find(broker, consumer->bind_exchange);
    char key[IST_BUS_NAME_MAX + 1];

    if (!exchange)
        return ist_err_set(err, -ENOENT, "no exchange %s",
                           consumer->bind_exchange);
    if (!ist_bus_expand(consumer->bind_key,
                        ist_bus_generation((struct ist_bus *) sub->bus), key,
                        sizeof(key)))
        return ist_err_set(err, -EINVAL, "binding key too long");
    if (*ret && (*ret)->owner != sub->bus)
        return ist_err_set(err, -EBUSY, "queue %s is locked", name);
    if (!*ret)
        *ret = queue_new(broker, name, &args);
    (*ret)->owner = sub->bus;
    binding_add(*ret, exchange, key);
    return 0;
}

static bool stream_position(struct mem_sub *sub, struct mem_queue *queue)
{
    const char *offset = sub->consumer->offset;
    uint64_t from = 0;

    if (!sub->consumer->ack || !sub->consumer->prefetch)
        return false;
    if (sub->resume) {
        from = sub->resume - 1;
    } else if (strcmp(offset, "next") == 0) {
        from = queue->next_offset;
    } else if (strcmp(offset, "last") == 0) {
        sub->position = TAILQ_LAST(&queue->ready, mem_items);
        return true;
    } else if (strcmp(offset, "first") != 0) {
        char *end;

        from = strtoull(offset, &end, 10);
        if (!*offset || *end)
            return false;
    }
    TAILQ_FOREACH(sub->position, &queue->ready, sibling)
    {
        if (sub->position->seq >= from)
            break;
    }
    sub->resume = from + 1;
    return true;
}

int mem_attach(struct mem_sub *sub, struct ist_err *err)
{
    struct ist_bus *bus = (struct ist_bus *) sub->bus;
    struct ist_bus_consumer *consumer = sub->consumer;
    struct ist_mem_broker *broker = mem_bus_broker(sub->bus);
    char name[IST_BUS_NAME_MAX + 1];
    struct mem_queue *queue;
    int rc;

    if (!ist_bus_expand(consumer->queue, ist_bus_generation(bus), name,
                        sizeof(name)))
        return ist_err_set(err, -EINVAL, "queue name too long");
    queue = queue_find(broker, name);
    if (consumer->bind_exchange) {
        rc = declare_exclusive(sub, broker, name, &queue, err);
        if (rc)
            return rc;
    }
    if (!queue)
        return ist_err_set(err, -ENOENT, "no queue %s", name);
    if (queue->owner && queue->owner != sub->bus)
        return ist_err_set(err, -EBUSY, "queue %s is locked", name);
    if (queue->args.stream != (consumer->offset != NULL) ||
        (queue->args.stream && !stream_position(sub, queue)))
        return ist_err_set(err, -EINVAL,
                           "queue %s: a stream wants offset, ack and prefetch",
                           name);
    sub->queue = queue;
    sub->priority = consumer->newest_first ? ++broker->n_subs : 0;
    sub->incarnation = ++broker->n_incarnations;
    sub->last_tag = 0;
    sub_insert(queue, sub);
    mem_pump(queue);
    return 0;
}

void mem_detach(struct mem_sub *sub)
{
    struct mem_queue *queue = sub->queue;
    struct mem_item *item;

    if (!queue)
        return;
    item = TAILQ_FIRST(&sub->unacked);
    if (queue->args.stream && item)
        sub->resume = item->seq + 1;
    sub->queue = NULL;
    sub->position = NULL;
    TAILQ_REMOVE(&queue->subs, sub, queue_link);
    while ((item = TAILQ_LAST(&sub->unacked, mem_items))) {
        TAILQ_REMOVE(&sub->unacked, item, sibling);
        if (queue->args.stream || queue->owner)
            mem_item_free(item);
        else
            requeue(queue, item);
    }
    sub->n_unacked = 0;
    if (queue->owner && TAILQ_EMPTY(&queue->subs))
        queue_free(queue);
    else
        mem_pump(queue);
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

/* The operator's side. */

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
    struct mem_exchange *exchange;
    struct mem_denial *denial;
    struct mem_queue *queue;

    if (!broker)
        return NULL;
    assert(TAILQ_EMPTY(&broker->buses));
    while ((queue = RB_MIN(mem_queues, &broker->queues)))
        queue_free(queue);
    while ((exchange = RB_MIN(mem_exchanges, &broker->exchanges))) {
        RB_REMOVE(mem_exchanges, &broker->exchanges, exchange);
        free(exchange->name);
        free(exchange);
    }
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

void ist_mem_exchange(struct ist_mem_broker *broker, const char *name,
                      const char *type)
{
    struct mem_exchange *exchange;

    if (exchange_find(broker, name))
        return;
    exchange = must(calloc(1, sizeof(*exchange)));
    exchange->name = must(strdup(name));
    exchange->type = strcmp(type, "topic") == 0    ? TOPIC
                     : strcmp(type, "fanout") == 0 ? FANOUT
                                                   : DIRECT;
    RB_INIT(&exchange->routes);
    RB_INSERT(mem_exchanges, &broker->exchanges, exchange);
}

void ist_mem_queue_with(struct ist_mem_broker *broker, const char *name,
                        const struct ist_mem_queue_args *args)
{
    if (!queue_find(broker, name))
        queue_new(broker, name, args);
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
    struct mem_queue *queue = queue_find(broker, name);
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
        queue_free(queue);
}

uint64_t ist_mem_queue_length(const struct ist_mem_broker *broker,
                              const char *name)
{
    const struct mem_queue *queue = queue_find(broker, name);

    return queue ? queue->n_ready : 0;
}

void ist_mem_bind(struct ist_mem_broker *broker, const char *queue_name,
                  const char *exchange_name, const char *key)
{
    struct mem_exchange *exchange = exchange_find(broker, exchange_name);
    struct mem_queue *queue = queue_find(broker, queue_name);

    assert(exchange && queue);
    binding_add(queue, exchange, key);
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
    denial = must(calloc(1, sizeof(*denial)));
    denial->user = must(strdup(user));
    denial->exchange = must(strdup(exchange));
    LIST_INSERT_HEAD(&broker->denials, denial, sibling);
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
    struct mem_queue *queue;
    struct mem_bus *bus;

    broker->is_down = true;
    for (bus = mem_bus_first(broker); bus; bus = mem_bus_next(bus))
        mem_bus_lost(bus, -ECONNRESET, "the broker died");
    RB_FOREACH(queue, mem_queues, &broker->queues)
    {
        queue_clear(queue, true);
    }
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
