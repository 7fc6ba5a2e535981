/* Streamed request bodies, byte by byte: what is told and when, what is
 * answered, and what happens to the connection. */
#include "taker.h"

#include <time.h>

#define POST(path) "POST " path " HTTP/1.1\r\nHost: h\r\n"

static struct raw raw;

static void say(struct bench *b, const char *text)
{
    assert_true(raw_send(b, &raw, text, strlen(text)));
}

/* 'size' bytes of the pattern, from 'at' on. */
static bool say_body(struct bench *b, size_t at, size_t size)
{
    static char piece[30000];
    size_t n;

    for (; size; at += n, size -= n) {
        n = size < sizeof(piece) ? size : sizeof(piece);
        taker_fill(piece, at, n);
        if (!raw_send(b, &raw, piece, n))
            return false;
    }
    return true;
}

static void say_chunk(struct bench *b, size_t at, size_t size)
{
    char line[32];

    snprintf(line, sizeof(line), "%zx;ext=\"1\"\r\n", size);
    say(b, line);
    say_body(b, at, size);
    say(b, "\r\n");
}

static void say_head(struct bench *b, const char *path, size_t size)
{
    char text[256];

    snprintf(text, sizeof(text),
             "PUT %s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", path,
             size);
    say(b, text);
}

static void expect_alive(struct bench *b)
{
    raw.len = 0;
    raw.in[0] = '\0';
    say(b, "GET /now HTTP/1.1\r\nHost: h\r\n\r\n");
    raw_expect(b, &raw, "now\n");
}

static void expect_closed(struct bench *b)
{
    assert_true(raw_drain(b, &raw, 20000) < 15000);
    assert_true(raw.eof);
    raw_close(&raw);
}

/* Many lengths on one connection; the whole body, then one end, then the next
 * request. body_max does not count. */
static void test_lengths(void **state)
{
    static const size_t sizes[] = {0,     1,     2,      1000,
                                   16384, 65536, 100000, 1000000};
    char text[64];
    struct bench b;
    size_t i;

    (void) state;
    taker_open(&b, &bench_usual);
    raw_open(&b, &raw);
    for (i = 0; i < IST_COUNT(sizes); i++) {
        raw.len = 0;
        say_head(&b, "/take", sizes[i]);
        say_body(&b, 0, sizes[i]);
        snprintf(text, sizeof(text), "end 0 of %zu\n", sizes[i]);
        raw_expect(&b, &raw, text);
        assert_int_equal(raw_status(&raw), 200);
        assert_int_equal(taker.n_ends, 1);
    }
    assert_int_equal(taker.n_begun, IST_COUNT(sizes));
    assert_int_equal(b.n_handled, 0);
    expect_alive(&b);
    raw_close(&raw);
    bench_close(&b);
}

/* One byte at a time, in chunks with extensions, trailers behind them, and a
 * request behind those. */
static void test_chunks(void **state)
{
    struct bench b;
    size_t at = 0, size;

    (void) state;
    taker_open(&b, &bench_usual);
    raw_open(&b, &raw);
    say(&b, POST("/take") "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n"
                          "\r\n");
    for (size = 1; size < 40000; size = size * 3 + 1) {
        say_chunk(&b, at, size);
        at += size;
    }
    say_chunk(&b, at, 1);
    assert_int_equal(taker.n_ends, 0);
    say(&b, "0\r\nX-Sum: 12\r\nHost: other\r\n\r\n"
            "GET /behind HTTP/1.1\r\nHost: h\r\n\r\n");
    raw_expect(&b, &raw, "now\n");
    assert_int_equal(taker.n, at + 1);
    assert_int_equal(taker.rc, 0);
    assert_int_equal(raw_count(&raw, "HTTP/1.1 200 OK"), 2);
    assert_string_equal(b.path, "/behind");
    raw_close(&raw);
    bench_close(&b);
}

static void test_pipelined(void **state)
{
    static const char text[] =
        POST("/take") "Content-Length: 3\r\n\r\nabc" POST(
            "/take") "Transfer-Encoding: chunked\r\n\r\n"
                     "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
                     "GET /take HTTP/1.1\r\nHost: h\r\n\r\n"
                     "GET /refuse HTTP/1.1\r\nHost: h\r\n\r\n" POST(
                         "/echo") "Content-Length: 4\r\n\r\nlast";
    struct bench b;

    (void) state;
    taker_open(&b, &bench_usual);
    raw_open(&b, &raw);
    say(&b, text);
    raw_expect(&b, &raw, "last");
    assert_int_equal(raw_count(&raw, "end 0 of 3\n"), 2);
    assert_int_equal(raw_count(&raw, "end 0 of 0\n"), 1);
    assert_int_equal(raw_count(&raw, "HTTP/1.1 401 "), 1);
    assert_int_equal(raw_count(&raw, "HTTP/1.1 200 "), 4);
    raw_close(&raw);
    bench_close(&b);
}

/* Who does not take it has it collected, with the cap of that. */
static void test_collected(void **state)
{
    struct bench b;

    (void) state;
    taker_open(&b, &bench_usual);
    raw_open(&b, &raw);
    say(&b, POST("/echo") "Content-Length: 4\r\n\r\nback");
    raw_expect(&b, &raw, "back");
    say_head(&b, "/echo", bench_usual.body_max + 1);
    say_body(&b, 0, bench_usual.body_max + 1);
    raw_expect(&b, &raw, "HTTP/1.1 413 ");
    raw_expect(&b, &raw, "{\"refused\":\"body too large\"}");
    expect_closed(&b);
    assert_int_equal(b.n_handled, 1);
    assert_int_equal(b.n_refused, 1);
    assert_int_equal(taker.n_begun, 0);
    bench_close(&b);
}

/* A bad head is refused before anybody is asked. */
static void test_bad_heads(void **state)
{
    static const char *const heads[] = {
        "PUT /take HTTP/1.1\r\n\r\n",
        POST("/take") "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        POST("/take") "Content-Length: 18446744073709551615\r\n\r\n",
        POST("/take") "Transfer-Encoding: gzip, chunked\r\n\r\n",
        "PUT /take/../take HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n",
    };
    struct bench b;
    size_t i;

    (void) state;
    taker_open(&b, &bench_usual);
    for (i = 0; i < IST_COUNT(heads); i++) {
        raw_open(&b, &raw);
        say(&b, heads[i]);
        expect_closed(&b);
        assert_true(raw_status(&raw) >= 400);
    }
    assert_int_equal(taker.n_begun, 0);
    bench_close(&b);
}

/* Refusals of requests whose body is under way, of every method. */
static void test_bad_heads_with_body(void **state)
{
    static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE",
                                          "GET"};
    char text[256];
    struct bench b;
    size_t i;

    (void) state;
    taker_open(&b, &bench_usual);
    for (i = 0; i < IST_COUNT(methods); i++) {
        raw_open(&b, &raw);
        snprintf(text, sizeof(text),
                 "%s /%%00 HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n",
                 methods[i]);
        say(&b, text);
        expect_closed(&b);
        if (raw_status(&raw) != 400)
            fail_msg("%s: %s", methods[i], raw.in);
    }
    bench_close(&b);
}

/* ---- holding back ------------------------------------------------------ */

/* Held back, the same bytes come again; no deadline runs, neither ours nor
 * the daemon's. */
static void test_held_back(void **state)
{
    struct ist_httpd_conf conf = bench_usual;
    struct bench b;

    (void) state;
    conf.body_timeout_ms = 200;
    conf.idle_timeout_ms = 1000;
    taker_open(&b, &conf);
    taker.limit = 1000;
    raw_open(&b, &raw);
    say_head(&b, "/stall", 30000);
    say_body(&b, 0, 900);
    TAKER_UNTIL(&b, taker.n == 900);
    say_body(&b, 900, 29100);
    TAKER_UNTIL(&b, taker.held_back);
    bench_run_for(&b, 2500);
    assert_int_equal(taker.n, 900);
    assert_int_equal(taker.n_full, 1);
    taker.limit = SIZE_MAX / 2;
    taker_on_time(NULL);
    raw_expect(&b, &raw, "end 0 of 30000\n");
    expect_alive(&b);
    raw_close(&raw);
    bench_close(&b);
}

/* A resume from within on_body is not lost. */
static void test_resume_inside(void **state)
{
    struct bench b;

    (void) state;
    taker_open(&b, &bench_usual);
    taker.limit = 20000;
    taker.resume_inside = true;
    raw_open(&b, &raw);
    say_head(&b, "/stall", 500000);
    say_body(&b, 0, 500000);
    raw_expect(&b, &raw, "end 0 of 500000\n");
    assert_true(taker.n_full > 5);
    raw_close(&raw);
    bench_close(&b);
}

/* ---- clients that leave, fall silent, or break the frame ---------------- */

static void expect_end(struct bench *b, int rc)
{
    TAKER_UNTIL(b, taker.n_ends);
    bench_run_for(b, 20);
    assert_int_equal(taker.rc, rc);
    assert_int_equal(taker.n_ends, 1);
    assert_int_equal(taker.n_gone, 0);
    assert_null(taker.request);
}

static void test_client_leaves(void **state)
{
    struct bench b;
    int held, reset;

    (void) state;
    taker_open(&b, &bench_usual);
    for (held = 0; held < 2; held++) {
        for (reset = 0; reset < 2; reset++) {
            struct linger linger = {reset, 0};

            taker.limit = 5000;
            raw_open(&b, &raw);
            setsockopt(raw.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
            say_head(&b, held ? "/stall" : "/take", 500000);
            say_body(&b, 0, 100000);
            if (held)
                TAKER_UNTIL(&b, taker.held_back);
            else
                TAKER_UNTIL(&b, taker.n == 100000);
            raw_close(&raw);
            expect_end(&b, -ECONNRESET);
            taker.held_back = false;
        }
    }
    bench_close(&b);
}

/* Sends until the kernel takes no more for a while. */
static size_t fill_up(struct bench *b, size_t at)
{
    static char piece[30000];
    size_t sent = 0;
    int n_waits = 0;
    ssize_t n;

    while (n_waits < 100) {
        taker_fill(piece, at + sent, sizeof(piece));
        n = send(raw.fd, piece, sizeof(piece), MSG_NOSIGNAL);
        if (n > 0) {
            sent += (size_t) n;
            n_waits = 0;
        } else {
            assert_int_equal(errno, EAGAIN);
            n_waits++;
            bench_run_for(b, 1);
        }
    }
    return sent;
}

/* Its FIN waits behind what the window did not let through; then the last bytes
 * and the FIN are there together. It is seen to leave then, and not by the
 * deadline. */
static void test_leaves_held_up(void **state)
{
    struct bench b;
    uint64_t began;
    size_t sent;

    (void) state;
    taker_open(&b, &bench_usual);
    taker.limit = 1000;
    raw_open(&b, &raw);
    say_head(&b, "/stall", 1U << 30);
    say_body(&b, 0, 900);
    TAKER_UNTIL(&b, taker.n == 900);
    sent = 900 + fill_up(&b, 900);
    assert_true(taker.held_back);
    raw_close(&raw);
    bench_run_for(&b, 50);
    assert_int_equal(taker.n_ends, 0);
    taker.limit = SIZE_MAX / 2;
    taker_on_time(NULL);
    began = ist_loop_now(&b.loop);
    expect_end(&b, -ECONNRESET);
    assert_int_equal(taker.n, sent);
    assert_true(ist_loop_now(&b.loop) - began < 10000);
    bench_close(&b);
}

/* A chunked body that stops between two chunks is not a whole one, nor is one
 * without the end of its trailers. */
static void test_cut_chunks(void **state)
{
    static const char *const tails[] = {"", "5\r\n", "0\r\n", "0\r\nX: y\r\n"};
    struct bench b;
    size_t i;

    (void) state;
    taker_open(&b, &bench_usual);
    for (i = 0; i < IST_COUNT(tails); i++) {
        raw_open(&b, &raw);
        say(&b, POST("/take") "Transfer-Encoding: chunked\r\n\r\n");
        say_chunk(&b, 0, 700);
        say(&b, tails[i]);
        TAKER_UNTIL(&b, taker.n == 700);
        shutdown(raw.fd, SHUT_WR);
        expect_end(&b, -ECONNRESET);
        raw_close(&raw);
    }
    bench_close(&b);
}

static void test_broken_frame(void **state)
{
    struct bench b;

    (void) state;
    taker_open(&b, &bench_usual);
    raw_open(&b, &raw);
    say(&b, POST("/take") "Transfer-Encoding: chunked\r\n\r\n");
    say_chunk(&b, 0, 700);
    say(&b, "zz\r\n");
    expect_end(&b, -ECONNRESET);
    expect_closed(&b);
    assert_int_equal(raw_status(&raw), 400);
    bench_close(&b);
}

/* After the end of a whole body a client that leaves is 'gone'. */
static void test_gone_after_end(void **state)
{
    struct bench b;

    (void) state;
    taker_open(&b, &bench_usual);
    raw_open(&b, &raw);
    say_head(&b, "/keep", 3);
    say(&b, "abc");
    TAKER_UNTIL(&b, taker.n_ends);
    assert_int_equal(taker.rc, 0);
    raw_close(&raw);
    TAKER_UNTIL(&b, taker.n_gone);
    bench_run_for(&b, 20);
    assert_int_equal(taker.n_gone, 1);
    assert_int_equal(taker.n_ends, 1);
    taker_reply(200, "nobody\n");
    bench_close(&b);
}

/* Slowly but steadily is no fault; silence is, and its 408 arrives. */
static void test_silence(void **state)
{
    struct ist_httpd_conf conf = bench_usual;
    struct bench b;
    size_t i;

    (void) state;
    conf.body_timeout_ms = 400;
    taker_open(&b, &conf);
    raw_open(&b, &raw);
    say_head(&b, "/take", 30);
    for (i = 0; i < 15; i++) {
        say_body(&b, i, 1);
        bench_run_for(&b, 50);
    }
    assert_int_equal(taker.n, 15);
    assert_int_equal(taker.n_ends, 0);
    expect_end(&b, -ETIMEDOUT);
    raw_expect(&b, &raw, "end -110 of 15\n");
    assert_int_equal(raw_status(&raw), 408);
    assert_non_null(strstr(raw.in, "Connection: close\r\n"));
    expect_closed(&b);
    bench_close(&b);
}

/* Trailers without end are no progress. */
static void test_endless_trailers(void **state)
{
    struct ist_httpd_conf conf = bench_usual;
    struct bench b;
    size_t i;

    (void) state;
    conf.body_timeout_ms = 400;
    taker_open(&b, &conf);
    raw_open(&b, &raw);
    say(&b, POST("/take") "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n");
    for (i = 0; i < 40 && !taker.n_ends; i++) {
        say(&b, "X: y\r\n");
        bench_run_for(&b, 50);
    }
    expect_end(&b, -ETIMEDOUT);
    raw_close(&raw);
    bench_close(&b);
}

/* The failure is told, the answer comes later: or the client goes first. */
static void test_answer_after_failure(void **state)
{
    struct ist_httpd_conf conf = bench_usual;
    struct bench b;
    int leaves;

    (void) state;
    conf.body_timeout_ms = 100;
    taker_open(&b, &conf);
    for (leaves = 0; leaves < 2; leaves++) {
        raw_open(&b, &raw);
        say_head(&b, "/keep", 30);
        say_body(&b, 0, 3);
        TAKER_UNTIL(&b, taker.n_ends);
        assert_int_equal(taker.rc, -ETIMEDOUT);
        say_body(&b, 3, 27);
        bench_run_for(&b, 200);
        assert_int_equal(taker.n_ends, 1);
        assert_int_equal(taker.n, 3);
        ist_httpd_resume_body(taker.request);
        if (leaves) {
            raw_close(&raw);
            TAKER_UNTIL(&b, taker.n_gone);
        }
        taker_reply(408, "too slow\n");
        if (!leaves) {
            raw_expect(&b, &raw, "too slow\n");
            expect_closed(&b);
        }
    }
    bench_close(&b);
}

/* ---- the cap ----------------------------------------------------------- */

static void test_cap(void **state)
{
    struct bench b;

    (void) state;
    taker_open(&b, &bench_usual);
    taker.cap = 1000;
    raw_open(&b, &raw);
    say_head(&b, "/take", 1000);
    say_body(&b, 0, 1000);
    raw_expect(&b, &raw, "end 0 of 1000\n");
    say_head(&b, "/take", 8U << 20);
    assert_true(say_body(&b, 0, 8U << 20));
    raw_expect(&b, &raw, "end -90 of 0\n");
    raw_expect(&b, &raw, "HTTP/1.1 413 ");
    expect_closed(&b);

    raw_open(&b, &raw);
    say(&b, POST("/take") "Transfer-Encoding: chunked\r\n\r\n");
    say_chunk(&b, 0, 600);
    say_chunk(&b, 600, 400);
    TAKER_UNTIL(&b, taker.n == 1000);
    say_chunk(&b, 1000, 1);
    raw_expect(&b, &raw, "end -90 of 1000\n");
    expect_closed(&b);
    bench_close(&b);
}

/* The same where the client waits for 100, which it is not sent. */
static void test_cap_expected(void **state)
{
    struct bench b;

    (void) state;
    taker_open(&b, &bench_usual);
    taker.cap = 1000;
    raw_open(&b, &raw);
    say(&b, POST("/keep") "Expect: 100-continue\r\nContent-Length: 1001\r\n"
                          "\r\n");
    TAKER_UNTIL(&b, taker.n_ends);
    bench_run_for(&b, 50);
    assert_int_equal(raw.len, 0);
    taker_reply(413, "too much\n");
    raw_expect(&b, &raw, "too much\n");
    assert_int_equal(raw_status(&raw), 413);
    expect_closed(&b);
    assert_null(strstr(raw.in, " 100 "));
    bench_close(&b);
}

static void test_expected(void **state)
{
    static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE"};
    char text[256];
    struct bench b;
    size_t i;

    (void) state;
    taker_open(&b, &bench_usual);
    raw_open(&b, &raw);
    say(&b, POST("/take") "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    raw_expect(&b, &raw, "HTTP/1.1 100 Continue\r\n\r\n");
    say(&b, "abc");
    raw_expect(&b, &raw, "end 0 of 3\n");
    raw_close(&raw);
    for (i = 0; i < IST_COUNT(methods); i++) {
        raw_open(&b, &raw);
        snprintf(text, sizeof(text),
                 "%s /refuse HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                 "Content-Length: 3\r\n\r\n",
                 methods[i]);
        say(&b, text);
        raw_expect(&b, &raw, "who are you\n");
        assert_int_equal(raw_status(&raw), 401);
        expect_closed(&b);
    }
    bench_close(&b);
}

/* ---- early answers ----------------------------------------------------- */

static void answer_small(struct taker *t)
{
    (void) t;
    taker_reply(503, "not now\n");
}

/* In the middle of the body, by whoever pushes on, and from elsewhere while it
 * is held back. What is behind is not served. */
static void test_early(void **state)
{
    struct bench b;
    int held;

    (void) state;
    for (held = 0; held < 2; held++) {
        taker_open(&b, &bench_usual);
        taker.limit = 50000;
        taker.answer = answer_small;
        raw_open(&b, &raw);
        say_head(&b, held ? "/stall" : "/early", 200000);
        say_body(&b, 0, 100000);
        if (held) {
            TAKER_UNTIL(&b, taker.held_back);
            answer_small(&taker);
        }
        say_body(&b, 100000, 100000);
        raw_send(&b, &raw, "GET /behind HTTP/1.1\r\nHost: h\r\n\r\n", 34);
        raw_expect(&b, &raw, "not now\n");
        expect_closed(&b);
        assert_int_equal(raw_count(&raw, "HTTP/1.1 "), 1);
        assert_int_equal(raw_status(&raw), 503);
        assert_non_null(strstr(raw.in, "Content-Length: 8\r\n"));
        assert_int_equal(taker.n_ends, 0);
        assert_int_equal(b.n_handled, 0);
        bench_close(&b);
    }
}

/* From the head: of a connection whose body is there, the answer is the last
 * word; of one without a body the connection goes on. */
static void test_early_head(void **state)
{
    struct bench b;

    (void) state;
    taker_open(&b, &bench_usual);
    raw_open(&b, &raw);
    say(&b, "GET /refuse HTTP/1.1\r\nHost: h\r\n\r\n");
    raw_expect(&b, &raw, "who are you\n");
    expect_alive(&b);
    raw.len = 0;
    say_head(&b, "/refuse", 8U << 20);
    assert_true(say_body(&b, 0, 8U << 20)); /* More than the kernel takes. */
    raw_expect(&b, &raw, "who are you\n");
    assert_int_equal(raw_status(&raw), 401);
    expect_closed(&b);
    bench_close(&b);
}

/* Of a body without end: cut after a second. */
static void test_early_endless(void **state)
{
    uint64_t began;
    struct bench b;
    size_t at = 0;

    (void) state;
    taker_open(&b, &bench_usual);
    taker.answer = answer_small;
    raw_open(&b, &raw);
    say_head(&b, "/early", 1U << 30);
    began = ist_loop_now(&b.loop);
    while (say_body(&b, at, 10000)) {
        at += 10000;
        assert_true(ist_loop_now(&b.loop) - began < 20000);
    }
    assert_true(ist_loop_now(&b.loop) - began >= 900);
    assert_non_null(strstr(raw.in, "not now\n"));
    raw_close(&raw);
    bench_close(&b);
}

/* ---- early answers that are streams ------------------------------------- */

/* More than the kernel takes. */
#define BIG (16U << 20)

static struct {
    struct ist_httpd_stream *stream;
    size_t n, n_drained, n_gone, promised;
    const char *length;
    bool abort, ended;
} source;

static void pump(void)
{
    static char piece[50000];
    size_t n;
    int rc;

    while (source.n < BIG) {
        n = BIG - source.n < sizeof(piece) ? BIG - source.n : sizeof(piece);
        taker_fill(piece, source.n, n);
        rc = ist_httpd_stream_write(source.stream, piece, n);
        if (rc == -EAGAIN)
            return;
        assert_int_equal(rc, 0);
        source.n += n;
    }
    source.ended = true;
    if (source.abort)
        ist_httpd_stream_abort(source.stream);
    else
        ist_httpd_stream_end(source.stream);
}

static void on_drained(struct ist_httpd_stream *stream, void *arg)
{
    (void) stream, (void) arg;
    source.n_drained++;
    pump();
}

static void on_stream_gone(struct ist_httpd_stream *stream, void *arg)
{
    (void) arg;
    source.n_gone++;
    source.ended = true;
    assert_int_equal(ist_httpd_stream_write(stream, "x", 1), -EPIPE);
    ist_httpd_stream_end(stream);
}

static void answer_big(struct taker *t)
{
    const struct ist_httpd_header header = {"Content-Length", source.length};
    struct ist_httpd_request *r = t->request;

    t->request = NULL;
    source.stream =
        ist_httpd_stream_begin(r, 200, &header, source.length ? 1 : 0,
                               on_drained, on_stream_gone, NULL);
    assert_non_null(source.stream);
    pump();
}

static void start_big(struct bench *b, const struct ist_httpd_conf *conf)
{
    taker_open(b, conf);
    source.n = source.n_drained = source.n_gone = 0;
    source.ended = false;
    taker.limit = 10000;
    taker.answer = answer_big;
    raw_open(b, &raw);
    say_head(b, "/early", 100000);
    say_body(b, 0, 20000);
    TAKER_UNTIL(b, !taker.request);
}

/* Reads on until the end; what was received is counted only. */
static size_t read_all(struct bench *b, bool *chunk_end)
{
    uint64_t began = ist_loop_now(&b->loop);
    size_t total = raw.len;

    raw.len = 0;
    while (!raw.eof) {
        raw_turn(b, &raw);
        total += raw.len;
        if (raw.len >= 5)
            *chunk_end = strcmp(raw.in + raw.len - 5, "0\r\n\r\n") == 0;
        raw.len = 0;
        assert_true(ist_loop_now(&b->loop) - began < 30000);
    }
    raw_close(&raw);
    return total;
}

static void test_early_stream(void **state)
{
    static const char *const lengths[] = {NULL, "16777216", "16000000",
                                          "16777217"};
    bool chunk_end = false;
    struct bench b;
    size_t i, n;

    (void) state;
    for (i = 0; i < IST_COUNT(lengths); i++) {
        source.length = lengths[i];
        start_big(&b, &bench_usual);
        n = read_all(&b, &chunk_end);
        if (!source.ended)
            fail_msg("%zu: %zu written, %zu read", i, source.n, n);
        assert_int_equal(source.n_gone, 0);
        assert_true(source.n_drained > 0);
        if (i == 0)
            assert_true(chunk_end && n > BIG);
        else if (i == 2)
            assert_in_range(n, 16000000, 16000500);
        else if (i == 1)
            assert_in_range(n, BIG, BIG + 500);
        else
            assert_true(n <= BIG + 500); /* Cut: less than promised. */
        bench_close(&b);
    }
}

/* Aborted: no end of chunks. */
static void test_early_abort(void **state)
{
    bool chunk_end = false;
    struct bench b;

    (void) state;
    source.length = NULL;
    source.abort = true;
    start_big(&b, &bench_usual);
    read_all(&b, &chunk_end);
    source.abort = false;
    assert_false(chunk_end);
    bench_close(&b);
}

/* A client that takes nothing is cut after the idle time; one that leaves is
 * told at once; the server closes in the middle. */
static void test_early_stuck(void **state)
{
    struct ist_httpd_conf conf = bench_usual;
    struct bench b;
    uint64_t began;
    int how;

    (void) state;
    source.length = NULL;
    conf.idle_timeout_ms = 1000;
    for (how = 0; how < 3; how++) {
        start_big(&b, &conf);
        bench_run_for(&b, 50);
        assert_false(source.ended);
        began = ist_loop_now(&b.loop);
        if (how == 1)
            raw_close(&raw);
        if (how == 2)
            ist_httpd_close(b.httpd, bench_on_closed, &b);
        TAKER_UNTIL(&b, source.n_gone);
        if (how == 0)
            assert_in_range(ist_loop_now(&b.loop) - began, 700, 20000);
        else
            assert_true(ist_loop_now(&b.loop) - began < 700);
        assert_int_equal(source.n_gone, 1);
        if (how != 1)
            raw_close(&raw);
        if (how == 2)
            bench_end(&b);
        else
            bench_close(&b);
    }
}

/* ---- beside others, and the end ---------------------------------------- */

static void test_beside_others(void **state)
{
    struct raw *stalled = malloc(sizeof(*stalled));
    uint64_t began;
    struct bench b;
    int i;

    (void) state;
    taker_open(&b, &bench_usual);
    taker.limit = 1000;
    raw_open(&b, &raw);
    say_head(&b, "/stall", 500000);
    say_body(&b, 0, 100000);
    TAKER_UNTIL(&b, taker.held_back);
    *stalled = raw;
    raw_open(&b, &raw);
    began = ist_loop_now(&b.loop);
    for (i = 0; i < 100; i++)
        expect_alive(&b);
    if (ist_loop_now(&b.loop) - began > 5000)
        fail_msg("%d ms", (int) (ist_loop_now(&b.loop) - began));
    raw_close(&raw);
    assert_int_equal(b.n_handled, 100);
    taker.limit = SIZE_MAX / 2;
    taker_on_time(NULL);
    raw = *stalled;
    free(stalled);
    say_body(&b, 100000, 400000);
    raw_expect(&b, &raw, "end 0 of 500000\n");
    raw_close(&raw);
    bench_close(&b);
}

/* The server closes while a body flows, is held back, or has failed: its end
 * is told, the client gets a 503, and nothing stays behind. */
static void test_close(void **state)
{
    static const char *const paths[] = {"/keep", "/stall", "/keep"};
    struct ist_httpd_conf conf = bench_usual;
    struct bench b;
    size_t i;

    (void) state;
    conf.body_timeout_ms = 300;
    for (i = 0; i < IST_COUNT(paths); i++) {
        taker_open(&b, &conf);
        taker.limit = 1000;
        raw_open(&b, &raw);
        say_head(&b, paths[i], 500000);
        say_body(&b, 0, 100000);
        if (i == 1)
            TAKER_UNTIL(&b, taker.held_back);
        if (i == 2)
            TAKER_UNTIL(&b, taker.n_ends);
        ist_httpd_close(b.httpd, bench_on_closed, &b);
        TAKER_UNTIL(&b, i == 2 ? taker.n_gone : taker.n_ends);
        assert_int_equal(taker.rc, i == 2 ? -ETIMEDOUT : -ECANCELED);
        assert_int_equal(taker.n_gone, i == 2);
        raw_expect(&b, &raw, "shutting down\n");
        assert_int_equal(raw_status(&raw), 503);
        if (taker.request)
            taker_reply(200, "to nobody\n");
        expect_closed(&b);
        bench_end(&b);
    }
}

/* Silence and stalls cost no processor. */
static void test_no_spin(void **state)
{
    struct bench b;
    clock_t used;
    int held;

    (void) state;
    for (held = 0; held < 2; held++) {
        taker_open(&b, &bench_usual);
        taker.limit = 1000;
        raw_open(&b, &raw);
        say_head(&b, held ? "/stall" : "/take", 500000);
        say_body(&b, 0, 100000);
        if (held)
            TAKER_UNTIL(&b, taker.held_back);
        bench_run_for(&b, 20);
        used = clock();
        ist_timer_arm_in(&b.timer, &b.loop, 1000, bench_on_time);
        b.loop.stopping = false;
        while (ist_timer_armed(&b.timer))
            uv_run(b.loop.uv, UV_RUN_ONCE);
        used = clock() - used;
        if (used > CLOCKS_PER_SEC / 5)
            fail_msg("%ld us of processor", (long) used);
        raw_close(&raw);
        TAKER_UNTIL(&b, taker.n_ends);
        bench_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_pipelined),
        cmocka_unit_test(test_collected),
        cmocka_unit_test(test_bad_heads),
        cmocka_unit_test(test_bad_heads_with_body),
        cmocka_unit_test(test_held_back),
        cmocka_unit_test(test_resume_inside),
        cmocka_unit_test(test_client_leaves),
        cmocka_unit_test(test_leaves_held_up),
        cmocka_unit_test(test_cut_chunks),
        cmocka_unit_test(test_broken_frame),
        cmocka_unit_test(test_gone_after_end),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_endless_trailers),
        cmocka_unit_test(test_answer_after_failure),
        cmocka_unit_test(test_cap),
        cmocka_unit_test(test_cap_expected),
        cmocka_unit_test(test_expected),
        cmocka_unit_test(test_early),
        cmocka_unit_test(test_early_head),
        cmocka_unit_test(test_early_endless),
        cmocka_unit_test(test_early_stream),
        cmocka_unit_test(test_early_abort),
        cmocka_unit_test(test_early_stuck),
        cmocka_unit_test(test_beside_others),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_no_spin),
    };

    bench_warm_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
