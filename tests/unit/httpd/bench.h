/* A server with a few handlers by path, and a raw client, on one loop. Each
 * test of this room is a program that includes this once. */
#ifndef UNIT_HTTPD_BENCH_H
#define UNIT_HTTPD_BENCH_H

#include "httpd/server.h"
#include "io/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct bench {
    struct ist_loop loop;
    struct ist_httpd *httpd;
    unsigned n_fds;
    size_t n_handled, n_refused, n_gone;
    struct ist_httpd_request *held[64]; /* By "/hold", in order. */
    size_t n_held;
    struct ist_timer timer;
    bool closed;
    char last_id[IST_HTTPD_ID_SIZE];
    struct ist_httpd_param params[8]; /* Of the last request, copied. */
    size_t n_params;
    char path[256], target[256], peer[64];
};

static const struct ist_httpd_conf bench_usual = {
    .listen = (char *) "127.0.0.1:0",
    .connections_max = 64,
    .per_address_max = 64,
    .line_max = 8192,
    .header_max = 8192,
    .headers_max = 64,
    .body_max = 65536,
    .head_timeout_ms = 30000,
    .body_timeout_ms = 30000,
    .idle_timeout_ms = 30000,
};

static inline unsigned bench_count_fds(void)
{
    unsigned n = 0;
    int fd;

    for (fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) != -1;
    return n;
}

static inline void bench_text(struct ist_httpd_request *r, int status,
                              const char *text)
{
    static const struct ist_httpd_header headers[] = {
        {"Content-Type", "text/plain"},
    };

    ist_httpd_reply(r, status, headers, 1, text, strlen(text));
}

static inline void bench_on_gone(struct ist_httpd_request *r)
{
    struct bench *b = r->owner;

    b->n_gone++;
}

static inline void bench_on_time(struct ist_timer *timer)
{
    struct bench *b = IST_CONTAINER(timer, struct bench, timer);
    size_t i;

    for (i = 0; i < b->n_held; i++)
        bench_text(b->held[i], 200, "later\n");
    b->n_held = 0;
}

static inline void bench_note(struct bench *b, struct ist_httpd_request *r)
{
    size_t i;

    b->n_handled++;
    snprintf(b->last_id, sizeof(b->last_id), "%s", r->id);
    snprintf(b->path, sizeof(b->path), "%s", r->path);
    snprintf(b->target, sizeof(b->target), "%s", r->target);
    snprintf(b->peer, sizeof(b->peer), "%s", r->peer);
    for (i = 0; i < b->n_params; i++) {
        free((char *) b->params[i].name);
        free((char *) b->params[i].value);
    }
    b->n_params = r->n_params < 8 ? r->n_params : 8;
    for (i = 0; i < b->n_params; i++) {
        b->params[i].name = strdup(r->params[i].name);
        b->params[i].value = strdup(r->params[i].value);
    }
}

/* Tests that need more put their own here. */
static bool (*bench_more)(struct bench *, struct ist_httpd_request *);

static inline void bench_handler(void *arg, struct ist_httpd_request *r)
{
    struct bench *b = arg;
    char *body;

    bench_note(b, r);
    r->owner = b;
    r->gone = bench_on_gone;
    if (bench_more && bench_more(b, r))
        return;
    if (strcmp(r->path, "/hold") == 0) {
        assert_true(b->n_held < IST_COUNT(b->held));
        b->held[b->n_held++] = r;
    } else if (strcmp(r->path, "/later") == 0) {
        b->held[b->n_held++] = r;
        ist_timer_arm_in(&b->timer, &b->loop, 20, bench_on_time);
    } else if (strcmp(r->path, "/echo") == 0) {
        body = malloc(r->body_size + 1);
        memcpy(body, r->body, r->body_size + 1);
        ist_httpd_reply_take(r, 200, NULL, 0, body, r->body_size);
    } else {
        bench_text(r, 200, "now\n");
    }
}

static inline void bench_refuse(void *arg, struct ist_httpd_request *r,
                                int status, const char *reason)
{
    struct bench *b = arg;
    char text[160];

    b->n_refused++;
    snprintf(text, sizeof(text), "{\"refused\":\"%s\"}", reason);
    ist_httpd_reply(r, status, NULL, 0, text, strlen(text));
}

static inline void bench_open(struct bench *b, const struct ist_httpd_conf *c)
{
    struct ist_err err = {0};

    memset(b, 0, sizeof(*b));
    b->n_fds = bench_count_fds();
    assert_int_equal(ist_loop_init(&b->loop), 0);
    b->httpd = ist_httpd_new(&b->loop, c, bench_handler, bench_refuse, b, &err);
    if (!b->httpd)
        fail_msg("%s", err.text);
}

static inline void bench_on_closed(void *arg)
{
    struct bench *b = arg;

    b->closed = true;
}

/* All handles are gone, all descriptors closed. */
static inline void bench_end(struct bench *b)
{
    size_t i;

    ist_loop_run(&b->loop);
    assert_true(b->closed);
    for (i = 0; i < b->n_params; i++) {
        free((char *) b->params[i].name);
        free((char *) b->params[i].value);
    }
    ist_loop_fini(&b->loop);
    assert_int_equal(bench_count_fds(), b->n_fds);
}

static inline void bench_close(struct bench *b)
{
    ist_httpd_close(b->httpd, bench_on_closed, b);
    assert_false(b->closed);
    bench_end(b);
}

/* ---- the raw client ---------------------------------------------------- */

struct raw {
    int fd;
    char in[262144];
    size_t len;
    bool eof;
};

static inline void raw_open(struct bench *b, struct raw *raw)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};

    raw->fd = socket(AF_INET, SOCK_STREAM, 0);
    raw->len = 0;
    raw->eof = false;
    raw->in[0] = '\0';
    addr.sin_port = htons((uint16_t) ist_httpd_port(b->httpd));
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(raw->fd, (struct sockaddr *) &addr, sizeof(addr)),
                     0);
    fcntl(raw->fd, F_SETFL, O_NONBLOCK);
}

static inline void raw_close(struct raw *raw)
{
    close(raw->fd);
}

/* The loop is turned by hand here; one that was stopped arms no timer. */
static inline void bench_turn(struct bench *b)
{
    b->loop.stopping = false;
    uv_run(b->loop.uv, UV_RUN_NOWAIT);
}

/* One turn: the server runs, then what came is read. */
static inline void raw_turn(struct bench *b, struct raw *raw)
{
    struct pollfd p = {raw->fd, POLLIN, 0};
    ssize_t n;

    bench_turn(b);
    if (raw->eof) {
        poll(NULL, 0, 1);
        return;
    }
    if (poll(&p, 1, 1) <= 0)
        return;
    n = recv(raw->fd, raw->in + raw->len, sizeof(raw->in) - 1 - raw->len, 0);
    if (n > 0)
        raw->len += (size_t) n;
    else if (n == 0 || errno != EAGAIN)
        raw->eof = true;
    raw->in[raw->len] = '\0';
}

/* False when the server closed before all was sent. */
static inline bool raw_send(struct bench *b, struct raw *raw, const char *text,
                            size_t size)
{
    ssize_t n;

    while (size) {
        n = send(raw->fd, text, size, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n > 0) {
            text += n;
            size -= (size_t) n;
        }
        raw_turn(b, raw);
    }
    return true;
}

/* Until the server closes or 'ms' have passed; returns how long it took. */
static inline uint64_t raw_drain(struct bench *b, struct raw *raw, uint64_t ms)
{
    uint64_t began = ist_loop_now(&b->loop), now = began;

    while (!raw->eof && now - began < ms) {
        raw_turn(b, raw);
        now = ist_loop_now(&b->loop);
    }
    return now - began;
}

/* Until 'text' has come. */
static inline void raw_expect(struct bench *b, struct raw *raw,
                              const char *text)
{
    uint64_t began = ist_loop_now(&b->loop);

    while (!strstr(raw->in, text)) {
        raw_turn(b, raw);
        if (ist_loop_now(&b->loop) - began > 20000)
            fail_msg("waited for %s, got %s", text, raw->in);
    }
}

/* At least so long, and so many turns, whatever else the machine does. */
static inline void bench_run_for(struct bench *b, uint64_t ms)
{
    uint64_t began = ist_loop_now(&b->loop);
    int n_turns = 0;

    while (ist_loop_now(&b->loop) - began < ms || ++n_turns < 10) {
        bench_turn(b);
        poll(NULL, 0, 1);
    }
}

/* Status of the first answer, 0 when there is none. */
static inline int raw_status(const struct raw *raw)
{
    return strncmp(raw->in, "HTTP/1.1 ", 9) ? 0 : atoi(raw->in + 9);
}

static inline size_t raw_count(const struct raw *raw, const char *text)
{
    const char *at = raw->in;
    size_t n = 0;

    while ((at = strstr(at, text))) {
        n++;
        at += strlen(text);
    }
    return n;
}

/* libuv keeps a few descriptors for the life of the process: they are opened
 * before a test counts. */
static inline void bench_warm_up(void)
{
    struct ist_loop loop;

    signal(SIGPIPE, SIG_IGN);
    ist_loop_init(&loop);
    ist_loop_fini(&loop);
}

#endif
