#include "projects/projects.h"

#include "base/log.h"
#include "conf/list.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define MAKE_MS  60000U /* For one credential. */
#define AGAIN_MS 60000U /* For those that could not log in. */

struct projects {
    struct project *rows;
    size_t n, n_closing, n_held;
    void (*closed)(void *);
    void *arg;

    /* Resolving: one row after the other. */
    struct ist_loop *loop;
    struct ist_http *http;
    const struct os_conf *conf; /* All borrowed. */
    struct os_login login;
    struct ist_timer again;
    size_t next;
    /* Logging in or making a credential: until on_login() or on_made(), not
     * only until it is finished. */
    bool is_busy;
    bool is_closing;
    /* Of this round. After one refused login by password no other is tried,
     * lest the account is locked; the next round begins with the others. */
    bool is_news, is_lacking, is_refused;
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
    return row->cloud ? os_cloud_project(row->cloud) : "";
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

/* All that are to be made have been refused: they take turns once more. */
static void forgive_if_all(struct projects *projects)
{
    for (size_t i = 0; i < projects->n; i++) {
        if (!projects->rows[i].cloud && !projects->rows[i].is_refused)
            return;
    }
    for (size_t i = 0; i < projects->n; i++)
        projects->rows[i].is_refused = false;
}

static void begin_round(struct ist_timer *timer)
{
    struct projects *projects = IST_CONTAINER(timer, struct projects, again);

    projects->next = 0;
    projects->is_news = projects->is_lacking = projects->is_refused = false;
    forgive_if_all(projects);
    resolve_next(projects);
}

static void on_login(struct ist_op *op)
{
    struct os_login *login = IST_CONTAINER(op, struct os_login, op);
    struct projects *projects = IST_CONTAINER(login, struct projects, login);
    const struct project *row = &projects->rows[projects->next++];

    projects->is_busy = false;
    if (projects->is_closing) {
        close_if_free(projects);
        return;
    }
    projects->is_news |= op->rc == 0;
    projects->is_lacking |= op->rc != 0;
    if (op->rc == OS_E_LOGIN && row->project)
        ist_log_warn("projects",
                     "project %s: Keystone refuses the application credential "
                     "that was made for %s: if it was not deleted there on "
                     "purpose, delete %s and reload, and another is made",
                     row->hub, row->project, row->grant.path);
    else if (op->rc)
        ist_log_warn("projects", "project %s: %s", row->hub, op->err.text);
    resolve_next(projects);
}

static int open_cloud(struct projects *projects, struct project *row,
                      struct ist_err *err)
{
    row->cloud = os_cloud_new(projects->loop, projects->http, &row->entry,
                              projects->conf, err);
    return row->cloud ? 0 : err->code;
}

/* The rows of the same grant, this one among them, which have a credential
 * now. */
static int use_grant(struct projects *projects, const struct grant *grant,
                     struct ist_err *err)
{
    int rc = 0;

    for (size_t i = 0; i < projects->n && rc == 0; i++) {
        struct project *row = &projects->rows[i];

        if (!row->project || row->cloud || !grant_is_same(&row->grant, grant))
            continue;
        rc = grant_entry(grant, &row->entry);
        if (rc)
            ist_err_set(err, rc, "out of memory");
        else
            rc = open_cloud(projects, row, err);
    }
    return rc;
}

static void on_made(struct ist_op *op)
{
    struct grant *grant = IST_CONTAINER(op, struct grant, op);
    struct project *row = IST_CONTAINER(grant, struct project, grant);
    struct projects *projects = row->owner;
    int rc = op->rc;

    projects->is_busy = false;
    if (projects->is_closing) {
        close_if_free(projects);
        return;
    }
    if (rc == 0)
        rc = use_grant(projects, grant, &op->err);
    row->is_refused = rc == OS_E_LOGIN;
    projects->is_refused |= row->is_refused;
    if (rc) {
        ist_log_warn("projects",
                     "project %s: no application credential could be made for "
                     "%s: %s",
                     row->hub, row->project, op->err.text);
        projects->is_lacking = true;
        projects->next++;
    } else {
        ist_log_info("projects",
                     "project %s: an application credential was made for %s",
                     row->hub, row->project);
    }
    resolve_next(projects);
}

/* The next row's login, or before it the making of what it logs in with. */
static void resolve_row(struct projects *projects, struct project *row)
{
    projects->is_busy = true;
    if (row->cloud) {
        ist_op_prepare(&projects->login.op, projects->loop, NULL, 0, on_login);
        os_login_start(row->cloud, &projects->login);
    } else {
        ist_op_prepare(&row->grant.op, projects->loop, NULL, MAKE_MS, on_made);
        grant_start(&row->grant);
    }
}

/* Is there anything to do for it in this round? */
static bool is_next(struct projects *projects)
{
    const struct project *row = &projects->rows[projects->next];

    if (project_of(row)[0])
        return false;
    if (!row->cloud && (projects->is_refused || row->is_refused)) {
        projects->is_lacking = true;
        return false;
    }
    return true;
}

static void resolve_next(struct projects *projects)
{
    while (projects->next < projects->n && !is_next(projects))
        projects->next++;
    if (projects->next < projects->n) {
        resolve_row(projects, &projects->rows[projects->next]);
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

static void read_roles(char *roles[PROJECTS_ROLES_MAX], size_t *n,
                       struct ist_conf_report *report,
                       const struct ist_yaml_link *l)
{
    if (l->node->type != IST_YAML_LIST) {
        ist_conf_complain(report, l->line, "%s must be a list", l->key);
        return;
    }
    for (const struct ist_yaml_link *r = l->node->first; r; r = r->next) {
        if (*n == PROJECTS_ROLES_MAX)
            ist_conf_complain(report, l->line, "more than %d roles",
                              PROJECTS_ROLES_MAX);
        else if ((roles[*n] = word(report, r)))
            ++*n;
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
    else if (strcmp(l->key, "project") == 0)
        row->project = word(report, l);
    else if (strcmp(l->key, "roles") == 0)
        read_roles(row->roles, &row->n_roles, report, l);
    else if (strcmp(l->key, "grant") == 0)
        read_roles(row->granted, &row->n_granted, report, l);
    else
        ist_conf_complain(report, l->line,
                          "%s is none of the members hub, project, grant, "
                          "cloud and roles",
                          ist_conf_quote(l->key, quote));
}

static void read_row(void *arg, struct ist_conf_report *report,
                     const struct ist_yaml_node *node)
{
    struct projects *projects = arg;
    struct project *row = &projects->rows[projects->n++];

    row->owner = projects;
    for (const struct ist_yaml_link *l = node->first; l; l = l->next)
        read_member(row, report, l);
    if (!row->hub || !row->cloud_name == !row->project)
        ist_conf_complain(report, node->line,
                          "a project must say hub:, and either project: or "
                          "cloud:");
    else if (!row->project != (row->n_granted == 0))
        ist_conf_complain(report, node->line,
                          "project: and grant:, the roles that the hub's users "
                          "have in it, belong together");
}

static bool begin(void *arg, size_t n)
{
    struct projects *projects = arg;

    projects->rows = calloc(n ? n : 1, sizeof(*projects->rows));
    return projects->rows != NULL;
}

static const struct ist_conf_list list = {.name = "projects",
                                          .row = "a project",
                                          .max = PROJECTS_MAX,
                                          .begin = begin,
                                          .read = read_row};

/* --- Life --- */

static void projects_free(struct projects *projects)
{
    for (size_t i = 0; i < projects->n; i++) {
        struct project *row = &projects->rows[i];

        free(row->hub);
        free(row->cloud_name);
        free(row->project);
        for (size_t j = 0; j < row->n_roles; j++)
            free(row->roles[j]);
        for (size_t j = 0; j < row->n_granted; j++)
            free(row->granted[j]);
        grant_fini(&row->grant);
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
    projects->n_closing = 2 * projects->n + 1;
    for (size_t i = 0; i < projects->n; i++) {
        os_cloud_close(projects->rows[i].cloud, on_closed, projects);
        grant_close(&projects->rows[i].grant, on_closed, projects);
    }
    on_closed(projects);
}

static void close_if_free(struct projects *projects)
{
    if (projects->is_closing && projects->n_held == 0 && !projects->is_busy)
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
    if (projects->is_busy) {
        struct project *row = &projects->rows[projects->next];

        ist_op_cancel(row->cloud ? &projects->login.op : &row->grant.op,
                      -ECANCELED);
    }
    close_if_free(projects);
}

/* What it logs in with; a credential that is still to be made is none yet. */
static int open_row(struct projects *projects, struct project *row,
                    const struct projects_conf *conf, struct ist_err *err)
{
    int rc;

    if (row->cloud_name) {
        rc = ist_clouds_load(conf->clouds, row->cloud_name, &row->entry, err);
    } else {
        rc = grant_init(&row->grant, projects->loop, projects->http,
                        projects->conf, conf->own, conf->state, row->project,
                        row->granted, row->n_granted, err);
        if (rc == 0)
            rc = grant_read(&row->grant, &row->entry, err);
        if (rc == -ENOENT)
            return 0;
    }
    return rc ? rc : open_cloud(projects, row, err);
}

struct projects *projects_open(struct ist_loop *loop, struct ist_http *http,
                               const struct os_conf *os_conf,
                               const struct projects_conf *conf,
                               struct ist_err *err)
{
    struct projects *projects = calloc(1, sizeof(*projects));
    int rc;

    if (!projects) {
        ist_err_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    projects->loop = loop;
    projects->http = http;
    projects->conf = os_conf;
    rc = ist_conf_list_read(conf->path, &list, projects, err);
    for (size_t i = 0; i < projects->n && rc == 0; i++) {
        struct project *row = &projects->rows[i];

        rc = open_row(projects, row, conf, err);
        if (rc)
            ist_err_wrap(err, "%s: project %s", conf->path, row->hub);
    }
    if (rc == 0)
        return projects;
    projects_close(projects, NULL, NULL);
    return NULL;
}
