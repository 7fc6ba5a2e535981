/* One object, by its id; by its name where nothing has that id. */
#include "cli/alarm.h"
#include "cli/ask.h"
#include "cli/out.h"
#include "cli/say.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void path_of(const struct cli_args *args, const struct cli_kind *kind,
                    const char *id, struct ist_sb *path)
{
    ist_sb_printf(path, "/api/v1/%s/", kind->path);
    cli_hub_segment(path, id);
    cli_hub_query(path, "site", ist_sb_text(&args->sites));
    cli_hub_accept(path, args);
}

static int several(const struct cli_kind *kind, const char *id,
                   const json_t *choices)
{
    struct ist_sb sb;
    json_t *choice;
    size_t i;
    int rc;

    ist_sb_init(&sb, 0);
    json_array_foreach(choices, i, choice)
    {
        const char *site = json_string_value(json_object_get(choice, "site"));
        const char *its = json_string_value(json_object_get(choice, "id"));

        ist_sb_printf(&sb, "%s%s%s%s", i ? ", " : "", its ? its : "",
                      its ? " at " : "", site ? site : "?");
    }
    rc = cli_fail(CLI_FAILED,
                  "%s %s stands for several (%s): give its id and "
                  "--site",
                  kind->noun, id, ist_sb_text(&sb));
    ist_sb_fini(&sb);
    return rc;
}

/* Names the sites that did not answer; how many there are. */
static size_t say_failed(const json_t *sites)
{
    size_t i, n = 0;
    json_t *site;

    json_array_foreach(sites, i, site)
    {
        const char *state = json_string_value(json_object_get(site, "state"));
        const char *name = json_string_value(json_object_get(site, "site"));
        const char *why = json_string_value(json_object_get(site, "reason"));

        if (!state || !name || strcmp(state, "failed") != 0)
            continue;
        cli_say("site %s: %s", name, why ? why : "failed");
        n++;
    }
    return n;
}

/* The one object of a page of what has this name. Where a site failed it may
 * have another of that name: then the exit says so. */
static int pick_named(const struct cli_kind *kind, const char *name,
                      const json_t *body, json_t **ret)
{
    json_t *items = json_object_get(body, "items");

    if (json_array_size(items) > 1)
        return several(kind, name, items);
    if (json_array_size(items) == 0)
        return CLI_FAILED;
    *ret = json_incref(json_array_get(items, 0));
    return say_failed(json_object_get(body, "sites")) ? CLI_PARTIAL : CLI_OK;
}

/* Nothing has this id, or nothing that could be asked ('answer' and 'status'
 * say which): perhaps it is a name. */
static int find_by_name(struct cli_hub *hub, const struct cli_kind *kind,
                        const char *name, const json_t *answer, long status,
                        json_t **ret)
{
    json_t *body = NULL;
    struct ist_sb path;
    long list_status = 0;
    int rc;

    ist_sb_init(&path, 0);
    ist_sb_printf(&path, "/api/v1/%s?limit=10", kind->path);
    cli_hub_query(&path, "name", name);
    cli_hub_query(&path, "site", ist_sb_text(&hub->args->sites));
    cli_hub_accept(&path, hub->args);
    rc = cli_hub_get(hub, ist_sb_text(&path), &list_status, &body);
    ist_sb_fini(&path);
    if (rc)
        return rc;
    if (list_status == 200 && json_array_size(json_object_get(body, "items")))
        rc = pick_named(kind, name, body, ret);
    else if (list_status != 200 && list_status != 404)
        rc = cli_hub_problem(list_status, body);
    else if (status == 404)
        rc = cli_fail(CLI_FAILED, "no %s has the id or name %s", kind->noun,
                      name);
    else
        rc = cli_hub_problem(status, answer);
    json_decref(body);
    return rc;
}

static int fetch(struct cli_hub *hub, const struct cli_kind *kind,
                 const char *id, json_t **ret)
{
    struct ist_sb path;
    json_t *body = NULL;
    long status = 0;
    int rc;

    ist_sb_init(&path, 0);
    path_of(hub->args, kind, id, &path);
    rc = cli_hub_get(hub, ist_sb_text(&path), &status, &body);
    ist_sb_fini(&path);
    if (rc)
        return rc;
    if (status == 200 && body) {
        *ret = body;
        return 0;
    }
    if (status == 300)
        rc = several(kind, id, json_object_get(body, "choices"));
    else if ((status == 404 || (status == 503 && body)) &&
             !cli_kind_is_site(kind) && kind != &cli_alarm_kind)
        rc = find_by_name(hub, kind, id, body, status, ret);
    else
        rc = cli_hub_problem(status, body);
    json_decref(body);
    return rc;
}

/* How the list would draw this member, so that both agree. */
static const struct cli_column *like(const struct cli_kind *kind,
                                     const char *member)
{
    const struct cli_column *column = kind->columns;

    while (column->title &&
           (!column->members || strcmp(column->members, member) != 0))
        column++;
    return column->title ? column : NULL;
}

static int key_cmp(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static bool is_wanted(const struct cli_names *names, const char *key)
{
    for (size_t i = 0; i < names->n; i++) {
        if (strcmp(names->names[i], key) == 0)
            return true;
    }
    return names->n == 0;
}

static int fill(struct cli_table *table, const struct cli_kind *kind,
                const struct cli_names *names, json_t *object)
{
    size_t n = json_object_size(object), at = 0;
    IST_CLEANUP(ist_freep) const char **keys = calloc(n + 1, sizeof(*keys));
    IST_CLEANUP(ist_freep) json_t **row = calloc(n + 1, sizeof(json_t *));
    const char *key;
    json_t *value;

    if (!keys || !row)
        return -ENOMEM;
    json_object_foreach(object, key, value)
    {
        keys[at++] = key;
    }
    qsort(keys, n, sizeof(*keys), key_cmp);
    at = 0;
    for (size_t i = 0; i < n; i++) {
        const struct cli_column *column = like(kind, keys[i]);

        if (!is_wanted(names, keys[i]))
            continue;
        if (cli_table_col(table, keys[i], column ? column->human : NULL))
            return -ENOMEM;
        table->cols[at].status = column && (column->flags & CLI_STATUS);
        row[at++] = json_object_get(object, keys[i]);
    }
    for (size_t i = 0; i < at; i++)
        json_incref(row[i]);
    return at ? cli_table_add(table, row) : 0;
}

int cli_show(struct cli_hub *hub, const struct cli_kind *kind, const char *id,
             struct ist_sb *out)
{
    const struct cli_format *format = cli_format_find(hub->args->format, true);
    struct cli_table table;
    json_t *object = NULL;
    int rc;

    if (!format)
        return cli_fail(CLI_USAGE, "format %s is not for one object",
                        hub->args->format);
    rc = fetch(hub, kind, id, &object);
    if (!object)
        return rc;
    cli_table_init(&table);
    if (fill(&table, kind, &hub->args->columns, object))
        rc = cli_fail(CLI_FAILED, "out of memory");
    else if (table.n_rows == 0)
        rc = cli_fail(CLI_USAGE, "this %s has no such field", kind->noun);
    else
        format->one(out, &table, hub->args);
    cli_table_fini(&table);
    json_decref(object);
    return rc;
}
