/* The bus in process, for the simulation: a broker that keeps the promises of
 * RabbitMQ's, and breaks what RabbitMQ may break, by the planted random
 * source. Works on a virtual loop and on a real one. */
#ifndef BUS_MEM_H
#define BUS_MEM_H

#include "bus/bus.h"

struct ist_mem_broker;

/* Chances are in 1/65536 of a message; delays in loop milliseconds, uniform
 * between the two, for each way of each message. Without 'reorder' one
 * connection's messages keep their order, as TCP keeps it. */
struct ist_mem_faults {
    uint32_t lose;      /* It vanishes, or its confirm does: -ETIMEDOUT. */
    uint32_t duplicate; /* It is routed twice. */
    uint32_t nack;      /* The broker refuses it: IST_BUS_FULL. */
    uint32_t reorder;   /* Later ones overtake it. */
    uint64_t delay_min_ms, delay_max_ms;
    uint64_t connect_min_ms, connect_max_ms;
};

/* NULL when memory is out; so for ist_mem_new(). Elsewhere the twin, being for
 * tests, ends the program then. */
struct ist_mem_broker *ist_mem_broker_new(struct ist_loop *);
/* All of its buses must have been freed. NULL is fine; returns NULL. */
struct ist_mem_broker *ist_mem_broker_free(struct ist_mem_broker *);
void ist_mem_broker_faults(struct ist_mem_broker *,
                           const struct ist_mem_faults *);

/* Standing objects, as definitions.json makes them on a real one. 'type' is
 * "topic", "direct" or "fanout"; ttl 0 and max 0: none. */
void ist_mem_exchange(struct ist_mem_broker *, const char *name,
                      const char *type);
void ist_mem_queue(struct ist_mem_broker *, const char *name, uint64_t ttl_ms,
                   uint64_t max_length);
void ist_mem_bind(struct ist_mem_broker *, const char *queue,
                  const char *exchange, const char *key);

/* The rest of what a queue can be. A stream keeps its messages, is read by
 * offset with ack and prefetch, and its offsets have gaps. */
struct ist_mem_queue_args {
    uint64_t ttl_ms, max_length; /* 0: none. A stream drops its oldest. */
    uint64_t delivery_limit;     /* Given back more often: dead. 0: none. */
    const char *dead_exchange;   /* For expired and dead ones, or NULL. */
    bool single_active;          /* One consumer at a time, oldest first. */
    bool stream;
};
void ist_mem_queue_with(struct ist_mem_broker *, const char *name,
                        const struct ist_mem_queue_args *);

/* Deletes a queue with all in it; its consumers are cancelled and try again
 * until there is one. */
void ist_mem_queue_delete(struct ist_mem_broker *, const char *name);

/* Messages ready in a queue; 0 when there is none. For tests. */
uint64_t ist_mem_queue_length(const struct ist_mem_broker *, const char *name);

/* A publish of 'user' to that exchange is IST_BUS_DENIED from now on, or no
 * longer; what else it has in flight there fails with it, as a 403 does. */
void ist_mem_deny(struct ist_mem_broker *, const char *user,
                  const char *exchange, bool on);

/* The broker dies (all connections drop, transient messages are lost, durable
 * queues stay) and comes back after 'ms'. */
void ist_mem_broker_crash(struct ist_mem_broker *, uint64_t ms);

/* connection.blocked for everyone, or its end. */
void ist_mem_broker_block(struct ist_mem_broker *, bool on);

/* 'user' is what deliveries will show. */
struct ist_bus *ist_mem_new(struct ist_mem_broker *, const char *user,
                            const struct ist_bus_events *, void *owner);

/* Cuts this one connection, as a broken link does; back after 'ms'. */
void ist_mem_cut(struct ist_bus *, uint64_t ms);

/* Everything published passes here first, as a hostile broker sees it. */
typedef void ist_mem_tap_fn(void *arg, const struct ist_bus_message *);
void ist_mem_broker_tap(struct ist_mem_broker *, ist_mem_tap_fn *, void *arg);

/* Puts a message in as the broker itself could: any user, any exchange. */
void ist_mem_inject(struct ist_mem_broker *, const struct ist_bus_message *);

#endif
