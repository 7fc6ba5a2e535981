/* The table for people, drawn by libsmartcols. Columns are as wide as their
 * contents, or wrapped to the width that was asked for; words that say how a
 * thing is are coloured on a terminal. */
#include "cli/out.h"

#include "cli/safe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libsmartcols/libsmartcols.h>

static const char *colour_of(const json_t *value)
{
    static const struct {
        const char *words, *colour;
    } rows[] = {
        {" active available in-use up present enabled ok ", "green"},
        {" error down absent disabled killed error_deleting critical ", "red"},
        {" major ", "brown"},
        {" minor ", "yellow"},
        {" warning ", "lightblue"},
        {" build creating downloading saving queued resize unknown paused "
         "shutoff suspended stale verify_resize reboot migrating ",
         "yellow"},
    };
    const char *text = json_string_value(value);
    char word[32];

    if (!text || strlen(text) + 3 > sizeof(word) || strchr(text, ' '))
        return NULL;
    snprintf(word, sizeof(word), " %s ", text);
    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        if (strcasestr(rows[i].words, word))
            return rows[i].colour;
    }
    return NULL;
}

/* True when all there is in the column are numbers. */
static bool is_numeric(const struct cli_table *table, size_t col)
{
    size_t n = 0;

    for (size_t i = 0; i < table->n_rows; i++) {
        const json_t *value = cli_table_at(table, i, col);

        if (json_is_number(value))
            n++;
        else if (!json_is_null(value))
            return false;
    }
    return n > 0;
}

static struct libscols_column *add_column(struct libscols_table *out,
                                          const char *title, bool numeric,
                                          bool fitted)
{
    int flags = numeric ? SCOLS_FL_RIGHT : SCOLS_FL_WRAP;
    struct libscols_column *column;

    if (numeric && fitted)
        flags |= SCOLS_FL_WRAP;
    column = scols_table_new_column(out, title, 0, flags);
    if (column && !numeric) {
        scols_column_set_safechars(column, "\n");
        scols_column_set_wrapfunc(column,
                                  fitted ? NULL : scols_wrapnl_chunksize,
                                  fitted ? NULL : scols_wrapnl_nextchunk, NULL);
    }
    return column;
}

static void set_cell(struct libscols_line *line, size_t at, const json_t *value,
                     cli_human_fn *human)
{
    struct ist_sb text;

    ist_sb_init(&text, 0);
    (human ? human : cli_cell_human)(&text, value);
    scols_line_set_data(line, at, ist_sb_text(&text));
    ist_sb_fini(&text);
}

static struct libscols_table *new_table(const struct cli_args *args)
{
    struct libscols_table *out = scols_new_table();
    unsigned width = cli_out_width(args);

    if (!out)
        return NULL;
    scols_table_enable_colors(out, cli_out_colours());
    /* What needs escaping is escaped by then, and not twice. */
    scols_table_enable_noencoding(out, 1);
    scols_table_set_column_separator(out, "  ");
    scols_table_set_termforce(out, width ? SCOLS_TERMFORCE_ALWAYS
                                         : SCOLS_TERMFORCE_NEVER);
    if (width)
        scols_table_set_termwidth(out, width);
    return out;
}

static void print(struct ist_sb *sb, struct libscols_table *out)
{
    char *text = NULL;

    if (scols_print_table_to_string(out, &text) == 0 && text) {
        ist_sb_puts(sb, text);
        if (*text && text[strlen(text) - 1] != '\n')
            ist_sb_putc(sb, '\n');
    } else if (sb->rc == 0) {
        sb->rc = -ENOMEM;
    }
    free(text);
    scols_unref_table(out);
}

static void add_row(struct libscols_table *out, const struct cli_table *table,
                    size_t row)
{
    struct libscols_line *line = scols_table_new_line(out, NULL);
    size_t at = 0;

    for (size_t i = 0; line && i < table->n_cols; i++) {
        const json_t *value = cli_table_at(table, row, i);
        const char *colour = colour_of(value);

        if (table->cols[i].hidden)
            continue;
        set_cell(line, at, value, table->cols[i].human);
        if (table->cols[i].status && colour)
            scols_cell_set_color(scols_line_get_cell(line, at), colour);
        at++;
    }
}

void cli_out_table_list(struct ist_sb *sb, const struct cli_table *table,
                        const struct cli_args *args)
{
    struct libscols_table *out;
    bool fitted = cli_out_width(args) > 0;

    if (table->n_rows == 0 && !args->print_empty)
        return;
    out = new_table(args);
    for (size_t i = 0; out && i < table->n_cols; i++) {
        struct ist_sb title;

        if (table->cols[i].hidden)
            continue;
        ist_sb_init(&title, 0);
        cli_safe(&title, table->cols[i].title, strlen(table->cols[i].title),
                 "");
        add_column(out, ist_sb_text(&title), is_numeric(table, i), fitted);
        ist_sb_fini(&title);
    }
    for (size_t row = 0; out && row < table->n_rows; row++)
        add_row(out, table, row);
    if (out && table->n_rows)
        print(sb, out);
    else if (out) {
        /* libsmartcols prints nothing at all without a line. */
        const char *separator = "";

        for (size_t i = 0; i < table->n_cols; i++) {
            if (table->cols[i].hidden)
                continue;
            ist_sb_puts(sb, separator);
            cli_safe(sb, table->cols[i].title, strlen(table->cols[i].title),
                     "");
            separator = "  ";
        }
        ist_sb_putc(sb, '\n');
        scols_unref_table(out);
    }
}

void cli_out_table_one(struct ist_sb *sb, const struct cli_table *table,
                       const struct cli_args *args)
{
    bool fitted = cli_out_width(args) > 0;
    struct libscols_table *out = new_table(args);

    if (!out)
        return;
    add_column(out, "Field", false, fitted);
    add_column(out, "Value", false, fitted);
    for (size_t i = 0; i < table->n_cols; i++) {
        struct libscols_line *line;
        struct ist_sb title;
        const json_t *value = cli_table_at(table, 0, i);
        const char *colour = colour_of(value);

        if (table->cols[i].hidden)
            continue;
        line = scols_table_new_line(out, NULL);
        ist_sb_init(&title, 0);
        cli_safe(&title, table->cols[i].title, strlen(table->cols[i].title),
                 "");
        scols_line_set_data(line, 0, ist_sb_text(&title));
        ist_sb_fini(&title);
        set_cell(line, 1, value, table->cols[i].human);
        if (table->cols[i].status && colour)
            scols_cell_set_color(scols_line_get_cell(line, 1), colour);
    }
    print(sb, out);
}
