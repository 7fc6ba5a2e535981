#include "base/arena.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdalign.h>
#include <string.h>

#define UNIT alignof(max_align_t)

static void test_aligned_and_distinct(void **state)
{
    struct ist_arena arena;
    char *last = NULL;

    (void) state;
    ist_arena_init(&arena, 1 << 20);
    for (size_t size = 0; size < 300; size++) {
        char *ptr = ist_arena_alloc(&arena, size);

        assert_non_null(ptr);
        assert_int_equal((uintptr_t) ptr % UNIT, 0);
        memset(ptr, 0xA5, size);
        /* Nothing may share its address with what came before it. */
        assert_ptr_not_equal(ptr, last);
        last = size ? ptr : last;
    }
    ist_arena_fini(&arena);
}

static void test_cap_is_exact(void **state)
{
    struct ist_arena arena;
    void *first;

    (void) state;
    ist_arena_init(&arena, 10 * UNIT);
    first = ist_arena_alloc(&arena, 9 * UNIT + 1);
    assert_non_null(first);
    assert_int_equal(arena.used, 10 * UNIT);
    assert_false(arena.exceeded);
    assert_non_null(ist_arena_alloc(&arena, 0));
    assert_null(ist_arena_alloc(&arena, 1));
    assert_true(arena.exceeded);
    memset(first, 1, 9 * UNIT + 1); /* Still valid, says the sanitizer. */
    ist_arena_fini(&arena);
}

static void test_sizes_that_overflow(void **state)
{
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - UNIT,
                                   SIZE_MAX / 2};
    struct ist_arena arena;

    (void) state;
    for (size_t i = 0; i < IST_COUNT(sizes); i++) {
        ist_arena_init(&arena, SIZE_MAX);
        arena.cap = 4096;
        assert_null(ist_arena_alloc(&arena, sizes[i]));
        assert_null(ist_arena_zalloc(&arena, sizes[i]));
        assert_null(ist_arena_dup(&arena, "", sizes[i]));
        ist_arena_fini(&arena);
    }
}

static void test_reset_forgets(void **state)
{
    struct ist_arena arena;

    (void) state;
    ist_arena_init(&arena, 64 * 1024);
    for (int round = 0; round < 3; round++) {
        size_t n = 0;

        while (ist_arena_alloc(&arena, 1000))
            n++;
        assert_int_equal(n, 64 * 1024 / 1008);
        assert_true(arena.exceeded);
        ist_arena_reset(&arena);
        assert_false(arena.exceeded);
        assert_int_equal(arena.used, 0);
    }
    ist_arena_fini(&arena);
}

static void test_larger_than_a_chunk(void **state)
{
    struct ist_arena arena;
    unsigned char *big;

    (void) state;
    ist_arena_init(&arena, 8 << 20);
    assert_non_null(ist_arena_alloc(&arena, 10));
    big = ist_arena_zalloc(&arena, 3 << 20);
    assert_non_null(big);
    assert_int_equal(big[0], 0);
    assert_int_equal(big[(3 << 20) - 1], 0);
    assert_non_null(ist_arena_alloc(&arena, 10));
    ist_arena_fini(&arena);
}

static void test_copies(void **state)
{
    struct ist_arena arena;
    char text[] = "riga";
    char *copy, *bytes;

    (void) state;
    ist_arena_init(&arena, 4096);
    copy = ist_arena_strdup(&arena, text);
    bytes = ist_arena_dup(&arena, "a\0b", 3);
    text[0] = 'x';
    assert_string_equal(copy, "riga");
    assert_memory_equal(bytes, "a\0b\0", 4);
    assert_string_equal(ist_arena_dup(&arena, NULL, 0), "");
    ist_arena_fini(&arena);
}

static void test_rewind_forgets_what_came_since(void **state)
{
    struct ist_arena arena;
    struct ist_arena_mark mark;
    char *kept;

    (void) state;
    ist_arena_init(&arena, 1 << 20);
    mark = ist_arena_mark(&arena);
    assert_non_null(ist_arena_alloc(&arena, 100));
    ist_arena_rewind(&arena, &mark);
    assert_int_equal(arena.used, 0);

    kept = ist_arena_strdup(&arena, "kept");
    mark = ist_arena_mark(&arena);
    assert_non_null(ist_arena_alloc(&arena, 100));
    assert_non_null(ist_arena_alloc(&arena, 300000)); /* Of its own chunk. */
    assert_null(ist_arena_alloc(&arena, 1 << 20));
    assert_true(arena.exceeded);
    ist_arena_rewind(&arena, &mark);
    assert_int_equal(arena.used, mark.used);
    assert_false(arena.exceeded);
    assert_string_equal(kept, "kept");
    assert_ptr_not_equal(ist_arena_strdup(&arena, "more"), kept);
    assert_string_equal(kept, "kept");
    ist_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rewind_forgets_what_came_since),
        cmocka_unit_test(test_aligned_and_distinct),
        cmocka_unit_test(test_cap_is_exact),
        cmocka_unit_test(test_sizes_that_overflow),
        cmocka_unit_test(test_reset_forgets),
        cmocka_unit_test(test_larger_than_a_chunk),
        cmocka_unit_test(test_copies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
