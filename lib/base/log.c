#include "base/log.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW_MS    10000
#define WINDOW_LINES 200

static enum ist_log_level limit = IST_LOG_INFO;

static const char *const words[] = {"error", "warn", "info", "debug"};

void ist_log_level_set(enum ist_log_level level)
{
    limit = level;
}

enum ist_log_level ist_log_level_get(void)
{
    return limit;
}

bool ist_log_level_parse(const char *word, enum ist_log_level *ret)
{
    for (size_t i = 0; i < IST_COUNT(words); i++) {
        if (strcmp(word, words[i]) == 0) {
            *ret = (enum ist_log_level) i;
            return true;
        }
    }
    return false;
}

/* What could begin a terminal escape or a forged line becomes '?': C0 and C1
 * controls, and bytes that are not UTF-8. */
static void sanitise(char *text)
{
    size_t left = strlen(text);

    while (left) {
        unsigned char c = (unsigned char) *text;
        size_t n = ist_utf8_len(text, left);
        bool is_c1 = n == 2 && c == 0xC2 && (unsigned char) text[1] < 0xA0;

        if (n == 0)
            n = 1;
        if (c < 0x20 || c == 0x7f || is_c1 || (c >= 0x80 && n == 1))
            memset(text, '?', n);
        text += n;
        left -= n;
    }
}

/* False: this call site has said enough in this window. */
static bool admit(struct ist_log_site *site, uint32_t *ret_suppressed)
{
    uint64_t now = ist_clock_wall_ms();

    if (now - site->window_ms >= WINDOW_MS) {
        site->window_ms = now;
        site->n_window = 0;
        *ret_suppressed = site->n_suppressed;
        site->n_suppressed = 0;
    }
    if (site->n_window++ < WINDOW_LINES)
        return true;
    site->n_suppressed++;
    return false;
}

void ist_log_write(struct ist_log_site *site, enum ist_log_level level,
                   const char *module, const char *fmt, ...)
{
    static const char journal[] = {'3', '4', '6', '7'};
    char text[1024], line[1200], when[IST_CLOCK_TEXT_SIZE];
    uint32_t suppressed = 0;
    va_list args;
    int len;

    if (!admit(site, &suppressed))
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    sanitise(text);
    if (getenv("JOURNAL_STREAM"))
        len = snprintf(line, sizeof(line), "<%c>%s: %s\n", journal[level],
                       module, text);
    else
        len = snprintf(line, sizeof(line), "%s %s %s: %s\n",
                       ist_clock_text(ist_clock_wall_ms(), when), words[level],
                       module, text);
    /* One write, so that lines of several processes do not mix. */
    if (write(STDERR_FILENO, line, (size_t) len) < 0)
        return;
    if (suppressed)
        dprintf(STDERR_FILENO, "%s: %u lines like this were left out\n", module,
                suppressed);
}
