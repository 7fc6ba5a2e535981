#include "base/clock.h"

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
