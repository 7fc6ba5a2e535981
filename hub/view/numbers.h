/* A site's numbers: how far its feed was taken, and what its next entry means
 * by that. Pure functions over plain state. */
#ifndef VIEW_NUMBERS_H
#define VIEW_NUMBERS_H

#include "view/view_priv.h"

#include "isthmus/v1/event.pb-c.h"

/* Of one kind. */
struct numbers_kind {
    uint64_t position; /* Of the last entry taken. */
    uint64_t as_of_ms; /* When its rows were last known to be all; 0: never. */
    uint8_t known;     /* It was stated whole, from BEGIN to END. */
    uint8_t lacking;   /* An entry is missing: it must be stated again. */
    uint8_t stating;   /* Since BEGIN nothing was missing. */
};

struct numbers {
    uint64_t epoch, sequence;
    uint64_t place; /* In the site's outbox, of the last entry taken; 0: not
                     * known. */
    struct numbers_kind kinds[VIEW_KINDS_MAX]; /* By number. */
};

/* As they are stored: only kinds of which something is known. Returns the
 * size. */
#define NUMBERS_PACKED_MAX (32 + VIEW_KINDS_MAX * 32)
size_t numbers_pack(const struct numbers *, uint8_t to[NUMBERS_PACKED_MAX]);
/* False, and all zero: it is none of ours. */
bool numbers_unpack(struct numbers *, const void *data, size_t size);

enum numbers_verdict {
    NUMBERS_NEXT,   /* It is the one that is due. */
    NUMBERS_GAP,    /* Others before it are missing. */
    NUMBERS_DOUBLE, /* It was taken before. */
};

/* Of a message: false, it is of an older feed and to be dropped; but one
 * 'is_live', of which the site itself speaks now, is its feed whatever its
 * number: clocks have been wrong. '*ret_restarted': its feed begins anew, all
 * kinds lack from now on. */
bool numbers_take_epoch(struct numbers *, uint64_t epoch, bool is_live,
                        bool *ret_restarted);

/* Of a message of 'n' entries, of the epoch taken: false, it came before others
 * that its sender has not given up, and will come again behind them. */
bool numbers_take_places(struct numbers *, uint64_t first, uint64_t oldest,
                         uint64_t n);

/* Of news. '*ret_due': the sequence that was due. */
enum numbers_verdict numbers_take_sequence(struct numbers *, uint64_t sequence,
                                           uint64_t *ret_due);

/* Of a change. After a gap the kind lacks. */
enum numbers_verdict numbers_take_position(struct numbers_kind *,
                                           uint64_t position);

/* BEGIN, and END, said then. True of an end: nothing was missing since the
 * begin. */
void numbers_begin(struct numbers_kind *);
bool numbers_end(struct numbers_kind *, uint64_t said_ms);

#endif
