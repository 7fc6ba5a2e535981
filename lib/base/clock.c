#include "base/clock.h"

#include "base/parse.h"
#include "base/scope.h"

#include <stdio.h>
#include <time.h>

static uint64_t read_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (uint64_t) ts.tv_sec * 1000000000U + (uint64_t) ts.tv_nsec;
}

uint64_t ist_clock_wall_ms(void)
{
    return read_ns(CLOCK_REALTIME) / 1000000U;
}

uint64_t ist_clock_mono_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

char *ist_clock_text(uint64_t wall_ms, char *buf)
{
    time_t seconds = (time_t) (wall_ms / 1000);
    struct tm tm;
    size_t len;

    gmtime_r(&seconds, &tm);
    len = strftime(buf, IST_CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(buf + len, IST_CLOCK_TEXT_SIZE - len, ".%03uZ",
             (unsigned) (wall_ms % 1000));
    return buf;
}

/* Reading */

/* 'n' digits as a number; -1 if they are not. */
static int digits(const char **at, int n)
{
    int value = 0;

    for (int i = 0; i < n; i++) {
        char c = (*at)[i];

        if (c < '0' || c > '9')
            return -1;
        value = value * 10 + (c - '0');
    }
    *at += n;
    return value;
}

/* Thousandths, from as many digits as there are (20 at most). */
static bool parse_fraction(const char **at, uint64_t *ret_ms)
{
    int weight = 100, n = 0;

    for (*ret_ms = 0; **at >= '0' && **at <= '9'; (*at)++, n++) {
        *ret_ms += (uint64_t) (**at - '0') * (uint64_t) weight;
        weight /= 10;
    }
    return n > 0 && n <= 20;
}

/* A '+' that nobody encoded has become a space. */
static bool parse_zone(const char **at, int64_t *ret_s)
{
    char sign = *(*at)++;
    int hours, minutes;

    *ret_s = 0;
    if (sign == 'Z' || sign == 'z')
        return true;
    if (sign != '+' && sign != '-' && sign != ' ')
        return false;
    hours = digits(at, 2);
    if (hours < 0 || hours > 23 || *(*at)++ != ':')
        return false;
    minutes = digits(at, 2);
    *ret_s = (hours * 60 + minutes) * 60 * (sign == '-' ? -1 : 1);
    return minutes >= 0 && minutes <= 59;
}

bool ist_clock_parse(const char *text, uint64_t *ret_ms)
{
    static const struct {
        char behind;
        int n, min, max;
    } parts[] = {{'-', 4, 1970, 9999}, {'-', 2, 1, 12}, {'T', 2, 1, 31},
                 {':', 2, 0, 23},      {':', 2, 0, 59}, {'\0', 2, 0, 60}};
    int value[6];
    const char *at = text;
    uint64_t ms = 0;
    int64_t zone, seconds;
    struct tm tm;

    for (size_t i = 0; i < IST_COUNT(parts); i++) {
        value[i] = digits(&at, parts[i].n);
        if (value[i] < parts[i].min || value[i] > parts[i].max)
            return false;
        if (parts[i].behind && *at != parts[i].behind &&
            !(parts[i].behind == 'T' && *at == 't'))
            return false;
        at += parts[i].behind != '\0';
    }
    if (*at == '.' && (at++, !parse_fraction(&at, &ms)))
        return false;
    if (!parse_zone(&at, &zone) || *at)
        return false;
    tm = (struct tm){.tm_year = value[0] - 1900,
                     .tm_mon = value[1] - 1,
                     .tm_mday = value[2],
                     .tm_hour = value[3],
                     .tm_min = value[4]};
    seconds = timegm(&tm) + value[5]; /* 60: a leap second, of the next day. */
    if (tm.tm_mon != value[1] - 1 || seconds < zone) /* February 30. */
        return false;
    *ret_ms = (uint64_t) (seconds - zone) * 1000 + ms;
    return true;
}

bool ist_clock_parse_past(const char *text, uint64_t now_ms, uint64_t *ret_ms)
{
    uint64_t ago;

    if (ist_clock_parse(text, ret_ms))
        return true;
    if (!ist_parse_ms(text, &ago))
        return false;
    *ret_ms = ago < now_ms ? now_ms - ago : 0;
    return true;
}
