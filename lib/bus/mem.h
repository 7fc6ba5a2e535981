/* The bus in process, for the simulation: a broker that keeps the promises of
 * RabbitMQ's, and breaks what RabbitMQ may break, by the planted random
 * source. Works on a virtual loop and on a real one. */
#ifndef BUS_MEM_H
#define BUS_MEM_H

#include "bus/bus.h"

struct ist_mem_broker;

/* Chances are in 1/65536 of a message; delays in loop milliseconds, uniform
 * between the two. */
struct ist_mem_faults {
    uint32_t lose, duplicate, nack, reorder;
    uint64_t delay_min_ms, delay_max_ms;
    uint64_t connect_min_ms, connect_max_ms;
};

struct ist_mem_broker *ist_mem_broker_new(struct ist_loop *);
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

/* The broker dies (all connections drop, transient messages are lost, durable
 * queues stay) and comes back after 'ms'. */
void ist_mem_broker_crash(struct ist_mem_broker *, uint64_t ms);

/* connection.blocked for everyone, or its end. */
void ist_mem_broker_block(struct ist_mem_broker *, bool on);

/* 'user' is what deliveries will show; permissions are not modelled. */
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
