/* The intake on the in-memory bus: what sites publish, in order and out of it,
 * sound and hostile. */
#include "box.h"

static void test_in_order(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];

    assert_false(currency(box, peer).known);
    state_two(peer, 9);
    assert_int_equal(n_rows(box, "sa"), 2);
    assert_string_equal(log_of(box), "");
    publish_one(peer, 9, UPSERT, 5, 1, "three");
    publish_one(peer, 9, DELETE, 6, 2, "one");
    assert_int_equal(n_rows(box, "sa"), 2);
    assert_string_equal(log_of(box), "sa:updated sa:updated ");
    presence(box, peer, 9, 6, 3);
    assert_true(currency(box, peer).known);
    assert_true(currency(box, peer).current);
    assert_int_equal(currency(box, peer).age_ms, 0);
    hall_run(box->hall, 3000);
    assert_in_range(currency(box, peer).age_ms, 2900, 3100);
    assert_int_equal(intake_counts(box->intake)->doubles, 0);
}

/* What waited in the stream is as old as it was said, by whatever clock; but
 * none is from the future. */
static void test_a_late_statement_is_old(void **state)
{
    static const struct {
        uint64_t ago_ms, least, most;
    } rows[] = {
        {3600000, 3600000, 3600100}, {0, 0, 100}, {-3600000ULL, 0, 100}};
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];
    struct said said;

    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        said_init(&said, 9);
        say(&said, BEGIN, 2 * i + 1, 0, "");
        say(&said, END, 2 * i + 2, 0, "");
        said.entries[1].time_ms =
            ist_loop_wall(&box->hall->loop) - rows[i].ago_ms;
        publish(peer, &said);
        assert_true(currency(box, peer).known);
        assert_in_range(currency(box, peer).age_ms, rows[i].least,
                        rows[i].most);
    }
}

static void test_doubles(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];

    state_two(peer, 9);
    publish_one(peer, 9, UPSERT, 5, 1, "three");
    publish_one(peer, 9, DELETE, 6, 2, "three");
    publish_one(peer, 9, UPSERT, 5, 1, "three");
    assert_int_equal(n_rows(box, "sa"), 2);
    log_of(box);
    assert_int_equal(box->n_items, 2);
    assert_int_equal(intake_counts(box->intake)->doubles, 1);
}

/* A position is missing: the row counts, the site is asked to state again. */
static void test_gap(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];

    state_two(peer, 9);
    publish_one(peer, 9, UPSERT, 7, 3, "four");
    assert_int_equal(n_rows(box, "sa"), 3);
    assert_string_equal(log_of(box), "sa:gap sa:updated ");
    presence(box, peer, 9, 7, 4);
    assert_false(currency(box, peer).current);
    hall_run(box->hall, 2000);
    assert_int_equal(intake_counts(box->intake)->resyncs, 1);
    assert_int_equal(peer->call->what_case, ISTHMUS__V1__CALL__WHAT_RESYNC);
    assert_int_equal(peer->call->resync->n_kinds, 1);
    assert_string_equal(peer->call->resync->kinds[0], "server");
}

/* The broker has refused a message and taken the next: both come again, so
 * nothing is missing. One that its site has given up is. */
static void test_early(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];
    struct said first, second;

    state_two(peer, 9);
    said_init(&first, 9);
    say(&first, UPSERT, 5, 1, "three");
    first.events.first = first.events.oldest = 5;
    said_init(&second, 9);
    say(&second, UPSERT, 6, 2, "four");
    second.events.first = 6;
    second.events.oldest = 5;
    publish(peer, &first);
    said_init(&first, 9);
    say(&first, UPSERT, 7, 3, "five");
    first.events.first = 7;
    first.events.oldest = 6;
    publish(peer, &first); /* Before the second. */
    assert_int_equal(n_rows(box, "sa"), 3);
    assert_int_equal(intake_counts(box->intake)->early, 1);
    publish(peer, &second);
    publish(peer, &first);
    assert_int_equal(n_rows(box, "sa"), 5);
    assert_string_equal(log_of(box), "sa:updated sa:updated sa:updated ");
    said_init(&first, 9);
    say(&first, UPSERT, 9, 5, "six");
    first.events.first = first.events.oldest = 9; /* 8 was given up. */
    publish(peer, &first);
    assert_string_equal(log_of(box), "sa:updated sa:updated sa:updated "
                                     "sa:gap sa:updated ");
}

/* Of a statement with a hole nothing is swept. */
static void test_statement_with_a_hole(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];
    struct said said;

    state_two(peer, 9);
    said_init(&said, 9);
    say(&said, BEGIN, 5, 0, "");
    say(&said, UPSERT, 7, 0, "two");
    say(&said, END, 8, 0, "");
    publish(peer, &said);
    assert_int_equal(n_rows(box, "sa"), 2);
    said_init(&said, 9);
    say(&said, BEGIN, 9, 0, "");
    say(&said, UPSERT, 10, 0, "two");
    say(&said, END, 11, 0, "");
    publish(peer, &said);
    assert_int_equal(n_rows(box, "sa"), 1);
}

static void test_epochs(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];

    state_two(peer, 9);
    publish_one(peer, 9, UPSERT, 5, 1, "three");
    publish_one(peer, 8, DELETE, 6, 2, "three"); /* Back in time. */
    assert_int_equal(n_rows(box, "sa"), 3);
    state_two(peer, 10);
    assert_int_equal(n_rows(box, "sa"), 2);
    assert_string_equal(log_of(box), "sa:updated sa:restarted ");
}

/* The key decides whose rows they are: one site cannot touch another's. */
static void test_sites_are_apart(void **state)
{
    struct box *box = *state;

    state_two(&box->hall->peers[0], 9);
    state_two(&box->hall->peers[1], 9);
    publish_one(&box->hall->peers[1], 9, DELETE, 5, 1, "one");
    assert_int_equal(n_rows(box, "sa"), 2);
    assert_int_equal(n_rows(box, "sb"), 1);
}

static void test_hostile(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];
    Isthmus__V1__Event *entry;
    static char long_text[65536];
    struct said said;

    memset(long_text, 'a', sizeof(long_text) - 1);
    state_two(peer, 9);
    publish_raw(peer, "\xFF\xFF\xFF\xFF", 4);
    publish_raw(peer, "", 0);
    said_init(&said, 9);
    entry = say(&said, UPSERT, 5, 1, "three");
    entry->kind = TEXT("no such kind");
    entry = say(&said, UPSERT, 5, 2, "three");
    said.changes[1].op = (Isthmus__V1__Change__Op) 77;
    entry = say(&said, UPSERT, 5, 3, long_text);
    entry = say(&said, UPSERT, 6, 4, "<b>\x1b[31m\n");
    entry->severity = (Isthmus__V1__Event__Severity) 99;
    entry->text = entry->action = TEXT("<script>\x1b[2J\n\xff");
    entry = say(&said, UPSERT, 7, 5, "no record");
    entry->change->record = NULL;
    publish(peer, &said);
    assert_int_equal(n_rows(box, "sa"), 3);
    log_of(box);
    assert_int_equal(box->n_items, 5);
    assert_null(strpbrk(box->actions, "<>\x1b\n"));
    assert_int_equal(intake_counts(box->intake)->malformed, 6);
    publish_one(peer, 9, UPSERT, 8, 6, "fine");
    assert_int_equal(n_rows(box, "sa"), 4);
}

/* Sealed by somebody whom the hub does not know, and with a bit flipped. */
static void test_refused(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];
    struct ist_self other;

    identity_make(&other, IST_ROLE_SITE, 5);
    peer->hub = identity_peer(&box->hall->self, &other);
    peer->self = other;
    state_two(peer, 9);
    assert_int_equal(n_rows(box, "sa"), 0);
    assert_int_equal(intake_counts(box->intake)->refused[IST_SEAL_UNKNOWN], 1);
}

static void test_goes_on_after_a_restart(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];

    state_two(peer, 9);
    publish_one(peer, 9, UPSERT, 5, 1, "three");
    close_it(box);
    publish_one(peer, 9, DELETE, 6, 2, "one");
    open_it(box);
    hall_run(box->hall, 500);
    assert_int_equal(n_rows(box, "sa"), 2);
    assert_string_equal(log_of(box), "sa:updated sa:updated ");
    assert_int_equal(intake_counts(box->intake)->messages, 1);
    assert_true(currency(box, peer).known);
}

static void test_interrupted_and_resumed(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];
    struct sites_site *site = sites_find(box->hall->sites, "sa");

    state_two(peer, 9);
    publish_one(peer, 9, UPSERT, 5, 1, "three");
    presence(box, peer, 9, 5, 2);
    hall_run(box->hall, SITES_ABSENT_MS + 100);
    assert_int_equal(site->state, SITES_ABSENT);
    hall_run(box->hall, 10);
    assert_string_equal(
        log_of(box),
        "sa:updated sb:unreachable sa:unreachable sa:interrupted ");
    assert_false(currency(box, peer).current);
    presence(box, peer, 9, 6, 3); /* It is back, and has more to say. */
    hall_run(box->hall, 10);
    publish_one(peer, 9, DELETE, 6, 2, "three");
    hall_run(box->hall, 1500);
    assert_string_equal(
        log_of(box), "sa:updated sb:unreachable sa:unreachable sa:interrupted "
                     "sa:reachable sa:updated sa:resumed ");
}

/* Waiting until the view is as far as the site */

static unsigned n_waited;

static void on_waited(struct ist_op *op)
{
    (void) op;
    n_waited++;
}

static void start_wait(struct box *box, struct intake_wait *wait,
                       uint64_t timeout_ms)
{
    n_waited = 0;
    memset(wait, 0, sizeof(*wait));
    wait->site = sites_find(box->hall->sites, "sa");
    wait->kind = ist_kind_find("server");
    ist_op_prepare(&wait->op, &box->hall->loop, NULL, timeout_ms, on_waited);
    intake_wait_start(box->intake, wait);
    hall_run(box->hall, 10);
}

static void answer_position(struct peer *peer, uint64_t epoch,
                            uint64_t position)
{
    Isthmus__V1__Reply reply = ISTHMUS__V1__REPLY__INIT;
    Isthmus__V1__FeedState feed = ISTHMUS__V1__FEED_STATE__INIT;
    Isthmus__V1__KindPosition kind = ISTHMUS__V1__KIND_POSITION__INIT;
    Isthmus__V1__KindPosition *kinds[] = {&kind};

    kind.kind = TEXT("server");
    kind.position = position;
    feed.epoch = epoch;
    feed.n_kinds = 1;
    feed.kinds = kinds;
    reply.feed = &feed;
    reply.last = true;
    peer_reply(peer, &reply);
}

static void test_wait(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];
    struct intake_wait wait;

    state_two(peer, 9);
    start_wait(box, &wait, 5000);
    assert_int_equal(peer->call->what_case, ISTHMUS__V1__CALL__WHAT_POSITION);
    answer_position(peer, 9, 5);
    assert_int_equal(n_waited, 0);
    publish_one(peer, 9, UPSERT, 5, 1, "three");
    assert_int_equal(n_waited, 1);
    assert_int_equal(wait.op.rc, 0);
    start_wait(box, &wait, 5000);
    answer_position(peer, 9, 5);
    assert_int_equal(n_waited, 1);
    /* What it waits for does not come. */
    start_wait(box, &wait, 500);
    answer_position(peer, 9, 50);
    hall_run(box->hall, 1000);
    assert_int_equal(n_waited, 1);
    assert_int_equal(wait.op.rc, -ETIMEDOUT);
    /* An agent without a feed. */
    start_wait(box, &wait, 5000);
    answer_position(peer, 0, 0);
    assert_int_equal(wait.op.rc, DESK_FAILED);
}

static void test_closed_while_waited_for(void **state)
{
    struct box *box = *state;
    struct intake_wait wait;

    state_two(&box->hall->peers[0], 9);
    start_wait(box, &wait, 5000);
    close_it(box);
    assert_int_equal(n_waited, 1);
    assert_int_equal(wait.op.rc, -ECANCELED);
    open_it(box);
}

/* Rows of a site that was removed go. */
static void test_removed(void **state)
{
    struct box *box = *state;

    state_two(&box->hall->peers[0], 9);
    hall_replace(box->hall, 0);
    hall_run(box->hall, 3000);
    assert_int_equal(n_rows(box, "sa"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_in_order),
        TEST(test_a_late_statement_is_old),
        TEST(test_doubles),
        TEST(test_gap),
        TEST(test_early),
        TEST(test_statement_with_a_hole),
        TEST(test_epochs),
        TEST(test_sites_are_apart),
        TEST(test_hostile),
        TEST(test_refused),
        TEST(test_goes_on_after_a_restart),
        TEST(test_interrupted_and_resumed),
        TEST(test_wait),
        TEST(test_closed_while_waited_for),
        TEST(test_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
