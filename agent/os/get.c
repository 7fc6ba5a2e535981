#include "os/get.h"

#include "codec/json.h"
#include "os/fail.h"
#include "os/url.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ERROR_MAX    4096U  /* Bytes of an error body that are looked at. */
#define VERSIONS_MAX 65536U /* Bytes of a version document. */

static void step(struct os_get *get);

const char *os_get_path(const struct os_get *get)
{
    return get->path.len ? ist_sb_text(&get->path) : NULL;
}

void os_finish_cancelled(struct ist_op *op, const struct os_service *service,
                         const char *path)
{
    if (ist_loop_now(op->loop) >= op->deadline) {
        os_fail(&op->err, service, path, -ETIMEDOUT, "no answer in time");
        op->err.retryable = true;
    }
    ist_op_finish(op, -ECANCELED);
}

static void finish_with(struct os_get *get, int rc, const struct ist_err *err)
{
    get->op.err = *err;
    ist_op_finish(&get->op, rc);
}

static bool cancelled(struct os_get *get)
{
    if (get->op.state != IST_OP_CANCELLING)
        return false;
    os_finish_cancelled(&get->op, get->service, os_get_path(get));
    return true;
}

/* --- The request --- */

static const char *base_of(const struct os_get *get)
{
    return get->cloud->endpoints[os_service_index(get->service)].base;
}

/* Builds the URL, and the path of it for sentences. */
static void build_url(struct os_get *get, const char *prefix, bool target)
{
    ist_sb_reset(&get->url);
    ist_sb_reset(&get->path);
    os_url_expand(&get->path, prefix, get->cloud->auth.project, "");
    if (target)
        get->target(get, &get->path);
    ist_sb_puts(&get->url, base_of(get));
    ist_sb_puts(&get->url, ist_sb_text(&get->path));
}

static void build_headers(struct os_get *get, const char *version)
{
    size_t n = 0;

    ist_sb_reset(&get->token_header);
    ist_sb_reset(&get->version_header);
    ist_sb_reset(&get->id_header);
    ist_sb_reserve(&get->token_header, strlen(get->cloud->auth.token) + 32);
    ist_sb_printf(&get->token_header, "X-Auth-Token: %s",
                  get->cloud->auth.token);
    get->generation = get->cloud->auth.generation;
    get->headers[n++] = ist_sb_text(&get->token_header);
    get->headers[n++] = "Accept: application/json";
    if (version) {
        ist_sb_printf(&get->version_header, "OpenStack-API-Version: %s %s",
                      get->service->microversions, version);
        get->headers[n++] = ist_sb_text(&get->version_header);
    }
    if (get->request_id) {
        ist_sb_printf(&get->id_header, "X-OpenStack-Request-Id: %s",
                      get->request_id);
        get->headers[n++] = ist_sb_text(&get->id_header);
    }
    get->headers[n] = NULL;
}

static void ship(struct os_get *get, ist_op_done_fn *done)
{
    const struct ist_cloud_entry *entry = get->cloud->entry;
    struct ist_http_call *call = &get->call;

    if (get->url.rc || get->path.rc || get->token_header.rc) {
        ist_op_fail(&get->op, -ENOMEM, "out of memory");
        return;
    }
    call->method = "GET";
    call->url = ist_sb_text(&get->url);
    call->headers = get->headers;
    call->ca_file = entry->cacert;
    call->insecure = entry->insecure;
    get->n_asked++;
    ist_op_prepare(&call->op, get->op.loop, &get->op, 0, done);
    ist_http_start(get->cloud->http, call);
}

static void call_reset(struct os_get *get)
{
    if (get->call.header_text.data)
        explicit_bzero(get->call.header_text.data, get->call.header_text.size);
    ist_http_call_fini(&get->call);
    get->call = (struct ist_http_call){.method = NULL};
}

/* A token that a service refuses may have been revoked: once, try a new one. */
static bool log_in_again(struct os_get *get)
{
    if (get->call.op.rc || get->call.status != 401 || get->relogged)
        return false;
    get->relogged = true;
    os_auth_spoil(get->cloud, get->generation);
    call_reset(get);
    step(get);
    return true;
}

/* --- Versions --- */

static struct os_versions *versions_of(const struct os_get *get)
{
    return &get->cloud->versions[os_service_index(get->service)];
}

/* "2.93" as a number that can be compared; 0: none. */
static unsigned version_value(const char *text)
{
    unsigned major, minor;
    char rest;

    if (sscanf(text, "%3u.%4u%c", &major, &minor, &rest) != 2)
        return 0;
    return major * 10000 + minor;
}

static int on_version(void *arg, const struct ist_json_element *e)
{
    struct os_versions *versions = arg;
    char min[OS_VERSION_MAX], max[OS_VERSION_MAX];

    if (e->refusal || !ist_json_text(e->picks[0], min, sizeof(min), NULL) ||
        !ist_json_text(e->picks[1], max, sizeof(max), NULL) ||
        !version_value(min) || !version_value(max) ||
        version_value(max) <= version_value(versions->max))
        return 0;
    memcpy(versions->min, min, sizeof(min));
    memcpy(versions->max, max, sizeof(max));
    return 0;
}

/* What cannot be read as a version document tells of no microversions. */
static void take_versions(struct os_get *get)
{
    static const char *const picks[] = {"min_version", "version"};
    struct os_versions *versions = versions_of(get);
    struct ist_json_want want = {
        .collection = get->service->version_collection,
        .picks = picks,
        .n_picks = IST_COUNT(picks),
        .element_max = VERSIONS_MAX,
    };
    struct ist_json_split split;

    *versions = (struct os_versions){.until = 0};
    ist_json_split_init(&split, &want, on_version, versions);
    ist_json_split_feed(&split, ist_sb_text(&get->call.collected),
                        get->call.collected.len);
    if (ist_json_split_end(&split))
        versions->min[0] = versions->max[0] = '\0';
    ist_json_split_fini(&split);
    versions->until =
        ist_loop_now(get->op.loop) + get->cloud->conf->versions_ms;
}

static void on_versions(struct ist_op *op)
{
    struct ist_http_call *call = IST_CONTAINER(op, struct ist_http_call, op);
    struct os_get *get = IST_CONTAINER(call, struct os_get, call);
    struct ist_err err;
    int rc = 0;

    if (cancelled(get) || log_in_again(get))
        return;
    get->status = call->status;
    if (op->rc)
        rc = os_fail_transport(&err, get->service, os_get_path(get), &op->err,
                               op->rc);
    else if (call->status == 401 || call->status >= 500 || call->status == 429)
        rc = os_fail_status(&err, get->service, os_get_path(get), call->status,
                            ist_sb_text(&call->collected), call->collected.len);
    if (rc) {
        finish_with(get, rc, &err);
        return;
    }
    take_versions(get);
    call_reset(get);
    step(get);
}

static void ask_versions(struct os_get *get)
{
    build_url(get, get->service->versions, false);
    build_headers(get, NULL);
    get->call = (struct ist_http_call){.collect_max = VERSIONS_MAX};
    ship(get, on_versions);
}

static bool versions_wanted(const struct os_get *get)
{
    return get->version && get->service->microversions &&
           ist_loop_now(get->op.loop) >= versions_of(get)->until;
}

/* The version to ask in, NULL for the service's oldest; false when a firm one
 * is not to be had. */
static bool choose_version(struct os_get *get, const char **ret)
{
    const struct os_versions *versions = versions_of(get);
    unsigned wanted, min, max;

    *ret = NULL;
    if (!get->version || !get->service->microversions)
        return true;
    wanted = version_value(get->version);
    min = version_value(versions->min);
    max = version_value(versions->max);
    if (wanted >= min && wanted <= max) {
        *ret = get->version;
        return true;
    }
    if (get->version_is_firm)
        return false;
    if (wanted > max && max)
        *ret = versions->max;
    return true;
}

/* --- The answer --- */

static bool is_json(const struct ist_http_call *call)
{
    static const char wanted[] = "application/json";
    size_t len;
    const char *type = ist_http_header(call, "Content-Type", &len);

    return type && len >= sizeof(wanted) - 1 &&
           strncasecmp(type, wanted, sizeof(wanted) - 1) == 0;
}

static int not_json(struct os_get *get)
{
    size_t len = 0;
    const char *type = ist_http_header(&get->call, "Content-Type", &len);
    char text[40] = "nothing";

    if (type)
        snprintf(text, sizeof(text), "%.*s", (int) (len > 39 ? 39 : len), type);
    return os_fail(&get->op.err, get->service, os_get_path(get),
                   OS_E_BAD_ANSWER,
                   "answered %s where JSON was expected; is the endpoint "
                   "right?",
                   text);
}

static int on_data(struct ist_http_call *call, const void *data, size_t size)
{
    struct os_get *get = IST_CONTAINER(call, struct os_get, call);
    int rc;

    if (call->status != 200) {
        size_t room = ERROR_MAX - get->body.len;

        ist_sb_add(&get->body, data, size < room ? size : room);
        return 0;
    }
    if (!get->begun && !is_json(call)) {
        get->stopped = true;
        return not_json(get);
    }
    get->begun = true;
    get->n_bytes += size;
    if (get->n_bytes > get->answer_max) {
        get->stopped = true;
        return os_fail(
            &get->op.err, get->service, os_get_path(get), OS_E_TOO_LARGE,
            "its answer is over %" PRIu64 " bytes (openstack.answer_max)",
            get->answer_max);
    }
    rc = get->data(get, data, size);
    get->stopped = rc != 0;
    return rc;
}

static bool ask_other_version(struct os_get *get)
{
    if (get->call.op.rc || get->call.status != 406 || get->reversioned ||
        !get->version)
        return false;
    get->reversioned = true;
    versions_of(get)->until = 0;
    call_reset(get);
    step(get);
    return true;
}

static void on_answer(struct ist_op *op)
{
    struct ist_http_call *call = IST_CONTAINER(op, struct ist_http_call, op);
    struct os_get *get = IST_CONTAINER(call, struct os_get, call);
    struct ist_err err;
    int rc;

    if (cancelled(get) || log_in_again(get) || ask_other_version(get))
        return;
    get->status = call->status;
    if (op->rc && get->stopped)
        ist_op_finish(&get->op, op->rc);
    else if (op->rc) {
        rc = os_fail_transport(&err, get->service, os_get_path(get), &op->err,
                               op->rc);
        finish_with(get, rc, &err);
    } else if (call->status != 200) {
        rc = os_fail_status(&err, get->service, os_get_path(get), call->status,
                            ist_sb_text(&get->body), get->body.len);
        finish_with(get, rc, &err);
    } else if (!is_json(call)) {
        rc = not_json(get);
        ist_op_finish(&get->op, rc);
    } else {
        ist_op_finish(&get->op, 0);
    }
}

static void ask(struct os_get *get)
{
    const char *version;
    struct ist_err err;

    if (!choose_version(get, &version)) {
        os_fail(&err, get->service, NULL, OS_E_BAD_CALL,
                "microversion %.15s is not offered here, only %s to %s",
                get->version, versions_of(get)->min, versions_of(get)->max);
        finish_with(get, OS_E_BAD_CALL, &err);
        return;
    }
    build_url(get, get->service->prefix, true);
    build_headers(get, version);
    ist_sb_reset(&get->body);
    get->begun = get->stopped = false;
    get->n_bytes = 0;
    get->begin(get);
    get->call = (struct ist_http_call){.on_data = on_data};
    ship(get, on_answer);
}

/* --- The steps --- */

static void on_login(struct ist_op *op)
{
    struct os_login *login = IST_CONTAINER(op, struct os_login, op);
    struct os_get *get = IST_CONTAINER(login, struct os_get, login);

    if (cancelled(get))
        return;
    if (op->rc)
        finish_with(get, op->rc, &op->err);
    else
        step(get);
}

static void no_endpoint(struct os_get *get)
{
    const struct os_endpoint *endpoint =
        &get->cloud->endpoints[os_service_index(get->service)];
    const struct ist_cloud_entry *entry = get->cloud->entry;
    struct ist_err err;

    if (endpoint->why[0])
        os_fail(&err, get->service, NULL, OS_E_BAD_ANSWER,
                "its endpoint in the catalog is refused: %s", endpoint->why);
    else
        os_fail(&err, get->service, NULL, OS_E_UNSUPPORTED,
                "the site's catalog has no %s endpoint for it%s%.40s",
                entry->interface, entry->region_name ? " in region " : "",
                entry->region_name ? entry->region_name : "");
    finish_with(get, err.code, &err);
}

static void step(struct os_get *get)
{
    if (!os_auth_ready(get->cloud)) {
        ist_op_prepare(&get->login.op, get->op.loop, &get->op, 0, on_login);
        os_login_start(get->cloud, &get->login);
    } else if (!base_of(get)) {
        no_endpoint(get);
    } else if (versions_wanted(get)) {
        ask_versions(get);
    } else {
        ask(get);
    }
}

void os_get_start(struct os_get *get)
{
    ist_sb_init(&get->url, 0);
    ist_sb_init(&get->path, 0);
    ist_sb_init(&get->token_header, 0);
    ist_sb_init(&get->version_header, 0);
    ist_sb_init(&get->id_header, 0);
    ist_sb_init(&get->body, ERROR_MAX);
    get->relogged = get->reversioned = false;
    get->status = 0;
    ist_op_begin(&get->op, NULL);
    step(get);
}

void os_get_fini(struct os_get *get)
{
    call_reset(get);
    ist_sb_fini(&get->url);
    ist_sb_fini(&get->path);
    ist_sb_wipe(&get->token_header);
    ist_sb_fini(&get->version_header);
    ist_sb_fini(&get->id_header);
    ist_sb_fini(&get->body);
}
