/* A transaction of the feed at work, in the pool: shared by what opens the file
 * and what writes to it. */
#ifndef FEED_STORE_PRIV_H
#define FEED_STORE_PRIV_H

#include "feed/store.h"

struct feed_txn {
    struct feed_store *store;
    struct feed_write *base;
    MDB_txn *txn;
    struct ist_err *err;
    struct feed_head head, head_before;
    struct feed_mark mark, mark_before;
};

/* Head, and the mark of a kind (-1: none), as the transaction sees them. 0 or
 * a fault. */
int feed_txn_begin(struct feed_txn *, struct feed_write *, MDB_txn *, int kind,
                   struct ist_err *err);
/* Writes back what changed. */
int feed_txn_end(struct feed_txn *);

/* Numbers an entry and puts it into the outbox; what is too much there goes,
 * from its beginning. */
int feed_txn_emit(struct feed_txn *, Isthmus__V1__Event *, bool is_news);

/* Drops the entries before that number. */
int feed_txn_drop(struct feed_txn *, uint64_t before, uint64_t *ret_dropped);

#endif
