/* Application credentials of the hub: how a portal logs in without its user's
 * password. Each is of one user and one project, with the roles that he had
 * there when he made it, and good at the hub alone. */
#ifndef FACADE_CREDENTIAL_H
#define FACADE_CREDENTIAL_H

#include "base/id.h"
#include "facade/keep.h"

#include "isthmus/v1/identity.pb-c.h"

#define FACADE_CREDENTIALS_MAX 20000
#define FACADE_SECRET_SIZE     44 /* 43 characters of base64url, the NUL. */
#define FACADE_SECRET_MIN      32 /* Characters of one that a user brings. */

extern const struct facade_keep_kind facade_credential_kind;

/* 32 bytes of chance as text. */
void facade_secret_make(char ret[FACADE_SECRET_SIZE]);

/* By its id, 32 hexadecimal digits; NULL: there is none (any more). */
const Isthmus__V1__Credential *facade_credential_find(struct facade_keep *,
                                                      const char *id,
                                                      struct ist_arena *);

/* Is it its secret? In equal time. */
bool facade_credential_opens(const Isthmus__V1__Credential *,
                             const char *secret);

/* 'hash' for the message, of a secret. */
void facade_credential_hash(const char *secret,
                            uint8_t ret[crypto_hash_sha256_BYTES]);

/* False: it is no id. */
bool facade_credential_key(const char *id, uint8_t ret[FACADE_KEY_BYTES]);

#endif
