#include "os/cloud.h"

#include "os/cloud_priv.h"
#include "os/url.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const struct ist_row os_rows[] = {
    {"openstack.answer_max", IST_ROW_BYTES,
     offsetof(struct os_conf, answer_max), "16MiB", 65536, 1U << 30, 0,
     "Of one page of a list, or one object; a larger one is refused."},
    {"openstack.record_max", IST_ROW_BYTES,
     offsetof(struct os_conf, record_max), "512KiB", 4096, 16U << 20, 0,
     "Of one object in a list; a larger one is left out, and the answer says "
     "so."},
    {"openstack.list_max", IST_ROW_BYTES, offsetof(struct os_conf, list_max),
     "64MiB", 65536, 1U << 30, 0,
     "Of the objects that one list keeps; a list that needs more fails."},
    {"openstack.pages_max", IST_ROW_U64, offsetof(struct os_conf, pages_max),
     "1000", 1, 100000, 0, "Pages of one list; a longer one fails."},
    {"openstack.login", IST_ROW_MS, offsetof(struct os_conf, login_ms), "30s",
     1000, 300000, 0, "Time that Keystone has for a login."},
    {"openstack.login_wait", IST_ROW_MS,
     offsetof(struct os_conf, login_wait_ms), "10s", 0, 3600000, 0,
     "After a refused login no other is tried for so long."},
    {"openstack.versions", IST_ROW_MS, offsetof(struct os_conf, versions_ms),
     "1h", 1000, 86400000, 0,
     "How long it is remembered which microversions a service has."},
    IST_ROW_END,
};

size_t os_service_index(const struct os_service *service)
{
    size_t n;

    return (size_t) (service - os_services(&n));
}

struct os_cloud *os_cloud_new(struct ist_loop *loop, struct ist_http *http,
                              const struct ist_cloud_entry *entry,
                              const struct os_conf *conf, struct ist_err *err)
{
    struct os_cloud *cloud;

    if (os_url_check(entry->auth_url, err)) {
        ist_err_wrap(err, "cloud %s: auth_url", entry->name);
        return NULL;
    }
    cloud = calloc(1, sizeof(*cloud));
    if (!cloud) {
        ist_err_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    cloud->loop = loop;
    cloud->http = http;
    cloud->entry = entry;
    cloud->conf = conf;
    os_auth_init(cloud);
    return cloud;
}

static void on_closed(struct ist_op *op)
{
    struct os_cloud *cloud = IST_CONTAINER(op, struct os_cloud, closing);
    void (*closed)(void *) = cloud->closed;
    void *arg = cloud->closed_arg;

    os_auth_fini(cloud);
    os_trails_fini(&cloud->trails);
    free(cloud);
    if (closed)
        closed(arg);
}

void os_cloud_close(struct os_cloud *cloud, void (*closed)(void *), void *arg)
{
    if (!cloud) {
        if (closed)
            closed(arg);
        return;
    }
    cloud->closed = closed;
    cloud->closed_arg = arg;
    ist_op_prepare(&cloud->closing, cloud->loop, NULL, 0, on_closed);
    ist_op_begin(&cloud->closing, NULL);
    /* The login's own 'done' finishes it then. */
    if (cloud->auth.running)
        ist_op_cancel(&cloud->auth.call.op, -ECANCELED);
    else
        ist_op_finish(&cloud->closing, 0);
}

size_t os_cloud_services(const struct os_cloud *cloud, char ***ret_names)
{
    static char *names[OS_SERVICES_MAX];
    const struct os_service *services;
    size_t n_services, n = 0;

    services = os_services(&n_services);
    for (size_t i = 0; i < n_services; i++) {
        if (cloud->endpoints[i].base)
            names[n++] = (char *) services[i].name;
    }
    *ret_names = names;
    return n;
}
