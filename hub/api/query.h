/* The query of a merged list, read from its parameters. Pure. */
#ifndef API_QUERY_H
#define API_QUERY_H

#include "httpd/server.h"
#include "model/kind.h"
#include "survey/survey.h"

#define API_LIMIT_MAX    1000
#define API_DEADLINE_MIN 100
#define API_DEADLINE_MAX 60000
#define API_MAX_AGE_MAX  31536000 /* Seconds. */
#define API_VALUES_MAX   64 /* Values of one parameter; more is an error. */
#define API_FIELDS_MAX   15

struct api_query {
    uint64_t limit, deadline_ms;
    bool deny_partial;
    bool has_max_age, consistent; /* Not both. */
    uint64_t max_age_ms;

    struct survey_sort sort[IST_ORDER_KEYS_MAX];
    size_t n_sort;
    const char *sort_text; /* Canonical: what a marker is tied to. */

    bool has_after;
    struct ist_place after;

    struct survey_filter filters[4];
    size_t n_filters;

    char *const *sites; /* Names wanted; NULL: all. */
    size_t n_sites;

    const char *const *fields; /* NULL: all members. */
    size_t n_fields;
};

/* Reads 'n' parameters for a list of 'kind'. What is kept lives in 'arena' or
 * in the parameters. 0, or -EINVAL with err->text naming the parameter, what
 * was wrong with it and what is allowed. */
int api_query_list(const struct ist_httpd_param *params, size_t n,
                   const struct ist_kind *kind, struct ist_arena *arena,
                   struct api_query *ret, struct ist_err *err);

/* The same for one object: site, fields, deadline, partial. */
int api_query_show(const struct ist_httpd_param *params, size_t n,
                   const struct ist_kind *kind, struct ist_arena *arena,
                   struct api_query *ret, struct ist_err *err);

/* The names that a list, a show takes; NULL-ended. For the OpenAPI check. */
extern const char *const api_query_list_names[], *const api_query_show_names[];

/* Appends "path?..." with the parameters as they were, but 'marker' as given:
 * the link to the next page. */
void api_query_next(struct ist_sb *out, const char *path,
                    const struct ist_httpd_param *params, size_t n,
                    const char *marker);

#endif
