/* The log as a list, and what a reader may ask for. */
#include "door.h"

#include "api/events_query.h"
#include "base/clock.h"

#define HOUR_MS 3600000ULL

static int setup(void **state)
{
    *state = door_open(10, 100000);
    return 0;
}

static int teardown(void **state)
{
    door_close(*state);
    return 0;
}

/* The texts of a list, as "abc", when each has one letter. 'last' is checked
 * for itself: a list and its last one must agree. */
static const char *letters(struct door *door, const char *target)
{
    static char text[1024];
    struct reader reader;
    json_t *json, *items, *last;
    size_t n;

    if (reader_ask(door, &reader, target, "") != 200)
        fail_msg("%s: %s", target, reader.text);
    json = reader_json(&reader);
    items = json_object_get(json, "items");
    last = json_object_get(json, "last");
    n = json_array_size(items);
    for (size_t i = 0; i < n; i++) {
        const char *said = json_string_value(json_object_get(
            json_object_get(json_array_get(items, i), "data"), "text"));

        assert_non_null(said);
        text[i] = said[0];
    }
    text[n] = '\0';
    assert_int_equal(json_is_null(last), n == 0);
    if (n)
        assert_non_null(strstr(
            door_json(door, (uint64_t) json_integer_value(last)),
            (char[]){'"', 't', 'e', 'x', 't', '"', ':', '"', text[n - 1], 0}));
    json_decref(json);
    reader_close(&reader);
    return text;
}

#define ASSERT_LIST(door, query, want)                                         \
    assert_string_equal(letters((door), "/api/v1/events" query), want)

static void put_at(struct door *door, const char *text, uint64_t received_ms)
{
    struct events_item item = door_item("hkg", text);

    door_put(door, &item, 1, received_ms);
}

static void put_alphabet(struct door *door, char to)
{
    char text[2] = "";

    for (text[0] = 'a'; text[0] <= to; text[0]++)
        door_add(door, "hkg", text);
}

static void test_an_empty_log_is_an_empty_list(void **state)
{
    ASSERT_LIST(*state, "", "");
    ASSERT_LIST(*state, "?after=0", "");
    ASSERT_LIST(*state, "?since=oldest", "");
    ASSERT_LIST(*state, "?since=1h&until=+1h", "");
}

static void test_the_newest_come_oldest_first(void **state)
{
    struct door *door = *state;

    put_alphabet(door, 'h');
    ASSERT_LIST(door, "", "abcdefgh");
    ASSERT_LIST(door, "?limit=3", "fgh");
    ASSERT_LIST(door, "?limit=8", "abcdefgh");
    ASSERT_LIST(door, "?limit=1000", "abcdefgh");
    ASSERT_LIST(door, "?limit=3&since=oldest", "fgh");
    ASSERT_LIST(door, "?since=now", "");
}

static void test_after_gives_the_first_behind_it(void **state)
{
    struct door *door = *state;

    put_alphabet(door, 'h');
    ASSERT_LIST(door, "?after=0&limit=3", "abc");
    ASSERT_LIST(door, "?after=3&limit=3", "def");
    ASSERT_LIST(door, "?after=6&limit=3", "gh");
    ASSERT_LIST(door, "?after=8", "");
    /* The exact place wins, whichever comes first. */
    ASSERT_LIST(door, "?after=6&since=oldest", "gh");
    ASSERT_LIST(door, "?since=oldest&after=6", "gh");
    assert_refused(door, "/api/v1/events?after=9", "", 400, "its last is 8");
}

/* Ten thousand behind 'after' are looked at in several goes. */
static void test_a_rare_one_is_found_far_behind(void **state)
{
    struct door *door = *state;
    struct events_item much = door_item("lon", "x");
    uint64_t now = ist_loop_wall(&door->loop);

    door_add(door, "hkg", "a");
    door_put(door, &much, 5000, now);
    door_add(door, "hkg", "b");
    door_put(door, &much, 5000, now);
    door_add(door, "hkg", "c");
    ASSERT_LIST(door, "?site=hkg", "abc");
    ASSERT_LIST(door, "?site=hkg&limit=2", "bc");
    ASSERT_LIST(door, "?site=hkg&after=1", "bc");
    ASSERT_LIST(door, "?site=hkg&after=0&limit=2", "ab");
}

static void test_what_was_dropped_is_not_missed_by_a_list(void **state)
{
    struct door *door;

    door_close(*state);
    *state = door = door_open(10, 3);
    put_alphabet(door, 'h');
    door_trim(door);
    ASSERT_LIST(door, "", "fgh");
    ASSERT_LIST(door, "?after=0", "fgh");
    ASSERT_LIST(door, "?after=5", "fgh");
    ASSERT_LIST(door, "?since=oldest", "fgh");
    ASSERT_LIST(door, "?since=1h", "fgh");
}

static void test_times_bound_a_list(void **state)
{
    struct door *door = *state;
    uint64_t now = ist_loop_wall(&door->loop);

    put_at(door, "a", now - 3 * HOUR_MS);
    put_at(door, "b", now - 2 * HOUR_MS);
    put_at(door, "c", now - HOUR_MS);
    put_at(door, "d", now - 60000);
    ASSERT_LIST(door, "?since=150m", "bcd");
    ASSERT_LIST(door, "?since=30m", "d");
    ASSERT_LIST(door, "?since=10s", "");
    ASSERT_LIST(door, "?since=90000d", "abcd");
    ASSERT_LIST(door, "?until=90m", "ab");
    ASSERT_LIST(door, "?until=90m&limit=1", "b");
    ASSERT_LIST(door, "?until=4h", "");
    ASSERT_LIST(door, "?until=0s", "abcd");
    ASSERT_LIST(door, "?until=%2B1h", "abcd");
    ASSERT_LIST(door, "?until=+1h", "abcd"); /* A space, as forms send it. */
    ASSERT_LIST(door, "?since=150m&until=90m", "b");
    ASSERT_LIST(door, "?since=90m&until=150m", "");
    ASSERT_LIST(door, "?after=1&until=90m", "b");
    ASSERT_LIST(door, "?since=1970-01-01T00:00:00Z", "abcd");
    ASSERT_LIST(door, "?since=9999-12-31T23:59:59Z", "");
    ASSERT_LIST(door, "?until=1970-01-01T00:00:00Z", "");
}

static void test_an_exact_time_is_inside(void **state)
{
    struct door *door = *state;

    put_at(door, "a", 1764057599999ULL);
    put_at(door, "b", 1764057600000ULL); /* 2025-11-25T08:00:00Z */
    put_at(door, "c", 1764057600001ULL);
    ASSERT_LIST(door, "?since=2025-11-25T08:00:00Z", "bc");
    ASSERT_LIST(door, "?until=2025-11-25T08:00:00Z", "ab");
    ASSERT_LIST(door, "?since=2025-11-25T08:00:00.001Z", "c");
    ASSERT_LIST(door, "?since=2025-11-25T16:00:00%2B08:00", "bc");
    ASSERT_LIST(door, "?since=2025-11-25T16:00:00+08:00", "bc");
    ASSERT_LIST(door, "?until=2025-11-25T03:30:00-04:30", "ab");
}

static void put_mixed(struct door *door)
{
    struct events_item all[] = {
        door_item("hkg", "a"), door_item("lon", "b"),   door_item("hkg", "c"),
        door_item("sjc", "d"), door_item("hkg-2", "e"),
    };

    all[1].kind = "network";
    all[1].action = "created";
    all[1].severity = EVENTS_WARNING;
    all[2].action = "deleted";
    all[2].project = "p2";
    all[3].kind = "site";
    all[3].action = "unreachable";
    all[3].project = "";
    all[3].severity = EVENTS_CRITICAL;
    all[4].project = "p11";
    all[4].severity = EVENTS_INFO;
    for (size_t i = 0; i < IST_COUNT(all); i++)
        door_put(door, &all[i], 1, ist_loop_wall(&door->loop));
}

static void test_filters(void **state)
{
    struct door *door = *state;

    put_mixed(door);
    ASSERT_LIST(door, "", "abcde");
    ASSERT_LIST(door, "?site=hkg", "ac"); /* Whole names. */
    ASSERT_LIST(door, "?site=lon,sjc", "bd");
    ASSERT_LIST(door, "?site=nowhere", "");
    ASSERT_LIST(door, "?kind=network,site", "bd");
    ASSERT_LIST(door, "?project=p1", "ab");
    ASSERT_LIST(door, "?project=p1,p2", "abc");
    ASSERT_LIST(door, "?severity=info", "abcde");
    ASSERT_LIST(door, "?severity=notice", "abcd");
    ASSERT_LIST(door, "?severity=warning", "bd");
    ASSERT_LIST(door, "?severity=critical", "d");
    ASSERT_LIST(door, "?type=server.updated", "ae");
    ASSERT_LIST(door, "?type=server.*", "ace");
    ASSERT_LIST(door, "?type=*.delete?,network.*", "bc");
    ASSERT_LIST(door, "?type=io.isthmus.site.*.v1", "d");
    ASSERT_LIST(door, "?type=server", "");
    ASSERT_LIST(door, "?site=hkg&type=*.deleted&project=p2", "c");
    ASSERT_LIST(door, "?site=hkg&severity=error", "");
    ASSERT_LIST(door, "?severity=notice&limit=2", "cd");
}

static void test_bad_parameters_are_named(void **state)
{
    static const struct {
        const char *query, *about;
    } rows[] = {
        {"limit=0", "limit: must be"},
        {"limit=1001", "limit: must be"},
        {"limit=-1", "limit: must be"},
        {"limit=", "limit: must be"},
        {"limit=1e2", "limit: must be"},
        {"since=yesterday", "since: must be"},
        {"since=", "since: must be"},
        {"since=-1h", "since: must be"},
        {"since=1", "since: must be"},
        {"since=2025-02-30T00:00:00Z", "since: must be"},
        {"since=2025-11-25", "since: must be"},
        {"since=99999999999999999999d", "since: must be"},
        {"until=later", "until: must be"},
        {"until=%2B", "until: must be"},
        {"until=%2B%2B1h", "until: must be"},
        {"until=2025-11-25T25:00:00Z", "until: must be"},
        {"after=x", "after: must be"},
        {"after=", "after: must be"},
        {"after=-1", "after: must be"},
        {"after=18446744073709551615", "after: must be"},
        {"after=18446744073709551614", "its last is 1"},
        {"follow=yes", "follow: must be"},
        {"follow=", "follow: must be"},
        {"severity=bad", "severity: must be"},
        {"severity=", "severity: has an empty value"},
        {"site=", "site: has an empty value"},
        {"site=a,,b", "site: has an empty value"},
        {"site=a,", "site: has an empty value"},
        {"type=%01", "type: has a control character"},
        {"kind=%7F", "kind: has a control character"},
        {"site=a&site=b", "'site' is given twice"},
        {"limit=1&limit=1", "'limit' is given twice"},
        {"from=oldest", "'from' is not a parameter"},
        {"colour=red", "'colour' is not a parameter"},
        {"SITE=a", "'SITE' is not a parameter"},
    };
    char target[256];

    door_add(*state, "hkg", "a");
    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        snprintf(target, sizeof(target), "/api/v1/events?%s", rows[i].query);
        assert_refused(*state, target, "", 400, rows[i].about);
    }
}

static void test_a_stream_takes_its_own_parameters(void **state)
{
    static const struct {
        const char *query, *about;
    } rows[] = {
        {"since=1h", "'since' is not a parameter"},
        {"limit=1", "'limit' is not a parameter"},
        {"follow=1", "'follow' is not a parameter"},
        {"from=then", "from: must be"},
        {"from=", "from: must be"},
        {"until=soon", "until: must be"},
        {"after=two", "after: must be"},
        {"after=2", "its last is 1"},
        {"from=oldest&from=now", "'from' is given twice"},
    };
    char target[256];

    door_add(*state, "hkg", "a");
    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        snprintf(target, sizeof(target), "/api/v1/events/stream?%s",
                 rows[i].query);
        assert_refused(*state, target, "", 400, rows[i].about);
    }
}

static void test_a_value_has_an_end(void **state)
{
    char target[EVENTS_FILTER_MAX + 64], value[EVENTS_FILTER_MAX + 2];

    memset(value, 'a', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    snprintf(target, sizeof(target), "/api/v1/events?type=%s", value);
    assert_refused(*state, target, "", 400, "type: takes at most 1024 bytes");
    snprintf(target, sizeof(target), "/api/v1/events?type=%s", value + 1);
    assert_string_equal(letters(*state, target), "");
}

static void test_a_last_event_id_that_is_none(void **state)
{
    static const char *const ids[] = {
        "x",
        "-1",
        "+1",
        "1e3",
        "1 2",
        "0x1",
        "1;drop",
        "\xff\xfe",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999999999999999999999999999999999999999999999",
    };
    char header[256];

    door_add(*state, "hkg", "a");
    for (size_t i = 0; i < IST_COUNT(ids); i++) {
        snprintf(header, sizeof(header), "Last-Event-ID: %s\r\n", ids[i]);
        assert_refused(*state, "/api/v1/events/stream", header, 400,
                       "Last-Event-ID: must be the number of an event");
    }
    assert_refused(*state, "/api/v1/events/stream", "Last-Event-ID: 2\r\n", 400,
                   "its last is 1");
    /* A list has no such thing. */
    ASSERT_LIST(*state, "", "a");
}

static void test_a_hub_without_a_log_says_so(void **state)
{
    struct door *door = *state;

    api_set_view(&door->api, NULL, NULL, NULL);
    assert_refused(door, "/api/v1/events", "", 503, "keeps no log");
    assert_refused(door, "/api/v1/events/stream", "", 503, "keeps no log");
    assert_refused(door, "/api/v1/events?limit=0", "", 400, "limit");
}

/* As lines. */

static const char *lines(struct door *door, const char *target)
{
    static char text[1024];
    struct reader reader;
    size_t n = 0;

    if (reader_ask(door, &reader, target, "Accept: application/x-ndjson\r\n") !=
        200)
        fail_msg("%s: %s", target, reader.text);
    assert_non_null(strcasestr(reader.text, "content-type: "
                                            "application/x-ndjson"));
    for (char *save = NULL,
              *line = strtok_r(reader.is_chunked ? reader.plain
                                                 : reader.text + reader.body,
                               "\n", &save);
         line; line = strtok_r(NULL, "\n", &save)) {
        json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

        assert_non_null(json);
        text[n++] = json_string_value(
            json_object_get(json_object_get(json, "data"), "text"))[0];
        json_decref(json);
    }
    text[n] = '\0';
    reader_close(&reader);
    return text;
}

#define ASSERT_LINES(door, query, want)                                        \
    assert_string_equal(lines((door), "/api/v1/events" query), want)

/* They are the same list. */
static void test_lines_are_the_same_list(void **state)
{
    struct door *door = *state;

    ASSERT_LINES(door, "", "");
    put_alphabet(door, 'h');
    ASSERT_LINES(door, "", "abcdefgh");
    ASSERT_LINES(door, "?limit=3", "fgh");
    ASSERT_LINES(door, "?after=2&limit=3", "cde");
    ASSERT_LINES(door, "?since=oldest&limit=2", "gh");
    ASSERT_LINES(door, "?since=oldest", "abcdefgh");
    ASSERT_LINES(door, "?since=1h&until=0s", "abcdefgh");
    ASSERT_LINES(door, "?since=now", "");
    ASSERT_LINES(door, "?after=8", "");
    ASSERT_LINES(door, "?site=lon", "");
}

/* Pure. */

static void test_times_are_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.001Z", 1},
        {"2024-02-29T23:59:59Z", 1709251199000},
        {"2025-11-25T08:00:00.5Z", 1764057600500},
        {"2025-11-25T08:00:00.12Z", 1764057600120},
        {"2025-11-25T08:00:00.123456789Z", 1764057600123},
        {"2025-11-25t08:00:00z", 1764057600000},
        {"2025-11-25T08:00:00-00:30", 1764059400000},
        {"2025-11-25T08:00:00 05:30", 1764037800000},
        {"2016-12-31T23:59:60Z", 1483228800000}, /* A leap second. */
        {"9999-12-31T23:59:59.999Z", 253402300799999},
    };

    (void) state;
    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        uint64_t ms = 77;

        if (!ist_clock_parse(rows[i].text, &ms) || ms != rows[i].ms)
            fail_msg("%s: %" PRIu64, rows[i].text, ms);
    }
}

static void test_what_is_no_time(void **state)
{
    static const char *const texts[] = {
        "",
        "2025",
        "2025-11-25",
        "2025-11-25T08:00:00",
        "2025-11-25T08:00Z",
        "2025-11-25 08:00:00Z",
        "2025-13-01T00:00:00Z",
        "2025-00-01T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "2025-04-31T00:00:00Z",
        "2025-11-25T24:00:00Z",
        "2025-11-25T08:60:00Z",
        "2025-11-25T08:00:61Z",
        "2025-11-25T08:00:00.Z",
        "2025-11-25T08:00:00.1234567890123456789012Z",
        "2025-11-25T08:00:00+0800",
        "2025-11-25T08:00:00+24:00",
        "2025-11-25T08:00:00+08:60",
        "2025-11-25T08:00:00+08:",
        "2025-11-25T08:00:00Z ",
        "2025-11-25T08:00:00ZZ",
        "+2025-11-25T08:00:00Z",
        "12025-11-25T08:00:00Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "2025-1a-25T08:00:00Z",
    };

    (void) state;
    for (size_t i = 0; i < IST_COUNT(texts); i++) {
        uint64_t ms = 77;

        if (ist_clock_parse(texts[i], &ms))
            fail_msg("'%s' is taken: %" PRIu64, texts[i], ms);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_empty_log_is_an_empty_list),
        TEST(test_the_newest_come_oldest_first),
        TEST(test_after_gives_the_first_behind_it),
        TEST(test_a_rare_one_is_found_far_behind),
        TEST(test_what_was_dropped_is_not_missed_by_a_list),
        TEST(test_times_bound_a_list),
        TEST(test_an_exact_time_is_inside),
        TEST(test_filters),
        TEST(test_bad_parameters_are_named),
        TEST(test_a_stream_takes_its_own_parameters),
        TEST(test_a_value_has_an_end),
        TEST(test_a_last_event_id_that_is_none),
        TEST(test_a_hub_without_a_log_says_so),
        TEST(test_lines_are_the_same_list),
        cmocka_unit_test(test_times_are_read),
        cmocka_unit_test(test_what_is_no_time),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
