/* What a reader of the log asks for, read from its parameters. Pure. */
#ifndef API_EVENTS_QUERY_H
#define API_EVENTS_QUERY_H

#include "events/filter.h"
#include "httpd/query.h"

#define API_EVENTS_LIMIT_MAX 1000

enum api_events_from {
    API_EVENTS_DEFAULT, /* A list: the newest. A stream: now. */
    API_EVENTS_NOW,
    API_EVENTS_OLDEST,
    API_EVENTS_TIME,  /* from_ms */
    API_EVENTS_AFTER, /* after */
};

struct api_events_query {
    struct events_filter filter; /* Owned. */
    enum api_events_from from;
    uint64_t from_ms, after;
    uint64_t until_ms; /* Wall time; UINT64_MAX: none. */
    uint64_t limit;
    bool follow;
};

/* 'wall_ms': what durations count from. 0, -ENOMEM, or -EINVAL with err->text
 * naming the parameter and what it takes. The fini always. */
int api_events_query(struct api_events_query *,
                     const struct ist_httpd_param *params, size_t n,
                     bool is_stream, uint64_t wall_ms, struct ist_err *err);
void api_events_query_fini(struct api_events_query *);

/* The names that a list, a stream takes; NULL-ended. For the OpenAPI check. */
extern const char *const api_events_list_names[],
    *const api_events_stream_names[];

#endif
