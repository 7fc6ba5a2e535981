/* Where the rows of an answer come from. Without 'max_age' and 'consistent'
 * the sites are asked, all of them. With 'max_age' the view serves the sites
 * whose rows it knows to be that young, and the others are asked. With
 * 'consistent' each site is asked how far its feed is, and the view serves it
 * once it has come there. Whoever asks with one of these is given what the view
 * last knew of a site that could not be asked, however old, marked stale.
 *
 * Whatever they come from, the rows are the exact merge of what the sites
 * listed as answered or stale have. */
#ifndef API_READING_H
#define API_READING_H

#include "api/api.h"
#include "api/problem.h"
#include "api/query.h"

struct api_reading {
    struct ist_op
        op; /* Prepared by the caller. rc < 0 only for a fault here. */

    /* The question, borrowed until 'done'. */
    struct api *api;
    const struct ist_kind *kind;
    const struct api_query *query;
    const char *show_id;    /* Not NULL: that one object. */
    const char *request_id; /* For its trace; NULL: none. */
    /* Not NULL: in this tenant's name, live; 'base' is the hub's address. */
    const struct facade_caller *caller;
    const char *base;
    struct ist_arena *arena; /* Where the answer lives. */

    /* The answer. */
    const struct ist_row_out *rows; /* In order. */
    size_t n_rows;
    bool has_more;
    struct api_sites sites; /* What became of each. */

    /* Private to reading.c. */
    struct api_part *parts; /* One for each site chosen, by name. */
    size_t n_parts;
    struct survey survey;
    size_t n_waiting;
    uint64_t started_ms;
    uint64_t wall_ms; /* Now, as all sites are judged. */
};

/* 'sites' NULL: all. */
void api_reading_start(struct api_reading *, struct sites_site **sites,
                       size_t n);

#endif
