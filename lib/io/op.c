#include "io/op.h"

#include "base/mutant.h"
#include "io/loop_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void ist_op_prepare(struct ist_op *op, struct ist_loop *loop,
                    struct ist_op *parent, uint64_t timeout_ms,
                    ist_op_done_fn *done)
{
    uint64_t now = ist_loop_now(loop), limit = UINT64_MAX;

    *op = (struct ist_op){.loop = loop, .parent = parent, .done = done};
    LIST_INIT(&op->children);
    if (parent)
        limit = parent->deadline;
    op->deadline = timeout_ms == 0 || timeout_ms > UINT64_MAX - now
                       ? limit
                       : now + timeout_ms;
    if (op->deadline > limit)
        op->deadline = limit;
}

static void on_deadline(struct ist_timer *timer)
{
    ist_op_cancel(IST_CONTAINER(timer, struct ist_op, timer), -ETIMEDOUT);
}

void ist_op_begin(struct ist_op *op, ist_op_cancel_fn *cancel)
{
    assert(op->state == IST_OP_IDLE);
    op->state = IST_OP_RUNNING;
    op->cancel = cancel;
    op->rc = op->reason = 0;
    if (op->parent) {
        assert(ist_op_active(op->parent));
        LIST_INSERT_HEAD(&op->parent->children, op, sibling);
    }
    if (IST_MUTANT("deadline") && op->parent)
        return;
    if (op->deadline != UINT64_MAX)
        ist_timer_arm(&op->timer, op->loop, op->deadline, on_deadline);
}

bool ist_op_active(const struct ist_op *op)
{
    return op->state == IST_OP_RUNNING || op->state == IST_OP_CANCELLING;
}

void ist_op_cancel(struct ist_op *op, int reason)
{
    struct ist_op *child, *next;

    if (op->state != IST_OP_RUNNING)
        return;
    op->state = IST_OP_CANCELLING;
    op->reason = reason;
    ist_timer_disarm(&op->timer);
    LIST_FOREACH_SAFE(child, &op->children, sibling, next)
    {
        ist_op_cancel(child, reason);
    }
    if (op->cancel)
        op->cancel(op);
    else if (LIST_EMPTY(&op->children))
        ist_op_finish(op, reason);
}

void ist_op_finish(struct ist_op *op, int rc)
{
    assert(ist_op_active(op));
    assert(LIST_EMPTY(&op->children));
    if (op->state == IST_OP_CANCELLING)
        rc = op->reason;
    op->rc = rc;
    if (rc && op->err.code != rc)
        ist_err_set(&op->err, rc, "%s",
                    rc == -ETIMEDOUT   ? "no answer in time"
                    : rc == -ECANCELED ? "cancelled"
                                       : ist_err_name(rc));
    op->state = IST_OP_FINISHED;
    ist_timer_disarm(&op->timer);
    STAILQ_INSERT_TAIL(&op->loop->finished, op, finished);
    ist_loop_defer(op->loop);
}

void ist_op_fail(struct ist_op *op, int rc, const char *fmt, ...)
{
    char text[sizeof(op->err.text)];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    ist_err_set(&op->err, rc, "%s", text);
    ist_op_finish(op, rc);
}

void ist_op_drain(struct ist_loop *loop)
{
    struct ist_finished batch = STAILQ_HEAD_INITIALIZER(batch);
    struct ist_op *op;

    /* Ops finished by these callbacks wait for the next turn. */
    STAILQ_CONCAT(&batch, &loop->finished);
    while ((op = STAILQ_FIRST(&batch))) {
        STAILQ_REMOVE_HEAD(&batch, finished);
        op->state = IST_OP_IDLE;
        /* The child stays in its parent's list until here, so that a parent
         * cannot finish before its children's 'done' has run. */
        if (op->parent)
            LIST_REMOVE(op, sibling);
        op->done(op);
    }
}
