#include "facade/outcome.h"

#include <errno.h>
#include <stdio.h>

static const struct {
    int outcome;
    Isthmus__V1__Failure__Code code; /* With DESK_FAILED. */
    int status;
    bool is_undone; /* For certain. */
} rows[] = {
    {DESK_ABSENT, 0, 503, false},
    {DESK_NO_QUEUE, 0, 503, true},
    {DESK_FULL, 0, 503, true},
    {DESK_NO_BUS, 0, 503, false},
    {DESK_BUSY, 0, 503, true},
    {DESK_BROKEN, 0, 502, false},
    {DESK_TOO_LARGE, 0, 413, false},
    {-ETIMEDOUT, 0, 504, false},
    {DESK_FAILED, ISTHMUS__V1__FAILURE__CODE__DENIED, 403, true},
    {DESK_FAILED, ISTHMUS__V1__FAILURE__CODE__NOT_FOUND, 404, true},
    {DESK_FAILED, ISTHMUS__V1__FAILURE__CODE__UNSUPPORTED, 404, true},
    {DESK_FAILED, ISTHMUS__V1__FAILURE__CODE__TIMEOUT, 504, false},
    {DESK_FAILED, ISTHMUS__V1__FAILURE__CODE__UNREACHABLE, 503, false},
    {DESK_FAILED, ISTHMUS__V1__FAILURE__CODE__BAD_ANSWER, 502, false},
    {DESK_FAILED, ISTHMUS__V1__FAILURE__CODE__LOGIN, 503, true},
    {DESK_FAILED, ISTHMUS__V1__FAILURE__CODE__BUSY, 503, true},
    {DESK_FAILED, ISTHMUS__V1__FAILURE__CODE__BAD_CALL, 400, true},
};

static size_t find_row(const struct desk_call *call)
{
    size_t i = 0;

    while (i < IST_COUNT(rows) &&
           (rows[i].outcome != call->op.rc ||
            (rows[i].code && rows[i].code != call->failure)))
        i++;
    return i;
}

bool facade_outcome_is_undone(const struct desk_call *call)
{
    size_t i = find_row(call);

    return i < IST_COUNT(rows) && rows[i].is_undone;
}

int facade_outcome(const struct desk_call *call, const char *service,
                   const char *site, bool is_late, char ret[FACADE_OUTCOME_MAX])
{
    size_t i = find_row(call);
    int status = i < IST_COUNT(rows) ? rows[i].status : 502;

    snprintf(ret, FACADE_OUTCOME_MAX, "%s at %s: %s.%s", service, site,
             is_late ? "nothing came in time" : call->op.err.text,
             status == 503 && rows[i].is_undone ? " Nothing was done." : "");
    return status;
}
