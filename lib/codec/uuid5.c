#include "codec/uuid5.h"

#include <assert.h>
#include <openssl/evp.h>
#include <string.h>

struct ist_id ist_uuid5(const struct ist_id *space, const char *name)
{
    EVP_MD_CTX *sha1 = EVP_MD_CTX_new();
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct ist_id id;
    int good;

    good = sha1 && EVP_DigestInit_ex(sha1, EVP_sha1(), NULL) &&
           EVP_DigestUpdate(sha1, space->b, sizeof(space->b)) &&
           EVP_DigestUpdate(sha1, name, strlen(name)) &&
           EVP_DigestFinal_ex(sha1, digest, NULL);
    assert(good); /* It fails for want of memory alone. */
    EVP_MD_CTX_free(sha1);
    memcpy(id.b, digest, sizeof(id.b));
    id.b[6] = (uint8_t) ((id.b[6] & 0x0f) | 0x50);
    id.b[8] = (uint8_t) ((id.b[8] & 0x3f) | 0x80);
    return id;
}
