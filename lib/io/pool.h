/* Work that may block (disk, SQLite), done by libuv's thread pool while the
 * loop goes on. 'run' must touch nothing but its own request. On a virtual
 * loop it runs at once, on the loop. It cannot be interrupted: a cancelled
 * work finishes when 'run' has returned. */
#ifndef IO_POOL_H
#define IO_POOL_H

#include "io/op.h"

struct ist_work;
typedef int ist_work_fn(struct ist_work *); /* Result becomes op.rc. */

struct ist_work {
    struct ist_op op; /* Prepared by the caller. */

    /* Private to pool.c. */
    ist_work_fn *run;
    int rc;
    uv_work_t req;
};

void ist_work_start(struct ist_work *, ist_work_fn *run);

#endif
