/* Which projects of the hub may act at this site, and as whom: one file, owned
 * by the site.
 *
 *     projects:
 *       - {hub: hkg/shop, cloud: shop}
 *       - {hub: 3f6c.., cloud: shop-reader, roles: [reader]}
 *
 * 'hub' is the hub's project, as "<domain>/<name>" or by its id there; 'cloud'
 * an entry of clouds.yaml, whose credential is of one project here, and of no
 * more rights there than the hub is to have. With 'roles' a row is for users
 * that have one of them in the hub's project. The first row that fits counts;
 * a project without a row does nothing here. */
#ifndef PROJECTS_PROJECTS_H
#define PROJECTS_PROJECTS_H

#include "base/arena.h"
#include "conf/report.h"
#include "os/cloud.h"

#define PROJECTS_MAX       1000 /* Rows; more is an error of the file. */
#define PROJECTS_ROLES_MAX 8

struct projects;

/* One row. */
struct project {
    char *hub, *cloud_name;
    char *roles[PROJECTS_ROLES_MAX];
    size_t n_roles;
    struct ist_cloud_entry entry;
    struct os_cloud *cloud; /* Logs in when it is first used. */
};

/* Reads the file, and the entries that it names from 'clouds' (NULL: where
 * OpenStack clients look). Loop, http and conf are borrowed until closed. NULL
 * with 'err', when the file is not sound, or cannot be read. */
struct projects *projects_open(struct ist_loop *, struct ist_http *,
                               const struct os_conf *, const char *path,
                               const char *clouds, struct ist_err *err);
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

/* Logs in with each row's credential, so that its project here is known; one
 * that fails is tried again. 'changed' is called from the loop when more is
 * known. Borrowed until closed. */
void projects_resolve(struct projects *, void (*changed)(void *), void *arg);

/* What the hub is told of them, in the arena. False: no memory. NULL has
 * none. */
bool projects_tell(const struct projects *, struct ist_arena *,
                   Isthmus__V1__Mapping ***ret, size_t *ret_n);
/* Of what is told; other when that is other. */
void projects_digest(const struct projects *, uint8_t ret[32]);

#endif
