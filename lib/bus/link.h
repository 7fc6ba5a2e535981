/* A stream of bytes to one broker: name resolution, TCP, TLS if wanted, and a
 * write buffer that never waits. Knows nothing of AMQP.
 *
 * Writes are gathered and sent once for each turn of the loop. No event runs
 * inside the owner's call. Needs a real loop. */
#ifndef BUS_LINK_H
#define BUS_LINK_H

#include "base/err.h"
#include "bus/tls.h"
#include "io/loop.h"

#include <stdint.h>

struct ist_link;

struct ist_link_events {
    void (*opened)(void *owner); /* TCP, and TLS if wanted, stand. */
    /* Bytes, borrowed until it returns. */
    void (*received)(void *owner, const void *data, size_t size);
    void (*sent)(void *owner); /* The buffer shrank. */
    /* It broke; nothing but 'gone' follows. Now close it. */
    void (*broken)(void *owner, const struct ist_err *);
    void (*gone)(void *owner); /* After ist_link_close(): memory is freed. */
};

struct ist_link_conf {
    const char *host; /* Borrowed until ist_link_new() returns. */
    uint16_t port;
    unsigned address;        /* Of the addresses of the name, which one. */
    struct ist_tls_ctx *tls; /* NULL: plain. Used only during the call. */
    uint64_t hard_max;       /* Bytes waiting; at more, it breaks. */
};

/* Begins at once. NULL when memory is out. */
struct ist_link *ist_link_new(struct ist_loop *, const struct ist_link_conf *,
                              const struct ist_link_events *, void *owner);

/* Ends with 'gone'; no other event follows. What waits is offered to the
 * kernel once more, and dropped if it does not take it. */
void ist_link_close(struct ist_link *);

/* Room for 'size' bytes at the end of the buffer, then 'commit' what was
 * written there. NULL at the hard cap, or when memory is out: the link will
 * report itself broken. */
uint8_t *ist_link_reserve(struct ist_link *, size_t size);
void ist_link_commit(struct ist_link *, size_t size);

/* Bytes that the kernel has not taken. */
uint64_t ist_link_queued(const struct ist_link *);

/* Loop milliseconds when the kernel last took some, or had nothing to take. */
uint64_t ist_link_progress_at(struct ist_link *);

/* How many addresses the name has; 0 while unknown. */
unsigned ist_link_n_addresses(const struct ist_link *);

/* "::1:5671", whom it connects to; "" while unknown. Borrowed. */
const char *ist_link_peer(const struct ist_link *);

#endif
