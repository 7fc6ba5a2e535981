/* The k-way merge: ordered streams of rows from many sources become one
 * ordered page.
 *
 * A row is taken only when every source that may still send has one waiting,
 * so the page is exact at every moment. A source that fails takes its rows
 * back: what is left is the exact merge of the others, because removing one
 * stream from a sorted union leaves a sorted union. Memory is what is pushed;
 * whoever pushes bounds it by asking ist_merge_backlog() before granting more.
 *
 * Pure: no I/O, no clock. Row bytes are borrowed for the life of the merge. */
#ifndef MODEL_MERGE_H
#define MODEL_MERGE_H

#include "base/arena.h"
#include "model/order.h"

#include <stdint.h>

struct ist_row_out {
    struct ist_place place;
    struct ist_bytes body;
    uint32_t source;
};

enum ist_merge_outcome {
    IST_MERGE_DISORDER = 1, /* Not behind the source's last row. */
};

struct ist_merge {
    struct ist_row_out *page; /* The result so far, in order. */
    size_t n_page;

    /* Private to merge.c. */
    struct ist_arena *arena; /* Borrowed. */
    struct ist_order order;
    size_t limit;
    struct ist_merge_source *sources;
    uint32_t n_sources, n_open_empty;
    uint32_t *heap; /* Sources with a row waiting, least first. */
    uint32_t n_heap;
};

/* -ENOMEM when the arena cannot hold 'limit' rows and the sources. */
int ist_merge_init(struct ist_merge *, const struct ist_order *, size_t limit,
                   uint32_t n_sources, struct ist_arena *);

/* A row of a source, in order: 0, -ENOMEM, or IST_MERGE_DISORDER (the row was
 * not taken; the source had better be failed). */
int ist_merge_push(struct ist_merge *, uint32_t source,
                   const struct ist_place *, const struct ist_bytes *body);

/* Nothing more comes from this source. Failed: and what came is void. Each is
 * final; repeating is harmless. */
void ist_merge_end(struct ist_merge *, uint32_t source);
void ist_merge_fail(struct ist_merge *, uint32_t source);
/* Nothing more is wanted from this source, though it has more: it has pushed
 * as many rows as the page can take. */
void ist_merge_cut(struct ist_merge *, uint32_t source);

/* The page is full, or no source may send any more. */
bool ist_merge_complete(const struct ist_merge *);

/* Rows pushed by this source and not yet taken. */
size_t ist_merge_backlog(const struct ist_merge *, uint32_t source);

/* Is there, or may there be, a row behind the page? */
bool ist_merge_has_more(const struct ist_merge *);

#endif
