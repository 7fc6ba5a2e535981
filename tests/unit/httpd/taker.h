/* Takes streamed bodies, checks each byte, and answers. One at a time is looked
 * at; by its path a request says what is to be done with it:
 *
 *   /take     all is taken, then answered 200 with the count
 *   /stall    'limit' bytes are taken, then nothing until it is resumed
 *   /slow     'limit' bytes, then a pause of a millisecond, and so on
 *   /early    answered by 'answer' once 'limit' bytes have come
 *   /keep     taken, and never answered by itself
 *   /refuse   answered 401 from the head
 *   others    are collected */
#ifndef UNIT_HTTPD_TAKER_H
#define UNIT_HTTPD_TAKER_H

#include "bench.h"

#define TAKER_UNSET 12345

struct taker {
    struct ist_httpd_request *request;
    size_t n, n_begun, n_pieces, n_full, n_ends, n_gone, largest;
    size_t limit, burst;
    uint64_t cap;
    int rc;
    bool held_back, resume_inside;
    struct ist_timer timer;
    void (*answer)(struct taker *);
};

static struct taker taker;

static inline char taker_pattern(size_t at)
{
    return (char) ('a' + at % 23);
}

static inline void taker_fill(char *buf, size_t at, size_t size)
{
    static char table[(1U << 16) + 23];
    size_t i;

    assert_true(size <= 1U << 16);
    for (i = 0; !table[sizeof(table) - 1]; i++)
        table[i] = taker_pattern(i);
    memcpy(buf, table + at % 23, size);
}

static inline bool taker_is(const char *path)
{
    return taker.request && strcmp(taker.request->path, path) == 0;
}

static inline void taker_reply(int status, const char *text)
{
    struct ist_httpd_request *r = taker.request;

    taker.request = NULL;
    bench_text(r, status, text);
}

static inline void taker_on_time(struct ist_timer *timer)
{
    (void) timer;
    if (!taker.request)
        return;
    taker.held_back = false;
    taker.burst = 0;
    ist_httpd_resume_body(taker.request);
}

static inline int taker_full(struct ist_httpd_request *r)
{
    taker.n_full++;
    taker.held_back = true;
    if (taker.resume_inside) {
        taker.held_back = false;
        taker.burst = 0;
        ist_httpd_resume_body(r);
    } else if (taker_is("/slow")) {
        ist_timer_arm_in(&taker.timer, r->loop, 1, taker_on_time);
    }
    return -EAGAIN;
}

static inline int taker_on_body(struct ist_httpd_request *r, const void *data,
                                size_t size)
{
    static char want[1U << 16];

    assert_ptr_equal(r, taker.request);
    assert_int_equal(taker.n_ends, 0);
    assert_false(taker.held_back);
    assert_in_range(size, 1, sizeof(want));
    if ((taker_is("/stall") || taker_is("/slow")) && taker.burst &&
        taker.burst + size > taker.limit)
        return taker_full(r);
    taker_fill(want, taker.n, size);
    assert_memory_equal(data, want, size);
    taker.n += size;
    taker.burst += size;
    taker.n_pieces++;
    if (size > taker.largest)
        taker.largest = size;
    if (taker_is("/early") && taker.n >= taker.limit)
        taker.answer(&taker);
    return 0;
}

static inline void taker_on_end(struct ist_httpd_request *r, int rc)
{
    char text[64];

    assert_ptr_equal(r, taker.request);
    taker.n_ends++;
    taker.rc = rc;
    if (taker_is("/keep"))
        return;
    snprintf(text, sizeof(text), "end %d of %zu\n", rc, taker.n);
    taker_reply(rc == 0 ? 200 : rc == -ETIMEDOUT ? 408 : 413, text);
}

static inline void taker_on_gone(struct ist_httpd_request *r)
{
    (void) r;
    taker.n_gone++;
}

static inline bool taker_wants(const char *path)
{
    static const char *const paths[] = {"/take",  "/stall", "/slow",
                                        "/early", "/keep",  "/refuse"};
    size_t i;

    for (i = 0; i < IST_COUNT(paths); i++)
        if (strcmp(path, paths[i]) == 0)
            return true;
    return false;
}

static inline void taker_begin(void *arg, struct ist_httpd_request *r)
{
    (void) arg;
    if (!taker_wants(r->path))
        return;
    assert_null(taker.request);
    taker.request = r;
    taker.n_begun++;
    taker.n = taker.n_ends = taker.burst = 0;
    taker.rc = TAKER_UNSET;
    if (taker_is("/refuse")) {
        taker_reply(401, "who are you\n");
        return;
    }
    r->on_body = taker_on_body;
    r->on_end = taker_on_end;
    r->gone = taker_on_gone;
    if (taker.cap)
        r->body_cap = taker.cap;
}

static inline void taker_open(struct bench *b, const struct ist_httpd_conf *c)
{
    memset(&taker, 0, sizeof(taker));
    bench_open(b, c);
    ist_httpd_on_begin(b->httpd, taker_begin);
}

/* A turn that waits for something to do, a millisecond at most. */
static inline void taker_turn(struct bench *b)
{
    struct pollfd p = {uv_backend_fd(b->loop.uv), POLLIN, 0};

    bench_turn(b);
    poll(&p, 1, uv_backend_timeout(b->loop.uv) == 0 ? 0 : 1);
}

/* Turns until 'x' holds. */
#define TAKER_UNTIL(b, x)                                                      \
    do {                                                                       \
        uint64_t began_ = ist_loop_now(&(b)->loop);                            \
        while (!(x)) {                                                         \
            taker_turn(b);                                                     \
            if (ist_loop_now(&(b)->loop) - began_ > 60000)                     \
                fail_msg("waited for " #x);                                    \
        }                                                                      \
    } while (0)

#endif
