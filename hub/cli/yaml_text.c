#include "cli/yaml_text.h"

#include "base/scope.h"

#include <ctype.h>
#include <string.h>

static bool is_word(const char *text)
{
    static const char *const words[] = {
        "yes",  "Yes",   "YES",   "no",    "No",   "NO",   "true", "True",
        "TRUE", "false", "False", "FALSE", "on",   "On",   "ON",   "off",
        "Off",  "OFF",   "~",     "null",  "Null", "NULL", "",     "<<",
        "=",    "!",     "&",     "*",     ".nan", ".NaN", ".NAN",
    };
    static const char *const signed_words[] = {".inf", ".Inf", ".INF"};

    for (size_t i = 0; i < IST_COUNT(words); i++) {
        if (strcmp(words[i], text) == 0)
            return true;
    }
    text += *text == '-' || *text == '+';
    for (size_t i = 0; i < IST_COUNT(signed_words); i++) {
        if (strcmp(signed_words[i], text) == 0)
            return true;
    }
    return false;
}

static const char *span(const char *at, const char *set)
{
    return at + strspn(at, set);
}

/* (:[0-5]?[0-9])+ up to 'end'. */
static bool is_base60(const char *at, const char *end)
{
    if (at == end)
        return false;
    while (at < end) {
        if (*at++ != ':')
            return false;
        if (*at >= '0' && *at <= '5' && isdigit((unsigned char) at[1]))
            at++;
        if (!isdigit((unsigned char) *at++))
            return false;
    }
    return at == end;
}

/* [-+]? 0b[01_]+ | 0x[0-9a-fA-F_]+ | 0[0-7_]* | [1-9][0-9_]* | the same with
 * a tail of base 60 */
static bool is_int(const char *text)
{
    const char *at = text + (*text == '-' || *text == '+');

    if (at[0] == '0' && at[1] == 'b')
        return at[2] && !*span(at + 2, "01_");
    if (at[0] == '0' && at[1] == 'x')
        return at[2] && !*span(at + 2, "0123456789abcdefABCDEF_");
    if (at[0] == '0')
        return !*span(at, "01234567_");
    if (at[0] < '1' || at[0] > '9')
        return false;
    at = span(at, "0123456789_");
    return *at == '\0' || is_base60(at, at + strlen(at));
}

/* ([eE][-+][0-9]+)? */
static bool is_exponent(const char *at)
{
    if (*at == '\0')
        return true;
    return (*at == 'e' || *at == 'E') && (at[1] == '-' || at[1] == '+') &&
           at[2] && !*span(at + 2, "0123456789");
}

/* [-+]?[0-9][0-9_]*\.[0-9_]* with exponent | \.[0-9][0-9_]* with exponent |
 * [-+]?[0-9][0-9_]* of base 60 \.[0-9_]* */
static bool is_float(const char *text)
{
    const char *at = text + (*text == '-' || *text == '+');
    const char *dot = strchr(text, '.');

    if (text[0] == '.')
        return isdigit((unsigned char) text[1]) &&
               is_exponent(span(text + 1, "0123456789_"));
    if (!isdigit((unsigned char) at[0]) || !dot)
        return false;
    at = span(at, "0123456789_");
    if (at == dot)
        return is_exponent(span(dot + 1, "0123456789_"));
    return is_base60(at, dot) && !*span(dot + 1, "0123456789_");
}

/* From 'min' to 'max' digits; NULL when there are fewer, or 'at' is NULL. */
static const char *digits(const char *at, int min, int max)
{
    int n = 0;

    while (at && n < max && isdigit((unsigned char) at[n]))
        n++;
    return at && n >= min ? at + n : NULL;
}

static const char *one(const char *at, char c)
{
    return at && *at == c ? at + 1 : NULL;
}

/* ([ \t]*(Z|[-+][0-9][0-9]?(:[0-9][0-9])?))? */
static bool is_zone(const char *at)
{
    if (*at == '\0')
        return true;
    at = span(at, " \t");
    if (*at == 'Z')
        return at[1] == '\0';
    if (*at != '-' && *at != '+')
        return false;
    at = digits(at + 1, 1, 2);
    if (at && *at == ':')
        at = digits(at + 1, 2, 2);
    return at && *at == '\0';
}

static bool is_time(const char *text)
{
    const char *at = one(digits(text, 4, 4), '-');

    at = digits(one(digits(at, 1, 2), '-'), 1, 2);
    if (!at)
        return false;
    if (*at == '\0') /* A date alone has two digits each. */
        return strlen(text) == 10;
    if (*at == 'T' || *at == 't')
        at++;
    else if (span(at, " \t") != at)
        at = span(at, " \t");
    else
        return false;
    at = one(digits(at, 1, 2), ':');
    at = digits(one(digits(at, 2, 2), ':'), 2, 2);
    if (at && *at == '.')
        at = span(at + 1, "0123456789");
    return at && is_zone(at);
}

bool cli_yaml_is_other(const char *text)
{
    return is_word(text) || is_int(text) || is_float(text) || is_time(text);
}

static bool is_white(const char *text, size_t len, size_t at)
{
    return at >= len || !text[at] || strchr(" \t\r\n", text[at]);
}

/* Something in it would mean something to a reader of YAML. */
static bool has_indicator(const char *text, size_t len)
{
    if (len >= 3 &&
        (memcmp(text, "---", 3) == 0 || memcmp(text, "...", 3) == 0))
        return true;
    if (text[0] && strchr("#,[]{}&*!|>'\"%@`", text[0]))
        return true;
    if (strchr("?:-", text[0]) && is_white(text, len, 1))
        return true;
    for (size_t i = 1; i < len; i++) {
        if (text[i] == ':' && is_white(text, len, i + 1))
            return true;
        if (text[i] == '#' && is_white(text, len, i - 1))
            return true;
    }
    return false;
}

/* Only a double-quoted scalar can hold it. */
static bool needs_escape(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '\n' && (text[i] < 0x20 || text[i] > 0x7e))
            return true;
        if (i + 1 < len && ((text[i] == ' ' && text[i + 1] == '\n') ||
                            (text[i] == '\n' && text[i + 1] == ' ')))
            return true;
    }
    return false;
}

enum cli_yaml_style cli_yaml_style(const char *text, size_t len, bool as_key)
{
    bool lines = memchr(text, '\n', len) != NULL;

    if (needs_escape(text, len) || (lines && as_key))
        return CLI_YAML_DOUBLE;
    if (lines || text[0] == ' ' || text[len - 1] == ' ' ||
        has_indicator(text, len) || cli_yaml_is_other(text))
        return CLI_YAML_SINGLE;
    return CLI_YAML_PLAIN;
}
