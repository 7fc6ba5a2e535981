/* Ordered maps in one file, for what is read far more often than written: the
 * hub's view, its log of events, its alarms. LMDB, whose names are used as they
 * are (lmdb.h); here is what is the same for all: opening, the one writer, and
 * errors in words.
 *
 * Readers (the loop's thread) see one snapshot and wait for nobody: begin with
 * ist_tree_read(), end with mdb_txn_abort() within the same callback, for a
 * reader that stays open keeps old pages from being used again. What a cursor
 * gives is mapped memory, good until then.
 *
 * Writers hand in an ist_write. Those that come while a transaction is under
 * way share the next one, in the thread pool: many small writes cost one
 * flush. After a crash of the process or of the machine the file is as some
 * transaction left it, and lacks at most the last one before a crash of the
 * machine. */
#ifndef STORE_TREE_H
#define STORE_TREE_H

#include "io/pool.h"

#include <bsd/sys/queue.h>
#include <lmdb.h>

struct ist_tree;

struct ist_tree_conf {
    const char *path;  /* Of the file; made with mode 0600. */
    uint64_t size_max; /* Bytes in use; at it writes end with -ENOSPC, but
                        * those that make room. The file may be larger by a
                        * sixteenth and 4 MiB, kept for them. Address space is
                        * taken at once, disk as needed. */
    unsigned maps_max; /* Named maps. */
};

/* Opens or makes it; blocks, shortly. NULL with 'err' filled: in use by another
 * process, damaged, or readable by others. */
struct ist_tree *ist_tree_open(struct ist_loop *, const struct ist_tree_conf *,
                               struct ist_err *err);
/* No write may be under way, no reader open. NULL is fine; returns NULL. */
struct ist_tree *ist_tree_free(struct ist_tree *);

/* Borrowed. */
struct ist_loop *ist_tree_loop(const struct ist_tree *);

/* Opens or makes a named map; for the start, blocks. 'flags' as for
 * mdb_dbi_open(). 0, or a fault. */
int ist_tree_map(struct ist_tree *, const char *name, unsigned flags,
                 MDB_dbi *ret, struct ist_err *err);

/* A transaction that writes, on the caller's own thread: for the start, before
 * the first ist_tree_write(). 0, or a fault. */
int ist_tree_begin(struct ist_tree *, MDB_txn **ret, struct ist_err *err);

/* A snapshot, for reading only. 0, or a fault. */
int ist_tree_read(struct ist_tree *, MDB_txn **ret, struct ist_err *err);

/* One part of a transaction. 'apply' runs in the pool: it may touch the
 * transaction, the request, and what nobody else touches meanwhile. It returns
 * 0, or a fault with 'err' filled, which undoes and fails all that share the
 * transaction: so whatever is only this request's own trouble is to be found
 * out before, or counted in the request. */
struct ist_write;
typedef int ist_write_fn(struct ist_write *, MDB_txn *, struct ist_err *err);

struct ist_write {
    struct ist_op op; /* Prepared by the caller. Done: committed, or failed. A
                       * cancelled one that has begun may be committed. */
    ist_write_fn *apply;

    /* Private to tree.c. */
    struct ist_tree *tree;
    bool queued, makes_room;
    STAILQ_ENTRY(ist_write) link;
};

/* In the order of the calls. */
void ist_tree_write(struct ist_tree *, struct ist_write *, ist_write_fn *apply);
/* The same for one that deletes: it goes through at the cap too, for deleting
 * takes some room before it gives any. Never shares a transaction with others.
 */
void ist_tree_make_room(struct ist_tree *, struct ist_write *,
                        ist_write_fn *apply);

/* What LMDB said, as a fault with a sentence that begins with 'what'. 0 for 0.
 * MDB_NOTFOUND is -ENOENT, MDB_MAP_FULL is -ENOSPC, damage is -EUCLEAN. */
int ist_tree_fault(int mdb_rc, const char *what, struct ist_err *err);

/* Of the file: bytes in use, and the cap. For metrics and for trimming; costs a
 * walk over what is free, so nothing for each request. */
void ist_tree_room(struct ist_tree *, uint64_t *ret_used, uint64_t *ret_max);

#endif
