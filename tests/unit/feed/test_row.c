/* What makes a row another row, and what is remembered of it. */
#include "feed/row.h"

#include "feed/entry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void read_row(struct feed_row *row, const char *kind, const char *id,
                     const char *body)
{
    const struct os_record record = {.id = id, .body = {body, strlen(body)}};

    feed_row_read(row, ist_kind_find(kind), os_resource_find(kind), &record);
}

static bool same(const char *kind, const char *a, const char *b)
{
    struct feed_row one, other;

    read_row(&one, kind, "x", a);
    read_row(&other, kind, "x", b);
    return memcmp(one.hash, other.hash, FEED_HASH_SIZE) == 0;
}

static void assert_key(const struct feed_row *row, size_t i, const char *text)
{
    assert_true(i < row->n_keys);
    assert_int_equal(row->keys[i].len, strlen(text));
    assert_memory_equal(row->keys[i].data, text, strlen(text));
}

static void test_keys(void **state)
{
    struct feed_row row;

    (void) state;
    read_row(&row, "volume", "v1",
             "{\"size\": 7, \"id\": \"v1\", \"name\": \"a\\u00e9b\", "
             "\"status\": null, \"created_at\": \"2026-11-25T08:00:00\", "
             "\"os-vol-tenant-attr:tenant_id\": \"p1\"}");
    assert_int_equal(row.n_keys, 7);
    assert_key(&row, 0,
               "a\xc3\xa9"
               "b");
    assert_key(&row, 1, "");
    assert_key(&row, 2, "p1");
    assert_key(&row, 3, "2026-11-25T08:00:00.000000");
    assert_key(&row, 4, "");
    assert_key(&row, 5, "00000000000000000007");
    assert_key(&row, 6, "");
    assert_string_equal(row.facts.name, "a\xc3\xa9"
                                        "b");
    assert_string_equal(row.facts.project, "p1");
    assert_string_equal(row.facts.state, "");
}

/* Their only row is the project's, and has its id. */
static void test_rows_of_the_project(void **state)
{
    struct feed_row row;

    (void) state;
    read_row(&row, "limit", "p1", "{\"maxTotalCores\": 20}");
    assert_int_equal(row.n_keys, 1);
    assert_key(&row, 0, "p1");
    assert_string_equal(row.facts.project, "p1");
}

static void test_hash(void **state)
{
    (void) state;
    assert_true(same("network", "{\"id\": \"x\"}", "{\"id\": \"x\"}"));
    assert_false(same("network", "{\"id\": \"x\"}", "{\"id\":\"x\"}"));
    assert_false(same("network", "{\"id\": \"x\", \"a\": [1, 2]}",
                      "{\"id\": \"x\", \"a\": [1, 3]}"));
}

static void test_what_changes_by_itself(void **state)
{
    (void) state;
    assert_true(same("compute-service",
                     "{\"a\": 1, \"updated_at\": \"x\", \"b\": 2}",
                     "{\"a\": 1, \"updated_at\": null, \"b\": 2}"));
    assert_false(same("compute-service",
                      "{\"a\": 1, \"updated_at\": \"x\", \"b\": 2}",
                      "{\"a\": 1, \"updated_at\": \"x\", \"b\": 3}"));
    assert_false(same("compute-service",
                      "{\"a\": 0, \"updated_at\": \"x\", \"b\": 2}",
                      "{\"a\": 1, \"updated_at\": \"x\", \"b\": 2}"));
    /* Of another member with that name, somewhere below, it does not hold. */
    assert_false(same("compute-service", "{\"a\": {\"updated_at\": \"x\"}}",
                      "{\"a\": {\"updated_at\": \"y\"}}"));
    assert_true(same("hypervisor", "{\"uptime\": \"10:00 up 1\"}",
                     "{\"uptime\": \"10:01 up 1\"}"));
    assert_false(
        same("server", "{\"updated\": \"x\"}", "{\"updated\": \"y\"}"));
}

static void test_odd_bodies(void **state)
{
    static const char *const bodies[] = {
        "",
        "{",
        "null",
        "[]",
        "{\"name\": \"a\", \"name\": \"b\"}",
        "{}junk",
        "\xff\xfe{",
        "{\"name\": {\"a\": 1}}",
        "{\"updated_at\": 1, \"updated_at\": 2}",
    };
    struct feed_row row;

    (void) state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        read_row(&row, "compute-service", "x", bodies[i]);
        assert_int_equal(row.n_keys, 6);
        assert_true(same("compute-service", bodies[i], bodies[i]));
    }
    assert_false(same("compute-service", bodies[0], bodies[1]));
}

static void test_long_and_odd_facts(void **state)
{
    char body[4096];
    struct feed_facts facts;
    struct feed_row row;
    uint8_t stored[FEED_STORED_MAX];
    const uint8_t *hash;
    size_t size;

    (void) state;
    /* Of three bytes each: cut between two of them. */
    strcpy(body, "{\"name\": \"");
    for (int i = 0; i < 500; i++)
        strcat(body, "\xe2\x82\xac");
    strcat(body, "\", \"status\": \"A\\u0000B\\nC\\u007f\"}");
    read_row(&row, "network", "x", body);
    assert_int_equal(strlen(row.facts.name), 255);
    assert_string_equal(row.facts.state, "A B C ");
    size = feed_row_write(&row, stored);
    assert_true(feed_row_stored(stored, size, &hash, &facts));
    assert_memory_equal(hash, row.hash, FEED_HASH_SIZE);
    assert_string_equal(facts.name, row.facts.name);
    assert_string_equal(facts.state, row.facts.state);
    assert_string_equal(facts.project, "");
    for (size_t i = 0; i < size; i++)
        assert_false(feed_row_stored(stored, i, &hash, &facts));
}

/* What is said of it */

static void test_sentences(void **state)
{
    static const struct {
        const char *kind, *before, *after, *action, *text;
        Isthmus__V1__Event__Severity severity;
    } rows[] = {
        {"server", NULL, "{\"name\": \"web\", \"status\": \"BUILD\"}",
         "created", "server web was created",
         ISTHMUS__V1__EVENT__SEVERITY__INFO},
        {"server", NULL, "{\"status\": \"BUILD\"}", "created",
         "server x was created", ISTHMUS__V1__EVENT__SEVERITY__INFO},
        {"server", "{\"status\": \"BUILD\"}", "{\"status\": \"ACTIVE\"}",
         "state_changed", "server x is now ACTIVE (it was BUILD)",
         ISTHMUS__V1__EVENT__SEVERITY__INFO},
        {"volume", "{\"status\": \"deleting\"}",
         "{\"status\": \"error_deleting\"}", "state_changed",
         "volume x is now error_deleting (it was deleting)",
         ISTHMUS__V1__EVENT__SEVERITY__ERROR},
        {"port", "{\"status\": \"ACTIVE\"}", "{\"status\": \"DOWN\"}",
         "state_changed", "port x is now DOWN (it was ACTIVE)",
         ISTHMUS__V1__EVENT__SEVERITY__INFO},
        {"hypervisor", "{\"status\": \"enabled\", \"state\": \"up\"}",
         "{\"status\": \"enabled\", \"state\": \"down\"}", "state_changed",
         "hypervisor x is now enabled/down (it was enabled/up)",
         ISTHMUS__V1__EVENT__SEVERITY__WARNING},
        {"server", "{\"status\": \"ERROR\", \"a\": 1}",
         "{\"status\": \"ERROR\", \"a\": 2}", "updated", "server x was updated",
         ISTHMUS__V1__EVENT__SEVERITY__INFO},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const struct os_record record = {
            .id = "x", .body = {rows[i].after, strlen(rows[i].after)}};
        struct feed_row before, after;
        struct feed_entry entry;

        if (rows[i].before)
            read_row(&before, rows[i].kind, "x", rows[i].before);
        read_row(&after, rows[i].kind, "x", rows[i].after);
        feed_entry_upsert(&entry, ist_kind_find(rows[i].kind), &record, &after,
                          rows[i].before ? &before.facts : NULL);
        assert_string_equal(entry.event.action, rows[i].action);
        assert_string_equal(entry.event.text, rows[i].text);
        assert_int_equal(entry.event.severity, rows[i].severity);
        assert_string_equal(entry.event.subject, "x");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_rows_of_the_project),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_what_changes_by_itself),
        cmocka_unit_test(test_odd_bodies),
        cmocka_unit_test(test_long_and_odd_facts),
        cmocka_unit_test(test_sentences),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
