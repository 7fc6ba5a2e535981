/* Members of a federation, made for a test: keys of their own, all kinds
 * allowed, valid for ever. */
#ifndef UNIT_IDENTITY_H
#define UNIT_IDENTITY_H

#include "base/id.h"
#include "codec/delegation.h"
#include "codec/seal.h"

#include <stdlib.h>
#include <string.h>

#define IDENTITY_FOR_EVER (UINT64_MAX / 2)

static inline void identity_make(struct ist_self *self, enum ist_role role,
                                 uint64_t epoch)
{
    *self = (struct ist_self){.role = role, .epoch = epoch};
    self->uid = ist_id_random();
    ist_self_make_keys(self);
}

/* What 'self' knows of 'of'. */
static inline struct ist_peer identity_peer(const struct ist_self *of,
                                            const struct ist_self *self)
{
    struct ist_peer peer = {.uid = of->uid,
                            .role = of->role,
                            .kinds = UINT32_MAX,
                            .not_after_ms = IDENTITY_FOR_EVER};

    memcpy(peer.signing_public, of->signing_public, 32);
    memcpy(peer.sealing_public, of->sealing_public, 32);
    if (ist_peer_join(&peer, self))
        abort();
    return peer;
}

/* What the hub signs for 'of', not signed. */
static inline struct ist_delegation
identity_delegation(const struct ist_self *of)
{
    struct ist_delegation delegation = {.subject = of->uid,
                                        .kinds = UINT32_MAX,
                                        .not_after_ms = IDENTITY_FOR_EVER,
                                        .serial = 1};

    memcpy(delegation.signing_key, of->signing_public, 32);
    memcpy(delegation.sealing_key, of->sealing_public, 32);
    return delegation;
}

#endif
