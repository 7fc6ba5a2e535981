#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MIN 4096U
#define CHUNK_MAX (256U * 1024)
#define KEEP_MAX  (64U * 1024)

struct ist_arena_chunk {
    struct ist_arena_chunk *next;
    size_t size, used; /* Of 'data'. */
    alignas(max_align_t) unsigned char data[];
};

void ist_arena_init(struct ist_arena *arena, size_t cap)
{
    *arena = (struct ist_arena){.cap = cap};
}

static void chunks_free(struct ist_arena_chunk *chunk)
{
    while (chunk) {
        struct ist_arena_chunk *next = chunk->next;

        free(chunk);
        chunk = next;
    }
}

void ist_arena_fini(struct ist_arena *arena)
{
    chunks_free(arena->chunks);
    arena->chunks = NULL;
    arena->used = 0;
}

void ist_arena_reset(struct ist_arena *arena)
{
    struct ist_arena_chunk *kept = arena->chunks;

    if (kept) {
        chunks_free(kept->next);
        kept->next = NULL;
        kept->used = 0;
    }
    if (kept && kept->size > KEEP_MAX) {
        chunks_free(kept);
        arena->chunks = NULL;
    }
    arena->used = 0;
    arena->exceeded = false;
}

struct ist_arena_mark ist_arena_mark(const struct ist_arena *arena)
{
    const struct ist_arena_chunk *chunk = arena->chunks;

    return (struct ist_arena_mark){.chunk = arena->chunks,
                                   .chunk_used = chunk ? chunk->used : 0,
                                   .used = arena->used,
                                   .exceeded = arena->exceeded};
}

void ist_arena_rewind(struct ist_arena *arena,
                      const struct ist_arena_mark *mark)
{
    while (arena->chunks != mark->chunk) {
        struct ist_arena_chunk *chunk = arena->chunks;

        arena->chunks = chunk->next;
        free(chunk);
    }
    if (arena->chunks)
        arena->chunks->used = mark->chunk_used;
    arena->used = mark->used;
    arena->exceeded = mark->exceeded;
}

/* Chunks double, so that a small request costs one small allocation and a
 * large one costs few. */
static struct ist_arena_chunk *chunk_add(struct ist_arena *arena, size_t size)
{
    size_t want = arena->chunks ? arena->chunks->size * 2 : CHUNK_MIN;
    struct ist_arena_chunk *chunk;

    if (want > CHUNK_MAX)
        want = CHUNK_MAX;
    if (want < size)
        want = size;
    chunk = malloc(sizeof(*chunk) + want);
    if (!chunk)
        return NULL;
    chunk->next = arena->chunks;
    chunk->size = want;
    chunk->used = 0;
    arena->chunks = chunk;
    return chunk;
}

void *ist_arena_alloc(struct ist_arena *arena, size_t size)
{
    const size_t align = alignof(max_align_t);
    struct ist_arena_chunk *chunk = arena->chunks;
    void *ptr;

    if (size > SIZE_MAX - align || size > arena->cap) {
        arena->exceeded = true;
        return NULL;
    }
    size = (size + align - 1) / align * align;
    if (size > arena->cap - arena->used) {
        arena->exceeded = true;
        return NULL;
    }
    if (!chunk || size > chunk->size - chunk->used)
        chunk = chunk_add(arena, size);
    if (!chunk) {
        arena->exceeded = true;
        return NULL;
    }
    ptr = chunk->data + chunk->used;
    chunk->used += size;
    arena->used += size;
    return ptr;
}

void *ist_arena_zalloc(struct ist_arena *arena, size_t size)
{
    void *ptr = ist_arena_alloc(arena, size);

    return ptr ? memset(ptr, 0, size) : NULL;
}

void *ist_arena_dup(struct ist_arena *arena, const void *data, size_t size)
{
    char *copy;

    if (size == SIZE_MAX)
        return NULL;
    copy = ist_arena_alloc(arena, size + 1);
    if (!copy)
        return NULL;
    if (size)
        memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

char *ist_arena_strdup(struct ist_arena *arena, const char *text)
{
    return ist_arena_dup(arena, text, strlen(text));
}
