/* HTTP client: libcurl's multi interface on the loop.
 *
 * One client serves a whole process. A call is a request the caller embeds;
 * redirects are never followed, proxies come from configuration only, and
 * only http and https are spoken. The answer is either collected up to a cap,
 * or handed over piece by piece as it arrives, with back-pressure.
 *
 * A call is sent at most once unless its method is GET, HEAD or OPTIONS:
 * those may go out a second time when a kept connection turns out to be dead
 * before any byte of an answer. All others get a new connection each.
 *
 * The process must ignore SIGPIPE.
 *
 * The simulation links another implementation of this header that answers as
 * a cloud. */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "base/sb.h"
#include "io/op.h"

#include <sys/socket.h>
#include <sys/types.h>

struct ist_http;

/* Copied by ist_http_new(). 0 in a number: no limit of ours. */
struct ist_http_conf {
    uint64_t connect_timeout_ms; /* Name, TCP and TLS together. */
    uint64_t idle_timeout_ms;    /* No byte for so long: -ETIMEDOUT. Neither
                                  * the wait for a connection nor a pause
                                  * asked for by on_data or on_body
                                  * counts. */
    uint64_t connections_max;    /* In all; more calls wait their turn. */
    uint64_t per_host_max;
    uint64_t headers_max; /* Bytes of answer headers, interim answers and
                           * trailers included; above: -EMSGSIZE. */
    const char *proxy;    /* "http://host:port". NULL or "": none; what the
                           * environment says never counts. */
};

struct ist_http_call {
    struct ist_op op; /* Prepared by the caller. */

    /* Borrowed until 'done'. */
    const char *method;
    const char *url; /* Sent as it is, dot segments included. One with a user
                      * name or password in it is -EINVAL. */
    const char *const *headers; /* "Name: value", NULL-ended; or NULL. What
                                 * frames the message (Content-Length,
                                 * Transfer-Encoding, Connection, Expect, TE,
                                 * Trailer, Upgrade, Keep-Alive) is left out:
                                 * that is the client's business. */
    const void *body;
    size_t body_size;
    /* Not NULL: the body is asked for piece by piece instead, and body_length
     * is what is announced; UINT64_MAX: nothing, it goes in chunks. Writes at
     * most 'size' bytes to 'buf' and returns how many. 0: that was all.
     * -EAGAIN: none at present, ist_http_resume() asks again. Anything else
     * below 0 aborts the call with that rc. It may cancel the call, but not
     * fini it. Not asked any more once the peer has answered. */
    ssize_t (*on_body)(struct ist_http_call *, void *buf, size_t size);
    uint64_t body_length;
    const char *ca_file; /* PEM; NULL: the system's store. */
    bool insecure;       /* Do not check the certificate (clouds.yaml). */
    size_t collect_max;  /* Cap of 'collected'; above: -EMSGSIZE. */

    /* Not NULL: called for each piece instead of collecting. Status and
     * headers are valid by then. Non-zero aborts the call with that rc.
     * -EAGAIN: take it back, I am full; ist_http_resume() brings it again.
     * It may cancel or resume the call, or start others, but not fini it. */
    int (*on_data)(struct ist_http_call *, const void *data, size_t size);

    /* Not NULL: asked for every address that is tried, before
     * anything goes there. One refusal ends the call with -EACCES, whatever
     * other addresses the name has. Such a call never takes a kept connection.
     * With a proxy it is the proxy's address. */
    bool (*may_connect)(struct ist_http_call *, const struct sockaddr *);

    /* Results, the call's own until ist_http_call_fini(). 0 in op.rc means
     * that an answer came whole, whatever its status. */
    int status;
    struct ist_sb header_text; /* Lines "Name: value\r\n", unfolded, with no
                                * control character but tabs. */
    struct ist_sb collected;
    uint64_t n_received; /* Body bytes. */

    void *transfer; /* Private to this room. */
};

/* Faults in op.rc: -ECONNREFUSED, -EHOSTUNREACH (no such name), -ETIMEDOUT,
 * -EPROTO (TLS or HTTP broken), -EMSGSIZE, -ECONNRESET (cut in the middle),
 * -EINVAL (URL), -EACCES (may_connect), or what on_data returned. op.err says
 * it in words without secrets. */
void ist_http_start(struct ist_http *, struct ist_http_call *);

/* In the loop's next turn, never inside the call. Harmless on a call that is
 * not paused. */
void ist_http_resume(struct ist_http_call *);

/* Frees the results. Safe on a zeroed call; the call can be used again. */
void ist_http_call_fini(struct ist_http_call *);

/* Value of an answer header, any case, the first of that name: borrowed and
 * not NUL-terminated. NULL when absent. */
const char *ist_http_header(const struct ist_http_call *, const char *name,
                            size_t *ret_len);

/* NULL when memory is out. */
struct ist_http *ist_http_new(struct ist_loop *, const struct ist_http_conf *);
/* No call may be running. Handles close in the loop's next turns; 'closed'
 * may be NULL. */
void ist_http_close(struct ist_http *, void (*closed)(void *), void *arg);

#endif
