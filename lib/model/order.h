/* The one total order of merged lists: the sort keys, then the site, then the
 * id. Pure functions over bytes.
 *
 * Key values arrive as bytes fit for comparison: the agent writes times as
 * "2026-11-25T08:00:00.000000" and numbers zero-padded to 20 digits, so that
 * nobody above has to know what a key means. A key that is absent is "". */
#ifndef MODEL_ORDER_H
#define MODEL_ORDER_H

#include <stdbool.h>
#include <stddef.h>

#define IST_ORDER_KEYS_MAX 4
#define IST_ORDER_KEY_MAX  1024 /* Bytes; a longer value is cut there. */
#define IST_ORDER_ID_MAX   255

struct ist_bytes {
    const void *data;
    size_t size;
};

struct ist_order {
    size_t n_keys;
    bool descending[IST_ORDER_KEYS_MAX];
};

/* Where a row stands. Borrowed bytes. */
struct ist_place {
    struct ist_bytes keys[IST_ORDER_KEYS_MAX];
    const char *site;    /* "" where only one site is looked at. */
    struct ist_bytes id; /* Ascending, whatever the keys. */
};

/* < 0, 0, > 0: bytes first, the shorter one first when one begins the
 * other. */
int ist_bytes_cmp(const struct ist_bytes *, const struct ist_bytes *);

static inline bool ist_bytes_equal(const struct ist_bytes *a,
                                   const struct ist_bytes *b)
{
    return a->size == b->size &&
           (a->size == 0 || __builtin_memcmp(a->data, b->data, a->size) == 0);
}

/* Only the sort keys. */
int ist_order_cmp_keys(const struct ist_order *, const struct ist_place *,
                       const struct ist_place *);

/* Keys, then site, then id. 0 only for the same row. */
int ist_order_cmp(const struct ist_order *, const struct ist_place *,
                  const struct ist_place *);

#endif
