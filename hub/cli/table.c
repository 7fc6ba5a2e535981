#include "cli/table.h"

#include "base/scope.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void cli_table_init(struct cli_table *table)
{
    *table = (struct cli_table){0};
}

void cli_table_fini(struct cli_table *table)
{
    for (size_t i = 0; i < table->n_rows * table->n_cols; i++)
        json_decref(table->cells[i]);
    for (size_t i = 0; i < table->n_cols; i++)
        free(table->cols[i].title);
    free(table->cells);
    free(table->cols);
    cli_table_init(table);
}

int cli_table_col(struct cli_table *table, const char *title,
                  cli_human_fn *human)
{
    struct cli_col *cols;
    char *copy = strdup(title);

    cols = reallocarray(table->cols, table->n_cols + 1, sizeof(*cols));
    if (cols)
        table->cols = cols;
    if (!cols || !copy) {
        free(copy);
        return -ENOMEM;
    }
    cols[table->n_cols++] = (struct cli_col){.title = copy, .human = human};
    return 0;
}

static int make_room(struct cli_table *table)
{
    size_t n = table->n_allocated ? table->n_allocated * 2 : 64;
    json_t **cells;

    if (table->n_rows == CLI_ROWS_MAX)
        return -E2BIG;
    if (table->n_rows < table->n_allocated)
        return 0;
    cells = reallocarray(table->cells, n * table->n_cols, sizeof(json_t *));
    if (!cells)
        return -ENOMEM;
    table->cells = cells;
    table->n_allocated = n;
    return 0;
}

int cli_table_add(struct cli_table *table, json_t **row)
{
    int rc = make_room(table);

    for (size_t i = 0; i < table->n_cols; i++) {
        if (rc)
            json_decref(row[i]);
        else
            table->cells[table->n_rows * table->n_cols + i] = row[i];
    }
    if (rc == 0)
        table->n_rows++;
    return rc;
}

const json_t *cli_table_at(const struct cli_table *table, size_t row,
                           size_t col)
{
    return table->cells[row * table->n_cols + col];
}

size_t cli_table_find(const struct cli_table *table, const char *title)
{
    size_t i;

    for (i = 0; i < table->n_cols; i++) {
        if (strcmp(table->cols[i].title, title) == 0)
            break;
    }
    return i;
}

struct order {
    const struct cli_table *table;
    const size_t *cols;
    size_t n_cols;
    int sign;
};

static int compare(const void *a, const void *b, void *arg)
{
    const struct order *order = arg;
    size_t x = *(const size_t *) a, y = *(const size_t *) b;

    for (size_t i = 0; i < order->n_cols; i++) {
        int c = cli_cell_cmp(cli_table_at(order->table, x, order->cols[i]),
                             cli_table_at(order->table, y, order->cols[i]));

        if (c)
            return c * order->sign;
    }
    return x < y ? -1 : x > y;
}

static bool is_sortable(const struct cli_table *table, size_t col)
{
    enum cli_class all = CLI_CLASS_NULL;

    for (size_t i = 0; i < table->n_rows; i++) {
        enum cli_class class = cli_cell_class(cli_table_at(table, i, col));

        if (class == CLI_CLASS_NO)
            return false;
        if (class == CLI_CLASS_NULL)
            continue;
        if (all != CLI_CLASS_NULL && class != all)
            return false;
        all = class;
    }
    return true;
}

int cli_table_sort(struct cli_table *table, const size_t *cols, size_t n_cols,
                   bool descending, size_t *ret_col)
{
    struct order order = {table, cols, n_cols, descending ? -1 : 1};
    const size_t width = table->n_cols;
    IST_CLEANUP(ist_freep) size_t *rows = NULL;
    json_t **sorted;

    for (size_t i = 0; i < n_cols; i++) {
        if (!is_sortable(table, cols[i])) {
            *ret_col = cols[i];
            return -EDOM;
        }
    }
    if (table->n_rows == 0)
        return 0;
    rows = calloc(table->n_rows, sizeof(*rows));
    sorted = calloc(table->n_rows * width, sizeof(json_t *));
    if (!rows || !sorted) {
        free(sorted);
        return -ENOMEM;
    }
    for (size_t i = 0; i < table->n_rows; i++)
        rows[i] = i;
    qsort_r(rows, table->n_rows, sizeof(*rows), compare, &order);
    for (size_t i = 0; i < table->n_rows; i++)
        memcpy(sorted + i * width, table->cells + rows[i] * width,
               width * sizeof(json_t *));
    free(table->cells);
    table->cells = sorted;
    table->n_allocated = table->n_rows;
    return 0;
}
