/* Users' own Keystone tokens: for the sites that are listed, for as long as the
 * hub's token lasts, and no more of them than there may be. */
#include "facade/pass.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define WALL UINT64_C(1795593600000)

static struct ist_loop loop;

static struct facade_passes *passes_new(void)
{
    ist_loop_init_virtual(&loop, WALL);
    return facade_passes_new(&loop, "hkg,lon, sjc-2");
}

static void passes_end(struct facade_passes *all)
{
    facade_passes_free(all);
    ist_loop_fini(&loop);
}

static void run(uint64_t ms)
{
    uint64_t until = ist_loop_now(&loop) + ms;

    while (ist_loop_step(&loop, until))
        ;
}

static void test_sites(void **state)
{
    static const char *const in[] = {"hkg", "lon", "sjc-2"};
    static const char *const out[] = {"hk", "hkgx", "sjc", "", ","};
    struct facade_passes *all = passes_new();
    struct facade_caller caller = {.pass = "t", .pass_sites = "hkg,lon, sjc-2"};

    (void) state;
    for (size_t i = 0; i < IST_COUNT(in); i++) {
        assert_true(facade_passes_share(all, in[i]));
        assert_true(facade_pass_is_for(&caller, in[i]));
    }
    for (size_t i = 0; i < IST_COUNT(out); i++) {
        assert_false(facade_passes_share(all, out[i]));
        assert_false(facade_pass_is_for(&caller, out[i]));
    }
    caller.pass = NULL;
    assert_false(facade_pass_is_for(&caller, "hkg"));
    assert_false(facade_passes_share(NULL, "hkg"));
    passes_end(all);
}

static void test_kept_and_forgotten(void **state)
{
    struct facade_passes *all = passes_new();

    (void) state;
    assert_true(facade_pass_put(all, "a", "secret-x", 6, WALL + 100000));
    assert_string_equal(facade_pass_find(all, "a"), "secret");
    assert_null(facade_pass_find(all, "b"));
    assert_true(facade_pass_copy(all, "a", "b"));
    assert_true(facade_pass_copy(all, "nosuch", "c"));
    assert_null(facade_pass_find(all, "c"));
    assert_true(facade_pass_put(all, "a", "other", 5, WALL + 200000));
    assert_string_equal(facade_pass_find(all, "a"), "other");
    assert_string_equal(facade_pass_find(all, "b"), "secret");
    run(100001);
    assert_null(facade_pass_find(all, "b"));
    assert_string_equal(facade_pass_find(all, "a"), "other");
    facade_pass_drop(all, "a");
    facade_pass_drop(all, "a");
    assert_null(facade_pass_find(all, "a"));
    assert_true(facade_pass_put(all, "d", "t", 1, WALL + 200000));
    run(200000);
    assert_null(facade_pass_find(all, "d"));
    passes_end(all);
}

static void test_full(void **state)
{
    struct facade_passes *all = passes_new();
    char id[16];

    (void) state;
    for (unsigned i = 0; i <= FACADE_PASSES_MAX; i++) {
        snprintf(id, sizeof(id), "%u", i);
        assert_true(facade_pass_put(all, id, id, strlen(id), WALL + 100000));
    }
    assert_null(facade_pass_find(all, "0"));
    assert_string_equal(facade_pass_find(all, "1"), "1");
    snprintf(id, sizeof(id), "%u", FACADE_PASSES_MAX);
    assert_string_equal(facade_pass_find(all, id), id);
    passes_end(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sites),
        cmocka_unit_test(test_kept_and_forgotten),
        cmocka_unit_test(test_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
