/* One site's OpenStack, seen through tables: log in, find the services, list
 * and show any kind of resource that model/kind.h names. All of it only reads.
 *
 * A cloud belongs to the loop's thread. Its token, its catalog and what its
 * services said about their versions are kept, so that a list costs one HTTP
 * exchange for each page.
 *
 * Every request is a struct that the caller zeroes, fills, and whose op he
 * prepares; results are in it when the op is done, until x_fini(). op.rc is 0,
 * an outcome of 'enum os_outcome', or a fault (-ECANCELED, -ETIMEDOUT when the
 * op's own deadline passed, -ENOMEM); op.err says in one sentence which
 * service was asked what, what came of it and what to do, without secrets.
 * op.err.http is the service's status, when it gave one. */
#ifndef OS_CLOUD_H
#define OS_CLOUD_H

#include "base/row.h"
#include "conf/clouds.h"
#include "http/client.h"
#include "io/op.h"
#include "model/order.h"

#include "isthmus/v1/reply.pb-c.h"

#include <bsd/sys/queue.h>

#define OS_LIMIT_MAX    1001 /* Records of one list: a page, and one. */
#define OS_FILTERS_MAX  4
#define OS_SERVICES_MAX 16

/* Equal, one by one, to the codes of isthmus.v1.Failure. */
enum os_outcome {
    OS_E_NOT_FOUND = 2, /* No such object. */
    OS_E_UNSUPPORTED,   /* No such kind, or the site has no such service. */
    OS_E_TIMEOUT,       /* The service did not answer in time. */
    OS_E_UNREACHABLE,   /* The service could not be reached. */
    OS_E_BAD_ANSWER,    /* It answered what could not be used. */
    OS_E_LOGIN,         /* Keystone refused us, or a service our token. */
    OS_E_BUSY,          /* Too much at once. */
    OS_E_BAD_CALL,      /* The request itself makes no sense. */
    OS_E_TOO_LARGE,     /* A record or an answer over the cap. */
    OS_E_UPSTREAM,      /* It answered an error; see op.err.http. */
};

/* For what goes on the bus: op.rc, whatever it is, as a code. */
Isthmus__V1__Failure__Code os_failure_code(int rc);

struct os_conf {
    uint64_t answer_max;    /* Bytes of one page, or of one object. */
    uint64_t record_max;    /* Bytes of one record. */
    uint64_t list_max;      /* Bytes of all records that one list keeps. */
    uint64_t pages_max;     /* Pages of one list. */
    uint64_t login_ms;      /* Time for a login. */
    uint64_t login_wait_ms; /* Pause after Keystone refused a login. */
    uint64_t versions_ms;   /* How long what a service said of its versions
                             * is believed. */
};

/* For lib/conf: "openstack.answer_max" and so on, with defaults. */
extern const struct ist_row os_rows[];

struct os_cloud;

/* Talks to nobody yet. All that is given is borrowed until closed. NULL, with
 * 'err', when the entry cannot be used (an auth_url that is no address). */
struct os_cloud *os_cloud_new(struct ist_loop *, struct ist_http *,
                              const struct ist_cloud_entry *,
                              const struct os_conf *, struct ist_err *err);

/* No request may be running. 'closed' is called from the loop, also for a
 * NULL cloud at once; may be NULL. Tokens are wiped. */
void os_cloud_close(struct os_cloud *, void (*closed)(void *), void *arg);

/* Names of the services that the site's catalog has and we know: "compute".
 * None before the first login. Borrowed, static; returns how many. */
size_t os_cloud_services(const struct os_cloud *, char ***ret_names);

/* A login: done when there is a token, or with OS_E_LOGIN, OS_E_UNREACHABLE and
 * so on when there is not. However many wait, Keystone is asked once. */
struct os_login {
    struct ist_op op;

    /* Private to auth.c. */
    struct os_cloud *cloud;
    bool queued;
    TAILQ_ENTRY(os_login) entry;
};

void os_login_start(struct os_cloud *, struct os_login *);

/* Ids of the project and the user that the credential is of; "" before the
 * first login. */
const char *os_cloud_project(const struct os_cloud *);
const char *os_cloud_user(const struct os_cloud *);

/* One resource. Borrowed from the request. */
struct os_record {
    struct ist_bytes keys[IST_ORDER_KEYS_MAX]; /* See model/order.h. */
    const char *id;                            /* With a NUL behind it. */
    struct ist_bytes body; /* The service's own JSON object. */
};

struct os_sort {
    const char *name; /* Of a member, see model/kind.h. */
    bool descending;
};

/* Records whose member is one of the values, byte by byte. */
struct os_filter {
    const char *name; /* "id", "name", "status" or "project". */
    const char *const *values;
    size_t n_values; /* 0: nothing matches. */
};

/* Which records with keys equal to those of 'after' are still wanted. */
enum os_ties {
    OS_TIES_AFTER_ID, /* Those with a greater id. */
    OS_TIES_SKIP,     /* None. */
    OS_TIES_TAKE,     /* All. */
};

/* The first records of a kind, in total order: the sort keys, then the id
 * (ascending), behind a place. Exact, whatever the service can sort by: where
 * it cannot, all its pages are read and only the best are kept.
 *
 * With an outcome there may be records too: those that could be used. */
struct os_list {
    struct ist_op op;

    /* Arguments, borrowed until 'done'. */
    const char *kind;
    struct os_sort sort[IST_ORDER_KEYS_MAX];
    size_t n_sort;
    struct os_filter filters[OS_FILTERS_MAX]; /* All must match. */
    size_t n_filters;
    size_t limit; /* 1 to OS_LIMIT_MAX. */
    size_t first; /* Not 0: so many will do for now. A service that sorts as
                   * we do is then asked for no more. */
    bool has_after;
    struct ist_place after; /* Its keys and its id. */
    enum os_ties ties;
    size_t memory;       /* Cap for all records; 0: that of os_conf. */
    const char *version; /* Microversion of the answer; NULL: our choice. */
    /* Not NULL: the list is asked for in a client's name, with these filters
     * of the service's own ("status=ACTIVE&name=a"), and sees what he may. */
    const char *query;
    const char *request_id; /* For the service's log; NULL: none. */

    /* Results. */
    struct os_record *records;
    size_t n_records;
    bool has_more;      /* It ended for 'first'; to go on, list again behind
                         * the last record. */
    unsigned n_pages;   /* HTTP exchanges. */
    uint64_t n_scanned; /* Records that the service sent. */
    uint64_t n_refused; /* Of those: too large, ambiguous, or without id. */
    bool is_whole;      /* The outcome is only about those: all other records
                         * are here. */

    struct os_list_work *work; /* Private to list.c. */
};

void os_list_start(struct os_cloud *, struct os_list *);
void os_list_fini(struct os_list *); /* Safe on a zeroed one. */

/* One resource by its id. OS_E_NOT_FOUND when there is none. */
struct os_show {
    struct ist_op op;

    const char *kind, *id; /* Borrowed until 'done'. */
    const char *version;   /* As above. */

    struct os_record record; /* Without keys. */

    struct os_show_work *work; /* Private to show.c. */
};

void os_show_start(struct os_cloud *, struct os_show *);
void os_show_fini(struct os_show *);

/* Are the services there?  Each that we know is asked for its versions, side
 * by side and past every cache. One that is down is a result, not a failure:
 * the outcome is 0 whatever the services said. */
struct os_probe {
    struct ist_op op;

    const Isthmus__V1__Service *const *services;
    size_t n_services;

    struct os_probe_work *work; /* Private to probe.c. */
};

void os_probe_start(struct os_cloud *, struct os_probe *);
void os_probe_fini(struct os_probe *);

#endif
