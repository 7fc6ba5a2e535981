/* The sites that this hub knows: who they are, and whether they are there.
 *
 * The list is the directory that 'isthmus-hub site add' writes (admin/home.h):
 * one folder per site, its verified bundle in it. It is read at the start and
 * again by sites_rescan(). Whether a site is there is known from its presence
 * messages: none for 10 s means absent. Nothing here touches the bus. */
#ifndef SITES_REGISTRY_H
#define SITES_REGISTRY_H

#include "base/err.h"
#include "codec/delegation.h"
#include "codec/seal.h"
#include "io/loop.h"
#include "io/pool.h"

#include "isthmus/v1/presence.pb-c.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stdint.h>

#define SITES_MAX          4096  /* Known at once; more are left out, logged. */
#define SITES_ABSENT_MS    10000 /* Without presence. */
#define SITES_NAME_SIZE    33
#define SITES_SERVICES_MAX 32 /* Kept of those a site names; then cut. */
#define SITES_FEEDS_MAX    48 /* Kinds of a feed; then cut. */
#define SITES_OVER_MAX     8  /* Calls over that it is told of together. */

enum sites_state {
    SITES_UNKNOWN, /* Not heard since the start, and not 10 s over. */
    SITES_PRESENT,
    SITES_ABSENT,
    SITES_REMOVED, /* By its admin. Only the name and uid are of use. */
};

const char *sites_state_name(enum sites_state);

/* What changed, as bits. */
enum sites_change {
    SITES_CHANGE_ADDED = 1,
    SITES_CHANGE_REMOVED = 2, /* Drop what waits for it. */
    SITES_CHANGE_STATE = 4,
    SITES_CHANGE_KEYS = 8,     /* Another delegation. */
    SITES_CHANGE_RESTART = 16, /* Its epoch rose. */
    SITES_CHANGE_POLICY = 32,  /* Mode or digest. */
    SITES_CHANGE_VERSION = 64,
    SITES_CHANGE_SERVICES = 128,
    SITES_CHANGE_HEARD = 256,    /* A presence came: each of them. */
    SITES_CHANGE_PROJECTS = 512, /* Which projects of the hub act there. */
};

/* One kind of a site's feed, as the site said. */
struct sites_feed {
    char kind[24];
    uint64_t position;
    bool notified;     /* Its service tells changes; else it is polled. */
    uint64_t read_ms;  /* When it was last read whole; 0: not yet. */
    char trouble[120]; /* Why it cannot be read at present; "": it can. */
};

/* A site. Valid until sites_free(), also after it was removed. */
struct sites_site {
    char name[SITES_NAME_SIZE];
    struct ist_peer peer; /* Joined; peer.uid is the site's uid. */
    uint64_t serial;      /* Of its delegation. */
    uint8_t root[32];

    enum sites_state state;
    uint64_t changed_ms; /* Wall time of the last change of state. */
    uint64_t heard_ms;   /* Wall time of the last presence; 0: never. */

    /* As it said in its last presence; text is printable ASCII. */
    int64_t
        clock_offset_ms; /* Its clock minus ours, less the time on the way. */
    char version[32];
    char policy_mode[16]; /* "active", "read-only", "frozen", "unknown". */
    uint8_t policy_digest[32];
    uint8_t projects_digest[32]; /* Zero: it has none. */
    uint64_t started_ms;
    uint32_t open_calls;
    char services[SITES_SERVICES_MAX][32];
    size_t n_services;
    /* How far its feed said it was, at heard_ms; epoch 0: it has none. */
    uint64_t feed_epoch, feed_next_sequence;
    struct sites_feed feed[SITES_FEEDS_MAX];
    size_t n_feed;

    /* Calls to it that ended since the hub was started, and the time to the
     * first frame of an answer, smoothed by eighths (as RFC 6298 does). Kept by
     * survey/desk.c. */
    uint64_t n_answered, n_failed, latency_us;

    void *owner; /* Not used here: for whoever keeps something per site. */

    /* Private to survey/desk.c: calls to its agent of that epoch which are
     * over, and it has not been told so. */
    struct ist_id over[SITES_OVER_MAX];
    size_t n_over;
    uint64_t over_epoch;

    /* Private to registry.c. */
    struct sites *sites;
    struct ist_timer silence;
    uint64_t epoch_known;  /* For RESTART. */
    uint64_t epoch_stored; /* On disk, or on its way there. */
    bool in_scan, storing;
    RB_ENTRY(sites_site) by_name, by_key;
    TAILQ_ENTRY(sites_site) removed_link;
};

struct sites;

/* Called from the loop. 'changes' has one bit or more. */
typedef void sites_changed_fn(void *owner, struct sites_site *,
                              unsigned changes);

/* Reads the directory (NULL: there is none; blocking: call it at start) and
 * joins each site's keys with 'self', which is borrowed. A folder that cannot
 * be used is logged and left out. NULL with 'err' filled when the directory
 * cannot be read. 'changed' is not called for the sites found here. */
struct sites *sites_new(struct ist_loop *, const char *dir,
                        const struct ist_self *self, sites_changed_fn *changed,
                        void *owner, struct ist_err *err);

/* Without a directory (NULL above) sites are admitted by hand and live in
 * memory only. The delegation must have been verified. */
void sites_admit(struct sites *, const char *name,
                 const struct ist_delegation *);

/* Reads it again in the pool, when it changed since. For a timer (one second
 * is cheap: it is one stat) and for SIGHUP. A scan under way is not doubled. */
void sites_rescan(struct sites *);

/* The hub could hear nobody for a while, and can again: a site that is present
 * has a whole period from now on to be heard. */
void sites_listen_anew(struct sites *);

/* Ends; 'closed' (may be NULL) is called from the loop when the pool has let
 * go and everything is freed. */
void sites_close(struct sites *, void (*closed)(void *owner));

struct sites_site *sites_find(struct sites *, const char *name);
struct sites_site *sites_find_uid(struct sites *, const struct ist_id *uid);

/* For ist_open(): 'arg' is the struct sites. */
struct ist_peer *sites_find_peer(void *arg, const uint8_t id[16]);
/* The site of a peer that sites_find_peer() gave. */
struct sites_site *sites_of_peer(struct ist_peer *);

/* All known sites in the order of their names. NULL begins, and ends. */
struct sites_site *sites_next(struct sites *, struct sites_site *);
size_t sites_count(const struct sites *);
size_t sites_count_state(struct sites *, enum sites_state);

/* To be called after each message that ist_open() accepted of it: a risen
 * epoch is stored in the pool. Cheap when it did not rise. */
void sites_heard(struct sites *, struct sites_site *);

/* Its presence message, opened and decoded; 'issued_ms' is the letter's. */
void sites_presence(struct sites *, struct sites_site *,
                    const Isthmus__V1__Presence *, uint64_t issued_ms);

#endif
