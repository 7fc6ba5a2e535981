/* A real RabbitMQ that dies, hangs, blocks or forgets, under a hub that sends
 * numbered commands and a site that acks them. Required each time: everything
 * comes back by itself, no confirmed or retried command is lost, and the loop
 * never stands still: its longest gap, less the time that the machine did not
 * run us at all, stays under 100 ms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bus/amqp.h"
#include "bus/frame.h"
#include "rabbit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#define N_MAX     4096
#define GAP_MAX   100 /* ms */
#define TICK_MS   10
#define PERIOD_MS 20 /* Between two commands. */

struct peer {
    struct ist_bus *bus;
    unsigned n_up, n_down, n_blocked;
    struct ist_err why;
    bool closed;
};

struct command {
    struct ist_bus_publish publish;
    bool is_out, is_confirmed;
    unsigned n_sent, n_heard;
};

static struct {
    struct ist_loop loop;
    struct peer hub, site;
    struct ist_bus_consumer consumer;
    unsigned n_heard_raw, n_refused;
    char user[32];

    struct command commands[N_MAX];
    unsigned n_commands, n_eagain;
    size_t body_size;
    bool is_sending;
    struct ist_timer send, tick, until;
    bool (*is_so)(void);
    bool found;
    uint64_t last_tick, last_wait, max_gap;
} t;

/* The loop's gaps. The machine is shared: what the scheduler made us wait is
 * not the loop's fault (second number of schedstat, in ns). */

static uint64_t scheduler_wait_ms(void)
{
    char text[64] = "";
    int fd = open("/proc/thread-self/schedstat", O_RDONLY);
    unsigned long long run, wait;

    if (fd < 0)
        return 0;
    if (read(fd, text, sizeof(text) - 1) < 0 ||
        sscanf(text, "%llu %llu", &run, &wait) != 2)
        wait = 0;
    close(fd);
    return wait / 1000000;
}

static void on_tick(struct ist_timer *timer)
{
    uint64_t now = ist_loop_now(&t.loop), wait = scheduler_wait_ms();
    uint64_t gap = now - t.last_tick, excused = wait - t.last_wait;

    gap = gap > excused ? gap - excused : 0;
    if (gap > t.max_gap)
        t.max_gap = gap;
    t.last_tick = now;
    t.last_wait = wait;
    if (t.is_so && t.is_so()) {
        t.found = true;
        ist_loop_stop(&t.loop);
    }
    ist_timer_arm_in(timer, &t.loop, TICK_MS, on_tick);
}

static void on_until(struct ist_timer *timer)
{
    (void) timer;
    ist_loop_stop(&t.loop);
}

static bool wait_for(bool (*is_so)(void), uint64_t ms)
{
    t.is_so = is_so;
    t.found = false;
    t.last_tick = ist_loop_now(&t.loop);
    t.last_wait = scheduler_wait_ms();
    ist_timer_arm_in(&t.tick, &t.loop, TICK_MS, on_tick);
    ist_timer_arm_in(&t.until, &t.loop, ms, on_until);
    ist_loop_run(&t.loop);
    ist_timer_disarm(&t.tick);
    ist_timer_disarm(&t.until);
    return t.found;
}

static bool never(void)
{
    return false;
}

static bool both_up(void)
{
    return t.hub.bus->is_up && t.site.bus->is_up;
}

static bool both_down(void)
{
    return t.hub.n_down > 0 && t.site.n_down > 0;
}

static bool both_closed(void)
{
    return t.hub.closed && t.site.closed;
}

static bool all_heard(void)
{
    for (unsigned i = 0; i < t.n_commands; i++)
        if (!t.commands[i].n_heard || !t.commands[i].is_confirmed)
            return false;
    return true;
}

/* Sending: a new command in each period, and those that failed again. */

static void on_done(struct ist_op *op)
{
    struct command *command = IST_CONTAINER(
        IST_CONTAINER(op, struct ist_bus_publish, op), struct command, publish);

    command->is_out = false;
    command->is_confirmed = op->rc == 0;
    t.n_eagain += op->rc == -EAGAIN;
}

static void send_one(unsigned i)
{
    static char body[1 << 20];
    struct command *command = &t.commands[i];
    struct ist_bus_message message = {.exchange = "x.d",
                                      .key = "cmd",
                                      .body = body,
                                      .size = t.body_size,
                                      .type = "cmd",
                                      .mandatory = true,
                                      .persistent = true};

    snprintf(body, sizeof(body), "%u", i);
    command->is_out = true;
    command->n_sent++;
    ist_op_prepare(&command->publish.op, &t.loop, NULL, 0, on_done);
    ist_bus_publish(t.hub.bus, &command->publish, &message);
}

static void on_send(struct ist_timer *timer)
{
    unsigned n = 0;

    ist_timer_arm_in(timer, &t.loop, PERIOD_MS, on_send);
    if (!t.hub.bus->is_up)
        return;
    for (unsigned i = 0; i < t.n_commands && n < 20; i++)
        if (!t.commands[i].is_out && !t.commands[i].is_confirmed) {
            send_one(i);
            n++;
        }
    if (t.is_sending && n == 0 && t.n_commands < N_MAX)
        send_one(t.n_commands++);
}

static void on_deliver(struct ist_bus_consumer *consumer,
                       const struct ist_bus_message *message)
{
    unsigned long i = strtoul(message->body, NULL, 10);

    strlcpy(t.user, message->user, sizeof(t.user));
    t.n_heard_raw++;
    if (message->size && i < t.n_commands)
        t.commands[i].n_heard++;
    ist_bus_ack(t.site.bus, consumer, message->tag);
}

static void on_refused(struct ist_bus_consumer *consumer,
                       const struct ist_err *err)
{
    (void) consumer;
    (void) err;
    t.n_refused++;
}

/* Peers. */

static void on_up(struct ist_bus *bus)
{
    ((struct peer *) bus->owner)->n_up++;
}

static void on_down(struct ist_bus *bus, const struct ist_err *err)
{
    struct peer *peer = bus->owner;

    peer->n_down++;
    peer->why = *err;
}

static void on_blocked(struct ist_bus *bus, bool on)
{
    ((struct peer *) bus->owner)->n_blocked += on;
}

static void on_closed(struct ist_bus *bus)
{
    ((struct peer *) bus->owner)->closed = true;
}

static const struct ist_bus_events events = {
    .up = on_up, .down = on_down, .blocked = on_blocked, .closed = on_closed};

static void join(struct peer *peer, const char *certificate, const char *key)
{
    struct ist_amqp_conf conf = {
        .url = (char *) (uintptr_t) rabbit_url(),
        .ca = (char *) (uintptr_t) rabbit_tls("ca.pem"),
        .certificate = (char *) (uintptr_t) certificate,
        .key = (char *) (uintptr_t) key,
        .heartbeat_ms = 6000,
        .backoff_max_ms = 1000,
        .out_high = 8 << 20,
        .out_hard = 64 << 20,
        .body_max = 1114112};
    struct ist_err err = {0};

    peer->bus = ist_amqp_new(&t.loop, &conf, "faults", &events, peer, &err);
    if (!peer->bus)
        fail_msg("%s", err.text);
}

static int setup(void **state)
{
    (void) state;
    signal(SIGPIPE, SIG_IGN);
    memset(&t, 0, sizeof(t));
    if (rabbit_start() || rabbit_objects() || ist_loop_init(&t.loop))
        return -1;
    join(&t.hub, rabbit_tls("hub-h1.pem"), rabbit_tls("hub-h1.key"));
    join(&t.site, rabbit_tls("site-a.pem"), rabbit_tls("site-a.key"));
    t.consumer = (struct ist_bus_consumer){.queue = "q.cmd",
                                           .ack = true,
                                           .prefetch = 32,
                                           .deliver = on_deliver,
                                           .refused = on_refused};
    ist_bus_consume(t.site.bus, &t.consumer);
    if (!wait_for(both_up, 15000))
        return -1;
    t.max_gap = 0;
    t.is_sending = true;
    t.body_size = 16;
    ist_timer_arm_in(&t.send, &t.loop, 0, on_send);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    ist_timer_disarm(&t.send);
    ist_bus_close(t.hub.bus);
    ist_bus_close(t.site.bus);
    assert_true(wait_for(both_closed, 10000));
    ist_bus_free(t.hub.bus);
    ist_bus_free(t.site.bus);
    ist_loop_fini(&t.loop);
    return 0;
}

static void assert_nothing_lost(void)
{
    unsigned n_twice = 0;

    t.is_sending = false;
    assert_true(wait_for(all_heard, 30000));
    for (unsigned i = 0; i < t.n_commands; i++)
        n_twice += t.commands[i].n_heard > 1;
    print_message("  %u commands, %u heard twice, longest gap %llu ms\n",
                  t.n_commands, n_twice, (unsigned long long) t.max_gap);
    assert_true(t.n_commands > 20);
    assert_in_range(t.max_gap, 0, GAP_MAX);
}

/* The faults. */

static void test_steady(void **state)
{
    (void) state;
    wait_for(never, 14000); /* More than two heartbeats. */
    assert_int_equal(t.hub.n_down + t.site.n_down, 0);
    assert_nothing_lost();
    assert_string_equal(t.user, "hub-h1");
}

static void test_killed(void **state)
{
    (void) state;
    wait_for(never, 1000);
    assert_int_equal(rabbit_begin("kill"), 0);
    assert_true(wait_for(both_down, 10000));
    wait_for(never, 2000);
    assert_int_equal(rabbit_begin("restart"), 0);
    assert_true(wait_for(both_up, 60000));
    assert_nothing_lost();
}

static void test_paused(void **state)
{
    uint64_t start;

    (void) state;
    wait_for(never, 1000);
    assert_int_equal(rabbit_begin("pause"), 0);
    start = ist_loop_now(&t.loop);
    assert_true(wait_for(both_down, 20000));
    /* Two heartbeats of 6 s, and how the ticks fall. */
    assert_in_range(ist_loop_now(&t.loop) - start, 5000, 14500);
    wait_for(never, 12000); /* In vain: it shakes no hands. */
    assert_int_equal(t.hub.n_up, 1);
    assert_int_equal(rabbit_begin("resume"), 0);
    assert_true(wait_for(both_up, 30000));
    assert_nothing_lost();
}

static bool hub_blocked(void)
{
    return t.hub.n_blocked > 0;
}

static bool hub_unblocked(void)
{
    return !t.hub.bus->is_blocked;
}

static void test_alarm(void **state)
{
    (void) state;
    t.body_size = 100000;
    wait_for(never, 500);
    assert_int_equal(rabbit_begin("ctl set_vm_memory_high_watermark 0.0001"),
                     0);
    assert_true(wait_for(hub_blocked, 15000));
    wait_for(never, 14000); /* Longer than two heartbeats. */
    assert_true(t.hub.bus->is_blocked);
    assert_true(t.n_eagain > 0);
    assert_int_equal(
        rabbit_begin("ctl set_vm_memory_high_watermark absolute 1GB"), 0);
    assert_true(wait_for(hub_unblocked, 15000));
    assert_int_equal(t.hub.n_down + t.site.n_down, 0);
    assert_nothing_lost();
}

static bool is_refused(void)
{
    return t.n_refused > 0;
}

static struct ist_bus_consumer extra;
static unsigned n_extra;

static void on_extra(struct ist_bus_consumer *consumer,
                     const struct ist_bus_message *message)
{
    n_extra++;
    if (consumer->ack)
        ist_bus_ack(t.site.bus, consumer, message->tag);
}

static bool heard_extra(void)
{
    return n_extra > 0;
}

static void test_queue_deleted(void **state)
{
    struct ist_bus_message message = {
        .exchange = "x.d", .key = "work", .body = "x", .size = 1};

    (void) state;
    n_extra = 0;
    extra = (struct ist_bus_consumer){
        .queue = "q.work", .deliver = on_extra, .refused = on_refused};
    ist_bus_consume(t.site.bus, &extra);
    wait_for(never, 500);
    assert_int_equal(rabbit_delete_queue("q.work"), 0);
    assert_true(wait_for(is_refused, 10000));
    t.max_gap = 0; /* The administrator's connection blocks us: not counted. */
    assert_int_equal(rabbit_objects(), 0);
    wait_for(never, 6000);
    assert_int_equal(ist_bus_send(t.hub.bus, &message), 0);
    assert_true(wait_for(heard_extra, 10000));
    assert_int_equal(t.hub.n_down + t.site.n_down, 0);
}

/* What any publisher can send through an honest broker. */
static void publish_table(const uint8_t *table, size_t size)
{
    assert_int_equal(
        rabbit_publish_headers("x.d", "work", table, (uint32_t) size), 0);
}

static void test_hostile_headers(void **state)
{
    static uint8_t table[100000];
    const unsigned levels = sizeof(table) / 7;
    size_t at = 0;

    (void) state;
    t.is_sending = false;
    n_extra = 0;
    extra = (struct ist_bus_consumer){.queue = "q.work",
                                      .ack = true,
                                      .prefetch = 1,
                                      .deliver = on_extra,
                                      .refused = on_refused};
    ist_bus_consume(t.site.bus, &extra);
    /* Each level holds all that follow it. */
    for (unsigned i = 0; i < levels - 1; i++, at += 7) {
        ist_put32(table + at, (levels - 1 - i) * 7);
        memcpy(table + at + 4, "\1kF", 3);
    }
    ist_put32(table + at, 0);
    publish_table(table, at + 4);
    publish_table((const uint8_t *) "\0\0\0\2\0V", 6); /* An empty key. */
    publish_table((const uint8_t *) "\0\0\0\3\1kV", 7);
    /* Prefetch 1: the two before it must have been acked. */
    assert_true(wait_for(heard_extra, 10000));
    wait_for(never, 500);
    assert_int_equal(n_extra, 1);
    assert_int_equal(t.site.bus->n_dropped, 2);
    assert_int_equal(t.site.n_down, 0);
}

static void copy_file(const char *from, const char *to)
{
    char buf[8192];
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");

    assert_true(in && out);
    assert_true(fwrite(buf, 1, fread(buf, 1, sizeof(buf), in), out) > 0);
    fclose(in);
    fclose(out);
}

static bool hub_back(void)
{
    return t.hub.n_up >= 2 && both_up();
}

static bool heard_from_site(void)
{
    return strcmp(t.user, "site-a") == 0;
}

/* Another certificate under the same path is used from the next connect on. */
static void test_renewed(void **state)
{
    char certificate[300], key[300];

    (void) state;
    strlcpy(certificate, rabbit_tls("renewed.pem"), sizeof(certificate));
    strlcpy(key, rabbit_tls("renewed.key"), sizeof(key));
    copy_file(rabbit_tls("hub-h1.pem"), certificate);
    copy_file(rabbit_tls("hub-h1.key"), key);
    ist_timer_disarm(&t.send);
    ist_bus_close(t.hub.bus);
    t.is_so = NULL;
    wait_for(never, 1000);
    assert_true(t.hub.closed);
    ist_bus_free(t.hub.bus);
    t.hub = (struct peer){.bus = NULL};
    join(&t.hub, certificate, key);
    assert_true(wait_for(both_up, 10000));
    ist_timer_arm_in(&t.send, &t.loop, 0, on_send);
    wait_for(never, 2000);
    assert_string_equal(t.user, "hub-h1");
    copy_file(rabbit_tls("site-a.pem"), certificate);
    copy_file(rabbit_tls("site-a.key"), key);
    rabbit_cut();
    assert_true(wait_for(hub_back, 10000));
    assert_true(wait_for(heard_from_site, 10000));
    /* A broken one: no connection, no crash, and back when it is mended. */
    copy_file(rabbit_tls("hub-h1.pem"), certificate);
    rabbit_cut();
    wait_for(never, 2000);
    assert_false(t.hub.bus->is_up);
    copy_file(rabbit_tls("hub-h1.key"), key);
    assert_true(wait_for(both_up, 10000));
    assert_nothing_lost();
}

/* 40 MiB in one go through TLS, while the loop goes on. */
static void test_burst(void **state)
{
    static char body[1 << 20];
    struct ist_bus_message message = {
        .exchange = "x.f", .key = "", .body = body, .size = sizeof(body)};
    unsigned n = 0;

    (void) state;
    n_extra = 0;
    extra = (struct ist_bus_consumer){.queue = "q.f1", .deliver = on_extra};
    ist_bus_consume(t.site.bus, &extra);
    wait_for(never, 500);
    t.max_gap = 0;
    while (ist_bus_send(t.hub.bus, &message) == 0)
        n++;
    assert_in_range(n, 8, 10); /* To the high mark. */
    wait_for(never, 5000);
    assert_int_equal(n_extra, n);
    assert_int_equal(t.hub.n_down + t.site.n_down, 0);
    assert_nothing_lost();
}

static bool hub_down(void)
{
    return t.hub.n_down > 0;
}

static void test_user_deleted(void **state)
{
    char command[400];

    (void) state;
    wait_for(never, 1000);
    assert_int_equal(rabbit_begin("ctl delete_user hub-h1"), 0);
    assert_true(wait_for(hub_down, 30000));
    wait_for(never, 3000);
    assert_false(t.hub.bus->is_up);
    assert_int_equal(t.hub.n_down, 1);
    assert_true(t.site.bus->is_up);
    snprintf(command, sizeof(command), "ctl import_definitions %s",
             rabbit_tls("../definitions.json"));
    assert_int_equal(rabbit_begin(command), 0);
    assert_true(wait_for(both_up, 30000));
    assert_nothing_lost();
}

/* Passwords, which only tests use; and a wrong one. */
static void test_plain(void **state)
{
    struct ist_amqp_conf conf = {.url = (char *) (uintptr_t) rabbit_plain(),
                                 .heartbeat_ms = 6000,
                                 .backoff_max_ms = 1000,
                                 .out_high = 8 << 20,
                                 .out_hard = 64 << 20,
                                 .body_max = 1114112};
    char url[128];

    (void) state;
    t.is_sending = false;
    ist_timer_disarm(&t.send);
    ist_bus_close(t.hub.bus);
    wait_for(never, 1000);
    assert_true(t.hub.closed);
    ist_bus_free(t.hub.bus);
    snprintf(url, sizeof(url), "amqp://tester:wrong@localhost:%u/%%2Fisthmus",
             rabbit_port() + 1U);
    conf.url = url;
    t.hub = (struct peer){.bus = NULL};
    t.hub.bus = ist_amqp_new(&t.loop, &conf, "plain", &events, &t.hub, NULL);
    wait_for(never, 2000);
    assert_int_equal(t.hub.n_up, 0);
    ist_bus_close(t.hub.bus); /* In the middle of it. */
    wait_for(never, 3000);
    assert_true(t.hub.closed);
    ist_bus_free(t.hub.bus);
    t.hub = (struct peer){.bus = NULL};
    conf.url = (char *) (uintptr_t) rabbit_plain();
    t.hub.bus = ist_amqp_new(&t.loop, &conf, "plain", &events, &t.hub, NULL);
    assert_true(wait_for(both_up, 10000));
    t.is_sending = true;
    ist_timer_arm_in(&t.send, &t.loop, 0, on_send);
    wait_for(never, 2000);
    assert_string_equal(t.user, "tester");
    assert_nothing_lost();
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_steady),        TEST(test_killed),
        TEST(test_paused),        TEST(test_alarm),
        TEST(test_queue_deleted), TEST(test_hostile_headers),
        TEST(test_renewed),       TEST(test_burst),
        TEST(test_user_deleted),  TEST(test_plain),
    };

    if (rabbit_is_missing())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
