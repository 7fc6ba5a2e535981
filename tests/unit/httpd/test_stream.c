/* Streamed answers: chunked and of known length, back-pressure, clients that
 * leave, do not read, or want no body. */
#include "bench.h"

#include "http/client.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

struct source {
    struct ist_httpd_stream *stream;
    size_t total, size; /* To write in all; of one piece. */
    size_t n_written, n_full, n_drained, n_gone;
    size_t most; /* Most that was taken without a 'drained'. */
    size_t since;
    bool ended, abort_at_end, hold_open;
    int last_rc;
};

static struct source source;
static struct ist_httpd_header source_headers[2];
static size_t source_n_headers;

static char pattern(size_t at)
{
    return (char) ('a' + at % 23);
}

static void pump(struct source *src)
{
    static char piece[1U << 20];
    size_t n, i;
    int rc;

    while (src->n_written < src->total) {
        n = src->total - src->n_written;
        if (n > src->size)
            n = src->size;
        for (i = 0; i < n; i++)
            piece[i] = pattern(src->n_written + i);
        rc = ist_httpd_stream_write(src->stream, piece, n);
        src->last_rc = rc;
        if (rc) {
            src->n_full += rc == -EAGAIN;
            return;
        }
        src->n_written += n;
        src->since += n;
        if (src->since > src->most)
            src->most = src->since;
    }
    if (src->hold_open)
        return;
    src->ended = true;
    if (src->abort_at_end)
        ist_httpd_stream_abort(src->stream);
    else
        ist_httpd_stream_end(src->stream);
}

static void on_drained(struct ist_httpd_stream *stream, void *arg)
{
    struct source *src = arg;

    assert_ptr_equal(stream, src->stream);
    src->n_drained++;
    src->since = 0;
    pump(src);
}

static void on_stream_gone(struct ist_httpd_stream *stream, void *arg)
{
    struct source *src = arg;

    src->n_gone++;
    assert_int_equal(ist_httpd_stream_write(stream, "x", 1), -EPIPE);
    src->ended = true;
    ist_httpd_stream_end(stream);
}

static bool begin(struct bench *b, struct ist_httpd_request *r)
{
    (void) b;
    if (strcmp(r->path, "/stream"))
        return false;
    source.stream =
        ist_httpd_stream_begin(r, 200, source_headers, source_n_headers,
                               on_drained, on_stream_gone, &source);
    assert_non_null(source.stream);
    pump(&source);
    return true;
}

static void setup(struct bench *b, size_t total, size_t size)
{
    memset(&source, 0, sizeof(source));
    source.total = total;
    source.size = size;
    source_n_headers = 0;
    bench_more = begin;
    bench_open(b, &bench_usual);
}

/* ---- through our own client, which checks each byte -------------------- */

struct reader {
    struct ist_http_call call;
    size_t n;
    bool slow, full;
    struct ist_timer timer;
};

static void on_ready(struct ist_timer *timer)
{
    struct reader *reader = IST_CONTAINER(timer, struct reader, timer);

    reader->full = false;
    ist_http_resume(&reader->call);
}

static int on_data(struct ist_http_call *call, const void *data, size_t size)
{
    struct reader *reader = IST_CONTAINER(call, struct reader, call);
    const char *text = data;
    size_t i;

    if (reader->slow && reader->full) {
        ist_timer_arm_in(&reader->timer, call->op.loop, 1, on_ready);
        return -EAGAIN;
    }
    for (i = 0; i < size; i++)
        assert_int_equal(text[i], pattern(reader->n + i));
    reader->n += size;
    reader->full = true;
    return 0;
}

static void on_done(struct ist_op *op)
{
    ist_loop_stop(op->loop);
}

static int fetch(struct bench *b, struct reader *reader)
{
    static const struct ist_http_conf http_conf = {20000, 20000, 8,
                                                   8,     4096,  NULL};
    struct ist_http *http = ist_http_new(&b->loop, &http_conf);
    char url[64];
    int rc;

    snprintf(url, sizeof(url), "http://127.0.0.1:%u/stream",
             ist_httpd_port(b->httpd));
    reader->call.method = "GET";
    reader->call.url = url;
    reader->call.on_data = on_data;
    ist_op_prepare(&reader->call.op, &b->loop, NULL, 60000, on_done);
    ist_http_start(http, &reader->call);
    ist_loop_run(&b->loop);
    rc = reader->call.op.rc;
    ist_http_call_fini(&reader->call);
    ist_http_close(http, NULL, NULL);
    return rc;
}

/* Eight megabytes in pieces of several sizes, to a fast and to a slow
 * reader: all arrives, and what waits here stays below the high mark. */
static void test_chunked(void **state)
{
    static const size_t sizes[] = {1000, 65536, 300000};
    struct reader reader;
    struct bench b;
    size_t i;

    (void) state;
    for (i = 0; i < 6; i++) {
        memset(&reader, 0, sizeof(reader));
        reader.slow = i % 2;
        setup(&b, 8U << 20, sizes[i / 2]);
        assert_int_equal(fetch(&b, &reader), 0);
        assert_int_equal(reader.n, 8U << 20);
        assert_true(source.ended);
        assert_true(source.n_full > 5);
        assert_int_equal(source.n_full, source.n_drained);
        assert_int_equal(source.n_gone, 0);
        bench_close(&b);
    }
}

static void test_length(void **state)
{
    struct reader reader = {.slow = true};
    struct bench b;

    (void) state;
    setup(&b, 2U << 20, 50000);
    source_headers[0] = (struct ist_httpd_header){"Content-Length", "2097152"};
    source_n_headers = 1;
    assert_int_equal(fetch(&b, &reader), 0);
    assert_int_equal(reader.n, 2U << 20);
    bench_close(&b);

    /* More than promised is dropped, and ends well. */
    memset(&reader, 0, sizeof(reader));
    setup(&b, 1U << 20, 50000);
    source_headers[0].value = "1000000";
    source_n_headers = 1;
    assert_int_equal(fetch(&b, &reader), 0);
    assert_int_equal(reader.n, 1000000);
    assert_true(source.ended);
    assert_int_equal(source.n_gone, 0);
    bench_close(&b);

    /* Less is a cut. */
    memset(&reader, 0, sizeof(reader));
    setup(&b, 1000, 1000);
    source_headers[0].value = "1001";
    source_n_headers = 1;
    assert_int_equal(fetch(&b, &reader), -ECONNRESET);
    bench_close(&b);
}

static void test_abort(void **state)
{
    struct reader reader = {0};
    struct bench b;

    (void) state;
    setup(&b, 100000, 50000);
    source.abort_at_end = true;
    assert_int_equal(fetch(&b, &reader), -ECONNRESET);
    bench_close(&b);
}

/* An empty one, and one to a HEAD: both leave the connection usable. */
static void test_no_body(void **state)
{
    static const char head[] = "HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n";
    static struct raw raw;
    struct bench b;

    (void) state;
    setup(&b, 0, 1);
    raw_open(&b, &raw);
    raw_send(&b, &raw, GET("/stream"), strlen(GET("/stream")));
    raw_expect(&b, &raw, "\r\n\r\n0\r\n\r\n");
    raw.len = 0;
    source = (struct source){.total = 5U << 20, .size = 1000};
    source_headers[0] = (struct ist_httpd_header){"Content-Length", "5242880"};
    source_n_headers = 1;
    raw_send(&b, &raw, head, strlen(head));
    raw_expect(&b, &raw, "\r\n\r\n");
    assert_non_null(strstr(raw.in, "Content-Length: 5242880\r\n"));
    bench_run_for(&b, 20);
    assert_true(source.ended);
    assert_int_equal(source.n_gone, 0);
    raw.len = 0;
    raw_send(&b, &raw, GET("/now"), strlen(GET("/now")));
    raw_expect(&b, &raw, "now\n");
    raw_close(&raw);
    bench_close(&b);
}

/* Events: a write now and then, to a client that is there. */
static void test_events(void **state)
{
    static struct raw raw;
    struct bench b;
    char text[32];
    int i;

    (void) state;
    setup(&b, 0, 1);
    source.hold_open = true;
    raw_open(&b, &raw);
    raw_send(&b, &raw, GET("/stream"), strlen(GET("/stream")));
    for (i = 0; i < 20; i++) {
        bench_run_for(&b, 3);
        snprintf(text, sizeof(text), "data: %d\n\n", i);
        assert_int_equal(
            ist_httpd_stream_write(source.stream, text, strlen(text)), 0);
        raw_expect(&b, &raw, text);
    }
    ist_httpd_stream_end(source.stream);
    raw_expect(&b, &raw, "\r\n0\r\n\r\n");
    raw_close(&raw);
    bench_close(&b);
}

/* A client that leaves while nothing is to be said is noticed all the same. */
static void test_gone(void **state)
{
    static struct raw raw;
    struct bench b;
    int i;

    (void) state;
    for (i = 0; i < 2; i++) {
        setup(&b, 1000, 1000);
        source.hold_open = true;
        raw_open(&b, &raw);
        raw_send(&b, &raw, GET("/stream"), strlen(GET("/stream")));
        raw_expect(&b, &raw, "\r\n\r\n3E8\r\n");
        if (i) {
            struct linger reset = {1, 0};

            setsockopt(raw.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        }
        raw_close(&raw);
        bench_run_for(&b, 50);
        assert_int_equal(source.n_gone, 1);
        bench_close(&b);
    }
}

/* A client that leaves in the middle of more than its socket holds. */
static void test_gone_while_full(void **state)
{
    static struct raw raw;
    struct bench b;

    (void) state;
    setup(&b, 64U << 20, 65536);
    raw_open(&b, &raw);
    raw_send(&b, &raw, GET("/stream"), strlen(GET("/stream")));
    bench_run_for(&b, 100);
    assert_int_equal(source.last_rc, -EAGAIN);
    assert_int_equal(source.n_gone, 0);
    raw_close(&raw);
    bench_run_for(&b, 100);
    assert_int_equal(source.n_gone, 1);
    bench_close(&b);
}

/* A client that stays and does not read is cut after the idle time. */
static void test_stalled(void **state)
{
    struct ist_httpd_conf conf = bench_usual;
    static struct raw raw;
    struct bench b;
    uint64_t began;

    (void) state;
    setup(&b, 64U << 20, 65536);
    bench_close(&b);
    conf.idle_timeout_ms = 1000;
    bench_open(&b, &conf);
    raw_open(&b, &raw);
    raw_send(&b, &raw, GET("/stream"), strlen(GET("/stream")));
    began = ist_loop_now(&b.loop);
    while (!source.n_gone && ist_loop_now(&b.loop) - began < 20000)
        bench_run_for(&b, 10);
    assert_int_equal(source.n_gone, 1);
    assert_in_range(ist_loop_now(&b.loop) - began, 800, 15000);
    raw_close(&raw);
    bench_close(&b);
}

/* The server closes under a stream: told once, then freed. */
static void test_close(void **state)
{
    static struct raw raw;
    struct bench b;

    (void) state;
    setup(&b, 1000, 1000);
    source.hold_open = true;
    raw_open(&b, &raw);
    raw_send(&b, &raw, GET("/stream"), strlen(GET("/stream")));
    raw_expect(&b, &raw, "\r\n\r\n3E8\r\n");
    ist_httpd_close(b.httpd, bench_on_closed, &b);
    raw_drain(&b, &raw, 20000);
    assert_true(raw.eof);
    assert_int_equal(source.n_gone, 1);
    assert_null(strstr(raw.in, "\r\n0\r\n\r\n"));
    raw_close(&raw);
    bench_end(&b);
}

static struct ist_httpd_request *held;

static bool hold(struct bench *b, struct ist_httpd_request *r)
{
    (void) b;
    held = r;
    return true;
}

/* A stream begun when its request is already lost is gone from the start. */
static void test_begin_too_late(void **state)
{
    static struct raw raw;
    struct bench b;

    (void) state;
    setup(&b, 0, 1);
    bench_more = hold;
    raw_open(&b, &raw);
    raw_send(&b, &raw, GET("/stream"), strlen(GET("/stream")));
    bench_run_for(&b, 30);
    assert_non_null(held);
    ist_httpd_close(b.httpd, bench_on_closed, &b);
    bench_run_for(&b, 1300);
    assert_false(b.closed);
    source.hold_open = true;
    source.stream = ist_httpd_stream_begin(held, 200, NULL, 0, on_drained,
                                           on_stream_gone, &source);
    assert_non_null(source.stream);
    bench_run_for(&b, 30);
    assert_int_equal(source.n_gone, 1);
    raw_close(&raw);
    bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunked),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_no_body),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_gone_while_full),
        cmocka_unit_test(test_stalled),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_begin_too_late),
    };

    bench_warm_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
