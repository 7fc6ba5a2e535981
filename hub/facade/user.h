/* Users who have logged in, by the id that they have at the hub: it is made of
 * their site's own, and nobody could tell by it who they are. With it they log
 * in again by that id, as some clients do. */
#ifndef FACADE_USER_H
#define FACADE_USER_H

#include "facade/keep.h"

#include "isthmus/v1/identity.pb-c.h"

#define FACADE_USERS_MAX 1000000U /* More log in by their names. */

extern const struct facade_keep_kind facade_user_kind;

/* Of a token's user; nothing if he is known. 'keep' NULL: none are kept. */
void facade_user_note(struct facade_keep *, const char *hub_id,
                      const Isthmus__V1__Token *);
/* In the arena; NULL: he has not logged in here. */
const Isthmus__V1__KnownUser *
facade_user_find(struct facade_keep *, const char *hub_id, struct ist_arena *);

#endif
