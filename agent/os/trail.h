/* Where earlier pages ended. A page of a merged list begins behind a place
 * given by value, but a service can only begin behind one of its own objects.
 * So the places of the records handed out last are remembered, for a few
 * lists: the last of them that is not behind the wanted place is where the
 * service may begin. Without one the list is read from its start.
 *
 * Only for lists in the service's own order, whose keys never change. A
 * memory, not a truth: the object may be gone. */
#ifndef OS_TRAIL_H
#define OS_TRAIL_H

#include "model/order.h"
#include "os/cloud.h"

#define OS_TRAILS       8            /* The one used longest ago gives way. */
#define OS_TRAIL_MEMORY (256 * 1024) /* Bytes of one; more is not kept. */

struct os_trail {
    char *signature; /* Owned: which list it is. NULL: unused. */
    size_t n_keys, n;
    struct os_record *records; /* Owned, one block; without bodies; in order. */
    uint64_t used;
};

struct os_trails {
    struct os_trail trails[OS_TRAILS];
    uint64_t clock;
};

void os_trails_fini(struct os_trails *);

/* Replaces the trail of that signature. Records must be in order. Out of
 * memory it forgets. */
void os_trail_store(struct os_trails *, const char *signature, size_t n_keys,
                    const struct os_record *records, size_t n);

/* Is the place behind the one that a list is to begin after? */
bool os_is_behind(const struct ist_order *, const struct ist_place *place,
                  const struct ist_place *after, enum os_ties);

/* Id of the last record that is not; NULL when there is none. Borrowed until
 * the trail changes. */
const char *os_trail_find(struct os_trails *, const char *signature,
                          const struct ist_order *,
                          const struct ist_place *after, enum os_ties);

void os_trail_forget(struct os_trails *, const char *signature);

#endif
