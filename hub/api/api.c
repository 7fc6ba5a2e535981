#include "api/api.h"

#include "api/problem.h"
#include "conf/file.h"
#include "facade/identity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct ist_row api_rows[] = {
    {"admin.token_file", IST_ROW_PATH, offsetof(struct api_conf, token_file),
     NULL, 1, 4096, IST_ROW_REQUIRED,
     "File whose only line is the admin's bearer token; mode 0600."},
    {"api.request_memory", IST_ROW_BYTES,
     offsetof(struct api_conf, request_memory), "64MiB", 1U << 20, 1U << 30, 0,
     "Memory that the rows of one request may take; a site that does not fit "
     "any more counts as failed."},
    {"api.requests", IST_ROW_U64, offsetof(struct api_conf, requests_max),
     "256", 1, 100000, 0,
     "Requests that wait for sites at once; more are answered 503, busy."},
    {"api.watchers", IST_ROW_U64, offsetof(struct api_conf, watchers_max),
     "1000", 1, 100000, 0,
     "Streams of events at once; more are answered 503, busy."},
    IST_ROW_END,
};

/* openapi.json, put into the binary as it is. */
__asm__(".pushsection .rodata\n"
        ".global api_openapi_start\n"
        ".global api_openapi_end\n"
        "api_openapi_start: .incbin \"" IST_OPENAPI_PATH "\"\n"
        "api_openapi_end: .byte 0\n"
        ".popsection\n");
extern const char api_openapi_start[], api_openapi_end[];

static void show_openapi(const struct api_request *request)
{
    static const struct ist_httpd_header headers[] = {
        {"Content-Type", "application/json"},
        {"Cache-Control", "max-age=300"},
    };

    ist_httpd_reply(request->http, 200, headers, IST_COUNT(headers),
                    api_openapi_start,
                    (size_t) (api_openapi_end - api_openapi_start));
}

static void show_metrics(const struct api_request *request)
{
    static const struct ist_httpd_header headers[] = {
        {"Content-Type", IST_METRICS_TYPE},
    };
    struct ist_sb out;
    size_t size;
    char *text;

    ist_sb_init(&out, 0);
    ist_metrics_write(request->api->metrics, &out);
    text = ist_sb_take(&out, &size);
    ist_sb_fini(&out);
    ist_httpd_reply_take(request->http, text ? 200 : 500, headers,
                         IST_COUNT(headers), text, text ? size : 0);
}

static void show_health(const struct api_request *request)
{
    bool ready = strcmp(request->http->path, "/readyz") == 0;
    struct ist_sb out;
    bool good;

    ist_sb_init(&out, 0);
    good = ist_health_write(request->api->health,
                            ready ? IST_HEALTH_READY : IST_HEALTH_LIVE, &out);
    api_reply_json(request->http, good ? 200 : 503, NULL, 0, &out);
}

static void show_errors(const struct api_request *request)
{
    static const struct ist_httpd_header headers[] = {
        {"Content-Type", "text/html; charset=utf-8"},
        {"Content-Security-Policy", "default-src 'none'"},
    };
    struct ist_sb out;
    size_t size;
    char *text;

    ist_sb_init(&out, 0);
    api_problem_page(&out);
    text = ist_sb_take(&out, &size);
    ist_sb_fini(&out);
    ist_httpd_reply_take(request->http, text ? 200 : 500, headers,
                         IST_COUNT(headers), text, text ? size : 0);
}

static void show_version(const struct api_request *request)
{
    struct ist_sb out;

    ist_sb_init(&out, 0);
    ist_sb_puts(&out, "{\"name\":\"isthmus-hub\",\"version\":\"" IST_VERSION
                      "\",\"api\":\"v1\"}\n");
    api_reply_json(request->http, 200, NULL, 0, &out);
}

const struct api_route api_routes[] = {
    {"GET", "/healthz", FACADE_NOBODY, show_health},
    {"GET", "/readyz", FACADE_NOBODY, show_health},
    {"GET", "/metrics", FACADE_NOBODY, show_metrics},
    {"GET", "/api/openapi.json", FACADE_NOBODY, show_openapi},
    {"GET", "/api/docs/errors", FACADE_NOBODY, show_errors},
    {"GET", "/api/v1/version", FACADE_NOBODY, show_version},
    {"GET", "/api/v1/sites", FACADE_NOC, api_list_sites},
    {"GET", "/api/v1/sites/{name}", FACADE_NOC, api_show_site},
    {"GET", "/api/v1/search", FACADE_NOC, api_search},
    {"GET", "/api/v1/requests/{id}", FACADE_NOC, api_show_request},
    {"GET", "/api/v1/events", FACADE_NOC, api_list_events},
    {"GET", "/api/v1/events/stream", FACADE_NOC, api_stream_events},
    {"GET", "/api/v1/alarms", FACADE_NOC, api_list_alarms},
    {"GET", "/api/v1/alarms/{id}", FACADE_NOC, api_show_alarm},
    {"POST", "/api/v1/alarms/{id}/ack", FACADE_NOC, api_ack_alarm},
    {"POST", "/api/v1/alarms/{id}/unack", FACADE_NOC, api_unack_alarm},
    {"POST", "/api/v1/alarms/{id}/comment", FACADE_NOC, api_comment_alarm},
    {"POST", "/api/v1/alarms/{id}/clear", FACADE_NOC, api_clear_alarm},
    {"GET", "/api/v1/webhooks", FACADE_ADMIN, api_list_webhooks},
    {"POST", "/api/v1/webhooks", FACADE_ADMIN, api_create_webhook},
    {"GET", "/api/v1/webhooks/{id}", FACADE_ADMIN, api_show_webhook},
    {"DELETE", "/api/v1/webhooks/{id}", FACADE_ADMIN, api_delete_webhook},
    {"POST", "/api/v1/webhooks/{id}/enable", FACADE_ADMIN, api_enable_webhook},
    {"POST", "/api/v1/webhooks/{id}/rotate", FACADE_ADMIN, api_rotate_webhook},
    {"GET", "/api/v1/{kind}", FACADE_TENANT, api_list_resources},
    {"GET", "/api/v1/{kind}/{id}", FACADE_TENANT, api_show_resource},
};
const size_t api_n_routes = IST_COUNT(api_routes);

/* The kind that the first 'len' characters name in the plural. */
static const struct ist_kind *kind_of(const char *path, size_t len)
{
    char word[32];

    if (len >= sizeof(word))
        return NULL;
    memcpy(word, path, len);
    word[len] = '\0';
    return ist_kind_find_plural(word);
}

/* What stands at a "{...}" of a pattern: a kind, or a word, of which a path
 * has one. */
static bool take_word(struct api_request *request, const char *pattern,
                      const char *path, size_t len)
{
    char *word;

    if (strncmp(pattern, "{kind}", 6) == 0) {
        request->kind = kind_of(path, len);
        return request->kind != NULL;
    }
    word = ist_arena_alloc(&request->http->arena, len + 1);
    if (!word)
        return false;
    memcpy(word, path, len);
    word[len] = '\0';
    request->word = word;
    return len > 0;
}

/* Does 'path' fit? Fills what the pattern leaves open. */
static bool match(const char *pattern, const char *path,
                  struct api_request *request)
{
    while (*pattern && *path) {
        size_t len = strcspn(path, "/");

        if (*pattern != '{') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        if (!take_word(request, pattern, path, len))
            return false;
        pattern = strchr(pattern, '}') + 1;
        path += len;
    }
    return *pattern == '\0' && *path == '\0';
}

static bool is_admins(const struct api *api, const char *token)
{
    uint8_t hash[32];

    /* Equal lengths, equal time: the hashes are compared. */
    crypto_hash_sha256(hash, (const uint8_t *) token, strlen(token));
    return sodium_memcmp(hash, api->token_hash, sizeof(hash)) == 0;
}

/* Who asks, and what he is here. Without a façade there is only the admin. */
static enum facade_role role_of(const struct api *api,
                                struct ist_httpd_request *http,
                                struct facade_caller *ret)
{
    const char *value = ist_httpd_header(http, "Authorization");

    if (value && strncasecmp(value, "Bearer ", 7) == 0 &&
        is_admins(api, value + 7))
        return FACADE_ADMIN;
    if (!api->facade || !facade_find_caller(api->facade, http, ret))
        return FACADE_NOBODY;
    /* The admin's token again, as OpenStack's clients send it. */
    return ret->project[0] ? facade_roles_of(api->facade->roles, ret)
                           : FACADE_ADMIN;
}

static const char login_needed[] =
    "This needs 'Authorization: Bearer TOKEN' with a token of /identity/v3, or "
    "with that of the hub's admin.";

static void denied(struct ist_httpd_request *http, enum facade_role needs)
{
    api_problem_reply(http, API_FORBIDDEN, NULL,
                      "This is for %s: whoever keeps the hub names them in its "
                      "roles.yaml.",
                      needs == FACADE_ADMIN ? "the hub's admins"
                                            : "the NOC and the hub's admins");
}

static void not_found(struct ist_httpd_request *http)
{
    api_problem_reply(http, API_NOT_FOUND, NULL,
                      "Nothing is at %.200s. The kinds of resources and all "
                      "paths are in /api/openapi.json.",
                      http->path);
}

/* What asks sites holds memory until they have answered. */
static bool is_busy(const struct api *api, const struct api_route *route)
{
    return route->needs > FACADE_NOBODY &&
           api->n_open >= api->conf.requests_max;
}

/* What can be got can be asked for its head only; the server leaves the body
 * out (RFC 9110, 9.3.2). */
static bool takes_method(const struct api_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

#define POSSIBLE_SIZE 64 /* Of all methods there are, once each. */

static void add_possible(char possible[POSSIBLE_SIZE],
                         const struct api_route *route)
{
    size_t len = strlen(possible);

    if (strstr(possible, route->method))
        return; /* Of another route that the path fits too. */
    snprintf(possible + len, POSSIBLE_SIZE - len, "%s%s%s", len ? ", " : "",
             route->method, strcmp(route->method, "GET") == 0 ? ", HEAD" : "");
}

static void handle(void *arg, struct ist_httpd_request *http)
{
    struct api *api = arg;
    char possible[POSSIBLE_SIZE] = ""; /* Other methods. */
    struct facade_caller caller;
    enum facade_role role;

    if (api->stopping) {
        api_problem_reply(http, API_BUSY, NULL, "The hub is going down.");
        return;
    }

    if (api->facade && facade_is_identity(http)) {
        facade_identity(api->facade, http);
        return;
    }
    role = role_of(api, http, &caller);
    for (size_t i = 0; i < api_n_routes; i++) {
        const struct api_route *route = &api_routes[i];
        struct api_request request = {.api = api,
                                      .http = http,
                                      .tenant = role == FACADE_TENANT ? &caller
                                                                      : NULL};

        if (!match(route->pattern, http->path, &request))
            continue;
        if (!takes_method(route, http->method)) {
            add_possible(possible, route);
            continue;
        }
        if (is_busy(api, route))
            api_problem_reply(http, API_BUSY, NULL,
                              "The hub works on as many requests as it may. "
                              "Try again soon.");
        else if (route->needs > FACADE_NOBODY && role == FACADE_NOBODY)
            api_problem_reply(http, API_UNAUTHORIZED, NULL, "%s", login_needed);
        else if (role < route->needs)
            denied(http, route->needs);
        else
            route->handle(&request);
        return;
    }
    if (role == FACADE_NOBODY) /* What exists is no stranger's business. */
        api_problem_reply(http, API_UNAUTHORIZED, NULL, "%s", login_needed);
    else if (*possible)
        api_problem_method(http, possible);
    else
        not_found(http);
}

void api_reply_json(struct ist_httpd_request *http, int status,
                    const struct ist_httpd_header *more, size_t n_more,
                    struct ist_sb *out)
{
    struct ist_httpd_header headers[6] = {
        {"Content-Type", "application/json"},
        {"Cache-Control", "no-store"},
    };
    size_t size;
    char *body = ist_sb_take(out, &size);

    ist_sb_fini(out);
    if (!body) {
        api_problem_reply(http, API_INTERNAL, NULL,
                          "The answer does not fit into memory: ask for fewer "
                          "rows with 'limit'.");
        return;
    }
    for (size_t i = 0; i < n_more && i < 4; i++)
        headers[2 + i] = more[i];
    ist_httpd_reply_take(http, status, headers, 2 + n_more, body, size);
}

/* What has its own way with bodies. */
static void begin(void *arg, struct ist_httpd_request *http)
{
    struct api *api = arg;

    if (api->facade && !api->stopping && facade_is_for(http))
        facade_begin(api->facade, http);
}

static bool is_admin_token(void *arg, const char *token)
{
    return is_admins(arg, token);
}

void api_set_facade(struct api *api, struct facade *facade)
{
    api->facade = facade;
    facade->is_admin = is_admin_token;
    facade->arg = api;
    ist_httpd_on_begin(api->httpd, begin);
}

static int read_token(struct api *api, struct ist_err *err)
{
    char *token = NULL;
    int rc = ist_conf_read_secret(api->conf.token_file, &token, err);

    if (rc)
        return ist_err_wrap(err, "admin.token_file");
    if (strlen(token) < API_TOKEN_MIN)
        rc = ist_err_set(err, -EINVAL,
                         "admin.token_file: %s: the token is shorter than %d "
                         "characters: make one with 'openssl rand -hex 32'",
                         api->conf.token_file, API_TOKEN_MIN);
    else
        crypto_hash_sha256(api->token_hash, (const uint8_t *) token,
                           strlen(token));
    ist_conf_secret_free(token);
    return rc;
}

int api_open(struct api *api, struct ist_loop *loop, struct desk *desk,
             struct sites *sites, struct ist_metrics *metrics,
             struct ist_health *health, const struct api_conf *conf,
             const struct ist_httpd_conf *http_conf, struct ist_err *err)
{
    int rc;

    *api = (struct api){.loop = loop,
                        .desk = desk,
                        .sites = sites,
                        .metrics = metrics,
                        .health = health,
                        .conf = *conf};
    ist_sb_init(&api->watch_text, 0);
    rc = read_token(api, err);
    if (rc)
        return rc;
    api->httpd =
        ist_httpd_new(loop, http_conf, handle, api_problem_refuse, api, err);
    return api->httpd ? 0 : err->code;
}

void api_set_view(struct api *api, struct view *view, struct intake *intake,
                  struct events_log *events)
{
    api->view = view;
    api->intake = intake;
    api->events = events;
}

/* Methods are as many as clients can think of. */
static void on_answered(void *arg, const struct ist_httpd_request *http,
                        int status)
{
    static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "DELETE"};
    const struct api *api = arg;
    const char *method = "other";
    char code[12];

    for (size_t i = 0; i < IST_COUNT(known); i++) {
        if (strcmp(known[i], http->method) == 0)
            method = known[i];
    }
    snprintf(code, sizeof(code), "%d", status);
    trace_answered(&api->desk->traces, http->id, http->method, http->path,
                   status, http->started_ms, ist_loop_wall(api->loop),
                   ist_loop_now(api->loop));
    ist_metric_add(api->requests, 1, method, code);
    ist_metric_observe(api->durations,
                       (double) (ist_loop_now(api->loop) - http->started_ms) /
                           1000.0);
}

void api_count(struct api *api, struct ist_metric *requests,
               struct ist_metric *durations)
{
    api->requests = requests;
    api->durations = durations;
    ist_httpd_on_answered(api->httpd, on_answered);
}

void api_set_alarms(struct api *api, struct alarm_engine *alarms)
{
    api->alarms = alarms;
}

void api_set_webhooks(struct api *api, struct webhooks *webhooks)
{
    api->webhooks = webhooks;
}

/* Until now watchers may have had a turn. */
static void on_closed(void *arg)
{
    struct api *api = arg;

    ist_sb_fini(&api->watch_text);
    if (api->closed)
        api->closed(api->closed_arg);
}

void api_close(struct api *api, void (*closed)(void *), void *arg)
{
    api->closed = closed;
    api->closed_arg = arg;
    ist_httpd_close(IST_TAKE(api->httpd), on_closed, api);
}
