#include "os/rows.h"

#include "base/scope.h"

#include <string.h>

/* Neutron matches a filter exactly, and takes it more than once. */
#define NEUTRON_FILTERS                                                        \
    {                                                                          \
        {"id", "id"}, {"name", "name"}, {"status", "status"},                  \
        {                                                                      \
            "project", "project_id"                                            \
        }                                                                      \
    }
/* The same for what has no status, or whose status it does not filter by: it
 * passes over the one or answers 400, as its configuration says. */
#define NEUTRON_FILTERS_NO_STATUS                                              \
    {                                                                          \
        {"id", "id"}, {"name", "name"},                                        \
        {                                                                      \
            "project", "project_id"                                            \
        }                                                                      \
    }
#define NEUTRON_SORTS                                                          \
    {                                                                          \
        {                                                                      \
            "id", "id"                                                         \
        }                                                                      \
    }

static const struct os_resource resources[] = {
    /* --- compute ---
     * Microversions are those of the newest release that this was tried
     * with; an older service is asked for its own newest. Nova's "name" is a
     * regular expression, so it is not among the filters. */
    {
        .kind = "server",
        .list_path = "/servers/detail",
        .collection = "servers",
        .show_path = "/servers/{id}",
        .show_collection = "server",
        .version = "2.93",
        .sorts = {{"created_at", "created_at"}, {"id", "uuid"}},
        .filters = {{"id", "uuid"},
                    {"status", "status"},
                    {"project", "project_id"}},
        .takes = os_quirk_known_status,
        .admin_query = "all_tenants=1",
        .shown_differs = true, /* From 2.71 on it has "server_groups". */
    },
    {
        .kind = "flavor",
        .list_path = "/flavors/detail",
        .collection = "flavors",
        .show_path = "/flavors/{id}",
        .show_collection = "flavor",
        .version = "2.93",
        .admin_query = "is_public=None",
    },
    {
        .kind = "keypair",
        .list_path = "/os-keypairs",
        .collection = "keypairs",
        .wrapper = "keypair",
        .show_path = "/os-keypairs/{id}",
        .show_collection = "keypair",
        .version = "2.93",
    },
    {
        .kind = "server-group",
        .list_path = "/os-server-groups",
        .collection = "server_groups",
        .show_path = "/os-server-groups/{id}",
        .show_collection = "server_group",
        .version = "2.93",
        .unpaged = true, /* It has limit and offset, but no marker. */
        .admin_query = "all_projects=True",
    },
    {
        .kind = "hypervisor",
        .list_path = "/os-hypervisors/detail",
        .collection = "hypervisors",
        .show_path = "/os-hypervisors/{id}",
        .show_collection = "hypervisor",
        .version = "2.93",
        .changing = {"uptime"},
    },
    {
        .kind = "compute-service",
        .list_path = "/os-services",
        .collection = "services",
        .version = "2.93",
        .unpaged = true,
        .changing = {"updated_at"},
    },
    {
        .kind = "availability-zone",
        .list_path = "/os-availability-zone",
        .collection = "availabilityZoneInfo",
        .version = "2.93",
        .unpaged = true,
    },
    {
        .kind = "quota",
        .list_path = "/os-quota-sets/{project}",
        .collection = "quota_set",
        .show_path = "/os-quota-sets/{id}",
        .show_collection = "quota_set",
        .version = "2.93",
        .unpaged = true,
    },
    {
        .kind = "limit",
        .list_path = "/limits",
        .collection = "limits.absolute",
        .version = "2.93",
        .unpaged = true,
        .query = os_quirk_limits_of_project,
        .quiet = true,
    },
    /* --- network --- */
    {
        .kind = "network",
        .list_path = "/networks",
        .collection = "networks",
        .show_path = "/networks/{id}",
        .show_collection = "network",
        .sorts = NEUTRON_SORTS,
        .filters = NEUTRON_FILTERS,
    },
    {
        .kind = "subnet",
        .list_path = "/subnets",
        .collection = "subnets",
        .show_path = "/subnets/{id}",
        .show_collection = "subnet",
        .sorts = NEUTRON_SORTS,
        .filters = NEUTRON_FILTERS_NO_STATUS,
    },
    {
        .kind = "port",
        .list_path = "/ports",
        .collection = "ports",
        .show_path = "/ports/{id}",
        .show_collection = "port",
        .sorts = NEUTRON_SORTS,
        .filters = NEUTRON_FILTERS,
    },
    {
        .kind = "router",
        .list_path = "/routers",
        .collection = "routers",
        .show_path = "/routers/{id}",
        .show_collection = "router",
        .sorts = NEUTRON_SORTS,
        .filters = NEUTRON_FILTERS_NO_STATUS,
    },
    {
        .kind = "security-group",
        .list_path = "/security-groups",
        .collection = "security_groups",
        .show_path = "/security-groups/{id}",
        .show_collection = "security_group",
        .sorts = NEUTRON_SORTS,
        /* Asked for those of a project, Neutron makes its default group if it
         * has none: a question must leave no trace. */
        .filters = {{"id", "id"}, {"name", "name"}},
    },
    {
        .kind = "floating-ip",
        .list_path = "/floatingips",
        .collection = "floatingips",
        .show_path = "/floatingips/{id}",
        .show_collection = "floatingip",
        .sorts = NEUTRON_SORTS,
        .filters = {{"id", "id"},
                    {"name", "floating_ip_address"},
                    {"status", "status"},
                    {"project", "project_id"}},
    },
    {
        .kind = "network-quota",
        .list_path = "/quotas/{project}",
        .collection = "quota",
        .show_path = "/quotas/{id}",
        .show_collection = "quota",
        .unpaged = true,
    },
    /* --- image --- */
    {
        .kind = "image",
        .list_path = "/images",
        .collection = "images",
        .show_path = "/images/{id}",
        .show_collection = "",
        .sorts = {{"created_at", "created_at"}, {"id", "id"}},
        .filters = {{"name", "name"},
                    {"status", "status"},
                    {"project", "owner"}},
        .takes = os_quirk_no_operator,
    },
    /* --- volume --- */
    {
        .kind = "volume",
        .list_path = "/volumes/detail",
        .collection = "volumes",
        .show_path = "/volumes/{id}",
        .show_collection = "volume",
        .version = "3.70",
        .sorts = {{"created_at", "created_at"}, {"id", "id"}},
        .filters = {{"name", "name"},
                    {"status", "status"},
                    {"project", "project_id"}},
        .admin_query = "all_tenants=1",
    },
    {
        .kind = "snapshot",
        .list_path = "/snapshots/detail",
        .collection = "snapshots",
        .show_path = "/snapshots/{id}",
        .show_collection = "snapshot",
        .version = "3.70",
        .sorts = {{"created_at", "created_at"}, {"id", "id"}},
        .filters = {{"name", "name"},
                    {"status", "status"},
                    {"project", "project_id"}},
        .admin_query = "all_tenants=1",
    },
    {
        .kind = "volume-type",
        .list_path = "/types",
        .collection = "volume_types",
        .show_path = "/types/{id}",
        .show_collection = "volume_type",
        .links = "volume_type_links",
        .version = "3.70",
        .admin_query = "is_public=None",
    },
    {
        .kind = "volume-quota",
        .list_path = "/os-quota-sets/{project}",
        .collection = "quota_set",
        .show_path = "/os-quota-sets/{id}",
        .show_collection = "quota_set",
        .version = "3.70",
        .unpaged = true,
    },
    /* --- identity --- */
    {
        .kind = "project",
        .list_path = "/projects",
        .collection = "projects",
        .show_path = "/projects/{id}",
        .show_collection = "project",
        .filters = {{"name", "name"}},
    },
};

const struct os_resource *os_resources(size_t *ret_n)
{
    *ret_n = IST_COUNT(resources);
    return resources;
}

const struct os_resource *os_resource_find(const char *kind)
{
    for (size_t i = 0; i < IST_COUNT(resources); i++) {
        if (strcmp(resources[i].kind, kind) == 0)
            return &resources[i];
    }
    return NULL;
}

const char *os_native_find(const struct os_native *natives, const char *member)
{
    for (size_t i = 0; i < OS_NATIVE_MAX && natives[i].member; i++) {
        if (strcmp(natives[i].member, member) == 0)
            return natives[i].native;
    }
    return NULL;
}
