/* The desk: where calls to sites go out, and where their answers come in.
 *
 * A call asks one site one thing. It is sealed for that site, published with
 * the time it has left, and answered by a stream of frames that the desk opens,
 * checks and hands over in order. Whatever does not belong to an open call (too
 * late, another site's, a second time) is counted and dropped. Presence comes
 * in here too, and goes on to the registry.
 *
 *       start           answer's last frame, a failure, the deadline
 *   IDLE -----> OPEN ------------------------------------------------> done
 *
 * Ways to fail: the site is absent (at once), the bus is down or lost, the
 * site's queue is full or not there, the deadline passes (the site is told to
 * stop), the frames are not what was agreed. */
#ifndef SURVEY_DESK_H
#define SURVEY_DESK_H

#include "base/row.h"
#include "bus/bus.h"
#include "sites/registry.h"
#include "survey/past.h"
#include "survey/trace.h"

#include "isthmus/v1/call.pb-c.h"
#include "isthmus/v1/reply.pb-c.h"

enum desk_outcome {
    DESK_FAILED = 1, /* The site said so; see call->failure. */
    DESK_ABSENT,     /* No sign of life for 10 s, or never; or it went away. */
    DESK_NO_QUEUE,   /* The broker does not know the site. */
    DESK_FULL,       /* The site's queue is full: it does not keep up. */
    DESK_NO_BUS,     /* The hub has no connection, or lost it meanwhile. */
    DESK_BROKEN,     /* The answer broke the rules. */
    DESK_TOO_LARGE,  /* Over the caller's arena, or its share of it. */
    DESK_BUSY,       /* Over desk_conf.calls_max. */
};

struct desk_conf {
    uint64_t calls_max; /* Open at once; more end with DESK_BUSY. */
    uint64_t skew_ms;   /* Clock error to bear in envelopes. */
};

extern const struct ist_row desk_rows[];

struct desk;
struct desk_call;

/* A frame of the answer, unpacked in call->arena. It has no more records than
 * the site was allowed. Non-zero ends the call with
 * that rc (and the err that was set). */
typedef int desk_frame_fn(struct desk_call *, const Isthmus__V1__Reply *);

struct desk_call {
    struct ist_op op; /* Prepared by the caller. rc: 0, an outcome, a fault. */

    struct sites_site *site; /* Borrowed. */
    const char *request_id;  /* Of the client's request it is for, borrowed;
                              * NULL: none. */
    struct ist_arena *arena; /* Borrowed: frames are unpacked here. */
    desk_frame_fn *on_frame;
    uint32_t window; /* Records that the site may send before it is given
                      * credit. More ends the call with DESK_BROKEN. */
    uint64_t bytes;  /* The same, of a relay's body. */
    bool is_passing; /* Frames are used up in on_frame: what they took of the
                      * arena is free again behind it. */
    bool is_sharing; /* Other calls fill the arena too: this one may hold no
                      * more of it than is left free, so that however many
                      * sites take what they can, there is room for others. */

    /* Valid in 'done'. */
    Isthmus__V1__Failure__Code failure; /* With DESK_FAILED. */
    uint64_t sent_ms, heard_ms; /* Loop time; heard: last frame, or 0. */

    /* Private to desk.c. */
    struct desk *desk;
    struct ist_id id;
    uint8_t hash[32];
    uint64_t epoch; /* Of the site that was asked. */
    uint32_t next_index, next_data;
    uint8_t n_dense;  /* Of the pieces of its body. */
    bool by_bulk;     /* Its bodies are on the desk's bulk bus. */
    const char *what; /* For the trace. */
    size_t held;      /* Of the arena. */
    bool ended, publishing;
    int end_rc;
    struct ist_bus_publish publish;
    RB_ENTRY(desk_call) node;
};

RB_HEAD(desk_calls, desk_call);

/* Counted for metrics; only ever rise. */
struct desk_counts {
    uint64_t calls, sent, frames, late, broken, presences;
    uint64_t bulk; /* Frames and pieces on the bulk bus. */
    uint64_t refused[IST_SEAL_REFUSALS];
};

struct desk {
    struct ist_loop *loop;
    struct ist_bus *bus;
    struct sites *sites;
    struct ist_self *self; /* All borrowed. */
    struct desk_conf conf;
    char word[20];
    struct desk_counts counts;
    uint64_t n_open;
    struct past past; /* Not used here: of the surveys. */
    struct traces traces;

    /* Private to desk.c. */
    struct desk_calls calls;
    struct ist_bus_consumer replies, alive, large;
    struct ist_bus *bulk;  /* NULL: none. */
    struct ist_timer over; /* Tells sites what has not been told them. */
    char reply_queue[48], reply_key[32], alive_queue[48], bulk_queue[48],
        bulk_key[32];
    struct ist_arena scratch; /* The message being opened. */
    struct ist_arena packing; /* The one being sealed. */
};

/* 'word' is the hub's on the bus ("h1"). Adds its two consumers to the bus. */
void desk_init(struct desk *, struct ist_loop *, struct ist_bus *,
               struct sites *, struct ist_self *, const char *word,
               const struct desk_conf *);
/* No call may be open. */
void desk_fini(struct desk *);

/* A bus of the desk's own for large bodies, so that nothing small stands behind
 * them. Without one, or as long as it is down, they go with the rest. */
void desk_bulk_init(struct desk *, struct ist_bus *);

/* To be called from that bus's 'down': ends the calls whose bodies it carried
 * with DESK_NO_BUS. */
void desk_bulk_down(struct desk *);

/* To be called from the bus's 'down': ends every open call with DESK_NO_BUS,
 * since its answer can no longer arrive. */
void desk_down(struct desk *, const struct ist_err *);

/* To be called when the registry says that a site changed: ends the calls that
 * it can no longer answer, because it was removed or has restarted, with
 * DESK_ABSENT; of one that is absent only those without a deadline of their
 * own, which are passing. */
void desk_site_changed(struct desk *, const struct sites_site *,
                       unsigned changes);

/* 'what' needs only its oneof; the desk adds the rest. It is packed before
 * this returns. */
void desk_call_start(struct desk *, struct desk_call *,
                     Isthmus__V1__Call *what);

/* So many more records may come. */
void desk_call_credit(struct desk_call *, uint32_t records);

/* Of a relay: so many more bytes may come. */
void desk_call_credit_bytes(struct desk_call *, uint32_t bytes);

/* Of a relay: a piece of the request's body, which the site has granted. 0, or
 * -EAGAIN (its bus takes nothing now: again when it has drained), or a fault
 * that ends the call. */
int desk_call_data(struct desk_call *, const void *data, size_t size,
                   bool last);

#endif
