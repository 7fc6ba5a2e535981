/* Of bench_view_engines: what is measured, what the machine says of it, and how
 * it is told. */
#ifndef BENCH_VIEW_ENGINES_H
#define BENCH_VIEW_ENGINES_H

#include "view_engine.h"

#define VE_RUNS        3 /* Filling; after a kill; after a close. */
#define VE_CHANGES_MAX 100000
#define VE_ANSWERS_MAX (2 * VE_CHANGES_MAX + 2000)

enum ve_series {
    VE_TENANT_FIRST,
    VE_TENANT_DEEP,
    VE_ALL_FIRST,
    VE_ALL_DEEP,
    VE_LOOKUP,
    VE_CHANGE,
    VE_SERIES,
};

struct ve_bench_conf {
    uint64_t rows, changes, seed;
    const char *dir;
    bool json;
    uint64_t flush_ns; /* Of a page written behind the last: what none beats. */
};

/* Of one process. Bytes and nanoseconds. */
struct ve_result {
    uint64_t fill_ns, settle_ns, restart_ns;
    uint64_t anonymous, mapped;         /* After the fill. */
    uint64_t anonymous_end, mapped_end; /* After all reads. */
    uint64_t written, changes_written, disk;
    struct {
        uint64_t p50_ns, p99_ns, n;
    } series[VE_SERIES];
    uint64_t n_rows_read;

    /* Of each read a sum over all that it gave; the last 'n_checks' are those
     * that the next process does first. */
    size_t n_answers, n_checks;
    uint64_t answers[VE_ANSWERS_MAX];
};

/* Of this process: what is its own, and what is of files. */
void ve_memory_of_self(uint64_t *ret_anonymous, uint64_t *ret_mapped);
/* What this process has handed to write() and its like. Not write_bytes, which
 * counts whole folios of the page cache for a page of them. */
uint64_t ve_written(void);
/* The median of some hundred. */
uint64_t ve_flush_floor(const char *dir);

uint64_t ve_disk_used(const char *dir);
/* Drops the folder's files from the page cache. */
void ve_forget_cached(const char *dir);
void ve_make_dir(char *out, size_t size, const char *parent);
void ve_remove_dir(const char *dir);

/* Zeroed memory that children share; never given back. */
void *ve_shared(size_t size);

/* 'results': VE_RUNS for each engine. */
void ve_report(const struct ve_bench_conf *, const struct ve_engine *const *ran,
               size_t n, const struct ve_result *results, bool ok);

#endif
