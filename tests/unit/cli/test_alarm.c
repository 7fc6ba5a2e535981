#include "cli/alarm.h"

#include "cli/say.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define ARGV_MAX 32

/* Nobody listens at that address. */
static int run(const char *text)
{
    static char copy[1024];
    char *argv[ARGV_MAX] = {(char *) (uintptr_t) "isthmus"}, *rest = copy,
         *word;
    struct cli_args args;
    struct ist_sb out;
    int argc = 1, rc;

    snprintf(copy, sizeof(copy), "%s --url http://127.0.0.1:1", text);
    while ((word = strsep(&rest, " ")))
        argv[argc++] = word;
    argv[argc] = NULL;
    ist_sb_init(&out, 0);
    rc = cli_args_parse(&args, argc, argv);
    if (rc == 0)
        rc = cli_alarm(&args, &out);
    cli_args_fini(&args);
    ist_sb_fini(&out);
    return rc;
}

static void test_commands_are_checked(void **state)
{
    static const char *const bad[] = {
        "alarm",
        "alarm shelve 7",
        "alarm list 7",
        "alarm show",
        "alarm show 7 8",
        "alarm ack",
        "alarm comment 7",
        "alarm comment 7 a b",
        "alarm comment 7 a --message b",
        "alarm ack 7 --state all",
        "alarm list --by me",
        "alarm list --state closed",
        "alarm list --severity bad",
        "alarm list --name x",
        "alarm show 7 --folded",
    };
    static const char *const good[] = {
        "alarm list",
        "alarm list --state all --folded --severity minor --site hkg --limit 3",
        "alarm list -f json -c ID --sort-column Severity --long",
        "alarm show 7 -f shell",
        "alarm ack 7 8 9 --by ann -m mine",
        "alarm unack 7",
        "alarm clear 7",
        "alarm comment 7 word --by ann",
    };

    (void) state;
    for (size_t i = 0; i < IST_COUNT(bad); i++) {
        if (run(bad[i]) != CLI_USAGE)
            fail_msg("taken: %s", bad[i]);
    }
    /* As far as the hub, which is not there. */
    for (size_t i = 0; i < IST_COUNT(good); i++) {
        if (run(good[i]) != CLI_UNREACHABLE)
            fail_msg("%s", good[i]);
    }
}

static void test_the_filters_are_the_apis(void **state)
{
    char *argv[] = {(char *) (uintptr_t) "isthmus",
                    (char *) (uintptr_t) "alarm",
                    (char *) (uintptr_t) "list",
                    (char *) (uintptr_t) "--site",
                    (char *) (uintptr_t) "hkg,lon",
                    (char *) (uintptr_t) "--severity",
                    (char *) (uintptr_t) "major",
                    (char *) (uintptr_t) "--folded",
                    NULL};
    struct cli_args args;
    struct ist_sb path;

    (void) state;
    assert_int_equal(cli_args_parse(&args, 8, argv), 0);
    ist_sb_init(&path, 0);
    ist_sb_puts(&path, "/x");
    cli_alarm_query(&args, &path);
    assert_string_equal(ist_sb_text(&path),
                        "/x?site=hkg,lon&severity=major&folded=true");
    ist_sb_fini(&path);
    cli_args_fini(&args);
}

/* The cell of a column, as a person sees it. */
static void check_cell(const char *title, const char *json, const char *want)
{
    const struct cli_column *column = cli_alarm_kind.columns;
    json_t *item = json_loads(json, 0, NULL), *value;
    struct ist_sb text;

    while (column->title && strcmp(column->title, title) != 0)
        column++;
    assert_non_null(column->title);
    value = cli_kind_value(column, item);
    ist_sb_init(&text, 0);
    (column->human ? column->human : cli_cell_human)(&text, value);
    assert_string_equal(ist_sb_text(&text), want);
    ist_sb_fini(&text);
    json_decref(value);
    json_decref(item);
}

static void test_a_severity_has_a_letter(void **state)
{
    (void) state;
    check_cell("Severity", "{\"severity\": \"critical\"}", "C critical");
    check_cell("Severity", "{\"severity\": \"major\"}", "M major");
    check_cell("Severity", "{\"severity\": \"minor\"}", "m minor");
    check_cell("Severity", "{\"severity\": \"warning\"}", "W warning");
    check_cell("Severity", "{\"severity\": \"dire\"}", "dire");
}

static void test_what_people_said(void **state)
{
    (void) state;
    check_cell("Acknowledged By",
               "{\"ack\": {\"by\": \"ann\", \"at\": \"noon\"}}", "ann");
    check_cell("Ack", "{\"ack\": {\"by\": \"ann\", \"at\": \"noon\"}}",
               "ann at noon");
    check_cell("Comments",
               "{\"comments\": [{\"by\": \"ann\", \"at\": \"noon\", "
               "\"text\": \"mine\"}, {\"by\": \"bob\", \"at\": \"one\", "
               "\"text\": \"\\u001b[1m\"}]}",
               "ann at noon: mine\nbob at one: \\x1b[1m");
    check_cell("Comments", "{\"comments\": []}", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands_are_checked),
        cmocka_unit_test(test_the_filters_are_the_apis),
        cmocka_unit_test(test_a_severity_has_a_letter),
        cmocka_unit_test(test_what_people_said),
    };

    unsetenv("ISTHMUS_URL");
    unsetenv("ISTHMUS_TOKEN");
    unsetenv("ISTHMUS_TOKEN_FILE");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
