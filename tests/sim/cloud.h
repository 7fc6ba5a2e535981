/* http/client.h, answered by the simulated clouds of a world: Keystone and
 * Nova as the agent uses them, on the virtual clock, with latency and faults
 * from the planted random source. */
#ifndef SIM_CLOUD_H
#define SIM_CLOUD_H

#include "base/sb.h"
#include "world.h"

struct sim_cloud_faults {
    uint64_t delay_min_ms, delay_max_ms;
    uint32_t hang;  /* In 1/65536: it never answers. */
    uint32_t error; /* It answers 500. */
};

/* A server's record, as Nova gives it. */
void sim_cloud_put(struct ist_sb *out, const struct world_row *);

/* Whose rows are served, and how. Borrowed until it is called again. */
void sim_cloud_set(const struct world *, const struct sim_cloud_faults *);

#endif
