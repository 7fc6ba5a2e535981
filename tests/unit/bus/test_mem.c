/* What only the twin can do: faults on demand, and the same ones again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rand.h"
#include "bus/mem.h"

#include <errno.h>
#include <stdio.h>

#define N_MESSAGES 400

static struct {
    struct ist_loop loop;
    struct ist_mem_broker *broker;
    struct ist_bus *hub, *site;
    unsigned n_closed, n_down, n_blocked;
} t;

static void on_down(struct ist_bus *bus, const struct ist_err *err)
{
    (void) bus;
    (void) err;
    t.n_down++;
}

static void on_blocked(struct ist_bus *bus, bool on)
{
    (void) bus;
    t.n_blocked += on;
}

static void on_closed(struct ist_bus *bus)
{
    (void) bus;
    t.n_closed++;
}

static const struct ist_bus_events events = {
    .down = on_down, .blocked = on_blocked, .closed = on_closed};

static void run(uint64_t ms)
{
    uint64_t until = ist_loop_now(&t.loop) + ms;

    while (ist_loop_step(&t.loop, until))
        ;
}

static int setup(void **state)
{
    (void) state;
    memset(&t, 0, sizeof(t));
    ist_rand_plant(7);
    ist_loop_init_virtual(&t.loop, 1764000000000U);
    t.broker = ist_mem_broker_new(&t.loop);
    ist_mem_exchange(t.broker, "x", "topic");
    ist_mem_queue(t.broker, "q", 0, 0);
    ist_mem_bind(t.broker, "q", "x", "k");
    t.hub = ist_mem_new(t.broker, "hub-h1", &events, NULL);
    t.site = ist_mem_new(t.broker, "site-a", &events, NULL);
    run(1);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    ist_bus_close(t.hub);
    ist_bus_close(t.site);
    run(20000);
    assert_int_equal(t.n_closed, 2);
    t.hub = ist_bus_free(t.hub);
    t.site = ist_bus_free(t.site);
    t.broker = ist_mem_broker_free(t.broker);
    ist_loop_fini(&t.loop);
    ist_rand_unplant();
    return 0;
}

struct ear {
    struct ist_bus_consumer consumer;
    unsigned n_heard, n_out_of_order, last, n_refused;
    uint64_t redelivered, at;
    bool ack;
};

static void on_deliver(struct ist_bus_consumer *consumer,
                       const struct ist_bus_message *message)
{
    struct ear *ear = IST_CONTAINER(consumer, struct ear, consumer);
    unsigned number = (unsigned) atoi(message->body);

    ear->n_heard++;
    ear->n_out_of_order += number < ear->last;
    ear->last = number;
    ear->redelivered = message->n_redelivered;
    ear->at = ist_loop_now(&t.loop);
    if (ear->ack)
        assert_int_equal(ist_bus_ack(t.site, consumer, message->tag), 0);
}

static void on_refused(struct ist_bus_consumer *consumer,
                       const struct ist_err *err)
{
    assert_true(err->code < 0);
    IST_CONTAINER(consumer, struct ear, consumer)->n_refused++;
}

static void listen_at(struct ear *ear, struct ist_bus *bus, const char *queue)
{
    ear->consumer.queue = queue;
    ear->consumer.deliver = on_deliver;
    ear->consumer.refused = on_refused;
    ist_bus_consume(bus, &ear->consumer);
}

static struct ist_bus_publish sent[N_MESSAGES];
static unsigned n_done;

static void on_done(struct ist_op *op)
{
    (void) op;
    n_done++;
}

static void say(unsigned i, const char *key, bool persistent,
                uint64_t expiration_ms)
{
    char text[16];
    struct ist_bus_message message = {.exchange = "x",
                                      .key = key,
                                      .body = text,
                                      .mandatory = true,
                                      .persistent = persistent,
                                      .expiration_ms = expiration_ms};

    snprintf(text, sizeof(text), "%u", i);
    message.size = strlen(text) + 1;
    ist_op_prepare(&sent[i].op, &t.loop, NULL, 60000, on_done);
    ist_bus_publish(t.hub, &sent[i], &message);
}

static void say_all(void)
{
    n_done = 0;
    for (unsigned i = 0; i < N_MESSAGES; i++)
        say(i, "k", false, 0);
}

static unsigned count(int rc)
{
    unsigned n = 0;

    for (unsigned i = 0; i < N_MESSAGES; i++)
        n += sent[i].op.rc == rc;
    return n;
}

static void faults(struct ist_mem_faults value)
{
    ist_mem_broker_faults(t.broker, &value);
}

/* Ears are static: they are heard by until teardown has closed the bus. */

static void test_order(void **state)
{
    static struct ear ear;

    (void) state;
    ear = (struct ear){.n_heard = 0};
    listen_at(&ear, t.site, "q");
    faults((struct ist_mem_faults){.delay_min_ms = 1, .delay_max_ms = 50});
    say_all();
    run(200);
    assert_int_equal(n_done, N_MESSAGES);
    assert_int_equal(count(0), N_MESSAGES);
    assert_int_equal(ear.n_heard, N_MESSAGES);
    assert_int_equal(ear.n_out_of_order, 0);
    faults((struct ist_mem_faults){.reorder = 6000});
    say_all();
    run(200);
    assert_int_equal(ear.n_heard, 2 * N_MESSAGES);
    assert_in_range(ear.n_out_of_order, 5, N_MESSAGES / 2);
}

static void test_faults(void **state)
{
    static struct ear ear;

    (void) state;
    ear = (struct ear){.n_heard = 0};
    listen_at(&ear, t.site, "q");
    faults((struct ist_mem_faults){.duplicate = 16384});
    say_all();
    run(1);
    assert_in_range(ear.n_heard, N_MESSAGES * 9 / 8, N_MESSAGES * 3 / 2);

    ear.n_heard = 0;
    faults((struct ist_mem_faults){.nack = 16384});
    say_all();
    run(1);
    assert_in_range(count(IST_BUS_FULL), N_MESSAGES / 8, N_MESSAGES / 2);
    assert_int_equal(ear.n_heard, count(0));

    /* Of those that time out some arrived: it was the confirm that got lost. */
    ear.n_heard = 0;
    faults((struct ist_mem_faults){.lose = 16384});
    say_all();
    run(1);
    assert_in_range(n_done, N_MESSAGES / 3, N_MESSAGES * 3 / 4);
    run(10000);
    assert_int_equal(n_done, N_MESSAGES);
    assert_true(ear.n_heard > count(0));
    assert_true(ear.n_heard < N_MESSAGES);
    assert_int_equal(count(0) + count(-ETIMEDOUT), N_MESSAGES);
}

static void test_crash(void **state)
{
    static struct ear ear;

    (void) state;
    ear = (struct ear){.n_heard = 0};
    say(0, "k", true, 0);
    say(1, "k", false, 0);
    say(2, "k", true, 0);
    run(1);
    assert_int_equal(ist_mem_queue_length(t.broker, "q"), 3);
    say(3, "k", true, 0);
    ist_mem_broker_crash(t.broker, 1000);
    run(999);
    assert_int_equal(sent[3].op.rc, -ENOTCONN);
    assert_int_equal(t.n_down, 2);
    assert_false(t.hub->is_up);
    say(4, "k", true, 0);
    run(0);
    assert_int_equal(sent[4].op.rc, -ENOTCONN);
    run(10);
    assert_true(t.hub->is_up && t.site->is_up);
    assert_int_equal(ist_mem_queue_length(t.broker, "q"), 2);
    listen_at(&ear, t.site, "q");
    run(1);
    assert_int_equal(ear.n_heard, 2);
    assert_int_equal(ear.last, 2);
}

/* Two consumers of one connection on one queue: nothing is lost with it. */
static void test_two_ears_cut(void **state)
{
    static struct ear one, two;

    (void) state;
    one = (struct ear){.consumer = {.ack = true}};
    two = (struct ear){.consumer = {.ack = true}};
    listen_at(&one, t.site, "q");
    listen_at(&two, t.site, "q");
    run(1);
    for (unsigned i = 0; i < 10; i++)
        say(i, "k", false, 0);
    run(1);
    assert_int_equal(one.n_heard + two.n_heard, 10);
    ist_mem_cut(t.site, 100);
    assert_int_equal(ist_mem_queue_length(t.broker, "q"), 10);
    one.ack = two.ack = true;
    run(200);
    assert_int_equal(one.n_heard + two.n_heard, 20);
    assert_true(one.redelivered > 0);
    ist_mem_cut(t.site, 100);
    assert_int_equal(ist_mem_queue_length(t.broker, "q"), 0);
}

static void test_expired_to_dead(void **state)
{
    const struct ist_mem_queue_args args = {.dead_exchange = "x.dead"};
    static struct ear dead;
    uint64_t start;

    (void) state;
    dead = (struct ear){.n_heard = 0};
    ist_mem_exchange(t.broker, "x.dead", "fanout");
    ist_mem_queue(t.broker, "q.dead", 0, 0);
    ist_mem_bind(t.broker, "q.dead", "x.dead", "");
    ist_mem_queue_with(t.broker, "cmd", &args);
    ist_mem_bind(t.broker, "cmd", "x", "cmd");
    listen_at(&dead, t.hub, "q.dead");
    run(1);
    start = ist_loop_now(&t.loop);
    say(7, "cmd", true, 500);
    run(1000);
    assert_int_equal(dead.n_heard, 1);
    assert_int_equal(dead.last, 7);
    assert_int_equal(dead.at - start, 500); /* When due, nobody asking. */
}

static void test_stream_trims(void **state)
{
    const struct ist_mem_queue_args args = {.stream = true, .max_length = 10};
    static struct ear ear;

    (void) state;
    ear = (struct ear){.consumer = {.ack = true, .offset = "first"}};
    ist_mem_queue_with(t.broker, "s", &args);
    ist_mem_bind(t.broker, "s", "x", "e.#");
    for (unsigned i = 0; i < 50; i++)
        say(i, "e.a.b", false, 0);
    run(1);
    assert_int_equal(ist_mem_queue_length(t.broker, "s"), 10);
    listen_at(&ear, t.site, "s"); /* No prefetch: a stream refuses that. */
    run(1);
    assert_true(ear.n_refused > 0);
    ist_bus_cancel(t.site, &ear.consumer);
    ear.consumer.prefetch = 3;
    ear.ack = true;
    listen_at(&ear, t.site, "s");
    run(1);
    assert_int_equal(ear.n_heard, 10);
    assert_int_equal(ear.last, 49);
    assert_int_equal(ist_mem_queue_length(t.broker, "s"), 10);
}

static void test_queue_deleted(void **state)
{
    static struct ear ear;

    (void) state;
    ear = (struct ear){.n_heard = 0};
    listen_at(&ear, t.site, "q");
    run(1);
    ist_mem_queue_delete(t.broker, "q");
    run(2000);
    assert_true(ear.n_refused > 0);
    ist_mem_queue(t.broker, "q", 0, 0);
    ist_mem_bind(t.broker, "q", "x", "k");
    run(6000);
    say(1, "k", false, 0);
    run(1);
    assert_int_equal(ear.n_heard, 1);
}

static void test_denied_in_flight(void **state)
{
    (void) state;
    faults((struct ist_mem_faults){.delay_min_ms = 5, .delay_max_ms = 5});
    say(0, "k", false, 0);
    say(1, "k", false, 0);
    ist_mem_deny(t.broker, "hub-h1", "x", true);
    run(20);
    assert_int_equal(sent[0].op.rc, IST_BUS_DENIED);
    assert_int_equal(sent[1].op.rc, -ENOTCONN);
    ist_mem_deny(t.broker, "hub-h1", "x", false);
    say(2, "k", false, 0);
    run(20);
    assert_int_equal(sent[2].op.rc, 0);
}

static void test_blocked_holds(void **state)
{
    static struct ear ear;

    (void) state;
    ear = (struct ear){.n_heard = 0};
    listen_at(&ear, t.site, "q");
    run(1);
    faults((struct ist_mem_faults){.delay_min_ms = 5, .delay_max_ms = 5});
    say_all();
    ist_mem_broker_block(t.broker, true);
    run(100);
    assert_int_equal(t.n_blocked, 2);
    assert_int_equal(n_done, 0);
    ist_mem_broker_block(t.broker, false);
    run(100);
    assert_int_equal(count(0), N_MESSAGES);
    assert_int_equal(ear.n_heard, N_MESSAGES);
    assert_int_equal(ear.n_out_of_order, 0);
}

static unsigned n_tapped;

static void tap(void *arg, const struct ist_bus_message *message)
{
    assert_ptr_equal(arg, &n_tapped);
    assert_string_equal(message->user, "hub-h1");
    n_tapped++;
}

static void test_tap_inject(void **state)
{
    static struct ear ear;
    struct ist_bus_message forged = {
        .exchange = "x", .key = "k", .user = "nobody", .body = "99", .size = 3};

    (void) state;
    ear = (struct ear){.n_heard = 0};
    listen_at(&ear, t.site, "q");
    ist_mem_broker_tap(t.broker, tap, &n_tapped);
    faults((struct ist_mem_faults){.lose = 65536});
    say(0, "k", false, 0);
    run(1);
    assert_int_equal(n_tapped, 1);
    assert_int_equal(ear.n_heard, 0);
    faults((struct ist_mem_faults){.lose = 0});
    ist_mem_inject(t.broker, &forged);
    run(1);
    assert_int_equal(ear.n_heard, 1);
    assert_int_equal(ear.last, 99);
    run(10000);
}

/* One seed, one history. */
static uint64_t history(uint64_t seed)
{
    struct ear ear = {.n_heard = 0};
    uint64_t hash = 0;
    void *state = NULL;

    setup(&state);
    ist_rand_plant(seed);
    faults((struct ist_mem_faults){.lose = 3000,
                                   .duplicate = 3000,
                                   .nack = 3000,
                                   .reorder = 3000,
                                   .delay_max_ms = 20});
    listen_at(&ear, t.site, "q");
    say_all();
    run(10);
    ist_mem_cut(t.site, 3);
    run(15000);
    for (unsigned i = 0; i < N_MESSAGES; i++)
        hash = hash * 31 + (uint64_t) (sent[i].op.rc + 1000);
    hash = hash * 31 + ear.n_heard;
    hash = hash * 31 + ear.n_out_of_order;
    teardown(&state);
    return hash;
}

static void test_replay(void **state)
{
    (void) state;
    assert_true(history(1) == history(1));
    assert_true(history(1) != history(2));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_order),
        TEST(test_faults),
        TEST(test_crash),
        TEST(test_two_ears_cut),
        TEST(test_expired_to_dead),
        TEST(test_stream_trims),
        TEST(test_queue_deleted),
        TEST(test_denied_in_flight),
        TEST(test_blocked_holds),
        TEST(test_tap_inject),
        cmocka_unit_test(test_replay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
