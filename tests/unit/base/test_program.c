#include "base/program.h"

#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int n_args;
static const char *first;

static int keep(int argc, char **argv)
{
    n_args = argc;
    first = argv[0];
    return 7;
}

static const struct ist_program_word words[] = {
    {"keep", keep, "remembers its words"},
    {NULL, NULL, NULL},
};
static const struct ist_program program = {
    .name = "it", .about = "Is tested.", .see = "it(8)", .words = words};

static int run(const char *word, const char *more)
{
    char *argv[] = {(char *) (uintptr_t) "it", (char *) (uintptr_t) word,
                    (char *) (uintptr_t) more, NULL};
    int argc = more ? 3 : word ? 2 : 1;

    n_args = 0;
    return ist_program_run(&program, argc, argv);
}

static void test_word(void **state)
{
    (void) state;
    assert_int_equal(run("keep", "this"), 7);
    assert_int_equal(n_args, 2);
    assert_string_equal(first, "keep");
}

static void test_help(void **state)
{
    static const char *const asks[] = {"help", "--help", "-h", "--version"};

    (void) state;
    for (size_t i = 0; i < IST_COUNT(asks); i++)
        assert_int_equal(run(asks[i], NULL), 0);
    assert_int_equal(n_args, 0);
}

static void test_unknown(void **state)
{
    (void) state;
    assert_int_equal(run(NULL, NULL), 2);
    assert_int_equal(run("kee", NULL), 2);
    assert_int_equal(run("keeper", NULL), 2);
    assert_int_equal(n_args, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_word),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
