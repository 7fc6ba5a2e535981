#include "os/exchange.h"

#include "os/fail.h"
#include "os/get.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static void step(struct os_exchange *x);

const char *os_cloud_base(const struct os_cloud *cloud,
                          const struct os_service *service)
{
    return cloud->endpoints[os_service_index(service)].base;
}

const char *os_cloud_project(const struct os_cloud *cloud)
{
    return cloud->auth.project;
}

const char *os_cloud_user(const struct os_cloud *cloud)
{
    return cloud->auth.user;
}

/* For sentences, which are of what is read. */
static const char *path_of(const struct os_exchange *x)
{
    return strcmp(x->method, "GET") == 0 ? x->target : NULL;
}

static void finish_with(struct os_exchange *x, const struct ist_err *err)
{
    x->op.err = *err;
    ist_op_finish(&x->op, err->code);
}

static bool cancelled(struct os_exchange *x)
{
    if (x->op.state != IST_OP_CANCELLING)
        return false;
    os_finish_cancelled(&x->op, x->service, path_of(x));
    return true;
}

/* --- The answer --- */

static bool is_refused_token(const struct os_exchange *x)
{
    return x->call.status == 401 && !x->relogged && !x->on_body;
}

/* The first bytes, or the end of an answer without any. */
static void take_head(struct os_exchange *x)
{
    if (x->has_head)
        return;
    x->has_head = true;
    x->on_head(x);
}

static int on_data(struct ist_http_call *call, const void *data, size_t size)
{
    struct os_exchange *x = IST_CONTAINER(call, struct os_exchange, call);

    if (is_refused_token(x))
        return 0;
    take_head(x);
    return x->on_data(x, data, size);
}

static ssize_t on_body(struct ist_http_call *call, void *buf, size_t size)
{
    struct os_exchange *x = IST_CONTAINER(call, struct os_exchange, call);

    return x->on_body(x, buf, size);
}

static void call_reset(struct os_exchange *x)
{
    ist_http_call_fini(&x->call);
    x->call = (struct ist_http_call){.method = NULL};
}

static void on_answered(struct ist_op *op)
{
    struct ist_http_call *call = IST_CONTAINER(op, struct ist_http_call, op);
    struct os_exchange *x = IST_CONTAINER(call, struct os_exchange, call);
    struct ist_err err;

    if (cancelled(x))
        return;
    if (op->rc) {
        os_fail_transport(&err, x->service, path_of(x), &op->err, op->rc);
        finish_with(x, &err);
    } else if (is_refused_token(x)) {
        x->relogged = true;
        os_auth_spoil(x->cloud, x->generation);
        call_reset(x);
        step(x);
    } else {
        take_head(x);
        ist_op_finish(&x->op, 0);
    }
}

/* --- The request --- */

static void build_headers(struct os_exchange *x)
{
    size_t n = 0;

    ist_sb_reset(&x->token_header);
    ist_sb_reserve(&x->token_header, strlen(x->cloud->auth.token) + 32);
    ist_sb_printf(&x->token_header, "X-Auth-Token: %s", x->cloud->auth.token);
    x->generation = x->cloud->auth.generation;
    for (; x->headers[n] && n < OS_EXCHANGE_HEADERS_MAX; n++)
        x->all_headers[n] = x->headers[n];
    x->all_headers[n++] = ist_sb_text(&x->token_header);
    x->all_headers[n] = NULL;
}

/* Has the body an id to replace? Bytes of any other type are not ours to look
 * into. */
static bool is_rewritten(const struct os_exchange *x)
{
    static const char json[] = "Content-Type: application/json";

    if (x->service->is_opaque ||
        (!x->rewriting.id_from && !x->rewriting.n_swaps))
        return false;
    for (size_t i = 0; x->headers[i]; i++) {
        if (strncasecmp(x->headers[i], json, sizeof(json) - 1) == 0)
            return true;
    }
    return false;
}

/* Address and body as the service is to have them. */
static void build_request(struct os_exchange *x)
{
    struct ist_rewrite body = {.how = x->rewriting};

    body.how.id_to = x->cloud->auth.project;
    ist_sb_reset(&x->url);
    ist_sb_reset(&x->new_body);
    ist_sb_puts(&x->url, os_cloud_base(x->cloud, x->service));
    ist_rewrite_link(&body.how, x->target, strlen(x->target), &x->url);
    if (is_rewritten(x)) {
        ist_rewrite_feed(&body, x->body, x->body_size, &x->new_body);
        ist_rewrite_end(&body, &x->new_body);
    }
}

static void ask(struct os_exchange *x)
{
    const struct ist_cloud_entry *entry = x->cloud->entry;
    bool rewritten = is_rewritten(x);

    build_headers(x);
    build_request(x);
    if (x->url.rc || x->token_header.rc || x->new_body.rc) {
        ist_op_fail(&x->op, -ENOMEM, "out of memory");
        return;
    }
    x->call = (struct ist_http_call){
        .method = x->method,
        .url = ist_sb_text(&x->url),
        .headers = x->all_headers,
        .body = rewritten ? ist_sb_text(&x->new_body) : x->body,
        .body_size = rewritten ? x->new_body.len : x->body_size,
        .on_body = x->on_body ? on_body : NULL,
        .body_length = x->body_length,
        .on_data = on_data,
        .ca_file = entry->cacert,
        .insecure = entry->insecure};
    ist_op_prepare(&x->call.op, x->op.loop, &x->op, 0, on_answered);
    ist_http_start(x->cloud->http, &x->call);
}

static void on_login(struct ist_op *op)
{
    struct os_login *login = IST_CONTAINER(op, struct os_login, op);
    struct os_exchange *x = IST_CONTAINER(login, struct os_exchange, login);

    if (cancelled(x))
        return;
    if (op->rc) {
        x->op.err = op->err;
        ist_op_finish(&x->op, op->rc);
    } else {
        step(x);
    }
}

static void no_endpoint(struct os_exchange *x)
{
    struct ist_err err;

    os_fail(&err, x->service, NULL, OS_E_UNSUPPORTED,
            "the site's catalog has no endpoint for it");
    finish_with(x, &err);
}

static void step(struct os_exchange *x)
{
    if (!os_auth_ready(x->cloud)) {
        ist_op_prepare(&x->login.op, x->op.loop, &x->op, 0, on_login);
        os_login_start(x->cloud, &x->login);
    } else if (!os_cloud_base(x->cloud, x->service)) {
        no_endpoint(x);
    } else {
        ask(x);
    }
}

void os_exchange_start(struct os_exchange *x)
{
    ist_sb_init(&x->url, 0);
    ist_sb_init(&x->token_header, 0);
    ist_sb_init(&x->new_body, 0);
    x->relogged = x->has_head = false;
    ist_op_begin(&x->op, NULL);
    step(x);
}

void os_exchange_resume(struct os_exchange *x)
{
    if (ist_op_active(&x->call.op))
        ist_http_resume(&x->call);
}

void os_exchange_fini(struct os_exchange *x)
{
    call_reset(x);
    ist_sb_fini(&x->url);
    ist_sb_fini(&x->new_body);
    ist_sb_wipe(&x->token_header);
}
