/* The bad-input table of the HTTP edge, against a real server: each row has
 * its exact status, no handler is called, the request pipelined behind it is
 * not served, the connection ends, and all of it in bounded time. */
#include "bench.h"

#define HOST   "Host: h\r\n"
#define REST   " HTTP/1.1\r\n" HOST "\r\n"
#define LINE   "GET / HTTP/1.1\r\n"
#define POST   "POST / HTTP/1.1\r\n" HOST
#define END    "\r\n"
#define BEHIND "GET /behind HTTP/1.1\r\n" HOST "\r\n"

/* Where libmicrohttpd closes without a word. */
#define SILENT 0

struct row {
    const char *name, *text;
    size_t size; /* 0: strlen(text). */
    int status;
};

#define ROW(name, text, status)                                                \
    {                                                                          \
        name, text, sizeof(text) - 1, status                                   \
    }

static const struct row rows[] = {
    /* Framing. */
    ROW("CL with TE",
        POST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n" END
             "0\r\n\r\n",
        400),
    ROW("TE with CL",
        POST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n" END
             "0\r\n\r\n",
        400),
    ROW("two CL, equal",
        POST "Content-Length: 1\r\nContent-Length: 1\r\n" END "a", 400),
    ROW("two CL, different",
        POST "Content-Length: 1\r\nContent-Length: 30\r\n" END "a", 400),
    ROW("two CL, other case",
        POST "Content-Length: 1\r\ncontent-length: 2\r\n" END "a", 400),
    ROW("two TE",
        POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" END
             "0\r\n\r\n",
        400),
    ROW("TE xchunked", POST "Transfer-Encoding: xchunked\r\n" END, 501),
    ROW("TE chunked, chunked",
        POST "Transfer-Encoding: chunked, chunked\r\n" END, 501),
    ROW("TE identity", POST "Transfer-Encoding: identity\r\n" END, 501),
    ROW("TE gzip, chunked", POST "Transfer-Encoding: gzip, chunked\r\n" END,
        501),
    ROW("TE chunked, VT behind", POST "Transfer-Encoding: chunked\v\r\n" END,
        400),
    ROW("TE empty", POST "Transfer-Encoding: \r\n" END, 501),
    /* libmicrohttpd refuses these itself, and says so twice (its mistake). */
    ROW("CL +5", POST "Content-Length: +5\r\n" END "hello", 400),
    ROW("CL 0x5", POST "Content-Length: 0x5\r\n" END "hello", 400),
    ROW("CL 5,5", POST "Content-Length: 5,5\r\n" END "hello", 400),
    ROW("CL -1", POST "Content-Length: -1\r\n" END "hello", 400),
    ROW("CL empty", POST "Content-Length: \r\n" END, 400),
    ROW("CL 5 5", POST "Content-Length: 5 5\r\n" END "hello", 400),
    ROW("CL 2^64", POST "Content-Length: 18446744073709551616\r\n" END, 413),
    ROW("CL 2^64 - 1", POST "Content-Length: 18446744073709551615\r\n" END,
        413),
    /* From here on ours again. */
    ROW("CL over the cap", POST "Content-Length: 65537\r\n" END, 413),
    ROW("CL over the cap, expecting",
        POST "Content-Length: 65537\r\nExpect: 100-continue\r\n" END, 413),
    ROW("chunk size overflow",
        POST "Transfer-Encoding: chunked\r\n" END "10000000000000000\r\na",
        413),
    ROW("chunk size no hex",
        POST "Transfer-Encoding: chunked\r\n" END "zz\r\na\r\n0\r\n\r\n", 400),
    ROW("chunk size negative",
        POST "Transfer-Encoding: chunked\r\n" END "-1\r\na\r\n0\r\n\r\n", 400),
    ROW("chunk size empty",
        POST "Transfer-Encoding: chunked\r\n" END "\r\na\r\n0\r\n\r\n", 400),
    ROW("no CRLF behind a chunk",
        POST "Transfer-Encoding: chunked\r\n" END "1\r\nab\r\n0\r\n\r\n", 400),

    /* Headers. */
    ROW("no Host", LINE END, 400),
    ROW("two Hosts", LINE HOST HOST END, 400),
    ROW("Host empty", LINE "Host: \r\n" END, 400),
    ROW("Host with a path", LINE "Host: h/x\r\n" END, 400),
    ROW("Host with a user", LINE "Host: u@h\r\n" END, 400),
    ROW("Host with a space", LINE "Host: h h\r\n" END, 400),
    ROW("Host with a bad port", LINE "Host: h:8x\r\n" END, 400),
    ROW("Host with no port", LINE "Host: h:\r\n" END, 400),
    ROW("Host, bracket open", LINE "Host: [::1\r\n" END, 400),
    ROW("Host, 8 bit", LINE "Host: h\xc3\xa9\r\n" END, 400),
    ROW("space before the colon", LINE HOST "X-A : b\r\n" END, 400),
    ROW("space before CL's colon", POST "Content-Length : 5\r\n" END "hello",
        400),
    ROW("space before TE's colon",
        POST "Transfer-Encoding : chunked\r\n" END "0\r\n\r\n", 400),
    ROW("name no token", LINE HOST "X(A): b\r\n" END, 400),
    ROW("name with 8 bit", LINE HOST "X\xc3\xa9: b\r\n" END, 400),
    ROW("bare CR in a value", LINE HOST "X-A: b\rc\r\n" END, 400),
    ROW("ESC in a value", LINE HOST "X-A: \x1b[2J\r\n" END, 400),
    ROW("DEL in a value", LINE HOST "X-A: a\x7f\r\n" END, 400),
    ROW("no colon", LINE HOST "X-A\r\n" END, 400),

    /* The line. */
    ROW("HTTP/1.0", "GET / HTTP/1.0\r\n" HOST END, 505),
    ROW("HTTP/1.0 keep-alive",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n" HOST END, 505),
    ROW("HTTP/2.0", "GET / HTTP/2.0\r\n" HOST END, 505),
    ROW("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ROW("HTTP/1.2", "GET / HTTP/1.2\r\n" HOST END, 505),
    ROW("HTTP/1.10", "GET / HTTP/1.10\r\n" HOST END, 400),
    ROW("http/1.1", "GET / http/1.1\r\n" HOST END, 400),
    ROW("HTTP/0.9", "GET /\r\n\r\n", 400),
    ROW("method alone", "GET\r\n\r\n", SILENT),
    ROW("method no token", "G(T /" REST, 400),
    ROW("space in the URL", "GET /a b" REST, 400),
    ROW("absolute form", "GET http://h/" REST, 400),
    ROW("authority form", "CONNECT h:80" REST, 400),
    ROW("asterisk form", "OPTIONS *" REST, 400),
    ROW("garbage", "\x80\x81\xfe\xff\x01\x02\r\n\r\n", SILENT),

    /* The path. */
    ROW("%00", "GET /a%00b" REST, 400),
    ROW("%00 in the query", "GET /a?b=%00" REST, 400),
    ROW("%0a", "GET /a%0ab" REST, 400),
    ROW("..", "GET /a/../b" REST, 400),
    ROW(".. at the end", "GET /a/.." REST, 400),
    ROW(".", "GET /a/./b" REST, 400),
    ROW("%2e%2e", "GET /a/%2e%2E/b" REST, 400),
    ROW(".%2e", "GET /.%2e/b" REST, 400),
    ROW("%252e%252e", "GET /%252e%252e/b" REST, 400),
    ROW("%c0%af", "GET /a%c0%afb" REST, 400),
    ROW("%2f", "GET /a%2fb" REST, 400),
    ROW("%5c", "GET /a%5c..%5cb" REST, 400),
    ROW("backslash", "GET /a\\b" REST, 400),
    ROW("//", "GET //a" REST, 400),
    ROW("// inside", "GET /a//b" REST, 400),
    ROW("8 bit in the path", "GET /caf\xc3\xa9" REST, 400),
    ROW("control in the path", "GET /a\x01" REST, 400),
    ROW("fragment", "GET /a#b" REST, 400),
    ROW("%zz", "GET /a%zz" REST, 400),
    ROW("% at the end", "GET /a%" REST, 400),
    ROW("%4 at the end", "GET /a%4" REST, 400),
    ROW("surrogate", "GET /%ed%a0%80" REST, 400),
    ROW("%zz in the query", "GET /a?b=%zz" REST, 400),
    ROW("Latin-1 in the query", "GET /a?b=%e9" REST, 400),
    ROW("8 bit in the query", "GET /a?b=\xe9" REST, 400),
};

/* Sends a row with a good request behind it. */
static void try_row(const struct row *row, bool split)
{
    static struct raw raw;
    struct bench b;
    uint64_t took;
    size_t i;

    bench_open(&b, &bench_usual);
    raw_open(&b, &raw);
    if (split)
        for (i = 0; i < row->size; i++)
            raw_send(&b, &raw, row->text + i, 1);
    else
        raw_send(&b, &raw, row->text, row->size);
    raw_send(&b, &raw, BEHIND, strlen(BEHIND));
    took = raw_drain(&b, &raw, 20000);
    if (raw_status(&raw) != row->status)
        fail_msg("%s: %d instead of %d: %s", row->name, raw_status(&raw),
                 row->status, raw.in);
    if (!raw.eof || took > 10000)
        fail_msg("%s: open after %llu ms", row->name,
                 (unsigned long long) took);
    if (raw_count(&raw, "\r\nDate: ") > (b.n_refused ? 1 : 2) ||
        raw_count(&raw, " 200 OK") || b.n_handled)
        fail_msg("%s: something behind it was served: %s", row->name, raw.in);
    if (row->status && !strstr(raw.in, "Connection: close\r\n"))
        fail_msg("%s: does not say that it closes", row->name);
    raw_close(&raw);
    bench_close(&b);
}

static void test_rows(void **state)
{
    size_t i;

    (void) state;
    for (i = 0; i < IST_COUNT(rows); i++)
        try_row(&rows[i], false);
}

/* The same, a byte at a time. */
static void test_rows_split(void **state)
{
    size_t i;

    (void) state;
    for (i = 0; i < IST_COUNT(rows); i++)
        try_row(&rows[i], true);
}

/* What our face would say, it says: the shape is that of 'refuse'. */
static void test_shape(void **state)
{
    static const char text[] = "GET /a//b" REST;
    static struct raw raw;
    struct bench b;

    (void) state;
    bench_open(&b, &bench_usual);
    raw_open(&b, &raw);
    raw_send(&b, &raw, text, strlen(text));
    raw_drain(&b, &raw, 20000);
    assert_int_equal(b.n_refused, 1);
    assert_non_null(
        strstr(raw.in, "{\"refused\":\"empty or dot segment in the path\"}"));
    assert_non_null(strstr(raw.in, "\r\nx-openstack-request-id: req-"));
    raw_close(&raw);
    bench_close(&b);
}

static void expect_status(const char *text, size_t size, int status)
{
    struct row row = {"generated", text, size, status};

    try_row(&row, false);
}

static void test_long_line(void **state)
{
    static char text[100000];
    static const size_t sizes[] = {8193, 9000, 40000, 90000};
    size_t i, n;

    (void) state;
    for (i = 0; i < IST_COUNT(sizes); i++) {
        memset(text, 'a', sizes[i]);
        memcpy(text, "GET /", 5);
        /* So that the line is of that many bytes, its version included. */
        n = sizes[i] - 9;
        memcpy(text + n, REST, strlen(REST));
        expect_status(text, n + strlen(REST), 414);
    }
}

static void test_line_at_the_cap(void **state)
{
    static char text[8300];
    static struct raw raw;
    struct bench b;

    (void) state;
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET /", 5);
    memcpy(text + 8192 - 9, REST, strlen(REST));
    bench_open(&b, &bench_usual);
    raw_open(&b, &raw);
    raw_send(&b, &raw, text, 8192 - 9 + strlen(REST));
    raw_expect(&b, &raw, "now\n");
    assert_int_equal(raw_status(&raw), 200);
    raw_close(&raw);
    bench_close(&b);
}

/* From 8 KiB of head to far beyond what a connection may hold: always 431 and
 * never silence. */
static void test_long_header(void **state)
{
    static char text[120000];
    static const size_t sizes[] = {8193, 9000, 20000, 40000, 110000};
    size_t i, n;

    (void) state;
    for (i = 0; i < IST_COUNT(sizes); i++) {
        n = (size_t) sprintf(text, LINE HOST "X-A: ");
        memset(text + n, 'a', sizes[i] - 5);
        n += sizes[i] - 5;
        memcpy(text + n, "\r\n\r\n", 4);
        expect_status(text, n + 4, 431);
    }
}

static void test_long_head(void **state)
{
    static char text[120000];
    static struct raw raw;
    struct bench b;
    size_t n_headers, n, i;
    int status = 200;

    (void) state;
    /* Headers of 1,000 bytes: below the cap of each; those of all lie above
     * some 24 of them. Once refused, always refused, and never in silence. */
    for (n_headers = 20; n_headers <= 63; n_headers++) {
        n = (size_t) sprintf(text, LINE HOST);
        for (i = 0; i < n_headers; i++)
            n += (size_t) sprintf(text + n, "X-%03zu: %0992zu\r\n", i, i);
        n += (size_t) sprintf(text + n, "\r\n");
        bench_open(&b, &bench_usual);
        raw_open(&b, &raw);
        raw_send(&b, &raw, text, n);
        raw_expect(&b, &raw, "HTTP/1.1 ");
        if (raw_status(&raw) != status) {
            assert_int_equal(status, 200);
            assert_int_equal(raw_status(&raw), 431);
            assert_true(n_headers > 23);
            status = 431;
        }
        raw_close(&raw);
        bench_close(&b);
    }
    assert_int_equal(status, 431);
}

static void test_many_cookies(void **state)
{
    static char text[9000];
    size_t n = (size_t) sprintf(text, LINE HOST "Cookie: a=b");
    static struct raw raw;
    struct bench b;

    (void) state;
    while (n < 8000)
        n += (size_t) sprintf(text + n, ";a=b");
    n += (size_t) sprintf(text + n, "\r\n\r\n");
    bench_open(&b, &bench_usual);
    raw_open(&b, &raw);
    raw_send(&b, &raw, text, n);
    raw_drain(&b, &raw, 20000);
    assert_true(raw.eof);
    assert_int_equal(raw_status(&raw), 431);
    assert_int_equal(b.n_handled, 0);
    raw_close(&raw);
    bench_close(&b);
}

static void test_many_headers(void **state)
{
    static char text[120000];
    static const size_t counts[] = {64, 65, 200, 2000, 5000};
    size_t i, k, n;

    (void) state;
    for (i = 0; i < IST_COUNT(counts); i++) {
        n = (size_t) sprintf(text, LINE HOST);
        for (k = 0; k < counts[i]; k++)
            n += (size_t) sprintf(text + n, "X-%zu: a\r\n", k);
        n += (size_t) sprintf(text + n, "\r\n");
        expect_status(text, n, 431);
    }
}

static void test_many_params(void **state)
{
    static char text[8000];
    size_t n = (size_t) sprintf(text, "GET /?"), i;

    (void) state;
    for (i = 0; i < 1025; i++)
        n += (size_t) sprintf(text + n, "a&");
    n += (size_t) sprintf(text + n, REST);
    expect_status(text, n, 400);
}

/* Bodies over the cap of 64 KiB that do arrive: the client gets to read the
 * answer although it is still sending. */
static void test_large_body(void **state)
{
    static char text[400000];
    size_t n = (size_t) sprintf(text, POST "Content-Length: 300000\r\n\r\n");
    size_t i;

    (void) state;
    memset(text + n, 'b', 300000);
    expect_status(text, n + 300000, 413);
    n = (size_t) sprintf(text, POST "Transfer-Encoding: chunked\r\n\r\n");
    for (i = 0; i < 300; i++) {
        n += (size_t) sprintf(text + n, "3e8\r\n");
        memset(text + n, 'b', 1000);
        n += 1000;
        n += (size_t) sprintf(text + n, "\r\n");
    }
    n += (size_t) sprintf(text + n, "0\r\n\r\n");
    expect_status(text, n, 413);
}

/* Of no end: cut within the time to linger. */
static void test_endless_body(void **state)
{
    static char piece[1005];
    static struct raw raw;
    struct bench b;
    uint64_t began;

    (void) state;
    memset(piece, 'b', sizeof(piece));
    memcpy(piece, "3e8\r\n", 5);
    bench_open(&b, &bench_usual);
    raw_open(&b, &raw);
    raw_send(&b, &raw, POST "Transfer-Encoding: chunked\r\n\r\n",
             strlen(POST "Transfer-Encoding: chunked\r\n\r\n"));
    began = ist_loop_now(&b.loop);
    while (raw_send(&b, &raw, piece, sizeof(piece)) &&
           raw_send(&b, &raw, "\r\n", 2))
        if (ist_loop_now(&b.loop) - began > 20000)
            fail_msg("still taking");
    assert_int_equal(raw_status(&raw), 413);
    assert_int_equal(b.n_handled, 0);
    raw_close(&raw);
    bench_close(&b);
}

/* What never becomes a request ends by the deadline of the head. */
static void test_no_head(void **state)
{
    static const struct row open[] = {
        ROW("TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 408),
        ROW("garbage, no line", "\x80\x81\xfe\xff\x01\x02", 408),
        ROW("only CRLF", "\r\n\r\n\r\n\r\n", 408),
    };
    struct ist_httpd_conf conf = bench_usual;
    static struct raw raw;
    struct bench b;
    uint64_t took;
    size_t i;

    (void) state;
    conf.head_timeout_ms = 200;
    bench_open(&b, &conf);
    for (i = 0; i < IST_COUNT(open); i++) {
        raw_open(&b, &raw);
        raw_send(&b, &raw, open[i].text, open[i].size);
        took = raw_drain(&b, &raw, 20000);
        assert_int_equal(raw_status(&raw), open[i].status);
        assert_in_range(took, 150, 10000);
        raw_close(&raw);
    }
    bench_close(&b);
}

/* A body on a GET is read, and never taken for the next request. */
static void test_get_with_body(void **state)
{
    static const char text[] =
        "GET /now HTTP/1.1\r\n" HOST "Content-Length: 39\r\n\r\n" BEHIND;
    static struct raw raw;
    struct bench b;

    (void) state;
    assert_int_equal(strlen(BEHIND) + 6, 39);
    bench_open(&b, &bench_usual);
    raw_open(&b, &raw);
    raw_send(&b, &raw, text, strlen(text));
    raw_send(&b, &raw, "123456", 6);
    raw_send(&b, &raw, BEHIND, strlen(BEHIND));
    bench_run_for(&b, 30);
    raw_drain(&b, &raw, 100);
    assert_int_equal(b.n_handled, 2);
    assert_string_equal(b.path, "/behind");
    assert_int_equal(raw_count(&raw, "HTTP/1.1 200 OK"), 2);
    raw_close(&raw);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_rows_split),
        cmocka_unit_test(test_shape),
        cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_line_at_the_cap),
        cmocka_unit_test(test_long_header),
        cmocka_unit_test(test_long_head),
        cmocka_unit_test(test_many_cookies),
        cmocka_unit_test(test_many_headers),
        cmocka_unit_test(test_many_params),
        cmocka_unit_test(test_large_body),
        cmocka_unit_test(test_endless_body),
        cmocka_unit_test(test_no_head),
        cmocka_unit_test(test_get_with_body),
    };

    bench_warm_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
