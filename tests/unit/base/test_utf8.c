#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

/* Writes a code point as UTF-8 would, without asking whether it may. */
static size_t encode(uint32_t c, unsigned char *out)
{
    if (c < 0x80) {
        out[0] = (unsigned char) c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (unsigned char) (0xC0 | c >> 6);
        out[1] = (unsigned char) (0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (unsigned char) (0xE0 | c >> 12);
        out[1] = (unsigned char) (0x80 | (c >> 6 & 63));
        out[2] = (unsigned char) (0x80 | (c & 63));
        return 3;
    }
    out[0] = (unsigned char) (0xF0 | c >> 18);
    out[1] = (unsigned char) (0x80 | (c >> 12 & 63));
    out[2] = (unsigned char) (0x80 | (c >> 6 & 63));
    out[3] = (unsigned char) (0x80 | (c & 63));
    return 4;
}

static void test_every_code_point(void **state)
{
    (void) state;
    for (uint32_t c = 0; c < 0x1FFFFF; c++) {
        unsigned char bytes[4];
        size_t len = encode(c, bytes);
        bool legal = c < 0xD800 || (c > 0xDFFF && c < 0x110000);

        if (ist_utf8_len((char *) bytes, len) != (legal ? len : 0))
            fail_msg("U+%04X", c);
        /* Cut short, none of more than one byte is whole. */
        if (len > 1 && ist_utf8_len((char *) bytes, len - 1) != 0)
            fail_msg("cut U+%04X", c);
    }
}

/* The shortest form is the only one: every pair and its decoding. */
static void test_two_bytes_exhaustively(void **state)
{
    (void) state;
    for (unsigned a = 0x80; a < 0x100; a++) {
        for (unsigned b = 0; b < 0x100; b++) {
            unsigned char bytes[2] = {(unsigned char) a, (unsigned char) b};
            bool legal = a >= 0xC2 && a <= 0xDF && b >= 0x80 && b <= 0xBF;

            assert_int_equal(ist_utf8_len((char *) bytes, 2), legal ? 2 : 0);
        }
    }
}

static void test_strings(void **state)
{
    static const char *const bad[] = {
        "\x80",         "\xC0\x80",
        "\xE0\x80\x80", "\xF0\x80\x80\x80",
        "\xED\xA0\x80", "\xF4\x90\x80\x80",
        "ok\xFF",       "\xF8\x88\x80\x80",
        "\xE2\x82",     "\xC3(",
    };

    (void) state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(ist_utf8_valid(bad[i], strlen(bad[i])));
    assert_true(ist_utf8_valid("", 0));
    assert_true(ist_utf8_valid("a\0b", 3));
    assert_true(ist_utf8_valid("\xE2\x82\xAC\xC3\xA9z", 6));
    assert_int_equal(ist_utf8_len("", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_point),
        cmocka_unit_test(test_two_bytes_exhaustively),
        cmocka_unit_test(test_strings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
