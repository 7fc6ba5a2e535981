/* The feed: what changes at this site, told to the hub as it happens.
 *
 * For each kind that the policy lets the hub list, the feed knows the last
 * state of every row (a hash of it), learns of changes (the services' own
 * notifications, where there are; reading the kind again at intervals, in any
 * case), and writes each change into a numbered log (proto/isthmus/v1/event.
 * proto). Log, hashes and numbers are one LMDB file, changed in one
 * transaction: after a crash the feed goes on where it was, and what changed
 * meanwhile is found by the next reading. Only when the file is lost does a new
 * epoch begin.
 *
 *   notification          reading the kind (timer)
 *        |                        |
 *   feed_touch(kind, id)    every row of a list
 *        |                        |
 *     show the row  ---->  same hash? ---no---> entry --> outbox (file)
 *                                                           | in order,
 *                                                           v confirmed
 *                                              x.evt  "<site>.feed.batch"
 *
 * Entries leave the outbox when the broker has confirmed them; while the bus
 * is away they stay. */
#ifndef FEED_FEED_H
#define FEED_FEED_H

#include "base/row.h"
#include "bus/bus.h"
#include "codec/seal.h"
#include "os/cloud.h"
#include "policy/policy.h"

#include "isthmus/v1/event.pb-c.h"

struct feed_conf {
    bool enabled;
    uint64_t poll_ms;    /* Between two readings of a kind of which nobody
                          * tells us the changes. */
    uint64_t audit_ms;   /* The same, of a kind whose service does. */
    uint64_t settle_ms;  /* From a notification to asking for the row: what
                          * comes meanwhile is one question. */
    uint64_t outbox_max; /* Bytes of entries not yet confirmed. At the cap the
                          * oldest are dropped: the hub sees the gap, and has
                          * the kinds stated again. */
};

extern const struct ist_row feed_rows[];

struct feed;

/* An entry that is no change of a resource: "denied", "login_failed". All is
 * borrowed until the call returns. */
struct feed_news {
    Isthmus__V1__Event__Severity severity;
    const char *service, *kind, *action, *subject, *project, *text;
};

/* Opens or makes <state>/feed.db; blocks, shortly. Everything is borrowed until
 * closed. The policy may be replaced by feed_policy(). NULL with 'err'. */
struct feed *feed_open(struct ist_loop *, const char *state, struct os_cloud *,
                       const struct policy *, struct ist_bus *,
                       struct ist_self *, struct ist_peer *hub,
                       const char *site, const struct feed_conf *,
                       struct ist_err *err);
/* 'closed' comes from the loop when nothing of it is under way any more. */
void feed_close(struct feed *, void (*closed)(void *), void *arg);

/* From the bus's events. */
void feed_up(struct feed *);
void feed_down(struct feed *);
void feed_drained(struct feed *);

/* Another policy is in force: kinds come and go. */
void feed_policy(struct feed *, const struct policy *);

/* Something happened to that row (id NULL or "": somewhere in that kind). A
 * hint, not a fact: what is true is asked of the service. Never fails, costs
 * little; an unknown kind is ignored. */
void feed_touch(struct feed *, const char *kind, const char *id);

/* Changes of that service's kinds are (no longer) told by notifications.
 * When it begins, those kinds are read again, for what was missed. */
void feed_notified(struct feed *, const char *service, bool on);

void feed_tell(struct feed *, const struct feed_news *);

/* How far it is; in the arena. Never NULL but when memory is out. */
const Isthmus__V1__FeedState *feed_state(struct feed *, struct ist_arena *);

/* Waits until what was noticed before the call is in the log (rc 0), or for
 * the op's deadline. Then ask feed_state(). */
struct feed_settle {
    struct ist_op op; /* Prepared by the caller. */

    /* Private to feed.c. */
    struct feed *feed;
    uint64_t noticed;
    LIST_ENTRY(feed_settle) sibling;
};
void feed_settle_start(struct feed *, struct feed_settle *);

/* Has these kinds (none: all) stated again between BEGIN and END, as soon as
 * they can be read. Unknown ones are ignored. */
void feed_resync(struct feed *, char *const *kinds, size_t n);

/* Counted for metrics; only ever rise, but the outbox. */
struct feed_counts {
    uint64_t touches, shows, readings, failed_readings, upserts, deletes, news,
        sent, dropped, outbox_entries, outbox_bytes;
};
const struct feed_counts *feed_counts(const struct feed *);

#endif
