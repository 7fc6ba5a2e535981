#include "global/alias.h"

#include "isthmus/v1/identity.pb-c.h"

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

static void key_of(const char *server, uint8_t ret[FACADE_KEY_BYTES])
{
    crypto_hash_sha256(ret, (const uint8_t *) server, strlen(server));
}

void global_alias_note(struct facade_keep *keep, const char *server,
                       const char *image, uint64_t wall_ms)
{
    Isthmus__V1__ImageAlias alias = ISTHMUS__V1__IMAGE_ALIAS__INIT;
    uint8_t key[FACADE_KEY_BYTES];

    if (!keep)
        return;
    alias.image = (char *) (uintptr_t) image;
    alias.created_ms = wall_ms;
    key_of(server, key);
    facade_keep_note(keep, key, &alias);
}

const char *global_alias_find(struct facade_keep *keep, const char *server,
                              struct ist_arena *arena)
{
    const Isthmus__V1__ImageAlias *alias;
    uint8_t key[FACADE_KEY_BYTES];

    if (!keep)
        return NULL;
    key_of(server, key);
    alias = facade_keep_get(keep, key, arena);
    return alias ? alias->image : NULL;
}
