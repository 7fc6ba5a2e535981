/* Requests, answers, deadlines, caps and the close, with raw clients and with
 * our own. */
#include "bench.h"

#include "http/client.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static void test_now_and_later(void **state)
{
    static const char *const paths[] = {GET("/now"), GET("/later"),
                                        GET("/now")};
    struct bench b;
    struct raw raw;
    size_t i;

    (void) state;
    bench_open(&b, &bench_usual);
    raw_open(&b, &raw);
    for (i = 0; i < 3; i++) {
        raw.len = 0;
        raw.in[0] = '\0';
        raw_send(&b, &raw, paths[i], strlen(paths[i]));
        raw_expect(&b, &raw, i == 1 ? "later\n" : "now\n");
        assert_int_equal(raw_status(&raw), 200);
        assert_non_null(strstr(raw.in, "\r\nContent-Type: text/plain\r\n"));
        assert_non_null(strstr(raw.in, "\r\nDate: "));
    }
    assert_string_equal(b.peer, "127.0.0.1");
    assert_false(raw.eof);
    raw_close(&raw);
    bench_close(&b);
}

static void test_body(void **state)
{
    static const char length[] =
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
    static const char chunked[] =
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nX-T: 1\r\n\r\n";
    static const char expect[] =
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
        "Expect: 100-continue\r\n\r\n";
    struct bench b;
    struct raw raw;

    (void) state;
    bench_open(&b, &bench_usual);
    raw_open(&b, &raw);
    raw_send(&b, &raw, length, strlen(length));
    raw_expect(&b, &raw, "\r\n\r\nhello");
    raw.len = 0;
    raw_send(&b, &raw, chunked, strlen(chunked));
    raw_expect(&b, &raw, "\r\n\r\nhello");
    raw.len = 0;
    raw_send(&b, &raw, expect, strlen(expect));
    raw_expect(&b, &raw, "100 Continue\r\n\r\n");
    raw_send(&b, &raw, "hello", 5);
    raw_expect(&b, &raw, "\r\n\r\nhello");
    raw_close(&raw);
    bench_close(&b);
}

/* What is sent in full segments only must not wait for more at its end: the
 * kernel would hold it for 200 ms. */
static void test_large_answers(void **state)
{
    static const char head[] =
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n";
    static char body[60000];
    static struct raw raw;
    struct bench b;
    uint64_t began;
    size_t i;

    (void) state;
    memset(body, 'x', sizeof(body));
    memcpy(body + sizeof(body) - 4, "last", 4);
    bench_open(&b, &bench_usual);
    raw_open(&b, &raw);
    began = ist_loop_now(&b.loop);
    for (i = 0; i < 20; i++) {
        raw.len = 0;
        raw.in[0] = '\0';
        raw_send(&b, &raw, head, strlen(head));
        raw_send(&b, &raw, body, sizeof(body));
        raw_expect(&b, &raw, "xlast");
        assert_int_equal(raw_status(&raw), 200);
    }
    assert_true(ist_loop_now(&b.loop) - began < 2000);
    raw_close(&raw);
    bench_close(&b);
}

static void test_request_ids(void **state)
{
    static const char good[] =
        "GET /now HTTP/1.1\r\nHost: h\r\nX-OpenStack-Request-ID: "
        "req-0f3ab5a0-1234-5678-9abc-DEF012345678\r\n\r\n";
    static const char bad[] =
        "GET /now HTTP/1.1\r\nHost: h\r\nX-OpenStack-Request-ID: "
        "req-0f3ab5a0-1234-5678-9abc-DEF01234567<\r\n\r\n";
    struct bench b;
    struct raw raw;

    (void) state;
    bench_open(&b, &bench_usual);
    raw_open(&b, &raw);
    raw_send(&b, &raw, good, strlen(good));
    raw_expect(&b, &raw, "now\n");
    assert_string_equal(b.last_id, "req-0f3ab5a0-1234-5678-9abc-DEF012345678");
    assert_non_null(strstr(raw.in, "x-openstack-request-id: req-0f3ab5a0-"));
    assert_non_null(strstr(raw.in, "x-request-id: req-0f3ab5a0-"));
    raw.len = 0;
    raw_send(&b, &raw, bad, strlen(bad));
    raw_expect(&b, &raw, "now\n");
    assert_int_equal(strlen(b.last_id), 40);
    assert_null(strchr(b.last_id, '<'));
    assert_memory_equal(b.last_id, "req-", 4);
    raw_close(&raw);
    bench_close(&b);
}

static bool answer_oddly(struct bench *b, struct ist_httpd_request *r)
{
    static const struct ist_httpd_header headers[] = {
        {"X-Good", "a\tb"},        {"X-Bad", "a\r\nX-Split: 1"},
        {"Bad Name", "x"},         {"X-Empty", ""},
        {"Content-Length", "999"}, {"Transfer-Encoding", "chunked"},
        {"Connection", "close"},   {"X-Openstack-Request-Id", "req-theirs"},
    };

    (void) b;
    ist_httpd_reply(r, 299, headers, IST_COUNT(headers), "odd\n", 4);
    return true;
}

static void test_answer_headers(void **state)
{
    struct bench b;
    struct raw raw;

    (void) state;
    bench_more = answer_oddly;
    bench_open(&b, &bench_usual);
    raw_open(&b, &raw);
    raw_send(&b, &raw, GET("/"), strlen(GET("/")));
    raw_expect(&b, &raw, "odd\n");
    assert_int_equal(raw_status(&raw), 299);
    assert_non_null(strstr(raw.in, "\r\nX-Good: a\tb\r\n"));
    assert_null(strstr(raw.in, "Split"));
    assert_null(strstr(raw.in, "Bad Name"));
    assert_null(strstr(raw.in, "X-Empty"));
    assert_null(strstr(raw.in, "999"));
    assert_null(strstr(raw.in, "chunked"));
    assert_int_equal(raw_count(&raw, "Connection: close"), 0);
    assert_non_null(strstr(raw.in, "\r\nX-Openstack-Request-Id: req-theirs"));
    assert_null(strstr(raw.in, "x-openstack-request-id: req-"));
    assert_non_null(strstr(raw.in, "\r\nx-request-id: req-"));
    bench_more = NULL;
    raw_close(&raw);
    bench_close(&b);
}

static bool answer_head(struct bench *b, struct ist_httpd_request *r)
{
    static const struct ist_httpd_header headers[] = {
        {"Content-Length", "12345"}};

    (void) b;
    ist_httpd_reply(r, 200, headers, 1, NULL, 0);
    return true;
}

static void test_head(void **state)
{
    static const char head[] = "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n";
    struct bench b;
    struct raw raw;

    (void) state;
    bench_more = answer_head;
    bench_open(&b, &bench_usual);
    raw_open(&b, &raw);
    raw_send(&b, &raw, head, strlen(head));
    raw_expect(&b, &raw, "\r\n\r\n");
    assert_non_null(strstr(raw.in, "\r\nContent-Length: 12345\r\n"));
    /* The connection is fit for another. */
    bench_more = NULL;
    raw.len = 0;
    raw_send(&b, &raw, GET("/"), strlen(GET("/")));
    raw_expect(&b, &raw, "\r\n\r\nnow\n");
    raw_close(&raw);
    bench_close(&b);
}

static void test_query(void **state)
{
    static const char get[] =
        "GET /v2.1/caf%C3%A9/?name=a+b%26&limit=1&limit=2&bare HTTP/1.1\r\n"
        "Host: [::1]:8443\r\n\r\n";
    struct bench b;
    struct raw raw;

    (void) state;
    bench_open(&b, &bench_usual);
    raw_open(&b, &raw);
    raw_send(&b, &raw, get, strlen(get));
    raw_expect(&b, &raw, "now\n");
    assert_string_equal(b.path, "/v2.1/caf\xc3\xa9/");
    assert_string_equal(b.target,
                        "/v2.1/caf%C3%A9/?name=a+b%26&limit=1&limit=2&bare");
    assert_int_equal(b.n_params, 4);
    assert_string_equal(b.params[0].name, "name");
    assert_string_equal(b.params[0].value, "a b&");
    assert_string_equal(b.params[1].value, "1");
    assert_string_equal(b.params[2].name, "limit");
    assert_string_equal(b.params[2].value, "2");
    assert_string_equal(b.params[3].name, "bare");
    assert_string_equal(b.params[3].value, "");
    raw_close(&raw);
    bench_close(&b);
}

/* A thousand requests at once: answered one after the other, in order. */
static void test_pipeline(void **state)
{
    struct ist_sb text;
    struct bench b;
    struct raw raw;
    int i;

    (void) state;
    ist_sb_init(&text, 0);
    for (i = 0; i < 1000; i++)
        ist_sb_puts(&text, i % 10 ? GET("/now") : GET("/later"));
    bench_open(&b, &bench_usual);
    raw_open(&b, &raw);
    raw_send(&b, &raw, ist_sb_text(&text), text.len);
    while (b.n_handled < 1000 && !raw.eof) {
        raw_turn(&b, &raw);
        assert_true(b.n_held <= 1);
        if (raw.len > sizeof(raw.in) / 2)
            raw.len = 0;
    }
    assert_int_equal(b.n_handled, 1000);
    assert_false(raw.eof);
    raw_close(&raw);
    bench_close(&b);
    ist_sb_fini(&text);
}

static void test_gone(void **state)
{
    struct bench b;
    struct raw raw;
    int i;

    (void) state;
    for (i = 0; i < 2; i++) {
        struct linger reset = {1, 0};

        bench_open(&b, &bench_usual);
        raw_open(&b, &raw);
        raw_send(&b, &raw, GET("/hold"), strlen(GET("/hold")));
        bench_run_for(&b, 50);
        assert_int_equal(b.n_held, 1);
        assert_int_equal(b.n_gone, 0);
        if (i)
            setsockopt(raw.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        raw_close(&raw);
        bench_run_for(&b, 50);
        assert_int_equal(b.n_gone, 1);
        bench_text(b.held[0], 200, "into the void\n");
        bench_run_for(&b, 50);
        assert_int_equal(b.n_gone, 1);
        bench_close(&b);
    }
}

/* ---- deadlines --------------------------------------------------------- */

/* Sends one byte every 20 ms until closed; returns how long that took. */
static uint64_t trickle(struct bench *b, struct raw *raw, const char *text)
{
    uint64_t began = ist_loop_now(&b->loop);

    while (!raw->eof && ist_loop_now(&b->loop) - began < 20000) {
        if (send(raw->fd, *text ? text++ : "a", 1, MSG_NOSIGNAL) < 0)
            break;
        bench_run_for(b, 20);
        raw_turn(b, raw);
    }
    raw_drain(b, raw, 100);
    return ist_loop_now(&b->loop) - began;
}

static void test_slow_head(void **state)
{
    struct ist_httpd_conf conf = bench_usual;
    struct bench b;
    struct raw raw;
    uint64_t took;

    (void) state;
    conf.head_timeout_ms = 300;
    bench_open(&b, &conf);
    raw_open(&b, &raw);
    took = trickle(&b, &raw, "GET / HTTP/1.1\r\nHost: h\r\nX-Slow: ");
    assert_in_range(took, 290, 10000);
    assert_int_equal(raw_status(&raw), 408);
    assert_non_null(strstr(raw.in, "\r\n\r\nrequest not sent in time\r\n"));
    assert_true(raw.eof);
    raw_close(&raw);

    /* Nothing at all is no better. */
    raw_open(&b, &raw);
    took = raw_drain(&b, &raw, 20000);
    assert_in_range(took, 290, 10000);
    assert_int_equal(raw_status(&raw), 408);
    raw_close(&raw);

    /* Nor is the second request of a connection. */
    raw_open(&b, &raw);
    raw_send(&b, &raw, GET("/now"), strlen(GET("/now")));
    raw_expect(&b, &raw, "now\n");
    raw.len = 0;
    took = trickle(&b, &raw, "GET / HTTP/1.1\r\nHost: h\r\nX-Slow: ");
    assert_in_range(took, 290, 10000);
    assert_int_equal(raw_status(&raw), 408);
    raw_close(&raw);
    assert_int_equal(b.n_handled, 1);
    bench_close(&b);
}

static void test_idle(void **state)
{
    struct ist_httpd_conf conf = bench_usual;
    struct bench b;
    struct raw raw;
    uint64_t took;

    (void) state;
    conf.head_timeout_ms = 100;
    conf.idle_timeout_ms = 500;
    bench_open(&b, &conf);
    raw_open(&b, &raw);
    raw_send(&b, &raw, GET("/now"), strlen(GET("/now")));
    raw_expect(&b, &raw, "now\n");
    bench_run_for(&b, 300);
    raw.len = 0;
    raw_send(&b, &raw, GET("/now"), strlen(GET("/now")));
    raw_expect(&b, &raw, "now\n");
    raw.len = 0;
    took = raw_drain(&b, &raw, 20000);
    assert_true(raw.eof);
    assert_in_range(took, 480, 10000);
    /* An idle connection is closed without a word. */
    assert_int_equal(raw.len, 0);
    raw_close(&raw);
    bench_close(&b);
}

static void test_slow_body(void **state)
{
    static const char *const heads[] = {
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3e8\r\n"};
    struct ist_httpd_conf conf = bench_usual;
    struct bench b;
    struct raw raw;
    uint64_t took;
    size_t i;

    (void) state;
    conf.body_timeout_ms = 300;
    bench_open(&b, &conf);
    for (i = 0; i < 4; i++) {
        raw_open(&b, &raw);
        raw_send(&b, &raw, heads[i / 2], strlen(heads[i / 2]));
        took = i % 2 ? trickle(&b, &raw, "") : raw_drain(&b, &raw, 20000);
        assert_in_range(took, 250, 10000);
        assert_int_equal(raw_status(&raw), 408);
        assert_non_null(
            strstr(raw.in, "{\"refused\":\"body not sent in time\"}"));
        assert_non_null(strstr(raw.in, "\r\nx-request-id: req-"));
        assert_true(raw.eof);
        raw_close(&raw);
    }
    assert_int_equal(b.n_handled, 0);
    assert_int_equal(b.n_refused, 4);
    bench_close(&b);
}

/* Fifty slow clients do not keep others from being served. */
static void test_slowloris(void **state)
{
    struct ist_httpd_conf conf = bench_usual;
    static struct raw slow[50];
    struct bench b;
    struct raw raw;
    size_t i, n_late = 0;

    (void) state;
    conf.head_timeout_ms = 300;
    bench_open(&b, &conf);
    for (i = 0; i < IST_COUNT(slow); i++) {
        raw_open(&b, &slow[i]);
        raw_send(&b, &slow[i], "GET /", 5);
    }
    raw_open(&b, &raw);
    raw_send(&b, &raw, GET("/now"), strlen(GET("/now")));
    raw_expect(&b, &raw, "now\n");
    raw_close(&raw);
    for (i = 0; i < IST_COUNT(slow); i++) {
        raw_drain(&b, &slow[i], 20000);
        n_late += raw_status(&slow[i]) == 408;
        raw_close(&slow[i]);
    }
    assert_int_equal(n_late, IST_COUNT(slow));
    bench_close(&b);
}

/* ---- caps -------------------------------------------------------------- */

static void test_per_address_max(void **state)
{
    struct ist_httpd_conf conf = bench_usual;
    static struct raw raws[5];
    struct bench b;
    size_t i, n_served = 0;

    (void) state;
    conf.per_address_max = 3;
    bench_open(&b, &conf);
    for (i = 0; i < 5; i++)
        raw_open(&b, &raws[i]);
    for (i = 0; i < 5; i++) {
        raw_send(&b, &raws[i], GET("/now"), strlen(GET("/now")));
        bench_run_for(&b, 20);
        raw_turn(&b, &raws[i]);
        n_served += raw_status(&raws[i]) == 200;
    }
    assert_int_equal(n_served, 3);
    for (i = 0; i < 5; i++)
        raw_close(&raws[i]);
    bench_close(&b);
}

/* One more than the cap waits, and is served when another leaves. */
static void test_connections_max(void **state)
{
    struct ist_httpd_conf conf = bench_usual;
    static struct raw raws[3];
    struct bench b;
    size_t i;

    (void) state;
    conf.connections_max = 2;
    bench_open(&b, &conf);
    for (i = 0; i < 3; i++) {
        raw_open(&b, &raws[i]);
        raw_send(&b, &raws[i], GET("/now"), strlen(GET("/now")));
        bench_run_for(&b, 30);
        raw_turn(&b, &raws[i]);
        assert_int_equal(raw_status(&raws[i]), i < 2 ? 200 : 0);
    }
    assert_false(raws[2].eof);
    raw_close(&raws[0]);
    raw_expect(&b, &raws[2], "now\n");
    raw_close(&raws[1]);
    raw_close(&raws[2]);
    bench_close(&b);
}

/* ---- closing ----------------------------------------------------------- */

static void test_close_busy(void **state)
{
    struct bench b;
    static struct raw held, idle, half;
    size_t i;

    (void) state;
    bench_open(&b, &bench_usual);
    raw_open(&b, &held);
    raw_open(&b, &idle);
    raw_open(&b, &half);
    raw_send(&b, &held, GET("/hold"), strlen(GET("/hold")));
    raw_send(&b, &idle, GET("/now"), strlen(GET("/now")));
    raw_send(&b, &half, GET("/"), 20);
    raw_expect(&b, &idle, "now\n");
    bench_run_for(&b, 30);
    assert_int_equal(b.n_held, 1);
    ist_httpd_close(b.httpd, bench_on_closed, &b);
    raw_expect(&b, &held, "shutting down\n");
    raw_drain(&b, &held, 20000);
    assert_int_equal(raw_status(&held), 503);
    assert_true(held.eof);
    raw_drain(&b, &idle, 20000);
    raw_drain(&b, &half, 20000);
    assert_true(idle.eof);
    assert_true(half.eof);
    /* The handler was told, and still has the request: the server waits. */
    assert_int_equal(b.n_gone, 1);
    bench_run_for(&b, 1200);
    assert_false(b.closed);
    assert_string_equal(b.held[0]->path, "/hold");
    bench_text(b.held[0], 200, "too late\n");
    raw_close(&held);
    raw_close(&idle);
    raw_close(&half);
    bench_end(&b);
    for (i = 0; i < 2; i++) {
        /* And with nothing to wait for. */
        bench_open(&b, &bench_usual);
        bench_close(&b);
    }
}

static bool close_inside(struct bench *b, struct ist_httpd_request *r)
{
    ist_httpd_close(b->httpd, bench_on_closed, b);
    bench_text(r, 200, "bye\n");
    return true;
}

/* A handler may close the server it is called by. */
static void test_close_inside(void **state)
{
    struct bench b;
    struct raw raw;

    (void) state;
    bench_more = close_inside;
    bench_open(&b, &bench_usual);
    raw_open(&b, &raw);
    raw_send(&b, &raw, GET("/"), strlen(GET("/")));
    raw_expect(&b, &raw, "bye\n");
    raw_drain(&b, &raw, 20000);
    assert_true(raw.eof);
    raw_close(&raw);
    bench_end(&b);
    bench_more = NULL;
}

static void test_bad_conf(void **state)
{
    static const char *const listens[] = {
        "127.0.0.1", "localhost:80", "127.0.0.1:99999", "[::1:80", "x",
        "",          "1.2.3.4:",     "192.0.2.1:0",
    };
    struct ist_httpd_conf conf = bench_usual;
    struct ist_err err = {0};
    struct ist_loop loop;
    unsigned n_fds = bench_count_fds();
    size_t i;

    (void) state;
    ist_loop_init(&loop);
    for (i = 0; i < IST_COUNT(listens); i++) {
        conf.listen = (char *) listens[i];
        assert_null(
            ist_httpd_new(&loop, &conf, bench_handler, NULL, NULL, &err));
        assert_non_null(strstr(err.text, "listen"));
    }
    conf = bench_usual;
    conf.certificate = (char *) "/no/such/file";
    assert_null(ist_httpd_new(&loop, &conf, bench_handler, NULL, NULL, &err));
    assert_non_null(strstr(err.text, "only one"));
    conf.key = conf.certificate;
    assert_null(ist_httpd_new(&loop, &conf, bench_handler, NULL, NULL, &err));
    assert_non_null(strstr(err.text, "certificate /no/such/file: No such"));
    conf.certificate = conf.key = (char *) "/etc/passwd";
    assert_null(ist_httpd_new(&loop, &conf, bench_handler, NULL, NULL, &err));
    assert_non_null(strstr(err.text, "certificate and key: "));
    ist_loop_fini(&loop);
    assert_int_equal(bench_count_fds(), n_fds);
}

static void test_ipv6(void **state)
{
    struct ist_httpd_conf conf = bench_usual;
    struct sockaddr_in6 addr = {.sin6_family = AF_INET6};
    struct bench b;
    struct raw raw = {.len = 0};

    (void) state;
    conf.listen = (char *) "[::]:0";
    raw.fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (raw.fd < 0)
        skip();
    close(raw.fd);
    bench_open(&b, &conf);
    raw.fd = socket(AF_INET6, SOCK_STREAM, 0);
    addr.sin6_addr = in6addr_loopback;
    addr.sin6_port = htons((uint16_t) ist_httpd_port(b.httpd));
    assert_int_equal(connect(raw.fd, (void *) &addr, sizeof(addr)), 0);
    fcntl(raw.fd, F_SETFL, O_NONBLOCK);
    raw_send(&b, &raw, GET("/now"), strlen(GET("/now")));
    raw_expect(&b, &raw, "now\n");
    assert_string_equal(b.peer, "::1");
    raw_close(&raw);
    raw_open(&b, &raw);
    raw_send(&b, &raw, GET("/now"), strlen(GET("/now")));
    raw_expect(&b, &raw, "now\n");
    assert_string_equal(b.peer, "127.0.0.1");
    raw_close(&raw);
    bench_close(&b);
}

/* ---- with our own client ----------------------------------------------- */

#define N_CALLS 200

static size_t n_left;

static void on_done(struct ist_op *op)
{
    if (--n_left == 0)
        ist_loop_stop(op->loop);
}

static void test_client(void **state)
{
    static const struct ist_http_conf http_conf = {20000, 20000, 8,
                                                   8,     4096,  NULL};
    static struct ist_http_call calls[N_CALLS];
    struct ist_http *http;
    struct bench b;
    char url[2][64];
    size_t i;

    (void) state;
    memset(calls, 0, sizeof(calls));
    bench_open(&b, &bench_usual);
    http = ist_http_new(&b.loop, &http_conf);
    snprintf(url[0], sizeof(url[0]), "http://127.0.0.1:%u/echo?a=1",
             ist_httpd_port(b.httpd));
    snprintf(url[1], sizeof(url[1]), "http://127.0.0.1:%u/later",
             ist_httpd_port(b.httpd));
    n_left = N_CALLS;
    for (i = 0; i < N_CALLS; i++) {
        struct ist_http_call *call = &calls[i];

        call->method = i % 2 ? "GET" : "POST";
        call->url = url[i % 2];
        call->body = "hello";
        call->body_size = i % 2 ? 0 : 5;
        call->collect_max = 100;
        ist_op_prepare(&call->op, &b.loop, NULL, 60000, on_done);
        ist_http_start(http, call);
    }
    ist_loop_run(&b.loop);
    for (i = 0; i < N_CALLS; i++) {
        if (calls[i].op.rc)
            fail_msg("call %zu: %s", i, calls[i].op.err.text);
        assert_int_equal(calls[i].status, 200);
        assert_string_equal(ist_sb_text(&calls[i].collected),
                            i % 2 ? "later\n" : "hello");
        ist_http_call_fini(&calls[i]);
    }
    ist_http_close(http, NULL, NULL);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_now_and_later),
        cmocka_unit_test(test_body),
        cmocka_unit_test(test_large_answers),
        cmocka_unit_test(test_request_ids),
        cmocka_unit_test(test_answer_headers),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_slow_head),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_slow_body),
        cmocka_unit_test(test_slowloris),
        cmocka_unit_test(test_per_address_max),
        cmocka_unit_test(test_connections_max),
        cmocka_unit_test(test_close_busy),
        cmocka_unit_test(test_close_inside),
        cmocka_unit_test(test_bad_conf),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_client),
    };

    bench_warm_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
