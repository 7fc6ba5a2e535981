/* Where the rows of an answer come from: the view, the sites, or what is left
 * of those that are away; and that it is said of each. */
#include "known.h"

/* The names sort between the keys that peers give live: "k00002" and on. */
static const struct server of_sa[] = {
    {"sa-1", "k00001", "p1", "{\"id\":\"sa-1\"}"},
    {"sa-3", "k00003", "p2", "{\"id\":\"sa-3\"}"},
    {"sa-5", "k00005", "p1", "{\"id\":\"sa-5\"}"},
};
static const struct server of_sb[] = {
    {"sb-2", "k00002", "p1", "{\"id\":\"sb-2\"}"},
    {"sb-4", "k00004", "p2", "{\"id\":\"sb-4\"}"},
};

/* "sa-1 sb-2 ", the ids that the last answer lists. */
static const char *ids(struct known *known)
{
    static char text[1024];
    json_t *items = known_at(known, "items");

    if (known->status != 200)
        fail_msg("%s", known->text);
    text[0] = '\0';
    for (size_t i = 0; i < json_array_size(items); i++) {
        json_t *item = json_array_get(items, i);
        const char *id = json_string_value(json_object_get(item, "id"));
        const char *site = json_string_value(json_object_get(item, "site"));

        assert_memory_equal(id, site, 2); /* Of the site that has it. */
        strcat(text, id);
        strcat(text, " ");
    }
    return text;
}

/* Of the site at that place in the answer; 'about' of its reason, NULL: none.
 */
static void assert_site(struct known *known, int i, const char *state,
                        const char *about)
{
    char path[32];

    snprintf(path, sizeof(path), "sites.%d.state", i);
    assert_string_equal(known_text(known, path), state);
    snprintf(path, sizeof(path), "sites.%d.reason", i);
    if (!about)
        assert_true(json_is_null(known_at(known, path)));
    else if (!strstr(known_text(known, path), about))
        fail_msg("says '%s', not '%s'", known_text(known, path), about);
}

/* UINT64_MAX: null. */
static uint64_t age_of(struct known *known, int i)
{
    char path[32];
    json_t *age;

    snprintf(path, sizeof(path), "sites.%d.age_ms", i);
    age = known_at(known, path);
    assert_true(json_is_integer(age) || json_is_null(age));
    return json_is_null(age) ? UINT64_MAX : (uint64_t) json_integer_value(age);
}

static void feed_both(struct known *known)
{
    feed_whole(known, 0, of_sa, IST_COUNT(of_sa));
    feed_whole(known, 1, of_sb, IST_COUNT(of_sb));
}

static void assert_not_asked(struct known *known)
{
    assert_int_equal(SA(known)->n_calls, 0);
    assert_int_equal(SB(known)->n_calls, 0);
}

/* From the view */

static void test_young_rows_are_the_view_s(void **state)
{
    struct known *known = *state;

    feed_both(known);
    known_get(known, "/api/v1/servers?sort=name&max_age=60");
    assert_string_equal(ids(known), "sa-1 sb-2 sa-3 sb-4 sa-5 ");
    assert_not_asked(known);
    assert_site(known, 0, "answered", NULL);
    assert_site(known, 1, "answered", NULL);
    assert_in_range(age_of(known, 0), 0, 10000);
    assert_true(json_is_null(known_at(known, "next")));
    known_get(known, "/api/v1/servers?sort=-name&max_age=60");
    assert_string_equal(ids(known), "sa-5 sb-4 sa-3 sb-2 sa-1 ");
    known_get(known, "/api/v1/servers?sort=name&max_age=60&project=p2");
    assert_string_equal(ids(known), "sa-3 sb-4 ");
    known_get(known, "/api/v1/servers?sort=name&max_age=60&site=sb");
    assert_string_equal(ids(known), "sb-2 sb-4 ");
    assert_int_equal(json_array_size(known_at(known, "sites")), 1);
    assert_not_asked(known);
}

static void test_the_view_goes_with_the_feed(void **state)
{
    struct known *known = *state;
    static const struct server renamed = {"sa-1", "k00009", "p1",
                                          "{\"id\":\"sa-1\",\"new\":1}"};

    feed_both(known);
    feed_rows(known, 0, UPSERT, &renamed, 1);
    feed_rows(known, 0, DELETE, &of_sa[1], 1);
    feed_heard(known, 0);
    for (int i = 0; i < 500 && !currency(known->box, SA(known)).current; i++)
        hall_run(known->hall, 2);
    known_get(known, "/api/v1/servers?sort=name&max_age=60");
    assert_string_equal(ids(known), "sb-2 sb-4 sa-5 sa-1 ");
    assert_int_equal(json_integer_value(known_at(known, "items.3.new")), 1);
    assert_not_asked(known);
}

static void test_pages_lead_on_in_the_view(void **state)
{
    struct known *known = *state;
    static const char *const pages[] = {"sa-1 sb-2 ", "sa-3 sb-4 ", "sa-5 "};
    char next[4096] = "/api/v1/servers?sort=name&max_age=60&limit=2";

    feed_both(known);
    for (size_t i = 0; i < IST_COUNT(pages); i++) {
        known_get(known, next);
        assert_string_equal(ids(known), pages[i]);
        snprintf(next, sizeof(next), "%s", known_text(known, "next"));
    }
    assert_string_equal(next, "(none)");
    assert_not_asked(known);
}

/* View and sites in one answer */

static void test_view_and_sites_are_one_list(void **state)
{
    struct known *known = *state;
    char next[4096];

    feed_whole(known, 0, of_sa, IST_COUNT(of_sa));
    known_begin(known, "/api/v1/servers?sort=name&max_age=60");
    peer_rows(SB(known), 0, true, 2, 3); /* 2, 3, 4 */
    known_finish(known);
    assert_string_equal(ids(known), "sa-1 sb-2 sa-3 sb-3 sb-4 sa-5 ");
    assert_int_equal(SA(known)->n_calls, 0);
    assert_site(known, 0, "answered", NULL);
    assert_site(known, 1, "answered", NULL);
    assert_int_equal(age_of(known, 1), 0);
    /* A page that ends among them, and the one behind it. */
    known_begin(known, "/api/v1/servers?sort=name&max_age=60&limit=3");
    peer_rows(SB(known), 0, true, 2, 3);
    known_finish(known);
    assert_string_equal(ids(known), "sa-1 sb-2 sa-3 ");
    snprintf(next, sizeof(next), "%s", known_text(known, "next"));
    known_begin(known, next);
    peer_rows(SB(known), 0, true, 3, 2);
    known_finish(known);
    assert_string_equal(ids(known), "sb-3 sb-4 sa-5 ");
    assert_string_equal(SB(known)->call->list->after->id, "sa-3");
}

/* However little is left on either side. */
static void test_there_is_more_on_either_side(void **state)
{
    struct known *known = *state;

    feed_whole(known, 0, of_sa, IST_COUNT(of_sa));
    known_begin(known, "/api/v1/servers?sort=name&max_age=60&limit=3");
    peer_rows(SB(known), 0, true, 6, 1); /* Behind all of the view. */
    known_finish(known);
    assert_string_equal(ids(known), "sa-1 sa-3 sa-5 ");
    assert_string_not_equal(known_text(known, "next"), "(none)");
    known_begin(known, "/api/v1/servers?sort=name&max_age=60&limit=2");
    peer_rows(SB(known), 0, true, 0, 2);
    known_finish(known);
    assert_string_equal(ids(known), "sb-0 sa-1 ");
    assert_string_not_equal(known_text(known, "next"), "(none)");
    known_begin(known, "/api/v1/servers?sort=name&max_age=60&limit=4");
    peer_rows(SB(known), 0, true, 4, 1);
    known_finish(known);
    assert_string_equal(ids(known), "sa-1 sa-3 sb-4 sa-5 ");
    assert_string_equal(known_text(known, "next"), "(none)");
}

/* Read a minute ago, and not told of since. */
static void poll_sa(struct known *known)
{
    Isthmus__V1__KindPosition kind = ISTHMUS__V1__KIND_POSITION__INIT;

    feed_mark(known, 0, BEGIN, 60000);
    feed_rows(known, 0, UPSERT, of_sa, IST_COUNT(of_sa));
    feed_mark(known, 0, END, 60000);
    kind.kind = TEXT("server");
    kind.read_ms = ist_loop_wall(&known->hall->loop) - 60000;
    kind.position = known->positions[0];
    presence_of(known->box, SA(known), EPOCH, 1, &kind);
    for (int i = 0; i < 500 && !currency(known->box, SA(known)).current; i++)
        hall_run(known->hall, 2);
    assert_true(currency(known->box, SA(known)).current);
}

static void test_rows_too_old_are_asked_for(void **state)
{
    struct known *known = *state;

    poll_sa(known);
    known_get(known, "/api/v1/servers?sort=name&max_age=90&site=sa");
    assert_string_equal(ids(known), "sa-1 sa-3 sa-5 ");
    assert_int_equal(SA(known)->n_calls, 0);
    assert_in_range(age_of(known, 0), 59000, 75000);
    known_begin(known, "/api/v1/servers?sort=name&max_age=30&site=sa");
    peer_rows(SA(known), 0, true, 7, 1);
    known_finish(known);
    assert_string_equal(ids(known), "sa-7 ");
    assert_site(known, 0, "answered", NULL);
    assert_int_equal(age_of(known, 0), 0);
    /* Who says nothing of an age asks. */
    known_begin(known, "/api/v1/servers?sort=name&site=sa");
    peer_rows(SA(known), 0, true, 8, 1);
    known_finish(known);
    assert_string_equal(ids(known), "sa-8 ");
}

/* What is left */

static void test_a_site_that_fails_is_stale(void **state)
{
    struct known *known = *state;

    poll_sa(known);
    known_begin(known, "/api/v1/servers?sort=name&max_age=30");
    peer_failure(SA(known), 0, ISTHMUS__V1__FAILURE__CODE__UPSTREAM,
                 "nova answered 500");
    peer_rows(SB(known), 0, true, 2, 1);
    known_finish(known);
    assert_string_equal(ids(known), "sa-1 sb-2 sa-3 sa-5 ");
    assert_site(known, 0, "stale", "nova answered 500");
    assert_in_range(age_of(known, 0), 59000, 75000);
    assert_site(known, 1, "answered", NULL);
    /* Who asks the sites themselves is given nothing else. */
    known_begin(known, "/api/v1/servers?sort=name");
    peer_failure(SA(known), 0, ISTHMUS__V1__FAILURE__CODE__UPSTREAM,
                 "nova answered 500");
    peer_rows(SB(known), 0, true, 2, 1);
    known_finish(known);
    assert_string_equal(ids(known), "sb-2 ");
    assert_site(known, 0, "failed", "nova answered 500");
    assert_int_equal(age_of(known, 0), UINT64_MAX);
}

/* The rows that it gave before do not stand beside the view's. */
static void test_a_site_that_fails_half_way_is_stale(void **state)
{
    struct known *known = *state;

    poll_sa(known);
    known_begin(known, "/api/v1/servers?sort=name&max_age=30");
    peer_rows(SA(known), 0, false, 1, 3);
    peer_rows(SB(known), 0, true, 2, 1);
    peer_failure(SA(known), 1, ISTHMUS__V1__FAILURE__CODE__UPSTREAM,
                 "nova went away");
    known_finish(known);
    assert_string_equal(ids(known), "sa-1 sb-2 sa-3 sa-5 ");
    assert_site(known, 0, "stale", "nova went away");
}

static void test_a_site_that_fails_unknown_has_failed(void **state)
{
    struct known *known = *state;

    feed_whole(known, 1, of_sb, IST_COUNT(of_sb));
    known_begin(known, "/api/v1/servers?sort=name&max_age=60");
    peer_failure(SA(known), 0, ISTHMUS__V1__FAILURE__CODE__UPSTREAM,
                 "nova answered 500");
    known_finish(known);
    assert_string_equal(ids(known), "sb-2 sb-4 ");
    assert_site(known, 0, "failed", "nova answered 500");
    assert_int_equal(age_of(known, 0), UINT64_MAX);
}

/* Half of a statement is not the whole of a kind. */
static void test_a_half_stated_kind_is_not_known(void **state)
{
    struct known *known = *state;

    feed_mark(known, 0, BEGIN, 0);
    feed_rows(known, 0, UPSERT, of_sa, 2);
    feed_heard(known, 0);
    known_begin(known, "/api/v1/servers?sort=name&max_age=60&site=sa");
    peer_failure(SA(known), 0, ISTHMUS__V1__FAILURE__CODE__UPSTREAM, "no");
    known_finish(known);
    assert_string_equal(ids(known), "");
    assert_site(known, 0, "failed", "no");
}

static void test_a_site_that_is_away_is_stale(void **state)
{
    struct known *known = *state;

    feed_both(known);
    peer_presence(SA(known), true);
    assert_int_equal(hall_site(known->hall, 0)->state, SITES_ABSENT);
    /* Young enough, but who knows what it does now. */
    known_get(known, "/api/v1/servers?sort=name&max_age=60");
    assert_string_equal(ids(known), "sa-1 sb-2 sa-3 sb-4 sa-5 ");
    assert_site(known, 0, "stale", "the site is away");
    assert_in_range(age_of(known, 0), 0, 20000);
    assert_site(known, 1, "answered", NULL);
    assert_not_asked(known);
    /* Too old, and nobody is there to be asked. */
    hall_run(known->hall, 5);
    known_get(known, "/api/v1/servers?sort=name&max_age=0&site=sa");
    assert_string_equal(ids(known), "sa-1 sa-3 sa-5 ");
    assert_site(known, 0, "stale", "");
    known_get(known, "/api/v1/servers?sort=name&site=sa");
    assert_string_equal(ids(known), "");
    assert_site(known, 0, "failed", "");
}

static void test_partial_deny_takes_no_stale_ones(void **state)
{
    struct known *known = *state;

    feed_both(known);
    known_get(known, "/api/v1/servers?sort=name&max_age=60&partial=deny");
    assert_string_equal(ids(known), "sa-1 sb-2 sa-3 sb-4 sa-5 ");
    peer_presence(SA(known), true);
    known_get(known, "/api/v1/servers?sort=name&max_age=60&partial=deny");
    assert_problem(known, 504, "partial", "1 of 2 sites");
    assert_int_equal(json_array_size(known_at(known, "sites")), 1);
    assert_site(known, 0, "stale", "the site is away");
}

static void test_a_hub_without_a_view_asks(void **state)
{
    struct known *known = *state;

    feed_both(known);
    api_set_view(&known->api, NULL, NULL, NULL);
    for (int i = 0; i < 2; i++) {
        known_begin(known, i ? "/api/v1/servers?sort=name&consistent=true"
                             : "/api/v1/servers?sort=name&max_age=60");
        peer_rows(SA(known), 0, true, 7, 1);
        peer_failure(SB(known), 0, ISTHMUS__V1__FAILURE__CODE__UPSTREAM, "no");
        known_finish(known);
        assert_string_equal(ids(known), "sa-7 ");
        assert_site(known, 1, "failed", "no");
    }
}

/* Consistent */

/* Says how far its feed of a kind is, to whoever asked. */
static void tell_feed(struct known *known, size_t site, uint64_t epoch,
                      uint64_t position, const char *of, const char *trouble)
{
    Isthmus__V1__Reply reply = ISTHMUS__V1__REPLY__INIT;
    Isthmus__V1__FeedState feed = ISTHMUS__V1__FEED_STATE__INIT;
    Isthmus__V1__KindPosition kind = ISTHMUS__V1__KIND_POSITION__INIT;
    Isthmus__V1__KindPosition *kinds[] = {&kind};
    struct peer *peer = &known->hall->peers[site];

    for (int i = 0; i < 1000 && !peer->call; i++)
        hall_run(known->hall, 2);
    assert_non_null(peer->call);
    assert_int_equal(peer->call->what_case, ISTHMUS__V1__CALL__WHAT_POSITION);
    kind.kind = TEXT(of);
    kind.position = position;
    kind.trouble = TEXT(trouble);
    feed.epoch = epoch;
    feed.n_kinds = 1;
    feed.kinds = kinds;
    reply.feed = &feed;
    reply.last = true;
    peer_reply(peer, &reply);
}

static void tell_position(struct known *known, size_t site, uint64_t epoch,
                          uint64_t position)
{
    tell_feed(known, site, epoch, position, "server", "");
}

static bool is_answered(struct known *known)
{
    char byte;

    hall_run(known->hall, 30);
    return recv(known->fd, &byte, 1, MSG_PEEK) >= 0;
}

static void test_consistent_waits_for_what_is_on_its_way(void **state)
{
    struct known *known = *state;
    static const struct server one = {"sa-2", "k00002", "p1",
                                      "{\"id\":\"sa-2\"}"};

    feed_both(known);
    known_begin(known, "/api/v1/servers?sort=name&consistent=true");
    tell_position(known, 1, EPOCH, known->positions[1]);
    tell_position(known, 0, EPOCH, known->positions[0] + 1);
    assert_false(is_answered(known));
    feed_rows(known, 0, UPSERT, &one, 1);
    known_finish(known);
    assert_string_equal(ids(known), "sa-1 sa-2 sb-2 sa-3 sb-4 sa-5 ");
    for (int i = 0; i < 2; i++) {
        assert_site(known, i, "answered", NULL);
        assert_int_equal(age_of(known, i), 0);
    }
    assert_in_range(json_integer_value(known_at(known, "sites.0.latency_ms")),
                    20, 10000);
}

/* A feed that began anew: what it said before is not waited for. */
static void test_consistent_with_a_feed_begun_anew(void **state)
{
    struct known *known = *state;

    feed_both(known);
    known_begin(known, "/api/v1/servers?sort=name&consistent=true&site=sa");
    tell_position(known, 0, EPOCH - 1, 1000);
    known_finish(known);
    assert_string_equal(ids(known), "sa-1 sa-3 sa-5 ");
    assert_site(known, 0, "answered", NULL);
}

static void test_consistent_gives_up_before_its_caller_does(void **state)
{
    struct known *known = *state;
    uint64_t begun;

    feed_both(known);
    begun = ist_loop_now(&known->hall->loop);
    known_begin(known,
                "/api/v1/servers?sort=name&consistent=true&deadline=1000");
    tell_position(known, 0, EPOCH, known->positions[0] + 1);
    tell_position(known, 1, EPOCH, known->positions[1]);
    known_finish(known);
    assert_in_range(ist_loop_now(&known->hall->loop) - begun, 850, 1600);
    assert_string_equal(ids(known), "sa-1 sb-2 sa-3 sb-4 sa-5 ");
    assert_site(known, 0, "stale", "");
    assert_string_not_equal(known_text(known, "sites.0.reason"), "");
    assert_in_range(json_integer_value(known_at(known, "sites.0.latency_ms")),
                    850, 1100);
    assert_site(known, 1, "answered", NULL);
    assert_int_equal(age_of(known, 1), 0);
}

static void test_consistent_with_those_that_cannot(void **state)
{
    struct known *known = *state;

    feed_whole(known, 0, of_sa, IST_COUNT(of_sa));
    /* One refuses, the other has no feed and is not known. */
    known_begin(known, "/api/v1/servers?sort=name&consistent=true");
    peer_failure(SA(known), 0, ISTHMUS__V1__FAILURE__CODE__UPSTREAM, "not now");
    tell_position(known, 1, 0, 0);
    known_finish(known);
    assert_string_equal(ids(known), "sa-1 sa-3 sa-5 ");
    assert_site(known, 0, "stale", "not now");
    assert_site(known, 1, "failed", "its agent tells no changes");
    /* One that goes away while it is waited for. */
    known_begin(known, "/api/v1/servers?sort=name&consistent=true&site=sa");
    tell_position(known, 0, EPOCH, known->positions[0] + 1);
    assert_false(is_answered(known));
    peer_presence(SA(known), true);
    known_finish(known);
    assert_string_equal(ids(known), "sa-1 sa-3 sa-5 ");
    assert_site(known, 0, "stale", "away");
    /* One that is away is not waited for. */
    known_get(known, "/api/v1/servers?sort=name&consistent=true&site=sa");
    assert_string_equal(ids(known), "sa-1 sa-3 sa-5 ");
    assert_site(known, 0, "stale", "");
    assert_int_equal(SA(known)->n_calls, 0);
}

/* The feed is where it is, but it stands still, or it is of other kinds: that
 * is not all that the site has. */
static void test_consistent_with_a_feed_that_is_held_back(void **state)
{
    static const char why[] = "feed.db: writing: No space left on device";
    struct known *known = *state;
    uint64_t begun = ist_loop_now(&known->hall->loop);

    feed_both(known);
    known_begin(known, "/api/v1/servers?sort=name&consistent=true");
    tell_feed(known, 0, EPOCH, known->positions[0], "server", why);
    tell_feed(known, 1, EPOCH, 3, "network", "");
    known_finish(known);
    assert_in_range(ist_loop_now(&known->hall->loop) - begun, 0, 4000);
    assert_string_equal(ids(known), "sa-1 sb-2 sa-3 sb-4 sa-5 ");
    assert_site(known, 0, "stale", why);
    assert_site(known, 1, "stale", "does not feed this kind");
}

/* A client that leaves ends what it waited for. */
static void test_consistent_ends_with_its_client(void **state)
{
    struct known *known = *state;

    feed_both(known);
    known_begin(known, "/api/v1/servers?consistent=true&deadline=60000");
    tell_position(known, 0, EPOCH, known->positions[0] + 1);
    assert_int_equal(known->api.n_open, 1);
    close(known->fd);
    for (int i = 0; i < 500 && known->api.n_open; i++)
        hall_run(known->hall, 2);
    assert_int_equal(known->api.n_open, 0);
}

static void test_an_age_is_said_well(void **state)
{
    static const char *const bad[] = {
        "max_age=-1",          "max_age=",
        "max_age=1m",          "max_age=31536001",
        "consistent=1",        "consistent=",
        "max_age=1&max_age=1", "max_age=1&consistent=true",
    };
    struct known *known = *state;
    char target[128];

    feed_both(known);
    for (size_t i = 0; i < IST_COUNT(bad); i++) {
        snprintf(target, sizeof(target), "/api/v1/servers?%s", bad[i]);
        known_get(known, target);
        assert_problem(known, 400, "bad_parameter",
                       strchr(bad[i], 'm') == bad[i] ? "max_age"
                                                     : "consistent");
        snprintf(target, sizeof(target), "/api/v1/servers/x?%s", bad[i]);
        known_get(known, target);
        assert_problem(known, 400, "bad_parameter", "");
    }
    assert_not_asked(known);
}

/* One object */

static void test_one_object_from_the_view(void **state)
{
    struct known *known = *state;

    feed_both(known);
    known_get(known, "/api/v1/servers/sb-4?max_age=60");
    assert_int_equal(known->status, 200);
    assert_string_equal(known_text(known, "site"), "sb");
    assert_string_equal(known_text(known, "id"), "sb-4");
    known_get(known, "/api/v1/servers/sb-9?max_age=60");
    assert_problem(known, 404, "not_found", "sb-9");
    known_get(known, "/api/v1/servers/sb-4?max_age=60&site=sa");
    assert_problem(known, 404, "not_found", "sb-4");
    assert_not_asked(known);
    peer_presence(SB(known), true);
    known_get(known, "/api/v1/servers/sb-4?max_age=60");
    assert_string_equal(known_text(known, "site"), "sb");
    /* It may have one by now. */
    known_get(known, "/api/v1/servers/sb-9?max_age=60");
    assert_problem(known, 503, "unreachable", "sb-9");
    assert_int_equal(json_array_size(known_at(known, "sites")), 1);
}

static void test_one_object_at_two_sites_is_a_choice(void **state)
{
    struct known *known = *state;
    struct rows rows;

    feed_whole(known, 0, of_sa, IST_COUNT(of_sa));
    /* One by the view, one that was asked. */
    known_begin(known, "/api/v1/servers/sa-1?max_age=60");
    rows_init(&rows, 0, true);
    rows_add(&rows, 1, "sa-1")->n_keys = 0;
    peer_reply(SB(known), &rows.reply);
    known_finish(known);
    assert_int_equal(known->status, 300);
    assert_string_equal(known_text(known, "choices.0.href"),
                        "/api/v1/servers/sa-1?site=sa");
    assert_string_equal(known_text(known, "choices.1.site"), "sb");
    /* Both by the view. */
    feed_whole(known, 1, of_sa, 1);
    known_get(known, "/api/v1/servers/sa-1?max_age=60");
    assert_int_equal(known->status, 300);
    assert_int_equal(json_array_size(known_at(known, "choices")), 2);
    assert_not_asked(known);
}

static void test_one_object_consistent(void **state)
{
    struct known *known = *state;

    feed_both(known);
    known_begin(known, "/api/v1/servers/sa-1?consistent=true");
    tell_position(known, 0, EPOCH, known->positions[0] + 1);
    tell_position(known, 1, EPOCH, known->positions[1]);
    assert_false(is_answered(known));
    feed_rows(known, 0, DELETE, of_sa, 1);
    known_finish(known);
    assert_problem(known, 404, "not_found", "sa-1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KNOWN_TEST(test_young_rows_are_the_view_s),
        KNOWN_TEST(test_the_view_goes_with_the_feed),
        KNOWN_TEST(test_pages_lead_on_in_the_view),
        KNOWN_TEST(test_view_and_sites_are_one_list),
        KNOWN_TEST(test_there_is_more_on_either_side),
        KNOWN_TEST(test_rows_too_old_are_asked_for),
        KNOWN_TEST(test_a_site_that_fails_is_stale),
        KNOWN_TEST(test_a_site_that_fails_half_way_is_stale),
        KNOWN_TEST(test_a_site_that_fails_unknown_has_failed),
        KNOWN_TEST(test_a_half_stated_kind_is_not_known),
        KNOWN_TEST(test_a_site_that_is_away_is_stale),
        KNOWN_TEST(test_partial_deny_takes_no_stale_ones),
        KNOWN_TEST(test_a_hub_without_a_view_asks),
        KNOWN_TEST(test_consistent_waits_for_what_is_on_its_way),
        KNOWN_TEST(test_consistent_with_a_feed_begun_anew),
        KNOWN_TEST(test_consistent_gives_up_before_its_caller_does),
        KNOWN_TEST(test_consistent_with_those_that_cannot),
        KNOWN_TEST(test_consistent_with_a_feed_that_is_held_back),
        KNOWN_TEST(test_consistent_ends_with_its_client),
        KNOWN_TEST(test_an_age_is_said_well),
        KNOWN_TEST(test_one_object_from_the_view),
        KNOWN_TEST(test_one_object_at_two_sites_is_a_choice),
        KNOWN_TEST(test_one_object_consistent),
    };

    if (sodium_init() < 0)
        return 1;
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
