#include "facade/services.h"

#include "base/scope.h"

#include <string.h>

static const struct facade_service services[] = {
    {"compute", FACADE_NOVA},
    {"network", FACADE_NEUTRON},
    {"image", FACADE_GLANCE},
    {"volume", FACADE_NOVA},
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
