/* Commands: what the hub orders and what would last. Each is recorded in the
 * durable seen-set before it is acknowledged, so that neither a redelivery nor
 * a recording played again after a restart has an effect twice.
 *
 * This agent knows no kind of command: each new one is answered with a result
 * that says so, and the record keeps it from being asked again. */
#ifndef SERVE_COMMAND_H
#define SERVE_COMMAND_H

#include "serve/serve.h"
#include "store/seen.h"

struct serve_command_counts {
    uint64_t fresh, again, conflict, late, full;
};

struct serve_commands {
    struct serve *serve;              /* Borrowed. */
    const struct ist_seen_conf *conf; /* Borrowed. */
    struct ist_seen *seen;            /* Owned; NULL before the first order. */
    struct ist_bus_consumer orders;
    char queue[64], result_key[48];
    uint64_t n_open; /* Wait for 0 before freeing. */
    struct serve_command_counts counts;
};

/* The record is opened when the first order comes: most agents that run see
 * none for days, and SQLite would be the largest thing in their memory. */
void serve_commands_init(struct serve_commands *, struct serve *,
                         const struct ist_seen_conf *);
/* Takes no more; those under way go on. */
void serve_commands_stop(struct serve_commands *);
/* When n_open is 0. */
void serve_commands_fini(struct serve_commands *);

#endif
