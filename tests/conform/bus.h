/* The battery that every class of lib/bus must pass. A driver gives it a
 * loop, a broker with the objects below, and principals on it.
 *
 *   x.t topic    site.a -> q.req (at most 5)    *.*.*.# -> q.evt (stream)
 *   x.d direct   work -> q.work     cmd -> q.cmd (delivery limit 2, single
 *                                   active consumer, dead letters to x.dead)
 *   x.f fanout   q.f1, q.f2
 *   x.dead       q.dead
 *   x.deny       "site-a" may not publish there
 *   test.x       is not there, and both principals may make it */
#ifndef CONFORM_BUS_H
#define CONFORM_BUS_H

#include "bus/bus.h"

struct conform_bus {
    const char *name;
    uint64_t timeout_ms; /* For one thing to happen. */

    bool (*is_missing)(void); /* What it needs: skip all. NULL: nothing. */
    int (*start)(struct ist_loop *); /* Also initialises the loop. */
    void (*stop)(struct ist_loop *);
    struct ist_bus *(*make)(const char *user, const struct ist_bus_events *,
                            void *owner);
    void (*cut)(struct ist_bus *); /* Breaks its connection, or all. */
    void (*block)(bool on);        /* The broker's alarm. NULL: not here. */
};

extern const struct conform_bus conform_bus;

#endif
