#include "facade/identity.h"

#include "facade/identity_priv.h"
#include "facade/pass.h"

#include "facade/catalog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char identity_refused[] =
    "The request you have made requires authentication.";

void identity_reply(const struct identity_asked *asked, int status,
                    struct ist_sb *out, const char *token)
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
        IDENTITY_FAULT(asked, 500, "The hub is out of memory.");
}

struct ist_json_slice identity_find(const struct identity_asked *asked,
                                    const char *path)
{
    return ist_json_find(
        (struct ist_json_slice){asked->http->body, asked->http->body_size},
        path);
}

char *identity_text(const struct identity_asked *asked, const char *path,
                    struct ist_arena *arena)
{
    char text[IDENTITY_TEXT_MAX + 1] = "", *copy;

    ist_json_text(identity_find(asked, path), text, sizeof(text), NULL);
    copy = ist_arena_strdup(arena, text);
    explicit_bzero(text, sizeof(text));
    return copy ? copy : (char *) "";
}

bool identity_has_param(const struct ist_httpd_request *http, const char *name)
{
    for (size_t i = 0; i < http->n_params; i++) {
        if (strcmp(http->params[i].name, name) == 0)
            return true;
    }
    return false;
}

bool identity_is_own(const struct identity_asked *asked, const char *action)
{
    char hex[IST_ID_HEX_SIZE];

    facade_hub_id(asked->token, asked->token->identity->user_id, hex);
    if (!asked->word || strcmp(asked->word, hex) == 0)
        return true;
    IDENTITY_FAULT(asked, 403,
                   "You are not authorized to perform the requested action: "
                   "identity:%s.",
                   action);
    return false;
}

/* --- Versions --- */

static void put_version(struct ist_sb *out, const struct identity_asked *asked)
{
    ist_sb_printf(out,
                  "{\"id\":\"v3.14\",\"status\":\"stable\",\"updated\":"
                  "\"2020-04-07T00:00:00Z\",\"links\":[{\"rel\":\"self\","
                  "\"href\":\"%s/v3/\"}],\"media-types\":[{\"base\":"
                  "\"application/json\",\"type\":\"application/vnd.openstack."
                  "identity-v3+json\"}]}",
                  asked->auth);
}

static void show_versions(const struct identity_asked *asked)
{
    struct ist_sb out;

    ist_sb_init(&out, 0);
    ist_sb_puts(&out, "{\"versions\":{\"values\":[");
    put_version(&out, asked);
    ist_sb_puts(&out, "]}}");
    identity_reply(asked, 300, &out, NULL);
}

static void show_version(const struct identity_asked *asked)
{
    struct ist_sb out;

    ist_sb_init(&out, 0);
    ist_sb_puts(&out, "{\"version\":");
    put_version(&out, asked);
    ist_sb_putc(&out, '}');
    identity_reply(asked, 200, &out, NULL);
}

/* --- Tokens --- */

/* The token that a request is about; answered, if it is none of the caller's
 * business. */
static const Isthmus__V1__Token *subject_of(const struct identity_asked *asked)
{
    const char *text = ist_httpd_header(asked->http, "X-Subject-Token");
    const Isthmus__V1__Token *token =
        text ? facade_token_find(asked->facade->tokens,
                                 asked->facade->credentials, text,
                                 &asked->http->arena)
             : NULL;

    if (!token)
        IDENTITY_FAULT(asked, 404, "Could not find token.");
    else if (strcmp(token->home, asked->token->home) != 0 ||
             strcmp(token->identity->user_id,
                    asked->token->identity->user_id) != 0) {
        IDENTITY_FAULT(asked, 403,
                       "You are not authorized to perform the requested "
                       "action: identity:validate_token.");
        token = NULL;
    }
    return token;
}

static void show_token(const struct identity_asked *asked)
{
    const Isthmus__V1__Token *token = subject_of(asked);
    struct ist_sb out;

    if (!token)
        return;
    ist_sb_init(&out, 0);
    facade_token_json(&out, asked->facade, asked->url, token,
                      !identity_has_param(asked->http, "nocatalog"));
    identity_reply(asked, 200, &out,
                   ist_httpd_header(asked->http, "X-Subject-Token"));
}

struct removal {
    struct identity_asked asked;
    struct facade_keep_write write;
};

static void on_removed(struct ist_op *op)
{
    struct ist_write *write = IST_CONTAINER(op, struct ist_write, op);
    struct facade_keep_write *gone =
        IST_CONTAINER(write, struct facade_keep_write, write);
    struct removal *removal = IST_CONTAINER(gone, struct removal, write);

    removal->asked.facade->n_logins--;
    if (op->rc)
        IDENTITY_FAULT(&removal->asked, 503, "It could not be removed: %s.",
                       op->err.text);
    else
        ist_httpd_reply(removal->asked.http, 204, NULL, 0, NULL, 0);
    free(removal);
}

void identity_remove(const struct identity_asked *asked,
                     struct facade_keep *keep,
                     const uint8_t key[FACADE_KEY_BYTES])
{
    struct removal *removal = calloc(1, sizeof(*removal));

    if (!removal) {
        IDENTITY_FAULT(asked, 500, "The hub is out of memory.");
        return;
    }
    removal->asked = *asked;
    asked->facade->n_logins++;
    ist_op_prepare(&removal->write.write.op, asked->facade->loop, NULL, 0,
                   on_removed);
    facade_keep_delete(keep, &removal->write, key);
}

static void revoke_token(const struct identity_asked *asked)
{
    const Isthmus__V1__Token *token = subject_of(asked);
    uint8_t key[FACADE_KEY_BYTES];

    if (!token)
        return;
    facade_pass_drop(asked->facade->passes, token->audit_id);
    facade_token_key(ist_httpd_header(asked->http, "X-Subject-Token"), key);
    identity_remove(asked, asked->facade->tokens, key);
}

/* --- What the user has --- */

static void end_list(struct ist_sb *out, const struct identity_asked *asked,
                     const char *path)
{
    ist_sb_printf(out,
                  "],\"links\":{\"next\":null,\"previous\":null,\"self\":\"%s%s"
                  "\"}}",
                  asked->auth, path);
}

static void list_projects(const struct identity_asked *asked)
{
    const Isthmus__V1__Identity *who = asked->token->identity;
    struct ist_sb out;

    if (!identity_is_own(asked, "list_user_projects"))
        return;
    ist_sb_init(&out, 0);
    ist_sb_puts(&out, "{\"projects\":[");
    for (size_t i = 0; i < who->n_grants; i++) {
        if (i)
            ist_sb_putc(&out, ',');
        facade_project_json(&out, asked->url, asked->token, who->grants[i]);
    }
    end_list(&out, asked, asked->http->path + strlen(FACADE_IDENTITY));
    identity_reply(asked, 200, &out, NULL);
}

static void list_catalog(const struct identity_asked *asked)
{
    struct ist_sb out;

    ist_sb_init(&out, 0);
    ist_sb_puts(&out, "{\"catalog\":");
    facade_catalog_json(&out, asked->facade, asked->url, asked->token);
    ist_sb_printf(&out, ",\"links\":{\"self\":\"%s/v3/auth/catalog\"}}",
                  asked->auth);
    identity_reply(asked, 200, &out, NULL);
}

/* There are none: roles are of projects, and the hub keeps nothing else. */
static void list_nothing(const struct identity_asked *asked)
{
    struct ist_sb out;

    if (asked->word && !identity_is_own(asked, "list"))
        return;
    ist_sb_init(&out, 0);
    ist_sb_printf(&out, "{\"%s\":[", asked->name);
    end_list(&out, asked, asked->http->path + strlen(FACADE_IDENTITY));
    identity_reply(asked, 200, &out, NULL);
}

/* What Keystone's own policy keeps for admins. Clients know what to make of a
 * 403: they go on with what they have. */
static void forbid(const struct identity_asked *asked)
{
    IDENTITY_FAULT(asked, 403,
                   "You are not authorized to perform the requested action: "
                   "identity:%s.",
                   asked->name);
}

static void show_project(const struct identity_asked *asked)
{
    const Isthmus__V1__Identity *who = asked->token->identity;
    char hex[IST_ID_HEX_SIZE];
    struct ist_sb out;

    for (size_t i = 0; i < who->n_grants; i++) {
        if (strcmp(facade_hub_id(asked->token, who->grants[i]->project_id, hex),
                   asked->word) != 0)
            continue;
        ist_sb_init(&out, 0);
        ist_sb_puts(&out, "{\"project\":");
        facade_project_json(&out, asked->url, asked->token, who->grants[i]);
        ist_sb_putc(&out, '}');
        identity_reply(asked, 200, &out, NULL);
        return;
    }
    forbid(asked);
}

static void put_text(struct ist_sb *out, const char *name, const char *text)
{
    ist_sb_printf(out, "\"%s\":", name);
    ist_sb_json(out, text, strlen(text));
    ist_sb_putc(out, ',');
}

static void show_user(const struct identity_asked *asked)
{
    const Isthmus__V1__Token *token = asked->token;
    char hex[IST_ID_HEX_SIZE];
    const char *domain = facade_domain(&asked->http->arena, token->home,
                                       token->identity->domain);
    struct ist_sb out;

    facade_hub_id(token, token->identity->user_id, hex);
    if (strcmp(hex, asked->word) != 0 || !domain) {
        forbid(asked);
        return;
    }
    ist_sb_init(&out, 0);
    ist_sb_puts(&out, "{\"user\":{");
    put_text(&out, "id", hex);
    put_text(&out, "name", token->identity->user);
    put_text(&out, "domain_id", domain);
    ist_sb_printf(&out,
                  "\"enabled\":true,\"options\":{},\"password_expires_at\":"
                  "null,\"links\":{\"self\":\"%s/v3/users/%s\"}}}",
                  asked->auth, hex);
    identity_reply(asked, 200, &out, NULL);
}

/* The user's own; its id is its name. */
static void show_domain(const struct identity_asked *asked)
{
    const Isthmus__V1__Token *token = asked->token;
    const char *domain = facade_domain(&asked->http->arena, token->home,
                                       token->identity->domain);
    struct ist_sb out;

    if (!domain || strcmp(domain, asked->word) != 0) {
        forbid(asked);
        return;
    }
    ist_sb_init(&out, 0);
    ist_sb_puts(&out, "{\"domain\":{");
    put_text(&out, "id", domain);
    put_text(&out, "name", domain);
    ist_sb_printf(&out,
                  "\"enabled\":true,\"description\":\"\",\"options\":{},"
                  "\"tags\":[],\"links\":{\"self\":\"%s/v3/domains/%s\"}}}",
                  asked->auth, domain);
    identity_reply(asked, 200, &out, NULL);
}

static void put_region(struct ist_sb *out, const struct identity_asked *asked,
                       const char *name)
{
    ist_sb_printf(out,
                  "%s{\"id\":\"%s\",\"description\":\"\","
                  "\"parent_region_id\":null,\"links\":{\"self\":"
                  "\"%s/v3/regions/%s\"}}",
                  out->data[out->len - 1] == '[' ? "" : ",", name, asked->auth,
                  name);
}

static void list_regions(const struct identity_asked *asked)
{
    struct sites_site *site = NULL;
    struct ist_sb out;

    ist_sb_init(&out, 0);
    ist_sb_puts(&out, "{\"regions\":[");
    if (asked->facade->global)
        put_region(&out, asked, FACADE_GLOBAL);
    while ((site = sites_next(asked->facade->sites, site)))
        put_region(&out, asked, site->name);
    end_list(&out, asked, "/v3/regions");
    identity_reply(asked, 200, &out, NULL);
}

/* --- Routes --- */

/* {id} and {more} stand for one part of a path each. What is not here is not
 * served, and says so as Keystone does. */
static const struct {
    const char *method, *path;
    bool is_open; /* Needs no token. */
    void (*handle)(const struct identity_asked *);
    const char *name; /* As 'handle' takes it. */
} routes[] = {
    {"GET", "", true, show_versions, NULL},
    {"GET", "/v3", true, show_version, NULL},
    {"POST", "/v3/auth/tokens", true, identity_log_in, NULL},
    {"GET", "/v3/auth/tokens", false, show_token, NULL},
    {"DELETE", "/v3/auth/tokens", false, revoke_token, NULL},
    {"GET", "/v3/auth/catalog", false, list_catalog, NULL},
    {"GET", "/v3/auth/projects", false, list_projects, NULL},
    {"GET", "/v3/auth/domains", false, list_nothing, "domains"},
    {"GET", "/v3/auth/system", false, list_nothing, "system"},
    {"GET", "/v3/users/{id}/projects", false, list_projects, NULL},
    {"GET", "/v3/regions", false, list_regions, NULL},
    {"POST", "/v3/users/{id}/application_credentials", false,
     identity_make_credential, NULL},
    {"GET", "/v3/users/{id}/application_credentials", false,
     identity_list_credentials, NULL},
    {"GET", "/v3/users/{id}/application_credentials/{more}", false,
     identity_show_credential, NULL},
    {"DELETE", "/v3/users/{id}/application_credentials/{more}", false,
     identity_delete_credential, NULL},
    {"GET", "/v3/users/{id}", false, show_user, "get_user"},
    {"GET", "/v3/users/{id}/groups", false, list_nothing, "groups"},
    {"GET", "/v3/users/{id}/access_rules", false, list_nothing, "access_rules"},
    {"GET", "/v3/users/{id}/credentials/OS-EC2", false, list_nothing,
     "credentials"},
    {"GET", "/v3/credentials", false, list_nothing, "credentials"},
    {"GET", "/v3/projects/{id}", false, show_project, "get_project"},
    {"GET", "/v3/domains/{id}", false, show_domain, "get_domain"},
    {"GET", "/v3/projects", false, forbid, "list_projects"},
    {"GET", "/v3/users", false, forbid, "list_users"},
    {"GET", "/v3/domains", false, forbid, "list_domains"},
    {"GET", "/v3/groups", false, forbid, "list_groups"},
    {"GET", "/v3/roles", false, forbid, "list_roles"},
    {"GET", "/v3/role_assignments", false, forbid, "list_role_assignments"},
    {"GET", "/v3/services", false, forbid, "list_services"},
    {"GET", "/v3/endpoints", false, forbid, "list_endpoints"},
    {"GET", "/v3/OS-TRUST/trusts", false, forbid, "list_trusts"},
    {"POST", "/v3/projects", false, forbid, "create_project"},
    {"POST", "/v3/users", false, forbid, "create_user"},
    {"POST", "/v3/domains", false, forbid, "create_domain"},
    {"POST", "/v3/roles", false, forbid, "create_role"},
};

/* Slashes at the end do not count. */
static bool match(const char *pattern, const char *path, size_t len,
                  struct identity_asked *asked)
{
    const char *end = path + len;

    asked->word = asked->more = NULL;
    while (*pattern && path < end) {
        size_t n = strcspn(path, "/");

        if (*pattern != '{') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        if (n > (size_t) (end - path))
            n = (size_t) (end - path);
        *(pattern[1] == 'i' ? &asked->word : &asked->more) =
            ist_arena_dup(&asked->http->arena, path, n);
        path += n;
        pattern = strchr(pattern, '}') + 1;
    }
    return *pattern == '\0' && path == end;
}

static bool takes(const char *method, const char *asked)
{
    return strcmp(method, asked) == 0 ||
           (strcmp(method, "GET") == 0 && strcmp(asked, "HEAD") == 0);
}

static const Isthmus__V1__Token *token_of(const struct identity_asked *asked)
{
    const char *text = ist_httpd_header(asked->http, "X-Auth-Token");
    const Isthmus__V1__Token *token =
        text ? facade_token_find(asked->facade->tokens,
                                 asked->facade->credentials, text,
                                 &asked->http->arena)
             : NULL;

    return token && !facade_pass_is_lost(asked->facade->passes, token) ? token
                                                                       : NULL;
}

void facade_identity(struct facade *facade, struct ist_httpd_request *http)
{
    const char *path = http->path + strlen(FACADE_IDENTITY);
    struct identity_asked asked = {.facade = facade, .http = http};
    size_t len = strlen(path);
    bool is_path = false;

    facade_url(facade, http, asked.url);
    snprintf(asked.auth, sizeof(asked.auth), "%s" FACADE_IDENTITY, asked.url);
    while (len > 0 && path[len - 1] == '/')
        len--;
    for (size_t i = 0; i < IST_COUNT(routes); i++) {
        if (!match(routes[i].path, path, len, &asked))
            continue;
        is_path = true;
        if (!takes(routes[i].method, http->method))
            continue;
        asked.name = routes[i].name;
        if (!routes[i].is_open && !(asked.token = token_of(&asked)))
            IDENTITY_FAULT(&asked, 401, "%s", identity_refused);
        else
            routes[i].handle(&asked);
        return;
    }
    if (is_path)
        IDENTITY_FAULT(&asked, 405,
                       "The method is not allowed for this resource.");
    else if (!token_of(&asked))
        IDENTITY_FAULT(&asked, 401, "%s", identity_refused);
    else
        IDENTITY_FAULT(&asked, 404, "The resource could not be found.");
}
