/* What Prometheus expects every process to tell of itself: process_* and
 * isthmus_build_info, looked up for each page. */
#ifndef OBS_PROCESS_H
#define OBS_PROCESS_H

#include "obs/metric.h"

struct ist_process {
    struct ist_metrics *registry; /* Borrowed. */
    struct ist_metrics_collector collector;
    struct ist_metric cpu, resident, virtual_size, fds, fds_max, started, build;
};

void ist_process_init(struct ist_process *, struct ist_metrics *);
void ist_process_fini(struct ist_process *);

#endif
