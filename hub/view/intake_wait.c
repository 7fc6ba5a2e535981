/* Waiting until the view has come as far as a site is: its position is asked
 * for, then awaited. */
#include "view/intake_priv.h"

#include <errno.h>
#include <string.h>

/* Until its 'done' was called, the call is a child of the wait. */
static bool is_asking(const struct intake_wait *wait)
{
    return wait->call.op.state != IST_OP_IDLE;
}

static void end_wait(struct intake_wait *wait, int rc)
{
    LIST_REMOVE(wait, sibling);
    ist_arena_fini(&wait->arena);
    ist_op_finish(&wait->op, rc);
}

/* A feed that has begun anew since is newer than what is waited for. */
static bool has_come(const struct intake_wait *wait,
                     const struct intake_site *at)
{
    const struct numbers_kind *mine =
        &at->numbers.kinds[view_kind_number(wait->intake->view, wait->kind)];

    if (!mine->known || mine->lacking)
        return false;
    return at->numbers.epoch > wait->epoch ||
           (at->numbers.epoch == wait->epoch &&
            mine->position >= wait->position);
}

static void try_wait(struct intake_wait *wait)
{
    const struct intake_site *at = wait->site->owner;

    if (is_asking(wait) || wait->epoch == 0)
        return;
    if (at && has_come(wait, at)) {
        end_wait(wait, 0);
    } else if (wait->site->state != SITES_PRESENT) {
        ist_err_set(&wait->op.err, DESK_ABSENT, "the site is away");
        end_wait(wait, DESK_ABSENT);
    }
}

/* A feed that stands still is as far as it says, and the site may be further.
 */
static void take_position(struct intake_wait *wait,
                          const Isthmus__V1__KindPosition *says)
{
    wait->position = says->position;
    wait->why =
        says->trouble[0] ? ist_arena_strdup(&wait->arena, says->trouble) : NULL;
}

static int on_position(struct desk_call *call, const Isthmus__V1__Reply *reply)
{
    struct intake_wait *wait = IST_CONTAINER(call, struct intake_wait, call);

    if (!reply->feed)
        return 0;
    wait->epoch = reply->feed->epoch;
    wait->why = "its agent does not feed this kind: see its policy";
    for (size_t i = 0; i < reply->feed->n_kinds; i++) {
        if (strcmp(reply->feed->kinds[i]->kind, wait->kind->name) == 0)
            take_position(wait, reply->feed->kinds[i]);
    }
    return 0;
}

static void on_asked(struct ist_op *op)
{
    struct intake_wait *wait = IST_CONTAINER(op, struct intake_wait, call.op);

    if (op->rc) {
        wait->op.err = op->err;
        end_wait(wait, op->rc);
    } else if (wait->op.state == IST_OP_CANCELLING) {
        end_wait(wait, -ECANCELED);
    } else if (wait->epoch == 0) {
        ist_err_set(&wait->op.err, DESK_FAILED, "its agent tells no changes");
        end_wait(wait, DESK_FAILED);
    } else if (wait->why) {
        ist_err_set(&wait->op.err, DESK_FAILED, "%s", wait->why);
        end_wait(wait, DESK_FAILED);
    } else {
        try_wait(wait);
    }
}

static void cancel_wait(struct ist_op *op)
{
    struct intake_wait *wait = IST_CONTAINER(op, struct intake_wait, op);

    if (is_asking(wait))
        return; /* It is cancelled too, and ends this. */
    end_wait(wait, -ECANCELED);
}

void intake_wait_start(struct intake *intake, struct intake_wait *wait)
{
    Isthmus__V1__Position what = ISTHMUS__V1__POSITION__INIT;
    Isthmus__V1__Call call = ISTHMUS__V1__CALL__INIT;

    wait->intake = intake;
    wait->epoch = wait->position = 0;
    wait->why = NULL;
    wait->call = (struct desk_call){
        .site = wait->site, .arena = &wait->arena, .on_frame = on_position};
    ist_op_begin(&wait->op, cancel_wait);
    ist_arena_init(&wait->arena, 256U << 10);
    LIST_INSERT_HEAD(&intake->waits, wait, sibling);
    if (intake->stopping) {
        ist_op_cancel(&wait->op, -ECANCELED);
        return;
    }
    call.what_case = ISTHMUS__V1__CALL__WHAT_POSITION;
    call.position = &what;
    ist_op_prepare(&wait->call.op, intake->loop, &wait->op, 0, on_asked);
    desk_call_start(intake->desk, &wait->call, &call);
}

void intake_try_waits(struct intake *intake)
{
    struct intake_wait *wait, *next;

    for (wait = LIST_FIRST(&intake->waits); wait; wait = next) {
        next = LIST_NEXT(wait, sibling);
        try_wait(wait);
    }
}

void intake_waits_stop(struct intake *intake)
{
    struct intake_wait *wait, *next;

    for (wait = LIST_FIRST(&intake->waits); wait; wait = next) {
        next = LIST_NEXT(wait, sibling);
        ist_op_cancel(&wait->op, -ECANCELED);
    }
}
