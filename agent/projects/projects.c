#include "projects/projects.h"

#include "conf/file.h"
#include "conf/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct projects {
    struct project *rows;
    size_t n, n_closing;
    void (*closed)(void *);
    void *arg;
};

size_t projects_count(const struct projects *projects)
{
    return projects ? projects->n : 0;
}

/* --- Finding --- */

static bool has_role(const struct project *row, char *const *roles, size_t n)
{
    if (row->n_roles == 0)
        return true;
    for (size_t i = 0; i < row->n_roles; i++) {
        for (size_t j = 0; j < n; j++) {
            if (strcmp(row->roles[i], roles[j]) == 0)
                return true;
        }
    }
    return false;
}

const struct project *projects_find(const struct projects *projects,
                                    const char *id, const char *name,
                                    char *const *roles, size_t n_roles)
{
    for (size_t i = 0; i < projects_count(projects); i++) {
        const struct project *row = &projects->rows[i];

        if ((strcmp(row->hub, id) == 0 || strcmp(row->hub, name) == 0) &&
            has_role(row, roles, n_roles))
            return row;
    }
    return NULL;
}

/* --- Reading --- */

static char *word(struct ist_conf_report *report, const struct ist_yaml_link *l)
{
    if (l->node->type == IST_YAML_SCALAR && l->node->text[0])
        return strdup(l->node->text);
    ist_conf_complain(report, l->line, "%s must be a word",
                      l->key ? l->key : "a role");
    return NULL;
}

static void read_roles(struct project *row, struct ist_conf_report *report,
                       const struct ist_yaml_link *l)
{
    if (l->node->type != IST_YAML_LIST) {
        ist_conf_complain(report, l->line, "roles must be a list");
        return;
    }
    for (const struct ist_yaml_link *r = l->node->first; r; r = r->next) {
        if (row->n_roles == PROJECTS_ROLES_MAX)
            ist_conf_complain(report, l->line, "more than %d roles",
                              PROJECTS_ROLES_MAX);
        else if ((row->roles[row->n_roles] = word(report, r)))
            row->n_roles++;
    }
}

static void read_member(struct project *row, struct ist_conf_report *report,
                        const struct ist_yaml_link *l)
{
    char quote[IST_CONF_QUOTE_SIZE];

    if (strcmp(l->key, "hub") == 0)
        row->hub = word(report, l);
    else if (strcmp(l->key, "cloud") == 0)
        row->cloud_name = word(report, l);
    else if (strcmp(l->key, "roles") == 0)
        read_roles(row, report, l);
    else
        ist_conf_complain(report, l->line,
                          "%s is none of the members hub, cloud and roles",
                          ist_conf_quote(l->key, quote));
}

static void read_row(struct projects *projects, struct ist_conf_report *report,
                     const struct ist_yaml_node *node)
{
    struct project *row = &projects->rows[projects->n++];

    if (node->type != IST_YAML_MAP) {
        ist_conf_complain(report, node->line, "a project must be a map");
        return;
    }
    for (const struct ist_yaml_link *l = node->first; l; l = l->next)
        read_member(row, report, l);
    if (!row->hub || !row->cloud_name)
        ist_conf_complain(report, node->line,
                          "a project must say hub: and cloud:");
}

static void read_tree(struct projects *projects, struct ist_conf_report *report,
                      const struct ist_yaml_node *root)
{
    const struct ist_yaml_node *list = ist_yaml_get(root, "projects");
    size_t n = 0;

    if (!root || !list || list->type != IST_YAML_LIST) {
        ist_conf_complain(report, root ? root->line : 0,
                          "there must be a list 'projects'");
        return;
    }
    for (const struct ist_yaml_link *l = list->first; l; l = l->next)
        n++;
    if (n > PROJECTS_MAX) {
        ist_conf_complain(report, list->line, "more than %d projects",
                          PROJECTS_MAX);
        return;
    }
    projects->rows = calloc(n ? n : 1, sizeof(*projects->rows));
    for (const struct ist_yaml_link *l = list->first; l && projects->rows;
         l = l->next)
        read_row(projects, report, l->node);
}

static int read_file(struct projects *projects, const char *path,
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
        read_tree(projects, &report, tree.root);
    ist_yaml_fini(&tree);
    rc = ist_conf_verdict(&report, err);
    return rc               ? rc
           : projects->rows ? 0
                            : ist_err_set(err, -ENOMEM, "no memory");
}

/* --- Life --- */

static void projects_free(struct projects *projects)
{
    for (size_t i = 0; i < projects->n; i++) {
        struct project *row = &projects->rows[i];

        free(row->hub);
        free(row->cloud_name);
        for (size_t j = 0; j < row->n_roles; j++)
            free(row->roles[j]);
        ist_cloud_entry_fini(&row->entry);
    }
    free(projects->rows);
    free(projects);
}

static void on_closed(void *arg)
{
    struct projects *projects = arg;

    if (--projects->n_closing > 0)
        return;
    if (projects->closed)
        projects->closed(projects->arg);
    projects_free(projects);
}

void projects_close(struct projects *projects, void (*closed)(void *),
                    void *arg)
{
    if (!projects) {
        if (closed)
            closed(arg);
        return;
    }
    projects->closed = closed;
    projects->arg = arg;
    projects->n_closing = projects->n + 1;
    for (size_t i = 0; i < projects->n; i++)
        os_cloud_close(projects->rows[i].cloud, on_closed, projects);
    on_closed(projects);
}

struct projects *projects_open(struct ist_loop *loop, struct ist_http *http,
                               const struct os_conf *conf, const char *path,
                               const char *clouds, struct ist_err *err)
{
    struct projects *projects = calloc(1, sizeof(*projects));
    int rc;

    if (!projects) {
        ist_err_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    rc = read_file(projects, path, err);
    for (size_t i = 0; i < projects->n && rc == 0; i++) {
        struct project *row = &projects->rows[i];

        rc = ist_clouds_load(clouds, row->cloud_name, &row->entry, err);
        if (rc == 0) {
            row->cloud = os_cloud_new(loop, http, &row->entry, conf, err);
            rc = row->cloud ? 0 : err->code;
        }
        if (rc)
            ist_err_wrap(err, "%s: project %s", path, row->hub);
    }
    if (rc == 0)
        return projects;
    projects_close(projects, NULL, NULL);
    return NULL;
}
