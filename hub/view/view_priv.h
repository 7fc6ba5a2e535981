/* The maps behind the view, for view/ only.
 *
 *   view.row     kind site 0 id                    -> the row (row.h)
 *   view.sort    kind member scope key site 0 id   -> nothing
 *   view.search  text 0 kind what site 0 id        -> nothing
 *   view.state   kind site                         -> struct view_state
 *   view.kind    name                              -> its number
 *
 * A kind is two bytes, a scope one for "all projects" or nine for a project:
 * a hash, so whoever reads by it looks at the row's project too. A sort key is
 * written so that the bytes of the whole are in the total order of
 * model/order.h (key.h). */
#ifndef VIEW_VIEW_PRIV_H
#define VIEW_VIEW_PRIV_H

#include "view/view.h"

#define VIEW_KINDS_MAX 128

enum view_map {
    VIEW_ROW,
    VIEW_SORT,
    VIEW_SEARCH,
    VIEW_STATE,
    VIEW_KIND,
    VIEW_MAPS,
};

struct view {
    struct ist_tree *tree; /* Borrowed. */
    MDB_dbi maps[VIEW_MAPS];
    uint16_t numbers[VIEW_KINDS_MAX]; /* By place in ist_kinds(). */
    struct view_moves *moves; /* Borrowed, and of who writes only: keys wait
                               * there (moves.h). NULL: they do not. */
};

/* Of a kind at a site. */
struct view_state {
    uint64_t generation, n_rows;
    uint8_t begun; /* Between BEGIN and END. */
};

/* The number that stands in keys. */
uint16_t view_kind_number(const struct view *, const struct ist_kind *);
/* And back; NULL: of a kind that this hub does not know. */
const struct ist_kind *view_kind_of(const struct view *, uint16_t number);

/* 0 and a zeroed state when there is none; or an LMDB fault. */
int view_state_get(struct view *, MDB_txn *, uint16_t kind, const char *site,
                   struct view_state *ret);

static inline MDB_val view_val(const void *data, size_t size)
{
    return (MDB_val){size, (void *) (uintptr_t) data};
}

#endif
