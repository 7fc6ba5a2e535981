#include "base/grow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_keeps_what_is_there(void **state)
{
    uint32_t *array = NULL, *grown;
    size_t size = 0, n_moves = 0;

    (void) state;
    for (uint32_t i = 0; i < 1000; i++) {
        size_t was = size;

        grown = ist_grow(array, &size, i + 1, sizeof(*array));
        assert_non_null(grown);
        assert_true(size > i && (size == was || size >= 2 * was));
        n_moves += size != was;
        array = grown;
        array[i] = i;
    }
    assert_in_range(n_moves, 1, 10);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(array[i], i);
    free(array);
}

static void test_far_at_once(void **state)
{
    size_t size = 0;
    char *array = ist_grow(NULL, &size, 5000, 1);

    (void) state;
    assert_non_null(array);
    assert_int_equal(size, 5000);
    assert_ptr_equal(ist_grow(array, &size, 5000, 1), array);
    assert_int_equal(size, 5000);
    free(array);
}

static void test_more_than_there_is(void **state)
{
    size_t size = 0;
    char *array = ist_grow(NULL, &size, 1, 1);

    (void) state;
    array[0] = 'x';
    assert_null(ist_grow(array, &size, SIZE_MAX / 2, 8));
    assert_int_equal(array[0], 'x');
    assert_true(size < 1000);
    free(array);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_what_is_there),
        cmocka_unit_test(test_far_at_once),
        cmocka_unit_test(test_more_than_there_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
