/* The kinds of resources that sites have: what each is called, and which
 * members of its native JSON object matter to those who sort, filter and show
 * it. Hub and agent both read this table; how a kind is fetched from a
 * service is the agent's business alone (agent/os/rows.h).
 *
 * A member has one canonical name for all kinds ("created_at"), and a path in
 * the native object of its kind ("created"): names joined by dots, as
 * codec/json takes them. The path "" is for an id, or a project, that the
 * object does not hold: of a kind of which each project has one, the
 * project's id. */
#ifndef MODEL_KIND_H
#define MODEL_KIND_H

#include <stddef.h>

/* How values of a member are ordered; see model/order.h for the bytes. */
enum ist_member_type {
    IST_MEMBER_TEXT,
    IST_MEMBER_TIME,
    IST_MEMBER_NUMBER,
};

struct ist_member {
    const char *name; /* "created_at" */
    const char *path; /* "created" */
    enum ist_member_type type;
};

#define IST_KIND_MEMBERS_MAX 12

struct ist_kind {
    const char *name;    /* "security-group" */
    const char *plural;  /* "security-groups", the word of URLs. */
    const char *service; /* "network", the service that has it. */
    /* Ended by a NULL name. Always has "id", the service's own id, unique
     * among this kind at one site. May have "name", "status", "project",
     * "created_at", "updated_at" and others. All of them can be sorted by. */
    struct ist_member members[IST_KIND_MEMBERS_MAX + 1];
};

/* All kinds, in the order in which they are shown. Static. */
const struct ist_kind *ist_kinds(size_t *ret_n);

/* NULL when there is none of that name. */
const struct ist_kind *ist_kind_find(const char *name);
const struct ist_kind *ist_kind_find_plural(const char *plural);

/* By its canonical name; NULL when the kind has none. */
const struct ist_member *ist_kind_member(const struct ist_kind *,
                                         const char *name);

#endif
