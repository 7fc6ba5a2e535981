/* The hub's own tokens: short-lived, opaque to clients, kept in hub.db by their
 * hash, so that they outlive a restart and can be revoked. What a token stands
 * for is isthmus.v1.Token. */
#ifndef FACADE_TOKEN_H
#define FACADE_TOKEN_H

#include "base/arena.h"
#include "store/tree.h"

#include "isthmus/v1/identity.pb-c.h"

#include <sodium.h>

#define FACADE_TOKEN_SIZE 48     /* "isg_", 43 characters, the NUL. */
#define FACADE_TOKENS_MAX 200000 /* At once; more are not issued. */

struct facade_tokens;

/* Loop and tree are borrowed. NULL with 'err'. */
struct facade_tokens *facade_tokens_open(struct ist_tree *,
                                         struct ist_err *err);
/* No write may be under way. NULL is fine; returns NULL. */
struct facade_tokens *facade_tokens_free(struct facade_tokens *);
/* Stops the sweep; what is being written then still is. */
void facade_tokens_stop(struct facade_tokens *);
bool facade_tokens_busy(const struct facade_tokens *);

/* What the token stands for, in the arena; NULL: nothing (any more). */
const Isthmus__V1__Token *
facade_token_find(struct facade_tokens *, const char *text, struct ist_arena *);

/* Makes a token, or takes one back. op.rc: 0, -ENOSPC (too many), or a fault.
 */
struct facade_token_write {
    struct ist_write write;       /* write.op prepared by the caller. */
    char text[FACADE_TOKEN_SIZE]; /* Of an issue: valid in 'done'. */

    /* Private. */
    struct facade_tokens *tokens;
    uint8_t key[crypto_hash_sha256_BYTES];
    void *data; /* Owned. */
    size_t size;
    uint64_t now_ms;
};

void facade_token_issue(struct facade_tokens *, struct facade_token_write *,
                        const Isthmus__V1__Token *);
void facade_token_revoke(struct facade_tokens *, struct facade_token_write *,
                         const char *text);
/* Wipes. Safe on a zeroed one. */
void facade_token_write_fini(struct facade_token_write *);

#endif
