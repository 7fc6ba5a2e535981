#include "api/member.h"

#include "base/clock.h"

#include <inttypes.h>
#include <string.h>

void api_put_text(struct ist_sb *out, const char *name, const char *text)
{
    ist_sb_printf(out, ",\"%s\":", name);
    if (text)
        ist_sb_json(out, text, strlen(text));
    else
        ist_sb_puts(out, "null");
}

void api_put_time(struct ist_sb *out, const char *name, uint64_t wall_ms)
{
    char text[IST_CLOCK_TEXT_SIZE];

    api_put_text(out, name, wall_ms ? ist_clock_text(wall_ms, text) : NULL);
}

void api_put_number(struct ist_sb *out, const char *name, uint64_t n)
{
    ist_sb_printf(out, ",\"%s\":%" PRIu64, name, n);
}
