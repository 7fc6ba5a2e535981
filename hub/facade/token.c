#include "facade/token.h"

#include <string.h>

#define PREFIX "isg_"

static bool is_over(const void *message, uint64_t wall_ms)
{
    const Isthmus__V1__Token *token = message;

    return !token->identity || token->expires_ms <= wall_ms;
}

const struct facade_keep_kind facade_token_kind = {
    .map = "token",
    .message = &isthmus__v1__token__descriptor,
    .n_max = FACADE_TOKENS_MAX,
    .is_over = is_over,
};

void facade_token_key(const char *text, uint8_t ret[FACADE_KEY_BYTES])
{
    crypto_hash_sha256(ret, (const uint8_t *) text, strlen(text));
}

const Isthmus__V1__Token *facade_token_find(struct facade_keep *tokens,
                                            struct facade_keep *credentials,
                                            const char *text,
                                            struct ist_arena *arena)
{
    const Isthmus__V1__Token *token;
    uint8_t key[FACADE_KEY_BYTES];

    if (strncmp(text, PREFIX, strlen(PREFIX)) != 0 ||
        strlen(text) != FACADE_TOKEN_SIZE - 1)
        return NULL;
    facade_token_key(text, key);
    token = facade_keep_get(tokens, key, arena);
    if (token && token->credential_id[0] &&
        !facade_credential_find(credentials, token->credential_id, arena))
        return NULL;
    return token;
}

void facade_token_issue(struct facade_keep *tokens,
                        struct facade_keep_write *write,
                        const Isthmus__V1__Token *token,
                        char ret_text[FACADE_TOKEN_SIZE])
{
    uint8_t key[FACADE_KEY_BYTES];

    memcpy(ret_text, PREFIX, strlen(PREFIX));
    facade_secret_make(ret_text + strlen(PREFIX));
    facade_token_key(ret_text, key);
    facade_keep_put(tokens, write, key, token);
}
