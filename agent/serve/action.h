/* What a request to a service does, in the words of the site's policy: told
 * from its method and path by the tables of kinds, which drive listing too.
 * Pure. */
#ifndef SERVE_ACTION_H
#define SERVE_ACTION_H

#include "os/rows.h"
#include "policy/policy.h"

struct serve_action {
    enum policy_verb verb;
    const char *kind; /* Of model/kind.h; "service" where a service tells of
                       * itself; "unknown": no table knows the path. Static. */
};

/* 'target' begins with a slash and has passed os_url_check_target(). */
struct serve_action serve_action_of(const struct os_service *,
                                    const char *method, const char *target);

#endif
