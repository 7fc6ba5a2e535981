/* Streams of events: how they are framed, where they go on, and what one that
 * is not read costs the others. */
#include "door.h"

#include <sys/syscall.h>
#include <time.h>

#define WATCHERS_MAX 3

/* The clocks of this process, moved on by the test: in place of the C library's
 * for the loop, libuv and the server alike. */
static uint64_t ahead_s;

int clock_gettime(clockid_t id, struct timespec *ret)
{
    int rc = (int) syscall(SYS_clock_gettime, id, ret);

    ret->tv_sec += (time_t) ahead_s;
    return rc;
}

static int setup(void **state)
{
    *state = door_open(WATCHERS_MAX, 100000);
    return 0;
}

static int teardown(void **state)
{
    door_close(*state);
    return 0;
}

/* "id: 3\nevent: server.updated\ndata: {...}\n\n", as the log holds it. */
static const char *as_sse(struct door *door, uint64_t id, const char *type)
{
    static char text[8192];

    snprintf(text, sizeof(text), "id: %" PRIu64 "\nevent: %s\ndata: %s\n\n", id,
             type, door_json(door, id));
    return text;
}

static void open_sse(struct door *door, struct reader *reader,
                     const char *query, const char *headers)
{
    char target[512];

    snprintf(target, sizeof(target), "/api/v1/events/stream%s", query);
    reader_open(door, reader, target, headers);
    reader_expect(door, reader, "retry: 3000\n\n");
    assert_int_equal(reader->status, 200);
}

static void open_lines(struct door *door, struct reader *reader,
                       const char *query)
{
    char target[512];

    snprintf(target, sizeof(target), "/api/v1/events?follow=1%s", query);
    reader_open(door, reader, target, "");
    DOOR_UNTIL(door, (reader_says(door, reader), reader->status));
    assert_int_equal(reader->status, 200);
}

/* Says exactly this and no more, a while on. */
static void assert_says(struct door *door, struct reader *reader,
                        const char *text)
{
    reader_expect(door, reader, text);
    door_run(door, 20);
    assert_string_equal(reader_says(door, reader), text);
}

/* Framing */

static void test_server_sent_events(void **state)
{
    struct door *door = *state;
    struct reader reader;
    char want[16384] = "retry: 3000\n\n";

    door_add(door, "hkg", "one");
    door_add(door, "lon", "two\nid: 99\n\ndata: \"\\u0000\r\xff");
    open_sse(door, &reader, "?from=oldest", "");
    strcat(want, as_sse(door, 1, "server.updated"));
    strcat(want, as_sse(door, 2, "server.updated"));
    assert_says(door, &reader, want);
    assert_non_null(strcasestr(reader.text, "\r\ncontent-type: "
                                            "text/event-stream"));
    assert_non_null(strcasestr(reader.text, "\r\ncache-control: no-store"));
    assert_non_null(strcasestr(reader.text, "\r\nx-accel-buffering: no"));
    /* What comes while it is open. */
    door_add(door, "sjc", "three");
    strcat(want, as_sse(door, 3, "server.updated"));
    assert_says(door, &reader, want);
    assert_false(reader.ended);
    reader_close(&reader);
}

static void test_one_event_a_line(void **state)
{
    struct door *door = *state;
    struct reader reader;
    char want[16384] = "";

    door_add(door, "hkg", "one");
    door_add(door, "lon", "two\n{\"a\":1}\n");
    open_lines(door, &reader, "&after=0");
    for (uint64_t id = 1; id <= 2; id++) {
        strcat(want, door_json(door, id));
        strcat(want, "\n");
    }
    assert_says(door, &reader, want);
    assert_non_null(strcasestr(reader.text, "\r\ncontent-type: "
                                            "application/x-ndjson\r\n"));
    door_add(door, "sjc", "three");
    strcat(want, door_json(door, 3));
    strcat(want, "\n");
    assert_says(door, &reader, want);
    reader_close(&reader);
}

/* Where one begins */

static void test_a_stream_begins_now(void **state)
{
    struct door *door = *state;
    struct reader sse, lines;

    door_add(door, "hkg", "before");
    open_sse(door, &sse, "", "");
    open_lines(door, &lines, "");
    door_add(door, "hkg", "behind");
    reader_expect(door, &sse, "behind");
    reader_expect(door, &lines, "behind");
    assert_null(strstr(sse.plain, "before"));
    assert_null(strstr(lines.plain, "before"));
    reader_close(&sse);
    reader_close(&lines);
}

/* The letters of the texts that are there, in the order they come. */
static const char *letters(struct door *door, const char *query,
                           const char *headers)
{
    static char text[64];
    char all[256];
    struct reader reader;
    size_t n = 0;

    snprintf(all, sizeof(all), "?until=0s%s", query);
    open_sse(door, &reader, all, headers);
    reader_finish(door, &reader);
    assert_true(reader.is_whole);
    for (const char *at = reader.plain; (at = strstr(at, "\"text\":\"")); at++)
        text[n++] = at[8];
    text[n] = '\0';
    reader_close(&reader);
    return text;
}

static void put_alphabet(struct door *door, char to)
{
    char text[2] = "";

    for (text[0] = 'a'; text[0] <= to; text[0]++)
        door_add(door, text[0] % 2 ? "hkg" : "lon", text);
}

static void test_one_that_comes_back_goes_on(void **state)
{
    struct door *door = *state;

    put_alphabet(door, 'e');
    assert_string_equal(letters(door, "", "Last-Event-ID: 0\r\n"), "abcde");
    assert_string_equal(letters(door, "", "Last-Event-ID: 2\r\n"), "cde");
    assert_string_equal(letters(door, "", "last-event-id: 4\r\n"), "e");
    assert_string_equal(letters(door, "", "Last-Event-ID: 5\r\n"), "");
    assert_string_equal(letters(door, "", ""), "");
    assert_string_equal(letters(door, "&from=oldest", ""), "abcde");
    assert_string_equal(letters(door, "&from=1h", ""), "abcde");
    assert_string_equal(letters(door, "&after=3", ""), "de");
    /* It goes on where it was, whatever its first request said; */
    assert_string_equal(letters(door, "&from=oldest", "Last-Event-ID: 3\r\n"),
                        "de");
    assert_string_equal(letters(door, "&from=now", "Last-Event-ID: 3\r\n"),
                        "de");
    /* but who names a place means that one. */
    assert_string_equal(letters(door, "&after=1", "Last-Event-ID: 3\r\n"),
                        "bcde");
    assert_string_equal(letters(door, "&site=lon", "Last-Event-ID: 2\r\n"),
                        "d");
}

static void test_filters_hold_for_what_comes(void **state)
{
    struct door *door = *state;
    struct reader reader;

    open_sse(door, &reader, "?site=lon", "");
    put_alphabet(door, 'd');
    reader_expect(door, &reader, as_sse(door, 4, "server.updated"));
    assert_non_null(strstr(reader.plain, as_sse(door, 2, "server.updated")));
    assert_null(strstr(reader.plain, "id: 1\n"));
    assert_null(strstr(reader.plain, "id: 3\n"));
    reader_close(&reader);
}

/* Heartbeats */

static void test_an_idle_stream_has_a_heartbeat(void **state)
{
    struct door *door = *state;
    struct reader sse, lines;

    open_sse(door, &sse, "?site=lon", "");
    open_lines(door, &lines, "");
    ahead_s += 14;
    door_run(door, 20);
    assert_string_equal(reader_says(door, &sse), "retry: 3000\n\n");
    assert_string_equal(reader_says(door, &lines), "");
    ahead_s += 1;
    assert_says(door, &sse, "retry: 3000\n\n:hb\n\n");
    assert_says(door, &lines, "\n");
    ahead_s += 15;
    assert_says(door, &sse, "retry: 3000\n\n:hb\n\n:hb\n\n");
    assert_says(door, &lines, "\n\n");
    reader_close(&sse);
    reader_close(&lines);
}

/* What it did not want it need not read again. */
static void test_a_heartbeat_says_how_far_it_is(void **state)
{
    struct door *door = *state;
    struct reader reader;
    char want[8192] = "retry: 3000\n\n";

    open_sse(door, &reader, "?site=lon", "");
    door_add(door, "hkg", "a");
    door_add(door, "hkg", "b");
    door_run(door, 20);
    ahead_s += 15;
    strcat(want, ":hb\nid: 2\n\n");
    assert_says(door, &reader, want);
    ahead_s += 15; /* Nothing new: said once. */
    strcat(want, ":hb\n\n");
    assert_says(door, &reader, want);
    door_add(door, "lon", "c");
    strcat(want, as_sse(door, 3, "server.updated"));
    assert_says(door, &reader, want);
    ahead_s += 15; /* The event itself had said it. */
    strcat(want, ":hb\n\n");
    assert_says(door, &reader, want);
    reader_close(&reader);
}

/* Gaps */

static void reopen_with_gap(void **state)
{
    door_close(*state);
    *state = door_open(WATCHERS_MAX, 3);
    put_alphabet(*state, 'h');
    door_trim(*state);
}

static void assert_begins(struct door *door, const char *query,
                          const char *headers, const char *want)
{
    struct reader reader;

    open_sse(door, &reader, query, headers);
    reader_expect(door, &reader, as_sse(door, 8, "server.updated"));
    if (strncmp(reader.plain, want, strlen(want)) != 0)
        fail_msg("not '%s': '%s'", want, reader.plain);
    reader_close(&reader);
}

static void test_what_is_no_longer_held_is_told(void **state)
{
    struct door *door;
    char want[8192];

    reopen_with_gap(state);
    door = *state;
    snprintf(want, sizeof(want),
             "retry: 3000\n\n"
             "id: 5\nevent: gap\ndata: {\"from\":3,\"to\":5}\n\n%s",
             as_sse(door, 6, "server.updated"));
    assert_begins(door, "", "Last-Event-ID: 2\r\n", want);
    assert_begins(door, "?after=2", "", want);
    /* Whatever is filtered: it may have been among them. */
    assert_begins(door, "?site=lon", "Last-Event-ID: 4\r\n",
                  "retry: 3000\n\n"
                  "id: 5\nevent: gap\ndata: {\"from\":5,\"to\":5}\n\n"
                  "id: 6\n");
    /* None for who has them, and for who asks for what there is. */
    assert_begins(door, "", "Last-Event-ID: 5\r\n", "retry: 3000\n\nid: 6\n");
    assert_begins(door, "?from=oldest", "", "retry: 3000\n\nid: 6\n");
    assert_begins(door, "?from=1h", "", "retry: 3000\n\nid: 6\n");
}

static void test_a_gap_is_a_line(void **state)
{
    struct door *door;
    struct reader reader;
    json_t *gap, *data;

    reopen_with_gap(state);
    door = *state;
    open_lines(door, &reader, "&after=2");
    reader_expect(door, &reader, door_json(door, 8));
    *strchr(reader.plain, '\n') = '\0';
    gap = json_loads(reader.plain, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(gap);
    assert_string_equal(json_string_value(json_object_get(gap, "type")),
                        "io.isthmus.log.gap.v1");
    assert_string_equal(json_string_value(json_object_get(gap, "specversion")),
                        "1.0");
    data = json_object_get(gap, "data");
    assert_int_equal(json_integer_value(json_object_get(data, "from")), 3);
    assert_int_equal(json_integer_value(json_object_get(data, "to")), 5);
    json_decref(gap);
    reader_close(&reader);
}

/* One that does not read */

#define MANY 12000U

static bool has_last(const struct reader *reader)
{
    size_t tail = reader->plain_len > 4096 ? reader->plain_len - 4096 : 0;
    char last[32];

    snprintf(last, sizeof(last), "id: %u\n", MANY);
    return strstr(reader->plain + tail, last);
}

static bool line_begins(const char *line, size_t len, const char *text,
                        uint64_t *ret)
{
    size_t n = strlen(text);

    if (len < n || memcmp(line, text, n) != 0)
        return false;
    if (ret)
        *ret = strtoull(line + n, NULL, 10);
    return true;
}

struct told {
    uint64_t n_missed, n_beats;
};

/* Each event once, in order, and each gap exactly what lies between. By lines:
 * to look through all of it for each one takes minutes. */
static struct told check_all(const struct reader *reader)
{
    const char *at = reader->plain, *end = at + reader->plain_len, *line;
    uint64_t id = 0, next = 1, from = 0, n_events = 0;
    struct told told = {0};
    bool is_gap = false;

    while ((line = at) < end) {
        size_t len;

        at = memchr(line, '\n', (size_t) (end - line));
        assert_non_null(at);
        len = (size_t) (at++ - line);
        if (line_begins(line, len, "event: ", NULL))
            is_gap = line_begins(line, len, "event: gap", NULL);
        told.n_beats += line_begins(line, len, ":hb", NULL);
        line_begins(line, len, "id: ", &id);
        if (!line_begins(line, len, "data: ", NULL))
            continue;
        if (is_gap) {
            assert_true(line_begins(line, len, "data: {\"from\":", &from));
            assert_int_equal(from, next);
            assert_true(id >= from);
            told.n_missed += id - from + 1;
        } else {
            assert_int_equal(id, next);
            n_events++;
        }
        next = id + 1;
    }
    assert_int_equal(next, MANY + 1);
    assert_int_equal(n_events + told.n_missed, MANY);
    return told;
}

/* 11 MB pass by one that stands still. It holds what the kernel and its own
 * buffer take, and reads the rest when it goes on, as far as the log has it. */
static void test_a_stalled_one_delays_nobody(void **state)
{
    struct door *door;
    struct reader stalled, brisk;
    struct events_item item = door_item("hkg", NULL);
    char text[512];
    struct told told;

    door_close(*state);
    *state = door = door_open(WATCHERS_MAX, 1000);
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    item.text = text;
    open_sse(door, &stalled, "", "");
    open_sse(door, &brisk, "", "");
    for (unsigned n = 0; n < MANY; n += 500) {
        door_put(door, &item, 500, ist_loop_wall(&door->loop));
        reader_says(door, &brisk);
    }
    DOOR_UNTIL(door, (reader_says(door, &brisk), has_last(&brisk)));
    assert_int_equal(check_all(&brisk).n_missed, 0);
    door_trim(door);
    DOOR_UNTIL(door, (reader_says(door, &stalled), has_last(&stalled)));
    told = check_all(&stalled);
    assert_in_range(told.n_missed, 1000, MANY - 1000);
    reader_close(&stalled);
    reader_close(&brisk);
}

/* Heartbeats do not pile up before it either; it goes on where it was. */
static void test_a_stalled_one_reads_on(void **state)
{
    struct door *door = *state;
    struct reader stalled;
    struct events_item item = door_item("hkg", NULL);
    char text[512];
    struct told told;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    item.text = text;
    open_sse(door, &stalled, "", "");
    for (unsigned n = 0; n < MANY; n += 500)
        door_put(door, &item, 500, ist_loop_wall(&door->loop));
    for (unsigned i = 0; i < 100; i++) {
        ahead_s += 15;
        door_run(door, 2);
    }
    DOOR_UNTIL(door, (reader_says(door, &stalled), has_last(&stalled)));
    told = check_all(&stalled);
    assert_int_equal(told.n_missed, 0);
    assert_in_range(told.n_beats, 0, 1);
    reader_close(&stalled);
}

/* Ends */

static void test_only_so_many_watch(void **state)
{
    struct door *door = *state;
    struct reader all[WATCHERS_MAX], list;

    open_sse(door, &all[0], "", "");
    open_lines(door, &all[1], "");
    open_sse(door, &all[2], "", "");
    assert_int_equal(door->api.n_watchers, WATCHERS_MAX);
    assert_refused(door, "/api/v1/events/stream", "", 503, "as many watchers");
    assert_refused(door, "/api/v1/events?follow=1", "", 503,
                   "as many watchers");
    assert_int_equal(reader_ask(door, &list, "/api/v1/events", ""), 200);
    reader_close(&list);
    /* Those that watch do so still, and one that leaves makes room. */
    door_add(door, "hkg", "one");
    for (size_t i = 0; i < WATCHERS_MAX; i++)
        reader_expect(door, &all[i], "one");
    reader_close(&all[1]);
    DOOR_UNTIL(door, door->api.n_watchers == WATCHERS_MAX - 1);
    open_lines(door, &all[1], "&after=0");
    reader_expect(door, &all[1], "one");
    for (size_t i = 0; i < WATCHERS_MAX; i++)
        reader_close(&all[i]);
    DOOR_UNTIL(door, door->api.n_watchers == 0);
    door_add(door, "hkg", "nobody is there");
}

/* A stream that was not begun is no watcher. */
static void test_refused_ones_take_no_room(void **state)
{
    struct door *door = *state;

    for (size_t i = 0; i < 2 * WATCHERS_MAX; i++) {
        assert_refused(door, "/api/v1/events/stream?after=9", "", 400, "after");
        assert_refused(door, "/api/v1/events?follow=1&site=,", "", 400, "site");
    }
    assert_int_equal(door->api.n_watchers, 0);
}

/* It has no end: who asks for its head only must not wait for one, nor be kept.
 */
static void test_the_head_of_a_stream(void **state)
{
    static const struct {
        const char *target, *type;
    } rows[] = {
        {"/api/v1/events/stream", "text/event-stream"},
        {"/api/v1/events?follow=1", "application/x-ndjson"},
    };
    struct door *door = *state;
    struct reader reader;

    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        reader_begin(door, &reader, "HEAD", rows[i].target,
                     "Connection: close\r\n");
        reader_finish(door, &reader);
        assert_int_equal(reader.status, 200);
        assert_non_null(strstr(reader.text, rows[i].type));
        assert_string_equal(strstr(reader.text, "\r\n\r\n"), "\r\n\r\n");
        assert_int_equal(door->api.n_watchers, 0);
        reader_close(&reader);
    }
}

static void test_until_is_the_end(void **state)
{
    struct door *door = *state;
    struct reader idle, busy;

    door_add(door, "hkg", "before");
    open_sse(door, &idle, "?from=oldest&until=%2B1h", "");
    open_lines(door, &busy, "&after=0&until=+1h");
    reader_expect(door, &idle, "before");
    reader_expect(door, &busy, "before");
    ahead_s += 3599;
    door_run(door, 20);
    reader_says(door, &idle);
    assert_false(idle.is_whole);
    door_add(door, "hkg", "within");
    ahead_s += 2;
    door_add(door, "hkg", "behind");
    reader_finish(door, &busy);
    reader_finish(door, &idle);
    assert_true(busy.is_whole && idle.is_whole);
    assert_non_null(strstr(busy.plain, "within"));
    assert_null(strstr(busy.plain, "behind"));
    assert_null(strstr(idle.plain, "behind"));
    reader_close(&idle);
    reader_close(&busy);
}

/* By itself, with nothing that comes. */
static void test_until_needs_no_event(void **state)
{
    struct door *door = *state;
    struct reader reader;

    open_sse(door, &reader, "?until=%2B10s", "");
    door_run(door, 20);
    reader_says(door, &reader);
    assert_false(reader.is_whole);
    ahead_s += 11;
    reader_finish(door, &reader);
    assert_true(reader.is_whole);
    assert_string_equal(reader.plain, "retry: 3000\n\n");
    reader_close(&reader);
}

static int damage(struct ist_write *write, MDB_txn *txn, struct ist_err *err)
{
    uint64_t id = 2;
    MDB_val key = {sizeof(id), &id}, value = {2, (char[]){"xx"}};
    MDB_dbi items;

    (void) write, (void) err;
    assert_int_equal(mdb_dbi_open(txn, "event", MDB_INTEGERKEY, &items), 0);
    return mdb_put(txn, items, &key, &value, 0);
}

/* Nobody takes what is there for the whole. */
static void test_a_log_that_cannot_be_read_cuts(void **state)
{
    struct door *door = *state;
    struct reader reader;

    put_alphabet(door, 'c');
    door->writing = true;
    ist_op_prepare(&door->write.op, &door->loop, NULL, 0, door_on_written);
    ist_tree_write(door->tree, &door->write, damage);
    DOOR_UNTIL(door, !door->writing);
    open_sse(door, &reader, "?from=oldest", "");
    reader_finish(door, &reader);
    assert_true(reader.ended);
    assert_false(reader.is_whole);
    assert_int_equal(door->api.n_watchers, 0);
    reader_close(&reader);
    assert_refused(door, "/api/v1/events", "", 500, "log of events");
}

/* The hub goes down while it has news, and one of them does not read: all are
 * cut, and nothing of them is left. */
static void test_a_hub_that_closes_cuts(void **state)
{
    struct door *door = *state;
    struct reader idle, stalled, late;
    struct events_item item = door_item("hkg", "x");
    uint64_t now = ist_loop_wall(&door->loop);

    door_put(door, &item, 20000, now);
    open_sse(door, &stalled, "?from=oldest", "");
    open_sse(door, &idle, "", "");
    open_lines(door, &late, "&after=0&site=lon");
    door->item = &item;
    door->n_items = 10;
    door->received_ms = now;
    door_begin_commit(door);
    while (door->writing) /* Those that follow are woken, and have no turn. */
        uv_run(door->loop.uv, UV_RUN_NOWAIT);
    door_close(door);
    while (!idle.ended)
        reader_pull(&idle);
    assert_false(idle.is_whole);
    reader_close(&idle);
    reader_close(&stalled);
    reader_close(&late);
    *state = door_open(WATCHERS_MAX, 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_server_sent_events),
        TEST(test_one_event_a_line),
        TEST(test_a_stream_begins_now),
        TEST(test_one_that_comes_back_goes_on),
        TEST(test_filters_hold_for_what_comes),
        TEST(test_an_idle_stream_has_a_heartbeat),
        TEST(test_a_heartbeat_says_how_far_it_is),
        TEST(test_what_is_no_longer_held_is_told),
        TEST(test_a_gap_is_a_line),
        TEST(test_a_stalled_one_delays_nobody),
        TEST(test_a_stalled_one_reads_on),
        TEST(test_only_so_many_watch),
        TEST(test_refused_ones_take_no_room),
        TEST(test_the_head_of_a_stream),
        TEST(test_until_is_the_end),
        TEST(test_until_needs_no_event),
        TEST(test_a_log_that_cannot_be_read_cuts),
        TEST(test_a_hub_that_closes_cuts),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
