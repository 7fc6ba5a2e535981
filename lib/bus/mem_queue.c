/* What lies in a queue, and handing it out to who has room. */
#include "bus/mem_queue.h"

#include "base/rand.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* One in so many messages of a stream leaves a gap in its offsets. */
#define STREAM_GAP 64

static int queue_cmp(struct mem_queue *a, struct mem_queue *b)
{
    return strcmp(a->name, b->name);
}

RB_GENERATE_INTERNAL(mem_queues, mem_queue, node, queue_cmp, IST_UNUSED_STATIC)

/* Messages in queues. */

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
                                      .headers = blob->headers,
                                      .n_headers = blob->n_headers,
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

void mem_requeue(struct mem_queue *queue, struct mem_item *item)
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

int mem_enqueue(struct mem_queue *queue, struct mem_blob *blob)
{
    struct ist_mem_broker *broker = queue->broker;
    uint64_t now = ist_loop_now(broker->loop);
    uint64_t ttl = queue->args.ttl_ms;
    struct mem_item *item;

    if (queue->args.stream) {
        stream_append(queue, mem_item_new(blob, 0));
        mem_pump(queue);
        return 0;
    }
    drop_expired(queue);
    if (queue->args.max_length && queue->n_ready >= queue->args.max_length)
        return IST_BUS_FULL;
    item = mem_item_new(blob, ++broker->n_items);
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

void mem_sub_insert(struct mem_queue *queue, struct mem_sub *sub)
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
                mem_sub_insert(queue, sub);
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
            give(sub, mem_item_new(at->blob, at->seq));
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

/* Queues. */

struct mem_queue *mem_queue_find(const struct ist_mem_broker *broker,
                                 const char *name)
{
    struct mem_queue key = {.name = (char *) (uintptr_t) name};

    return RB_FIND(mem_queues,
                   (struct mem_queues *) (uintptr_t) &broker->queues, &key);
}

struct mem_queue *mem_queue_new(struct ist_mem_broker *broker, const char *name,
                                const struct ist_mem_queue_args *args)
{
    struct mem_queue *queue = mem_must(calloc(1, sizeof(*queue)));

    queue->name = mem_must(strdup(name));
    queue->broker = broker;
    queue->args = *args;
    if (args->dead_exchange)
        queue->dead_exchange = mem_must(strdup(args->dead_exchange));
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

void mem_queue_free(struct mem_queue *queue)
{
    struct mem_binding *binding;

    assert(TAILQ_EMPTY(&queue->subs));
    queue_clear(queue, false);
    while ((binding = LIST_FIRST(&queue->bindings)))
        mem_binding_free(binding);
    ist_timer_disarm(&queue->expiry);
    RB_REMOVE(mem_queues, &queue->broker->queues, queue);
    free(queue->dead_exchange);
    free(queue->name);
    free(queue);
}

void mem_queue_free_all(struct ist_mem_broker *broker)
{
    struct mem_queue *queue;

    while ((queue = RB_MIN(mem_queues, &broker->queues)))
        mem_queue_free(queue);
}

void mem_queue_crash_all(struct ist_mem_broker *broker)
{
    struct mem_queue *queue;

    RB_FOREACH(queue, mem_queues, &broker->queues)
    {
        queue_clear(queue, true);
    }
}
