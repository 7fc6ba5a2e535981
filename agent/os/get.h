/* One GET of a service, with all that it takes: a token, the service's
 * versions, and one new token when the one we had is refused.
 *
 *     LOGIN ---> VERSIONS ---> ASK ---> done
 *       ^                       |
 *       +------- 401, once -----+
 *                406, once: VERSIONS again
 */
#ifndef OS_GET_H
#define OS_GET_H

#include "os/cloud_priv.h"

struct os_get {
    struct ist_op op; /* Prepared by the caller. */

    /* Arguments, the caller's until 'done'. */
    struct os_cloud *cloud;
    const struct os_service *service;
    const char *version;    /* Highest microversion wanted; or NULL. */
    bool version_is_firm;   /* That one or none. */
    uint64_t answer_max;    /* Bytes; more is OS_E_TOO_LARGE. */
    const char *request_id; /* For the service's log; NULL: none. */

    /* Appends what comes behind the service's prefix: path and query. Called
     * for each attempt, when the token's project is known. */
    void (*target)(struct os_get *, struct ist_sb *);
    /* A new answer begins: forget what an earlier attempt gave. */
    void (*begin)(struct os_get *);
    /* Bytes of a good answer. Non-zero stops it and becomes op.rc; the
     * function has filled op.err then. */
    int (*data)(struct os_get *, const void *, size_t);

    /* Results. */
    int status;       /* Of the last answer; 0: none came. */
    unsigned n_asked; /* Exchanges, those for versions included. */

    /* Private to get.c. */
    struct os_login login;
    struct ist_http_call call;
    struct ist_sb url, path, token_header, version_header, id_header, body;
    const char *headers[6];
    uint32_t generation;
    uint64_t n_bytes; /* Of a good answer, so far. */
    bool relogged, reversioned, begun, stopped;
};

/* op.rc 0: the answer came whole, with status 200, as JSON. Else an outcome
 * or a fault, in words. */
void os_get_start(struct os_get *);

/* Frees; safe on a zeroed one, which can be started again. */
void os_get_fini(struct os_get *);

/* The path that was asked, for sentences. Borrowed. */
const char *os_get_path(const struct os_get *);

/* Finishes an op that is being cancelled, saying what it was doing. */
void os_finish_cancelled(struct ist_op *, const struct os_service *,
                         const char *path);

#endif
