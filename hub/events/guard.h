/* Which addresses the hub may be sent to by the URL of a webhook: public ones,
 * and those networks that its operator names. Pure. */
#ifndef EVENTS_GUARD_H
#define EVENTS_GUARD_H

#include "base/err.h"

#include <stdint.h>
#include <sys/socket.h>

#define EVENTS_GUARD_MAX 64 /* Networks named. */

struct events_network {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;       /* Of these 128. */
};

struct events_guard {
    struct events_network allowed[EVENTS_GUARD_MAX];
    size_t n;
};

/* Reads "10.1.0.0/16,2001:db8::/32"; NULL or "": none. -EINVAL with 'err'. */
int events_guard_init(struct events_guard *, const char *networks,
                      struct ist_err *err);

/* Public, or in a network that is allowed? Neither are loopback, private, link
 * local, multicast and reserved addresses, nor what wraps one of them. */
bool events_guard_allows(const struct events_guard *, const struct sockaddr *);

/* The same for the host of a URL, where that is an address; true for a name:
 * of that only the connection tells. */
bool events_guard_allows_host(const struct events_guard *, const char *host);

#endif
