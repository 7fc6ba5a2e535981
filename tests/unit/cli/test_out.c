#include "cli/out.h"

#include "cli/yaml_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static struct cli_table table;
static struct cli_args args;

/* One row per item; the titles are the members of the first. */
static void fill(const char *json)
{
    json_t *items = json_loads(json, JSON_ALLOW_NUL, NULL), *item, *cell;
    const char *key;
    size_t i;

    assert_non_null(items);
    cli_table_init(&table);
    json_object_foreach(json_array_get(items, 0), key, cell)
    {
        assert_int_equal(cli_table_col(&table, key, NULL), 0);
    }
    json_array_foreach(items, i, item)
    {
        json_t *row[8];
        size_t n = 0;

        json_object_foreach(item, key, cell) row[n++] = json_incref(cell);
        assert_int_equal(cli_table_add(&table, row), 0);
    }
    json_decref(items);
}

static void is(const char *format, bool one, const char *wanted)
{
    const struct cli_format *found = cli_format_find(format, one);
    struct ist_sb sb;

    assert_non_null(found);
    ist_sb_init(&sb, 0);
    (one ? found->one : found->list)(&sb, &table, &args);
    assert_string_equal(ist_sb_text(&sb), wanted);
    ist_sb_fini(&sb);
}

static int setup(void **state)
{
    char *argv[] = {(char *) (uintptr_t) "isthmus", NULL};

    (void) state;
    unsetenv("CLIFF_MAX_TERM_WIDTH");
    unsetenv("CLIFF_FIT_WIDTH");
    return cli_args_parse(&args, 1, argv);
}

static int teardown(void **state)
{
    (void) state;
    cli_table_fini(&table);
    cli_args_fini(&args);
    return 0;
}

static const char hostile[] =
    "[{\"ID\": 1, \"A b\": \"\\u001b[31m\\n\\u0000\\u009b\\u202e\"}]";

static void test_nothing_hostile_gets_through(void **state)
{
    (void) state;
    fill(hostile);
    is("json", false,
       "[\n  {\n    \"ID\": 1,\n    \"A b\": "
       "\"\\u001b[31m\\n\\u0000\\u009b\\u202e\"\n  }\n]\n");
    is("csv", false,
       "\"ID\",\"A b\"\n1,\"\\\\x1b[31m\n\\\\x00\\\\u009b\\\\u202e\"\n");
    is("value", false, "1 \\x1b[31m\\n\\x00\\u009b\\u202e\n");
    is("yaml", false, "- A b: \"\\e[31m\\n\\0\\x9B\\u202E\"\n  ID: 1\n");
    is("table", false, "ID  A b\n 1  \\x1b[31m\\n\\x00\\u009b\\u202e\n");
    is("shell", true,
       "id=\"1\"\na_b=\"\\\\x1b[31m\\\\n\\\\x00\\\\u009b\\\\u202e\"\n");
}

static void test_shell_runs_nothing(void **state)
{
    (void) state;
    fill("[{\"a$(id)\": \"$(id) `id` \\\\ \\\" ;\"}]");
    args.prefix = "x_";
    is("shell", true, "x_a__id_=\"\\$(id) \\`id\\` \\\\ \\\" ;\"\n");
}

static void test_hidden_columns(void **state)
{
    (void) state;
    fill("[{\"A\": 1, \"B\": 2, \"C\": 3}]");
    table.cols[0].hidden = table.cols[2].hidden = true;
    is("json", false, "[\n  {\n    \"B\": 2\n  }\n]\n");
    is("csv", false, "\"B\"\n2\n");
    is("value", false, "2\n");
    is("yaml", false, "- B: 2\n");
    is("table", false, "B\n2\n");
}

static void test_empty(void **state)
{
    (void) state;
    fill("[{\"A\": 1, \"B\": 2}]");
    table.n_rows = 0;
    is("json", false, "[]\n");
    is("csv", false, "\"A\",\"B\"\n");
    is("value", false, "");
    is("yaml", false, "[]\n");
    is("table", false, "");
    args.print_empty = true;
    is("table", false, "A  B\n");
    table.n_rows = 1;
}

static void test_json_styles(void **state)
{
    (void) state;
    fill("[{\"A\": {\"x\": [], \"y\": {}, \"z\": [1, 2.0]}, \"B\": "
         "\"\\u00e9\\ud83d\\ude00/\\u007f\"}]");
    is("json", true,
       "{\n  \"A\": {\n    \"x\": [],\n    \"y\": {},\n    \"z\": [\n      "
       "1,\n      2.0\n    ]\n  },\n  \"B\": "
       "\"\\u00e9\\ud83d\\ude00/\\u007f\"\n}\n");
    args.noindent = true;
    is("json", false,
       "[{\"A\": {\"x\": [], \"y\": {}, \"z\": [1, 2.0]}, \"B\": "
       "\"\\u00e9\\ud83d\\ude00/\\u007f\"}]\n");
}

static void test_csv_quotes(void **state)
{
    static const struct {
        const char *mode, *line;
    } rows[] = {
        {"nonnumeric", "\"a,b\",\"q\"\"q\",1,2.5,True,\"\",\"[1]\"\n"},
        {"all", "\"a,b\",\"q\"\"q\",\"1\",\"2.5\",\"True\",\"\",\"[1]\"\n"},
        {"minimal", "\"a,b\",\"q\"\"q\",1,2.5,True,,[1]\n"},
        {"none", "a\\,b,q\\\"q,1,2.5,True,,[1]\n"},
    };

    (void) state;
    fill("[{\"A\": \"a,b\", \"B\": \"q\\\"q\", \"C\": 1, \"D\": 2.5, \"E\": "
         "true, \"F\": null, \"G\": [1]}]");
    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        struct ist_sb sb;

        args.quote = rows[i].mode;
        ist_sb_init(&sb, 0);
        cli_out_csv_list(&sb, &table, &args);
        assert_string_equal(strchr(ist_sb_text(&sb), '\n') + 1, rows[i].line);
        ist_sb_fini(&sb);
    }
}

static void test_table_fits(void **state)
{
    struct ist_sb sb;
    const char *line;

    (void) state;
    fill("[{\"A\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\", \"B\": "
         "\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\", \"C\": 7}]");
    args.max_width = 30;
    ist_sb_init(&sb, 0);
    cli_out_table_list(&sb, &table, &args);
    for (line = ist_sb_text(&sb); *line; line = strchr(line, '\n') + 1)
        assert_true(strcspn(line, "\n") <= 30);
    ist_sb_fini(&sb);
}

static void test_formats_of_lists_and_objects(void **state)
{
    (void) state;
    fill("[{\"A\": 1}]");
    assert_null(cli_format_find("csv", true));
    assert_null(cli_format_find("shell", false));
    assert_null(cli_format_find("xml", false));
}

static void test_yaml_resolver(void **state)
{
    static const char *const other[] = {"",
                                        "~",
                                        "null",
                                        "Null",
                                        "yes",
                                        "No",
                                        "ON",
                                        "0",
                                        "-1",
                                        "+1",
                                        "017",
                                        "1_000",
                                        "0x1F",
                                        "0b1",
                                        "1:30",
                                        "1.",
                                        "1.5e+3",
                                        ".5",
                                        "1:30.5",
                                        "2026-11-25",
                                        "=",
                                        "<<",
                                        ".inf",
                                        "-.INF",
                                        ".NaN",
                                        "2026-11-25T08:00:00Z",
                                        "2026-1-2 8:00:00.5 +1:00"};
    static const char *const text[] = {"nUll",
                                       "yEs",
                                       "y",
                                       "n",
                                       "08a",
                                       "1:99",
                                       "0o7",
                                       "1e3",
                                       "1.e3",
                                       "-.5",
                                       ".",
                                       "-",
                                       "+",
                                       ".Nan",
                                       "-.nan",
                                       "2026-1-2",
                                       "2026-11-25T08:00",
                                       "1.2.3",
                                       "10.0.0.1",
                                       "0x",
                                       "0b",
                                       "1:",
                                       "a1",
                                       "2026-11-25 "};

    (void) state;
    for (size_t i = 0; i < IST_COUNT(other); i++) {
        if (!cli_yaml_is_other(other[i]))
            fail_msg("text? %s", other[i]);
    }
    for (size_t i = 0; i < IST_COUNT(text); i++) {
        if (cli_yaml_is_other(text[i]))
            fail_msg("no text? %s", text[i]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_hostile_gets_through),
        TEST(test_shell_runs_nothing),
        TEST(test_hidden_columns),
        TEST(test_empty),
        TEST(test_json_styles),
        TEST(test_csv_quotes),
        TEST(test_table_fits),
        TEST(test_formats_of_lists_and_objects),
        cmocka_unit_test(test_yaml_resolver),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
