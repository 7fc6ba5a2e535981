/* The whole client against a broker that misbehaves, on a virtual clock. What
 * is required each time: no crash, nothing unbounded, the fault confined to
 * the message, the channel or the connection that it concerns, and afterwards
 * everything in place again by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../fake/hostile_broker.h"
#include "base/log.h"
#include "base/rand.h"
#include "bus/amqp.h"
#include "bus/amqp_codec.h"
#include "bus/bus_priv.h"
#include "bus/frame.h"

#include <errno.h>
#include <sys/resource.h>

#define BODY_MAX 65536

static struct {
    struct ist_loop loop;
    struct ist_bus *bus;
    struct ist_bus_consumer consumer;
    unsigned n_up, n_down, n_blocked, n_unblocked, n_drained;
    unsigned n_heard, n_refused;
    struct ist_err down, refused;
    size_t size;
    char body[64], exchange[300];
    uint64_t tag, n_redelivered, offset;
    bool closed, ack, cancel_in_deliver;
} t;

static void on_up(struct ist_bus *bus)
{
    (void) bus;
    t.n_up++;
}

static void on_down(struct ist_bus *bus, const struct ist_err *err)
{
    (void) bus;
    t.n_down++;
    t.down = *err;
}

static void on_blocked(struct ist_bus *bus, bool on)
{
    (void) bus;
    if (on)
        t.n_blocked++;
    else
        t.n_unblocked++;
}

static void on_drained(struct ist_bus *bus)
{
    (void) bus;
    t.n_drained++;
}

static void on_closed(struct ist_bus *bus)
{
    (void) bus;
    t.closed = true;
}

static const struct ist_bus_events events = {.up = on_up,
                                             .down = on_down,
                                             .blocked = on_blocked,
                                             .drained = on_drained,
                                             .closed = on_closed};

static void on_deliver(struct ist_bus_consumer *consumer,
                       const struct ist_bus_message *message)
{
    t.n_heard++;
    if (t.cancel_in_deliver)
        ist_bus_cancel(t.bus, consumer);
    /* The message stays valid until we return, whatever we did. */
    t.size = message->size;
    memset(t.body, 0, sizeof(t.body));
    memcpy(t.body, message->body,
           message->size < sizeof(t.body) - 1 ? message->size
                                              : sizeof(t.body) - 1);
    strlcpy(t.exchange, message->exchange, sizeof(t.exchange));
    t.tag = message->tag;
    t.n_redelivered = message->n_redelivered;
    t.offset = message->offset;
    if (t.ack)
        assert_int_equal(ist_bus_ack(t.bus, consumer, message->tag), 0);
}

static void on_refused(struct ist_bus_consumer *consumer,
                       const struct ist_err *err)
{
    (void) consumer;
    t.n_refused++;
    t.refused = *err;
}

static void run(uint64_t ms)
{
    uint64_t until = ist_loop_now(&t.loop) + ms;

    while (ist_loop_step(&t.loop, until))
        ;
}

static void make(const char *url)
{
    char copy[256];
    struct ist_amqp_conf conf = {.url = copy,
                                 .heartbeat_ms = 6000,
                                 .backoff_max_ms = 1000,
                                 .out_high = 65536,
                                 .out_hard = 262144,
                                 .body_max = BODY_MAX};
    struct ist_err err = {0};

    strlcpy(copy, url, sizeof(copy));
    t.bus = ist_amqp_new(&t.loop, &conf, "test", &events, NULL, &err);
    memset(copy, 'x', sizeof(copy)); /* It must have been copied. */
    assert_non_null(t.bus);
    t.consumer = (struct ist_bus_consumer){.queue = "q",
                                           .ack = true,
                                           .prefetch = 10,
                                           .deliver = on_deliver,
                                           .refused = on_refused};
    ist_bus_consume(t.bus, &t.consumer);
}

static int setup_bare(void **state)
{
    (void) state;
    memset(&t, 0, sizeof(t));
    ist_log_level_set(IST_LOG_ERROR);
    ist_rand_plant(3);
    ist_loop_init_virtual(&t.loop, 1764000000000U);
    hostile_reset(&t.loop);
    make("amqp://me:secret@broker/%2f");
    return 0;
}

static int setup(void **state)
{
    setup_bare(state);
    run(10);
    assert_int_equal(t.n_up, 1);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    ist_bus_close(t.bus);
    run(3000);
    assert_true(t.closed);
    assert_int_equal(hostile.n_open, 0);
    ist_bus_free(t.bus);
    ist_loop_fini(&t.loop);
    ist_rand_unplant();
    return 0;
}

/* It noticed, dropped the connection, and is back. */
static void assert_came_back(void)
{
    assert_int_equal(t.n_down, 1);
    assert_false(t.bus->is_up);
    hostile.hook = NULL;
    run(1000);
    assert_int_equal(t.n_up, 2);
    assert_int_equal(hostile.n_open, 2);
    assert_true(hostile_deliver(1, 1, "after"));
    assert_string_equal(t.body, "after");
}

/* Handshake. */

static void test_tune(void **state)
{
    const uint32_t refused[] = {1, 8, 4095};
    const uint32_t fine[] = {0, 4096, 131072, UINT32_MAX};

    (void) state;
    for (size_t i = 0; i < 3; i++) {
        hostile.frame_max = refused[i];
        run(3000);
        assert_int_equal(t.n_up, 0);
        assert_int_equal(hostile_seen(IST_CONNECTION_OPEN), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        hostile.frame_max = fine[i];
        hostile.channel_max = i ? 2047 : 0;
        hostile.heartbeat_s = i ? 65535 : 0;
        run(3000);
        assert_int_equal(t.n_up, i + 1);
        hostile_break(HOSTILE_PUBLISH);
    }
}

/* A limit that the broker did lower holds for what we send and take. */
static void test_small_frames(void **state)
{
    static char body[10000];
    struct ist_bus_message message = {
        .exchange = "x", .key = "k", .body = body, .size = sizeof(body)};

    (void) state;
    hostile.frame_max = 4096;
    run(10);
    assert_int_equal(t.n_up, 1);
    assert_int_equal(ist_bus_send(t.bus, &message), 0);
    run(10);
    assert_int_equal(t.n_down, 0);
    hostile_frame(HOSTILE_CONSUME, IST_FRAME_BODY, 1, body, 4096);
    hostile.frame_max = IST_FRAME_MAX;
    assert_came_back();
}

static uint32_t stage; /* The method after which it says no more. */

static bool silent_after(int role, uint16_t channel, uint32_t method)
{
    (void) role;
    (void) channel;
    return method == stage;
}

static void test_silent(void **state)
{
    const uint32_t stages[] = {0, IST_CONNECTION_START_OK, IST_CONNECTION_OPEN};

    (void) state;
    for (size_t i = 0; i < 3; i++) {
        uint64_t start;

        if (i)
            setup_bare(state);
        start = ist_loop_now(&t.loop);
        stage = stages[i];
        hostile.hook = silent_after;
        while (hostile.n_links <= 2)
            run(100);
        assert_in_range(ist_loop_now(&t.loop) - start, 10000, 11500);
        assert_int_equal(t.n_up, 0);
        hostile.hook = NULL;
        run(12000);
        assert_int_equal(t.n_up, 1);
        if (i < 2)
            teardown(state);
    }
}

/* A byte now and then does not prolong the handshake. */
static void test_drip(void **state)
{
    uint8_t frame[64];
    unsigned n;

    (void) state;
    hostile.hook = silent_after;
    stage = 0;
    run(10);
    n = hostile.n_links;
    frame[0] = 1;
    ist_put16(frame + 1, 0);
    ist_put32(frame + 3, 40);
    memset(frame + 7, 0, 40);
    for (unsigned i = 0; i < 12 && hostile.n_links == n; i++) {
        hostile_feed(HOSTILE_PUBLISH, frame + i, 1);
        hostile_feed(HOSTILE_CONSUME, frame + i, 1);
        run(1000);
    }
    assert_true(hostile.n_links > n);
}

static void wrong_start(const void *arguments, size_t size)
{
    unsigned n = hostile.n_links;

    hostile_method(HOSTILE_PUBLISH, 0, IST_CONNECTION_START, arguments, size);
    run(2000);
    assert_true(hostile.n_links > n);
    assert_int_equal(hostile_seen(IST_CONNECTION_START_OK), 0);
}

static void test_bad_start(void **state)
{
    static uint8_t big[4000];

    (void) state;
    hostile.hook = silent_after;
    stage = 0;
    run(10);
    hostile_feed(HOSTILE_PUBLISH, "AMQP\0\0\x08\0", 8);
    run(2000);
    assert_int_equal(hostile.n_links, 4);
    wrong_start("\0\x08\0\0\0\0\0\0\0\5PLAIN\0\0\0\2en", 21);
    wrong_start("\0\x09\0\0\0\0\0\0\0\6PLAINX\0\0\0\2en", 22);
    /* Cut anywhere. */
    for (size_t n = 0; n < hostile_start_size; n++)
        wrong_start(hostile_start_arguments, n);
    /* Tables in each other, as many as there is room for. */
    big[1] = 9;
    ist_put32(big + 2, sizeof(big) - 6 - 8);
    for (size_t at = 6; at + 6 < sizeof(big) - 8; at += 6) {
        big[at + 1] = 'F';
        ist_put32(big + at + 2, (uint32_t) (sizeof(big) - 8 - at - 6));
    }
    wrong_start(big, sizeof(big));
    /* Methods of another state. */
    hostile_method(HOSTILE_PUBLISH, 0, IST_CONNECTION_TUNE, "\0\0\0\2\0\0\0\6",
                   8);
    run(2000);
    hostile_method(HOSTILE_PUBLISH, 0, IST_CONNECTION_OPEN_OK, "\0", 1);
    run(2000);
    hostile_frame(HOSTILE_PUBLISH, IST_FRAME_BODY, 1, "x", 1);
    run(2000);
    assert_int_equal(hostile_seen(IST_CONNECTION_START_OK), 0);
    assert_int_equal(t.n_up, 0);
}

static bool refuse_login(int role, uint16_t channel, uint32_t method)
{
    (void) channel;
    if (method != IST_CONNECTION_START_OK)
        return false;
    hostile_method(role, 0, IST_CONNECTION_CLOSE,
                   "\x01\x93\x10no\nway\x1b[31m!xxxxxx\0\0\0\0", 23);
    return true;
}

static void test_login_refused(void **state)
{
    (void) state;
    hostile.hook = refuse_login;
    run(5000);
    assert_int_equal(t.n_up, 0);
    assert_true(hostile.n_links > 4);
    assert_true(hostile.n_links < 60); /* With back-off. */
    hostile.hook = NULL;
    run(2000);
    assert_int_equal(t.n_up, 1);
}

/* All addresses of a name are tried, then the next URL, then it rests. */
static void test_addresses(void **state)
{
    (void) state;
    teardown(NULL);
    setup_bare(NULL);
    hostile.n_addresses = 3;
    hostile.refuses = true;
    run(1);
    assert_true(hostile.last_address == 2 && hostile.n_links == 6);
    run(100);
    assert_true(hostile.n_links >= 12);
    hostile.refuses = false;
    run(2000);
    assert_int_equal(t.n_up, 1);
}

/* Once it stands. */

static void test_start_again(void **state)
{
    (void) state;
    hostile_method(HOSTILE_PUBLISH, 0, IST_CONNECTION_START,
                   hostile_start_arguments, hostile_start_size);
    assert_int_equal(hostile_seen(IST_CONNECTION_START_OK), 2);
    run(0);
    assert_int_equal(hostile_seen(IST_CONNECTION_START_OK), 2);
    assert_came_back();
}

static void test_bad_frames(void **state)
{
    static const struct {
        uint8_t type;
        uint16_t channel;
        const char *payload;
        size_t size;
    } bad[] = {
        {8, 1, "", 0},                        /* Heartbeat on a channel, */
        {8, 0, "x", 1},                       /* with a payload. */
        {1, 7, "\0\x3c\0\x50........\0", 13}, /* A channel never opened. */
        {1, 65, "\0\x3c\0\x50........\0", 13},
        {1, 65535, "\0\x3c\0\x50........\0", 13},
        {2, 0, "\0\x3c\0\0\0\0\0\0\0\0\0\0\0\0", 14},
        {3, 0, "x", 1},
        {1, 1, "", 0},
        {1, 1, "\0\x3c\0", 3},
        {1, 1, "\0\x3c\0\x3d", 4}, /* Unknown methods. */
        {1, 1, "\xff\xff\xff\xff", 4},
        {1, 0, "\0\x0a\0\x3e", 4},
        {1, 1, "\0\x0a\0\x32\0\0\0\0\0\0\0", 11}, /* Connection's, there. */
        {1, 1, "\0\x32\0\x0b\1q\0\0\0\0\0\0\0\0", 14}, /* Answers nothing. */
        {1, 1, "\0\x14\0\x29", 4},
        {1, 1, "\0\x3c\0\x3c\1c", 6}, /* A delivery cut short. */
        {1, 1, "\0\x28\0\x0a\0\0\1x\1t\0\0\0\0\0", 15}, /* A client's. */
        {2, 1, "\0\x3c\0\0\0\0\0\0\0\0\0\0\0\0", 14},   /* No method before. */
        {3, 1, "x", 1},
        {1, 1, "\0\x3c\0\x50\0\0\0\0\0\0\0\1\0", 13}, /* A confirm here. */
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (i)
            setup(state);
        hostile_frame(HOSTILE_CONSUME, bad[i].type, bad[i].channel,
                      bad[i].payload, bad[i].size);
        if (i + 1 == sizeof(bad) / sizeof(bad[0])) {
            assert_int_equal(t.n_down, 0); /* Consuming: means nothing. */
            break;
        }
        if (t.n_down != 1)
            fail_msg("frame %zu was accepted", i);
        assert_came_back();
        teardown(state);
    }
}

#define DELIVER "\1c\0\0\0\0\0\0\0\1\0\1x\1k"

static void begin_delivery(void)
{
    hostile_method(HOSTILE_CONSUME, 1, IST_BASIC_DELIVER, DELIVER,
                   sizeof(DELIVER) - 1);
}

static void header(const char *bytes, size_t size)
{
    hostile_frame(HOSTILE_CONSUME, IST_FRAME_HEADER, 1, bytes, size);
}

#define HEADER(literal) header(literal, sizeof(literal) - 1)

static void test_header_class(void **state)
{
    (void) state;
    begin_delivery();
    HEADER("\0\x0a\0\0\0\0\0\0\0\0\0\5\0\0");
    assert_came_back();
}

static void test_header_properties(void **state)
{
    (void) state;
    begin_delivery();
    HEADER("\0\x3c\0\0\0\0\0\0\0\0\0\5\0\x20\x09type");
    assert_came_back();
}

static void test_body_sizes(void **state)
{
    (void) state;
    begin_delivery();
    HEADER("\0\x3c\0\0\0\0\0\0\0\0\0\5\0\0");
    hostile_frame(HOSTILE_CONSUME, IST_FRAME_BODY, 1, "he", 2);
    hostile_frame(HOSTILE_CONSUME, IST_FRAME_BODY, 1, "llo", 3);
    assert_int_equal(t.n_heard, 1);
    assert_string_equal(t.body, "hello");
    begin_delivery();
    HEADER("\0\x3c\0\0\0\0\0\0\0\0\0\5\0\0");
    hostile_frame(HOSTILE_CONSUME, IST_FRAME_BODY, 1, "hello!", 6);
    assert_int_equal(t.n_heard, 1);
    assert_came_back();
}

static void test_body_empty_frames(void **state)
{
    (void) state;
    begin_delivery();
    HEADER("\0\x3c\0\0\0\0\0\0\0\0\0\5\0\0");
    hostile_frame(HOSTILE_CONSUME, IST_FRAME_BODY, 1, "", 0);
    assert_came_back();
}

static void test_body_over_cap(void **state)
{
    static char piece[BODY_MAX + 1];

    (void) state;
    begin_delivery();
    header("\0\x3c\0\0\0\0\0\0\0\1\0\1\0\0", 14);
    hostile_frame(HOSTILE_CONSUME, IST_FRAME_BODY, 1, piece, BODY_MAX + 1);
    assert_int_equal(t.n_heard, 0);
    assert_int_equal(t.bus->n_dropped, 1);
    run(1);
    assert_int_equal(hostile_seen(IST_BASIC_ACK), 1);
    assert_int_equal(hostile.last_acked, 1);

    /* Of 2^40 announced, whatever comes is counted and not kept. */
    begin_delivery();
    header("\0\x3c\0\0\0\0\1\0\0\0\0\0\0\0", 14);
    for (int i = 0; i < 1000; i++)
        hostile_frame(HOSTILE_CONSUME, IST_FRAME_BODY, 1, piece, BODY_MAX);
    assert_int_equal(t.n_heard, 0);
    assert_int_equal(t.n_down, 0);
    /* The channel may be closed in the middle of it. */
    hostile_method(HOSTILE_CONSUME, 1, IST_CHANNEL_CLOSE,
                   "\x01\x94\4gone\0\0\0\0", 11);
    assert_int_equal(t.n_refused, 1);
    run(6000);
    hostile_deliver(1, 1, "next");
    assert_string_equal(t.body, "next");
    assert_int_equal(t.n_down, 0);
}

static void test_refused_messages(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } refused[] = {
#define ROW(literal) {literal, sizeof(literal) - 1}
        /* Nine tables deep, an empty key, an encoding. */
        ROW("\0\x3c\0\0\0\0\0\0\0\0\0\1\x20\0\0\0\0\x38"
            "\1kF\0\0\0\x31\1kF\0\0\0\x2a\1kF\0\0\0\x23\1kF\0\0\0\x1c"
            "\1kF\0\0\0\x15\1kF\0\0\0\x0e\1kF\0\0\0\7\1kF\0\0\0\0"),
        ROW("\0\x3c\0\0\0\0\0\0\0\0\0\1\x20\0\0\0\0\2\0V"),
        ROW("\0\x3c\0\0\0\0\0\0\0\0\0\1\x40\0\4gzip"),
    };

    (void) state;
    for (size_t i = 0; i < 3; i++) {
        begin_delivery();
        header(refused[i].bytes, refused[i].size);
        hostile_frame(HOSTILE_CONSUME, IST_FRAME_BODY, 1, "x", 1);
        assert_int_equal(t.n_heard, 0);
        assert_int_equal(t.bus->n_dropped, i + 1);
        run(1);
        assert_int_equal(hostile_seen(IST_BASIC_ACK), i + 1);
    }
    hostile_deliver(1, 2, "good");
    assert_int_equal(t.n_heard, 1);
    assert_int_equal(t.n_down, 0);
}

static void test_close_in_message(void **state)
{
    (void) state;
    begin_delivery();
    hostile_method(HOSTILE_CONSUME, 1, IST_CHANNEL_CLOSE,
                   "\x01\x96\4bad!\0\0\0\0", 11);
    assert_int_equal(t.n_down, 0);
    assert_int_equal(t.n_refused, 1);
    assert_non_null(strstr(t.refused.text, "406 bad!"));
    run(6000);
    assert_int_equal(hostile_seen(IST_CHANNEL_CLOSE_OK), 1);
    hostile_deliver(1, 1, "again");
    assert_string_equal(t.body, "again");
}

static void test_method_in_message(void **state)
{
    (void) state;
    begin_delivery();
    begin_delivery();
    assert_came_back();
}

static void test_cancel_by_broker(void **state)
{
    (void) state;
    hostile_method(HOSTILE_CONSUME, 1, IST_BASIC_CANCEL, "\1c\1", 3);
    assert_int_equal(t.n_refused, 1);
    run(6000);
    assert_int_equal(hostile_seen(IST_BASIC_CONSUME), 2);
    assert_int_equal(t.n_down, 0);
    hostile_deliver(1, 1, "again");
    assert_string_equal(t.body, "again");
}

static void test_cancel_in_deliver(void **state)
{
    static char body[BODY_MAX + 1];

    (void) state;
    memset(body, 'b', BODY_MAX);
    t.cancel_in_deliver = true;
    begin_delivery();
    header("\0\x3c\0\0\0\0\0\0\0\1\0\0\0\0", 14);
    hostile_frame(HOSTILE_CONSUME, IST_FRAME_BODY, 1, body, BODY_MAX / 2);
    hostile_frame(HOSTILE_CONSUME, IST_FRAME_BODY, 1, body, BODY_MAX / 2);
    assert_int_equal(t.n_heard, 1);
    assert_int_equal(t.size, BODY_MAX);
    assert_int_equal(t.body[60], 'b');
    assert_string_equal(t.exchange, "x");
    /* What is still on its way finds nobody, and harms nobody. */
    hostile_deliver(1, 2, "late");
    assert_int_equal(t.n_heard, 1);
    run(10);
    assert_int_equal(t.n_down, 0);
    assert_int_equal(hostile_seen(IST_CHANNEL_CLOSE), 1);
}

static bool hold_consume(int role, uint16_t channel, uint32_t method)
{
    (void) role;
    (void) channel;
    return method == IST_BASIC_CONSUME;
}

static void test_early_delivery(void **state)
{
    (void) state;
    hostile.hook = hold_consume;
    hostile_break(HOSTILE_CONSUME);
    assert_int_equal(t.n_down, 1);
    run(1000);
    assert_false(t.bus->is_up);
    hostile_deliver(1, 1, "too early");
    assert_int_equal(t.n_heard, 0);
    assert_came_back();
}

/* A method that nobody answers. */
static void test_no_answer(void **state)
{
    (void) state;
    hostile.hook = hold_consume;
    hostile_break(HOSTILE_CONSUME);
    for (int i = 0; i < 26; i++) { /* Heartbeats go on. */
        hostile_frame(HOSTILE_PUBLISH, 8, 0, "", 0);
        hostile_frame(HOSTILE_CONSUME, 8, 0, "", 0);
        run(1000);
        if (i == 12) {
            assert_true(hostile.n_links > 4);
            assert_int_equal(t.n_up, 1);
            hostile.hook = NULL;
        }
    }
    assert_int_equal(t.n_up, 2);
}

/* Publishing. */

struct sent {
    struct ist_bus_publish publish;
    bool done;
};

static struct sent sent[64];
static bool hush;             /* Confirm nothing. */
static uint16_t hush_channel; /* Where the last publish went. */

static bool hush_publish(int role, uint16_t channel, uint32_t method)
{
    (void) role;
    if (method != IST_BASIC_PUBLISH)
        return false;
    hush_channel = channel;
    return hush;
}

static void on_done(struct ist_op *op)
{
    struct ist_bus_publish *publish =
        IST_CONTAINER(op, struct ist_bus_publish, op);

    IST_CONTAINER(publish, struct sent, publish)->done = true;
}

static void begin(unsigned i, const char *exchange, const char *key)
{
    struct ist_bus_message message = {.exchange = exchange,
                                      .key = key,
                                      .body = "x",
                                      .size = 1,
                                      .mandatory = true};

    sent[i].done = false;
    ist_op_prepare(&sent[i].publish.op, &t.loop, NULL, 60000, on_done);
    ist_bus_publish(t.bus, &sent[i].publish, &message);
    assert_false(sent[i].done);
}

static void begin_hushed(unsigned n)
{
    hush = true;
    hostile.hook = hush_publish;
    for (unsigned i = 0; i < n; i++)
        begin(i, "x", "k");
    run(1);
    for (unsigned i = 0; i < n; i++)
        assert_false(sent[i].done);
}

static void confirm(uint32_t method, uint64_t tag, bool multiple)
{
    uint8_t arguments[9];

    ist_put64(arguments, tag);
    arguments[8] = multiple;
    hostile_method(HOSTILE_PUBLISH, hush_channel, method, arguments, 9);
    run(0);
}

static void assert_outcomes(const char *expected)
{
    for (unsigned i = 0; expected[i]; i++) {
        int rc = sent[i].publish.op.rc;
        char is = !sent[i].done              ? '.'
                  : rc == 0                  ? '0'
                  : rc == IST_BUS_FULL       ? 'F'
                  : rc == IST_BUS_UNROUTABLE ? 'U'
                  : rc == IST_BUS_DENIED     ? 'D'
                  : rc == -ENOTCONN          ? 'N'
                  : rc == -ETIMEDOUT         ? 'T'
                  : rc == -EAGAIN            ? 'A'
                                             : '?';

        if (is != expected[i])
            fail_msg("publish %u: %c instead of %c (%d)", i, is, expected[i],
                     rc);
    }
}

static void test_confirms(void **state)
{
    (void) state;
    begin_hushed(8);
    confirm(IST_BASIC_ACK, 2, false);
    assert_outcomes(".0......");
    confirm(IST_BASIC_ACK, 4, true);
    assert_outcomes("0000....");
    confirm(IST_BASIC_NACK, 6, true);
    assert_outcomes("0000FF..");
    confirm(IST_BASIC_ACK, 0, true); /* All there are. */
    assert_outcomes("0000FF00");
    assert_int_equal(t.n_down, 0);
    confirm(IST_BASIC_ACK, 3, false); /* Again: that is a lie. */
    assert_came_back();
}

static void test_confirm_unknown(void **state)
{
    (void) state;
    begin_hushed(3);
    confirm(IST_BASIC_ACK, 4, true);
    assert_outcomes("NNN");
    assert_came_back();
}

static void test_confirm_extreme(void **state)
{
    (void) state;
    begin_hushed(3);
    confirm(IST_BASIC_ACK, UINT64_MAX, true);
    assert_outcomes("NNN");
    assert_came_back();
}

static void test_return(void **state)
{
    static const char method[] = "\x01\x38\10NO_ROUTE\1x\1k";

    (void) state;
    begin_hushed(3);
    hostile_method(HOSTILE_PUBLISH, hush_channel, IST_BASIC_RETURN, method,
                   sizeof(method) - 1);
    hostile_frame(HOSTILE_PUBLISH, IST_FRAME_HEADER, hush_channel,
                  "\0\x3c\0\0\0\0\0\0\0\0\0\1\0\x80\1"
                  "2",
                  16);
    hostile_frame(HOSTILE_PUBLISH, IST_FRAME_BODY, hush_channel, "x", 1);
    assert_outcomes("...");
    confirm(IST_BASIC_ACK, 3, true);
    assert_outcomes("0U0");
}

static void test_denied(void **state)
{
    static const char topic[] =
        "\x01\x93\x45"
        "ACCESS_REFUSED - access to topic 'bad.key' in exchange 'x' refused..."
        "\0\x3c\0\x28";

    (void) state;
    begin_hushed(1);
    begin(1, "x", "bad.key");
    begin(2, "x", "good.key");
    run(1);
    hostile_method(HOSTILE_PUBLISH, hush_channel, IST_CHANNEL_CLOSE, topic,
                   sizeof(topic) - 1);
    run(0);
    assert_outcomes("NDN");
    assert_int_equal(t.n_down, 0);
    /* It is closed: the next one opens another, never writes to this one. */
    hush = false;
    begin(0, "x", "k");
    run(1);
    assert_outcomes("0");
    assert_int_equal(hostile_seen(IST_CONFIRM_SELECT), 2);
    assert_int_equal(hostile_seen(IST_CHANNEL_CLOSE_OK), 1);
}

/* A refusal on one exchange leaves what is in flight on another alone. */
static void test_denied_other_exchange(void **state)
{
    (void) state;
    begin_hushed(1);
    begin(1, "y", "k");
    run(1);
    hostile_method(HOSTILE_PUBLISH, hush_channel, IST_CHANNEL_CLOSE,
                   "\x01\x93\2no\0\0\0\0", 9);
    run(0);
    assert_outcomes(".D");
}

static void test_nack_streak(void **state)
{
    (void) state;
    begin_hushed(25);
    for (uint64_t tag = 1; tag <= 19; tag++)
        confirm(IST_BASIC_NACK, tag, false);
    assert_int_equal(hostile_seen(IST_CHANNEL_CLOSE), 0);
    confirm(IST_BASIC_NACK, 20, false);
    run(1);
    assert_outcomes("FFFFFFFFFFFFFFFFFFFFNNNNN");
    assert_int_equal(hostile_seen(IST_CHANNEL_CLOSE), 1);
    assert_int_equal(t.n_down, 0);
    hush = false;
    begin(0, "x", "k");
    run(1);
    assert_outcomes("0");
}

static bool nack_all(int role, uint16_t channel, uint32_t method)
{
    static uint64_t tags[256];
    uint8_t arguments[10] = {0};

    if (method == IST_CONFIRM_SELECT)
        tags[channel] = 0;
    if (method != IST_BASIC_PUBLISH)
        return false;
    ist_put64(arguments, ++tags[channel]);
    hostile_method(role, channel, IST_BASIC_NACK, arguments, 9);
    return true;
}

/* With another broker to go to, it goes there when new channels do not help. */
static void test_nack_next_broker(void **state)
{
    (void) state;
    teardown(NULL);
    memset(&t, 0, sizeof(t));
    ist_loop_init_virtual(&t.loop, 1764000000000U);
    hostile_reset(&t.loop);
    make("amqp://me:secret@one,amqp://me:secret@two");
    run(10);
    hostile.hook = nack_all;
    for (int i = 0; i < 60; i++) {
        assert_int_equal(t.n_down, 0);
        begin(0, "x", "k");
        run(1);
    }
    assert_int_equal(t.n_down, 1);
    hostile.hook = NULL;
    run(2000);
    assert_int_equal(t.n_up, 2);
}

static void test_confirm_timeout(void **state)
{
    (void) state;
    begin_hushed(2);
    for (int i = 0; i < 11; i++) {
        hostile_frame(HOSTILE_PUBLISH, 8, 0, "", 0);
        hostile_frame(HOSTILE_CONSUME, 8, 0, "", 0);
        run(1000);
    }
    assert_outcomes("TT");
    assert_int_equal(t.n_down, 0);
    hush = false;
    begin(0, "x", "k");
    run(1);
    assert_outcomes("0");
}

static void test_blocked(void **state)
{
    (void) state;
    begin_hushed(1);
    hostile_method(HOSTILE_PUBLISH, 0, IST_CONNECTION_BLOCKED, "\3low", 4);
    hostile_method(HOSTILE_PUBLISH, 0, IST_CONNECTION_BLOCKED, "\3low", 4);
    assert_int_equal(t.n_blocked, 1);
    begin(1, "x", "k");
    run(0);
    assert_outcomes(".A");
    /* However long: nothing is late meanwhile, and heartbeats go on. */
    hostile.n_heartbeats = 0;
    for (int i = 0; i < 50; i++) {
        hostile_frame(HOSTILE_PUBLISH, 8, 0, "", 0);
        hostile_frame(HOSTILE_CONSUME, 8, 0, "", 0);
        run(1000);
    }
    assert_outcomes(".A");
    assert_int_equal(t.n_down, 0);
    assert_in_range(hostile.n_heartbeats, 20, 40);
    hostile_method(HOSTILE_PUBLISH, 0, IST_CONNECTION_UNBLOCKED, "", 0);
    assert_int_equal(t.n_unblocked, 1);
    assert_int_equal(t.n_drained, 1);
    confirm(IST_BASIC_ACK, 1, false);
    assert_outcomes("0A");
}

static void test_flow(void **state)
{
    (void) state;
    hostile_method(HOSTILE_CONSUME, 1, IST_CHANNEL_FLOW, "\0", 1);
    run(1);
    assert_int_equal(hostile_seen(IST_CHANNEL_FLOW_OK), 1);
    assert_int_equal(t.n_down, 0);
}

static void test_marks(void **state)
{
    static char body[30000];
    struct ist_bus_message message = {
        .exchange = "x", .key = "k", .body = body, .size = sizeof(body)};

    (void) state;
    hostile.is_slow = true;
    for (int i = 0; i < 3; i++)
        assert_int_equal(ist_bus_send(t.bus, &message), 0);
    assert_int_equal(ist_bus_send(t.bus, &message), -EAGAIN);
    begin(0, "x", "k");
    run(1);
    assert_outcomes("A");
    assert_int_equal(t.n_drained, 0);
    hostile.is_slow = false;
    assert_int_equal(ist_bus_ack(t.bus, &t.consumer, 1), -ENOTCONN);
    run(4000); /* A heartbeat sets it going. */
    assert_int_equal(t.n_drained, 1);
    assert_int_equal(ist_bus_send(t.bus, &message), 0);
}

/* Acks do not ask the high mark; the hard cap stops them. */
static void test_hard_cap(void **state)
{
    (void) state;
    t.ack = true;
    hostile.is_slow = true;
    for (uint64_t tag = 1; tag < 20000 && !t.n_down; tag++) {
        t.ack = tag < 12000;
        hostile_deliver(1, tag, "x");
        if (!t.ack)
            ist_bus_ack(t.bus, &t.consumer, t.tag);
        run(0);
    }
    assert_int_equal(t.n_down, 1);
    hostile.is_slow = false;
    t.ack = false;
    run(1000);
    assert_int_equal(t.n_up, 2);
}

static void test_stalled(void **state)
{
    struct ist_bus_message message = {
        .exchange = "x", .key = "k", .body = "x", .size = 1};

    (void) state;
    hostile.is_slow = true;
    assert_int_equal(ist_bus_send(t.bus, &message), 0);
    for (int i = 0; i < 35 && !t.n_down; i++) {
        hostile_frame(HOSTILE_PUBLISH, 8, 0, "", 0);
        hostile_frame(HOSTILE_CONSUME, 8, 0, "", 0);
        run(1000);
        /* What cannot be sent is no answer due: only progress counts. */
        if (i < 8)
            assert_int_equal(t.n_down, 0);
    }
    assert_int_equal(t.n_down, 1);
}

/* Time. */

static void test_heartbeat(void **state)
{
    uint64_t start = ist_loop_now(&t.loop);

    (void) state;
    while (!t.n_down && ist_loop_now(&t.loop) - start < 30000)
        run(100);
    assert_in_range(ist_loop_now(&t.loop) - start, 12000, 13000);
    assert_non_null(strstr(t.down.text, "heartbeat"));
    assert_true(hostile.n_heartbeats >= 6);
}

/* A loop that stood still must read before it judges. */
static void test_loop_stood_still(void **state)
{
    (void) state;
    run(1000);
    t.loop.now_ms += 20000; /* Nothing ran for so long. */
    ist_loop_step(&t.loop, ist_loop_now(&t.loop));
    assert_int_equal(t.n_down, 0);
    hostile_frame(HOSTILE_PUBLISH, 8, 0, "", 0);
    hostile_frame(HOSTILE_CONSUME, 8, 0, "", 0);
    run(1000);
    assert_int_equal(t.n_down, 0);
}

static void test_connection_close(void **state)
{
    (void) state;
    hostile_method(HOSTILE_CONSUME, 0, IST_CONNECTION_CLOSE,
                   "\x01\x40\x08"
                   "shutdown\0\0\0\0",
                   15);
    assert_non_null(strstr(t.down.text, "320 shutdown"));
    run(1); /* The close-ok was written before the end. */
    assert_came_back();
}

static void test_close_hanging(void **state)
{
    (void) state;
    hostile.is_deaf = true; /* teardown() waits 3 s for the end. */
}

/* Both sides close one channel at the same time. */
static bool hold_close(int role, uint16_t channel, uint32_t method)
{
    (void) role;
    (void) channel;
    return method == IST_CHANNEL_CLOSE;
}

static void test_close_crossing(void **state)
{
    (void) state;
    hostile.hook = hold_close;
    ist_bus_cancel(t.bus, &t.consumer);
    run(1);
    hostile_deliver(1, 1, "late");
    hostile_method(HOSTILE_CONSUME, 1, IST_CHANNEL_CLOSE,
                   "\x01\x94\4gone\0\0\0\0", 11);
    hostile_method(HOSTILE_CONSUME, 1, IST_CHANNEL_CLOSE_OK, "", 0);
    hostile.hook = NULL;
    assert_int_equal(t.n_down, 0);
    assert_int_equal(t.n_heard, 0);
    ist_bus_consume(t.bus, &t.consumer);
    run(10);
    hostile_deliver(1, 1, "again");
    assert_string_equal(t.body, "again");
}

/* Configuration. */

static void refuse_conf(const char *url, const char *ca, const char *why)
{
    struct ist_amqp_conf conf = {.url = (char *) (uintptr_t) url,
                                 .ca = (char *) (uintptr_t) ca,
                                 .certificate = (char *) (uintptr_t) "/no",
                                 .key = (char *) (uintptr_t) "/no",
                                 .heartbeat_ms = 6000};
    struct ist_err err = {0};

    assert_null(ist_amqp_new(&t.loop, &conf, "test", &events, NULL, &err));
    assert_true(err.code < 0);
    assert_non_null(strstr(err.text, why));
    assert_null(strstr(err.text, "secret"));
}

static void test_conf(void **state)
{
    struct rlimit limit, small;

    (void) state;
    refuse_conf(NULL, "/no", "URL");
    refuse_conf("amqps://me:secret@h", "/no", "URL 1");
    refuse_conf("amqps://h", NULL, "needs a CA");
    refuse_conf("amqps://h", "/nowhere/ca.pem", "/nowhere/ca.pem");
    getrlimit(RLIMIT_STACK, &limit);
    small = limit;
    small.rlim_cur = 4 << 20;
    assert_int_equal(setrlimit(RLIMIT_STACK, &small), 0);
    refuse_conf("amqp://me:secret@h", NULL, "stack");
    setrlimit(RLIMIT_STACK, &limit);
}

#define TEST(fn)      cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define TEST_BARE(fn) cmocka_unit_test_setup_teardown(fn, setup_bare, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_BARE(test_tune),
        TEST_BARE(test_small_frames),
        TEST_BARE(test_silent),
        TEST_BARE(test_drip),
        TEST_BARE(test_bad_start),
        TEST_BARE(test_login_refused),
        TEST_BARE(test_addresses),
        TEST(test_start_again),
        TEST(test_bad_frames),
        TEST(test_header_class),
        TEST(test_header_properties),
        TEST(test_body_sizes),
        TEST(test_body_empty_frames),
        TEST(test_body_over_cap),
        TEST(test_refused_messages),
        TEST(test_close_in_message),
        TEST(test_method_in_message),
        TEST(test_cancel_by_broker),
        TEST(test_cancel_in_deliver),
        TEST(test_early_delivery),
        TEST(test_no_answer),
        TEST(test_confirms),
        TEST(test_confirm_unknown),
        TEST(test_confirm_extreme),
        TEST(test_return),
        TEST(test_denied),
        TEST(test_denied_other_exchange),
        TEST(test_nack_streak),
        TEST(test_nack_next_broker),
        TEST(test_confirm_timeout),
        TEST(test_blocked),
        TEST(test_flow),
        TEST(test_marks),
        TEST(test_hard_cap),
        TEST(test_stalled),
        TEST(test_heartbeat),
        TEST(test_loop_stood_still),
        TEST(test_connection_close),
        TEST(test_close_hanging),
        TEST(test_close_crossing),
        TEST(test_conf),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
