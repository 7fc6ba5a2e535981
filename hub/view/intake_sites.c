/* Looks after the sites: who lacks what, who is to state it again, who waits
 * for whom, and what the NOC is told of a site's state. */
#include "view/intake_priv.h"

#include "base/log.h"
#include "base/rand.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS   1000
#define BEHIND_MS 10000 /* Ahead of us for so long: what is missing is lost.   \
                         */
#define QUIET_MS 2000   /* Nothing from the stream: it is read to its end. */
#define CALL_MS  20000
#define DROP_MAX 2000 /* Rows of a removed site in one transaction. */
#define TRIM_MAX 2000

struct intake_site *intake_site_of(struct intake *intake,
                                   struct sites_site *site)
{
    struct intake_site *at = site->owner;

    if (at)
        return at;
    at = calloc(1, sizeof(*at));
    if (!at)
        return NULL;
    at->site = site;
    site->owner = at;
    LIST_INSERT_HEAD(&intake->known, at, sibling);
    return at;
}

/* Positions: theirs, ours */

static const struct sites_feed *feed_of(const struct sites_site *site,
                                        const struct ist_kind *kind)
{
    for (size_t i = 0; i < site->n_feed; i++) {
        if (strcmp(site->feed[i].kind, kind->name) == 0)
            return &site->feed[i];
    }
    return NULL;
}

static struct numbers_kind *ours(struct intake *intake, struct intake_site *at,
                                 const struct ist_kind *kind)
{
    return &at->numbers.kinds[view_kind_number(intake->view, kind)];
}

/* Have we all that the site said it has, when it was last heard? */
static bool has_come(const struct intake_site *at,
                     const struct numbers_kind *kind,
                     const struct sites_feed *feed)
{
    return at->site->feed_epoch == at->numbers.epoch && kind->known &&
           !kind->lacking && kind->position >= feed->position;
}

/* A kind's rows are as old as the last proof that they were all: for one whose
 * changes are told, the site's last word; for one that is polled, the time it
 * was read. */
static void note_currency(struct intake *intake, struct intake_site *at)
{
    for (size_t i = 0; i < at->site->n_feed; i++) {
        const struct sites_feed *feed = &at->site->feed[i];
        const struct ist_kind *kind = ist_kind_find(feed->kind);
        struct numbers_kind *mine;
        uint64_t as_of = at->site->heard_ms;

        if (!kind)
            continue;
        mine = ours(intake, at, kind);
        if (!has_come(at, mine, feed))
            continue;
        if (!feed->notified && feed->read_ms < as_of)
            as_of = feed->read_ms;
        if (as_of > mine->as_of_ms)
            mine->as_of_ms = as_of;
    }
}

static const char *why_not(const struct intake_site *at,
                           const struct numbers_kind *mine,
                           const struct sites_feed *feed)
{
    if (at->site->state != SITES_PRESENT)
        return "the site is away: this is what it last said";
    if (at->site->feed_epoch == 0)
        return "its agent tells no changes";
    if (!feed)
        return "its agent does not feed this kind: see its policy";
    if (feed->trouble[0])
        return feed->trouble;
    if (!mine->known)
        return "it has not been stated whole yet";
    if (!has_come(at, mine, feed))
        return "changes are on their way";
    return NULL;
}

void intake_currency(struct intake *intake, const struct sites_site *site,
                     const struct ist_kind *kind, struct intake_currency *ret)
{
    struct intake_site *at = site->owner;
    const struct sites_feed *feed = feed_of(site, kind);
    uint64_t now = ist_loop_wall(intake->loop);
    const struct numbers_kind *mine;
    const char *why;

    *ret = (struct intake_currency){.age_ms = UINT64_MAX};
    if (!at) {
        snprintf(ret->why, sizeof(ret->why), "nothing was heard of it yet");
        return;
    }
    mine = ours(intake, at, kind);
    why = why_not(at, mine, feed);
    ret->known = mine->known;
    ret->current = why == NULL;
    ret->notified = feed && feed->notified;
    ret->position = mine->position;
    if (mine->known && mine->as_of_ms)
        ret->age_ms = now > mine->as_of_ms ? now - mine->as_of_ms : 0;
    snprintf(ret->why, sizeof(ret->why), "%s", why ? why : "");
}

/* Resync */

static void on_resynced(struct ist_op *op)
{
    struct intake_resync *resync =
        IST_CONTAINER(op, struct intake_resync, call.op);

    if (op->rc)
        ist_log_info("intake", "site %s was asked to state its kinds again: %s",
                     resync->at->site->name, op->err.text);
    LIST_REMOVE(resync, sibling);
    ist_arena_fini(&resync->arena);
    free(resync);
}

static int on_resync_frame(struct desk_call *call,
                           const Isthmus__V1__Reply *reply)
{
    (void) call, (void) reply;
    return 0;
}

static void ask_again(struct intake *intake, struct intake_site *at,
                      char **kinds, size_t n)
{
    struct intake_resync *resync = calloc(1, sizeof(*resync));
    Isthmus__V1__Resync what = ISTHMUS__V1__RESYNC__INIT;
    Isthmus__V1__Call call = ISTHMUS__V1__CALL__INIT;

    if (!resync)
        return;
    resync->at = at;
    ist_arena_init(&resync->arena, 64U << 10);
    LIST_INSERT_HEAD(&intake->resyncs, resync, sibling);
    intake->counts.resyncs++;
    at->resync_at_ms = ist_loop_now(intake->loop) + intake->conf.resync_ms +
                       ist_rand_below(intake->conf.resync_ms / 4 + 1);
    what.n_kinds = n;
    what.kinds = kinds;
    call.what_case = ISTHMUS__V1__CALL__WHAT_RESYNC;
    call.resync = &what;
    ist_op_prepare(&resync->call.op, intake->loop, NULL, CALL_MS, on_resynced);
    resync->call.site = at->site;
    resync->call.arena = &resync->arena;
    resync->call.on_frame = on_resync_frame;
    desk_call_start(intake->desk, &resync->call, &call);
}

static bool is_being_asked(struct intake *intake, const struct intake_site *at)
{
    struct intake_resync *resync;

    LIST_FOREACH(resync, &intake->resyncs, sibling)
    {
        if (resync->at == at)
            return true;
    }
    return false;
}

/* Is anything that the site has said of itself not here? */
static bool is_behind(struct intake *intake, struct intake_site *at)
{
    for (size_t i = 0; i < at->site->n_feed; i++) {
        const struct ist_kind *kind = ist_kind_find(at->site->feed[i].kind);

        if (kind && at->site->feed[i].position &&
            !has_come(at, ours(intake, at, kind), &at->site->feed[i]))
            return true;
    }
    return false;
}

/* What is on its way is no gap: a kind that only is behind must have been so
 * for a while, with nothing coming from the stream. */
static void find_lacks(struct intake *intake, struct intake_site *at)
{
    uint64_t now = ist_loop_now(intake->loop);
    char *kinds[SITES_FEEDS_MAX];
    bool waited;
    size_t n = 0;

    if (!is_behind(intake, at)) {
        at->behind_since_ms = 0;
        return;
    }
    if (!at->behind_since_ms)
        at->behind_since_ms = now;
    waited = now - at->behind_since_ms >= BEHIND_MS &&
             now - intake->heard_ms >= QUIET_MS;
    if (at->site->state != SITES_PRESENT || now < at->resync_at_ms ||
        !intake->bus->is_up || is_being_asked(intake, at))
        return;
    for (size_t i = 0; i < at->site->n_feed; i++) {
        struct sites_feed *feed = &at->site->feed[i];
        const struct ist_kind *kind = ist_kind_find(feed->kind);
        const struct numbers_kind *mine;

        if (!kind || feed->position == 0)
            continue;
        mine = ours(intake, at, kind);
        if ((mine->lacking && !mine->stating) ||
            (waited && !has_come(at, mine, feed)))
            kinds[n++] = feed->kind;
    }
    if (n)
        ask_again(intake, at, kinds, n);
}

/* What the NOC is told */

static void tell(struct intake *intake, const struct sites_site *site,
                 const char *kind, const char *action,
                 enum events_severity severity, const char *text)
{
    events_post(intake->log, &(struct events_item){.site = site->name,
                                                   .severity = severity,
                                                   .service = "isthmus",
                                                   .kind = kind,
                                                   .action = action,
                                                   .subject = site->name,
                                                   .text = text});
}

static void interrupt(struct intake *intake, struct intake_site *at)
{
    char text[160];

    if (at->interrupted || at->numbers.epoch == 0)
        return;
    at->interrupted = true;
    at->interrupted_at = at->numbers.sequence + 1;
    snprintf(text, sizeof(text),
             "events of site %s from %" PRIu64 " on are not here yet",
             at->site->name, at->interrupted_at);
    tell(intake, at->site, "feed", "interrupted", EVENTS_WARNING, text);
}

/* All that the site had to say meanwhile has come. */
static void resume(struct intake *intake, struct intake_site *at)
{
    char text[160];

    if (!at->interrupted || at->site->state != SITES_PRESENT ||
        at->site->feed_epoch != at->numbers.epoch ||
        at->site->feed_next_sequence > at->numbers.sequence + 1)
        return;
    at->interrupted = false;
    snprintf(text, sizeof(text),
             "events of site %s are here again, up to %" PRIu64, at->site->name,
             at->numbers.sequence);
    tell(intake, at->site, "feed", "resumed", EVENTS_NOTICE, text);
}

static void tell_state(struct intake *intake, struct intake_site *at)
{
    char text[160];

    if (at->site->state == SITES_PRESENT) {
        snprintf(text, sizeof(text), "site %s is there", at->site->name);
        tell(intake, at->site, "site", "reachable", EVENTS_NOTICE, text);
    } else if (at->site->state == SITES_ABSENT) {
        snprintf(text, sizeof(text),
                 "site %s is not heard: its agent, its link to the bus, or the "
                 "site is down",
                 at->site->name);
        tell(intake, at->site, "site", "unreachable", EVENTS_ERROR, text);
        interrupt(intake, at);
    }
}

void intake_site_changed(struct intake *intake, struct sites_site *site,
                         unsigned changes)
{
    static const struct {
        unsigned change;
        const char *action, *text;
        enum events_severity severity;
    } rows[] = {
        {SITES_CHANGE_ADDED, "added", "the site was added", EVENTS_NOTICE},
        {SITES_CHANGE_REMOVED, "removed", "the site was removed",
         EVENTS_NOTICE},
        {SITES_CHANGE_RESTART, "agent_restarted", "its agent has started",
         EVENTS_NOTICE},
        {SITES_CHANGE_POLICY, "policy_changed", "its policy has changed",
         EVENTS_NOTICE},
        {SITES_CHANGE_KEYS, "keys_changed", "its online keys have changed",
         EVENTS_NOTICE},
    };
    struct intake_site *at = intake_site_of(intake, site);

    if (!at || intake->closing)
        return;
    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        if (changes & rows[i].change)
            tell(intake, site, "site", rows[i].action, rows[i].severity,
                 rows[i].text);
    }
    if (changes & SITES_CHANGE_STATE)
        tell_state(intake, at);
    if (changes & SITES_CHANGE_REMOVED)
        at->dropping = true;
    if (changes & SITES_CHANGE_HEARD) {
        note_currency(intake, at);
        resume(intake, at);
    }
}

/* Chores: a removed site's rows, old events */

static int do_chore(struct ist_write *write, MDB_txn *txn, struct ist_err *err)
{
    struct intake *intake = IST_CONTAINER(write, struct intake, chore.write);
    struct intake_site *at = intake->chore.site;
    int rc =
        events_log_trim(intake->log, txn, intake->batch.now_ms, TRIM_MAX, err);

    intake->chore.more = false;
    if (rc == 0 && at)
        rc = view_drop_site(intake->view, txn, at->site->name, DROP_MAX,
                            &intake->chore.more, err);
    return rc;
}

static void on_chore(struct ist_op *op)
{
    struct intake *intake = IST_CONTAINER(op, struct intake, chore.write.op);

    if (op->rc && !intake->closing)
        ist_log_warn("intake", "old rows cannot be dropped at present: %s",
                     op->err.text);
    else if (intake->chore.site && !intake->chore.more)
        intake->chore.site->dropping = false;
    events_log_committed(intake->log);
}

static void start_chore(struct intake *intake)
{
    struct intake_site *at;

    if (ist_op_active(&intake->chore.write.op))
        return;
    intake->chore.site = NULL;
    LIST_FOREACH(at, &intake->known, sibling)
    {
        if (at->dropping)
            intake->chore.site = at;
    }
    if (!intake->chore.site && !events_log_is_overfull(intake->log))
        return;
    intake->batch.now_ms = ist_loop_wall(intake->loop);
    ist_op_prepare(&intake->chore.write.op, intake->loop, NULL, 0, on_chore);
    ist_tree_write(intake->tree, &intake->chore.write, do_chore);
}

void intake_tick(struct ist_timer *timer)
{
    struct intake *intake = IST_CONTAINER(timer, struct intake, tick);
    struct intake_site *at;

    LIST_FOREACH(at, &intake->known, sibling)
    {
        find_lacks(intake, at);
        resume(intake, at);
    }
    start_chore(intake);
    ist_timer_arm_in(timer, intake->loop, TICK_MS, intake_tick);
}

/* Waiting for a position */

static void end_wait(struct intake_wait *wait, int rc)
{
    LIST_REMOVE(wait, sibling);
    ist_arena_fini(&wait->arena);
    ist_op_finish(&wait->op, rc);
}

static void try_wait(struct intake_wait *wait)
{
    struct intake_site *at = wait->site->owner;
    const struct numbers_kind *mine;

    if (!at || ist_op_active(&wait->call.op) || wait->epoch == 0)
        return;
    mine = ours(wait->intake, at, wait->kind);
    if (at->numbers.epoch != wait->epoch || !mine->known || mine->lacking ||
        mine->position < wait->position)
        return;
    end_wait(wait, 0);
}

static int on_position(struct desk_call *call, const Isthmus__V1__Reply *reply)
{
    struct intake_wait *wait = IST_CONTAINER(call, struct intake_wait, call);

    if (!reply->feed)
        return 0;
    wait->epoch = reply->feed->epoch;
    for (size_t i = 0; i < reply->feed->n_kinds; i++) {
        if (strcmp(reply->feed->kinds[i]->kind, wait->kind->name) == 0)
            wait->position = reply->feed->kinds[i]->position;
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
    } else {
        try_wait(wait);
    }
}

static void cancel_wait(struct ist_op *op)
{
    struct intake_wait *wait = IST_CONTAINER(op, struct intake_wait, op);

    if (ist_op_active(&wait->call.op))
        return; /* A child: it is cancelled too, and ends this. */
    end_wait(wait, -ECANCELED);
}

void intake_wait_start(struct intake *intake, struct intake_wait *wait)
{
    Isthmus__V1__Position what = ISTHMUS__V1__POSITION__INIT;
    Isthmus__V1__Call call = ISTHMUS__V1__CALL__INIT;

    wait->intake = intake;
    wait->epoch = wait->position = 0;
    ist_op_begin(&wait->op, cancel_wait);
    ist_arena_init(&wait->arena, 256U << 10);
    LIST_INSERT_HEAD(&intake->waits, wait, sibling);
    call.what_case = ISTHMUS__V1__CALL__WHAT_POSITION;
    call.position = &what;
    wait->call = (struct desk_call){
        .site = wait->site, .arena = &wait->arena, .on_frame = on_position};
    ist_op_prepare(&wait->call.op, intake->loop, &wait->op, 0, on_asked);
    desk_call_start(intake->desk, &wait->call, &call);
}

void intake_sites_moved(struct intake *intake)
{
    struct intake_wait *wait, *next;

    for (wait = LIST_FIRST(&intake->waits); wait; wait = next) {
        next = LIST_NEXT(wait, sibling);
        try_wait(wait);
    }
}

void intake_sites_stop(struct intake *intake)
{
    struct intake_resync *resync, *next_resync;
    struct intake_wait *wait, *next;

    for (resync = LIST_FIRST(&intake->resyncs); resync; resync = next_resync) {
        next_resync = LIST_NEXT(resync, sibling);
        ist_op_cancel(&resync->call.op, -ECANCELED);
    }
    for (wait = LIST_FIRST(&intake->waits); wait; wait = next) {
        next = LIST_NEXT(wait, sibling);
        ist_op_cancel(&wait->op, -ECANCELED);
    }
}
