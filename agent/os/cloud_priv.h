/* The inside of a cloud: what is kept between requests. */
#ifndef OS_CLOUD_PRIV_H
#define OS_CLOUD_PRIV_H

#include "os/cloud.h"
#include "os/rows.h"
#include "os/trail.h"

#include <bsd/sys/queue.h>

#define OS_RESOURCES_MAX 64
#define OS_PROJECT_MAX   64
#define OS_VERSION_MAX   16 /* "2.93" with its NUL. */

/* Where a service is. */
struct os_endpoint {
    char *base;   /* Owned; NULL: the catalog has none that can be used. */
    char why[96]; /* Then: what is wrong with the one it has, or "". */
};

/* What a service said about its microversions. "" where it has none. */
struct os_versions {
    char min[OS_VERSION_MAX], max[OS_VERSION_MAX];
    uint64_t until; /* Loop milliseconds; 0: not known. */
};

/* The token, and the login that is on its way to a new one. */
struct os_auth {
    char *token;                    /* Owned, wiped. NULL: none. */
    uint32_t generation;            /* Of the token; counts up. */
    uint64_t valid_until, renew_at; /* Loop milliseconds. */
    char project[OS_PROJECT_MAX + 1], user[OS_PROJECT_MAX + 1];
    bool admin;

    struct ist_http_call call;
    struct ist_sb url, body;
    bool running;
    TAILQ_HEAD(os_logins, os_login) waiting;

    /* Keystone's last refusal: not asked again before. */
    uint64_t refused_until;
    struct ist_err refusal;
};

struct os_cloud {
    struct ist_loop *loop;
    struct ist_http *http;
    const struct ist_cloud_entry *entry;
    const struct os_conf *conf;
    struct os_auth auth;
    struct os_endpoint endpoints[OS_SERVICES_MAX]; /* As os_services(). */
    struct os_versions versions[OS_SERVICES_MAX];
    struct os_trails trails;
    /* Kinds whose service turned out not to sort as we do, as os_resources().
     * A short list could not notice it again. */
    bool unsorted[OS_RESOURCES_MAX];

    struct ist_op closing;
    void (*closed)(void *);
    void *closed_arg;
};

/* Place of a service in the arrays above. */
size_t os_service_index(const struct os_service *);

/* --- auth.c --- */

void os_auth_init(struct os_cloud *);
void os_auth_fini(struct os_cloud *);

/* Is there a token that can be used now?  If it is near its end, a new one is
 * asked for meanwhile. */
bool os_auth_ready(struct os_cloud *);

/* A service refused this token: do not use it again. */
void os_auth_spoil(struct os_cloud *, uint32_t generation);

#endif
