#include "model/kind.h"

#include "base/scope.h"

#include <string.h>

/* Member paths are those of the native objects: Nova 2.1 and later, Neutron
 * 2.0, Glance 2, Cinder 3, Keystone 3. */
static const struct ist_kind kinds[] =
    {
        /* --- compute --- */
        {
            .name = "server",
            .plural = "servers",
            .service = "compute",
            .members =
                {
                    {"id", "id", IST_MEMBER_TEXT},
                    {"name", "name", IST_MEMBER_TEXT},
                    {"status", "status", IST_MEMBER_TEXT},
                    {"project", "tenant_id", IST_MEMBER_TEXT},
                    {"created_at", "created", IST_MEMBER_TIME},
                    {"updated_at", "updated", IST_MEMBER_TIME},
                    {"user", "user_id", IST_MEMBER_TEXT},
                    {"host", "OS-EXT-SRV-ATTR:host", IST_MEMBER_TEXT},
                    {"zone", "OS-EXT-AZ:availability_zone", IST_MEMBER_TEXT},
                    {"launched_at", "OS-SRV-USG:launched_at", IST_MEMBER_TIME},
                },
        },
        {
            .name = "flavor",
            .plural = "flavors",
            .service = "compute",
            .members =
                {
                    {"id", "id", IST_MEMBER_TEXT},
                    {"name", "name", IST_MEMBER_TEXT},
                    {"vcpus", "vcpus", IST_MEMBER_NUMBER},
                    {"ram", "ram", IST_MEMBER_NUMBER},
                    {"size", "disk", IST_MEMBER_NUMBER},
                },
        },
        {
            /* A key pair is known by its name, to one user. */
            .name = "keypair",
            .plural = "keypairs",
            .service = "compute",
            .members =
                {
                    {"id", "name", IST_MEMBER_TEXT},
                    {"name", "name", IST_MEMBER_TEXT},
                },
        },
        {
            .name = "server-group",
            .plural = "server-groups",
            .service = "compute",
            .members =
                {
                    {"id", "id", IST_MEMBER_TEXT},
                    {"name", "name", IST_MEMBER_TEXT},
                    {"project", "project_id", IST_MEMBER_TEXT},
                },
        },
        {
            .name = "hypervisor",
            .plural = "hypervisors",
            .service = "compute",
            .members =
                {
                    {"id", "id", IST_MEMBER_TEXT},
                    {"name", "hypervisor_hostname", IST_MEMBER_TEXT},
                    {"status", "status", IST_MEMBER_TEXT},
                    {"state", "state", IST_MEMBER_TEXT},
                },
        },
        {
            .name = "compute-service",
            .plural = "compute-services",
            .service = "compute",
            .members =
                {
                    {"id", "id", IST_MEMBER_TEXT},
                    {"name", "binary", IST_MEMBER_TEXT},
                    {"status", "status", IST_MEMBER_TEXT},
                    {"state", "state", IST_MEMBER_TEXT},
                    {"host", "host", IST_MEMBER_TEXT},
                    {"zone", "zone", IST_MEMBER_TEXT},
                    {"updated_at", "updated_at", IST_MEMBER_TIME},
                },
        },
        {
            .name = "availability-zone",
            .plural = "availability-zones",
            .service = "compute",
            .members =
                {
                    {"id", "zoneName", IST_MEMBER_TEXT},
                    {"name", "zoneName", IST_MEMBER_TEXT},
                    {"status", "zoneState.available", IST_MEMBER_TEXT},
                },
        },
        {
            /* One for each project. */
            .name = "quota",
            .plural = "quotas",
            .service = "compute",
            .members =
                {
                    {"id", "id", IST_MEMBER_TEXT},
                    {"project", "id", IST_MEMBER_TEXT},
                },
        },
        {
            /* What is used and allowed, of the agent's own project. It has no
             * id of its own: the agent gives it the project's. */
            .name = "limit",
            .plural = "limits",
            .service = "compute",
            .members =
                {
                    {"id", "", IST_MEMBER_TEXT},
                    {"project", "", IST_MEMBER_TEXT},
                },
        },
        /* --- network --- */
        {
            .name = "network",
            .plural = "networks",
            .service = "network",
            .members =
                {
                    {"id", "id", IST_MEMBER_TEXT},
                    {"name", "name", IST_MEMBER_TEXT},
                    {"status", "status", IST_MEMBER_TEXT},
                    {"project", "project_id", IST_MEMBER_TEXT},
                    {"created_at", "created_at", IST_MEMBER_TIME},
                    {"updated_at", "updated_at", IST_MEMBER_TIME},
                },
        },
        {
            .name = "subnet",
            .plural = "subnets",
            .service = "network",
            .members =
                {
                    {"id", "id", IST_MEMBER_TEXT},
                    {"name", "name", IST_MEMBER_TEXT},
                    {"project", "project_id", IST_MEMBER_TEXT},
                    {"created_at", "created_at", IST_MEMBER_TIME},
                    {"updated_at", "updated_at", IST_MEMBER_TIME},
                    {"network", "network_id", IST_MEMBER_TEXT},
                    {"cidr", "cidr", IST_MEMBER_TEXT},
                },
        },
        {
            .name = "port",
            .plural = "ports",
            .service = "network",
            .members =
                {
                    {"id", "id", IST_MEMBER_TEXT},
                    {"name", "name", IST_MEMBER_TEXT},
                    {"status", "status", IST_MEMBER_TEXT},
                    {"project", "project_id", IST_MEMBER_TEXT},
                    {"created_at", "created_at", IST_MEMBER_TIME},
                    {"updated_at", "updated_at", IST_MEMBER_TIME},
                    {"network", "network_id", IST_MEMBER_TEXT},
                    {"device", "device_id", IST_MEMBER_TEXT},
                },
        },
        {
            .name = "router",
            .plural = "routers",
            .service = "network",
            .members =
                {
                    {"id", "id", IST_MEMBER_TEXT},
                    {"name", "name", IST_MEMBER_TEXT},
                    {"status", "status", IST_MEMBER_TEXT},
                    {"project", "project_id", IST_MEMBER_TEXT},
                    {"created_at", "created_at", IST_MEMBER_TIME},
                    {"updated_at", "updated_at", IST_MEMBER_TIME},
                },
        },
        {
            .name = "security-group",
            .plural = "security-groups",
            .service = "network",
            .members =
                {
                    {"id", "id", IST_MEMBER_TEXT},
                    {"name", "name", IST_MEMBER_TEXT},
                    {"project", "project_id", IST_MEMBER_TEXT},
                    {"created_at", "created_at", IST_MEMBER_TIME},
                    {"updated_at", "updated_at", IST_MEMBER_TIME},
                },
        },
        {
            .name = "floating-ip",
            .plural = "floating-ips",
            .service = "network",
            .members =
                {
                    {"id", "id", IST_MEMBER_TEXT},
                    {"name", "floating_ip_address", IST_MEMBER_TEXT},
                    {"status", "status", IST_MEMBER_TEXT},
                    {"project", "project_id", IST_MEMBER_TEXT},
                    {"created_at", "created_at", IST_MEMBER_TIME},
                    {"updated_at", "updated_at", IST_MEMBER_TIME},
                },
        },
        {
            .name = "network-quota",
            .plural = "network-quotas",
            .service = "network",
            .members =
                {
                    {"id", "", IST_MEMBER_TEXT},
                    {"project", "", IST_MEMBER_TEXT},
                },
        },
        /* --- image --- */
        {
            .name = "image",
            .plural = "images",
            .service = "image",
            .members =
                {
                    {"id", "id", IST_MEMBER_TEXT},
                    {"name", "name", IST_MEMBER_TEXT},
                    {"status", "status", IST_MEMBER_TEXT},
                    {"project", "owner", IST_MEMBER_TEXT},
                    {"created_at", "created_at", IST_MEMBER_TIME},
                    {"updated_at", "updated_at", IST_MEMBER_TIME},
                    {"size", "size", IST_MEMBER_NUMBER},
                    {"visibility", "visibility", IST_MEMBER_TEXT},
                },
        },
        /* --- volume --- */
        {
            .name = "volume",
            .plural = "volumes",
            .service = "volume",
            .members =
                {
                    {"id", "id", IST_MEMBER_TEXT},
                    {"name", "name", IST_MEMBER_TEXT},
                    {"status", "status", IST_MEMBER_TEXT},
                    {"project", "os-vol-tenant-attr:tenant_id",
                     IST_MEMBER_TEXT},
                    {"created_at", "created_at", IST_MEMBER_TIME},
                    {"updated_at", "updated_at", IST_MEMBER_TIME},
                    {"size", "size", IST_MEMBER_NUMBER},
                    {"zone", "availability_zone", IST_MEMBER_TEXT},
                },
        },
        {
            .name = "snapshot",
            .plural = "snapshots",
            .service = "volume",
            .members =
                {
                    {"id", "id", IST_MEMBER_TEXT},
                    {"name", "name", IST_MEMBER_TEXT},
                    {"status", "status", IST_MEMBER_TEXT},
                    {"project", "os-extended-snapshot-attributes:project_id",
                     IST_MEMBER_TEXT},
                    {"created_at", "created_at", IST_MEMBER_TIME},
                    {"updated_at", "updated_at", IST_MEMBER_TIME},
                    {"size", "size", IST_MEMBER_NUMBER},
                    {"volume", "volume_id", IST_MEMBER_TEXT},
                },
        },
        {
            .name = "volume-type",
            .plural = "volume-types",
            .service = "volume",
            .members =
                {
                    {"id", "id", IST_MEMBER_TEXT},
                    {"name", "name", IST_MEMBER_TEXT},
                },
        },
        {
            .name = "volume-quota",
            .plural = "volume-quotas",
            .service = "volume",
            .members =
                {
                    {"id", "id", IST_MEMBER_TEXT},
                    {"project", "id", IST_MEMBER_TEXT},
                },
        },
        /* --- identity --- */
        {
            .name = "project",
            .plural = "projects",
            .service = "identity",
            .members =
                {
                    {"id", "id", IST_MEMBER_TEXT},
                    {"name", "name", IST_MEMBER_TEXT},
                    {"status", "enabled", IST_MEMBER_TEXT},
                    {"project", "id", IST_MEMBER_TEXT},
                    {"domain", "domain_id", IST_MEMBER_TEXT},
                },
        },
};

const struct ist_kind *ist_kinds(size_t *ret_n)
{
    *ret_n = IST_COUNT(kinds);
    return kinds;
}

const struct ist_kind *ist_kind_find(const char *name)
{
    for (size_t i = 0; i < IST_COUNT(kinds); i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    }
    return NULL;
}

const struct ist_kind *ist_kind_find_plural(const char *plural)
{
    for (size_t i = 0; i < IST_COUNT(kinds); i++) {
        if (strcmp(kinds[i].plural, plural) == 0)
            return &kinds[i];
    }
    return NULL;
}

const struct ist_member *ist_kind_member(const struct ist_kind *kind,
                                         const char *name)
{
    for (const struct ist_member *m = kind->members; m->name; m++) {
        if (strcmp(m->name, name) == 0)
            return m;
    }
    return NULL;
}
