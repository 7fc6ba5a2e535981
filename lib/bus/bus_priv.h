/* What the classes of lib/bus share. */
#ifndef BUS_BUS_PRIV_H
#define BUS_BUS_PRIV_H

#include "bus/bus.h"

#define IST_BUS_NAME_MAX     255   /* Of a name or key (short string). */
#define IST_BUS_CONFIRM_MS   10000 /* No confirm for so long: lost. */
#define IST_BUS_RETRY_MIN_MS 100   /* Back-off of a refused consumer, */
#define IST_BUS_RETRY_MAX_MS 5000  /* doubling up to this. */
#define IST_BUS_UNCONFIRMED  65536 /* Publishes in flight; -EAGAIN. */

#define IST_BUS_BODY_MAX 1114112 /* As the broker's max_message_size. */

/* Copies 'text' with every "{n}" replaced by 'n' in decimal. False when it
 * does not fit into 'size' bytes; 'buf' is then undefined. */
bool ist_bus_expand(const char *text, uint64_t n, char *buf, size_t size);

/* The next generation: the wall clock, but never less than one more. */
uint64_t ist_bus_next_generation(const struct ist_bus *);

/* Full jitter: uniform in [1, min(cap, base * 2^n_failed)]. */
uint64_t ist_bus_backoff_ms(uint64_t base, uint64_t cap, uint64_t n_failed);

/* 0, or why the message cannot be sent at all: -EINVAL for a missing exchange
 * or key and for one longer than IST_BUS_NAME_MAX. */
int ist_bus_message_check(const struct ist_bus_message *);

#endif
