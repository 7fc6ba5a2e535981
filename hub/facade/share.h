/* Requests that name another project: members of an image, and Neutron's RBAC
 * policies. The client knows the project by its id at the hub, the site by its
 * own; the site's mappings say which is which. */
#ifndef FACADE_SHARE_H
#define FACADE_SHARE_H

#include "facade/facade.h"

/* Adds to 'asked' what reads otherwise at the site, in the arena. False: the
 * body names a project that does not act there, which is in 'ret' then. Of
 * requests of other kinds it does nothing. */
bool facade_share(const struct facade *, struct facade_asked *,
                  const void *body, size_t size, struct ist_arena *,
                  char ret[40]);

#endif
