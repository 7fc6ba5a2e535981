/* Between registry.c and presence.c. */
#ifndef SITES_REGISTRY_PRIV_H
#define SITES_REGISTRY_PRIV_H

#include "sites/registry.h"

/* Tells whoever wants to know, when there is a change. */
void sites_set_state(struct sites_site *, enum sites_state, unsigned changes);

/* Without presence the site is absent SITES_ABSENT_MS from now. */
void sites_await_presence(struct sites_site *);

struct ist_loop *sites_loop(const struct sites *);

#endif
