#include "events/item.h"
#include "events/log.h"

#include "../scratch.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1800000000000ULL

struct box {
    char dir[SCRATCH_SIZE];
    struct ist_loop loop;
    struct ist_tree *tree;
    struct events_log *log;
    struct events_conf conf;
    struct ist_err err;
    /* A write in one transaction. */
    struct ist_write write;
    const struct events_item *items;
    size_t n_items, trim;
    const char *place;
    uint64_t place_id, now;
    /* What was read. */
    uint64_t ids[64], last;
    char texts[64][64];
    size_t n_read, stop_at;
    struct events_follower follower;
    unsigned n_woken;
};

static void open_it(struct box *box)
{
    struct ist_tree_conf conf = {.path = scratch_path(box->dir, "hub.db"),
                                 .size_max = 64U << 20,
                                 .maps_max = 16};

    box->tree = ist_tree_open(&box->loop, &conf, &box->err);
    if (box->tree)
        box->log = events_log_open(box->tree, &box->conf, &box->err);
    if (!box->log)
        fail_msg("%s", box->err.text);
}

static void close_it(struct box *box)
{
    box->log = events_log_free(box->log);
    box->tree = ist_tree_free(box->tree);
}

static int setup(void **state)
{
    struct box *box = calloc(1, sizeof(*box));

    scratch_make(box->dir);
    box->conf = (struct events_conf){.keep_ms = 3600000, .keep_items = 1000};
    box->now = NOW;
    ist_loop_init_virtual(&box->loop, NOW);
    open_it(box);
    *state = box;
    return 0;
}

static int teardown(void **state)
{
    struct box *box = *state;

    close_it(box);
    ist_loop_fini(&box->loop);
    scratch_drop(box->dir);
    free(box);
    return 0;
}

static void run(struct box *box, uint64_t ms)
{
    uint64_t until = ist_loop_now(&box->loop) + ms;

    while (ist_loop_step(&box->loop, until))
        ;
}

static int apply(struct ist_write *write, MDB_txn *txn, struct ist_err *err)
{
    struct box *box = IST_CONTAINER(write, struct box, write);
    int rc = 0;

    for (size_t i = 0; i < box->n_items && rc == 0; i++)
        rc = events_log_append(box->log, txn, &box->items[i], box->now, err);
    if (rc == 0 && box->trim)
        rc = events_log_trim(box->log, txn, box->now, box->trim, err);
    if (rc == 0 && box->place)
        rc = events_place_put(box->log, txn, box->place, box->place_id, err);
    return rc;
}

static void on_written(struct ist_op *op)
{
    struct box *box = IST_CONTAINER(op, struct box, write.op);

    if (op->rc)
        fail_msg("%s", op->err.text);
    events_log_committed(box->log);
}

static void commit(struct box *box)
{
    ist_op_prepare(&box->write.op, &box->loop, NULL, 0, on_written);
    ist_tree_write(box->tree, &box->write, apply);
    run(box, 1);
    box->n_items = box->trim = 0;
    box->place = NULL;
}

static struct events_item item(uint64_t sequence, const char *text)
{
    return (struct events_item){.site = "hkg",
                                .origin = "hkg",
                                .epoch = 7,
                                .sequence = sequence,
                                .time_ms = NOW - 5,
                                .severity = EVENTS_WARNING,
                                .service = "compute",
                                .kind = "server",
                                .action = "updated",
                                .subject = "0a1b",
                                .project = "p1",
                                .text = text};
}

static void add(struct box *box, const char *text)
{
    struct events_item one = item(1, text);

    box->items = &one;
    box->n_items = 1;
    commit(box);
}

static bool keep(void *arg, const struct events_item *item)
{
    struct box *box = arg;

    if (box->n_read == box->stop_at)
        return false;
    box->ids[box->n_read] = item->id;
    snprintf(box->texts[box->n_read++], 64, "%s", item->text);
    return true;
}

static size_t read_from(struct box *box, uint64_t after, size_t max)
{
    box->n_read = 0;
    if (!box->stop_at)
        box->stop_at = 64;
    assert_int_equal(
        events_log_read(box->log, after, max, keep, box, &box->last, &box->err),
        0);
    return box->n_read;
}

static void test_append_and_read(void **state)
{
    struct box *box = *state;
    struct events_item three[] = {item(1, "a"), item(2, "b"), item(3, "c")};
    uint64_t first, last;

    events_log_range(box->log, &first, &last);
    assert_int_equal(first, 1);
    assert_int_equal(last, 0);
    box->items = three;
    box->n_items = 3;
    commit(box);
    events_log_range(box->log, &first, &last);
    assert_int_equal(first, 1);
    assert_int_equal(last, 3);
    assert_int_equal(read_from(box, 0, 10), 3);
    assert_int_equal(box->ids[2], 3);
    assert_string_equal(box->texts[1], "b");
    assert_int_equal(box->last, 3);
    assert_int_equal(read_from(box, 1, 1), 1);
    assert_int_equal(box->ids[0], 2);
    assert_int_equal(box->last, 2);
    assert_int_equal(read_from(box, 3, 10), 0);
    assert_int_equal(box->last, 3);
    /* One that does not want more has not visited that one. */
    box->stop_at = 2;
    assert_int_equal(read_from(box, 0, 10), 2);
    assert_int_equal(box->last, 2);
    close_it(box);
    open_it(box);
    add(box, "d");
    assert_int_equal(read_from(box, 3, 10), 1);
    assert_int_equal(box->ids[0], 4);
}

static bool check_json(void *arg, const struct events_item *item)
{
    json_t *event = json_loadb(item->json.data, item->json.size, 0, NULL);

    (void) arg;
    assert_non_null(event);
    assert_null(memchr(item->json.data, '\n', item->json.size));
    assert_string_equal(json_string_value(json_object_get(event, "id")),
                        "hkg:7:1");
    assert_string_equal(json_string_value(json_object_get(event, "type")),
                        "io.isthmus.server.updated.v1");
    assert_string_equal(json_string_value(json_object_get(event, "source")),
                        "/sites/hkg/compute");
    assert_string_equal(json_string_value(json_object_get(event, "subject")),
                        "server/0a1b");
    assert_string_equal(json_string_value(json_object_get(event, "time")),
                        "2027-01-15T07:59:59.995Z");
    assert_string_equal(json_string_value(json_object_get(event, "severity")),
                        "warning");
    assert_string_equal(json_string_value(json_object_get(event, "sequence")),
                        "1");
    json_decref(event);
    return true;
}

static void test_cloud_event(void **state)
{
    struct box *box = *state;
    uint64_t last;

    add(box, "server web1 was updated");
    events_log_read(box->log, 0, 1, check_json, NULL, &last, &box->err);
    assert_int_equal(last, 1);
}

static bool check_harmless(void *arg, const struct events_item *item)
{
    json_t *event = json_loadb(item->json.data, item->json.size, 0, NULL);
    json_t *data = json_object_get(event, "data");

    (void) arg;
    assert_non_null(event);
    assert_string_equal(item->text, "<b>\"x\" [31mred? ");
    assert_string_equal(json_string_value(json_object_get(data, "text")),
                        item->text);
    assert_string_equal(item->kind, "ser_er_");
    assert_int_equal(strlen(item->subject), 255);
    json_decref(event);
    return true;
}

static void test_hostile_text(void **state)
{
    struct box *box = *state;
    struct events_item one = item(1, "<b>\"x\"\x1b[31mred\xff\n");
    static char subject[65536];
    uint64_t last;

    memset(subject, 'a', sizeof(subject) - 1);
    one.subject = subject;
    one.kind = "ser\"er\n";
    box->items = &one;
    box->n_items = 1;
    commit(box);
    events_log_read(box->log, 0, 1, check_harmless, NULL, &last, &box->err);
    assert_int_equal(last, 1);
}

static void test_since(void **state)
{
    struct box *box = *state;

    for (unsigned i = 0; i < 10; i++) {
        box->now = NOW + 700 * i;
        add(box, "x");
    }
    assert_int_equal(events_log_since(box->log, 0), 1);
    assert_int_equal(events_log_since(box->log, NOW), 1);
    assert_int_equal(events_log_since(box->log, NOW + 1), 2);
    assert_int_equal(events_log_since(box->log, NOW + 2100), 4);
    assert_int_equal(events_log_since(box->log, NOW + 6301), 11);
}

static void test_trim(void **state)
{
    struct box *box = *state;
    uint64_t first, last;

    for (unsigned i = 0; i < 20; i++) {
        box->now = NOW + 1000 * i;
        add(box, "x");
    }
    box->now = NOW + 3600000 + 5000; /* Five are older than an hour. */
    box->trim = 3;
    commit(box);
    events_log_range(box->log, &first, &last);
    assert_int_equal(first, 4);
    box->trim = 100;
    commit(box);
    events_log_range(box->log, &first, &last);
    assert_int_equal(first, 6);
    assert_int_equal(last, 20);
    assert_int_equal(events_log_since(box->log, 0), 6);
    /* All are too old: the newest stays, so that ids go on behind it. */
    box->now = NOW + 36000000;
    box->trim = 100;
    commit(box);
    events_log_range(box->log, &first, &last);
    assert_int_equal(first, 20);
    add(box, "y");
    events_log_range(box->log, &first, &last);
    assert_int_equal(last, 21);
}

static void test_trim_by_count(void **state)
{
    struct box *box = *state;
    static struct events_item many[1500];
    uint64_t first, last;

    for (unsigned i = 0; i < 1500; i++)
        many[i] = item(i + 1, "x");
    box->items = many;
    box->n_items = 1500;
    box->trim = 10000;
    commit(box);
    events_log_range(box->log, &first, &last);
    assert_int_equal(last, 1500);
    assert_int_equal(first, 501);
    /* The rest of the second that all came in is found by its time still. */
    assert_int_equal(events_log_since(box->log, NOW), 501);
    assert_int_equal(events_log_since(box->log, NOW - 3600000), 501);
    box->now = NOW + 1000;
    add(box, "y");
    box->now = NOW + 3600500;
    box->trim = 10000;
    commit(box);
    assert_int_equal(events_log_since(box->log, NOW), 1501);
    assert_int_equal(events_log_since(box->log, NOW + 1001), 1502);
}

static void test_places(void **state)
{
    struct box *box = *state;

    assert_int_equal(events_place_get(box->log, "noc"), 0);
    box->place = "noc";
    box->place_id = 42;
    commit(box);
    close_it(box);
    open_it(box);
    assert_int_equal(events_place_get(box->log, "noc"), 42);
    assert_int_equal(events_place_get(box->log, "webhook-1"), 0);
}

static void on_more(struct events_follower *follower)
{
    IST_CONTAINER(follower, struct box, follower)->n_woken++;
}

static void test_follower(void **state)
{
    struct box *box = *state;

    box->follower.more = on_more;
    events_log_follow(box->log, &box->follower);
    add(box, "a");
    assert_int_equal(box->n_woken, 1);
    box->place = "noc"; /* Nothing appended: nobody woken. */
    commit(box);
    assert_int_equal(box->n_woken, 1);
    events_log_unfollow(&box->follower);
    add(box, "b");
    assert_int_equal(box->n_woken, 1);
}

static bool keep_numbers(void *arg, const struct events_item *item)
{
    uint64_t *numbers = arg;

    assert_string_equal(item->origin, "hub");
    assert_string_equal(item->site, "lon");
    numbers[0] = item->epoch;
    numbers[1] = item->sequence;
    return true;
}

static void test_posts(void **state)
{
    struct box *box = *state;
    struct events_item away = item(99, "lon is away");
    uint64_t last, numbers[2], epoch;

    away.site = "lon";
    for (unsigned i = 0; i < 5; i++)
        events_post(box->log, &away);
    assert_true(events_log_busy(box->log));
    run(box, 10);
    assert_false(events_log_busy(box->log));
    events_log_read(box->log, 0, 100, keep_numbers, numbers, &last, &box->err);
    assert_int_equal(last, 5);
    assert_int_equal(numbers[1], 5);
    epoch = numbers[0];
    close_it(box);
    run(box, 1000);
    open_it(box);
    events_post(box->log, &away);
    run(box, 10);
    events_log_read(box->log, 5, 100, keep_numbers, numbers, &last, &box->err);
    assert_int_equal(last, 6);
    assert_int_equal(numbers[0], epoch);
    assert_int_equal(numbers[1], 6);
}

static int apply_failing(struct ist_write *write, MDB_txn *txn,
                         struct ist_err *err)
{
    (void) write, (void) txn;
    return ist_err_set(err, -EIO, "no such luck");
}

static void on_failed(struct ist_op *op)
{
    assert_int_equal(op->rc, -EIO);
}

/* What shares a transaction with them fails: they are written later, in their
 * order. */
static void test_posts_that_fail(void **state)
{
    struct box *box = *state;
    struct events_item first = item(1, "first"), second = item(2, "second");
    struct ist_write failing;

    box->n_items = 0;
    ist_op_prepare(&box->write.op, &box->loop, NULL, 0, on_written);
    ist_tree_write(box->tree, &box->write, apply);
    events_post(box->log, &first);
    ist_op_prepare(&failing.op, &box->loop, NULL, 0, on_failed);
    ist_tree_write(box->tree, &failing, apply_failing);
    run(box, 10);
    assert_int_equal(read_from(box, 0, 10), 0);
    assert_false(events_log_busy(box->log));
    events_post(box->log, &second);
    run(box, 2000);
    assert_int_equal(read_from(box, 0, 10), 2);
    assert_string_equal(box->texts[0], "first");
    assert_string_equal(box->texts[1], "second");
    assert_int_equal(events_log_counts(box->log)->dropped, 0);
    assert_int_equal(events_log_counts(box->log)->appended, 2);
}

static bool check_time(void *arg, const struct events_item *item)
{
    (void) arg;
    assert_int_equal(item->time_ms, NOW);
    assert_non_null(memmem(item->json.data, item->json.size,
                           "\"time\":\"2027-01-15T08:00:00.000Z\"", 33));
    return true;
}

/* A time that RFC 3339 cannot write is not the site's to set. */
static int apply_nothing(struct ist_write *write, MDB_txn *txn,
                         struct ist_err *err)
{
    (void) write, (void) txn, (void) err;
    return 0;
}

static void on_nothing(struct ist_op *op)
{
    assert_int_equal(op->rc, 0);
}

static void on_shared(struct ist_op *op)
{
    struct box *box = IST_CONTAINER(op, struct box, write.op);
    struct events_item own = item(0, "second");

    assert_int_equal(op->rc, 0);
    events_post(box->log, &own);
}

/* One is posted when the write of another is over, but it was not told yet. */
static void test_posts_while_others_end(void **state)
{
    struct box *box = *state;
    struct events_item own = item(0, "first");
    struct ist_write before = {.apply = NULL};

    ist_op_prepare(&before.op, &box->loop, NULL, 0, on_nothing);
    ist_tree_write(box->tree, &before, apply_nothing);
    ist_op_prepare(&box->write.op, &box->loop, NULL, 0, on_shared);
    ist_tree_write(box->tree, &box->write, apply_nothing);
    events_post(box->log, &own);
    run(box, 10);
    assert_false(events_log_busy(box->log));
    assert_int_equal(read_from(box, 0, 10), 2);
    assert_string_equal(box->texts[0], "first");
    assert_string_equal(box->texts[1], "second");
}

static void test_absurd_time(void **state)
{
    struct box *box = *state;
    struct events_item one = item(1, "");
    uint64_t last;

    one.time_ms = UINT64_MAX;
    box->items = &one;
    box->n_items = 1;
    commit(box);
    events_log_read(box->log, 0, 10, check_time, NULL, &last, &box->err);
    assert_int_equal(last, 1);
}

static void test_severities(void **state)
{
    (void) state;
    for (int i = 0; i <= EVENTS_CRITICAL; i++)
        assert_int_equal(events_severity_parse(
                             events_severity_name((enum events_severity) i)),
                         i);
    assert_int_equal(events_severity_parse("bad"), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_append_and_read),
        TEST(test_cloud_event),
        TEST(test_hostile_text),
        TEST(test_since),
        TEST(test_trim),
        TEST(test_trim_by_count),
        TEST(test_places),
        TEST(test_follower),
        TEST(test_posts),
        TEST(test_posts_that_fail),
        TEST(test_posts_while_others_end),
        TEST(test_absurd_time),
        TEST(test_severities),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
