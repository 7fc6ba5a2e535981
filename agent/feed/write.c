/* What was seen against what is known, in one transaction. */
#include "codec/seal.h"
#include "feed/entry.h"
#include "feed/store_priv.h"

#include <errno.h>
#include <string.h>

#define KEY_MAX  (64 + IST_ORDER_ID_MAX + 1)
#define BODY_MAX (IST_SEAL_BODY_MAX - 64U * 1024) /* Keys go with it. */

struct row_key {
    char data[KEY_MAX];
    size_t len, prefix; /* Bytes in all; of those, kind and NUL. */
};

static void key_of(struct row_key *key, const struct ist_kind *kind,
                   const char *id)
{
    size_t len = strlen(id);

    key->prefix = strlen(kind->name) + 1;
    memcpy(key->data, kind->name, key->prefix);
    memcpy(key->data + key->prefix, id, len);
    key->len = key->prefix + len;
}

static MDB_val val(const void *data, size_t size)
{
    return (MDB_val){size, (void *) (uintptr_t) data};
}

/* The way of every write */

static void on_written(struct ist_op *op)
{
    struct feed_write *base = IST_CONTAINER(op, struct feed_write, write.op);

    if (op->rc == 0) {
        base->store->head = base->head;
        if (base->kind >= 0)
            base->store->marks[base->kind] = base->mark;
    } else {
        base->tally = (struct feed_tally){.news = 0};
        ist_err_wrap(&base->write.op.err, "feed.db");
    }
    base->done(base);
}

static void start(struct feed_store *store, struct feed_write *base,
                  ist_write_fn *apply, feed_written_fn *done)
{
    base->store = store;
    base->done = done;
    ist_op_prepare(&base->write.op, store->loop, NULL, 0, on_written);
    ist_tree_write(store->tree, &base->write, apply);
}

/* Pages */

struct page_txn {
    struct feed_txn t;
    const struct feed_page *page;
    const struct ist_kind *kind;
    const struct os_resource *resource;
    bool is_told; /* What is new is news. */
    struct feed_entry entry;
    struct feed_row row;
};

static int emit(struct page_txn *p, bool is_news)
{
    Isthmus__V1__Event *event = &p->entry.event;

    event->time_ms = p->page->wall_ms;
    if (!is_news) {
        event->severity = ISTHMUS__V1__EVENT__SEVERITY__INFO;
        event->action = event->subject = event->project = event->text =
            (char *) (uintptr_t) protobuf_c_empty_string;
    }
    return feed_txn_emit(&p->t, event, is_news);
}

static int emit_border(struct page_txn *p, Isthmus__V1__Change__Op op)
{
    feed_entry_border(&p->entry, p->kind, op);
    return emit(p, false);
}

static bool is_skipped(const struct feed_page *page, const char *id)
{
    for (size_t i = 0; i < page->n_skip; i++) {
        if (strcmp(page->skip[i], id) == 0)
            return true;
    }
    return false;
}

/* Rows that are known and were not seen */

/* The id of the key that the cursor is at, as a string; false behind the
 * page's end. */
static bool id_at(const struct page_txn *p, const struct row_key *first,
                  const MDB_val *key, char *id)
{
    size_t len;

    if (key->mv_size < first->prefix ||
        memcmp(key->mv_data, first->data, first->prefix) != 0)
        return false;
    len = key->mv_size - first->prefix;
    if (len > IST_ORDER_ID_MAX)
        return false;
    memcpy(id, (const char *) key->mv_data + first->prefix, len);
    id[len] = '\0';
    return !p->page->upto || strcmp(id, p->page->upto) <= 0;
}

/* Only what was looked for and not found is news; what may not have been
 * readable is left out of the statement in silence. */
static int drop_row(struct page_txn *p, MDB_cursor *cursor, const char *id,
                    const MDB_val *stored)
{
    const uint8_t *hash;
    struct feed_facts facts = {.name = ""};
    int rc;

    feed_row_stored(stored->mv_data, stored->mv_size, &hash, &facts);
    rc = mdb_cursor_del(cursor, 0);
    if (rc || p->page->forget)
        return ist_tree_fault(rc, "the feed's rows", p->t.err);
    feed_entry_delete(&p->entry, p->kind, id, &facts);
    p->t.base->tally.deletes++;
    return emit(p, p->is_told && p->page->whole);
}

static int walk(struct page_txn *p, MDB_cursor *cursor,
                const struct row_key *first)
{
    const struct feed_page *page = p->page;
    MDB_val key = val(first->data, first->len), stored;
    int found = mdb_cursor_get(cursor, &key, &stored, MDB_SET_RANGE), rc = 0;
    char id[IST_ORDER_ID_MAX + 1];
    size_t seen = 0;

    while (rc == 0 && found == 0 && id_at(p, first, &key, id)) {
        while (seen < page->n_records && strcmp(page->records[seen].id, id) < 0)
            seen++;
        if ((seen == page->n_records ||
             strcmp(page->records[seen].id, id) != 0) &&
            (page->from || strcmp(id, page->after) > 0) &&
            !is_skipped(page, id))
            rc = drop_row(p, cursor, id, &stored);
        if (rc == 0) /* Behind one that was deleted it stays where it is. */
            found = mdb_cursor_get(cursor, &key, &stored, MDB_NEXT);
    }
    if (rc == 0 && found != MDB_NOTFOUND && found != 0)
        rc = ist_tree_fault(found, "the feed's rows", p->t.err);
    return rc;
}

static int drop_unseen(struct page_txn *p)
{
    struct row_key first;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(p->t.txn, p->t.store->rows, &cursor);

    if (rc)
        return ist_tree_fault(rc, "the feed's rows", p->t.err);
    key_of(&first, p->kind, p->page->after);
    rc = walk(p, cursor, &first);
    mdb_cursor_close(cursor);
    return rc;
}

/* Rows that were seen */

static int keep_row(struct page_txn *p, const struct row_key *key)
{
    uint8_t buf[FEED_STORED_MAX];
    MDB_val at = val(key->data, key->len),
            value = val(buf, feed_row_write(&p->row, buf));

    return ist_tree_fault(mdb_put(p->t.txn, p->t.store->rows, &at, &value, 0),
                          "the feed's rows", p->t.err);
}

/* What no message can carry is as if it could not be read. */
static int leave_out(struct page_txn *p, const struct os_record *record)
{
    struct row_key key;
    MDB_val at;
    int rc;

    key_of(&key, p->kind, record->id);
    at = val(key.data, key.len);
    p->t.base->tally.too_large++;
    rc = mdb_del(p->t.txn, p->t.store->rows, &at, NULL);
    return rc == MDB_NOTFOUND ? 0
                              : ist_tree_fault(rc, "the feed's rows", p->t.err);
}

static int see_row(struct page_txn *p, const struct os_record *record)
{
    struct feed_facts before = {.name = ""};
    const uint8_t *hash = NULL;
    struct row_key key;
    MDB_val at, stored;
    bool is_known, is_same;
    int rc;

    if (record->body.size > BODY_MAX)
        return leave_out(p, record);
    feed_row_read(&p->row, p->kind, p->resource, record);
    key_of(&key, p->kind, record->id);
    at = val(key.data, key.len);
    rc = mdb_get(p->t.txn, p->t.store->rows, &at, &stored);
    if (rc && rc != MDB_NOTFOUND)
        return ist_tree_fault(rc, "the feed's rows", p->t.err);
    is_known = rc == 0 &&
               feed_row_stored(stored.mv_data, stored.mv_size, &hash, &before);
    is_same = is_known && memcmp(hash, p->row.hash, FEED_HASH_SIZE) == 0;
    /* While a kind is being stated, whoever is not in it counts as gone. */
    if (is_same && !(p->t.mark.flags & FEED_OPEN))
        return 0;
    rc = is_same ? 0 : keep_row(p, &key);
    if (rc)
        return rc;
    feed_entry_upsert(&p->entry, p->kind, record, &p->row,
                      is_known ? &before : NULL);
    p->t.base->tally.upserts++;
    return emit(p, p->is_told && !is_same);
}

static int see_rows(struct page_txn *p)
{
    const struct feed_page *page = p->page;
    int rc = 0;

    if (page->whole || page->restate)
        rc = drop_unseen(p);
    for (size_t i = 0; i < page->n_records && rc == 0; i++) {
        if (!is_skipped(page, page->records[i].id))
            rc = see_row(p, &page->records[i]);
    }
    return rc;
}

static int begin_statement(struct page_txn *p)
{
    p->t.mark.flags |= FEED_OPEN;
    return emit_border(p, ISTHMUS__V1__CHANGE__OP__BEGIN);
}

static int end_reading(struct page_txn *p)
{
    struct feed_mark *mark = &p->t.mark;
    int rc = 0;

    if (p->page->restate) {
        rc = emit_border(p, ISTHMUS__V1__CHANGE__OP__END);
        mark->flags = FEED_STATED;
    }
    if (p->page->forget)
        mark->flags = 0;
    mark->read_ms = p->page->read_ms;
    return rc;
}

static int apply_page(struct ist_write *write, MDB_txn *txn,
                      struct ist_err *err)
{
    struct feed_page *page = IST_CONTAINER(write, struct feed_page, base.write);
    struct page_txn p = {.page = page};
    size_t n_kinds;
    int rc;

    rc = feed_txn_begin(&p.t, &page->base, txn, (int) page->kind, err);
    if (rc)
        return rc;
    p.kind = &ist_kinds(&n_kinds)[page->kind];
    p.resource = os_resource_find(p.kind->name);
    p.is_told = (p.t.mark.flags & FEED_STATED) && !p.resource->quiet;
    if (page->begin)
        rc = begin_statement(&p);
    /* A single row of a kind that the hub is not (or no longer) told of. */
    if (rc == 0 && p.t.mark.flags)
        rc = see_rows(&p);
    if (rc == 0 && page->end)
        rc = end_reading(&p);
    return rc ? rc : feed_txn_end(&p.t);
}

void feed_store_page(struct feed_store *store, struct feed_page *page,
                     feed_written_fn *done)
{
    start(store, &page->base, apply_page, done);
}

/* Other news */

static int apply_say(struct ist_write *write, MDB_txn *txn, struct ist_err *err)
{
    struct feed_said *said = IST_CONTAINER(write, struct feed_said, base.write);
    struct feed_txn t;
    int rc = feed_txn_begin(&t, &said->base, txn, -1, err);

    if (rc == 0)
        rc = feed_txn_emit(&t, &said->event, true);
    return rc ? rc : feed_txn_end(&t);
}

void feed_store_say(struct feed_store *store, struct feed_said *said,
                    feed_written_fn *done)
{
    start(store, &said->base, apply_say, done);
}

static int apply_confirm(struct ist_write *write, MDB_txn *txn,
                         struct ist_err *err)
{
    struct feed_confirm *confirm =
        IST_CONTAINER(write, struct feed_confirm, base.write);
    uint64_t n_sent = 0;
    struct feed_txn t;
    int rc = feed_txn_begin(&t, &confirm->base, txn, -1, err);

    if (rc == 0)
        rc = feed_txn_drop(&t, confirm->upto + 1, &n_sent);
    return rc ? rc : feed_txn_end(&t);
}

/* At the cap it is what makes room, but then it shares its transaction with
 * none: so only then. */
static void on_confirmed(struct ist_op *op)
{
    struct feed_write *base = IST_CONTAINER(op, struct feed_write, write.op);
    struct feed_store *store = base->store;

    if (op->rc != -ENOSPC) {
        on_written(op);
        return;
    }
    ist_op_prepare(&base->write.op, store->loop, NULL, 0, on_written);
    ist_tree_make_room(store->tree, &base->write, apply_confirm);
}

void feed_store_confirm(struct feed_store *store, struct feed_confirm *confirm,
                        feed_written_fn *done)
{
    struct feed_write *base = &confirm->base;

    base->store = store;
    base->done = done;
    ist_op_prepare(&base->write.op, store->loop, NULL, 0, on_confirmed);
    ist_tree_write(store->tree, &base->write, apply_confirm);
}
