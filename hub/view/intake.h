/* The intake: reads what the sites publish (evt.stream), and keeps view and
 * log by it.
 *
 * A message is opened, checked (it speaks for the site whose key sealed it, its
 * numbers go on where the last ones ended), and applied: rows to the view, news
 * to the log, the numbers and the place in the stream beside them, all in one
 * transaction. So after a crash of the hub it goes on behind the last message
 * that counted, and what comes a second time is known by its number.
 *
 *   evt.stream --> open --> order --> write (view, log, place) --> committed
 *                             |                                       |
 *                      gap in a kind: resync call             acked, followers
 *                                                             and waiters woken
 *
 * A gap (a position that is missing, another epoch, a place in the stream that
 * is no longer held) makes the site's agent state that kind again, that one
 * only; meanwhile its rows stay, marked as not current. */
#ifndef VIEW_INTAKE_H
#define VIEW_INTAKE_H

#include "events/log.h"
#include "survey/desk.h"
#include "view/view.h"

struct intake_conf {
    uint64_t batch_max; /* Messages held that are not yet committed, */
    uint64_t held_max;  /* and their bytes, as read; then the stream is not
                         * read on. */
    uint64_t skew_ms;   /* Clock error to bear in envelopes. */
    uint64_t resync_ms; /* Between two resync calls for one kind of a site. */
};

extern const struct ist_row intake_rows[];

struct intake;

/* Adds its consumer to the bus. Everything is borrowed until closed. NULL with
 * 'err'. */
struct intake *intake_open(struct ist_loop *, struct ist_bus *, struct desk *,
                           struct sites *, struct ist_self *, struct ist_tree *,
                           struct view *, struct events_log *,
                           const struct intake_conf *, struct ist_err *err);
/* Going down: waits end, and no site is asked any more; what comes is taken. */
void intake_stop(struct intake *);
/* 'closed' comes from the loop when nothing is under way any more. */
void intake_close(struct intake *, void (*closed)(void *), void *arg);

/* From the bus's events, and from the registry's changes. */
void intake_up(struct intake *);
void intake_down(struct intake *);
void intake_site_changed(struct intake *, struct sites_site *,
                         unsigned changes);

/* How true the rows of a kind at a site are. */
struct intake_currency {
    bool known;      /* The kind was stated whole once: its rows are here. */
    bool current;    /* The site is there, and the last that it said of its
                      * positions is what we have. */
    bool notified;   /* Its service tells changes; else they come by polling. */
    uint64_t age_ms; /* Since the rows were surely all that the site knew;
                      * UINT64_MAX: never. */
    uint64_t position;
    const char *why; /* Not current: the reason, one sentence; else "". Borrowed
                      * until the site is heard again. */
};

void intake_currency(struct intake *, const struct sites_site *,
                     const struct ist_kind *, uint64_t now_ms,
                     struct intake_currency *ret);

/* The same at a glance. */
struct intake_standing {
    struct sites_site *site;
    uint64_t as_of_ms; /* Wall time when its rows were surely all; 0: never. */
    bool is_known, is_present;
};

void intake_standing(struct intake *, struct sites_site *,
                     const struct ist_kind *, struct intake_standing *ret);
/* Of all sites, in the order of their names: they lie side by side, for an
 * answer of the API that tells of a thousand sites would else spend more on
 * finding these words than on its rows. Borrowed until the loop goes on; NULL:
 * out of memory. */
const struct intake_standing *
intake_standings(struct intake *, const struct ist_kind *, size_t *ret_n);

static inline uint64_t intake_age(const struct intake_standing *standing,
                                  uint64_t now_ms)
{
    if (!standing->as_of_ms)
        return UINT64_MAX;
    return now_ms > standing->as_of_ms ? now_ms - standing->as_of_ms : 0;
}

/* Of all kinds of a site. */
struct intake_summary {
    uint64_t rows;
    uint64_t age_ms; /* Of the oldest of those whose changes are notified. */
};
void intake_summary(struct intake *, const struct sites_site *,
                    struct intake_summary *ret);

/* Asks the site how far it is, and waits until the view has come there: the
 * rows are then at least as new as the call. rc 0, or the desk's outcome, also
 * where the site itself cannot read the kind, or -ETIMEDOUT. */
struct intake_wait {
    struct ist_op op; /* Prepared by the caller. */
    struct sites_site *site;
    const struct ist_kind *kind;

    /* Private to intake.c. */
    struct intake *intake;
    struct ist_arena arena;
    struct desk_call call;
    uint64_t epoch, position;
    const char *why; /* It has no end to be waited for; NULL: it has. */
    LIST_ENTRY(intake_wait) sibling;
};
void intake_wait_start(struct intake *, struct intake_wait *);

/* Why the view stands still at present, a few words; "": it does not. */
const char *intake_trouble(const struct intake *);

/* Counted for metrics; only ever rise. */
struct intake_counts {
    uint64_t messages, entries, upserts, deletes, news, doubles, gaps, early,
        resyncs, malformed;
    uint64_t refused[IST_SEAL_REFUSALS];
};
const struct intake_counts *intake_counts(const struct intake *);

#endif
