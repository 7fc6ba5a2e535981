/* Rows of values, before any format is chosen. One object is a table of one
 * row. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "cli/cell.h"

#include <stdbool.h>

/* More rows than this are refused (-E2BIG): a table must know all of them
 * before it can draw the first. */
#define CLI_ROWS_MAX 1000000

struct cli_col {
    char *title;         /* Owned. */
    cli_human_fn *human; /* NULL: by the value's type. */
    bool status;         /* Says how something is: may be coloured. */
    bool hidden;         /* Sorted by, but not shown. */
};

struct cli_table {
    struct cli_col *cols; /* Owned. */
    size_t n_cols;
    json_t **cells; /* Owned, row after row; each a reference. */
    size_t n_rows, n_allocated;
};

void cli_table_init(struct cli_table *);
void cli_table_fini(struct cli_table *);

/* Before the first row. 'title' is copied. -ENOMEM. */
int cli_table_col(struct cli_table *, const char *title, cli_human_fn *human);

/* Takes over n_cols references, also on failure. -ENOMEM, -E2BIG. */
int cli_table_add(struct cli_table *, json_t **row);

/* Borrowed. */
const json_t *cli_table_at(const struct cli_table *, size_t row, size_t col);

/* The column of that title, n_cols when there is none. */
size_t cli_table_find(const struct cli_table *, const char *title);

/* Stable. 'cols' are the keys, first to last. -EDOM when a column has values
 * that do not compare (*ret_col says which); then nothing has moved. */
int cli_table_sort(struct cli_table *, const size_t *cols, size_t n_cols,
                   bool descending, size_t *ret_col);

#endif
