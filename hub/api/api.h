/* The hub's native HTTP API, /api/v1, as hub/api/openapi.json describes it.
 *
 * A request is matched against one table of routes (api.c), its caller is
 * checked, and a handler answers it, at once or when sites have. */
#ifndef API_API_H
#define API_API_H

#include "facade/facade.h"
#include "facade/roles.h"
#include "httpd/server.h"
#include "model/kind.h"
#include "obs/health.h"
#include "obs/metric.h"
#include "survey/desk.h"
#include "view/intake.h"

struct api_conf {
    char *token_file;        /* One line: the bearer token of the admin. */
    uint64_t request_memory; /* Arena of one request to sites. */
    uint64_t requests_max;   /* Open at once; above: 503. */
    uint64_t watchers_max;   /* Streams of events at once; above: 503. */
};

extern const struct ist_row api_rows[];

#define API_TOKEN_MIN 16 /* Characters; a shorter one is refused at start. */

struct alarm_engine;
struct webhooks;

struct api {
    struct ist_loop *loop;
    struct desk *desk;
    struct sites *sites;
    struct ist_metrics *metrics;
    struct ist_health *health; /* All borrowed. */
    /* Borrowed, and set before the first request; NULL: this hub has none. */
    struct view *view;
    struct intake *intake;
    struct events_log *events;
    struct alarm_engine *alarms;
    struct webhooks *webhooks;
    struct facade *facade;
    struct api_conf conf;
    struct ist_metric *requests, *durations; /* Borrowed, or NULL. */
    uint8_t token_hash[32];
    uint64_t n_open; /* Requests that wait for sites. */
    uint64_t n_watchers;
    struct ist_sb watch_text; /* Of the watcher at work. */
    bool stopping; /* Set by the hub: new requests are answered 503. */
    struct ist_httpd *httpd; /* Owned. */
    void (*closed)(void *);
    void *closed_arg;
};

/* What the view knows is served too, and events from the log. */
void api_set_view(struct api *, struct view *, struct intake *,
                  struct events_log *);

/* So are its alarms, and its webhooks. */
void api_set_alarms(struct api *, struct alarm_engine *);
void api_set_webhooks(struct api *, struct webhooks *);

/* So is OpenStack itself. */
void api_set_facade(struct api *, struct facade *);

/* Counts each answer: 'requests' has the labels method and code, 'durations' is
 * a histogram of seconds without any. */
void api_count(struct api *, struct ist_metric *requests,
               struct ist_metric *durations);

/* Reads the token and begins to listen. 0, or a fault with 'err' filled. */
int api_open(struct api *, struct ist_loop *, struct desk *, struct sites *,
             struct ist_metrics *, struct ist_health *, const struct api_conf *,
             const struct ist_httpd_conf *, struct ist_err *err);

/* No request may be open. It is borrowed until 'closed', from the loop. */
void api_close(struct api *, void (*closed)(void *), void *arg);

/* What a handler gets: the request, and the parts of its path that the route
 * left open. */
struct api_request {
    struct api *api;
    struct ist_httpd_request *http;
    const struct ist_kind *kind;        /* Of "{kind}", or NULL. */
    const char *word;                   /* Of "{id}" or "{name}", or NULL. */
    const struct facade_caller *tenant; /* Who asks, if he is no more than
                                         * that; else NULL. */
};

typedef void api_handler_fn(const struct api_request *);

/* resources.c, sites.c, search.c, requests.c, events.c, alarms.c, webhooks.c */
api_handler_fn api_list_resources, api_show_resource;
api_handler_fn api_list_sites, api_show_site;
api_handler_fn api_search;
api_handler_fn api_show_request;
api_handler_fn api_list_events, api_stream_events;
api_handler_fn api_list_alarms, api_show_alarm;
api_handler_fn api_ack_alarm, api_unack_alarm, api_comment_alarm,
    api_clear_alarm;
api_handler_fn api_list_webhooks, api_create_webhook, api_show_webhook,
    api_delete_webhook, api_enable_webhook, api_rotate_webhook;

/* The names that the list of alarms takes; NULL-ended. For the OpenAPI check.
 */
extern const char *const api_alarms_list_names[];

/* Sends a whole JSON document and frees it; when 'out' has failed, 500. */
void api_reply_json(struct ist_httpd_request *, int status,
                    const struct ist_httpd_header *more, size_t n_more,
                    struct ist_sb *out);

/* One route, for the check against openapi.json. */
struct api_route {
    const char *method, *pattern; /* "GET", "/api/v1/{kind}/{id}" */
    enum facade_role needs;       /* NOBODY: no token. */
    api_handler_fn *handle;
};

extern const struct api_route api_routes[];
extern const size_t api_n_routes;

#endif
