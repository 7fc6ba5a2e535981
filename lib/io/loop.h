/* The loop: one thread, one clock, everything that waits.
 *
 * Two kinds share this header. The real one stands on a libuv loop; the
 * virtual one has no descriptors, only timers, and its clock moves when the
 * simulation says so. Code above never knows which it runs on, unless it
 * needs ->uv for a socket. */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include "base/scope.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

struct ist_timer;
typedef void ist_timer_fn(struct ist_timer *);

/* A timer to embed. Armed again, it moves; it fires once. */
struct ist_timer {
    uint64_t deadline; /* Loop milliseconds. */

    /* Private to loop.c. */
    struct ist_loop *loop; /* NULL while not armed. */
    uint64_t order;        /* Ties fire in the order they were armed. */
    ist_timer_fn *fire;
    RB_ENTRY(ist_timer) node;
};

RB_HEAD(ist_timers, ist_timer);
STAILQ_HEAD(ist_finished, ist_op);

struct ist_loop {
    uv_loop_t *uv; /* Owned. NULL: virtual. */

    /* Private to io/. */
    struct ist_timers timers;
    struct ist_finished finished;
    uint64_t armed;           /* How many times a timer was armed. */
    uint64_t now_ms, wall_ms; /* Of the virtual clock. */
    bool stopping;
    bool due;        /* A timer is due already. */
    uv_timer_t wake; /* Fires at the first timer's deadline. */
    uv_idle_t defer; /* Active while there is something to do at once. */
};

/* -errno when libuv has no descriptors left. */
int ist_loop_init(struct ist_loop *);

/* The virtual clock begins at the given wall time. */
void ist_loop_init_virtual(struct ist_loop *, uint64_t wall_ms);

/* All handles must be closed and timers disarmed; asserts it. */
void ist_loop_fini(struct ist_loop *);

/* Until ist_loop_stop(), or until nothing is left to wait for. */
void ist_loop_run(struct ist_loop *);
void ist_loop_stop(struct ist_loop *);

/* Milliseconds that never go back. Deadlines are in these. */
uint64_t ist_loop_now(const struct ist_loop *);

/* Milliseconds since 1970 UTC: what goes into messages and answers. */
uint64_t ist_loop_wall(const struct ist_loop *);

/* Virtual only: runs what is due now, else moves the clock to the next timer
 * and runs what is due then. False when there was nothing, or when the next
 * timer lies after 'until' (the clock then stands at 'until'). */
bool ist_loop_step(struct ist_loop *, uint64_t until);

/* A timer must be zeroed before its first use. A deadline in the past fires
 * in the next turn of the loop, never inside the call. */
void ist_timer_arm(struct ist_timer *, struct ist_loop *, uint64_t deadline,
                   ist_timer_fn *);
void ist_timer_arm_in(struct ist_timer *, struct ist_loop *, uint64_t ms,
                      ist_timer_fn *);
void ist_timer_disarm(struct ist_timer *);
bool ist_timer_armed(const struct ist_timer *);

#endif
