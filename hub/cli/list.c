/* A list is read page by page until there is no next one, or until the limit;
 * its rows are kept as values, then sorted and drawn. What each site had to
 * say is gathered over the pages: the worst of it counts. */
#include "cli/ask.h"

#include "base/parse.h"
#include "cli/alarm.h"
#include "cli/event.h"
#include "cli/out.h"
#include "cli/say.h"
#include "cli/search.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE      1000 /* Rows asked for at once: the most the hub gives. */
#define PAGES_MAX 100000
#define SITES_MAX 10000

enum state { ANSWERED, SKIPPED, STALE, FAILED };

struct heard {
    char *name, *reason; /* Owned; the reason may be NULL. */
    enum state state;
    json_int_t age_ms;
};

struct list {
    struct cli_hub *hub;
    const struct cli_args *args;
    const struct cli_kind *kind;
    const struct cli_column *from[CLI_COLUMNS_MAX]; /* Of table.cols. */
    struct cli_column fields[CLI_COLUMNS_MAX];      /* Made for --fields. */
    struct cli_table table;
    struct heard *sites;
    size_t n_sites;
};

static bool is_named(const struct cli_names *names, const char *title)
{
    for (size_t i = 0; i < names->n; i++) {
        if (strcmp(names->names[i], title) == 0)
            return true;
    }
    return false;
}

static int add_column(struct list *list, const struct cli_column *column,
                      bool hidden)
{
    size_t at = list->table.n_cols;

    if (at == CLI_COLUMNS_MAX ||
        cli_table_col(&list->table, column->title, column->human))
        return cli_fail(CLI_FAILED, "out of memory");
    list->table.cols[at].hidden = hidden;
    list->table.cols[at].status = column->flags & CLI_STATUS;
    list->from[at] = column;
    return 0;
}

/* The columns there are: those of the kind, or those of --fields. */
static const struct cli_column *all_columns(struct list *list)
{
    size_t n = list->args->fields.n;

    if (n == 0)
        return list->kind->columns;
    for (size_t i = 0; i < n; i++)
        list->fields[i] =
            (struct cli_column){.title = list->args->fields.names[i],
                                .members = list->args->fields.names[i]};
    if (!is_named(&list->args->fields, "site") &&
        !cli_kind_is_site(list->kind) && n + 1 < CLI_COLUMNS_MAX)
        list->fields[n++] =
            (struct cli_column){.title = "Site", .members = "site"};
    list->fields[n] = (struct cli_column){0};
    return list->fields;
}

static int no_column(const char *name, const struct cli_column *columns)
{
    const char *titles[CLI_COLUMNS_MAX + 1] = {NULL}, *near;
    struct ist_sb sb;
    int rc;

    ist_sb_init(&sb, 0);
    for (size_t i = 0; columns[i].title && i < CLI_COLUMNS_MAX; i++) {
        titles[i] = columns[i].title;
        ist_sb_printf(&sb, "%s%s", i ? ", " : "", columns[i].title);
    }
    near = cli_nearest(name, titles);
    if (near)
        rc = cli_fail(CLI_USAGE, "no column '%s'; did you mean '%s'?", name,
                      near);
    else
        rc = cli_fail(CLI_USAGE, "no column '%s'; there are: %s", name,
                      ist_sb_text(&sb));
    ist_sb_fini(&sb);
    return rc;
}

static int check_names(const struct cli_names *names,
                       const struct cli_column *columns)
{
    for (size_t i = 0; i < names->n; i++) {
        const struct cli_column *column = columns;

        while (column->title && strcmp(column->title, names->names[i]) != 0)
            column++;
        if (!column->title)
            return no_column(names->names[i], columns);
    }
    return 0;
}

/* As in cliff, the columns' order is the table's, not that of the options. */
static int choose_columns(struct list *list)
{
    const struct cli_args *args = list->args;
    const struct cli_column *column = all_columns(list);
    int rc = check_names(&args->columns, column);

    if (rc == 0)
        rc = check_names(&args->sort_columns, column);
    for (; rc == 0 && column->title; column++) {
        bool by_default = !(column->flags & CLI_LONG) || args->long_form;
        bool shown = args->columns.n ? is_named(&args->columns, column->title)
                                     : by_default;

        if (shown || is_named(&args->sort_columns, column->title))
            rc = add_column(list, column, !shown);
    }
    return rc;
}

/* Adds the member a path begins with, once. */
static void add_member(struct ist_sb *members, size_t *n, const char *path,
                       size_t len)
{
    const char *at = ist_sb_text(members), *item;
    size_t item_len;

    len = len < strcspn(path, ".") ? len : strcspn(path, ".");
    if (len == 4 && memcmp(path, "site", 4) == 0)
        return; /* Always there. */
    while (*n && ist_parse_item(&at, &item, &item_len)) {
        if (item_len == len && memcmp(item, path, len) == 0)
            return;
    }
    if ((*n)++)
        ist_sb_putc(members, ',');
    ist_sb_add(members, path, len);
}

/* Only what the columns show is asked for, as far as the hub lets us name
 * it; else whole objects are. */
static void query_fields(const struct list *list, struct ist_sb *path)
{
    struct ist_sb members;
    size_t n = 0;

    ist_sb_init(&members, 0);
    for (size_t i = 0; i < list->table.n_cols; i++) {
        const char *at = list->from[i]->members;

        while (at) {
            const char *bar = strchrnul(at, '|');

            add_member(&members, &n, at, (size_t) (bar - at));
            at = *bar ? bar + 1 : NULL;
        }
    }
    if (n == 0)
        add_member(&members, &n, "id", 2);
    if (n <= CLI_FIELDS_MAX)
        cli_hub_query(path, "fields", ist_sb_text(&members));
    ist_sb_fini(&members);
}

/* What is listed and is no resource: the parameters that it takes, and what is
 * said when there is none. */
static const struct other {
    const struct cli_kind *kind;
    void (*query)(const struct cli_args *, struct ist_sb *path);
    uint64_t page;
    const char *none;
} others[] = {
    {&cli_alarm_kind, cli_alarm_query, PAGE, "No alarms."},
    {&cli_event_kind, cli_event_query, PAGE, "No events of that time."},
    {&cli_search_kind, cli_search_query, 500, "Nothing begins like that."},
};

static const struct other *other_of(const struct cli_kind *kind)
{
    for (size_t i = 0; i < IST_COUNT(others); i++) {
        if (others[i].kind == kind)
            return &others[i];
    }
    return NULL;
}

static void first_path(const struct list *list, struct ist_sb *path)
{
    const struct cli_args *args = list->args;
    const struct other *other = other_of(list->kind);
    uint64_t page = other ? other->page : PAGE;
    uint64_t limit = args->limit && args->limit < page ? args->limit : page;
    char number[24];

    ist_sb_printf(path, "/api/v1/%s", list->kind->path);
    if (cli_kind_is_site(list->kind))
        return;
    snprintf(number, sizeof(number), "%llu", (unsigned long long) limit);
    cli_hub_query(path, "limit", number);
    if (other) {
        other->query(args, path);
        return;
    }
    cli_hub_query(path, "site", ist_sb_text(&args->sites));
    cli_hub_query(path, "name", args->name);
    cli_hub_query(path, "status", args->status);
    cli_hub_query(path, "project", args->project);
    cli_hub_query(path, "sort", ist_sb_text(&args->sort));
    cli_hub_accept(path, args);
    query_fields(list, path);
}

static int add_row(struct list *list, const json_t *item)
{
    json_t *row[CLI_COLUMNS_MAX];
    int rc;

    for (size_t i = 0; i < list->table.n_cols; i++)
        row[i] = cli_kind_value(list->from[i], item);
    rc = cli_table_add(&list->table, row);
    if (rc == -E2BIG)
        return cli_fail(CLI_FAILED,
                        "more than %d rows: narrow it down, or use --limit",
                        CLI_ROWS_MAX);
    return rc ? cli_fail(CLI_FAILED, "out of memory") : 0;
}

static struct heard *heard_of(struct list *list, const char *name)
{
    struct heard *sites;

    for (size_t i = 0; i < list->n_sites; i++) {
        if (strcmp(list->sites[i].name, name) == 0)
            return &list->sites[i];
    }
    if (list->n_sites == SITES_MAX)
        return NULL;
    sites = reallocarray(list->sites, list->n_sites + 1, sizeof(*sites));
    if (!sites)
        return NULL;
    list->sites = sites;
    sites[list->n_sites] = (struct heard){.name = strdup(name)};
    return sites[list->n_sites].name ? &sites[list->n_sites++] : NULL;
}

static void hear_site(struct list *list, const json_t *said)
{
    const char *name = json_string_value(json_object_get(said, "site"));
    const char *word = json_string_value(json_object_get(said, "state"));
    const char *reason = json_string_value(json_object_get(said, "reason"));
    json_t *latency = json_object_get(said, "latency_ms");
    struct heard *site = name && word ? heard_of(list, name) : NULL;
    enum state state;

    if (!site)
        return;
    state = strcmp(word, "failed") == 0        ? FAILED
            : strcmp(word, "stale") == 0       ? STALE
            : json_object_get(said, "skipped") ? SKIPPED
                                               : ANSWERED;
    if (list->args->timing)
        cli_say("site %s: %s after %.0f ms", name, word,
                json_number_value(latency));
    if (state <= site->state)
        return;
    site->state = state;
    site->age_ms = json_integer_value(json_object_get(said, "age_ms"));
    free(site->reason);
    site->reason = reason ? strdup(reason) : NULL;
}

/* A next page is on this hub, in this API, and not the same again. */
static int next_path(const json_t *body, struct ist_sb *path, bool *ret_more)
{
    const char *next = json_string_value(json_object_get(body, "next"));

    *ret_more = next != NULL;
    if (!next)
        return 0;
    if (strncmp(next, "/api/v1/", 8) != 0 || strpbrk(next, " \r\n\t") ||
        strcmp(next, ist_sb_text(path)) == 0)
        return cli_fail(CLI_FAILED, "the hub names an odd next page: %s", next);
    ist_sb_reset(path);
    ist_sb_puts(path, next);
    return 0;
}

static int read_page(struct list *list, struct ist_sb *path, bool *ret_more)
{
    const uint64_t limit = list->args->limit;
    json_t *body = NULL, *items, *item, *site;
    long status;
    size_t i;
    int rc = cli_hub_get(list->hub, ist_sb_text(path), &status, &body);

    if (rc)
        return rc;
    items = json_object_get(body, "items");
    if (status != 200 || !json_is_array(items)) {
        rc = cli_hub_problem(status, body);
        json_decref(body);
        return rc;
    }
    json_array_foreach(items, i, item)
    {
        if (rc || (limit && list->table.n_rows == limit))
            break;
        rc = add_row(list, item);
    }
    json_array_foreach(json_object_get(body, "sites"), i, site)
    {
        hear_site(list, site);
    }
    if (rc == 0)
        rc = next_path(body, path, ret_more);
    if (limit && list->table.n_rows >= limit)
        *ret_more = false;
    json_decref(body);
    return rc;
}

static int read_pages(struct list *list)
{
    struct ist_sb path;
    bool more = true;
    int rc = 0;

    ist_sb_init(&path, 0);
    first_path(list, &path);
    for (int n = 0; rc == 0 && more; n++) {
        if (n == PAGES_MAX)
            rc = cli_fail(CLI_FAILED, "more than %d pages", PAGES_MAX);
        else
            rc = read_page(list, &path, &more);
    }
    ist_sb_fini(&path);
    return rc;
}

/* A column that does not compare is left out, with a word about it. */
static int sort_rows(struct list *list)
{
    const struct cli_names *names = &list->args->sort_columns;
    size_t cols[CLI_COLUMNS_MAX], n = 0, bad;

    for (size_t i = 0; i < names->n; i++)
        cols[n++] = cli_table_find(&list->table, names->names[i]);
    while (n) {
        int rc =
            cli_table_sort(&list->table, cols, n, list->args->descending, &bad);
        size_t at = 0;

        if (rc == 0)
            return 0;
        if (rc != -EDOM)
            return cli_fail(CLI_FAILED, "out of memory");
        cli_say("cannot sort by '%s': its values do not compare",
                list->table.cols[bad].title);
        for (size_t i = 0; i < n; i++) {
            if (cols[i] != bad)
                cols[at++] = cols[i];
        }
        n = at;
    }
    return 0;
}

static void say_empty(const struct list *list, size_t n_heard)
{
    const struct cli_args *args = list->args;
    const char *some = args->name || args->status || args->project
                           ? " of that description"
                           : "";

    if (cli_kind_is_site(list->kind))
        cli_say("No sites yet.");
    else if (other_of(list->kind))
        cli_say("%s", other_of(list->kind)->none);
    else if (list->n_sites == 0)
        cli_say("No %s: no sites yet.", list->kind->many);
    else if (list->n_sites == 1)
        cli_say("No %s%s at site %s.", list->kind->many, some,
                list->sites[0].name);
    else
        cli_say("No %s%s at %zu sites.", list->kind->many, some, n_heard);
}

/* Names every site that is missing, lacking or old; returns how it all
 * ended. */
static int say_sites(const struct list *list)
{
    size_t n_failed = 0, n_skipped = 0;
    int rc = CLI_OK;

    for (size_t i = 0; i < list->n_sites; i++) {
        const struct heard *site = &list->sites[i];

        if (site->state == FAILED)
            cli_say("site %s: %s", site->name,
                    site->reason ? site->reason : "failed");
        if (site->state == STALE)
            cli_say("site %s: as it was %.0f s ago%s%s%s", site->name,
                    (double) site->age_ms / 1000, site->reason ? " (" : "",
                    site->reason ? site->reason : "", site->reason ? ")" : "");
        if (site->state == SKIPPED)
            cli_say("site %s: not all it has: %s", site->name,
                    site->reason ? site->reason : "some were left out");
        n_failed += site->state == FAILED;
        n_skipped += site->state == SKIPPED;
    }
    if (n_skipped)
        rc = CLI_PARTIAL;
    if (n_failed)
        rc = n_failed == list->n_sites ? CLI_UNREACHABLE : CLI_PARTIAL;
    if (rc == CLI_UNREACHABLE)
        return cli_fail(rc, "no site answered");
    if (list->table.n_rows == 0 && strcmp(list->args->format, "table") == 0)
        say_empty(list, list->n_sites - n_failed);
    return rc;
}

static void list_fini(struct list *list)
{
    for (size_t i = 0; i < list->n_sites; i++) {
        free(list->sites[i].name);
        free(list->sites[i].reason);
    }
    free(list->sites);
    cli_table_fini(&list->table);
}

static int run(struct list *list, const struct cli_format *format,
               struct ist_sb *out)
{
    int rc = choose_columns(list);

    if (rc == 0)
        rc = read_pages(list);
    if (rc == 0)
        rc = sort_rows(list);
    if (rc)
        return rc;
    format->list(out, &list->table, list->args);
    return say_sites(list);
}

int cli_list(struct cli_hub *hub, const struct cli_kind *kind,
             struct ist_sb *out)
{
    const struct cli_format *format = cli_format_find(hub->args->format, false);
    struct list *list;
    int rc;

    if (!format)
        return cli_fail(CLI_USAGE, "format %s is not for lists",
                        hub->args->format);
    list = calloc(1, sizeof(*list));
    if (!list)
        return cli_fail(CLI_FAILED, "out of memory");
    list->hub = hub;
    list->args = hub->args;
    list->kind = kind;
    cli_table_init(&list->table);
    rc = run(list, format, out);
    list_fini(list);
    free(list);
    return rc;
}
