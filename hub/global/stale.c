#include "global/stale.h"

#include "global/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Members that the services' own policies show to an admin alone. One that ends
 * in '*' stands for all that begin so. */
static const struct {
    const char *kind, *member;
} hidden[] = {
    {"server", "OS-EXT-SRV-ATTR:*"},  {"server", "host_status"},
    {"network", "provider:*"},        {"port", "binding:host_id"},
    {"port", "binding:profile"},      {"port", "binding:vif_*"},
    {"router", "distributed"},        {"router", "ha"},
    {"volume", "os-vol-host-attr:*"}, {"volume", "os-vol-mig-status-attr:*"},
    {"volume", "migration_status"},   {"volume", "cluster_name"},
};

/* Members that came with a microversion of Nova (its REST API version history);
 * the view's rows are of 2.93. */
static const struct {
    const char *member;
    unsigned minor;
} later[] = {
    {"locked", 9},         {"description", 19},
    {"tags", 26},          {"trusted_image_certificates", 63},
    {"server_groups", 71}, {"locked_reason", 73},
};

#define EMBEDDED_FLAVOR 47U /* Nova 2.47: the flavor itself, not its id. */

static bool fits(const char *pattern, const char *name)
{
    size_t len = strlen(pattern);

    return pattern[len - 1] == '*' ? strncmp(pattern, name, len - 1) == 0
                                   : strcmp(pattern, name) == 0;
}

static bool is_hidden(const struct ist_kind *kind, const char *name)
{
    for (size_t i = 0; i < IST_COUNT(hidden); i++) {
        if (strcmp(hidden[i].kind, kind->name) == 0 &&
            fits(hidden[i].member, name))
            return true;
    }
    return false;
}

static void hide(const struct ist_kind *kind, json_t *object)
{
    const char *name;
    json_t *value;
    void *next;

    json_object_foreach_safe(object, next, name, value)
    {
        if (is_hidden(kind, name))
            json_object_del(object, name);
    }
}

/* --- Servers --- */

static unsigned minor_of(const struct global_request *request)
{
    const char *dot = request->version ? strchr(request->version, '.') : NULL;

    return dot ? (unsigned) strtoul(dot + 1, NULL, 10) : 1;
}

static void set(json_t *object, const char *name, const char *text)
{
    json_object_set_new(object, name, json_string(text));
}

/* Region global's id of a flavor is its name. */
static void shape_flavor(struct global_request *request, const char *site,
                         json_t *server)
{
    const char *name = json_string_value(
        json_object_get(json_object_get(server, "flavor"), "original_name"));
    const char *base = request->asked.base;
    char href[512];

    if (name && request->is_region)
        name = global_names_id(request, site, "flavor", name);
    if (!name)
        return;
    snprintf(href, sizeof(href), "%s/compute/flavors/%s", base, name);
    json_object_set_new(server, "flavor",
                        json_pack("{s:s, s:[{s:s, s:s}]}", "id", name, "links",
                                  "rel", "bookmark", "href", href));
}

static void shape_server(struct global_request *request,
                         const struct global_site *site, json_t *server)
{
    unsigned minor = minor_of(request);
    const char *zone = json_string_value(
        json_object_get(server, "OS-EXT-AZ:availability_zone"));
    char name[GLOBAL_ZONE_SIZE];

    set(server, "status", "UNKNOWN");
    json_object_set_new(server, "OS-EXT-STS:power_state", json_integer(0));
    if (zone && *zone) {
        global_names_zone_of(request, site->site->name, zone, name);
        set(server, "OS-EXT-AZ:availability_zone", name);
    }
    for (size_t i = 0; i < IST_COUNT(later); i++) {
        if (minor < later[i].minor)
            json_object_del(server, later[i].member);
    }
    if (minor < EMBEDDED_FLAVOR)
        shape_flavor(request, site->site->name, server);
}

/* --- Ids and links --- */

static const char *const project_members[] = {
    "tenant_id", "project_id", "owner", "os-vol-tenant-attr:tenant_id",
    "os-extended-snapshot-attributes:project_id"};

static void name_project(const struct global_request *request,
                         const struct global_site *site, json_t *object)
{
    for (size_t i = 0; site->project[0] && i < IST_COUNT(project_members);
         i++) {
        const char *id =
            json_string_value(json_object_get(object, project_members[i]));

        if (id && strcmp(id, site->project) == 0)
            set(object, project_members[i], request->asked.caller.project);
    }
}

/* Where a link points behind the service's address: Nova's and Cinder's have
 * a version there, or go straight to the collection. */
static const char *behind(const char *href, bool *is_image)
{
    static const char *const starts[] = {"/v2.1/", "/v3/", "/images/",
                                         "/servers/", "/flavors/"};
    const char *path = strstr(href, "://");

    path = path ? strchr(path + 3, '/') : NULL;
    for (size_t i = 0; path && i < IST_COUNT(starts); i++) {
        const char *found = strstr(path, starts[i]);

        *is_image = strcmp(starts[i], "/images/") == 0;
        if (found)
            return found;
    }
    return NULL;
}

static void rewrite_links(const struct global_request *request, json_t *value)
{
    const char *href = json_string_value(json_object_get(value, "href"));
    const char *name;
    json_t *member;
    size_t i;

    json_array_foreach(value, i, member) rewrite_links(request, member);
    json_object_foreach(value, name, member) rewrite_links(request, member);
    if (href) {
        bool is_image = false;
        const char *rest = behind(href, &is_image);
        json_t *link =
            rest ? json_sprintf(
                       "%s/%s%s", request->asked.base,
                       is_image ? "image" : request->asked.service->name, rest)
                 : json_string("");

        json_object_set_new(value, "href", link);
    }
}

/* --- The object --- */

static struct ist_bytes dump(struct global_request *request, json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);
    char *copy = text ? ist_arena_strdup(&request->arena, text) : NULL;
    struct ist_bytes ret = {copy, copy ? strlen(copy) : 0};

    free(text);
    return ret;
}

struct ist_bytes global_stale_body(struct global_request *request,
                                   const struct global_site *site,
                                   const struct ist_kind *kind,
                                   const struct ist_bytes *row)
{
    json_t *object =
        json_loadb(row->data, row->size, JSON_REJECT_DUPLICATES, NULL);
    struct ist_bytes ret = {NULL, 0};

    if (!json_is_object(object)) {
        json_decref(object);
        return ret;
    }
    hide(kind, object);
    if (strcmp(kind->name, "server") == 0)
        shape_server(request, site, object);
    if (strcmp(kind->service, "image") != 0) /* Glance's are of paths alone. */
        rewrite_links(request, object);
    name_project(request, site, object);
    ret = dump(request, object);
    json_decref(object);
    return ret;
}

/* --- Whose it is --- */

static const struct {
    const char *kind, *member, *value; /* NULL: true. */
} publics[] = {
    {"image", "visibility", "public"},
    {"network", "shared", NULL},
    {"network", "router:external", NULL},
};

bool global_stale_has_public(const struct ist_kind *kind)
{
    for (size_t i = 0; i < IST_COUNT(publics); i++) {
        if (strcmp(publics[i].kind, kind->name) == 0)
            return true;
    }
    return false;
}

static bool reads(json_t *value, const char *text)
{
    return text ? json_is_string(value) &&
                      strcmp(json_string_value(value), text) == 0
                : json_is_true(value);
}

static bool is_public(const struct ist_kind *kind, json_t *object)
{
    for (size_t i = 0; i < IST_COUNT(publics); i++) {
        if (strcmp(publics[i].kind, kind->name) == 0 &&
            reads(json_object_get(object, publics[i].member), publics[i].value))
            return true;
    }
    return false;
}

bool global_stale_is_visible(const struct global_request *request,
                             const struct global_site *site,
                             const struct ist_kind *kind,
                             const struct ist_bytes *row)
{
    json_t *object =
        json_loadb(row->data, row->size, JSON_REJECT_DUPLICATES, NULL);
    const struct ist_member *project = ist_kind_member(kind, "project");
    bool ret = !request->asked.caller.project[0] || is_public(kind, object);

    if (!ret && project && global_site_rows(site)[0])
        ret = reads(json_object_get(object, project->path),
                    global_site_rows(site));
    json_decref(object);
    return ret;
}

bool global_stale_row(struct global_request *request,
                      const struct global_site *site, const char *kind,
                      const char *id, struct ist_bytes *ret)
{
    const struct ist_kind *what = ist_kind_find(kind);
    struct view_page page = {0};
    struct ist_err err;

    if (view_show(request->global->view, what, id, site->site->name,
                  &request->arena, &page, &err) ||
        page.n_rows == 0)
        return false;
    *ret = page.rows[0].body;
    return global_stale_is_visible(request, site, what, ret);
}

/* --- Filters --- */

/* Nova's is a regular expression; most that are sent are parts of names. */
static bool is_pattern(const struct global_request *request, const char *name)
{
    return strcmp(request->asked.service->name, "compute") == 0 &&
           strcmp(name, "name") == 0;
}

static bool matches(const struct global_request *request, json_t *object,
                    const struct ist_httpd_param *param)
{
    const char *text = json_string_value(json_object_get(object, param->name));

    if (!text)
        return true;
    return is_pattern(request, param->name)
               ? strstr(text, param->value) != NULL
               : strcasecmp(text, param->value) == 0 ||
                     strcmp(param->value, request->asked.caller.project) == 0;
}

bool global_stale_fits(const struct global_request *request,
                       const struct ist_bytes *row)
{
    json_t *object =
        json_loadb(row->data, row->size, JSON_REJECT_DUPLICATES, NULL);
    bool ret = true;

    for (size_t i = 0; ret && i < request->http->n_params; i++)
        ret = matches(request, object, &request->http->params[i]);
    json_decref(object);
    return ret;
}
