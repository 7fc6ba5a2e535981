/* Keys of the view's maps: bytes whose order is the order meant.
 *
 * In a sort key the value is followed by 00 00, and a 00 within it is written
 * 00 FF, so that the shorter of two comes first when one begins the other. LMDB
 * takes 511 bytes; of a longer value the first VIEW_VALUE_MAX are there, and
 * rows that are equal in those are ordered by what stands in the rows. */
#ifndef VIEW_KEY_H
#define VIEW_KEY_H

#include "view/view_priv.h"

#define VIEW_KEY_MAX   511
#define VIEW_VALUE_MAX 128 /* Bytes of a value, as written. */

struct view_key {
    uint8_t data[VIEW_KEY_MAX];
    size_t len;
};

static inline MDB_val view_key_val(const struct view_key *key)
{
    return view_val(key->data, key->len);
}

/* Does 'bytes' begin with the key? */
static inline bool view_key_begins(const struct view_key *key,
                                   const MDB_val *bytes)
{
    return bytes->mv_size >= key->len &&
           __builtin_memcmp(bytes->mv_data, key->data, key->len) == 0;
}

/* view.row; 'id' NULL: what all rows of that kind and site begin with. An id
 * is at most IST_ORDER_ID_MAX bytes; asserted. */
void view_key_row(struct view_key *, uint16_t kind, const char *site,
                  const struct ist_bytes *id);
/* Site (with its NUL behind it) and id of a row's key. */
bool view_key_row_parse(const MDB_val *, const char **ret_site,
                        struct ist_bytes *ret_id);

/* view.sort, up to the scope: 'project' NULL is all projects. */
void view_key_scope(struct view_key *, uint16_t kind, uint8_t member,
                    const struct ist_bytes *project);
/* Adds the value. True when it was cut. */
bool view_key_add_value(struct view_key *, const struct ist_bytes *value);
/* Adds the row: what follows the value. */
void view_key_add_row(struct view_key *, const char *site,
                      const struct ist_bytes *id);
/* Of a whole key whose scope is 'scope': the length of it with the value, and
 * the row behind it. False: it is none of ours. */
bool view_key_sort_parse(const MDB_val *, const struct view_key *scope,
                         size_t *ret_with_value, const char **ret_site,
                         struct ist_bytes *ret_id);

/* view.search: the text as it is searched for, in lower case, cut. */
void view_key_text(struct view_key *, const char *text, size_t len);
void view_key_add_hit(struct view_key *, uint16_t kind, uint8_t what,
                      const char *site, const struct ist_bytes *id);
bool view_key_hit_parse(const MDB_val *, const char **ret_text,
                        uint16_t *ret_kind, uint8_t *ret_what,
                        const char **ret_site, struct ist_bytes *ret_id);

#endif
