/* The durable seen-set: what had a lasting effect is never done twice.
 *
 * A message with effects is recorded here before it is acknowledged and before
 * anything is done: its sender, message id, op id, the hash of what it asks.
 * One SQLite database (WAL, flushed at every commit); records that arrive
 * while one commit is under way share the next.
 *
 * Time never goes back here: it is the larger of the wall clock and the
 * highest time ever stored. A row goes when expires + 2 * skew is over by that
 * time; and what expired before is refused as late by the same time. So
 * neither a restart nor a clock that was set back opens the window again. (A
 * clock that ran far ahead closes it too early: ist_seen_ahead_ms().)
 *
 * It remembers an op for as long as its messages live, not for ever: results
 * that are to be given again later belong into a journal. */
#ifndef STORE_SEEN_H
#define STORE_SEEN_H

#include "base/id.h"
#include "io/op.h"

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ist_seen;

/* Outcomes of a record; 0: new, and on disk. */
enum ist_seen_outcome {
    IST_SEEN_AGAIN = 1, /* That message, or that op with the same hash. */
    IST_SEEN_CONFLICT,  /* That message or op id, with another hash. */
    IST_SEEN_LATE,      /* expires + skew is over. */
    IST_SEEN_FULL,      /* At the cap, none to drop: refused, not recorded. */
};

#define IST_SEEN_RAW_MAX (2 * 1024 * 1024) /* -EMSGSIZE above. */

struct ist_seen_conf {
    const char *path;  /* Of the database; made with mode 0600. */
    uint64_t skew_ms;  /* 30000 by default, at most 120000. */
    uint64_t rows_max; /* FULL above; 100000 if 0. */
};

/* A request. The caller prepares 'op' and fills the rest; 'raw' is borrowed
 * until 'done'. One cancelled in mid-write finishes with the reason, though it
 * may be on disk. */
struct ist_seen_record {
    struct ist_op op; /* rc: 0, an outcome, or a fault. */

    struct ist_id sender, message, op_id;
    uint8_t hash[32];
    uint64_t expires_ms;
    const void *raw; /* Kept with the row, or NULL. */
    size_t raw_size;

    /* Valid in 'done' with AGAIN or CONFLICT: what was first. */
    struct ist_id first_message;

    /* Private to this room. */
    struct ist_seen *seen;
    int outcome;
    bool queued;
    STAILQ_ENTRY(ist_seen_record) link;
};

/* Opens or makes it; blocks. NULL with 'err' filled: in use by another
 * process, damaged, of a newer version, or readable by others. */
struct ist_seen *ist_seen_open(struct ist_loop *, const struct ist_seen_conf *,
                               struct ist_err *err);

/* All records must have finished. NULL is fine. */
struct ist_seen *ist_seen_free(struct ist_seen *);

void ist_seen_record(struct ist_seen *, struct ist_seen_record *);

/* Wall time that never goes back: for ist_open(). */
uint64_t ist_seen_now(struct ist_seen *);

/* By how much stored time was ahead of the wall clock at opening. More than
 * the skew means that a clock is or was wrong, and that fresh messages are
 * refused as late until it has been caught up: worth a warning. */
uint64_t ist_seen_ahead_ms(const struct ist_seen *);

uint64_t ist_seen_rows(const struct ist_seen *);

/* Visits the rows that have 'raw', oldest expiry first; blocks: for the start,
 * before the first record. Stops when 'fn' returns non-zero, returns that. */
typedef int ist_seen_row_fn(void *arg, const struct ist_seen_record *);
int ist_seen_each(struct ist_seen *, ist_seen_row_fn *, void *arg);

#endif
