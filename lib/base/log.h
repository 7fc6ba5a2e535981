/* The log: one line per event, level first, then the module and the sentence.
 *
 *   2026-11-25T08:00:00.123Z info bus: connected broker=localhost:5671
 *
 * Time is UTC. Under systemd (JOURNAL_STREAM set) the time is left out and
 * the level is the journal's "<6>" prefix. Control characters in what is
 * logged are escaped, so that foreign text cannot forge a line. At most 200
 * lines of one call site are written in 10 s; the next line says how many
 * were left out. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/scope.h"

#include <stdbool.h>
#include <stdint.h>

enum ist_log_level { IST_LOG_ERROR, IST_LOG_WARN, IST_LOG_INFO, IST_LOG_DEBUG };

/* One per call site, made by the macro below. */
struct ist_log_site {
    uint64_t window_ms;
    uint32_t n_window, n_suppressed;
};

void ist_log_level_set(enum ist_log_level);
enum ist_log_level ist_log_level_get(void);

/* "error", "warn", "info", "debug"; false for another word. */
bool ist_log_level_parse(const char *word, enum ist_log_level *ret);

void ist_log_write(struct ist_log_site *, enum ist_log_level,
                   const char *module, const char *fmt, ...) IST_PRINTF(4, 5);

#define IST_LOG_AT(level, module, ...)                                         \
    do {                                                                       \
        static struct ist_log_site ist_log_site_;                              \
        if ((level) <= ist_log_level_get())                                    \
            ist_log_write(&ist_log_site_, (level), (module), __VA_ARGS__);     \
    } while (0)

#define ist_log_error(module, ...)                                             \
    IST_LOG_AT(IST_LOG_ERROR, module, __VA_ARGS__)
#define ist_log_warn(module, ...) IST_LOG_AT(IST_LOG_WARN, module, __VA_ARGS__)
#define ist_log_info(module, ...) IST_LOG_AT(IST_LOG_INFO, module, __VA_ARGS__)
#define ist_log_debug(module, ...)                                             \
    IST_LOG_AT(IST_LOG_DEBUG, module, __VA_ARGS__)

#endif
