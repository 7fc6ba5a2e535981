/* One event as it is kept: the fields that readers filter by, and the
 * CloudEvent (v1.0, JSON, one line), rendered once. Pure functions over bytes.
 */
#ifndef EVENTS_ITEM_H
#define EVENTS_ITEM_H

#include "base/sb.h"
#include "events/log.h"

/* "hkg:7:41": the id of the CloudEvent, whoever sees it. 'buf' has
 * EVENTS_ID_SIZE bytes; returned. */
#define EVENTS_ID_SIZE 112
char *events_item_id(const struct events_item *, char *buf);

/* Appends the record of an item whose id is given, its CloudEvent included.
 * Text is cut to what events_item says and made harmless on the way. The
 * builder's error tells of memory. */
void events_item_write(struct ist_sb *, const struct events_item *);

/* Borrows from the record. False: it is none of ours. */
bool events_item_read(const void *data, size_t size, uint64_t id,
                      struct events_item *ret);

/* When it was received, without reading the rest; 0: no record. */
uint64_t events_item_received(const void *data, size_t size);

#endif
