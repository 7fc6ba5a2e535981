#include "cli/kind.h"

#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static const struct cli_column *column(const char *noun, const char *title)
{
    const struct cli_column *found = cli_kind_find(noun)->columns;

    while (found->title && strcmp(found->title, title) != 0)
        found++;
    assert_non_null(found->title);
    return found;
}

/* The value of a column of an item, as JSON; or as people see it. */
static void value(const char *noun, const char *title, const char *item,
                  const char *wanted, const char *human)
{
    json_t *object = json_loads(item, 0, NULL), *made;
    json_t *want = json_loads(wanted, JSON_DECODE_ANY, NULL);
    const struct cli_column *col = column(noun, title);

    assert_non_null(object);
    made = cli_kind_value(col, object);
    if (!json_equal(made, want))
        fail_msg("%s %s of %s", noun, title, item);
    if (human) {
        struct ist_sb sb;

        ist_sb_init(&sb, 0);
        (col->human ? col->human : cli_cell_human)(&sb, made);
        assert_string_equal(ist_sb_text(&sb), human);
        ist_sb_fini(&sb);
    }
    json_decref(made);
    json_decref(want);
    json_decref(object);
}

static void test_nouns(void **state)
{
    (void) state;
    assert_string_equal(cli_kind_find("security-group")->path,
                        "security-groups");
    assert_ptr_equal(cli_kind_find("volume-snapshot"),
                     cli_kind_find("snapshot"));
    assert_null(cli_kind_find("servers"));
    assert_null(cli_kind_find(""));
    assert_true(cli_kind_is_site(cli_kind_find("site")));
    assert_false(cli_kind_is_site(cli_kind_find("server")));
}

/* Every title once, every kind with a site, none with too many columns. */
static void test_rows_are_sound(void **state)
{
    (void) state;
    for (const struct cli_kind *k = cli_kinds; k->noun; k++) {
        size_t n = 0, n_site = 0;

        for (const struct cli_column *c = k->columns; c->title; c++, n++) {
            for (const struct cli_column *d = c + 1; d->title; d++)
                assert_string_not_equal(c->title, d->title);
            n_site += strcmp(c->title, "Site") == 0;
            assert_true(c->members || c->make);
        }
        assert_int_equal(n_site, cli_kind_is_site(k) ? 0 : 1);
        assert_true(n < 64);
    }
}

static void test_servers(void **state)
{
    (void) state;
    value("server", "Networks",
          "{\"addresses\": {\"net\": [{\"addr\": \"10.0.0.1\"}, {\"addr\": "
          "\"::1\"}], \"b\": []}}",
          "{\"net\": [\"10.0.0.1\", \"::1\"], \"b\": []}",
          "net=10.0.0.1, ::1; b");
    value("server", "Networks", "{}", "{}", "");
    value("server", "Networks", "{\"addresses\": \"odd\"}", "{}", "");
    value("server", "Image", "{\"image\": {\"id\": \"i\"}}", "\"i\"", "i");
    value("server", "Image", "{\"image\": \"\"}",
          "\"N/A (booted from volume)\"", NULL);
    value("server", "Image", "{}", "null", NULL);
    value("server", "Flavor", "{\"flavor\": {\"id\": \"1\"}}", "\"1\"", NULL);
    value("server", "Flavor",
          "{\"flavor\": {\"id\": \"1\", \"original_name\": \"m1\"}}", "\"m1\"",
          NULL);
    value("server", "Project ID", "{\"tenant_id\": \"t\"}", "\"t\"", NULL);
    value("server", "Project ID", "{\"project_id\": \"p\"}", "\"p\"", NULL);
    value("server", "ID", "{}", "null", "None");
}

static void test_others(void **state)
{
    (void) state;
    value("availability-zone", "Zone Status",
          "{\"zoneState\": {\"available\": true}}", "\"available\"", NULL);
    value("availability-zone", "Zone Status",
          "{\"zoneState\": {\"available\": false}}", "\"not available\"", NULL);
    value("availability-zone", "Zone Status", "{\"state\": \"x\"}", "\"x\"",
          NULL);
    value("router", "State", "{\"admin_state_up\": true}", "true", "UP");
    value("router", "State", "{\"admin_state_up\": \"\\u001b\"}", "\"\\u001b\"",
          "\\x1b");
    value("network", "Router Type", "{\"router:external\": true}",
          "\"External\"", NULL);
    value("network", "Router Type", "{}", "null", NULL);
    value("volume", "Attached to",
          "{\"attachments\": [{\"server_id\": \"s\", \"device\": \"/dev/vdb\"}"
          ", {\"server_id\": \"t\"}]}",
          "[{\"server_id\": \"s\", \"device\": \"/dev/vdb\"}, "
          "{\"server_id\": \"t\"}]",
          "Attached to s on /dev/vdb\nAttached to t");
    value("site", "Services", "{\"services\": [\"compute\", \"image\"]}",
          "[\"compute\", \"image\"]", "compute, image");
}

static void test_probed_services(void **state)
{
    static const char services[] =
        "[{\"name\": \"compute\", \"min_version\": \"2.1\", \"max_version\": "
        "\"2.93\", \"up\": true, \"latency_ms\": 12, \"detail\": null}, "
        "{\"name\": \"image\", \"min_version\": null, \"max_version\": "
        "\"2.16\", \"up\": false, \"latency_ms\": 0, \"detail\": "
        "\"\\u001brefused\"}]";
    char item[1024] = "{\"services\": ";

    (void) state;
    strcat(strcat(item, services), "}");
    value("site", "Services", item, services,
          "compute 2.1-2.93 up 12 ms\nimage 2.16 down 0 ms: \\x1brefused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nouns),
        cmocka_unit_test(test_rows_are_sound),
        cmocka_unit_test(test_servers),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_probed_services),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
