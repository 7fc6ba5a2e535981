#include "cli/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Rows of a text and its JSON values, in two columns. */
static void fill(struct cli_table *table, const char *json)
{
    json_t *rows = json_loads(json, 0, NULL), *row;
    size_t i;

    assert_non_null(rows);
    cli_table_init(table);
    assert_int_equal(cli_table_col(table, "A", NULL), 0);
    assert_int_equal(cli_table_col(table, "B", NULL), 0);
    json_array_foreach(rows, i, row)
    {
        json_t *cells[2] = {json_incref(json_array_get(row, 0)),
                            json_incref(json_array_get(row, 1))};

        assert_int_equal(cli_table_add(table, cells), 0);
    }
    json_decref(rows);
}

static void is(const struct cli_table *table, size_t col, const char *wanted)
{
    struct ist_sb sb;

    ist_sb_init(&sb, 0);
    for (size_t i = 0; i < table->n_rows; i++) {
        if (i)
            ist_sb_putc(&sb, ' ');
        cli_cell_str(&sb, cli_table_at(table, i, col));
    }
    assert_string_equal(ist_sb_text(&sb), wanted);
    ist_sb_fini(&sb);
}

static void test_sorts_stably(void **state)
{
    static const size_t both[] = {0, 1};
    struct cli_table table;
    size_t bad = 9;

    (void) state;
    fill(&table, "[[2, \"a\"], [1, \"b\"], [null, \"c\"], [2, \"d\"], "
                 "[1, \"a\"]]");
    assert_int_equal(cli_table_sort(&table, both, 1, false, &bad), 0);
    is(&table, 1, "b a a d c");
    assert_int_equal(cli_table_sort(&table, both, 1, true, &bad), 0);
    is(&table, 1, "c a d b a");
    assert_int_equal(cli_table_sort(&table, both, 2, false, &bad), 0);
    is(&table, 0, "1 1 2 2 None");
    is(&table, 1, "a b a d c");
    assert_int_equal(bad, 9);
    cli_table_fini(&table);
}

static void test_what_does_not_compare(void **state)
{
    static const size_t both[] = {1, 0};
    struct cli_table table;
    size_t bad = 9;

    (void) state;
    fill(&table, "[[2, \"a\"], [\"x\", \"b\"]]");
    assert_int_equal(cli_table_sort(&table, both, 2, true, &bad), -EDOM);
    assert_int_equal(bad, 0);
    is(&table, 1, "a b");
    cli_table_fini(&table);
    fill(&table, "[[1, [2]], [1, [1]]]");
    assert_int_equal(cli_table_sort(&table, both, 1, true, &bad), -EDOM);
    assert_int_equal(bad, 1);
    cli_table_fini(&table);
}

static void test_empty_and_large(void **state)
{
    static const size_t first[] = {0};
    struct cli_table table;
    size_t bad;

    (void) state;
    fill(&table, "[]");
    assert_int_equal(cli_table_sort(&table, first, 1, false, &bad), 0);
    for (json_int_t i = 0; i < 5000; i++) {
        json_t *cells[2] = {json_integer(i * 7919 % 5000), json_null()};

        assert_int_equal(cli_table_add(&table, cells), 0);
    }
    assert_int_equal(cli_table_sort(&table, first, 1, false, &bad), 0);
    for (size_t i = 0; i < 5000; i++)
        assert_int_equal(json_integer_value(cli_table_at(&table, i, 0)), i);
    cli_table_fini(&table);
}

static void test_cap(void **state)
{
    json_t *cells[2] = {json_integer(1), json_integer(2)};
    json_t *seen = json_incref(cells[0]);
    struct cli_table table;

    (void) state;
    fill(&table, "[]");
    table.n_rows = CLI_ROWS_MAX; /* As if. */
    assert_int_equal(cli_table_add(&table, cells), -E2BIG);
    table.n_rows = 0;
    assert_int_equal(seen->refcount, 1); /* It was taken over all the same. */
    json_decref(seen);
    cli_table_fini(&table);
}

static void test_find(void **state)
{
    struct cli_table table;

    (void) state;
    fill(&table, "[]");
    assert_int_equal(cli_table_find(&table, "B"), 1);
    assert_int_equal(cli_table_find(&table, "C"), 2);
    cli_table_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sorts_stably),
        cmocka_unit_test(test_what_does_not_compare),
        cmocka_unit_test(test_empty_and_large),
        cmocka_unit_test(test_cap),
        cmocka_unit_test(test_find),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
