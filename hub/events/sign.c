#include "events/sign.h"

#include "base/rand.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#define PREFIX  "whsec_"
#define VARIANT sodium_base64_VARIANT_ORIGINAL
#define KEY_NEW 32 /* Bytes of one that we make. */

void events_key_random(struct events_key *key)
{
    key->size = KEY_NEW;
    ist_rand_bytes(key->bytes, key->size);
}

bool events_key_read(struct events_key *key, const char *secret)
{
    struct events_key read;

    if (strncmp(secret, PREFIX, sizeof(PREFIX) - 1) != 0)
        return false;
    secret += sizeof(PREFIX) - 1;
    if (sodium_base642bin(read.bytes, sizeof(read.bytes), secret,
                          strlen(secret), NULL, &read.size, NULL, VARIANT) ||
        read.size < EVENTS_KEY_MIN)
        return false;
    *key = read;
    sodium_memzero(&read, sizeof(read));
    return true;
}

char *events_key_write(const struct events_key *key, char *buf)
{
    memcpy(buf, PREFIX, sizeof(PREFIX));
    sodium_bin2base64(buf + sizeof(PREFIX) - 1,
                      EVENTS_SECRET_SIZE - sizeof(PREFIX) + 1, key->bytes,
                      key->size, VARIANT);
    return buf;
}

void events_sign(struct ist_sb *out, const struct events_key *key,
                 const char *id, uint64_t timestamp, const void *body,
                 size_t size)
{
    crypto_auth_hmacsha256_state state;
    uint8_t mac[crypto_auth_hmacsha256_BYTES];
    char text[sodium_base64_ENCODED_LEN(sizeof(mac), VARIANT)], number[32];
    int len = snprintf(number, sizeof(number), ".%" PRIu64 ".", timestamp);

    crypto_auth_hmacsha256_init(&state, key->bytes, key->size);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *) id, strlen(id));
    crypto_auth_hmacsha256_update(&state, (const uint8_t *) number,
                                  (unsigned long long) len);
    crypto_auth_hmacsha256_update(&state, body, size);
    crypto_auth_hmacsha256_final(&state, mac);
    sodium_memzero(&state, sizeof(state));
    sodium_bin2base64(text, sizeof(text), mac, sizeof(mac), VARIANT);
    ist_sb_puts(out, "v1,");
    ist_sb_puts(out, text);
}
