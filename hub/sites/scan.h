/* Reading the directory of sites. Runs in the pool and touches nothing of the
 * registry's: it makes a list of what was found, for registry.c to compare. */
#ifndef SITES_SCAN_H
#define SITES_SCAN_H

#include "sites/registry.h"

#include <limits.h>
#include <time.h>

/* What one folder held. */
struct sites_found {
    char name[SITES_NAME_SIZE];
    struct ist_delegation delegation;
    uint8_t root[32];
    uint64_t epoch;
    int rc; /* Not 0: it cannot be used, see 'err'. */
    struct ist_err err;
};

struct sites_scan {
    struct ist_work work;
    char dir[PATH_MAX];
    struct timespec seen; /* Time stamp of the directory. */
    bool settled;

    bool unchanged;
    struct sites_found *found; /* Owned. */
    size_t n, size, n_left_out;
};

/* For ist_work_start(): fills what was found, or says that nothing changed.
 * 0, or a fault with work->op.err. */
int sites_scan_run(struct ist_work *);

/* Forgets what was found. */
void sites_scan_reset(struct sites_scan *);

#endif
