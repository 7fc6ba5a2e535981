/* What a client called the image that his server was made of, where the site
 * has a copy of it under another id: kept in hub.db, so that he goes on seeing
 * the id that he sent. */
#ifndef GLOBAL_ALIAS_H
#define GLOBAL_ALIAS_H

#include "facade/keep.h"

#define GLOBAL_ALIASES_MAX 1000000U /* Of more the site's own id is shown. */

extern const struct facade_keep_kind global_alias_kind;

/* 'keep' NULL: none are kept. */
void global_alias_note(struct facade_keep *, const char *server,
                       const char *image, uint64_t wall_ms);
/* In the arena; NULL: the server has none. */
const char *global_alias_find(struct facade_keep *, const char *server,
                              struct ist_arena *);

#endif
