/* The view: the last known state of every resource of every site, kept by
 * their feeds, in sorted maps of the hub's file (store/tree.h).
 *
 * A row is its site, kind, id, its project, the keys of all members of its
 * kind (model/kind.h, in that order) and the service's own JSON. For each sort
 * key in general use there is a map in that order, once over all projects and
 * once for each project: a page for a tenant costs what it holds, not what the
 * federation has. Rows of a site that is away stay, with their age.
 *
 * Writing is done inside a transaction of the tree's writer, in the pool;
 * reading from the loop, from one snapshot. */
#ifndef VIEW_VIEW_H
#define VIEW_VIEW_H

#include "base/arena.h"
#include "model/kind.h"
#include "model/order.h"
#include "store/tree.h"

#include "isthmus/v1/record.pb-c.h"

struct view;

/* Opens its maps; blocks, for the start. NULL with 'err'. */
struct view *view_open(struct ist_tree *, struct ist_err *err);
struct view *view_free(struct view *);

/* Writing: in the pool, in 'txn'. 0 or a fault. 'now_ms' is wall time. */

int view_upsert(struct view *, MDB_txn *, const char *site,
                const struct ist_kind *, const Isthmus__V1__Record *,
                struct ist_err *err);
/* Of a row that is not there: nothing. */
int view_delete(struct view *, MDB_txn *, const char *site,
                const struct ist_kind *, const char *id, struct ist_err *err);
/* What follows states the whole kind again ... */
int view_begin(struct view *, MDB_txn *, const char *site,
               const struct ist_kind *, struct ist_err *err);
/* ... and that was all: rows not upserted since are gone. Without a begin:
 * nothing. */
int view_end(struct view *, MDB_txn *, const char *site,
             const struct ist_kind *, struct ist_err *err);
/* A site that was removed: all its rows. At most 'max' of them; '*ret_more':
 * call again. */
int view_drop_site(struct view *, MDB_txn *, const char *site, size_t max,
                   bool *ret_more, struct ist_err *err);

/* Reading: on the loop. */

#define VIEW_SITES_MAX 4096

struct view_filter {
    const char *name; /* A member of the kind, canonical name. */
    char *const *values;
    size_t n_values; /* Any of them; 0: nothing matches. */
};

struct view_query {
    const struct ist_kind *kind;
    struct {
        const char *name;
        bool descending;
    } sort[IST_ORDER_KEYS_MAX];
    size_t n_sort;
    const struct view_filter *filters; /* All must match. */
    size_t n_filters;
    char *const *sites; /* Ascending; NULL: all. */
    size_t n_sites;
    char *const *projects; /* Only rows of these; NULL: whatever project. */
    size_t n_projects;
    const struct ist_place *after; /* NULL: from the start. */
    size_t limit;
    size_t scan_max; /* Rows looked at; 0: no bound. Where it ends the page
                      * early, is_cut. */
};

struct view_row {
    struct ist_place place; /* Keys as sorted, site, id. */
    struct ist_bytes body;
};

/* In the arena. The one total order of model/order.h. */
struct view_page {
    struct view_row *rows;
    size_t n_rows;
    bool has_more, is_cut;
};

int view_page(struct view *, const struct view_query *, struct ist_arena *,
              struct view_page *ret, struct ist_err *err);

/* One row by its id: all sites that have it ('site' NULL), or that one. */
int view_show(struct view *, const struct ist_kind *, const char *id,
              const char *site, struct ist_arena *, struct view_page *ret,
              struct ist_err *err);

/* Rows of whatever kind whose id, name or address begins with 'text' (no case,
 * 2 characters at least), exact matches first. */
struct view_hit {
    const struct ist_kind *kind;
    const char *site, *id, *name, *what; /* "id", "name", "address" */
    const char *text;                    /* The value that matched. */
};

int view_search(struct view *, const char *text, char *const *projects,
                size_t n_projects, size_t limit, struct ist_arena *,
                struct view_hit **ret, size_t *ret_n, bool *ret_more,
                struct ist_err *err);

/* Rows of a site, of all kinds. Cheap. */
uint64_t view_count_site(struct view *, const char *site);

#endif
