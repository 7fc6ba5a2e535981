/* HTTP server: libmicrohttpd on the loop, TLS (1.2 and later) in process.
 *
 * The server checks what HTTP demands (framing, sizes, times, host, paths)
 * and refuses bad requests itself; a handler sees only whole, sane heads. A
 * request is answered exactly once, at once or later; until then the
 * connection sleeps. Its body is collected before, or streamed to who asks for
 * that (ist_httpd_on_begin). HTTP/1.1 only: others get 505.
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
    uint64_t body_timeout_ms; /* From there until the body is whole: 408. A
                               * streamed one: without a byte of it while it
                               * is not held back. */
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
    uint64_t body_length; /* As announced, 0 for none; UINT64_MAX: chunked. */
    const char *body;     /* Collected; NUL-terminated. */
    size_t body_size;
    const char *peer;           /* "127.0.0.1", "::1" */
    char id[IST_HTTPD_ID_SIZE]; /* "req-<uuid>", the client's own if it sent a
                                 * good one as X-Openstack-Request-Id. Goes
                                 * out as x-openstack-request-id (unless the
                                 * answer has its own) and x-request-id. */
    struct ist_arena arena;     /* For the handler; freed with the request. */
    struct ist_loop *loop;
    uint64_t started_ms; /* Loop time when the head was complete. */

    /* To be set by 'begin', see ist_httpd_on_begin(). */
    int (*on_body)(struct ist_httpd_request *, const void *data, size_t size);
    void (*on_end)(struct ist_httpd_request *, int rc);
    uint64_t body_cap; /* Of a stream, in bytes; UINT64_MAX, if left: none. */

    /* For the handler. 'gone' is called once, from the loop, if the client
     * leaves (or only stops sending) before the answer, or if the server
     * closes; the request must still be answered (it goes nowhere). Of a
     * streamed body on_end tells this instead while the body is arriving. */
    void *owner;
    void (*gone)(struct ist_httpd_request *);
};

struct ist_httpd_header {
    const char *name, *value;
};

/* Called on the loop when a request is complete. */
typedef void ist_httpd_handler_fn(void *arg, struct ist_httpd_request *);

/* Called on the loop when a head is whole and good, before the body is read
 * and before a client that expects it is sent 100. It may
 *
 *   - answer at once, from the head alone;
 *   - take the body as a stream, by setting on_body and on_end (both);
 *   - do neither: the body is collected, and the handler called.
 *
 * For a streamed body the handler is not called, and body_max does not count.
 * on_body is given each piece (some 16 KiB at most; chunks and trailers are
 * taken off) and returns 0: taken. Anything else, -EAGAIN by custom: full,
 * nothing taken. The connection then sleeps, and the kernel's buffers push
 * back, until ist_httpd_resume_body() has the same bytes brought again. No
 * deadline runs meanwhile, and a client that leaves is seen only if all it had
 * sent fits the kernel's buffers: how long to be full is the taker's to limit.
 * on_end comes last and once, also without a body:
 *
 *   0            The body is whole.
 *   -ECONNRESET  The client left, stopped sending, or broke the framing.
 *   -ETIMEDOUT   No byte for body_timeout_ms.
 *   -EMSGSIZE    Longer than body_cap. One that announces as much is not begun.
 *   -ECANCELED   The server closes.
 *
 * After all of them the request must be answered: after the first as usual,
 * after -ETIMEDOUT and -EMSGSIZE (408, 413) as the last of its connection,
 * after the others it goes nowhere.
 *
 * It may be answered earlier, from anywhere, on_body included; on_body, on_end
 * and 'gone' are never called after that. Such an answer is the last of its
 * connection: what the client still sends is thrown away for a second, so that
 * it comes to reading the answer, then the connection is cut. */
typedef void ist_httpd_begin_fn(void *arg, struct ist_httpd_request *);

/* Not for a request that is answered. Nothing happens if it was not full. */
void ist_httpd_resume_body(struct ist_httpd_request *);

/* A request header, any case; NULL when absent. Borrowed. */
const char *ist_httpd_header(const struct ist_httpd_request *,
                             const char *name);

/* The request's headers in the order in which they came; false behind the last
 * one. Borrowed. */
bool ist_httpd_header_at(const struct ist_httpd_request *, size_t i,
                         struct ist_httpd_header *ret);

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
/* Has 'begin' called (with the same 'arg') for each request that comes from now
 * on; NULL: all bodies are collected. */
void ist_httpd_on_begin(struct ist_httpd *, ist_httpd_begin_fn *);
/* Has 'answered' called (with the same 'arg') when a request is answered, for
 * counting: of a streamed answer, when it begins. It comes from inside the
 * answer and must not touch the request. */
typedef void ist_httpd_answered_fn(void *arg, const struct ist_httpd_request *,
                                   int status);
void ist_httpd_on_answered(struct ist_httpd *, ist_httpd_answered_fn *);
/* Port in use, also when 'listen' said 0. */
unsigned ist_httpd_port(const struct ist_httpd *);
/* Stops taking connections, answers the open requests 503, cuts streams, and
 * gives what is being sent a second. 'closed' (or NULL) is called from the
 * loop when the last request has been answered and the last stream ended by
 * whoever had it: 'gone' tells them. */
void ist_httpd_close(struct ist_httpd *, void (*closed)(void *), void *arg);

#endif
