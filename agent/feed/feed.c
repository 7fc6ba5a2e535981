/* What the parts share: kinds and the policy, how far the feed is, who waits
 * for it, and its end: everything under way is cancelled, and when the last of
 * it is over, the file is closed. */
#include "feed/feed_priv.h"

#include "base/log.h"
#include "os/rows.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STUCK_SAID_MS 60000

const struct ist_row feed_rows[] = {
    {"feed.enabled", IST_ROW_BOOL, offsetof(struct feed_conf, enabled), "true",
     0, 0, 0, "Tell the hub what changes at the site. Without, it has to ask."},
    {"feed.poll", IST_ROW_MS, offsetof(struct feed_conf, poll_ms), "30s", 1000,
     86400000, 0,
     "How often a kind is read whole of which no service tells the changes."},
    {"feed.audit", IST_ROW_MS, offsetof(struct feed_conf, audit_ms), "5m", 1000,
     86400000, 0,
     "The same, of a kind whose changes are told: for what was missed."},
    {"feed.settle", IST_ROW_MS, offsetof(struct feed_conf, settle_ms), "100ms",
     0, 10000, 0,
     "From a notification to asking for the row; what comes meanwhile is one "
     "question."},
    {"feed.outbox_max", IST_ROW_BYTES, offsetof(struct feed_conf, outbox_max),
     "64MiB", 1U << 20, 16ULL << 30, 0,
     "Of changes that wait for the bus, on disk; beyond it the oldest are "
     "dropped, and the hub has the kinds stated again."},
    IST_ROW_END,
};

/* Kinds */

struct feed_kind *feed_kind_find(struct feed *feed, const char *name)
{
    for (size_t i = 0; i < feed->n_kinds; i++) {
        if (strcmp(feed->kinds[i].kind->name, name) == 0)
            return &feed->kinds[i];
    }
    return NULL;
}

static uint64_t flags_of(const struct feed *feed, const struct feed_kind *kind)
{
    return feed->store.marks[kind - feed->kinds].flags;
}

bool feed_is_told(const struct feed *feed, const struct feed_kind *kind)
{
    const struct feed_reader *reader = &feed->reader;

    return kind->allowed &&
           (flags_of(feed, kind) ||
            (reader->is_reading && &feed->kinds[reader->kind] == kind));
}

static void init_kinds(struct feed *feed)
{
    const struct ist_kind *kinds = ist_kinds(&feed->n_kinds);

    assert(feed->n_kinds <= FEED_KINDS_MAX);
    for (size_t i = 0; i < feed->n_kinds; i++)
        feed->kinds[i] = (struct feed_kind){
            .kind = &kinds[i], .resource = os_resource_find(kinds[i].name)};
}

/* The policy */

struct clearing {
    struct feed *feed;
    struct feed_page page;
};

static void on_cleared(struct feed_write *write)
{
    struct clearing *clearing =
        IST_CONTAINER(write, struct clearing, page.base);
    struct feed *feed = clearing->feed;

    if (write->write.op.rc)
        ist_log_warn("feed",
                     "what the hub may no longer see is not withdrawn: "
                     "%s",
                     write->write.op.err.text);
    feed_wrote(feed, write);
    free(clearing);
    feed_end(feed);
}

/* States the kind with no rows: the hub drops what it has. */
static void withdraw(struct feed *feed, size_t kind)
{
    struct clearing *clearing = calloc(1, sizeof(*clearing));

    if (!clearing)
        return;
    clearing->feed = feed;
    clearing->page = (struct feed_page){.kind = kind,
                                        .wall_ms = ist_loop_wall(feed->loop),
                                        .after = "",
                                        .begin = true,
                                        .restate = true,
                                        .end = true,
                                        .forget = true};
    feed_begin(feed);
    feed_store_page(&feed->store, &clearing->page, on_cleared);
}

static void judge(struct feed *feed, struct feed_kind *kind, bool is_first)
{
    bool before = kind->allowed;

    kind->allowed =
        kind->resource &&
        policy_judge(feed->policy, POLICY_READ, kind->kind->name, NULL).allow;
    if (!kind->allowed && (before || flags_of(feed, kind)))
        withdraw(feed, (size_t) (kind - feed->kinds));
    if (kind->allowed && !before) {
        kind->due_ms = 0;
        /* It may still be being withdrawn. */
        kind->resync = flags_of(feed, kind) != 0 && !is_first;
    }
}

static void judge_all(struct feed *feed, const struct policy *policy,
                      bool is_first)
{
    feed->policy = policy;
    for (size_t i = 0; i < feed->n_kinds; i++)
        judge(feed, &feed->kinds[i], is_first);
    feed_reader_plan(feed);
}

void feed_policy(struct feed *feed, const struct policy *policy)
{
    judge_all(feed, policy, false);
}

/* What others tell */

/* The agent's own project has the only row of the list; asked by another id,
 * the service may well make one up. */
static bool is_of_project(const struct feed_kind *kind)
{
    return strstr(kind->resource->list_path, "{project}") ||
           !ist_kind_member(kind->kind, "id")->path[0];
}

void feed_touch(struct feed *feed, const char *name, const char *id)
{
    struct feed_kind *kind = feed_kind_find(feed, name);

    if (feed->is_closing || !kind || !kind->allowed)
        return;
    feed->counts.touches++;
    /* Of a kind that will be stated first all will be seen then. */
    if (!feed_is_told(feed, kind))
        return;
    if (id && *id && !is_of_project(kind))
        feed_touches_add(feed, kind, id);
    else
        feed_read_soon(feed, kind, feed->conf.settle_ms);
}

void feed_notified(struct feed *feed, const char *service, bool on)
{
    uint64_t polled = ist_loop_now(feed->loop) + feed->conf.poll_ms;

    for (size_t i = 0; i < feed->n_kinds && !feed->is_closing; i++) {
        struct feed_kind *kind = &feed->kinds[i];

        if (strcmp(kind->kind->service, service) != 0 || kind->notified == on)
            continue;
        kind->notified = on;
        if (on)
            kind->due_ms = 0;
        else if (kind->due_ms > polled)
            kind->due_ms = polled;
    }
    feed_reader_plan(feed);
}

static bool is_among(const char *name, char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return n == 0;
}

void feed_resync(struct feed *feed, char *const *kinds, size_t n)
{
    for (size_t i = 0; i < feed->n_kinds && !feed->is_closing; i++) {
        struct feed_kind *kind = &feed->kinds[i];

        if (!kind->allowed || !is_among(kind->kind->name, kinds, n))
            continue;
        kind->resync = true;
        kind->due_ms = 0;
    }
    feed_reader_plan(feed);
}

/* Other news */

struct saying {
    struct feed *feed;
    struct ist_arena arena;
    struct feed_said said;
};

static void on_said(struct feed_write *write)
{
    struct saying *saying = IST_CONTAINER(write, struct saying, said.base);
    struct feed *feed = saying->feed;

    if (write->write.op.rc)
        ist_log_warn("feed", "the hub is not told that %s: %s",
                     saying->said.event.text, write->write.op.err.text);
    feed_wrote(feed, write);
    feed->n_sayings--;
    ist_arena_fini(&saying->arena);
    free(saying);
    feed_end(feed);
}

static char *word(struct ist_arena *arena, const char *text)
{
    return text && *text ? ist_arena_strdup(arena, text)
                         : (char *) (uintptr_t) protobuf_c_empty_string;
}

void feed_tell(struct feed *feed, const struct feed_news *news)
{
    struct saying *saying = NULL;
    Isthmus__V1__Event *event;

    if (!feed->is_closing && feed->n_sayings < FEED_SAYINGS_MAX)
        saying = calloc(1, sizeof(*saying));
    if (!saying)
        return;
    saying->feed = feed;
    ist_arena_init(&saying->arena, 16U * 1024);
    event = &saying->said.event;
    isthmus__v1__event__init(event);
    event->time_ms = ist_loop_wall(feed->loop);
    event->severity = news->severity;
    event->service = word(&saying->arena, news->service);
    event->kind = word(&saying->arena, news->kind);
    event->action = word(&saying->arena, news->action);
    event->subject = word(&saying->arena, news->subject);
    event->project = word(&saying->arena, news->project);
    event->text = word(&saying->arena, news->text);
    if (saying->arena.exceeded) {
        ist_arena_fini(&saying->arena);
        free(saying);
        return;
    }
    feed->n_sayings++;
    feed_begin(feed);
    feed_store_say(&feed->store, &saying->said, on_said);
}

/* How far it is */

static const Isthmus__V1__KindPosition *
position_of(const struct feed *feed, size_t i, struct ist_arena *arena)
{
    const struct feed_mark *mark = &feed->store.marks[i];
    const struct feed_kind *kind = &feed->kinds[i];
    Isthmus__V1__KindPosition *position =
        ist_arena_alloc(arena, sizeof(*position));

    if (!position)
        return NULL;
    isthmus__v1__kind_position__init(position);
    position->kind = (char *) (uintptr_t) kind->kind->name;
    position->position = mark->position;
    position->notified = kind->notified;
    position->read_ms = mark->read_ms;
    position->trouble = ist_arena_strdup(arena, kind->trouble);
    return position->trouble ? position : NULL;
}

const Isthmus__V1__FeedState *feed_state(struct feed *feed,
                                         struct ist_arena *arena)
{
    Isthmus__V1__FeedState *state = ist_arena_alloc(arena, sizeof(*state));

    if (!state)
        return NULL;
    isthmus__v1__feed_state__init(state);
    state->epoch = feed->store.head.epoch;
    state->next_sequence = feed->store.head.next_sequence;
    state->kinds =
        ist_arena_alloc(arena, feed->n_kinds * sizeof(*state->kinds));
    if (!state->kinds)
        return NULL;
    for (size_t i = 0; i < feed->n_kinds; i++) {
        const Isthmus__V1__KindPosition *position;

        if (!feed->kinds[i].allowed)
            continue;
        position = position_of(feed, i, arena);
        if (!position)
            return NULL;
        state->kinds[state->n_kinds++] =
            (Isthmus__V1__KindPosition *) (uintptr_t) position;
    }
    return state;
}

const struct feed_counts *feed_counts(const struct feed *feed)
{
    return &feed->counts;
}

/* Little ones may still go through, so it is not said each time. */
static void say_stuck(struct feed *feed, const struct feed_write *write)
{
    uint64_t now = ist_loop_now(feed->loop);
    const struct ist_op *op = &write->write.op;
    bool has_told = write->tally.upserts || write->tally.deletes;

    if (op->rc && op->rc != -ECANCELED && !feed->is_stuck) {
        feed->is_stuck = true;
        if (feed->stuck_said_ms && now - feed->stuck_said_ms < STUCK_SAID_MS)
            return;
        feed->stuck_said_ms = now;
        ist_log_error("feed",
                      "changes are held back, trying again: %s: see whether "
                      "the disk of the state folder is full",
                      op->err.text);
    } else if (op->rc == 0 && has_told && feed->is_stuck) {
        feed->is_stuck = false;
        ist_log_info("feed", "changes are written again");
    }
}

void feed_wrote(struct feed *feed, const struct feed_write *write)
{
    const struct feed_head *head = &feed->store.head;

    say_stuck(feed, write);
    feed->counts.upserts += write->tally.upserts;
    feed->counts.deletes += write->tally.deletes;
    feed->counts.news += write->tally.news;
    feed->counts.dropped += write->tally.dropped;
    feed->counts.outbox_entries = head->next - head->first;
    feed->counts.outbox_bytes = head->bytes;
    feed_sender_wake(feed);
}

/* Who waits for it */

static void on_settle_cancel(struct ist_op *op)
{
    struct feed_settle *settle = IST_CONTAINER(op, struct feed_settle, op);

    LIST_REMOVE(settle, sibling);
    ist_op_finish(op, -ECANCELED);
}

void feed_settle_check(struct feed *feed)
{
    struct feed_settle *settle, *next;
    uint64_t oldest, reading;

    if (LIST_EMPTY(&feed->settles))
        return;
    oldest = feed_touches_oldest(feed);
    reading = feed_reader_oldest(feed);
    oldest = reading < oldest ? reading : oldest;
    LIST_FOREACH_SAFE(settle, &feed->settles, sibling, next)
    {
        if (settle->noticed >= oldest)
            continue;
        LIST_REMOVE(settle, sibling);
        ist_op_finish(&settle->op, 0);
    }
}

void feed_settle_start(struct feed *feed, struct feed_settle *settle)
{
    settle->feed = feed;
    settle->noticed = feed->noticed;
    LIST_INSERT_HEAD(&feed->settles, settle, sibling);
    ist_op_begin(&settle->op, on_settle_cancel);
    if (feed->is_closing)
        ist_op_cancel(&settle->op, -ECANCELED);
    else
        feed_settle_check(feed);
}

/* Life */

void feed_up(struct feed *feed)
{
    feed_sender_retry(feed);
}

void feed_down(struct feed *feed)
{
    (void) feed; /* What is on its way fails by itself. */
}

void feed_drained(struct feed *feed)
{
    feed_sender_retry(feed);
}

struct feed *feed_open(struct ist_loop *loop, const char *state,
                       struct os_cloud *cloud, const struct policy *policy,
                       struct ist_bus *bus, struct ist_self *self,
                       struct ist_peer *hub, const char *site,
                       const struct feed_conf *conf, struct ist_err *err)
{
    char path[PATH_MAX];
    struct feed *feed = calloc(1, sizeof(*feed));

    if (!feed || (size_t) snprintf(path, sizeof(path), "%s/feed.db", state) >=
                     sizeof(path)) {
        free(feed);
        ist_err_set(err, feed ? -ENAMETOOLONG : -ENOMEM,
                    feed ? "state: the path is too long" : "out of memory");
        return NULL;
    }
    feed->loop = loop;
    feed->cloud = cloud;
    feed->bus = bus;
    feed->self = self;
    feed->hub = hub;
    feed->conf = *conf;
    snprintf(feed->key, sizeof(feed->key), "%s.feed.batch", site);
    LIST_INIT(&feed->settles);
    if (feed_store_open(&feed->store, loop, path, conf->outbox_max, err)) {
        free(feed);
        return NULL;
    }
    init_kinds(feed);
    feed_touches_init(feed);
    feed_sender_init(feed);
    judge_all(feed, policy, true);
    return feed;
}

static void on_store_closed(void *arg)
{
    struct feed *feed = arg;
    void (*closed)(void *) = feed->closed;
    void *closed_arg = feed->closed_arg;

    feed_reader_fini(feed);
    feed_touches_fini(feed);
    free(feed);
    if (closed)
        closed(closed_arg);
}

void feed_end(struct feed *feed)
{
    feed->n_busy--;
    if (feed->is_closing && feed->n_busy == 0)
        feed_store_close(&feed->store, on_store_closed, feed);
}

void feed_close(struct feed *feed, void (*closed)(void *), void *arg)
{
    struct feed_settle *settle, *next;

    feed->closed = closed;
    feed->closed_arg = arg;
    feed->is_closing = true;
    feed_begin(feed);
    LIST_FOREACH_SAFE(settle, &feed->settles, sibling, next)
    ist_op_cancel(&settle->op, -ECANCELED);
    feed_reader_stop(feed);
    feed_touches_stop(feed);
    feed_sender_stop(feed);
    feed_end(feed);
}
