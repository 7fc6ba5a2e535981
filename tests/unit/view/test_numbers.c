/* What a site's next number means, and how its numbers are kept. */
#include "view/numbers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_sequences(void **state)
{
    struct numbers numbers = {.epoch = 1};
    uint64_t due;

    (void) state;
    assert_int_equal(numbers_take_sequence(&numbers, 1, &due), NUMBERS_NEXT);
    assert_int_equal(numbers_take_sequence(&numbers, 1, &due), NUMBERS_DOUBLE);
    assert_int_equal(numbers_take_sequence(&numbers, 4, &due), NUMBERS_GAP);
    assert_int_equal(due, 2);
    assert_int_equal(numbers_take_sequence(&numbers, 2, &due), NUMBERS_DOUBLE);
    assert_int_equal(numbers_take_sequence(&numbers, 5, &due), NUMBERS_NEXT);
    assert_int_equal(numbers_take_sequence(&numbers, UINT64_MAX, &due),
                     NUMBERS_GAP);
    assert_int_equal(numbers_take_sequence(&numbers, 6, &due), NUMBERS_GAP);
}

static void test_a_statement(void **state)
{
    struct numbers_kind kind = {0};

    (void) state;
    assert_false(numbers_end(&kind, 7)); /* Nothing was begun. */
    assert_false(kind.known);
    numbers_take_position(&kind, 1);
    numbers_begin(&kind);
    numbers_take_position(&kind, 3);
    assert_true(kind.lacking);
    assert_false(numbers_end(&kind, 8));
    numbers_begin(&kind);
    assert_int_equal(numbers_take_position(&kind, 4), NUMBERS_NEXT);
    assert_true(numbers_end(&kind, 9));
    assert_true(kind.known);
    assert_false(kind.lacking);
    assert_int_equal(kind.as_of_ms, 9);
}

static void test_epochs(void **state)
{
    struct numbers numbers = {0};
    bool restarted;

    (void) state;
    assert_true(numbers_take_epoch(&numbers, 5, false, &restarted));
    assert_false(restarted);
    numbers.sequence = 9;
    numbers.kinds[3] = (struct numbers_kind){.position = 4, .known = 1};
    assert_true(numbers_take_epoch(&numbers, 5, false, &restarted));
    assert_false(numbers_take_epoch(&numbers, 4, false, &restarted));
    assert_false(restarted);
    assert_int_equal(numbers.sequence, 9);
    assert_true(numbers_take_epoch(&numbers, 4, true, &restarted));
    assert_true(restarted);
    assert_int_equal(numbers.sequence, 0);
    assert_int_equal(numbers.kinds[3].position, 0);
    assert_true(numbers.kinds[3].known && numbers.kinds[3].lacking);
    assert_false(numbers.kinds[4].lacking);
}

static void test_packed(void **state)
{
    struct numbers numbers = {.epoch = 5, .sequence = 9}, again;
    uint8_t bytes[NUMBERS_PACKED_MAX];
    size_t size;

    (void) state;
    for (size_t i = 0; i < VIEW_KINDS_MAX; i += 3)
        numbers.kinds[i] = (struct numbers_kind){
            .position = i + 1, .as_of_ms = 2 * i, .known = i & 1, .stating = 1};
    size = numbers_pack(&numbers, bytes);
    assert_in_range(size, 100, NUMBERS_PACKED_MAX / 2);
    assert_true(numbers_unpack(&again, bytes, size));
    assert_int_equal(again.sequence, 9);
    for (size_t i = 0; i < VIEW_KINDS_MAX; i++) {
        assert_int_equal(again.kinds[i].position, numbers.kinds[i].position);
        assert_int_equal(again.kinds[i].known, numbers.kinds[i].known);
        assert_int_equal(again.kinds[i].stating, numbers.kinds[i].stating);
    }
    memset(numbers.kinds, 0xFF, sizeof(numbers.kinds));
    assert_int_equal(numbers_pack(&numbers, bytes), NUMBERS_PACKED_MAX);
    for (size_t i = 0; i <= size; i++)
        numbers_unpack(&again, bytes, i);
    bytes[0] ^= 1;
    assert_false(numbers_unpack(&again, bytes, size));
    assert_int_equal(again.epoch, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_a_statement),
        cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_packed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
