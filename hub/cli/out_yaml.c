/* yaml.safe_dump() of PyYAML, byte for byte: block style, keys sorted, lines
 * folded behind column 80, everything beyond ASCII escaped. (libyaml folds
 * and treats empty keys in another way.)
 *
 * The writer remembers where it stands: 'white' when what it wrote last was
 * white space, 'fresh' while the line holds nothing but indicators. */
#include "cli/out.h"

#include "cli/safe.h"
#include "cli/yaml_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH   80
#define KEY_MAX 123 /* Characters of a key that stands on its value's line. */

struct yaml {
    struct ist_sb *sb;
    int column, indent; /* An indent of -1 is none yet. */
    bool white, fresh;
};

static void put(struct yaml *y, const char *text, size_t len)
{
    ist_sb_add(y->sb, text, len);
    y->column += (int) len;
}

static void put_break(struct yaml *y)
{
    ist_sb_putc(y->sb, '\n');
    y->column = 0;
    y->white = y->fresh = true;
}

static void put_indent(struct yaml *y)
{
    int indent = y->indent < 0 ? 0 : y->indent;

    if (!y->fresh || y->column > indent || (y->column == indent && !y->white))
        put_break(y);
    if (y->column < indent) {
        ist_sb_printf(y->sb, "%*s", indent - y->column, "");
        y->column = indent;
        y->white = true;
    }
}

static void put_space(struct yaml *y)
{
    if (!y->white)
        put(y, " ", 1);
    y->white = false;
}

/* "-", "?" and ":" at the begin of a line leave it fresh. */
static void put_indicator(struct yaml *y, char c, bool spaced, bool opens)
{
    if (spaced)
        put_space(y);
    put(y, &c, 1);
    y->white = false;
    y->fresh = y->fresh && opens;
}

/* A run of spaces between words: where the line is long and it is a single
 * one, the line ends there instead. */
static size_t put_spaces(struct yaml *y, const char *text, size_t at,
                         size_t len, bool folds)
{
    size_t n = strspn(text + at, " ");

    if (n > len - at)
        n = len - at;
    if (n == 1 && y->column > WIDTH && folds && at && at + n < len)
        put_indent(y);
    else
        put(y, text + at, n);
    return n;
}

static void put_plain(struct yaml *y, const char *text, size_t len, bool folds)
{
    if (len == 0)
        return;
    put_space(y);
    y->fresh = false;
    for (size_t at = 0, n; at < len; at += n) {
        n = text[at] == ' ' ? put_spaces(y, text, at, len, folds)
                            : strcspn(text + at, " ");
        if (text[at] != ' ')
            put(y, text + at, n);
        y->white = y->fresh = false;
    }
}

/* One line break of the text is two in the file: a single one would fold. */
static size_t put_breaks(struct yaml *y, const char *text)
{
    size_t n = strspn(text, "\n");

    for (size_t i = 0; i < n + 1; i++)
        put_break(y);
    put_indent(y);
    return n;
}

static void put_single(struct yaml *y, const char *text, size_t len, bool folds)
{
    put_indicator(y, '\'', true, false);
    for (size_t at = 0, n; at < len; at += n) {
        if (text[at] == ' ') {
            n = put_spaces(y, text, at, len, folds);
        } else if (text[at] == '\n') {
            n = put_breaks(y, text + at);
        } else if (text[at] == '\'') {
            put(y, "''", 2);
            n = 1;
        } else {
            n = strcspn(text + at, " \n'");
            put(y, text + at, n);
        }
    }
    put_indicator(y, '\'', false, false);
}

static void put_escape(struct yaml *y, uint32_t code)
{
    static const struct {
        uint32_t code;
        char name;
    } named[] = {
        {0, '0'},     {7, 'a'},    {8, 'b'},    {9, 't'},      {10, 'n'},
        {11, 'v'},    {12, 'f'},   {13, 'r'},   {27, 'e'},     {'"', '"'},
        {'\\', '\\'}, {0x85, 'N'}, {0xa0, '_'}, {0x2028, 'L'}, {0x2029, 'P'},
    };
    char text[12];
    int len;

    for (size_t i = 0; i < IST_COUNT(named); i++) {
        if (named[i].code == code) {
            snprintf(text, sizeof(text), "\\%c", named[i].name);
            put(y, text, 2);
            return;
        }
    }
    len = snprintf(text, sizeof(text),
                   code <= 0xff     ? "\\x%02X"
                   : code <= 0xffff ? "\\u%04X"
                                    : "\\U%08X",
                   (unsigned) code);
    put(y, text, (size_t) len);
}

static bool is_literal(uint32_t code)
{
    return code >= 0x20 && code <= 0x7e && code != '"' && code != '\\';
}

static void put_fold(struct yaml *y, char next)
{
    put(y, "\\", 1);
    put_indent(y);
    y->white = y->fresh = false;
    if (next == ' ')
        put(y, "\\", 1);
}

/* Literal characters wait in text[start..at) until something follows them. A
 * long line ends in '\', before a space or behind an escape. */
static void put_double(struct yaml *y, const char *text, size_t len, bool folds)
{
    size_t start = 0, at = 0, n;

    put_indicator(y, '"', true, false);
    for (; at < len; at += n) {
        uint32_t code = cli_safe_code(text + at, len - at, &n);
        size_t n_waiting;
        bool escaped = n == 0 || !is_literal(code);

        n = n ? n : 1;
        if (escaped) {
            put(y, text + start, at - start);
            put_escape(y, code);
            start = at + n;
        }
        n_waiting = escaped ? 0 : at - start;
        if (at == 0 || at + n >= len || !folds ||
            (code != ' ' && n_waiting > 0) ||
            y->column + (int) n_waiting - escaped <= WIDTH)
            continue;
        put(y, text + start, n_waiting);
        start = escaped ? start : at;
        put_fold(y, text[start]);
    }
    put(y, text + start, len - start);
    put_indicator(y, '"', false, false);
}

static void put_text(struct yaml *y, const char *text, size_t len, bool as_key)
{
    if (len == 0) {
        put_single(y, text, len, !as_key);
        return;
    }
    switch (cli_yaml_style(text, len, as_key)) {
    case CLI_YAML_PLAIN:
        put_plain(y, text, len, !as_key);
        break;
    case CLI_YAML_SINGLE:
        put_single(y, text, len, !as_key);
        break;
    case CLI_YAML_DOUBLE:
        put_double(y, text, len, !as_key);
        break;
    }
}

/* repr(), with a ".0" before an exponent that has no dot. */
static void put_real(struct yaml *y, double value)
{
    struct ist_sb sb, dotted;
    const char *text, *e;

    ist_sb_init(&sb, 0);
    ist_sb_init(&dotted, 0);
    cli_cell_real(&sb, value);
    text = ist_sb_text(&sb);
    e = strchr(text, 'e');
    if (e && !strchr(text, '.'))
        ist_sb_printf(&dotted, "%.*s.0%s", (int) (e - text), text, e);
    else
        ist_sb_puts(&dotted, text);
    put_plain(y, ist_sb_text(&dotted), dotted.len, false);
    ist_sb_fini(&sb);
    ist_sb_fini(&dotted);
}

static void put_scalar(struct yaml *y, const json_t *value)
{
    char number[32];

    switch (json_typeof(value)) {
    case JSON_STRING: {
        int outer = y->indent;

        y->indent = outer < 0 ? 2 : outer + 2; /* Of lines that fold. */
        put_text(y, json_string_value(value), json_string_length(value), false);
        y->indent = outer;
        break;
    }
    case JSON_INTEGER:
        snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
                 json_integer_value(value));
        put_plain(y, number, strlen(number), false);
        break;
    case JSON_REAL:
        put_real(y, json_real_value(value));
        break;
    case JSON_TRUE:
        put_plain(y, "true", 4, false);
        break;
    case JSON_FALSE:
        put_plain(y, "false", 5, false);
        break;
    default:
        put_plain(y, "null", 4, false);
        break;
    }
}

static void put_value(struct yaml *, const json_t *, bool in_mapping);

/* What opens a collection counts as white, what closes it does not. */
static void put_empty(struct yaml *y, const char *both)
{
    put_space(y);
    put(y, both, 2);
    y->white = y->fresh = false;
}

static void put_list(struct yaml *y, const json_t *list, bool in_mapping)
{
    int outer = y->indent;

    if (outer < 0)
        y->indent = 0;
    else if (!in_mapping || y->fresh)
        y->indent += 2;
    for (size_t i = 0; i < json_array_size(list); i++) {
        put_indent(y);
        put_indicator(y, '-', true, true);
        put_value(y, json_array_get(list, i), false);
    }
    y->indent = outer;
}

struct pair {
    const char *key;
    const json_t *value;
};

static int pair_cmp(const void *a, const void *b)
{
    return strcmp(((const struct pair *) a)->key,
                  ((const struct pair *) b)->key);
}

static size_t n_chars(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char) *text & 0xc0) != 0x80;
    return n;
}

/* "key: value", or "? key" and ": value" in two lines when it is no key for
 * one line. */
static void put_pair(struct yaml *y, const struct pair *pair)
{
    size_t len = strlen(pair->key);
    bool simple =
        len && n_chars(pair->key) < KEY_MAX && !strchr(pair->key, '\n');
    int outer = y->indent;

    put_indent(y);
    if (!simple)
        put_indicator(y, '?', true, true);
    y->indent += 2;
    put_text(y, pair->key, len, simple);
    y->indent = outer;
    if (!simple)
        put_indent(y);
    put_indicator(y, ':', !simple, !simple);
    put_value(y, pair->value, true);
}

static void put_pairs(struct yaml *y, struct pair *pairs, size_t n)
{
    int outer = y->indent;

    y->indent = outer < 0 ? 0 : outer + 2;
    qsort(pairs, n, sizeof(*pairs), pair_cmp);
    for (size_t i = 0; i < n; i++)
        put_pair(y, &pairs[i]);
    y->indent = outer;
}

static void put_object(struct yaml *y, const json_t *object)
{
    struct pair *pairs = calloc(json_object_size(object), sizeof(*pairs));
    const char *key;
    json_t *value;
    size_t n = 0;

    if (!pairs) {
        y->sb->rc = -ENOMEM;
        return;
    }
    json_object_foreach((json_t *) (uintptr_t) object, key, value)
    {
        pairs[n++] = (struct pair){key, value};
    }
    put_pairs(y, pairs, n);
    free(pairs);
}

static void put_value(struct yaml *y, const json_t *value, bool in_mapping)
{
    if (json_is_object(value) && json_object_size(value))
        put_object(y, value);
    else if (json_is_object(value))
        put_empty(y, "{}");
    else if (json_is_array(value) && json_array_size(value))
        put_list(y, value, in_mapping);
    else if (json_is_array(value))
        put_empty(y, "[]");
    else
        put_scalar(y, value);
}

/* Columns from 'first' up to 'end' of a row. */
static void put_row(struct yaml *y, const struct cli_table *table, size_t row,
                    size_t first, size_t end)
{
    struct pair *pairs = calloc(table->n_cols + 1, sizeof(*pairs));
    size_t n = 0;

    if (!pairs) {
        y->sb->rc = -ENOMEM;
        return;
    }
    for (size_t i = first; i < end; i++) {
        if (!table->cols[i].hidden)
            pairs[n++] = (struct pair){table->cols[i].title,
                                       cli_table_at(table, row, i)};
    }
    put_pairs(y, pairs, n);
    free(pairs);
}

void cli_out_yaml_list(struct ist_sb *sb, const struct cli_table *table,
                       const struct cli_args *args)
{
    struct yaml y = {.sb = sb, .white = true, .fresh = true};

    (void) args;
    for (size_t row = 0; row < table->n_rows; row++) {
        put_indent(&y);
        put_indicator(&y, '-', true, true);
        put_row(&y, table, row, 0, table->n_cols);
    }
    if (table->n_rows == 0)
        put_empty(&y, "[]");
    put_break(&y);
}

/* One document after the other, each of one field: in the order given. */
void cli_out_yaml_one(struct ist_sb *sb, const struct cli_table *table,
                      const struct cli_args *args)
{
    (void) args;
    for (size_t i = 0; i < table->n_cols; i++) {
        struct yaml y = {.sb = sb, .indent = -1, .white = true, .fresh = true};

        if (table->cols[i].hidden)
            continue;
        put_row(&y, table, 0, i, i + 1);
        put_break(&y);
    }
}
