/* Which projects of the hub may act at which site, as the sites say: each one
 * owns its own projects.yaml, and its agent tells what is in it. Asked for when
 * a site's presence shows that it is other than what is known, and kept in
 * hub.db, for a site that is away still has its projects.
 *
 * The site decides, here it is only known: for the catalog, for which sites to
 * ask, and for whose rows of the view are whose. */
#ifndef FACADE_MAPPING_H
#define FACADE_MAPPING_H

#include "facade/facade.h"
#include "facade/keep.h"

#include "isthmus/v1/identity.pb-c.h"

extern const struct facade_keep_kind facade_mapping_kind;

/* All borrowed until freed. NULL: no memory. */
struct facade_mappings *facade_mappings_new(struct ist_loop *, struct desk *,
                                            struct facade_keep *);
/* NULL is fine. No call may be under way. */
struct facade_mappings *facade_mappings_free(struct facade_mappings *);
bool facade_mappings_busy(const struct facade_mappings *);

/* From the registry. */
void facade_mappings_site_changed(struct facade_mappings *, struct sites_site *,
                                  unsigned changes);

/* Does the caller's project act at the site? It does where he has a token of
 * his own; the hub's admin does, as the site's own. '*ret_project': the site's
 * id of it; "": of no one project, or not known. Borrowed until the loop goes
 * on. */
bool facade_mapping_find(const struct facade_mappings *,
                         const struct sites_site *,
                         const struct facade_caller *,
                         const char **ret_project);

/* The projects that act at the site, by their ids at the hub and there: those
 * of which the hub knows the id, because the file gives it, or because the home
 * site of the project maps it too. In the arena. False: no memory. */
bool facade_mapping_pairs(const struct facade_mappings *, struct sites *,
                          const struct sites_site *, struct ist_arena *,
                          Isthmus__V1__Pair ***ret, size_t *ret_n);

#endif
