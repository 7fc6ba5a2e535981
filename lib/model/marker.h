/* The native API's marker: a place in the total order, as opaque text. */
#ifndef MODEL_MARKER_H
#define MODEL_MARKER_H

#include "base/arena.h"
#include "base/sb.h"
#include "model/order.h"

/* Characters; a longer one is not ours. Holds the longest keys and id that
 * there are, and fits into a request line of 8 KiB. */
#define IST_MARKER_MAX 6144U

enum ist_marker_outcome {
    IST_MARKER_MALFORMED = 1,
    IST_MARKER_OTHER_LIST, /* Made for another kind, or another sort. */
};

/* Appends the marker of the row at 'place'. 'kind' and 'sort' tie it to its
 * list. */
void ist_marker_put(struct ist_sb *, const char *kind, const char *sort,
                    size_t n_keys, const struct ist_place *place);

/* The place that 'text' names; its bytes are in 'arena'. 0, or an outcome. */
int ist_marker_parse(const char *text, const char *kind, const char *sort,
                     size_t n_keys, struct ist_arena *, struct ist_place *ret);

#endif
