/* A request is looked at in this order: its path, its caller, how much is under
 * way. What the site makes of it is the site's business. */
#include "facade/facade.h"

#include "facade/catalog.h"
#include "facade/fault.h"
#include "facade/pass.h"
#include "facade/relay.h"
#include "facade/token.h"
#include "sites/key.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PREFIX   "/r/"
#define BASE_MAX (FACADE_URL_SIZE + 64)

const struct ist_row facade_rows[] = {
    {"facade.public_url", IST_ROW_STRING,
     offsetof(struct facade_conf, public_url), "", 0, 200, 0,
     "What clients call the hub by, 'https://hub.example.net:8443': it stands "
     "in the links of sites' answers. Empty: what the client wrote."},
    {"facade.relays", IST_ROW_U64, offsetof(struct facade_conf, relays_max),
     "512", 1, 100000, 0,
     "Requests passed through to sites at once; more are answered 503."},
    {"facade.idle", IST_ROW_MS, offsetof(struct facade_conf, idle_ms), "60s",
     1000, 60000, 0,
     "A request passed through in which nothing moves for so long ends."},
    {"facade.logins", IST_ROW_U64, offsetof(struct facade_conf, logins_max),
     "64", 1, 10000, 0, "Logins under way at once; more are answered 503."},
    {"facade.token", IST_ROW_MS, offsetof(struct facade_conf, token_ms), "1h",
     60000, 86400000, 0, "How long a token is good for."},
    {"facade.roles", IST_ROW_PATH, offsetof(struct facade_conf, roles), NULL, 1,
     400, 0, "The roles.yaml: who is more than a tenant at the hub."},
    {"facade.passthrough", IST_ROW_STRING,
     offsetof(struct facade_conf, passthrough), NULL, 1, 4000, 0,
     "Sites, with commas, that share one Keystone: users of each act at all of "
     "them with their own Keystone token, which goes to no other site. Their "
     "agents must say openstack.passthrough."},
    IST_ROW_END,
};

/* The parts of "/r/<key>/<service><target>", of the request's target as it was
 * sent. */
struct parts {
    const char *key, *service, *target;
    size_t key_len, service_len;
};

static bool split(const char *text, struct parts *ret)
{
    text += strlen(PREFIX);
    ret->key = text;
    ret->key_len = strcspn(text, "/?");
    text += ret->key_len;
    if (*text != '/')
        return false;
    ret->service = ++text;
    ret->service_len = strcspn(text, "/?");
    ret->target = text + ret->service_len;
    return ret->key_len > 0 && ret->service_len > 0;
}

static bool is_key(const struct parts *parts, const char *key)
{
    return strlen(key) == parts->key_len &&
           memcmp(key, parts->key, parts->key_len) == 0;
}

static struct sites_site *find_site(struct sites *sites,
                                    const struct parts *parts)
{
    char key[SITES_KEY_SIZE];
    struct sites_site *site = NULL;

    while ((site = sites_next(sites, site))) {
        if (sites_key(site->name, key) && is_key(parts, key))
            return site;
    }
    return NULL;
}

/* X-Auth-Token, as all OpenStack clients send it; or as the native API has
 * it. */
static const char *token_of(const struct ist_httpd_request *http)
{
    const char *token = ist_httpd_header(http, "X-Auth-Token");
    const char *value = ist_httpd_header(http, "Authorization");

    if (token)
        return token;
    return value && strncasecmp(value, "Bearer ", 7) == 0 ? value + 7 : NULL;
}

void facade_url(const struct facade *facade,
                const struct ist_httpd_request *http, char ret[FACADE_URL_SIZE])
{
    const size_t size = FACADE_URL_SIZE;
    const char *host = ist_httpd_header(http, "Host");

    if (facade->conf.public_url && facade->conf.public_url[0])
        snprintf(ret, size, "%s", facade->conf.public_url);
    else
        snprintf(ret, size, "https://%s", host ? host : "localhost");
}

/* "hkg.corp/shop" */
static const char *name_of(struct ist_arena *arena, const char *site,
                           const char *domain, const char *name)
{
    const char *whole = facade_domain(arena, site, domain);
    size_t size = whole ? strlen(whole) + strlen(name) + 2 : 0;
    char *text = whole ? ist_arena_alloc(arena, size) : NULL;

    if (text)
        snprintf(text, size, "%s/%s", whole, name);
    return text;
}

bool facade_caller_of(const struct facade *facade,
                      const Isthmus__V1__Token *token, struct ist_arena *arena,
                      struct facade_caller *ret)
{
    const Isthmus__V1__Identity *who = token->identity;
    char *id = ist_arena_alloc(arena, IST_ID_HEX_SIZE);

    if (!token->scoped || who->n_grants != 1 || !id)
        return false;
    ret->user = name_of(arena, token->home, who->domain, who->user);
    ret->project = facade_hub_id(token, who->grants[0]->project_id, id);
    ret->project_name = name_of(arena, token->home, who->grants[0]->domain,
                                who->grants[0]->project);
    ret->roles = who->grants[0]->roles;
    ret->n_roles = who->grants[0]->n_roles;
    ret->pass = NULL;
    if (token->has_pass) {
        const char *pass = facade_pass_find(facade->passes, token->audit_id);

        ret->pass = pass ? ist_arena_strdup(arena, pass) : NULL;
        if (!ret->pass)
            return false;
    }
    ret->pass_sites = facade->conf.passthrough;
    ret->pass_project = who->grants[0]->project_id;
    return ret->user && ret->project_name;
}

bool facade_find_caller(const struct facade *facade,
                        struct ist_httpd_request *http,
                        struct facade_caller *ret)
{
    static char *admin[] = {(char *) "admin"};
    const char *text = token_of(http);
    const Isthmus__V1__Token *token;

    if (!text)
        return false;
    if (facade->is_admin && facade->is_admin(facade->arg, text)) {
        *ret = (struct facade_caller){.user = "hub/admin",
                                      .project = "",
                                      .project_name = "",
                                      .roles = admin,
                                      .n_roles = 1};
        return true;
    }
    token = facade->tokens
                ? facade_token_find(facade->tokens, facade->credentials, text,
                                    &http->arena)
                : NULL;
    return token && facade_caller_of(facade, token, &http->arena, ret);
}

/* Clients ask a service for its versions before they log in: keystoneauth by
 * get_discovery(authenticated=False). */
static bool is_versions(const struct ist_httpd_request *http,
                        const char *target)
{
    static const char *const paths[] = {"",      "/",      "/v2.1",    "/v2.1/",
                                        "/v2.0", "/v2.0/", "/v2",      "/v2/",
                                        "/v3",   "/v3/",   "/versions"};

    for (size_t i = 0; i < IST_COUNT(paths); i++) {
        if (strcmp(target, paths[i]) == 0)
            return strcmp(http->method, "GET") == 0;
    }
    return false;
}

bool facade_is_identity(const struct ist_httpd_request *http)
{
    size_t len = strlen(FACADE_IDENTITY);

    return strncmp(http->path, FACADE_IDENTITY, len) == 0 &&
           (http->path[len] == '\0' || http->path[len] == '/');
}

bool facade_is_for(const struct ist_httpd_request *http)
{
    return strncmp(http->path, PREFIX, strlen(PREFIX)) == 0 &&
           strncmp(http->target, PREFIX, strlen(PREFIX)) == 0;
}

/* With "/" before a query alone: "?limit=1" is no path. */
static const char *target_of(struct ist_httpd_request *http, const char *target)
{
    size_t size = strlen(target) + 2;
    char *text;

    if (*target == '/')
        return target;
    text = ist_arena_alloc(&http->arena, size);
    if (text)
        snprintf(text, size, "/%s", target);
    return text;
}

/* Is the site away, and what it last said may be told? Not to who acts with his
 * own token: what is his, only its Keystone can say. */
static bool is_told_of(const struct facade *facade,
                       const struct facade_asked *asked)
{
    return facade->global && asked->service->is_global &&
           asked->site->state == SITES_ABSENT &&
           !facade_pass_is_for(&asked->caller, asked->site->name);
}

void facade_begin(struct facade *facade, struct ist_httpd_request *http)
{
    struct facade_asked asked = {0};
    struct parts parts = {0};
    enum facade_shape shape = FACADE_NOVA;
    char url[FACADE_URL_SIZE], auth[BASE_MAX], base[BASE_MAX];
    bool is_global;

    facade_url(facade, http, url);
    snprintf(auth, sizeof(auth), "%s" FACADE_IDENTITY, url);
    if (split(http->target, &parts))
        asked.service = facade_service_find(parts.service, parts.service_len);
    if (asked.service)
        shape = asked.service->shape;
    asked.caller =
        (struct facade_caller){.user = "", .project = "", .project_name = ""};
    if (!facade_find_caller(facade, http, &asked.caller) &&
        !(parts.target && is_versions(http, parts.target))) {
        facade_fault(http, shape, 401, auth,
                     "The request you have made requires authentication.");
        return;
    }
    is_global = facade->global && parts.key && is_key(&parts, FACADE_GLOBAL);
    asked.site = parts.key ? find_site(facade->sites, &parts) : NULL;
    if (!asked.site && !is_global) {
        facade_fault(http, shape, 404, NULL, "There is no region %.*s.",
                     (int) (parts.key_len < 40 ? parts.key_len : 40),
                     parts.key ? parts.key : "");
        return;
    }
    if (!asked.service || (is_global && !asked.service->is_global)) {
        facade_fault(http, shape, 404, NULL,
                     "There is no service %.*s in region %s.",
                     (int) (parts.service_len < 40 ? parts.service_len : 40),
                     parts.service ? parts.service : "",
                     asked.site ? asked.site->name : FACADE_GLOBAL);
        return;
    }
    if (facade->n_open >= facade->conf.relays_max) {
        facade_fault_undone(http, shape,
                            "The hub passes on as many requests as it may. "
                            "Nothing was done.");
        return;
    }
    snprintf(base, sizeof(base), "%s" PREFIX "%.*s", url, (int) parts.key_len,
             parts.key);
    asked.base = ist_arena_strdup(&http->arena, base);
    asked.target = target_of(http, parts.target);
    if (!asked.base || !asked.target)
        facade_fault(http, shape, 500, NULL, "The hub is out of memory.");
    else if (is_global || is_told_of(facade, &asked))
        facade->global(facade->global_arg, http, &asked);
    else
        facade_relay_begin(facade, http, &asked);
}

void facade_drained(struct facade *facade)
{
    struct facade_relay *relay, *next;

    /* One that goes on may end, and others with it never. */
    for (relay = LIST_FIRST(&facade->relays); relay; relay = next) {
        next = facade_relay_next(relay);
        facade_relay_drained(relay);
    }
}

void facade_init(struct facade *facade, struct ist_loop *loop,
                 struct desk *desk, struct sites *sites, struct ist_self *self,
                 const struct facade_conf *conf)
{
    *facade = (struct facade){.loop = loop,
                              .desk = desk,
                              .sites = sites,
                              .self = self,
                              .conf = *conf};
    LIST_INIT(&facade->relays);
}
