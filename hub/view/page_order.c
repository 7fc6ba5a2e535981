/* Walking a map in the order wanted, of all projects or of one. Rows come in
 * groups of one value of the sort key. A group is walked forwards, whatever the
 * direction, since site and id ascend; the groups come in the direction. Once a
 * group has ended and the page is full, what follows cannot be on it.
 *
 * With more sort keys a group must be read whole before its first row is known.
 * When it is large, its rows are common, so the map of the next key is walked
 * instead, for those of its rows that are of the group: to look at n rows of
 * the group, or at about page * all / n rows of that map, whichever is less. */
#include "view/page_priv.h"

#include "view/sorted.h"

#include <string.h>

static uint64_t isqrt(uint64_t n)
{
    uint64_t root = 0;

    for (uint64_t bit = UINT64_C(1) << 31; bit; bit >>= 1) {
        if ((root + bit) * (root + bit) <= n)
            root += bit;
    }
    return root;
}

struct groups {
    struct walk *walk;
    const char *project; /* NULL: all. */
    size_t level;        /* Which of the sort keys. */
    MDB_cursor *cursor;
    struct view_key scope, group; /* group: the scope and a value. */
    MDB_val at;                   /* The key that the cursor is at. */
    size_t n_kept;
};

/* Moves the cursor; false: there is nothing there, or not of the scope. */
static bool move(struct groups *g, const struct view_key *to, MDB_cursor_op op)
{
    MDB_val value;
    int rc;

    if (to)
        g->at = view_key_val(to);
    rc = mdb_cursor_get(g->cursor, &g->at, &value, op);
    if (rc && rc != MDB_NOTFOUND)
        g->walk->rc = rc;
    return rc == 0 && view_key_begins(&g->scope, &g->at);
}

/* To the entry before the first that is not below 'to'. */
static bool move_before(struct groups *g, const struct view_key *to)
{
    MDB_val value;
    int rc;

    g->at = view_key_val(to);
    rc = mdb_cursor_get(g->cursor, &g->at, &value, MDB_SET_RANGE);
    if (rc && rc != MDB_NOTFOUND)
        g->walk->rc = rc;
    return move(g, NULL, rc == 0 ? MDB_PREV : MDB_LAST);
}

/* The value of the entry that the cursor is at becomes the group. */
static bool take_group(struct groups *g)
{
    struct ist_bytes id;
    const char *site;
    size_t len;

    if (!view_key_sort_parse(&g->at, &g->scope, &len, &site, &id))
        return false;
    memcpy(g->group.data, g->at.mv_data, len);
    g->group.len = len;
    return true;
}

/* Rows of a group are in order but for more sort keys, or a value cut. */
static bool is_exact(const struct groups *g)
{
    return g->level + 1 >= g->walk->query->n_sort &&
           g->group.len - g->scope.len < VIEW_VALUE_MAX;
}

static bool is_full(const struct groups *g)
{
    return g->n_kept >= g->walk->wanted;
}

/* How many rows the group has, 'max' at most; the cursor is at its first, and
 * is there again. */
static size_t count_group(struct groups *g, size_t max)
{
    size_t n = 0;

    for (bool more = true;
         more && n < max && view_key_begins(&g->group, &g->at);
         more = move(g, NULL, MDB_NEXT))
        n++;
    return move(g, &g->group, MDB_SET_RANGE) ? n : 0;
}

/* The value that the rows of the group share, whole. */
static bool group_value(struct groups *g, struct ist_bytes *ret)
{
    struct view_stored stored;
    struct view_key key;
    struct ist_bytes id;
    const char *site;
    MDB_val k, value;
    size_t len;

    if (!view_key_sort_parse(&g->at, &g->scope, &len, &site, &id))
        return false;
    view_key_row(&key, g->walk->kind, site, &id);
    k = view_key_val(&key);
    if (mdb_get(g->walk->txn, g->walk->view->maps[VIEW_ROW], &k, &value) ||
        !view_row_read(value.mv_data, value.mv_size, &stored))
        return false;
    *ret = view_row_key(g->walk->query->kind, (size_t) g->walk->sort[g->level],
                        &stored, &id);
    return true;
}

/* Is it cheaper to walk the next key's map than to read the group? */
static bool is_large(struct groups *g)
{
    const struct view_query *query = g->walk->query;
    size_t n, most;

    if (g->level + 1 >= query->n_sort ||
        !view_sorted_member(query->sort[g->level + 1].name) ||
        g->group.len - g->scope.len >= VIEW_VALUE_MAX)
        return false;
    most = isqrt(g->walk->wanted * page_count_all(g->walk));
    n = count_group(g, most + 1);
    return n > most;
}

static void walk_level(struct walk *walk, const char *project, size_t level,
                       size_t *n_kept);

static void walk_inner(struct groups *g)
{
    struct walk *walk = g->walk;

    if (!group_value(g, &walk->fixed[g->level]))
        return;
    walk->n_fixed = g->level + 1;
    walk_level(walk, g->project, g->level + 1, &g->n_kept);
    walk->n_fixed = g->level;
}

/* From the cursor to the end of its group. */
static void walk_group(struct groups *g)
{
    bool exact = is_exact(g), more = true;
    struct ist_bytes id;
    const char *site;
    size_t len;

    if (is_large(g)) {
        walk_inner(g);
        return;
    }
    while (more && view_key_begins(&g->group, &g->at) &&
           page_may_look(g->walk)) {
        if (view_key_sort_parse(&g->at, &g->scope, &len, &site, &id) &&
            len == g->group.len)
            g->n_kept += page_look_at(g->walk, site, &id);
        if (exact && is_full(g))
            return;
        more = move(g, NULL, MDB_NEXT);
    }
}

/* Within the group of the place to go on behind, where that can be told. */
static void seek_after(struct groups *g)
{
    const struct ist_place *after = g->walk->query->after;
    struct view_key from = g->group;

    if (is_exact(g) && strlen(after->site) < 64 &&
        after->id.size <= IST_ORDER_ID_MAX)
        view_key_add_row(&from, after->site, &after->id);
    if (move(g, &from, MDB_SET_RANGE))
        walk_group(g);
}

/* The place to go on behind lies among the rows walked. */
static bool is_after_within(const struct groups *g)
{
    return g->walk->query->after &&
           page_is_of_group(g->walk, g->walk->query->after);
}

static void walk_up(struct groups *g)
{
    struct view_key next;
    bool more;

    if (is_after_within(g)) {
        seek_after(g);
        next = g->group;
        next.data[next.len - 1] = 1; /* Behind 00 00, before 00 FF. */
        more = move(g, &next, MDB_SET_RANGE);
    } else {
        more = move(g, &g->scope, MDB_SET_RANGE);
    }
    while (more && !is_full(g) && !g->walk->is_cut && !g->walk->rc &&
           take_group(g)) {
        walk_group(g);
        next = g->group;
        next.data[next.len - 1] = 1;
        more = move(g, &next, MDB_SET_RANGE);
    }
}

static void walk_down(struct groups *g)
{
    struct view_key end = g->scope;
    bool more;

    if (is_after_within(g)) {
        seek_after(g);
        more = move_before(g, &g->group);
    } else {
        memset(end.data + end.len, 0xFF, VIEW_KEY_MAX - end.len);
        end.len = VIEW_KEY_MAX;
        more = move_before(g, &end);
    }
    while (more && !is_full(g) && !g->walk->is_cut && !g->walk->rc &&
           take_group(g)) {
        if (move(g, &g->group, MDB_SET_RANGE))
            walk_group(g);
        more = move_before(g, &g->group);
    }
}

static void walk_level(struct walk *walk, const char *project, size_t level,
                       size_t *n_kept)
{
    const struct view_query *query = walk->query;
    struct ist_bytes bytes = {project, project ? strlen(project) : 0};
    struct groups g = {
        .walk = walk, .project = project, .level = level, .n_kept = *n_kept};

    walk->rc =
        mdb_cursor_open(walk->txn, walk->view->maps[VIEW_SORT], &g.cursor);
    if (walk->rc)
        return;
    view_key_scope(&g.scope, walk->kind,
                   view_sorted_member(query->sort[level].name),
                   project ? &bytes : NULL);
    g.group = g.scope;
    if (is_after_within(&g))
        view_key_add_value(&g.group, &query->after->keys[level]);
    if (query->sort[level].descending)
        walk_down(&g);
    else
        walk_up(&g);
    mdb_cursor_close(g.cursor);
    *n_kept = g.n_kept;
}

void page_walk_order(struct walk *walk, const char *project)
{
    size_t n_kept = 0;

    walk_level(walk, project, 0, &n_kept);
}

size_t page_walk_values(struct walk *walk, const struct view_filter *filter,
                        size_t max, bool count)
{
    size_t n = 0;

    for (size_t i = 0; i < filter->n_values && n <= max; i++) {
        struct ist_bytes value = {filter->values[i], strlen(filter->values[i])};
        struct groups g = {.walk = walk};
        struct ist_bytes id;
        const char *site;
        size_t len;

        walk->rc =
            mdb_cursor_open(walk->txn, walk->view->maps[VIEW_SORT], &g.cursor);
        if (walk->rc)
            return n;
        view_key_scope(&g.scope, walk->kind, view_sorted_member(filter->name),
                       NULL);
        g.group = g.scope;
        view_key_add_value(&g.group, &value);
        for (bool more = move(&g, &g.group, MDB_SET_RANGE);
             more && view_key_begins(&g.group, &g.at) && n <= max;
             more = move(&g, NULL, MDB_NEXT)) {
            n++;
            if (!count &&
                view_key_sort_parse(&g.at, &g.scope, &len, &site, &id))
                page_look_at(walk, site, &id);
        }
        mdb_cursor_close(g.cursor);
    }
    return n;
}
