/* The link on real sockets, against a small server in a thread of its own:
 * TLS with every kind of wrong certificate, a peer that reads nothing, and
 * closing at awkward moments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bus/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* Certificates, made for the run. */

struct identity {
    EVP_PKEY *key;
    X509 *x509;
};

static struct identity ca, other_ca;
static char dir[] = "/tmp/isthmus-link-XXXXXX";

static char *path(const char *name)
{
    static char paths[8][64];
    static unsigned next;
    char *ret = paths[next++ % 8];

    snprintf(ret, sizeof(paths[0]), "%s/%s", dir, name);
    return ret;
}

static void extend(X509 *x509, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *extension;

    X509V3_set_ctx(&ctx, issuer, x509, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(extension);
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
}

/* Signed by 'issuer', or by itself. */
static struct identity identity(const char *cn, const struct identity *issuer,
                                const char *san, long valid_s)
{
    struct identity made = {.key = EVP_EC_gen("P-256"), .x509 = X509_new()};
    X509_NAME *name = X509_get_subject_name(made.x509);
    static long serial;

    X509_set_version(made.x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.x509), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(made.x509), -86400);
    X509_gmtime_adj(X509_getm_notAfter(made.x509), valid_s);
    X509_set_pubkey(made.x509, made.key);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               (const unsigned char *) cn, -1, -1, 0);
    X509_set_issuer_name(made.x509,
                         issuer ? X509_get_subject_name(issuer->x509) : name);
    if (san)
        extend(made.x509, issuer ? issuer->x509 : made.x509,
               NID_subject_alt_name, san);
    else
        extend(made.x509, made.x509, NID_basic_constraints, "critical,CA:TRUE");
    X509_sign(made.x509, issuer ? issuer->key : made.key, EVP_sha256());
    return made;
}

static void identity_free(struct identity *id)
{
    EVP_PKEY_free(id->key);
    X509_free(id->x509);
}

static void save(const struct identity *id, const char *certificate,
                 const char *key)
{
    FILE *file = fopen(path(certificate), "w");

    PEM_write_X509(file, id->x509);
    fclose(file);
    if (!key)
        return;
    file = fopen(path(key), "w");
    PEM_write_PrivateKey(file, id->key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
}

/* The server. */

enum manner { ECHOES, STALLS, HANGS_UP };

static struct {
    pthread_t thread;
    int listener;
    uint16_t port;
    enum manner manner;
    SSL_CTX *tls;
    char peer_cn[64];
    atomic_bool go_on; /* A stalled one reads again. */
} server;

static void serve_tls(int fd)
{
    SSL *ssl = SSL_new(server.tls);
    char buf[65536];
    X509 *peer;
    int n;

    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
        peer = SSL_get1_peer_certificate(ssl);
        if (peer)
            X509_NAME_get_text_by_NID(X509_get_subject_name(peer),
                                      NID_commonName, server.peer_cn,
                                      sizeof(server.peer_cn));
        X509_free(peer);
        while ((n = SSL_read(ssl, buf, sizeof(buf))) > 0)
            SSL_write(ssl, buf, n);
        /* 0 is an orderly end: the client did say goodbye. */
        if (SSL_get_error(ssl, n) == SSL_ERROR_ZERO_RETURN)
            strlcat(server.peer_cn, "+bye", sizeof(server.peer_cn));
    }
    SSL_free(ssl);
}

static void serve_plain(int fd)
{
    char buf[65536];
    ssize_t n;

    while (server.manner == STALLS && !server.go_on)
        usleep(5000);
    while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
        if (server.manner == ECHOES &&
            send(fd, buf, (size_t) n, MSG_NOSIGNAL) < 0)
            break;
}

static void *serve(void *arg)
{
    int fd = accept(server.listener, NULL, NULL);

    (void) arg;
    if (fd < 0)
        return NULL;
    if (server.manner != HANGS_UP) {
        if (server.tls)
            serve_tls(fd);
        else
            serve_plain(fd);
    }
    close(fd);
    return NULL;
}

static void server_start(enum manner manner, const struct identity *id)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    memset(&server, 0, sizeof(server));
    server.manner = manner;
    if (id) {
        server.tls = SSL_CTX_new(TLS_server_method());
        SSL_CTX_use_certificate(server.tls, id->x509);
        SSL_CTX_use_PrivateKey(server.tls, id->key);
        SSL_CTX_load_verify_locations(server.tls, path("ca.pem"), NULL);
        SSL_CTX_set_verify(server.tls,
                           SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                           NULL);
    }
    server.listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(
        bind(server.listener, (struct sockaddr *) &address, sizeof(address)),
        0);
    listen(server.listener, 1);
    getsockname(server.listener, (struct sockaddr *) &address, &len);
    server.port = ntohs(address.sin_port);
    pthread_create(&server.thread, NULL, serve, NULL);
}

static void server_stop(void)
{
    server.go_on = true;
    shutdown(server.listener, SHUT_RDWR);
    pthread_join(server.thread, NULL);
    close(server.listener);
    SSL_CTX_free(server.tls);
}

/* The client. */

static struct {
    struct ist_loop loop;
    struct ist_link *link;
    struct ist_timer limit, tick;
    size_t n_received, n_wanted;
    uint64_t max_gap, last_tick;
    struct ist_err err;
    bool opened, broken, gone, timed_out, poison, close_on_open, in_call;
    uint8_t next;
} t;

static void finish(void)
{
    if (t.link)
        ist_link_close(t.link);
    t.link = NULL;
}

static void poison(void)
{
    if (t.poison) /* As another user of the thread's queue may leave it. */
        ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
}

static void on_opened(void *owner)
{
    (void) owner;
    assert_false(t.in_call);
    t.opened = true;
    poison();
    if (t.close_on_open || t.n_wanted == 0)
        finish();
}

static void on_received(void *owner, const void *data, size_t size)
{
    const uint8_t *bytes = data;

    (void) owner;
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != t.next++)
            fail_msg("byte %zu is wrong", t.n_received + i);
    t.n_received += size;
    poison();
    if (t.n_received == t.n_wanted)
        finish();
}

static void on_sent(void *owner)
{
    (void) owner;
    assert_false(t.in_call);
}

static void on_broken(void *owner, const struct ist_err *err)
{
    (void) owner;
    assert_false(t.in_call);
    assert_false(t.broken);
    t.broken = true;
    t.err = *err;
    finish();
}

static void on_gone(void *owner)
{
    (void) owner;
    assert_false(t.in_call);
    t.gone = true;
    ist_timer_disarm(&t.limit);
    ist_timer_disarm(&t.tick);
}

static const struct ist_link_events events = {.opened = on_opened,
                                              .received = on_received,
                                              .sent = on_sent,
                                              .broken = on_broken,
                                              .gone = on_gone};

static void on_limit(struct ist_timer *timer)
{
    (void) timer;
    t.timed_out = true;
    finish();
}

static void on_tick(struct ist_timer *timer)
{
    uint64_t now = ist_loop_now(&t.loop);

    if (now - t.last_tick > t.max_gap)
        t.max_gap = now - t.last_tick;
    t.last_tick = now;
    poison();
    ist_timer_arm_in(timer, &t.loop, 5, on_tick);
}

static void start(const char *host, uint16_t port, struct ist_tls_ctx *tls,
                  uint64_t hard_max)
{
    struct ist_link_conf conf = {
        .host = host, .port = port, .tls = tls, .hard_max = hard_max};

    memset(&t, 0, sizeof(t));
    assert_int_equal(ist_loop_init(&t.loop), 0);
    t.in_call = true;
    t.link = ist_link_new(&t.loop, &conf, &events, &t);
    t.in_call = false;
    assert_non_null(t.link);
    t.last_tick = ist_loop_now(&t.loop);
    ist_timer_arm_in(&t.limit, &t.loop, 20000, on_limit);
    ist_timer_arm_in(&t.tick, &t.loop, 5, on_tick);
}

static void run(void)
{
    ist_loop_run(&t.loop);
    assert_true(t.gone);
    assert_false(t.timed_out);
    ist_loop_fini(&t.loop);
}

static void write_bytes(size_t size)
{
    static uint8_t next;
    uint8_t *room;

    if (t.n_wanted == 0)
        next = 0;
    t.in_call = true;
    room = ist_link_reserve(t.link, size);
    if (room) {
        for (size_t i = 0; i < size; i++)
            room[i] = next++;
        ist_link_commit(t.link, size);
        t.n_wanted += size;
    }
    t.in_call = false;
}

static struct ist_tls_ctx *context(void)
{
    struct ist_err err = {0};
    char user[256];
    struct ist_tls_ctx *tls = ist_tls_ctx_new(
        path("ca.pem"), path("client.pem"), path("client.key"), user, &err);

    assert_non_null(tls);
    assert_string_equal(user, "site-a");
    return tls;
}

/* Plain. */

static void test_plain(void **state)
{
    (void) state;
    server_start(ECHOES, NULL);
    start("127.0.0.1", server.port, NULL, 64 << 20);
    write_bytes(10);
    write_bytes(8 << 20);
    run();
    assert_int_equal(t.n_received, (8 << 20) + 10);
    server_stop();
}

static void test_refused(void **state)
{
    (void) state;
    server_start(ECHOES, NULL);
    server_stop();
    start("127.0.0.1", server.port, NULL, 1 << 20);
    run();
    assert_true(t.broken && !t.opened);
    assert_int_equal(t.err.code, -ECONNREFUSED);
    start("no-such-host.invalid", 5671, NULL, 1 << 20);
    run();
    assert_true(t.broken && !t.opened);
    assert_non_null(strstr(t.err.text, "resolve"));
}

static void test_close_early(void **state)
{
    (void) state;
    /* In mid-resolution, and twice. */
    start("localhost", 1, NULL, 1 << 20);
    ist_link_close(t.link);
    ist_link_close(t.link);
    t.link = NULL;
    run();
    assert_false(t.broken);
    /* Inside 'opened'. */
    server_start(ECHOES, NULL);
    start("127.0.0.1", server.port, NULL, 1 << 20);
    t.close_on_open = true;
    write_bytes(100);
    run();
    assert_true(t.opened && !t.broken);
    server_stop();
}

static void test_hang_up(void **state)
{
    (void) state;
    server_start(HANGS_UP, NULL);
    start("127.0.0.1", server.port, NULL, 1 << 20);
    t.n_wanted = 1;
    run();
    assert_true(t.broken);
    assert_int_equal(t.err.code, -ECONNRESET);
    server_stop();
}

/* A peer that does not read: what waits is bounded, and the loop goes on. */
static void on_fill(struct ist_timer *timer)
{
    if (!t.link)
        return;
    write_bytes(1 << 20);
    ist_timer_arm_in(timer, &t.loop, 2, on_fill);
}

static void test_stalled(void **state)
{
    struct ist_timer fill = {.loop = NULL};

    (void) state;
    server_start(STALLS, NULL);
    start("127.0.0.1", server.port, NULL, 16 << 20);
    t.n_wanted = SIZE_MAX / 2;
    ist_timer_arm_in(&fill, &t.loop, 10, on_fill);
    run();
    ist_timer_disarm(&fill);
    assert_true(t.broken);
    assert_int_equal(t.err.code, -ENOBUFS);
    server_stop();
}

/* TLS. */

static void tls_case(const struct identity *id, const char *host,
                     const char *why)
{
    struct ist_tls_ctx *tls = context();

    server_start(ECHOES, id);
    start(host, server.port, tls, 64 << 20);
    ist_tls_ctx_free(tls);
    write_bytes(1000);
    run();
    server_stop();
    if (!why) {
        if (t.broken)
            fail_msg("%s", t.err.text);
        assert_int_equal(t.n_received, 1000);
        assert_string_equal(server.peer_cn, "site-a+bye");
        return;
    }
    assert_true(t.broken && !t.opened);
    if (!strstr(t.err.text, why))
        fail_msg("%s lacks %s", t.err.text, why);
}

static void tls_san(const struct identity *issuer, const char *san,
                    long valid_s, const char *host, const char *why)
{
    struct identity id = identity("broker", issuer, san, valid_s);

    tls_case(&id, host, why);
    identity_free(&id);
}

static void test_tls(void **state)
{
    const long day = 86400;

    (void) state;
    tls_san(&ca, "DNS:localhost", day, "localhost", NULL);
    tls_san(&ca, "IP:127.0.0.1", day, "127.0.0.1", NULL);
    tls_san(&ca, "DNS:localhost", day, "127.0.0.1", "IP address mismatch");
    tls_san(&ca, "DNS:elsewhere", day, "localhost", "hostname mismatch");
    tls_san(&ca, "DNS:local*", day, "localhost", "hostname mismatch");
    tls_san(&ca, "DNS:localhost", -3600, "localhost", "expired");
    tls_san(&other_ca, "DNS:localhost", day, "localhost",
            "unable to get local issuer");
    tls_san(NULL, "DNS:localhost", day, "localhost", "self-signed");
}

static void test_tls_version(void **state)
{
    struct identity id = identity("broker", &ca, "DNS:localhost", 86400);
    struct ist_tls_ctx *tls = context();

    (void) state;
    server_start(ECHOES, &id);
    SSL_CTX_set_min_proto_version(server.tls, TLS1_1_VERSION);
    SSL_CTX_set_max_proto_version(server.tls, TLS1_1_VERSION);
    SSL_CTX_set_security_level(server.tls, 0);
    start("localhost", server.port, tls, 64 << 20);
    ist_tls_ctx_free(tls);
    write_bytes(1000);
    run();
    assert_true(t.broken && !t.opened);
    server_stop();
    identity_free(&id);
}

static void test_tls_large(void **state)
{
    struct identity id = identity("broker", &ca, "DNS:localhost", 86400);
    struct ist_tls_ctx *tls = context();

    (void) state;
    server_start(ECHOES, &id);
    start("localhost", server.port, tls, 64 << 20);
    ist_tls_ctx_free(tls);
    t.poison = true; /* Errors of others do not matter to it. */
    write_bytes(20 << 20);
    write_bytes(1);
    run();
    assert_int_equal(t.n_received, (20 << 20) + 1);
    ERR_clear_error();
    server_stop();
    identity_free(&id);
}

/* A peer that answers TLS with something else. */
static void test_tls_garbage(void **state)
{
    struct ist_tls_ctx *tls = context();

    (void) state;
    server_start(ECHOES, NULL);
    start("localhost", server.port, tls, 64 << 20);
    ist_tls_ctx_free(tls);
    t.n_wanted = 1;
    run();
    assert_true(t.broken && !t.opened);
    server_stop();
}

static void refuse_context(const char *ca_file, const char *certificate,
                           const char *key, const char *why)
{
    struct ist_err err = {0};
    char user[256];

    assert_null(ist_tls_ctx_new(path(ca_file), path(certificate), path(key),
                                user, &err));
    assert_true(err.code < 0);
    if (!strstr(err.text, why))
        fail_msg("%s lacks %s", err.text, why);
    assert_int_equal(ERR_peek_error(), 0); /* Nothing left for others. */
}

static void test_contexts(void **state)
{
    struct identity nameless = identity("", &ca, "DNS:x", 86400);
    FILE *file = fopen(path("locked.key"), "w");

    (void) state;
    PEM_write_PrivateKey(file, ca.key, EVP_aes_128_cbc(), NULL, 0, NULL,
                         (void *) (uintptr_t) "passphrase");
    fclose(file);
    save(&nameless, "nameless.pem", "nameless.key");
    refuse_context("none.pem", "client.pem", "client.key", "none.pem");
    refuse_context("client.key", "client.pem", "client.key", "CA file");
    refuse_context("ca.pem", "none.pem", "client.key", "none.pem");
    refuse_context("ca.pem", "client.pem", "none.key", "none.key");
    refuse_context("ca.pem", "client.pem", "other.key", "key");
    refuse_context("ca.pem", "client.pem", "locked.key", "locked.key");
    refuse_context("ca.pem", "nameless.pem", "nameless.key", "common name");
    identity_free(&nameless);
}

static int group_setup(void **state)
{
    struct identity client;

    (void) state;
    signal(SIGPIPE, SIG_IGN);
    if (!mkdtemp(dir))
        return -1;
    ca = identity("Test CA", NULL, NULL, 86400);
    other_ca = identity("Other CA", NULL, NULL, 86400);
    client = identity("site-a", &ca, "DNS:site-a", 86400);
    save(&ca, "ca.pem", NULL);
    save(&other_ca, "other.pem", "other.key");
    save(&client, "client.pem", "client.key");
    identity_free(&client);
    return 0;
}

static int group_teardown(void **state)
{
    static const char *const names[] = {
        "ca.pem",     "other.pem",    "other.key",    "client.pem",
        "client.key", "nameless.pem", "nameless.key", "locked.key"};

    (void) state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(path(names[i]));
    identity_free(&ca);
    identity_free(&other_ca);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),       cmocka_unit_test(test_refused),
        cmocka_unit_test(test_close_early), cmocka_unit_test(test_hang_up),
        cmocka_unit_test(test_stalled),     cmocka_unit_test(test_tls),
        cmocka_unit_test(test_tls_version), cmocka_unit_test(test_tls_large),
        cmocka_unit_test(test_tls_garbage), cmocka_unit_test(test_contexts),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
