/* Large request bodies from a client in a process of its own, plain and under
 * TLS: it really is held up, memory stays flat, others are served. */
#include "taker.h"

#include "http/client.h"

#include <gnutls/gnutls.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define MIB ((size_t) 1 << 20)

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED 0
#endif

static char dir[] = "/tmp/isthmus-upload-XXXXXX";
static char cert[64], key[64];

/* ---- the client -------------------------------------------------------- */

/* In memory of both processes. */
struct client {
    size_t size;    /* To send. */
    size_t stop_at; /* Then it only waits; 0: never. */
    bool chunked, tls;
    volatile size_t n_sent;
    volatile uint64_t slowest_ms; /* Longest that one write took. */
    char path[16];
    char answer[4096];
    pid_t pid;
    int port;
};

static struct client *client;

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

static int client_fd;
static gnutls_session_t client_session;

static bool client_send(const char *data, size_t size)
{
    uint64_t began = now_ms(), took;
    ssize_t n = 0;

    for (; size; data += n, size -= (size_t) n) {
        n = client_session ? gnutls_record_send(client_session, data, size)
                           : send(client_fd, data, size, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
    }
    took = now_ms() - began;
    if (took > client->slowest_ms)
        client->slowest_ms = took;
    return true;
}

/* Until the end of a line of the body. */
static bool client_has_answer(size_t len)
{
    const char *body = strstr(client->answer, "\r\n\r\n");

    return body && body[4] && client->answer[len - 1] == '\n';
}

static void client_receive(void)
{
    size_t len = 0, room;
    ssize_t n;

    do {
        room = sizeof(client->answer) - 1 - len;
        do
            n = client_session ? gnutls_record_recv(client_session,
                                                    client->answer + len, room)
                               : recv(client_fd, client->answer + len, room, 0);
        while (client_session && n == GNUTLS_E_AGAIN); /* A ticket came. */
        len += n > 0 ? (size_t) n : 0;
        client->answer[len] = '\0';
    } while (n > 0 && !client_has_answer(len));
}

static bool client_connect(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    gnutls_certificate_credentials_t cred;

    client_fd = socket(AF_INET, SOCK_STREAM, 0);
    addr.sin_port = htons((uint16_t) client->port);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(client_fd, (struct sockaddr *) &addr, sizeof(addr)))
        return false;
    if (!client->tls)
        return true;
    gnutls_certificate_allocate_credentials(&cred);
    gnutls_init(&client_session, GNUTLS_CLIENT);
    gnutls_set_default_priority(client_session);
    gnutls_credentials_set(client_session, GNUTLS_CRD_CERTIFICATE, cred);
    gnutls_transport_set_int(client_session, client_fd);
    return gnutls_handshake(client_session) == 0;
}

static bool client_piece(size_t at, size_t n)
{
    static char piece[1U << 16];
    char line[32];

    taker_fill(piece, at, n);
    snprintf(line, sizeof(line), "%zx\r\n", n);
    return (!client->chunked || client_send(line, strlen(line))) &&
           client_send(piece, n) &&
           (!client->chunked || client_send("\r\n", 2));
}

static void client_main(void)
{
    char head[256];
    size_t n, end = client->stop_at ? client->stop_at : client->size;

    if (!client_connect())
        return;
    if (client->chunked)
        snprintf(head, sizeof(head),
                 "PUT %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
                 "\r\n",
                 client->path);
    else
        snprintf(head, sizeof(head),
                 "PUT %s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n",
                 client->path, client->size);
    if (!client_send(head, strlen(head)))
        return;
    for (; client->n_sent < end; client->n_sent += n) {
        n = end - client->n_sent < 65536 ? end - client->n_sent : 65536;
        if (!client_piece(client->n_sent, n))
            break;
    }
    if (client->stop_at)
        pause();
    if (client->chunked && client->n_sent == client->size)
        client_send("0\r\nX-Trailer: yes\r\n\r\n", 21);
    client_receive();
}

static void client_start(struct bench *b, const char *path, size_t size,
                         bool chunked, bool tls, size_t stop_at)
{
    pid_t pid;

    client = mmap(NULL, sizeof(*client), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(client, MAP_FAILED);
    client->port = (int) ist_httpd_port(b->httpd);
    client->size = size;
    client->chunked = chunked;
    client->tls = tls;
    client->stop_at = stop_at;
    snprintf(client->path, sizeof(client->path), "%s", path);
    pid = fork();
    if (pid == 0) {
        client_main();
        _exit(0);
    }
    client->pid = pid; /* Not in the client, which shares it. */
}

static bool client_is_over(void)
{
    int status;

    return waitpid(client->pid, &status, WNOHANG) == client->pid;
}

static void client_free(void)
{
    munmap(client, sizeof(*client));
}

static void client_kill(void)
{
    int status;

    kill(client->pid, SIGKILL);
    waitpid(client->pid, &status, 0);
}

/* ---- set up ------------------------------------------------------------ */

static int set_up(void **state)
{
    int status = -1;
    pid_t pid;

    (void) state;
    assert_non_null(mkdtemp(dir));
    snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
    snprintf(key, sizeof(key), "%s/key.pem", dir);
    pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);

        dup2(null, 1);
        dup2(null, 2);
        execlp("openssl", "openssl", "req", "-x509", "-newkey", "ec",
               "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
               "-subj", "/CN=isthmus test", "-addext",
               "subjectAltName=IP:127.0.0.1", "-out", cert, "-keyout", key,
               (char *) NULL);
        _exit(127);
    }
    waitpid(pid, &status, 0);
    return status;
}

static int tear_down(void **state)
{
    (void) state;
    unlink(cert);
    unlink(key);
    rmdir(dir);
    return 0;
}

static void open_server(struct bench *b, bool tls)
{
    struct ist_httpd_conf conf = bench_usual;

    if (tls) {
        conf.certificate = cert;
        conf.key = key;
    }
    taker_open(b, &conf);
}

static size_t rss(void)
{
    char text[256] = "";
    size_t total, resident = 0;
    int fd = open("/proc/self/statm", O_RDONLY);

    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    close(fd);
    assert_int_equal(sscanf(text, "%zu %zu", &total, &resident), 2);
    return resident * (size_t) sysconf(_SC_PAGESIZE);
}

static uint64_t cpu_us(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) *
               1000000 +
           (uint64_t) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* The loop on its own for a while: what does it cost? */
static uint64_t idle_cost(struct bench *b, uint64_t ms)
{
    uint64_t used = cpu_us();

    b->n_held = 0;
    b->loop.stopping = false;
    ist_timer_arm_in(&b->timer, &b->loop, ms, bench_on_time);
    while (ist_timer_armed(&b->timer))
        uv_run(b->loop.uv, UV_RUN_ONCE);
    return cpu_us() - used;
}

static void expect_whole(struct bench *b, size_t size)
{
    char text[64];

    TAKER_UNTIL(b, client_is_over());
    snprintf(text, sizeof(text), "end 0 of %zu\n", size);
    if (!strstr(client->answer, text))
        fail_msg("%s instead of %s", client->answer, text);
    assert_int_equal(taker.n, size);
    client_free();
}

/* ---- the tests --------------------------------------------------------- */

/* One byte and 64 MiB, of both framings, plain and TLS. */
static void test_sizes(void **state)
{
    struct bench b;
    int how;

    (void) state;
    for (how = 0; how < 8; how++) {
        size_t size = how & 4 ? 64 * MIB : 1;

        open_server(&b, how & 1);
        client_start(&b, "/take", size, how & 2, how & 1, 0);
        expect_whole(&b, size);
        bench_close(&b);
    }
}

/* While the taker is full the client hangs in a write; what it has sent is no
 * more than the kernel's buffers hold. Then all goes on. */
static void held_up(bool tls)
{
    struct bench b;
    size_t sent;

    open_server(&b, tls);
    taker.limit = 100000;
    client_start(&b, "/stall", 64 * MIB, true, tls, 0);
    TAKER_UNTIL(&b, taker.held_back);
    bench_run_for(&b, 500);
    sent = client->n_sent;
    assert_true(sent < 20 * MIB);
    bench_run_for(&b, 1500);
    assert_int_equal(client->n_sent, sent);
    assert_true(taker.n <= 100000);
    print_message("held up after %zu KiB of 64 MiB\n", sent >> 10);
    taker.limit = SIZE_MAX / 2;
    taker_on_time(NULL);
    TAKER_UNTIL(&b, client->n_sent == 64 * MIB);
    print_message("its longest write took %d ms\n", (int) client->slowest_ms);
    assert_true(client->slowest_ms >= 1500);
    expect_whole(&b, 64 * MIB);
    bench_close(&b);
}

static void test_held_up(void **state)
{
    (void) state;
    held_up(false);
    held_up(true);
}

/* 256 MiB to a taker that pauses all the time. */
static void flat(bool tls)
{
    struct bench b;
    size_t before, most = 0, now;
    uint64_t began;

    open_server(&b, tls);
    taker.limit = 256 << 10;
    client_start(&b, "/slow", 256 * MIB, false, tls, 0);
    TAKER_UNTIL(&b, taker.n > 4 * MIB);
    before = rss();
    began = now_ms();
    while (!client_is_over()) {
        taker_turn(&b);
        now = rss();
        if (now > most)
            most = now;
        assert_true(now_ms() - began < 100000);
    }
    print_message("256 MiB in %d ms, %zu pauses, RSS %zu KiB + %zd KiB, "
                  "pieces up to %zu\n",
                  (int) (now_ms() - began), taker.n_full, before >> 10,
                  ((ssize_t) most - (ssize_t) before) / 1024, taker.largest);
    assert_true(most < before + 2 * MIB);
    assert_true(taker.n_full > 500);
    assert_int_equal(taker.rc, 0);
    assert_int_equal(taker.n, 256 * MIB);
    client_free();
    bench_close(&b);
}

static void test_flat(void **state)
{
    (void) state;
    flat(false);
    if (!SANITIZED) /* It keeps what TLS frees. */
        flat(true);
}

/* A client that is killed in mid-body. Of one that is held up that shows only
 * behind what it had sent: the window is closed, for its FIN too. Neither a
 * silent client nor a full taker costs a processor. */
static void test_killed(void **state)
{
    struct bench b;
    uint64_t used;
    int how;

    (void) state;
    for (how = 0; how < 4; how++) {
        open_server(&b, how & 1);
        taker.limit = 100000;
        client_start(&b, how & 2 ? "/stall" : "/take", 64 * MIB, false, how & 1,
                     how & 2 ? 0 : 5 * MIB);
        if (how & 2)
            TAKER_UNTIL(&b, taker.held_back);
        else
            TAKER_UNTIL(&b, taker.n == 5 * MIB);
        bench_run_for(&b, 100);
        used = idle_cost(&b, 1000);
        if (used > 200000)
            fail_msg("%d: %d us of processor", how, (int) used);
        client_kill();
        bench_run_for(&b, 100);
        taker.limit = SIZE_MAX / 2;
        taker_on_time(NULL);
        TAKER_UNTIL(&b, taker.n_ends);
        assert_int_equal(taker.rc, -ECONNRESET);
        assert_int_equal(taker.n_ends, 1);
        client_free();
        bench_close(&b);
    }
}

static void answer_small(struct taker *t)
{
    (void) t;
    taker_reply(503, "full, says the end of it\n");
}

/* Under TLS too the client reads an answer that comes before the body's end. */
static void test_early(void **state)
{
    struct bench b;
    int tls;

    (void) state;
    for (tls = 0; tls < 2; tls++) {
        open_server(&b, tls);
        taker.limit = MIB;
        taker.answer = answer_small;
        client_start(&b, "/early", 8 * MIB, true, tls, 0);
        TAKER_UNTIL(&b, client_is_over());
        if (!strstr(client->answer, "HTTP/1.1 503 ") ||
            !strstr(client->answer, "says the end of it"))
            fail_msg("%d: %s", tls, client->answer);
        client_free();
        bench_close(&b);
    }
}

/* The server closes while a TLS client is held up, and while it is sending. */
static void test_close(void **state)
{
    struct bench b;
    int how;

    (void) state;
    for (how = 0; how < 4; how++) {
        open_server(&b, how & 1);
        taker.limit = 100000;
        client_start(&b, how & 2 ? "/stall" : "/take", 1024 * MIB, true,
                     how & 1, 0);
        if (how & 2)
            TAKER_UNTIL(&b, taker.held_back);
        else
            TAKER_UNTIL(&b, taker.n > MIB);
        ist_httpd_close(b.httpd, bench_on_closed, &b);
        TAKER_UNTIL(&b, taker.n_ends);
        assert_int_equal(taker.rc, -ECANCELED);
        bench_end(&b);
        while (!client_is_over())
            poll(NULL, 0, 1);
        client_free();
    }
}

/* ---- our own client ---------------------------------------------------- */

static size_t n_left;

static void on_done(struct ist_op *op)
{
    if (--n_left == 0)
        ist_loop_stop(op->loop);
}

/* A hundred small requests through libcurl beside an upload that is held up;
 * then a large one. */
static void beside(bool tls)
{
    static const struct ist_http_conf http_conf = {20000, 20000, 8,
                                                   8,     4096,  NULL};
    static struct ist_http_call calls[100], large;
    char small_url[64], large_url[64], *body = malloc(8 * MIB);
    struct ist_http *http;
    struct bench b;
    uint64_t began;
    size_t i;

    memset(calls, 0, sizeof(calls));
    memset(&large, 0, sizeof(large));
    open_server(&b, tls);
    http = ist_http_new(&b.loop, &http_conf);
    taker.limit = 100000;
    client_start(&b, "/stall", 64 * MIB, false, tls, 0);
    TAKER_UNTIL(&b, taker.held_back);
    snprintf(small_url, sizeof(small_url), "http%s://127.0.0.1:%u/echo",
             tls ? "s" : "", ist_httpd_port(b.httpd));
    b.loop.stopping = false;
    n_left = IST_COUNT(calls);
    began = ist_loop_now(&b.loop);
    for (i = 0; i < IST_COUNT(calls); i++) {
        calls[i].method = "POST";
        calls[i].url = small_url;
        calls[i].ca_file = cert;
        calls[i].body = "hello";
        calls[i].body_size = 5;
        calls[i].collect_max = 100;
        ist_op_prepare(&calls[i].op, &b.loop, NULL, 30000, on_done);
        ist_http_start(http, &calls[i]);
    }
    ist_loop_run(&b.loop);
    print_message("100 small ones beside it: %d ms\n",
                  (int) (ist_loop_now(&b.loop) - began));
    for (i = 0; i < IST_COUNT(calls); i++) {
        assert_int_equal(calls[i].op.rc, 0);
        assert_int_equal(calls[i].collected.len, 5);
        ist_http_call_fini(&calls[i]);
    }
    assert_true(taker.held_back);
    assert_int_equal(b.n_handled, IST_COUNT(calls));
    b.loop.stopping = false;
    taker.limit = SIZE_MAX / 2;
    taker_on_time(NULL);
    expect_whole(&b, 64 * MIB);

    for (i = 0; i < 8 * MIB; i += 1U << 16)
        taker_fill(body + i, i, 1U << 16);
    snprintf(large_url, sizeof(large_url), "http%s://127.0.0.1:%u/take",
             tls ? "s" : "", ist_httpd_port(b.httpd));
    large.method = "PUT";
    large.url = large_url;
    large.ca_file = cert;
    large.body = body;
    large.body_size = 8 * MIB;
    large.collect_max = 100;
    n_left = 1;
    ist_op_prepare(&large.op, &b.loop, NULL, 30000, on_done);
    ist_http_start(http, &large);
    ist_loop_run(&b.loop);
    assert_int_equal(large.op.rc, 0);
    assert_int_equal(large.status, 200);
    assert_string_equal(ist_sb_text(&large.collected), "end 0 of 8388608\n");
    ist_http_call_fini(&large);
    ist_http_close(http, NULL, NULL);
    free(body);
    bench_close(&b);
}

static void test_beside(void **state)
{
    (void) state;
    beside(false);
    beside(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),  cmocka_unit_test(test_held_up),
        cmocka_unit_test(test_flat),   cmocka_unit_test(test_killed),
        cmocka_unit_test(test_early),  cmocka_unit_test(test_close),
        cmocka_unit_test(test_beside),
    };

    bench_warm_up();
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
