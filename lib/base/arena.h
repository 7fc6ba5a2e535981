/* A bounded arena: everything one request allocates, freed at once.
 *
 * The cap counts what was handed out, padding included, so that it bounds
 * memory and not only requests. Over the cap, allocation fails and the arena
 * remembers it; what was allocated before stays valid. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct ist_arena {
    size_t cap;    /* Bytes it may hand out in all. */
    size_t used;   /* Bytes handed out. */
    bool exceeded; /* Did an allocation fail? */

    struct ist_arena_chunk *chunks; /* Owned. Newest first. */
};

void ist_arena_init(struct ist_arena *, size_t cap);
void ist_arena_fini(struct ist_arena *);

/* Forgets all allocations; keeps the newest chunk for the next use, unless it
 * is large: a burst must not be paid for ever. */
void ist_arena_reset(struct ist_arena *);

/* A point to go back to: what was allocated since is forgotten, and freed. Not
 * across a reset, and not behind an older point already gone back to. */
struct ist_arena_mark {
    struct ist_arena_chunk *chunk;
    size_t chunk_used, used;
    bool exceeded;
};
struct ist_arena_mark ist_arena_mark(const struct ist_arena *);
void ist_arena_rewind(struct ist_arena *, const struct ist_arena_mark *);

/* Memory aligned for any type, not cleared. NULL over the cap or when memory
 * is out. A size of 0 gives a valid pointer. */
void *ist_arena_alloc(struct ist_arena *, size_t size);
void *ist_arena_zalloc(struct ist_arena *, size_t size);

/* A copy with a NUL behind it. */
void *ist_arena_dup(struct ist_arena *, const void *data, size_t size);
char *ist_arena_strdup(struct ist_arena *, const char *text);

#endif
