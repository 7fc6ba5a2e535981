/* HTTP client: libcurl's multi interface on the loop.
 *
 * One client serves a whole process. A call is a request the caller embeds;
 * redirects are never followed, proxies come from configuration only, and
 * only http and https are spoken. The answer is either collected up to a cap,
 * or handed over piece by piece as it arrives, with back-pressure.
 *
 * The simulation links another implementation of this header that answers as
 * a cloud. */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "base/sb.h"
#include "io/op.h"

struct ist_http;

struct ist_http_conf {
    uint64_t connect_timeout_ms;
    uint64_t idle_timeout_ms; /* No byte for so long: -ETIMEDOUT. */
    uint64_t connections_max; /* In all; more calls wait their turn. */
    uint64_t per_host_max;
    uint64_t headers_max; /* Bytes of answer headers; above: -EMSGSIZE. */
};

struct ist_http_call {
    struct ist_op op; /* Prepared by the caller. */

    /* Borrowed until 'done'. */
    const char *method, *url;
    const char *const *headers; /* "Name: value", NULL-ended; or NULL. */
    const void *body;
    size_t body_size;
    const char *ca_file; /* PEM; NULL: the system's store. */
    bool insecure;       /* Do not check the certificate (clouds.yaml). */
    size_t collect_max;  /* Cap of 'collected'; above: -EMSGSIZE. */

    /* Not NULL: called for each piece instead of collecting. Status and
     * headers are valid by then. Non-zero aborts the call with that rc.
     * -EAGAIN: take it back, I am full; ist_http_resume() brings it again. */
    int (*on_data)(struct ist_http_call *, const void *data, size_t size);

    /* Results, the call's own until ist_http_call_fini(). 0 in op.rc means
     * that an answer came whole, whatever its status. */
    int status;
    struct ist_sb header_text; /* Raw lines "Name: value\r\n". */
    struct ist_sb collected;
    uint64_t n_received; /* Body bytes. */

    void *transfer; /* Private to client.c. */
};

/* Faults in op.rc: -ECONNREFUSED, -EHOSTUNREACH (no such name), -ETIMEDOUT,
 * -EPROTO (TLS or HTTP broken), -EMSGSIZE, -ECONNRESET (cut in the middle),
 * -EINVAL (URL), or what on_data returned. op.err says it in words without
 * secrets. */
void ist_http_start(struct ist_http *, struct ist_http_call *);
void ist_http_resume(struct ist_http_call *);

/* Frees the results. Safe on a zeroed call; the call can be used again. */
void ist_http_call_fini(struct ist_http_call *);

/* Value of an answer header, any case, the first of that name: borrowed and
 * not NUL-terminated. NULL when absent. */
const char *ist_http_header(const struct ist_http_call *, const char *name,
                            size_t *ret_len);

struct ist_http *ist_http_new(struct ist_loop *, const struct ist_http_conf *);
/* No call may be running. Handles close in the loop's next turns; 'closed'
 * may be NULL. */
void ist_http_close(struct ist_http *, void (*closed)(void *), void *arg);

#endif
