/* Each does one thing, is pure, and says which service needs it and where
 * that is written. */
#include "os/rows.h"

/* Nova's /limits speaks of the token's project; an admin may ask for another
 * one's (api-ref compute, "Show Rate And Absolute Limits"). From 2.75 on it
 * refuses any other parameter. */
void os_quirk_limits_of_project(struct ist_sb *query, const struct os_query *q)
{
    if (q->admin)
        ist_sb_printf(query, "&tenant_id=%s", q->project);
}
