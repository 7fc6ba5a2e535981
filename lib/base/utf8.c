#include "base/utf8.h"

static bool in(unsigned char c, unsigned char low, unsigned char high)
{
    return c >= low && c <= high;
}

size_t ist_utf8_len(const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *) text;

    if (len == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    if (in(s[0], 0xC2, 0xDF))
        return len >= 2 && in(s[1], 0x80, 0xBF) ? 2 : 0;
    if (in(s[0], 0xE0, 0xEF)) {
        unsigned char low = s[0] == 0xE0 ? 0xA0 : 0x80;
        unsigned char high = s[0] == 0xED ? 0x9F : 0xBF;

        return len >= 3 && in(s[1], low, high) && in(s[2], 0x80, 0xBF) ? 3 : 0;
    }
    if (in(s[0], 0xF0, 0xF4)) {
        unsigned char low = s[0] == 0xF0 ? 0x90 : 0x80;
        unsigned char high = s[0] == 0xF4 ? 0x8F : 0xBF;

        return len >= 4 && in(s[1], low, high) && in(s[2], 0x80, 0xBF) &&
                       in(s[3], 0x80, 0xBF)
                   ? 4
                   : 0;
    }
    return 0;
}

bool ist_utf8_valid(const char *text, size_t len)
{
    while (len) {
        size_t n = ist_utf8_len(text, len);

        if (n == 0)
            return false;
        text += n;
        len -= n;
    }
    return true;
}
