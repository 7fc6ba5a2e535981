#include "facade/services.h"

#include "base/scope.h"

#include <string.h>

static const struct facade_service services[] = {
    {.name = "compute", .shape = FACADE_NOVA, .is_global = true},
    {.name = "network", .shape = FACADE_NEUTRON, .is_global = true},
    {.name = "image", .shape = FACADE_GLANCE, .is_global = true},
    {.name = "volume", .shape = FACADE_NOVA, .is_global = true},
    /* Those that are passed on, and are no part of region global. */
    {.name = "placement", .shape = FACADE_ERRORS},
    {.name = "orchestration", .shape = FACADE_NOVA},
    {.name = "load-balancer", .shape = FACADE_ERRORS},
    {.name = "dns", .shape = FACADE_ERRORS},
    {.name = "key-manager", .shape = FACADE_ERRORS},
    {.name = "share", .shape = FACADE_NOVA},
    {.name = "container-infra", .shape = FACADE_ERRORS},
    {.name = "baremetal", .shape = FACADE_ERRORS},
    {.name = "object-store", .shape = FACADE_ERRORS, .is_opaque = true},
};

const struct facade_service *facade_service_find(const char *name, size_t len)
{
    for (size_t i = 0; i < IST_COUNT(services); i++) {
        if (strlen(services[i].name) == len &&
            memcmp(services[i].name, name, len) == 0)
            return &services[i];
    }
    return NULL;
}
