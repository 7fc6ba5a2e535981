/* The log of events: one, numbered without holes, of all sites and of the hub
 * itself. Every door (AMQP, SSE, NDJSON, webhooks) and every alarm reads it by
 * its own place in it; a slow reader costs nothing but its place, and one whose
 * place is no longer held is told the gap.
 *
 * An item is stored as it goes out: the fields that are filtered by, and the
 * CloudEvent (v1.0, JSON, one line), rendered once.
 *
 * Written in transactions of the tree's writer, in the pool; read from the
 * loop. */
#ifndef EVENTS_LOG_H
#define EVENTS_LOG_H

#include "base/row.h"
#include "model/order.h"
#include "store/tree.h"

struct events_conf {
    uint64_t keep_ms;    /* Older items are dropped. */
    uint64_t keep_items; /* So many at most: the oldest are dropped. */
};

extern const struct ist_row events_rows[];

enum events_severity {
    EVENTS_INFO,
    EVENTS_NOTICE,
    EVENTS_WARNING,
    EVENTS_ERROR,
    EVENTS_CRITICAL,
};
/* "info"...; and back: -1 for none of them. */
const char *events_severity_name(enum events_severity);
int events_severity_parse(const char *name);

#define EVENTS_HUB "hub" /* The origin of the hub's own events. */

/* All text is UTF-8 without control characters; "" where there is none. */
struct events_item {
    uint64_t id;              /* In this log, from 1. */
    uint64_t received_ms;     /* By the hub, wall time. */
    const char *site;         /* Whom it is about. */
    const char *origin;       /* Who numbered it: the site, or EVENTS_HUB. */
    uint64_t epoch, sequence; /* Of the origin. */
    uint64_t time_ms;         /* At the origin. */
    enum events_severity severity;
    const char *service, *kind, *action, *subject, *project, *text;
    struct ist_bytes json; /* Rendered; read only. */
};

struct events_log;

/* NULL with 'err'. The tree is borrowed. */
struct events_log *events_log_open(struct ist_tree *,
                                   const struct events_conf *,
                                   struct ist_err *err);
struct events_log *events_log_free(struct events_log *);

/* In the pool, in 'txn': gives it the next id and renders it ('id' and 'json'
 * of the argument are not looked at). 'now_ms' is wall time. */
int events_log_append(struct events_log *, MDB_txn *,
                      const struct events_item *, uint64_t now_ms,
                      struct ist_err *err);
/* The same for an item of the hub's own: origin, epoch and sequence are filled
 * in. */
int events_log_append_own(struct events_log *, MDB_txn *,
                          const struct events_item *, uint64_t now_ms,
                          struct ist_err *err);
/* In the pool: drops what is too old or too many, 'max' at most. */
int events_log_trim(struct events_log *, MDB_txn *, uint64_t now_ms, size_t max,
                    struct ist_err *err);

/* On the loop: is there something to trim? */
bool events_log_is_overfull(struct events_log *);

/* On the loop, after a commit that appended: wakes the followers. */
void events_log_committed(struct events_log *);

/* First and last id that it holds; first = last + 1: empty. */
void events_log_range(struct events_log *, uint64_t *ret_first,
                      uint64_t *ret_last);
/* The first id received at that wall time or later; last + 1: none yet. */
uint64_t events_log_since(struct events_log *, uint64_t wall_ms);

/* Visits items after 'after', 'max' at most, oldest first. 'fn' returns false
 * to stop (that item counts as not visited). '*ret_last': the last visited, or
 * 'after'. The item is borrowed until 'fn' returns. */
typedef bool events_visit_fn(void *arg, const struct events_item *);
int events_log_read(struct events_log *, uint64_t after, size_t max,
                    events_visit_fn *, void *arg, uint64_t *ret_last,
                    struct ist_err *err);

/* Whoever wants to be woken when there is more. 'more' is called from the
 * loop, in the turn after the commit; it may unfollow itself, and no other.
 * Embedded by its owner. */
struct events_follower {
    void (*more)(struct events_follower *);
    LIST_ENTRY(events_follower) sibling;
};
void events_log_follow(struct events_log *, struct events_follower *);
void events_log_unfollow(struct events_follower *);

/* An event of the hub's own: queued, appended by the next transaction, which is
 * tried again until it succeeds. Borrowed until the call returns; 'site' may be
 * "hub". origin, epoch, sequence are filled in. At most 1,000 wait; then the
 * oldest is dropped, counted and logged. */
void events_post(struct events_log *, const struct events_item *);

/* A reader's own place that survives a restart ("noc", "webhook-<id>"). The
 * first: 0 when there is none. In the pool, in 'txn'. */
uint64_t events_place_get(struct events_log *, const char *name);
int events_place_put(struct events_log *, MDB_txn *, const char *name,
                     uint64_t id, struct ist_err *err);
/* Forgets it; one that is not there is fine. */
int events_place_drop(struct events_log *, MDB_txn *, const char *name,
                      struct ist_err *err);

/* Events of the hub's own are being written: not to be freed yet. Those that
 * failed and wait to be tried again do not count: freeing loses them. */
bool events_log_busy(const struct events_log *);

struct events_counts {
    uint64_t appended, posted, dropped;
};
const struct events_counts *events_log_counts(const struct events_log *);

#endif
