/* What the files of the twin's broker share: mem_exchange.c finds the queues
 * for a key, mem_queue.c keeps messages and hands them out, mem_attach.c has
 * consumers come and go, mem_broker.c is the operator's side. mem_blob.c is
 * what lies in the queues. */
#ifndef BUS_MEM_QUEUE_H
#define BUS_MEM_QUEUE_H

#include "bus/mem_priv.h"

/* ---- mem_blob.c */

/* Takes a reference of its own. */
struct mem_item *mem_item_new(struct mem_blob *, uint64_t seq);

/* ---- mem_exchange.c */

/* NULL: there is none. */
struct mem_exchange *mem_exchange_find(const struct ist_mem_broker *,
                                       const char *name);
/* As a consumer makes it: topic, and gone when the broker dies. */
struct mem_exchange *mem_exchange_declare(struct ist_mem_broker *,
                                          const char *name);
/* Those that do not outlive the broker. */
void mem_exchange_crash_all(struct ist_mem_broker *);
/* No queue may be left. */
void mem_exchange_free_all(struct ist_mem_broker *);

void mem_binding_add(struct mem_queue *, struct mem_exchange *,
                     const char *key);
void mem_binding_free(struct mem_binding *);

/* ---- mem_queue.c */

/* NULL: there is none. */
struct mem_queue *mem_queue_find(const struct ist_mem_broker *,
                                 const char *name);
struct mem_queue *mem_queue_new(struct ist_mem_broker *, const char *name,
                                const struct ist_mem_queue_args *);
/* Nobody may be attached. */
void mem_queue_free(struct mem_queue *);
void mem_queue_free_all(struct ist_mem_broker *);
/* Only what is persistent survives. */
void mem_queue_crash_all(struct ist_mem_broker *);

/* 0 or IST_BUS_FULL. */
int mem_enqueue(struct mem_queue *, struct mem_blob *);
/* Given back: to its old place, so that order holds. */
void mem_requeue(struct mem_queue *, struct mem_item *);
/* Kept sorted: the highest priority first, then who waits longest. */
void mem_sub_insert(struct mem_queue *, struct mem_sub *);

#endif
