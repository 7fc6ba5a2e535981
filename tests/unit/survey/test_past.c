/* What each site gave to a page: found again, and no more of it than fits. */
#include "survey/past.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static uint64_t ask(const char *text)
{
    return past_hash(0, text, strlen(text));
}

static void note(struct past *past, uint64_t question, uint32_t taken)
{
    uint32_t *of = past_note(past, question, 2);

    assert_non_null(of);
    assert_int_equal(of[0], 0);
    assert_int_equal(of[1], 0);
    of[1] = taken;
}

static void test_it_is_found_again(void **state)
{
    struct past past = {0};
    const uint32_t *taken;

    (void) state;
    assert_null(past_find(&past, ask("servers"), 2));
    note(&past, ask("servers"), 7);
    note(&past, ask("volumes"), 9);
    taken = past_find(&past, ask("servers"), 2);
    assert_non_null(taken);
    assert_int_equal(taken[1], 7);
    note(&past, ask("servers"), 8);
    assert_int_equal(past_find(&past, ask("servers"), 2)[1], 8);
    assert_int_equal(past_find(&past, ask("volumes"), 2)[1], 9);
    past_fini(&past);
}

static void test_other_sites_are_another_page(void **state)
{
    struct past past = {0};

    (void) state;
    note(&past, ask("servers"), 7);
    assert_null(past_find(&past, ask("servers"), 3));
    assert_non_null(past_note(&past, ask("servers"), 3));
    assert_null(past_find(&past, ask("servers"), 2));
    assert_non_null(past_find(&past, ask("servers"), 3));
    past_fini(&past);
}

static void test_the_one_not_asked_for_goes(void **state)
{
    struct past past = {0};

    (void) state;
    for (uint64_t i = 1; i <= PAST_PAGES; i++)
        note(&past, i, (uint32_t) i);
    assert_non_null(past_find(&past, 1, 2));
    note(&past, PAST_PAGES + 1, 5);
    assert_non_null(past_find(&past, 1, 2));
    assert_null(past_find(&past, 2, 2));
    for (uint64_t i = 3; i <= PAST_PAGES; i++)
        assert_int_equal(past_find(&past, i, 2)[1], i);
    assert_int_equal(past_find(&past, PAST_PAGES + 1, 2)[1], 5);
    past_fini(&past);
}

static void test_where_text_ends_matters(void **state)
{
    const char *a = "name", *b = "namea";

    (void) state;
    assert_true(ask(a) != ask(b));
    assert_true(past_hash(ask("ab"), "c", 1) != past_hash(ask("a"), "bc", 2));
    assert_true(past_hash(ask("a"), "", 0) != ask("a"));
    assert_true(ask("0123456789abcdef") != ask("0123456789abcdeg"));
    assert_true(ask("0123456789abcdef") == ask("0123456789abcdef"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_found_again),
        cmocka_unit_test(test_other_sites_are_another_page),
        cmocka_unit_test(test_the_one_not_asked_for_goes),
        cmocka_unit_test(test_where_text_ends_matters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
