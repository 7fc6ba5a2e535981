/* The intake, shared by what reads the stream (intake.c), what writes it down
 * (intake_write.c) and what looks after the sites (intake_sites.c). */
#ifndef VIEW_INTAKE_PRIV_H
#define VIEW_INTAKE_PRIV_H

#include "view/intake.h"
#include "view/numbers.h"

#include <bsd/sys/queue.h>

#define INTAKE_MESSAGE_MAX (8U << 20) /* Bytes of one, unpacked. */

/* What is kept of a site; site->owner. */
struct intake_site {
    struct sites_site *site;
    struct numbers numbers;   /* As committed. */
    struct numbers *working;  /* Owned. In the transaction under way; NULL: not
                               * in it. */
    uint64_t resync_at_ms;    /* Loop time before which none is asked for. */
    uint64_t behind_since_ms; /* Its presence was ahead of us; 0: is not. */
    bool interrupted;         /* The NOC was told that its feed is. */
    uint64_t interrupted_at;  /* The sequence that was due then. */
    bool dropping;            /* Removed: its rows are being dropped. */
    LIST_ENTRY(intake_site) sibling;
};

/* A message, opened. */
struct intake_message {
    struct intake_site *from;
    struct ist_arena arena;
    const Isthmus__V1__Events *events; /* In the arena. */
    uint64_t tag, offset;
    STAILQ_ENTRY(intake_message) link;
};

STAILQ_HEAD(intake_messages, intake_message);

/* A resync call to one site. */
struct intake_resync {
    struct intake_site *at;
    struct desk_call call;
    struct ist_arena arena;
    LIST_ENTRY(intake_resync) sibling;
};

struct intake {
    struct ist_loop *loop;
    struct ist_bus *bus;
    struct desk *desk;
    struct sites *sites;
    struct ist_self *self;
    struct ist_tree *tree;
    struct view *view;
    struct events_log *log; /* All borrowed. */
    struct intake_conf conf;
    struct intake_counts counts;
    MDB_dbi map;

    struct ist_bus_consumer consumer;
    char offset[24];

    struct intake_messages waiting, writing;
    size_t n_waiting;
    uint64_t heard_ms; /* Loop time of the last message of the stream. */
    struct {
        struct ist_write write;
        struct intake_counts counts; /* Of the transaction; added when done. */
        uint64_t now_ms;
        uint64_t offset;
        struct ist_timer again;
        uint64_t backoff_ms;
    } batch;
    struct {
        struct ist_write write;
        struct intake_site *site; /* NULL: only the log is trimmed. */
        bool more;
    } chore;

    LIST_HEAD(, intake_site) known;
    LIST_HEAD(, intake_resync) resyncs;
    LIST_HEAD(, intake_wait) waits;
    struct ist_timer tick;

    void (*closed)(void *);
    void *closed_arg;
    bool closing;
};

/* intake.c */
void intake_try_close(struct intake *);

/* intake_write.c: takes what waits into the next transaction, if none is under
 * way. */
void intake_write_next(struct intake *);
/* Reads the numbers of all sites, and the place in the stream. Blocks. */
int intake_load(struct intake *, struct ist_err *err);

/* intake_sites.c */
struct intake_site *intake_site_of(struct intake *, struct sites_site *);
void intake_tick(struct ist_timer *);
/* After a commit. */
void intake_sites_moved(struct intake *);
/* Nobody waits any more; calls under way end. */
void intake_sites_stop(struct intake *);

#endif
