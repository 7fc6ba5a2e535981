#include "cli/safe.h"

#include "base/utf8.h"

#include <string.h>

bool cli_safe_is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x61c ||
           code == 0x200e || code == 0x200f ||
           (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

uint32_t cli_safe_code(const char *text, size_t size, size_t *ret_len)
{
    static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    const unsigned char *s = (const unsigned char *) text;
    size_t len = ist_utf8_len(text, size);
    uint32_t code;

    *ret_len = len;
    if (len == 0)
        return s[0];
    code = s[0] & mask[len];
    for (size_t i = 1; i < len; i++)
        code = code << 6 | (s[i] & 0x3f);
    return code;
}

static void escape(struct ist_sb *sb, uint32_t code)
{
    const char *named = code == '\n'   ? "\\n"
                        : code == '\r' ? "\\r"
                        : code == '\t' ? "\\t"
                                       : NULL;

    if (named)
        ist_sb_puts(sb, named);
    else if (code < 0x80)
        ist_sb_printf(sb, "\\x%02x", (unsigned) code);
    else
        ist_sb_printf(sb, "\\u%04x", (unsigned) code);
}

void cli_safe(struct ist_sb *sb, const char *text, size_t len, const char *keep)
{
    size_t start = 0, at = 0;

    while (at < len) {
        size_t n;
        uint32_t code = cli_safe_code(text + at, len - at, &n);
        bool kept = code && code < 0x80 && strchr(keep, (int) code);

        if (n && (kept || !cli_safe_is_control(code))) {
            at += n;
            continue;
        }
        ist_sb_add(sb, text + start, at - start);
        if (n)
            escape(sb, code);
        else
            ist_sb_printf(sb, "\\x%02x", (unsigned) code);
        at += n ? n : 1;
        start = at;
    }
    ist_sb_add(sb, text + start, len - start);
}
