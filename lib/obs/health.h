/* Health: named checks behind /healthz (does the process work?) and /readyz
 * (can it serve?). A check answers at once, from what its module knows
 * already; it asks nobody. */
#ifndef OBS_HEALTH_H
#define OBS_HEALTH_H

#include "base/sb.h"

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stddef.h>

#define IST_HEALTH_TEXT_SIZE 128

/* Embedded by its module; borrowed until removed. */
struct ist_health_check {
    const char *name; /* Static: "bus", "journal". */
    bool vital;       /* Without it the process does not work: also part of
                       * /healthz, whose failure gets a daemon restarted. */

    /* True when well. 'text' has IST_HEALTH_TEXT_SIZE bytes and is empty; a
     * few words for a person, without secrets, cut in mid-character or not. */
    bool (*ok)(struct ist_health_check *, char *text);

    STAILQ_ENTRY(ist_health_check) sibling;
};

struct ist_health {
    STAILQ_HEAD(, ist_health_check) checks;
};

enum ist_health_page { IST_HEALTH_LIVE, IST_HEALTH_READY };

void ist_health_init(struct ist_health *);
void ist_health_add(struct ist_health *, struct ist_health_check *);
void ist_health_remove(struct ist_health *, struct ist_health_check *);

/* Are all checks of the page well? */
bool ist_health_ok(const struct ist_health *, enum ist_health_page);

/* The same, and the page: to be answered as application/json with 200 or 503.
 *
 *   {"status":"failed","checks":[
 *     {"name":"bus","status":"failed","text":"no broker for 12 s"}]} */
bool ist_health_write(const struct ist_health *, enum ist_health_page,
                      struct ist_sb *out);

#endif
