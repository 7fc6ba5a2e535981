/* The only place that asks the machine what time it is. Code that waits or
 * judges age uses the loop's clock (io/loop.h), which the simulation moves by
 * hand; this one is for the loop itself, for the log, and for programs
 * without a loop. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Milliseconds since 1970-01-01 UTC. May jump. */
uint64_t ist_clock_wall_ms(void);

/* Nanoseconds since some point in the past. Never goes back. */
uint64_t ist_clock_mono_ns(void);

#define IST_CLOCK_TEXT_SIZE 32

/* RFC 3339 with milliseconds and zone: "2026-11-25T08:00:00.123Z". 'buf' has
 * IST_CLOCK_TEXT_SIZE bytes; returned. */
char *ist_clock_text(uint64_t wall_ms, char *buf);

/* RFC 3339, as "2026-11-25T08:00:00.123Z" or with "+08:00"; all of the text.
 * Untouched when false. */
bool ist_clock_parse(const char *text, uint64_t *ret_ms);
/* The same, or a duration that lies before 'now_ms': "1h" is an hour ago. */
bool ist_clock_parse_past(const char *text, uint64_t now_ms, uint64_t *ret_ms);

#endif
