#include "global/request.h"

#include "facade/relay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void global_request_end(struct global_request *request)
{
    if (request->free_work)
        request->free_work(request->work);
    request->global->facade->n_open--;
    ist_sb_fini(&request->body);
    ist_arena_fini(&request->arena);
    request->asked.service = NULL;
    free(request);
}

/* The client's request, to be answered now. */
static struct ist_httpd_request *take_http(struct global_request *request)
{
    struct ist_httpd_request *http = request->http;

    request->http = NULL;
    http->gone = NULL;
    return http;
}

void global_request_fail(struct global_request *request, int status,
                         const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    facade_fault(take_http(request), request->asked.service->shape, status,
                 NULL, "%s", text);
    global_request_end(request);
}

bool global_request_is_over(struct global_request *request,
                            const struct ist_op *op)
{
    if (op->rc == 0)
        return false;
    global_request_fail(request, 503, "The client has gone, or the hub goes.");
    return true;
}

void global_request_away(struct global_request *request,
                         const struct sites_site *site)
{
    uint64_t now = ist_loop_wall(request->global->facade->loop);
    char when[60] = "since the hub was started";

    if (site->heard_ms && now >= site->heard_ms)
        snprintf(when, sizeof(when), "for %" PRIu64 " s",
                 (now - site->heard_ms) / 1000);
    facade_fault_undone(take_http(request), request->asked.service->shape,
                        "Site %s cannot be reached: it has not been heard of "
                        "%s. Nothing was done.",
                        site->name, when);
    global_request_end(request);
}

/* Nova and Cinder say by which microversion they answered. */
static size_t version_headers(const struct global_request *request,
                              struct ist_httpd_header *ret)
{
    bool is_compute = strcmp(request->asked.service->name, "compute") == 0;
    struct ist_sb text;
    char *value;

    if (!request->version || !request->version[0])
        return 0;
    ist_sb_init(&text, 0);
    ist_sb_printf(&text, "%s %s", request->asked.service->name,
                  request->version);
    value = ist_arena_strdup(&request->http->arena, ist_sb_text(&text));
    ist_sb_fini(&text);
    ret[0] =
        (struct ist_httpd_header){"OpenStack-API-Version", value ? value : ""};
    ret[1] = (struct ist_httpd_header){
        "Vary", is_compute ? "OpenStack-API-Version, "
                             "X-OpenStack-Nova-API-Version"
                           : "OpenStack-API-Version"};
    ret[2] = (struct ist_httpd_header){"X-OpenStack-Nova-API-Version",
                                       request->version};
    return is_compute ? 3 : 2;
}

void global_request_reply(struct global_request *request, int status,
                          const struct ist_httpd_header *more, size_t n,
                          struct ist_sb *text)
{
    struct ist_httpd_header headers[10] = {
        {"Content-Type", "application/json"}};
    size_t n_headers = 1 + version_headers(request, headers + 1), size;
    char *body = ist_sb_take(text, &size);

    for (size_t i = 0; i < n && n_headers < IST_COUNT(headers); i++)
        headers[n_headers++] = more[i];
    ist_sb_fini(text);
    if (!body) {
        global_request_fail(request, 500, "The hub is out of memory.");
        return;
    }
    ist_httpd_reply_take(take_http(request), status, headers, n_headers, body,
                         size);
    global_request_end(request);
}

void global_request_reply_json(struct global_request *request, int status,
                               const struct ist_httpd_header *more, size_t n,
                               json_t *document)
{
    char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;
    struct ist_sb out;

    ist_sb_init(&out, 0);
    if (text)
        ist_sb_puts(&out, text);
    else
        out.rc = -ENOMEM;
    free(text);
    json_decref(document);
    global_request_reply(request, status, more, n, &out);
}

void global_request_pass(struct global_request *request,
                         const struct facade_ask *ask)
{
    facade_ask_reply(ask, take_http(request));
    global_request_end(request);
}

struct facade_asked global_request_asked(struct global_request *request,
                                         const struct global_site *site)
{
    struct facade_asked asked = request->asked;

    asked.site = site->site;
    return asked;
}

void global_request_relay(struct global_request *request,
                          const struct facade_asked *asked)
{
    struct facade *facade = request->global->facade;
    struct ist_httpd_request *http = take_http(request);
    bool is_held = request->is_held;

    http->owner = NULL;
    facade_relay_go_on(facade, http, asked, ist_sb_text(&request->body),
                       request->body.len, request->has_ended);
    if (is_held)
        ist_httpd_resume_body(http);
    global_request_end(request);
}

const struct global_site *
global_request_site(const struct global_request *request, const char *name)
{
    for (size_t i = 0; i < request->n_sites; i++) {
        if (strcmp(request->sites[i].site->name, name) == 0)
            return &request->sites[i];
    }
    return NULL;
}

void global_request_note(struct ist_sb *out, const char *site,
                         const char *state)
{
    ist_sb_printf(out, "%s%s=%s", out->len ? ", " : "", site, state);
}

const char *global_request_target(struct global_request *request, size_t n,
                                  const char *query)
{
    struct ist_sb out;
    char *text;

    ist_sb_init(&out, 0);
    ist_sb_puts(&out, request->prefix);
    for (size_t i = 0; i < n; i++)
        ist_sb_printf(&out, "/%s", request->segments[i]);
    if (query && *query)
        ist_sb_printf(&out, "?%s", query);
    text = out.rc ? NULL
                  : ist_arena_strdup(&request->http->arena, ist_sb_text(&out));
    ist_sb_fini(&out);
    return text ? text : "/";
}
