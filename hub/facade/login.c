/* POST /v3/auth/tokens: who is it? A password is his home site's to check; a
 * token or an application credential is the hub's own. What comes of it is a
 * token. */
#include "facade/identity_priv.h"

#include "facade/catalog.h"
#include "facade/pass.h"
#include "facade/user.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOGIN_MS  30000U
#define ARENA_MAX (1U << 20)

struct login {
    struct identity_asked asked;
    struct ist_arena arena;
    struct desk_call call;
    struct facade_keep_write issue;
    char text[FACADE_TOKEN_SIZE]; /* Of the token. */
    Isthmus__V1__Token token;
    const char *old_audit_id; /* Of the token that it came of; or NULL. */
    bool with_catalog;
};

static void login_free(struct login *login)
{
    sodium_memzero(login->text, sizeof(login->text));
    facade_keep_write_fini(&login->issue);
    ist_arena_fini(&login->arena);
    free(login);
}

static void on_issued(struct ist_op *op)
{
    struct ist_write *write = IST_CONTAINER(op, struct ist_write, op);
    struct facade_keep_write *issue =
        IST_CONTAINER(write, struct facade_keep_write, write);
    struct login *login = IST_CONTAINER(issue, struct login, issue);
    const struct identity_asked *asked = &login->asked;
    struct ist_sb out;

    login->asked.facade->n_logins--;
    if (op->rc || issue->is_full) {
        IDENTITY_FAULT(asked, 503, "The hub cannot issue a token: %s",
                       op->rc ? op->err.text
                              : "it has issued as many as it may");
    } else {
        ist_sb_init(&out, 0);
        facade_token_json(&out, asked->facade, asked->url, &login->token,
                          login->with_catalog);
        identity_reply(asked, 201, &out, login->text);
    }
    login_free(login);
}

/* The user's own Keystone token, if there is one, stays in memory; what is
 * kept of the login has none. */
static void keep_pass(struct login *login)
{
    struct facade_passes *passes = login->asked.facade->passes;
    Isthmus__V1__Token *token = &login->token;
    ProtobufCBinaryData *pass = &token->identity->token;
    uint64_t ends = token->identity->token_expires_ms;

    if (!token->audit_id[0])
        passes = NULL; /* No memory: they would share it. */
    if (passes && login->old_audit_id)
        facade_pass_copy(passes, login->old_audit_id, token->audit_id);
    if (pass->len && ends && ends < token->expires_ms)
        token->expires_ms = ends;
    if (pass->len && facade_passes_share(passes, token->home))
        facade_pass_put(passes, token->audit_id, pass->data, pass->len,
                        token->expires_ms);
    token->has_pass = facade_pass_find(passes, token->audit_id) != NULL;
    if (pass->len)
        explicit_bzero(pass->data, pass->len);
    *pass = (ProtobufCBinaryData){0, NULL};
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
    keep_pass(login);
    ist_op_prepare(&login->issue.write.op, facade->loop, NULL, 0, on_issued);
    facade_token_issue(facade->tokens, &login->issue, &login->token,
                       login->text);
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
        IDENTITY_FAULT(&login->asked, 401, "%s", identity_refused);
    else if (status == 503) /* A login may be tried again. */
        facade_fault_undone(login->asked.http, FACADE_KEYSTONE,
                            "The user's site %s cannot say who he is: %s.",
                            call->site->name, call->op.err.text);
    else
        IDENTITY_FAULT(&login->asked, status,
                       "The user's site %s cannot say who he is: %s.",
                       call->site->name, call->op.err.text);
}

static int on_frame(struct desk_call *call, const Isthmus__V1__Reply *reply)
{
    struct login *login = IST_CONTAINER(call, struct login, call);

    if (reply->identity)
        login->token.identity = reply->identity;
    return 0;
}

static void note_user(const struct login *login)
{
    char hex[IST_ID_HEX_SIZE];

    facade_user_note(
        login->asked.facade->users,
        facade_hub_id(&login->token, login->token.identity->user_id, hex),
        &login->token);
}

static void on_called(struct ist_op *op)
{
    struct desk_call *call = IST_CONTAINER(op, struct desk_call, op);
    struct login *login = IST_CONTAINER(call, struct login, call);
    const Isthmus__V1__Identity *who = login->token.identity;

    if (op->rc == 0 && who && (!login->token.scoped || who->n_grants == 1)) {
        note_user(login);
        issue(login);
        return;
    }
    if (op->rc)
        fault_of_login(login);
    else
        IDENTITY_FAULT(&login->asked, 401, "%s", identity_refused);
    login->asked.facade->n_logins--;
    login_free(login);
}

static struct ist_json_slice find(const struct login *login, const char *path)
{
    return identity_find(&login->asked, path);
}

static char *text_of(struct login *login, const char *path)
{
    return identity_text(&login->asked, path, &login->arena);
}

/* "hkg" is a site's default domain, "hkg.corp" another of its domains: no
 * site's name has a dot in it. */
static struct sites_site *site_of(struct login *login, const char *domain,
                                  char **ret_domain)
{
    char *name = ist_arena_strdup(&login->arena, domain);
    char *dot = name ? strchr(name, '.') : NULL;

    *ret_domain = dot ? dot + 1 : (char *) "";
    if (dot)
        *dot = '\0';
    return name ? sites_find(login->asked.facade->sites, name) : NULL;
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

    if (ist_json_type(find(login, path)) != IST_JSON_OBJECT)
        return ist_json_type(find(login, "auth.scope")) !=
               IST_JSON_OBJECT; /* A domain, or the system: nobody has them. */
    login->token.scoped = true;
    what->project_hub_id = text_of(login, "auth.scope.project.id");
    if (what->project_hub_id[0])
        return true;
    what->project = text_of(login, "auth.scope.project.name");
    site = site_of(login, domain_at(login, path), &what->project_domain);
    return what->project[0] && site && site == login->call.site;
}

/* By his name and domain, or by the id that he has had here. */
static void take_user(struct login *login, const char *path,
                      Isthmus__V1__Login *what)
{
    struct facade *facade = login->asked.facade;
    const Isthmus__V1__KnownUser *known = facade_user_find(
        facade->users, text_of(login, "auth.identity.password.user.id"),
        &login->arena);

    what->user = text_of(login, "auth.identity.password.user.name");
    if (!what->user[0] && known) {
        what->user = known->user;
        what->domain = known->domain;
        login->call.site = sites_find(facade->sites, known->home);
    } else {
        login->call.site =
            site_of(login, domain_at(login, path), &what->domain);
    }
}

static bool by_password(struct login *login)
{
    static const char path[] = "auth.identity.password.user";
    Isthmus__V1__Call what = ISTHMUS__V1__CALL__INIT;
    Isthmus__V1__Login asks = ISTHMUS__V1__LOGIN__INIT;
    struct desk_call *call = &login->call;
    char *password = text_of(login, "auth.identity.password.user.password");

    take_user(login, path, &asks);
    if (!asks.user[0] || !password[0] || !call->site ||
        !take_scope(login, &asks)) {
        explicit_bzero(password, strlen(password));
        return false;
    }
    asks.wants_token =
        facade_passes_share(login->asked.facade->passes, call->site->name);
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
    const Isthmus__V1__Token *old = facade_token_find(
        login->asked.facade->tokens, login->asked.facade->credentials, text,
        &login->arena);
    struct ist_json_slice scope = find(login, "auth.scope");

    if (!old || facade_pass_is_lost(login->asked.facade->passes, old))
        return false;
    login->token = *old;
    login->old_audit_id = old->audit_id;
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

/* It has its scope in itself. By its id, or by its name and its owner's. */
static const Isthmus__V1__Credential *find_credential(struct login *login)
{
    const char *id = text_of(login, "auth.identity.application_credential.id");

    return facade_credential_find(login->asked.facade->credentials, id,
                                  &login->arena);
}

static bool by_credential(struct login *login)
{
    const Isthmus__V1__Credential *credential = find_credential(login);
    char *secret =
        text_of(login, "auth.identity.application_credential.secret");
    bool opens = credential && facade_credential_opens(credential, secret) &&
                 ist_json_type(find(login, "auth.scope")) == IST_JSON_ABSENT;

    explicit_bzero(secret, strlen(secret));
    if (!opens)
        return false;
    login->token = *credential->token;
    login->token.method = (char *) "application_credential";
    login->token.credential_id = credential->id;
    issue(login);
    return true;
}

static const struct {
    const char *path; /* That only this method has. */
    bool (*start)(struct login *);
} methods[] = {
    {"auth.identity.password.user", by_password},
    {"auth.identity.token.id", by_token},
    {"auth.identity.application_credential.secret", by_credential},
};

static bool start_login(struct login *login)
{
    for (size_t i = 0; i < IST_COUNT(methods); i++) {
        if (find(login, methods[i].path).data)
            return methods[i].start(login);
    }
    return false;
}

void identity_log_in(const struct identity_asked *asked)
{
    struct login *login;
    bool started;

    if (!identity_find(asked, "auth.identity").data) {
        IDENTITY_FAULT(asked, 400,
                       "The body is not the JSON of a login: it has no "
                       "auth.identity.");
        return;
    }
    if (asked->facade->n_logins >= asked->facade->conf.logins_max) {
        IDENTITY_FAULT(asked, 503,
                       "The hub has as many logins under way as it may.");
        return;
    }
    login = calloc(1, sizeof(*login));
    if (!login) {
        IDENTITY_FAULT(asked, 500, "The hub is out of memory.");
        return;
    }
    login->asked = *asked;
    login->with_catalog = !identity_has_param(asked->http, "nocatalog");
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
    IDENTITY_FAULT(asked, 401, "%s", identity_refused);
}
