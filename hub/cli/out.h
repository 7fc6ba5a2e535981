/* A table as text, in the formats of cliff. csv, json, value and yaml are
 * byte for byte what cliff prints for the same data, but that foreign control
 * characters are escaped where cliff lets them through (csv keeps newlines
 * and tabs, which are quoted there). The table is ours. */
#ifndef CLI_OUT_H
#define CLI_OUT_H

#include "cli/args.h"
#include "cli/table.h"

/* Appends to the builder; errors are the builder's. */
typedef void cli_out_fn(struct ist_sb *, const struct cli_table *,
                        const struct cli_args *);

struct cli_format {
    const char *name;
    cli_out_fn *list; /* Of rows; or NULL. */
    cli_out_fn *one;  /* Of a table with one row; or NULL. */
};

/* NULL when that format is not for rows (or not for one object). */
const struct cli_format *cli_format_find(const char *name, bool one);

/* The width to fit into, 0 for any; and whether stdout takes colours. */
unsigned cli_out_width(const struct cli_args *);
bool cli_out_colours(void);

cli_out_fn cli_out_json_list, cli_out_json_one;
cli_out_fn cli_out_csv_list;
cli_out_fn cli_out_value_list, cli_out_value_one;
cli_out_fn cli_out_shell_one;
cli_out_fn cli_out_yaml_list, cli_out_yaml_one;
cli_out_fn cli_out_table_list, cli_out_table_one;

#endif
