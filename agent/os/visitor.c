/* Scoped by name: one exchange. Else: log in without a scope, list the
 * projects, and change the token for one of each project, whose roles it
 * tells. */
#include "os/visitor.h"

#include "codec/json.h"
#include "codec/uuid5.h"
#include "conf/file.h"
#include "os/fail.h"
#include "os/key.h"
#include "os/url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX (4U * 1024 * 1024)
#define TEXT_MAX   256U
#define ROLES_MAX  32U
#define TOKEN_MAX  8192U

static void next_grant(struct os_visitor *v);

static void call_reset(struct os_visitor *v)
{
    ist_sb_wipe(&v->call.header_text);
    ist_sb_wipe(&v->call.collected);
    ist_http_call_fini(&v->call);
    v->call = (struct ist_http_call){.method = NULL};
    ist_sb_wipe(&v->body);
    ist_sb_wipe(&v->header);
    ist_sb_reset(&v->url);
}

static void fail(struct os_visitor *v, int outcome, const char *text)
{
    struct ist_err err;

    os_fail(&err, os_identity(), NULL, outcome, "%s", text);
    v->op.err = err;
    ist_op_finish(&v->op, outcome);
}

/* --- The answers --- */

/* In the arena; NULL: absent, or no text of a sane length. */
static char *text_of(struct os_visitor *v, struct ist_json_slice slice)
{
    char text[TEXT_MAX + 1];

    return ist_json_text(slice, text, sizeof(text), NULL)
               ? ist_arena_strdup(v->arena, text)
               : NULL;
}

/* A domain by its name; "" for the default one. */
static char *domain_of(struct os_visitor *v, struct ist_json_slice id,
                       struct ist_json_slice name)
{
    return ist_json_text_is(id, "default") ? ist_arena_strdup(v->arena, "")
                                           : text_of(v, name);
}

struct reading {
    struct os_visitor *v;
    Isthmus__V1__Grant *grant;
    bool good;
};

static int on_role(void *arg, const struct ist_json_element *e)
{
    struct reading *reading = arg;
    char *role = e->refusal ? NULL : text_of(reading->v, e->picks[0]);

    if (role && reading->grant->n_roles < ROLES_MAX)
        reading->grant->roles[reading->grant->n_roles++] = role;
    return 0;
}

static Isthmus__V1__Grant *grant_new(struct os_visitor *v)
{
    Isthmus__V1__Identity *who = v->identity;
    Isthmus__V1__Grant *grant = ist_arena_alloc(v->arena, sizeof(*grant));

    if (!grant || who->n_grants == OS_VISITOR_PROJECTS_MAX)
        return NULL;
    isthmus__v1__grant__init(grant);
    grant->roles = ist_arena_alloc(v->arena, ROLES_MAX * sizeof(char *));
    if (!grant->roles)
        return NULL;
    who->grants[who->n_grants++] = grant;
    return grant;
}

static bool take_project(struct os_visitor *v, Isthmus__V1__Grant *grant,
                         const struct ist_json_slice picks[4])
{
    grant->project_id = text_of(v, picks[0]);
    grant->project = text_of(v, picks[1]);
    grant->domain = domain_of(v, picks[2], picks[3]);
    return grant->project_id && grant->project && grant->domain;
}

static void take_end(Isthmus__V1__Identity *who, struct ist_json_slice time)
{
    uint64_t us;

    if (os_time_read(time, &us))
        who->token_expires_ms = us / 1000;
}

static int on_token(void *arg, const struct ist_json_element *e)
{
    static const char *const role[] = {"name"};
    enum {
        USER,
        NAME,
        DOMAIN_ID,
        DOMAIN,
        PROJECT,
        ROLES = PROJECT + 4,
        EXPIRES
    };
    struct reading *reading = arg;
    struct os_visitor *v = reading->v;
    Isthmus__V1__Identity *who = v->identity;

    who->user_id = text_of(v, e->picks[USER]);
    who->user = text_of(v, e->picks[NAME]);
    who->domain = domain_of(v, e->picks[DOMAIN_ID], e->picks[DOMAIN]);
    take_end(who, e->picks[EXPIRES]);
    reading->good = who->user_id && who->user && who->domain;
    if (!e->picks[PROJECT].data || !reading->good)
        return 0;
    if (!reading->grant)
        reading->grant = grant_new(v);
    reading->good =
        reading->grant && take_project(v, reading->grant, &e->picks[PROJECT]);
    if (reading->good && ist_json_type(e->picks[ROLES]) == IST_JSON_ARRAY)
        ist_json_each(e->picks[ROLES], role, 1, on_role, reading);
    return 0;
}

/* Of a token, into 'grant' where it is given. */
static bool read_token(struct os_visitor *v, Isthmus__V1__Grant *grant)
{
    static const char *const picks[] = {"token.user.id",
                                        "token.user.name",
                                        "token.user.domain.id",
                                        "token.user.domain.name",
                                        "token.project.id",
                                        "token.project.name",
                                        "token.project.domain.id",
                                        "token.project.domain.name",
                                        "token.roles",
                                        "token.expires_at"};
    struct ist_json_slice doc = {ist_sb_text(&v->call.collected),
                                 v->call.collected.len};
    struct reading reading = {v, grant, false};

    return ist_json_each(doc, picks, IST_COUNT(picks), on_token, &reading) ==
               0 &&
           reading.good;
}

static bool keep_token(struct os_visitor *v)
{
    size_t len = 0;
    const char *token = ist_http_header(&v->call, "X-Subject-Token", &len);

    if (!token || len == 0 || len > TOKEN_MAX)
        return false;
    v->token = strndup(token, len);
    return v->token != NULL;
}

/* --- The exchanges --- */

static void member(struct ist_sb *sb, const char *name, const char *text)
{
    ist_sb_printf(sb, "\"%s\":", name);
    ist_sb_json(sb, text, strlen(text));
}

static void put_domain(struct ist_sb *sb, const char *name)
{
    ist_sb_puts(sb, ",\"domain\":{");
    if (name[0])
        member(sb, "name", name);
    else
        member(sb, "id", "default");
    ist_sb_putc(sb, '}');
}

static void ship(struct os_visitor *v, const char *method, const char *path,
                 ist_op_done_fn *done)
{
    const struct ist_cloud_entry *entry = v->cloud->entry;
    size_t n = 0;

    os_url_base(entry->auth_url, &v->url);
    ist_sb_puts(&v->url, path);
    v->headers[n++] = "Accept: application/json";
    if (v->body.len)
        v->headers[n++] = "Content-Type: application/json";
    if (v->header.len)
        v->headers[n++] = ist_sb_text(&v->header);
    v->headers[n] = NULL;
    v->call = (struct ist_http_call){.method = method,
                                     .url = ist_sb_text(&v->url),
                                     .headers = v->headers,
                                     .body = ist_sb_text(&v->body),
                                     .body_size = v->body.len,
                                     .ca_file = entry->cacert,
                                     .insecure = entry->insecure,
                                     .collect_max = ANSWER_MAX};
    ist_op_prepare(&v->call.op, v->op.loop, &v->op, v->cloud->conf->login_ms,
                   done);
    ist_http_start(v->cloud->http, &v->call);
}

static struct os_visitor *of(struct ist_op *op)
{
    struct ist_http_call *call = IST_CONTAINER(op, struct ist_http_call, op);

    return IST_CONTAINER(call, struct os_visitor, call);
}

/* Did it come to an answer of use? Else the visit is over. */
static bool is_good(struct os_visitor *v, const struct ist_op *op)
{
    struct ist_err err;

    if (v->op.state == IST_OP_CANCELLING) {
        ist_op_finish(&v->op, -ECANCELED);
        return false;
    }
    if (op->rc == 0 && (v->call.status == 200 || v->call.status == 201))
        return true;
    if (op->rc)
        os_fail_transport(&err, os_identity(), NULL, &op->err, op->rc);
    else
        os_fail_status(&err, os_identity(), NULL, v->call.status,
                       ist_sb_text(&v->call.collected), v->call.collected.len);
    if (op->rc == 0 && (v->call.status == 401 || v->call.status == 403))
        err.code = OS_E_LOGIN;
    v->op.err = err;
    ist_op_finish(&v->op, err.code);
    return false;
}

/* Is the project the one that is wanted, or are all of them? */
static bool is_wanted(const struct os_visitor *v, const char *project_id)
{
    struct ist_id id = ist_uuid5(v->site, project_id);
    char hex[IST_ID_HEX_SIZE];

    return !v->asks->project_hub_id[0] ||
           strcmp(ist_id_hex(&id, hex), v->asks->project_hub_id) == 0;
}

static void on_roles(struct ist_op *op)
{
    struct os_visitor *v = of(op);

    if (!is_good(v, op))
        return;
    if (!read_token(v, v->identity->grants[v->next])) {
        fail(v, OS_E_BAD_ANSWER, "the login gave no token of a project");
        return;
    }
    v->next++;
    call_reset(v);
    next_grant(v);
}

/* A token of this project, for the sake of its roles. */
static void next_grant(struct os_visitor *v)
{
    if (v->next == v->identity->n_grants) {
        ist_op_finish(&v->op, 0);
        return;
    }
    ist_sb_reserve(&v->body, strlen(v->token) + 1024);
    ist_sb_puts(&v->body, "{\"auth\":{\"identity\":{\"methods\":[\"token\"],"
                          "\"token\":{");
    member(&v->body, "id", v->token);
    ist_sb_puts(&v->body, "}},\"scope\":{\"project\":{");
    member(&v->body, "id", v->identity->grants[v->next]->project_id);
    ist_sb_puts(&v->body, "}}}}");
    ship(v, "POST", "/v3/auth/tokens", on_roles);
}

static int on_project(void *arg, const struct ist_json_element *e)
{
    struct os_visitor *v = arg;
    Isthmus__V1__Grant *grant;
    char *id = e->refusal ? NULL : text_of(v, e->picks[0]);

    if (!id || !is_wanted(v, id))
        return 0;
    grant = grant_new(v);
    if (grant) {
        grant->project_id = id;
        grant->project = text_of(v, e->picks[1]);
    }
    return 0;
}

static void on_projects(struct ist_op *op)
{
    static const char *const picks[] = {"id", "name"};
    struct os_visitor *v = of(op);
    struct ist_json_slice doc;

    if (!is_good(v, op))
        return;
    doc = ist_json_find((struct ist_json_slice){ist_sb_text(&v->call.collected),
                                                v->call.collected.len},
                        "projects");
    if (ist_json_type(doc) == IST_JSON_ARRAY)
        ist_json_each(doc, picks, IST_COUNT(picks), on_project, v);
    if (v->asks->project_hub_id[0] && v->identity->n_grants == 0) {
        fail(v, OS_E_NOT_FOUND, "the user has no such project");
        return;
    }
    call_reset(v);
    next_grant(v);
}

static void on_logged_in(struct ist_op *op)
{
    struct os_visitor *v = of(op);

    if (!is_good(v, op))
        return;
    if (!read_token(v, NULL) || !keep_token(v)) {
        fail(v, OS_E_BAD_ANSWER, "the login gave no usable token");
        return;
    }
    call_reset(v);
    if (v->asks->project[0]) {
        ist_op_finish(&v->op, 0);
        return;
    }
    /* The scope that Keystone chose is not the one that was asked for. */
    v->identity->n_grants = 0;
    ist_sb_reserve(&v->header, strlen(v->token) + 32);
    ist_sb_printf(&v->header, "X-Auth-Token: %s", v->token);
    ship(v, "GET", "/v3/auth/projects", on_projects);
}

void os_visitor_start(struct os_visitor *v)
{
    const Isthmus__V1__Login *asks = v->asks;
    char password[TEXT_MAX + 1];

    ist_sb_init(&v->url, 0);
    ist_sb_init(&v->body, 0);
    ist_sb_init(&v->header, 0);
    ist_op_begin(&v->op, NULL);
    v->identity = ist_arena_alloc(v->arena, sizeof(*v->identity));
    if (!v->identity || asks->password.len > TEXT_MAX) {
        fail(v, OS_E_LOGIN, "no login is like that");
        return;
    }
    isthmus__v1__identity__init(v->identity);
    v->identity->grants = ist_arena_alloc(
        v->arena, OS_VISITOR_PROJECTS_MAX * sizeof(Isthmus__V1__Grant *));
    if (!v->identity->grants) {
        fail(v, OS_E_BUSY, "no memory is left for it");
        return;
    }
    memcpy(password, asks->password.data, asks->password.len);
    password[asks->password.len] = '\0';
    ist_sb_reserve(&v->body, 16384); /* So that no copy of it is left. */
    ist_sb_puts(&v->body, "{\"auth\":{\"identity\":{\"methods\":[\"password\"],"
                          "\"password\":{\"user\":{");
    member(&v->body, "name", asks->user);
    put_domain(&v->body, asks->domain);
    ist_sb_putc(&v->body, ',');
    member(&v->body, "password", password);
    explicit_bzero(password, sizeof(password));
    ist_sb_puts(&v->body, "}}}");
    if (asks->project[0]) {
        ist_sb_puts(&v->body, ",\"scope\":{\"project\":{");
        member(&v->body, "name", asks->project);
        put_domain(&v->body, asks->project_domain);
        ist_sb_puts(&v->body, "}}");
    } else {
        ist_sb_puts(&v->body, ",\"scope\":\"unscoped\"");
    }
    ist_sb_puts(&v->body, "}}");
    ship(v, "POST", "/v3/auth/tokens", on_logged_in);
}

void os_visitor_fini(struct os_visitor *v)
{
    call_reset(v);
    ist_sb_wipe(&v->body);
    ist_sb_wipe(&v->header);
    ist_sb_fini(&v->url);
    v->token = ist_conf_secret_free(v->token);
}
