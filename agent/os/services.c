#include "os/rows.h"

#include "base/scope.h"

#include <string.h>

static const struct os_service services[] = {
    {
        .name = "identity",
        .types = {"identity", "identityv3"},
        .prefix = "/v3",
        .versions = "/v3",
        .paging = OS_PAGING_LINKS_NEXT,
        .message = "error.message",
        .page_max = 1000,
        .exchange = "keystone",
    },
    {
        .name = "compute",
        .types = {"compute", "computev21"},
        .prefix = "/v2.1",
        .versions = "/v2.1/",
        .microversions = "compute",
        .version_collection = "version",
        .paging = OS_PAGING_LINKS,
        .sorting = OS_SORTING_PAIRS,
        .message = "*.message",
        .page_max = 1000,
        .exchange = "nova",
    },
    {
        .name = "network",
        .types = {"network"},
        .prefix = "/v2.0",
        .versions = "/v2.0/",
        .paging = OS_PAGING_LINKS,
        .sorting = OS_SORTING_PAIRS,
        .message = "NeutronError.message",
        .page_max = 1000,
        .exchange = "neutron",
    },
    {
        .name = "image",
        .types = {"image"},
        .prefix = "/v2",
        .versions = "/versions",
        .paging = OS_PAGING_NEXT,
        .sorting = OS_SORTING_LIST,
        .message = "message",
        .page_max = 1000,
        .exchange = "glance",
    },
    {
        .name = "volume",
        .types = {"block-storage", "volumev3", "block-store"},
        .prefix = "/v3/{project}",
        .versions = "/v3/",
        .microversions = "volume",
        .version_collection = "versions",
        .paging = OS_PAGING_LINKS,
        .sorting = OS_SORTING_LIST,
        .message = "*.message",
        .page_max = 1000,
        .exchange = "openstack", /* Not "cinder": oslo's default. */
    },
    /* --- Only passed on --- */
    {.name = "placement", .types = {"placement"}},
    {.name = "orchestration", .types = {"orchestration"}},
    {.name = "load-balancer", .types = {"load-balancer"}},
    {.name = "dns", .types = {"dns"}},
    {.name = "key-manager", .types = {"key-manager"}},
    {.name = "share", .types = {"shared-file-system", "sharev2"}},
    {.name = "container-infra", .types = {"container-infra"}},
    {.name = "baremetal", .types = {"baremetal"}},
    {.name = "object-store", .types = {"object-store"}, .is_opaque = true},
};

const struct os_service *os_services(size_t *ret_n)
{
    *ret_n = IST_COUNT(services);
    return services;
}

const struct os_service *os_services_known(size_t *ret_n)
{
    *ret_n = IST_COUNT(services);
    while (*ret_n > 0 && !services[*ret_n - 1].versions)
        --*ret_n;
    return services;
}

const struct os_service *os_service_find(const char *name)
{
    for (size_t i = 0; i < IST_COUNT(services); i++) {
        if (strcmp(services[i].name, name) == 0)
            return &services[i];
    }
    return NULL;
}

const struct os_service *os_identity(void)
{
    return os_service_find("identity");
}
