#include "api/events_query.h"

#include "base/clock.h"
#include "base/parse.h"

#include <errno.h>
#include <string.h>

struct reading {
    struct api_events_query *query;
    uint64_t wall_ms;
    struct ist_err *err;
};

typedef int read_fn(struct reading *, const char *name, const char *value);

static int bad(struct reading *r, const char *name, const char *must)
{
    return ist_err_set(r->err, -EINVAL, "%s: %s", name, must);
}

static int read_from(struct reading *r, const char *name, const char *value)
{
    struct api_events_query *query = r->query;
    enum api_events_from from = API_EVENTS_TIME;

    if (strcmp(value, "now") == 0)
        from = API_EVENTS_NOW;
    else if (strcmp(value, "oldest") == 0)
        from = API_EVENTS_OLDEST;
    else if (!ist_clock_parse_past(value, r->wall_ms, &query->from_ms))
        return bad(r, name,
                   "must be now, oldest, a time as 2026-11-25T08:00:00Z, or "
                   "how long ago, as 1h");
    if (query->from != API_EVENTS_AFTER) /* The exact place wins. */
        query->from = from;
    return 0;
}

static int read_until(struct reading *r, const char *name, const char *value)
{
    uint64_t ahead;

    if ((*value == '+' || *value == ' ') && ist_parse_ms(value + 1, &ahead)) {
        r->query->until_ms = r->wall_ms + ahead;
        return 0;
    }
    if (ist_clock_parse_past(value, r->wall_ms, &r->query->until_ms))
        return 0;
    return bad(r, name,
               "must be a time as 2026-11-25T08:00:00Z, how long ago, as 1h, "
               "or how long from now, as +1h");
}

static int read_after(struct reading *r, const char *name, const char *value)
{
    if (!ist_parse_u64(value, 0, UINT64_MAX - 1, &r->query->after))
        return bad(r, name, "must be the number of an event");
    r->query->from = API_EVENTS_AFTER;
    return 0;
}

static int read_limit(struct reading *r, const char *name, const char *value)
{
    if (ist_parse_u64(value, 1, API_EVENTS_LIMIT_MAX, &r->query->limit))
        return 0;
    return bad(r, name, "must be a whole number from 1 to 1000");
}

static int read_follow(struct reading *r, const char *name, const char *value)
{
    r->query->follow = strcmp(value, "1") == 0 || strcmp(value, "true") == 0;
    if (r->query->follow || strcmp(value, "0") == 0 ||
        strcmp(value, "false") == 0)
        return 0;
    return bad(r, name, "must be 1 or 0");
}

static int read_filter(struct reading *r, const char *name, const char *value)
{
    if (!*value)
        return bad(r, name, "has an empty value: leave it out to ask for all");
    return events_filter_set(&r->query->filter, name, value, r->err);
}

static const struct {
    const char *name;
    bool list, stream;
    read_fn *read;
} rows[] = {
    {"site", true, true, read_filter},     {"type", true, true, read_filter},
    {"kind", true, true, read_filter},     {"project", true, true, read_filter},
    {"severity", true, true, read_filter}, {"since", true, false, read_from},
    {"from", false, true, read_from},      {"after", true, true, read_after},
    {"until", true, true, read_until},     {"limit", true, false, read_limit},
    {"follow", true, false, read_follow},
};

const char *const api_events_list_names[] = {
    "site",  "type",  "kind",  "project", "severity", "since",
    "after", "until", "limit", "follow",  NULL};
const char *const api_events_stream_names[] = {"site",    "type",     "kind",
                                               "project", "severity", "from",
                                               "after",   "until",    NULL};

static int read_param(struct reading *r, const struct ist_httpd_param *param,
                      bool is_stream)
{
    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        if (strcmp(rows[i].name, param->name) == 0 &&
            (is_stream ? rows[i].stream : rows[i].list))
            return rows[i].read(r, rows[i].name, param->value);
    }
    return ist_err_set(r->err, -EINVAL,
                       "'%.40s' is not a parameter of this request",
                       param->name);
}

int api_events_query(struct api_events_query *query,
                     const struct ist_httpd_param *params, size_t n,
                     bool is_stream, uint64_t wall_ms, struct ist_err *err)
{
    struct reading r = {query, wall_ms, err};
    int rc = 0;

    *query = (struct api_events_query){
        .until_ms = UINT64_MAX, .limit = 100, .follow = is_stream};
    for (size_t i = 0; rc == 0 && i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(params[i].name, params[j].name) == 0)
                return ist_err_set(err, -EINVAL,
                                   "'%.40s' is given twice: put several "
                                   "values into one, with commas",
                                   params[i].name);
        }
        rc = read_param(&r, &params[i], is_stream);
    }
    return rc;
}

void api_events_query_fini(struct api_events_query *query)
{
    events_filter_fini(&query->filter);
}
