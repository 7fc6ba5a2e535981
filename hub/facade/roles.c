#include "facade/roles.h"

#include "conf/file.h"
#include "conf/report.h"
#include "conf/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct row {
    char *user, *project; /* One of them. */
    enum facade_role role;
};

struct facade_roles {
    struct row *rows;
    size_t n;
};

static enum facade_role role_of(const char *word)
{
    return strcmp(word, "noc") == 0     ? FACADE_NOC
           : strcmp(word, "admin") == 0 ? FACADE_ADMIN
                                        : FACADE_NOBODY;
}

static void read_member(struct row *row, struct ist_conf_report *report,
                        const struct ist_yaml_link *l)
{
    char quote[IST_CONF_QUOTE_SIZE];
    const char *text = l->node->type == IST_YAML_SCALAR ? l->node->text : "";

    if (!*text)
        ist_conf_complain(report, l->line, "%s must be a word", l->key);
    else if (strcmp(l->key, "user") == 0)
        row->user = strdup(text);
    else if (strcmp(l->key, "project") == 0)
        row->project = strdup(text);
    else if (strcmp(l->key, "role") != 0)
        ist_conf_complain(report, l->line,
                          "%s is none of the members user, project and role",
                          ist_conf_quote(l->key, quote));
    else if ((row->role = role_of(text)) == FACADE_NOBODY)
        ist_conf_complain(report, l->line, "role must be noc or admin");
}

static void read_row(struct facade_roles *roles, struct ist_conf_report *report,
                     const struct ist_yaml_node *node)
{
    struct row *row = &roles->rows[roles->n++];

    if (node->type != IST_YAML_MAP) {
        ist_conf_complain(report, node->line, "a row must be a map");
        return;
    }
    for (const struct ist_yaml_link *l = node->first; l; l = l->next)
        read_member(row, report, l);
    if (!row->user == !row->project || !row->role)
        ist_conf_complain(report, node->line,
                          "a row must say role:, and one of user: and "
                          "project:");
}

static void read_tree(struct facade_roles *roles,
                      struct ist_conf_report *report,
                      const struct ist_yaml_node *root)
{
    const struct ist_yaml_node *list = ist_yaml_get(root, "roles");
    size_t n = 0;

    if (!list || list->type != IST_YAML_LIST) {
        ist_conf_complain(report, root ? root->line : 0,
                          "there must be a list 'roles'");
        return;
    }
    for (const struct ist_yaml_link *l = list->first; l; l = l->next)
        n++;
    if (n > FACADE_ROLES_MAX) {
        ist_conf_complain(report, list->line, "more than %d rows",
                          FACADE_ROLES_MAX);
        return;
    }
    roles->rows = calloc(n ? n : 1, sizeof(*roles->rows));
    for (const struct ist_yaml_link *l = list->first; l && roles->rows;
         l = l->next)
        read_row(roles, report, l->node);
}

static int read_file(struct facade_roles *roles, const char *path,
                     struct ist_err *err)
{
    IST_CLEANUP(ist_conf_report_fini) struct ist_conf_report report;
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;
    struct ist_yaml tree;
    int rc;

    ist_sb_init(&text, 0);
    ist_conf_report_init(&report);
    report.path = path;
    rc = ist_conf_read(path, IST_CONF_FILE_MAX, &text, NULL, err);
    if (rc)
        return rc;
    if (ist_yaml_parse(&tree, ist_sb_text(&text), text.len, 0, &report))
        read_tree(roles, &report, tree.root);
    ist_yaml_fini(&tree);
    rc = ist_conf_verdict(&report, err);
    return rc || roles->rows ? rc : ist_err_set(err, -ENOMEM, "out of memory");
}

struct facade_roles *facade_roles_open(const char *path, struct ist_err *err)
{
    struct facade_roles *roles = calloc(1, sizeof(*roles));

    if (!roles) {
        ist_err_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    return read_file(roles, path, err) ? facade_roles_free(roles) : roles;
}

struct facade_roles *facade_roles_free(struct facade_roles *roles)
{
    for (size_t i = 0; roles && i < roles->n; i++) {
        free(roles->rows[i].user);
        free(roles->rows[i].project);
    }
    if (roles)
        free(roles->rows);
    free(roles);
    return NULL;
}

static bool fits(const struct row *row, const struct facade_caller *caller)
{
    return row->user ? strcmp(row->user, caller->user) == 0
                     : strcmp(row->project, caller->project_name) == 0;
}

enum facade_role facade_roles_of(const struct facade_roles *roles,
                                 const struct facade_caller *caller)
{
    enum facade_role best = FACADE_TENANT;

    for (size_t i = 0; roles && i < roles->n; i++) {
        if (fits(&roles->rows[i], caller) && roles->rows[i].role > best)
            best = roles->rows[i].role;
    }
    return best;
}
