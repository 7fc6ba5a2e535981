/* Commands: what the hub orders and what would last. Each is recorded in the
 * durable seen-set before it is acknowledged, so that neither a redelivery nor
 * a recording played again after a restart has an effect twice.
 *
 * No kind of command is known to this agent yet: each new one is answered with
 * a result that says so, and the record keeps it from being asked again. */
#ifndef SERVE_COMMAND_H
#define SERVE_COMMAND_H

#include "serve/serve.h"
#include "store/seen.h"

struct serve_command_counts {
    uint64_t fresh, again, conflict, late, full;
};

struct serve_commands {
    struct serve *serve;
    struct ist_seen *seen; /* Both borrowed. */
    struct ist_bus_consumer orders;
    char queue[64], result_key[48];
    uint64_t n_open; /* Wait for 0 before freeing. */
    struct serve_command_counts counts;
};

void serve_commands_init(struct serve_commands *, struct serve *,
                         struct ist_seen *);
/* Takes no more; those under way go on. */
void serve_commands_stop(struct serve_commands *);

#endif
