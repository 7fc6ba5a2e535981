/* What the hub looks at from time to time, said to the alarms: the bus, the
 * sites' services, feeds and clocks, what ends some day, and what fills up. */
#ifndef HUB_CONDITIONS_H
#define HUB_CONDITIONS_H

#include "events/alarm.h"
#include "io/pool.h"
#include "view/intake.h"

struct conditions_conf {
    uint64_t stale_ms;    /* Rows whose changes are notified. */
    uint64_t skew_ms;     /* A site's clock against ours. */
    uint64_t expiry_ms;   /* Before a certificate or delegation ends. */
    uint64_t backlog_max; /* Events that a reader of the log is behind. */
};

extern const struct ist_row conditions_rows[];

#define CONDITIONS_CERTIFICATES 2

struct conditions_certificate {
    const char *which;              /* "bus", "http" */
    const char *path;               /* Borrowed; NULL: there is none. */
    uint64_t not_after_ms, read_ms; /* 0: could not be read; by the pool. */
};

struct conditions {
    /* Set by the hub before the start. All borrowed. */
    struct ist_loop *loop;
    struct conditions_conf conf;
    struct alarm_engine *alarms;
    const struct ist_bus *bus;
    struct sites *sites;
    struct intake *intake;
    struct ist_tree *tree;
    struct events_log *log;
    const struct ist_delegation *own; /* The hub's. */
    struct conditions_certificate certificates[CONDITIONS_CERTIFICATES];

    /* Private to conditions.c. */
    struct ist_timer tick;
    struct ist_work reading;
    uint64_t read_ms; /* Loop time of the last reading of certificates. */
    size_t at;        /* Sites looked at in this round. */
};

void conditions_start(struct conditions *);
void conditions_stop(struct conditions *);
/* The pool still reads: not to be freed yet. */
bool conditions_busy(const struct conditions *);

#endif
