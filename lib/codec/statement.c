#include "codec/statement.h"

#include "base/sb.h"

#include <string.h>

static void encode(struct ist_sb *text, const char *type, const void *body,
                   size_t size)
{
    ist_sb_printf(text, "ISTHMUSv1 %zu %s %zu ", strlen(type), type, size);
    ist_sb_add(text, body, size);
}

int ist_statement_sign(const char *type, const void *body, size_t size,
                       const uint8_t secret[crypto_sign_SECRETKEYBYTES],
                       uint8_t ret[crypto_sign_BYTES])
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;

    ist_sb_init(&text, 0);
    encode(&text, type, body, size);
    if (text.rc == 0)
        crypto_sign_detached(ret, NULL,
                             (const unsigned char *) ist_sb_text(&text),
                             text.len, secret);
    return text.rc;
}

bool ist_statement_verify(const char *type, const void *body, size_t size,
                          const uint8_t signature[crypto_sign_BYTES],
                          const uint8_t key[crypto_sign_PUBLICKEYBYTES])
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;

    ist_sb_init(&text, 0);
    encode(&text, type, body, size);
    return text.rc == 0 &&
           crypto_sign_verify_detached(
               signature, (const unsigned char *) ist_sb_text(&text), text.len,
               key) == 0;
}
