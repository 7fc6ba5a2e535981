#include "model/merge.h"

#include "base/mutant.h"

#include <errno.h>
#include <string.h>

struct row {
    struct row *next;
    struct ist_row_out out;
};

enum source_state { OPEN, ENDED, FAILED };

struct ist_merge_source {
    enum source_state state;
    struct row *first, *last; /* Waiting rows. */
    size_t n_waiting;
    bool has_previous, is_cut;
    struct ist_place previous; /* The last one pushed. */
};

int ist_merge_init(struct ist_merge *merge, const struct ist_order *order,
                   size_t limit, uint32_t n_sources, struct ist_arena *arena)
{
    *merge = (struct ist_merge){.arena = arena,
                                .order = *order,
                                .limit = limit,
                                .n_sources = n_sources,
                                .n_open_empty = n_sources};
    merge->page = ist_arena_alloc(arena, limit * sizeof(*merge->page));
    merge->sources =
        ist_arena_zalloc(arena, n_sources * sizeof(*merge->sources));
    merge->heap = ist_arena_alloc(arena, n_sources * sizeof(*merge->heap));
    return merge->page && merge->sources && merge->heap ? 0 : -ENOMEM;
}

/* The heap */

static bool less(const struct ist_merge *merge, uint32_t a, uint32_t b)
{
    const struct row *x = merge->sources[a].first;
    const struct row *y = merge->sources[b].first;

    return ist_order_cmp(&merge->order, &x->out.place, &y->out.place) < 0;
}

static void heap_swap(struct ist_merge *merge, uint32_t i, uint32_t j)
{
    uint32_t held = merge->heap[i];

    merge->heap[i] = merge->heap[j];
    merge->heap[j] = held;
}

static void sift_up(struct ist_merge *merge, uint32_t i)
{
    while (i > 0 && less(merge, merge->heap[i], merge->heap[(i - 1) / 2])) {
        heap_swap(merge, i, (i - 1) / 2);
        i = (i - 1) / 2;
    }
}

static void sift_down(struct ist_merge *merge, uint32_t i)
{
    for (;;) {
        uint32_t child = 2 * i + 1;

        if (child >= merge->n_heap)
            return;
        if (child + 1 < merge->n_heap &&
            less(merge, merge->heap[child + 1], merge->heap[child]))
            child++;
        if (!less(merge, merge->heap[child], merge->heap[i]))
            return;
        heap_swap(merge, i, child);
        i = child;
    }
}

static void heap_add(struct ist_merge *merge, uint32_t source)
{
    merge->heap[merge->n_heap] = source;
    sift_up(merge, merge->n_heap++);
}

static void heap_remove_at(struct ist_merge *merge, uint32_t i)
{
    merge->heap[i] = merge->heap[--merge->n_heap];
    if (i < merge->n_heap) {
        sift_up(merge, i);
        sift_down(merge, i);
    }
}

/* Taking rows */

static void take_first(struct ist_merge *merge)
{
    uint32_t index = merge->heap[0];
    struct ist_merge_source *source = &merge->sources[index];
    struct row *row = source->first;

    merge->page[merge->n_page++] = row->out;
    source->first = row->next;
    source->n_waiting--;
    if (source->first) {
        sift_down(merge, 0);
        return;
    }
    source->last = NULL;
    heap_remove_at(merge, 0);
    if (source->state == OPEN)
        merge->n_open_empty++;
}

static void advance(struct ist_merge *merge)
{
    while ((merge->n_open_empty == 0 || IST_MUTANT("merge_order")) &&
           merge->n_heap > 0 && merge->n_page < merge->limit)
        take_first(merge);
}

int ist_merge_push(struct ist_merge *merge, uint32_t index,
                   const struct ist_place *place, const struct ist_bytes *body)
{
    struct ist_merge_source *source = &merge->sources[index];
    struct row *row;

    if (source->state != OPEN)
        return 0; /* Late: it has been judged already. */
    if (source->has_previous && !IST_MUTANT("duplicate") &&
        ist_order_cmp(&merge->order, place, &source->previous) <= 0)
        return IST_MERGE_DISORDER;
    row = ist_arena_alloc(merge->arena, sizeof(*row));
    if (!row)
        return -ENOMEM;
    *row = (struct row){.out = {*place, *body, index}};
    source->previous = *place;
    source->has_previous = true;
    source->n_waiting++;
    if (source->last) {
        source->last->next = row;
        source->last = row;
        return 0;
    }
    source->first = source->last = row;
    merge->n_open_empty--;
    heap_add(merge, index);
    advance(merge);
    return 0;
}

void ist_merge_end(struct ist_merge *merge, uint32_t index)
{
    struct ist_merge_source *source = &merge->sources[index];

    if (source->state != OPEN)
        return;
    source->state = ENDED;
    if (!source->first)
        merge->n_open_empty--;
    advance(merge);
}

void ist_merge_cut(struct ist_merge *merge, uint32_t index)
{
    merge->sources[index].is_cut = true;
    ist_merge_end(merge, index);
}

static void retract(struct ist_merge *merge, uint32_t index)
{
    size_t kept = 0;

    for (size_t i = 0; i < merge->n_page; i++) {
        if (merge->page[i].source != index)
            merge->page[kept++] = merge->page[i];
    }
    merge->n_page = kept;
}

void ist_merge_fail(struct ist_merge *merge, uint32_t index)
{
    struct ist_merge_source *source = &merge->sources[index];

    if (source->state == FAILED)
        return;
    if (source->first) {
        uint32_t i = 0;

        while (merge->heap[i] != index)
            i++;
        source->first = source->last = NULL;
        source->n_waiting = 0;
        heap_remove_at(merge, i);
    } else if (source->state == OPEN) {
        merge->n_open_empty--;
    }
    source->state = FAILED;
    if (!IST_MUTANT("keep_failed"))
        retract(merge, index);
    advance(merge);
}

bool ist_merge_complete(const struct ist_merge *merge)
{
    return merge->n_page == merge->limit ||
           (merge->n_open_empty == 0 && merge->n_heap == 0);
}

size_t ist_merge_backlog(const struct ist_merge *merge, uint32_t index)
{
    return merge->sources[index].n_waiting;
}

bool ist_merge_has_more(const struct ist_merge *merge)
{
    if (merge->n_heap > 0)
        return true;
    for (uint32_t i = 0; i < merge->n_sources; i++) {
        const struct ist_merge_source *source = &merge->sources[i];

        if (source->state == OPEN || (source->state == ENDED && source->is_cut))
            return true;
    }
    return false;
}
