/* Which projects of the hub may act at this site, and as whom: one file, owned
 * by the site.
 *
 *     projects:
 *       - {hub: hkg/shop, project: shop, grant: [member]}
 *       - {hub: 3f6c.., cloud: shop-reader, roles: [reader]}
 *
 * 'hub' is the hub's project, as "<domain>/<name>" or by its id there. What it
 * may do here is either said by 'project' and 'grant', a project here and the
 * roles that the hub's users have in it, for which the agent makes an
 * application credential by itself (grant.h); or by 'cloud', an entry of
 * clouds.yaml whose credential is of one project here, and of no more rights
 * there than the hub is to have. Key pairs are a user's in Nova, and all that
 * is granted is granted by one user: such rows have none. With 'roles' a row is
 * for users that have one of them in the hub's project. The first row that fits
 * counts; a project without a row does nothing here. */
#ifndef PROJECTS_PROJECTS_H
#define PROJECTS_PROJECTS_H

#include "base/arena.h"
#include "conf/report.h"
#include "os/cloud.h"
#include "projects/grant.h"

#define PROJECTS_MAX       1000 /* Rows; more is an error of the file. */
#define PROJECTS_ROLES_MAX 8

struct projects;

/* One row. */
struct project {
    char *hub, *cloud_name, *project;
    char *roles[PROJECTS_ROLES_MAX], *granted[PROJECTS_ROLES_MAX];
    size_t n_roles, n_granted;
    struct grant grant; /* With 'project'. */
    struct ist_cloud_entry entry;
    /* Logs in when it is first used. NULL: its credential is not made yet. */
    struct os_cloud *cloud;
    struct projects *owner;
    bool is_refused; /* The login that would have made it. */
};

/* Where the rows are, and what they need. */
struct projects_conf {
    const char *path;
    const char *clouds; /* clouds.yaml; NULL: where OpenStack clients look. */
    const struct ist_cloud_entry *own; /* The agent's, who makes credentials. */
    const char *state;                 /* Directory where they are kept. */
};

/* Reads the file, the entries of clouds.yaml that it names, and the credentials
 * that were made. Loop, http, os_conf and 'own' are borrowed until closed. NULL
 * with 'err', when something is not sound, or cannot be read. */
struct projects *projects_open(struct ist_loop *, struct ist_http *,
                               const struct os_conf *,
                               const struct projects_conf *,
                               struct ist_err *err);
/* Whoever uses a row while the loop goes on holds the file it is of. NULL is
 * fine. */
void projects_hold(struct projects *);
void projects_release(struct projects *);
/* When nobody holds it any more. 'closed' is called from the loop, also for
 * NULL at once. */
void projects_close(struct projects *, void (*closed)(void *), void *arg);

/* NULL: none. By the hub's id and name of the project, and the user's roles
 * there. */
const struct project *projects_find(const struct projects *, const char *id,
                                    const char *name, char *const *roles,
                                    size_t n_roles);
size_t projects_count(const struct projects *);

/* Makes the credentials that are lacking, and logs in with each row's, so that
 * its project here is known; one that fails is tried again. 'changed' is called
 * from the loop when more is known. Borrowed until closed. */
void projects_resolve(struct projects *, void (*changed)(void *), void *arg);

/* What the hub is told of them, in the arena. False: no memory. NULL has
 * none. */
bool projects_tell(const struct projects *, struct ist_arena *,
                   Isthmus__V1__Mapping ***ret, size_t *ret_n);
/* Of what is told; other when that is other. */
void projects_digest(const struct projects *, uint8_t ret[32]);

#endif
