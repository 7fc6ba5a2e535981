/* HTTP server: libmicrohttpd on the loop, TLS (1.2 and later) in process.
 *
 * The server checks what HTTP demands (framing, sizes, times, host, paths)
 * and refuses bad requests itself; a handler sees only whole, sane heads. A
 * request is answered exactly once, at once or later; until then the
 * connection sleeps. HTTP/1.1 only: others get 505.
 *
 * What is refused closes the connection, so that nothing hidden behind it is
 * served. Some input never reaches us as it was sent, because libmicrohttpd
 * reads it tolerantly: bare LF for CRLF, folded headers, an empty header name,
 * a NUL in a value. It matters only behind a proxy that reads it otherwise.
 *
 * The process must ignore SIGPIPE. */
#ifndef HTTPD_SERVER_H
#define HTTPD_SERVER_H

#include "base/arena.h"
#include "base/err.h"
#include "base/row.h"
#include "base/sb.h"
#include "httpd/query.h"
#include "io/loop.h"

#define IST_HTTPD_ID_SIZE 48

/* What one request may take from its arena, its head included. */
#define IST_HTTPD_ARENA_MAX (4U << 20)

/* Marks of a streamed answer: above HIGH no more is taken, below LOW
 * 'drained' asks for more. */
#define IST_HTTPD_STREAM_HIGH (256U << 10)
#define IST_HTTPD_STREAM_LOW  (64U << 10)

struct ist_httpd;
struct ist_httpd_request;

/* Copied by ist_httpd_new(). All numbers must be set. */
struct ist_httpd_conf {
    char *listen;             /* "127.0.0.1:8443", "[::]:8443": numeric. */
    char *certificate, *key;  /* PEM files; both NULL: plain HTTP. */
    uint64_t connections_max; /* More wait in the kernel's queue. */
    uint64_t per_address_max; /* More are closed at once. */
    uint64_t line_max;        /* Request line: 414 above. */
    uint64_t header_max;      /* One header: 431 above. The whole head: 431
                               * above about line_max + 2 * header_max. */
    uint64_t headers_max;     /* How many: 431 above. */
    uint64_t body_max;        /* Collected body: 413 above. */
    uint64_t head_timeout_ms; /* Until the head is whole, TLS included: 408.
                               * On a kept connection at most twice that from
                               * its first byte. */
    uint64_t body_timeout_ms; /* From there until the body is whole: 408. */
    uint64_t idle_timeout_ms; /* Between requests, and for a client that takes
                               * nothing of its answer: closed. */
};

extern const struct ist_row ist_httpd_rows[];

struct ist_httpd_request {
    /* All borrowed from the request, until it is answered. */
    const char *method;
    const char *path;   /* Decoded; no "//", ".", "..", control character,
                         * encoded slash or second encoding. Begins with a
                         * slash and may end in one; "" if refused for it. */
    const char *target; /* As sent, query included. */
    const struct ist_httpd_param *params;
    size_t n_params;
    const char *body; /* Collected; NUL-terminated. */
    size_t body_size;
    const char *peer;           /* "127.0.0.1", "::1" */
    char id[IST_HTTPD_ID_SIZE]; /* "req-<uuid>", the client's own if it sent a
                                 * good one as X-Openstack-Request-Id. Goes
                                 * out as x-openstack-request-id (unless the
                                 * answer has its own) and x-request-id. */
    struct ist_arena arena;     /* For the handler; freed with the request. */
    struct ist_loop *loop;
    uint64_t started_ms; /* Loop time when the head was complete. */

    /* For the handler. 'gone' is called once, from the loop, if the client
     * leaves (or only stops sending) before the answer, or if the server
     * closes; the request must still be answered (it goes nowhere). */
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
 * by _reply, owned and freed (free()) by _reply_take. Headers that cannot be
 * sent (bad names, control characters, empty values) and those that frame the
 * message (Content-Length, Transfer-Encoding, Connection, Keep-Alive, Trailer,
 * Upgrade) are left out; the answer to a HEAD keeps its Content-Length. */
void ist_httpd_reply(struct ist_httpd_request *, int status,
                     const struct ist_httpd_header *headers, size_t n_headers,
                     const void *body, size_t size);
void ist_httpd_reply_take(struct ist_httpd_request *, int status,
                          const struct ist_httpd_header *headers,
                          size_t n_headers, char *body, size_t size);

/* A streamed answer, with back-pressure: of the Content-Length given among the
 * headers, else chunked. 'drained' is called from the loop when, after an
 * -EAGAIN, what was written has gone out below the low mark; 'gone' once, from
 * the loop, when the client has left or the server closes. NULL when memory is
 * out: the request is answered 500 then. */
struct ist_httpd_stream;
struct ist_httpd_stream *
ist_httpd_stream_begin(struct ist_httpd_request *, int status,
                       const struct ist_httpd_header *headers, size_t n_headers,
                       void (*drained)(struct ist_httpd_stream *, void *),
                       void (*gone)(struct ist_httpd_stream *, void *),
                       void *arg);
/* Copied. -EAGAIN over the high mark (nothing taken; a piece larger than the
 * mark is taken when nothing else waits), -EPIPE: client left, -ENOMEM. What
 * the answer cannot carry (to a HEAD, or beyond its Content-Length) is taken
 * and dropped. */
int ist_httpd_stream_write(struct ist_httpd_stream *, const void *, size_t);
/* No call after it. Also after 'gone'. An answer shorter than its
 * Content-Length is cut, as by _abort. */
void ist_httpd_stream_end(struct ist_httpd_stream *);
/* The answer cannot be completed: cuts the connection, so that the client
 * does not take what it has for the whole. Instead of _end. */
void ist_httpd_stream_abort(struct ist_httpd_stream *);

/* NULL with 'err' filled. Bad requests are answered through 'refuse' so that
 * the face above gives its own error shape; NULL: text/plain. 'reason' is a
 * static phrase that quotes nothing of the request. Heads that libmicrohttpd
 * refuses, and those that never become whole, have no request: their answers
 * are the library's, and text/plain. */
typedef void ist_httpd_refuse_fn(void *arg, struct ist_httpd_request *,
                                 int status, const char *reason);
struct ist_httpd *ist_httpd_new(struct ist_loop *,
                                const struct ist_httpd_conf *,
                                ist_httpd_handler_fn *, ist_httpd_refuse_fn *,
                                void *arg, struct ist_err *err);
/* Port in use, also when 'listen' said 0. */
unsigned ist_httpd_port(const struct ist_httpd *);
/* Stops taking connections, answers the open requests 503, cuts streams, and
 * gives what is being sent a second. 'closed' (or NULL) is called from the
 * loop when the last request has been answered and the last stream ended by
 * whoever had it: 'gone' tells them. */
void ist_httpd_close(struct ist_httpd *, void (*closed)(void *), void *arg);

#endif
