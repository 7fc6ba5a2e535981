/* The intake, shared by what reads the stream (intake.c), what writes it down
 * (intake_write.c), what looks after the sites (intake_sites.c), tells the NOC
 * of them (intake_told.c), and waits for positions (intake_wait.c). */
#ifndef VIEW_INTAKE_PRIV_H
#define VIEW_INTAKE_PRIV_H

#include "view/gather.h"
#include "view/intake.h"
#include "view/numbers.h"

#include <bsd/sys/queue.h>

#define INTAKE_MESSAGE_MAX (4U << 20) /* Bytes of one, unpacked. */

#define INTAKE_TRIM_MAX 10000 /* Events that give way at once. */
#define INTAKE_QUIET_MS 2000  /* Nothing came for so long: that was all. */

#define INTAKE_ANEW_MS 60000 /* Nothing came of what was surely sent. */

/* What the NOC was last told of a site. Stored as it is: plain data. */
struct intake_told {
    uint8_t is_away, is_interrupted;
    uint64_t epoch, due; /* Of the first event that is not here yet. */
    char version[32], policy_mode[16];
    uint8_t policy_digest[32];
};

/* A kind that the site's presence names, at its place there. */
struct intake_feed {
    const struct ist_kind *kind; /* NULL: none that is known here. */
    uint16_t number;
    uint64_t behind_since_ms; /* Loop time; 0: we have what it said. */
    uint64_t position;        /* Ours, when that was last looked at. */
};

/* What is kept of a site; site->owner. */
struct intake_site {
    struct sites_site *site;
    struct numbers numbers;  /* As committed. */
    struct numbers *working; /* Owned. In the transaction under way; NULL: not
                              * in it. */
    struct intake_feed feeds[SITES_FEEDS_MAX];
    size_t n_feeds;
    uint8_t feed_at[VIEW_KINDS_MAX]; /* Of a kind's number: where its feed
                                      * stood last. A hint. */
    uint64_t resync_at_ms;   /* Loop time before which none is asked for. */
    uint64_t resync_wait_ms; /* Longer each time that it did not help. */
    struct intake_told told;
    bool told_anew; /* Not yet stored. */
    LIST_ENTRY(intake_site) sibling;
};

/* A message, opened. */
struct intake_message {
    struct intake_site *from; /* NULL: of no use, only its place counts. */
    struct ist_arena arena;
    const Isthmus__V1__Events *events; /* In the arena. */
    bool is_live;      /* Its epoch is that of which its site speaks now. */
    bool puts_numbers; /* The first of its site in the transaction. */
    uint64_t tag, offset;
    STAILQ_ENTRY(intake_message) link;
};

STAILQ_HEAD(intake_messages, intake_message);

/* A name whose rows are to be dropped: there is no such site any more. */
struct intake_drop {
    char name[SITES_NAME_SIZE];
    LIST_ENTRY(intake_drop) sibling;
};

/* A resync call to one site. */
struct intake_resync {
    struct intake_site *at;
    struct desk_call call;
    struct ist_arena arena;
    LIST_ENTRY(intake_resync) sibling;
};

/* Of one kind. */
struct intake_standings {
    struct intake_standing *all; /* Owned. */
    size_t size;
    uint64_t made_at; /* By the count of moves. */
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
    uint64_t held;  /* Bytes of both. */
    bool is_paused; /* Too many: read on behind them when they are written. */
    uint64_t heard_ms; /* Loop time of the last message of the stream. */
    uint64_t anew_at_ms, anew_wait_ms; /* Loop time before which it is not read
                                        * anew; longer each time. */
    uint64_t at_end_ms; /* Loop time when it was last read to its end. */
    struct {
        struct ist_write write;
        struct intake_counts counts; /* Of the transaction; added when done. */
        struct view_gather *rows;    /* Owned. */
        uint64_t now_ms;
        uint64_t offset;
        bool has_place; /* The offset was committed, and is of this stream. */
        struct ist_timer again;
        uint64_t backoff_ms;
        char trouble[100]; /* Why it cannot be written; "": it can. */
    } batch;
    struct {
        struct ist_write write;
        struct intake_drop *drop; /* NULL: only the log is trimmed. */
        uint64_t now_ms; /* By which events are too old; UINT64_MAX: all. */
        size_t trim_max;
        bool more;
    } chore;
    uint64_t room_at_ms; /* Loop time when it is looked for room again. */
    struct {
        struct ist_write write;
        struct intake_note *notes; /* Owned. */
        size_t n;
    } telling;

    uint64_t n_moves; /* Of any site or its numbers, and one at the start. */
    struct intake_standings standings[VIEW_KINDS_MAX]; /* By kind's number. */

    LIST_HEAD(, intake_site) known;
    LIST_HEAD(, intake_drop) drops;
    LIST_HEAD(, intake_resync) resyncs;
    LIST_HEAD(, intake_wait) waits;
    struct ist_timer tick;

    bool stopping; /* Nobody is asked any more. */
    void (*closed)(void *);
    void *closed_arg;
    bool closing;
};

/* intake.c: the stream from its start, for what came before is known. */
void intake_read_anew(struct intake *);
void intake_read_on(struct intake *);
void intake_message_free(struct intake *, struct intake_message *);

/* intake_write.c: takes what waits into the next transaction, if none is under
 * way. */
void intake_write_next(struct intake *);
/* Reads the numbers of all sites, and the place in the stream. Blocks. */
int intake_load(struct intake *, struct ist_err *err);
/* In the pool: all that is stored of a site but its rows. */
int intake_forget(struct intake *, MDB_txn *, const char *name);

/* intake_sites.c */
struct intake_site *intake_site_of(struct intake *, struct sites_site *);
void intake_tick(struct ist_timer *);
/* Its rows are to be dropped, and what it still has in the stream. */
void intake_drop(struct intake *, const char *name);
bool intake_is_dropping(struct intake *, const char *name);
/* After a commit that took entries of it. */
void intake_site_moved(struct intake *, struct intake_site *);
/* Calls under way end. */
void intake_sites_stop(struct intake *);

/* intake_standing.c */
void intake_standings_free(struct intake *);

/* intake_told.c */
void intake_tell_changes(struct intake *, struct intake_site *,
                         unsigned changes);
/* When all that it had to say while it was away has come. */
void intake_tell_resumed(struct intake *, struct intake_site *);
void intake_told_key(char *to, size_t size, const char *name);

/* intake_wait.c: some may be over. */
void intake_try_waits(struct intake *);
void intake_waits_stop(struct intake *);

#endif
