#include "global/alias.h"

#include "base/log.h"

#include "isthmus/v1/identity.pb-c.h"

#include <stdlib.h>
#include <string.h>

/* A server that old has been rebuilt, or nobody asks any more. */
#define LIFE_MS (UINT64_C(5) * 365 * 86400 * 1000)

static bool is_over(const void *message, uint64_t wall_ms)
{
    const Isthmus__V1__ImageAlias *alias = message;

    return alias->created_ms + LIFE_MS <= wall_ms;
}

const struct facade_keep_kind global_alias_kind = {
    .map = "image_alias",
    .message = &isthmus__v1__image_alias__descriptor,
    .n_max = GLOBAL_ALIASES_MAX,
    .is_over = is_over,
};

struct noting {
    struct global_aliases *aliases;
    struct facade_keep_write write;
};

static void on_noted(struct ist_op *op)
{
    struct ist_write *write = IST_CONTAINER(op, struct ist_write, op);
    struct facade_keep_write *put =
        IST_CONTAINER(write, struct facade_keep_write, write);
    struct noting *noting = IST_CONTAINER(put, struct noting, write);

    if (op->rc)
        ist_log_warn("global", "the id of an image is not kept: %s",
                     op->err.text);
    noting->aliases->n_writing--;
    facade_keep_write_fini(&noting->write);
    free(noting);
}

static void key_of(const char *server, uint8_t ret[FACADE_KEY_BYTES])
{
    crypto_hash_sha256(ret, (const uint8_t *) server, strlen(server));
}

void global_alias_note(struct global_aliases *aliases, const char *server,
                       const char *image, uint64_t wall_ms)
{
    Isthmus__V1__ImageAlias alias = ISTHMUS__V1__IMAGE_ALIAS__INIT;
    struct noting *noting = aliases->keep ? calloc(1, sizeof(*noting)) : NULL;
    uint8_t key[FACADE_KEY_BYTES];

    if (!noting)
        return;
    alias.image = (char *) (uintptr_t) image;
    alias.created_ms = wall_ms;
    noting->aliases = aliases;
    aliases->n_writing++;
    key_of(server, key);
    ist_op_prepare(&noting->write.write.op, facade_keep_loop(aliases->keep),
                   NULL, 0, on_noted);
    facade_keep_put(aliases->keep, &noting->write, key, &alias);
}

const char *global_alias_find(const struct global_aliases *aliases,
                              const char *server, struct ist_arena *arena)
{
    const Isthmus__V1__ImageAlias *alias;
    uint8_t key[FACADE_KEY_BYTES];

    if (!aliases->keep)
        return NULL;
    key_of(server, key);
    alias = facade_keep_get(aliases->keep, key, arena);
    return alias ? alias->image : NULL;
}
