/* json.dump() of Python with indent=2, or without indent: non-ASCII as
 * \uXXXX, floats by repr(), members in the order they came. */
#include "cli/out.h"

#include "cli/safe.h"

#include <string.h>

static void put_unit(struct ist_sb *sb, uint32_t unit)
{
    ist_sb_printf(sb, "\\u%04x", (unsigned) unit);
}

static void put_char(struct ist_sb *sb, uint32_t code)
{
    static const char named[] = "\bb\ff\nn\rr\tt\"\"\\\\";

    for (const char *p = named; code && *p; p += 2) {
        if ((unsigned char) *p == code) {
            ist_sb_putc(sb, '\\');
            ist_sb_putc(sb, p[1]);
            return;
        }
    }
    if (code >= 0x10000) {
        put_unit(sb, 0xd800 + ((code - 0x10000) >> 10));
        put_unit(sb, 0xdc00 + ((code - 0x10000) & 0x3ff));
    } else if (code < 0x20 || code > 0x7e) {
        put_unit(sb, code);
    } else {
        ist_sb_putc(sb, (char) code);
    }
}

static void put_text(struct ist_sb *sb, const char *text, size_t len)
{
    size_t n;

    ist_sb_putc(sb, '"');
    for (size_t at = 0; at < len; at += n ? n : 1) {
        uint32_t code = cli_safe_code(text + at, len - at, &n);

        put_char(sb, n ? code : 0xfffd);
    }
    ist_sb_putc(sb, '"');
}

struct style {
    bool indented;
    int depth;
};

static void put_break(struct ist_sb *sb, struct style style)
{
    if (!style.indented)
        return;
    ist_sb_putc(sb, '\n');
    for (int i = 0; i < style.depth; i++)
        ist_sb_puts(sb, "  ");
}

static void put_comma(struct ist_sb *sb, struct style style)
{
    ist_sb_puts(sb, style.indented ? "," : ", ");
    put_break(sb, style);
}

static void put_value(struct ist_sb *, const json_t *, struct style);

static void put_object(struct ist_sb *sb, const json_t *object,
                       struct style outer)
{
    struct style style = {outer.indented, outer.depth + 1};
    const char *key;
    json_t *value;
    bool first = true;

    if (json_object_size(object) == 0) {
        ist_sb_puts(sb, "{}");
        return;
    }
    ist_sb_putc(sb, '{');
    put_break(sb, style);
    json_object_foreach((json_t *) (uintptr_t) object, key, value)
    {
        if (!first)
            put_comma(sb, style);
        put_text(sb, key, strlen(key));
        ist_sb_puts(sb, ": ");
        put_value(sb, value, style);
        first = false;
    }
    put_break(sb, outer);
    ist_sb_putc(sb, '}');
}

static void put_list(struct ist_sb *sb, const json_t *list, struct style outer)
{
    struct style style = {outer.indented, outer.depth + 1};

    if (json_array_size(list) == 0) {
        ist_sb_puts(sb, "[]");
        return;
    }
    ist_sb_putc(sb, '[');
    put_break(sb, style);
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (i)
            put_comma(sb, style);
        put_value(sb, json_array_get(list, i), style);
    }
    put_break(sb, outer);
    ist_sb_putc(sb, ']');
}

static void put_value(struct ist_sb *sb, const json_t *value,
                      struct style style)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        put_object(sb, value, style);
        break;
    case JSON_ARRAY:
        put_list(sb, value, style);
        break;
    case JSON_STRING:
        put_text(sb, json_string_value(value), json_string_length(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        ist_sb_puts(sb, json_is_true(value) ? "true" : "false");
        break;
    case JSON_NULL:
        ist_sb_puts(sb, "null");
        break;
    default:
        cli_cell_str(sb, value);
        break;
    }
}

static void put_row(struct ist_sb *sb, const struct cli_table *table,
                    size_t row, struct style outer)
{
    struct style style = {outer.indented, outer.depth + 1};
    bool first = true;

    ist_sb_putc(sb, '{');
    for (size_t i = 0; i < table->n_cols; i++) {
        if (table->cols[i].hidden)
            continue;
        if (first)
            put_break(sb, style);
        else
            put_comma(sb, style);
        put_text(sb, table->cols[i].title, strlen(table->cols[i].title));
        ist_sb_puts(sb, ": ");
        put_value(sb, cli_table_at(table, row, i), style);
        first = false;
    }
    if (!first)
        put_break(sb, outer);
    ist_sb_putc(sb, '}');
}

void cli_out_json_list(struct ist_sb *sb, const struct cli_table *table,
                       const struct cli_args *args)
{
    struct style outer = {!args->noindent, 0}, style = {!args->noindent, 1};

    ist_sb_putc(sb, '[');
    for (size_t i = 0; i < table->n_rows; i++) {
        if (i)
            put_comma(sb, style);
        else
            put_break(sb, style);
        put_row(sb, table, i, style);
    }
    if (table->n_rows)
        put_break(sb, outer);
    ist_sb_puts(sb, "]\n");
}

void cli_out_json_one(struct ist_sb *sb, const struct cli_table *table,
                      const struct cli_args *args)
{
    struct style style = {!args->noindent, 0};

    put_row(sb, table, 0, style);
    ist_sb_putc(sb, '\n');
}
