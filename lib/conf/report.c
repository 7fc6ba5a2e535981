#include "conf/report.h"

#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX 64

void ist_conf_report_init(struct ist_conf_report *report)
{
    *report = (struct ist_conf_report){.path = ""};
    ist_sb_init(&report->text, 0);
}

void ist_conf_report_fini(struct ist_conf_report *report)
{
    ist_sb_fini(&report->text);
}

static void add(struct ist_conf_report *report, unsigned line,
                const char *prefix, const char *fmt, va_list args)
    __attribute__((format(printf, 4, 0)));

static void add(struct ist_conf_report *report, unsigned line,
                const char *prefix, const char *fmt, va_list args)
{
    char text[400];

    if (report->n_errors + report->n_warnings > IST_CONF_REPORT_MAX)
        return;
    vsnprintf(text, sizeof(text), fmt, args);
    ist_sb_puts(&report->text, report->path);
    if (line)
        ist_sb_printf(&report->text, ":%u", line);
    ist_sb_printf(&report->text, ": %s%s\n", prefix, text);
}

void ist_conf_complain(struct ist_conf_report *report, unsigned line,
                       const char *fmt, ...)
{
    va_list args;

    report->n_errors++;
    va_start(args, fmt);
    add(report, line, "", fmt, args);
    va_end(args);
}

void ist_conf_warn(struct ist_conf_report *report, unsigned line,
                   const char *fmt, ...)
{
    va_list args;

    report->n_warnings++;
    va_start(args, fmt);
    add(report, line, "warning: ", fmt, args);
    va_end(args);
}

/* The first line that is no warning. */
static const char *first_error(const struct ist_conf_report *report)
{
    const char *line = ist_sb_text(&report->text);

    while (*line) {
        const char *end = strchr(line, '\n');
        const char *mark = strstr(line, ": warning: ");

        if (!end)
            break;
        if (!mark || mark > end)
            return line;
        line = end + 1;
    }
    return "";
}

int ist_conf_verdict(const struct ist_conf_report *report, struct ist_err *err)
{
    const char *line = first_error(report);
    int len = (int) strcspn(line, "\n");

    if (report->n_errors == 0)
        return 0;
    if (report->n_errors == 1)
        return ist_err_set(err, -EINVAL, "%.*s", len, line);
    return ist_err_set(err, -EINVAL, "%.*s (and %u more)",
                       len > 190 ? 190 : len, line, report->n_errors - 1);
}

const char *ist_conf_quote(const char *text, char *buf)
{
    size_t len = strlen(text), n = 0, i = 0;

    while (i < len && n < 60) {
        size_t step = ist_utf8_len(text + i, len - i);
        unsigned char c = (unsigned char) text[i];

        if (step == 0 || c < 0x20 || c == 0x7f) {
            n += (size_t) snprintf(buf + n, 5, "\\x%02x", c);
            i++;
            continue;
        }
        memcpy(buf + n, text + i, step);
        n += step;
        i += step;
    }
    if (i < len) {
        memcpy(buf + n, "...", 3);
        n += 3;
    }
    buf[n] = '\0';
    return buf;
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;

    return m < c ? m : c;
}

/* Changes, insertions, omissions and swaps of neighbours that lead from one
 * word to the other (the "optimal string alignment" distance). */
static size_t distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    size_t d[WORD_MAX + 1][WORD_MAX + 1];

    if (la > WORD_MAX || lb > WORD_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= lb; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        d[i][0] = i;
        for (size_t j = 1; j <= lb; j++) {
            d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1,
                           d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
                a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < d[i][j])
                d[i][j] = d[i - 2][j - 2] + 1;
        }
    }
    return d[la][lb];
}

void ist_conf_near_init(struct ist_conf_near *near, const char *word)
{
    size_t limit = strlen(word) / 3;

    *near = (struct ist_conf_near){.word = word};
    near->distance = (limit < 1 ? 1 : limit > 3 ? 3 : limit) + 1;
}

void ist_conf_near_try(struct ist_conf_near *near, const char *candidate)
{
    size_t d = distance(near->word, candidate);

    if (d < near->distance) {
        near->distance = d;
        near->best = candidate;
    }
}
