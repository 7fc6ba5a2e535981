/* What is said beside the answer: on stderr, one line at a time, escaped.
 * And how a program ends. */
#ifndef CLI_SAY_H
#define CLI_SAY_H

#include "base/scope.h"

#include <stdbool.h>

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_UNREACHABLE = 3, /* The hub, or every site that was asked. */
    CLI_DENIED = 4,
    CLI_PARTIAL = 5, /* Some sites did not answer; the rows are printed. */
};

/* "isthmus: ..." The first such sentence is remembered; returns 'exit', so
 * that it can be the return line. */
int cli_fail(int exit, const char *fmt, ...) IST_PRINTF(2, 3);

/* The line as it is, for what is no failure. */
void cli_say(const char *fmt, ...) IST_PRINTF(1, 2);

/* The sentence of the first cli_fail(), "" when there was none. Borrowed. */
const char *cli_said(void);

/* "Did you mean": the nearest of 'words' (NULL-ended), or NULL when none is
 * near. */
const char *cli_nearest(const char *word, const char *const *words);

#endif
