/* The site's own record of what the hub asked for in its users' names and what
 * became of it: one line of JSON for each effect asked for, before it is
 * carried out, and for each one refused. Reading leaves none.
 *
 *     {"time":"2026-11-25T08:00:00.123Z","verdict":"denied","verb":"delete",
 *      "kind":"volume","method":"DELETE","service":"volume",
 *      "path":"/v3/.../volumes/...","user":"hkg/alice","project":"hkg/shop",
 *      "request_id":"req-...","reason":"..."}
 *
 * The lines are appended to a file that only the agent's user reads, and are on
 * the disk within moments; the file may be moved away at any time, and is made
 * anew. */
#ifndef SERVE_AUDIT_H
#define SERVE_AUDIT_H

#include "io/pool.h"
#include "policy/policy.h"
#include "serve/assertion.h"

#define SERVE_AUDIT_MAX                                                        \
    (4U << 20) /* Bytes that wait for the disk; what is over                   \
                * is refused: an effect without a line is                      \
                * none of the site's. */

struct serve_audit {
    struct ist_loop *loop; /* Borrowed. */
    char path[512];
    struct ist_sb next, writing;
    struct ist_work work;
    bool is_writing, has_failed;
};

void serve_audit_init(struct serve_audit *, struct ist_loop *,
                      const char *path);
/* Not while it is busy. */
void serve_audit_fini(struct serve_audit *);
bool serve_audit_busy(const struct serve_audit *);

/* A line; 'reason' NULL: it is allowed. False: there is no room for it, or the
 * disk takes none. */
bool serve_audit_add(struct serve_audit *, const struct serve_asserted *,
                     enum policy_verb, const char *kind, const char *reason);

#endif
