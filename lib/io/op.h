/* One asynchronous operation: the only thing in Isthmus that can be awaited.
 * The starter embeds an op in its own request, so starting never allocates:
 *
 *     struct os_list { struct ist_op op; ...arguments, results... };
 *
 *           begin             finish             'done' is called
 *     IDLE -------> RUNNING ----------> FINISHED ---------------> IDLE
 *                      |                   ^
 *                      +---> CANCELLING ---+     by ist_op_cancel(), or by the
 *                                                deadline: once, never twice
 *
 *  - Starting cannot fail. Early or late, every outcome arrives in 'done'.
 *  - 'done' runs exactly once, from the loop, never inside begin, finish or
 *    cancel. It may free the op, or prepare and start it again.
 *  - A deadline is absolute and inherited: no child outlives its parent.
 *  - Cancelling is a request, passed down to the children. The op still
 *    finishes, and keeps the reason it was cancelled for.
 *
 * All of it belongs to the loop's thread; nothing here locks. */
#ifndef IO_OP_H
#define IO_OP_H

#include "base/err.h"
#include "io/loop.h"

struct ist_op;
typedef void ist_op_done_fn(struct ist_op *);
typedef void ist_op_cancel_fn(struct ist_op *);

enum ist_op_state {
    IST_OP_IDLE,
    IST_OP_RUNNING,
    IST_OP_CANCELLING,
    IST_OP_FINISHED,
};

struct ist_op {
    /* Set by ist_op_prepare(). */
    struct ist_loop *loop; /* Borrowed. */
    struct ist_op *parent; /* Borrowed; NULL at the root. */
    ist_op_done_fn *done;
    uint64_t deadline; /* Loop milliseconds; UINT64_MAX for never. */

    /* Valid in 'done'. */
    int rc;             /* 0, -errno (fault) or > 0 (outcome). */
    struct ist_err err; /* Meaningful when rc != 0. */

    /* Private to io/op.c. */
    enum ist_op_state state;
    int reason; /* Of the cancel. */
    ist_op_cancel_fn *cancel;
    struct ist_timer timer;
    LIST_HEAD(ist_op_children, ist_op) children;
    LIST_ENTRY(ist_op) sibling;
    STAILQ_ENTRY(ist_op) finished;
};

/* For whoever starts an op. 'timeout_ms' counts from now and is cut to the
 * parent's deadline; 0 means "as long as the parent". */
void ist_op_prepare(struct ist_op *, struct ist_loop *, struct ist_op *parent,
                    uint64_t timeout_ms, ist_op_done_fn *);

/* 'reason' is a negative errno. Harmless on an op that is not running. */
void ist_op_cancel(struct ist_op *, int reason);

/* Begun and not yet finished? */
bool ist_op_active(const struct ist_op *);

/* For whoever carries it out. A 'cancel' must lead to ist_op_finish(), at
 * once or later; NULL if the children finishing is all there is to wait for,
 * or nothing. An op whose deadline has passed already is cancelled in the
 * next turn of the loop. */
void ist_op_begin(struct ist_op *, ist_op_cancel_fn *);

/* All children must have finished. While CANCELLING, 'rc' gives way to the
 * reason, and 'err' is filled if it was not. */
void ist_op_finish(struct ist_op *, int rc);

/* Fills op->err with a sentence, then finishes. */
void ist_op_fail(struct ist_op *, int rc, const char *fmt, ...)
    IST_PRINTF(3, 4);

#endif
