/* Consumers come to a queue, and go. */
#include "bus/mem_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int declare_exclusive(struct mem_sub *sub, struct ist_mem_broker *broker,
                             const char *name, struct mem_queue **ret,
                             struct ist_err *err)
{
    struct ist_bus_consumer *consumer = sub->consumer;
    struct ist_mem_queue_args args = {.ttl_ms = consumer->ttl_ms,
                                      .max_length = consumer->max_length};
    struct mem_exchange *exchange =
        mem_exchange_find(broker, consumer->bind_exchange);
    uint64_t n = ist_bus_generation((struct ist_bus *) sub->bus);
    char key[IST_BUS_NAME_MAX + 1], also[IST_BUS_NAME_MAX + 1];

    if (!exchange && consumer->declare_exchange)
        exchange = mem_exchange_declare(broker, consumer->bind_exchange);
    if (!exchange)
        return ist_err_set(err, -ENOENT, "no exchange %s",
                           consumer->bind_exchange);
    if (!ist_bus_expand(consumer->bind_key, n, key, sizeof(key)) ||
        (consumer->bind_also &&
         !ist_bus_expand(consumer->bind_also, n, also, sizeof(also))))
        return ist_err_set(err, -EINVAL, "binding key too long");
    if (*ret && (*ret)->owner != sub->bus)
        return ist_err_set(err, -EBUSY, "queue %s is locked", name);
    if (!*ret)
        *ret = mem_queue_new(broker, name, &args);
    (*ret)->owner = sub->bus;
    mem_binding_add(*ret, exchange, key);
    if (consumer->bind_also)
        mem_binding_add(*ret, exchange, also);
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
    queue = mem_queue_find(broker, name);
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
    mem_sub_insert(queue, sub);
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
            mem_requeue(queue, item);
    }
    sub->n_unacked = 0;
    if (queue->owner && TAILQ_EMPTY(&queue->subs))
        mem_queue_free(queue);
    else
        mem_pump(queue);
}
