/* Which members have a map in their order, and keeping those maps true. */
#ifndef VIEW_SORTED_H
#define VIEW_SORTED_H

#include "view/key.h"
#include "view/row.h"

/* The byte that stands in keys for a member, 0: it has no map. */
uint8_t view_sorted_member(const char *name);

/* What a row's maps are made of. 'row' NULL: there is no row. */
struct view_facts {
    const struct ist_kind *kind;
    const char *site;
    struct ist_bytes id;
    const struct view_stored *row;
};

/* Brings the sort maps from what they say of 'before' to what they must say of
 * 'after'; both are of one row. 0 or an LMDB fault. */
int view_sorted_move(struct view *, MDB_txn *, const struct view_facts *before,
                     const struct view_facts *after);

/* The same for the map that is searched. */
int view_search_move(struct view *, MDB_txn *, const struct view_facts *before,
                     const struct view_facts *after);

#endif
