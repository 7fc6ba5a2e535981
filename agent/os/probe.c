/* All services side by side, each by its version document: it costs a service
 * nothing, and passes through all that a real request does. First the token,
 * once; without one only Keystone has been seen.
 *
 * A service that hangs is what a probe is for: each step gets three quarters
 * of the time that is left, so that there is time to tell of it. */
#include "os/cloud_priv.h"

#include "codec/json.h"
#include "os/fail.h"
#include "os/get.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSIONS_MAX 65536U

/* One service. */
struct look {
    struct os_probe_work *work;
    const struct os_service *service;
    struct ist_http_call call;
    struct ist_sb url, token_header;
    const char *headers[3];
    uint64_t begun;
    Isthmus__V1__Service result;
    char min[OS_VERSION_MAX], max[OS_VERSION_MAX], detail[220];
};

struct os_probe_work {
    struct os_cloud *cloud;
    struct os_probe *probe;
    struct os_login login;
    struct look looks[OS_SERVICES_MAX];
    const Isthmus__V1__Service *results[OS_SERVICES_MAX];
    size_t n, n_running;
    bool starting;
};

static void look_init(struct os_probe_work *work, struct look *look,
                      const struct os_service *service)
{
    look->work = work;
    look->service = service;
    ist_sb_init(&look->url, 0);
    ist_sb_init(&look->token_header, 0);
    isthmus__v1__service__init(&look->result);
    look->result.name = (char *) service->name;
    look->result.min_version = look->min;
    look->result.max_version = look->max;
    look->result.detail = look->detail;
}

static void look_fini(struct look *look)
{
    if (look->call.header_text.data)
        explicit_bzero(look->call.header_text.data,
                       look->call.header_text.size);
    ist_http_call_fini(&look->call);
    ist_sb_fini(&look->url);
    ist_sb_wipe(&look->token_header);
}

static uint64_t step_timeout(const struct os_probe *probe)
{
    uint64_t now = ist_loop_now(probe->op.loop), left;

    if (probe->op.deadline == UINT64_MAX || probe->op.deadline <= now)
        return 0;
    left = probe->op.deadline - now;
    return left - left / 4;
}

static void maybe_done(struct os_probe_work *work)
{
    struct os_probe *probe = work->probe;

    if (work->n_running || work->starting)
        return;
    probe->services = work->results;
    probe->n_services = work->n;
    if (probe->op.state == IST_OP_CANCELLING)
        os_finish_cancelled(&probe->op, os_service_find("identity"), NULL);
    else
        ist_op_finish(&probe->op, 0);
}

static int on_version(void *arg, const struct ist_json_element *e)
{
    struct look *look = arg;

    if (e->refusal == IST_JSON_FINE &&
        ist_json_text(e->picks[0], look->min, sizeof(look->min), NULL))
        ist_json_text(e->picks[1], look->max, sizeof(look->max), NULL);
    return 0;
}

static bool take_versions(struct look *look)
{
    static const char *const picks[] = {"min_version", "version"};
    const struct ist_json_want want = {
        .collection = look->service->version_collection,
        .picks = picks,
        .n_picks = IST_COUNT(picks),
        .element_max = VERSIONS_MAX,
    };
    struct ist_json_split split;
    int rc;

    ist_json_split_init(&split, &want, on_version, look);
    ist_json_split_feed(&split, ist_sb_text(&look->call.collected),
                        look->call.collected.len);
    rc = ist_json_split_end(&split);
    ist_json_split_fini(&split);
    if (rc)
        snprintf(look->detail, sizeof(look->detail), "its versions are %s",
                 ist_json_outcome_name(rc));
    return rc == 0;
}

static void down(struct look *look, const struct ist_err *err)
{
    snprintf(look->detail, sizeof(look->detail), "%s", err->text);
}

static void on_looked(struct ist_op *op)
{
    struct ist_http_call *call = IST_CONTAINER(op, struct ist_http_call, op);
    struct look *look = IST_CONTAINER(call, struct look, call);
    uint64_t ms = ist_loop_now(op->loop) - look->begun;
    struct ist_err err;

    look->result.latency_ms = ms > UINT32_MAX ? UINT32_MAX : (uint32_t) ms;
    if (op->rc) {
        os_fail_transport(&err, look->service, look->service->versions,
                          &op->err, op->rc);
        down(look, &err);
    } else if (call->status != 200 && call->status != 300) {
        os_fail_status(&err, look->service, look->service->versions,
                       call->status, ist_sb_text(&call->collected),
                       call->collected.len);
        down(look, &err);
    } else {
        look->result.up = take_versions(look);
    }
    look->work->n_running--;
    maybe_done(look->work);
}

static void look_start(struct look *look, const char *base)
{
    struct os_cloud *cloud = look->work->cloud;
    size_t n = 0;

    ist_sb_printf(&look->url, "%s%s", base, look->service->versions);
    ist_sb_reserve(&look->token_header, strlen(cloud->auth.token) + 32);
    ist_sb_printf(&look->token_header, "X-Auth-Token: %s", cloud->auth.token);
    look->headers[n++] = ist_sb_text(&look->token_header);
    look->headers[n++] = "Accept: application/json";
    look->headers[n] = NULL;
    look->call = (struct ist_http_call){
        .method = "GET",
        .url = ist_sb_text(&look->url),
        .headers = look->headers,
        .ca_file = cloud->entry->cacert,
        .insecure = cloud->entry->insecure,
        .collect_max = VERSIONS_MAX,
    };
    look->begun = ist_loop_now(cloud->loop);
    ist_op_prepare(&look->call.op, cloud->loop, &look->work->probe->op,
                   step_timeout(look->work->probe), on_looked);
    look->work->n_running++;
    ist_http_start(cloud->http, &look->call);
}

static void no_endpoint(struct look *look, const struct os_endpoint *endpoint)
{
    snprintf(look->detail, sizeof(look->detail), "%s%s",
             endpoint->why[0] ? "its endpoint in the catalog is refused: "
                              : "it is not in the site's catalog",
             endpoint->why);
}

static void look_all(struct os_probe_work *work)
{
    work->starting = true;
    for (size_t i = 0; i < work->n; i++) {
        const struct os_endpoint *endpoint = &work->cloud->endpoints[i];

        if (endpoint->base)
            look_start(&work->looks[i], endpoint->base);
        else
            no_endpoint(&work->looks[i], endpoint);
    }
    work->starting = false;
    maybe_done(work);
}

static void on_login(struct ist_op *op)
{
    struct os_login *login = IST_CONTAINER(op, struct os_login, op);
    struct os_probe_work *work =
        IST_CONTAINER(login, struct os_probe_work, login);

    if (op->rc == 0 && work->probe->op.state == IST_OP_RUNNING) {
        look_all(work);
        return;
    }
    for (size_t i = 0; i < work->n; i++) {
        struct look *look = &work->looks[i];

        if (strcmp(look->service->name, "identity") == 0)
            down(look, &op->err);
        else
            snprintf(look->detail, sizeof(look->detail),
                     "not asked: there is no token");
    }
    maybe_done(work);
}

void os_probe_start(struct os_cloud *cloud, struct os_probe *probe)
{
    struct os_probe_work *work = calloc(1, sizeof(*work));
    const struct os_service *services;

    probe->services = NULL;
    probe->n_services = 0;
    ist_op_begin(&probe->op, NULL);
    if (!work) {
        ist_op_fail(&probe->op, -ENOMEM, "out of memory");
        return;
    }
    probe->work = work;
    work->cloud = cloud;
    work->probe = probe;
    services = os_services_known(&work->n);
    for (size_t i = 0; i < work->n; i++) {
        look_init(work, &work->looks[i], &services[i]);
        work->results[i] = &work->looks[i].result;
    }
    ist_op_prepare(&work->login.op, cloud->loop, &probe->op,
                   step_timeout(probe), on_login);
    os_login_start(cloud, &work->login);
}

void os_probe_fini(struct os_probe *probe)
{
    struct os_probe_work *work = probe->work;

    if (!work)
        return;
    for (size_t i = 0; i < work->n; i++)
        look_fini(&work->looks[i]);
    free(work);
    probe->work = NULL;
    probe->services = NULL;
    probe->n_services = 0;
}
