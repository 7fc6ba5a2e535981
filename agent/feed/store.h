/* What the feed must not forget, in one LMDB file:
 *
 *   feed.rows  kind 0 id        -> hash and facts of the row (row.h)
 *   feed.out   number           -> an entry not yet confirmed, packed
 *   feed.meta  "head"           -> struct feed_head
 *              "kind " name     -> struct feed_mark
 *
 * A change is one transaction: the row, its numbers and its entry. It is made
 * in the pool, where what was seen is compared with what is known; the loop
 * keeps a copy of head and marks, as of the last commit that it heard of. */
#ifndef FEED_STORE_H
#define FEED_STORE_H

#include "base/sb.h"
#include "model/kind.h"
#include "os/cloud.h"
#include "os/rows.h"
#include "store/tree.h"

#include "isthmus/v1/event.pb-c.h"

#define FEED_KINDS_MAX 64

struct feed_head {
    uint64_t layout; /* Of this file; another one is not read. */
    uint64_t epoch, next_sequence;
    uint64_t first, next; /* Numbers in the outbox. */
    uint64_t bytes;       /* Of what is in it. */
    uint64_t is_clean;    /* Closed in good order, with all on disk. */
    char boot[40];        /* Of the machine, when it was opened. */
};

enum feed_flags {
    FEED_STATED = 1, /* Once stated whole: what is new is news. */
    FEED_OPEN = 2,   /* Between BEGIN and END. */
};

struct feed_mark {
    uint64_t position, flags;
    uint64_t read_ms; /* Wall time when the last whole reading began. */
};

/* What a transaction did. */
struct feed_tally {
    uint64_t upserts, deletes, news, dropped;
    uint64_t too_large; /* Rows left out: no message can carry them. */
};

struct feed_kind_row {
    const struct ist_kind *kind;
    const struct os_resource *resource;
};

struct feed_store {
    struct ist_loop *loop;
    struct ist_tree *tree; /* Owned. */
    MDB_dbi rows, out, meta;
    uint64_t outbox_max;
    struct feed_head head;
    struct feed_mark marks[FEED_KINDS_MAX]; /* By place in ist_kinds(). */
    bool is_new;                            /* Opened with a new epoch. */
    struct ist_write last;
    void (*closed)(void *);
    void *closed_arg;
};

/* Blocks, shortly. A damaged file is put aside and begun anew. 0, or a fault
 * with 'err'. */
int feed_store_open(struct feed_store *, struct ist_loop *, const char *path,
                    uint64_t outbox_max, struct ist_err *err);
/* No write may be under way. 'closed' comes from the loop. */
void feed_store_close(struct feed_store *, void (*closed)(void *), void *arg);

/* --- Writing --- */

struct feed_write;
typedef void feed_written_fn(struct feed_write *);

/* Part of each write below. 'done' is called once it is committed, or not: rc
 * and err are those of write.op; what is borrowed was until then. */
struct feed_write {
    struct feed_store *store;
    feed_written_fn *done;
    struct ist_write write;

    /* Results. */
    int kind; /* Place of the kind whose mark changed, or -1. */
    struct feed_head head;
    struct feed_mark mark;
    struct feed_tally tally;
};

/* Rows of a kind that were seen, and those that were not: a page of a reading,
 * or a single row. What differs from what is known becomes an entry. */
struct feed_page {
    struct feed_write base;
    size_t kind; /* Place in ist_kinds(). */
    uint64_t wall_ms;

    /* Where it was looked: behind 'after' (with it, if 'from'), up to 'upto';
     * NULL: to the end. */
    const char *after, *upto;
    bool from;
    const struct os_record *records; /* In ascending order of ids. */
    size_t n_records;
    const char *const *skip; /* Ids to leave alone. */
    size_t n_skip;

    bool whole;   /* What is not among the records is not there. */
    bool begin;   /* First of a statement: BEGIN goes before. */
    bool restate; /* Part of a statement: rows that did not change too. */
    bool end;     /* Last of a reading; of a statement: END goes after. */
    bool forget;  /* Afterwards the kind counts as never stated. */
    uint64_t read_ms;
};
void feed_store_page(struct feed_store *, struct feed_page *,
                     feed_written_fn *done);

/* An entry that is no change. The event is borrowed until done, and numbered
 * here. */
struct feed_said {
    struct feed_write base;
    Isthmus__V1__Event event;
};
void feed_store_say(struct feed_store *, struct feed_said *,
                    feed_written_fn *done);

/* Entries up to that number have arrived. */
struct feed_confirm {
    struct feed_write base;
    uint64_t upto;
};
void feed_store_confirm(struct feed_store *, struct feed_confirm *,
                        feed_written_fn *done);

/* --- Reading --- */

/* Appends a packed isthmus.v1.Events to 'out': entries behind that number, as
 * many as go in; and that 'oldest' is not confirmed. '*ret_last' is the last
 * one's number, '*ret_n' how many; 0 when there is none. 0 or a fault. */
int feed_store_batch(struct feed_store *, uint64_t after, uint64_t oldest,
                     size_t entries_max, size_t bytes_max, struct ist_sb *out,
                     uint64_t *ret_last, size_t *ret_n, struct ist_err *err);

#endif
