/* The two halves of the twin: the broker (mem_queue.h) keeps exchanges, queues
 * and what lies in them; a client's end (mem_client.h) has the faulty way in
 * between. */
#ifndef BUS_MEM_PRIV_H
#define BUS_MEM_PRIV_H

#include "bus/bus_priv.h"
#include "bus/mem.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <stdlib.h>

struct mem_bus;

/* The twin serves tests: out of memory is the end of them. */
static inline void *mem_must(void *p)
{
    if (!p)
        abort();
    return p;
}

/* What was published; shared by all queues it went to. */
struct mem_blob {
    unsigned n_refs;
    bool persistent;
    uint64_t correlation, expiration_ms;
    const char *exchange, *key, *type, *user; /* In 'bytes'. */
    struct ist_bus_header headers[IST_BUS_HEADERS_MAX];
    size_t n_headers;
    const void *body;
    size_t size;
    char bytes[];
};

/* One message in one queue: ready, or taken by a subscriber. */
struct mem_item {
    struct mem_blob *blob; /* One reference. */
    uint64_t seq;          /* In a stream: its offset. Order in the queue. */
    uint64_t expires;      /* Loop milliseconds; UINT64_MAX: never. */
    uint64_t n_redelivered;
    uint64_t tag; /* While unacked. */
    TAILQ_ENTRY(mem_item) sibling;
};
TAILQ_HEAD(mem_items, mem_item);

/* A queue's consumer, attached by a living connection. */
struct mem_sub {
    struct ist_bus_consumer *consumer; /* Borrowed. */
    struct mem_bus *bus;
    struct mem_queue *queue; /* NULL: not attached. */
    uint64_t priority, incarnation;
    struct mem_items unacked; /* By tag, rising; taken from the queue. */
    uint64_t n_unacked, last_tag;
    struct mem_item *position; /* In a stream: next to give; NULL: the end. */
    uint64_t resume;           /* In a stream: where to go on, + 1; 0: none. */
    uint64_t n_refused;        /* In a row. */
    struct ist_timer retry;
    TAILQ_ENTRY(mem_sub) queue_link;
    TAILQ_ENTRY(mem_sub) bus_link;
};
TAILQ_HEAD(mem_subs, mem_sub);

struct mem_binding {
    struct mem_queue *queue;
    struct mem_exchange *exchange;
    struct mem_route *route; /* NULL: among the patterns. */
    char *key;
    LIST_ENTRY(mem_binding) queue_link;
    LIST_ENTRY(mem_binding) route_link;
};
LIST_HEAD(mem_bindings, mem_binding);

struct mem_queue {
    char *name;
    struct ist_mem_broker *broker;
    struct ist_mem_queue_args args;
    char *dead_exchange;
    struct mem_bus *owner; /* Exclusive to it; NULL: durable. */
    struct mem_items ready;
    uint64_t n_ready, next_offset;
    uint64_t routed;      /* Number of the last message put in: each once. */
    struct mem_subs subs; /* Highest priority first. */
    struct mem_bindings bindings;
    struct ist_timer expiry;
    RB_ENTRY(mem_queue) node;
};
RB_HEAD(mem_queues, mem_queue);
RB_HEAD(mem_exchanges, mem_exchange);

struct mem_denial {
    char *user, *exchange;
    LIST_ENTRY(mem_denial) sibling;
};

struct ist_mem_broker {
    struct ist_loop *loop;
    struct ist_mem_faults faults;
    struct mem_exchanges exchanges;
    struct mem_queues queues;
    TAILQ_HEAD(mem_bus_list, mem_bus) buses;
    LIST_HEAD(, mem_denial) denials;
    ist_mem_tap_fn *tap;
    void *tap_arg;
    uint64_t n_routed, n_items, n_subs, n_incarnations;
    bool is_down, is_blocked;
    struct ist_timer back;
};

struct mem_blob *mem_blob_new(const struct ist_bus_message *, const char *user);
struct mem_blob *mem_blob_ref(struct mem_blob *);
struct mem_blob *mem_blob_unref(struct mem_blob *);
struct mem_item *mem_item_free(struct mem_item *);

/* Puts the blob where it belongs: 0, IST_BUS_UNROUTABLE, IST_BUS_FULL, or
 * -ENOENT when there is no such exchange. */
int mem_route(struct ist_mem_broker *, struct mem_blob *);
bool mem_denied(const struct ist_mem_broker *, const char *user,
                const char *exchange);

/* Joins the sub to its queue, declaring the queue if the consumer says so. 0,
 * or -errno with 'err' filled. */
int mem_attach(struct mem_sub *, struct ist_err *err);
/* Gives back what was not acked; an exclusive queue goes. */
void mem_detach(struct mem_sub *);
/* Hands out what the queue's subscribers have room for. */
void mem_pump(struct mem_queue *);
/* The item with that tag leaves the sub. False: no such tag. */
bool mem_settle(struct mem_sub *, uint64_t tag);

/* The client's end: starts an item's way to its consumer. 'item' is the sub's,
 * or, without acks, the callee's. */
void mem_deliver(struct mem_sub *, struct mem_item *, uint64_t tag);
/* The client's end: the broker cancels the consumer; it will try again. */
void mem_sub_cancelled(struct mem_sub *);
struct ist_mem_broker *mem_bus_broker(const struct mem_bus *);
struct mem_bus *mem_bus_first(struct ist_mem_broker *);
struct mem_bus *mem_bus_next(struct mem_bus *);
void mem_bus_lost(struct mem_bus *, int rc, const char *why);
void mem_bus_connect(struct mem_bus *, uint64_t after_ms);
void mem_bus_blocked(struct mem_bus *);

#endif
