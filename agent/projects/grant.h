/* A project of the site with some roles there, as the agent hands it to the
 * hub's users: by an application credential that it makes once, as the user
 * that it is itself, and keeps in its state (0600). The hub never sees it.
 *
 * Made once: whoever deletes the credential in Keystone has ended the grant,
 * until the file is deleted as well. */
#ifndef PROJECTS_GRANT_H
#define PROJECTS_GRANT_H

#include "io/pool.h"
#include "os/credential.h"

#include <limits.h>

struct grant {
    struct ist_op op; /* Of grant_start(). */

    /* Private to grant.c. */
    struct ist_loop *loop;
    char *const *roles;
    size_t n_roles;
    char path[PATH_MAX], name[80];
    struct ist_cloud_entry scoped; /* The agent's own, for that project. */
    struct os_cloud *maker;
    struct os_credential making;
    struct ist_work writing;
    struct ist_sb text;
};

/* 'project': id, "name" (in the domain of the agent's own project) or
 * "domain/name". 'dir' is the directory of the agent's state. All but those two
 * is borrowed until closed. 0, or a fault with 'err': the agent's own entry has
 * no password, for nothing else may make credentials. */
int grant_init(struct grant *, struct ist_loop *, struct ist_http *,
               const struct os_conf *, const struct ist_cloud_entry *own,
               const char *dir, const char *project, char *const *roles,
               size_t n_roles, struct ist_err *err);

/* Is it the same project, with the same roles, by the same user? */
bool grant_is_same(const struct grant *, const struct grant *);

/* The entry to log in with, from the file: 0; -ENOENT: there is none yet; a
 * fault with 'err'. Blocks on the disk. */
int grant_read(const struct grant *, struct ist_cloud_entry *ret,
               struct ist_err *err);

/* Makes it and writes the file; again after a failure, only what is left to do.
 * The caller has prepared op. */
void grant_start(struct grant *);
/* After that, in 'done': the entry. -ENOMEM. */
int grant_entry(const struct grant *, struct ist_cloud_entry *ret);

/* Nothing may be running. 'closed' is called from the loop, or at once for a
 * zeroed one; grant_fini() comes after it. */
void grant_close(struct grant *, void (*closed)(void *), void *arg);
void grant_fini(struct grant *);

#endif
