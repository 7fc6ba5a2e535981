/* The engine in memory, for its own files only: view_engine_memory.c writes and
 * restarts, view_engine_memory_read.c reads. */
#ifndef BENCH_VIEW_ENGINE_MEMORY_H
#define BENCH_VIEW_ENGINE_MEMORY_H

#include "view_engine_map.h"

#define MAPS      (VE_MEMBERS * 2)
#define NAMES_MAX 32768

/* Of sites and of projects: each once, numbered as they come. */
struct names {
    uint32_t slots[2 * NAMES_MAX]; /* By hash: a number and 1; 0: free. */
    char *names[NAMES_MAX];
    uint32_t n;
};

struct memory {
    char dir[4096];
    int log;
    const uint8_t *mapped;
    uint64_t end;   /* Of the log. */
    uint8_t *batch; /* Being written. */
    size_t batch_capacity;
    struct map maps[MAPS]; /* Member 0 over all, in the project; member 1 ... */
    struct names *sites, *projects;
};

/* Of a project; adds it when it is new. */
uint32_t memory_project(struct memory *, const struct ist_bytes *project);

void memory_page(void *, const struct ve_query *, ve_emit *, void *arg);
void memory_lookup(void *, const struct ist_bytes *id, ve_emit *, void *arg);

#endif
