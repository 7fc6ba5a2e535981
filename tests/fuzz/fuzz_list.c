/* The query of a merged list, from the request target to the marker. The first
 * byte picks the kind. What is accepted must make a link that is accepted
 * again and asks the same. */
#include "api/query.h"
#include "httpd/query.h"
#include "model/marker.h"

#include <assert.h>
#include <string.h>

static int read_target(struct ist_arena *arena, const struct ist_kind *kind,
                       const char *target, struct api_query *query,
                       const struct ist_httpd_param **params, size_t *n)
{
    struct ist_err err;

    if (ist_query_params(arena, target, params, n) != 0)
        return -1;
    return api_query_list(*params, *n, kind, arena, query, &err);
}

static void follow(struct ist_arena *arena, const struct ist_kind *kind,
                   const struct api_query *query,
                   const struct ist_httpd_param *params, size_t n)
{
    struct ist_place place = {.site = "hkg", .id = {"id", 2}};
    const struct ist_httpd_param *again_params;
    struct api_query again;
    struct ist_sb marker, link;
    size_t n_again;

    ist_sb_init(&marker, 0);
    ist_sb_init(&link, 0);
    ist_marker_put(&marker, kind->name, query->sort_text, query->n_sort,
                   &place);
    if (marker.len <= IST_MARKER_MAX) {
        api_query_next(&link, "/p", params, n, ist_sb_text(&marker));
        assert(read_target(arena, kind, ist_sb_text(&link), &again,
                           &again_params, &n_again) == 0);
        assert(again.limit == query->limit && again.n_sort == query->n_sort);
        assert(again.n_filters == query->n_filters && again.has_after);
    }
    ist_sb_fini(&marker);
    ist_sb_fini(&link);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ist_httpd_param *params;
    const struct ist_kind *kinds;
    struct api_query query;
    struct ist_arena arena;
    size_t n_kinds, n;
    char *target;

    if (size < 1 || size > 8192)
        return 0;
    kinds = ist_kinds(&n_kinds);
    ist_arena_init(&arena, 1U << 20);
    target = ist_arena_dup(&arena, data + 1, size - 1);
    if (read_target(&arena, &kinds[data[0] % n_kinds], target, &query, &params,
                    &n) == 0)
        follow(&arena, &kinds[data[0] % n_kinds], &query, params, n);
    ist_arena_fini(&arena);
    return 0;
}
