/* A streamed answer: a buffer between who writes and libmicrohttpd, which
 * fetches.
 *
 * Happy path: the daemon asks for bytes (fetch); when there are none, the
 * connection is suspended, and the next write resumes it. 'end' lets fetch
 * report the end of the stream.
 *
 * An answer that comes before its request is whole the daemon does not take
 * (it is "early"). It goes the same way, but by hand: the connection sleeps,
 * and what is in the buffer, head and chunks included, is written past the
 * daemon. Then the connection goes on, to throw away what still comes.
 *
 * The stream belongs to two: the writer until it ends it, the daemon's
 * response until that is destroyed (by hand: until all is written, or the
 * request over). The second to let go frees it. Callbacks
 * to the writer come from a timer, never inside the daemon or inside a call of
 * the writer's own.
 *
 * Failures: the client leaves (seen by the watch while suspended, by the
 * daemon otherwise), or the server closes: the stream is broken, writes say
 * -EPIPE, the writer is told once. */
#include "httpd/server_priv.h"

#include "base/parse.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What the daemon fetches at once of an answer of known length; a chunked one
 * goes through the connection's own buffer. */
#define BLOCK_SIZE (32U * 1024)

struct ist_httpd_stream {
    struct ist_httpd *httpd; /* Borrowed. */
    struct request *request; /* Borrowed; NULL once that is over. */
    void (*drained)(struct ist_httpd_stream *, void *);
    void (*gone)(struct ist_httpd_stream *, void *);
    void *arg;
    struct ist_sb buf;
    size_t start;  /* Bytes of 'buf' that have gone. */
    uint64_t left; /* Of the promised length; UINT64_MAX: none. */
    bool fetched;  /* The other side has not let go. */
    bool hand;     /* It goes out by hand... */
    bool chunked;  /* ... and we make the chunks. */
    bool ended;    /* The writer has let go. */
    bool full;     /* The writer waits for 'drained'. */
    bool sink;     /* The answer carries no more: drop the rest. */
    bool broken, aborted;
    bool tell_drained, tell_gone;
    struct ist_timer timer;
    LIST_ENTRY(ist_httpd_stream) sibling;
};

static void stream_maybe_free(struct ist_httpd_stream *s)
{
    struct ist_httpd *httpd = s->httpd;

    if (s->fetched || !s->ended)
        return;
    ist_timer_disarm(&s->timer);
    ist_sb_fini(&s->buf);
    LIST_REMOVE(s, sibling);
    free(s);
    httpd_maybe_free(httpd);
}

static void on_tell(struct ist_timer *timer)
{
    struct ist_httpd_stream *s =
        IST_CONTAINER(timer, struct ist_httpd_stream, timer);

    if (s->ended)
        return;
    if (s->tell_gone) {
        s->tell_gone = s->tell_drained = false;
        s->gone(s, s->arg);
    } else if (s->tell_drained) {
        s->tell_drained = false;
        s->drained(s, s->arg);
    }
}

static void tell(struct ist_httpd_stream *s)
{
    if (!s->ended)
        ist_timer_arm_in(&s->timer, s->httpd->loop, 0, on_tell);
}

static void pump(struct ist_httpd_stream *s);

static void wake(struct ist_httpd_stream *s)
{
    if (s->hand)
        pump(s);
    else if (s->request)
        request_resume(s->request);
}

void stream_break(struct ist_httpd_stream *s)
{
    if (s->broken)
        return;
    s->broken = true;
    s->tell_gone = s->gone != NULL;
    if (s->tell_gone)
        tell(s);
    wake(s);
}

void stream_break_all(struct ist_httpd *httpd)
{
    struct ist_httpd_stream *s;

    LIST_FOREACH(s, &httpd->streams, sibling)
    {
        stream_break(s);
    }
}

static void let_go(struct ist_httpd_stream *s)
{
    s->fetched = false;
    s->request = NULL;
    if (!s->sink && !s->ended)
        stream_break(s);
    stream_maybe_free(s);
}

void stream_detach(struct ist_httpd_stream *s)
{
    s->request = NULL;
    if (s->hand)
        let_go(s);
}

/* ---- the daemon's side ------------------------------------------------- */

static size_t waiting(const struct ist_httpd_stream *s)
{
    return s->buf.len - s->start;
}

static void took(struct ist_httpd_stream *s, size_t n)
{
    s->start += n;
    if (!s->hand && s->left != UINT64_MAX)
        s->left -= n;
    if (s->left == 0)
        s->sink = true;
    if (s->start == s->buf.len) {
        ist_sb_reset(&s->buf);
        s->start = 0;
    }
    if (s->full && waiting(s) < IST_HTTPD_STREAM_LOW) {
        s->full = false;
        s->tell_drained = s->drained != NULL;
        if (s->tell_drained)
            tell(s);
    }
}

static ssize_t fetch(void *arg, uint64_t at, char *buf, size_t size)
{
    struct ist_httpd_stream *s = arg;
    size_t n = waiting(s) < size ? waiting(s) : size;

    (void) at;
    if (s->broken || s->aborted)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (n) {
        memcpy(buf, s->buf.data + s->start, n);
        took(s, n);
        return (ssize_t) n;
    }
    if (s->ended)
        return s->left == UINT64_MAX ? MHD_CONTENT_READER_END_OF_STREAM
                                     : MHD_CONTENT_READER_END_WITH_ERROR;
    request_sleep(s->request);
    return 0;
}

static void on_response_freed(void *arg)
{
    let_go(arg);
}

/* ---- what an answer carries ---------------------------------------------- */

uint64_t headers_length(const struct ist_httpd_header *headers,
                        size_t n_headers)
{
    uint64_t length;
    size_t i;

    for (i = 0; i < n_headers; i++)
        if (strcasecmp(headers[i].name, "Content-Length") == 0 &&
            ist_parse_u64(headers[i].value, 0, UINT64_MAX - 2, &length))
            return length;
    return UINT64_MAX;
}

/* No body can follow. */
static bool is_bodiless(const struct request *r, int status)
{
    return strcmp(r->pub.method, "HEAD") == 0 || status == 204 || status == 304;
}

/* ---- by hand ----------------------------------------------------------- */

/* All is with the kernel. */
static void hand_over(struct ist_httpd_stream *s)
{
    struct request *r = s->request;

    conn_bye(r->conn);
    conn_wait_for(r->conn, WAIT_LINGER);
    r->stream = NULL;
    s->request = NULL;
    s->fetched = false;
    request_resume(r);
}

static void pump(struct ist_httpd_stream *s)
{
    struct request *r = s->request;
    ssize_t n;

    if (!r)
        return;
    while (waiting(s) && !s->broken) {
        n = conn_write(r->conn, s->buf.data + s->start, waiting(s));
        if (n == -EAGAIN && conn_watch_write(r->conn) == 0) {
            if (r->conn->wait != WAIT_TAKE)
                conn_wait_for(r->conn, WAIT_TAKE);
            return;
        }
        if (n < 0) {
            stream_break(s); /* Comes here again. */
            return;
        }
        took(s, (size_t) n);
        conn_wait_for(r->conn, WAIT_TAKE);
    }
    if (s->broken || s->aborted) {
        request_cut(r);
    } else if (s->ended) {
        hand_over(s);
    } else {
        conn_wait_for(r->conn, WAIT_ANSWER);
        conn_watch(r->conn);
    }
}

void stream_writable(struct ist_httpd_stream *s)
{
    pump(s);
    stream_maybe_free(s);
}

/* A piece as it is sent. */
static int put(struct ist_httpd_stream *s, const void *data, size_t size)
{
    size_t len = s->buf.len;
    int rc;

    if (s->hand && size > s->left)
        size = s->left;
    if (s->chunked)
        ist_sb_printf(&s->buf, "%zx\r\n", size);
    ist_sb_add(&s->buf, data, size);
    if (s->chunked)
        ist_sb_puts(&s->buf, "\r\n");
    rc = s->buf.rc;
    s->buf.rc = 0;
    if (rc)
        s->buf.len = len;
    else if (s->hand && s->left != UINT64_MAX)
        s->left -= size;
    return rc;
}

/* The last of it: is what was promised there? */
static void hand_finish(struct ist_httpd_stream *s)
{
    if (s->chunked && put(s, NULL, 0))
        s->aborted = true;
    if (!s->sink && s->left && s->left != UINT64_MAX)
        s->aborted = true;
}

/* With its head in the buffer; NULL when memory is out. */
static struct ist_httpd_stream *hand_new(const struct request *r, int status,
                                         const struct ist_httpd_header *headers,
                                         size_t n_headers, uint64_t length)
{
    struct ist_httpd_stream *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->httpd = r->httpd;
    s->hand = s->fetched = true;
    s->sink = length == 0 || is_bodiless(r, status);
    s->chunked = length == UINT64_MAX && !s->sink;
    s->left = length;
    ist_sb_init(&s->buf, 0);
    answer_head(&s->buf, r, status, headers, n_headers);
    if (s->chunked)
        ist_sb_puts(&s->buf, "Transfer-Encoding: chunked\r\n");
    else if (length != UINT64_MAX && status != 204)
        ist_sb_printf(&s->buf, "Content-Length: %" PRIu64 "\r\n", length);
    ist_sb_puts(&s->buf, "\r\n");
    if (s->buf.rc == 0)
        return s;
    ist_sb_fini(&s->buf);
    free(s);
    return NULL;
}

/* Nothing is written yet. Without memory the connection is cut, since there is
 * no other word for it. */
static struct ist_httpd_stream *
hand_begin(struct request *r, int status,
           const struct ist_httpd_header *headers, size_t n_headers,
           uint64_t length)
{
    struct ist_httpd_stream *s =
        hand_new(r, status, headers, n_headers, length);

    r->by_hand = true;
    if (s) {
        LIST_INSERT_HEAD(&r->httpd->streams, s, sibling);
        s->request = r;
        r->stream = s;
        r->phase = PHASE_SENT;
        request_sleep(r);
        conn_wait_for(r->conn, WAIT_TAKE);
    } else {
        request_cut(r);
    }
    request_answer(r, status, NULL, NULL, 0);
    return s;
}

void stream_reply(struct request *r, int status,
                  const struct ist_httpd_header *headers, size_t n_headers,
                  const void *body, size_t size)
{
    uint64_t length = size;
    struct ist_httpd_stream *s;

    if (size == 0 && strcmp(r->pub.method, "HEAD") == 0)
        length = headers_length(headers, n_headers);
    s = hand_begin(r, status, headers, n_headers, length);
    if (!s)
        return;
    s->aborted = !s->sink && put(s, body, size);
    ist_httpd_stream_end(s);
}

/* ---- the writer's side ------------------------------------------------- */

/* Through the daemon; 'ret' is yet to be given to it. */
static struct ist_httpd_stream *
daemon_begin(struct request *r, int status,
             const struct ist_httpd_header *headers, size_t n_headers,
             struct MHD_Response **ret)
{
    struct ist_httpd_stream *s = calloc(1, sizeof(*s));
    struct MHD_Response *response = NULL;

    if (s) {
        s->left = headers_length(headers, n_headers);
        response = MHD_create_response_from_callback(
            s->left == UINT64_MAX ? MHD_SIZE_UNKNOWN : s->left,
            s->left == UINT64_MAX ? 1 : BLOCK_SIZE, fetch, s,
            on_response_freed);
    }
    if (!response) {
        free(s);
        request_answer(r, status, NULL, NULL, 0);
        return NULL;
    }
    s->httpd = r->httpd;
    s->fetched = true;
    s->sink = s->left == 0 || is_bodiless(r, status);
    ist_sb_init(&s->buf, 0);
    LIST_INSERT_HEAD(&r->httpd->streams, s, sibling);
    if (r->conn && !r->overtaken && !r->by_hand) {
        s->request = r;
        r->stream = s;
    }
    *ret = response;
    return s;
}

struct ist_httpd_stream *
ist_httpd_stream_begin(struct ist_httpd_request *pub, int status,
                       const struct ist_httpd_header *headers, size_t n_headers,
                       void (*drained)(struct ist_httpd_stream *, void *),
                       void (*gone)(struct ist_httpd_stream *, void *),
                       void *arg)
{
    struct request *r = request_of(pub);
    struct MHD_Response *response = NULL;
    struct ist_httpd_stream *s;

    if (request_is_early(r))
        s = hand_begin(r, status, headers, n_headers,
                       headers_length(headers, n_headers));
    else
        s = daemon_begin(r, status, headers, n_headers, &response);
    if (!s)
        return NULL;
    s->drained = drained;
    s->gone = gone;
    s->arg = arg;
    if (s->hand)
        pump(s); /* The head need not wait for the body. */
    else
        request_answer(r, status, response, headers, n_headers);
    return s;
}

/* Makes the bytes that have gone leave room, when they are the most. */
static void compact(struct ist_httpd_stream *s)
{
    if (s->start < s->buf.len / 2)
        return;
    memmove(s->buf.data, s->buf.data + s->start, waiting(s));
    s->buf.len -= s->start;
    s->start = 0;
}

int ist_httpd_stream_write(struct ist_httpd_stream *s, const void *data,
                           size_t size)
{
    size_t n = waiting(s);
    int rc;

    assert(!s->ended);
    if (s->sink || size == 0)
        return 0;
    if (s->broken)
        return -EPIPE;
    if (n && n + size > IST_HTTPD_STREAM_HIGH) {
        s->full = true;
        return -EAGAIN;
    }
    if (s->start)
        compact(s);
    rc = put(s, data, size);
    if (rc == 0)
        wake(s);
    return rc;
}

void ist_httpd_stream_end(struct ist_httpd_stream *s)
{
    assert(!s->ended);
    s->ended = true;
    ist_timer_disarm(&s->timer);
    if (s->hand)
        hand_finish(s);
    wake(s);
    stream_maybe_free(s);
}

void ist_httpd_stream_abort(struct ist_httpd_stream *s)
{
    s->aborted = true;
    ist_httpd_stream_end(s);
}
