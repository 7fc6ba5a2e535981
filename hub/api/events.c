/* GET /api/v1/events and /api/v1/events/stream: the hub's log of events, as a
 * list and as streams (watch.c). */
#include "api/api.h"
#include "api/events_query.h"
#include "api/problem.h"
#include "api/query.h"
#include "api/watch.h"
#include "base/parse.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SCAN_MAX 100000 /* Items looked at for one list. */
#define SCAN_ONE 1000   /* In one go, from one snapshot. */

/* Where to begin: the place behind which all is wanted. */
static uint64_t place_of(const struct api *api,
                         const struct api_events_query *query)
{
    uint64_t first, last;

    events_log_range(api->events, &first, &last);
    switch (query->from) {
    case API_EVENTS_OLDEST:
        return first - 1;
    case API_EVENTS_TIME:
        return events_log_since(api->events, query->from_ms) - 1;
    case API_EVENTS_AFTER:
        return query->after;
    case API_EVENTS_NOW:
    case API_EVENTS_DEFAULT:
        break;
    }
    return last;
}

/* A place that the log has not given out yet is somebody's mistake. */
static bool is_place_known(const struct api_request *request,
                           const struct api_events_query *query)
{
    uint64_t first, last;

    events_log_range(request->api->events, &first, &last);
    if (query->from != API_EVENTS_AFTER || query->after <= last)
        return true;
    api_problem_reply(request->http, API_BAD_PARAMETER, NULL,
                      "after: %" PRIu64 " is no event of this log yet: its "
                      "last is %" PRIu64 ".",
                      query->after, last);
    return false;
}

/* A client that comes back says where it was. */
static bool take_last_id(const struct api_request *request,
                         struct api_events_query *query)
{
    const char *id = ist_httpd_header(request->http, "Last-Event-ID");

    if (!id || query->from == API_EVENTS_AFTER)
        return true;
    if (!ist_parse_u64(id, 0, UINT64_MAX - 1, &query->after)) {
        api_problem_reply(request->http, API_BAD_PARAMETER, NULL,
                          "Last-Event-ID: must be the number of an event, as "
                          "this stream gives them.");
        return false;
    }
    query->from = API_EVENTS_AFTER;
    return true;
}

/* Reads the query; false: answered already. */
static bool begin(const struct api_request *request, bool is_stream,
                  struct api_events_query *query)
{
    struct ist_httpd_request *http = request->http;
    struct ist_err err;

    if (api_events_query(query, http->params, http->n_params, is_stream,
                         ist_loop_wall(request->api->loop), &err)) {
        api_problem_reply(http, API_BAD_PARAMETER, NULL, "%s.", err.text);
        return false;
    }
    if (!request->api->events) {
        api_problem_reply(http, API_BUSY, NULL, "This hub keeps no log.");
        return false;
    }
    return true;
}

void api_stream_events(const struct api_request *request)
{
    struct api_events_query query;

    if (begin(request, true, &query) && take_last_id(request, &query) &&
        is_place_known(request, &query))
        api_watch(request, &query, place_of(request->api, &query),
                  API_WATCH_SSE);
    api_events_query_fini(&query);
}

/* Lists */

/* The last 'limit' that match, in a ring; or the first, from a given place. */
struct list {
    const struct api_events_query *query;
    struct ist_sb *items; /* A ring of 'limit'. */
    uint64_t *ids;
    size_t n, limit;
    bool newest, over;
};

static bool on_item(void *arg, const struct events_item *item)
{
    struct list *list = arg;
    struct ist_sb *slot;

    if (item->received_ms > list->query->until_ms)
        list->over = true;
    if (list->over || (!list->newest && list->n == list->limit))
        return false;
    if (!events_filter_match(&list->query->filter, item))
        return true;
    list->ids[list->n % list->limit] = item->id;
    slot = &list->items[list->n++ % list->limit];
    ist_sb_reset(slot);
    ist_sb_add(slot, item->json.data, item->json.size);
    return true;
}

static int scan(struct api *api, struct list *list, uint64_t place,
                struct ist_err *err)
{
    uint64_t last = place;
    int rc = 0;

    for (size_t n = 0; n < SCAN_MAX && rc == 0; n += SCAN_ONE) {
        rc = events_log_read(api->events, place, SCAN_ONE, on_item, list, &last,
                             err);
        if (last == place)
            break;
        place = last;
    }
    return rc;
}

static void put_items(struct ist_sb *out, const struct list *list,
                      const char *between)
{
    size_t n = list->n < list->limit ? list->n : list->limit;

    for (size_t i = 0; i < n; i++) {
        const struct ist_sb *item =
            &list->items[(list->n - n + i) % list->limit];

        if (i)
            ist_sb_puts(out, between);
        ist_sb_add(out, item->data, item->len);
    }
}

static void reply_json(const struct api_request *request,
                       const struct list *list)
{
    struct ist_sb out;

    ist_sb_init(&out, 0);
    ist_sb_puts(&out, "{\"items\":[");
    put_items(&out, list, ",");
    ist_sb_puts(&out, "],\"last\":");
    if (list->n)
        ist_sb_printf(&out, "%" PRIu64 "}\n",
                      list->ids[(list->n - 1) % list->limit]);
    else
        ist_sb_puts(&out, "null}\n");
    api_reply_json(request->http, 200, NULL, 0, &out);
}

static void reply_lines(const struct api_request *request,
                        const struct list *list)
{
    static const struct ist_httpd_header headers[] = {
        {"Content-Type", "application/x-ndjson"},
        {"Cache-Control", "no-store"},
    };
    IST_CLEANUP(ist_sb_fini) struct ist_sb out;

    ist_sb_init(&out, 0);
    put_items(&out, list, "\n");
    if (list->n)
        ist_sb_putc(&out, '\n');
    if (out.rc)
        api_problem_reply(request->http, API_INTERNAL, NULL, "Out of memory.");
    else
        ist_httpd_reply(request->http, 200, headers, IST_COUNT(headers),
                        ist_sb_text(&out), out.len);
}

/* The newest are found by reading on from some way back. */
static uint64_t start_of(const struct api *api,
                         const struct api_events_query *query)
{
    uint64_t first, last, place = place_of(api, query);

    events_log_range(api->events, &first, &last);
    if (query->from == API_EVENTS_DEFAULT)
        place = first - 1;
    if (query->from != API_EVENTS_AFTER && last - place > SCAN_MAX)
        place = last - SCAN_MAX;
    return place;
}

static bool wants_lines(const struct ist_httpd_request *http)
{
    const char *accept = ist_httpd_header(http, "Accept");

    return accept && strstr(accept, "application/x-ndjson");
}

static void list_events(const struct api_request *request,
                        const struct api_events_query *query)
{
    struct ist_err err = {.text = ""};
    struct list list = {.query = query,
                        .limit = query->limit,
                        .newest = query->from != API_EVENTS_AFTER};

    list.items = calloc(list.limit, sizeof(*list.items));
    list.ids = calloc(list.limit, sizeof(*list.ids));
    if (list.items && list.ids) {
        for (size_t i = 0; i < list.limit; i++)
            ist_sb_init(&list.items[i], 0);
        if (scan(request->api, &list, start_of(request->api, query), &err))
            api_problem_reply(request->http, API_INTERNAL, NULL, "%s.",
                              err.text);
        else if (wants_lines(request->http))
            reply_lines(request, &list);
        else
            reply_json(request, &list);
        for (size_t i = 0; i < list.limit; i++)
            ist_sb_fini(&list.items[i]);
    } else {
        api_problem_reply(request->http, API_INTERNAL, NULL, "Out of memory.");
    }
    free(list.items);
    free(list.ids);
}

void api_list_events(const struct api_request *request)
{
    struct api_events_query query;

    if (begin(request, false, &query) && is_place_known(request, &query)) {
        if (query.follow)
            api_watch(request, &query, place_of(request->api, &query),
                      API_WATCH_NDJSON);
        else
            list_events(request, &query);
    }
    api_events_query_fini(&query);
}
