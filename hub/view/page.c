/* A page is found in three steps: choose what to walk, walk it and keep what
 * fits, copy the best out of the map.
 *
 * Walked is the cheapest of: the rows of the ids asked for; the rows of the
 * sites asked for, when these are few; the rows with a name or status asked
 * for, when these are few; the map in the order wanted (page_order.c), of all
 * projects or of each one asked for. */
#include "view/page_priv.h"
#include "view/sorted.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FEW_ROWS     5000 /* Cheaper to look at than to walk past. */
#define PROJECTS_MAX 16   /* Walked one by one; more: one walk of all. */

/* Keeping the best */

static const struct ist_order *sorting; /* For qsort(); the loop is one. */

static int by_place(const void *a, const void *b)
{
    const struct view_row *x = a, *y = b;

    return ist_order_cmp(sorting, &x->place, &y->place);
}

static void prune(struct walk *walk)
{
    sorting = &walk->order;
    qsort(walk->best, walk->n_best, sizeof(walk->best[0]), by_place);
    if (walk->n_best > walk->wanted)
        walk->n_best = walk->wanted;
}

static void keep(struct walk *walk, const struct view_row *row)
{
    if (walk->n_best == 2 * walk->wanted)
        prune(walk);
    walk->best[walk->n_best++] = *row;
}

/* Does a row belong? */

static bool is_among(const struct ist_bytes *text, char *const *values,
                     size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(values[i]) == text->size &&
            memcmp(values[i], text->data, text->size) == 0)
            return true;
    }
    return false;
}

static bool is_site_wanted(const struct walk *walk, const char *site)
{
    struct ist_bytes name = {site, strlen(site)};

    return !walk->query->sites ||
           is_among(&name, walk->query->sites, walk->query->n_sites);
}

static bool is_project_wanted(const struct walk *walk,
                              const struct view_stored *row,
                              const struct ist_bytes *id)
{
    const struct view_query *query = walk->query;
    struct ist_bytes project;

    if (!query->projects)
        return true;
    if (walk->project < 0)
        return false;
    project = view_row_key(query->kind, (size_t) walk->project, row, id);
    return is_among(&project, query->projects, query->n_projects);
}

static bool is_filtered_out(const struct walk *walk,
                            const struct view_stored *row,
                            const struct ist_bytes *id)
{
    const struct view_query *query = walk->query;

    for (size_t i = 0; i < query->n_filters; i++) {
        int member = view_member(query->kind, query->filters[i].name);
        struct ist_bytes value;

        if (member < 0)
            return true;
        value = view_row_key(query->kind, (size_t) member, row, id);
        if (!is_among(&value, query->filters[i].values,
                      query->filters[i].n_values))
            return true;
    }
    return false;
}

bool page_is_of_group(const struct walk *walk, const struct ist_place *place)
{
    for (size_t i = 0; i < walk->n_fixed; i++) {
        if (place->keys[i].size != walk->fixed[i].size ||
            memcmp(place->keys[i].data, walk->fixed[i].data,
                   walk->fixed[i].size) != 0)
            return false;
    }
    return true;
}

/* Looks at one row, whose key is known; true: it was kept. */
bool page_look_at(struct walk *walk, const char *site,
                  const struct ist_bytes *id)
{
    const struct view_query *query = walk->query;
    struct view_row row = {.place = {.site = site, .id = *id}};
    struct view_stored stored;
    struct view_key key;
    MDB_val k, value;

    if (!is_site_wanted(walk, site))
        return false;
    view_key_row(&key, walk->kind, site, id);
    k = view_key_val(&key);
    if (mdb_get(walk->txn, walk->view->maps[VIEW_ROW], &k, &value) ||
        !view_row_read(value.mv_data, value.mv_size, &stored) ||
        !is_project_wanted(walk, &stored, id) ||
        is_filtered_out(walk, &stored, id))
        return false;
    for (size_t i = 0; i < query->n_sort; i++)
        row.place.keys[i] =
            view_row_key(query->kind, (size_t) walk->sort[i], &stored, id);
    if (!page_is_of_group(walk, &row.place) ||
        (query->after &&
         ist_order_cmp(&walk->order, &row.place, query->after) <= 0))
        return false;
    row.body = stored.body;
    keep(walk, &row);
    return true;
}

bool page_may_look(struct walk *walk)
{
    size_t max = walk->query->scan_max;

    if (max && walk->n_looked == max)
        walk->is_cut = true;
    walk->n_looked++;
    return !walk->is_cut && !walk->rc;
}

/* Walking everything else */

/* All rows that begin so, up to 'max'. */
static void walk_rows(struct walk *walk, const char *site)
{
    struct view_key prefix;
    MDB_cursor *cursor;
    MDB_val k, value;
    struct ist_bytes id;
    int rc = mdb_cursor_open(walk->txn, walk->view->maps[VIEW_ROW], &cursor);

    if (rc) {
        walk->rc = rc;
        return;
    }
    view_key_row(&prefix, walk->kind, site ? site : "", NULL);
    if (!site)
        prefix.len = 2;
    k = view_key_val(&prefix);
    rc = mdb_cursor_get(cursor, &k, &value, MDB_SET_RANGE);
    while (rc == 0 && view_key_begins(&prefix, &k) && page_may_look(walk)) {
        if (view_key_row_parse(&k, &site, &id))
            page_look_at(walk, site, &id);
        rc = mdb_cursor_get(cursor, &k, &value, MDB_NEXT);
    }
    if (rc && rc != MDB_NOTFOUND)
        walk->rc = rc;
    mdb_cursor_close(cursor);
}

typedef void each_site_fn(struct walk *, const char *site, uint64_t n_rows,
                          void *arg);

/* Sites that have rows of the kind. */
static void each_site(struct walk *walk, each_site_fn *fn, void *arg)
{
    struct view_state state;
    struct view_key prefix;
    MDB_cursor *cursor;
    MDB_val k, value;
    struct ist_bytes rest;
    const char *site;
    int rc = mdb_cursor_open(walk->txn, walk->view->maps[VIEW_STATE], &cursor);

    if (rc) {
        walk->rc = rc;
        return;
    }
    view_key_row(&prefix, walk->kind, "", NULL);
    prefix.len = 2;
    k = view_key_val(&prefix);
    rc = mdb_cursor_get(cursor, &k, &value, MDB_SET_RANGE);
    while (rc == 0 && view_key_begins(&prefix, &k)) {
        if (value.mv_size == sizeof(state) &&
            view_key_row_parse(&k, &site, &rest)) {
            memcpy(&state, value.mv_data, sizeof(state));
            if (state.n_rows && is_site_wanted(walk, site))
                fn(walk, site, state.n_rows, arg);
        }
        rc = mdb_cursor_get(cursor, &k, &value, MDB_NEXT);
    }
    if (rc && rc != MDB_NOTFOUND)
        walk->rc = rc;
    mdb_cursor_close(cursor);
}

static void add_rows(struct walk *walk, const char *site, uint64_t n, void *arg)
{
    (void) walk, (void) site;
    *(uint64_t *) arg += n;
}

uint64_t page_count_all(struct walk *walk)
{
    if (!walk->n_all)
        each_site(walk, add_rows, &walk->n_all);
    return walk->n_all;
}

static void walk_site(struct walk *walk, const char *site, uint64_t n,
                      void *arg)
{
    (void) n, (void) arg;
    walk_rows(walk, site);
}

static void look_up(struct walk *walk, const char *site, uint64_t n, void *arg)
{
    const struct view_filter *ids = arg;

    (void) n;
    for (size_t i = 0; i < ids->n_values; i++) {
        struct ist_bytes id = {ids->values[i], strlen(ids->values[i])};

        if (id.size && id.size <= IST_ORDER_ID_MAX)
            page_look_at(walk, site, &id);
    }
}

/* Choosing */

static const struct view_filter *filter_of(const struct walk *walk,
                                           const char *name)
{
    for (size_t i = 0; i < walk->query->n_filters; i++) {
        if (strcmp(walk->query->filters[i].name, name) == 0)
            return &walk->query->filters[i];
    }
    return NULL;
}

static bool try_ids(struct walk *walk)
{
    const struct view_filter *ids = filter_of(walk, "id");

    if (ids)
        each_site(walk, look_up, (void *) (uintptr_t) ids);
    return ids != NULL;
}

static bool try_sites(struct walk *walk)
{
    uint64_t n = 0;

    if (!walk->query->sites)
        return false;
    each_site(walk, add_rows, &n);
    if (n > FEW_ROWS)
        return false;
    each_site(walk, walk_site, NULL);
    return true;
}

static bool try_values(struct walk *walk)
{
    static const char *const names[] = {"name", "status"};

    for (size_t i = 0; i < IST_COUNT(names); i++) {
        const struct view_filter *filter = filter_of(walk, names[i]);

        if (filter && view_member(walk->query->kind, names[i]) >= 0 &&
            page_walk_values(walk, filter, FEW_ROWS, true) <= FEW_ROWS) {
            page_walk_values(walk, filter, FEW_ROWS, false);
            return true;
        }
    }
    return false;
}

static bool try_order(struct walk *walk)
{
    const struct view_query *query = walk->query;

    if (query->n_sort == 0 || !view_sorted_member(query->sort[0].name))
        return false;
    if (query->projects && query->n_projects <= PROJECTS_MAX) {
        for (size_t i = 0; i < query->n_projects; i++)
            page_walk_order(walk, query->projects[i]);
    } else {
        page_walk_order(walk, NULL);
    }
    return true;
}

static bool walk_all(struct walk *walk)
{
    walk_rows(walk, NULL);
    return true;
}

static void choose(struct walk *walk)
{
    static bool (*const ways[])(struct walk *) = {
        try_ids, try_sites, try_values, try_order, walk_all,
    };

    for (size_t i = 0; i < IST_COUNT(ways); i++) {
        if (ways[i](walk))
            return;
    }
}

/* Copying out */

static bool copy_bytes(struct ist_arena *arena, struct ist_bytes *bytes)
{
    void *copy = ist_arena_dup(arena, bytes->data, bytes->size);

    bytes->data = copy;
    return copy != NULL;
}

static bool copy_row(struct ist_arena *arena, struct view_row *row,
                     size_t n_keys)
{
    bool ok =
        copy_bytes(arena, &row->body) && copy_bytes(arena, &row->place.id);

    for (size_t i = 0; i < n_keys && ok; i++)
        ok = copy_bytes(arena, &row->place.keys[i]);
    row->place.site = ok ? ist_arena_strdup(arena, row->place.site) : NULL;
    return row->place.site != NULL;
}

static int copy_out(struct walk *walk, struct ist_arena *arena,
                    struct view_page *ret, struct ist_err *err)
{
    const struct view_query *query = walk->query;

    prune(walk);
    ret->has_more = walk->n_best > query->limit;
    ret->is_cut = walk->is_cut;
    ret->n_rows = ret->has_more ? query->limit : walk->n_best;
    ret->rows =
        ist_arena_dup(arena, walk->best, ret->n_rows * sizeof(walk->best[0]));
    for (size_t i = 0; ret->rows && i < ret->n_rows; i++) {
        if (!copy_row(arena, &ret->rows[i], query->n_sort))
            ret->rows = NULL;
    }
    return ret->rows ? 0
                     : ist_err_set(err, -ENOBUFS,
                                   "the page is larger than a request may "
                                   "hold: ask for fewer rows");
}

static int plan(struct walk *walk, struct ist_err *err)
{
    const struct view_query *query = walk->query;

    walk->kind = view_kind_number(walk->view, query->kind);
    walk->project = view_member(query->kind, "project");
    walk->wanted = query->limit + 1;
    walk->order.n_keys = query->n_sort;
    for (size_t i = 0; i < query->n_sort; i++) {
        walk->sort[i] = view_member(query->kind, query->sort[i].name);
        walk->order.descending[i] = query->sort[i].descending;
        if (walk->sort[i] < 0)
            return ist_err_set(err, -EINVAL, "%s cannot be sorted by %s",
                               query->kind->plural, query->sort[i].name);
    }
    walk->best = malloc(2 * walk->wanted * sizeof(walk->best[0]));
    return walk->best ? 0 : ist_err_set(err, -ENOMEM, "out of memory");
}

int view_page(struct view *view, const struct view_query *query,
              struct ist_arena *arena, struct view_page *ret,
              struct ist_err *err)
{
    struct walk walk = {.view = view, .query = query};
    int rc = plan(&walk, err);

    if (rc == 0)
        rc = ist_tree_read(view->tree, &walk.txn, err);
    if (rc == 0) {
        choose(&walk);
        rc = walk.rc ? ist_tree_fault(walk.rc, "reading the view", err)
                     : copy_out(&walk, arena, ret, err);
        mdb_txn_abort(walk.txn);
    }
    free(walk.best);
    return rc;
}

int view_show(struct view *view, const struct ist_kind *kind, const char *id,
              const char *site, struct ist_arena *arena, struct view_page *ret,
              struct ist_err *err)
{
    char *ids[] = {(char *) (uintptr_t) id};
    char *sites[] = {(char *) (uintptr_t) site};
    struct view_filter filter = {.name = "id", .values = ids, .n_values = 1};
    struct view_query query = {.kind = kind,
                               .filters = &filter,
                               .n_filters = 1,
                               .sites = site ? sites : NULL,
                               .n_sites = site ? 1 : 0,
                               .limit = VIEW_SITES_MAX};

    return view_page(view, &query, arena, ret, err);
}
