/* Random bytes, with a seam for the simulation: everything random in Isthmus
 * comes from here, so that one seed replays a whole run. */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

/* Cryptographically strong (arc4random), unless a seed was planted. */
void ist_rand_bytes(void *buf, size_t size);

/* Uniform in [0, bound); 0 when bound is 0. */
uint64_t ist_rand_below(uint64_t bound);

/* From now on a deterministic stream (xoshiro256**). For the simulation
 * only: never called by a daemon. */
void ist_rand_plant(uint64_t seed);

/* Back to the strong source. */
void ist_rand_unplant(void);

#endif
