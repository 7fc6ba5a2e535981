#include "cli/event_filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static bool passes(const struct cli_event_filter *filter)
{
    json_t *event =
        json_pack("{s:s, s:s, s:s, s:s, s:{s:s}}", "site", "hkg", "severity",
                  "warning", "type", "io.isthmus.server.created.v1", "project",
                  "p1", "data", "kind", "server");
    bool yes = cli_event_filter_match(filter, event);

    json_decref(event);
    return yes;
}

#define PASSES(...) passes(&(struct cli_event_filter){__VA_ARGS__})

static void test_lists(void **state)
{
    (void) state;
    assert_true(PASSES(.severity = 0));
    assert_true(PASSES(.site = ""));
    assert_true(PASSES(.site = "hkg"));
    assert_true(PASSES(.site = "lon,hkg"));
    assert_false(PASSES(.site = "lon"));
    assert_false(PASSES(.site = "hk"));
    assert_false(PASSES(.site = "hkg1"));
    assert_true(PASSES(.kind = "network,server"));
    assert_false(PASSES(.kind = "network"));
    assert_true(PASSES(.project = "p1"));
    assert_false(PASSES(.project = "p2"));
    assert_false(PASSES(.site = "hkg", .kind = "network"));
}

static void test_types(void **state)
{
    (void) state;
    assert_true(PASSES(.type = "server.created"));
    assert_true(PASSES(.type = "network.*,server.*"));
    assert_true(PASSES(.type = "*.created"));
    assert_true(PASSES(.type = "io.isthmus.server.created.v1"));
    assert_true(PASSES(.type = "server.create?"));
    assert_false(PASSES(.type = "server"));
    assert_false(PASSES(.type = "network.*"));
}

static void test_severity(void **state)
{
    struct cli_args args = {.severity = "warning"};
    struct cli_event_filter filter;

    (void) state;
    cli_event_filter_init(&filter, &args);
    assert_true(passes(&filter));
    args.severity = "error";
    cli_event_filter_init(&filter, &args);
    assert_false(passes(&filter));
    args.severity = NULL;
    cli_event_filter_init(&filter, &args);
    assert_true(passes(&filter));
}

/* Foreign bytes may lack anything. */
static void test_bare_events(void **state)
{
    json_t *bare = json_object();

    (void) state;
    assert_true(
        cli_event_filter_match(&(struct cli_event_filter){.site = NULL}, bare));
    assert_false(cli_event_filter_match(
        &(struct cli_event_filter){.site = "hkg"}, bare));
    assert_false(
        cli_event_filter_match(&(struct cli_event_filter){.type = "a"}, bare));
    json_decref(bare);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_severity),
        cmocka_unit_test(test_bare_events),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
