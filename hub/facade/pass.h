/* Keystone tokens of users who act with their own at sites that share their
 * home's Keystone (facade.passthrough). Held in memory alone, by the audit id
 * of the hub's own token, no longer than that; after a restart such a user logs
 * in anew. To a site that is not listed none ever goes. */
#ifndef FACADE_PASS_H
#define FACADE_PASS_H

#include "facade/facade.h"
#include "facade/token.h"

/* As many as there are tokens of the hub, so that nobody's ousts another's. At
 * that the oldest goes. */
#define FACADE_PASSES_MAX FACADE_TOKENS_MAX

/* 'sites': names with commas; borrowed until freed. NULL: no memory. */
struct facade_passes *facade_passes_new(struct ist_loop *, const char *sites);
struct facade_passes *facade_passes_free(struct facade_passes *);

/* Is it one of the sites? NULL has none. */
bool facade_passes_share(const struct facade_passes *, const char *site);

/* Copies the token. False: no memory. */
bool facade_pass_put(struct facade_passes *, const char *audit_id,
                     const void *token, size_t size, uint64_t expires_ms);
/* Another scope of the same user's. False: no memory; nothing to copy is
 * fine. */
bool facade_pass_copy(struct facade_passes *, const char *from_audit_id,
                      const char *to_audit_id);
/* NULL: there is none. Borrowed until the loop goes on. */
const char *facade_pass_find(const struct facade_passes *,
                             const char *audit_id);

/* With the hub's token. */
void facade_pass_drop(struct facade_passes *, const char *audit_id);

/* Is it a token of which the pass is not here any more? Such a one is good for
 * nothing. */
bool facade_pass_is_lost(const struct facade_passes *,
                         const Isthmus__V1__Token *);

/* Does the caller act at the site with his own token? */
bool facade_pass_is_for(const struct facade_caller *, const char *site);

#endif
