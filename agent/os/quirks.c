/* Each does one thing, is pure, and says which service needs it and where
 * that is written. */
#include "os/rows.h"

#include "base/scope.h"

#include <string.h>

/* Nova's /limits speaks of the token's project; an admin may ask for another
 * one's (api-ref compute, "Show Rate And Absolute Limits"). From 2.75 on it
 * refuses any other parameter. */
void os_quirk_limits_of_project(struct ist_sb *query, const struct os_query *q)
{
    if (q->admin)
        ist_sb_printf(query, "&tenant_id=%s", q->project);
}

/* Nova answers 400 to a status that it does not know (from 2.38 on), and with
 * "DELETED" lists what is in no other list (api-ref compute, "List Servers";
 * nova/api/openstack/common.py has the words). */
bool os_quirk_known_status(const char *member, const char *value)
{
    static const char *const known[] = {
        "ACTIVE",    "BUILD",
        "ERROR",     "HARD_REBOOT",
        "MIGRATING", "PASSWORD",
        "PAUSED",    "REBOOT",
        "REBUILD",   "RESCUE",
        "RESIZE",    "REVERT_RESIZE",
        "SHELVED",   "SHELVED_OFFLOADED",
        "SHUTOFF",   "SUSPENDED",
        "UNKNOWN",   "VERIFY_RESIZE",
    };

    if (strcmp(member, "status") != 0)
        return true;
    for (size_t i = 0; i < IST_COUNT(known); i++) {
        if (strcmp(known[i], value) == 0)
            return true;
    }
    return false;
}

/* Glance takes what stands before a colon for an operator, "in:a,b", and
 * answers 400 to others: an image may well be called "debian:12" (api-ref
 * image, "List images"; split_filter_op() in glance/common/utils.py). */
bool os_quirk_no_operator(const char *member, const char *value)
{
    (void) member;
    return !strchr(value, ':');
}
