/* Opening the file, its head and marks, and the outbox.
 *
 * A commit leaves its root to the next flush (store/tree.h), so a crash of the
 * machine may take the last transaction back. Its numbers may have been sent:
 * given again to something else, they would be taken for known. So a file that
 * was not closed in good order before the machine started begins a new epoch;
 * a crash of the agent alone loses nothing. */
#include "feed/store_priv.h"

#include "base/log.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LAYOUT    1U
#define MAPS_MAX  3
#define ROWS_ROOM (1ULL << 30) /* For the rows, beside the outbox. */

static const char head_name[] = "head";

static MDB_val val(const void *data, size_t size)
{
    return (MDB_val){size, (void *) (uintptr_t) data};
}

static size_t mark_name(char *buf, size_t size, size_t kind)
{
    size_t n;

    return (size_t) snprintf(buf, size, "kind %s", ist_kinds(&n)[kind].name);
}

static int get(MDB_txn *txn, MDB_dbi meta, const char *name, size_t len,
               void *ret, size_t size)
{
    MDB_val key = val(name, len), found;
    int rc = mdb_get(txn, meta, &key, &found);

    if (rc == 0 && found.mv_size == size)
        memcpy(ret, found.mv_data, size);
    else if (rc == 0)
        rc = MDB_NOTFOUND;
    return rc;
}

static int put(MDB_txn *txn, MDB_dbi meta, const char *name, size_t len,
               const void *data, size_t size)
{
    MDB_val key = val(name, len), value = val(data, size);

    return mdb_put(txn, meta, &key, &value, 0);
}

/* Opening */

/* "" where the system does not say: then every start is taken for one of the
 * machine. */
static void read_boot(char *buf, size_t size)
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, buf, size - 1) : 0;

    buf[n > 0 ? n : 0] = '\0';
    buf[strcspn(buf, "\n")] = '\0';
    if (fd >= 0)
        close(fd);
}

static bool goes_on(const struct feed_head *head, const char *boot)
{
    return head->layout == LAYOUT &&
           (head->is_clean || (boot[0] && strcmp(head->boot, boot) == 0));
}

static int load_marks(struct feed_store *store, MDB_txn *txn)
{
    size_t n_kinds;
    char name[64];
    int rc = 0;

    ist_kinds(&n_kinds);
    for (size_t i = 0; i < n_kinds && (rc == 0 || rc == MDB_NOTFOUND); i++) {
        size_t len = mark_name(name, sizeof(name), i);

        rc = get(txn, store->meta, name, len, &store->marks[i],
                 sizeof(store->marks[i]));
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int begin_epoch(struct feed_store *store, MDB_txn *txn)
{
    const MDB_dbi maps[] = {store->rows, store->out, store->meta};
    uint64_t before = store->head.epoch, now = ist_loop_wall(store->loop);
    int rc = 0;

    for (size_t i = 0; i < IST_COUNT(maps) && rc == 0; i++)
        rc = mdb_drop(txn, maps[i], 0);
    store->is_new = true;
    store->head = (struct feed_head){.layout = LAYOUT,
                                     .epoch = now > before ? now : before + 1,
                                     .next_sequence = 1,
                                     .first = 1,
                                     .next = 1};
    return rc;
}

static int load(struct feed_store *store, MDB_txn *txn)
{
    char boot[sizeof(store->head.boot)];
    int rc = get(txn, store->meta, head_name, sizeof(head_name), &store->head,
                 sizeof(store->head));

    read_boot(boot, sizeof(boot));
    if (rc == MDB_NOTFOUND || (rc == 0 && !goes_on(&store->head, boot)))
        rc = begin_epoch(store, txn);
    else if (rc == 0)
        rc = load_marks(store, txn);
    store->head.is_clean = 0;
    memcpy(store->head.boot, boot, sizeof(boot));
    if (rc == 0)
        rc = put(txn, store->meta, head_name, sizeof(head_name), &store->head,
                 sizeof(store->head));
    return rc;
}

static int open_maps(struct feed_store *store, struct ist_err *err)
{
    int rc = ist_tree_map(store->tree, "feed.rows", 0, &store->rows, err);

    if (rc == 0)
        rc = ist_tree_map(store->tree, "feed.out", 0, &store->out, err);
    if (rc == 0)
        rc = ist_tree_map(store->tree, "feed.meta", 0, &store->meta, err);
    return rc;
}

static int open_file(struct feed_store *store, const char *path,
                     struct ist_err *err)
{
    const struct ist_tree_conf conf = {.path = path,
                                       .size_max =
                                           4 * store->outbox_max + ROWS_ROOM,
                                       .maps_max = MAPS_MAX};
    MDB_txn *txn;
    int rc;

    store->tree = ist_tree_open(store->loop, &conf, err);
    if (!store->tree)
        return err->code;
    rc = open_maps(store, err);
    if (rc == 0)
        rc = ist_tree_begin(store->tree, &txn, err);
    if (rc == 0) {
        rc = load(store, txn);
        if (rc)
            mdb_txn_abort(txn);
        else
            rc = mdb_txn_commit(txn);
        rc = ist_tree_fault(rc, path, err);
    }
    if (rc)
        store->tree = ist_tree_free(store->tree);
    return rc;
}

static bool put_aside(const char *path)
{
    char other[PATH_MAX];

    return (size_t) snprintf(other, sizeof(other), "%s.damaged", path) <
               sizeof(other) &&
           rename(path, other) == 0;
}

int feed_store_open(struct feed_store *store, struct ist_loop *loop,
                    const char *path, uint64_t outbox_max, struct ist_err *err)
{
    int rc;

    *store = (struct feed_store){.loop = loop, .outbox_max = outbox_max};
    rc = open_file(store, path, err);
    if (rc != -EUCLEAN || !put_aside(path))
        return rc;
    ist_log_warn("feed",
                 "a new feed begins, for the file of the old one is "
                 "damaged: %s",
                 err->text);
    *store = (struct feed_store){.loop = loop, .outbox_max = outbox_max};
    return open_file(store, path, err);
}

/* Closing */

static int apply_last(struct ist_write *write, MDB_txn *txn,
                      struct ist_err *err)
{
    struct feed_store *store = IST_CONTAINER(write, struct feed_store, last);
    struct feed_head head;
    int rc = get(txn, store->meta, head_name, sizeof(head_name), &head,
                 sizeof(head));

    head.is_clean = 1;
    if (rc == 0)
        rc = put(txn, store->meta, head_name, sizeof(head_name), &head,
                 sizeof(head));
    return ist_tree_fault(rc, "closing the feed", err);
}

static void on_last(struct ist_op *op)
{
    struct feed_store *store = IST_CONTAINER(op, struct feed_store, last.op);

    store->tree = ist_tree_free(store->tree); /* Flushes all. */
    store->closed(store->closed_arg);
}

void feed_store_close(struct feed_store *store, void (*closed)(void *),
                      void *arg)
{
    store->closed = closed;
    store->closed_arg = arg;
    ist_op_prepare(&store->last.op, store->loop, NULL, 0, on_last);
    ist_tree_make_room(store->tree, &store->last, apply_last);
}

/* Transactions */

int feed_txn_begin(struct feed_txn *t, struct feed_write *base, MDB_txn *txn,
                   int kind, struct ist_err *err)
{
    char name[64];
    int rc;

    *t = (struct feed_txn){
        .store = base->store, .base = base, .txn = txn, .err = err};
    base->kind = kind;
    base->tally = (struct feed_tally){.news = 0};
    rc = get(txn, t->store->meta, head_name, sizeof(head_name), &t->head,
             sizeof(t->head));
    if (rc == 0 && kind >= 0) {
        rc = get(txn, t->store->meta, name,
                 mark_name(name, sizeof(name), (size_t) kind), &t->mark,
                 sizeof(t->mark));
        rc = rc == MDB_NOTFOUND ? 0 : rc;
    }
    t->head_before = t->head;
    t->mark_before = t->mark;
    return ist_tree_fault(rc, "the feed's file", err);
}

/* When a kind was read is not worth a write of its own. */
static bool mark_changed(const struct feed_txn *t)
{
    return t->mark.position != t->mark_before.position ||
           t->mark.flags != t->mark_before.flags;
}

int feed_txn_end(struct feed_txn *t)
{
    char name[64];
    int rc = 0;

    if (memcmp(&t->head, &t->head_before, sizeof(t->head)) != 0)
        rc = put(t->txn, t->store->meta, head_name, sizeof(head_name), &t->head,
                 sizeof(t->head));
    if (rc == 0 && t->base->kind >= 0 && mark_changed(t))
        rc = put(t->txn, t->store->meta, name,
                 mark_name(name, sizeof(name), (size_t) t->base->kind),
                 &t->mark, sizeof(t->mark));
    t->base->head = t->head;
    t->base->mark = t->mark;
    return ist_tree_fault(rc, "writing to the feed", t->err);
}

static int forget_entry(struct feed_txn *t, uint64_t number)
{
    uint64_t big = htobe64(number);
    MDB_val key = val(&big, sizeof(big)), found;
    int rc = mdb_get(t->txn, t->store->out, &key, &found);

    if (rc == 0) {
        t->head.bytes -= found.mv_size;
        rc = mdb_del(t->txn, t->store->out, &key, NULL);
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int feed_txn_drop(struct feed_txn *t, uint64_t before, uint64_t *ret_dropped)
{
    int rc = 0;

    if (before > t->head.next)
        before = t->head.next;
    for (; rc == 0 && t->head.first < before; t->head.first++) {
        rc = forget_entry(t, t->head.first);
        ++*ret_dropped;
    }
    return ist_tree_fault(rc, "the feed's outbox", t->err);
}

int feed_txn_emit(struct feed_txn *t, Isthmus__V1__Event *event, bool is_news)
{
    uint64_t big = htobe64(t->head.next);
    MDB_val key = val(&big, sizeof(big)), value;
    int rc;

    event->sequence = is_news ? t->head.next_sequence++ : 0;
    t->base->tally.news += is_news;
    if (event->change)
        event->change->position = ++t->mark.position;
    value = val(NULL, isthmus__v1__event__get_packed_size(event));
    rc = mdb_put(t->txn, t->store->out, &key, &value, MDB_RESERVE | MDB_APPEND);
    if (rc)
        return ist_tree_fault(rc, "the feed's outbox", t->err);
    isthmus__v1__event__pack(event, value.mv_data);
    t->head.next++;
    t->head.bytes += value.mv_size;
    while (rc == 0 && t->head.bytes > t->store->outbox_max &&
           t->head.first + 1 < t->head.next)
        rc = feed_txn_drop(t, t->head.first + 1, &t->base->tally.dropped);
    return rc;
}

/* Reading the outbox */

static void put_varint(struct ist_sb *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        ist_sb_putc(out, (char) (v | 0x80));
    ist_sb_putc(out, (char) v);
}

/* A message is its fields one after the other: what is packed already need not
 * be unpacked to be put into another. */
static void put_entry(struct ist_sb *out, const MDB_val *packed)
{
    ist_sb_putc(out, 2 << 3 | 2); /* Events.events */
    put_varint(out, packed->mv_size);
    ist_sb_add(out, packed->mv_data, packed->mv_size);
}

static int read_batch(struct feed_store *store, MDB_cursor *cursor,
                      uint64_t after, size_t entries_max, size_t bytes_max,
                      struct ist_sb *out, uint64_t *ret_last, size_t *ret_n)
{
    uint64_t big = htobe64(after + 1);
    MDB_val key = val(&big, sizeof(big)), value;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

    ist_sb_putc(out, 1 << 3); /* Events.epoch */
    put_varint(out, store->head.epoch);
    for (; rc == 0 && *ret_n < entries_max; ++*ret_n) {
        if (*ret_n && out->len + value.mv_size > bytes_max)
            return 0;
        put_entry(out, &value);
        memcpy(&big, key.mv_data, sizeof(big));
        *ret_last = be64toh(big);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Where the entries stand in the outbox, and what of it is not confirmed. */
static void put_places(struct ist_sb *out, uint64_t first, uint64_t oldest)
{
    ist_sb_putc(out, 3 << 3); /* Events.first */
    put_varint(out, first);
    ist_sb_putc(out, 4 << 3); /* Events.oldest */
    put_varint(out, oldest);
}

int feed_store_batch(struct feed_store *store, uint64_t after, uint64_t oldest,
                     size_t entries_max, size_t bytes_max, struct ist_sb *out,
                     uint64_t *ret_last, size_t *ret_n, struct ist_err *err)
{
    MDB_cursor *cursor;
    MDB_txn *txn;
    int rc = ist_tree_read(store->tree, &txn, err);

    *ret_n = 0;
    if (rc)
        return rc;
    rc = mdb_cursor_open(txn, store->out, &cursor);
    if (rc == 0) {
        rc = read_batch(store, cursor, after, entries_max, bytes_max, out,
                        ret_last, ret_n);
        if (rc == 0 && *ret_n)
            put_places(out, *ret_last + 1 - *ret_n, oldest);
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    rc = ist_tree_fault(rc, "the feed's outbox", err);
    return rc ? rc : out->rc;
}
