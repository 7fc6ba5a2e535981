#include "os/key.h"

#include "base/utf8.h"

#include <string.h>

#define DIGITS   20
#define DAY_S    86400
#define TEXT_MAX (6 * OS_KEY_MAX) /* Escaped, this may still be a key. */

/* --- Times --- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Exactly 'n' digits. */
static bool digits(const char **at, const char *end, int n, unsigned *ret)
{
    unsigned v = 0;

    for (; n > 0; n--, ++*at) {
        if (*at == end || !is_digit(**at))
            return false;
        v = v * 10 + (unsigned) (**at - '0');
    }
    *ret = v;
    return true;
}

static bool mark(const char **at, const char *end, const char *any)
{
    if (*at == end || **at == '\0' || !strchr(any, **at))
        return false;
    ++*at;
    return true;
}

/* Days since 1970-01-01, of the Gregorian calendar: whole eras of 400 years,
 * years that begin in March. */
static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
    int64_t era, yoe, doy;

    y -= m <= 2;
    era = y / 400;
    yoe = y - era * 400;
    doy = (153 * ((int64_t) m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void civil_from_days(int64_t z, unsigned *y, unsigned *m, unsigned *d)
{
    int64_t era, doe, yoe, doy, mp;

    z += 719468;
    era = z / 146097;
    doe = z - era * 146097;
    yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    mp = (5 * doy + 2) / 153;
    *d = (unsigned) (doy - (153 * mp + 2) / 5 + 1);
    *m = (unsigned) (mp < 10 ? mp + 3 : mp - 9);
    *y = (unsigned) (yoe + era * 400 + (*m <= 2));
}

static bool parse_date(const char **at, const char *end, int64_t *ret_days)
{
    unsigned y, m, d, y2, m2, d2;

    if (!digits(at, end, 4, &y) || !mark(at, end, "-") ||
        !digits(at, end, 2, &m) || !mark(at, end, "-") ||
        !digits(at, end, 2, &d) || y < 1970 || m < 1 || m > 12 || d < 1)
        return false;
    *ret_days = days_from_civil(y, m, d);
    /* The 30th of February comes back as another day. */
    civil_from_days(*ret_days, &y2, &m2, &d2);
    return m2 == m && d2 == d;
}

static unsigned fraction(const char **at, const char *end)
{
    unsigned us = 0, scale = 100000;

    if (!mark(at, end, "."))
        return 0;
    for (; *at < end && is_digit(**at); ++*at, scale /= 10)
        us += (unsigned) (**at - '0') * scale;
    return us;
}

/* "Z", "+01:00", "-0130" or nothing; in seconds. */
static bool parse_offset(const char **at, const char *end, int64_t *ret)
{
    unsigned h, m = 0;
    bool west;

    *ret = 0;
    if (*at == end || mark(at, end, "Zz"))
        return true;
    west = **at == '-';
    if (!mark(at, end, "+-") || !digits(at, end, 2, &h))
        return false;
    mark(at, end, ":");
    if (*at < end && !digits(at, end, 2, &m))
        return false;
    *ret = (int64_t) (h * 3600 + m * 60) * (west ? -1 : 1);
    return h < 24 && m < 60;
}

bool os_time_parse(const char *text, size_t len, uint64_t *ret_us)
{
    const char *at = text, *end = text + len;
    unsigned h, m, s, us;
    int64_t days, offset, seconds;

    if (!parse_date(&at, end, &days) || !mark(&at, end, "Tt ") ||
        !digits(&at, end, 2, &h) || !mark(&at, end, ":") ||
        !digits(&at, end, 2, &m) || !mark(&at, end, ":") ||
        !digits(&at, end, 2, &s) || h > 23 || m > 59 || s > 60)
        return false;
    us = fraction(&at, end);
    if (!parse_offset(&at, end, &offset) || at != end)
        return false;
    seconds = days * DAY_S + (int64_t) (h * 3600 + m * 60 + s) - offset;
    if (seconds < 0 || seconds > INT64_C(253402300799))
        return false;
    *ret_us = (uint64_t) seconds * 1000000 + us;
    return true;
}

bool os_time_read(struct ist_json_slice time, uint64_t *ret_us)
{
    return ist_json_type(time) == IST_JSON_STRING &&
           os_time_parse(time.data + 1, time.size - 2, ret_us);
}

/* printf() would be the dearest part of a list. */
static char *put(char *to, unsigned v, int n, char after)
{
    for (int i = n - 1; i >= 0; i--, v /= 10)
        to[i] = (char) ('0' + v % 10);
    to[n] = after;
    return to + n + 1;
}

static size_t time_key(const char *text, size_t len, char *buf)
{
    unsigned y, m, d, s;
    char *at = buf;
    uint64_t us;

    if (!os_time_parse(text, len, &us))
        return 0;
    civil_from_days((int64_t) (us / 1000000 / DAY_S), &y, &m, &d);
    s = (unsigned) (us / 1000000 % DAY_S);
    at = put(at, y, 4, '-');
    at = put(at, m, 2, '-');
    at = put(at, d, 2, 'T');
    at = put(at, s / 3600, 2, ':');
    at = put(at, s / 60 % 60, 2, ':');
    at = put(at, s % 60, 2, '.');
    at = put(at, (unsigned) (us % 1000000), 6, '\0');
    return (size_t) (at - buf) - 1;
}

/* --- Numbers --- */

/* "007.50" behind its sign: whole digits, padded, then the fraction without
 * the zeros at its end. 0: has an exponent, or is too long. */
static size_t number_key(const char *text, size_t len, char *buf)
{
    bool negative = len && text[0] == '-';
    const char *at = text + negative, *dot, *end = text + len;
    size_t n = 0, whole;

    if (memchr(text, 'e', len) || memchr(text, 'E', len))
        return 0;
    dot = memchr(at, '.', (size_t) (end - at));
    whole = (size_t) ((dot ? dot : end) - at);
    if (dot) {
        while (end[-1] == '0')
            end--;
        if (end[-1] == '.')
            end--;
    }
    if (whole > DIGITS || (size_t) (end - text) > 2 * DIGITS)
        return 0;
    if (negative)
        buf[n++] = '-';
    memset(buf + n, '0', DIGITS - whole);
    n += DIGITS - whole;
    memcpy(buf + n, at, (size_t) (end - at));
    n += (size_t) (end - at);
    if (!negative)
        return n;
    /* The greater it is below zero, the less it is. A digit above all others
     * ends it, so that -1.5 comes before -1. */
    for (size_t i = 1; i < n; i++) {
        if (is_digit(buf[i]))
            buf[i] = (char) ('9' - buf[i] + '0');
    }
    buf[n++] = '~';
    return n;
}

/* --- Texts --- */

/* Not in the middle of a character. */
static size_t cut(const char *text, size_t len)
{
    if (len <= OS_KEY_MAX)
        return len;
    len = OS_KEY_MAX;
    while (len > 0 && ((unsigned char) text[len] & 0xC0) == 0x80)
        len--;
    return len;
}

static size_t text_key(struct ist_json_slice v, char *buf)
{
    char plain[TEXT_MAX];
    size_t len;

    if (ist_json_type(v) != IST_JSON_STRING) {
        len = cut(v.data, v.size);
        memcpy(buf, v.data, len);
        return len;
    }
    if (!ist_json_text(v, plain, sizeof(plain), &len)) {
        /* So long that what is kept is told apart by its beginning only. */
        len = cut(v.data + 1, v.size - 2);
        memcpy(buf, v.data + 1, len);
        return len;
    }
    len = cut(plain, len);
    memcpy(buf, plain, len);
    return len;
}

size_t os_key(enum ist_member_type type, struct ist_json_slice v, char *buf)
{
    enum ist_json_type found = ist_json_type(v);
    size_t len = 0;

    if (found == IST_JSON_ABSENT || found == IST_JSON_NULL)
        return 0;
    if (type == IST_MEMBER_TIME && found == IST_JSON_STRING)
        len = time_key(v.data + 1, v.size - 2, buf);
    else if (type == IST_MEMBER_NUMBER && found == IST_JSON_NUMBER)
        len = number_key(v.data, v.size, buf);
    return len ? len : text_key(v, buf);
}
