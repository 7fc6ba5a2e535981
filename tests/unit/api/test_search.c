/* Searching over HTTP: what the view knows, whoever asks, and how. */
#include "known.h"

#define ID "0a1b2c3d-0000-4000-8000-00000000000"

static const struct server of_sa[] = {
    {ID "1", "Web-1", "p1",
     "{\"id\":\"" ID "1\",\"addresses\":{\"net\":[{\"addr\":\"10.0.0.7\"}]}}"},
    {ID "2", "web-10", "p2",
     "{\"id\":\"" ID "2\",\"addresses\":{\"net\":[{\"addr\":\"10.0.0.70\"},"
     "{\"addr\":\"fd00::7\"}]}}"},
};
static const struct server of_sb[] = {
    {"srv/a b?c#%", "web \"x\" \\ \xc3\xa4", "p1", "{}"},
    {"other", "w", "p3", "{}"},
};

/* "sa:name:Web-1 ", of each hit its site, what matched, and its name. */
static const char *hits(struct known *known, const char *query)
{
    static char text[4096];
    char target[1024];
    json_t *items;

    snprintf(target, sizeof(target), "/api/v1/search?%s", query);
    known_get(known, target);
    if (known->status != 200)
        fail_msg("%s: %s", target, known->text);
    items = known_at(known, "items");
    text[0] = '\0';
    for (size_t i = 0; i < json_array_size(items); i++) {
        json_t *hit = json_array_get(items, i);

        assert_string_equal(json_string_value(json_object_get(hit, "kind")),
                            "server");
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s:%s:%s ",
                 json_string_value(json_object_get(hit, "site")),
                 json_string_value(json_object_get(hit, "matched")),
                 json_string_value(json_object_get(hit, "name")));
    }
    return text;
}

static bool has_more(struct known *known)
{
    json_t *more = known_at(known, "more");

    assert_true(json_is_boolean(more));
    return json_is_true(more);
}

static void feed_both(struct known *known)
{
    feed_whole(known, 0, of_sa, IST_COUNT(of_sa));
    feed_whole(known, 1, of_sb, IST_COUNT(of_sb));
}

static void test_names_ids_and_addresses(void **state)
{
    struct known *known = *state;

    feed_both(known);
    assert_string_equal(hits(known, "q=web-1"),
                        "sa:name:Web-1 sa:name:web-10 ");
    assert_string_equal(known_text(known, "items.0.text"), "web-1");
    assert_string_equal(known_text(known, "items.0.id"), ID "1");
    assert_string_equal(known_text(known, "items.0.href"),
                        "/api/v1/servers/" ID "1?site=sa");
    assert_false(has_more(known));
    assert_string_equal(hits(known, "q=WEB-10"), "sa:name:web-10 ");
    assert_string_equal(hits(known, "q=0A1B2C3D"), "sa:id:Web-1 sa:id:web-10 ");
    assert_string_equal(hits(known, "q=" ID "2"), "sa:id:web-10 ");
    assert_string_equal(hits(known, "q=10.0.0.7"),
                        "sa:address:Web-1 sa:address:web-10 ");
    assert_string_equal(hits(known, "q=10.0.0.70"), "sa:address:web-10 ");
    assert_string_equal(hits(known, "q=fd00::"), "sa:address:web-10 ");
    assert_string_equal(hits(known, "q=eb-1"), ""); /* From the start only. */
    assert_string_equal(hits(known, "q=nothing"), "");
    /* Nobody was asked. */
    assert_int_equal(SA(known)->n_calls, 0);
    assert_int_equal(SB(known)->n_calls, 0);
}

/* Whatever a site has called it, it is text, and the link leads there. */
static void test_hostile_names_are_only_text(void **state)
{
    struct known *known = *state;
    char href[256];

    feed_both(known);
    assert_string_equal(hits(known, "q=web+%22"),
                        "sb:name:web \"x\" \\ \xc3\xa4 ");
    assert_string_equal(known_text(known, "items.0.id"), "srv/a b?c#%");
    assert_string_equal(known_text(known, "items.0.href"),
                        "/api/v1/servers/srv%2Fa%20b%3Fc%23%25?site=sb");
    assert_string_equal(hits(known, "q=srv%2Fa"),
                        "sb:id:web \"x\" \\ \xc3\xa4 ");
    snprintf(href, sizeof(href), "%s", known_text(known, "items.0.href"));
    assert_null(strstr(href, "\""));
}

static void test_projects_bound_it(void **state)
{
    struct known *known = *state;

    feed_both(known);
    assert_string_equal(hits(known, "q=web&project=p1"),
                        "sb:name:web \"x\" \\ \xc3\xa4 sa:name:Web-1 ");
    assert_string_equal(hits(known, "q=web&project=p2"), "sa:name:web-10 ");
    assert_string_equal(hits(known, "project=p2,p9&q=web"), "sa:name:web-10 ");
    assert_string_equal(hits(known, "q=web&project=p"), "");
    assert_string_equal(hits(known, "q=10.0.0.7&project=p1"),
                        "sa:address:Web-1 ");
}

static void test_only_so_many(void **state)
{
    struct known *known = *state;

    feed_both(known);
    assert_string_equal(hits(known, "q=web-&limit=1"), "sa:name:Web-1 ");
    assert_true(has_more(known));
    assert_string_equal(hits(known, "q=web-&limit=2"),
                        "sa:name:Web-1 sa:name:web-10 ");
    assert_false(has_more(known));
    /* What may not be seen is not counted. */
    assert_string_equal(hits(known, "q=web-&limit=1&project=p1"),
                        "sa:name:Web-1 ");
    assert_false(has_more(known));
    hits(known, "q=web-&limit=500");
}

/* Of a site that is away the last is found; what is gone is not. */
static void test_what_the_view_knows_now(void **state)
{
    struct known *known = *state;
    static const struct server renamed = {ID "1", "mail", "p1", "{\"a\":1}"};

    feed_both(known);
    feed_rows(known, 0, UPSERT, &renamed, 1);
    feed_rows(known, 0, DELETE, &of_sa[1], 1);
    hall_run(known->hall, 50);
    assert_string_equal(hits(known, "q=web-"), "");
    assert_string_equal(hits(known, "q=10.0"), "");
    assert_string_equal(hits(known, "q=0a1b"), "sa:id:mail ");
    peer_presence(SA(known), true);
    assert_string_equal(hits(known, "q=mail"), "sa:name:mail ");
}

static void test_bad_searches_are_told(void **state)
{
    static const struct {
        const char *query, *about;
    } rows[] = {
        {"", "q: needs"},
        {"q=", "q: needs"},
        {"q=w", "q: needs"},
        {"limit=5", "q: needs"},
        {"q=web&limit=0", "limit: must be"},
        {"q=web&limit=501", "limit: must be"},
        {"q=web&limit=", "limit: must be"},
        {"q=web&limit=ten", "limit: must be"},
        {"q=web&project=", "project: takes"},
        {"q=web&project=a,,b", "project: takes"},
        {"q=web&project=a,", "project: takes"},
        {"q=web&kind=server", "Only q, limit and project"},
        {"q=web&Q=web", "Only q, limit and project"},
        {"q=web&q=mail", "given twice"},
        {"q=web&limit=1&limit=2", "given twice"},
        {"q=web&project=p1&project=p2", "given twice"},
    };
    struct known *known = *state;
    char target[8192];

    feed_both(known);
    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        snprintf(target, sizeof(target), "/api/v1/search?%s", rows[i].query);
        known_get(known, target);
        assert_problem(known, 400, "bad_parameter", rows[i].about);
    }
}

static void test_a_search_has_an_end(void **state)
{
    struct known *known = *state;
    char query[1024], *at = query;

    feed_both(known);
    snprintf(query, sizeof(query), "q=%0255d", 0);
    assert_string_equal(hits(known, query), "");
    snprintf(query, sizeof(query), "/api/v1/search?q=%0256d", 0);
    known_get(known, query);
    assert_problem(known, 400, "bad_parameter", "q: needs");
    at += sprintf(at, "/api/v1/search?q=web&project=p1");
    for (int i = 0; i < 63; i++)
        at += sprintf(at, ",x%d", i);
    known_get(known, query);
    assert_int_equal(known->status, 200);
    sprintf(at, ",p2");
    known_get(known, query);
    assert_problem(known, 400, "bad_parameter", "project: takes");
}

static void test_a_hub_without_a_view_says_so(void **state)
{
    struct known *known = *state;

    api_set_view(&known->api, NULL, NULL, NULL);
    known_get(known, "/api/v1/search?q=web");
    assert_problem(known, 503, "busy", "keeps no view");
    known_get(known, "/api/v1/search?q=w");
    assert_problem(known, 400, "bad_parameter", "q: needs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KNOWN_TEST(test_names_ids_and_addresses),
        KNOWN_TEST(test_hostile_names_are_only_text),
        KNOWN_TEST(test_projects_bound_it),
        KNOWN_TEST(test_only_so_many),
        KNOWN_TEST(test_what_the_view_knows_now),
        KNOWN_TEST(test_bad_searches_are_told),
        KNOWN_TEST(test_a_search_has_an_end),
        KNOWN_TEST(test_a_hub_without_a_view_says_so),
    };

    if (sodium_init() < 0)
        return 1;
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
