/* OpenStack as clients know it, in front of the sites.
 *
 *     /identity/v3/...          Keystone, the hub's own (identity.h)
 *     /r/<key>/<service>/...    the service of one site, passed through
 *
 * <key> is the site's path key (key.h). Whatever is answered here, errors of
 * the hub's own too, has the shape of that service. */
#ifndef FACADE_FACADE_H
#define FACADE_FACADE_H

#include "facade/services.h"

#include "base/row.h"
#include "httpd/server.h"
#include "survey/desk.h"

#include "isthmus/v1/identity.pb-c.h"
#include "isthmus/v1/relay.pb-c.h"

#include <bsd/sys/queue.h>

struct facade_conf {
    char *public_url;    /* "https://hub.example.net:8443"; "": as the client
                          * called it. */
    uint64_t relays_max; /* At once; above: 503. */
    uint64_t idle_ms;    /* Without anything moving: 504, or cut. */
    uint64_t logins_max; /* At once; above: 503. */
    uint64_t token_ms;   /* Life of a token. */
    char *roles;         /* The roles.yaml; NULL: all are tenants. */
    char *passthrough;   /* Sites that share one Keystone; NULL: none do. */
};

#define FACADE_IDENTITY "/identity"
#define FACADE_URL_SIZE 256

extern const struct ist_row facade_rows[];

struct facade_relay;

/* Who asks, as far as it is known by now. */
struct facade_caller {
    const char *user;         /* "hkg/alice"; "": nobody. */
    const char *project;      /* Its id at the hub; "": none. */
    const char *project_name; /* "hkg/shop" */
    char **roles;
    size_t n_roles; /* All borrowed from the request. */
    /* Of one who may act with a token of his own: it, at which sites, and the
     * id of the project in their Keystone. NULL: he may not. */
    const char *pass, *pass_sites, *pass_project;
};

struct facade;

/* Only a token that is of a project can do anything at a site. What is made up
 * is in the arena, the rest borrowed from the token. */
bool facade_caller_of(const struct facade *, const Isthmus__V1__Token *,
                      struct ist_arena *, struct facade_caller *ret);

/* What is asked of whom. Strings are the request's. */
struct facade_asked {
    struct sites_site *site;
    const struct facade_service *service;
    const char *target; /* Behind the service: "/v2.1/servers?limit=2". */
    const char *base;   /* Of the region, for links:
                         * "https://hub:8443/r/hkg". */
    struct facade_caller caller;
    const char *version; /* Instead of the microversion of the client's
                          * headers, where there is one; NULL: as it is. */
    /* What reads otherwise in the region than at the site. */
    Isthmus__V1__Swap **swaps;
    size_t n_swaps;
};

struct facade_keep;
struct facade_mappings;
struct facade_passes;
struct facade_roles;

/* The region of all sites; its requests come as those of a site's do, but
 * without a site. Those to the region of a site that is away come there too:
 * what it last said is known there. */
#define FACADE_GLOBAL "global"

typedef void facade_region_fn(void *arg, struct ist_httpd_request *,
                              const struct facade_asked *);

struct facade {
    struct ist_loop *loop;
    struct desk *desk;
    struct sites *sites;
    struct ist_self *self; /* All borrowed: the hub's, who signs. */
    struct facade_conf conf;
    /* Borrowed, set by the owner. */
    struct facade_keep *tokens, *credentials, *users;
    struct facade_mappings *mappings;
    struct facade_roles *roles;   /* NULL: all are tenants. */
    struct facade_passes *passes; /* NULL: no sites share a Keystone. */
    facade_region_fn *global;     /* NULL: there is none. */
    void *global_arg;
    /* Is it the token of the hub's admin? */
    bool (*is_admin)(void *arg, const char *token);
    void *arg;
    uint64_t n_logins;                         /* Under way. */
    uint64_t n_open, n_bytes_up, n_bytes_down; /* For metrics. */
    LIST_HEAD(, facade_relay) relays;
    unsigned n_wide; /* Of them, those with a wide window. */
};

void facade_init(struct facade *, struct ist_loop *, struct desk *,
                 struct sites *, struct ist_self *, const struct facade_conf *);

/* Who sent the request, by the token in it; false: nobody that is known. */
bool facade_find_caller(const struct facade *, struct ist_httpd_request *,
                        struct facade_caller *ret);

/* Is the request one for here? */
bool facade_is_for(const struct ist_httpd_request *);

/* Takes it, from httpd's 'begin': its head is there, its body not yet. */
void facade_begin(struct facade *, struct ist_httpd_request *);

/* The same for /identity, whose bodies are collected. */
bool facade_is_identity(const struct ist_httpd_request *);

/* What clients call the hub by. */
void facade_url(const struct facade *, const struct ist_httpd_request *,
                char ret[FACADE_URL_SIZE]);

/* From the bus: it takes messages again. */
void facade_drained(struct facade *);

#endif
