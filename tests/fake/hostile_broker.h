/* A broker inside the test: it stands in for lib/bus/link.c (by name, at link
 * time), so that the real connection above talks to it without a socket, on a
 * virtual clock. By itself it is polite: it shakes hands, opens channels,
 * confirms what is published. A test then makes it misbehave, by a hook or by
 * bytes of its own. */
#ifndef HOSTILE_BROKER_H
#define HOSTILE_BROKER_H

#include "bus/link.h"

#include <stdint.h>

enum { HOSTILE_PUBLISH, HOSTILE_CONSUME }; /* Which of a bus's connections. */

struct hostile {
    struct ist_loop *loop;

    /* What it says in its tune. */
    uint16_t channel_max, heartbeat_s;
    uint32_t frame_max;

    /* Sees each method first; true: it has been dealt with. */
    bool (*hook)(int role, uint16_t channel, uint32_t method);
    bool is_deaf; /* Answers nothing at all. */
    bool is_slow; /* Takes no bytes: they stay queued. */
    bool refuses; /* Connecting fails. */
    unsigned n_addresses;

    /* What it has seen. */
    unsigned n_links, n_open; /* Made in all; not yet gone. */
    unsigned n_methods[256];  /* By the low byte of class times 16 + method:
                                 see hostile_seen(). */
    unsigned n_heartbeats;
    unsigned last_address;
    uint64_t last_acked;
};

extern struct hostile hostile;

/* Polite again, and nothing seen. */
void hostile_reset(struct ist_loop *);

/* How many of that method it has received. */
unsigned hostile_seen(uint32_t method);

/* Bytes to the client, on its newest connection of that role, at once. False
 * when there is none. */
bool hostile_feed(int role, const void *data, size_t size);
/* One frame, with head and end. */
bool hostile_frame(int role, uint8_t type, uint16_t channel,
                   const void *payload, size_t size);
/* A method frame; 'arguments' as they stand on the wire. */
bool hostile_method(int role, uint16_t channel, uint32_t method,
                    const void *arguments, size_t size);
/* A delivery: method, header with no properties, body in one frame. */
bool hostile_deliver(uint16_t channel, uint64_t tag, const char *body);

/* The connection breaks. */
void hostile_break(int role);

/* The first octets of every connection.start it would send. */
extern const uint8_t hostile_start_arguments[];
extern const size_t hostile_start_size;

#endif
