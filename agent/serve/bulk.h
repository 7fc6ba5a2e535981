/* The way of large bodies: a connection of its own to the broker, so that
 * nothing small stands behind them. It is there only while somebody needs it.
 *
 *            join                  up                     60 s without a seat
 *   CLOSED -----------> OPENING -------> OPEN ----------+
 *     ^                    | refused, lost, 2 s         |
 *     +------- CLOSING <---+----------------------------+
 *
 * Who wants it takes a seat. If there is none to be had, the body goes the way
 * of everything else; after a failure that is so for 30 s. */
#ifndef SERVE_BULK_H
#define SERVE_BULK_H

#include "serve/serve.h"

#include <bsd/sys/queue.h>

enum serve_seat_state {
    SERVE_SEAT_NONE, /* The ordinary way. */
    SERVE_SEAT_WAITS,
    SERVE_SEAT_TAKEN,
};

/* Zero it before use. */
struct serve_seat {
    enum serve_seat_state state;
    /* It does not wait any more. */
    void (*settled)(struct serve_seat *);
    /* It was taken, and what went by it lately may not have arrived. It is left
     * already. */
    void (*lost)(struct serve_seat *);

    struct serve_bulk *bulk; /* Private. */
    LIST_ENTRY(serve_seat) link;
};

/* Opens a connection with these events and owner; NULL with 'err' filled. */
typedef struct ist_bus *serve_bulk_dial_fn(void *arg,
                                           const struct ist_bus_events *,
                                           void *owner, struct ist_err *err);

enum serve_bulk_state { BULK_CLOSED, BULK_OPENING, BULK_OPEN, BULK_CLOSING };

struct serve_bulk {
    struct serve *serve; /* Borrowed. */
    struct ist_bus
        *bus; /* Owned; NULL: closed. To be used by who has a seat. */

    /* Private to bulk.c. */
    serve_bulk_dial_fn *dial;
    void *dial_arg;
    enum serve_bulk_state state;
    struct ist_bus_consumer pieces;
    char queue[64];
    bool is_placed, is_stopped;
    struct ist_timer timer; /* OPENING: patience; OPEN: nobody needs it. */
    uint64_t not_before_ms;
    LIST_HEAD(, serve_seat) seats;
};

/* 'serve' is told of it. */
void serve_bulk_init(struct serve_bulk *, struct serve *, serve_bulk_dial_fn *,
                     void *dial_arg);

/* Its state says at once what came of it. NULL 'bulk': none is to be had. */
void serve_bulk_join(struct serve_bulk *, struct serve_seat *);
/* Harmless on one that has none. */
void serve_bulk_leave(struct serve_seat *);

/* Closes it for good; it is over when serve_bulk_is_closed(). */
void serve_bulk_stop(struct serve_bulk *);
bool serve_bulk_is_closed(const struct serve_bulk *);

#endif
