#include "facade/catalog.h"

#include "codec/uuid5.h"
#include "facade/mapping.h"
#include "sites/key.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define CALLER_MAX 8192 /* Names and ids of one. */

const char *facade_hub_id(const Isthmus__V1__Token *token, const char *own_id,
                          char *ret)
{
    struct ist_id space = {{0}}, id;

    if (token->home_uid.len == sizeof(space.b))
        memcpy(space.b, token->home_uid.data, sizeof(space.b));
    id = ist_uuid5(&space, own_id);
    return ist_id_hex(&id, ret);
}

const char *facade_domain(struct ist_arena *arena, const char *site,
                          const char *domain)
{
    size_t size = strlen(site) + strlen(domain) + 2;
    char *text = ist_arena_alloc(arena, size);

    if (text)
        snprintf(text, size, "%s%s%s", site, domain[0] ? "." : "", domain);
    return text;
}

static void put(struct ist_sb *out, const char *name, const char *text)
{
    if (out->len && !strchr("{[,", out->data[out->len - 1]))
        ist_sb_putc(out, ',');
    ist_sb_printf(out, "\"%s\":", name);
    ist_sb_json(out, text, strlen(text));
}

/* Domains have their names for ids. */
static void put_domain(struct ist_sb *out, const char *site, const char *domain)
{
    struct ist_sb name;

    ist_sb_init(&name, 0);
    ist_sb_printf(&name, "%s%s%s", site, domain[0] ? "." : "", domain);
    ist_sb_puts(out, ",\"domain\":{");
    put(out, "id", ist_sb_text(&name));
    put(out, "name", ist_sb_text(&name));
    ist_sb_putc(out, '}');
    ist_sb_fini(&name);
}

/* As Keystone writes them: with microseconds, whatever they are. */
void facade_time_json(struct ist_sb *out, uint64_t wall_ms)
{
    time_t seconds = (time_t) (wall_ms / 1000);
    char text[40];
    struct tm tm;

    gmtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    ist_sb_printf(out, "\"%s.%03u000Z\"", text, (unsigned) (wall_ms % 1000));
}

static void put_time(struct ist_sb *out, const char *name, uint64_t wall_ms)
{
    ist_sb_printf(out, ",\"%s\":", name);
    facade_time_json(out, wall_ms);
}

/* --- The catalog --- */

/* The types that a service is asked for by, and where it is behind the
 * region's address. */
static const struct entry {
    const char *type, *name, *service, *path;
    bool has_project; /* Its id ends the address. */
    bool is_extra;    /* Only where a site is known to have it. */
} entries[] = {
    {"identity", "keystone", NULL, "/identity/v3", false, false},
    {"compute", "nova", "compute", "/compute/v2.1", false, false},
    {"network", "neutron", "network", "/network", false, false},
    {"image", "glance", "image", "/image", false, false},
    {"volumev3", "cinderv3", "volume", "/volume/v3/", true, false},
    {"block-storage", "cinder", "volume", "/volume/v3/", true, false},
    {"placement", "placement", "placement", "/placement", false, true},
    {"orchestration", "heat", "orchestration", "/orchestration/v1/", true,
     true},
    {"load-balancer", "octavia", "load-balancer", "/load-balancer", false,
     true},
    {"dns", "designate", "dns", "/dns", false, true},
    {"key-manager", "barbican", "key-manager", "/key-manager", false, true},
    {"sharev2", "manilav2", "share", "/share/v2", false, true},
    {"container-infra", "magnum", "container-infra", "/container-infra/v1",
     false, true},
    {"baremetal", "ironic", "baremetal", "/baremetal", false, true},
    {"object-store", "swift", "object-store", "/object-store/v1/AUTH_", true,
     true},
};

/* What a site is not known to have is left out; of one that has said nothing
 * yet nothing is known. */
static bool has_service(const struct sites_site *site, const char *service,
                        bool is_extra)
{
    if (!service || (site->n_services == 0 && !is_extra))
        return true;
    for (size_t i = 0; i < site->n_services; i++) {
        if (strcmp(site->services[i], service) == 0)
            return true;
    }
    return false;
}

static void put_id(struct ist_sb *out, const struct facade *facade,
                   const char *region, const char *type, const char *interface)
{
    char name[120], hex[IST_ID_HEX_SIZE];
    struct ist_id id;

    snprintf(name, sizeof(name), "%s/%s/%s", region, type, interface);
    id = ist_uuid5(&facade->self->uid, name);
    put(out, "id", ist_id_hex(&id, hex));
}

static void put_region(struct ist_sb *out, const struct facade *facade,
                       const char *url, const Isthmus__V1__Token *token,
                       size_t entry, const char *region, const char *key)
{
    static const char *const interfaces[] = {"public", "internal", "admin"};
    char where[400], project[IST_ID_HEX_SIZE] = "";

    if (entries[entry].has_project && token->scoped)
        facade_hub_id(token, token->identity->grants[0]->project_id, project);
    if (entries[entry].service)
        snprintf(where, sizeof(where), "%s/r/%s%s%s", url, key,
                 entries[entry].path, project);
    else
        snprintf(where, sizeof(where), "%s%s", url, entries[entry].path);
    for (size_t i = 0; i < IST_COUNT(interfaces); i++) {
        ist_sb_puts(out, out->data[out->len - 1] == '[' ? "{" : ",{");
        put_id(out, facade, region, entries[entry].type, interfaces[i]);
        put(out, "interface", interfaces[i]);
        put(out, "region", region);
        put(out, "region_id", region);
        put(out, "url", where);
        ist_sb_putc(out, '}');
    }
}

/* Of a site where the project acts, up or down. */
static void put_site(struct ist_sb *out, const struct facade *facade,
                     const char *url, const Isthmus__V1__Token *token,
                     const struct facade_caller *caller, size_t entry,
                     const struct sites_site *site)
{
    char key[SITES_KEY_SIZE];
    const char *project;

    if (sites_key(site->name, key) &&
        has_service(site, entries[entry].service, entries[entry].is_extra) &&
        (!token->scoped ||
         facade_mapping_find(facade->mappings, site, caller, &project)))
        put_region(out, facade, url, token, entry, site->name, key);
}

/* The user's own site comes first: clients that name no region take it. */
static void put_endpoints(struct ist_sb *out, const struct facade *facade,
                          const char *url, const Isthmus__V1__Token *token,
                          const struct facade_caller *caller, size_t entry)
{
    struct sites_site *home = sites_find(facade->sites, token->home), *site;

    if (home)
        put_site(out, facade, url, token, caller, entry, home);
    if (facade->global && !entries[entry].is_extra)
        put_region(out, facade, url, token, entry, FACADE_GLOBAL,
                   FACADE_GLOBAL);
    site = NULL;
    while ((site = sites_next(facade->sites, site))) {
        if (site != home)
            put_site(out, facade, url, token, caller, entry, site);
    }
}

static bool is_anywhere(const struct facade *facade, const struct entry *entry)
{
    struct sites_site *site = NULL;

    while ((site = sites_next(facade->sites, site))) {
        if (has_service(site, entry->service, true))
            return true;
    }
    return false;
}

void facade_catalog_json(struct ist_sb *out, const struct facade *facade,
                         const char *url, const Isthmus__V1__Token *token)
{
    struct facade_caller caller = {
        .user = "", .project = "", .project_name = ""};
    struct ist_arena arena;

    ist_arena_init(&arena, CALLER_MAX);
    if (token->scoped)
        facade_caller_of(facade, token, &arena, &caller);
    ist_sb_putc(out, '[');
    for (size_t i = 0; i < IST_COUNT(entries); i++) {
        if (entries[i].is_extra && !is_anywhere(facade, &entries[i]))
            continue;
        ist_sb_puts(out, i ? ",{" : "{");
        put_id(out, facade, "", entries[i].type, "");
        put(out, "type", entries[i].type);
        put(out, "name", entries[i].name);
        ist_sb_puts(out, ",\"endpoints\":[");
        put_endpoints(out, facade, url, token, &caller, i);
        ist_sb_puts(out, "]}");
    }
    ist_sb_putc(out, ']');
    ist_arena_fini(&arena);
}

/* --- The token --- */

const char *facade_role_id(const struct facade *facade, const char *role,
                           char *ret)
{
    struct ist_id id = ist_uuid5(&facade->self->uid, role);

    return ist_id_hex(&id, ret);
}

void facade_roles_json(struct ist_sb *out, const struct facade *facade,
                       const Isthmus__V1__Grant *grant)
{
    ist_sb_putc(out, '[');
    for (size_t i = 0; i < grant->n_roles; i++) {
        char hex[IST_ID_HEX_SIZE];

        ist_sb_puts(out, i ? ",{" : "{");
        put(out, "id", facade_role_id(facade, grant->roles[i], hex));
        put(out, "name", grant->roles[i]);
        ist_sb_putc(out, '}');
    }
    ist_sb_putc(out, ']');
}

void facade_token_json(struct ist_sb *out, const struct facade *facade,
                       const char *url, const Isthmus__V1__Token *token,
                       bool with_catalog)
{
    const Isthmus__V1__Identity *who = token->identity;
    char hex[IST_ID_HEX_SIZE];

    ist_sb_puts(out, "{\"token\":{\"methods\":[");
    ist_sb_json(out, token->method, strlen(token->method));
    ist_sb_puts(out, "],\"user\":{");
    put(out, "id", facade_hub_id(token, who->user_id, hex));
    put(out, "name", who->user);
    put_domain(out, token->home, who->domain);
    ist_sb_puts(out, ",\"password_expires_at\":null}");
    if (token->scoped) {
        const Isthmus__V1__Grant *grant = who->grants[0];

        ist_sb_puts(out, ",\"project\":{");
        put(out, "id", facade_hub_id(token, grant->project_id, hex));
        put(out, "name", grant->project);
        put_domain(out, token->home, grant->domain);
        ist_sb_puts(out, "},\"is_domain\":false,\"roles\":");
        facade_roles_json(out, facade, grant);
        if (with_catalog) {
            ist_sb_puts(out, ",\"catalog\":");
            facade_catalog_json(out, facade, url, token);
        }
    }
    put_time(out, "expires_at", token->expires_ms);
    put_time(out, "issued_at", token->issued_ms);
    ist_sb_puts(out, ",\"audit_ids\":[");
    ist_sb_json(out, token->audit_id, strlen(token->audit_id));
    ist_sb_puts(out, "]}}");
}

void facade_project_json(struct ist_sb *out, const char *url,
                         const Isthmus__V1__Token *token,
                         const Isthmus__V1__Grant *grant)
{
    char hex[IST_ID_HEX_SIZE];
    struct ist_sb name;

    ist_sb_init(&name, 0);
    ist_sb_printf(&name, "%s%s%s", token->home, grant->domain[0] ? "." : "",
                  grant->domain);
    ist_sb_putc(out, '{');
    put(out, "id", facade_hub_id(token, grant->project_id, hex));
    put(out, "name", grant->project);
    put(out, "domain_id", ist_sb_text(&name));
    put(out, "parent_id", ist_sb_text(&name));
    ist_sb_puts(out, ",\"enabled\":true,\"is_domain\":false,\"description\":"
                     "\"\",\"tags\":[],\"options\":{},\"links\":{\"self\":\"");
    ist_sb_printf(out, "%s/identity/v3/projects/%s\"}}", url, hex);
    ist_sb_fini(&name);
}
