/* The client against a scripted peer: a TCP server on the same loop that
 * answers each request with the bytes a test gives it, right or wrong. */
#include "http/client.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the peer ---------------------------------------------------------- */

enum after { KEEP, CLOSE, RESET };

struct answer {
    const char *text; /* NULL: none. */
    size_t size;      /* 0: strlen(text). */
    enum after after;
    uint64_t delay_ms;
};

struct peer {
    struct ist_loop *loop;
    uv_tcp_t tcp;
    unsigned port;
    const struct answer *answers; /* One per request, the last repeats. */
    size_t n_answers, n_requests, n_accepted;
    size_t n_busy, n_busy_max; /* Connections with a request unanswered. */
    char request[8192];        /* The last whole one. */
};

struct conn {
    uv_tcp_t tcp;
    struct peer *peer;
    struct ist_timer timer;
    const struct answer *answer;
    char in[8192];
    size_t len;
    uv_write_t write;
};

static void on_conn_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void conn_close(struct conn *conn)
{
    ist_timer_disarm(&conn->timer);
    if (!uv_is_closing((uv_handle_t *) &conn->tcp))
        uv_close((uv_handle_t *) &conn->tcp, on_conn_closed);
}

static void on_written(uv_write_t *write, int status)
{
    struct conn *conn = write->data;

    if (uv_is_closing((uv_handle_t *) &conn->tcp))
        return;
    if (status || conn->answer->after == CLOSE)
        conn_close(conn);
    else if (conn->answer->after == RESET)
        uv_tcp_close_reset(&conn->tcp, on_conn_closed);
}

static void answer(struct ist_timer *timer)
{
    struct conn *conn = IST_CONTAINER(timer, struct conn, timer);
    const struct answer *a = conn->answer;
    uv_buf_t buf;

    conn->peer->n_busy--;
    if (!a->text) {
        if (a->after == CLOSE)
            conn_close(conn);
        else if (a->after == RESET)
            uv_tcp_close_reset(&conn->tcp, on_conn_closed);
        return;
    }
    buf = uv_buf_init((char *) (uintptr_t) a->text,
                      (unsigned) (a->size ? a->size : strlen(a->text)));
    conn->write.data = conn;
    uv_write(&conn->write, (uv_stream_t *) &conn->tcp, &buf, 1, on_written);
}

/* Bytes of a whole request at the front, 0 if it is not complete. */
static size_t request_size(const char *in)
{
    const char *end = strstr(in, "\r\n\r\n"), *cl;
    size_t body = 0;

    if (!end)
        return 0;
    if (strcasestr(in, "\r\nTransfer-Encoding: chunked")) {
        end = strstr(end, "\r\n0\r\n\r\n");
        return end ? (size_t) (end + 7 - in) : 0;
    }
    cl = strcasestr(in, "\r\nContent-Length:");
    if (cl && cl < end)
        body = strtoul(cl + 17, NULL, 10);
    body += (size_t) (end + 4 - in);
    return strlen(in) >= body ? body : 0;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *conn = stream->data;
    struct peer *peer = conn->peer;
    size_t size, i;

    (void) buf;
    if (n < 0) {
        conn_close(conn);
        return;
    }
    conn->len += (size_t) n;
    conn->in[conn->len] = '\0';
    size = request_size(conn->in);
    if (size == 0)
        return;
    memcpy(peer->request, conn->in, size);
    peer->request[size] = '\0';
    memmove(conn->in, conn->in + size, conn->len - size + 1);
    conn->len -= size;
    i = peer->n_requests++;
    if (++peer->n_busy > peer->n_busy_max)
        peer->n_busy_max = peer->n_busy;
    conn->answer =
        &peer->answers[i < peer->n_answers ? i : peer->n_answers - 1];
    ist_timer_arm_in(&conn->timer, peer->loop, conn->answer->delay_ms, answer);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    struct conn *conn = handle->data;

    (void) size;
    *buf = uv_buf_init(conn->in + conn->len,
                       (unsigned) (sizeof(conn->in) - conn->len - 1));
}

static void on_accept(uv_stream_t *stream, int status)
{
    struct peer *peer = stream->data;
    struct conn *conn = calloc(1, sizeof(*conn));

    assert_int_equal(status, 0);
    assert_non_null(conn);
    conn->peer = peer;
    conn->tcp.data = conn;
    uv_tcp_init(peer->loop->uv, &conn->tcp);
    assert_int_equal(uv_accept(stream, (uv_stream_t *) &conn->tcp), 0);
    peer->n_accepted++;
    uv_read_start((uv_stream_t *) &conn->tcp, on_alloc, on_read);
}

static void peer_open(struct peer *peer, struct ist_loop *loop,
                      const struct answer *answers, size_t n)
{
    struct sockaddr_in addr;
    int len = sizeof(addr);

    *peer = (struct peer){.loop = loop, .answers = answers, .n_answers = n};
    uv_ip4_addr("127.0.0.1", 0, &addr);
    uv_tcp_init(loop->uv, &peer->tcp);
    peer->tcp.data = peer;
    uv_tcp_bind(&peer->tcp, (struct sockaddr *) &addr, 0);
    assert_int_equal(uv_listen((uv_stream_t *) &peer->tcp, 64, on_accept), 0);
    uv_tcp_getsockname(&peer->tcp, (struct sockaddr *) &addr, &len);
    peer->port = ntohs(addr.sin_port);
}

/* ---- the bench --------------------------------------------------------- */

struct bench {
    struct ist_loop loop;
    struct ist_http *http;
    struct peer peer;
    char url[256];
    unsigned n_fds;
    size_t n_waiting;
};

static const struct ist_http_conf usual = {
    .connect_timeout_ms = 20000,
    .idle_timeout_ms = 20000,
    .connections_max = 16,
    .per_host_max = 8,
    .headers_max = 4096,
};

static unsigned count_fds(void)
{
    unsigned n = 0;
    int fd;

    for (fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) != -1;
    return n;
}

static void bench_open(struct bench *b, const struct ist_http_conf *conf,
                       const struct answer *answers, size_t n)
{
    memset(b, 0, sizeof(*b));
    b->n_fds = count_fds();
    assert_int_equal(ist_loop_init(&b->loop), 0);
    peer_open(&b->peer, &b->loop, answers, n);
    b->http = ist_http_new(&b->loop, conf);
    assert_non_null(b->http);
    snprintf(b->url, sizeof(b->url), "http://127.0.0.1:%u/v3?token=s3cret",
             b->peer.port);
}

static void on_http_closed(void *arg)
{
    *(bool *) arg = true;
}

static void bench_close(struct bench *b)
{
    bool closed = false;

    ist_http_close(b->http, on_http_closed, &closed);
    assert_false(closed);
    uv_close((uv_handle_t *) &b->peer.tcp, NULL);
    ist_loop_run(&b->loop);
    assert_true(closed);
    ist_loop_fini(&b->loop);
    assert_int_equal(count_fds(), b->n_fds);
}

static struct bench *bench_of; /* For on_done. */

static void on_done(struct ist_op *op)
{
    (void) op;
    if (--bench_of->n_waiting == 0)
        ist_loop_stop(&bench_of->loop);
}

static void call_start(struct bench *b, struct ist_http_call *call,
                       uint64_t timeout_ms)
{
    bench_of = b;
    b->n_waiting++;
    ist_op_prepare(&call->op, &b->loop, NULL, timeout_ms, on_done);
    if (!call->method)
        call->method = "GET";
    if (!call->url)
        call->url = b->url;
    ist_http_start(b->http, call);
}

static int call_run(struct bench *b, struct ist_http_call *call)
{
    call_start(b, call, 60000);
    ist_loop_run(&b->loop);
    /* Whatever is said, it is said without the query. */
    assert_null(strstr(call->op.err.text, "s3cret"));
    return call->op.rc;
}

/* One call, one answer, one verdict. */
static int verdict(const struct answer *a, size_t collect_max)
{
    struct ist_http_call call = {.collect_max = collect_max};
    struct bench b;
    int rc;

    bench_open(&b, &usual, a, 1);
    rc = call_run(&b, &call);
    ist_http_call_fini(&call);
    bench_close(&b);
    return rc;
}

/* ---- the tests --------------------------------------------------------- */

static void test_get(void **state)
{
    static const struct answer a[] = {
        {"HTTP/1.1 200 OK\r\nX-One: 1\r\nx-two:  b c \r\nX-One: 2\r\n"
         "Content-Length: 5\r\n\r\nhello",
         0, KEEP, 0},
    };
    struct ist_http_call call = {.collect_max = 5};
    struct bench b;
    const char *value;
    size_t len;

    (void) state;
    bench_open(&b, &usual, a, 1);
    assert_int_equal(call_run(&b, &call), 0);
    assert_int_equal(call.status, 200);
    assert_string_equal(ist_sb_text(&call.collected), "hello");
    assert_int_equal(call.n_received, 5);
    value = ist_http_header(&call, "X-ONE", &len);
    assert_memory_equal(value, "1\r", 2);
    assert_int_equal(len, 1);
    value = ist_http_header(&call, "X-Two", &len);
    assert_int_equal(len, 3);
    assert_memory_equal(value, "b c", 3);
    assert_null(ist_http_header(&call, "X-Tw", &len));
    assert_null(strstr(ist_sb_text(&call.header_text), "HTTP/"));
    assert_non_null(strstr(b.peer.request, "GET /v3?token=s3cret HTTP/1.1"));
    assert_null(strstr(b.peer.request, "Content-Type"));
    assert_null(strstr(b.peer.request, "Expect"));

    /* A second call reuses call, connection and all. */
    assert_int_equal(call_run(&b, &call), 0);
    assert_int_equal(b.peer.n_accepted, 1);
    assert_int_equal(b.peer.n_requests, 2);
    ist_http_call_fini(&call);
    bench_close(&b);
}

static void test_post(void **state)
{
    static const struct answer a[] = {
        {"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 0, KEEP, 0}};
    static const char *const headers[] = {"Content-Type: application/json",
                                          "X-Auth-Token: gAAA",
                                          "X-Empty:",
                                          "Content-Length: 999",
                                          "Connection: close",
                                          NULL};
    struct ist_http_call call = {
        .method = "POST", .headers = headers, .body = "{\"a\":1}"};
    struct bench b;

    (void) state;
    call.body_size = 7;
    bench_open(&b, &usual, a, 1);
    assert_int_equal(call_run(&b, &call), 0);
    assert_int_equal(call.status, 201);
    assert_non_null(strstr(b.peer.request, "POST /v3"));
    assert_non_null(strstr(b.peer.request, "\r\nContent-Length: 7\r\n"));
    assert_null(strstr(b.peer.request, "999"));
    assert_null(strcasestr(b.peer.request, "Connection:"));
    assert_non_null(strstr(b.peer.request, "\r\nX-Auth-Token: gAAA\r\n"));
    assert_non_null(strstr(b.peer.request, "\r\nX-Empty:"));
    assert_non_null(strstr(b.peer.request, "application/json\r\n"));
    assert_non_null(strstr(b.peer.request, "\r\n\r\n{\"a\":1}"));

    /* An empty PUT says so; an empty DELETE says nothing. */
    call.body_size = 0;
    call.method = "PUT";
    assert_int_equal(call_run(&b, &call), 0);
    assert_non_null(strstr(b.peer.request, "PUT /v3"));
    assert_non_null(strstr(b.peer.request, "\r\nContent-Length: 0\r\n"));
    call.method = "DELETE";
    assert_int_equal(call_run(&b, &call), 0);
    assert_non_null(strstr(b.peer.request, "DELETE /v3"));
    assert_null(strstr(b.peer.request, "Content-Length"));
    ist_http_call_fini(&call);
    bench_close(&b);
}

static void test_head(void **state)
{
    static const struct answer a[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n", 0, KEEP, 0}};
    struct ist_http_call call = {.method = "HEAD"};
    struct bench b;
    size_t len;

    (void) state;
    bench_open(&b, &usual, a, 1);
    assert_int_equal(call_run(&b, &call), 0);
    assert_non_null(ist_http_header(&call, "content-length", &len));
    assert_int_equal(call.collected.len, 0);
    ist_http_call_fini(&call);
    bench_close(&b);
}

static void test_verdicts(void **state)
{
    static const struct {
        struct answer a;
        int rc;
    } rows[] = {
        /* Whole: chunked, by close, empty, interim answer first, trailers. */
        {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
          "5\r\nhello\r\n0\r\n\r\n",
          0, KEEP, 0},
         0},
        {{"HTTP/1.1 200 OK\r\n\r\nhello", 0, CLOSE, 0}, 0},
        {{"HTTP/1.1 204 No Content\r\n\r\n", 0, KEEP, 0}, 0},
        {{"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
          "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
          0, KEEP, 0},
         0},
        {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
          "0\r\nX-Late: 1\r\n\r\n",
          0, KEEP, 0},
         0},
        /* Followed nowhere. */
        {{"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
          "Content-Length: 0\r\n\r\n",
          0, KEEP, 0},
         0},
        {{"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", 0, KEEP, 0}, 0},
        {{"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", 0, KEEP, 0}, 0},
        /* Cut in the middle. */
        {{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", 0, CLOSE, 0},
         -ECONNRESET},
        {{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", 0, RESET, 0},
         -ECONNRESET},
        {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", 0,
          CLOSE, 0},
         -ECONNRESET},
        {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
          "5\r\nhello\r\n",
          0, CLOSE, 0},
         -ECONNRESET},
        {{"HTTP/1.1 200 OK\r\nConte", 0, CLOSE, 0}, -ECONNRESET},
        {{"HTTP/1.1 200 OK\r\n", 0, CLOSE, 0}, -ECONNRESET},
        {{"HTTP/1.1 100 Continue\r\n\r\n", 0, CLOSE, 0}, -ECONNRESET},
        {{NULL, 0, CLOSE, 0}, -ECONNRESET},
        {{NULL, 0, RESET, 0}, -ECONNRESET},
        /* Broken. */
        {{"<html>old</html>", 0, CLOSE, 0}, -EPROTO},
        {{"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nhello", 0, CLOSE, 0},
         -EPROTO},
        {{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 3\r\n\r\n"
          "hello",
          0, CLOSE, 0},
         -EPROTO},
        {{"HTTP/1.1 200 OK\r\nX-Ctl: a\x1b[2Jb\r\n\r\n", 0, CLOSE, 0}, -EPROTO},
        {{"HTTP/1.1 200 OK\r\nX-Cr: a\rb\r\n\r\n", 0, CLOSE, 0}, -EPROTO},
        {{"HTTP/1.1 200 OK\r\nBad Name: a\r\n\r\n", 0, CLOSE, 0}, -EPROTO},
        {{"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", 0, CLOSE, 0}, -EPROTO},
        {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 0,
          CLOSE, 0},
         -ECONNRESET},
        /* One byte over the cap of five. */
        {{"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello!", 0, KEEP, 0},
         -EMSGSIZE},
        {{"HTTP/1.1 200 OK\r\n\r\nhello!", 0, KEEP, 0}, -EMSGSIZE},
    };
    size_t i;
    int rc;

    (void) state;
    for (i = 0; i < IST_COUNT(rows); i++) {
        rc = verdict(&rows[i].a, 5);
        if (rc != rows[i].rc)
            fail_msg("row %zu: %d instead of %d", i, rc, rows[i].rc);
    }
    assert_int_equal(verdict(&rows[1].a, 0), -EMSGSIZE);
}

static void test_headers_max(void **state)
{
    char text[8192] = "HTTP/1.1 200 OK\r\n", interim[8192] = "";
    struct answer a = {text, 0, CLOSE, 0}, many = {interim, 0, CLOSE, 0};
    int i;

    (void) state;
    for (i = 0; i < 60; i++)
        strcat(text, "X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                     "aaaaaaaaaaaaaaaa\r\n");
    strcat(text, "\r\n");
    assert_int_equal(verdict(&a, 5), -EMSGSIZE);
    for (i = 0; i < 200; i++)
        strcat(interim, "HTTP/1.1 102 Processing\r\n\r\n");
    assert_int_equal(verdict(&many, 5), -EMSGSIZE);
}

static void test_folded(void **state)
{
    static const struct answer a[] = {
        {"HTTP/1.1 200 OK\r\nX-Long: a\r\n   b\r\n\tc\r\n\r\n", 0, CLOSE, 0}};
    struct ist_http_call call = {0};
    struct bench b;
    const char *value;
    size_t len;

    (void) state;
    bench_open(&b, &usual, a, 1);
    assert_int_equal(call_run(&b, &call), 0);
    value = ist_http_header(&call, "X-Long", &len);
    assert_int_equal(len, 5);
    assert_memory_equal(value, "a b c", 5);
    ist_http_call_fini(&call);
    bench_close(&b);
}

static void test_refused_input(void **state)
{
    static const char *const urls[] = {
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "127.0.0.1/",
        "http://u:s3cret@h/",
        "http://u@h/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1/a b",
        "http:///",
        "http://a/\r\nX: y",
        "gopher://h/",
        "",
    };
    static const char *const lines[] = {"X: a\r\nY: b", "no colon", ": x",
                                        "A B: c", "X: \x01"};
    static const struct answer a[] = {{NULL, 0, CLOSE, 0}};
    const char *headers[2] = {NULL, NULL};
    struct ist_http_call call = {0};
    struct bench b;
    size_t i;

    (void) state;
    bench_open(&b, &usual, a, 1);
    for (i = 0; i < IST_COUNT(urls); i++) {
        call.url = urls[i];
        if (call_run(&b, &call) != -EINVAL)
            fail_msg("%s was taken: %s", urls[i], call.op.err.text);
        assert_false(call.op.err.retryable);
    }
    call.url = b.url;
    call.headers = headers;
    for (i = 0; i < IST_COUNT(lines); i++) {
        headers[0] = lines[i];
        if (call_run(&b, &call) != -EINVAL)
            fail_msg("header %zu was taken", i);
    }
    call.headers = NULL;
    call.method = "GET /x HTTP/1.1\r\nX: y\r\n";
    assert_int_equal(call_run(&b, &call), -EINVAL);
    assert_int_equal(b.peer.n_accepted, 0);
    ist_http_call_fini(&call);
    bench_close(&b);
}

static void test_path_as_is(void **state)
{
    static const struct answer a[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, KEEP, 0}};
    struct ist_http_call call = {0};
    struct bench b;

    (void) state;
    bench_open(&b, &usual, a, 1);
    snprintf(b.url, sizeof(b.url), "http://127.0.0.1:%u/a/../b//c?x=%%20&y=a+b",
             b.peer.port);
    assert_int_equal(call_run(&b, &call), 0);
    assert_non_null(
        strstr(b.peer.request, "GET /a/../b//c?x=%20&y=a+b HTTP/1.1\r\n"));
    ist_http_call_fini(&call);
    bench_close(&b);
}

static void test_unreachable(void **state)
{
    static const struct answer a[] = {{NULL, 0, CLOSE, 0}};
    struct ist_http_call call = {0};
    struct bench b;
    uv_tcp_t unused;
    struct sockaddr_in addr;
    int len = sizeof(addr);

    (void) state;
    bench_open(&b, &usual, a, 1);
    uv_ip4_addr("127.0.0.1", 0, &addr);
    uv_tcp_init(b.loop.uv, &unused);
    uv_tcp_bind(&unused, (struct sockaddr *) &addr, 0);
    uv_tcp_getsockname(&unused, (struct sockaddr *) &addr, &len);
    snprintf(b.url, sizeof(b.url), "http://127.0.0.1:%u/x?token=s3cret",
             ntohs(addr.sin_port));
    assert_int_equal(call_run(&b, &call), -ECONNREFUSED);
    assert_true(call.op.err.retryable);
    assert_non_null(strstr(call.op.err.text, "GET http://127.0.0.1:"));

    call.url = "http://no-such-name.invalid/x?token=s3cret";
    assert_int_equal(call_run(&b, &call), -EHOSTUNREACH);
    uv_close((uv_handle_t *) &unused, NULL);
    ist_http_call_fini(&call);
    bench_close(&b);
}

/* A peer that talks no TLS, or leaves in the handshake. */
static void test_no_tls(void **state)
{
    static const struct answer a[] = {
        {"HTTP/1.1 400 Bad\r\n\r\n", 0, CLOSE, 0}};
    struct ist_http_call call = {0};
    struct bench b;

    (void) state;
    bench_open(&b, &usual, a, 1);
    snprintf(b.url, sizeof(b.url), "https://127.0.0.1:%u/x?token=s3cret",
             b.peer.port);
    /* The peer never sees a whole request: the connect timeout ends it. */
    call_start(&b, &call, 300);
    ist_loop_run(&b.loop);
    assert_int_equal(call.op.rc, -ETIMEDOUT);
    ist_http_call_fini(&call);
    bench_close(&b);
}

static void test_idle(void **state)
{
    static const struct answer a[] = {
        {NULL, 0, KEEP, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel", 0, KEEP, 0}};
    struct ist_http_conf conf = usual;
    struct ist_http_call call = {.collect_max = 100};
    struct bench b;
    uint64_t before;
    int i;

    (void) state;
    conf.idle_timeout_ms = 150;
    bench_open(&b, &conf, a, 2);
    for (i = 0; i < 2; i++) {
        before = ist_loop_now(&b.loop);
        assert_int_equal(call_run(&b, &call), -ETIMEDOUT);
        assert_in_range(ist_loop_now(&b.loop) - before, 140, 15000);
        assert_non_null(strstr(call.op.err.text, "no byte for 150 ms"));
    }
    assert_int_equal(call.status, 200);
    ist_http_call_fini(&call);
    bench_close(&b);
}

static void test_cancel(void **state)
{
    static const struct answer a[] = {{NULL, 0, KEEP, 0}};
    struct ist_http_call call = {0}, early = {0};
    struct bench b;

    (void) state;
    bench_open(&b, &usual, a, 1);
    call_start(&b, &call, 100);
    ist_loop_run(&b.loop);
    assert_int_equal(call.op.rc, -ETIMEDOUT);
    assert_non_null(strstr(call.op.err.text, "no answer in time"));

    call_start(&b, &early, 0);
    ist_op_cancel(&early.op, -ECANCELED);
    ist_loop_run(&b.loop);
    assert_int_equal(early.op.rc, -ECANCELED);
    ist_http_call_fini(&call);
    ist_http_call_fini(&early);
    bench_close(&b);
}

/* A write is sent once. A read may be sent again on a new connection when the
 * kept one is dead. */
static void test_at_most_once(void **state)
{
    static const struct answer a[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, KEEP, 0},
        {NULL, 0, CLOSE, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, KEEP, 0},
    };
    static const char *const writes[] = {"POST", "PUT", "PATCH", "DELETE"};
    struct ist_http_call call = {0};
    struct bench b;
    size_t i;

    (void) state;
    for (i = 0; i < IST_COUNT(writes); i++) {
        bench_open(&b, &usual, a, 3);
        call.method = "GET";
        call.url = NULL;
        assert_int_equal(call_run(&b, &call), 0);
        call.method = writes[i];
        assert_int_equal(call_run(&b, &call), -ECONNRESET);
        assert_int_equal(b.peer.n_requests, 2);
        ist_http_call_fini(&call);
        bench_close(&b);
    }
    bench_open(&b, &usual, a, 3);
    call.method = "GET";
    call.url = NULL;
    assert_int_equal(call_run(&b, &call), 0);
    assert_int_equal(call_run(&b, &call), 0);
    assert_int_equal(b.peer.n_requests, 3);
    ist_http_call_fini(&call);
    bench_close(&b);
}

/* Twenty calls through two connections, each answer later than the connect
 * timeout of the last in the queue would allow. */
static void test_per_host_max(void **state)
{
    static const struct answer a[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, KEEP, 100}};
    struct ist_http_conf conf = usual;
    struct ist_http_call calls[20];
    struct bench b;
    size_t i;

    (void) state;
    memset(calls, 0, sizeof(calls));
    conf.per_host_max = 2;
    conf.connect_timeout_ms = 500;
    conf.idle_timeout_ms = 500;
    bench_open(&b, &conf, a, 1);
    for (i = 0; i < 20; i++)
        call_start(&b, &calls[i], 60000);
    ist_loop_run(&b.loop);
    for (i = 0; i < 20; i++) {
        assert_int_equal(calls[i].op.rc, 0);
        ist_http_call_fini(&calls[i]);
    }
    assert_int_equal(b.peer.n_requests, 20);
    assert_int_equal(b.peer.n_busy_max, 2);
    bench_close(&b);
}

static void test_connections_max(void **state)
{
    static const struct answer a[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, KEEP, 30}};
    struct ist_http_conf conf = usual;
    struct ist_http_call calls[9];
    char url[128];
    struct bench b;
    size_t i;

    (void) state;
    memset(calls, 0, sizeof(calls));
    conf.connections_max = 3;
    bench_open(&b, &conf, a, 1);
    snprintf(url, sizeof(url), "http://localhost:%u/", b.peer.port);
    for (i = 0; i < 9; i++) {
        calls[i].url = i % 2 ? url : NULL;
        call_start(&b, &calls[i], 60000);
    }
    ist_loop_run(&b.loop);
    for (i = 0; i < 9; i++) {
        assert_int_equal(calls[i].op.rc, 0);
        ist_http_call_fini(&calls[i]);
    }
    assert_int_equal(b.peer.n_busy_max, 3);
    bench_close(&b);
}

/* Cancelling calls that wait for a connection lets the others go on. */
static void test_cancel_queued(void **state)
{
    static const struct answer a[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, KEEP, 30}};
    struct ist_http_conf conf = usual;
    struct ist_http_call calls[6];
    struct bench b;
    size_t i;

    (void) state;
    memset(calls, 0, sizeof(calls));
    conf.per_host_max = 1;
    bench_open(&b, &conf, a, 1);
    for (i = 0; i < 6; i++)
        call_start(&b, &calls[i], 60000);
    ist_op_cancel(&calls[1].op, -ECANCELED);
    ist_op_cancel(&calls[2].op, -ECANCELED);
    ist_loop_run(&b.loop);
    for (i = 0; i < 6; i++) {
        assert_int_equal(calls[i].op.rc, i == 1 || i == 2 ? -ECANCELED : 0);
        ist_http_call_fini(&calls[i]);
    }
    assert_int_equal(b.peer.n_requests, 4);
    bench_close(&b);
}

/* ---- streaming --------------------------------------------------------- */

struct sink {
    struct ist_http_call call;
    struct ist_timer timer;
    struct ist_sb got;
    size_t n_refused, n_calls;
    int answer; /* What on_data says when it is not full. */
    uint64_t pause_ms;
    bool full, at_once;
};

static void sink_drain(struct ist_timer *timer)
{
    struct sink *sink = IST_CONTAINER(timer, struct sink, timer);

    sink->full = false;
    ist_http_resume(&sink->call);
}

/* Takes one piece, then is full for a while. */
static int sink_data(struct ist_http_call *call, const void *data, size_t size)
{
    struct sink *sink = IST_CONTAINER(call, struct sink, call);

    sink->n_calls++;
    assert_int_equal(call->status, 200);
    if (sink->full) {
        sink->n_refused++;
        if (sink->at_once) {
            sink->full = false;
            ist_http_resume(call);
        } else {
            ist_timer_arm_in(&sink->timer, call->op.loop, sink->pause_ms,
                             sink_drain);
        }
        return -EAGAIN;
    }
    if (sink->answer)
        return sink->answer;
    ist_sb_add(&sink->got, data, size);
    sink->full = true;
    return 0;
}

static void stream(bool at_once, bool chunked)
{
    size_t size = 1000000, i;
    struct ist_sb text;
    struct answer a = {.after = CLOSE};
    struct sink sink = {.pause_ms = 2, .at_once = at_once};
    struct bench b;

    sink.call.on_data = sink_data;
    ist_sb_init(&text, 0);
    ist_sb_init(&sink.got, 0);
    ist_sb_printf(&text, "HTTP/1.1 200 OK\r\n%s\r\n",
                  chunked ? "Transfer-Encoding: chunked\r\n" : "");
    for (i = 0; i < size / 1000; i++) {
        if (chunked)
            ist_sb_puts(&text, "3e8\r\n");
        ist_sb_printf(&text, "%01000zu", i);
        if (chunked)
            ist_sb_puts(&text, "\r\n");
    }
    if (chunked)
        ist_sb_puts(&text, "0\r\n\r\n");
    a.text = ist_sb_text(&text);
    a.size = text.len;
    bench_open(&b, &usual, &a, 1);
    assert_int_equal(call_run(&b, &sink.call), 0);
    assert_int_equal(sink.call.n_received, size);
    assert_int_equal(sink.got.len, size);
    for (i = 0; i < size / 1000; i++) {
        char line[1001];

        snprintf(line, sizeof(line), "%01000zu", i);
        assert_memory_equal(sink.got.data + i * 1000, line, 1000);
    }
    assert_true(sink.n_refused > 3);
    ist_http_call_fini(&sink.call);
    ist_sb_fini(&sink.got);
    ist_sb_fini(&text);
    bench_close(&b);
}

static void test_stream(void **state)
{
    (void) state;
    stream(false, false);
    stream(false, true);
    stream(true, false);
    stream(true, true);
}

static void test_stream_abort(void **state)
{
    static const struct answer a[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 0, KEEP, 0}};
    struct sink sink = {.answer = 7};
    struct bench b;

    (void) state;
    sink.call.on_data = sink_data;
    bench_open(&b, &usual, a, 1);
    assert_int_equal(call_run(&b, &sink.call), 7);
    sink.answer = -EBADMSG;
    assert_int_equal(call_run(&b, &sink.call), -EBADMSG);
    ist_http_call_fini(&sink.call);
    bench_close(&b);
}

/* A pause of ours is not the peer's silence. */
static void test_pause_is_not_idle(void **state)
{
    static const struct answer a[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 0, KEEP, 0}};
    struct ist_http_conf conf = usual;
    struct sink sink = {.pause_ms = 400, .full = true};
    struct bench b;

    (void) state;
    conf.idle_timeout_ms = 200;
    sink.call.on_data = sink_data;
    ist_sb_init(&sink.got, 0);
    bench_open(&b, &conf, a, 1);
    assert_int_equal(call_run(&b, &sink.call), 0);
    assert_int_equal(sink.n_refused, 1);
    assert_string_equal(ist_sb_text(&sink.got), "hello");
    ist_http_call_fini(&sink.call);
    ist_sb_fini(&sink.got);
    bench_close(&b);
}

/* A body that comes in words, each after a pause. */
struct source {
    struct ist_http_call call;
    struct ist_timer timer;
    const char *const *words; /* NULL-ended. */
    uint64_t pause_ms;
    bool ready;
    ssize_t fault; /* Instead of the end. */
};

static void source_fill(struct ist_timer *timer)
{
    struct source *source = IST_CONTAINER(timer, struct source, timer);

    source->ready = true;
    ist_http_resume(&source->call);
}

static ssize_t source_body(struct ist_http_call *call, void *buf, size_t size)
{
    struct source *source = IST_CONTAINER(call, struct source, call);
    size_t len = *source->words ? strlen(*source->words) : 0;

    if (!source->ready) {
        ist_timer_arm_in(&source->timer, call->op.loop, source->pause_ms,
                         source_fill);
        return -EAGAIN;
    }
    if (!*source->words)
        return source->fault;
    assert_true(len <= size);
    memcpy(buf, *source->words++, len);
    source->ready = false;
    return (ssize_t) len;
}

static void upload(uint64_t length, const char *framing, const char *body)
{
    static const char *const words[] = {"hello", ", ", "world", NULL};
    static const struct answer a[] = {
        {"HTTP/1.1 204 No Content\r\n\r\n", 0, KEEP, 0}};
    struct source source = {.words = words, .pause_ms = 300};
    struct ist_http_conf conf = usual;
    struct bench b;

    conf.idle_timeout_ms = 200; /* Our pauses are not the peer's silence. */
    source.call.method = "PUT";
    source.call.on_body = source_body;
    source.call.body_length = length;
    bench_open(&b, &conf, a, 1);
    assert_int_equal(call_run(&b, &source.call), 0);
    assert_int_equal(source.call.status, 204);
    assert_non_null(strstr(b.peer.request, "PUT /v3"));
    assert_non_null(strstr(b.peer.request, framing));
    assert_null(strcasestr(b.peer.request, "Expect"));
    assert_string_equal(strstr(b.peer.request, "\r\n\r\n") + 4, body);
    ist_http_call_fini(&source.call);
    bench_close(&b);
}

static void test_upload(void **state)
{
    (void) state;
    upload(12, "\r\nContent-Length: 12\r\n", "hello, world");
    upload(UINT64_MAX, "\r\nTransfer-Encoding: chunked\r\n",
           "5\r\nhello\r\n2\r\n, \r\n5\r\nworld\r\n0\r\n\r\n");
}

static void test_upload_abort(void **state)
{
    static const char *const words[] = {"hello", NULL};
    static const struct answer a[] = {
        {"HTTP/1.1 204 No Content\r\n\r\n", 0, KEEP, 0}};
    struct source source = {.words = words, .fault = -ECONNABORTED};
    struct bench b;

    (void) state;
    source.call.method = "PUT";
    source.call.on_body = source_body;
    source.call.body_length = UINT64_MAX;
    bench_open(&b, &usual, a, 1);
    assert_int_equal(call_run(&b, &source.call), -ECONNABORTED);
    assert_int_equal(b.peer.n_requests, 0);
    ist_http_call_fini(&source.call);
    bench_close(&b);
}

static int cancel_in_data(struct ist_http_call *call, const void *data,
                          size_t size)
{
    (void) data, (void) size;
    ist_op_cancel(&call->op, -ECANCELED);
    return 0;
}

static struct ist_http_call second;

static int start_in_data(struct ist_http_call *call, const void *data,
                         size_t size)
{
    (void) call, (void) data, (void) size;
    if (!second.op.done)
        call_start(bench_of, &second, 60000);
    return 0;
}

/* From inside on_data, where curl must not be entered again. */
static void test_reentry(void **state)
{
    static const struct answer a[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", 0, KEEP, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 0, KEEP, 0}};
    struct ist_http_call call = {.on_data = cancel_in_data};
    struct bench b;

    (void) state;
    memset(&second, 0, sizeof(second));
    second.collect_max = 5;
    bench_open(&b, &usual, a, 2);
    assert_int_equal(call_run(&b, &call), -ECANCELED);
    call.on_data = start_in_data;
    assert_int_equal(call_run(&b, &call), 0);
    assert_int_equal(second.op.rc, 0);
    assert_string_equal(ist_sb_text(&second.collected), "hello");
    ist_http_call_fini(&call);
    ist_http_call_fini(&second);
    bench_close(&b);
}

/* What the environment says about proxies does not count. */
static void test_no_proxy_from_environment(void **state)
{
    static const struct answer a[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, KEEP, 0}};

    (void) state;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    assert_int_equal(verdict(a, 5), 0);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
}

static void test_proxy(void **state)
{
    static const struct answer a[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, KEEP, 0}};
    struct ist_http_call call = {.url = "http://site.invalid/v3"};
    struct ist_http_conf conf = usual;
    struct bench b;
    char proxy[64];

    (void) state;
    bench_open(&b, &usual, a, 1);
    snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", b.peer.port);
    conf.proxy = proxy;
    ist_http_close(b.http, NULL, NULL);
    b.http = ist_http_new(&b.loop, &conf);
    assert_int_equal(call_run(&b, &call), 0);
    assert_non_null(strstr(b.peer.request, "GET http://site.invalid/v3 HTTP"));
    ist_http_call_fini(&call);
    bench_close(&b);
}

/* libuv keeps a few descriptors for the life of the process: they are opened
 * before the tests count. */
static void warm_up(void)
{
    struct ist_loop loop;

    ist_loop_init(&loop);
    ist_loop_fini(&loop);
}

/* ---- who may be called --------------------------------------------------- */

static unsigned n_asked;

static bool never(struct ist_http_call *call, const struct sockaddr *to)
{
    (void) call, (void) to;
    n_asked++;
    return false;
}

static bool not_ipv6(struct ist_http_call *call, const struct sockaddr *to)
{
    (void) call;
    n_asked++;
    return to->sa_family == AF_INET;
}

static const struct answer fine[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, KEEP, 0}};

/* Nothing goes to a refused address, not even over a connection that is kept
 * from a call that asked nobody. */
static void test_a_refused_address_gets_nothing(void **state)
{
    struct ist_http_call call = {.collect_max = 5};
    struct bench b;

    (void) state;
    bench_open(&b, &usual, fine, 1);
    assert_int_equal(call_run(&b, &call), 0);
    n_asked = 0;
    call.may_connect = never;
    assert_int_equal(call_run(&b, &call), -EACCES);
    assert_non_null(strstr(call.op.err.text, "may not be called"));
    assert_int_equal(n_asked, 1);
    assert_int_equal(b.peer.n_requests, 1);
    call.may_connect = not_ipv6;
    assert_int_equal(call_run(&b, &call), 0);
    assert_int_equal(b.peer.n_requests, 2);
    assert_int_equal(b.peer.n_accepted, 2);
    ist_http_call_fini(&call);
    bench_close(&b);
}

/* A name with one refused address is refused, though another one would do. */
static void test_one_refused_address_is_enough(void **state)
{
    struct ist_http_call call = {.collect_max = 5, .may_connect = not_ipv6};
    struct bench b;
    char url[64];
    int rc;

    (void) state;
    bench_open(&b, &usual, fine, 1);
    snprintf(url, sizeof(url), "http://localhost:%u/", b.peer.port);
    call.url = url;
    n_asked = 0;
    rc = call_run(&b, &call);
    if (n_asked > 1) {
        assert_int_equal(rc, -EACCES);
        assert_int_equal(b.peer.n_requests, 0);
    } else {
        assert_int_equal(rc, 0); /* No IPv6 here. */
    }
    ist_http_call_fini(&call);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_post),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_headers_max),
        cmocka_unit_test(test_folded),
        cmocka_unit_test(test_refused_input),
        cmocka_unit_test(test_path_as_is),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_no_tls),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_at_most_once),
        cmocka_unit_test(test_per_host_max),
        cmocka_unit_test(test_connections_max),
        cmocka_unit_test(test_cancel_queued),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_stream_abort),
        cmocka_unit_test(test_pause_is_not_idle),
        cmocka_unit_test(test_upload),
        cmocka_unit_test(test_upload_abort),
        cmocka_unit_test(test_reentry),
        cmocka_unit_test(test_no_proxy_from_environment),
        cmocka_unit_test(test_proxy),
        cmocka_unit_test(test_a_refused_address_gets_nothing),
        cmocka_unit_test(test_one_refused_address_is_enough),
    };

    signal(SIGPIPE, SIG_IGN);
    warm_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
