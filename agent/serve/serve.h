/* The agent's end of the bus: opens what the hub asks, judges it by the site's
 * policy, has it done, and streams the answer back under the hub's credit.
 *
 * Nothing here knows OpenStack (agent/os) or policy files (agent/policy): a
 * table ties each kind of call to the verb it is judged by and to the function
 * that carries it out. */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include "base/row.h"
#include "bus/bus.h"
#include "codec/seal.h"
#include "feed/feed.h"
#include "os/cloud.h"
#include "policy/policy.h"
#include "projects/projects.h"

#include "isthmus/v1/call.pb-c.h"
#include "isthmus/v1/reply.pb-c.h"

#include <bsd/sys/tree.h>

struct serve_conf {
    uint64_t calls_max;     /* Worked on at once; above: "busy"; twice as
                             * many, the bus taking nothing: silence. */
    uint64_t answer_memory; /* Of one answer's rows. */
    uint64_t skew_ms;
    uint64_t presence_ms;
    uint64_t bulk_yield_ms; /* Between two pieces of a large body, while
                             * anything small is under way. */
};

extern const struct ist_row serve_rows[];

struct serve_answer;
struct serve_audit;
struct serve_bulk;
struct serve_guests;
RB_HEAD(serve_answers, serve_answer);

/* Counted for metrics; only ever rise. */
struct serve_counts {
    uint64_t calls, denied, failed, frames, records, skipped, busy;
    uint64_t refused[IST_SEAL_REFUSALS];
};

struct serve {
    struct ist_loop *loop;
    struct ist_bus *bus;
    struct ist_self *self;
    struct ist_peer *hub;      /* All borrowed. */
    struct os_cloud *cloud;    /* Borrowed; NULL: no OpenStack configured. */
    struct policy *policy;     /* Borrowed; replaced by a reload. */
    struct projects *projects; /* Borrowed, set by the owner; NULL: none. */
    struct feed *feed;         /* Borrowed, set by the owner; NULL: none. */
    struct serve_audit *audit; /* The same. */
    struct serve_bulk *bulk;   /* The same: the way of large bodies. */
    /* The same; NULL: nobody acts with a token of his own. */
    struct serve_guests *guests;
    char site[40]; /* Its word on the bus. */
    struct serve_conf conf;
    struct serve_counts counts;
    uint64_t n_open, n_bulk; /* Answers under way; those with a large body. */
    uint64_t small_ended_ms; /* The last of the others: loop time. */

    /* Called after each message of the hub that opened; NULL: nobody. */
    void (*heard)(void *arg);
    void *heard_arg;

    /* Private to serve/. */
    struct serve_answers answers;
    struct ist_bus_consumer requests;
    char queue[64], alive_key[48];
    struct ist_timer presence;
    uint64_t presence_sent_ms, started_ms;
    bool is_stopped; /* Nothing of it says any more that it is there. */
    struct ist_arena scratch, packing;
    uint64_t told_since_ms; /* What was told to the feed, of this minute. */
    unsigned n_told;
};

void serve_init(struct serve *, struct ist_loop *, struct ist_bus *,
                struct ist_self *, struct ist_peer *hub, struct os_cloud *,
                struct policy *, const char *site, const struct serve_conf *);

/* Ends every open answer; 'done' of the last one comes from the loop, and
 * serve_fini() must wait until serve->n_open is 0. */
void serve_stop(struct serve *);
void serve_fini(struct serve *);

/* From the bus's events. */
void serve_up(struct serve *);
void serve_down(struct serve *);
void serve_drained(struct serve *);

/* For serve/ only: opens what the hub sent, into the scratch arena, which lasts
 * until the next call. 0, or the refusal, which has been counted. */
int serve_open(struct serve *, uint64_t now_ms, const struct ist_bus_message *,
               struct ist_letter *ret);

/* For serve/ only: is anything small under way, or was just now? */
bool serve_is_asked(const struct serve *);

/* For serve/ only: may it stand in a key of the bus? */
bool serve_is_word(const char *);

/* For serve/ only: what came from the hub, opened and acted upon. */
void serve_take(struct serve *, const struct ist_bus_message *);

/* For serve/ only: a warning to those who watch the site, by its feed; ten in a
 * minute at most. */
void serve_tell(struct serve *, const char *action, const char *kind,
                const char *subject, const char *text);

/* Says that the site is there, or, 'leaving', that it will not be. */
void serve_presence(struct serve *, bool leaving);

#endif
