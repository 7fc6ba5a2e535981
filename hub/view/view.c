/* Opening, and writing: a row, its maps, and the count of its kind and site
 * change together, in the caller's transaction. */
#include "view/view.h"

#include "view/row.h"
#include "view/sorted.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the maps. Another one in the file: all rows are dropped, and come again
 * from the sites. */
#define VERSION 1U

static const char *const map_names[VIEW_MAPS] = {
    "view.row", "view.sort", "view.search", "view.state", "view.kind"};

/* Opening */

static int drop_rows(struct view *view, MDB_txn *txn)
{
    int rc = 0;

    for (size_t i = 0; i < VIEW_MAPS && rc == 0; i++)
        rc = mdb_drop(txn, view->maps[i], 0);
    return rc;
}

static int get_u32(struct view *view, MDB_txn *txn, const char *name,
                   uint32_t *ret)
{
    MDB_val key = view_val(name, strlen(name)), value;
    int rc = mdb_get(txn, view->maps[VIEW_KIND], &key, &value);

    *ret = 0;
    if (rc == 0 && value.mv_size == sizeof(*ret))
        memcpy(ret, value.mv_data, sizeof(*ret));
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int put_u32(struct view *view, MDB_txn *txn, const char *name,
                   uint32_t n)
{
    MDB_val key = view_val(name, strlen(name)), value = view_val(&n, sizeof(n));

    return mdb_put(txn, view->maps[VIEW_KIND], &key, &value, 0);
}

/* "#" begins no kind's name. */
static int check_version(struct view *view, MDB_txn *txn)
{
    uint32_t version;
    int rc = get_u32(view, txn, "#version", &version);

    if (rc || version == VERSION)
        return rc;
    rc = drop_rows(view, txn);
    return rc ? rc : put_u32(view, txn, "#version", VERSION);
}

/* Each kind has the number that it was given first. */
static int number_kinds(struct view *view, MDB_txn *txn)
{
    const struct ist_kind *kinds;
    uint32_t last, number;
    size_t n;
    int rc = get_u32(view, txn, "#last", &last);

    kinds = ist_kinds(&n);
    for (size_t i = 0; i < n && i < VIEW_KINDS_MAX && rc == 0; i++) {
        rc = get_u32(view, txn, kinds[i].name, &number);
        if (rc == 0 && number == 0) {
            number = ++last;
            rc = put_u32(view, txn, kinds[i].name, number);
        }
        view->numbers[i] = (uint16_t) number;
    }
    return rc ? rc : put_u32(view, txn, "#last", last);
}

static int apply_opening(struct view *view, MDB_txn *txn)
{
    int rc = check_version(view, txn);

    return rc ? rc : number_kinds(view, txn);
}

struct view *view_open(struct ist_tree *tree, struct ist_err *err)
{
    struct view *view = calloc(1, sizeof(*view));
    int rc = view ? 0 : ist_err_set(err, -ENOMEM, "the view: out of memory");
    MDB_txn *txn;

    for (size_t i = 0; i < VIEW_MAPS && rc == 0; i++)
        rc = ist_tree_map(tree, map_names[i], 0, &view->maps[i], err);
    if (rc == 0)
        rc = ist_tree_begin(tree, &txn, err);
    if (rc == 0) {
        view->tree = tree;
        rc = apply_opening(view, txn);
        if (rc)
            mdb_txn_abort(txn);
        else
            rc = mdb_txn_commit(txn);
        rc = ist_tree_fault(rc, "opening the view", err);
    }
    return rc ? view_free(view) : view;
}

struct view *view_free(struct view *view)
{
    free(view);
    return NULL;
}

/* Kinds and their state */

uint16_t view_kind_number(const struct view *view, const struct ist_kind *kind)
{
    size_t n;

    return view->numbers[kind - ist_kinds(&n)];
}

const struct ist_kind *view_kind_of(const struct view *view, uint16_t number)
{
    size_t n;
    const struct ist_kind *kinds = ist_kinds(&n);

    for (size_t i = 0; i < n; i++) {
        if (view->numbers[i] == number)
            return &kinds[i];
    }
    return NULL;
}

int view_state_get(struct view *view, MDB_txn *txn, uint16_t kind,
                   const char *site, struct view_state *ret)
{
    struct view_key key;
    MDB_val k, value;
    int rc;

    *ret = (struct view_state){0};
    view_key_row(&key, kind, site, NULL);
    k = view_key_val(&key);
    rc = mdb_get(txn, view->maps[VIEW_STATE], &k, &value);
    if (rc == 0 && value.mv_size == sizeof(*ret))
        memcpy(ret, value.mv_data, sizeof(*ret));
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int put_state(struct view *view, MDB_txn *txn, uint16_t kind,
                     const char *site, const struct view_state *state)
{
    struct view_key key;
    MDB_val k, value = view_val(state, sizeof(*state));

    view_key_row(&key, kind, site, NULL);
    k = view_key_val(&key);
    return mdb_put(txn, view->maps[VIEW_STATE], &k, &value, 0);
}

uint64_t view_count_site(struct view *view, const char *site)
{
    struct view_state state;
    uint64_t rows = 0;
    MDB_txn *txn;
    size_t n;
    const struct ist_kind *kinds = ist_kinds(&n);

    if (ist_tree_read(view->tree, &txn, NULL))
        return 0;
    for (size_t i = 0; i < n; i++) {
        view_state_get(view, txn, view_kind_number(view, &kinds[i]), site,
                       &state);
        rows += state.n_rows;
    }
    mdb_txn_abort(txn);
    return rows;
}

/* Writing one row */

/* All of one row that a change needs. 'old' borrows from the map until the
 * first write. */
struct change {
    struct view *view;
    MDB_txn *txn;
    struct view_key key;
    struct view_facts before, after;
    struct view_stored old, new;
    struct view_state state;
    struct ist_sb old_bytes; /* A copy, for the map's moves when written to. */
};

static void change_fini(struct change *change)
{
    ist_sb_fini(&change->old_bytes);
}

static int change_begin(struct change *c, struct view *view, MDB_txn *txn,
                        const char *site, const struct ist_kind *kind,
                        const struct ist_bytes *id)
{
    uint16_t number = view_kind_number(view, kind);
    MDB_val k, value;
    int rc;

    c->view = view;
    c->txn = txn;
    c->before = c->after =
        (struct view_facts){.kind = kind, .site = site, .id = *id};
    view_key_row(&c->key, number, site, id);
    rc = view_state_get(view, txn, number, site, &c->state);
    if (rc)
        return rc;
    k = view_key_val(&c->key);
    rc = mdb_get(txn, view->maps[VIEW_ROW], &k, &value);
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc)
        return rc;
    ist_sb_add(&c->old_bytes, value.mv_data, value.mv_size);
    if (c->old_bytes.rc)
        return ENOMEM;
    if (!view_row_read(c->old_bytes.data, c->old_bytes.len, &c->old))
        return MDB_CORRUPTED;
    c->before.row = &c->old;
    return 0;
}

static int change_apply(struct change *c)
{
    int rc = view_sorted_move(c->view, c->txn, &c->before, &c->after);

    if (rc == 0)
        rc = view_search_move(c->view, c->txn, &c->before, &c->after);
    if (rc == 0 && !c->before.row != !c->after.row) {
        c->state.n_rows += c->after.row ? 1 : UINT64_MAX;
        rc =
            put_state(c->view, c->txn, view_kind_number(c->view, c->after.kind),
                      c->after.site, &c->state);
    }
    return rc;
}

static bool is_unchanged(const struct change *c)
{
    if (!c->before.row || c->old.generation != c->new.generation ||
        c->old.n_keys != c->new.n_keys ||
        !ist_bytes_equal(&c->old.body, &c->new.body))
        return false;
    for (size_t i = 0; i < c->new.n_keys; i++) {
        if (!ist_bytes_equal(&c->old.keys[i], &c->new.keys[i]))
            return false;
    }
    return true;
}

static void take_record(struct change *c, const Isthmus__V1__Record *record)
{
    c->new.generation = c->state.generation;
    c->new.n_keys = record->n_keys < IST_KIND_MEMBERS_MAX
                        ? record->n_keys
                        : IST_KIND_MEMBERS_MAX;
    for (size_t i = 0; i < c->new.n_keys; i++) {
        c->new.keys[i] =
            (struct ist_bytes){record->keys[i].data, record->keys[i].len};
        if (c->new.keys[i].size > IST_ORDER_KEY_MAX)
            c->new.keys[i].size = IST_ORDER_KEY_MAX;
    }
    c->new.body = (struct ist_bytes){record->body.data, record->body.len};
    c->after.row = &c->new;
}

static int write_row(struct change *c)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb bytes;
    MDB_val k = view_key_val(&c->key), value;

    ist_sb_init(&bytes, 0);
    view_row_write(&bytes, &c->new);
    if (bytes.rc)
        return ENOMEM;
    value = view_val(bytes.data, bytes.len);
    return mdb_put(c->txn, c->view->maps[VIEW_ROW], &k, &value, 0);
}

int view_upsert(struct view *view, MDB_txn *txn, const char *site,
                const struct ist_kind *kind, const Isthmus__V1__Record *record,
                struct ist_err *err)
{
    IST_CLEANUP(change_fini) struct change c = {.view = NULL};
    struct ist_bytes id = {record->id, strlen(record->id)};
    int rc;

    ist_sb_init(&c.old_bytes, 0);
    if (id.size == 0 || id.size > IST_ORDER_ID_MAX)
        return 0; /* No such row can be asked for. */
    rc = change_begin(&c, view, txn, site, kind, &id);
    if (rc == 0) {
        take_record(&c, record);
        if (is_unchanged(&c))
            return 0;
        rc = write_row(&c);
    }
    if (rc == 0)
        rc = change_apply(&c);
    return ist_tree_fault(rc, "writing a row of the view", err);
}

static int delete_row(struct view *view, MDB_txn *txn, const char *site,
                      const struct ist_kind *kind, const struct ist_bytes *id)
{
    IST_CLEANUP(change_fini) struct change c = {.view = NULL};
    MDB_val k;
    int rc;

    ist_sb_init(&c.old_bytes, 0);
    rc = change_begin(&c, view, txn, site, kind, id);
    if (rc || !c.before.row)
        return rc;
    k = view_key_val(&c.key);
    rc = mdb_del(txn, view->maps[VIEW_ROW], &k, NULL);
    return rc ? rc : change_apply(&c);
}

int view_delete(struct view *view, MDB_txn *txn, const char *site,
                const struct ist_kind *kind, const char *id,
                struct ist_err *err)
{
    struct ist_bytes bytes = {id, strlen(id)};

    if (bytes.size == 0 || bytes.size > IST_ORDER_ID_MAX)
        return 0;
    return ist_tree_fault(delete_row(view, txn, site, kind, &bytes),
                          "deleting a row of the view", err);
}

/* Writing many */

int view_begin(struct view *view, MDB_txn *txn, const char *site,
               const struct ist_kind *kind, struct ist_err *err)
{
    uint16_t number = view_kind_number(view, kind);
    struct view_state state;
    int rc = view_state_get(view, txn, number, site, &state);

    state.generation++;
    state.begun = 1;
    if (rc == 0)
        rc = put_state(view, txn, number, site, &state);
    return ist_tree_fault(rc, "writing the view", err);
}

/* Deletes rows of a kind and site that are not of this generation (0: all),
 * 'max' at most. The key found is copied: deleting moves the maps' bytes. */
static int sweep(struct view *view, MDB_txn *txn, const struct ist_kind *kind,
                 const char *site, uint64_t generation, size_t max,
                 bool *ret_more)
{
    struct view_key prefix, at;
    struct view_stored row;
    size_t n = 0;

    view_key_row(&prefix, view_kind_number(view, kind), site, NULL);
    at = prefix;
    for (;;) {
        MDB_val k = view_key_val(&at), value;
        struct ist_bytes id;
        const char *name;
        MDB_cursor *cursor;
        int rc = mdb_cursor_open(txn, view->maps[VIEW_ROW], &cursor);

        if (rc)
            return rc;
        rc = mdb_cursor_get(cursor, &k, &value, MDB_SET_RANGE);
        while (rc == 0 && view_key_begins(&prefix, &k) &&
               view_row_read(value.mv_data, value.mv_size, &row) &&
               generation && row.generation == generation)
            rc = mdb_cursor_get(cursor, &k, &value, MDB_NEXT);
        mdb_cursor_close(cursor);
        if (rc == MDB_NOTFOUND || (rc == 0 && !view_key_begins(&prefix, &k)))
            return 0;
        if (rc)
            return rc;
        if (n++ == max) {
            *ret_more = true;
            return 0;
        }
        at.len = k.mv_size;
        memcpy(at.data, k.mv_data, k.mv_size);
        k = view_key_val(&at);
        if (!view_key_row_parse(&k, &name, &id))
            return MDB_CORRUPTED;
        rc = delete_row(view, txn, site, kind, &id);
        if (rc)
            return rc;
    }
}

int view_end(struct view *view, MDB_txn *txn, const char *site,
             const struct ist_kind *kind, struct ist_err *err)
{
    uint16_t number = view_kind_number(view, kind);
    struct view_state state;
    bool more = false;
    int rc = view_state_get(view, txn, number, site, &state);

    if (rc == 0 && state.begun) {
        rc = sweep(view, txn, kind, site, state.generation, SIZE_MAX, &more);
        if (rc == 0)
            rc = view_state_get(view, txn, number, site, &state);
        state.begun = 0;
        if (rc == 0)
            rc = put_state(view, txn, number, site, &state);
    }
    return ist_tree_fault(rc, "writing the view", err);
}

int view_drop_site(struct view *view, MDB_txn *txn, const char *site,
                   size_t max, bool *ret_more, struct ist_err *err)
{
    const struct ist_kind *kinds;
    size_t n;
    int rc = 0;

    kinds = ist_kinds(&n);
    *ret_more = false;
    for (size_t i = 0; i < n && rc == 0 && !*ret_more; i++)
        rc = sweep(view, txn, &kinds[i], site, 0, max, ret_more);
    return ist_tree_fault(rc, "dropping a site's rows", err);
}
