#include "bus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#define HEARD_MAX 4096

struct heard {
    char exchange[64], key[64], type[16], user[32];
    char body[64];
    size_t size;
    uint64_t correlation, tag, offset, n_redelivered;
};

/* One principal and what happened to it. */
struct peer {
    struct ist_bus *bus;
    unsigned n_up, n_down, n_blocked, n_unblocked, n_drained;
    bool closed;
};

/* A consumer that keeps what it hears. */
struct ear {
    struct ist_bus_consumer consumer;
    struct peer *peer;
    struct heard heard[HEARD_MAX];
    size_t n_heard;
    unsigned n_refused, n_placed;
    bool ack_all;
    void (*react)(struct ear *);
};

struct sent {
    struct ist_bus_publish publish;
    bool done;
};

static struct {
    struct ist_loop loop;
    struct peer hub, site;
    struct ear ears[4];
} t;

/* Turning the loop until something is so. */

struct wait {
    struct ist_timer timer;
    uint64_t limit;
    bool (*is_so)(const void *);
    const void *arg;
    bool found;
};

static void on_tick(struct ist_timer *timer)
{
    struct wait *wait = IST_CONTAINER(timer, struct wait, timer);

    wait->found = wait->is_so(wait->arg);
    if (wait->found || ist_loop_now(&t.loop) >= wait->limit)
        ist_loop_stop(&t.loop);
    else
        ist_timer_arm_in(timer, &t.loop, 2, on_tick);
}

static bool wait_for(bool (*is_so)(const void *), const void *arg,
                     uint64_t timeout_ms)
{
    struct wait wait = {.is_so = is_so, .arg = arg};

    wait.limit = ist_loop_now(&t.loop) + timeout_ms;
    ist_timer_arm_in(&wait.timer, &t.loop, 0, on_tick);
    ist_loop_run(&t.loop);
    return wait.found;
}

static bool never(const void *arg)
{
    (void) arg;
    return false;
}

static void rest(uint64_t ms)
{
    wait_for(never, NULL, ms);
}

static bool is_up(const void *arg)
{
    const struct peer *peer = arg;

    return peer->bus->is_up;
}

static bool is_closed(const void *arg)
{
    const struct peer *peer = arg;

    return peer->closed;
}

static bool is_done(const void *arg)
{
    const struct sent *sent = arg;

    return sent->done;
}

static struct ear *count_ear;
static size_t count_wanted;

static bool has_heard(const void *arg)
{
    (void) arg;
    return count_ear->n_heard >= count_wanted;
}

static bool hears(struct ear *ear, size_t n)
{
    count_ear = ear;
    count_wanted = n;
    return wait_for(has_heard, NULL, conform_bus.timeout_ms);
}

/* Peers. */

static void on_up(struct ist_bus *bus)
{
    struct peer *peer = bus->owner;

    assert_true(bus->is_up);
    peer->n_up++;
}

static void on_down(struct ist_bus *bus, const struct ist_err *err)
{
    struct peer *peer = bus->owner;

    assert_true(err->code < 0);
    assert_true(err->text[0] != '\0');
    peer->n_down++;
}

static void on_blocked(struct ist_bus *bus, bool on)
{
    struct peer *peer = bus->owner;

    if (on)
        peer->n_blocked++;
    else
        peer->n_unblocked++;
}

static void on_drained(struct ist_bus *bus)
{
    struct peer *peer = bus->owner;

    peer->n_drained++;
}

static void on_closed(struct ist_bus *bus)
{
    struct peer *peer = bus->owner;

    peer->closed = true;
}

static const struct ist_bus_events events = {
    .up = on_up,
    .down = on_down,
    .blocked = on_blocked,
    .drained = on_drained,
    .closed = on_closed,
};

static void join(struct peer *peer, const char *user)
{
    *peer = (struct peer){.bus = NULL};
    peer->bus = conform_bus.make(user, &events, peer);
    assert_non_null(peer->bus);
}

static void leave(struct peer *peer)
{
    if (!peer->bus)
        return;
    ist_bus_close(peer->bus);
    assert_false(peer->closed); /* Never inside the call. */
    assert_true(wait_for(is_closed, peer, conform_bus.timeout_ms));
    peer->bus = ist_bus_free(peer->bus);
}

static int setup(void **state)
{
    (void) state;
    memset(&t, 0, sizeof(t));
    if (conform_bus.start(&t.loop))
        return -1;
    join(&t.hub, "hub-h1");
    join(&t.site, "site-a");
    if (!wait_for(is_up, &t.hub, conform_bus.timeout_ms) ||
        !wait_for(is_up, &t.site, conform_bus.timeout_ms))
        return -1;
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    leave(&t.hub);
    leave(&t.site);
    conform_bus.stop(&t.loop);
    return 0;
}

/* Ears. */

static void on_deliver(struct ist_bus_consumer *consumer,
                       const struct ist_bus_message *message)
{
    struct ear *ear = IST_CONTAINER(consumer, struct ear, consumer);
    struct heard *heard;

    assert_true(ear->n_heard < HEARD_MAX);
    heard = &ear->heard[ear->n_heard++];
    *heard = (struct heard){.size = message->size,
                            .correlation = message->correlation,
                            .tag = message->tag,
                            .offset = message->offset,
                            .n_redelivered = message->n_redelivered};
    strlcpy(heard->exchange, message->exchange, sizeof(heard->exchange));
    strlcpy(heard->key, message->key, sizeof(heard->key));
    strlcpy(heard->type, message->type ? message->type : "",
            sizeof(heard->type));
    strlcpy(heard->user, message->user, sizeof(heard->user));
    memcpy(heard->body, message->body,
           message->size < sizeof(heard->body) ? message->size
                                               : sizeof(heard->body));
    if (ear->ack_all)
        assert_int_equal(ist_bus_ack(ear->peer->bus, consumer, message->tag),
                         0);
    if (ear->react)
        ear->react(ear);
}

static void on_refused(struct ist_bus_consumer *consumer,
                       const struct ist_err *err)
{
    struct ear *ear = IST_CONTAINER(consumer, struct ear, consumer);

    assert_true(err->text[0] != '\0');
    ear->n_refused++;
}

static void on_placed(struct ist_bus_consumer *consumer)
{
    IST_CONTAINER(consumer, struct ear, consumer)->n_placed++;
}

static struct ear *ear_on(unsigned i, const char *queue)
{
    struct ear *ear = &t.ears[i];

    memset(ear, 0, sizeof(*ear));
    ear->consumer = (struct ist_bus_consumer){.queue = queue,
                                              .deliver = on_deliver,
                                              .placed = on_placed,
                                              .refused = on_refused};
    return ear;
}

static void listen_at(struct ear *ear, struct peer *peer)
{
    ear->peer = peer;
    ist_bus_consume(peer->bus, &ear->consumer);
}

/* Publishing. */

static void on_done(struct ist_op *op)
{
    struct ist_bus_publish *publish =
        IST_CONTAINER(op, struct ist_bus_publish, op);

    IST_CONTAINER(publish, struct sent, publish)->done = true;
}

static struct ist_bus_message text_message(const char *exchange,
                                           const char *key, const char *text)
{
    return (struct ist_bus_message){.exchange = exchange,
                                    .key = key,
                                    .body = text,
                                    .size = strlen(text),
                                    .mandatory = true};
}

static void begin(struct sent *sent, struct peer *peer,
                  const struct ist_bus_message *message)
{
    sent->done = false;
    ist_op_prepare(&sent->publish.op, &t.loop, NULL, 20000, on_done);
    ist_bus_publish(peer->bus, &sent->publish, message);
    assert_false(sent->done);
}

static int outcome(struct sent *sent)
{
    assert_true(wait_for(is_done, sent, conform_bus.timeout_ms));
    return sent->publish.op.rc;
}

static int say(struct peer *peer, const char *exchange, const char *key,
               const char *text)
{
    struct ist_bus_message message = text_message(exchange, key, text);
    struct sent sent;

    begin(&sent, peer, &message);
    return outcome(&sent);
}

/* The battery. */

static void test_up(void **state)
{
    struct peer extra;
    struct sent sent;
    struct ist_bus_message message = text_message("x.d", "work", "x");

    (void) state;
    assert_int_equal(t.hub.n_up, 1);
    assert_int_equal(t.hub.bus->n_connects, 1);
    assert_true(ist_bus_generation(t.hub.bus) > 1000000000000U);
    join(&extra, "hub-h1");
    begin(&sent, &extra, &message);
    assert_int_equal(outcome(&sent), -ENOTCONN);
    extra.n_up = 0;
    leave(&extra); /* Also while it connects. */
}

static void test_fields(void **state)
{
    struct ear *ear = ear_on(0, "q.work");
    struct ist_bus_message message = text_message("x.d", "work", "hello");

    (void) state;
    message.type = "call";
    message.correlation = 0x0123456789abcdefU;
    listen_at(ear, &t.hub);
    assert_int_equal(ist_bus_send(t.site.bus, &message), 0);
    assert_true(hears(ear, 1));
    assert_string_equal(ear->heard[0].exchange, "x.d");
    assert_string_equal(ear->heard[0].key, "work");
    assert_string_equal(ear->heard[0].type, "call");
    assert_string_equal(ear->heard[0].user, "site-a");
    assert_int_equal(ear->heard[0].size, 5);
    assert_memory_equal(ear->heard[0].body, "hello", 5);
    assert_true(ear->heard[0].correlation == 0x0123456789abcdefU);
    assert_int_equal(ear->heard[0].n_redelivered, 0);

    /* An empty body, and none of the optional fields. */
    assert_int_equal(say(&t.site, "x.d", "work", ""), 0);
    assert_true(hears(ear, 2));
    assert_int_equal(ear->heard[1].size, 0);
    assert_string_equal(ear->heard[1].type, "");
    assert_true(ear->heard[1].correlation == 0);
    assert_int_equal(t.hub.bus->n_delivered, 2);
}

static struct {
    char names[IST_BUS_HEADERS_MAX][16], values[IST_BUS_HEADERS_MAX][16];
    size_t n, longest;
} seen_headers;

static void see_headers(struct ist_bus_consumer *consumer,
                        const struct ist_bus_message *message)
{
    (void) consumer;
    seen_headers.n = message->n_headers;
    for (size_t i = 0; i < message->n_headers; i++) {
        size_t len = strlen(message->headers[i].value);

        snprintf(seen_headers.names[i], 16, "%s", message->headers[i].name);
        snprintf(seen_headers.values[i], 16, "%.15s",
                 message->headers[i].value);
        if (len > seen_headers.longest)
            seen_headers.longest = len;
    }
}

static bool headers_came(const void *arg)
{
    return seen_headers.n == *(const size_t *) arg;
}

static void test_headers(void **state)
{
    char longest[IST_BUS_HEADERS_SIZE - 16];
    const struct ist_bus_header headers[] = {
        {"x-first", "one"}, {"b", longest}, {"c", "3"}, {"d", "4"}};
    struct ist_bus_consumer consumer = {.queue = "q.work",
                                        .deliver = see_headers};
    struct ist_bus_message message = text_message("x.d", "work", "hello");
    size_t n = IST_BUS_HEADERS_MAX, none = 0;

    (void) state;
    memset(longest, 'v', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    memset(&seen_headers, 0, sizeof(seen_headers));
    ist_bus_consume(t.hub.bus, &consumer);
    message.headers = headers;
    message.n_headers = n;
    assert_int_equal(ist_bus_send(t.site.bus, &message), 0);
    assert_true(wait_for(headers_came, &n, 5000));
    assert_string_equal(seen_headers.names[0], "x-first");
    assert_string_equal(seen_headers.values[0], "one");
    assert_int_equal(seen_headers.longest, sizeof(longest) - 1);
    assert_string_equal(seen_headers.values[3], "4");
    message.n_headers = 0;
    assert_int_equal(ist_bus_send(t.site.bus, &message), 0);
    assert_true(wait_for(headers_came, &none, 5000));
    ist_bus_cancel(t.hub.bus, &consumer);
}

static void test_outcomes(void **state)
{
    struct ist_bus_message message = text_message("x.d", "nowhere", "x");
    struct sent sent;

    (void) state;
    assert_int_equal(say(&t.site, "x.d", "work", "x"), 0);
    assert_int_equal(say(&t.site, "x.d", "nowhere", "x"), IST_BUS_UNROUTABLE);
    message.mandatory = false;
    begin(&sent, &t.site, &message);
    assert_int_equal(outcome(&sent), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(say(&t.hub, "x.t", "site.a", "x"), 0);
    assert_int_equal(say(&t.hub, "x.t", "site.a", "x"), IST_BUS_FULL);
}

static void test_pipeline_outcomes(void **state)
{
    static struct sent sent[40];
    const char *keys[2] = {"work", "nowhere"};

    (void) state;
    for (int i = 0; i < 40; i++) {
        struct ist_bus_message message = text_message("x.d", keys[i % 2], "x");

        begin(&sent[i], &t.hub, &message);
    }
    for (int i = 0; i < 40; i++)
        assert_int_equal(outcome(&sent[i]), i % 2 ? IST_BUS_UNROUTABLE : 0);
}

static void test_invalid(void **state)
{
    struct ist_bus_message message = text_message("x.d", NULL, "x");
    char key[300];
    struct sent sent;

    (void) state;
    assert_int_equal(ist_bus_send(t.site.bus, &message), -EINVAL);
    memset(key, 'k', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    message.key = key;
    assert_int_equal(ist_bus_send(t.site.bus, &message), -EINVAL);
    begin(&sent, &t.site, &message);
    assert_int_equal(outcome(&sent), -EINVAL);
    key[255] = '\0'; /* As long as it may be. */
    begin(&sent, &t.site, &message);
    assert_int_equal(outcome(&sent), IST_BUS_UNROUTABLE);
}

static void test_expiration(void **state)
{
    struct ist_bus_message message = text_message("x.d", "work", "old");
    struct ear *ear = ear_on(0, "q.work");

    (void) state;
    message.expiration_ms = 50;
    assert_int_equal(ist_bus_send(t.hub.bus, &message), 0);
    rest(300);
    assert_int_equal(say(&t.hub, "x.d", "work", "new"), 0);
    listen_at(ear, &t.hub);
    assert_true(hears(ear, 1));
    assert_memory_equal(ear->heard[0].body, "new", 3);
}

static void test_fanout(void **state)
{
    struct ear *one = ear_on(0, "q.f1"), *two = ear_on(1, "q.f2");

    (void) state;
    listen_at(one, &t.hub);
    listen_at(two, &t.hub);
    assert_int_equal(say(&t.site, "x.f", "any", "x"), 0);
    assert_true(hears(one, 1));
    assert_true(hears(two, 1));
}

/* A queue of one's own, named and bound by generation. */
static struct ear *reply_ear(unsigned i, struct peer *peer)
{
    struct ear *ear = ear_on(i, "hub.h1.{n}.rep");

    ear->consumer.bind_exchange = "x.t";
    ear->consumer.bind_key = "h1-{n}.*";
    ear->consumer.max_length = 100;
    listen_at(ear, peer);
    return ear;
}

static int reply(struct peer *from, struct peer *to, const char *text)
{
    char key[64];

    snprintf(key, sizeof(key), "h1-%llu.site-a",
             (unsigned long long) ist_bus_generation(to->bus));
    return say(from, "x.t", key, text);
}

static void test_own_queue(void **state)
{
    struct ear *ear = reply_ear(0, &t.hub);

    (void) state;
    rest(200);
    assert_int_equal(reply(&t.site, &t.hub, "one"), 0);
    assert_true(hears(ear, 1));
    assert_int_equal(say(&t.site, "x.t", "h1-1.site-a", "x"),
                     IST_BUS_UNROUTABLE);
    ist_bus_cancel(t.hub.bus, &ear->consumer);
    rest(200);
    assert_int_equal(reply(&t.site, &t.hub, "x"), IST_BUS_UNROUTABLE);
}

/* A queue of one's own at somebody else's exchange. */
static struct ear *guest_ear(unsigned i, struct peer *peer, bool declares)
{
    struct ear *ear = ear_on(i, i ? "test.guest-1-{n}" : "test.guest-0-{n}");

    ear->consumer.bind_exchange = "test.x";
    ear->consumer.bind_key = "notifications.*";
    ear->consumer.bind_also = "versioned.*";
    ear->consumer.declare_exchange = declares;
    ear->consumer.max_length = 100;
    ear->consumer.ttl_ms = 60000;
    ear->consumer.retry_max_ms = 200;
    listen_at(ear, peer);
    return ear;
}

static bool is_placed(const void *arg)
{
    return ((const struct ear *) arg)->n_placed >= 1;
}

static bool is_placed_again(const void *arg)
{
    return ((const struct ear *) arg)->n_placed >= 2;
}

static void test_guest(void **state)
{
    struct ear *shy = guest_ear(0, &t.hub, false), *ear;

    (void) state;
    rest(200);
    assert_int_equal(shy->n_placed, 0);
    assert_true(shy->n_refused > 0);
    ear = guest_ear(1, &t.site, true);
    assert_true(wait_for(is_placed, ear, conform_bus.timeout_ms));
    assert_true(wait_for(is_placed, shy, conform_bus.timeout_ms));
    assert_int_equal(say(&t.hub, "test.x", "notifications.info", "a"), 0);
    assert_int_equal(say(&t.hub, "test.x", "versioned.info", "b"), 0);
    assert_int_equal(say(&t.hub, "test.x", "notifications.info.more", "x"),
                     IST_BUS_UNROUTABLE);
    assert_int_equal(say(&t.hub, "test.x", "other.info", "x"),
                     IST_BUS_UNROUTABLE);
    assert_true(hears(ear, 2)); /* Each has all of it. */
    assert_true(hears(shy, 2));
    assert_string_equal(ear->heard[0].key, "notifications.info");
    assert_string_equal(shy->heard[1].key, "versioned.info");
    assert_int_equal(ear->n_placed, 1);
    assert_int_equal(ear->n_refused, 0);
    ist_bus_cancel(t.site.bus, &ear->consumer);
    ist_bus_cancel(t.hub.bus, &shy->consumer);
    rest(200); /* Nothing of theirs is left behind. */
    assert_int_equal(say(&t.hub, "test.x", "notifications.info", "x"),
                     IST_BUS_UNROUTABLE);
}

static void test_guest_returns(void **state)
{
    struct ear *ear = guest_ear(0, &t.site, true);

    (void) state;
    assert_true(wait_for(is_placed, ear, conform_bus.timeout_ms));
    conform_bus.cut(t.site.bus);
    assert_true(wait_for(is_placed_again, ear, conform_bus.timeout_ms));
    assert_true(wait_for(is_up, &t.hub, conform_bus.timeout_ms));
    assert_int_equal(say(&t.hub, "test.x", "notifications.info", "a"), 0);
    assert_true(hears(ear, 1));
}

static bool is_back(const void *arg)
{
    const struct peer *peer = arg;

    return peer->n_up >= 2 && peer->bus->is_up;
}

static void test_cut(void **state)
{
    struct ear *ear = reply_ear(0, &t.hub);
    uint64_t before;

    (void) state;
    rest(200);
    before = ist_bus_generation(t.hub.bus);
    conform_bus.cut(t.hub.bus);
    assert_true(wait_for(is_back, &t.hub, conform_bus.timeout_ms));
    assert_int_equal(t.hub.n_down, 1);
    assert_true(ist_bus_generation(t.hub.bus) > before);
    assert_true(wait_for(is_up, &t.site, conform_bus.timeout_ms));
    assert_int_equal(reply(&t.site, &t.hub, "back"), 0);
    assert_true(hears(ear, 1));
}

static void test_cut_in_flight(void **state)
{
    static struct sent sent[64];
    unsigned n_lost = 0;

    (void) state;
    for (int i = 0; i < 64; i++) {
        struct ist_bus_message message = text_message("x.d", "work", "x");

        begin(&sent[i], &t.hub, &message);
    }
    conform_bus.cut(t.hub.bus);
    for (int i = 0; i < 64; i++)
        n_lost += outcome(&sent[i]) == -ENOTCONN;
    assert_int_equal(n_lost, 64);
}

static void test_redelivery(void **state)
{
    struct ear *ear = ear_on(0, "q.cmd");
    uint64_t old;

    (void) state;
    ear->consumer.ack = true;
    ear->consumer.prefetch = 10;
    listen_at(ear, &t.site);
    assert_int_equal(say(&t.hub, "x.d", "cmd", "do it"), 0);
    assert_true(hears(ear, 1));
    assert_int_equal(ear->heard[0].n_redelivered, 0);
    old = ear->heard[0].tag;
    conform_bus.cut(t.site.bus);
    assert_true(hears(ear, 2));
    assert_true(ear->heard[1].n_redelivered > 0);
    assert_memory_equal(ear->heard[1].body, "do it", 5);
    assert_int_equal(ist_bus_ack(t.site.bus, &ear->consumer, old), -ENOTCONN);
    assert_int_equal(ist_bus_ack(t.site.bus, &ear->consumer, ear->heard[1].tag),
                     0);
    assert_int_equal(ist_bus_ack(t.site.bus, &ear->consumer, ear->heard[1].tag),
                     -EINVAL);
    rest(100); /* The ack must have left. */
    t.site.n_up = 1;
    conform_bus.cut(t.site.bus);
    assert_true(wait_for(is_back, &t.site, conform_bus.timeout_ms));
    rest(300);
    assert_int_equal(ear->n_heard, 2);
}

static void test_delivery_limit(void **state)
{
    struct ear *ear = ear_on(0, "q.cmd"), *dead = ear_on(1, "q.dead");

    (void) state;
    ear->consumer.ack = true;
    ear->consumer.prefetch = 1;
    listen_at(ear, &t.site);
    listen_at(dead, &t.hub);
    assert_int_equal(say(&t.hub, "x.d", "cmd", "poison"), 0);
    for (size_t i = 1; i <= 3; i++) {
        assert_true(hears(ear, i));
        t.site.n_up = 1;
        ist_bus_cancel(t.site.bus, &ear->consumer);
        rest(50);
        listen_at(ear, &t.site);
    }
    assert_true(hears(dead, 1));
    assert_memory_equal(dead->heard[0].body, "poison", 6);
    assert_int_equal(ear->n_heard, 3);
}

static void test_prefetch(void **state)
{
    struct ear *ear = ear_on(0, "q.work");

    (void) state;
    for (int i = 0; i < 6; i++)
        assert_int_equal(say(&t.hub, "x.d", "work", "x"), 0);
    ear->consumer.ack = true;
    ear->consumer.prefetch = 2;
    listen_at(ear, &t.site);
    assert_true(hears(ear, 2));
    rest(200);
    assert_int_equal(ear->n_heard, 2);
    assert_int_equal(ist_bus_ack(t.site.bus, &ear->consumer, ear->heard[1].tag),
                     0);
    assert_true(hears(ear, 3));
    rest(100);
    assert_int_equal(ear->n_heard, 3);
}

static void test_newest_first(void **state)
{
    struct ear *older = ear_on(0, "q.work"), *newer = ear_on(1, "q.work");
    struct peer second;

    (void) state;
    older->consumer.newest_first = newer->consumer.newest_first = true;
    listen_at(older, &t.site);
    rest(300);
    join(&second, "site-a");
    assert_true(wait_for(is_up, &second, conform_bus.timeout_ms));
    listen_at(newer, &second);
    rest(300);
    for (int i = 0; i < 20; i++)
        assert_int_equal(say(&t.hub, "x.d", "work", "x"), 0);
    assert_true(hears(newer, 20));
    assert_int_equal(older->n_heard, 0);
    leave(&second);
    assert_int_equal(say(&t.hub, "x.d", "work", "x"), 0);
    assert_true(hears(older, 1));
}

static void test_stream(void **state)
{
    struct ear *ear = ear_on(0, "q.evt"), *late = ear_on(1, "q.evt");
    char offset[24];

    (void) state;
    ear->consumer.ack = late->consumer.ack = true;
    ear->consumer.prefetch = late->consumer.prefetch = 10;
    ear->consumer.offset = "first";
    for (int i = 0; i < 20; i++)
        assert_int_equal(say(&t.site, "x.t", "site-a.compute.instance.x", "e"),
                         0);
    assert_int_equal(say(&t.site, "x.t", "site-a.alive", "x"),
                     IST_BUS_UNROUTABLE);
    listen_at(ear, &t.hub);
    assert_true(hears(ear, 10));
    rest(100);
    assert_int_equal(ear->n_heard, 10);
    for (size_t i = 1; i < 10; i++)
        assert_true(ear->heard[i].offset > ear->heard[i - 1].offset);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(
            ist_bus_ack(t.hub.bus, &ear->consumer, ear->heard[i].tag), 0);
    assert_true(hears(ear, 15));
    rest(100);

    /* After a cut it goes on with the first that was not acked. */
    ear->ack_all = true;
    conform_bus.cut(t.hub.bus);
    assert_true(hears(ear, 30));
    rest(100);
    assert_int_equal(ear->n_heard, 30);
    assert_true(ear->heard[15].offset == ear->heard[5].offset);

    /* From a number. */
    snprintf(offset, sizeof(offset), "%llu",
             (unsigned long long) ear->heard[7].offset);
    late->consumer.offset = offset;
    late->ack_all = true;
    listen_at(late, &t.hub);
    assert_true(hears(late, 13));
    assert_true(late->heard[0].offset == ear->heard[7].offset);
}

static void test_denied(void **state)
{
    struct ist_bus_message message = text_message("x.deny", "k", "x");
    struct sent sent;

    (void) state;
    begin(&sent, &t.site, &message);
    assert_int_equal(outcome(&sent), IST_BUS_DENIED);
    assert_true(t.site.bus->is_up);
    assert_int_equal(t.site.n_down, 0);
    assert_int_equal(say(&t.site, "x.d", "work", "x"), 0);
    begin(&sent, &t.site, &message);
    assert_int_equal(outcome(&sent), IST_BUS_DENIED);
    message.exchange = "x.missing";
    begin(&sent, &t.site, &message);
    assert_int_equal(outcome(&sent), IST_BUS_DENIED);

    /* A refused send is silence, and the next one arrives. */
    message.exchange = "x.deny";
    assert_int_equal(ist_bus_send(t.site.bus, &message), 0);
    rest(100);
    message = text_message("x.d", "work", "y");
    assert_int_equal(ist_bus_send(t.site.bus, &message), 0);
    struct ear *ear = ear_on(0, "q.work");
    listen_at(ear, &t.hub);
    assert_true(hears(ear, 2));
    assert_memory_equal(ear->heard[1].body, "y", 1);
    assert_int_equal(t.site.n_down, 0);
}

static bool is_refused(const void *arg)
{
    const struct ear *ear = arg;

    return ear->n_refused >= 2;
}

static void test_refused(void **state)
{
    struct ear *ear = ear_on(0, "q.missing"), *good = ear_on(1, "q.work");

    (void) state;
    listen_at(ear, &t.hub);
    listen_at(good, &t.hub);
    assert_int_equal(ear->n_refused, 0);
    assert_true(wait_for(is_refused, ear, conform_bus.timeout_ms));
    assert_int_equal(t.hub.n_down, 0);
    assert_int_equal(say(&t.site, "x.d", "work", "x"), 0);
    assert_true(hears(good, 1));
    ist_bus_cancel(t.hub.bus, &ear->consumer);
}

static void cancel_self(struct ear *ear)
{
    ist_bus_cancel(ear->peer->bus, &ear->consumer);
}

static void test_cancel(void **state)
{
    struct ear *ear = ear_on(0, "q.work"), *next = ear_on(1, "q.work");

    (void) state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(say(&t.hub, "x.d", "work", "x"), 0);
    ear->consumer.ack = true;
    ear->consumer.prefetch = 10;
    ear->react = cancel_self;
    listen_at(ear, &t.site);
    assert_true(hears(ear, 1));
    rest(200);
    assert_int_equal(ear->n_heard, 1); /* Though ten were on their way. */
    assert_int_equal(ist_bus_ack(t.site.bus, &ear->consumer, ear->heard[0].tag),
                     -ENOTCONN);
    listen_at(next, &t.hub);
    assert_true(hears(next, 10));
    ist_bus_cancel(t.site.bus, &ear->consumer); /* Twice: harmless. */
}

static void close_self(struct ear *ear)
{
    ist_bus_close(ear->peer->bus);
}

static void test_close(void **state)
{
    struct ear *ear = ear_on(0, "q.work");
    static struct sent sent[8];
    struct ist_bus_message message = text_message("x.d", "nowhere", "x");

    (void) state;
    ear->react = close_self;
    listen_at(ear, &t.site);
    assert_int_equal(say(&t.hub, "x.d", "work", "x"), 0);
    assert_int_equal(say(&t.hub, "x.d", "work", "x"), 0);
    assert_true(wait_for(is_closed, &t.site, conform_bus.timeout_ms));
    assert_int_equal(ear->n_heard, 1);
    assert_int_equal(t.site.n_down, 0);
    assert_int_equal(ist_bus_send(t.site.bus, &message), -ENOTCONN);
    t.site.bus = ist_bus_free(t.site.bus);

    for (int i = 0; i < 8; i++)
        begin(&sent[i], &t.hub, &message);
    ist_bus_close(t.hub.bus);
    ist_bus_close(t.hub.bus);
    ear = ear_on(1, "q.work");
    listen_at(ear, &t.hub); /* Too late: nothing is kept of it. */
    for (int i = 0; i < 8; i++)
        assert_int_equal(outcome(&sent[i]), -ECANCELED);
    assert_true(wait_for(is_closed, &t.hub, conform_bus.timeout_ms));
    t.hub.bus = ist_bus_free(t.hub.bus);
}

static void test_op_cancel(void **state)
{
    struct ist_bus_message message = text_message("x.d", "work", "x");
    struct sent sent;

    (void) state;
    begin(&sent, &t.hub, &message);
    ist_op_cancel(&sent.publish.op, -ECANCELED);
    assert_int_equal(outcome(&sent), -ECANCELED);
    rest(100); /* Its confirm finds nobody. */
    assert_int_equal(say(&t.hub, "x.d", "work", "x"), 0);
}

static void test_large(void **state)
{
    static char body[1 << 20];
    struct ear *ear = ear_on(0, "q.work");
    struct ist_bus_message message = {
        .exchange = "x.d", .key = "work", .body = body, .size = sizeof(body)};
    const size_t edges[] = {131063, 131064, 131065, 262128, 262129};
    struct sent sent;
    size_t n = 1;

    (void) state;
    listen_at(ear, &t.hub);
    begin(&sent, &t.site, &message);
    assert_int_equal(outcome(&sent), 0);
    assert_true(hears(ear, n));
    assert_int_equal(ear->heard[0].size, sizeof(body));
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        message.size = edges[i];
        begin(&sent, &t.site, &message);
        assert_int_equal(outcome(&sent), 0);
        assert_true(hears(ear, ++n));
        assert_int_equal(ear->heard[n - 1].size, edges[i]);
    }
}

static void test_too_large(void **state)
{
    static char body[2 << 20];
    struct ist_bus_message message = {
        .exchange = "x.d", .key = "work", .body = body, .size = sizeof(body)};
    struct sent sent;

    (void) state;
    assert_int_equal(ist_bus_send(t.site.bus, &message), -EMSGSIZE);
    begin(&sent, &t.site, &message);
    assert_int_equal(outcome(&sent), -EMSGSIZE);
    assert_int_equal(t.site.n_down, 0);
}

static void test_many(void **state)
{
    static struct sent sent[2000];
    struct ear *ear = ear_on(0, "q.work");

    (void) state;
    listen_at(ear, &t.site);
    for (int i = 0; i < 2000; i++) {
        char text[16];
        struct ist_bus_message message;

        snprintf(text, sizeof(text), "%d", i);
        message = text_message("x.d", "work", text);
        begin(&sent[i], &t.hub, &message);
    }
    for (int i = 0; i < 2000; i++)
        assert_int_equal(outcome(&sent[i]), 0);
    assert_true(hears(ear, 2000));
    for (int i = 0; i < 2000; i++)
        assert_int_equal(atoi(ear->heard[i].body), i);
    assert_int_equal(t.hub.bus->n_sent, 2000);
}

static bool is_blocked(const void *arg)
{
    const struct peer *peer = arg;

    return peer->n_blocked > 0;
}

static bool is_drained(const void *arg)
{
    const struct peer *peer = arg;

    return peer->n_drained > 0;
}

static void test_blocked(void **state)
{
    struct ist_bus_message message = text_message("x.d", "work", "x");
    struct sent first, second;

    (void) state;
    if (!conform_bus.block)
        skip();
    conform_bus.block(true);
    /* A real broker tells only those who publish. */
    begin(&first, &t.hub, &message);
    assert_true(wait_for(is_blocked, &t.hub, conform_bus.timeout_ms));
    assert_true(t.hub.bus->is_blocked);
    begin(&second, &t.hub, &message);
    assert_int_equal(outcome(&second), -EAGAIN);
    assert_int_equal(ist_bus_send(t.hub.bus, &message), -EAGAIN);
    assert_int_equal(t.hub.n_drained, 0);
    conform_bus.block(false);
    assert_true(wait_for(is_drained, &t.hub, conform_bus.timeout_ms));
    assert_int_equal(t.hub.n_unblocked, 1);
    assert_int_equal(t.hub.n_down, 0);
    outcome(&first); /* Either -EAGAIN or, held by the broker, taken. */
    assert_true(first.publish.op.rc == 0 || first.publish.op.rc == -EAGAIN);
    assert_int_equal(say(&t.hub, "x.d", "work", "x"), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_up),
        TEST(test_fields),
        TEST(test_headers),
        TEST(test_outcomes),
        TEST(test_pipeline_outcomes),
        TEST(test_invalid),
        TEST(test_expiration),
        TEST(test_fanout),
        TEST(test_own_queue),
        TEST(test_guest),
        TEST(test_guest_returns),
        TEST(test_cut),
        TEST(test_cut_in_flight),
        TEST(test_redelivery),
        TEST(test_delivery_limit),
        TEST(test_prefetch),
        TEST(test_newest_first),
        TEST(test_stream),
        TEST(test_denied),
        TEST(test_refused),
        TEST(test_cancel),
        TEST(test_close),
        TEST(test_op_cancel),
        TEST(test_large),
        TEST(test_too_large),
        TEST(test_many),
        TEST(test_blocked),
    };

    if (conform_bus.is_missing && conform_bus.is_missing())
        return 77;
    return cmocka_run_group_tests_name(conform_bus.name, tests, NULL, NULL);
}
