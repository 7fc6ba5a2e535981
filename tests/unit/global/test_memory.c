/* What the region remembers: found by its name, the unused forgotten first. */
#include "global/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct global_memory memory;

static int setup(void **state)
{
    (void) state;
    global_memory_init(&memory);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    global_memory_fini(&memory);
    assert_int_equal(memory.n, 0);
    assert_int_equal(memory.n_bytes, 0);
    return 0;
}

static void put(const char *name, const char *text)
{
    global_memory_put(&memory, name, text, strlen(text), 7);
}

static void test_put_and_found(void **state)
{
    (void) state;
    assert_null(global_memory_find(&memory, "a"));
    put("a", "one");
    put("b", "two");
    assert_string_equal(global_memory_find(&memory, "a")->text, "one");
    assert_int_equal(global_memory_find(&memory, "a")->at_ms, 7);
    put("a", "three");
    assert_string_equal(global_memory_find(&memory, "a")->text, "three");
    assert_int_equal(memory.n, 2);
    global_memory_forget(&memory, "a");
    global_memory_forget(&memory, "a");
    assert_null(global_memory_find(&memory, "a"));
    assert_string_equal(global_memory_find(&memory, "b")->text, "two");
}

static void test_too_large(void **state)
{
    char *text = calloc(1, GLOBAL_MEMORY_ONE + 1);

    (void) state;
    put("a", "one");
    global_memory_put(&memory, "a", text, GLOBAL_MEMORY_ONE + 1, 0);
    assert_null(global_memory_find(&memory, "a"));
    free(text);
}

/* By bytes: the one that was looked at stays, the oldest others go. */
static void test_the_cap(void **state)
{
    size_t size = GLOBAL_MEMORY_ONE, n = GLOBAL_MEMORY_MAX / size + 4;
    char *text = calloc(1, size), name[24];

    (void) state;
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "%zu", i);
        global_memory_put(&memory, name, text, size, i);
        assert_non_null(global_memory_find(&memory, "0"));
        assert_true(memory.n_bytes <= GLOBAL_MEMORY_MAX);
    }
    assert_null(global_memory_find(&memory, "1"));
    assert_non_null(global_memory_find(&memory, name));
    free(text);
}

static void test_many_names(void **state)
{
    char name[24];

    (void) state;
    for (size_t i = 0; i < GLOBAL_MEMORY_NAMES + 10; i++) {
        snprintf(name, sizeof(name), "%zu", i);
        put(name, "x");
    }
    assert_int_equal(memory.n, GLOBAL_MEMORY_NAMES);
    assert_null(global_memory_find(&memory, "9"));
    assert_non_null(global_memory_find(&memory, "10"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_put_and_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_cap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_names, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
