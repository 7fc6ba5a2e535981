/* Who a token is for, and what there is for him: the bodies of Keystone's v3
 * API as clients read them (docs.openstack.org/api-ref/identity/v3). */
#ifndef FACADE_CATALOG_H
#define FACADE_CATALOG_H

#include "facade/facade.h"

#include "isthmus/v1/identity.pb-c.h"

/* The hub's ids of a site's users and projects: UUIDv5 of the site's uid and
 * the site's own id. 'ret' has IST_ID_HEX_SIZE bytes; returned. */
const char *facade_hub_id(const Isthmus__V1__Token *, const char *own_id,
                          char *ret);
/* The hub's name of a domain: "hkg", "hkg.corp". In the arena, or NULL. */
const char *facade_domain(struct ist_arena *, const char *site,
                          const char *domain);

/* "2026-11-26T19:00:00.000000Z", with its quotes. */
void facade_time_json(struct ist_sb *, uint64_t wall_ms);
/* An array. Roles are known by their names, everywhere; their ids at the hub
 * are made of those. */
void facade_roles_json(struct ist_sb *, const struct facade *,
                       const Isthmus__V1__Grant *);
const char *facade_role_id(const struct facade *, const char *role, char *ret);

/* {"token": ...}; 'url' is the hub's. */
void facade_token_json(struct ist_sb *, const struct facade *, const char *url,
                       const Isthmus__V1__Token *, bool with_catalog);
/* The catalog alone, an array. */
void facade_catalog_json(struct ist_sb *, const struct facade *,
                         const char *url, const Isthmus__V1__Token *);
/* One project of the token's user, as {"id": ...}. */
void facade_project_json(struct ist_sb *, const char *url,
                         const Isthmus__V1__Token *,
                         const Isthmus__V1__Grant *);

#endif
