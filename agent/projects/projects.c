#include "projects/projects.h"

#include "base/log.h"
#include "conf/file.h"
#include "conf/yaml.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_MS 60000U /* For those that could not log in. */

struct projects {
    struct project *rows;
    size_t n, n_closing, n_held;
    void (*closed)(void *);
    void *arg;

    /* Resolving: one row after the other. */
    struct ist_loop *loop;
    struct os_login login;
    struct ist_timer again;
    size_t next;
    bool is_logging_in; /* Until on_login(), not only until it is finished. */
    bool is_closing, is_news, is_lacking; /* The last two: of this round. */
    void (*changed)(void *);
    void *changed_arg;
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

/* --- Telling --- */

static const char *project_of(const struct project *row)
{
    return os_cloud_project(row->cloud);
}

bool projects_tell(const struct projects *projects, struct ist_arena *arena,
                   Isthmus__V1__Mapping ***ret, size_t *ret_n)
{
    size_t n = projects_count(projects);
    Isthmus__V1__Mapping *rows =
        ist_arena_alloc(arena, (n + 1) * sizeof(*rows));

    *ret = ist_arena_alloc(arena, (n + 1) * sizeof(Isthmus__V1__Mapping *));
    *ret_n = 0;
    for (size_t i = 0; rows && *ret && i < n; i++) {
        const struct project *row = &projects->rows[i];

        isthmus__v1__mapping__init(&rows[i]);
        rows[i].hub = row->hub;
        rows[i].roles = (char **) (uintptr_t) row->roles;
        rows[i].n_roles = row->n_roles;
        rows[i].project = ist_arena_strdup(arena, project_of(row));
        if (!rows[i].project)
            return false;
        (*ret)[(*ret_n)++] = &rows[i];
    }
    return rows && *ret;
}

static void hash_text(crypto_hash_sha256_state *state, const char *text)
{
    crypto_hash_sha256_update(state, (const uint8_t *) text, strlen(text) + 1);
}

void projects_digest(const struct projects *projects, uint8_t ret[32])
{
    crypto_hash_sha256_state state;

    crypto_hash_sha256_init(&state);
    for (size_t i = 0; i < projects_count(projects); i++) {
        const struct project *row = &projects->rows[i];

        hash_text(&state, row->hub);
        for (size_t j = 0; j < row->n_roles; j++)
            hash_text(&state, row->roles[j]);
        hash_text(&state, "");
        hash_text(&state, project_of(row));
    }
    crypto_hash_sha256_final(&state, ret);
}

/* --- Resolving --- */

static void resolve_next(struct projects *projects);
static void close_if_free(struct projects *projects);

static void begin_round(struct ist_timer *timer)
{
    struct projects *projects = IST_CONTAINER(timer, struct projects, again);

    projects->next = 0;
    projects->is_news = projects->is_lacking = false;
    resolve_next(projects);
}

static void on_login(struct ist_op *op)
{
    struct os_login *login = IST_CONTAINER(op, struct os_login, op);
    struct projects *projects = IST_CONTAINER(login, struct projects, login);
    const struct project *row = &projects->rows[projects->next++];

    projects->is_logging_in = false;
    if (projects->is_closing) {
        close_if_free(projects);
        return;
    }
    projects->is_news |= op->rc == 0;
    projects->is_lacking |= op->rc != 0;
    if (op->rc)
        ist_log_warn("projects", "project %s: %s", row->hub, op->err.text);
    resolve_next(projects);
}

static void resolve_next(struct projects *projects)
{
    while (projects->next < projects->n &&
           project_of(&projects->rows[projects->next])[0])
        projects->next++;
    if (projects->next < projects->n) {
        projects->is_logging_in = true;
        ist_op_prepare(&projects->login.op, projects->loop, NULL, 0, on_login);
        os_login_start(projects->rows[projects->next].cloud, &projects->login);
        return;
    }
    if (projects->is_news)
        projects->changed(projects->changed_arg);
    if (projects->is_lacking)
        ist_timer_arm_in(&projects->again, projects->loop, AGAIN_MS,
                         begin_round);
}

void projects_resolve(struct projects *projects, void (*changed)(void *),
                      void *arg)
{
    if (!projects)
        return;
    projects->changed = changed;
    projects->changed_arg = arg;
    begin_round(&projects->again);
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

static void close_rows(struct projects *projects)
{
    projects->n_closing = projects->n + 1;
    for (size_t i = 0; i < projects->n; i++)
        os_cloud_close(projects->rows[i].cloud, on_closed, projects);
    on_closed(projects);
}

static void close_if_free(struct projects *projects)
{
    if (projects->is_closing && projects->n_held == 0 &&
        !projects->is_logging_in)
        close_rows(projects);
}

void projects_hold(struct projects *projects)
{
    if (projects)
        projects->n_held++;
}

void projects_release(struct projects *projects)
{
    if (projects && --projects->n_held == 0)
        close_if_free(projects);
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
    projects->is_closing = true;
    ist_timer_disarm(&projects->again);
    if (projects->is_logging_in)
        ist_op_cancel(&projects->login.op, -ECANCELED);
    close_if_free(projects);
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
    projects->loop = loop;
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
