#include "facade/services.h"

#include "base/scope.h"

#include <string.h>

static const struct facade_service services[] = {
    {"compute", FACADE_NOVA, true},
    {"network", FACADE_NEUTRON, true},
    {"image", FACADE_GLANCE, true},
    {"volume", FACADE_NOVA, true},
    /* Those that are passed on, and are no part of region global. */
    {"placement", FACADE_ERRORS, false},
    {"orchestration", FACADE_NOVA, false},
    {"load-balancer", FACADE_ERRORS, false},
    {"dns", FACADE_ERRORS, false},
    {"key-manager", FACADE_ERRORS, false},
    {"share", FACADE_NOVA, false},
    {"container-infra", FACADE_ERRORS, false},
    {"baremetal", FACADE_ERRORS, false},
    {"object-store", FACADE_ERRORS, false},
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
