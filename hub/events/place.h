/* A reader's own place in the log, kept over restarts: how far everything is
 * dealt with. It is written a moment after it moved, so that many events cost
 * one write; after a crash what was dealt with since comes again. */
#ifndef EVENTS_PLACE_H
#define EVENTS_PLACE_H

#include "events/log.h"

#define EVENTS_PLACE_NAME_SIZE 64

struct events_place {
    uint64_t at; /* Read only. */

    /* Private to place.c. */
    char name[EVENTS_PLACE_NAME_SIZE];
    struct ist_tree *tree;
    struct events_log *log; /* Both borrowed. */
    struct ist_timer due;
    struct ist_write write;
    uint64_t written, writing;
    bool is_stopped;
};

/* Reads it; 0 for a name that has none. */
void events_place_open(struct events_place *, struct ist_tree *,
                       struct events_log *, const char *name);
void events_place_move(struct events_place *, uint64_t id);
/* Writes what is not written yet; nothing moves any more. */
void events_place_stop(struct events_place *);
/* Something is being written: not to be freed. */
bool events_place_busy(const struct events_place *);

#endif
