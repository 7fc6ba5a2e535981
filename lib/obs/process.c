/* All of it comes from /proc/self and getrusage(), which do not block. What
 * cannot be read keeps its last value. */
#include "obs/process.h"

#include "base/clock.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static double seconds(const struct timeval *tv)
{
    return (double) tv->tv_sec + (double) tv->tv_usec / 1e6;
}

static void look_at_cpu(struct ist_process *p)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) == 0)
        ist_metric_set(&p->cpu,
                       seconds(&usage.ru_utime) + seconds(&usage.ru_stime));
}

static void look_at_memory(struct ist_process *p)
{
    FILE *file = fopen("/proc/self/statm", "re");
    double page = (double) sysconf(_SC_PAGESIZE);
    unsigned long size, resident;

    if (!file)
        return;
    if (fscanf(file, "%lu %lu", &size, &resident) == 2) {
        ist_metric_set(&p->virtual_size, (double) size * page);
        ist_metric_set(&p->resident, (double) resident * page);
    }
    fclose(file);
}

static void look_at_fds(struct ist_process *p)
{
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *entry;
    struct rlimit limit;
    double n = -1; /* The directory's own. */

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        ist_metric_set(&p->fds_max, (double) limit.rlim_cur);
    if (!dir)
        return;
    while ((entry = readdir(dir)))
        n += entry->d_name[0] != '.';
    closedir(dir);
    ist_metric_set(&p->fds, n);
}

static void look(struct ist_metrics_collector *collector)
{
    struct ist_process *p =
        IST_CONTAINER(collector, struct ist_process, collector);

    look_at_cpu(p);
    look_at_memory(p);
    look_at_fds(p);
}

/* Field 22 of /proc/self/stat: clock ticks after boot. The second field is the
 * program's name in parentheses, which may hold anything. */
static double started_after_boot(void)
{
    FILE *file = fopen("/proc/self/stat", "re");
    char text[1024], *at;
    size_t n;
    int i;

    if (!file)
        return -1;
    n = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[n] = '\0';
    at = strrchr(text, ')');
    for (i = 0; at && i < 20; i++)
        at = strchr(at + 1, ' ');
    return at ? strtod(at, NULL) / (double) sysconf(_SC_CLK_TCK) : -1;
}

static double since_boot(void)
{
    FILE *file = fopen("/proc/uptime", "re");
    double uptime = -1;

    if (!file)
        return -1;
    if (fscanf(file, "%lf", &uptime) != 1)
        uptime = -1;
    fclose(file);
    return uptime;
}

static double started(void)
{
    double now = (double) ist_clock_wall_ms() / 1000, uptime = since_boot();
    double after = started_after_boot();

    return uptime < 0 || after < 0 ? now : now - uptime + after;
}

void ist_process_init(struct ist_process *p, struct ist_metrics *registry)
{
    struct ist_metric *const all[] = {&p->cpu,  &p->resident, &p->virtual_size,
                                      &p->fds,  &p->fds_max,  &p->started,
                                      &p->build};
    size_t i;

    *p = (struct ist_process){
        .registry = registry,
        .collector.collect = look,
        .cpu = IST_COUNTER("process_cpu_seconds_total",
                           "User and system CPU time."),
        .resident =
            IST_GAUGE("process_resident_memory_bytes", "Resident memory."),
        .virtual_size =
            IST_GAUGE("process_virtual_memory_bytes", "Virtual memory."),
        .fds = IST_GAUGE("process_open_fds", "Open file descriptors."),
        .fds_max = IST_GAUGE("process_max_fds",
                             "Most file descriptors that may be open."),
        .started = IST_GAUGE("process_start_time_seconds",
                             "When the process began, since 1970."),
        .build = IST_GAUGE("isthmus_build_info", "Always 1.", "version"),
    };
    for (i = 0; i < IST_COUNT(all); i++)
        ist_metrics_add(registry, all[i]);
    ist_metric_set(&p->started, started());
    ist_metric_set(&p->build, 1, IST_VERSION);
    ist_metrics_collect(registry, &p->collector);
}

void ist_process_fini(struct ist_process *p)
{
    ist_metrics_uncollect(p->registry, &p->collector);
    ist_metric_fini(&p->cpu);
    ist_metric_fini(&p->resident);
    ist_metric_fini(&p->virtual_size);
    ist_metric_fini(&p->fds);
    ist_metric_fini(&p->fds_max);
    ist_metric_fini(&p->started);
    ist_metric_fini(&p->build);
}
