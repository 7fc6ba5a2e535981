/* csv as Python's csv.writer puts it with an escape character of '\', value
 * and shell as cliff does: the formats of one line per row or field. */
#include "cli/out.h"

#include "cli/safe.h"

#include <ctype.h>
#include <string.h>

/* What csv.writer calls a number: bool is one in Python. */
static bool is_number(const json_t *value)
{
    return json_is_number(value) || json_is_boolean(value);
}

static bool has_special(const char *text)
{
    return strpbrk(text, ",\"\n\r") != NULL;
}

/* Every quote doubled; the escape character escaped by itself. */
static void put_quoted(struct ist_sb *sb, const char *text)
{
    ist_sb_putc(sb, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            ist_sb_putc(sb, *text);
        ist_sb_putc(sb, *text);
    }
    ist_sb_putc(sb, '"');
}

static void put_bare(struct ist_sb *sb, const char *text, bool escaped)
{
    for (; *text; text++) {
        if (*text == '\\' || (escaped && strchr(",\"\n\r", *text)))
            ist_sb_putc(sb, '\\');
        ist_sb_putc(sb, *text);
    }
}

static void put_field(struct ist_sb *sb, const char *text, bool number,
                      bool alone, const char *mode)
{
    bool none = strcmp(mode, "none") == 0;
    bool quoted = !none && (strcmp(mode, "all") == 0 || has_special(text) ||
                            (strcmp(mode, "nonnumeric") == 0 && !number) ||
                            (alone && !*text));

    if (quoted)
        put_quoted(sb, text);
    else
        put_bare(sb, text, none);
}

static size_t n_shown(const struct cli_table *table)
{
    size_t n = 0;

    for (size_t i = 0; i < table->n_cols; i++)
        n += !table->cols[i].hidden;
    return n;
}

static void put_safe_field(struct ist_sb *sb, const char *text, size_t len,
                           bool number, bool alone, const char *mode)
{
    struct ist_sb safe;

    ist_sb_init(&safe, 0);
    cli_safe(&safe, text, len, "\n\t");
    put_field(sb, ist_sb_text(&safe), number, alone, mode);
    ist_sb_fini(&safe);
}

static void put_csv_cell(struct ist_sb *sb, const json_t *value, bool alone,
                         const char *mode)
{
    struct ist_sb raw;

    ist_sb_init(&raw, 0);
    if (!json_is_null(value))
        cli_cell_str(&raw, value);
    put_safe_field(sb, ist_sb_text(&raw), raw.len, is_number(value), alone,
                   mode);
    ist_sb_fini(&raw);
}

void cli_out_csv_list(struct ist_sb *sb, const struct cli_table *table,
                      const struct cli_args *args)
{
    bool alone = n_shown(table) == 1;
    const char *comma = "";

    for (size_t i = 0; i < table->n_cols; i++) {
        if (table->cols[i].hidden)
            continue;
        ist_sb_puts(sb, comma);
        put_safe_field(sb, table->cols[i].title, strlen(table->cols[i].title),
                       false, alone, args->quote);
        comma = ",";
    }
    ist_sb_putc(sb, '\n');
    for (size_t row = 0; row < table->n_rows; row++) {
        comma = "";
        for (size_t i = 0; i < table->n_cols; i++) {
            if (table->cols[i].hidden)
                continue;
            ist_sb_puts(sb, comma);
            put_csv_cell(sb, cli_table_at(table, row, i), alone, args->quote);
            comma = ",";
        }
        ist_sb_putc(sb, '\n');
    }
}

/* str(), in one line: a newline would begin a row that is none. */
static void put_line(struct ist_sb *sb, const json_t *value)
{
    struct ist_sb raw;

    ist_sb_init(&raw, 0);
    cli_cell_str(&raw, value);
    cli_safe(sb, ist_sb_text(&raw), raw.len, "\t");
    ist_sb_fini(&raw);
}

static void put_values(struct ist_sb *sb, const struct cli_table *table,
                       size_t row, const char *between)
{
    const char *separator = "";

    for (size_t i = 0; i < table->n_cols; i++) {
        if (table->cols[i].hidden)
            continue;
        ist_sb_puts(sb, separator);
        put_line(sb, cli_table_at(table, row, i));
        separator = between;
    }
    ist_sb_putc(sb, '\n');
}

void cli_out_value_list(struct ist_sb *sb, const struct cli_table *table,
                        const struct cli_args *args)
{
    (void) args;
    for (size_t row = 0; row < table->n_rows; row++)
        put_values(sb, table, row, " ");
}

void cli_out_value_one(struct ist_sb *sb, const struct cli_table *table,
                       const struct cli_args *args)
{
    (void) args;
    put_values(sb, table, 0, "\n");
}

/* Letters, digits and '_': anything else in a name would not be one, or would
 * run what a site put into it. */
static void put_variable(struct ist_sb *sb, const char *title)
{
    for (; *title; title++) {
        unsigned char c = (unsigned char) *title;

        ist_sb_putc(sb, isalnum(c) ? (char) tolower(c) : '_');
    }
}

/* cliff escapes the quote only; we escape all that the shell would act on,
 * since such output is made to be evaluated. */
static void put_shell_value(struct ist_sb *sb, const json_t *value)
{
    struct ist_sb line;

    ist_sb_init(&line, 0);
    put_line(&line, value);
    for (const char *p = ist_sb_text(&line); *p; p++) {
        if (strchr("\"$`\\", *p))
            ist_sb_putc(sb, '\\');
        ist_sb_putc(sb, *p);
    }
    ist_sb_fini(&line);
}

void cli_out_shell_one(struct ist_sb *sb, const struct cli_table *table,
                       const struct cli_args *args)
{
    for (size_t i = 0; i < table->n_cols; i++) {
        if (table->cols[i].hidden)
            continue;
        ist_sb_puts(sb, args->prefix);
        put_variable(sb, table->cols[i].title);
        ist_sb_puts(sb, "=\"");
        put_shell_value(sb, cli_table_at(table, 0, i));
        ist_sb_puts(sb, "\"\n");
    }
}
