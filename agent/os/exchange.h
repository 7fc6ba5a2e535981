/* One HTTP exchange with a service, passed through: the caller's method, path,
 * headers and body, our token. What the service answers is handed on as it
 * comes, whatever its status; only a token that it refuses is renewed, once,
 * where nothing of the body would have to be sent a second time.
 *
 *     LOGIN ---> ASK ---> done
 *       ^         |
 *       +-- 401 --+   once, unless the body is streamed
 */
#ifndef OS_EXCHANGE_H
#define OS_EXCHANGE_H

#include "codec/rewrite.h"
#include "os/cloud_priv.h"

#define OS_EXCHANGE_HEADERS_MAX 72

struct os_exchange {
    struct ist_op op; /* Prepared by the caller. */

    /* The caller's until 'done'. */
    struct os_cloud *cloud;
    const struct os_service *service;
    const char *method;
    const char *target; /* Path and query behind the service's address without
                         * version: "/v2.1/servers?limit=2". */
    const char *const *headers; /* "Name: value", NULL-ended, at most
                                 * OS_EXCHANGE_HEADERS_MAX; none of them a
                                 * token. */
    const void *body;
    size_t body_size;
    /* What reads otherwise for the service, in target and, where it is JSON,
     * body. An 'id_from' stands for the credential's own project: 'id_to' is
     * filled in here. */
    struct ist_rewriting rewriting;
    /* As in http/client.h; or NULL. */
    ssize_t (*on_body)(struct os_exchange *, void *buf, size_t size);
    uint64_t body_length;

    /* The head of the answer: call.status and call.header_text are whole. */
    void (*on_head)(struct os_exchange *);
    /* As in http/client.h: 0: taken; -EAGAIN: full. */
    int (*on_data)(struct os_exchange *, const void *data, size_t size);

    /* Private to exchange.c, but for reading the answer's head. */
    struct ist_http_call call;
    struct os_login login;
    struct ist_sb url, token_header, new_body;
    const char *all_headers[OS_EXCHANGE_HEADERS_MAX + 2];
    uint32_t generation;
    bool relogged, has_head;
};

/* op.rc 0: an answer came whole. Else an outcome or a fault, in words. */
void os_exchange_start(struct os_exchange *);
/* After -EAGAIN of on_body or on_data. */
void os_exchange_resume(struct os_exchange *);
/* Frees; safe on a zeroed one. */
void os_exchange_fini(struct os_exchange *);

/* The address of a service by its place in the table, as it stands in links:
 * without version. NULL: the site has none. Borrowed. */
const char *os_cloud_base(const struct os_cloud *, const struct os_service *);

#endif
