/* Changes of the maps that have keys and no values (view.sort, view.search).
 *
 * Where many rows are written together their keys lie all over these maps: they
 * wait, and are then made in their own order, so that a page that takes several
 * is looked for once, and found where it was last. */
#ifndef VIEW_MOVES_H
#define VIEW_MOVES_H

#include "view/key.h"

#define VIEW_MOVES_MAX (4U << 20) /* Bytes of keys that wait at most. */

struct view_moves;

/* NULL: out of memory. */
struct view_moves *view_moves_new(void);
struct view_moves *view_moves_free(struct view_moves *);

/* From now on the view's keys wait there. Of one that is told of twice (values
 * that differ behind what a key has of them) the last word holds. */
void view_moves_begin(struct view *, struct view_moves *);
/* Makes those that wait: 0 or an LMDB fault. */
int view_moves_flush(struct view *, MDB_txn *);
/* No more; those that wait still are forgotten. */
void view_moves_end(struct view *);

/* The key is to be there, or not. 0 or an LMDB fault. */
int view_move(struct view *, MDB_txn *, enum view_map, const struct view_key *,
              bool there);

#endif
