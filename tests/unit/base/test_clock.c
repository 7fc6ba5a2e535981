#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void text(uint64_t wall_ms, const char *wanted)
{
    char buf[IST_CLOCK_TEXT_SIZE];

    assert_ptr_equal(ist_clock_text(wall_ms, buf), buf);
    assert_string_equal(buf, wanted);
}

static void test_text(void **state)
{
    (void) state;
    text(0, "1970-01-01T00:00:00.000Z");
    text(951782400007, "2000-02-29T00:00:00.007Z");
    text(1795593600123, "2026-11-25T08:00:00.123Z");
    text(253402300799999, "9999-12-31T23:59:59.999Z");
}

static void test_any_number_fits(void **state)
{
    char buf[IST_CLOCK_TEXT_SIZE];

    (void) state;
    ist_clock_text(UINT64_MAX, buf);
    assert_string_equal(buf, "584556019-04-03T14:25:51.615Z");
}

static void reads(const char *from, uint64_t wanted)
{
    uint64_t ms = 1;

    assert_true(ist_clock_parse(from, &ms));
    assert_int_equal(ms, wanted);
}

static void test_parse(void **state)
{
    static const char *const bad[] = {
        "",
        "2026-11-25",
        "2026-11-25T08:00:00",
        "2026-11-25 08:00:00Z",
        "2026-02-30T08:00:00Z",
        "2026-13-01T08:00:00Z",
        "2026-11-25T08:00:00.Z",
        "2026-11-25T08:00:00Zx",
        "2026-11-25T08:00:00+8:00",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
    };
    uint64_t ms = 7;

    (void) state;
    reads("1970-01-01T00:00:00Z", 0);
    reads("2026-11-25T08:00:00.123Z", 1795593600123);
    reads("2026-11-25T08:00:00.1239999Z", 1795593600123);
    reads("2026-11-25t16:00:00.1+08:00", 1795593600100);
    reads("2000-02-29T00:00:00z", 951782400000);
    reads("2016-12-31T23:59:60Z", 1483228800000); /* A leap second. */
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(ist_clock_parse(bad[i], &ms));
    assert_int_equal(ms, 7);
    assert_true(ist_clock_parse_past("1970-01-01T00:00:02Z", 1, &ms));
    assert_int_equal(ms, 2000);
    assert_true(ist_clock_parse_past("10s", 90000, &ms));
    assert_int_equal(ms, 80000);
    assert_true(ist_clock_parse_past("1h", 90000, &ms));
    assert_int_equal(ms, 0);
    assert_false(ist_clock_parse_past("soon", 90000, &ms));
}

static void test_readings(void **state)
{
    uint64_t last = ist_clock_mono_ns();

    (void) state;
    /* After this file was written, and before the year 2200. */
    assert_in_range(ist_clock_wall_ms(), 1700000000000, 7258118400000);
    for (int i = 0; i < 10000; i++) {
        uint64_t now = ist_clock_mono_ns();

        assert_true(now >= last);
        last = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_any_number_fits),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_readings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
