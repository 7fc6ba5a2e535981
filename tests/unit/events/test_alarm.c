#include "events/alarm.h"

#include "../scratch.h"

#include <errno.h>
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
    struct alarm_engine *alarms;
    struct alarm_conf conf;
    struct ist_err err;
    struct ist_write write; /* Of a site's events. */
    const struct events_item *items;
    size_t n_items;
    size_t n_told[8]; /* Of each action, see actions. */
};

static const char *const actions[] = {"raised", "changed", "cleared",
                                      "acknowledged", "commented"};

static void open_it(struct box *box)
{
    struct ist_tree_conf tree = {.path = scratch_path(box->dir, "hub.db"),
                                 .size_max = 64U << 20,
                                 .maps_max = 16};
    struct events_conf log = {.keep_ms = 3600000, .keep_items = 100000};

    box->tree = ist_tree_open(&box->loop, &tree, &box->err);
    if (box->tree)
        box->log = events_log_open(box->tree, &log, &box->err);
    if (box->log)
        box->alarms = alarm_open(box->tree, box->log, &box->conf, &box->err);
    if (!box->alarms)
        fail_msg("%s", box->err.text);
}

static void run(struct box *box, uint64_t ms)
{
    uint64_t until = ist_loop_now(&box->loop) + ms;

    while (ist_loop_step(&box->loop, until))
        ;
}

static void close_it(struct box *box)
{
    alarm_stop(box->alarms);
    run(box, 1);
    box->alarms = alarm_free(box->alarms);
    box->log = events_log_free(box->log);
    box->tree = ist_tree_free(box->tree);
}

/* As the hub is stopped and started. */
static void reopen(struct box *box)
{
    close_it(box);
    open_it(box);
    run(box, 1);
}

static int setup(void **state)
{
    struct box *box = calloc(1, sizeof(*box));

    scratch_make(box->dir);
    box->conf = (struct alarm_conf){.max = 1000,
                                    .keep_ms = 86400000,
                                    .keep_items = 100,
                                    .linger_ms = 30000,
                                    .flaps = 3,
                                    .flap_ms = 600000,
                                    .resources = true};
    ist_loop_init_virtual(&box->loop, NOW);
    open_it(box);
    run(box, 1);
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

/* The hub's own word. */
static void hub_says(struct box *box, const char *site, const char *kind,
                     const char *action)
{
    events_post(box->log, &(struct events_item){.site = site,
                                                .severity = EVENTS_ERROR,
                                                .service = "isthmus",
                                                .kind = kind,
                                                .action = action,
                                                .subject = site,
                                                .text = "as the hub says"});
    run(box, 5);
}

static int apply(struct ist_write *write, MDB_txn *txn, struct ist_err *err)
{
    struct box *box = IST_CONTAINER(write, struct box, write);
    int rc = 0;

    for (size_t i = 0; i < box->n_items && rc == 0; i++)
        rc = events_log_append(box->log, txn, &box->items[i],
                               ist_loop_wall(&box->loop), err);
    return rc;
}

static void on_written(struct ist_op *op)
{
    events_log_committed(IST_CONTAINER(op, struct box, write.op)->log);
}

static void commit(struct box *box, const struct events_item *items, size_t n)
{
    box->items = items;
    box->n_items = n;
    ist_op_prepare(&box->write.op, &box->loop, NULL, 0, on_written);
    ist_tree_write(box->tree, &box->write, apply);
    run(box, 50);
}

static struct events_item of_server(const char *site, const char *id,
                                    const char *action,
                                    enum events_severity severity)
{
    return (struct events_item){.site = site,
                                .origin = site,
                                .severity = severity,
                                .service = "compute",
                                .kind = "server",
                                .action = action,
                                .subject = id,
                                .text = "server web is now ERROR"};
}

static void server_says(struct box *box, const char *site, const char *id,
                        const char *action, enum events_severity severity)
{
    struct events_item item = of_server(site, id, action, severity);

    commit(box, &item, 1);
}

static void servers_fail(struct box *box, const char *site, size_t n)
{
    struct events_item *items = calloc(n, sizeof(*items));
    char(*ids)[24] = calloc(n, sizeof(*ids));

    for (size_t i = 0; i < n; i++) {
        snprintf(ids[i], sizeof(ids[i]), "s%zu", i);
        items[i] = of_server(site, ids[i], "state_changed", EVENTS_ERROR);
    }
    commit(box, items, n);
    free(items);
    free(ids);
}

static void say(struct box *box, enum alarm_type type, const char *site,
                const char *object, bool on)
{
    alarm_condition(box->alarms, &(struct alarm_condition){.type = type,
                                                           .site = site,
                                                           .object = object,
                                                           .on = on,
                                                           .text = "it is so"});
    run(box, 5);
}

/* The newest of that type; NULL: there is none. */
static const struct alarm *find(struct box *box, enum alarm_type type)
{
    const struct alarm *alarm = alarm_before(box->alarms, UINT64_MAX);

    while (alarm && alarm->type != type)
        alarm = alarm_before(box->alarms, alarm->id);
    return alarm;
}

static uint64_t sum(const uint64_t *counts)
{
    uint64_t all = 0;

    for (size_t i = 0; i < ALARM_SEVERITIES; i++)
        all += counts[i];
    return all;
}

static uint64_t n_fresh(struct box *box)
{
    struct alarm_counts counts;

    alarm_count(box->alarms, &counts);
    return sum(counts.fresh);
}

static uint64_t n_folded(struct box *box)
{
    struct alarm_counts counts;

    alarm_count(box->alarms, &counts);
    return sum(counts.folded);
}

static uint64_t n_open(struct box *box)
{
    struct alarm_counts counts;

    alarm_count(box->alarms, &counts);
    return sum(counts.fresh) + sum(counts.folded) + sum(counts.acknowledged);
}

static bool note(void *arg, const struct events_item *item)
{
    struct box *box = arg;

    for (size_t i = 0; i < IST_COUNT(actions); i++) {
        if (strcmp(item->kind, "alarm") == 0 &&
            strcmp(item->action, actions[i]) == 0)
            box->n_told[i]++;
    }
    return true;
}

static size_t n_told(struct box *box, const char *action)
{
    uint64_t last;

    memset(box->n_told, 0, sizeof(box->n_told));
    assert_int_equal(
        events_log_read(box->log, 0, SIZE_MAX, note, box, &last, &box->err), 0);
    for (size_t i = 0; i < IST_COUNT(actions); i++) {
        if (strcmp(action, actions[i]) == 0)
            return box->n_told[i];
    }
    fail();
    return 0;
}

static void test_an_event_raises_and_another_clears(void **state)
{
    struct box *box = *state;
    const struct alarm *alarm;

    hub_says(box, "hkg", "site", "unreachable");
    alarm = find(box, ALARM_SITE_UNREACHABLE);
    assert_non_null(alarm);
    assert_string_equal(alarm->site, "hkg");
    assert_string_equal(alarm->text, "as the hub says");
    assert_int_equal(alarm->severity, ALARM_CRITICAL);
    assert_int_equal(alarm->count, 1);
    assert_true(alarm->raised_ms >= NOW);
    assert_int_equal(alarm->cleared_ms, 0);
    assert_int_equal(n_told(box, "raised"), 1);

    hub_says(box, "hkg", "site", "reachable");
    alarm = find(box, ALARM_SITE_UNREACHABLE);
    assert_true(alarm->cleared_ms >= NOW);
    assert_int_equal(n_open(box), 0);
    assert_int_equal(n_told(box, "cleared"), 1);
}

static void test_raised_again_it_counts(void **state)
{
    struct box *box = *state;
    uint64_t id;

    server_says(box, "hkg", "a", "state_changed", EVENTS_ERROR);
    id = find(box, ALARM_RESOURCE_ERROR)->id;
    for (int i = 0; i < 4; i++)
        server_says(box, "hkg", "a", "state_changed", EVENTS_ERROR);
    assert_int_equal(find(box, ALARM_RESOURCE_ERROR)->id, id);
    assert_int_equal(find(box, ALARM_RESOURCE_ERROR)->count, 5);
    assert_string_equal(find(box, ALARM_RESOURCE_ERROR)->object, "server/a");
    assert_int_equal(n_open(box), 1);
    /* Another object and another site are alarms of their own. */
    server_says(box, "hkg", "b", "state_changed", EVENTS_ERROR);
    server_says(box, "lon", "a", "state_changed", EVENTS_ERROR);
    assert_int_equal(n_open(box), 3);
    /* Counting is told now and then, not each time. */
    assert_int_equal(n_told(box, "changed"), 0);
    run(box, 11000);
    assert_int_equal(n_told(box, "changed"), 1);
}

static void test_a_resource_clears_by_its_state_or_its_end(void **state)
{
    struct box *box = *state;

    server_says(box, "hkg", "a", "state_changed", EVENTS_ERROR);
    server_says(box, "hkg", "b", "state_changed", EVENTS_ERROR);
    server_says(box, "hkg", "c", "state_changed", EVENTS_INFO);
    assert_int_equal(n_open(box), 2);
    server_says(box, "hkg", "a", "state_changed", EVENTS_INFO);
    assert_int_equal(n_open(box), 1);
    server_says(box, "hkg", "b", "deleted", EVENTS_INFO);
    assert_int_equal(n_open(box), 0);
}

static void test_a_site_cannot_speak_for_the_hub(void **state)
{
    struct box *box = *state;
    struct events_item item = {.site = "hkg",
                               .origin = "hkg",
                               .severity = EVENTS_CRITICAL,
                               .service = "isthmus",
                               .kind = "site",
                               .action = "unreachable",
                               .subject = "hkg",
                               .text = "oh"};

    commit(box, &item, 1);
    assert_null(find(box, ALARM_SITE_UNREACHABLE));
    item.kind = "alarm";
    item.action = "raised";
    commit(box, &item, 1);
    assert_int_equal(n_open(box), 0);
}

static void test_a_dead_site_is_one_alarm(void **state)
{
    struct box *box = *state;
    const struct alarm *cause;

    servers_fail(box, "hkg", 150);
    server_says(box, "lon", "x", "state_changed", EVENTS_ERROR);
    assert_int_equal(n_fresh(box), 151);
    hub_says(box, "hkg", "site", "unreachable");
    hub_says(box, "hkg", "feed", "interrupted");
    servers_fail(box, "hkg", 300); /* 150 of them once more. */
    cause = find(box, ALARM_SITE_UNREACHABLE);
    assert_int_equal(n_fresh(box), 2); /* It, and the one of lon. */
    assert_int_equal(n_folded(box), 301);
    assert_int_equal(cause->n_folded, 301);
    assert_int_equal(find(box, ALARM_FEED_INTERRUPTED)->folded_under,
                     cause->id);

    /* What is really broken remains when the site is back. */
    server_says(box, "hkg", "s7", "deleted", EVENTS_INFO);
    hub_says(box, "hkg", "site", "reachable");
    hub_says(box, "hkg", "feed", "resumed");
    assert_int_equal(n_folded(box), 0);
    assert_int_equal(n_fresh(box), 300);
    assert_int_equal(find(box, ALARM_SITE_UNREACHABLE)->n_folded, 0);
}

static void test_without_a_bus_all_sites_fold(void **state)
{
    struct box *box = *state;
    uint64_t bus;

    hub_says(box, "hkg", "site", "unreachable");
    server_says(box, "hkg", "a", "state_changed", EVENTS_ERROR);
    say(box, ALARM_BUS_UNREACHABLE, ALARM_HUB, "", true);
    say(box, ALARM_STORE_FULL, ALARM_HUB, "hub.db", true);
    hub_says(box, "lon", "site", "unreachable");
    bus = find(box, ALARM_BUS_UNREACHABLE)->id;
    assert_int_equal(n_fresh(box), 2);
    assert_int_equal(find(box, ALARM_RESOURCE_ERROR)->folded_under, bus);
    assert_int_equal(find(box, ALARM_SITE_UNREACHABLE)->folded_under, bus);
    /* The next cause takes over. */
    say(box, ALARM_BUS_UNREACHABLE, ALARM_HUB, "", false);
    assert_int_equal(n_fresh(box), 3);
    assert_int_equal(n_folded(box), 1);
}

static void test_a_removed_site_has_no_alarms(void **state)
{
    struct box *box = *state;

    servers_fail(box, "hkg", 5);
    servers_fail(box, "hkg2", 5);
    hub_says(box, "hkg", "site", "unreachable");
    hub_says(box, "hkg", "site", "removed");
    assert_int_equal(n_open(box), 5);
}

static void test_a_cleared_one_lingers(void **state)
{
    struct box *box = *state;
    uint64_t id;

    say(box, ALARM_BUS_BLOCKED, ALARM_HUB, "", true);
    say(box, ALARM_BUS_BLOCKED, ALARM_HUB, "", false);
    id = find(box, ALARM_BUS_BLOCKED)->id;
    assert_true(alarm_is_listed(box->alarms, alarm_find(box->alarms, id)));
    run(box, 31000);
    assert_false(alarm_is_listed(box->alarms, alarm_find(box->alarms, id)));
    /* Soon again: the same. Long after: another. */
    say(box, ALARM_BUS_BLOCKED, ALARM_HUB, "", true);
    assert_int_equal(find(box, ALARM_BUS_BLOCKED)->id, id);
    assert_int_equal(find(box, ALARM_BUS_BLOCKED)->count, 2);
    say(box, ALARM_BUS_BLOCKED, ALARM_HUB, "", false);
    run(box, 700000);
    say(box, ALARM_BUS_BLOCKED, ALARM_HUB, "", true);
    assert_int_equal(find(box, ALARM_BUS_BLOCKED)->id, id + 1);
    assert_int_equal(find(box, ALARM_BUS_BLOCKED)->count, 1);
    assert_true(alarm_find(box->alarms, id)->cleared_ms > 0);
}

static void test_what_flaps_is_one_quiet_alarm(void **state)
{
    struct box *box = *state;
    const struct alarm *alarm;
    size_t told;

    for (int i = 0; i < 4; i++) {
        hub_says(box, "hkg", "site", "unreachable");
        run(box, 15000);
        hub_says(box, "hkg", "site", "reachable");
        run(box, 15000);
    }
    alarm = find(box, ALARM_SITE_UNREACHABLE);
    assert_true(alarm->is_flapping);
    assert_int_equal(alarm->cleared_ms, 0);
    assert_int_equal(alarm->count, 4);
    /* It is heard at present, so it explains nothing at present. */
    assert_true(alarm->quiet_ms > 0);
    server_says(box, "hkg", "a", "state_changed", EVENTS_ERROR);
    assert_int_equal(n_folded(box), 0);
    hub_says(box, "hkg", "site", "unreachable");
    assert_int_equal(n_folded(box), 1);
    hub_says(box, "hkg", "site", "reachable");
    assert_int_equal(n_folded(box), 0);
    server_says(box, "hkg", "a", "deleted", EVENTS_INFO);
    told = n_told(box, "raised");
    for (int i = 0; i < 4; i++) {
        hub_says(box, "hkg", "site", "unreachable");
        run(box, 15000);
        hub_says(box, "hkg", "site", "reachable");
        run(box, 15000);
    }
    assert_int_equal(n_open(box), 1);
    assert_int_equal(n_told(box, "raised"), told);
    run(box, 590000);
    alarm = find(box, ALARM_SITE_UNREACHABLE);
    assert_false(alarm->is_flapping);
    assert_true(alarm->cleared_ms > 0);
    assert_int_equal(alarm->id, 1);
}

static void test_a_condition_is_said_again_and_again(void **state)
{
    struct box *box = *state;
    const enum alarm_severity worse = ALARM_MAJOR;
    struct alarm_condition condition = {.type = ALARM_CLOCK_SKEW,
                                        .site = "hkg",
                                        .object = "",
                                        .on = true,
                                        .text = "its clock is wrong"};

    say(box, ALARM_CLOCK_SKEW, "hkg", "", false);
    assert_null(find(box, ALARM_CLOCK_SKEW));
    for (int i = 0; i < 10; i++) {
        alarm_condition(box->alarms, &condition);
        run(box, 5000);
    }
    assert_int_equal(find(box, ALARM_CLOCK_SKEW)->count, 1);
    assert_int_equal(n_told(box, "raised"), 1);
    assert_int_equal(n_told(box, "changed"), 0);

    /* What got worse is to be looked at again, and told at once. */
    assert_int_equal(alarm_ack(box->alarms, 1, "ann"), 0);
    condition.severity = &worse;
    alarm_condition(box->alarms, &condition);
    run(box, 1);
    assert_int_equal(find(box, ALARM_CLOCK_SKEW)->severity, ALARM_MAJOR);
    assert_int_equal(find(box, ALARM_CLOCK_SKEW)->ack_ms, 0);
    assert_int_equal(n_told(box, "changed"), 1);
    condition.on = false;
    alarm_condition(box->alarms, &condition);
    assert_true(find(box, ALARM_CLOCK_SKEW)->cleared_ms > 0);
}

static void test_some_end_by_themselves(void **state)
{
    struct box *box = *state;

    hub_says(box, "hkg", "feed", "gap");
    run(box, 3500000);
    assert_int_equal(n_open(box), 1);
    run(box, 200000);
    assert_int_equal(n_open(box), 0);
}

static void test_operators_ack_comment_and_clear(void **state)
{
    struct box *box = *state;
    const struct alarm *alarm;

    hub_says(box, "hkg", "site", "unreachable");
    assert_int_equal(alarm_ack(box->alarms, 99, "ann"), -ENOENT);
    assert_int_equal(alarm_ack(box->alarms, 1, "ann"), 0);
    assert_int_equal(alarm_ack(box->alarms, 1, "bob"), -EALREADY);
    assert_int_equal(
        alarm_comment(box->alarms, 1, "bob", "called\nthe \xc3\xa9lectricien"),
        0);
    alarm = alarm_find(box->alarms, 1);
    assert_string_equal(alarm->ack_by, "ann");
    assert_string_equal(alarm->comments[0].text,
                        "called the \xc3\xa9lectricien");
    assert_int_equal(alarm_unack(box->alarms, 1, "ann"), 0);
    assert_int_equal(alarm_unack(box->alarms, 1, "ann"), -EALREADY);
    assert_int_equal(alarm_clear(box->alarms, 1, "ann"), 0);
    assert_int_equal(alarm_clear(box->alarms, 1, "ann"), -EALREADY);
    run(box, 5);
    assert_int_equal(n_told(box, "acknowledged"), 1);
    assert_int_equal(n_told(box, "commented"), 1);
    assert_int_equal(n_told(box, "cleared"), 1);
    for (int i = 0; i < ALARM_COMMENTS_MAX + 5; i++)
        assert_int_equal(alarm_comment(box->alarms, 1, "bob", "again"), 0);
    assert_int_equal(alarm_find(box->alarms, 1)->n_comments,
                     ALARM_COMMENTS_MAX);
}

static void test_a_restart_forgets_nothing(void **state)
{
    struct box *box = *state;
    const struct alarm *alarm;

    hub_says(box, "hkg", "site", "unreachable");
    servers_fail(box, "hkg", 3);
    alarm_ack(box->alarms, 1, "ann");
    alarm_comment(box->alarms, 1, "ann", "on my way");
    run(box, 5);
    reopen(box);
    alarm = alarm_find(box->alarms, 1);
    assert_non_null(alarm);
    assert_string_equal(alarm->site, "hkg");
    assert_string_equal(alarm->ack_by, "ann");
    assert_int_equal(alarm->n_comments, 1);
    assert_string_equal(alarm->comments[0].text, "on my way");
    assert_int_equal(alarm->n_folded, 3);
    assert_int_equal(alarm->count, 1); /* The log was not read twice. */
    assert_int_equal(n_folded(box), 3);
    hub_says(box, "hkg", "site", "reachable");
    reopen(box);
    assert_int_equal(n_folded(box), 0);
    assert_int_equal(n_open(box), 3);
    hub_says(box, "lon", "site", "unreachable");
    assert_int_equal(find(box, ALARM_SITE_UNREACHABLE)->id, 5);
}

/* One of long ago is not the same, also after a restart. */
static void test_a_restart_knows_which_is_meant(void **state)
{
    struct box *box = *state;

    hub_says(box, "hkg", "site", "unreachable");
    hub_says(box, "hkg", "site", "reachable");
    run(box, box->conf.flap_ms + 1000);
    hub_says(box, "hkg", "site", "unreachable");
    assert_int_equal(alarm_find(box->alarms, 2)->cleared_ms, 0);
    reopen(box);
    hub_says(box, "hkg", "site", "unreachable");
    assert_int_equal(alarm_find(box->alarms, 1)->count, 1);
    assert_int_equal(alarm_find(box->alarms, 2)->count, 2);
    hub_says(box, "hkg", "site", "reachable");
    assert_int_not_equal(alarm_find(box->alarms, 2)->cleared_ms, 0);
    assert_int_equal(n_open(box), 0);
}

static void test_a_restart_misses_nothing(void **state)
{
    struct box *box = *state;

    alarm_stop(box->alarms);
    run(box, 1);
    box->alarms = alarm_free(box->alarms);
    hub_says(box, "hkg", "site", "unreachable");
    box->alarms = alarm_open(box->tree, box->log, &box->conf, &box->err);
    run(box, 5);
    assert_non_null(find(box, ALARM_SITE_UNREACHABLE));
}

static void test_too_many_are_one(void **state)
{
    struct box *box = *state;

    box->conf.max = 100;
    reopen(box);
    servers_fail(box, "hkg", 150);
    assert_int_equal(n_open(box), 101);
    assert_int_equal(find(box, ALARM_TOO_MANY)->count, 50);
    /* Causes are never left out. */
    hub_says(box, "hkg", "site", "unreachable");
    assert_int_equal(n_fresh(box), 2);
    hub_says(box, "hkg", "site", "removed");
    run(box, 1100);
    assert_int_equal(n_open(box), 0);
    /* And of those that are cleared the oldest go. */
    run(box, 31000);
    reopen(box);
    assert_null(alarm_find(box->alarms, 1));
    assert_non_null(alarm_find(box->alarms, 101));
}

static void test_old_ones_are_dropped(void **state)
{
    struct box *box = *state;

    box->conf.keep_ms = 3600000;
    reopen(box);
    say(box, ALARM_BUS_BLOCKED, ALARM_HUB, "", true);
    say(box, ALARM_BUS_BLOCKED, ALARM_HUB, "", false);
    run(box, 3500000);
    assert_non_null(find(box, ALARM_BUS_BLOCKED));
    run(box, 200000);
    assert_null(find(box, ALARM_BUS_BLOCKED));
    reopen(box);
    assert_null(find(box, ALARM_BUS_BLOCKED));
    say(box, ALARM_BUS_BLOCKED, ALARM_HUB, "", true);
    assert_int_equal(find(box, ALARM_BUS_BLOCKED)->id, 2);
}

static void test_every_type_says_what_to_do(void **state)
{
    (void) state;
    for (int i = 0; i < ALARM_TYPES; i++) {
        const struct alarm_row *row = alarm_row((enum alarm_type) i);

        assert_int_equal(alarm_type_parse(row->name), i);
        assert_true(strlen(row->remedy) > 40);
    }
    assert_int_equal(alarm_type_parse("nothing"), -1);
    assert_int_equal(alarm_severity_parse("major"), ALARM_MAJOR);
    assert_int_equal(alarm_severity_parse("info"), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_event_raises_and_another_clears),
        TEST(test_raised_again_it_counts),
        TEST(test_a_resource_clears_by_its_state_or_its_end),
        TEST(test_a_site_cannot_speak_for_the_hub),
        TEST(test_a_dead_site_is_one_alarm),
        TEST(test_without_a_bus_all_sites_fold),
        TEST(test_a_removed_site_has_no_alarms),
        TEST(test_a_cleared_one_lingers),
        TEST(test_what_flaps_is_one_quiet_alarm),
        TEST(test_a_condition_is_said_again_and_again),
        TEST(test_some_end_by_themselves),
        TEST(test_operators_ack_comment_and_clear),
        TEST(test_a_restart_forgets_nothing),
        TEST(test_a_restart_knows_which_is_meant),
        TEST(test_a_restart_misses_nothing),
        TEST(test_too_many_are_one),
        TEST(test_old_ones_are_dropped),
        cmocka_unit_test(test_every_type_says_what_to_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
