/* The hub's own tokens: short-lived, opaque to clients, kept by their hash, so
 * that they outlive a restart and can be revoked. What a token stands for is
 * isthmus.v1.Token. One that came of an application credential goes with it. */
#ifndef FACADE_TOKEN_H
#define FACADE_TOKEN_H

#include "facade/credential.h"
#include "facade/keep.h"

#include "isthmus/v1/identity.pb-c.h"

#define FACADE_TOKEN_SIZE 48     /* "isg_", 43 characters, the NUL. */
#define FACADE_TOKENS_MAX 200000 /* At once; more are not issued. */

extern const struct facade_keep_kind facade_token_kind;

/* What the token stands for, in the arena; NULL: nothing (any more). */
const Isthmus__V1__Token *facade_token_find(struct facade_keep *tokens,
                                            struct facade_keep *credentials,
                                            const char *text,
                                            struct ist_arena *);

/* Makes up a token's text; it is good when the write, whose op the caller has
 * prepared, is done. */
void facade_token_issue(struct facade_keep *tokens, struct facade_keep_write *,
                        const Isthmus__V1__Token *,
                        char ret_text[FACADE_TOKEN_SIZE]);
/* What it is kept by: to revoke it, its record is deleted. */
void facade_token_key(const char *text, uint8_t ret[FACADE_KEY_BYTES]);

#endif
