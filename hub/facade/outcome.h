/* Why a call to a site came to nothing, as clients of OpenStack are told. */
#ifndef FACADE_OUTCOME_H
#define FACADE_OUTCOME_H

#include "survey/desk.h"

#define FACADE_OUTCOME_MAX 400

/* A status of HTTP, and a sentence: "compute at hkg: ...". 'is_late': nothing
 * came of it in time, whatever the call says. */
int facade_outcome(const struct desk_call *, const char *service,
                   const char *site, bool is_late,
                   char ret[FACADE_OUTCOME_MAX]);
/* Is it certain that nothing was done? Then 503 may be tried again. */
bool facade_outcome_is_undone(const struct desk_call *);

#endif
