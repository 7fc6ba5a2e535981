/* The feed of a site in memory, up to the hub at the other end of the bus. */
#include "world.h"

#include "base/rand.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum {
    UPSERT = ISTHMUS__V1__CHANGE__OP__UPSERT,
    DELETE = ISTHMUS__V1__CHANGE__OP__DELETE,
    BEGIN = ISTHMUS__V1__CHANGE__OP__BEGIN,
    END = ISTHMUS__V1__CHANGE__OP__END,
};

static int setup(void **state)
{
    struct box *box = box_new();

    add_server(box, "a", "web1", "ACTIVE");
    add_server(box, "b", "web2", "ACTIVE");
    *state = box;
    return 0;
}

static int teardown(void **state)
{
    box_free(*state);
    return 0;
}

/* Numbers without holes, and no message that did not open. */
static void assert_whole(const struct box *box)
{
    assert_int_equal(box->n_gaps, 0);
    assert_int_equal(box->n_refused, 0);
}

static const char *trouble_of(struct box *box, const char *kind)
{
    const Isthmus__V1__FeedState *feed_says;

    ist_arena_reset(&box->arena);
    feed_says = feed_state(box->feed, &box->arena);
    for (size_t i = 0; i < feed_says->n_kinds; i++) {
        if (strcmp(feed_says->kinds[i]->kind, kind) == 0)
            return feed_says->kinds[i]->trouble;
    }
    return NULL;
}

/* Reading */

static void test_the_first_reading_is_no_news(void **state)
{
    struct box *box = *state;

    box_open(box);
    run_ms(box, 5000);
    assert_whole(box);
    assert_int_equal(told_news(box), 0);
    assert_int_equal(told_count(box, "server", BEGIN), 1);
    assert_int_equal(told_count(box, "server", END), 1);
    assert_int_equal(told_count(box, "server", UPSERT), 2);
    assert_int_equal(replica_count(box, "server"), 2);
    /* All members of the kind but its id. */
    for (size_t i = 0; i < box->n_told; i++) {
        if (box->told[i].op == UPSERT && !strcmp(box->told[i].kind, "server"))
            assert_int_equal(box->told[i].n_keys, 9);
    }
    /* A kind without rows is stated too; a denied one is not. */
    assert_int_equal(told_count(box, "network", END), 1);
    assert_int_equal(told_count(box, "keypair", END), 0);
    assert_int_equal(feed_counts(box->feed)->outbox_entries, 0);
}

static void test_a_second_reading_says_nothing(void **state)
{
    struct box *box = *state;
    size_t before;

    box_open(box);
    run_ms(box, 5000);
    before = box->n_told;
    run_ms(box, 300000);
    assert_int_equal(box->n_told, before);
    assert_true(feed_counts(box->feed)->readings > 100);
}

static void test_what_is_new_is_news(void **state)
{
    struct box *box = *state;
    const struct told *told;

    box_open(box);
    run_ms(box, 5000);
    add_server(box, "c", "db1", "BUILD");
    change_server(box, "a", "web1-new", "ACTIVE");
    change_server(box, "b", "web2", "ERROR");
    run_ms(box, 40000);
    told = told_last(box, "server", "created");
    assert_string_equal(told->subject, "c");
    assert_string_equal(told->project, "p1");
    assert_string_equal(told->text, "server db1 was created");
    told = told_last(box, "server", "updated");
    assert_string_equal(told->subject, "a");
    told = told_last(box, "server", "state_changed");
    assert_string_equal(told->subject, "b");
    assert_string_equal(told->text, "server web2 is now ERROR (it was ACTIVE)");
    assert_int_equal(told->severity, ISTHMUS__V1__EVENT__SEVERITY__ERROR);

    fake_site_remove(box->w.site, "server", "a");
    run_ms(box, 40000);
    told = told_last(box, "server", "deleted");
    assert_string_equal(told->subject, "a");
    assert_string_equal(told->project, "p1");
    assert_string_equal(told->text, "server web1-new was deleted");
    assert_int_equal(told_news(box), 4);
    assert_int_equal(replica_count(box, "server"), 2);
    assert_whole(box);
}

/* The agent's own project uses more and more: true, but nobody's news. */
static void test_what_is_used_is_quiet(void **state)
{
    struct box *box = *state;

    fake_site_add_body(box->w.site, "limit", "x", 0, "{\"used\": 1}");
    box_open(box);
    run_ms(box, 5000);
    fake_site_remove(box->w.site, "limit", "x");
    fake_site_add_body(box->w.site, "limit", "x", 0, "{\"used\": 2}");
    run_ms(box, 40000);
    assert_int_equal(told_count(box, "limit", UPSERT), 2);
    assert_int_equal(told_news(box), 0);
    assert_string_equal(
        box->rows[replica_find(box, "limit", box->w.site->project)].body,
        "{\"used\": 2}");
}

static void test_what_changes_by_itself_is_no_change(void **state)
{
    struct box *box = *state;
    const char *const bodies[] = {
        "{\"id\": \"s\", \"updated_at\": \"2026-11-25T08:00:00\", \"n\": 1}",
        "{\"id\": \"s\", \"updated_at\": \"2026-11-25T08:00:10\", \"n\": 1}",
        "{\"id\": \"s\", \"updated_at\": \"2026-11-25T08:00:20\", \"n\": 2}",
    };

    fake_site_add_body(box->w.site, "compute-service", "s", 0, bodies[0]);
    box_open(box);
    run_ms(box, 5000);
    for (size_t i = 1; i < 3; i++) {
        fake_site_remove(box->w.site, "compute-service", "s");
        fake_site_add_body(box->w.site, "compute-service", "s", 0, bodies[i]);
        run_ms(box, 40000);
        assert_int_equal(told_news(box), i - 1);
    }
}

static void test_a_failed_reading_deletes_nothing(void **state)
{
    static const enum fake_fault faults[] = {
        FAKE_REFUSED, FAKE_SILENT, FAKE_CUT,      FAKE_TRUNCATED,
        FAKE_HTML,    FAKE_ERROR,  FAKE_BAD_TOKEN};
    struct box *box = *state;

    box_open(box);
    run_ms(box, 5000);
    for (size_t i = 0; i < IST_COUNT(faults); i++) {
        box->w.site->fault = faults[i];
        run_ms(box, 400000);
        assert_true(trouble_of(box, "server")[0]);
        box->w.site->fault = FAKE_FINE;
        run_ms(box, 400000);
        assert_string_equal(trouble_of(box, "server"), "");
    }
    assert_int_equal(told_news(box), 0);
    assert_int_equal(told_count(box, "server", DELETE), 0);
    assert_int_equal(replica_count(box, "server"), 2);
    assert_true(feed_counts(box->feed)->failed_readings > 7);
}

/* A service that hangs takes its time, and not that of all the others. */
static void test_a_silent_service_holds_up_no_other(void **state)
{
    struct box *box = *state;
    uint64_t at, worst = 0;
    char id[16];

    box->w.site->fault_at = "network";
    box->w.site->fault = FAKE_SILENT;
    box_open(box);
    run_ms(box, 70000);
    assert_true(trouble_of(box, "network")[0]);
    assert_true(trouble_of(box, "port")[0]);
    assert_string_equal(trouble_of(box, "server"), "");
    for (int i = 0; i < 20; i++) {
        snprintf(id, sizeof(id), "n%d", i);
        add_server(box, id, id, "ACTIVE");
        at = ist_loop_now(&box->w.loop);
        while (!told_last(box, "server", "created") ||
               strcmp(told_last(box, "server", "created")->subject, id) != 0)
            run_ms(box, 1000);
        at = ist_loop_now(&box->w.loop) - at;
        worst = at > worst ? at : worst;
        run_ms(box, 7000);
    }
    assert_true(worst <= 100000);
    box->w.site->fault = FAKE_FINE;
    run_ms(box, 140000); /* All of it is there again. */
    assert_string_equal(trouble_of(box, "network"), "");
    assert_string_equal(trouble_of(box, "port"), "");
    assert_int_equal(told_count(box, "port", END), 1);
    assert_whole(box);
}

/* Rows that cannot be read may be any of those that are missing. */
static void test_a_partial_list_deletes_nothing(void **state)
{
    struct box *box = *state;

    box_open(box);
    run_ms(box, 5000);
    fake_site_remove(box->w.site, "server", "b");
    fake_site_add_body(box->w.site, "server", "", 0, "{\"name\": \"odd\"}");
    add_server(box, "d", "new", "ACTIVE");
    run_ms(box, 40000);
    assert_int_equal(told_count(box, "server", DELETE), 0);
    assert_string_equal(told_last(box, "server", "created")->subject, "d");
    assert_true(strstr(trouble_of(box, "server"), "left out"));
    fake_site_remove(box->w.site, "server", "");
    run_ms(box, 40000);
    assert_string_equal(told_last(box, "server", "deleted")->subject, "b");
    assert_string_equal(trouble_of(box, "server"), "");
}

static void test_more_rows_than_a_page(void **state)
{
    struct box *box = *state;
    char id[16];

    for (int i = 0; i < 2500; i++) {
        snprintf(id, sizeof(id), "m%04d", i);
        add_server(box, id, id, "ACTIVE");
    }
    box_open(box);
    run_ms(box, 20000);
    assert_int_equal(replica_count(box, "server"), 2502);
    assert_int_equal(told_count(box, "server", UPSERT), 2502);
    fake_site_remove(box->w.site, "server", "m0000");
    fake_site_remove(box->w.site, "server", "m0999");
    fake_site_remove(box->w.site, "server", "m1500");
    fake_site_remove(box->w.site, "server", "m2499");
    run_ms(box, 40000);
    assert_int_equal(told_count(box, "server", DELETE), 4);
    assert_int_equal(replica_count(box, "server"), 2498);
    assert_whole(box);
}

/* Touches */

static void test_a_touched_row_is_asked_for(void **state)
{
    struct box *box = *state;
    unsigned asked;

    box_open(box);
    run_ms(box, 5000);
    add_server(box, "c", "db1", "ACTIVE");
    fake_site_add(box->w.site, "network", "n1", "blue", "p1", "ACTIVE", 0);
    asked = box->w.site->n_requests;
    for (int i = 0; i < 50; i++) { /* One question. */
        feed_touch(box->feed, "server", "c");
        feed_touch(box->feed, "network", "n1");
    }
    run_ms(box, 200);
    assert_int_equal(box->w.site->n_requests - asked, 2);
    assert_string_equal(told_last(box, "server", "created")->subject, "c");
    assert_string_equal(told_last(box, "network", "created")->subject, "n1");

    fake_site_remove(box->w.site, "server", "c");
    fake_site_remove(box->w.site, "network", "n1");
    feed_touch(box->feed, "server", "c");
    feed_touch(box->feed, "network", "n1");
    run_ms(box, 200);
    assert_string_equal(told_last(box, "server", "deleted")->subject, "c");
    assert_string_equal(told_last(box, "network", "deleted")->text,
                        "network blue was deleted");

    feed_touch(box->feed, "server", "a"); /* Nothing is new. */
    run_ms(box, 200);
    assert_int_equal(told_news(box), 4);
    assert_whole(box);
}

/* The one row, and the row in the list: were they not the same byte by byte,
 * each would change the other. */
static void test_touch_and_audit_agree(void **state)
{
    struct box *box = *state;
    size_t n_kinds;
    const struct ist_kind *kinds = ist_kinds(&n_kinds);

    for (size_t i = 0; i < n_kinds; i++)
        fake_site_add(box->w.site, kinds[i].name, "x1", "name", "p1", "ACTIVE",
                      WORLD_WALL_MS);
    box_open(box);
    run_ms(box, 5000);
    for (size_t i = 0; i < n_kinds; i++)
        feed_touch(box->feed, kinds[i].name, "x1");
    run_ms(box, 100000);
    assert_true(feed_counts(box->feed)->shows > 15);
    assert_int_equal(told_news(box), 0);
}

static void test_a_touch_while_it_is_asked_for(void **state)
{
    struct box *box = *state;

    box_open(box);
    run_ms(box, 5000);
    box->w.site->delay_ms = 500;
    change_server(box, "a", "one", "ACTIVE");
    feed_touch(box->feed, "server", "a");
    run_ms(box, 300); /* Asked, not answered: the answer is made already. */
    change_server(box, "a", "two", "ACTIVE");
    feed_touch(box->feed, "server", "a");
    run_ms(box, 2000);
    assert_non_null(
        strstr(box->rows[replica_find(box, "server", "a")].body, "\"two\""));
    assert_int_equal(feed_counts(box->feed)->shows, 2);
}

static void test_hostile_touches(void **state)
{
    struct box *box = *state;
    char *long_id = malloc(65537);
    unsigned asked;

    memset(long_id, 'x', 65536);
    long_id[65536] = '\0';
    box_open(box);
    run_ms(box, 5000);
    asked = box->w.site->n_requests;
    feed_touch(box->feed, "server", long_id);
    feed_touch(box->feed, "server", "a\nb");
    feed_touch(box->feed, "server", "\x7F");
    feed_touch(box->feed, "server", "\x1b[2J");
    feed_touch(box->feed, "nosuch", "a");
    feed_touch(box->feed, long_id, "a");
    feed_touch(box->feed, "keypair", "a"); /* Denied. */
    run_ms(box, 500);
    assert_int_equal(box->w.site->n_requests, asked);
    /* What is no path stays none. */
    feed_touch(box->feed, "network", "../servers/a?x=1#y");
    feed_touch(box->feed, "network", "..");
    feed_touch(box->feed, "network", "%00\xff\xfe");
    run_ms(box, 500);
    assert_null(strstr(box->w.site->last_path, "../"));
    assert_int_equal(told_news(box), 0);
    free(long_id);
}

static void test_more_touches_than_may_wait(void **state)
{
    struct box *box = *state;
    char id[32];

    box_open(box);
    run_ms(box, 5000);
    box->w.site->delay_ms = 50;
    add_server(box, "z-last", "last", "ACTIVE");
    for (int i = 0; i < 10000; i++) {
        snprintf(id, sizeof(id), "unknown-%d", i);
        feed_touch(box->feed, "server", id);
    }
    run_ms(box, 400); /* The kind is read, though no turn came to the row. */
    assert_string_equal(told_last(box, "server", "created")->subject, "z-last");
    run_ms(box, 100000);
    assert_int_equal(feed_counts(box->feed)->shows, 4096);
    assert_true(box->w.site->n_running_max <= 5);
    assert_int_equal(told_news(box), 1);
}

static void test_a_touch_of_a_kind(void **state)
{
    struct box *box = *state;

    box_open(box);
    run_ms(box, 5000);
    add_server(box, "c", "db1", "ACTIVE");
    feed_touch(box->feed, "server", NULL);
    run_ms(box, 300);
    assert_string_equal(told_last(box, "server", "created")->subject, "c");
}

/* What failed is asked again, and in the end found by reading. */
static void test_touches_of_a_service_that_is_down(void **state)
{
    struct box *box = *state;

    box_open(box);
    run_ms(box, 5000);
    box->conf.poll_ms = 300000;
    feed_notified(box->feed, "compute", true);
    run_ms(box, 1000);
    box->w.site->fault = FAKE_ERROR;
    add_server(box, "c", "db1", "ACTIVE");
    feed_touch(box->feed, "server", "c");
    run_ms(box, 6000);
    assert_null(told_last(box, "server", "created"));
    box->w.site->fault = FAKE_FINE;
    run_ms(box, 30000);
    assert_string_equal(told_last(box, "server", "created")->subject, "c");
}

static void test_notified_kinds_are_read_seldom(void **state)
{
    struct box *box = *state;
    uint64_t before;

    box_open(box);
    run_ms(box, 5000);
    feed_notified(box->feed, "compute", true);
    feed_notified(box->feed, "network", true);
    feed_notified(box->feed, "image", true);
    feed_notified(box->feed, "volume", true);
    feed_notified(box->feed, "identity", true);
    run_ms(box, 5000); /* Once more, for what was missed. */
    before = feed_counts(box->feed)->readings;
    run_ms(box, 200000);
    assert_int_equal(feed_counts(box->feed)->readings, before);
    run_ms(box, 200000);
    assert_true(feed_counts(box->feed)->readings >= before + 20);
    feed_notified(box->feed, "compute", false);
    before = feed_counts(box->feed)->readings;
    run_ms(box, 40000);
    assert_true(feed_counts(box->feed)->readings >= before + 6);
}

/* Settling and resync */

struct waiter {
    struct feed_settle settle;
    bool done;
    int rc;
};

static void on_settled(struct ist_op *op)
{
    struct feed_settle *settle = IST_CONTAINER(op, struct feed_settle, op);
    struct waiter *waiter = IST_CONTAINER(settle, struct waiter, settle);

    waiter->done = true;
    waiter->rc = op->rc;
}

static void settle(struct box *box, struct waiter *waiter, uint64_t ms)
{
    *waiter = (struct waiter){.rc = 1};
    ist_op_prepare(&waiter->settle.op, &box->w.loop, NULL, ms, on_settled);
    feed_settle_start(box->feed, &waiter->settle);
}

static void test_settling(void **state)
{
    struct box *box = *state;
    struct waiter first, second, third;

    box_open(box);
    run_ms(box, 5000);
    settle(box, &first, 1000); /* Nothing was noticed. */
    assert_false(first.done);
    run_ms(box, 1);
    assert_true(first.done);
    assert_int_equal(first.rc, 0);

    box->w.site->delay_ms = 200;
    add_server(box, "c", "db1", "ACTIVE");
    feed_touch(box->feed, "server", "c");
    settle(box, &first, 1000);
    settle(box, &second, 150); /* Too short. */
    run_ms(box, 50);
    feed_touch(box->feed, "network", NULL);
    settle(box, &third, 2000);
    run_ms(box, 200);
    assert_false(first.done);
    assert_true(second.done);
    assert_int_equal(second.rc, -ETIMEDOUT);
    run_ms(box, 100);
    assert_true(first.done);
    assert_int_equal(first.rc, 0);
    assert_int_equal(feed_counts(box->feed)->news, 1);
    run_ms(box, 500);
    assert_true(third.done);
    assert_int_equal(third.rc, 0);

    feed_touch(box->feed, "server", "c");
    settle(box, &first, 0);
    box_close(box);
    run_ms(box, 10);
    assert_true(first.done);
    assert_int_equal(first.rc, -ECANCELED);
}

static void test_resync_states_a_kind_again(void **state)
{
    struct box *box = *state;
    char *const kinds[] = {(char *) "server", (char *) "nosuch",
                           (char *) "keypair"};
    size_t networks;

    box_open(box);
    run_ms(box, 5000);
    networks = told_count(box, "network", END);
    replica_drop(box, (size_t) replica_find(box, "server", "a"));
    fake_site_remove(box->w.site, "server", "b");
    add_server(box, "c", "db1", "ACTIVE");
    feed_resync(box->feed, kinds, 3);
    run_ms(box, 2000);
    assert_int_equal(told_count(box, "server", BEGIN), 2);
    assert_int_equal(told_count(box, "server", END), 2);
    assert_int_equal(told_count(box, "network", END), networks);
    assert_true(replica_find(box, "server", "a") >= 0);
    assert_int_equal(replica_count(box, "server"), 2);
    assert_int_equal(told_news(box),
                     2); /* What differs is news all the same. */
    feed_resync(box->feed, NULL, 0);
    run_ms(box, 5000);
    assert_int_equal(told_count(box, "network", END), networks + 1);
    assert_int_equal(told_count(box, "keypair", BEGIN), 0);
    assert_whole(box);
}

/* Changes by touches, at any moment of a statement. */
static void test_resync_in_the_middle_of_changes(void **state)
{
    struct box *box = *state;
    char id[16];

    for (int i = 0; i < 2200; i++) {
        snprintf(id, sizeof(id), "m%04d", i);
        add_server(box, id, id, "ACTIVE");
    }
    box_open(box);
    run_ms(box, 20000);
    box->w.site->delay_ms = 40;
    ist_rand_plant(7);
    for (int round = 0; round < 300; round++) {
        snprintf(id, sizeof(id), "m%04d", (int) ist_rand_below(2300));
        if (round % 60 == 0)
            feed_resync(box->feed, NULL, 0);
        if (!fake_site_remove(box->w.site, "server", id) ||
            ist_rand_below(2) == 0)
            add_server(box, id, round % 2 ? "odd" : "even", "ACTIVE");
        feed_touch(box->feed, "server", id);
        run_ms(box, ist_rand_below(60));
    }
    ist_rand_unplant();
    run_ms(box, 20000);
    assert_whole(box);
    assert_int_equal(replica_count(box, "server"), box->w.site->n_rows);
    for (size_t i = 0; i < box->w.site->n_rows; i++) {
        const struct fake_row *row = &box->w.site->rows[i];
        long at = replica_find(box, "server", row->id);

        assert_true(at >= 0);
        assert_non_null(strstr(box->rows[at].body, row->name));
    }
}

/* The policy */

static void test_policy_takes_and_gives(void **state)
{
    struct box *box = *state;
    struct policy *frozen = policy_of("mode: frozen\nrules: []\n");

    box_open(box);
    run_ms(box, 5000);
    assert_non_null(trouble_of(box, "server"));
    feed_policy(box->feed, frozen);
    run_ms(box, 2000);
    assert_int_equal(box->n_rows, 0);
    assert_null(trouble_of(box, "server"));
    assert_int_equal(told_news(box), 0);
    add_server(box, "c", "db1", "ACTIVE");
    feed_touch(box->feed, "server", "c");
    run_ms(box, 60000);
    assert_int_equal(box->n_rows, 0);
    feed_policy(box->feed, box->policy);
    run_ms(box, 5000);
    assert_int_equal(replica_count(box, "server"), 3);
    assert_int_equal(told_news(box), 0);
    /* There and back while the one is still being withdrawn. */
    feed_policy(box->feed, frozen);
    feed_policy(box->feed, box->policy);
    run_ms(box, 5000);
    assert_int_equal(replica_count(box, "server"), 3);
    assert_whole(box);
    policy_free(frozen);
}

/* Other news */

static void test_news_of_the_agent(void **state)
{
    struct box *box = *state;
    const struct feed_news news = {.severity =
                                       ISTHMUS__V1__EVENT__SEVERITY__WARNING,
                                   .service = "agent",
                                   .kind = "server",
                                   .action = "denied",
                                   .text = "no"};

    box_open(box);
    for (int i = 0; i < 1000; i++) /* A flood is cut. */
        feed_tell(box->feed, &news);
    run_ms(box, 1000);
    assert_string_equal(told_last(box, "server", "denied")->text, "no");
    assert_int_equal(told_news(box), 64);
    assert_whole(box);
}

/* The outbox */

static void test_ten_minutes_without_a_bus(void **state)
{
    struct box *box = *state;
    char id[16];

    box_open(box);
    run_ms(box, 5000);
    ist_mem_broker_crash(box->broker, 600000);
    for (int i = 0; i < 300; i++) {
        snprintf(id, sizeof(id), "n%d", i);
        add_server(box, id, id, "ACTIVE");
        feed_touch(box->feed, "server", id);
        run_ms(box, 1000);
    }
    assert_int_equal(feed_counts(box->feed)->outbox_entries, 300);
    assert_int_equal(told_news(box), 0);
    run_ms(box, 400000);
    assert_int_equal(told_news(box), 300);
    assert_int_equal(replica_count(box, "server"), 302);
    assert_int_equal(feed_counts(box->feed)->outbox_entries, 0);
    assert_int_equal(feed_counts(box->feed)->outbox_bytes, 0);
    assert_whole(box);
}

static void test_a_broker_that_loses_refuses_and_doubles(void **state)
{
    struct box *box = *state;
    char id[16];

    ist_rand_plant(11);
    ist_mem_broker_faults(
        box->broker,
        &(struct ist_mem_faults){
            .lose = 3000, .duplicate = 3000, .nack = 6000, .delay_max_ms = 20});
    box_open(box);
    for (int i = 0; i < 500; i++) {
        snprintf(id, sizeof(id), "n%d", i);
        add_server(box, id, id, "ACTIVE");
        feed_touch(box->feed, "server", id);
        run_ms(box, ist_rand_below(50));
    }
    run_ms(box, 400000);
    ist_rand_unplant();
    /* Some came before others that had to be sent again; none is missing. */
    assert_int_equal(feed_counts(box->feed)->outbox_entries, 0);
    assert_int_equal(feed_counts(box->feed)->dropped, 0);
    assert_true(box->n_doubles > 0);
}

static void test_a_full_outbox_drops_the_oldest(void **state)
{
    struct box *box = *state;
    const struct feed_counts *counts;
    char id[16];

    box->conf.outbox_max = 64U << 10;
    box_open(box);
    run_ms(box, 5000);
    ist_mem_broker_crash(box->broker, 300000);
    for (int i = 0; i < 1000; i++) {
        snprintf(id, sizeof(id), "n%d", i);
        add_server(box, id, id, "ACTIVE");
    }
    run_ms(box, 60000);
    counts = feed_counts(box->feed);
    assert_true(counts->outbox_bytes <= 64U << 10);
    assert_true(counts->dropped > 500 && counts->dropped < 1000);
    run_ms(box, 300000);
    assert_true(box->n_gaps > 0); /* The hub sees it, and asks: */
    box->conf.outbox_max = 64U << 20;
    box_close(box);
    box_open(box);
    feed_resync(box->feed, NULL, 0);
    run_ms(box, 60000);
    assert_int_equal(replica_count(box, "server"), 1002);
}

/* Restarts */

static void copy_file(const char *from, const char *to)
{
    char command[1200];

    snprintf(command, sizeof(command), "cp %s %s && chmod 600 %s", from, to,
             to);
    assert_int_equal(system(command), 0);
}

static void test_a_restart_goes_on(void **state)
{
    struct box *box = *state;
    uint64_t epoch;

    box_open(box);
    run_ms(box, 5000);
    epoch = box->epoch;
    add_server(box, "c", "db1", "ACTIVE");
    run_ms(box, 40000);
    box_close(box);
    fake_site_remove(box->w.site, "server", "a"); /* While it is away. */
    box_open(box);
    run_ms(box, 5000);
    assert_int_equal(box->epoch, epoch);
    assert_string_equal(told_last(box, "server", "deleted")->subject, "a");
    assert_int_equal(told_count(box, "server", BEGIN), 1);
    assert_int_equal(told_news(box), 2);
    assert_int_equal(box->n_doubles, 0);
    assert_whole(box);
}

/* As a crash leaves it: the file of some moment, with whatever was sent since
 * unknown to it. */
static void test_a_crash_at_any_moment(void **state)
{
    struct box *box = *state;
    const char *path = scratch_path(box->dir, "feed.db"),
               *copy = scratch_path(box->dir, "copy.db");
    uint64_t epoch;
    char id[16];

    ist_rand_plant(3);
    box_open(box);
    run_ms(box, 5000);
    epoch = box->epoch;
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 5; i++) {
            snprintf(id, sizeof(id), "n%d-%d", round, i);
            add_server(box, id, id, "ACTIVE");
            feed_touch(box->feed, "server", id);
            run_ms(box, ist_rand_below(80));
        }
        copy_file(path, copy);
        box_close(box); /* Cannot confirm any more: the copy is what counts. */
        assert_int_equal(rename(copy, path), 0);
        box_open(box);
        run_ms(box, ist_rand_below(3000));
    }
    ist_rand_unplant();
    run_ms(box, 60000);
    assert_int_equal(box->epoch, epoch);
    assert_int_equal(told_news(box), 200);
    assert_int_equal(replica_count(box, "server"), 202);
    assert_whole(box);
}

static void test_a_crash_within_a_statement(void **state)
{
    struct box *box = *state;
    const char *path = scratch_path(box->dir, "feed.db"),
               *copy = scratch_path(box->dir, "copy.db");
    char id[16];

    for (int i = 0; i < 2500; i++) {
        snprintf(id, sizeof(id), "m%04d", i);
        add_server(box, id, id, "ACTIVE");
    }
    box->w.site->delay_ms = 100;
    box_open(box);
    while (told_count(box, "server", BEGIN) == 0)
        run_ms(box, 10);
    assert_int_equal(told_count(box, "server", END), 0);
    copy_file(path, copy);
    box_close(box);
    assert_int_equal(rename(copy, path), 0);
    box_open(box);
    run_ms(box, 20000);
    assert_int_equal(told_count(box, "server", BEGIN), 2);
    assert_int_equal(told_count(box, "server", END), 1);
    assert_int_equal(replica_count(box, "server"), 2502);
    assert_int_equal(told_news(box), 0);
    assert_whole(box);
}

static void test_a_lost_file_begins_an_epoch(void **state)
{
    struct box *box = *state;
    uint64_t epoch;

    box_open(box);
    run_ms(box, 5000);
    epoch = box->epoch;
    box_close(box);
    assert_int_equal(unlink(scratch_path(box->dir, "feed.db")), 0);
    box_open(box);
    run_ms(box, 5000);
    assert_true(box->epoch > epoch);
    assert_int_equal(replica_count(box, "server"), 2);
    assert_int_equal(told_news(box), 0);
    assert_whole(box);
}

static void test_a_damaged_file_begins_an_epoch(void **state)
{
    struct box *box = *state;
    uint64_t epoch;

    box_open(box);
    run_ms(box, 5000);
    epoch = box->epoch;
    box_close(box);
    scratch_write(scratch_path(box->dir, "feed.db"),
                  "This is no such file, and longer than nothing.\n");
    box_open(box);
    run_ms(box, 5000);
    assert_true(box->epoch > epoch);
    assert_int_equal(replica_count(box, "server"), 2);
    assert_int_equal(access(scratch_path(box->dir, "feed.db.damaged"), F_OK),
                     0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_the_first_reading_is_no_news),
        TEST(test_a_second_reading_says_nothing),
        TEST(test_what_is_new_is_news),
        TEST(test_what_is_used_is_quiet),
        TEST(test_what_changes_by_itself_is_no_change),
        TEST(test_a_failed_reading_deletes_nothing),
        TEST(test_a_silent_service_holds_up_no_other),
        TEST(test_a_partial_list_deletes_nothing),
        TEST(test_more_rows_than_a_page),
        TEST(test_a_touched_row_is_asked_for),
        TEST(test_touch_and_audit_agree),
        TEST(test_a_touch_while_it_is_asked_for),
        TEST(test_hostile_touches),
        TEST(test_more_touches_than_may_wait),
        TEST(test_a_touch_of_a_kind),
        TEST(test_touches_of_a_service_that_is_down),
        TEST(test_notified_kinds_are_read_seldom),
        TEST(test_settling),
        TEST(test_resync_states_a_kind_again),
        TEST(test_resync_in_the_middle_of_changes),
        TEST(test_policy_takes_and_gives),
        TEST(test_news_of_the_agent),
        TEST(test_ten_minutes_without_a_bus),
        TEST(test_a_broker_that_loses_refuses_and_doubles),
        TEST(test_a_full_outbox_drops_the_oldest),
        TEST(test_a_restart_goes_on),
        TEST(test_a_crash_at_any_moment),
        TEST(test_a_crash_within_a_statement),
        TEST(test_a_lost_file_begins_an_epoch),
        TEST(test_a_damaged_file_begins_an_epoch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
