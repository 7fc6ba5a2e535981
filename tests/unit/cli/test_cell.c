#include "cli/cell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

typedef void put_fn(struct ist_sb *, const json_t *);

static void check(put_fn *put, const char *json, const char *wanted)
{
    json_t *value = json_loads(json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    struct ist_sb sb;

    assert_non_null(value);
    ist_sb_init(&sb, 0);
    put(&sb, value);
    assert_string_equal(ist_sb_text(&sb), wanted);
    ist_sb_fini(&sb);
    json_decref(value);
}

static void test_reals(void **state)
{
    static const struct {
        const char *json, *python;
    } rows[] = {
        {"0.0", "0.0"},
        {"-0.0", "-0.0"},
        {"1.0", "1.0"},
        {"1.5", "1.5"},
        {"0.1", "0.1"},
        {"123456789.125", "123456789.125"},
        {"1e15", "1000000000000000.0"},
        {"1e16", "1e+16"},
        {"1.5e300", "1.5e+300"},
        {"0.0001", "0.0001"},
        {"0.00001", "1e-05"},
        {"1.25e-7", "1.25e-07"},
        {"5e-324", "5e-324"},
        {"1.7976931348623157e308", "1.7976931348623157e+308"},
        {"0.30000000000000004", "0.30000000000000004"},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check(cli_cell_str, rows[i].json, rows[i].python);
}

static void test_python_text(void **state)
{
    (void) state;
    check(cli_cell_str, "null", "None");
    check(cli_cell_str, "true", "True");
    check(cli_cell_str, "false", "False");
    check(cli_cell_str, "-9223372036854775808", "-9223372036854775808");
    check(cli_cell_str, "\"it's\"", "it's");
    check(cli_cell_str, "[]", "[]");
    check(cli_cell_str, "{}", "{}");
    check(cli_cell_str, "{\"a\": [1, null, \"x\"], \"b\": {}}",
          "{'a': [1, None, 'x'], 'b': {}}");
    check(cli_cell_str, "[\"it's\", \"q\\\"q\", \"'\\\"\", \"\\\\\"]",
          "[\"it's\", 'q\"q', '\\'\"', '\\\\']");
    check(cli_cell_str, "[\"\\u001b\\u0000\\n\\u00a0\\u202e\\u00e9\"]",
          "['\\x1b\\x00\\n\\xa0\\u202e\xC3\xA9']");
}

static void test_human_text(void **state)
{
    (void) state;
    check(cli_cell_human, "\"a\\u001bb\\nc\"", "a\\x1bb\\nc");
    check(cli_cell_human, "[\"a\", 1, \"\\u001b\"]", "a, 1, \\x1b");
    check(cli_cell_human, "{\"k\": \"v\", \"\\u001b\": 2}", "k='v', \\x1b='2'");
    check(cli_cell_human, "{\"net\": [\"10.0.0.1\", \"::1\"], \"b\": [\"c\"]}",
          "net=10.0.0.1, ::1; b=c");
    check(cli_cell_human, "[{\"a\": 1}, {\"b\": \"x\\ny\"}]",
          "a='1'\nb='x\\ny'");
    check(cli_cell_human, "[]", "");
}

static int cmp(const char *a, const char *b)
{
    json_t *x = json_loads(a, JSON_DECODE_ANY, NULL);
    json_t *y = json_loads(b, JSON_DECODE_ANY, NULL);
    int rc = cli_cell_cmp(x, y);

    assert_int_equal(cli_cell_cmp(y, x), -rc);
    json_decref(x);
    json_decref(y);
    return rc < 0 ? -1 : rc > 0;
}

static void test_order(void **state)
{
    (void) state;
    assert_int_equal(cmp("1", "2"), -1);
    assert_int_equal(cmp("9007199254740993", "9007199254740992"), 1);
    assert_int_equal(cmp("1", "1.5"), -1);
    assert_int_equal(cmp("true", "1"), 0);
    assert_int_equal(cmp("\"a\"", "\"b\""), -1);
    assert_int_equal(cmp("\"B\"", "\"a\""), -1);
    assert_int_equal(cmp("\"z\"", "\"\\u00e9\""), -1);
    assert_int_equal(cmp("null", "\"z\""), 1);
    assert_int_equal(cmp("null", "null"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reals),
        cmocka_unit_test(test_python_text),
        cmocka_unit_test(test_human_text),
        cmocka_unit_test(test_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
