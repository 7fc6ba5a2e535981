#include "facade/identity.h"

#include "codec/json.h"
#include "facade/catalog.h"
#include "facade/fault.h"
#include "facade/token.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT_MAX  255
#define LOGIN_MS  30000U
#define ARENA_MAX (1U << 20)

static const char refused[] =
    "The request you have made requires authentication.";

/* What a handler works on. */
struct asked {
    struct facade *facade;
    struct ist_httpd_request *http;
    char url[FACADE_URL_SIZE], auth[FACADE_URL_SIZE + 16];
    const char *word;                /* What stands for {id}; or NULL. */
    const Isthmus__V1__Token *token; /* The caller's; NULL: none was needed. */
};

#define FAULT(asked, status, ...)                                              \
    facade_fault((asked)->http, FACADE_KEYSTONE, status, (asked)->auth,        \
                 __VA_ARGS__)

static void reply(const struct asked *asked, int status, struct ist_sb *out,
                  const char *token)
{
    struct ist_httpd_header headers[4] = {{"Content-Type", "application/json"},
                                          {"Vary", "X-Auth-Token"},
                                          {"Cache-Control", "no-store"}};
    size_t n = 3, size;
    char *body = ist_sb_take(out, &size);

    ist_sb_fini(out);
    if (token)
        headers[n++] = (struct ist_httpd_header){"X-Subject-Token", token};
    if (body)
        ist_httpd_reply_take(asked->http, status, headers, n, body, size);
    else
        FAULT(asked, 500, "The hub is out of memory.");
}

/* --- Versions --- */

static void put_version(struct ist_sb *out, const struct asked *asked)
{
    ist_sb_printf(out,
                  "{\"id\":\"v3.14\",\"status\":\"stable\",\"updated\":"
                  "\"2020-04-07T00:00:00Z\",\"links\":[{\"rel\":\"self\","
                  "\"href\":\"%s/v3/\"}],\"media-types\":[{\"base\":"
                  "\"application/json\",\"type\":\"application/vnd.openstack."
                  "identity-v3+json\"}]}",
                  asked->auth);
}

static void show_versions(const struct asked *asked)
{
    struct ist_sb out;

    ist_sb_init(&out, 0);
    ist_sb_puts(&out, "{\"versions\":{\"values\":[");
    put_version(&out, asked);
    ist_sb_puts(&out, "]}}");
    reply(asked, 300, &out, NULL);
}

static void show_version(const struct asked *asked)
{
    struct ist_sb out;

    ist_sb_init(&out, 0);
    ist_sb_puts(&out, "{\"version\":");
    put_version(&out, asked);
    ist_sb_putc(&out, '}');
    reply(asked, 200, &out, NULL);
}

/* --- Login --- */

struct login {
    struct asked asked;
    struct ist_arena arena;
    struct desk_call call;
    struct facade_token_write issue;
    Isthmus__V1__Token token;
    bool with_catalog;
};

static void login_free(struct login *login)
{
    facade_token_write_fini(&login->issue);
    ist_arena_fini(&login->arena);
    free(login);
}

static void on_issued(struct ist_op *op)
{
    struct ist_write *write = IST_CONTAINER(op, struct ist_write, op);
    struct facade_token_write *issue =
        IST_CONTAINER(write, struct facade_token_write, write);
    struct login *login = IST_CONTAINER(issue, struct login, issue);
    const struct asked *asked = &login->asked;
    struct ist_sb out;

    login->asked.facade->n_logins--;
    if (op->rc || !issue->text[0]) {
        FAULT(asked, 503, "The hub cannot issue a token: %s",
              op->rc ? op->err.text : "it has issued as many as it may");
    } else {
        ist_sb_init(&out, 0);
        facade_token_json(&out, asked->facade, asked->url, &login->token,
                          login->with_catalog);
        reply(asked, 201, &out, issue->text);
    }
    login_free(login);
}

/* Everything in login->token but the times. */
static void issue(struct login *login)
{
    struct facade *facade = login->asked.facade;
    struct ist_id id = ist_id_random();
    char *audit = ist_arena_alloc(&login->arena, IST_ID_HEX_SIZE);

    login->token.issued_ms = ist_loop_wall(facade->loop);
    if (!login->token.expires_ms)
        login->token.expires_ms =
            login->token.issued_ms + facade->conf.token_ms;
    login->token.audit_id = audit ? ist_id_hex(&id, audit) : (char *) "";
    ist_op_prepare(&login->issue.write.op, facade->loop, NULL, 0, on_issued);
    facade_token_issue(facade->tokens, &login->issue, &login->token);
}

/* Why a login came to nothing. Keystone does not say which part was wrong. */
static void fault_of_login(const struct login *login)
{
    static const struct {
        Isthmus__V1__Failure__Code code;
        int status;
    } rows[] = {
        {ISTHMUS__V1__FAILURE__CODE__LOGIN, 401},
        {ISTHMUS__V1__FAILURE__CODE__NOT_FOUND, 401},
        {ISTHMUS__V1__FAILURE__CODE__DENIED, 403},
        {ISTHMUS__V1__FAILURE__CODE__TIMEOUT, 504},
    };
    const struct desk_call *call = &login->call;
    int status = 503;

    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        if (call->op.rc == DESK_FAILED && rows[i].code == call->failure)
            status = rows[i].status;
    }
    if (call->op.rc == -ETIMEDOUT)
        status = 504;
    if (status == 401)
        FAULT(&login->asked, 401, "%s", refused);
    else
        FAULT(&login->asked, status,
              "The user's site %s cannot say who he is: %s.", call->site->name,
              call->op.err.text);
}

static int on_frame(struct desk_call *call, const Isthmus__V1__Reply *reply)
{
    struct login *login = IST_CONTAINER(call, struct login, call);

    if (reply->identity)
        login->token.identity = reply->identity;
    return 0;
}

static void on_called(struct ist_op *op)
{
    struct desk_call *call = IST_CONTAINER(op, struct desk_call, op);
    struct login *login = IST_CONTAINER(call, struct login, call);
    const Isthmus__V1__Identity *who = login->token.identity;

    if (op->rc == 0 && who && (!login->token.scoped || who->n_grants == 1)) {
        issue(login);
        return;
    }
    if (op->rc)
        fault_of_login(login);
    else
        FAULT(&login->asked, 401, "%s", refused);
    login->asked.facade->n_logins--;
    login_free(login);
}

static struct ist_json_slice find(const struct asked *asked, const char *path)
{
    return ist_json_find(
        (struct ist_json_slice){asked->http->body, asked->http->body_size},
        path);
}

/* A text of the request, in the login's arena; "" when there is none. */
static char *text_of(struct login *login, const char *path)
{
    char text[TEXT_MAX + 1] = "", *copy;

    ist_json_text(find(&login->asked, path), text, sizeof(text), NULL);
    copy = ist_arena_strdup(&login->arena, text);
    explicit_bzero(text, sizeof(text));
    return copy ? copy : (char *) "";
}

/* "hkg" is a site's default domain, "hkg.corp" another of its domains. */
static struct sites_site *site_of(struct login *login, const char *domain,
                                  char **ret_domain)
{
    struct sites *sites = login->asked.facade->sites;
    struct sites_site *site = sites_find(sites, domain);
    char *name = ist_arena_strdup(&login->arena, domain), *dot = name;

    *ret_domain = (char *) "";
    while (!site && dot && (dot = strchr(dot, '.'))) {
        *dot = '\0';
        site = sites_find(sites, name);
        if (site)
            *ret_domain = dot + 1;
        *dot++ = '.';
    }
    return site;
}

/* A domain is called by its name or by its id, which here are the same. */
static char *domain_at(struct login *login, const char *path)
{
    char full[120], *text;

    snprintf(full, sizeof(full), "%s.domain.name", path);
    text = text_of(login, full);
    if (text[0])
        return text;
    snprintf(full, sizeof(full), "%s.domain.id", path);
    return text_of(login, full);
}

/* False: the scope is of another site, and not to be had. */
static bool take_scope(struct login *login, Isthmus__V1__Login *what)
{
    static const char path[] = "auth.scope.project";
    struct sites_site *site;

    if (ist_json_type(find(&login->asked, path)) != IST_JSON_OBJECT)
        return ist_json_type(find(&login->asked, "auth.scope")) !=
               IST_JSON_OBJECT; /* A domain, or the system: nobody has them. */
    login->token.scoped = true;
    what->project_hub_id = text_of(login, "auth.scope.project.id");
    if (what->project_hub_id[0])
        return true;
    what->project = text_of(login, "auth.scope.project.name");
    site = site_of(login, domain_at(login, path), &what->project_domain);
    return what->project[0] && site && site == login->call.site;
}

static bool by_password(struct login *login)
{
    static const char path[] = "auth.identity.password.user";
    Isthmus__V1__Call what = ISTHMUS__V1__CALL__INIT;
    Isthmus__V1__Login asks = ISTHMUS__V1__LOGIN__INIT;
    struct desk_call *call = &login->call;
    char *password = text_of(login, "auth.identity.password.user.password");

    asks.user = text_of(login, "auth.identity.password.user.name");
    call->site = site_of(login, domain_at(login, path), &asks.domain);
    if (!asks.user[0] || !password[0] || !call->site ||
        !take_scope(login, &asks)) {
        explicit_bzero(password, strlen(password));
        return false;
    }
    asks.password =
        (ProtobufCBinaryData){strlen(password), (uint8_t *) password};
    what.what_case = ISTHMUS__V1__CALL__WHAT_LOGIN;
    what.login = &asks;
    login->token.home = call->site->name;
    login->token.home_uid = (ProtobufCBinaryData){
        sizeof(call->site->peer.uid.b), call->site->peer.uid.b};
    login->token.method = (char *) "password";
    call->arena = &login->arena;
    call->on_frame = on_frame;
    ist_op_prepare(&call->op, login->asked.facade->loop, NULL, LOGIN_MS,
                   on_called);
    desk_call_start(login->asked.facade->desk, call, &what);
    explicit_bzero(password, strlen(password));
    return true;
}

/* The grant of an unscoped token that the scope names. */
static Isthmus__V1__Grant *grant_of(struct login *login,
                                    const Isthmus__V1__Token *old)
{
    const char *id = text_of(login, "auth.scope.project.id");
    const char *name = text_of(login, "auth.scope.project.name");
    const char *domain = domain_at(login, "auth.scope.project");

    for (size_t i = 0; i < old->identity->n_grants; i++) {
        Isthmus__V1__Grant *grant = old->identity->grants[i];
        char hex[IST_ID_HEX_SIZE];
        const char *its =
            facade_domain(&login->arena, old->home, grant->domain);

        if (strcmp(facade_hub_id(old, grant->project_id, hex), id) == 0 ||
            (name[0] && strcmp(grant->project, name) == 0 && its &&
             strcmp(its, domain) == 0))
            return grant;
    }
    return NULL;
}

/* Another scope for the same user, which lasts no longer than the first. */
static bool by_token(struct login *login)
{
    const char *text = text_of(login, "auth.identity.token.id");
    const Isthmus__V1__Token *old =
        facade_token_find(login->asked.facade->tokens, text, &login->arena);
    struct ist_json_slice scope = find(&login->asked, "auth.scope");

    if (!old)
        return false;
    login->token = *old;
    login->token.method = (char *) "token";
    if (ist_json_type(scope) == IST_JSON_OBJECT) {
        Isthmus__V1__Identity *who =
            ist_arena_dup(&login->arena, old->identity, sizeof(*old->identity));
        Isthmus__V1__Grant **one =
            ist_arena_alloc(&login->arena, sizeof(Isthmus__V1__Grant *));

        if (!who || !one || !(*one = grant_of(login, old)))
            return false;
        who->grants = one;
        who->n_grants = 1;
        login->token.identity = who;
        login->token.scoped = true;
    }
    issue(login);
    return true;
}

static const struct {
    const char *path; /* That only this method has. */
    bool (*start)(struct login *);
} methods[] = {
    {"auth.identity.password.user", by_password},
    {"auth.identity.token.id", by_token},
};

static bool start_login(struct login *login)
{
    for (size_t i = 0; i < IST_COUNT(methods); i++) {
        if (find(&login->asked, methods[i].path).data)
            return methods[i].start(login);
    }
    return false;
}

static bool has_param(const struct ist_httpd_request *http, const char *name)
{
    for (size_t i = 0; i < http->n_params; i++) {
        if (strcmp(http->params[i].name, name) == 0)
            return true;
    }
    return false;
}

static void log_in(const struct asked *asked)
{
    struct login *login;
    bool started;

    if (!find(asked, "auth.identity").data) {
        FAULT(asked, 400,
              "The body is not the JSON of a login: it has no "
              "auth.identity.");
        return;
    }
    if (asked->facade->n_logins >= asked->facade->conf.logins_max) {
        FAULT(asked, 503, "The hub has as many logins under way as it may.");
        return;
    }
    login = calloc(1, sizeof(*login));
    if (!login) {
        FAULT(asked, 500, "The hub is out of memory.");
        return;
    }
    login->asked = *asked;
    login->with_catalog = !has_param(asked->http, "nocatalog");
    ist_arena_init(&login->arena, ARENA_MAX);
    isthmus__v1__token__init(&login->token);
    asked->facade->n_logins++;
    started = start_login(login);
    /* It has been read, and held a password. */
    explicit_bzero((char *) (uintptr_t) asked->http->body,
                   asked->http->body_size);
    if (started)
        return;
    asked->facade->n_logins--;
    login_free(login);
    FAULT(asked, 401, "%s", refused);
}

/* --- Tokens --- */

/* The token that a request is about; answered, if it is none of the caller's
 * business. */
static const Isthmus__V1__Token *subject_of(const struct asked *asked)
{
    const char *text = ist_httpd_header(asked->http, "X-Subject-Token");
    const Isthmus__V1__Token *token =
        text ? facade_token_find(asked->facade->tokens, text,
                                 &asked->http->arena)
             : NULL;

    if (!token)
        FAULT(asked, 404, "Could not find token.");
    else if (strcmp(token->home, asked->token->home) != 0 ||
             strcmp(token->identity->user_id,
                    asked->token->identity->user_id) != 0) {
        FAULT(asked, 403,
              "You are not authorized to perform the requested "
              "action: identity:validate_token.");
        token = NULL;
    }
    return token;
}

static void show_token(const struct asked *asked)
{
    const Isthmus__V1__Token *token = subject_of(asked);
    struct ist_sb out;

    if (!token)
        return;
    ist_sb_init(&out, 0);
    facade_token_json(&out, asked->facade, asked->url, token,
                      !has_param(asked->http, "nocatalog"));
    reply(asked, 200, &out, ist_httpd_header(asked->http, "X-Subject-Token"));
}

struct revoking {
    struct asked asked;
    struct facade_token_write write;
};

static void on_revoked(struct ist_op *op)
{
    struct ist_write *write = IST_CONTAINER(op, struct ist_write, op);
    struct facade_token_write *revoke =
        IST_CONTAINER(write, struct facade_token_write, write);
    struct revoking *revoking = IST_CONTAINER(revoke, struct revoking, write);

    revoking->asked.facade->n_logins--;
    if (op->rc)
        FAULT(&revoking->asked, 503, "The token could not be revoked: %s",
              op->err.text);
    else
        ist_httpd_reply(revoking->asked.http, 204, NULL, 0, NULL, 0);
    free(revoking);
}

static void revoke_token(const struct asked *asked)
{
    struct revoking *revoking;

    if (!subject_of(asked))
        return;
    revoking = calloc(1, sizeof(*revoking));
    if (!revoking) {
        FAULT(asked, 500, "The hub is out of memory.");
        return;
    }
    revoking->asked = *asked;
    asked->facade->n_logins++;
    ist_op_prepare(&revoking->write.write.op, asked->facade->loop, NULL, 0,
                   on_revoked);
    facade_token_revoke(asked->facade->tokens, &revoking->write,
                        ist_httpd_header(asked->http, "X-Subject-Token"));
}

/* --- What the user has --- */

static void end_list(struct ist_sb *out, const struct asked *asked,
                     const char *path)
{
    ist_sb_printf(out,
                  "],\"links\":{\"next\":null,\"previous\":null,\"self\":\"%s%s"
                  "\"}}",
                  asked->auth, path);
}

static void list_projects(const struct asked *asked)
{
    const Isthmus__V1__Identity *who = asked->token->identity;
    char hex[IST_ID_HEX_SIZE];
    struct ist_sb out;

    facade_hub_id(asked->token, who->user_id, hex);
    if (asked->word && strcmp(asked->word, hex) != 0) {
        FAULT(asked, 403,
              "You are not authorized to perform the requested "
              "action: identity:list_user_projects.");
        return;
    }
    ist_sb_init(&out, 0);
    ist_sb_puts(&out, "{\"projects\":[");
    for (size_t i = 0; i < who->n_grants; i++) {
        if (i)
            ist_sb_putc(&out, ',');
        facade_project_json(&out, asked->url, asked->token, who->grants[i]);
    }
    end_list(&out, asked, "/v3/auth/projects");
    reply(asked, 200, &out, NULL);
}

static void list_catalog(const struct asked *asked)
{
    struct ist_sb out;

    ist_sb_init(&out, 0);
    ist_sb_puts(&out, "{\"catalog\":");
    facade_catalog_json(&out, asked->facade, asked->url, asked->token);
    ist_sb_printf(&out, ",\"links\":{\"self\":\"%s/v3/auth/catalog\"}}",
                  asked->auth);
    reply(asked, 200, &out, NULL);
}

/* There are none: roles are of projects. */
static void list_nothing(const struct asked *asked)
{
    struct ist_sb out;

    ist_sb_init(&out, 0);
    ist_sb_puts(&out, "{\"domains\":[");
    end_list(&out, asked, "/v3/auth/domains");
    reply(asked, 200, &out, NULL);
}

static void list_regions(const struct asked *asked)
{
    struct sites_site *site = NULL;
    struct ist_sb out;

    ist_sb_init(&out, 0);
    ist_sb_puts(&out, "{\"regions\":[");
    while ((site = sites_next(asked->facade->sites, site)))
        ist_sb_printf(&out,
                      "%s{\"id\":\"%s\",\"description\":\"\","
                      "\"parent_region_id\":null,\"links\":{\"self\":"
                      "\"%s/v3/regions/%s\"}}",
                      out.data[out.len - 1] == '[' ? "" : ",", site->name,
                      asked->auth, site->name);
    end_list(&out, asked, "/v3/regions");
    reply(asked, 200, &out, NULL);
}

/* --- Routes --- */

/* {id} stands for one part of a path. What is not here is not served, and says
 * so as Keystone does. */
static const struct {
    const char *method, *path;
    bool is_open; /* Needs no token. */
    void (*handle)(const struct asked *);
} routes[] = {
    {"GET", "", true, show_versions},
    {"GET", "/v3", true, show_version},
    {"POST", "/v3/auth/tokens", true, log_in},
    {"GET", "/v3/auth/tokens", false, show_token},
    {"DELETE", "/v3/auth/tokens", false, revoke_token},
    {"GET", "/v3/auth/catalog", false, list_catalog},
    {"GET", "/v3/auth/projects", false, list_projects},
    {"GET", "/v3/auth/domains", false, list_nothing},
    {"GET", "/v3/users/{id}/projects", false, list_projects},
    {"GET", "/v3/regions", false, list_regions},
};

/* Slashes at the end do not count. */
static bool match(const char *pattern, const char *path, size_t len,
                  const char **ret_word, size_t *ret_len)
{
    const char *end = path + len;

    while (*pattern && path < end) {
        if (*pattern != '{') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        *ret_word = path;
        while (path < end && *path != '/')
            path++;
        *ret_len = (size_t) (path - *ret_word);
        pattern = strchr(pattern, '}') + 1;
    }
    return *pattern == '\0' && path == end;
}

static bool takes(const char *method, const char *asked)
{
    return strcmp(method, asked) == 0 ||
           (strcmp(method, "GET") == 0 && strcmp(asked, "HEAD") == 0);
}

static const Isthmus__V1__Token *token_of(const struct asked *asked)
{
    const char *text = ist_httpd_header(asked->http, "X-Auth-Token");

    return text ? facade_token_find(asked->facade->tokens, text,
                                    &asked->http->arena)
                : NULL;
}

void facade_identity(struct facade *facade, struct ist_httpd_request *http)
{
    const char *path = http->path + strlen(FACADE_IDENTITY), *word = NULL;
    struct asked asked = {.facade = facade, .http = http};
    size_t len = strlen(path), word_len = 0;
    bool is_path = false;

    facade_url(facade, http, asked.url);
    snprintf(asked.auth, sizeof(asked.auth), "%s" FACADE_IDENTITY, asked.url);
    while (len > 0 && path[len - 1] == '/')
        len--;
    for (size_t i = 0; i < IST_COUNT(routes); i++) {
        if (!match(routes[i].path, path, len, &word, &word_len))
            continue;
        is_path = true;
        if (!takes(routes[i].method, http->method))
            continue;
        if (word)
            asked.word = ist_arena_dup(&http->arena, word, word_len);
        if (!routes[i].is_open && !(asked.token = token_of(&asked)))
            FAULT(&asked, 401, "%s", refused);
        else
            routes[i].handle(&asked);
        return;
    }
    if (is_path)
        FAULT(&asked, 405, "The method is not allowed for this resource.");
    else if (!token_of(&asked))
        FAULT(&asked, 401, "%s", refused);
    else
        FAULT(&asked, 404, "The resource could not be found.");
}
