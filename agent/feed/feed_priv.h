/* The parts of a feed: reading kinds (read.c), asking for rows (touch.c),
 * sending (send.c), and what they share (feed.c). */
#ifndef FEED_FEED_PRIV_H
#define FEED_FEED_PRIV_H

#include "feed/feed.h"
#include "feed/store.h"

#include <bsd/sys/tree.h>

#define FEED_TOUCHES_MAX 4096 /* Rows to be asked for; beyond, the kind. */
#define FEED_ASKS_MAX    4    /* Of those at once. */
#define FEED_WINDOW      8    /* Batches on their way. */
#define FEED_SAYINGS_MAX 64   /* Other news being written; beyond, dropped. */

struct feed_kind {
    const struct ist_kind *kind;
    const struct os_resource *resource;
    bool allowed, notified;
    bool is_held;     /* Its service does not answer. */
    bool resync;      /* To be stated again. */
    uint64_t due_ms;  /* Loop time of the next reading. */
    uint64_t noticed; /* What the next reading will settle; 0: nothing. */
    uint64_t took_ms; /* The last reading. */
    unsigned n_failures;
    char trouble[220];
};

/* --- A reading --- */

struct feed_reader {
    struct ist_timer timer;
    bool is_reading, is_listing;
    size_t kind; /* Being read. */
    struct os_list list;
    struct feed_page page;
    char after[IST_ORDER_ID_MAX + 1], upto[IST_ORDER_ID_MAX + 1];
    size_t limit; /* Rows of a page. */
    bool is_first, is_restating;
    bool has_begun; /* The statement: BEGIN is written. */
    bool is_border; /* What is being written is BEGIN alone. */
    uint64_t noticed, read_ms, begun_ms; /* Wall time, loop time. */
    char partial[220]; /* Why some rows could not be read; "": all could. */

    /* Rows asked for one by one while the page was: what it says of them may
     * be older. */
    char **skip; /* Owned, with the strings. */
    size_t n_skip, skip_size;
    bool is_stale; /* Too many: the page is asked for again. */
};

/* --- Single rows --- */

struct feed_item {
    RB_ENTRY(feed_item) node;
    TAILQ_ENTRY(feed_item) link; /* While it waits. */
    size_t kind;
    uint64_t due_ms;
    uint64_t noticed; /* When it was first touched, as a number. */
    uint64_t again;   /* Touched while it was asked for; 0: not. */
    unsigned n_tries;
    bool is_waiting;
    char id[];
};
RB_HEAD(feed_items, feed_item);
TAILQ_HEAD(feed_waiting, feed_item);

struct feed_ask {
    struct feed *feed;
    struct feed_item *item; /* NULL: free. */
    const char *ids[1];
    struct os_show show;
    struct os_list list;
    struct feed_page page;
};

struct feed_touches {
    struct feed_items items;
    struct feed_waiting waiting; /* By when they are due. */
    size_t n;
    struct feed_ask asks[FEED_ASKS_MAX];
    struct ist_timer timer;
};

/* --- Sending --- */

struct feed_batch {
    struct feed *feed;
    struct ist_bus_publish publish;
    uint64_t last; /* Number of its last entry. */
    size_t n;
    bool is_confirmed;
};

struct feed_sender {
    struct feed_batch batches[FEED_WINDOW]; /* A ring, oldest at 'first'. */
    size_t first, n;
    size_t n_flying;    /* Not yet answered. */
    uint64_t sent;      /* Number of the last entry that is on its way. */
    uint64_t confirmed; /* Up to that all have arrived. */
    bool has_failed;    /* When all are answered, back to 'confirmed'. */
    unsigned n_failures;
    struct ist_timer gather, again;
    struct feed_confirm confirm;
    bool is_confirming;
};

struct feed {
    struct ist_loop *loop;
    struct os_cloud *cloud;
    const struct policy *policy;
    struct ist_bus *bus;
    struct ist_self *self;
    struct ist_peer *hub; /* All borrowed. */
    struct feed_conf conf;
    char key[64]; /* "<site>.feed.batch" */
    struct feed_store store;
    struct feed_kind kinds[FEED_KINDS_MAX];
    size_t n_kinds;
    struct feed_counts counts;
    struct feed_reader reader;
    struct feed_touches touches;
    struct feed_sender sender;
    unsigned n_sayings;
    bool is_stuck;          /* What is to be told cannot be written. */
    uint64_t stuck_said_ms; /* Loop time; 0: never. */
    uint64_t noticed;       /* Counts what is noticed. */
    LIST_HEAD(feed_settles, feed_settle) settles;

    size_t n_busy; /* Ops and writes under way. */
    bool is_closing;
    void (*closed)(void *);
    void *closed_arg;
};

/* --- feed.c --- */

static inline void feed_begin(struct feed *feed)
{
    feed->n_busy++;
}

/* One less under way; nothing of the feed may be looked at after the last one
 * of one that is closing, so call it last. */
void feed_end(struct feed *);

/* Adds up what a write did, wakes the sender, and those who wait. */
void feed_wrote(struct feed *, const struct feed_write *);

/* NULL: no such kind. */
struct feed_kind *feed_kind_find(struct feed *, const char *name);

/* Does the hub have, or is it being given, the rows of that kind? */
bool feed_is_told(const struct feed *, const struct feed_kind *);

/* Looks whether those who wait have what they wait for. */
void feed_settle_check(struct feed *);

/* --- read.c --- */

void feed_reader_stop(struct feed *);

/* Something of what is due may have changed. */
void feed_reader_plan(struct feed *);
/* Reads the kind as soon as may be. */
void feed_read_soon(struct feed *, struct feed_kind *, uint64_t delay_ms);
/* That row was asked for by itself. */
void feed_reader_skip(struct feed *, size_t kind, const char *id);
/* The oldest thing noticed that a reading has yet to settle. */
uint64_t feed_reader_oldest(const struct feed *);
void feed_reader_fini(struct feed *);

/* --- touch.c --- */

void feed_touches_init(struct feed *);
void feed_touches_stop(struct feed *);
void feed_touches_add(struct feed *, struct feed_kind *, const char *id);
/* The same, of rows; UINT64_MAX: nothing. */
uint64_t feed_touches_oldest(struct feed *);
void feed_touches_fini(struct feed *);

/* --- send.c --- */

void feed_sender_init(struct feed *);
void feed_sender_stop(struct feed *);
/* There may be more in the outbox. */
void feed_sender_wake(struct feed *);
/* There is, or may be, a bus again. */
void feed_sender_retry(struct feed *);

#endif
