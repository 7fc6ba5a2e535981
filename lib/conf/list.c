#include "conf/list.h"

#include "conf/file.h"

#include <errno.h>

static void read_rows(const struct ist_conf_list *how, void *arg,
                      struct ist_conf_report *report,
                      const struct ist_yaml_node *list)
{
    for (const struct ist_yaml_link *l = list->first; l; l = l->next) {
        if (l->node->type == IST_YAML_MAP)
            how->read(arg, report, l->node);
        else
            ist_conf_complain(report, l->node->line, "%s must be a map",
                              how->row);
    }
}

/* False: no memory. */
static bool read_tree(const struct ist_conf_list *how, void *arg,
                      struct ist_conf_report *report,
                      const struct ist_yaml_node *root)
{
    const struct ist_yaml_node *list =
        root ? ist_yaml_get(root, how->name) : NULL;
    size_t n = 0;

    if (!list || list->type != IST_YAML_LIST) {
        ist_conf_complain(report, root ? root->line : 0,
                          "there must be a list '%s'", how->name);
        return true;
    }
    for (const struct ist_yaml_link *l = list->first; l; l = l->next)
        n++;
    if (n > how->max) {
        ist_conf_complain(report, list->line, "more than %zu %s", how->max,
                          how->name);
        return true;
    }
    if (!how->begin(arg, n))
        return false;
    read_rows(how, arg, report, list);
    return true;
}

int ist_conf_list_read(const char *path, const struct ist_conf_list *how,
                       void *arg, struct ist_err *err)
{
    IST_CLEANUP(ist_conf_report_fini) struct ist_conf_report report;
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;
    bool has_memory = true;
    struct ist_yaml tree;
    int rc;

    ist_sb_init(&text, 0);
    ist_conf_report_init(&report);
    report.path = path;
    rc = ist_conf_read(path, IST_CONF_FILE_MAX, &text, NULL, err);
    if (rc)
        return rc;
    if (ist_yaml_parse(&tree, ist_sb_text(&text), text.len, 0, &report))
        has_memory = read_tree(how, arg, &report, tree.root);
    ist_yaml_fini(&tree);
    rc = ist_conf_verdict(&report, err);
    return rc || has_memory ? rc : ist_err_set(err, -ENOMEM, "out of memory");
}
