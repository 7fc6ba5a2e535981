#include "base/err.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

static void test_set_fills_and_returns(void **state)
{
    struct ist_err err = {.http = 404, .retryable = true, .site = "old"};

    (void) state;
    assert_int_equal(ist_err_set(&err, -ETIMEDOUT, "no answer in %d s", 3),
                     -ETIMEDOUT);
    assert_int_equal(err.code, -ETIMEDOUT);
    assert_string_equal(err.text, "no answer in 3 s");
    assert_int_equal(err.http, 0);
    assert_false(err.retryable);
    assert_string_equal(err.site, "");
    assert_int_equal(ist_err_set(NULL, -EINVAL, "unheard"), -EINVAL);
}

static void test_wrap_goes_in_front(void **state)
{
    struct ist_err err;

    (void) state;
    ist_err_set(&err, 7, "no answer");
    err.http = 503;
    assert_int_equal(ist_err_wrap(&err, "list %s", "servers"), 7);
    assert_int_equal(ist_err_wrap(&err, "site riga"), 7);
    assert_string_equal(err.text, "site riga: list servers: no answer");
    assert_int_equal(err.http, 503);
    assert_int_equal(ist_err_wrap(NULL, "nobody"), 0);
}

/* Cut at every possible place of a text of 1- to 4-byte characters. */
static void test_cut_between_characters(void **state)
{
    static const char *const chars[] = {"a", "\xC3\xA9", "\xE2\x82\xAC",
                                        "\xF0\x9F\x98\x80"};

    (void) state;
    for (size_t kind = 0; kind < IST_COUNT(chars); kind++) {
        for (size_t shift = 0; shift < 4; shift++) {
            char text[400] = "";
            struct ist_err err;
            size_t len;

            memset(text, 'x', shift);
            while (strlen(text) < 300)
                strcat(text, chars[kind]);
            ist_err_set(&err, -EIO, "%s", text);
            len = strlen(err.text);
            assert_in_range(len, sizeof(err.text) - 4, sizeof(err.text) - 1);
            assert_true(ist_utf8_valid(err.text, len));
            ist_err_wrap(&err, "site");
            assert_true(ist_utf8_valid(err.text, strlen(err.text)));
            assert_memory_equal(err.text, "site: ", 6);
        }
    }
}

static void test_front_as_long_as_the_room(void **state)
{
    struct ist_err err;
    char front[300];

    (void) state;
    memset(front, 'f', sizeof(front) - 1);
    front[sizeof(front) - 1] = '\0';
    ist_err_set(&err, -EIO, "inner");
    ist_err_wrap(&err, "%s", front);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    assert_null(strchr(err.text, 'i'));
}

static void test_names(void **state)
{
    (void) state;
    assert_string_equal(ist_err_name(0), "success");
    assert_string_equal(ist_err_name(3), "outcome 3");
    assert_string_equal(ist_err_name(-ENOENT), strerror(ENOENT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_fills_and_returns),
        cmocka_unit_test(test_wrap_goes_in_front),
        cmocka_unit_test(test_cut_between_characters),
        cmocka_unit_test(test_front_as_long_as_the_room),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
