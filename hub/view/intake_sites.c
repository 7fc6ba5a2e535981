/* Looks after the sites: how true their rows are, who is to state what again,
 * and whose rows are to go. */
#include "view/intake_priv.h"

#include "base/log.h"
#include "base/rand.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 1000
#define BEHIND_MS                                                              \
    10000 /* What a site has said and has not come for so long,                \
           * though the stream was read to its end, is lost. */
#define CALL_MS    20000
#define WAIT_TIMES 32   /* Most that the time between two resyncs grows. */
#define DROP_MAX   2000 /* Rows of a removed site in one transaction. */
#define ROOM_MS    10000
#define TRIM_MAX   2000

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
    at->resync_wait_ms = intake->conf.resync_ms;
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

/* The same, from where it stood last: the list of sites asks it of each kind at
 * each site. */
static const struct sites_feed *feed_at(struct intake_site *at, uint16_t number,
                                        const struct ist_kind *kind)
{
    const struct sites_site *site = at->site;
    const struct sites_feed *feed = &site->feed[at->feed_at[number]];

    if (at->feed_at[number] < site->n_feed &&
        strcmp(feed->kind, kind->name) == 0)
        return feed;
    feed = feed_of(site, kind);
    if (feed)
        at->feed_at[number] = (uint8_t) (feed - site->feed);
    return feed;
}

/* Have we all that the site said it has, when it was last heard? */
static bool has_come(const struct intake_site *at,
                     const struct numbers_kind *mine,
                     const struct sites_feed *feed)
{
    return at->site->feed_epoch == at->numbers.epoch && mine->known &&
           !mine->lacking && mine->position >= feed->position;
}

/* What its presence names; found again only where that has changed. */
static void note_feeds(struct intake *intake, struct intake_site *at)
{
    const struct sites_site *site = at->site;

    for (size_t i = 0; i < site->n_feed; i++) {
        struct intake_feed *feed = &at->feeds[i];
        const struct ist_kind *kind = i < at->n_feeds ? feed->kind : NULL;

        if (kind && strcmp(kind->name, site->feed[i].kind) == 0)
            continue;
        *feed = (struct intake_feed){.kind = ist_kind_find(site->feed[i].kind)};
        if (feed->kind)
            feed->number = view_kind_number(intake->view, feed->kind);
    }
    at->n_feeds = site->n_feed;
}

/* A kind's rows are as old as the last proof that they were all: for one whose
 * changes are told, the site's last word; for one that is polled, or that
 * cannot be read at present, the time it was read. */
static uint64_t proof_ms(const struct sites_site *site,
                         const struct sites_feed *feed)
{
    uint64_t heard = site->heard_ms;
    uint64_t read = feed->read_ms - (uint64_t) site->clock_offset_ms;

    if (feed->notified && !feed->trouble[0])
        return heard;
    return feed->read_ms && read < heard ? read : feed->read_ms ? heard : 0;
}

static void note_currency(struct intake_site *at)
{
    for (size_t i = 0; i < at->n_feeds; i++) {
        const struct sites_feed *feed = &at->site->feed[i];
        struct numbers_kind *mine = &at->numbers.kinds[at->feeds[i].number];
        uint64_t as_of;

        if (!at->feeds[i].kind || !has_come(at, mine, feed))
            continue;
        as_of = proof_ms(at->site, feed);
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
                     const struct ist_kind *kind, uint64_t now,
                     struct intake_currency *ret)
{
    uint16_t number = view_kind_number(intake->view, kind);
    struct intake_site *at = site->owner;
    const struct sites_feed *feed;
    const struct numbers_kind *mine;
    const char *why;

    *ret = (struct intake_currency){.age_ms = UINT64_MAX,
                                    .why = "nothing was heard of it yet"};
    if (!at)
        return;
    feed = feed_at(at, number, kind);
    mine = &at->numbers.kinds[number];
    why = why_not(at, mine, feed);
    ret->known = mine->known;
    ret->current = why == NULL;
    ret->notified = feed && feed->notified;
    ret->position = mine->position;
    if (mine->known && mine->as_of_ms)
        ret->age_ms = now > mine->as_of_ms ? now - mine->as_of_ms : 0;
    ret->why = why ? why : "";
}

void intake_summary(struct intake *intake, const struct sites_site *site,
                    struct intake_summary *ret)
{
    uint64_t now = ist_loop_wall(intake->loop);
    struct intake_currency is;
    size_t n;
    const struct ist_kind *kinds = ist_kinds(&n);

    *ret = (struct intake_summary){
        .rows = view_count_site(intake->view, site->name)};
    for (size_t i = 0; i < n; i++) {
        intake_currency(intake, site, &kinds[i], now, &is);
        if (is.known && is.notified && is.age_ms != UINT64_MAX &&
            is.age_ms > ret->age_ms)
            ret->age_ms = is.age_ms;
    }
}

/* Resync */

static void on_resynced(struct ist_op *op)
{
    struct intake_resync *resync =
        IST_CONTAINER(op, struct intake_resync, call.op);

    if (op->rc && op->rc != -ECANCELED)
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

/* The next time it is asked is later, while asking does not help. */
static void wait_longer(struct intake *intake, struct intake_site *at)
{
    uint64_t wait = at->resync_wait_ms;

    at->resync_at_ms =
        ist_loop_now(intake->loop) + wait + ist_rand_below(wait / 4 + 1);
    if (wait < intake->conf.resync_ms * WAIT_TIMES)
        at->resync_wait_ms = wait * 2;
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
    wait_longer(intake, at);
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

/* Since when a kind has not come on towards what its site said; 0: it has come.
 */
static uint64_t behind_since(struct intake *intake, struct intake_site *at,
                             size_t i)
{
    struct intake_feed *feed = &at->feeds[i];
    const struct numbers_kind *mine = &at->numbers.kinds[feed->number];

    if (!feed->kind || at->site->feed[i].position == 0 ||
        has_come(at, mine, &at->site->feed[i]))
        feed->behind_since_ms = 0;
    else if (!feed->behind_since_ms || feed->position != mine->position)
        feed->behind_since_ms = ist_loop_now(intake->loop);
    feed->position = mine->position;
    return feed->behind_since_ms;
}

/* What is on its way is no gap: a kind that only is behind must have been so
 * for a while, with the stream read to its end since. */
static bool is_lacking(const struct intake *intake,
                       const struct numbers_kind *mine, uint64_t since)
{
    if (mine->lacking && !mine->stating)
        return true;
    return ist_loop_now(intake->loop) - since >= BEHIND_MS &&
           intake->at_end_ms >= since + INTAKE_QUIET_MS;
}

/* It was said to be in the stream, was stated again, and is not there: then
 * this may be another stream than the one in which our place is. */
static bool is_place_wrong(const struct intake *intake, uint64_t since)
{
    return ist_loop_now(intake->loop) - since >= INTAKE_ANEW_MS &&
           intake->heard_ms <= since;
}

/* Returns whether the place in the stream is in doubt. */
static bool find_lacks(struct intake *intake, struct intake_site *at)
{
    char *kinds[SITES_FEEDS_MAX];
    bool is_behind = false, is_in_doubt = false;
    size_t n = 0;

    for (size_t i = 0; i < at->n_feeds; i++) {
        uint64_t since = behind_since(intake, at, i);

        if (!since)
            continue;
        is_behind = true;
        is_in_doubt |= is_place_wrong(intake, since);
        if (is_lacking(intake, &at->numbers.kinds[at->feeds[i].number], since))
            kinds[n++] = at->site->feed[i].kind;
    }
    if (!is_behind)
        at->resync_wait_ms = intake->conf.resync_ms;
    if (n && ist_loop_now(intake->loop) >= at->resync_at_ms &&
        !is_being_asked(intake, at))
        ask_again(intake, at, kinds, n);
    return is_in_doubt;
}

/* Changes */

void intake_site_moved(struct intake *intake, struct intake_site *at)
{
    intake->n_moves++;
    note_currency(at);
}

void intake_site_changed(struct intake *intake, struct sites_site *site,
                         unsigned changes)
{
    struct intake_site *at = intake_site_of(intake, site);

    intake->n_moves++;
    if (!at || intake->closing)
        return;
    intake_tell_changes(intake, at, changes);
    if (changes & SITES_CHANGE_REMOVED)
        intake_drop(intake, site->name);
    if (changes & SITES_CHANGE_HEARD) {
        note_feeds(intake, at);
        note_currency(at);
        intake_tell_resumed(intake, at);
    }
    if (changes & (SITES_CHANGE_STATE | SITES_CHANGE_REMOVED))
        intake_try_waits(intake);
}

/* Chores: a removed site's rows, old events */

void intake_drop(struct intake *intake, const char *name)
{
    struct intake_drop *drop;

    if (intake_is_dropping(intake, name))
        return;
    drop = calloc(1, sizeof(*drop));
    if (!drop)
        return; /* They go with the next start. */
    snprintf(drop->name, sizeof(drop->name), "%s", name);
    LIST_INSERT_HEAD(&intake->drops, drop, sibling);
}

bool intake_is_dropping(struct intake *intake, const char *name)
{
    struct intake_drop *drop;

    LIST_FOREACH(drop, &intake->drops, sibling)
    {
        if (strcmp(drop->name, name) == 0)
            return true;
    }
    return false;
}

static int do_chore(struct ist_write *write, MDB_txn *txn, struct ist_err *err)
{
    struct intake *intake = IST_CONTAINER(write, struct intake, chore.write);
    const struct intake_drop *drop = intake->chore.drop;
    int rc = events_log_trim(intake->log, txn, intake->chore.now_ms,
                             intake->chore.trim_max, err);

    intake->chore.more = false;
    if (rc == 0 && drop)
        rc = view_drop_site(intake->view, txn, drop->name, DROP_MAX,
                            &intake->chore.more, err);
    if (rc == 0 && drop && !intake->chore.more)
        rc = ist_tree_fault(intake_forget(intake, txn, drop->name),
                            "forgetting a site", err);
    return rc;
}

static void start_chore(struct intake *intake);

static void on_chore(struct ist_op *op)
{
    struct intake *intake = IST_CONTAINER(op, struct intake, chore.write.op);
    struct intake_drop *drop = intake->chore.drop;

    events_log_committed(intake->log);
    if (op->rc) {
        if (!intake->closing)
            ist_log_warn("intake", "old rows cannot be dropped at present: %s",
                         op->err.text);
        return;
    }
    if (drop && !intake->chore.more) {
        LIST_REMOVE(drop, sibling);
        free(drop);
    }
    if (!intake->closing)
        start_chore(intake);
}

/* Nearly at the cap: events give way before anything has to wait. Looked for
 * now and then only, for it costs a walk. */
static bool is_room_short(struct intake *intake)
{
    uint64_t used, max, first, last;

    if (ist_loop_now(intake->loop) < intake->room_at_ms)
        return false;
    intake->room_at_ms = ist_loop_now(intake->loop) + ROOM_MS;
    ist_tree_room(intake->tree, &used, &max);
    events_log_range(intake->log, &first, &last);
    if (used < max - max / 64 || first >= last)
        return false;
    intake->room_at_ms = 0; /* Perhaps still then. */
    return true;
}

static void start_chore(struct intake *intake)
{
    bool is_short;

    if (intake->chore.write.op.state != IST_OP_IDLE)
        return;
    is_short = is_room_short(intake);
    intake->chore.drop = LIST_FIRST(&intake->drops);
    if (!is_short && !intake->chore.drop &&
        !events_log_is_overfull(intake->log))
        return;
    intake->chore.now_ms = is_short ? UINT64_MAX : ist_loop_wall(intake->loop);
    intake->chore.trim_max = is_short ? INTAKE_TRIM_MAX : TRIM_MAX;
    ist_op_prepare(&intake->chore.write.op, intake->loop, NULL, 0, on_chore);
    ist_tree_make_room(intake->tree, &intake->chore.write, do_chore);
}

/* The tick */

static void look_at_sites(struct intake *intake)
{
    bool is_in_doubt = false;
    struct intake_site *at;

    LIST_FOREACH(at, &intake->known, sibling)
    {
        if (at->site->state != SITES_PRESENT)
            continue;
        is_in_doubt |= find_lacks(intake, at);
        intake_tell_resumed(intake, at);
    }
    if (is_in_doubt && ist_loop_now(intake->loop) >= intake->anew_at_ms)
        intake_read_anew(intake);
}

void intake_tick(struct ist_timer *timer)
{
    struct intake *intake = IST_CONTAINER(timer, struct intake, tick);
    uint64_t now = ist_loop_now(intake->loop);

    if (now - intake->heard_ms >= INTAKE_QUIET_MS)
        intake->at_end_ms = now;
    /* What is not written yet, or cannot come, is not lacking. */
    if (intake->bus->is_up && STAILQ_EMPTY(&intake->writing) &&
        !intake->stopping)
        look_at_sites(intake);
    intake_write_next(intake); /* Reading may be paused. */
    start_chore(intake);
    ist_timer_arm_in(timer, intake->loop, TICK_MS, intake_tick);
}

void intake_sites_stop(struct intake *intake)
{
    struct intake_resync *resync, *next;

    for (resync = LIST_FIRST(&intake->resyncs); resync; resync = next) {
        next = LIST_NEXT(resync, sibling);
        ist_op_cancel(&resync->call.op, -ECANCELED);
    }
}
