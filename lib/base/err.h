/* Errors, told apart by sign.
 *
 *   0    done
 *   < 0  fault: a negative errno. Nobody planned for it; pass it up unchanged.
 *   > 0  outcome: from the function's own enum, to be handled by its caller.
 *
 * A 'struct ist_err' says in words what went wrong, fit to cross a site
 * boundary. It is a plain value; functions that talk to the outside world
 * fill it when they return non-zero. Library code never logs an error above
 * debug: whoever ends it logs it, once. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/scope.h"

#include <stdbool.h>

struct ist_err {
    int code;       /* What the function returned. */
    int http;       /* Upstream HTTP status, or 0. */
    bool retryable; /* Would the same call be worth trying again? */
    char site[33];  /* Site where it began, "" for here. */
    char text[220]; /* One sentence for a person, outermost first. */
};

/* Begins the sentence; returns 'code' so that it can be the return line.
 * 'err' may be NULL. Text too long is cut, never in mid-character. */
int ist_err_set(struct ist_err *err, int code, const char *fmt, ...)
    IST_PRINTF(3, 4);

/* Adds in front: "list servers" + "no answer" = "list servers: no answer".
 * Returns err->code. */
int ist_err_wrap(struct ist_err *err, const char *fmt, ...) IST_PRINTF(2, 3);

/* A word for a code: strerror() of a negative errno, "outcome N" else.
 * Borrowed, static or thread-local. */
const char *ist_err_name(int code);

#endif
