/* The site's own word on what the hub may ask: one file, owned by the site,
 * judged in the agent before anything is asked of OpenStack.
 *
 *     mode: active             # active, read-only or frozen
 *     rules:                   # the first that matches decides
 *       - {deny: read, what: keypair}
 *       - {allow: read, what: "*"}
 *       - {allow: [create, delete], what: [server, volume], project: 6f..}
 *       - {allow: update, what: server, project: mapped}
 *
 * 'project' is the site's own id of one; "mapped" is any that a project of the
 * hub's acts in (projects/projects.h). No rule that matches: denied. In
 * read-only mode everything but reading is denied before the rules are looked
 * at, in frozen mode everything is. */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include "conf/report.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum policy_mode { POLICY_ACTIVE, POLICY_READ_ONLY, POLICY_FROZEN };

enum policy_verb {
    POLICY_READ,
    POLICY_CREATE,
    POLICY_UPDATE,
    POLICY_DELETE,
    POLICY_ACTION, /* Reboot, attach: changes that are no update. */
};

#define POLICY_VERBS     5
#define POLICY_RULES_MAX 1000 /* More is an error of the file. */

struct policy {
    enum policy_mode mode;
    uint8_t digest[32];        /* SHA-256 of the file. */
    struct policy_rule *rules; /* Owned, with what is in them. */
    size_t n_rules;
};

struct policy_verdict {
    bool allow;
    unsigned rule;      /* From 1; 0: the mode, or no rule, decided. */
    const char *reason; /* "rule 3 (line 12)"; lives as long as the policy. */
};

/* NULL, with 'err', when the file cannot be read or is not sound. What a kind
 * is, model/kind.h says; besides those, "service" is what a probe reads, and
 * "unknown" what no table knows. */
struct policy *policy_load(const char *path, struct ist_err *err);

/* The same, and 'report' gets all complaints, warnings too: a rule that can
 * never decide, because an earlier one always does. */
struct policy *policy_load_report(const char *path, struct ist_conf_report *,
                                  struct ist_err *err);

/* NULL is fine; returns NULL. */
struct policy *policy_free(struct policy *);

/* Pure. 'project' NULL: the call may touch any project; "mapped": one that is
 * mapped, whose id is not known yet. A rule that names one by its id then does
 * not allow, but denies. */
struct policy_verdict policy_judge(const struct policy *, enum policy_verb,
                                   const char *kind, const char *project);

/* The words of the file. Static. */
const char *policy_verb_name(enum policy_verb);
const char *policy_mode_name(enum policy_mode);
bool policy_verb_parse(const char *word, enum policy_verb *ret);

#endif
