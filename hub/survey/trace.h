/* What became of the requests of the last while: which sites each one asked,
 * and when they answered. By the id that client, hub and sites know a request
 * by. In memory; the oldest are forgotten. */
#ifndef SURVEY_TRACE_H
#define SURVEY_TRACE_H

#include "sites/registry.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#define TRACE_REQUESTS_MAX 4096 /* Kept. */
#define TRACE_CALLS_MAX    64   /* Of each; of more only the number is kept. */
#define TRACE_ID_SIZE      48
#define TRACE_PATH_SIZE    160 /* A longer path is cut; queries are not kept. */

/* One call to a site. Times are milliseconds since the request came. */
struct trace_call {
    char site[SITES_NAME_SIZE];
    const char *what;                     /* "relay", "list", "show": static. */
    uint32_t sent_ms, heard_ms, ended_ms; /* heard 0: nothing came. */
    char reason[96];                      /* "": it was answered. */
};

struct trace {
    char id[TRACE_ID_SIZE], method[12], path[TRACE_PATH_SIZE];
    uint64_t wall_ms; /* When it came. */
    uint64_t loop_ms;
    int status;           /* 0: not answered yet. */
    uint32_t duration_ms; /* With a status. */
    struct trace_call *calls;
    size_t n_calls, n_left_out;

    /* Private to trace.c. */
    size_t calls_size;
    RB_ENTRY(trace) node;
    TAILQ_ENTRY(trace) age;
};

RB_HEAD(trace_ids, trace);

/* Zeroed and initialized by traces_init(). */
struct traces {
    struct trace_ids by_id;
    TAILQ_HEAD(trace_ages, trace) by_age; /* Newest first. */
    size_t n;
};

void traces_init(struct traces *);
void traces_fini(struct traces *);

/* The request asks a site: its trace begins, if it has not. Without memory:
 * nothing. */
void trace_begin(struct traces *, const char *id, uint64_t wall_ms,
                 uint64_t now_ms);
/* Adds a call that has ended, to a trace that has begun. 'sent', 'heard', 'now'
 * are loop times. */
void trace_add(struct traces *, const char *id, const char *site,
               const char *what, uint64_t sent_ms, uint64_t heard_ms,
               uint64_t now_ms, const char *reason);
/* The request is answered. One that asked no site has no trace. */
void trace_answered(struct traces *, const char *id, const char *method,
                    const char *path, int status, uint64_t started_ms,
                    uint64_t wall_ms, uint64_t now_ms);

/* NULL: it is not known, or no more. */
const struct trace *trace_find(const struct traces *, const char *id);

#endif
