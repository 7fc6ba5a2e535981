#include "api/tenant.h"

#include "facade/assertion.h"
#include "facade/mapping.h"
#include "sites/key.h"

#include <stdio.h>
#include <string.h>

/* The kinds that a project has, or may use, and where the services list them.
 */
static const struct {
    const char *kind, *path;
} kinds[] = {
    {"server", "/servers"},
    {"flavor", "/flavors"},
    {"server-group", "/os-server-groups"},
    {"availability-zone", "/os-availability-zone"},
    {"network", "/networks"},
    {"subnet", "/subnets"},
    {"port", "/ports"},
    {"router", "/routers"},
    {"security-group", "/security-groups"},
    {"floating-ip", "/floatingips"},
    {"image", "/images"},
    {"volume", "/volumes"},
    {"snapshot", "/snapshots"},
    {"volume-type", "/types"},
};

static const char *path_of(const struct ist_kind *kind)
{
    for (size_t i = 0; i < IST_COUNT(kinds); i++) {
        if (strcmp(kinds[i].kind, kind->name) == 0)
            return kinds[i].path;
    }
    return NULL;
}

const char *api_tenant_doubt(const struct ist_kind *kind,
                             const struct api_query *query)
{
    if (!path_of(kind))
        return "These are no tenant's: they are for the NOC and the admin.";
    if (query->has_max_age || query->consistent)
        return "What the hub itself knows is for the NOC and the admin: ask "
               "without max_age and consistent.";
    return NULL;
}

struct sites_site **api_tenant_sites(const struct api *api,
                                     const struct facade_caller *caller,
                                     struct sites_site *const *chosen, size_t n,
                                     struct ist_arena *arena, size_t *ret_n)
{
    size_t n_all = chosen ? n : sites_count(api->sites);
    struct sites_site **ret =
        ist_arena_alloc(arena, (n_all + 1) * sizeof(struct sites_site *));
    struct sites_site *site = NULL;
    const char *project;

    *ret_n = 0;
    for (size_t i = 0; ret && i < n_all; i++) {
        site = chosen ? chosen[i] : sites_next(api->sites, site);
        if (site &&
            facade_mapping_find(api->facade->mappings, site, caller, &project))
            ret[(*ret_n)++] = site;
    }
    return ret;
}

Isthmus__V1__Relay *api_tenant_as(struct survey *survey,
                                  struct sites_site *site)
{
    struct api_reading *reading =
        IST_CONTAINER(survey, struct api_reading, survey);
    Isthmus__V1__Relay *ret = ist_arena_alloc(reading->arena, sizeof(*ret));
    const char *service = reading->kind->service;
    struct facade_asked asked = {
        .site = site,
        .service = facade_service_find(service, strlen(service)),
        .target = path_of(reading->kind),
        .base = reading->base,
        .caller = *reading->caller};
    char key[SITES_KEY_SIZE];
    char *base = NULL;
    size_t size;

    if (sites_key(site->name, key)) {
        size = strlen(reading->base) + strlen(key) + 4;
        base = ist_arena_alloc(reading->arena, size);
        if (base)
            snprintf(base, size, "%s/r/%s", reading->base, key);
    }
    if (!ret || !base || !asked.service)
        return NULL;
    isthmus__v1__relay__init(ret);
    asked.base = base;
    return facade_assert(reading->api->facade, &asked, "GET",
                         reading->request_id, reading->arena, ret)
               ? ret
               : NULL;
}
