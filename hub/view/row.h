/* A row as it is kept: the keys of all members of its kind but the id, in the
 * order of model/kind.h, and the body. Pure functions over bytes. */
#ifndef VIEW_ROW_H
#define VIEW_ROW_H

#include "base/sb.h"
#include "model/kind.h"
#include "model/order.h"

#include <stdint.h>

struct view_stored {
    uint64_t generation;
    size_t n_keys;
    struct ist_bytes keys[IST_KIND_MEMBERS_MAX];
    struct ist_bytes body;
};

/* 'out' is begun anew. Keys over IST_ORDER_KEY_MAX are cut. */
void view_row_write(struct ist_sb *out, const struct view_stored *);

/* Borrows from the bytes. False: they are no row. */
bool view_row_read(const void *data, size_t size, struct view_stored *ret);

/* Key of a member by its place in kind->members; its id comes from the row's
 * key. "" when the row does not have it. */
struct ist_bytes view_row_key(const struct ist_kind *, size_t member,
                              const struct view_stored *,
                              const struct ist_bytes *id);

/* Place of a member in kind->members, -1: none of that name. */
int view_member(const struct ist_kind *, const char *name);

#endif
