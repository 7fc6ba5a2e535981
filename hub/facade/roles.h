/* Who is more than a tenant at the hub: its own file, owned by its admin. What
 * a site reports of its users never makes one of them anything here.
 *
 *     roles:
 *       - {user: hkg/ann, role: noc}       # whatever her project
 *       - {project: hkg/ops, role: admin}  # whoever has logged in to it
 *
 * Tenants see what is their project's, the NOC sees everything and takes care
 * of alarms, the admin may all. */
#ifndef FACADE_ROLES_H
#define FACADE_ROLES_H

#include "facade/facade.h"

#define FACADE_ROLES_MAX 1000 /* Rows; more is an error of the file. */

enum facade_role {
    FACADE_NOBODY, /* Has not logged in. */
    FACADE_TENANT,
    FACADE_NOC,
    FACADE_ADMIN,
};

struct facade_roles;

/* Reads the file; NULL with 'err' when it is not sound, or cannot be read. */
struct facade_roles *facade_roles_open(const char *path, struct ist_err *err);
/* NULL is fine; returns NULL. */
struct facade_roles *facade_roles_free(struct facade_roles *);

/* The highest that any row gives; NULL has no rows. */
enum facade_role facade_roles_of(const struct facade_roles *,
                                 const struct facade_caller *);

#endif
