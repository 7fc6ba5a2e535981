/* One simulated run: a seed decides everything that happens in it. */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include <stdbool.h>
#include <stdint.h>

struct run_options {
    uint64_t seed;
    uint32_t n_sites;
    bool trace; /* Tell what happens, on stderr. */
};

struct run_result {
    char violation[400]; /* The first; "" if there was none. */
    uint8_t hash[32];    /* Of everything that crossed the broker, with its
                          * time, and of every answer. */
    uint64_t n_surveys, n_partial, n_rows, n_messages, n_replayed;
    uint64_t n_changes, n_news, n_gaps; /* Of a run with feeds. */
};

void run_once(const struct run_options *, struct run_result *);

/* The same federation with feeds and a view: run_feeds.c. */
void run_feeds(const struct run_options *, struct run_result *);

#endif
