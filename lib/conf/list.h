/* A file that is one list of rows, as operators write roles.yaml or
 * projects.yaml:
 *
 *     projects:
 *       - {hub: hkg/shop, cloud: shop}
 */
#ifndef CONF_LIST_H
#define CONF_LIST_H

#include "conf/report.h"
#include "conf/yaml.h"

struct ist_conf_list {
    const char *name; /* "projects" */
    const char *row;  /* What one is called in complaints: "a project" */
    size_t max;       /* More are a complaint, and none is read. */
    /* Room for so many; false: no memory. */
    bool (*begin)(void *arg, size_t n);
    /* Of each in turn, which is a map; it complains where it must. */
    void (*read)(void *arg, struct ist_conf_report *,
                 const struct ist_yaml_node *row);
};

/* 0, or a fault with 'err', which names the file and the line: it cannot be
 * read, or there was a complaint. Blocks on the disk. */
int ist_conf_list_read(const char *path, const struct ist_conf_list *,
                       void *arg, struct ist_err *err);

#endif
