/* TLS of both ends: our client and our server, a certificate made for the
 * run, and what each must refuse. */
#include "bench.h"

#include "http/client.h"

#include <sys/resource.h>
#include <sys/wait.h>

static char dir[] = "/tmp/isthmus-tls-XXXXXX";

static char *in_dir(const char *name)
{
    static char paths[4][128];
    static unsigned at;
    char *path = paths[at++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

/* No shell: the arguments are ours. */
static void openssl(const char *const argv[])
{
    pid_t pid = fork();
    int status = -1;

    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);

        dup2(null, 1);
        dup2(null, 2);
        execvp("openssl", (char *const *) argv);
        _exit(127);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static void make_certificate(const char *name, const char *alt)
{
    char cert[32], key[32], san[64];

    snprintf(cert, sizeof(cert), "%s.pem", name);
    snprintf(key, sizeof(key), "%s.key", name);
    snprintf(san, sizeof(san), "subjectAltName=%s", alt);
    openssl((const char *[]){"openssl", "req", "-x509", "-newkey", "ec",
                             "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                             "-days", "2", "-subj", "/CN=isthmus test",
                             "-addext", san, "-out", in_dir(cert), "-keyout",
                             in_dir(key), NULL});
}

static int set_up(void **state)
{
    (void) state;
    assert_non_null(mkdtemp(dir));
    make_certificate("good", "IP:127.0.0.1");
    make_certificate("other", "DNS:elsewhere.example");
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"good.pem", "good.key", "other.pem",
                                        "other.key"};
    size_t i;

    (void) state;
    for (i = 0; i < IST_COUNT(names); i++)
        unlink(in_dir(names[i]));
    rmdir(dir);
    return 0;
}

static void open_tls(struct bench *b, const char *name, uint64_t head_ms)
{
    struct ist_httpd_conf conf = bench_usual;
    char cert[32], key[32];

    snprintf(cert, sizeof(cert), "%s.pem", name);
    snprintf(key, sizeof(key), "%s.key", name);
    conf.certificate = in_dir(cert);
    conf.key = in_dir(key);
    conf.head_timeout_ms = head_ms;
    bench_open(b, &conf);
}

static size_t n_left;

static void on_done(struct ist_op *op)
{
    if (--n_left == 0)
        ist_loop_stop(op->loop);
}

static void run_calls(struct bench *b, struct ist_http_call *calls, size_t n)
{
    static const struct ist_http_conf http_conf = {20000, 20000, 8,
                                                   8,     4096,  NULL};
    struct ist_http *http = ist_http_new(&b->loop, &http_conf);
    char url[64];
    size_t i;

    snprintf(url, sizeof(url), "https://127.0.0.1:%u/echo?key=s3cret",
             ist_httpd_port(b->httpd));
    n_left = n;
    for (i = 0; i < n; i++) {
        calls[i].method = "POST";
        calls[i].url = url;
        calls[i].collect_max = 1U << 20;
        ist_op_prepare(&calls[i].op, &b->loop, NULL, 60000, on_done);
        ist_http_start(http, &calls[i]);
    }
    ist_loop_run(&b->loop);
    ist_http_close(http, NULL, NULL);
}

static void test_calls(void **state)
{
    static struct ist_http_call calls[40];
    static char body[60000];
    struct bench b;
    size_t i;

    (void) state;
    memset(body, 'x', sizeof(body));
    memset(calls, 0, sizeof(calls));
    open_tls(&b, "good", 30000);
    for (i = 0; i < IST_COUNT(calls); i++) {
        calls[i].ca_file = in_dir("good.pem");
        calls[i].body = body;
        calls[i].body_size = i * 1500;
    }
    run_calls(&b, calls, IST_COUNT(calls));
    for (i = 0; i < IST_COUNT(calls); i++) {
        if (calls[i].op.rc)
            fail_msg("%s", calls[i].op.err.text);
        assert_int_equal(calls[i].status, 200);
        assert_int_equal(calls[i].collected.len, i * 1500);
        ist_http_call_fini(&calls[i]);
    }
    bench_close(&b);
}

/* A class of its own, "tls", and no secret in the words. */
static void expect_refusal(const char *name, const char *ca, const char *words)
{
    struct ist_http_call call = {.ca_file = ca};
    struct bench b;

    open_tls(&b, name, 30000);
    run_calls(&b, &call, 1);
    if (call.op.rc != -EPROTO)
        fail_msg("%s, %s: %s", name, ca ? ca : "system", call.op.err.text);
    if (!strstr(call.op.err.text, "tls: ") ||
        !strstr(call.op.err.text, words) || strstr(call.op.err.text, "s3cret"))
        fail_msg("%s", call.op.err.text);
    assert_int_equal(b.n_handled, 0);
    assert_false(call.op.err.retryable);
    ist_http_call_fini(&call);
    bench_close(&b);
}

static void test_refused_by_client(void **state)
{
    (void) state;
    expect_refusal("good", NULL, "self-signed");
    expect_refusal("good", in_dir("other.pem"), "certificate");
    expect_refusal("other", in_dir("other.pem"), "match");
    expect_refusal("good", "/no/such/file", "");
}

static void test_insecure(void **state)
{
    struct ist_http_call call = {.insecure = true};
    struct bench b;

    (void) state;
    open_tls(&b, "other", 30000);
    run_calls(&b, &call, 1);
    assert_int_equal(call.op.rc, 0);
    ist_http_call_fini(&call);
    bench_close(&b);
}

/* Nothing below TLS 1.2 is spoken. */
static void test_old_versions(void **state)
{
    static const char *const versions[] = {"-tls1", "-tls1_1", "-tls1_2",
                                           "-tls1_3"};
    char at[64], config[] = "/dev/null";
    struct bench b;
    size_t i;

    (void) state;
    open_tls(&b, "good", 30000);
    snprintf(at, sizeof(at), "127.0.0.1:%u", ist_httpd_port(b.httpd));
    setenv("OPENSSL_CONF", config, 1);
    for (i = 0; i < IST_COUNT(versions); i++) {
        int status = 0;
        pid_t pid = fork();

        if (pid == 0) {
            int null = open("/dev/null", O_RDWR);

            dup2(null, 0);
            dup2(null, 1);
            dup2(null, 2);
            execlp("openssl", "openssl", "s_client", "-connect", at,
                   versions[i], "-cipher", "ALL:@SECLEVEL=0", (char *) NULL);
            _exit(127);
        }
        while (waitpid(pid, &status, WNOHANG) == 0)
            bench_run_for(&b, 5);
        if ((WEXITSTATUS(status) == 0) != (i >= 2))
            fail_msg("%s: %d", versions[i], WEXITSTATUS(status));
    }
    unsetenv("OPENSSL_CONF");
    bench_close(&b);
}

/* A client that never finishes its handshake is cut by the head's deadline,
 * and so is one that speaks plain HTTP. */
static void test_no_handshake(void **state)
{
    static const char *const texts[] = {"", "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
                                        "\x16\x03\x01"};
    static struct raw raw;
    struct bench b;
    uint64_t took;
    size_t i;

    (void) state;
    open_tls(&b, "good", 300);
    for (i = 0; i < IST_COUNT(texts); i++) {
        raw_open(&b, &raw);
        raw_send(&b, &raw, texts[i], strlen(texts[i]));
        took = raw_drain(&b, &raw, 20000);
        assert_true(raw.eof);
        assert_true(took < 10000);
        assert_int_equal(raw_status(&raw), 0);
        raw_close(&raw);
    }
    assert_int_equal(b.n_handled, 0);
    bench_close(&b);
}

/* CPU time of this process so far, in microseconds. */
static uint64_t cpu_us(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) *
               1000000 +
           (uint64_t) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static struct ist_loop *paused;

static void on_pause(struct ist_timer *timer)
{
    (void) timer;
    ist_loop_stop(paused);
}

/* Clients silent in their handshake cost no processor, and others are served
 * meanwhile. */
static void test_silent_handshakes(void **state)
{
    static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc";
    static struct raw raws[30];
    struct ist_http_call call = {0};
    struct ist_timer pause = {0};
    struct bench b;
    uint64_t used;
    size_t i;

    (void) state;
    open_tls(&b, "good", 20000);
    for (i = 0; i < IST_COUNT(raws); i++) {
        raw_open(&b, &raws[i]);
        raw_send(&b, &raws[i], hello, i % 2 ? sizeof(hello) - 1 : 0);
        bench_run_for(&b, 2);
    }
    paused = &b.loop;
    used = cpu_us();
    ist_timer_arm_in(&pause, &b.loop, 1000, on_pause);
    ist_loop_run(&b.loop);
    used = cpu_us() - used;
    if (used > 200000)
        fail_msg("%llu us of processor in a second", (unsigned long long) used);
    call.ca_file = in_dir("good.pem");
    run_calls(&b, &call, 1);
    assert_int_equal(call.op.rc, 0);
    ist_http_call_fini(&call);
    /* Half of them leave, half are there when the server closes. */
    for (i = 0; i < IST_COUNT(raws) / 2; i++)
        raw_close(&raws[i]);
    bench_run_for(&b, 20);
    ist_httpd_close(b.httpd, bench_on_closed, &b);
    for (; i < IST_COUNT(raws); i++) {
        raw_drain(&b, &raws[i], 20000);
        assert_true(raws[i].eof);
        raw_close(&raws[i]);
    }
    bench_end(&b);
}

/* Through s_client: the 408 and the 413 written by hand arrive under TLS. */
static void by_hand(const char *request, size_t size, const char *words)
{
    static char got[65536];
    char at[64];
    int in[2], out[2], status;
    size_t len = 0;
    uint64_t began;
    struct bench b;
    ssize_t n;
    pid_t pid;

    open_tls(&b, "good", 3000);
    snprintf(at, sizeof(at), "127.0.0.1:%u", ist_httpd_port(b.httpd));
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);

        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(null, 2);
        execlp("openssl", "openssl", "s_client", "-quiet", "-connect", at,
               (char *) NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    began = ist_loop_now(&b.loop);
    while (ist_loop_now(&b.loop) - began < 20000) {
        n = size ? write(in[1], request, size) : 0;
        if (n > 0) {
            request += n;
            size -= (size_t) n;
        }
        bench_run_for(&b, 2);
        n = read(out[0], got + len, sizeof(got) - 1 - len);
        if (n == 0)
            break;
        if (n > 0)
            len += (size_t) n;
    }
    got[len] = '\0';
    close(in[1]);
    close(out[0]);
    while (waitpid(pid, &status, WNOHANG) == 0)
        bench_run_for(&b, 5);
    if (!strstr(got, words))
        fail_msg("%s instead of %s", got, words);
    assert_int_equal(b.n_handled, 0);
    bench_close(&b);
}

static void test_by_hand(void **state)
{
    static char large[100000];
    size_t n = (size_t) sprintf(large, "POST / HTTP/1.1\r\nHost: h\r\n"
                                       "Content-Length: 90000\r\n\r\n");

    (void) state;
    by_hand("GET / HTTP/1.1\r\n", 16, "HTTP/1.1 408 Request Timeout\r\n");
    by_hand("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            "zz\r\n",
            58, "HTTP/1.1 400 ");
    memset(large + n, 'x', 90000);
    by_hand(large, n + 90000, "HTTP/1.1 413 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_refused_by_client),
        cmocka_unit_test(test_insecure),
        cmocka_unit_test(test_old_versions),
        cmocka_unit_test(test_no_handshake),
        cmocka_unit_test(test_silent_handshakes),
        cmocka_unit_test(test_by_hand),
    };

    bench_warm_up();
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
