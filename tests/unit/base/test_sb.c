#include "base/sb.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void test_builds(void **state)
{
    struct ist_sb sb;

    (void) state;
    ist_sb_init(&sb, 0);
    assert_string_equal(ist_sb_text(&sb), "");
    ist_sb_puts(&sb, "site ");
    ist_sb_add(&sb, "riga!", 4);
    ist_sb_putc(&sb, ':');
    ist_sb_printf(&sb, " %d of %s", 3, "4");
    assert_string_equal(ist_sb_text(&sb), "site riga: 3 of 4");
    assert_int_equal(sb.len, strlen("site riga: 3 of 4"));
    assert_int_equal(sb.rc, 0);
    ist_sb_fini(&sb);
    assert_string_equal(ist_sb_text(&sb), "");
}

static void test_cap_and_sticky_error(void **state)
{
    struct ist_sb sb;

    (void) state;
    ist_sb_init(&sb, 5);
    ist_sb_puts(&sb, "12345");
    assert_int_equal(sb.rc, 0);
    ist_sb_putc(&sb, '6');
    assert_int_equal(sb.rc, -ENOBUFS);
    ist_sb_puts(&sb, "");
    ist_sb_printf(&sb, "%s", "");
    assert_int_equal(sb.rc, -ENOBUFS);
    assert_string_equal(ist_sb_text(&sb), "12345");
    assert_null(ist_sb_reserve(&sb, 0));
    assert_null(ist_sb_take(&sb, NULL));
    ist_sb_reset(&sb);
    assert_int_equal(sb.rc, 0);
    assert_string_equal(ist_sb_text(&sb), "");
    ist_sb_printf(&sb, "%s", "1234567");
    assert_int_equal(sb.rc, -ENOBUFS);
    ist_sb_fini(&sb);
}

static void test_take_and_again(void **state)
{
    struct ist_sb sb;
    size_t len = 99;
    char *text;

    (void) state;
    ist_sb_init(&sb, 0);
    text = ist_sb_take(&sb, &len);
    assert_string_equal(text, "");
    assert_int_equal(len, 0);
    free(text);
    ist_sb_add(&sb, "a\0b", 3);
    text = ist_sb_take(&sb, &len);
    assert_int_equal(len, 3);
    assert_memory_equal(text, "a\0b\0", 4);
    free(text);
    assert_int_equal(sb.len, 0);
    ist_sb_puts(&sb, "next");
    assert_string_equal(ist_sb_text(&sb), "next");
    ist_sb_fini(&sb);
}

static void test_reserve(void **state)
{
    struct ist_sb sb;
    char *room, *text;

    (void) state;
    ist_sb_init(&sb, 100);
    ist_sb_puts(&sb, "ab");
    room = ist_sb_reserve(&sb, 98);
    assert_non_null(room);
    memset(room, 'c', 98);
    sb.len += 98;
    assert_null(ist_sb_reserve(&sb, 1));
    sb.rc = 0;
    text = ist_sb_take(&sb, NULL);
    assert_int_equal(strlen(text), 100);
    free(text);
}

static void json(const char *text, size_t len, const char *wanted)
{
    struct ist_sb sb;

    ist_sb_init(&sb, 0);
    ist_sb_json(&sb, text, len);
    assert_string_equal(ist_sb_text(&sb), wanted);
    ist_sb_fini(&sb);
}

static void test_json(void **state)
{
    (void) state;
    json("", 0, "\"\"");
    json("plain", 5, "\"plain\"");
    json("a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\"");
    json("\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\"");
    json("\0\x1b[31m\x7f", 7, "\"\\u0000\\u001b[31m\\u007f\"");
    json("h\xC3\xA9\xF0\x9F\x98\x80", 7, "\"h\xC3\xA9\xF0\x9F\x98\x80\"");
    json("\xC3", 1, "\"\xEF\xBF\xBD\"");
    json("a\xED\xA0\x80z", 5, "\"a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\"");
}

static void test_grows_far(void **state)
{
    struct ist_sb sb;

    (void) state;
    ist_sb_init(&sb, 0);
    for (int i = 0; i < 100000; i++)
        ist_sb_printf(&sb, "%d,", i % 10);
    assert_int_equal(sb.len, 200000);
    assert_int_equal(strlen(ist_sb_text(&sb)), 200000);
    ist_sb_fini(&sb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builds),
        cmocka_unit_test(test_cap_and_sticky_error),
        cmocka_unit_test(test_take_and_again),
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_grows_far),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
