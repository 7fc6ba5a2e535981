/* The way of large bodies: opened when one comes, left to the others when it
 * cannot be had, and standing back behind what is small. */
#include "word.h"

#include "serve/bulk.h"

#define PIECE (256U * 1024) /* Of a large body, in one frame. */
#define OPENS 200           /* Milliseconds: enough for a connection. */

static struct {
    struct box *box;
    struct serve_bulk bulk;
    struct ist_bus *bus; /* The last that was dialled; it may be gone. */
    unsigned n_dialled, n_large;
    struct ist_bus_consumer large;
} t;

static struct ist_bus *dial(void *arg, const struct ist_bus_events *events,
                            void *owner, struct ist_err *err)
{
    struct box *box = arg;

    (void) err;
    t.n_dialled++;
    t.bus = ist_mem_new(box->broker, "hkg", events, owner);
    return t.bus;
}

/* What the hub hears on its queue for large bodies is an answer like any. */
static void on_large(struct ist_bus_consumer *consumer,
                     const struct ist_bus_message *message)
{
    (void) consumer;
    t.n_large++;
    on_reply(&t.box->replies, message);
}

static int setup_bulk(void **state)
{
    static const struct ist_mem_faults quick = {.connect_min_ms = 20,
                                                .connect_max_ms = 20};
    struct box *box;

    setup(state);
    box = *state;
    memset(&t, 0, sizeof(t));
    t.box = box;
    ist_mem_broker_faults(box->broker, &quick);
    ist_mem_queue(box->broker, "site.hkg.bulk", 0, 0);
    ist_mem_bind(box->broker, "site.hkg.bulk", "x.req", "bulk.hkg");
    t.large = (struct ist_bus_consumer){.queue = "hub.h1.bulk",
                                        .bind_exchange = "x.rep",
                                        .bind_key = "h1-1b.*",
                                        .deliver = on_large};
    ist_bus_consume(box->hub_bus, &t.large);
    serve_bulk_init(&t.bulk, &box->serve, dial, box);
    box->serve.conf.bulk_yield_ms = 10;
    run(box, 10);
    return 0;
}

static int teardown_bulk(void **state)
{
    struct box *box = *state;

    serve_bulk_stop(&t.bulk);
    run(box, 100);
    assert_true(serve_bulk_is_closed(&t.bulk));
    return teardown(state);
}

static void ask_large(struct box *box, const char *bulk_word)
{
    struct word word;

    prepare(box, &word, "GET", NULL);
    word.relay.window = 64U << 20;
    word.relay.bulk_word = (char *) (uintptr_t) bulk_word;
    say(box, &word);
}

static void gives_pieces(unsigned n)
{
    char *text = malloc(PIECE);

    memset(text, 'x', PIECE);
    while (n-- > 0)
        assert_int_equal(cloud.exchange->on_data(cloud.exchange, text, PIECE),
                         0);
    free(text);
}

static void test_a_large_answer_goes_apart(void **state)
{
    struct box *box = *state;

    ask_large(box, "h1-1b");
    answers(200, "Content-Type: application/octet-stream\r\n");
    gives("of who knows what length");
    run(box, 5);
    assert_int_equal(t.n_dialled, 1);
    assert_int_equal(box->n_frames, 0); /* It waits for its way. */
    run(box, OPENS);
    assert_int_equal(t.n_large, 1);
    gives(", and on");
    ends(0);
    run(box, 5);
    assert_complete(box, 0);
    assert_int_equal(t.n_large, 2);
    assert_int_equal(box->n_frames, 2);

    /* Now it is there. */
    ask_large(box, "h1-1b");
    answers(200, "Content-Length: 2000000\r\n");
    gives("abc");
    run(box, 5);
    assert_int_equal(t.n_large, 3);
    assert_int_equal(t.n_dialled, 1);
    ends(0);
    run(box, 5);
}

static void test_what_does_not(void **state)
{
    static const char *const heads[] = {
        "Content-Type: application/octet-stream\r\nContent-Length: 5\r\n",
        "Content-Type: application/octet-stream\r\nContent-Length: 0\r\n",
        "Content-Type: application/json\r\n",
        "Content-Type: application/json\r\nContent-Length: 2000000\r\n",
    };
    struct box *box = *state;

    for (size_t i = 0; i < IST_COUNT(heads); i++) {
        box->n_lasts = box->n_frames = 0;
        ask_large(box, "h1-1b");
        answers(200, heads[i]);
        ends(0);
        run(box, 5);
        assert_complete(box, 0);
    }
    /* The hub has no such queue, or says nonsense. */
    ask_large(box, "");
    answers(200, "");
    ends(0);
    ask_large(box, "h1.x");
    answers(200, "");
    ends(0);
    run(box, 5);
    assert_int_equal(t.n_dialled, 0);
    assert_int_equal(t.n_large, 0);
}

static void ask_large_upload(struct box *box, uint64_t length)
{
    struct word word;

    prepare(box, &word, "GET", NULL);
    word.relay.body_follows = true;
    word.relay.body_length = length;
    word.relay.bulk_word = (char *) "h1-1b";
    word.assertion.body_hash.len = 0;
    say(box, &word);
}

static void send_apart(struct box *box, uint32_t index, const char *text)
{
    Isthmus__V1__Data data = ISTHMUS__V1__DATA__INIT;
    struct ist_letter letter;

    data.index = index;
    data.bytes =
        (ProtobufCBinaryData){strlen(text), (uint8_t *) (uintptr_t) text};
    send_body_to(box, "bulk.hkg", IST_KIND_DATA, &data.base, &letter);
}

static void test_a_large_body_comes_apart(void **state)
{
    struct box *box = *state;
    char buf[16];

    ask_large_upload(box, 0);
    assert_int_equal(box->n_frames, 0);
    run(box, OPENS);
    assert_int_equal(box->n_frames, 1);
    assert_true(box->reply->granted > 0 && box->reply->by_bulk);
    assert_int_equal(t.n_large, 0); /* What it says is small. */
    send_apart(box, 0, "abc");
    assert_int_equal(cloud.exchange->on_body(cloud.exchange, buf, 16), 3);
    assert_memory_equal(buf, "abc", 3);
    ends(0);
    run(box, 5);

    ask_large_upload(box, 100000);
    assert_int_equal(box->n_frames, 3);
    assert_true(box->reply->granted > 0 && !box->reply->by_bulk);
    ends(0);
    run(box, 5);
    assert_int_equal(t.n_dialled, 1);
}

static void test_none_to_be_had(void **state)
{
    struct box *box = *state;

    ist_mem_queue_delete(box->broker, "site.hkg.bulk");
    ask_large(box, "h1-1b");
    answers(200, "");
    gives("abc");
    run(box, 3000);
    assert_int_equal(t.n_large, 0);
    assert_data(box, "abc");
    ends(0);
    run(box, 5);
    assert_complete(box, 0);
    assert_true(serve_bulk_is_closed(&t.bulk));

    /* Not again at once. */
    ask_large(box, "h1-1b");
    answers(200, "");
    gives("def");
    run(box, 5);
    assert_data(box, "def");
    ends(0);
    run(box, 5);
    assert_int_equal(t.n_dialled, 1);

    ist_mem_queue(box->broker, "site.hkg.bulk", 0, 0);
    run(box, 30000);
    ask_large(box, "h1-1b");
    answers(200, "");
    gives("ghi");
    run(box, OPENS);
    assert_int_equal(t.n_dialled, 2);
    assert_int_equal(t.n_large, 1);
    ends(0);
    run(box, 5);
}

static void test_lost_in_the_middle(void **state)
{
    struct box *box = *state;

    ask_large(box, "h1-1b");
    answers(200, "");
    gives("abc");
    run(box, OPENS);
    assert_int_equal(t.n_large, 1);
    ist_mem_cut(t.bus, 1000);
    run(box, 50);
    assert_int_equal(t.n_large, 1);
    assert_int_equal(cloud.n_cancelled, 1);
    assert_failure(box, ISTHMUS__V1__FAILURE__CODE__UNREACHABLE);
    run(box, 5);
    assert_true(serve_bulk_is_closed(&t.bulk));
}

/* The same when the service has said all, and the hub has not taken it. */
static void test_lost_at_the_end(void **state)
{
    struct box *box = *state;
    struct word word;

    prepare(box, &word, "GET", NULL);
    word.relay.window = 4;
    word.relay.bulk_word = (char *) "h1-1b";
    say(box, &word);
    answers(200, "");
    gives("abcdef");
    ends(0);
    run(box, OPENS);
    assert_data(box, "abcd");
    ist_mem_cut(t.bus, 1000);
    run(box, 50);
    assert_failure(box, ISTHMUS__V1__FAILURE__CODE__UNREACHABLE);
}

static void test_closed_when_nobody_needs_it(void **state)
{
    struct box *box = *state;

    ask_large(box, "h1-1b");
    answers(200, "");
    for (int i = 0; i < 25; i++) { /* It lasts as long as one. */
        gives("abc");
        run(box, 4000);
    }
    assert_int_equal(t.bulk.state, BULK_OPEN);
    ends(0);
    run(box, 59000);
    assert_int_equal(t.bulk.state, BULK_OPEN);
    run(box, 2000);
    assert_true(serve_bulk_is_closed(&t.bulk));
    assert_null(t.bulk.bus);
}

static void test_small_goes_first(void **state)
{
    struct box *box = *state;
    struct os_exchange *image;
    unsigned before;

    ask_large(box, "h1-1b");
    answers(200, "");
    run(box, OPENS);
    gives_pieces(8);
    run(box, 1);
    before = t.n_large;
    assert_true(before >= 8); /* Nothing else is to be done. */
    image = cloud.exchange;
    ask_large(box, "");
    run(box, 20);
    before = t.n_large;
    cloud.exchange = image;
    gives_pieces(8);
    run(box, 35);
    assert_in_range(t.n_large - before, 3, 5);
    run(box, 100);
    assert_int_equal(t.n_large - before, 8);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, setup_bulk, teardown_bulk)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_large_answer_goes_apart),   TEST(test_what_does_not),
        TEST(test_a_large_body_comes_apart),    TEST(test_none_to_be_had),
        TEST(test_lost_in_the_middle),          TEST(test_lost_at_the_end),
        TEST(test_closed_when_nobody_needs_it), TEST(test_small_goes_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
