/* Answers of an agent over the in-memory bus, with an OpenStack that does as
 * the test says: judged by the policy, sent under credit, ended for whatever
 * reason comes first. */
#include "box.h"

/* Answers */

static void test_a_list_comes_with_its_last_frame(void **state)
{
    struct box *box = *state;

    ask_list(box, "server", 10, 10);
    assert_non_null(cloud.list);
    assert_string_equal(cloud.list->kind, "server");
    assert_int_equal(cloud.list->limit, 10);
    assert_int_equal(box->n_frames, 0);
    cloud_finds(3, 20);
    run(box, 5);
    assert_complete(box, 3);
    assert_int_equal(box->n_frames, 1);
    assert_string_equal(box->reply->records[2]->id, "id-0002");
    assert_int_equal(box->reply->records[2]->n_keys, 1);
    assert_int_equal(box->reply->records[2]->body.len, 20);
}

static void test_an_empty_list_is_an_answer(void **state)
{
    struct box *box = *state;

    ask_list(box, "server", 10, 10);
    cloud_finds(0, 20);
    run(box, 5);
    assert_complete(box, 0);
}

static void test_large_records_go_in_several_frames(void **state)
{
    struct box *box = *state;

    ask_list(box, "server", 100, 100);
    cloud_finds(5, 200000);
    run(box, 5);
    assert_complete(box, 5);
    assert_int_equal(box->n_frames, 5);
}

static void test_many_records_go_in_several_frames(void **state)
{
    struct box *box = *state;

    ask_list(box, "server", RECORDS_MAX, RECORDS_MAX);
    cloud_finds(RECORDS_MAX, 20);
    run(box, 5);
    assert_complete(box, RECORDS_MAX);
    assert_int_equal(box->n_frames, 3);
}

static void test_only_what_credit_allows_is_sent(void **state)
{
    struct box *box = *state;

    ask_list(box, "server", 100, 4);
    cloud_finds(10, 20);
    run(box, 100);
    assert_int_equal(box->n_records, 4);
    assert_int_equal(box->n_lasts, 0);
    give_credit(box, 5);
    assert_int_equal(box->n_records, 9);
    assert_int_equal(box->n_lasts, 0);
    assert_int_equal(box->serve.n_open, 1);
    give_credit(box, UINT32_MAX);
    assert_complete(box, 10);
}

static void test_credit_may_come_before_the_records(void **state)
{
    struct box *box = *state;

    ask_list(box, "server", 100, 1);
    give_credit(box, 9);
    cloud_finds(10, 20);
    run(box, 5);
    assert_complete(box, 10);
}

static void test_a_probe_names_the_services(void **state)
{
    Isthmus__V1__Call call = ISTHMUS__V1__CALL__INIT;
    Isthmus__V1__Probe probe = ISTHMUS__V1__PROBE__INIT;
    struct box *box = *state;

    call.what_case = ISTHMUS__V1__CALL__WHAT_PROBE;
    call.probe = &probe;
    ask(box, &call);
    assert_complete(box, 0);
    assert_int_equal(box->reply->n_services, 1);
    assert_string_equal(box->reply->services[0]->name, "compute");
}

static void ask_show(struct box *box)
{
    Isthmus__V1__Call call = ISTHMUS__V1__CALL__INIT;
    Isthmus__V1__Show show = ISTHMUS__V1__SHOW__INIT;
    static char kind[] = "server", id[] = "x";

    show.kind = kind;
    show.id = id;
    call.what_case = ISTHMUS__V1__CALL__WHAT_SHOW;
    call.show = &show;
    ask(box, &call);
    assert_non_null(cloud.show);
}

static void test_show_gives_one_record_without_keys(void **state)
{
    struct box *box = *state;

    ask_show(box);
    cloud.show->record = (struct os_record){.id = "x", .body = {"{}", 2}};
    ist_op_finish(&cloud.show->op, 0);
    run(box, 5);
    assert_complete(box, 1);
    assert_int_equal(box->reply->records[0]->n_keys, 0);
}

static void test_a_failure_of_the_service_is_an_answer(void **state)
{
    struct box *box = *state;

    ask_show(box);
    cloud.show->op.err.http = 404;
    ist_op_fail(&cloud.show->op, OS_E_NOT_FOUND, "nova has none");
    run(box, 5);
    assert_failure(box, ISTHMUS__V1__FAILURE__CODE__NOT_FOUND);
    assert_string_equal(box->reply->failure->text, "nova has none");
}

/* Refusals */

static void test_the_policy_is_asked_before_openstack(void **state)
{
    struct box *box = *state;

    ask_list(box, "keypair", 10, 10);
    assert_failure(box, ISTHMUS__V1__FAILURE__CODE__DENIED);
    assert_int_equal(cloud.n_started, 0);
    assert_int_equal(box->serve.counts.denied, 1);
}

static void test_what_makes_no_sense_is_said(void **state)
{
    static const struct {
        uint32_t limit, window;
    } rows[] = {{0, 1}, {1, 0}, {OS_LIMIT_MAX + 1, 1}, {UINT32_MAX, 1}};
    struct box *box = *state;

    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        box->n_lasts = 0;
        ask_list(box, "server", rows[i].limit, rows[i].window);
        assert_failure(box, ISTHMUS__V1__FAILURE__CODE__BAD_CALL);
    }
    assert_int_equal(cloud.n_started, 0);
}

static void test_an_unknown_question_is_said(void **state)
{
    Isthmus__V1__Call call = ISTHMUS__V1__CALL__INIT;
    struct box *box = *state;

    ask(box, &call);
    assert_failure(box, ISTHMUS__V1__FAILURE__CODE__BAD_CALL);
}

static void test_more_calls_than_may_be_are_busy(void **state)
{
    struct box *box = *state;

    for (int i = 0; i < 3; i++)
        ask_list(box, "server", 10, 10);
    assert_int_equal(cloud.n_started, 3);
    ask_list(box, "server", 10, 10);
    assert_int_equal(cloud.n_started, 3);
    assert_int_equal(box->n_lasts, 1);
    assert_int_equal(box->reply->failure->code,
                     ISTHMUS__V1__FAILURE__CODE__BUSY);
    assert_true(box->reply->failure->retryable);
    assert_int_equal(box->serve.counts.busy, 1);
    assert_int_equal(box->serve.n_open, 3);
}

static void test_a_call_twice_is_worked_on_once(void **state)
{
    Isthmus__V1__Call call = ISTHMUS__V1__CALL__INIT;
    Isthmus__V1__Show show = ISTHMUS__V1__SHOW__INIT;
    static char kind[] = "server", id[] = "x", word[] = "h1-1";
    struct ist_letter letter;
    struct box *box = *state;

    ask_show(box);
    show.kind = kind;
    show.id = id;
    call.what_case = ISTHMUS__V1__CALL__WHAT_SHOW;
    call.show = &show;
    call.reply_word = word;
    call.timeout_ms = 5000;
    send_body(box, IST_KIND_QUERY, &call.base, &letter);
    assert_int_equal(cloud.n_started, 1);
    assert_int_equal(box->serve.n_open, 1);
}

/* What is sent to the word would reach any queue that it names. */
static void test_a_reply_word_that_is_none_is_not_answered(void **state)
{
    static const char *const words[] = {"", "#", "h1.x", "H1",
                                        "h1-1-and-then-some-more-than-may-be"};
    Isthmus__V1__Call call = ISTHMUS__V1__CALL__INIT;
    Isthmus__V1__Probe probe = ISTHMUS__V1__PROBE__INIT;
    struct ist_letter letter;
    struct box *box = *state;

    call.what_case = ISTHMUS__V1__CALL__WHAT_PROBE;
    call.probe = &probe;
    call.timeout_ms = 5000;
    for (size_t i = 0; i < IST_COUNT(words); i++) {
        call.reply_word = (char *) words[i];
        box->asked.op = ist_id_random();
        send_body(box, IST_KIND_QUERY, &call.base, &letter);
    }
    assert_int_equal(box->n_frames, 0);
    assert_int_equal(box->serve.n_open, 0);
    assert_int_equal(box->serve.counts.refused[IST_SEAL_BODY],
                     IST_COUNT(words));
}

/* Endings */

static void test_a_cancel_stops_the_work(void **state)
{
    struct box *box = *state;

    ask_list(box, "server", 10, 10);
    cancel(box);
    cancel(box);
    assert_int_equal(cloud.n_cancelled, 1);
    assert_int_equal(box->serve.n_open, 0);
    assert_int_equal(box->n_frames, 0);
}

static void test_a_cancel_stops_the_stream(void **state)
{
    struct box *box = *state;

    ask_list(box, "server", 100, 4);
    cloud_finds(10, 20);
    run(box, 5);
    assert_int_equal(box->n_records, 4);
    cancel(box);
    assert_int_equal(box->serve.n_open, 0);
    give_credit(box, 10);
    assert_int_equal(box->n_records, 4);
}

/* Those that nobody waits for end by a later call, or by another's cancel;
 * what names none is passed over. */
static void test_calls_over_are_told_with_others(void **state)
{
    struct box *box = *state;
    Isthmus__V1__Call call = ISTHMUS__V1__CALL__INIT;
    Isthmus__V1__Probe probe = ISTHMUS__V1__PROBE__INIT;
    Isthmus__V1__Cancel cancels = ISTHMUS__V1__CANCEL__INIT;
    struct ist_id ids[3];
    ProtobufCBinaryData over[4];
    struct ist_letter letter;

    for (size_t i = 0; i < IST_COUNT(ids); i++) {
        ask_list(box, "server", 100, 4);
        cloud_finds(10, 20);
        run(box, 5);
        ids[i] = box->asked.op;
        over[i] = (ProtobufCBinaryData){sizeof(ids[i].b), ids[i].b};
    }
    over[3] = (ProtobufCBinaryData){3, ids[0].b};
    assert_int_equal(box->serve.n_open, 3);
    call.what_case = ISTHMUS__V1__CALL__WHAT_PROBE;
    call.probe = &probe;
    call.over = &over[2];
    call.n_over = 2;
    ask(box, &call);
    assert_int_equal(box->n_lasts, 1);
    assert_int_equal(box->serve.n_open, 2);
    box->asked.op = ids[0];
    cancels.over = over;
    cancels.n_over = 4;
    send_body(box, IST_KIND_CANCEL, &cancels.base, &letter);
    assert_int_equal(box->serve.n_open, 0);
}

/* OpenStack is asked for what the hub wants now, and then for all the rest. */
static void test_credit_makes_a_list_go_on(void **state)
{
    struct box *box = *state;

    ask_list(box, "server", 100, 4);
    assert_int_equal(cloud.list->first, 4);
    assert_int_equal(cloud.list->limit, 100);
    cloud_begins(4);
    run(box, 5);
    assert_int_equal(box->n_records, 4);
    assert_int_equal(box->n_lasts, 0);
    assert_int_equal(cloud.n_started, 1);
    give_credit(box, 4);
    assert_int_equal(cloud.n_started, 2);
    assert_int_equal(cloud.list->first, 0);
    assert_int_equal(cloud.list->limit, 96);
    assert_true(cloud.list->has_after);
    assert_int_equal(cloud.list->ties, OS_TIES_AFTER_ID);
    assert_int_equal(cloud.list->after.id.size, 7);
    assert_memory_equal(cloud.list->after.id.data, "id-0003", 7);
    assert_int_equal(cloud.list->after.keys[0].size, 7);
    assert_memory_equal(cloud.list->after.keys[0].data, "id-0003", 7);
    cloud.list->has_more = false;
    cloud_finds(6, 20);
    run(box, 5);
    assert_int_equal(box->n_records, 8);
    assert_int_equal(box->n_lasts, 0);
    give_credit(box, 4);
    assert_int_equal(box->n_records, 10);
    assert_int_equal(box->n_lasts, 1);
    assert_int_equal(box->serve.n_open, 0);
}

/* Credit that is left when the first records are gone is credit for more. */
static void test_a_short_beginning_goes_on_by_itself(void **state)
{
    struct box *box = *state;

    ask_list(box, "server", 100, 10);
    cloud_begins(6);
    run(box, 5);
    assert_int_equal(box->n_records, 6);
    assert_int_equal(cloud.n_started, 2);
    assert_int_equal(cloud.list->limit, 94);
    cancel(box);
    assert_int_equal(cloud.n_cancelled, 1);
    assert_int_equal(box->serve.n_open, 0);
}

static void test_a_rest_that_fails_is_a_failure(void **state)
{
    struct box *box = *state;
    struct os_list *list;

    ask_list(box, "server", 100, 4);
    cloud_begins(4);
    run(box, 5);
    give_credit(box, 4);
    list = cloud.list;
    cloud.list = NULL;
    list->has_more = false;
    ist_op_fail(&list->op, OS_E_UPSTREAM, "it broke");
    run(box, 5);
    assert_int_equal(box->n_lasts, 1);
    assert_non_null(box->reply->failure);
    assert_int_equal(box->reply->failure->code,
                     ISTHMUS__V1__FAILURE__CODE__UPSTREAM);
    assert_int_equal(box->serve.n_open, 0);
}

/* An exchange more would cost more than it saves. */
static void test_half_a_page_is_listed_whole(void **state)
{
    struct box *box = *state;

    ask_list(box, "server", 100, 50);
    assert_int_equal(cloud.list->first, 0);
    assert_int_equal(cloud.list->limit, 100);
    cancel(box);
}

static void test_the_deadline_stops_the_work(void **state)
{
    struct box *box = *state;

    ask_list(box, "server", 10, 10);
    run(box, 4900);
    assert_int_equal(box->serve.n_open, 1);
    run(box, 200);
    assert_int_equal(cloud.n_cancelled, 1);
    assert_int_equal(box->serve.n_open, 0);
    assert_int_equal(box->n_frames, 0);
}

static void test_the_deadline_stops_the_stream(void **state)
{
    struct box *box = *state;

    ask_list(box, "server", 100, 4);
    cloud_finds(10, 20);
    run(box, 5100);
    assert_int_equal(box->serve.n_open, 0);
    assert_int_equal(box->n_lasts, 0);
}

static void test_a_lost_bus_ends_them(void **state)
{
    struct box *box = *state;

    ask_list(box, "server", 10, 10);
    ask_list(box, "server", 10, 10);
    ist_mem_cut(box->agent_bus, 1000);
    run(box, 10);
    assert_int_equal(cloud.n_cancelled, 2);
    assert_int_equal(box->serve.n_open, 0);
    run(box, 1000);
}

static void test_a_blocked_bus_delays_the_frames(void **state)
{
    struct box *box = *state;

    ask_list(box, "server", 100, 100);
    ist_mem_broker_block(box->broker, true);
    run(box, 5);
    cloud_finds(10, 20);
    run(box, 100);
    assert_int_equal(box->n_frames, 0);
    assert_int_equal(box->serve.n_open, 1);
    ist_mem_broker_block(box->broker, false);
    run(box, 100);
    assert_complete(box, 10);
    assert_int_equal(box->n_frames, 1);
}

static void test_a_stop_ends_them(void **state)
{
    struct box *box = *state;

    ask_list(box, "server", 100, 4);
    cloud_finds(10, 20);
    ask_list(box, "server", 10, 10);
    serve_stop(&box->serve);
    serve_stop(&box->serve);
    run(box, 10);
    assert_int_equal(box->serve.n_open, 0);
}

/* Each refusal waits for the bus too: they must not pile up behind it. */
static void test_refusals_do_not_pile_up_behind_a_blocked_bus(void **state)
{
    struct box *box = *state;

    for (int i = 0; i < 3; i++)
        ask_list(box, "server", 10, 10);
    box->agent_bus->is_blocked = true;
    for (int i = 0; i < 20; i++)
        ask_list(box, "server", 10, 10);
    assert_int_equal(box->serve.counts.busy, 20);
    assert_in_range(box->serve.n_open, 3, 6);
    box->agent_bus->is_blocked = false;
    assert_int_equal(cloud.n_started, 3);
}

/* An answer that cannot be packed into a message is said to be one: silence
 * would cost the caller its whole deadline. */
static void test_a_record_too_large_for_a_message_is_a_failure(void **state)
{
    struct box *box = *state;

    ask_list(box, "server", 10, 10);
    cloud_finds(2, IST_SEAL_BODY_MAX);
    run(box, 5);
    assert_failure(box, ISTHMUS__V1__FAILURE__CODE__TOO_LARGE);
}

static void test_long_keys_count_in_a_frame(void **state)
{
    static char key[IST_ORDER_KEY_MAX];
    struct box *box = *state;

    memset(key, 'k', sizeof(key));
    ask_list(box, "server", 512, 512);
    cloud.list->n_sort = IST_ORDER_KEYS_MAX;
    cloud_finds(512, 1000);
    for (size_t i = 0; i < 512; i++) {
        for (size_t k = 0; k < IST_ORDER_KEYS_MAX; k++)
            cloud.records[i].keys[k] = (struct ist_bytes){key, sizeof(key)};
    }
    run(box, 5);
    assert_complete(box, 512);
}

/* One record that is of no use must not cost the site its list. */
static void cloud_refuses(uint64_t n, bool is_whole)
{
    struct os_list *list = cloud.list;

    list->records = cloud.records;
    list->n_records = 2;
    list->n_refused = n;
    list->is_whole = is_whole;
    for (size_t i = 0; i < 2; i++)
        cloud.records[i] =
            (struct os_record){.id = i ? "b" : "a", .body = {"{}", 2}};
    ist_op_fail(&list->op, OS_E_TOO_LARGE, "7 records were left out");
}

static void test_records_left_out_are_told_with_the_rest(void **state)
{
    struct box *box = *state;

    ask_list(box, "server", 10, 1);
    cloud_refuses(7, true);
    run(box, 5);
    assert_int_equal(box->n_records, 1);
    assert_int_equal(box->reply->skipped, 7);
    assert_string_equal(box->reply->skipped_why, "7 records were left out");
    assert_int_equal(box->serve.counts.failed, 0);
    assert_int_equal(box->serve.counts.skipped, 7);
    give_credit(box, 1);
    assert_complete(box, 2);
    assert_int_equal(box->reply->skipped, 0);
}

/* Of a list that broke off nobody knows what is missing. */
static void test_a_list_that_broke_off_is_a_failure(void **state)
{
    struct box *box = *state;

    ask_list(box, "server", 10, 10);
    cloud_refuses(7, false);
    run(box, 5);
    assert_failure(box, ISTHMUS__V1__FAILURE__CODE__TOO_LARGE);
    assert_int_equal(box->reply->skipped, 0);
}

/* Presence */

static void test_presence_comes_every_five_seconds(void **state)
{
    struct box *box = *state;
    unsigned before = box->n_presences;

    assert_in_range(before, 1, 2);
    ask_show(box);
    run(box, 15000);
    assert_in_range(box->n_presences - before, 2, 3);
    serve_presence(&box->serve, true);
    run(box, 5);
    assert_true(box->is_leaving);
}

/* The bus may come back, and a login end, while the agent goes down. */
static void test_after_the_goodbye_nothing_is_said(void **state)
{
    struct box *box = *state;
    unsigned before;

    serve_presence(&box->serve, true);
    serve_stop(&box->serve);
    run(box, 5);
    before = box->n_presences;
    serve_up(&box->serve);
    serve_presence(&box->serve, false);
    run(box, 20000);
    assert_int_equal(box->n_presences, before);
    assert_true(box->is_leaving);
}

/* It has not heard of our restart: it learns it at once, but no more than
 * once a second, whatever the broker plays again. */
static void test_a_hub_with_another_epoch_in_mind_is_told(void **state)
{
    Isthmus__V1__Cancel nothing = ISTHMUS__V1__CANCEL__INIT;
    struct ist_letter letter;
    struct box *box = *state;
    unsigned before;

    run(box, 2000);
    before = box->n_presences;
    box->mind_epoch = 4;
    for (int i = 0; i < 3; i++)
        send_body(box, IST_KIND_CANCEL, &nothing.base, &letter);
    run(box, 10);
    assert_int_equal(box->serve.counts.refused[IST_SEAL_EPOCH], 3);
    assert_int_equal(box->n_presences, before + 1);
}

/* The feed */

static void ask_position(struct box *box)
{
    Isthmus__V1__Call call = ISTHMUS__V1__CALL__INIT;
    Isthmus__V1__Position position = ISTHMUS__V1__POSITION__INIT;

    call.what_case = ISTHMUS__V1__CALL__WHAT_POSITION;
    call.position = &position;
    ask(box, &call);
}

static void ask_resync(struct box *box)
{
    Isthmus__V1__Call call = ISTHMUS__V1__CALL__INIT;
    Isthmus__V1__Resync resync = ISTHMUS__V1__RESYNC__INIT;

    call.what_case = ISTHMUS__V1__CALL__WHAT_RESYNC;
    call.resync = &resync;
    ask(box, &call);
}

static void test_without_a_feed_there_is_no_position(void **state)
{
    struct box *box = *state;

    ask_position(box);
    run(box, 5);
    assert_complete(box, 0);
    assert_non_null(box->reply->feed);
    assert_int_equal(box->reply->feed->epoch, 0);
    box->n_lasts = box->n_frames = 0;
    ask_resync(box);
    run(box, 5);
    assert_complete(box, 0);
    assert_int_equal(box->reply->feed->epoch, 0);
    assert_int_equal(box->presence_epoch, 0);
    assert_int_equal(cloud.n_started, 0);
}

static void on_feed_closed(void *arg)
{
    *(bool *) arg = true;
}

static void test_position_and_resync_tell_of_the_feed(void **state)
{
    static const struct feed_conf conf = {.enabled = true,
                                          .poll_ms = 30000,
                                          .audit_ms = 300000,
                                          .settle_ms = 100,
                                          .outbox_max = 1 << 20};
    struct box *box = *state;
    char dir[SCRATCH_SIZE];
    bool is_closed = false;
    struct ist_err err;
    struct feed *feed;
    uint64_t epoch;

    scratch_make(dir);
    feed =
        feed_open(&box->loop, dir, box->serve.cloud, box->policy,
                  box->agent_bus, &box->site, &box->to_hub, "hkg", &conf, &err);
    assert_non_null(feed);
    box->serve.feed = feed;
    ask_position(box);
    run(box, 5);
    assert_complete(box, 0);
    epoch = box->reply->feed->epoch;
    assert_true(epoch >= WALL);
    assert_int_equal(box->reply->feed->next_sequence, 1);
    assert_true(box->reply->feed->n_kinds > 10);
    for (size_t i = 0; i < box->reply->feed->n_kinds; i++)
        assert_string_not_equal(box->reply->feed->kinds[i]->kind, "keypair");

    /* The first kind is being read; its touch waits for it. */
    assert_non_null(cloud.list);
    feed_touch(feed, "server", NULL);
    box->n_lasts = box->n_frames = 0;
    ask_position(box);
    run(box, 200);
    assert_int_equal(box->n_lasts, 0);
    for (int i = 0; i < 40 && cloud.list; i++) { /* No rows of any kind. */
        ist_op_finish(&IST_TAKE(cloud.list)->op, 0);
        run(box, 10);
    }
    assert_complete(box, 0);
    assert_true(box->reply->feed->kinds[0]->position >= 2);

    box->n_lasts = box->n_frames = 0;
    ask_resync(box);
    run(box, 5);
    assert_complete(box, 0);
    assert_int_equal(box->reply->feed->epoch, epoch);
    run(box, 6000);
    assert_int_equal(box->presence_epoch, epoch);

    /* A denied call is news, and no flood of it. */
    for (int i = 0; i < 30; i++) {
        ask_list(box, "keypair", 10, 10);
        run(box, 5);
    }
    assert_int_equal(feed_counts(feed)->news, 10);
    run(box, 61000);
    ask_list(box, "keypair", 10, 10);
    run(box, 5);
    assert_int_equal(feed_counts(feed)->news, 11);

    box->serve.feed = NULL;
    feed_close(feed, on_feed_closed, &is_closed);
    run(box, 100);
    assert_true(is_closed);
    scratch_drop(dir);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_list_comes_with_its_last_frame),
        T(test_an_empty_list_is_an_answer),
        T(test_large_records_go_in_several_frames),
        T(test_many_records_go_in_several_frames),
        T(test_only_what_credit_allows_is_sent),
        T(test_credit_may_come_before_the_records),
        T(test_a_probe_names_the_services),
        T(test_show_gives_one_record_without_keys),
        T(test_a_failure_of_the_service_is_an_answer),
        T(test_the_policy_is_asked_before_openstack),
        T(test_what_makes_no_sense_is_said),
        T(test_an_unknown_question_is_said),
        T(test_more_calls_than_may_be_are_busy),
        T(test_a_call_twice_is_worked_on_once),
        T(test_a_reply_word_that_is_none_is_not_answered),
        T(test_a_cancel_stops_the_work),
        T(test_a_cancel_stops_the_stream),
        T(test_calls_over_are_told_with_others),
        T(test_credit_makes_a_list_go_on),
        T(test_a_short_beginning_goes_on_by_itself),
        T(test_a_rest_that_fails_is_a_failure),
        T(test_half_a_page_is_listed_whole),
        T(test_the_deadline_stops_the_work),
        T(test_the_deadline_stops_the_stream),
        T(test_a_lost_bus_ends_them),
        T(test_a_blocked_bus_delays_the_frames),
        T(test_a_stop_ends_them),
        T(test_refusals_do_not_pile_up_behind_a_blocked_bus),
        T(test_a_record_too_large_for_a_message_is_a_failure),
        T(test_long_keys_count_in_a_frame),
        T(test_records_left_out_are_told_with_the_rest),
        T(test_a_list_that_broke_off_is_a_failure),
        T(test_presence_comes_every_five_seconds),
        T(test_after_the_goodbye_nothing_is_said),
        T(test_a_hub_with_another_epoch_in_mind_is_told),
        T(test_without_a_feed_there_is_no_position),
        T(test_position_and_resync_tell_of_the_feed),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
