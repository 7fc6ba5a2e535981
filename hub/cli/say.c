#include "cli/say.h"

#include "base/sb.h"
#include "cli/safe.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_LEN 4096
#define WORD_MAX_LEN 32

static char first[LINE_MAX_LEN];

IST_PRINTF(2, 0)
static void say(const char *front, const char *fmt, va_list args)
{
    char text[LINE_MAX_LEN];
    struct ist_sb line;

    vsnprintf(text, sizeof(text), fmt, args);
    ist_sb_init(&line, 0);
    ist_sb_puts(&line, front);
    cli_safe(&line, text, strlen(text), "");
    if (*front && !*first)
        snprintf(first, sizeof(first), "%s",
                 ist_sb_text(&line) + strlen(front));
    ist_sb_putc(&line, '\n');
    fputs(ist_sb_text(&line), stderr);
    ist_sb_fini(&line);
}

int cli_fail(int exit, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say("isthmus: ", fmt, args);
    va_end(args);
    return exit;
}

void cli_say(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say("", fmt, args);
    va_end(args);
}

const char *cli_said(void)
{
    return first;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edits from one to the other: insert, delete, replace (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
    size_t row[WORD_MAX_LEN + 1], n = strlen(b);

    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t corner = row[0];

        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t up = row[j + 1];

            row[j + 1] = least(least(up, row[j]) + 1, corner + (a[i] != b[j]));
            corner = up;
        }
    }
    return row[n];
}

const char *cli_nearest(const char *word, const char *const *words)
{
    size_t len = strlen(word), best = len / 3 + 1;
    const char *found = NULL;

    if (len > WORD_MAX_LEN)
        return NULL;
    for (; *words; words++) {
        size_t d;

        if (strlen(*words) > WORD_MAX_LEN)
            continue;
        d = distance(word, *words);
        if (d < best || (d == best && !found)) {
            best = d;
            found = *words;
        }
    }
    return found;
}
