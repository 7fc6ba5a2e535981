/* A survey: one question to many sites, one merged answer.
 *
 * All sites are asked at once. Each has a deadline of its own, a little before
 * the caller's, so that a site that hangs costs the others nothing: what has
 * come by then is merged and given. A site that failed takes its rows back
 * (model/merge.h), so the page is the exact merge of the sites listed as
 * answered. Memory is bounded by the arena, of which no site may hold more than
 * is left for the others; sites send a window of rows, about what the same page
 * took of them before, and then only what they are given credit for. */
#ifndef SURVEY_SURVEY_H
#define SURVEY_SURVEY_H

#include "model/merge.h"
#include "survey/desk.h"

struct survey_sort {
    const char *name;
    bool descending;
};

struct survey_filter {
    const char *name;
    char *const *values;
    size_t n_values;
};

enum survey_state {
    SURVEY_WAITING,  /* Not in a finished survey. */
    SURVEY_ANSWERED, /* Its rows are in the page, all that belong there and
                      * are not skipped. */
    SURVEY_FAILED,   /* None of its rows is; err says why. */
};

/* One site's part. */
struct survey_site {
    struct sites_site *site;
    enum survey_state state;
    uint64_t latency_ms; /* To its last frame, or to its failure. */
    struct ist_err err;
    Isthmus__V1__Failure__Code failure; /* With err.code DESK_FAILED. */
    uint64_t n_skipped; /* Rows that it has and could not give, of which some
                         * may belong in the page; err.text says why. */

    /* Private to survey.c. */
    struct desk_call call;
    struct survey *survey;
    uint32_t index, window, n_received, n_granted;
};

struct survey {
    struct ist_op op; /* Prepared by the caller. rc: 0 even when no site
                       * answered; < 0 only for a fault here. */

    /* The question. All borrowed until 'done'. */
    const char *kind;
    const char *show_id; /* Not NULL: that one object, wherever it is; the
                          * rest of the question is not used. */
    const struct survey_sort *sort;
    size_t n_sort;
    const struct survey_filter *filters;
    size_t n_filters;
    size_t limit;                  /* Rows, at least 1. */
    const struct ist_place *after; /* NULL: from the start. */

    /* Not NULL: in a client's name. What it is in the site's list, made anew
     * for each site, in the survey's arena; NULL: no memory. */
    Isthmus__V1__Relay *(*as)(struct survey *, struct sites_site *);
    const char *version; /* With that: the microversion; "": none. */

    const char *request_id; /* Of the client's request; NULL: none. */

    /* Where the answer lives, and its cap. */
    struct ist_arena *arena;

    /* The answer, valid in 'done'. */
    struct survey_site *sites; /* In the order of their names. */
    uint32_t n_sites;
    struct ist_merge merge; /* merge.page, ist_merge_has_more() */

    /* Private to survey.c. */
    struct past *past; /* The desk's. */
    uint64_t question;
    uint32_t n_running, window;
    bool over;
    uint64_t quarter_ms; /* Of the sites' time. */
    struct ist_timer ahead;
};

/* 'sites' NULL: all that the desk knows. Else n of them, ascending by name. */
void survey_start(struct survey *, struct desk *,
                  struct sites_site *const *sites, size_t n);

/* How many failed; and how many did not give all that they have. */
uint32_t survey_failed(const struct survey *);
uint32_t survey_lacking(const struct survey *);
bool survey_site_lacks(const struct survey_site *);

/* The bytes go into everybody's answer as they are, so one site's must not be
 * able to break it: they are one JSON object, without the member "site" that
 * the hub puts in. */
bool survey_is_body_sound(const ProtobufCBinaryData *body);

#endif
