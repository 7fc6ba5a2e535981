#include "facade/roles.h"

#include "conf/list.h"

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

static void read_row(void *arg, struct ist_conf_report *report,
                     const struct ist_yaml_node *node)
{
    struct facade_roles *roles = arg;
    struct row *row = &roles->rows[roles->n++];

    for (const struct ist_yaml_link *l = node->first; l; l = l->next)
        read_member(row, report, l);
    if (!row->user == !row->project || !row->role)
        ist_conf_complain(report, node->line,
                          "a row must say role:, and one of user: and "
                          "project:");
}

static bool begin(void *arg, size_t n)
{
    struct facade_roles *roles = arg;

    roles->rows = calloc(n ? n : 1, sizeof(*roles->rows));
    return roles->rows != NULL;
}

static const struct ist_conf_list list = {.name = "roles",
                                          .row = "a row",
                                          .max = FACADE_ROLES_MAX,
                                          .begin = begin,
                                          .read = read_row};

struct facade_roles *facade_roles_open(const char *path, struct ist_err *err)
{
    struct facade_roles *roles = calloc(1, sizeof(*roles));

    if (!roles) {
        ist_err_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    return ist_conf_list_read(path, &list, roles, err)
               ? facade_roles_free(roles)
               : roles;
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
