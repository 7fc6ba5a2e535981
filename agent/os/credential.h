/* Making an application credential (Keystone API v3, POST
 * /v3/users/{user_id}/application_credentials): of the project that the cloud's
 * entry logs in to, with some of the roles that its user has there, and no
 * right to make others ("unrestricted": false). Keystone lets a user make them
 * for himself alone. */
#ifndef OS_CREDENTIAL_H
#define OS_CREDENTIAL_H

#include "os/exchange.h"

#define OS_CREDENTIAL_ID_MAX 64

struct os_credential {
    struct ist_op op; /* Prepared by the caller. */

    /* Arguments, borrowed until 'done'. */
    struct os_cloud *cloud;
    const char *name; /* One that the user has none of yet. */
    const char *const *roles;
    size_t n_roles;

    /* Results. */
    char id[OS_CREDENTIAL_ID_MAX + 1];
    char *secret; /* Wiped by os_credential_fini(). */

    /* Private to credential.c. */
    struct os_login login;
    struct os_exchange exchange;
    struct ist_sb target, body, answer;
};

void os_credential_start(struct os_credential *);
/* Safe on a zeroed one. */
void os_credential_fini(struct os_credential *);

#endif
