#include "bus/mem.h"
#include "codec/statement.h"
#include "events/noc.h"

#include "../scratch.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW      1800000000000ULL
#define SEEN_MAX 600

static const char delegation[] = "a signed delegation";

struct seen {
    char key[160], first[64]; /* Id of the first event. */
    size_t n_events;
};

struct box {
    char dir[SCRATCH_SIZE];
    struct ist_loop loop;
    struct ist_tree *tree;
    struct events_log *log;
    struct events_conf conf;
    struct ist_err err;
    struct ist_mem_broker *broker;
    struct ist_bus *bus;
    struct noc *noc;
    struct noc_signer signer;
    uint8_t secret[crypto_sign_SECRETKEYBYTES], key[crypto_sign_PUBLICKEYBYTES];
    bool closed;

    /* One write. */
    struct ist_write write;
    const struct events_item *items;
    size_t n_items, trim;

    struct seen seen[SEEN_MAX];
    size_t n_seen;
};

static void on_closed(struct ist_bus *bus)
{
    ((struct box *) bus->owner)->closed = true;
}

static void on_up(struct ist_bus *bus)
{
    struct box *box = bus->owner;

    if (box->noc)
        noc_up(box->noc);
}

static const struct ist_bus_events bus_events = {.up = on_up,
                                                 .closed = on_closed};

static void run(struct box *box, uint64_t ms)
{
    uint64_t until = ist_loop_now(&box->loop) + ms;

    while (ist_loop_step(&box->loop, until))
        ;
}

static void check_headers(struct box *box,
                          const struct ist_bus_message *message)
{
    uint8_t bytes[256];
    size_t size;

    assert_int_equal(message->n_headers, 2);
    assert_string_equal(message->headers[0].name, "isthmus-signature");
    assert_int_equal(
        sodium_base642bin(bytes, sizeof(bytes), message->headers[0].value,
                          strlen(message->headers[0].value), NULL, &size, NULL,
                          sodium_base64_VARIANT_ORIGINAL),
        0);
    assert_int_equal(size, crypto_sign_BYTES);
    assert_true(ist_statement_verify(IST_STATEMENT_EVENTS, message->body,
                                     message->size, bytes, box->key));
    bytes[5] ^= 1;
    assert_false(ist_statement_verify(IST_STATEMENT_EVENTS, message->body,
                                      message->size, bytes, box->key));
    assert_string_equal(message->headers[1].name, "isthmus-delegation");
    assert_int_equal(
        sodium_base642bin(bytes, sizeof(bytes), message->headers[1].value,
                          strlen(message->headers[1].value), NULL, &size, NULL,
                          sodium_base64_VARIANT_ORIGINAL),
        0);
    assert_int_equal(size, sizeof(delegation));
    assert_memory_equal(bytes, delegation, size);
}

static void on_message(void *arg, const struct ist_bus_message *message)
{
    struct box *box = arg;
    struct seen *seen = &box->seen[box->n_seen];
    json_t *batch = json_loadb(message->body, message->size, 0, NULL);

    assert_true(box->n_seen < SEEN_MAX);
    box->n_seen++;
    assert_string_equal(message->exchange, "x.noc");
    assert_string_equal(message->content_type,
                        "application/cloudevents-batch+json");
    assert_true(message->mandatory && message->persistent);
    assert_true(json_is_array(batch));
    check_headers(box, message);
    snprintf(seen->key, sizeof(seen->key), "%s", message->key);
    snprintf(
        seen->first, sizeof(seen->first), "%s",
        json_string_value(json_object_get(json_array_get(batch, 0), "id")));
    seen->n_events = json_array_size(batch);
    json_decref(batch);
}

static void open_noc(struct box *box)
{
    box->noc = noc_open(box->bus, box->tree, box->log, &box->signer, &box->err);
    assert_non_null(box->noc);
}

static void close_noc(struct box *box)
{
    noc_stop(box->noc);
    run(box, 1000);
    assert_false(noc_busy(box->noc));
    box->noc = noc_free(box->noc);
}

static int setup(void **state)
{
    struct box *box = calloc(1, sizeof(*box));
    struct ist_tree_conf conf = {.size_max = 64U << 20, .maps_max = 16};

    *state = box;
    scratch_make(box->dir);
    box->conf = (struct events_conf){.keep_ms = 3600000, .keep_items = 1000};
    ist_loop_init_virtual(&box->loop, NOW);
    conf.path = scratch_path(box->dir, "hub.db");
    box->tree = ist_tree_open(&box->loop, &conf, &box->err);
    assert_non_null(box->tree);
    box->log = events_log_open(box->tree, &box->conf, &box->err);
    assert_non_null(box->log);
    crypto_sign_keypair(box->key, box->secret);
    box->signer =
        (struct noc_signer){box->secret, delegation, sizeof(delegation)};
    box->broker = ist_mem_broker_new(&box->loop);
    ist_mem_exchange(box->broker, "x.noc", "topic");
    ist_mem_queue(box->broker, "noc.stream", 0, 0);
    ist_mem_bind(box->broker, "noc.stream", "x.noc", "#");
    ist_mem_broker_tap(box->broker, on_message, box);
    box->bus = ist_mem_new(box->broker, "hub-h1", &bus_events, box);
    run(box, 1);
    open_noc(box);
    return 0;
}

static int teardown(void **state)
{
    struct box *box = *state;

    close_noc(box);
    ist_bus_close(box->bus);
    run(box, 20000);
    assert_true(box->closed);
    box->bus = ist_bus_free(box->bus);
    box->broker = ist_mem_broker_free(box->broker);
    box->log = events_log_free(box->log);
    box->tree = ist_tree_free(box->tree);
    ist_loop_fini(&box->loop);
    scratch_drop(box->dir);
    free(box);
    return 0;
}

static int apply(struct ist_write *write, MDB_txn *txn, struct ist_err *err)
{
    struct box *box = IST_CONTAINER(write, struct box, write);
    int rc = 0;

    for (size_t i = 0; i < box->n_items && rc == 0; i++)
        rc = events_log_append(box->log, txn, &box->items[i], NOW, err);
    if (rc == 0 && box->trim)
        rc = events_log_trim(box->log, txn, NOW + 4000000, box->trim, err);
    return rc;
}

static void on_written(struct ist_op *op)
{
    struct box *box = IST_CONTAINER(op, struct box, write.op);

    assert_int_equal(op->rc, 0);
    events_log_committed(box->log);
}

static void commit(struct box *box, const struct events_item *items, size_t n,
                   size_t trim)
{
    box->items = items;
    box->n_items = n;
    box->trim = trim;
    ist_op_prepare(&box->write.op, &box->loop, NULL, 0, on_written);
    ist_tree_write(box->tree, &box->write, apply);
    run(box, 1);
}

static struct events_item item(const char *site, uint64_t sequence,
                               const char *action)
{
    return (struct events_item){.site = site,
                                .origin = site,
                                .epoch = 7,
                                .sequence = sequence,
                                .time_ms = NOW - 5,
                                .severity = EVENTS_INFO,
                                .service = "compute",
                                .kind = "server",
                                .action = action,
                                .subject = "0a1b",
                                .project = "p1",
                                .text = "x"};
}

static void test_batches(void **state)
{
    struct box *box = *state;
    struct events_item items[] = {
        item("hkg", 1, "create"), item("lon", 1, "create"),
        item("hkg", 2, "update"), item("lon", 2, "create")};
    struct noc_counts counts;

    commit(box, items, 4, 0);
    assert_int_equal(box->n_seen, 0); /* They wait for others, shortly. */
    run(box, 5);
    assert_int_equal(box->n_seen, 2);
    assert_string_equal(box->seen[0].key, "hkg.compute.server._.info");
    assert_string_equal(box->seen[0].first, "hkg:7:1");
    assert_int_equal(box->seen[0].n_events, 2);
    assert_string_equal(box->seen[1].key, "lon.compute.server.create.info");
    assert_int_equal(box->seen[1].n_events, 2);
    run(box, 2000);
    noc_count(box->noc, &counts);
    assert_int_equal(counts.events, 4);
    assert_int_equal(counts.messages, 2);
    assert_int_equal(counts.failures, 0);
    assert_int_equal(counts.behind, 0);
    assert_int_equal(events_place_get(box->log, NOC_PLACE), 4);
}

/* The hub numbers its own events, whatever they are about, a site or itself:
 * whoever keeps the highest number of an origin would take one that was
 * overtaken for one that comes twice. */
static void test_order_of_an_origin(void **state)
{
    struct box *box = *state;
    struct events_item items[] = {
        item("hkg", 1, "create"), item("hkg", 1, "absent"),
        item("hub", 2, "dead"),   item("lon", 3, "absent"),
        item("hkg", 2, "create"), item("hkg", 4, "present"),
        item("hub", 5, "dead"),   item("lon", 6, "present")};
    static const char *const first[] = {"hkg:7:1", "hub:7:2", "hub:7:3",
                                        "hub:7:4", "hub:7:5", "hub:7:6"};

    for (size_t i = 0; i < IST_COUNT(items); i++) {
        if (strcmp(items[i].action, "create") != 0)
            items[i].origin = "hub";
    }
    commit(box, items, IST_COUNT(items), 0);
    run(box, 100);
    assert_int_equal(box->n_seen, IST_COUNT(first));
    for (size_t i = 0; i < IST_COUNT(first); i++)
        assert_string_equal(box->seen[i].first, first[i]);
    assert_int_equal(box->seen[0].n_events, 3); /* And in the site's order. */
}

static void test_many_of_one_site(void **state)
{
    struct box *box = *state;
    struct events_item items[150];

    for (size_t i = 0; i < 150; i++)
        items[i] = item("hkg", i + 1, "create");
    commit(box, items, 150, 0);
    run(box, 100);
    assert_int_equal(box->n_seen, 3);
    assert_int_equal(box->seen[0].n_events, 64);
    assert_string_equal(box->seen[1].first, "hkg:7:65");
    assert_int_equal(box->seen[2].n_events, 22);
}

static void test_a_blank_word(void **state)
{
    struct box *box = *state;
    struct events_item one = item("hkg", 1, "");
    char longest[80];

    memset(longest, 'k', 64);
    longest[64] = '\0';
    one.kind = longest;
    one.service = "a.b#*";
    commit(box, &one, 1, 0);
    run(box, 10);
    assert_int_equal(box->n_seen, 1);
    assert_string_equal(box->seen[0].key,
                        "hkg.a_b__.kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
                        "kkkkk._.info");
}

/* What was not confirmed comes again, and is counted once. */
static void test_broker_away(void **state)
{
    struct box *box = *state;
    struct events_item first = item("hkg", 1, "create");
    struct events_item second = item("hkg", 2, "create");
    struct noc_counts counts;

    ist_mem_broker_crash(box->broker, 10000);
    commit(box, &first, 1, 0);
    run(box, 3000);
    commit(box, &second, 1, 0);
    noc_count(box->noc, &counts);
    assert_int_equal(counts.events, 0);
    assert_int_equal(counts.behind, 2);
    assert_true(counts.failures > 0);
    ist_mem_exchange(box->broker, "x.noc", "topic");
    ist_mem_queue(box->broker, "noc.stream", 0, 0);
    ist_mem_bind(box->broker, "noc.stream", "x.noc", "#");
    run(box, 30000);
    noc_count(box->noc, &counts);
    assert_int_equal(counts.events, 2);
    assert_int_equal(counts.behind, 0);
    assert_string_equal(box->seen[box->n_seen - 1].first, "hkg:7:2");
}

/* Nobody who could read it: not taken for done. */
static void test_no_stream(void **state)
{
    struct box *box = *state;
    struct events_item one = item("hkg", 1, "create");
    struct noc_counts counts;

    ist_mem_queue_delete(box->broker, "noc.stream");
    commit(box, &one, 1, 0);
    run(box, 60000);
    noc_count(box->noc, &counts);
    assert_int_equal(counts.behind, 1);
    assert_in_range(counts.failures, 5, 30);
    ist_mem_queue(box->broker, "noc.stream", 0, 0);
    ist_mem_bind(box->broker, "noc.stream", "x.noc", "#");
    run(box, 6000);
    noc_count(box->noc, &counts);
    assert_int_equal(counts.behind, 0);
    assert_int_equal(counts.events, 1);
}

static void test_goes_on_after_a_restart(void **state)
{
    struct box *box = *state;
    struct events_item first = item("hkg", 1, "create");
    struct events_item second = item("hkg", 2, "create");

    commit(box, &first, 1, 0);
    run(box, 50);
    close_noc(box); /* Writes its place at once. */
    assert_int_equal(events_place_get(box->log, NOC_PLACE), 1);
    commit(box, &second, 1, 0);
    assert_int_equal(box->n_seen, 1);
    open_noc(box);
    run(box, 50);
    assert_int_equal(box->n_seen, 2);
    assert_string_equal(box->seen[1].first, "hkg:7:2");
}

static void test_gap(void **state)
{
    struct box *box = *state;
    struct events_item items[10];

    for (size_t i = 0; i < 10; i++)
        items[i] = item("hkg", i + 1, "create");
    commit(box, items, 3, 0);
    run(box, 50);
    close_noc(box);
    commit(box, items + 3, 7, 0);
    commit(box, NULL, 0, 6); /* The oldest six are dropped. */
    box->n_seen = 0;
    open_noc(box);
    run(box, 50);
    assert_int_equal(box->n_seen, 2);
    assert_string_equal(box->seen[0].key, "hub.hub.log.gap.warning");
    assert_string_equal(box->seen[0].first, "gap-4-6");
    assert_string_equal(box->seen[1].first, "hkg:7:7");
    assert_int_equal(box->seen[1].n_events, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_batches, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order_of_an_origin, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_many_of_one_site, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_blank_word, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broker_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(test_goes_on_after_a_restart, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_gap, setup, teardown),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
