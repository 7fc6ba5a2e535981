/* The intake and its sites: who is asked to state what again, what the NOC is
 * told, and what goes wrong with file, stream and registry. */
#include "box.h"

/* So many seconds, in which a site goes on saying the same of its feed. */
static void presences(struct box *box, struct peer *peer, uint64_t epoch,
                      uint64_t position, uint64_t next_sequence, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        presence(box, peer, epoch, position, next_sequence);
        hall_run(box->hall, 1000);
    }
}

static uint64_t n_resyncs(struct box *box)
{
    return intake_counts(box->intake)->resyncs;
}

static void reopen(struct box *box)
{
    close_it(box);
    open_it(box);
    hall_run(box->hall, 500);
}

static bool has_item(struct box *box, const char *item)
{
    return strstr(log_of(box), item) != NULL;
}

/* What is on its way is no gap. */
static void test_a_delta_in_flight(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];

    state_two(peer, 9);
    presences(box, peer, 9, 5, 1, 8);
    assert_int_equal(n_resyncs(box), 0);
    assert_false(currency(box, peer).current);
    publish_one(peer, 9, UPSERT, 5, 0, "three");
    assert_true(currency(box, peer).current);
    presences(box, peer, 9, 5, 1, 8);
    assert_int_equal(n_resyncs(box), 0);
}

/* The age is that of the last word which is here whole, though each word came
 * before what it speaks of. */
static void test_age_of_a_busy_site(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];

    state_two(peer, 9);
    for (uint64_t i = 5; i < 15; i++) {
        presence(box, peer, 9, i, 1);
        hall_run(box->hall, 1000);
        publish_one(peer, 9, UPSERT, i, 0, "one");
        assert_in_range(currency(box, peer).age_ms, 1000, 1100);
    }
}

/* While a kind cannot be read its rows are as old as the last reading. */
static void test_age_in_trouble(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];
    struct sites_site *site = sites_find(box->hall->sites, "sa");

    state_two(peer, 9);
    presence(box, peer, 9, 4, 1);
    hall_run(box->hall, 5000);
    snprintf(site->feed[0].trouble, sizeof(site->feed[0].trouble), "no nova");
    intake_site_changed(box->intake, site, SITES_CHANGE_HEARD);
    assert_in_range(currency(box, peer).age_ms, 5000, 5100);
    assert_false(currency(box, peer).current);
    assert_string_equal(currency(box, peer).why, "no nova");
}

static void test_lost_entries_are_stated_again(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];

    state_two(peer, 9);
    presences(box, peer, 9, 5, 1, 14);
    assert_int_equal(peer->n_calls, 1);
    assert_int_equal(peer->call->what_case, ISTHMUS__V1__CALL__WHAT_RESYNC);
    assert_int_equal(n_resyncs(box), 1);
}

static void test_a_kind_never_stated(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];

    presences(box, peer, 9, 4, 1, 14);
    assert_int_equal(n_resyncs(box), 1);
    state_two(peer, 9);
    assert_true(currency(box, peer).current);
    presences(box, peer, 9, 4, 1, 60);
    assert_int_equal(n_resyncs(box), 1);
}

/* A statement that goes on is not asked for again, however long it takes. */
static void test_a_long_statement(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];

    publish_one(peer, 9, BEGIN, 1, 0, "");
    for (uint64_t i = 2; i < 10; i++) {
        publish_one(peer, 9, UPSERT, i, 0, "one");
        presences(box, peer, 9, 100, 1, 5);
    }
    assert_int_equal(n_resyncs(box), 0);
}

/* One that cannot help is asked ever more seldom: 1, 2, 4... s apart. */
static void test_resyncs_that_do_not_help(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];

    box->conf.resync_ms = 30000;
    reopen(box);
    for (unsigned i = 0; i < 60; i++) {
        presences(box, peer, 9, 4, 1, 10);
        if (peer->call)
            peer_failure(peer, 0, ISTHMUS__V1__FAILURE__CODE__UNSUPPORTED,
                         "no feed");
        peer->call = NULL;
    }
    assert_in_range(n_resyncs(box), 4, 6);
}

static void test_a_site_that_is_away_is_not_asked(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];

    state_two(peer, 9);
    presence(box, peer, 9, 5, 1);
    hall_run(box->hall, 60000);
    assert_int_equal(n_resyncs(box), 0);
}

/* A clock that was far ahead when the log began: its agent has another since.
 */
static void test_an_older_epoch_that_is_the_site_s(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];

    state_two(peer, 900);
    publish_one(peer, 9, DELETE, 1, 1, "one");
    assert_int_equal(n_rows(box, "sa"), 2);
    presence(box, peer, 9, 4, 1);
    state_two(peer, 9);
    assert_true(currency(box, peer).current);
    assert_true(has_item(box, "sa:restarted"));
}

/* Unreachable is told once, also by a hub that starts again, and has its end.
 */
static void test_told_over_a_restart(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];

    state_two(peer, 9);
    presence(box, peer, 9, 4, 1);
    hall_run(box->hall, SITES_ABSENT_MS + 100);
    assert_string_equal(log_of(box),
                        "sb:unreachable sa:unreachable sa:interrupted ");
    reopen(box);
    intake_site_changed(box->intake, sites_find(box->hall->sites, "sa"),
                        SITES_CHANGE_STATE);
    hall_run(box->hall, 10);
    log_of(box);
    assert_int_equal(box->n_items, 3);
    presence(box, peer, 9, 4, 1);
    hall_run(box->hall, 10);
    assert_string_equal(log_of(box),
                        "sb:unreachable sa:unreachable sa:interrupted "
                        "sa:reachable sa:resumed ");
    presence(box, peer, 9, 4, 1);
    hall_run(box->hall, 10);
    log_of(box);
    assert_int_equal(box->n_items, 5);
}

static void says(struct box *box, const char *version, const char *mode)
{
    Isthmus__V1__Presence presence = ISTHMUS__V1__PRESENCE__INIT;

    presence.version = TEXT(version);
    presence.policy_mode = TEXT(mode);
    sites_presence(box->hall->sites, sites_find(box->hall->sites, "sa"),
                   &presence, ist_loop_wall(&box->hall->loop));
    hall_run(box->hall, 10);
}

/* The first word is no change; one while the hub was down is. */
static void test_changes_of_version_and_policy(void **state)
{
    struct box *box = *state;

    says(box, "1.0", "active");
    assert_string_equal(log_of(box), "");
    says(box, "1.1", "active");
    says(box, "1.1", "frozen");
    assert_string_equal(log_of(box), "sa:version_changed sa:policy_changed ");
    close_it(box);
    says(box, "1.2", "frozen");
    open_it(box);
    intake_site_changed(box->intake, sites_find(box->hall->sites, "sa"),
                        SITES_CHANGE_VERSION);
    hall_run(box->hall, 10);
    assert_string_equal(
        log_of(box),
        "sa:version_changed sa:policy_changed sa:version_changed ");
}

static int write_nothing(struct ist_write *write, MDB_txn *txn,
                         struct ist_err *err)
{
    (void) write, (void) txn, (void) err;
    return 0;
}

struct meanwhile {
    struct ist_write write;
    struct box *box;
};

static void say_meanwhile(struct ist_op *op)
{
    struct meanwhile *meanwhile = IST_CONTAINER(op, struct meanwhile, write.op);
    struct sites_site *site = sites_find(meanwhile->box->hall->sites, "sa");

    snprintf(site->version, sizeof(site->version), "1.2");
    intake_site_changed(meanwhile->box->intake, site, SITES_CHANGE_VERSION);
}

static void on_nothing(struct ist_op *op)
{
    (void) op;
}

/* Told between the end of the write that stores what was told and its 'done':
 * it is stored by the next. */
static void test_told_in_between(void **state)
{
    struct box *box = *state;
    struct meanwhile meanwhile = {.box = box};
    struct ist_write first = {.queued = false};
    struct sites_site *site = sites_find(box->hall->sites, "sa");

    says(box, "1.0", "active");
    ist_op_prepare(&first.op, &box->hall->loop, NULL, 0, on_nothing);
    ist_tree_write(box->tree, &first, write_nothing);
    ist_op_prepare(&meanwhile.write.op, &box->hall->loop, NULL, 0,
                   say_meanwhile);
    ist_tree_write(box->tree, &meanwhile.write, write_nothing);
    says(box, "1.1", "active");
    reopen(box);
    intake_site_changed(box->intake, site, SITES_CHANGE_VERSION);
    hall_run(box->hall, 10);
    assert_string_equal(log_of(box), "sa:version_changed sa:version_changed ");
}

/* Another site under the same name begins with nothing of the first one. */
static void test_replaced(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];
    struct ist_delegation delegation;

    state_two(peer, 9);
    identity_make(&peer->self, IST_ROLE_SITE, 5);
    peer->hub = identity_peer(&box->hall->self, &peer->self);
    delegation = identity_delegation(&peer->self);
    sites_admit(box->hall->sites, "sa", &delegation);
    hall_run(box->hall, 3000);
    assert_int_equal(n_rows(box, "sa"), 0);
    assert_false(currency(box, peer).known);
    state_two(peer, 3);
    assert_int_equal(n_rows(box, "sa"), 2);
    assert_int_equal(n_rows(box, "sb"), 0);
    reopen(box);
    assert_int_equal(n_rows(box, "sa"), 2);
    assert_true(currency(box, peer).known);
}

/* It was removed while the hub was down: only its rows and numbers tell. */
static void test_removed_while_down(void **state)
{
    struct box *box = *state;
    Isthmus__V1__Record record = ISTHMUS__V1__RECORD__INIT;
    MDB_val key = {2, TEXT("zz")}, value = {3, TEXT("???")};
    MDB_txn *txn;
    MDB_dbi map;

    reopen(box);
    record.id = TEXT("left over");
    assert_int_equal(ist_tree_map(box->tree, "intake", 0, &map, &box->err), 0);
    assert_int_equal(ist_tree_begin(box->tree, &txn, &box->err), 0);
    assert_int_equal(view_upsert(box->view, txn, "zz", ist_kind_find("server"),
                                 &record, &box->err),
                     0);
    assert_int_equal(mdb_put(txn, map, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    assert_int_equal(n_rows(box, "zz"), 1);
    reopen(box);
    hall_run(box->hall, 1500);
    assert_int_equal(n_rows(box, "zz"), 0);
    assert_int_equal(ist_tree_read(box->tree, &txn, &box->err), 0);
    assert_int_equal(mdb_get(txn, map, &key, &value), MDB_NOTFOUND);
    mdb_txn_abort(txn);
}

/* The broker was made anew: numbers of places begin again, below ours. */
static void test_another_stream(void **state)
{
    static const struct ist_mem_queue_args stream = {.stream = true};
    struct box *box = *state;
    struct hall *hall = box->hall;
    struct peer *peer = &hall->peers[0];

    state_two(peer, 9);
    for (uint64_t i = 5; i < 15; i++)
        publish_one(peer, 9, UPSERT, i, 0, "one");
    close_it(box);
    ist_mem_queue_delete(hall->broker, "evt.stream");
    ist_mem_queue_with(hall->broker, "evt.stream", &stream);
    ist_mem_bind(hall->broker, "evt.stream", "x.evt", "*.*.*.#");
    publish_one(peer, 9, UPSERT, 15, 0, "three");
    open_it(box);
    presences(box, peer, 9, 15, 1, 10);
    assert_int_equal(n_rows(box, "sa"), 2);
    presences(box, peer, 9, 15, 1, 60);
    assert_int_equal(n_rows(box, "sa"), 3);
    assert_true(currency(box, peer).current);
}

/* The connection is lost with messages not yet acked: they count once. */
static void test_bus_lost(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];

    state_two(peer, 9);
    for (uint64_t i = 1; i < 20; i++) {
        publish_one(peer, 9, UPSERT, i + 4, i, "three");
        if (i % 4 == 0) {
            ist_mem_cut(box->hall->bus, 50);
            intake_down(box->intake);
            hall_run(box->hall, 500);
        }
    }
    hall_run(box->hall, 5000);
    log_of(box);
    assert_int_equal(box->n_items, 19);
    assert_int_equal(intake_counts(box->intake)->gaps, 0);
    assert_int_equal(n_rows(box, "sa"), 3);
}

/* Without waiting for it to arrive. */
static void send_one(struct peer *peer, uint64_t position, uint64_t sequence)
{
    struct said said;

    said_init(&said, 9);
    say(&said, UPSERT, position, sequence, "three");
    send_said(peer, &said);
}

static unsigned n_stalls;

static int stall(struct ist_write *write, MDB_txn *txn, struct ist_err *err)
{
    (void) write, (void) txn;
    n_stalls++;
    return ist_err_set(err, -EIO, "not now");
}

static void on_stalled(struct ist_op *op)
{
    (void) op;
}

/* More than may be held: it is left to the broker, and comes when there is
 * room; each entry once. */
static void test_more_than_may_be_held(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];
    struct ist_write a = {.queued = false}, b = a;

    box->conf.held_max = 2000;
    reopen(box);
    state_two(peer, 9);
    for (uint64_t i = 1; i < 50; i++) {
        if (i % 10 == 0) { /* What comes next must be tried again. */
            ist_op_prepare(&a.op, &box->hall->loop, NULL, 0, on_stalled);
            ist_op_prepare(&b.op, &box->hall->loop, NULL, 0, on_stalled);
            ist_tree_write(box->tree, &a, stall);
            ist_tree_write(box->tree, &b, stall);
        }
        for (unsigned n = 0; n < 8; n++, i++)
            send_one(peer, i + 4, i);
        hall_run(box->hall, 5000);
        publish_one(peer, 9, UPSERT, i + 4, i, "three");
    }
    hall_run(box->hall, 5000);
    assert_in_range(n_stalls, 2, 20);
    log_of(box);
    assert_int_equal(box->n_items, 54 + 3); /* And sites that are away. */
    assert_int_equal(intake_counts(box->intake)->gaps, 0);
    assert_int_equal(n_rows(box, "sa"), 3);
}

static void test_bodies(void **state)
{
    static const char *const bodies[] = {
        "",       "[]",   "{", "{}]", "{\"a\":\"\xff\"}", "{\"site\":\"sb\"}",
        "{}, {}", "null",
    };
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];
    struct said said;

    state_two(peer, 9);
    for (size_t i = 0; i < IST_COUNT(bodies); i++) {
        said_init(&said, 9);
        say(&said, UPSERT, 5 + i, 0, "bad");
        said.records[0].body = (ProtobufCBinaryData){
            strlen(bodies[i]), (uint8_t *) TEXT(bodies[i])};
        publish(peer, &said);
    }
    assert_int_equal(n_rows(box, "sa"), 2);
    assert_int_equal(intake_counts(box->intake)->malformed, IST_COUNT(bodies));
    publish_one(peer, 9, UPSERT, 5 + IST_COUNT(bodies), 0, "good");
    assert_int_equal(n_rows(box, "sa"), 3);
    presence(box, peer, 9, 5 + IST_COUNT(bodies), 1);
    assert_true(currency(box, peer).current);
}

/* Numbers at their ends; a megabyte of nothing. */
static void test_absurd_numbers(void **state)
{
    static uint8_t nothing[1024 * 1024];
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];

    state_two(&box->hall->peers[1], 9);
    state_two(peer, 9);
    publish_raw(peer, nothing, sizeof(nothing));
    memset(nothing, 0x12, sizeof(nothing));
    publish_raw(peer, nothing, sizeof(nothing));
    publish_one(peer, 9, UPSERT, UINT64_MAX, UINT64_MAX, "one");
    publish_one(peer, 9, UPSERT, 0, UINT64_MAX, "one");
    publish_one(peer, 9, END, UINT64_MAX, 1, "one");
    publish_one(peer, UINT64_MAX, UPSERT, 1, 1, "one");
    publish_one(peer, 0, UPSERT, 1, 1, "one");
    assert_int_equal(n_rows(box, "sa"), 2);
    assert_int_equal(n_rows(box, "sb"), 2);
    assert_int_equal(intake_counts(box->intake)->malformed, 3);
    presence(box, peer, 9, 4, 1);
    state_two(peer, 9);
    assert_int_equal(n_rows(box, "sa"), 2);
    assert_true(currency(box, peer).current);
}

/* Events give way to rows, and the view goes on. */
static void test_a_file_that_is_full(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];
    uint64_t first, last, used, max, i;

    close_it(box);
    unlink(scratch_path(box->dir, "hub.db"));
    box->tree_max = 640U << 10;
    open_it(box);
    state_two(peer, 9);
    for (i = 1; i < 6000; i++)
        publish_one(peer, 9, UPSERT, i + 4, i, i % 2 ? "three" : "four");
    hall_run(box->hall, 20000);
    publish_one(peer, 9, UPSERT, i + 4, i, "five");
    hall_run(box->hall, 20000);
    assert_int_equal(n_rows(box, "sa"), 5);
    assert_string_equal(intake_trouble(box->intake), "");
    events_log_range(box->log, &first, &last);
    assert_in_range(last, 6000, 6010);
    assert_in_range(first, 2, 6000);
    ist_tree_room(box->tree, &used, &max);
    assert_int_equal(max, box->tree_max);
    assert_int_equal(intake_counts(box->intake)->gaps, 0);
}

/* Waiting for a site */

static unsigned n_waited;

static void on_waited(struct ist_op *op)
{
    (void) op;
    n_waited++;
}

static void start_wait(struct box *box, struct intake_wait *wait)
{
    n_waited = 0;
    memset(wait, 0, sizeof(*wait));
    wait->site = sites_find(box->hall->sites, "sa");
    wait->kind = ist_kind_find("server");
    ist_op_prepare(&wait->op, &box->hall->loop, NULL, 0, on_waited);
    intake_wait_start(box->intake, wait);
}

static void test_wait_for_a_site_that_goes(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];
    Isthmus__V1__Reply reply = ISTHMUS__V1__REPLY__INIT;
    Isthmus__V1__FeedState feed = ISTHMUS__V1__FEED_STATE__INIT;
    Isthmus__V1__KindPosition kind = ISTHMUS__V1__KIND_POSITION__INIT;
    Isthmus__V1__KindPosition *kinds[] = {&kind};
    struct intake_wait wait;

    kind.kind = TEXT("server");
    kind.position = 1;
    feed.epoch = 9;
    feed.n_kinds = 1;
    feed.kinds = kinds;
    reply.feed = &feed;
    reply.last = true;
    start_wait(box, &wait);
    peer_reply(peer, &reply);
    assert_int_equal(n_waited, 0);
    hall_run(box->hall, SITES_ABSENT_MS + 100);
    assert_int_equal(n_waited, 1);
    assert_int_equal(wait.op.rc, DESK_ABSENT);
    start_wait(box, &wait); /* It is not even asked. */
    hall_run(box->hall, 10);
    assert_int_equal(n_waited, 1);
    assert_int_equal(wait.op.rc, DESK_ABSENT);
}

/* Cancelled at any time in its life, it ends once. */
static void test_wait_cancelled(void **state)
{
    struct box *box = *state;
    struct intake_wait wait;

    for (uint64_t ms = 0; ms < 6; ms++) {
        start_wait(box, &wait);
        hall_run(box->hall, ms);
        ist_op_cancel(&wait.op, -ECANCELED);
        hall_run(box->hall, 50);
        assert_int_equal(n_waited, 1);
        assert_int_equal(wait.op.rc, -ECANCELED);
    }
    hall_run(box->hall, SITES_ABSENT_MS + 100);
    start_wait(box, &wait);
    ist_op_cancel(&wait.op, -ECANCELED);
    hall_run(box->hall, 50);
    assert_int_equal(n_waited, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_delta_in_flight),
        TEST(test_age_of_a_busy_site),
        TEST(test_age_in_trouble),
        TEST(test_lost_entries_are_stated_again),
        TEST(test_a_kind_never_stated),
        TEST(test_a_long_statement),
        TEST(test_resyncs_that_do_not_help),
        TEST(test_a_site_that_is_away_is_not_asked),
        TEST(test_an_older_epoch_that_is_the_site_s),
        TEST(test_told_over_a_restart),
        TEST(test_changes_of_version_and_policy),
        TEST(test_told_in_between),
        TEST(test_replaced),
        TEST(test_removed_while_down),
        TEST(test_another_stream),
        TEST(test_bus_lost),
        TEST(test_more_than_may_be_held),
        TEST(test_bodies),
        TEST(test_absurd_numbers),
        TEST(test_a_file_that_is_full),
        TEST(test_wait_for_a_site_that_goes),
        TEST(test_wait_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
