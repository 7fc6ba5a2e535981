/* Rows of which something was heard: each is asked for once things have
 * settled, a few at a time, and what is found is compared with what is known.
 *
 *     touched --> waits --> asked --> written --> done
 *                   ^         |          |
 *                   +---------+----------+-- touched again meanwhile; failed
 *
 * A row counts as settled only when what was found is in the log. */
#include "feed/feed_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ASK_MS      30000
#define TRIES_MAX   3    /* Then its kind is read whole. */
#define AGAIN_MS    1000 /* After the first failure; then twice that... */
#define LIST_LIMIT  1000 /* Rows of a page, where a filter is passed over. */
#define LIST_MEMORY (4U * 1024 * 1024)

static void pump(struct feed *feed);

static int item_cmp(struct feed_item *a, struct feed_item *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return strcmp(a->id, b->id);
}

/* RB_GENERATE_STATIC wants BSD's __unused, which glibc has not. */
RB_GENERATE_INTERNAL(feed_items, feed_item, node, item_cmp,
                     static __attribute__((unused)))

/* An id that a service may have given: not too long, and no control
 * characters. That it names something else in a path is taken care of where
 * paths are made. */
static bool is_sound(const char *id)
{
    size_t len = strnlen(id, IST_ORDER_ID_MAX + 1);

    for (size_t i = 0; i < len; i++) {
        if ((unsigned char) id[i] < ' ' || id[i] == 0x7F)
            return false;
    }
    return len > 0 && len <= IST_ORDER_ID_MAX;
}

static struct feed_item *find(struct feed *feed, size_t kind, const char *id)
{
    struct feed_item *found, *key = calloc(1, sizeof(*key) + strlen(id) + 1);

    if (!key)
        return NULL;
    key->kind = kind;
    memcpy(key->id, id, strlen(id) + 1);
    found = RB_FIND(feed_items, &feed->touches.items, key);
    if (found) {
        free(key);
        return found;
    }
    RB_INSERT(feed_items, &feed->touches.items, key);
    feed->touches.n++;
    return key;
}

/* Nearly always at the end. */
static void wait_until(struct feed *feed, struct feed_item *item, uint64_t due)
{
    struct feed_waiting *waiting = &feed->touches.waiting;
    struct feed_item *before = TAILQ_LAST(waiting, feed_waiting);

    item->due_ms = due;
    item->is_waiting = true;
    while (before && before->due_ms > due)
        before = TAILQ_PREV(before, feed_waiting, link);
    if (before)
        TAILQ_INSERT_AFTER(waiting, before, item, link);
    else
        TAILQ_INSERT_HEAD(waiting, item, link);
}

static void drop(struct feed *feed, struct feed_item *item)
{
    if (item->is_waiting)
        TAILQ_REMOVE(&feed->touches.waiting, item, link);
    RB_REMOVE(feed_items, &feed->touches.items, item);
    feed->touches.n--;
    free(item);
}

void feed_touches_add(struct feed *feed, struct feed_kind *kind, const char *id)
{
    struct feed_item *item;

    if (!is_sound(id))
        return;
    if (feed->touches.n >= FEED_TOUCHES_MAX) {
        feed_read_soon(feed, kind, feed->conf.settle_ms);
        return;
    }
    item = find(feed, (size_t) (kind - feed->kinds), id);
    if (!item) {
        feed_read_soon(feed, kind, feed->conf.settle_ms);
        return;
    }
    if (!item->noticed) {
        item->noticed = ++feed->noticed;
        wait_until(feed, item, ist_loop_now(feed->loop) + feed->conf.settle_ms);
    } else if (!item->is_waiting && !item->again) {
        item->again = ++feed->noticed;
    }
    pump(feed);
}

uint64_t feed_touches_oldest(struct feed *feed)
{
    uint64_t oldest = UINT64_MAX;
    struct feed_item *item;

    RB_FOREACH(item, feed_items, &feed->touches.items)
    oldest = item->noticed < oldest ? item->noticed : oldest;
    return oldest;
}

/* What came of it */

static void ask_again(struct feed *feed, struct feed_item *item)
{
    item->noticed = item->again;
    item->again = 0;
    item->n_tries = 0;
    wait_until(feed, item, ist_loop_now(feed->loop) + feed->conf.settle_ms);
}

static void over(struct feed_ask *ask)
{
    struct feed *feed = ask->feed;

    ask->item = NULL;
    os_show_fini(&ask->show);
    os_list_fini(&ask->list);
    feed_settle_check(feed);
    pump(feed);
}

static void fail(struct feed_ask *ask)
{
    struct feed *feed = ask->feed;
    struct feed_item *item = ask->item;
    struct feed_kind *kind = &feed->kinds[item->kind];

    if (feed->is_closing || !kind->allowed) {
        drop(feed, item);
    } else if (++item->n_tries < TRIES_MAX) {
        item->again = 0; /* It will be asked for again anyhow. */
        wait_until(feed, item,
                   ist_loop_now(feed->loop) +
                       ((uint64_t) AGAIN_MS << (item->n_tries - 1)));
    } else {
        drop(feed, item);
        feed_read_soon(feed, kind, AGAIN_MS);
    }
    over(ask);
}

static void on_written(struct feed_write *write)
{
    struct feed_page *page = IST_CONTAINER(write, struct feed_page, base);
    struct feed_ask *ask = IST_CONTAINER(page, struct feed_ask, page);
    struct feed *feed = ask->feed;

    feed_wrote(feed, write);
    if (write->write.op.rc) {
        fail(ask);
    } else {
        if (ask->item->again && !feed->is_closing)
            ask_again(feed, ask->item);
        else
            drop(feed, ask->item);
        over(ask);
    }
    feed_end(feed);
}

static void write_found(struct feed_ask *ask, const struct os_record *record)
{
    struct feed *feed = ask->feed;
    const char *id = ask->item->id;

    ask->page = (struct feed_page){.kind = ask->item->kind,
                                   .wall_ms = ist_loop_wall(feed->loop),
                                   .from = true,
                                   .after = id,
                                   .upto = id,
                                   .records = record,
                                   .n_records = record ? 1 : 0,
                                   .whole = true};
    feed_reader_skip(feed, ask->item->kind, id);
    feed_begin(feed);
    feed_store_page(&feed->store, &ask->page, on_written);
}

/* 'is_known': it is, or it is not, there. */
static void answered(struct feed_ask *ask, bool is_known,
                     const struct os_record *record)
{
    struct feed *feed = ask->feed;

    if (is_known && !feed->is_closing && feed->kinds[ask->item->kind].allowed)
        write_found(ask, record);
    else
        fail(ask);
    feed_end(feed);
}

static void on_shown(struct ist_op *op)
{
    struct os_show *show = IST_CONTAINER(op, struct os_show, op);
    struct feed_ask *ask = IST_CONTAINER(show, struct feed_ask, show);

    answered(ask, op->rc == 0 || op->rc == OS_E_NOT_FOUND,
             op->rc == 0 ? &show->record : NULL);
}

static void on_listed(struct ist_op *op)
{
    struct os_list *list = IST_CONTAINER(op, struct os_list, op);
    struct feed_ask *ask = IST_CONTAINER(list, struct feed_ask, list);

    answered(ask, list->n_records > 0 || op->rc == 0,
             list->n_records > 0 ? &list->records[0] : NULL);
}

/* Asking */

static void start_show(struct feed_ask *ask, const char *kind)
{
    ask->show = (struct os_show){.kind = kind, .id = ask->item->id};
    ist_op_prepare(&ask->show.op, ask->feed->loop, NULL, ASK_MS, on_shown);
    os_show_start(ask->feed->cloud, &ask->show);
}

static void start_list(struct feed_ask *ask, const char *kind)
{
    ask->ids[0] = ask->item->id;
    ask->list = (struct os_list){.kind = kind,
                                 .limit = LIST_LIMIT,
                                 .memory = LIST_MEMORY,
                                 .filters = {{"id", ask->ids, 1}},
                                 .n_filters = 1};
    ist_op_prepare(&ask->list.op, ask->feed->loop, NULL, ASK_MS, on_listed);
    os_list_start(ask->feed->cloud, &ask->list);
}

static void start(struct feed_ask *ask, struct feed_item *item)
{
    struct feed *feed = ask->feed;
    const struct feed_kind *kind = &feed->kinds[item->kind];

    TAILQ_REMOVE(&feed->touches.waiting, item, link);
    item->is_waiting = false;
    ask->item = item;
    feed->counts.shows++;
    feed_begin(feed);
    if (kind->resource->shown_differs)
        start_list(ask, kind->kind->name);
    else
        start_show(ask, kind->kind->name);
}

static struct feed_ask *find_free(struct feed_touches *touches)
{
    for (size_t i = 0; i < FEED_ASKS_MAX; i++) {
        if (!touches->asks[i].item)
            return &touches->asks[i];
    }
    return NULL;
}

static void on_due(struct ist_timer *timer)
{
    struct feed_touches *touches =
        IST_CONTAINER(timer, struct feed_touches, timer);

    pump(IST_CONTAINER(touches, struct feed, touches));
}

static void pump(struct feed *feed)
{
    struct feed_touches *touches = &feed->touches;
    uint64_t now = ist_loop_now(feed->loop);
    struct feed_item *item;
    struct feed_ask *ask = NULL;

    ist_timer_disarm(&touches->timer);
    if (feed->is_closing)
        return;
    while ((item = TAILQ_FIRST(&touches->waiting)) != NULL &&
           item->due_ms <= now && (ask = find_free(touches)) != NULL)
        start(ask, item);
    if (item && item->due_ms > now)
        ist_timer_arm(&touches->timer, feed->loop, item->due_ms, on_due);
}

/* Life */

void feed_touches_init(struct feed *feed)
{
    RB_INIT(&feed->touches.items);
    TAILQ_INIT(&feed->touches.waiting);
    for (size_t i = 0; i < FEED_ASKS_MAX; i++)
        feed->touches.asks[i].feed = feed;
}

void feed_touches_stop(struct feed *feed)
{
    ist_timer_disarm(&feed->touches.timer);
    for (size_t i = 0; i < FEED_ASKS_MAX; i++) {
        struct feed_ask *ask = &feed->touches.asks[i];

        if (!ask->item)
            continue;
        ist_op_cancel(&ask->show.op, -ECANCELED);
        ist_op_cancel(&ask->list.op, -ECANCELED);
    }
}

void feed_touches_fini(struct feed *feed)
{
    struct feed_item *item, *next;

    RB_FOREACH_SAFE(item, feed_items, &feed->touches.items, next)
    drop(feed, item);
}
