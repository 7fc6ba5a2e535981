/* The desk: one call to one site, and every way in which it ends. */
#include "peers.h"

/* A call on its way; its outcome stays when it is done. */
struct asked {
    struct desk_call call;
    struct ist_arena arena;
    unsigned n_done, n_frames;
    size_t n_records;
    uint64_t done_ms;
    int frame_rc; /* What on_frame gives. */
};

static void on_done(struct ist_op *op)
{
    struct asked *asked = IST_CONTAINER(op, struct asked, call.op);

    asked->n_done++;
    asked->done_ms = ist_loop_now(op->loop);
}

static int on_frame(struct desk_call *call, const Isthmus__V1__Reply *reply)
{
    struct asked *asked = IST_CONTAINER(call, struct asked, call);

    asked->n_frames++;
    asked->n_records += reply->n_records;
    return asked->frame_rc;
}

static void ask_for(struct hall *hall, struct asked *asked, size_t site,
                    uint64_t timeout_ms)
{
    Isthmus__V1__Call what = ISTHMUS__V1__CALL__INIT;
    Isthmus__V1__Probe probe = ISTHMUS__V1__PROBE__INIT;

    what.what_case = ISTHMUS__V1__CALL__WHAT_PROBE;
    what.probe = &probe;
    *asked = (struct asked){.call = {.site = hall_site(hall, site),
                                     .on_frame = on_frame,
                                     .window = 4}};
    ist_arena_init(&asked->arena, 1U << 20);
    asked->call.arena = &asked->arena;
    ist_op_prepare(&asked->call.op, &hall->loop, NULL, timeout_ms, on_done);
    desk_call_start(&hall->desk, &asked->call, &what);
}

static void ask(struct hall *hall, struct asked *asked)
{
    ask_for(hall, asked, 0, 5000);
    hall_run(hall, 10);
}

static void assert_ended(struct asked *asked, int rc)
{
    assert_int_equal(asked->n_done, 1);
    assert_int_equal(asked->call.op.rc, rc);
    assert_int_equal(asked->call.desk->n_open, 0);
    if (rc)
        assert_int_not_equal(asked->call.op.err.text[0], '\0');
    ist_arena_fini(&asked->arena);
}

static int setup(void **state)
{
    *state = hall_new(1);
    return 0;
}

static int teardown(void **state)
{
    hall_free(*state);
    return 0;
}

static void test_frames_in_order_end_with_the_last(void **state)
{
    struct hall *hall = *state;
    struct peer *peer = &hall->peers[0];
    struct asked asked;

    ask(hall, &asked);
    assert_int_equal(peer->n_calls, 1);
    assert_in_range(peer->call->timeout_ms, 4000, 5000);
    peer_rows(peer, 0, false, 0, 2);
    peer_rows(peer, 1, false, 2, 1);
    assert_int_equal(asked.n_done, 0);
    peer_rows(peer, 2, true, 3, 1);
    assert_int_equal(asked.n_frames, 3);
    assert_int_equal(asked.n_records, 4);
    assert_int_equal(peer->n_cancels, 0);
    assert_ended(&asked, 0);
}

static void test_late_frames_are_counted_and_dropped(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ask(hall, &asked);
    peer_rows(&hall->peers[0], 0, true, 0, 1);
    peer_rows(&hall->peers[0], 1, true, 1, 1);
    assert_int_equal(asked.n_frames, 1);
    assert_int_equal(hall->desk.counts.late, 1);
    assert_ended(&asked, 0);
}

static void test_a_frame_twice_counts_once(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ask(hall, &asked);
    peer_rows(&hall->peers[0], 0, false, 0, 1);
    peer_rows(&hall->peers[0], 0, false, 0, 1);
    peer_rows(&hall->peers[0], 1, true, 1, 1);
    assert_int_equal(asked.n_frames, 2);
    assert_ended(&asked, 0);
}

static void test_a_hole_in_the_frames_ends_it(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ask(hall, &asked);
    peer_rows(&hall->peers[0], UINT32_MAX, true, 0, 1);
    assert_int_equal(asked.n_frames, 0);
    assert_true(asked.call.op.err.retryable);
    assert_ended(&asked, DESK_BROKEN);
}

static void test_garbage_ends_it(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ask(hall, &asked);
    peer_raw(&hall->peers[0], "\xFF\xFF\xFF\xFF", 4);
    assert_false(asked.call.op.err.retryable);
    assert_ended(&asked, DESK_BROKEN);
}

static void test_the_receiver_may_end_it(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ask(hall, &asked);
    asked.frame_rc = -EINVAL;
    peer_rows(&hall->peers[0], 0, false, 0, 1);
    assert_ended(&asked, -EINVAL);
}

static void test_a_failure_says_why(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ask(hall, &asked);
    peer_failure(&hall->peers[0], 0, ISTHMUS__V1__FAILURE__CODE__DENIED,
                 "not here");
    assert_int_equal(asked.call.failure, ISTHMUS__V1__FAILURE__CODE__DENIED);
    assert_string_equal(asked.call.op.err.text, "not here");
    assert_ended(&asked, DESK_FAILED);
}

static void test_another_request_s_answer_is_refused(void **state)
{
    struct hall *hall = *state;
    struct peer *peer = &hall->peers[0];
    struct asked asked;

    ask(hall, &asked);
    peer->letter.hash[0] ^= 1;
    peer_rows(peer, 0, true, 0, 1);
    assert_int_equal(hall->desk.counts.broken, 1);
    assert_int_equal(asked.n_done, 0);
    peer->letter.hash[0] ^= 1;
    peer_rows(peer, 0, true, 0, 1);
    assert_ended(&asked, 0);
}

static void test_another_site_s_answer_is_refused(void **state)
{
    struct hall *hall = *state;
    struct peer *other = hall_add(hall);
    struct asked asked;

    ask(hall, &asked);
    other->letter = hall->peers[0].letter;
    peer_rows(other, 0, true, 0, 1);
    assert_int_equal(hall->desk.counts.broken, 1);
    assert_int_equal(asked.n_done, 0);
    peer_rows(&hall->peers[0], 0, true, 0, 1);
    assert_ended(&asked, 0);
}

static void test_the_deadline_ends_it_and_tells_the_site(void **state)
{
    struct hall *hall = *state;
    struct asked asked;
    uint64_t began = ist_loop_now(&hall->loop);

    ask_for(hall, &asked, 0, 300);
    hall_run(hall, 1000);
    assert_int_equal(hall->peers[0].n_cancels, 1);
    assert_in_range(asked.done_ms - began, 300, 301);
    assert_ended(&asked, -ETIMEDOUT);
}

/* What operators are shown of a site: answered, failed, how soon. */
static void test_outcomes_are_counted(void **state)
{
    struct hall *hall = *state;
    struct asked asked;
    const struct sites_site *site;

    ask(hall, &asked);
    site = asked.call.site;
    peer_rows(&hall->peers[0], 0, true, 0, 2);
    assert_ended(&asked, 0);
    assert_int_equal(site->n_answered, 1);
    /* It began to answer, and was not done in time. */
    ask_for(hall, &asked, 0, 300);
    peer_rows(&hall->peers[0], 0, false, 0, 1);
    hall_run(hall, 1000);
    assert_ended(&asked, -ETIMEDOUT);
    assert_int_equal(site->n_answered, 1);
    assert_int_equal(site->n_failed, 1);
    /* Who asked has heard enough; has gone away before anything came. */
    ask(hall, &asked);
    peer_rows(&hall->peers[0], 0, false, 0, 1);
    ist_op_cancel(&asked.call.op, -ECANCELED);
    hall_run(hall, 10);
    assert_ended(&asked, -ECANCELED);
    ask(hall, &asked);
    ist_op_cancel(&asked.call.op, -ECANCELED);
    hall_run(hall, 10);
    assert_ended(&asked, -ECANCELED);
    assert_int_equal(site->n_answered, 2);
    assert_int_equal(site->n_failed, 1);
}

static void test_a_cancel_tells_the_site(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ask(hall, &asked);
    ist_op_cancel(&asked.call.op, -ECANCELED);
    ist_op_cancel(&asked.call.op, -ECANCELED);
    hall_run(hall, 10);
    assert_int_equal(hall->peers[0].n_cancels, 1);
    assert_ended(&asked, -ECANCELED);
}

/* A call whose site has sent all that it may, given up. */
static void give_up_waiting(struct hall *hall)
{
    struct asked asked;

    ask(hall, &asked);
    peer_rows(&hall->peers[0], 0, false, 0, 4);
    ist_op_cancel(&asked.call.op, -ECANCELED);
    hall_run(hall, 10);
    assert_ended(&asked, -ECANCELED);
}

static void test_a_site_that_waits_is_told_by_the_next_call(void **state)
{
    struct hall *hall = *state;
    struct peer *peer = &hall->peers[0];
    struct asked asked;

    give_up_waiting(hall);
    assert_int_equal(peer->n_over, 0);
    give_up_waiting(hall);
    assert_int_equal(peer->n_over, 1);
    ask(hall, &asked);
    assert_int_equal(peer->n_over, 2);
    peer_rows(peer, 0, true, 0, 1);
    assert_ended(&asked, 0);
    hall_run(hall, 1500); /* Not again. */
    assert_int_equal(peer->n_cancels, 0);
    assert_int_equal(peer->n_over, 2);
}

static void test_a_site_that_waits_is_told_in_time(void **state)
{
    struct hall *hall = *state;
    struct peer *peer = &hall->peers[0];

    give_up_waiting(hall);
    assert_int_equal(peer->n_cancels, 0);
    hall_run(hall, 1000);
    assert_int_equal(peer->n_cancels, 1);
    assert_int_equal(peer->n_over, 0);
    give_up_waiting(hall);
    hall_run(hall, 1000);
    assert_int_equal(peer->n_cancels, 2);
}

/* Several given up at once: told together, as many as a site is kept. */
static void test_no_more_are_kept_than_there_is_room_for(void **state)
{
    struct hall *hall = *state;
    struct peer *peer = &hall->peers[0];
    struct asked asked[SITES_OVER_MAX];

    for (size_t i = 0; i < IST_COUNT(asked); i++) {
        ask(hall, &asked[i]);
        peer_rows(peer, 0, false, 0, 4);
    }
    for (size_t i = 0; i < IST_COUNT(asked); i++)
        ist_op_cancel(&asked[i].call.op, -ECANCELED);
    hall_run(hall, 10);
    assert_int_equal(peer->n_cancels, 1);
    assert_int_equal(peer->n_over, SITES_OVER_MAX - 1);
    for (size_t i = 0; i < IST_COUNT(asked); i++)
        assert_ended(&asked[i], -ECANCELED);
}

static void test_a_cancel_before_the_confirm(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ask_for(hall, &asked, 0, 5000);
    ist_op_cancel(&asked.call.op, -ECANCELED);
    assert_int_equal(asked.n_done, 0);
    hall_run(hall, 10);
    assert_ended(&asked, -ECANCELED);
}

static void test_an_absent_site_fails_at_once(void **state)
{
    struct hall *hall = *state;
    struct asked asked;
    uint64_t began;

    hall_run(hall, SITES_ABSENT_MS + 1000);
    began = ist_loop_now(&hall->loop);
    ask_for(hall, &asked, 0, 5000);
    hall_run(hall, 10);
    assert_int_equal(hall->peers[0].n_calls, 0);
    assert_in_range(asked.done_ms - began, 0, 1);
    assert_ended(&asked, DESK_ABSENT);
}

static void test_without_a_bus_it_fails_at_once(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ist_mem_cut(hall->bus, 3000);
    hall_run(hall, 10);
    ask(hall, &asked);
    assert_ended(&asked, DESK_NO_BUS);
    hall_run(hall, 4000);
    peer_presence(&hall->peers[0], false);
    ask(hall, &asked);
    peer_rows(&hall->peers[0], 0, true, 0, 1);
    assert_ended(&asked, 0);
}

static void test_the_bus_lost_meanwhile(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ask(hall, &asked);
    ist_mem_cut(hall->bus, 100);
    hall_run(hall, 1000);
    assert_ended(&asked, DESK_NO_BUS);
}

static void test_a_site_without_a_queue(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ist_mem_queue_delete(hall->broker, "site.sa.req");
    ask(hall, &asked);
    assert_ended(&asked, DESK_NO_QUEUE);
}

static void test_a_site_whose_queue_is_full(void **state)
{
    struct hall *hall = *state;
    struct ist_mem_faults faults = {.nack = 65536};
    struct asked asked;

    ist_mem_broker_faults(hall->broker, &faults);
    ask(hall, &asked);
    assert_ended(&asked, DESK_FULL);
}

static void test_more_calls_than_may_be_open(void **state)
{
    struct hall *hall = *state;
    struct asked asked[8], more;

    for (size_t i = 0; i < IST_COUNT(asked); i++)
        ask_for(hall, &asked[i], 0, 5000);
    ask_for(hall, &more, 0, 5000);
    hall_run(hall, 10);
    assert_int_equal(more.n_done, 1);
    assert_int_equal(more.call.op.rc, DESK_BUSY);
    ist_arena_fini(&more.arena);
    assert_int_equal(hall->peers[0].n_calls, 8);
    for (size_t i = 0; i < IST_COUNT(asked); i++)
        ist_op_cancel(&asked[i].call.op, -ECANCELED);
    hall_run(hall, 10);
    for (size_t i = 0; i < IST_COUNT(asked); i++)
        assert_ended(&asked[i], -ECANCELED);
}

static void test_credit_goes_to_the_site(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ask(hall, &asked);
    desk_call_credit(&asked.call, 17);
    hall_run(hall, 10);
    assert_int_equal(hall->peers[0].credit, 17);
    peer_rows(&hall->peers[0], 0, true, 0, 1);
    desk_call_credit(&asked.call, 17);
    hall_run(hall, 10);
    assert_int_equal(hall->peers[0].n_credits, 1);
    assert_ended(&asked, 0);
}

static void test_a_site_that_leaves_ends_it_at_once(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ask(hall, &asked);
    peer_presence(&hall->peers[0], true);
    assert_ended(&asked, DESK_ABSENT);
}

/* The new process knows nothing of the call. */
static void test_a_site_that_restarts_ends_it_at_once(void **state)
{
    struct hall *hall = *state;
    struct peer *other = hall_add(hall);
    struct asked asked, unharmed;

    ask_for(hall, &unharmed, 1, 5000);
    ask(hall, &asked);
    hall->peers[0].self.epoch++;
    peer_presence(&hall->peers[0], false);
    assert_int_equal(asked.n_done, 1);
    assert_int_equal(unharmed.n_done, 0);
    peer_rows(other, 0, true, 0, 1);
    assert_ended(&asked, DESK_ABSENT);
    assert_ended(&unharmed, 0);
}

/* Its keys are wiped: nothing may be sealed with them any more. */
static void test_a_site_that_is_removed_ends_it_at_once(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ask(hall, &asked);
    hall_replace(hall, 0);
    hall_run(hall, 10);
    assert_int_equal(hall->peers[0].n_cancels, 0);
    assert_ended(&asked, DESK_ABSENT);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_frames_in_order_end_with_the_last),
        T(test_late_frames_are_counted_and_dropped),
        T(test_a_frame_twice_counts_once),
        T(test_a_hole_in_the_frames_ends_it),
        T(test_garbage_ends_it),
        T(test_the_receiver_may_end_it),
        T(test_a_failure_says_why),
        T(test_another_request_s_answer_is_refused),
        T(test_another_site_s_answer_is_refused),
        T(test_the_deadline_ends_it_and_tells_the_site),
        T(test_outcomes_are_counted),
        T(test_a_cancel_tells_the_site),
        T(test_a_cancel_before_the_confirm),
        T(test_a_site_that_waits_is_told_by_the_next_call),
        T(test_a_site_that_waits_is_told_in_time),
        T(test_no_more_are_kept_than_there_is_room_for),
        T(test_an_absent_site_fails_at_once),
        T(test_without_a_bus_it_fails_at_once),
        T(test_the_bus_lost_meanwhile),
        T(test_a_site_without_a_queue),
        T(test_a_site_whose_queue_is_full),
        T(test_more_calls_than_may_be_open),
        T(test_credit_goes_to_the_site),
        T(test_a_site_that_leaves_ends_it_at_once),
        T(test_a_site_that_restarts_ends_it_at_once),
        T(test_a_site_that_is_removed_ends_it_at_once),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
