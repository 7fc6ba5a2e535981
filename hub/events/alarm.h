/* Alarms: what is wrong at present and what an operator should do about it.
 *
 * They are raised and cleared by events of the log, by the rows of
 * alarm_rules.c, and by conditions that the hub looks at from time to time.
 * An alarm is one for its type, site and object: raised again it counts.
 *
 *   folding   While a cause is open (the hub has no bus, a site is not heard),
 *             what it explains is folded under it: one alarm for a dead site.
 *   damping   One raised again soon after it was cleared is the same alarm, and
 *             one that comes and goes too often is marked as flapping and stays
 *             open until it has been quiet.
 *   telling   Each change is an event of its own, kind "alarm", so that every
 *             stream tells it. Those that only count are told now and then.
 *
 * The engine reads the log by its place "alarm", which is written together
 * with what it made of it: a restart misses nothing and counts nothing twice.
 * All of it belongs to the loop's thread; it writes in the pool. */
#ifndef EVENTS_ALARM_H
#define EVENTS_ALARM_H

#include "events/log.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

struct alarm_conf {
    uint64_t max;        /* Open; then the newest are counted in one alarm. */
    uint64_t keep_ms;    /* Cleared ones are dropped after that. */
    uint64_t keep_items; /* So many cleared at most: the oldest go. */
    uint64_t linger_ms;  /* A cleared one still stands among the open ones. */
    uint64_t flaps;      /* Raised again so often within flap_ms: flapping. */
    uint64_t flap_ms;    /* Also: quiet for that long is over. */
    bool resources;      /* Do resources in error raise alarms? */
};

extern const struct ist_row alarm_rows[];

enum alarm_severity {
    ALARM_WARNING,
    ALARM_MINOR,
    ALARM_MAJOR,
    ALARM_CRITICAL,
    ALARM_SEVERITIES,
};
/* "warning"...; and back: -1 for none of them. */
const char *alarm_severity_name(enum alarm_severity);
int alarm_severity_parse(const char *name);

enum alarm_type {
    ALARM_BUS_UNREACHABLE,
    ALARM_BUS_BLOCKED,
    ALARM_SITE_UNREACHABLE,
    ALARM_SERVICE_UNAVAILABLE,
    ALARM_FEED_STALE,
    ALARM_FEED_INTERRUPTED,
    ALARM_EVENTS_LOST,
    ALARM_RESOURCE_ERROR,
    ALARM_CERTIFICATE_EXPIRING,
    ALARM_DELEGATION_EXPIRING,
    ALARM_CLOCK_SKEW,
    ALARM_STORE_FULL,
    ALARM_QUEUE_BACKLOG,
    ALARM_WEBHOOK_DEAD,
    ALARM_TOO_MANY,
    ALARM_TYPES,
};

/* What is known of a type. Its name is also its section in isthmus-alarms(7).
 */
struct alarm_row {
    const char *name; /* "site-unreachable" */
    enum alarm_severity severity;
    uint64_t expires_ms; /* Cleared by itself after that; 0: never. */
    const char *remedy;  /* What the operator should do. */
};
const struct alarm_row *alarm_row(enum alarm_type);
/* -1: there is none of that name. */
int alarm_type_parse(const char *name);

#define ALARM_HUB          "hub" /* Site of what is the hub's own. */
#define ALARM_SITE_SIZE    65
#define ALARM_OBJECT_SIZE  160
#define ALARM_TEXT_SIZE    220
#define ALARM_BY_SIZE      65
#define ALARM_COMMENT_SIZE 513
#define ALARM_COMMENTS_MAX 32 /* Of one alarm; then the oldest go. */

struct alarm_comment {
    uint64_t at_ms;
    char by[ALARM_BY_SIZE], text[ALARM_COMMENT_SIZE];
};

/* Times are wall time. Read only; may be gone in the next turn. */
struct alarm {
    uint64_t id; /* From 1, never given twice. */
    enum alarm_type type;
    enum alarm_severity severity;
    char site[ALARM_SITE_SIZE];     /* Or ALARM_HUB. */
    char object[ALARM_OBJECT_SIZE]; /* "": the site as such. */
    char text[ALARM_TEXT_SIZE];     /* What is wrong. */
    uint64_t raised_ms, changed_ms;
    uint64_t cleared_ms; /* 0: open. */
    uint64_t count;      /* How often it was raised. */
    uint64_t ack_ms;     /* 0: nobody has taken it on. */
    char ack_by[ALARM_BY_SIZE];
    struct alarm_comment *comments; /* Oldest first. */
    size_t n_comments;
    uint64_t folded_under; /* Id of its cause; 0: none. */
    uint64_t n_folded;     /* How many are folded under it. */
    bool is_flapping;
    uint64_t quiet_ms; /* Flapping, and not raised since; 0: raised. */

    /* Private to alarm*.c. */
    uint64_t flap_from_ms, n_flaps;
    uint64_t told_ms;
    bool is_untold, is_dirty, is_current;
    RB_ENTRY(alarm) by_id, by_key;
    TAILQ_ENTRY(alarm) dirty;
};

struct alarm_engine;

/* Loads what was kept, and follows the log from where it was. For the start:
 * blocks. Tree and log are borrowed. NULL with 'err'. */
struct alarm_engine *alarm_open(struct ist_tree *, struct events_log *,
                                const struct alarm_conf *, struct ist_err *err);
/* Follows no more, and writes what is not written yet. */
void alarm_stop(struct alarm_engine *);
/* Something is being written: not to be freed yet. */
bool alarm_busy(const struct alarm_engine *);
struct alarm_engine *alarm_free(struct alarm_engine *);

/* What somebody looked at, and how it is. To be said again and again: only a
 * change does something, so 'text' should hold no number that moves. */
struct alarm_condition {
    enum alarm_type type;
    const char *site, *object;
    bool on;
    const enum alarm_severity *severity; /* NULL: that of the type. */
    const char *text;                    /* While on. */
};
void alarm_condition(struct alarm_engine *, const struct alarm_condition *);

/* NULL: there is none. */
const struct alarm *alarm_find(struct alarm_engine *, uint64_t id);
/* The newest with an id below that; begin with UINT64_MAX. */
const struct alarm *alarm_before(struct alarm_engine *, uint64_t id);

/* Open, or cleared a moment ago: what operators look at. */
bool alarm_is_listed(const struct alarm_engine *, const struct alarm *);

/* What operators do; 'by' is who. -ENOENT: there is no such alarm, -EALREADY:
 * it is so already, -ENOMEM. Text is UTF-8; control characters become spaces,
 * and what is too long is cut. */
int alarm_ack(struct alarm_engine *, uint64_t id, const char *by);
int alarm_unack(struct alarm_engine *, uint64_t id, const char *by);
int alarm_comment(struct alarm_engine *, uint64_t id, const char *by,
                  const char *text);
/* One whose cause is still there comes back. */
int alarm_clear(struct alarm_engine *, uint64_t id, const char *by);

/* Of those that are open. */
struct alarm_counts {
    uint64_t fresh[ALARM_SEVERITIES]; /* Neither folded nor acknowledged. */
    uint64_t acknowledged[ALARM_SEVERITIES];
    uint64_t folded[ALARM_SEVERITIES];
};
void alarm_count(const struct alarm_engine *, struct alarm_counts *ret);

#endif
