#include "cli/safe.h"

#include "base/rand.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void safe(const char *text, size_t len, const char *keep,
                 const char *wanted)
{
    struct ist_sb sb;

    ist_sb_init(&sb, 0);
    cli_safe(&sb, text, len, keep);
    assert_string_equal(ist_sb_text(&sb), wanted);
    ist_sb_fini(&sb);
}

#define SAFE(text, wanted) safe(text, sizeof(text) - 1, "", wanted)

static void test_what_stays(void **state)
{
    (void) state;
    SAFE("", "");
    SAFE("web-1", "web-1");
    SAFE("h\xC3\xA9 \xE6\x97\xA5 \xF0\x9F\x98\x80", "h\xC3\xA9 \xE6\x97\xA5 "
                                                    "\xF0\x9F\x98\x80");
    SAFE("a\\b \\x1b", "a\\b \\x1b");
    safe("a\tb\nc", 5, "\n\t", "a\tb\nc");
}

static void test_what_goes(void **state)
{
    (void) state;
    SAFE("\x1b[31mred", "\\x1b[31mred");
    SAFE("a\nb\rc\td", "a\\nb\\rc\\td");
    SAFE("\0\x7f\x07", "\\x00\\x7f\\x07");
    SAFE("\xC2\x9B"
         "31m",
         "\\u009b31m");
    SAFE("\xE2\x80\xAE"
         "abc",
         "\\u202eabc");
    SAFE("\xE2\x81\xA6\xE2\x80\x8F\xD8\x9C", "\\u2066\\u200f\\u061c");
    SAFE("\xE2\x80\xA8\xE2\x80\xA9", "\\u2028\\u2029");
    SAFE("a\x9B\xFFz", "a\\x9b\\xffz");
    SAFE("\xED\xA0\x80", "\\xed\\xa0\\x80");
    SAFE("cut \xE2\x82", "cut \\xe2\\x82");
    safe("a\tb\x1b", 4, "\n\t", "a\tb\\x1b");
}

/* Whatever bytes come in, none go out that a terminal acts on. */
static void test_any_bytes(void **state)
{
    (void) state;
    ist_rand_plant(7);
    for (int round = 0; round < 20000; round++) {
        char text[32];
        size_t len = ist_rand_below(sizeof(text) + 1), n;
        struct ist_sb sb;

        ist_rand_bytes(text, sizeof(text));
        /* Half of the rounds lean to what begins multi-byte characters. */
        for (size_t i = 0; round % 2 && i < len; i += 3)
            text[i] = (char) (0xC2 + ist_rand_below(0x33));
        ist_sb_init(&sb, 0);
        cli_safe(&sb, text, len, "");
        assert_true(ist_utf8_valid(ist_sb_text(&sb), sb.len));
        for (size_t at = 0; at < sb.len; at += n)
            assert_false(cli_safe_is_control(
                cli_safe_code(sb.data + at, sb.len - at, &n)));
        ist_sb_fini(&sb);
    }
    ist_rand_unplant();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_stays),
        cmocka_unit_test(test_what_goes),
        cmocka_unit_test(test_any_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
