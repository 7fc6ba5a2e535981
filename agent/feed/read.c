/* Reading kinds whole, page by page by their ids, one at a time over the site:
 * the one that has been due longest.
 *
 *     due --> page --> written --> page --> written --> ... --> due again
 *               |         |
 *               +---------+-- failed: nothing changes, and again after a while
 *
 * A page takes a while to come, and rows that are asked for one by one
 * meanwhile (touch.c) may be newer than what it says of them: it leaves those
 * alone. */
#include "feed/feed_priv.h"

#include "base/log.h"
#include "base/rand.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_ROWS   1000U /* What one page of a service holds. */
#define PAGE_MEMORY (16U * 1024 * 1024)
#define PAGE_MS     60000
#define AGAIN_MS    1000 /* After the first failure; then twice that... */
#define SKIP_MAX    1024
#define SHARE       10 /* A reading may take that part of the time. */

static void ask_page(struct feed *feed);

static struct feed *feed_of(struct feed_reader *reader)
{
    return IST_CONTAINER(reader, struct feed, reader);
}

/* What to read next */

static uint64_t jittered(uint64_t ms)
{
    return ms - ms / 10 + ist_rand_below(ms / 5 + 1);
}

/* A service is not kept busy with it: one that takes long is asked seldom. */
static uint64_t period_of(const struct feed *feed, const struct feed_kind *kind)
{
    uint64_t ms = kind->notified ? feed->conf.audit_ms : feed->conf.poll_ms;

    return kind->took_ms * SHARE > ms ? kind->took_ms * SHARE : ms;
}

static struct feed_kind *most_due(struct feed *feed)
{
    struct feed_kind *best = NULL;

    for (size_t i = 0; i < feed->n_kinds; i++) {
        struct feed_kind *kind = &feed->kinds[i];

        if (kind->allowed && (!best || kind->due_ms < best->due_ms))
            best = kind;
    }
    return best;
}

static void begin_reading(struct feed *feed, struct feed_kind *kind)
{
    struct feed_reader *reader = &feed->reader;

    reader->kind = (size_t) (kind - feed->kinds);
    reader->is_reading = reader->is_first = true;
    reader->has_begun = false;
    reader->after[0] = reader->partial[0] = '\0';
    reader->limit = PAGE_ROWS;
    reader->read_ms = ist_loop_wall(feed->loop);
    reader->begun_ms = ist_loop_now(feed->loop);
    reader->noticed = kind->noticed;
    reader->is_restating =
        kind->resync || feed->store.marks[reader->kind].flags != FEED_STATED;
    kind->noticed = 0;
    kind->resync = false;
    ask_page(feed);
}

static void on_due(struct ist_timer *timer)
{
    feed_reader_plan(feed_of(IST_CONTAINER(timer, struct feed_reader, timer)));
}

void feed_reader_plan(struct feed *feed)
{
    struct feed_reader *reader = &feed->reader;
    struct feed_kind *kind = most_due(feed);

    ist_timer_disarm(&reader->timer);
    if (feed->is_closing || reader->is_reading || !kind)
        return;
    if (kind->due_ms <= ist_loop_now(feed->loop))
        begin_reading(feed, kind);
    else
        ist_timer_arm(&reader->timer, feed->loop, kind->due_ms, on_due);
}

void feed_read_soon(struct feed *feed, struct feed_kind *kind,
                    uint64_t delay_ms)
{
    uint64_t due = ist_loop_now(feed->loop) + delay_ms;

    if (!kind->noticed)
        kind->noticed = ++feed->noticed;
    if (kind->due_ms > due)
        kind->due_ms = due;
    feed_reader_plan(feed);
}

uint64_t feed_reader_oldest(const struct feed *feed)
{
    uint64_t oldest = UINT64_MAX;

    if (feed->reader.is_reading && feed->reader.noticed)
        oldest = feed->reader.noticed;
    for (size_t i = 0; i < feed->n_kinds; i++) {
        const struct feed_kind *kind = &feed->kinds[i];

        if (kind->allowed && kind->noticed && kind->noticed < oldest)
            oldest = kind->noticed;
    }
    return oldest;
}

/* The end of a reading */

static void over(struct feed *feed)
{
    feed->reader.is_reading = false;
    feed_settle_check(feed);
    feed_reader_plan(feed);
}

static bool are_mates(const struct feed_kind *a, const struct feed_kind *b)
{
    return a != b && a->allowed && b->allowed &&
           strcmp(a->kind->service, b->kind->service) == 0;
}

/* A service that does not answer is asked for one kind only, until it does:
 * the kinds of others must not wait for it again and again. */
static void hold_mates(struct feed *feed, const struct feed_kind *kind)
{
    for (size_t i = 0; i < feed->n_kinds; i++) {
        struct feed_kind *mate = &feed->kinds[i];

        if (!are_mates(mate, kind))
            continue;
        memcpy(mate->trouble, kind->trouble, sizeof(mate->trouble));
        mate->is_held = true;
        mate->noticed = 0;
        if (mate->due_ms <= kind->due_ms)
            mate->due_ms = kind->due_ms + 1;
    }
}

static void release_mates(struct feed *feed, const struct feed_kind *kind)
{
    for (size_t i = 0; i < feed->n_kinds; i++) {
        struct feed_kind *mate = &feed->kinds[i];

        if (are_mates(mate, kind) && mate->is_held) {
            mate->is_held = false;
            mate->due_ms = 0;
        }
    }
}

static void succeed(struct feed *feed, struct feed_kind *kind)
{
    const struct feed_reader *reader = &feed->reader;

    feed->counts.readings++;
    kind->n_failures = 0;
    kind->took_ms = ist_loop_now(feed->loop) - reader->begun_ms;
    kind->is_held = false;
    release_mates(feed, kind);
    snprintf(kind->trouble, sizeof(kind->trouble), "%s", reader->partial);
    /* Who asked for it again meanwhile has set its time. */
    if (!kind->noticed && !kind->resync)
        kind->due_ms =
            ist_loop_now(feed->loop) + jittered(period_of(feed, kind));
    over(feed);
}

/* What those wait for who noticed something does not come: trouble says so. */
static void fail(struct feed *feed, struct feed_kind *kind, int rc,
                 const struct ist_err *err)
{
    uint64_t now = ist_loop_now(feed->loop), took = now - feed->reader.begun_ms,
             longest = period_of(feed, kind), wait = AGAIN_MS;

    if (rc == OS_E_UNSUPPORTED)
        longest = wait = feed->conf.audit_ms;
    for (unsigned i = 0; i < kind->n_failures && wait < longest; i++)
        wait *= 2;
    wait = wait < longest ? wait : longest;
    wait = wait < took * 2 ? took * 2 : wait; /* Others have a turn too. */
    feed->counts.failed_readings++;
    if (kind->n_failures++ == 0)
        ist_log_debug("feed", "%ss are not read: %s", kind->kind->name,
                      err->text);
    snprintf(kind->trouble, sizeof(kind->trouble), "%s", err->text);
    kind->resync |= feed->reader.is_restating;
    kind->due_ms = now + jittered(wait);
    if (rc == OS_E_UNREACHABLE || rc == OS_E_TIMEOUT || rc == -ETIMEDOUT)
        hold_mates(feed, kind);
    over(feed);
}

/* Rows that were asked for meanwhile */

static void forget_skipped(struct feed_reader *reader)
{
    while (reader->n_skip)
        free(reader->skip[--reader->n_skip]);
    reader->is_stale = false;
}

void feed_reader_skip(struct feed *feed, size_t kind, const char *id)
{
    struct feed_reader *reader = &feed->reader;
    char *copy;

    if (!reader->is_listing || reader->kind != kind)
        return;
    if (!reader->skip)
        reader->skip = calloc(SKIP_MAX, sizeof(*reader->skip));
    copy = reader->skip && reader->n_skip < SKIP_MAX ? strdup(id) : NULL;
    if (copy)
        reader->skip[reader->n_skip++] = copy;
    else
        reader->is_stale = true;
}

/* Pages */

static void page_done(struct feed *feed, struct feed_kind *kind)
{
    struct feed_reader *reader = &feed->reader;

    reader->has_begun = true;
    if (reader->page.end) {
        succeed(feed, kind);
        return;
    }
    if (!reader->is_border) {
        memcpy(reader->after, reader->upto, sizeof(reader->after));
        reader->is_first = false;
    }
    ask_page(feed);
}

static void on_page_written(struct feed_write *write)
{
    struct feed_page *page = IST_CONTAINER(write, struct feed_page, base);
    struct feed_reader *reader = IST_CONTAINER(page, struct feed_reader, page);
    struct feed *feed = feed_of(reader);
    struct feed_kind *kind = &feed->kinds[reader->kind];
    const struct ist_op *op = &write->write.op;

    os_list_fini(&reader->list);
    feed_wrote(feed, write);
    if (write->tally.too_large)
        snprintf(reader->partial, sizeof(reader->partial), "%s",
                 "records were left out: too large for a message");
    if (feed->is_closing || !kind->allowed) {
        over(feed);
    } else if (op->rc) {
        fail(feed, kind, op->rc, &op->err);
    } else {
        page_done(feed, kind);
    }
    feed_end(feed);
}

/* A row that was asked for before BEGIN is not part of the statement, and the
 * page cannot be trusted with it: BEGIN goes alone, and the page comes again.
 */
static void write_border(struct feed *feed)
{
    struct feed_reader *reader = &feed->reader;

    os_list_fini(&reader->list);
    reader->is_border = true;
    reader->page = (struct feed_page){.kind = reader->kind,
                                      .wall_ms = ist_loop_wall(feed->loop),
                                      .after = "",
                                      .begin = true};
    feed_begin(feed);
    feed_store_page(&feed->store, &reader->page, on_page_written);
}

static void write_page(struct feed *feed)
{
    struct feed_reader *reader = &feed->reader;
    const struct os_list *list = &reader->list;
    bool is_last = list->n_records < reader->limit;

    reader->is_border = false;
    if (!is_last)
        snprintf(reader->upto, sizeof(reader->upto), "%s",
                 list->records[list->n_records - 1].id);
    reader->page = (struct feed_page){
        .kind = reader->kind,
        .wall_ms = ist_loop_wall(feed->loop),
        .after = reader->after,
        .upto = is_last ? NULL : reader->upto,
        .records = list->records,
        .n_records = list->n_records,
        .skip = (const char *const *) reader->skip,
        .n_skip = reader->n_skip,
        .whole = list->n_refused == 0,
        .begin = reader->is_restating && !reader->has_begun,
        .restate = reader->is_restating,
        .end = is_last,
        .read_ms = reader->read_ms,
    };
    feed_begin(feed);
    feed_store_page(&feed->store, &reader->page, on_page_written);
}

/* Too much at once: fewer. */
static bool shrinks(struct feed_reader *reader, int rc)
{
    if (rc != OS_E_TOO_LARGE || reader->list.is_whole || reader->limit < 16)
        return false;
    reader->limit /= 4;
    return true;
}

static void on_page(struct ist_op *op)
{
    struct os_list *list = IST_CONTAINER(op, struct os_list, op);
    struct feed_reader *reader = IST_CONTAINER(list, struct feed_reader, list);
    struct feed *feed = feed_of(reader);
    struct feed_kind *kind = &feed->kinds[reader->kind];
    bool is_usable = op->rc == 0 || list->is_whole;

    reader->is_listing = false;
    if (op->rc && list->is_whole)
        snprintf(reader->partial, sizeof(reader->partial), "%s", op->err.text);
    if (!feed->is_closing && kind->allowed && is_usable && !reader->is_stale) {
        if (reader->is_restating && !reader->has_begun && reader->n_skip)
            write_border(feed);
        else
            write_page(feed);
    } else {
        os_list_fini(list);
        if (feed->is_closing || !kind->allowed)
            over(feed);
        else if (is_usable || shrinks(reader, op->rc))
            ask_page(feed);
        else
            fail(feed, kind, op->rc, &op->err);
    }
    feed_end(feed);
}

static void ask_page(struct feed *feed)
{
    struct feed_reader *reader = &feed->reader;
    struct os_list *list = &reader->list;

    forget_skipped(reader);
    *list = (struct os_list){
        .kind = feed->kinds[reader->kind].kind->name,
        .limit = reader->limit,
        .has_after = !reader->is_first,
        .after = {.site = "", .id = {reader->after, strlen(reader->after)}},
        .ties = OS_TIES_AFTER_ID,
        .memory = PAGE_MEMORY,
    };
    reader->is_listing = true;
    feed_begin(feed);
    ist_op_prepare(&list->op, feed->loop, NULL, PAGE_MS, on_page);
    os_list_start(feed->cloud, list);
}

/* Life */

void feed_reader_stop(struct feed *feed)
{
    ist_timer_disarm(&feed->reader.timer);
    if (feed->reader.is_listing)
        ist_op_cancel(&feed->reader.list.op, -ECANCELED);
}

void feed_reader_fini(struct feed *feed)
{
    forget_skipped(&feed->reader);
    free(feed->reader.skip);
}
