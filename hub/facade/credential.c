/* A secret has 256 bits of chance, or 32 characters at least: one plain hash of
 * it is as good as a slow one. */
#include "facade/credential.h"

#include "base/rand.h"

#include <string.h>

static bool is_over(const void *message, uint64_t wall_ms)
{
    const Isthmus__V1__Credential *credential = message;

    return !credential->token || !credential->token->identity ||
           credential->token->identity->n_grants != 1 ||
           (credential->expires_ms && credential->expires_ms <= wall_ms);
}

const struct facade_keep_kind facade_credential_kind = {
    .map = "credential",
    .message = &isthmus__v1__credential__descriptor,
    .n_max = FACADE_CREDENTIALS_MAX,
    .is_over = is_over,
};

void facade_secret_make(char ret[FACADE_SECRET_SIZE])
{
    uint8_t chance[32];

    ist_rand_bytes(chance, sizeof(chance));
    sodium_bin2base64(ret, FACADE_SECRET_SIZE, chance, sizeof(chance),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(chance, sizeof(chance));
}

bool facade_credential_key(const char *id, uint8_t ret[FACADE_KEY_BYTES])
{
    struct ist_id parsed;

    if (!ist_hex_parse(id, strlen(id), parsed.b, sizeof(parsed.b)))
        return false;
    memset(ret, 0, FACADE_KEY_BYTES);
    memcpy(ret, parsed.b, sizeof(parsed.b));
    return true;
}

const Isthmus__V1__Credential *
facade_credential_find(struct facade_keep *credentials, const char *id,
                       struct ist_arena *arena)
{
    uint8_t key[FACADE_KEY_BYTES];

    return facade_credential_key(id, key)
               ? facade_keep_get(credentials, key, arena)
               : NULL;
}

void facade_credential_hash(const char *secret,
                            uint8_t ret[crypto_hash_sha256_BYTES])
{
    crypto_hash_sha256(ret, (const uint8_t *) secret, strlen(secret));
}

bool facade_credential_opens(const Isthmus__V1__Credential *credential,
                             const char *secret)
{
    uint8_t digest[crypto_hash_sha256_BYTES];

    facade_credential_hash(secret, digest);
    return credential->hash.len == sizeof(digest) &&
           sodium_memcmp(digest, credential->hash.data, sizeof(digest)) == 0;
}
