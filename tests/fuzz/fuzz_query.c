/* Any text as the target of a request: path and query are decoded or refused,
 * and what is decoded keeps the promises of httpd/query.h. */
#include "base/utf8.h"
#include "httpd/query.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int promise)
{
    if (!promise)
        abort();
}

static void check_path(struct ist_arena *arena, const char *target)
{
    const char *path = NULL;
    size_t i, len;

    if (ist_query_path(arena, target, &path)) {
        require(path == NULL);
        return;
    }
    len = strlen(path);
    require(path[0] == '/' && len <= strlen(target));
    require(ist_utf8_valid(path, len));
    require(!strstr(path, "//") && !strstr(path, "/../") &&
            !strstr(path, "/./"));
    for (i = 0; i < len; i++)
        require(((unsigned char) path[i] >= ' ') && path[i] != 0x7f &&
                path[i] != '\\');
}

static void check_params(struct ist_arena *arena, const char *target)
{
    const struct ist_httpd_param *params;
    size_t n, i;

    if (ist_query_params(arena, target, &params, &n))
        return;
    require(n <= IST_QUERY_PARAMS_MAX);
    for (i = 0; i < n; i++) {
        require(ist_utf8_valid(params[i].name, strlen(params[i].name)));
        require(ist_utf8_valid(params[i].value, strlen(params[i].value)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *target = malloc(size + 1);
    struct ist_arena arena;

    if (!target)
        return 0;
    if (size)
        memcpy(target, data, size);
    target[size] = '\0';
    ist_arena_init(&arena, 1U << 20);
    check_path(&arena, target);
    check_params(&arena, target);
    ist_arena_fini(&arena);
    free(target);
    return 0;
}
