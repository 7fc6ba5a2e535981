#include "facade/user.h"

#include <string.h>

#define ARENA_MAX 4096

static bool is_over(const void *message, uint64_t wall_ms)
{
    (void) message, (void) wall_ms;
    return false;
}

const struct facade_keep_kind facade_user_kind = {
    .map = "user",
    .message = &isthmus__v1__known_user__descriptor,
    .n_max = FACADE_USERS_MAX,
    .is_over = is_over,
};

static void key_of(const char *hub_id, uint8_t ret[FACADE_KEY_BYTES])
{
    crypto_hash_sha256(ret, (const uint8_t *) hub_id, strlen(hub_id));
}

const Isthmus__V1__KnownUser *facade_user_find(struct facade_keep *keep,
                                               const char *hub_id,
                                               struct ist_arena *arena)
{
    uint8_t key[FACADE_KEY_BYTES];

    if (!keep || !hub_id[0])
        return NULL;
    key_of(hub_id, key);
    return facade_keep_get(keep, key, arena);
}

/* His name may have changed since. */
static bool is_known(struct facade_keep *keep, const char *hub_id,
                     const Isthmus__V1__KnownUser *user)
{
    const Isthmus__V1__KnownUser *known;
    struct ist_arena arena;
    bool ret;

    ist_arena_init(&arena, ARENA_MAX);
    known = facade_user_find(keep, hub_id, &arena);
    ret = known && strcmp(known->home, user->home) == 0 &&
          strcmp(known->user, user->user) == 0 &&
          strcmp(known->domain, user->domain) == 0;
    ist_arena_fini(&arena);
    return ret;
}

void facade_user_note(struct facade_keep *keep, const char *hub_id,
                      const Isthmus__V1__Token *token)
{
    Isthmus__V1__KnownUser user = ISTHMUS__V1__KNOWN_USER__INIT;
    uint8_t key[FACADE_KEY_BYTES];

    user.home = token->home;
    user.user = token->identity->user;
    user.domain = token->identity->domain;
    if (!keep || is_known(keep, hub_id, &user))
        return;
    key_of(hub_id, key);
    facade_keep_note(keep, key, &user);
}
