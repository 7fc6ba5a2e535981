/* The way of a request: its path is looked up in the table, its project at the
 * sites, its body collected where it has to be looked into; then the file that
 * the row names takes over. */
#include "global/request.h"

#include "facade/mapping.h"
#include "facade/pass.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ARENA_MAX (64U << 20) /* Of one request: the rows of a page. */

const struct ist_row global_rows[] = {
    {"global.placement", IST_ROW_STRING,
     offsetof(struct global_conf, placement), "spread", 0, 10, 0,
     "Where region global makes a server or volume that names no zone and "
     "refers to nothing: 'spread' (the site with room where the project has "
     "the fewest), 'home' (the project's own site), 'none' (it is refused)."},
    IST_ROW_END,
};

/* The first row that fits counts. What no row fits is a collection, asked of
 * all sites, or an object, of the one that has it. */
static const struct global_route routes[] = {
    /* --- compute --- */
    {"compute", "GET", "", global_versions, NULL, NULL, false},
    {"compute", "GET", "servers", global_list, "server", "brief", false},
    {"compute", "GET", "servers/detail", global_list, "server", NULL, false},
    {"compute", "POST", "servers", global_create, "server", NULL, true},
    {"compute", NULL, "servers/**", global_object, "server", NULL, false},
    {"compute", "GET", "flavors", global_unite, "flavor", "brief", false},
    {"compute", "GET", "flavors/detail", global_unite, "flavor", NULL, false},
    {"compute", "GET", "flavors/**", global_flavor, "flavor", NULL, false},
    {"compute", "GET", "os-keypairs", global_unite, "keypair", NULL, false},
    {"compute", NULL, "os-keypairs", global_keypair, "keypair", NULL, true},
    {"compute", NULL, "os-keypairs/*", global_keypair, "keypair", NULL, true},
    {"compute", "GET", "os-availability-zone", global_unite, NULL, "zones",
     false},
    {"compute", "GET", "limits", global_unite, NULL, "sum", false},
    {"compute", "GET", "os-quota-sets/*", global_unite, NULL, "sum", false},
    {"compute", "GET", "os-quota-sets/*/detail", global_unite, NULL, "sum",
     false},
    {"compute", "GET", "os-quota-sets/*/defaults", global_unite, NULL, "sum",
     false},
    {"compute", NULL, "os-quota-sets/**", global_forbid, NULL, NULL, false},
    {"compute", "GET", "os-simple-tenant-usage/*", global_unite, NULL, "sum",
     false},
    {"compute", "GET", "extensions", global_unite, NULL, "common", false},
    {"compute", "POST", "os-server-groups", global_create, "server-group", NULL,
     true},
    /* --- network --- */
    {"network", "GET", "", global_versions, NULL, NULL, false},
    {"network", "GET", "networks", global_list, "network", NULL, false},
    {"network", "GET", "subnets", global_list, "subnet", NULL, false},
    {"network", "GET", "ports", global_list, "port", NULL, false},
    {"network", "GET", "routers", global_list, "router", NULL, false},
    {"network", "GET", "security-groups", global_list, "security-group", NULL,
     false},
    {"network", "GET", "floatingips", global_list, "floating-ip", NULL, false},
    {"network", NULL, "networks/**", global_object, "network", NULL, false},
    {"network", NULL, "subnets/**", global_object, "subnet", NULL, false},
    {"network", NULL, "ports/**", global_object, "port", NULL, false},
    {"network", NULL, "routers/**", global_object, "router", NULL, false},
    {"network", NULL, "security-groups/**", global_object, "security-group",
     NULL, false},
    {"network", NULL, "floatingips/**", global_object, "floating-ip", NULL,
     false},
    {"network", "GET", "extensions", global_unite, NULL, "common", false},
    {"network", "GET", "extensions/*", global_anywhere, NULL, NULL, false},
    {"network", "GET", "availability_zones", global_unite, NULL, "zones",
     false},
    {"network", "GET", "quotas/**", global_unite, NULL, "sum", false},
    {"network", NULL, "quotas/**", global_forbid, NULL, NULL, false},
    {"network", "POST", "*", global_create, NULL, NULL, true},
    /* --- image --- */
    {"image", "GET", "", global_versions, NULL, NULL, false},
    {"image", "GET", "images", global_list, "image", NULL, false},
    {"image", "POST", "images", global_create, "image", NULL, true},
    {"image", NULL, "images/**", global_object, "image", NULL, false},
    {"image", "GET", "schemas/**", global_anywhere, NULL, NULL, false},
    {"image", "GET", "info/**", global_anywhere, NULL, NULL, false},
    {"image", "GET", "metadefs/**", global_anywhere, NULL, NULL, false},
    /* --- volume --- */
    {"volume", "GET", "", global_versions, NULL, NULL, false},
    {"volume", "GET", "volumes", global_list, "volume", "brief", false},
    {"volume", "GET", "volumes/detail", global_list, "volume", NULL, false},
    {"volume", "GET", "snapshots", global_list, "snapshot", "brief", false},
    {"volume", "GET", "snapshots/detail", global_list, "snapshot", NULL, false},
    {"volume", NULL, "volumes/summary", global_unite, NULL, "sum", false},
    {"volume", "POST", "volumes", global_create, "volume", NULL, true},
    {"volume", NULL, "volumes/**", global_object, "volume", NULL, false},
    {"volume", NULL, "snapshots/**", global_object, "snapshot", NULL, false},
    {"volume", "GET", "types", global_unite, "volume-type", NULL, false},
    {"volume", "GET", "types/default", global_anywhere, "volume-type", NULL,
     false},
    {"volume", "GET", "types/**", global_flavor, "volume-type", NULL, false},
    {"volume", "GET", "os-availability-zone", global_unite, NULL, "zones",
     false},
    {"volume", "GET", "limits", global_unite, NULL, "sum", false},
    {"volume", "GET", "os-quota-sets/*", global_unite, NULL, "sum", false},
    {"volume", "GET", "os-quota-sets/*/defaults", global_unite, NULL, "sum",
     false},
    {"volume", NULL, "os-quota-sets/**", global_forbid, NULL, NULL, false},
    {"volume", "GET", "extensions", global_unite, NULL, "common", false},
    {"volume", "POST", "*", global_create, NULL, NULL, true},
    /* --- all --- */
    {NULL, "GET", "*", global_unite, NULL, "all", false},
    {NULL, "GET", "*/detail", global_unite, NULL, "all", false},
    {NULL, NULL, "*/**", global_object, NULL, NULL, false},
};

/* --- The path --- */

static bool is_version(const char *text)
{
    return text[0] == 'v' && text[1] >= '0' && text[1] <= '9' &&
           strspn(text + 1, "0123456789.") == strlen(text + 1);
}

static bool is_project(const struct global_request *request, const char *text)
{
    return strcmp(text, request->asked.caller.project) == 0;
}

/* Cinder's paths have the project in them, Nova's may. */
static bool may_have_project(const struct global_request *request)
{
    return strcmp(request->asked.service->name, "compute") == 0 ||
           strcmp(request->asked.service->name, "volume") == 0;
}

/* Takes the target apart: prefix, segments, query. False: too deep, or no
 * memory. */
static bool split(struct global_request *request)
{
    char *text = ist_arena_strdup(&request->http->arena, request->asked.target);
    char *query = text ? strchr(text, '?') : NULL;
    struct ist_sb prefix;
    size_t n = 0;

    request->query = "";
    if (query) {
        *query = '\0';
        request->query = query + 1;
    }
    ist_sb_init(&prefix, 0);
    for (char *rest = text, *segment;
         rest && (segment = strsep(&rest, "/")) != NULL;) {
        bool is_head = n == 0 && (is_version(segment) ||
                                  (prefix.len && may_have_project(request) &&
                                   is_project(request, segment)));

        if (!*segment)
            continue;
        if (is_head) {
            ist_sb_printf(&prefix, "/%s", segment);
        } else if (n == GLOBAL_SEGMENTS_MAX) {
            ist_sb_fini(&prefix);
            return false;
        } else {
            request->segments[n++] = segment;
        }
    }
    request->n_segments = n;
    request->prefix =
        ist_arena_strdup(&request->http->arena, ist_sb_text(&prefix));
    ist_sb_fini(&prefix);
    return text && request->prefix;
}

/* Does a pattern fit the segments? */
static bool fits(const char *pattern, const struct global_request *request)
{
    size_t n = 0;

    while (*pattern) {
        size_t len = strcspn(pattern, "/");

        if (len == 2 && memcmp(pattern, "**", 2) == 0)
            return request->n_segments > n;
        if (n == request->n_segments)
            return false;
        if (!(len == 1 && *pattern == '*') &&
            (strlen(request->segments[n]) != len ||
             memcmp(request->segments[n], pattern, len) != 0))
            return false;
        n++;
        pattern += len;
        pattern += *pattern == '/';
    }
    return n == request->n_segments;
}

static const struct global_route *find_route(const struct global_request *r)
{
    for (size_t i = 0; i < IST_COUNT(routes); i++) {
        const struct global_route *route = &routes[i];

        if ((!route->service ||
             strcmp(route->service, r->asked.service->name) == 0) &&
            (!route->method || strcmp(route->method, r->http->method) == 0) &&
            fits(route->path, r))
            return route;
    }
    return NULL;
}

/* What can be said of a site that is away. */
static bool is_from_memory(const struct global_route *route)
{
    return route &&
           (route->begin == global_versions || route->begin == global_list ||
            route->begin == global_object);
}

/* --- The request --- */

/* Sites where the project acts; without a project (a version document is asked
 * for before the login) all of them. */
static bool take_sites(struct global_request *request)
{
    struct global *global = request->global;
    const struct facade_caller *caller = &request->asked.caller;
    struct sites_site *site = NULL;

    request->sites =
        ist_arena_alloc(&request->arena, (sites_count(global->sites) + 1) *
                                             sizeof(*request->sites));
    while (request->sites && (site = sites_next(global->sites, site))) {
        struct global_site *at = &request->sites[request->n_sites];

        *at = (struct global_site){.site = site,
                                   .project = "",
                                   .is_away = site->state == SITES_ABSENT};
        if (request->is_region && site != request->asked.site)
            continue;
        if (caller->user[0] && !facade_mapping_find(global->facade->mappings,
                                                    site, caller, &at->project))
            continue;
        at->by_pass = facade_pass_is_for(caller, site->name);
        request->n_sites++;
    }
    /* What was found there is borrowed for now only. */
    for (size_t i = 0; request->sites && i < request->n_sites; i++) {
        request->sites[i].project =
            ist_arena_strdup(&request->arena, request->sites[i].project);
        if (!request->sites[i].project)
            return false;
    }
    return request->sites != NULL;
}

/* "compute 2.69" of OpenStack-API-Version, or the older header's "2.69". */
static const char *version_of(const struct global_request *request)
{
    static const struct {
        const char *service, *word, *older;
    } rows[] = {
        {"compute", "compute ", "X-OpenStack-Nova-API-Version"},
        {"volume", "volume ", "X-OpenStack-Volume-API-Version"},
    };
    const struct ist_httpd_request *http = request->http;
    const char *value = ist_httpd_header(http, "OpenStack-API-Version");

    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        if (strcmp(rows[i].service, request->asked.service->name) != 0)
            continue;
        if (value &&
            strncasecmp(value, rows[i].word, strlen(rows[i].word)) == 0)
            return value + strlen(rows[i].word);
        return ist_httpd_header(http, rows[i].older);
    }
    return NULL;
}

static void start(struct global_request *request)
{
    request->route->begin(request);
}

static int on_body(struct ist_httpd_request *http, const void *data,
                   size_t size)
{
    struct global_request *request = http->owner;

    if (request->body.len + size > GLOBAL_BODY_MAX) {
        request->is_held = true;
        if (!request->route->takes_body)
            return -EAGAIN;
        global_request_fail(request, 413,
                            "The request's body is over the %u bytes that "
                            "region global looks into.",
                            GLOBAL_BODY_MAX);
        return 0;
    }
    ist_sb_add(&request->body, data, size);
    return 0;
}

static void on_end(struct ist_httpd_request *http, int rc)
{
    struct global_request *request = http->owner;

    request->has_ended = true;
    if (rc && request->running)
        ist_op_cancel(request->running, -ECANCELED);
    else if (rc)
        global_request_fail(request, rc == -EMSGSIZE ? 413 : 408,
                            "The request is not whole.");
    else if (request->route->takes_body || !request->is_started)
        start(request);
}

static void on_gone(struct ist_httpd_request *http)
{
    struct global_request *request = http->owner;

    if (request->running)
        ist_op_cancel(request->running, -ECANCELED);
}

static struct global_request *request_new(struct global *global,
                                          struct ist_httpd_request *http,
                                          const struct facade_asked *asked)
{
    struct global_request *request = calloc(1, sizeof(*request));

    if (!request)
        return NULL;
    request->global = global;
    global->facade->n_open++;
    request->http = http;
    request->asked = *asked;
    request->is_region = asked->site != NULL;
    ist_arena_init(&request->arena, ARENA_MAX);
    ist_sb_init(&request->body, 0);
    request->version = version_of(request);
    http->owner = request;
    http->gone = on_gone;
    http->on_body = on_body;
    http->on_end = on_end;
    return request;
}

void global_begin(void *arg, struct ist_httpd_request *http,
                  const struct facade_asked *asked)
{
    struct global_request *request = request_new(arg, http, asked);

    if (!request) {
        facade_fault(http, asked->service->shape, 500, NULL,
                     "The hub is out of memory.");
        return;
    }
    if (!split(request) || !take_sites(request)) {
        global_request_fail(request, 404, "The resource could not be found.");
        return;
    }
    request->route = find_route(request);
    if (request->is_region && !is_from_memory(request->route))
        global_request_away(request, asked->site);
    else if (!request->route)
        global_request_fail(request, 404,
                            "Region global does not serve %s of that path: "
                            "ask a site's own region.",
                            http->method);
    else if (request->n_sites == 0)
        global_request_fail(request, 403,
                            "Project %s acts at no site: the admin of a site "
                            "maps it in projects.yaml.",
                            asked->caller.project_name);
    else if (http->body_length > GLOBAL_BODY_MAX &&
             !request->route->takes_body) {
        request->is_started = true;
        start(request);
    }
}

/* --- Life --- */

int global_init(struct global *global, struct facade *facade, struct view *view,
                const struct global_conf *conf, struct ist_err *err)
{
    static const char *const words[] = {"spread", "home", "none"};
    bool is_known = false;

    *global = (struct global){
        .facade = facade, .sites = facade->sites, .view = view, .conf = *conf};
    global_memory_init(&global->memory);
    for (size_t i = 0; i < IST_COUNT(words); i++)
        is_known |= strcmp(conf->placement, words[i]) == 0;
    return is_known ? 0
                    : ist_err_set(err, -EINVAL,
                                  "global.placement: '%s' is none of spread, "
                                  "home and none",
                                  conf->placement);
}

void global_fini(struct global *global)
{
    global_memory_fini(&global->memory);
}
