#include "os/key.h"

#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const char *key(enum ist_member_type type, const char *json)
{
    static char buf[OS_KEY_MAX + 1];
    struct ist_json_slice v = {json, json ? strlen(json) : 0};

    buf[os_key(type, v, buf)] = '\0';
    return buf;
}

static void test_times(void **state)
{
    static const char *const cases[][2] = {
        {"\"2026-11-25T08:00:00Z\"", "2026-11-25T08:00:00.000000"},
        {"\"2026-11-25T08:00:00\"", "2026-11-25T08:00:00.000000"},
        {"\"2026-11-25 08:00:00\"", "2026-11-25T08:00:00.000000"},
        {"\"2026-11-25T08:00:00.5\"", "2026-11-25T08:00:00.500000"},
        {"\"2026-11-25T08:00:00.123456789Z\"", "2026-11-25T08:00:00.123456"},
        {"\"2026-11-25T08:00:00+00:00\"", "2026-11-25T08:00:00.000000"},
        {"\"2026-11-25T00:30:00+01:00\"", "2026-11-24T23:30:00.000000"},
        {"\"2026-12-31T23:30:00-0130\"", "2027-01-01T01:00:00.000000"},
        {"\"2024-02-29T00:00:00Z\"", "2024-02-29T00:00:00.000000"},
        {"\"1970-01-01T00:00:00Z\"", "1970-01-01T00:00:00.000000"},
        {"\"9999-12-31T23:59:59Z\"", "9999-12-31T23:59:59.000000"},
        /* Taken as text. */
        {"\"2026-02-30T00:00:00Z\"", "2026-02-30T00:00:00Z"},
        {"\"2026-13-01T00:00:00Z\"", "2026-13-01T00:00:00Z"},
        {"\"2026-11-25T24:00:00Z\"", "2026-11-25T24:00:00Z"},
        {"\"2026-11-25\"", "2026-11-25"},
        {"\"yesterday\"", "yesterday"},
        {"\"1969-12-31T00:00:00Z\"", "1969-12-31T00:00:00Z"},
        {"\"2026-11-25T08:00:00Zulu\"", "2026-11-25T08:00:00Zulu"},
        {"null", ""},
        {NULL, ""},
        {"\"\"", ""},
        {"17", "17"},
    };

    (void) state;
    for (size_t i = 0; i < IST_COUNT(cases); i++)
        assert_string_equal(key(IST_MEMBER_TIME, cases[i][0]), cases[i][1]);
}

/* Against the C library, on days chosen all over the range. */
static void test_calendar(void **state)
{
    (void) state;
    for (int64_t day = 0; day < 2932897; day += 97) {
        time_t s = (time_t) day * 86400 + 3661;
        char text[32], json[40], wanted[40];
        struct tm tm;
        uint64_t us;

        gmtime_r(&s, &tm);
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
        assert_true(os_time_parse(text, strlen(text), &us));
        assert_int_equal(us, (uint64_t) s * 1000000);
        snprintf(json, sizeof(json), "\"%s\"", text);
        snprintf(wanted, sizeof(wanted), "%s.000000", text);
        assert_string_equal(key(IST_MEMBER_TIME, json), wanted);
    }
}

/* Their order is that of the numbers. */
static void test_numbers(void **state)
{
    static const char *const rising[] = {
        "-12345678901234567890",
        "-100",
        "-99.5",
        "-99",
        "-2",
        "-1.5",
        "-1",
        "-0.25",
        "0",
        "0.1",
        "0.25",
        "1",
        "1.0001",
        "2",
        "10",
        "99",
        "100",
        "12345678901234567890",
    };
    char before[OS_KEY_MAX + 1] = "";

    (void) state;
    assert_string_equal(key(IST_MEMBER_NUMBER, "42"), "00000000000000000042");
    assert_string_equal(key(IST_MEMBER_NUMBER, "1.50"),
                        "00000000000000000001.5");
    assert_string_equal(key(IST_MEMBER_NUMBER, "1.0"), "00000000000000000001");
    for (size_t i = 0; i < IST_COUNT(rising); i++) {
        const char *now = key(IST_MEMBER_NUMBER, rising[i]);

        if (strcmp(before, now) >= 0)
            fail_msg("%s is not above the one before", rising[i]);
        strcpy(before, now);
    }
    assert_string_equal(key(IST_MEMBER_NUMBER, "null"), "");
    assert_string_equal(key(IST_MEMBER_NUMBER, "1e3"), "1e3");
    assert_string_equal(key(IST_MEMBER_NUMBER, "123456789012345678901"),
                        "123456789012345678901");
    assert_string_equal(key(IST_MEMBER_NUMBER, "\"7\""), "7");
}

static void test_texts(void **state)
{
    char json[3 * OS_KEY_MAX + 8] = "\"";

    (void) state;
    assert_string_equal(key(IST_MEMBER_TEXT, "\"a\\u00e9\\n\\\"\""),
                        "a\xC3\xA9\n\"");
    assert_string_equal(key(IST_MEMBER_TEXT, "true"), "true");
    assert_string_equal(key(IST_MEMBER_TEXT, "12"), "12");
    assert_string_equal(key(IST_MEMBER_TEXT, "null"), "");
    /* Cut, but not in the middle of a character. */
    for (size_t i = 0; i < OS_KEY_MAX; i++)
        strcpy(json + 1 + 3 * i, "\xE2\x82\xAC");
    strcat(json, "\"");
    assert_int_equal(strlen(key(IST_MEMBER_TEXT, json)), OS_KEY_MAX / 3 * 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_calendar),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
