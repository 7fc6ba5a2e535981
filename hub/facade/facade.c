/* A request is looked at in this order: its path, its caller, how much is under
 * way. What the site makes of it is the site's business. */
#include "facade/facade.h"

#include "facade/fault.h"
#include "facade/key.h"
#include "facade/relay.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PREFIX   "/r/"
#define AUTH     "/identity"
#define BASE_MAX 300

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

static struct sites_site *find_site(struct sites *sites,
                                    const struct parts *parts)
{
    char key[FACADE_KEY_SIZE];
    struct sites_site *site = NULL;

    while ((site = sites_next(sites, site))) {
        if (facade_key(site->name, key) && strlen(key) == parts->key_len &&
            memcmp(key, parts->key, parts->key_len) == 0)
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

/* What the client calls us by. */
static void public_url(const struct facade *facade,
                       const struct ist_httpd_request *http, char *ret,
                       size_t size)
{
    const char *host = ist_httpd_header(http, "Host");

    if (facade->conf.public_url && facade->conf.public_url[0])
        snprintf(ret, size, "%s", facade->conf.public_url);
    else
        snprintf(ret, size, "https://%s", host ? host : "localhost");
}

static bool find_caller(const struct facade *facade,
                        const struct ist_httpd_request *http,
                        struct facade_caller *ret)
{
    const char *token = token_of(http);

    return token && facade->find_caller &&
           facade->find_caller(facade->arg, token, ret);
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

void facade_begin(struct facade *facade, struct ist_httpd_request *http)
{
    struct facade_asked asked = {0};
    struct parts parts = {0};
    enum facade_shape shape = FACADE_NOVA;
    char url[BASE_MAX - 100], auth[BASE_MAX], base[BASE_MAX];

    public_url(facade, http, url, sizeof(url));
    snprintf(auth, sizeof(auth), "%s" AUTH, url);
    if (split(http->target, &parts))
        asked.service = facade_service_find(parts.service, parts.service_len);
    if (asked.service)
        shape = asked.service->shape;
    if (!find_caller(facade, http, &asked.caller)) {
        facade_fault(http, shape, 401, auth,
                     "The request you have made requires authentication.");
        return;
    }
    asked.site = parts.key ? find_site(facade->sites, &parts) : NULL;
    if (!asked.site) {
        facade_fault(http, shape, 404, NULL, "There is no region %.*s.",
                     (int) (parts.key_len < 40 ? parts.key_len : 40),
                     parts.key ? parts.key : "");
        return;
    }
    if (!asked.service) {
        facade_fault(http, shape, 404, NULL,
                     "There is no service %.*s in region %s.",
                     (int) (parts.service_len < 40 ? parts.service_len : 40),
                     parts.service ? parts.service : "", asked.site->name);
        return;
    }
    if (facade->n_open >= facade->conf.relays_max) {
        facade_fault(http, shape, 503, NULL,
                     "The hub passes on as many requests as it may. Nothing "
                     "was done.");
        return;
    }
    snprintf(base, sizeof(base), "%s" PREFIX "%.*s", url, (int) parts.key_len,
             parts.key);
    asked.base = ist_arena_strdup(&http->arena, base);
    asked.target = target_of(http, parts.target);
    if (!asked.base || !asked.target)
        facade_fault(http, shape, 500, NULL, "The hub is out of memory.");
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
