/* The seam between the ear and its bus, for tests: the same on any class. */
#ifndef FEED_NOTIFY_PRIV_H
#define FEED_NOTIFY_PRIV_H

#include "feed/notify.h"

extern const struct ist_bus_events notify_bus_events;

/* Without a bus. NULL when memory is out. */
struct notify *notify_new(struct ist_loop *, const struct notify_conf *,
                          const char *site, struct feed *);
/* The bus, whose owner is the notify, is its own from now on. */
void notify_listen(struct notify *, struct ist_bus *);

#endif
