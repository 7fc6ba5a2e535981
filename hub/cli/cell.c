#include "cli/cell.h"

#include "base/scope.h"
#include "cli/safe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 17 /* Enough for any double. */

/* Digits and decimal exponent of the shortest text that reads back as
 * 'value', which is not negative. */
static int shortest(double value, char *digits, size_t size)
{
    char text[40];
    const char *e;
    size_t n = 0;

    for (int n_digits = 1; n_digits <= DIGITS_MAX; n_digits++) {
        snprintf(text, sizeof(text), "%.*e", n_digits - 1, value);
        if (strtod(text, NULL) == value)
            break;
    }
    e = strchr(text, 'e');
    for (const char *p = text; p < e && n + 1 < size; p++) {
        if (*p != '.')
            digits[n++] = *p;
    }
    digits[n] = '\0';
    return (int) strtol(e + 1, NULL, 10);
}

static void put_zeros(struct ist_sb *sb, int n)
{
    for (; n > 0; n--)
        ist_sb_putc(sb, '0');
}

static void put_fixed(struct ist_sb *sb, const char *digits, int exp)
{
    int n = (int) strlen(digits), whole = exp + 1;

    if (whole <= 0) {
        ist_sb_puts(sb, "0.");
        put_zeros(sb, -whole);
        ist_sb_puts(sb, digits);
        return;
    }
    ist_sb_add(sb, digits, (size_t) (n < whole ? n : whole));
    put_zeros(sb, whole - n);
    ist_sb_puts(sb, ".");
    ist_sb_puts(sb, n > whole ? digits + whole : "0");
}

void cli_cell_real(struct ist_sb *sb, double value)
{
    char digits[DIGITS_MAX + 1];
    int exp;

    if (value < 0 || (value == 0 && 1 / value < 0)) {
        ist_sb_putc(sb, '-');
        value = -value;
    }
    exp = shortest(value, digits, sizeof(digits));
    if (exp >= -4 && exp < 16) {
        put_fixed(sb, digits, exp);
        return;
    }
    ist_sb_putc(sb, digits[0]);
    if (digits[1])
        ist_sb_printf(sb, ".%s", digits + 1);
    ist_sb_printf(sb, "e%c%02d", exp < 0 ? '-' : '+', abs(exp));
}

/* What str.isprintable() denies: the ranges of the Unicode categories Cc, Cf,
 * Cs, Co, Zl, Zp and Zs that may turn up in names. */
static bool is_printable(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } hidden[] = {
        {0x00, 0x1f},        {0x7f, 0xa0},     {0xad, 0xad},
        {0x600, 0x605},      {0x61c, 0x61c},   {0x6dd, 0x6dd},
        {0x70f, 0x70f},      {0x1680, 0x1680}, {0x180e, 0x180e},
        {0x2000, 0x200f},    {0x2028, 0x202f}, {0x205f, 0x206f},
        {0x3000, 0x3000},    {0xd800, 0xf8ff}, {0xfeff, 0xfeff},
        {0xfff0, 0xfffb},    {0xfffe, 0xffff}, {0xe0000, 0xe00ff},
        {0xf0000, 0x10ffff},
    };

    for (size_t i = 0; i < IST_COUNT(hidden); i++) {
        if (code >= hidden[i].first && code <= hidden[i].last)
            return false;
    }
    return true;
}

static void put_repr_char(struct ist_sb *sb, uint32_t code, char quote)
{
    if (code == (unsigned char) quote || code == '\\')
        ist_sb_printf(sb, "\\%c", (char) code);
    else if (code == '\n' || code == '\r' || code == '\t')
        ist_sb_puts(sb, code == '\n' ? "\\n" : code == '\r' ? "\\r" : "\\t");
    else
        ist_sb_printf(sb,
                      code < 0x100     ? "\\x%02x"
                      : code < 0x10000 ? "\\u%04x"
                                       : "\\U%08x",
                      (unsigned) code);
}

static void put_repr_text(struct ist_sb *sb, const char *text, size_t len)
{
    char quote =
        memchr(text, '\'', len) && !memchr(text, '"', len) ? '"' : '\'';
    size_t n;

    ist_sb_putc(sb, quote);
    for (size_t at = 0; at < len; at += n ? n : 1) {
        uint32_t code = cli_safe_code(text + at, len - at, &n);

        if (n && code != (unsigned char) quote && code != '\\' &&
            is_printable(code))
            ist_sb_add(sb, text + at, n);
        else
            put_repr_char(sb, code, quote);
    }
    ist_sb_putc(sb, quote);
}

static void put_repr(struct ist_sb *, const json_t *);

static void put_list(struct ist_sb *sb, const json_t *list)
{
    ist_sb_putc(sb, '[');
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (i)
            ist_sb_puts(sb, ", ");
        put_repr(sb, json_array_get(list, i));
    }
    ist_sb_putc(sb, ']');
}

static void put_object(struct ist_sb *sb, const json_t *object)
{
    const char *key, *separator = "";
    json_t *value;

    ist_sb_putc(sb, '{');
    json_object_foreach((json_t *) (uintptr_t) object, key, value)
    {
        ist_sb_puts(sb, separator);
        put_repr_text(sb, key, strlen(key));
        ist_sb_puts(sb, ": ");
        put_repr(sb, value);
        separator = ", ";
    }
    ist_sb_putc(sb, '}');
}

static void put_repr(struct ist_sb *sb, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        put_repr_text(sb, json_string_value(value), json_string_length(value));
        break;
    case JSON_ARRAY:
        put_list(sb, value);
        break;
    case JSON_OBJECT:
        put_object(sb, value);
        break;
    case JSON_INTEGER:
        ist_sb_printf(sb, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        cli_cell_real(sb, json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        ist_sb_puts(sb, json_is_true(value) ? "True" : "False");
        break;
    case JSON_NULL:
        ist_sb_puts(sb, "None");
        break;
    }
}

void cli_cell_str(struct ist_sb *sb, const json_t *value)
{
    if (json_is_string(value))
        ist_sb_add(sb, json_string_value(value), json_string_length(value));
    else
        put_repr(sb, value);
}

/* str(), escaped. */
static void put_safe(struct ist_sb *sb, const json_t *value)
{
    if (json_is_string(value))
        cli_safe(sb, json_string_value(value), json_string_length(value), "");
    else
        put_repr(sb, value);
}

static void put_human_object(struct ist_sb *sb, const json_t *object)
{
    const char *key, *separator = "";
    json_t *value;

    json_object_foreach((json_t *) (uintptr_t) object, key, value)
    {
        ist_sb_puts(sb, separator);
        cli_safe(sb, key, strlen(key), "");
        ist_sb_puts(sb, json_is_array(value) ? "=" : "='");
        if (json_is_array(value))
            cli_cell_human(sb, value);
        else
            put_safe(sb, value);
        ist_sb_puts(sb, json_is_array(value) ? "" : "'");
        separator = json_is_array(value) ? "; " : ", ";
    }
}

void cli_cell_human(struct ist_sb *sb, const json_t *value)
{
    if (json_is_object(value)) {
        put_human_object(sb, value);
        return;
    }
    if (!json_is_array(value)) {
        put_safe(sb, value);
        return;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);

        if (i)
            ist_sb_puts(sb, json_is_object(item) ? "\n" : ", ");
        if (json_is_object(item))
            put_human_object(sb, item);
        else
            put_safe(sb, item);
    }
}

enum cli_class cli_cell_class(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_NULL:
        return CLI_CLASS_NULL;
    case JSON_STRING:
        return CLI_CLASS_TEXT;
    case JSON_INTEGER:
    case JSON_REAL:
    case JSON_TRUE:
    case JSON_FALSE:
        return CLI_CLASS_NUMBER;
    default:
        return CLI_CLASS_NO;
    }
}

static double number(const json_t *value)
{
    return json_is_boolean(value) ? json_is_true(value)
                                  : json_number_value(value);
}

int cli_cell_cmp(const json_t *a, const json_t *b)
{
    if (json_is_null(a) || json_is_null(b))
        return json_is_null(a) - json_is_null(b);
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t x = json_integer_value(a), y = json_integer_value(b);

        return x < y ? -1 : x > y;
    }
    if (cli_cell_class(a) == CLI_CLASS_NUMBER) {
        double x = number(a), y = number(b);

        return x < y ? -1 : x > y;
    }
    /* UTF-8 sorts as its code points do, and those are Python's order. */
    return strcmp(json_string_value(a), json_string_value(b));
}
