/* The survey: many sites, one page, and what each site's ending does to it. */
#include "peers.h"

struct asked {
    struct survey survey;
    struct survey_sort sort;
    struct ist_arena arena;
    unsigned n_done;
    uint64_t done_ms;
};

static void on_done(struct ist_op *op)
{
    struct asked *asked = IST_CONTAINER(op, struct asked, survey.op);

    asked->n_done++;
    asked->done_ms = ist_loop_now(op->loop);
}

static void prepare(struct hall *hall, struct asked *asked, size_t limit,
                    uint64_t timeout_ms)
{
    *asked = (struct asked){.sort = {.name = "name"}};
    ist_arena_init(&asked->arena, 1U << 20);
    ist_op_prepare(&asked->survey.op, &hall->loop, NULL, timeout_ms, on_done);
    asked->survey.kind = "server";
    asked->survey.sort = &asked->sort;
    asked->survey.n_sort = 1;
    asked->survey.limit = limit;
    asked->survey.arena = &asked->arena;
}

static void ask(struct hall *hall, struct asked *asked, size_t limit)
{
    prepare(hall, asked, limit, 5000);
    survey_start(&asked->survey, &hall->desk, NULL, 0);
    hall_run(hall, 10);
}

static void ask_show(struct hall *hall, struct asked *asked)
{
    prepare(hall, asked, 1, 5000);
    asked->survey.show_id = "x";
    survey_start(&asked->survey, &hall->desk, NULL, 0);
    hall_run(hall, 10);
}

/* The ids of the page, as one word each. */
static void assert_page(const struct asked *asked, const char *want)
{
    const struct ist_merge *merge = &asked->survey.merge;
    char text[512] = "";
    size_t len = 0;

    assert_int_equal(asked->n_done, 1);
    assert_int_equal(asked->survey.op.rc, 0);
    for (size_t i = 0; i < merge->n_page; i++)
        len +=
            (size_t) snprintf(text + len, sizeof(text) - len, "%s%.*s",
                              i ? " " : "", (int) merge->page[i].place.id.size,
                              (const char *) merge->page[i].place.id.data);
    assert_string_equal(text, want);
}

static void assert_failed(const struct asked *asked, size_t i, int code)
{
    const struct survey_site *part = &asked->survey.sites[i];

    assert_int_equal(part->state, SURVEY_FAILED);
    assert_int_equal(part->err.code, code);
    assert_string_equal(part->err.site, part->site->name);
    assert_int_not_equal(part->err.text[0], '\0');
}

static void assert_answered(const struct asked *asked, size_t i)
{
    assert_int_equal(asked->survey.sites[i].state, SURVEY_ANSWERED);
}

static void assert_answered_so_far(const struct asked *asked, size_t i)
{
    assert_int_equal(asked->n_done, 0);
    assert_int_equal(asked->survey.sites[i].state, SURVEY_WAITING);
}

static void done(struct asked *asked)
{
    ist_arena_fini(&asked->arena);
}

static int setup(void **state)
{
    *state = hall_new(2);
    return 0;
}

static int teardown(void **state)
{
    hall_free(*state);
    return 0;
}

static void test_two_streams_become_one(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ask(hall, &asked, 10);
    peer_rows(&hall->peers[0], 0, true, 1, 3);
    assert_int_equal(asked.n_done, 0);
    peer_rows(&hall->peers[1], 0, true, 2, 1);
    assert_page(&asked, "sa-1 sa-2 sb-2 sa-3");
    assert_answered(&asked, 0);
    assert_answered(&asked, 1);
    assert_false(ist_merge_has_more(&asked.survey.merge));
    done(&asked);
}

static void test_without_sites_it_is_empty(void **state)
{
    struct hall *hall = *state, *bare = hall_new(0);
    struct asked asked;

    (void) hall;
    ask(bare, &asked, 10);
    assert_page(&asked, "");
    done(&asked);
    hall_free(bare);
}

static void test_a_full_page_ends_the_others(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ask(hall, &asked, 2);
    peer_rows(&hall->peers[0], 0, false, 1, 2);
    peer_rows(&hall->peers[1], 0, false, 5, 1);
    assert_page(&asked, "sa-1 sa-2");
    assert_answered(&asked, 0);
    assert_answered(&asked, 1);
    assert_true(ist_merge_has_more(&asked.survey.merge));
    assert_int_equal(hall->peers[0].n_cancels, 0); /* It only waits. */
    assert_int_equal(hall->peers[1].n_cancels, 1);
    hall_run(hall, 1000);
    assert_int_equal(hall->peers[0].n_cancels, 1);
    assert_int_equal(hall->peers[1].n_cancels, 1);
    done(&asked);
}

static void test_a_failed_site_takes_its_rows_back(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ask(hall, &asked, 10);
    peer_rows(&hall->peers[0], 0, false, 1, 2);
    peer_rows(&hall->peers[1], 0, true, 1, 2);
    peer_failure(&hall->peers[0], 1, ISTHMUS__V1__FAILURE__CODE__UPSTREAM,
                 "nova answered 500");
    assert_page(&asked, "sb-1 sb-2");
    assert_failed(&asked, 0, DESK_FAILED);
    assert_int_equal(asked.survey.sites[0].failure,
                     ISTHMUS__V1__FAILURE__CODE__UPSTREAM);
    assert_answered(&asked, 1);
    assert_int_equal(survey_failed(&asked.survey), 1);
    done(&asked);
}

static void test_an_absent_site_costs_no_time(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    hall_run(hall, 9000);
    peer_presence(&hall->peers[1], false);
    hall_run(hall, 2000);
    ask(hall, &asked, 10);
    peer_rows(&hall->peers[1], 0, true, 1, 1);
    assert_page(&asked, "sb-1");
    assert_failed(&asked, 0, DESK_ABSENT);
    done(&asked);
}

static void test_a_silent_site_fails_before_the_caller_s_deadline(void **state)
{
    struct hall *hall = *state;
    struct asked asked;
    uint64_t began = ist_loop_now(&hall->loop);

    prepare(hall, &asked, 10, 1000);
    survey_start(&asked.survey, &hall->desk, NULL, 0);
    hall_run(hall, 10);
    assert_in_range(hall->peers[0].call->timeout_ms, 880, 900);
    peer_rows(&hall->peers[1], 0, true, 1, 1);
    hall_run(hall, 2000);
    assert_in_range(asked.done_ms - began, 890, 905);
    assert_page(&asked, "sb-1");
    assert_failed(&asked, 0, -ETIMEDOUT);
    assert_int_equal(hall->peers[0].n_cancels, 1);
    done(&asked);
}

static void test_the_shortest_deadline(void **state)
{
    struct hall *hall = *state;
    struct asked asked;
    uint64_t began = ist_loop_now(&hall->loop);

    prepare(hall, &asked, 10, 1);
    survey_start(&asked.survey, &hall->desk, NULL, 0);
    hall_run(hall, 100);
    assert_in_range(asked.done_ms - began, 1, 2);
    assert_int_equal(survey_failed(&asked.survey), 2);
    done(&asked);
}

static void test_without_a_bus_all_fail(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ist_mem_cut(hall->bus, 3000);
    hall_run(hall, 10);
    ask(hall, &asked, 10);
    assert_page(&asked, "");
    assert_failed(&asked, 0, DESK_NO_BUS);
    assert_failed(&asked, 1, DESK_NO_BUS);
    done(&asked);
    hall_run(hall, 5000);
}

static void test_a_cancelled_survey_tells_all_sites(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ask(hall, &asked, 10);
    peer_rows(&hall->peers[0], 0, false, 1, 2);
    ist_op_cancel(&asked.survey.op, -ECANCELED);
    hall_run(hall, 10);
    assert_int_equal(asked.n_done, 1);
    assert_int_equal(asked.survey.op.rc, -ECANCELED);
    assert_int_equal(hall->peers[0].n_cancels, 1);
    assert_int_equal(hall->peers[1].n_cancels, 1);
    done(&asked);
}

static void test_credit_keeps_a_long_stream_going(void **state)
{
    struct hall *hall = *state;
    struct peer *peer = &hall->peers[0];
    struct asked asked;
    unsigned sent = 0;
    uint32_t index = 0;

    ask(hall, &asked, 40);
    assert_int_equal(peer->call->list->limit, 41);
    assert_in_range(peer->call->list->window, 8, 40);
    peer->credit = peer->call->list->window;
    peer_rows(&hall->peers[1], 0, true, 99999, 1);
    while (sent < 39) {
        assert_true(peer->credit > sent);
        peer_rows(peer, index++, false, sent++, 1);
    }
    assert_in_range(peer->credit, 39, 40);
    assert_int_equal(asked.n_done, 0);
    peer_rows(peer, index, false, sent, 1);
    assert_int_equal(asked.n_done, 1);
    assert_int_equal(asked.survey.merge.n_page, 40);
    done(&asked);
}

static void test_more_than_the_credit_is_refused(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ask(hall, &asked, 10);
    peer_rows(&hall->peers[0], 0, false, 1,
              hall->peers[0].call->list->window + 1);
    peer_rows(&hall->peers[1], 0, true, 1, 1);
    assert_page(&asked, "sb-1");
    assert_failed(&asked, 0, DESK_BROKEN);
    done(&asked);
}

static void test_disorder_is_refused(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ask(hall, &asked, 10);
    peer_rows(&hall->peers[0], 0, false, 5, 1);
    peer_rows(&hall->peers[0], 1, true, 4, 1);
    peer_rows(&hall->peers[1], 0, true, 1, 1);
    assert_page(&asked, "sb-1");
    assert_failed(&asked, 0, DESK_BROKEN);
    done(&asked);
}

static void test_the_same_row_twice_is_refused(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ask(hall, &asked, 10);
    peer_rows(&hall->peers[0], 0, false, 5, 1);
    peer_rows(&hall->peers[0], 1, true, 5, 1);
    peer_rows(&hall->peers[1], 0, true, 1, 1);
    assert_page(&asked, "sb-1");
    assert_failed(&asked, 0, DESK_BROKEN);
    done(&asked);
}

/* One record in a frame of its own, and what becomes of its site. */
static void send_record(struct hall *hall, struct asked *asked,
                        void (*spoil)(struct rows *, Isthmus__V1__Record *))
{
    struct rows rows;

    ask(hall, asked, 10);
    rows_init(&rows, 0, true);
    spoil(&rows, rows_add(&rows, 1, "x"));
    peer_reply(&hall->peers[0], &rows.reply);
    peer_rows(&hall->peers[1], 0, true, 1, 1);
    assert_page(asked, "sb-1");
    assert_failed(asked, 0, DESK_BROKEN);
    done(asked);
}

static void without_keys(struct rows *rows, Isthmus__V1__Record *record)
{
    (void) rows;
    record->n_keys = 0;
}

static void with_a_key_too_many(struct rows *rows, Isthmus__V1__Record *record)
{
    rows->keys[1] = rows->keys[0];
    record->n_keys = 2;
}

static void without_an_id(struct rows *rows, Isthmus__V1__Record *record)
{
    (void) rows;
    record->id = NULL;
}

static char too_long[2000];

/* Longer than a marker holds: the next page could not be asked for. */
static void with_a_long_id(struct rows *rows, Isthmus__V1__Record *record)
{
    (void) rows;
    memset(too_long, 'i', sizeof(too_long));
    too_long[IST_ORDER_ID_MAX + 1] = '\0';
    record->id = too_long;
}

static void with_a_long_key(struct rows *rows, Isthmus__V1__Record *record)
{
    memset(too_long, 'k', sizeof(too_long));
    rows->keys[0].data = (uint8_t *) (void *) too_long;
    rows->keys[0].len = IST_ORDER_KEY_MAX + 1;
    (void) record;
}

static void test_records_that_are_none(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    send_record(hall, &asked, without_keys);
    send_record(hall, &asked, with_a_key_too_many);
    send_record(hall, &asked, without_an_id);
    send_record(hall, &asked, with_a_long_id);
    send_record(hall, &asked, with_a_long_key);
}

static const char *body_at_work;

static void with_body(struct rows *rows, Isthmus__V1__Record *record)
{
    (void) rows;
    record->body =
        (ProtobufCBinaryData){strlen(body_at_work), (uint8_t *) body_at_work};
}

/* What could break, or forge, somebody else's part of the answer. */
static void test_bodies_that_would_break_the_answer(void **state)
{
    static const char *const bodies[] = {
        "",
        "null",
        "[]",
        "\"x\"",
        "{",
        "{}}",
        "{},{\"id\":1}",
        "{\"a\":1}]",
        "{\"a\":\"\xFF\"}",
        "{\"a\":\"\x1B\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":NaN}",
        "{\"site\":\"sb\"}",
        "{\"a\":1,\"\\u0073ite\":\"sb\"}",
        "{\"site\":1,\"site\":2}",
        "\xEF\xBB\xBF{}",
    };
    struct hall *hall = *state;
    struct asked asked;

    for (size_t i = 0; i < IST_COUNT(bodies); i++) {
        body_at_work = bodies[i];
        send_record(hall, &asked, with_body);
    }
}

static void test_show_takes_it_from_whoever_has_it(void **state)
{
    struct hall *hall = *state;
    struct rows rows;
    struct asked asked;

    ask_show(hall, &asked);
    peer_failure(&hall->peers[0], 0, ISTHMUS__V1__FAILURE__CODE__NOT_FOUND,
                 "not here");
    rows_init(&rows, 0, true);
    rows_add(&rows, 1, "x")->n_keys = 0;
    peer_reply(&hall->peers[1], &rows.reply);
    assert_page(&asked, "x");
    assert_answered(&asked, 0);
    assert_answered(&asked, 1);
    done(&asked);
}

static void test_show_of_two_sites_gives_both(void **state)
{
    struct hall *hall = *state;
    struct rows rows;
    struct asked asked;

    ask_show(hall, &asked);
    rows_init(&rows, 0, true);
    rows_add(&rows, 1, "x")->n_keys = 0;
    peer_reply(&hall->peers[0], &rows.reply);
    peer_reply(&hall->peers[1], &rows.reply);
    assert_page(&asked, "x x");
    done(&asked);
}

static void test_the_place_goes_to_each_site_with_its_ties(void **state)
{
    struct hall *hall = *state;
    struct ist_place after = {
        .keys = {{"k00003", 6}}, .site = "sa", .id = {"sa-3", 4}};
    const Isthmus__V1__After *got;
    struct asked asked;

    prepare(hall, &asked, 10, 5000);
    asked.survey.after = &after;
    survey_start(&asked.survey, &hall->desk, NULL, 0);
    hall_run(hall, 10);
    got = hall->peers[0].call->list->after;
    assert_int_equal(got->ties, ISTHMUS__V1__AFTER__TIES__AFTER_ID);
    assert_string_equal(got->id, "sa-3");
    assert_int_equal(got->n_keys, 1);
    assert_memory_equal(got->keys[0].data, "k00003", 6);
    got = hall->peers[1].call->list->after;
    assert_int_equal(got->ties, ISTHMUS__V1__AFTER__TIES__TAKE);
    peer_rows(&hall->peers[0], 0, true, 4, 1);
    peer_rows(&hall->peers[1], 0, true, 3, 1);
    assert_page(&asked, "sb-3 sa-4");
    done(&asked);
}

/* Nothing that is refused, or that was there already, may cost the others
 * their memory: the arena is everybody's. */
static void test_refused_frames_take_no_memory(void **state)
{
    struct hall *hall = *state;
    static uint8_t many[100000];
    struct asked asked;
    size_t used;

    ask(hall, &asked, 10);
    peer_rows(&hall->peers[0], 0, false, 1, 1);
    used = asked.arena.used;
    peer_rows(&hall->peers[0], 0, false, 1, 8);
    assert_int_equal(asked.arena.used, used);
    /* 50,000 empty records: 100 KB that unpack to 4 MB and more. */
    for (size_t i = 0; i < sizeof(many); i += 2)
        many[i] = 0x1A;
    peer_raw(&hall->peers[0], many, sizeof(many));
    assert_int_equal(asked.arena.used, used);
    assert_false(asked.arena.exceeded);
    peer_rows(&hall->peers[1], 0, true, 1, 1);
    assert_page(&asked, "sb-1");
    assert_failed(&asked, 0, DESK_TOO_LARGE);
    done(&asked);
}

/* A row as large as one can be sent. */
static void peer_large_row(struct peer *peer, uint32_t index, unsigned key)
{
    static char body[300000];
    Isthmus__V1__Record *record;
    struct rows rows;

    memset(body, ' ', sizeof(body));
    body[0] = '{';
    body[sizeof(body) - 1] = '}';
    rows_init(&rows, index, false);
    record = rows_add(&rows, key, "large");
    record->body =
        (ProtobufCBinaryData){sizeof(body), (uint8_t *) (void *) body};
    peer_reply(peer, &rows.reply);
}

static void test_one_site_cannot_take_all_the_memory(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ask(hall, &asked, 10);
    peer_large_row(&hall->peers[0], 0, 1);
    assert_answered_so_far(&asked, 0);
    peer_large_row(&hall->peers[0], 1, 2);
    peer_large_row(&hall->peers[0], 2, 3);
    peer_rows(&hall->peers[1], 0, true, 1, 5);
    assert_page(&asked, "sb-1 sb-2 sb-3 sb-4 sb-5");
    assert_failed(&asked, 0, DESK_TOO_LARGE);
    assert_answered(&asked, 1);
    done(&asked);
}

static void test_a_site_asked_alone_may_take_it_all(void **state)
{
    struct hall *hall = *state;
    struct sites_site *only = hall_site(hall, 0);
    struct asked asked;

    prepare(hall, &asked, 10, 5000);
    survey_start(&asked.survey, &hall->desk, &only, 1);
    hall_run(hall, 10);
    peer_large_row(&hall->peers[0], 0, 1);
    peer_large_row(&hall->peers[0], 1, 2);
    peer_large_row(&hall->peers[0], 2, 3);
    assert_answered_so_far(&asked, 0);
    peer_rows(&hall->peers[0], 3, true, 4, 1);
    assert_page(&asked, "large large large sa-4");
    done(&asked);
}

static void test_over_the_cap_a_site_fails_and_the_rest_stays(void **state)
{
    struct hall *hall = *state;
    struct sites_site *only = hall_site(hall, 0);
    struct asked asked;

    prepare(hall, &asked, 10, 5000);
    survey_start(&asked.survey, &hall->desk, &only, 1);
    hall_run(hall, 10);
    for (uint32_t i = 0; i < 4; i++)
        peer_large_row(&hall->peers[0], i, 1 + i);
    assert_page(&asked, "");
    assert_failed(&asked, 0, DESK_TOO_LARGE);
    assert_in_range(asked.arena.used, 0, asked.arena.cap);
    done(&asked);
}

/* It sent all that the page can take, and stands by with more. */
static void test_a_site_that_filled_the_page_has_answered(void **state)
{
    struct hall *hall = *state;
    struct asked asked;

    ask(hall, &asked, 3);
    peer_rows(&hall->peers[0], 0, false, 1, 3);
    assert_int_equal(asked.n_done, 0);
    hall_run(hall, 5000);
    assert_page(&asked, "sa-1 sa-2 sa-3");
    assert_answered(&asked, 0);
    assert_int_equal(asked.survey.sites[1].state, SURVEY_FAILED);
    assert_true(ist_merge_has_more(&asked.survey.merge));
    done(&asked);
}

/* Credit for more than its first part would come with the merge, which a
 * silent site holds up. */
static void test_a_silent_site_does_not_fail_the_others(void **state)
{
    struct hall *hall = hall_new(4);
    struct asked asked;
    unsigned window;

    (void) state;
    ask(hall, &asked, 40);
    window = hall->peers[0].call->list->window;
    assert_in_range(window, 11, 39);
    peer_rows(&hall->peers[0], 0, false, 1, window);
    peer_rows(&hall->peers[1], 0, true, 1, 1);
    peer_rows(&hall->peers[2], 0, true, 1, 1);
    assert_int_equal(hall->peers[0].credit, 0);
    hall_run(hall, 1500);
    assert_int_equal(hall->peers[0].credit, 40 - window);
    peer_rows(&hall->peers[0], 1, false, window + 1, 40 - window);
    hall_run(hall, 5000);
    assert_int_equal(asked.n_done, 1);
    assert_answered(&asked, 0);
    assert_answered(&asked, 1);
    assert_failed(&asked, 3, -ETIMEDOUT);
    assert_int_equal(asked.survey.merge.n_page, 40);
    assert_true(ist_merge_has_more(&asked.survey.merge));
    done(&asked);
    hall_free(hall);
}

static void test_one_site_fills_the_page(void **state)
{
    struct hall *hall = *state;

    for (int is_whole = 0; is_whole < 2; is_whole++) {
        struct asked asked;

        ask(hall, &asked, 3);
        peer_rows(&hall->peers[1], 0, true, 0, 0);
        peer_rows(&hall->peers[0], 0, is_whole, 1, 3);
        assert_page(&asked, "sa-1 sa-2 sa-3");
        assert_answered(&asked, 0);
        assert_answered(&asked, 1);
        assert_int_equal(ist_merge_has_more(&asked.survey.merge), !is_whole);
        done(&asked);
    }
}

static uint32_t window_at(const struct hall *hall, size_t i)
{
    return hall->peers[i].call->list->window;
}

/* Of 20 rows sa has all but three. */
static void answer_unevenly(struct hall *hall, struct asked *asked)
{
    struct peer *sa = &hall->peers[0];
    unsigned n = window_at(hall, 0) < 17 ? window_at(hall, 0) : 17;

    peer_rows(sa, 0, n == 17, 0, n);
    peer_rows(&hall->peers[1], 0, true, 30, 3);
    peer_rows(&hall->peers[2], 0, true, 0, 0);
    peer_rows(&hall->peers[3], 0, true, 0, 0);
    if (n < 17)
        peer_rows(sa, 1, true, n, 17 - n);
    assert_int_equal(asked->n_done, 1);
    assert_int_equal(asked->survey.merge.n_page, 20);
    done(asked);
}

static void test_a_page_asked_again(void **state)
{
    struct hall *hall = hall_new(4);
    uint32_t at_first;
    struct asked asked;

    (void) state;
    ask(hall, &asked, 20);
    at_first = window_at(hall, 0);
    assert_in_range(at_first, 6, 16);
    assert_int_equal(window_at(hall, 3), at_first);
    answer_unevenly(hall, &asked);
    assert_int_equal(hall->peers[0].n_credits, 1);

    ask(hall, &asked, 20);
    assert_int_equal(window_at(hall, 0), 20);
    assert_in_range(window_at(hall, 1), 4, at_first - 1);
    assert_in_range(window_at(hall, 3), 1, window_at(hall, 1) - 1);
    answer_unevenly(hall, &asked);
    assert_int_equal(hall->peers[0].n_credits, 1);

    ask(hall, &asked, 21);
    assert_in_range(window_at(hall, 0), at_first, at_first + 2);
    assert_int_equal(window_at(hall, 3), window_at(hall, 0));
    for (size_t i = 0; i < 4; i++)
        peer_rows(&hall->peers[i], 0, true, 0, 0);
    done(&asked);
    hall_free(hall);
}

/* The guess was wrong: sd has the rows now. */
static void test_a_page_that_changed(void **state)
{
    struct hall *hall = hall_new(4);
    struct peer *sd = &hall->peers[3];
    struct asked asked;
    uint32_t index = 0;
    unsigned sent;

    (void) state;
    ask(hall, &asked, 20);
    answer_unevenly(hall, &asked);
    ask(hall, &asked, 20);
    sent = window_at(hall, 3);
    peer_rows(sd, index++, false, 0, sent);
    for (size_t i = 0; i < 3; i++)
        peer_rows(&hall->peers[i], 0, true, 0, 0);
    while (sent < 20) {
        assert_true(window_at(hall, 3) + sd->credit > sent);
        peer_rows(sd, index++, false, sent++, 1);
    }
    assert_int_equal(asked.n_done, 1);
    assert_int_equal(asked.survey.merge.n_page, 20);
    done(&asked);
    hall_free(hall);
}

static void test_a_page_without_a_site_is_no_measure(void **state)
{
    struct hall *hall = hall_new(4);
    struct asked asked;
    uint32_t before;

    (void) state;
    ask(hall, &asked, 20);
    before = window_at(hall, 0);
    peer_failure(&hall->peers[0], 0, ISTHMUS__V1__FAILURE__CODE__DENIED, "no");
    for (size_t i = 1; i < 4; i++)
        peer_rows(&hall->peers[i], 0, true, 0, 0);
    assert_int_equal(asked.n_done, 1);
    done(&asked);
    ask(hall, &asked, 20);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(window_at(hall, i), before);
        peer_rows(&hall->peers[i], 0, true, 0, 0);
    }
    done(&asked);
    hall_free(hall);
}

static void test_rows_left_out_are_told(void **state)
{
    static char why[] = "3 records were left out";
    struct hall *hall = *state;
    struct rows rows;
    struct asked asked;

    ask(hall, &asked, 10);
    rows_init(&rows, 0, false);
    rows_add(&rows, 1, "a");
    rows.reply.skipped = 3;
    rows.reply.skipped_why = why;
    peer_reply(&hall->peers[0], &rows.reply);
    rows_init(&rows, 1, true);
    rows.reply.skipped = UINT32_MAX;
    peer_reply(&hall->peers[0], &rows.reply);
    peer_rows(&hall->peers[1], 0, true, 1, 1);
    assert_page(&asked, "a sb-1");
    assert_answered(&asked, 0);
    assert_int_equal(asked.survey.sites[0].n_skipped, 3ULL + UINT32_MAX);
    assert_int_not_equal(asked.survey.sites[0].err.text[0], '\0');
    assert_int_equal(survey_failed(&asked.survey), 0);
    assert_int_equal(survey_lacking(&asked.survey), 1);
    assert_false(survey_site_lacks(&asked.survey.sites[1]));
    done(&asked);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_two_streams_become_one),
        T(test_without_sites_it_is_empty),
        T(test_a_full_page_ends_the_others),
        T(test_a_failed_site_takes_its_rows_back),
        T(test_an_absent_site_costs_no_time),
        T(test_a_silent_site_fails_before_the_caller_s_deadline),
        T(test_the_shortest_deadline),
        T(test_without_a_bus_all_fail),
        T(test_a_cancelled_survey_tells_all_sites),
        T(test_credit_keeps_a_long_stream_going),
        T(test_more_than_the_credit_is_refused),
        T(test_disorder_is_refused),
        T(test_the_same_row_twice_is_refused),
        T(test_records_that_are_none),
        T(test_bodies_that_would_break_the_answer),
        T(test_show_takes_it_from_whoever_has_it),
        T(test_show_of_two_sites_gives_both),
        T(test_the_place_goes_to_each_site_with_its_ties),
        T(test_rows_left_out_are_told),
        T(test_a_page_asked_again),
        T(test_a_page_that_changed),
        T(test_a_page_without_a_site_is_no_measure),
        T(test_refused_frames_take_no_memory),
        T(test_one_site_cannot_take_all_the_memory),
        T(test_a_site_asked_alone_may_take_it_all),
        T(test_over_the_cap_a_site_fails_and_the_rest_stays),
        T(test_a_site_that_filled_the_page_has_answered),
        T(test_a_silent_site_does_not_fail_the_others),
        T(test_one_site_fills_the_page),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
