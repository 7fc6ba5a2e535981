#include "cli/mend.h"

#include "base/id.h"
#include "base/utf8.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The 16 bits of "\uXXXX" at 'text', or -1. */
static int unit_at(const char *text, size_t len)
{
    uint8_t bytes[2];

    if (len < 6 || text[0] != '\\' || text[1] != 'u' ||
        !ist_hex_parse(text + 2, 4, bytes, 2))
        return -1;
    return bytes[0] << 8 | bytes[1];
}

/* One escape of a string; returns its length. */
static size_t mend_escape(struct ist_sb *sb, const char *text, size_t len)
{
    int unit = unit_at(text, len);
    size_t n = unit >= 0 ? 6 : len < 2 ? len : 2;

    if (unit >= 0xd800 && unit <= 0xdbff) {
        int low = unit_at(text + 6, len - 6);

        if (low >= 0xdc00 && low <= 0xdfff)
            n = 12;
        else
            unit = 0xdc00;
    }
    if (n == 6 && (unit == 0 || (unit >= 0xdc00 && unit <= 0xdfff)))
        ist_sb_puts(sb, "\\ufffd");
    else
        ist_sb_add(sb, text, n);
    return n;
}

/* From the quote to the quote behind it; returns the length. */
static size_t mend_string(struct ist_sb *sb, const char *text, size_t len)
{
    size_t at = 1;

    ist_sb_putc(sb, '"');
    while (at < len && text[at] != '"') {
        size_t n;

        if (text[at] == '\\') {
            at += mend_escape(sb, text + at, len - at);
            continue;
        }
        n = ist_utf8_len(text + at, len - at);
        if (n)
            ist_sb_add(sb, text + at, n);
        else
            ist_sb_puts(sb, "\xef\xbf\xbd");
        at += n ? n : 1;
    }
    if (at < len) {
        ist_sb_putc(sb, '"');
        at++;
    }
    return at;
}

static bool is_too_big(const char *number, size_t len)
{
    char text[512];
    bool whole = !memchr(number, '.', len) && !memchr(number, 'e', len) &&
                 !memchr(number, 'E', len);

    if (len < 19 && whole)
        return false;
    if (whole || len >= sizeof(text))
        return true;
    memcpy(text, number, len);
    text[len] = '\0';
    return isinf(strtod(text, NULL));
}

static size_t mend_number(struct ist_sb *sb, const char *text, size_t len)
{
    size_t n = 0;
    bool quote;

    while (n < len &&
           (isdigit((unsigned char) text[n]) || memchr("+-.eE", text[n], 5)))
        n++;
    quote = is_too_big(text, n);
    if (quote)
        ist_sb_putc(sb, '"');
    ist_sb_add(sb, text, n);
    if (quote)
        ist_sb_putc(sb, '"');
    return n;
}

void cli_mend(struct ist_sb *sb, const char *text, size_t len)
{
    size_t at = 0;

    while (at < len) {
        if (text[at] == '"')
            at += mend_string(sb, text + at, len - at);
        else if (text[at] == '-' || isdigit((unsigned char) text[at]))
            at += mend_number(sb, text + at, len - at);
        else
            ist_sb_putc(sb, text[at++]);
    }
}
