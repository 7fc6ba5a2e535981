/* The best so many of any number of records, in total order, within a cap of
 * memory: a heap whose root is the worst that is kept. */
#ifndef OS_TOP_H
#define OS_TOP_H

#include "model/order.h"
#include "os/cloud.h"

struct os_top {
    struct ist_order order;
    size_t limit; /* Records kept at most. */
    size_t memory;
    size_t n, bytes;
    struct os_record *records; /* Owned, with their blocks. */
    bool in_order; /* Set by the caller: they come in order, so the first ones
                    * are the best, and there is nothing to be sorted. */
    bool sorted;
};

/* -ENOMEM. 'limit' is at least 1. */
int os_top_init(struct os_top *, const struct ist_order *, size_t limit,
                size_t memory);
void os_top_fini(struct os_top *);
void os_top_clear(struct os_top *);

/* Would it be kept now?  Cheap: to be asked before a record is copied. */
bool os_top_wants(const struct os_top *, const struct ist_place *);

/* Copies it, dropping the worst if there is no room. 'place->id' is the id.
 * -ENOBUFS over the memory, where nothing changes; -ENOMEM. */
int os_top_add(struct os_top *, const struct ist_place *,
               const struct ist_bytes *body);

/* Sorts, and drops what is there twice; nothing can be added after it. */
void os_top_sort(struct os_top *);

/* A copy in a block of its own, freed by os_record_free(). False when memory
 * is out. */
bool os_record_make(struct os_record *, size_t n_keys, const struct ist_place *,
                    const struct ist_bytes *body);
void os_record_free(struct os_record *);

#endif
