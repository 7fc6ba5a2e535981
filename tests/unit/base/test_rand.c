#include "base/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void test_seed_replays(void **state)
{
    unsigned char a[100], b[100], c[100];

    (void) state;
    ist_rand_plant(42);
    ist_rand_bytes(a, sizeof(a));
    ist_rand_plant(42);
    ist_rand_bytes(b, sizeof(b));
    ist_rand_plant(43);
    ist_rand_bytes(c, sizeof(c));
    ist_rand_unplant();
    assert_memory_equal(a, b, sizeof(a));
    assert_memory_not_equal(a, c, sizeof(a));
}

static void test_unplanted_differs(void **state)
{
    unsigned char a[32], b[32];

    (void) state;
    ist_rand_plant(42);
    ist_rand_bytes(a, sizeof(a));
    ist_rand_plant(42);
    ist_rand_unplant();
    ist_rand_bytes(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
}

static void test_below_stays_below(void **state)
{
    unsigned counts[7] = {0};

    (void) state;
    ist_rand_plant(1);
    for (int i = 0; i < 70000; i++) {
        uint64_t n = ist_rand_below(7);

        assert_in_range(n, 0, 6);
        counts[n]++;
    }
    /* 10000 each; five standard deviations are 463. */
    for (int i = 0; i < 7; i++)
        assert_in_range(counts[i], 9537, 10463);
    assert_int_equal(ist_rand_below(0), 0);
    assert_int_equal(ist_rand_below(1), 0);
    for (int i = 0; i < 100; i++)
        assert_true(ist_rand_below(UINT64_MAX) < UINT64_MAX);
    ist_rand_unplant();
}

/* A bound that does not divide 2^64: without throwing away the rest, a half
 * would fall below its third. */
static void test_below_is_even(void **state)
{
    const uint64_t third = UINT64_C(1) << 62;
    unsigned n = 0;

    (void) state;
    ist_rand_plant(2);
    for (int i = 0; i < 9000; i++)
        n += ist_rand_below(3 * third) < third;
    assert_in_range(n, 2776, 3224); /* Five standard deviations of 44.7. */
    ist_rand_unplant();
}

/* Odd sizes neither run over nor leave bytes out. */
static void test_sizes(void **state)
{
    (void) state;
    ist_rand_plant(5);
    for (size_t size = 0; size < 40; size++) {
        unsigned char buf[48], zero[48] = {0};

        memset(buf, 0, sizeof(buf));
        ist_rand_bytes(buf, size);
        assert_memory_equal(buf + size, zero, sizeof(buf) - size);
        if (size >= 8)
            assert_memory_not_equal(buf + size - 8, zero, 8);
    }
    ist_rand_unplant();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seed_replays),
        cmocka_unit_test(test_unplanted_differs),
        cmocka_unit_test(test_below_stays_below),
        cmocka_unit_test(test_below_is_even),
        cmocka_unit_test(test_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
