/* HTTP server: libmicrohttpd on the loop, TLS in process.
 *
 * The server checks what HTTP demands (framing, sizes, times, host, paths)
 * and refuses bad requests itself; a handler sees only whole, sane heads. A
 * request is answered exactly once, at once or later; until then the
 * connection sleeps. */
#ifndef HTTPD_SERVER_H
#define HTTPD_SERVER_H

#include "base/arena.h"
#include "base/err.h"
#include "base/row.h"
#include "base/sb.h"
#include "io/loop.h"

#define IST_HTTPD_ID_SIZE 48

struct ist_httpd;
struct ist_httpd_request;

struct ist_httpd_conf {
    char *listen;            /* "127.0.0.1:8443", "[::]:8443" */
    char *certificate, *key; /* PEM files; both NULL: plain HTTP. */
    uint64_t connections_max, per_address_max;
    uint64_t line_max;    /* Request line: 414 above. */
    uint64_t header_max;  /* One header: 431 above. */
    uint64_t headers_max; /* How many: 431 above. */
    uint64_t body_max;    /* Collected body: 413 above. */
    uint64_t head_timeout_ms, body_timeout_ms, idle_timeout_ms;
};

extern const struct ist_row ist_httpd_rows[];

/* One parameter of the query, percent-decoded. */
struct ist_httpd_param {
    const char *name, *value; /* NUL-terminated; no NUL inside. */
};

struct ist_httpd_request {
    /* All borrowed from the request, until it is answered. */
    const char *method, *path; /* Path decoded; no "//", ".", "..", NUL. */
    const char *target;        /* As sent, query included. */
    const struct ist_httpd_param *params;
    size_t n_params;
    const char *body; /* Collected; NUL-terminated. */
    size_t body_size;
    const char *peer;           /* "127.0.0.1" */
    char id[IST_HTTPD_ID_SIZE]; /* "req-<uuid>": goes out as x-request-id. */
    struct ist_arena arena;     /* For the handler; freed with the request. */
    struct ist_loop *loop;
    uint64_t started_ms; /* Loop time when the head was complete. */

    /* For the handler. 'gone' is called once if the client leaves before the
     * answer; the request must still be answered (it goes nowhere). */
    void *owner;
    void (*gone)(struct ist_httpd_request *);
};

struct ist_httpd_header {
    const char *name, *value;
};

/* Called on the loop when a request is complete. */
typedef void ist_httpd_handler_fn(void *arg, struct ist_httpd_request *);

/* A request header, any case; NULL when absent. Borrowed. */
const char *ist_httpd_header(const struct ist_httpd_request *,
                             const char *name);

/* Answers. 'headers' (copied) may be NULL; n counts them. The body is copied
 * by _reply, owned and freed (free()) by _reply_take. */
void ist_httpd_reply(struct ist_httpd_request *, int status,
                     const struct ist_httpd_header *headers, size_t n_headers,
                     const void *body, size_t size);
void ist_httpd_reply_take(struct ist_httpd_request *, int status,
                          const struct ist_httpd_header *headers,
                          size_t n_headers, char *body, size_t size);

/* A streamed answer: chunked, with back-pressure. 'drained' is called when
 * what was written has gone out below the low mark. */
struct ist_httpd_stream;
struct ist_httpd_stream *
ist_httpd_stream_begin(struct ist_httpd_request *, int status,
                       const struct ist_httpd_header *headers, size_t n_headers,
                       void (*drained)(struct ist_httpd_stream *, void *),
                       void (*gone)(struct ist_httpd_stream *, void *),
                       void *arg);
/* Copied. -EAGAIN over the high mark (nothing taken), -EPIPE: client left. */
int ist_httpd_stream_write(struct ist_httpd_stream *, const void *, size_t);
/* No call after it. Also after 'gone'. */
void ist_httpd_stream_end(struct ist_httpd_stream *);

/* NULL with 'err' filled. Bad requests are answered through 'refuse' so that
 * the face above gives its own error shape; NULL: text/plain. */
typedef void ist_httpd_refuse_fn(void *arg, struct ist_httpd_request *,
                                 int status, const char *reason);
struct ist_httpd *ist_httpd_new(struct ist_loop *,
                                const struct ist_httpd_conf *,
                                ist_httpd_handler_fn *, ist_httpd_refuse_fn *,
                                void *arg, struct ist_err *err);
/* Port in use, also when 'listen' said 0. */
unsigned ist_httpd_port(const struct ist_httpd *);
/* Stops taking connections, answers the open requests 503, frees. 'closed'
 * is called from the loop. */
void ist_httpd_close(struct ist_httpd *, void (*closed)(void *), void *arg);

#endif
