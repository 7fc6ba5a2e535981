/* GET /api/v1/sites and GET /api/v1/sites/{name}. The list is what the hub
 * knows from presence; the single site is also asked about its services. */
#include "api/api.h"
#include "api/member.h"
#include "api/problem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PROBE_MS 3000

/* What of it the view holds. */
static void put_view(struct ist_sb *out, const struct api *api,
                     const struct sites_site *site)
{
    struct intake_summary is;

    if (!api->intake) {
        ist_sb_puts(out, ",\"rows\":null,\"rows_age_ms\":null");
        return;
    }
    intake_summary(api->intake, site, &is);
    ist_sb_printf(out, ",\"rows\":%" PRIu64 ",\"rows_age_ms\":%" PRIu64,
                  is.rows, is.age_ms);
}

static void put_calls(struct ist_sb *out, const struct sites_site *site)
{
    ist_sb_printf(out,
                  ",\"calls\":{\"answered\":%" PRIu64 ",\"failed\":%" PRIu64
                  ",\"latency_ms\":",
                  site->n_answered, site->n_failed);
    if (site->n_answered)
        ist_sb_printf(out, "%" PRIu64 "}", (site->latency_us + 500) / 1000);
    else
        ist_sb_puts(out, "null}");
}

/* All but the closing brace. */
static void put_site(struct ist_sb *out, const struct api *api,
                     const struct sites_site *site)
{
    char uid[IST_ID_UUID_SIZE];

    ist_sb_puts(out, "{\"name\":");
    ist_sb_json(out, site->name, strlen(site->name));
    api_put_text(out, "uid", ist_id_uuid(&site->peer.uid, uid));
    api_put_text(out, "state", sites_state_name(site->state));
    api_put_time(out, "state_since", site->changed_ms);
    api_put_time(out, "last_seen", site->heard_ms);
    api_put_time(out, "agent_started", site->started_ms);
    api_put_text(out, "agent_version", site->version[0] ? site->version : NULL);
    api_put_text(out, "policy_mode",
                 site->policy_mode[0] ? site->policy_mode : NULL);
    ist_sb_printf(out, ",\"open_calls\":%u,\"clock_offset_ms\":%lld",
                  site->open_calls, (long long) site->clock_offset_ms);
    put_view(out, api, site);
    ist_sb_printf(out, ",\"feed_entries\":%" PRIu64,
                  site->feed_next_sequence ? site->feed_next_sequence - 1 : 0);
    put_calls(out, site);
}

static void put_service_names(struct ist_sb *out, const struct sites_site *site)
{
    ist_sb_puts(out, ",\"services\":[");
    for (size_t i = 0; i < site->n_services; i++) {
        if (i)
            ist_sb_putc(out, ',');
        ist_sb_json(out, site->services[i], strlen(site->services[i]));
    }
    ist_sb_putc(out, ']');
}

void api_list_sites(const struct api_request *request)
{
    struct sites *sites = request->api->sites;
    struct sites_site *site = NULL;
    struct ist_sb out;
    bool first = true;

    if (api_has_params(request->http))
        return;
    ist_sb_init(&out, 0);
    ist_sb_puts(&out, "{\"items\":[");
    while ((site = sites_next(sites, site))) {
        if (!first)
            ist_sb_putc(&out, ',');
        first = false;
        put_site(&out, request->api, site);
        put_service_names(&out, site);
        ist_sb_putc(&out, '}');
    }
    ist_sb_puts(&out, "],\"next\":null}\n");
    api_reply_json(request->http, 200, NULL, 0, &out);
}

/* One site, with a probe of its services */

struct probing {
    struct desk_call call;
    struct api *api;
    struct ist_httpd_request *http;
    struct ist_arena arena;
    const Isthmus__V1__Reply *reply; /* In the arena; NULL: none yet. */
};

static int on_frame(struct desk_call *call, const Isthmus__V1__Reply *reply)
{
    IST_CONTAINER(call, struct probing, call)->reply = reply;
    return 0;
}

static void put_service(struct ist_sb *out, const Isthmus__V1__Service *service)
{
    ist_sb_puts(out, "{\"name\":");
    ist_sb_json(out, service->name, strlen(service->name));
    api_put_text(out, "min_version",
                 service->min_version[0] ? service->min_version : NULL);
    api_put_text(out, "max_version",
                 service->max_version[0] ? service->max_version : NULL);
    ist_sb_printf(out, ",\"up\":%s,\"latency_ms\":%u",
                  service->up ? "true" : "false", service->latency_ms);
    api_put_text(out, "detail", service->detail[0] ? service->detail : NULL);
    ist_sb_putc(out, '}');
}

static void put_services(struct ist_sb *out, const Isthmus__V1__Reply *reply)
{
    ist_sb_puts(out, ",\"services\":[");
    for (size_t i = 0; reply && i < reply->n_services; i++) {
        if (i)
            ist_sb_putc(out, ',');
        put_service(out, reply->services[i]);
    }
    ist_sb_putc(out, ']');
}

static void on_probed(struct ist_op *op)
{
    struct probing *probing = IST_CONTAINER(op, struct probing, call.op);
    const struct desk_call *call = &probing->call;
    struct ist_sb out;

    ist_sb_init(&out, 0);
    put_site(&out, probing->api, call->site);
    if (op->rc == 0)
        ist_sb_printf(&out, ",\"latency_ms\":%llu",
                      (unsigned long long) (call->heard_ms - call->sent_ms));
    else
        ist_sb_puts(&out, ",\"latency_ms\":null");
    api_put_text(&out, "reason", op->rc ? op->err.text : NULL);
    put_services(&out, probing->reply);
    ist_sb_puts(&out, "}\n");
    api_reply_json(probing->http, 200, NULL, 0, &out);
    probing->api->n_open--;
    ist_arena_fini(&probing->arena);
    free(probing);
}

static void on_gone(struct ist_httpd_request *http)
{
    struct probing *probing = http->owner;

    ist_op_cancel(&probing->call.op, -ECANCELED);
}

static void probe(struct probing *probing)
{
    Isthmus__V1__Call what = ISTHMUS__V1__CALL__INIT;
    Isthmus__V1__Probe nothing = ISTHMUS__V1__PROBE__INIT;

    what.what_case = ISTHMUS__V1__CALL__WHAT_PROBE;
    what.probe = &nothing;
    probing->http->owner = probing;
    probing->http->gone = on_gone;
    probing->api->n_open++;
    ist_op_prepare(&probing->call.op, probing->api->loop, NULL, PROBE_MS,
                   on_probed);
    desk_call_start(probing->api->desk, &probing->call, &what);
}

void api_show_site(const struct api_request *request)
{
    struct sites_site *site = sites_find(request->api->sites, request->word);
    struct probing *probing;

    if (api_has_params(request->http))
        return;
    if (!site || site->state == SITES_REMOVED) {
        api_problem_reply(request->http, API_NOT_FOUND, NULL,
                          "There is no site '%.40s'.", request->word);
        return;
    }
    probing = calloc(1, sizeof(*probing));
    if (!probing) {
        api_problem_reply(request->http, API_INTERNAL, NULL, "Out of memory.");
        return;
    }
    ist_arena_init(&probing->arena, 1U << 20);
    probing->api = request->api;
    probing->http = request->http;
    probing->call.site = site;
    probing->call.arena = &probing->arena;
    probing->call.on_frame = on_frame;
    probe(probing);
}
