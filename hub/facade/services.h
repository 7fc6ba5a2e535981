/* The services of a site as clients find them behind the hub: the word of their
 * URLs, and the shape of their errors. Adding one is adding a row. */
#ifndef FACADE_SERVICES_H
#define FACADE_SERVICES_H

#include <stdbool.h>
#include <stddef.h>

/* How a service writes an error, so that its clients can read it. */
enum facade_shape {
    FACADE_NOVA,     /* {"itemNotFound": {"code": 404, "message": ""}} */
    FACADE_NEUTRON,  /* {"NeutronError": {"type": "", "message": "", ...}} */
    FACADE_GLANCE,   /* {"message": "", "code": "404 Not Found", ...} */
    FACADE_ERRORS,   /* {"errors": [{"status": 404, "title": "", ...}]} */
    FACADE_KEYSTONE, /* {"error": {"code": 404, "title": "", ...}} */
};

struct facade_service {
    const char *name; /* "compute": also what the agents call it. It has no "v"
                       * before a digit: gophercloud cuts URLs there. */
    enum facade_shape shape;
    bool is_global; /* Region global has it too. */
    bool is_opaque; /* Bodies are its users' own bytes, JSON or not. */
};

/* NULL: there is none of that name. */
const struct facade_service *facade_service_find(const char *name, size_t len);

#endif
