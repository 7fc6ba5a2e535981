#include "base/parse.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void test_u64(void **state)
{
    static const char *const bad[] = {"",
                                      " 1",
                                      "1 ",
                                      "+1",
                                      "-1",
                                      "0x1",
                                      "1.0",
                                      "1e3",
                                      "18446744073709551616",
                                      "99999999999999999999",
                                      "one"};
    uint64_t value = 7;

    (void) state;
    for (size_t i = 0; i < IST_COUNT(bad); i++)
        assert_false(ist_parse_u64(bad[i], 0, UINT64_MAX, &value));
    assert_false(ist_parse_u64("9", 10, 20, &value));
    assert_false(ist_parse_u64("21", 10, 20, &value));
    assert_int_equal(value, 7);
    assert_true(ist_parse_u64("10", 10, 20, &value) && value == 10);
    assert_true(ist_parse_u64("20", 10, 20, &value) && value == 20);
    assert_true(ist_parse_u64("007", 0, 20, &value) && value == 7);
    assert_true(ist_parse_u64("18446744073709551615", 0, UINT64_MAX, &value) &&
                value == UINT64_MAX);
}

struct with_unit {
    const char *text;
    uint64_t value;
};

static void test_ms(void **state)
{
    static const struct with_unit good[] = {
        {"250ms", 250},
        {"10s", 10000},
        {"5m", 300000},
        {"2h", 7200000},
        {"7d", 604800000},
        {"0s", 0},
        {"18446744073709551615ms", UINT64_MAX}};
    static const char *const bad[] = {
        "",   "10",  "s",    "10 s", "10S",
        "1w", "-1s", "1.5s", "10sx", "18446744073709551615s"};
    uint64_t value;

    (void) state;
    for (size_t i = 0; i < IST_COUNT(good); i++) {
        assert_true(ist_parse_ms(good[i].text, &value));
        assert_int_equal(value, good[i].value);
    }
    value = 3;
    for (size_t i = 0; i < IST_COUNT(bad); i++)
        assert_false(ist_parse_ms(bad[i], &value));
    assert_int_equal(value, 3);
}

static void test_bytes(void **state)
{
    static const struct with_unit good[] = {{"512", 512},
                                            {"64KiB", 65536},
                                            {"16MiB", 16777216},
                                            {"1GiB", 1073741824}};
    static const char *const bad[] = {"",   "KiB",   "1kB",
                                      "1K", "1 KiB", "18014398509481984KiB"};
    uint64_t value;

    (void) state;
    for (size_t i = 0; i < IST_COUNT(good); i++) {
        assert_true(ist_parse_bytes(good[i].text, &value));
        assert_int_equal(value, good[i].value);
    }
    for (size_t i = 0; i < IST_COUNT(bad); i++)
        assert_false(ist_parse_bytes(bad[i], &value));
}

static void test_site_names(void **state)
{
    static const char *const good[] = {
        "lon",       "par1",   "a0",  "0a",
        "us-east-1", "hong",   "h",   "hx",
        "noc",       "resort", "h1x", "abcdefghijklmnopqrstuvwxyz012345"};
    static const char *const bad[] = {
        "",      "-a",
        "a-",    "a_b",
        "Lon",   "l n",
        "l.n",   "res",
        "guest", "provisioner",
        "hub-",  "hub-1",
        "hub",   "global",
        "noc-a", "h1",
        "h23",   "h1-x",
        "h23-",  "l\xC3\xB6n",
        "a\n",   "abcdefghijklmnopqrstuvwxyz0123456"};

    (void) state;
    for (size_t i = 0; i < IST_COUNT(good); i++) {
        if (strlen(good[i]) >= 2)
            assert_true(ist_parse_site_name(good[i]));
        else
            assert_false(ist_parse_site_name(good[i]));
    }
    for (size_t i = 0; i < IST_COUNT(bad); i++)
        assert_false(ist_parse_site_name(bad[i]));
}

/* The items of 'text', joined with bars. */
static void items(const char *text, char *out)
{
    const char *at = text, *item;
    size_t len;

    *out = '\0';
    while (ist_parse_item(&at, &item, &len)) {
        strncat(out, item, len);
        strcat(out, "|");
    }
}

static void test_items(void **state)
{
    char out[64];
    const char *at = NULL, *item;
    size_t len;

    (void) state;
    items("lon,par1,sjc", out);
    assert_string_equal(out, "lon|par1|sjc|");
    items("", out);
    assert_string_equal(out, "|");
    items("a,", out);
    assert_string_equal(out, "a||");
    items(",,b", out);
    assert_string_equal(out, "||b|");
    assert_false(ist_parse_item(&at, &item, &len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_u64),   cmocka_unit_test(test_ms),
        cmocka_unit_test(test_bytes), cmocka_unit_test(test_site_names),
        cmocka_unit_test(test_items),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
