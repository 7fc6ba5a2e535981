/* LMDB, with the keys and the flags of the hub's own view (view/key.h,
 * store/tree.c). */
#include "view_engine.h"

#include "view/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIND 1

struct lmdb {
    MDB_env *env;
    MDB_dbi rows, sorted;
};

static void must(int rc, const char *what)
{
    if (rc)
        ve_die("lmdb: %s: %s", what, mdb_strerror(rc));
}

static void *lmdb_open(const char *dir, uint64_t n_rows)
{
    struct lmdb *db = calloc(1, sizeof(*db));
    char path[4096];
    MDB_txn *txn;

    if (!db)
        ve_die("out of memory");
    snprintf(path, sizeof(path), "%s/view", dir);
    must(mdb_env_create(&db->env), path);
    must(mdb_env_set_mapsize(db->env, (256U << 20) + n_rows * 16384), path);
    must(mdb_env_set_maxdbs(db->env, 2), path);
    must(mdb_env_open(db->env, path,
                      MDB_NOSUBDIR | MDB_NOTLS | MDB_NOMETASYNC | MDB_NORDAHEAD,
                      0600),
         path);
    must(mdb_txn_begin(db->env, NULL, 0, &txn), path);
    must(mdb_dbi_open(txn, "view.row", MDB_CREATE, &db->rows), path);
    must(mdb_dbi_open(txn, "view.sort", MDB_CREATE, &db->sorted), path);
    must(mdb_txn_commit(txn), path);
    return db;
}

static void lmdb_settle(void *self)
{
    struct lmdb *db = self;

    must(mdb_env_sync(db->env, 1), "sync");
}

static void lmdb_close(void *self)
{
    struct lmdb *db = self;

    lmdb_settle(db);
    mdb_env_close(db->env);
    free(db);
}

/* Writing */

static void sort_key(struct view_key *key, int member, bool in_project,
                     const struct ve_row *row)
{
    view_key_scope(key, KIND, (uint8_t) (member + 1),
                   in_project ? &row->project : NULL);
    view_key_add_value(key, &row->keys[member]);
    view_key_add_row(key, row->site, &row->keys[VE_ID]);
}

static void sort_del(struct lmdb *db, MDB_txn *txn, int member, bool in_project,
                     const struct ve_row *row)
{
    struct view_key key;
    MDB_val k;

    sort_key(&key, member, in_project, row);
    k = view_key_val(&key);
    must(mdb_del(txn, db->sorted, &k, NULL), "deleting");
}

static void sort_put(struct lmdb *db, MDB_txn *txn, int member, bool in_project,
                     const struct ve_row *row)
{
    MDB_val k, nothing = view_val("", 0);
    struct view_key key;

    sort_key(&key, member, in_project, row);
    k = view_key_val(&key);
    must(mdb_put(txn, db->sorted, &k, &nothing, 0), "writing");
}

/* Either may be NULL: there was none, there is none. */
static void sort_move(struct lmdb *db, MDB_txn *txn, const struct ve_row *old,
                      const struct ve_row *new)
{
    for (int i = 0; i < VE_MEMBERS * 2; i++) {
        int member = i / 2;
        bool in_project = i % 2;

        if (old && new &&ve_equal(&old->keys[member], &new->keys[member]) &&
            (!in_project || ve_equal(&old->project, &new->project)))
            continue;
        if (old)
            sort_del(db, txn, member, in_project, old);
        if (new)
            sort_put(db, txn, member, in_project, new);
    }
}

static void apply(struct lmdb *db, MDB_txn *txn, const struct ve_change *change)
{
    uint8_t was[VE_PACKED_MAX], is[VE_PACKED_MAX];
    const struct ve_row *row = &change->row;
    struct view_key key;
    struct ve_row old;
    MDB_val k, value;
    int rc;

    view_key_row(&key, KIND, row->site, &row->keys[VE_ID]);
    k = view_key_val(&key);
    rc = mdb_get(txn, db->rows, &k, &value);
    if (rc != MDB_NOTFOUND) {
        must(rc, "reading");
        memcpy(was, value.mv_data, value.mv_size);
        ve_unpack(was, value.mv_size, &old);
    } else if (change->is_delete) {
        return;
    }
    sort_move(db, txn, rc ? NULL : &old, change->is_delete ? NULL : row);
    if (change->is_delete) {
        must(mdb_del(txn, db->rows, &k, NULL), "deleting");
    } else {
        value = view_val(is, ve_pack(row, is));
        must(mdb_put(txn, db->rows, &k, &value, 0), "writing");
    }
}

static void lmdb_write(void *self, const struct ve_change *changes, size_t n)
{
    struct lmdb *db = self;
    MDB_txn *txn;

    must(mdb_txn_begin(db->env, NULL, 0, &txn), "beginning");
    for (size_t i = 0; i < n; i++)
        apply(db, txn, &changes[i]);
    must(mdb_txn_commit(txn), "committing");
}

/* Reading: groups of one value, each forwards, in the direction */

struct walk {
    const struct lmdb *db;
    const struct ve_query *query;
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val at;
    struct view_key scope;
    size_t n;
    ve_emit *emit;
    void *arg;
};

static bool move(struct walk *walk, const struct view_key *to, MDB_cursor_op op)
{
    MDB_val value;
    int rc;

    if (to)
        walk->at = view_key_val(to);
    rc = mdb_cursor_get(walk->cursor, &walk->at, &value, op);
    if (rc != MDB_NOTFOUND)
        must(rc, "walking");
    return rc == 0 && view_key_begins(&walk->scope, &walk->at);
}

static bool move_before(struct walk *walk, const struct view_key *to)
{
    MDB_val value;
    int rc;

    walk->at = view_key_val(to);
    rc = mdb_cursor_get(walk->cursor, &walk->at, &value, MDB_SET_RANGE);
    if (rc != MDB_NOTFOUND)
        must(rc, "walking");
    return move(walk, NULL, rc == 0 ? MDB_PREV : MDB_LAST);
}

/* The row of the sort key that the cursor is at. */
static void emit_at(struct walk *walk)
{
    struct view_key key;
    struct ist_bytes id;
    struct ve_row row;
    const char *site;
    MDB_val k, value;
    size_t len;

    if (!view_key_sort_parse(&walk->at, &walk->scope, &len, &site, &id))
        ve_die("lmdb: a key that is none");
    view_key_row(&key, KIND, site, &id);
    k = view_key_val(&key);
    must(mdb_get(walk->txn, walk->db->rows, &k, &value), "a row");
    ve_unpack(value.mv_data, value.mv_size, &row);
    walk->emit(walk->arg, row.site, &row.keys[VE_ID], &row.body);
    walk->n++;
}

/* The scope and the value that the cursor is at. */
static void take_group(const struct walk *walk, struct view_key *group)
{
    struct ist_bytes id;
    const char *site;

    if (!view_key_sort_parse(&walk->at, &walk->scope, &group->len, &site, &id))
        ve_die("lmdb: a key that is none");
    memcpy(group->data, walk->at.mv_data, group->len);
}

static bool is_full(const struct walk *walk)
{
    return walk->n == walk->query->limit;
}

static void walk_group(struct walk *walk, const struct view_key *group)
{
    bool more = true;

    while (more && !is_full(walk) && view_key_begins(group, &walk->at)) {
        emit_at(walk);
        more = move(walk, NULL, MDB_NEXT);
    }
}

/* To the first entry behind the place of a row. */
static bool move_after(struct walk *walk, const struct ve_row *row)
{
    struct view_key key;

    sort_key(&key, (int) walk->query->member, walk->query->project != NULL,
             row);
    if (!move(walk, &key, MDB_SET_RANGE))
        return false;
    if (walk->at.mv_size == key.len && view_key_begins(&key, &walk->at))
        return move(walk, NULL, MDB_NEXT);
    return true;
}

static void walk_up(struct walk *walk)
{
    const struct ve_row *after = walk->query->after;
    bool more = after ? move_after(walk, after)
                      : move(walk, &walk->scope, MDB_SET_RANGE);

    while (more && !is_full(walk)) {
        emit_at(walk);
        more = move(walk, NULL, MDB_NEXT);
    }
}

/* A group of one, which most are, is found by one step back. */
static bool walk_last_group(struct walk *walk)
{
    struct view_key group, last = {.len = 0};

    take_group(walk, &group);
    memcpy(last.data, walk->at.mv_data, walk->at.mv_size);
    last.len = walk->at.mv_size;
    if (move(walk, NULL, MDB_PREV) && !view_key_begins(&group, &walk->at)) {
        MDB_val before = walk->at;

        walk->at = view_key_val(&last);
        emit_at(walk);
        walk->at = before;
        return true;
    }
    if (move(walk, &group, MDB_SET_RANGE))
        walk_group(walk, &group);
    return move_before(walk, &group);
}

static void walk_down(struct walk *walk)
{
    const struct ve_row *after = walk->query->after;
    struct view_key bound = walk->scope;
    bool more;

    if (after) {
        view_key_add_value(&bound, &after->keys[walk->query->member]);
        if (move_after(walk, after))
            walk_group(walk, &bound);
    } else {
        memset(bound.data + bound.len, 0xFF, VIEW_KEY_MAX - bound.len);
        bound.len = VIEW_KEY_MAX;
    }
    more = move_before(walk, &bound);
    while (more && !is_full(walk))
        more = walk_last_group(walk);
}

static void begin(struct walk *walk)
{
    must(mdb_txn_begin(walk->db->env, NULL, MDB_RDONLY, &walk->txn), "reading");
    must(mdb_cursor_open(walk->txn, walk->db->sorted, &walk->cursor),
         "reading");
}

static void end(struct walk *walk)
{
    mdb_cursor_close(walk->cursor);
    mdb_txn_abort(walk->txn);
}

static void lmdb_page(void *self, const struct ve_query *query, ve_emit *emit,
                      void *arg)
{
    struct walk walk = {.db = self, .query = query, .emit = emit, .arg = arg};

    begin(&walk);
    view_key_scope(&walk.scope, KIND, (uint8_t) (query->member + 1),
                   query->project);
    if (query->descending)
        walk_down(&walk);
    else
        walk_up(&walk);
    end(&walk);
}

static void lmdb_lookup(void *self, const struct ist_bytes *id, ve_emit *emit,
                        void *arg)
{
    struct ve_query query = {.member = VE_ID, .limit = SIZE_MAX};
    struct walk walk = {.db = self, .query = &query, .emit = emit, .arg = arg};
    struct view_key group;

    begin(&walk);
    view_key_scope(&walk.scope, KIND, VE_ID + 1, NULL);
    group = walk.scope;
    view_key_add_value(&group, id);
    if (move(&walk, &group, MDB_SET_RANGE))
        walk_group(&walk, &group);
    end(&walk);
}

const struct ve_engine ve_lmdb = {
    .name = "lmdb",
    .flushes = "fdatasync of the pages; root with the next",
    .loses = "at most the last transaction",
    .open = lmdb_open,
    .write = lmdb_write,
    .settle = lmdb_settle,
    .page = lmdb_page,
    .lookup = lmdb_lookup,
    .close = lmdb_close,
};
