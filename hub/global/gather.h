/* One question to all sites of a request, side by side, their answers collected
 * each for itself: for what is small. */
#ifndef GLOBAL_GATHER_H
#define GLOBAL_GATHER_H

#include "facade/outcome.h"
#include "global/request.h"

enum global_part_state {
    GLOBAL_ANSWERED, /* Now, or so lately that it counts. */
    GLOBAL_STALE,    /* It could not be asked: what it last said. */
    GLOBAL_FAILED,   /* And it never said anything. */
};

struct global_part {
    const struct global_site *site;
    enum global_part_state state;
    int status;       /* Of the answer, if any. */
    const char *text; /* Its body, 'size' bytes. */
    size_t size;
    char why[FACADE_OUTCOME_MAX]; /* Of a site that could not be asked. */
    int outcome;                  /* The status that stands for that. */

    /* Private to gather.c. */
    struct global_gather *gather;
    struct facade_ask ask;
    bool is_asked;
    char *name; /* In the memory. */
};

struct global_gather {
    struct ist_op op; /* Prepared by the caller; rc 0, or a fault here. */

    /* The question, the caller's until 'done'. */
    struct global_request *request;
    const char *target;
    const char *method; /* NULL: GET. */
    const char *body;
    size_t body_size;
    /* That one alone; all but that one. NULL: all. */
    const struct global_site *only, *except;
    /* So old an answer may be; 0: it is asked for. What is remembered is one
     * project's, of one microversion. */
    uint64_t fresh_ms;
    bool is_remembered; /* Answers are, and stand for a site that is away. */
    bool is_common;     /* What is remembered is the same for everybody. */

    struct global_part *parts; /* In the order of the request's sites. */
    size_t n_parts;

    /* Private. */
    size_t n_waiting;
};

void global_gather_start(struct global_gather *);
/* Safe on a zeroed one. */
void global_gather_fini(struct global_gather *);

/* The header that says what became of each site. */
void global_gather_note(const struct global_gather *, struct ist_sb *out);
/* None gave what was asked for: the status that all share who answered, or all
 * if none did; else 503. And why. */
int global_gather_failure(const struct global_gather *, char *ret, size_t size);

#endif
