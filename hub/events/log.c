/* Four maps: items by id; for each second the first id received in it; readers'
 * places by name; and, under names that no reader has, the log's own epoch and
 * the sequence of the hub's own events.
 *
 * 'first' and 'last' are what the loop knows: taken from the file when it is
 * opened, and again after each commit. */
#include "events/log.h"

#include "base/log.h"
#include "events/item.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define POSTS_MAX    1000
#define RETRY_MS     1000
#define NAME_MAX_LEN 100
#define EPOCH                                                                  \
    "\x01"                                                                     \
    "epoch"
#define SEQUENCE                                                               \
    "\x01"                                                                     \
    "sequence"

const struct ist_row events_rows[] = {
    {"events.keep", IST_ROW_MS, offsetof(struct events_conf, keep_ms), "7d",
     60000, 3660ULL * 86400000, 0,
     "How long events are kept; older ones are dropped, and whoever follows "
     "from there is told the gap."},
    {"events.keep_items", IST_ROW_U64, offsetof(struct events_conf, keep_items),
     "5000000", 1000, 1000000000, 0,
     "Events kept at most; then the oldest are dropped."},
    IST_ROW_END,
};

struct post {
    struct ist_sb record; /* As events_item_write() makes it, without id. */
    STAILQ_ENTRY(post) link;
};

STAILQ_HEAD(posts, post);

struct events_log {
    struct ist_tree *tree;
    struct events_conf conf;
    MDB_dbi items, times, places;
    uint64_t epoch, first, last;
    LIST_HEAD(, events_follower) followers;
    struct ist_timer wake;
    struct events_counts counts;

    struct posts waiting, writing;
    size_t n_waiting, n_writing;
    struct ist_write write;
    struct ist_timer retry;
};

/* Severities */

static const char *const severities[] = {"info", "notice", "warning", "error",
                                         "critical"};

const char *events_severity_name(enum events_severity severity)
{
    return severities[severity <= EVENTS_CRITICAL ? severity : EVENTS_CRITICAL];
}

int events_severity_parse(const char *name)
{
    for (size_t i = 0; i < IST_COUNT(severities); i++) {
        if (strcmp(severities[i], name) == 0)
            return (int) i;
    }
    return -1;
}

/* Numbers in maps */

static MDB_val value_of(const void *data, size_t size)
{
    return (MDB_val){size, (void *) (uintptr_t) data};
}

static uint64_t number(const MDB_val *value)
{
    uint64_t n = 0;

    if (value->mv_size == sizeof(n))
        memcpy(&n, value->mv_data, sizeof(n));
    return n;
}

static uint64_t get_number(struct events_log *log, MDB_txn *txn,
                           const char *name)
{
    MDB_val key = value_of(name, strlen(name)), value;

    return mdb_get(txn, log->places, &key, &value) ? 0 : number(&value);
}

static int put_number(struct events_log *log, MDB_txn *txn, const char *name,
                      uint64_t n, struct ist_err *err)
{
    MDB_val key = value_of(name, strlen(name));
    MDB_val value = value_of(&n, sizeof(n));

    return ist_tree_fault(mdb_put(txn, log->places, &key, &value, 0),
                          "the log of events", err);
}

/* The id at one end of the log; 0: it is empty. */
static uint64_t end_id(struct events_log *log, MDB_txn *txn, MDB_cursor_op end)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    uint64_t id = 0;

    if (mdb_cursor_open(txn, log->items, &cursor))
        return 0;
    if (mdb_cursor_get(cursor, &key, &value, end) == 0)
        id = number(&key);
    mdb_cursor_close(cursor);
    return id;
}

static void look(struct events_log *log)
{
    MDB_txn *txn;

    if (ist_tree_read(log->tree, &txn, NULL))
        return;
    log->last = end_id(log, txn, MDB_LAST);
    log->first = end_id(log, txn, MDB_FIRST);
    mdb_txn_abort(txn);
    /* Ids go on behind an empty log too: see append_record(). */
    if (log->first == 0)
        log->first = log->last + 1;
}

/* Opening */

static int open_maps(struct events_log *log, struct ist_err *err)
{
    int rc = ist_tree_map(log->tree, "event", MDB_INTEGERKEY, &log->items, err);

    if (rc == 0)
        rc = ist_tree_map(log->tree, "event.time", MDB_INTEGERKEY, &log->times,
                          err);
    if (rc == 0)
        rc = ist_tree_map(log->tree, "event.place", 0, &log->places, err);
    return rc;
}

/* The hub numbers its own events within the life of this file. */
static int load_epoch(struct events_log *log, struct ist_loop *loop,
                      struct ist_err *err)
{
    MDB_txn *txn;
    int rc = ist_tree_read(log->tree, &txn, err);

    if (rc)
        return rc;
    log->epoch = get_number(log, txn, EPOCH);
    mdb_txn_abort(txn);
    if (log->epoch == 0)
        log->epoch = ist_loop_wall(loop);
    return 0;
}

struct events_log *events_log_open(struct ist_tree *tree,
                                   const struct events_conf *conf,
                                   struct ist_err *err)
{
    struct events_log *log = calloc(1, sizeof(*log));

    if (!log) {
        ist_err_set(err, -ENOMEM, "the log of events: out of memory");
        return NULL;
    }
    log->tree = tree;
    log->conf = *conf;
    LIST_INIT(&log->followers);
    STAILQ_INIT(&log->waiting);
    STAILQ_INIT(&log->writing);
    if (open_maps(log, err) || load_epoch(log, ist_tree_loop(tree), err)) {
        free(log);
        return NULL;
    }
    look(log);
    return log;
}

static void free_posts(struct posts *posts)
{
    struct post *post;

    while ((post = STAILQ_FIRST(posts)) != NULL) {
        STAILQ_REMOVE_HEAD(posts, link);
        ist_sb_fini(&post->record);
        free(post);
    }
}

struct events_log *events_log_free(struct events_log *log)
{
    if (!log)
        return NULL;
    assert(log->write.op.state == IST_OP_IDLE);
    ist_timer_disarm(&log->wake);
    ist_timer_disarm(&log->retry);
    if (log->n_waiting)
        ist_log_warn("events", "%zu events of the hub were not written",
                     log->n_waiting);
    free_posts(&log->waiting);
    free(log);
    return NULL;
}

/* Appending, in the pool */

static int note_second(struct events_log *log, MDB_txn *txn, uint64_t second,
                       uint64_t id, struct ist_err *err)
{
    MDB_val key = value_of(&second, sizeof(second));
    MDB_val value = value_of(&id, sizeof(id));
    int rc = mdb_put(txn, log->times, &key, &value, MDB_NOOVERWRITE);

    return rc == MDB_KEYEXIST ? 0
                              : ist_tree_fault(rc, "the log of events", err);
}

/* An id is never given twice, also when all items have been dropped. */
static int append_record(struct events_log *log, MDB_txn *txn,
                         const struct ist_sb *record, struct ist_err *err)
{
    uint64_t id = end_id(log, txn, MDB_LAST) + 1;
    uint64_t second = events_item_received(record->data, record->len) / 1000;
    MDB_val key = value_of(&id, sizeof(id));
    MDB_val value = value_of(record->data, record->len);
    int rc = mdb_put(txn, log->items, &key, &value, MDB_APPEND);

    if (rc)
        return ist_tree_fault(rc, "the log of events", err);
    return note_second(log, txn, second, id, err);
}

int events_log_append(struct events_log *log, MDB_txn *txn,
                      const struct events_item *item, uint64_t now_ms,
                      struct ist_err *err)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb record;
    struct events_item given = *item;

    ist_sb_init(&record, 0);
    given.received_ms = now_ms;
    events_item_write(&record, &given);
    if (record.rc)
        return ist_err_set(err, record.rc, "the log of events: out of memory");
    return append_record(log, txn, &record, err);
}

int events_log_append_own(struct events_log *log, MDB_txn *txn,
                          const struct events_item *item, uint64_t now_ms,
                          struct ist_err *err)
{
    struct events_item own = *item;
    int rc;

    own.origin = EVENTS_HUB;
    own.epoch = log->epoch;
    own.sequence = get_number(log, txn, SEQUENCE) + 1;
    rc = put_number(log, txn, EPOCH, log->epoch, err);
    if (rc == 0)
        rc = put_number(log, txn, SEQUENCE, own.sequence, err);
    return rc ? rc : events_log_append(log, txn, &own, now_ms, err);
}

/* Trimming, in the pool */

/* 'first' is the first that is left. Others of its second may be gone: the
 * second then begins with it. */
static int trim_times(struct events_log *log, MDB_txn *txn, uint64_t first,
                      uint64_t second, struct ist_err *err)
{
    MDB_cursor *cursor;
    MDB_val key, value, kept = value_of(&first, sizeof(first));
    int rc = mdb_cursor_open(txn, log->times, &cursor);
    bool over = true;

    if (rc)
        return ist_tree_fault(rc, "trimming the log of events", err);
    while (over &&
           (rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST)) == 0 &&
           number(&value) < first) {
        over = number(&key) < second;
        rc = over ? mdb_cursor_del(cursor, 0)
                  : mdb_cursor_put(cursor, &key, &kept, MDB_CURRENT);
        if (rc)
            break;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : ist_tree_fault(rc, "trimming", err);
}

/* The newest item stays: the next id is counted from it. */
int events_log_trim(struct events_log *log, MDB_txn *txn, uint64_t now_ms,
                    size_t max, struct ist_err *err)
{
    uint64_t last = end_id(log, txn, MDB_LAST), id = 0;
    uint64_t old = now_ms > log->conf.keep_ms ? now_ms - log->conf.keep_ms : 0;
    uint64_t received_ms = 0;
    size_t n = 0;
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc = mdb_cursor_open(txn, log->items, &cursor);

    if (rc)
        return ist_tree_fault(rc, "trimming the log of events", err);
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST)) == 0) {
        id = number(&key);
        received_ms = events_item_received(value.mv_data, value.mv_size);
        if (n == max || id == last ||
            (last - id < log->conf.keep_items && received_ms >= old))
            break;
        rc = mdb_cursor_del(cursor, 0);
        if (rc)
            break;
        n++;
    }
    mdb_cursor_close(cursor);
    if (rc && rc != MDB_NOTFOUND)
        return ist_tree_fault(rc, "trimming the log of events", err);
    return n ? trim_times(log, txn, id, received_ms / 1000, err) : 0;
}

static uint64_t received(struct events_log *log, uint64_t id)
{
    MDB_val key = value_of(&id, sizeof(id)), value;
    uint64_t ms = 0;
    MDB_txn *txn;

    if (ist_tree_read(log->tree, &txn, NULL))
        return 0;
    if (mdb_get(txn, log->items, &key, &value) == 0)
        ms = events_item_received(value.mv_data, value.mv_size);
    mdb_txn_abort(txn);
    return ms;
}

bool events_log_is_overfull(struct events_log *log)
{
    uint64_t now = ist_loop_wall(ist_tree_loop(log->tree));

    return log->last > log->first &&
           (log->last - log->first >= log->conf.keep_items ||
            received(log, log->first) + log->conf.keep_ms < now);
}

/* Waking those who follow */

static void on_wake(struct ist_timer *timer)
{
    struct events_log *log = IST_CONTAINER(timer, struct events_log, wake);
    struct events_follower *follower, *next;

    for (follower = LIST_FIRST(&log->followers); follower; follower = next) {
        next = LIST_NEXT(follower, sibling);
        follower->more(follower);
    }
}

void events_log_committed(struct events_log *log)
{
    uint64_t before = log->last;

    look(log);
    if (log->last == before)
        return;
    log->counts.appended += log->last - before;
    if (!ist_timer_armed(&log->wake))
        ist_timer_arm_in(&log->wake, ist_tree_loop(log->tree), 0, on_wake);
}

void events_log_follow(struct events_log *log, struct events_follower *follower)
{
    LIST_INSERT_HEAD(&log->followers, follower, sibling);
}

void events_log_unfollow(struct events_follower *follower)
{
    LIST_REMOVE(follower, sibling);
}

/* Reading */

void events_log_range(struct events_log *log, uint64_t *ret_first,
                      uint64_t *ret_last)
{
    *ret_first = log->first;
    *ret_last = log->last;
}

/* The first item behind 'at' that was received then or later. */
static uint64_t skip_older(struct events_log *log, MDB_txn *txn, uint64_t id,
                           uint64_t wall_ms)
{
    MDB_cursor *cursor;
    MDB_val key = value_of(&id, sizeof(id)), value;
    MDB_cursor_op op = MDB_SET_RANGE;
    uint64_t found = log->last + 1;

    if (mdb_cursor_open(txn, log->items, &cursor))
        return found;
    for (; mdb_cursor_get(cursor, &key, &value, op) == 0; op = MDB_NEXT) {
        if (events_item_received(value.mv_data, value.mv_size) < wall_ms)
            continue;
        found = number(&key);
        break;
    }
    mdb_cursor_close(cursor);
    return found;
}

uint64_t events_log_since(struct events_log *log, uint64_t wall_ms)
{
    uint64_t second = wall_ms / 1000, found = log->last + 1;
    MDB_val key = value_of(&second, sizeof(second)), value;
    MDB_cursor *cursor;
    MDB_txn *txn;

    if (ist_tree_read(log->tree, &txn, NULL))
        return found;
    if (mdb_cursor_open(txn, log->times, &cursor) == 0) {
        if (mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE) == 0)
            found = skip_older(log, txn, number(&value), wall_ms);
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return found;
}

static int visit(MDB_cursor *cursor, uint64_t after, size_t max,
                 events_visit_fn *fn, void *arg, uint64_t *last)
{
    uint64_t id = after + 1;
    MDB_val key = value_of(&id, sizeof(id)), value;
    MDB_cursor_op op = MDB_SET_RANGE;
    struct events_item item;
    int rc = 0;

    for (size_t n = 0; n < max; n++, op = MDB_NEXT) {
        rc = mdb_cursor_get(cursor, &key, &value, op);
        if (rc)
            break;
        if (!events_item_read(value.mv_data, value.mv_size, number(&key),
                              &item))
            rc = MDB_CORRUPTED;
        if (rc || !fn(arg, &item))
            break;
        *last = item.id;
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int events_log_read(struct events_log *log, uint64_t after, size_t max,
                    events_visit_fn *fn, void *arg, uint64_t *ret_last,
                    struct ist_err *err)
{
    MDB_cursor *cursor;
    MDB_txn *txn;
    int rc = ist_tree_read(log->tree, &txn, err);

    *ret_last = after;
    if (rc)
        return rc;
    rc = mdb_cursor_open(txn, log->items, &cursor);
    if (rc == 0) {
        rc = visit(cursor, after, max, fn, arg, ret_last);
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return ist_tree_fault(rc, "reading the log of events", err);
}

/* The hub's own events */

static int write_posts(struct ist_write *write, MDB_txn *txn,
                       struct ist_err *err)
{
    struct events_log *log = IST_CONTAINER(write, struct events_log, write);
    struct events_item item;
    struct post *post;
    int rc = 0;

    STAILQ_FOREACH(post, &log->writing, link)
    {
        events_item_read(post->record.data, post->record.len, 0, &item);
        rc = events_log_append_own(log, txn, &item, item.received_ms, err);
        if (rc)
            break;
    }
    return rc;
}

static void start_writing(struct events_log *log);

static void drop_oldest(struct events_log *log)
{
    struct post *post = STAILQ_FIRST(&log->waiting);

    STAILQ_REMOVE_HEAD(&log->waiting, link);
    ist_sb_fini(&post->record);
    free(post);
    log->n_waiting--;
    if (log->counts.dropped++ % POSTS_MAX == 0)
        ist_log_warn("events", "too many events of the hub at once: the oldest "
                               "that wait are dropped");
}

static void on_retry(struct ist_timer *timer)
{
    start_writing(IST_CONTAINER(timer, struct events_log, retry));
}

/* They stay the oldest of those that wait. */
static void write_again(struct events_log *log, const struct ist_err *err)
{
    ist_log_error("events",
                  "events of the hub cannot be written, trying "
                  "again: %s",
                  err->text);
    STAILQ_CONCAT(&log->writing, &log->waiting);
    STAILQ_CONCAT(&log->waiting, &log->writing);
    log->n_waiting += log->n_writing;
    while (log->n_waiting > POSTS_MAX)
        drop_oldest(log);
    ist_timer_arm_in(&log->retry, ist_tree_loop(log->tree), RETRY_MS, on_retry);
}

static void on_written(struct ist_op *op)
{
    struct events_log *log = IST_CONTAINER(op, struct events_log, write.op);

    if (op->rc) {
        write_again(log, &op->err);
        return;
    }
    free_posts(&log->writing);
    events_log_committed(log);
    start_writing(log);
}

/* Until 'done' has run: a write that is over, but has not been told so, is not
 * to be prepared again yet. */
static bool is_writing(const struct events_log *log)
{
    return log->write.op.state != IST_OP_IDLE;
}

static void start_writing(struct events_log *log)
{
    if (STAILQ_EMPTY(&log->waiting) || is_writing(log) ||
        ist_timer_armed(&log->retry))
        return;
    STAILQ_CONCAT(&log->writing, &log->waiting);
    log->n_writing = log->n_waiting;
    log->n_waiting = 0;
    ist_op_prepare(&log->write.op, ist_tree_loop(log->tree), NULL, 0,
                   on_written);
    ist_tree_write(log->tree, &log->write, write_posts);
}

void events_post(struct events_log *log, const struct events_item *item)
{
    struct post *post = calloc(1, sizeof(*post));
    struct events_item given = *item;

    if (!post)
        return;
    given.origin = EVENTS_HUB;
    given.received_ms = ist_loop_wall(ist_tree_loop(log->tree));
    if (given.time_ms == 0)
        given.time_ms = given.received_ms;
    ist_sb_init(&post->record, 0);
    events_item_write(&post->record, &given);
    if (post->record.rc) {
        ist_sb_fini(&post->record);
        free(post);
        return;
    }
    if (log->n_waiting == POSTS_MAX)
        drop_oldest(log);
    STAILQ_INSERT_TAIL(&log->waiting, post, link);
    log->n_waiting++;
    log->counts.posted++;
    start_writing(log);
}

bool events_log_busy(const struct events_log *log)
{
    return is_writing(log) ||
           (!STAILQ_EMPTY(&log->waiting) && !ist_timer_armed(&log->retry));
}

/* Places */

uint64_t events_place_get(struct events_log *log, const char *name)
{
    uint64_t id;
    MDB_txn *txn;

    if (ist_tree_read(log->tree, &txn, NULL))
        return 0;
    id = get_number(log, txn, name);
    mdb_txn_abort(txn);
    return id;
}

int events_place_put(struct events_log *log, MDB_txn *txn, const char *name,
                     uint64_t id, struct ist_err *err)
{
    assert(*name && strlen(name) <= NAME_MAX_LEN && *name != EPOCH[0]);
    return put_number(log, txn, name, id, err);
}

int events_place_drop(struct events_log *log, MDB_txn *txn, const char *name,
                      struct ist_err *err)
{
    MDB_val key = value_of(name, strlen(name));
    int rc = mdb_del(txn, log->places, &key, NULL);

    return ist_tree_fault(rc == MDB_NOTFOUND ? 0 : rc, "the log of events",
                          err);
}

const struct events_counts *events_log_counts(const struct events_log *log)
{
    return &log->counts;
}
