/* Entries in the words of proto/isthmus/v1/event.proto. Pure. */
#ifndef FEED_ENTRY_H
#define FEED_ENTRY_H

#include "feed/row.h"

#define FEED_TEXT_MAX 400

/* An event with what it points to. Not to be copied. */
struct feed_entry {
    Isthmus__V1__Event event;
    Isthmus__V1__Change change;
    Isthmus__V1__Record record;
    char text[FEED_TEXT_MAX];
};

/* BEGIN or END of a kind. */
void feed_entry_border(struct feed_entry *, const struct ist_kind *,
                       Isthmus__V1__Change__Op);

/* A row that is there. 'before' is what was known of it; NULL: it is new. All
 * is borrowed. */
void feed_entry_upsert(struct feed_entry *, const struct ist_kind *,
                       const struct os_record *, const struct feed_row *,
                       const struct feed_facts *before);

/* A row that is gone. */
void feed_entry_delete(struct feed_entry *, const struct ist_kind *,
                       const char *id, const struct feed_facts *before);

#endif
