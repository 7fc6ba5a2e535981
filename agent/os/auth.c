/* Keystone v3. A login costs Keystone a third of a second (it hashes the
 * password slowly on purpose), so there is one at a time, its token is kept
 * until shortly before its end, and a new one is fetched while the old one
 * still serves. A refused password is not tried again for a while: accounts
 * are locked by such retries.
 *
 * The token is worth as much as the password: it is wiped wherever it was. */
#include "os/cloud_priv.h"

#include "base/log.h"
#include "codec/json.h"
#include "conf/file.h"
#include "os/fail.h"
#include "os/key.h"
#include "os/url.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_MAX   8192
#define BODY_MAX    (4U * 1024 * 1024) /* Catalogs of many regions. */
#define LIFE_MIN_MS 60000U    /* A clock that is wrong must not make us log */
#define LIFE_MAX_MS 86400000U /* in for every request, or never again. */
#define MARGIN_MS   30000U    /* Not used so near its end. */

static void token_drop(struct os_auth *auth)
{
    auth->token = ist_conf_secret_free(auth->token);
    auth->valid_until = auth->renew_at = 0;
}

/* --- The request --- */

static void member(struct ist_sb *sb, const char *name, const char *text)
{
    if (sb->len && sb->data[sb->len - 1] != '{')
        ist_sb_putc(sb, ',');
    ist_sb_printf(sb, "\"%s\":", name);
    ist_sb_json(sb, text, strlen(text));
}

static void member_if(struct ist_sb *sb, const char *name, const char *text)
{
    if (text)
        member(sb, name, text);
}

/* {"id": ...} or {"name": ...}; Keystone's own default when there is
 * neither. */
static void domain(struct ist_sb *sb, const char *id, const char *name)
{
    ist_sb_puts(sb, ",\"domain\":{");
    if (id)
        member(sb, "id", id);
    else if (name)
        member(sb, "name", name);
    else
        member(sb, "id", "default");
    ist_sb_putc(sb, '}');
}

static void user(struct ist_sb *sb, const struct ist_cloud_entry *e)
{
    ist_sb_puts(sb, "\"user\":{");
    if (e->user_id) {
        member(sb, "id", e->user_id);
    } else {
        member(sb, "name", e->username);
        domain(sb, e->user_domain_id, e->user_domain_name);
    }
    if (e->auth == IST_CLOUD_PASSWORD)
        member(sb, "password", e->password);
    ist_sb_putc(sb, '}');
}

static void method(struct ist_sb *sb, const struct ist_cloud_entry *e)
{
    switch (e->auth) {
    case IST_CLOUD_APPLICATION_CREDENTIAL:
        ist_sb_puts(sb, "\"methods\":[\"application_credential\"],"
                        "\"application_credential\":{");
        member_if(sb, "id", e->application_credential_id);
        if (!e->application_credential_id) {
            member(sb, "name", e->application_credential_name);
            ist_sb_putc(sb, ',');
            user(sb, e);
        }
        member(sb, "secret", e->application_credential_secret);
        break;
    case IST_CLOUD_TOKEN:
        ist_sb_puts(sb, "\"methods\":[\"token\"],\"token\":{");
        member(sb, "id", e->token);
        break;
    case IST_CLOUD_PASSWORD:
        ist_sb_puts(sb, "\"methods\":[\"password\"],\"password\":{");
        user(sb, e);
        break;
    }
    ist_sb_putc(sb, '}');
}

/* An application credential has its scope in itself. */
static void scope(struct ist_sb *sb, const struct ist_cloud_entry *e)
{
    if (e->auth == IST_CLOUD_APPLICATION_CREDENTIAL ||
        (!e->project_id && !e->project_name))
        return;
    ist_sb_puts(sb, ",\"scope\":{\"project\":{");
    if (e->project_id) {
        member(sb, "id", e->project_id);
    } else {
        member(sb, "name", e->project_name);
        domain(sb, e->project_domain_id, e->project_domain_name);
    }
    ist_sb_puts(sb, "}}");
}

static void request_body(struct ist_sb *sb, const struct ist_cloud_entry *e)
{
    ist_sb_puts(sb, "{\"auth\":{\"identity\":{");
    method(sb, e);
    ist_sb_putc(sb, '}');
    scope(sb, e);
    ist_sb_puts(sb, "}}");
}

/* --- The catalog --- */

/* One look through the catalog for one service. */
struct search {
    struct os_cloud *cloud;
    const struct os_service *service;
    size_t rank;      /* Of the type found: smaller is better. */
    size_t this_rank; /* Of the entry that is being looked at. */
    struct os_endpoint *endpoint;
};

static void take_endpoint(struct search *search, struct ist_json_slice url)
{
    struct os_endpoint *endpoint = search->endpoint;
    IST_CLEANUP(ist_sb_fini) struct ist_sb base;
    char text[OS_URL_MAX + 1];
    struct ist_err err;

    ist_sb_init(&base, 0);
    free(IST_TAKE(endpoint->base));
    if (!ist_json_text(url, text, sizeof(text), NULL)) {
        snprintf(endpoint->why, sizeof(endpoint->why), "it has no URL");
        return;
    }
    if (os_url_check(text, &err)) {
        snprintf(endpoint->why, sizeof(endpoint->why), "%.90s", err.text);
        return;
    }
    os_url_base(text, &base);
    endpoint->base = ist_sb_take(&base, NULL);
    endpoint->why[0] = '\0';
}

static int on_endpoint(void *arg, const struct ist_json_element *e)
{
    struct search *search = arg;
    const struct ist_cloud_entry *entry = search->cloud->entry;
    enum { INTERFACE, REGION_ID, REGION, URL };

    if (e->refusal || search->this_rank >= search->rank ||
        !ist_json_text_is(e->picks[INTERFACE], entry->interface))
        return 0;
    if (entry->region_name &&
        !ist_json_text_is(e->picks[REGION_ID], entry->region_name) &&
        !ist_json_text_is(e->picks[REGION], entry->region_name))
        return 0;
    search->rank = search->this_rank;
    take_endpoint(search, e->picks[URL]);
    return 0;
}

static int on_catalog(void *arg, const struct ist_json_element *e)
{
    static const char *const picks[] = {"interface", "region_id", "region",
                                        "url"};
    struct search *search = arg;

    if (e->refusal || ist_json_type(e->picks[1]) != IST_JSON_ARRAY)
        return 0;
    for (size_t i = 0; search->service->types[i]; i++) {
        if (!ist_json_text_is(e->picks[0], search->service->types[i]))
            continue;
        search->this_rank = i;
        return ist_json_each(e->picks[1], picks, IST_COUNT(picks), on_endpoint,
                             search);
    }
    return 0;
}

static void read_catalog(struct os_cloud *cloud, struct ist_json_slice catalog)
{
    static const char *const picks[] = {"type", "endpoints"};
    const struct os_service *services;
    size_t n;

    services = os_services(&n);
    for (size_t i = 0; i < n; i++) {
        struct search search = {cloud, &services[i], SIZE_MAX, 0,
                                &cloud->endpoints[i]};

        free(IST_TAKE(cloud->endpoints[i].base));
        cloud->endpoints[i].why[0] = '\0';
        if (ist_json_type(catalog) == IST_JSON_ARRAY)
            ist_json_each(catalog, picks, IST_COUNT(picks), on_catalog,
                          &search);
    }
}

/* --- The answer --- */

static int on_role(void *arg, const struct ist_json_element *e)
{
    bool *admin = arg;

    if (!e->refusal && ist_json_text_is(e->picks[0], "admin"))
        *admin = true;
    return 0;
}

static int take_token(struct os_cloud *cloud, struct ist_err *err)
{
    struct os_auth *auth = &cloud->auth;
    size_t len = 0;
    const char *token = ist_http_header(&auth->call, "X-Subject-Token", &len);

    if (!token || len == 0 || len > TOKEN_MAX)
        return os_fail(err, os_identity(), NULL, OS_E_BAD_ANSWER,
                       "the login gave no usable X-Subject-Token");
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char) token[i] <= ' ' || (unsigned char) token[i] >= 0x7f)
            return os_fail(err, os_identity(), NULL, OS_E_BAD_ANSWER,
                           "the login gave a token with odd characters");
    }
    token_drop(auth);
    auth->token = strndup(token, len);
    if (!auth->token)
        return ist_err_set(err, -ENOMEM, "out of memory");
    auth->generation++;
    return 0;
}

/* By how long it lives rather than by when it ends, so that a clock that
 * disagrees with Keystone's does little harm. */
static void take_life(struct os_cloud *cloud, struct ist_json_slice expires)
{
    uint64_t now = ist_loop_now(cloud->loop), wall = ist_loop_wall(cloud->loop);
    uint64_t us, life = LIFE_MIN_MS;

    if (os_time_read(expires, &us) && us / 1000 > wall)
        life = us / 1000 - wall;
    if (life < LIFE_MIN_MS)
        life = LIFE_MIN_MS;
    if (life > LIFE_MAX_MS)
        life = LIFE_MAX_MS;
    cloud->auth.valid_until = now + life - MARGIN_MS;
    cloud->auth.renew_at = now + life - life / 5;
}

struct answer {
    struct ist_json_slice expires, project, roles, catalog, user;
};

static int on_answer(void *arg, const struct ist_json_element *e)
{
    struct answer *answer = arg;

    *answer = (struct answer){e->picks[0], e->picks[1], e->picks[2],
                              e->picks[3], e->picks[4]};
    return 0;
}

static int take_answer(struct os_cloud *cloud, struct ist_err *err)
{
    static const char *const picks[] = {"token.expires_at", "token.project.id",
                                        "token.roles", "token.catalog",
                                        "token.user.id"};
    static const char *const role[] = {"name"};
    struct os_auth *auth = &cloud->auth;
    struct ist_json_slice doc = {ist_sb_text(&auth->call.collected),
                                 auth->call.collected.len};
    struct answer answer = {.catalog = {NULL, 0}};
    int rc = ist_json_each(doc, picks, IST_COUNT(picks), on_answer, &answer);

    if (rc)
        return os_fail(err, os_identity(), NULL, OS_E_BAD_ANSWER,
                       "the login gave %s", ist_json_outcome_name(rc));
    if (!ist_json_text(answer.project, auth->project, sizeof(auth->project),
                       NULL))
        return os_fail(err, os_identity(), NULL, OS_E_LOGIN,
                       "the login has no project; name one in clouds.yaml");
    if (!ist_json_text(answer.user, auth->user, sizeof(auth->user), NULL))
        auth->user[0] = '\0';
    rc = take_token(cloud, err);
    if (rc)
        return rc;
    auth->admin = false;
    if (ist_json_type(answer.roles) == IST_JSON_ARRAY)
        ist_json_each(answer.roles, role, 1, on_role, &auth->admin);
    take_life(cloud, answer.expires);
    read_catalog(cloud, answer.catalog);
    return 0;
}

/* Of an application credential that was deleted Keystone says that it cannot
 * find it. */
static bool is_refusal(const struct os_cloud *cloud, int status)
{
    return status == 401 || status == 403 ||
           (status == 404 &&
            cloud->entry->auth == IST_CLOUD_APPLICATION_CREDENTIAL);
}

static int judge_answer(struct os_cloud *cloud, struct ist_err *err)
{
    struct os_auth *auth = &cloud->auth;
    struct ist_http_call *call = &auth->call;

    if (call->op.rc)
        return os_fail_transport(err, os_identity(), NULL, &call->op.err,
                                 call->op.rc);
    if (call->status == 201 || call->status == 200)
        return take_answer(cloud, err);
    os_fail_status(err, os_identity(), NULL, call->status,
                   ist_sb_text(&call->collected), call->collected.len);
    if (!is_refusal(cloud, call->status))
        return err->code;
    err->code = OS_E_LOGIN;
    auth->refused_until =
        ist_loop_now(cloud->loop) + cloud->conf->login_wait_ms;
    auth->refusal = *err;
    return OS_E_LOGIN;
}

/* --- The waiting --- */

static void call_fini(struct os_auth *auth)
{
    if (auth->call.header_text.data)
        explicit_bzero(auth->call.header_text.data,
                       auth->call.header_text.size);
    ist_http_call_fini(&auth->call);
    ist_sb_wipe(&auth->body);
    ist_sb_fini(&auth->url);
}

static void on_answered(struct ist_op *op)
{
    struct ist_http_call *call = IST_CONTAINER(op, struct ist_http_call, op);
    struct os_auth *auth = IST_CONTAINER(call, struct os_auth, call);
    struct os_cloud *cloud = IST_CONTAINER(auth, struct os_cloud, auth);
    struct os_login *login;
    struct ist_err err = {.code = 0};
    int rc = judge_answer(cloud, &err);

    auth->running = false;
    call_fini(auth);
    if (rc)
        ist_log_debug("os", "login failed: %s", err.text);
    while ((login = TAILQ_FIRST(&auth->waiting))) {
        TAILQ_REMOVE(&auth->waiting, login, entry);
        login->queued = false;
        login->op.err = err;
        ist_op_finish(&login->op, rc);
    }
    if (ist_op_active(&cloud->closing))
        ist_op_finish(&cloud->closing, 0);
}

static void ask(struct os_cloud *cloud)
{
    static const char *const headers[] = {"Content-Type: application/json",
                                          "Accept: application/json", NULL};
    struct os_auth *auth = &cloud->auth;

    ist_sb_init(&auth->url, 0);
    ist_sb_init(&auth->body, 0);
    /* Room for all of it, so that growing leaves no copy of the secret. */
    ist_sb_reserve(&auth->body, 16384);
    os_url_base(cloud->entry->auth_url, &auth->url);
    ist_sb_puts(&auth->url, "/v3/auth/tokens");
    request_body(&auth->body, cloud->entry);
    auth->call = (struct ist_http_call){
        .method = "POST",
        .url = ist_sb_text(&auth->url),
        .headers = headers,
        .body = ist_sb_text(&auth->body),
        .body_size = auth->body.len,
        .ca_file = cloud->entry->cacert,
        .insecure = cloud->entry->insecure,
        .collect_max = BODY_MAX,
    };
    ist_op_prepare(&auth->call.op, cloud->loop, NULL, cloud->conf->login_ms,
                   on_answered);
    auth->running = true;
    ist_http_start(cloud->http, &auth->call);
}

static bool refused_lately(const struct os_cloud *cloud)
{
    return ist_loop_now(cloud->loop) < cloud->auth.refused_until;
}

bool os_auth_ready(struct os_cloud *cloud)
{
    struct os_auth *auth = &cloud->auth;
    uint64_t now = ist_loop_now(cloud->loop);

    if (!auth->token || now >= auth->valid_until)
        return false;
    if (now >= auth->renew_at && !auth->running && !refused_lately(cloud))
        ask(cloud);
    return true;
}

static void on_wait_cancel(struct ist_op *op)
{
    struct os_login *login = IST_CONTAINER(op, struct os_login, op);

    if (!login->queued)
        return;
    TAILQ_REMOVE(&login->cloud->auth.waiting, login, entry);
    login->queued = false;
    ist_op_finish(op, -ECANCELED);
}

void os_login_start(struct os_cloud *cloud, struct os_login *login)
{
    struct os_auth *auth = &cloud->auth;

    login->cloud = cloud;
    login->queued = false;
    ist_op_begin(&login->op, on_wait_cancel);
    if (os_auth_ready(cloud)) {
        ist_op_finish(&login->op, 0);
        return;
    }
    if (!auth->running && refused_lately(cloud)) {
        login->op.err = auth->refusal;
        ist_op_finish(&login->op, auth->refusal.code);
        return;
    }
    login->queued = true;
    TAILQ_INSERT_TAIL(&auth->waiting, login, entry);
    if (!auth->running)
        ask(cloud);
}

void os_auth_spoil(struct os_cloud *cloud, uint32_t generation)
{
    if (cloud->auth.generation == generation)
        token_drop(&cloud->auth);
}

void os_auth_init(struct os_cloud *cloud)
{
    TAILQ_INIT(&cloud->auth.waiting);
}

void os_auth_fini(struct os_cloud *cloud)
{
    assert(!cloud->auth.running);
    assert(TAILQ_EMPTY(&cloud->auth.waiting));
    token_drop(&cloud->auth);
    for (size_t i = 0; i < OS_SERVICES_MAX; i++)
        free(IST_TAKE(cloud->endpoints[i].base));
}
