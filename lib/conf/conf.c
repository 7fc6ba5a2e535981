/* Two passes over the tree. The first checks that every name has its row and
 * every row its value, and reports. Only when nothing was wrong does the
 * second one write; it parses again what is known to be sound. */
#include "conf/conf.h"

#include "base/parse.h"
#include "base/utf8.h"
#include "conf/file.h"
#include "conf/yaml.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN 128

struct load {
    const struct ist_conf_table *tables;
    size_t n_tables;
    struct ist_conf_report *report;
    const struct ist_yaml_node *root;
};

/* --- Values --- */

static char *unit_text(const struct ist_row *row, uint64_t v, char *buf,
                       size_t size)
{
    static const struct {
        enum ist_row_type type;
        uint64_t factor;
        const char *unit;
    } units[] = {
        {IST_ROW_MS, 86400000, "d"},     {IST_ROW_MS, 3600000, "h"},
        {IST_ROW_MS, 60000, "m"},        {IST_ROW_MS, 1000, "s"},
        {IST_ROW_MS, 1, "ms"},           {IST_ROW_BYTES, 1 << 30, "GiB"},
        {IST_ROW_BYTES, 1 << 20, "MiB"}, {IST_ROW_BYTES, 1 << 10, "KiB"},
    };

    for (size_t i = 0; i < IST_COUNT(units); i++) {
        bool whole = v % units[i].factor == 0 && (v || units[i].factor == 1);

        if (units[i].type == row->type && whole) {
            snprintf(buf, size, "%" PRIu64 "%s", v / units[i].factor,
                     units[i].unit);
            return buf;
        }
    }
    snprintf(buf, size, "%" PRIu64, v);
    return buf;
}

static bool parse_number(const struct ist_row *row, const char *text,
                         uint64_t *ret)
{
    switch (row->type) {
    case IST_ROW_MS:
        return ist_parse_ms(text, ret);
    case IST_ROW_BYTES:
        return ist_parse_bytes(text, ret);
    default:
        return ist_parse_u64(text, 0, UINT64_MAX, ret);
    }
}

static const char *wanted(const struct ist_row *row)
{
    switch (row->type) {
    case IST_ROW_MS:
        return "a time with its unit, such as 250ms, 10s, 5m, 2h or 7d";
    case IST_ROW_BYTES:
        return "a size, such as 512, 64KiB, 16MiB or 1GiB";
    case IST_ROW_BOOL:
        return "true or false";
    default:
        return "a whole number";
    }
}

static void check_number(const struct load *load, unsigned line,
                         const struct ist_row *row, const char *text)
{
    char quote[IST_CONF_QUOTE_SIZE], buf[32];
    uint64_t v;

    if (!parse_number(row, text, &v))
        ist_conf_complain(load->report, line, "%s: %s is not %s", row->name,
                          ist_conf_quote(text, quote), wanted(row));
    else if (v < row->min)
        ist_conf_complain(
            load->report, line, "%s: %s is less than the least allowed, %s",
            row->name, text, unit_text(row, row->min, buf, sizeof(buf)));
    else if (v > row->max)
        ist_conf_complain(load->report, line,
                          "%s: %s is more than the most allowed, %s", row->name,
                          text, unit_text(row, row->max, buf, sizeof(buf)));
}

/* Does it look like "amqps://user:password@host"? */
static bool url_with_password(const char *text)
{
    const char *host = strstr(text, "://");
    const char *at, *colon;

    if (!host)
        return false;
    host += 3;
    at = memchr(host, '@', strcspn(host, "/?#"));
    colon = at ? memchr(host, ':', (size_t) (at - host)) : NULL;
    return colon != NULL;
}

static void check_string(const struct load *load, unsigned line,
                         const struct ist_row *row, const char *text)
{
    size_t len = strlen(text);
    uint64_t max = row->max ? row->max : IST_CONF_STRING_MAX;

    if (len < row->min || len > max)
        ist_conf_complain(load->report, line,
                          "%s: must have %" PRIu64 " to %" PRIu64
                          " characters, not %zu",
                          row->name, row->min, max, len);
    if (!(row->flags & IST_ROW_SECRET) && url_with_password(text))
        ist_conf_complain(load->report, line,
                          "%s: a password in a URL would be shown and logged; "
                          "put it into a file of its own, mode 0400",
                          row->name);
}

static void check_value(const struct load *load, unsigned line,
                        const struct ist_row *row, const char *text)
{
    char quote[IST_CONF_QUOTE_SIZE];

    switch (row->type) {
    case IST_ROW_STRING:
    case IST_ROW_PATH:
        check_string(load, line, row, text);
        break;
    case IST_ROW_BOOL:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            ist_conf_complain(load->report, line, "%s: %s is not %s", row->name,
                              ist_conf_quote(text, quote), wanted(row));
        break;
    default:
        check_number(load, line, row, text);
        break;
    }
}

static bool is_string(const struct ist_row *row)
{
    return row->type == IST_ROW_STRING || row->type == IST_ROW_PATH;
}

static char **string_at(const struct ist_row *row, void *target)
{
    return (char **) (void *) ((char *) target + row->offset);
}

static uint64_t *number_at(const struct ist_row *row, void *target)
{
    return (uint64_t *) (void *) ((char *) target + row->offset);
}

static bool *bool_at(const struct ist_row *row, void *target)
{
    return (bool *) (void *) ((char *) target + row->offset);
}

/* 'text' was checked; NULL: there is no value. */
static bool write_value(const struct load *load, const struct ist_row *row,
                        const char *text, void *target)
{
    const char *from = load->report->path;

    if (is_string(row)) {
        char **to = string_at(row, target);

        *to = !text                       ? NULL
              : row->type == IST_ROW_PATH ? ist_conf_path(from, text)
                                          : strdup(text);
        return *to || !text;
    }
    if (row->type == IST_ROW_BOOL) {
        *bool_at(row, target) = text && strcmp(text, "true") == 0;
        return true;
    }
    *number_at(row, target) = 0;
    return !text || parse_number(row, text, number_at(row, target));
}

/* --- Names --- */

/* Goes on over all rows of all tables; begin with *i = *j = 0. */
static const struct ist_row *next_row(const struct load *load, size_t *i,
                                      size_t *j)
{
    while (*i < load->n_tables) {
        const struct ist_row *row = &load->tables[*i].rows[*j];

        if (row->name) {
            ++*j;
            return row;
        }
        ++*i;
        *j = 0;
    }
    return NULL;
}

enum match { NO_ROW, A_ROW, A_LEVEL };

static enum match match_name(const struct load *load, const char *name,
                             const struct ist_row **ret)
{
    size_t i = 0, j = 0, len = strlen(name);
    const struct ist_row *row;
    enum match match = NO_ROW;

    while ((row = next_row(load, &i, &j))) {
        if (strcmp(row->name, name) == 0) {
            *ret = row;
            return A_ROW;
        }
        if (strncmp(row->name, name, len) == 0 && row->name[len] == '.')
            match = A_LEVEL;
    }
    return match;
}

/* "survey" of "survey.deadline" is a name that could be meant too. */
static const char *nearest(const struct load *load, const char *name,
                           char *level)
{
    struct ist_conf_near near;
    const struct ist_row *row;
    size_t i = 0, j = 0;

    ist_conf_near_init(&near, name);
    level[0] = '\0';
    while ((row = next_row(load, &i, &j))) {
        const char *dot = strchr(row->name, '.');
        char word[NAME_MAX_LEN];

        ist_conf_near_try(&near, row->name);
        for (; dot; dot = strchr(dot + 1, '.')) {
            snprintf(word, sizeof(word), "%.*s", (int) (dot - row->name),
                     row->name);
            ist_conf_near_try(&near, word);
            if (near.best == word) {
                snprintf(level, NAME_MAX_LEN, "%s", word);
                near.best = level;
            }
        }
    }
    return near.best;
}

static void unknown(const struct load *load, unsigned line, const char *name)
{
    char quote[IST_CONF_QUOTE_SIZE], level[NAME_MAX_LEN];
    const char *best = nearest(load, name, level);

    ist_conf_complain(load->report, line, "%s: no such setting%s%s%s",
                      ist_conf_quote(name, quote), best ? "; is it " : "",
                      best ? best : "", best ? "?" : "");
}

/* --- The first pass --- */

static void check_map(const struct load *load, const char *prefix,
                      const struct ist_yaml_node *map);

static void check_row(const struct load *load, const struct ist_yaml_link *l,
                      const struct ist_row *row)
{
    if (l->node->type != IST_YAML_SCALAR)
        ist_conf_complain(load->report, l->line, "%s: must be one value",
                          row->name);
    else if (ist_yaml_is_empty(l->node))
        ist_conf_complain(load->report, l->line, "%s: has no value", row->name);
    else
        check_value(load, l->node->line, row, l->node->text);
}

static void check_link(const struct load *load, const char *prefix,
                       const struct ist_yaml_link *l)
{
    const struct ist_row *row = NULL;
    char name[NAME_MAX_LEN];
    enum match match = NO_ROW;

    snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "." : "", l->key);
    if (!strchr(l->key, '.'))
        match = match_name(load, name, &row);
    if (match == A_ROW)
        check_row(load, l, row);
    else if (match == NO_ROW)
        unknown(load, l->line, name);
    else if (l->node->type == IST_YAML_MAP)
        check_map(load, name, l->node);
    else if (!ist_yaml_is_empty(l->node))
        ist_conf_complain(load->report, l->line,
                          "%s: must be a map of settings", name);
}

/* Recursion goes as deep as row names have levels, not as the file does. */
static void check_map(const struct load *load, const char *prefix,
                      const struct ist_yaml_node *map)
{
    for (const struct ist_yaml_link *l = map->first; l; l = l->next)
        check_link(load, prefix, l);
}

/* The scalar that the file has for a row, or NULL. */
static const struct ist_yaml_node *lookup(const struct load *load,
                                          const char *name)
{
    const struct ist_yaml_node *node = load->root;
    char part[NAME_MAX_LEN];

    while (node && *name) {
        size_t len = strcspn(name, ".");

        snprintf(part, sizeof(part), "%.*s", (int) len, name);
        node = ist_yaml_get(node, part);
        name += len + (name[len] == '.');
    }
    return node && node->type == IST_YAML_SCALAR ? node : NULL;
}

static const char *value_of(const struct load *load, const struct ist_row *row)
{
    const struct ist_yaml_node *node = lookup(load, row->name);

    return node ? node->text : row->fallback;
}

static void check_required(const struct load *load)
{
    const struct ist_row *row;
    size_t i = 0, j = 0;

    while ((row = next_row(load, &i, &j))) {
        assert(strlen(row->name) < NAME_MAX_LEN);
        if ((row->flags & IST_ROW_REQUIRED) && !lookup(load, row->name))
            ist_conf_complain(load->report, 0, "%s: is missing", row->name);
        else if (row->fallback && !lookup(load, row->name))
            check_value(load, 0, row, row->fallback);
    }
}

static int write_all(const struct load *load, struct ist_err *err)
{
    bool written = true;

    for (size_t i = 0; i < load->n_tables; i++) {
        const struct ist_conf_table *table = &load->tables[i];

        for (const struct ist_row *row = table->rows; row->name; row++) {
            if (!write_value(load, row, value_of(load, row), table->target))
                written = false;
        }
    }
    if (written)
        return 0;
    ist_conf_free(load->tables, load->n_tables);
    return ist_err_set(err, -ENOMEM, "out of memory");
}

static int load_tree(struct load *load, struct ist_err *err)
{
    int rc;

    if (load->root && load->root->type != IST_YAML_MAP)
        ist_conf_complain(load->report, load->root->line,
                          "must be a map of settings");
    else if (load->root)
        check_map(load, "", load->root);
    check_required(load);
    rc = ist_conf_verdict(load->report, err);
    return rc ? rc : write_all(load, err);
}

int ist_conf_load(const char *path, const struct ist_conf_table *tables,
                  size_t n_tables, struct ist_conf_report *report,
                  struct ist_err *err)
{
    struct load load = {tables, n_tables, report, NULL};
    IST_CLEANUP(ist_sb_fini) struct ist_sb sb;
    struct ist_yaml tree;
    int rc;

    ist_sb_init(&sb, 0);
    report->path = path ? path : "";
    if (!path)
        return load_tree(&load, err);
    rc = ist_conf_read(path, IST_CONF_FILE_MAX, &sb, NULL, err);
    if (rc)
        return rc;
    if (ist_yaml_parse(&tree, ist_sb_text(&sb), sb.len, 0, report)) {
        load.root = tree.root;
        rc = load_tree(&load, err);
    } else {
        rc = ist_conf_verdict(report, err);
    }
    ist_yaml_fini(&tree);
    return rc;
}

void ist_conf_free(const struct ist_conf_table *tables, size_t n_tables)
{
    for (size_t i = 0; i < n_tables; i++) {
        for (const struct ist_row *row = tables[i].rows; row->name; row++) {
            if (is_string(row)) {
                char **text = string_at(row, tables[i].target);

                *text = ist_conf_secret_free(*text);
            } else if (row->type == IST_ROW_BOOL) {
                *bool_at(row, tables[i].target) = false;
            } else {
                *number_at(row, tables[i].target) = 0;
            }
        }
    }
}

/* --- Showing --- */

static void show_value(const struct ist_row *row, void *target,
                       struct ist_sb *out)
{
    char buf[32];

    if (is_string(row)) {
        const char *text = *string_at(row, target);

        /* A JSON string is a YAML scalar. */
        if (row->flags & IST_ROW_SECRET)
            ist_sb_puts(out, "\"***\"");
        else
            ist_sb_json(out, text, strlen(text));
    } else if (row->flags & IST_ROW_SECRET) {
        ist_sb_puts(out, "\"***\"");
    } else if (row->type == IST_ROW_BOOL) {
        ist_sb_puts(out, *bool_at(row, target) ? "true" : "false");
    } else {
        ist_sb_puts(out,
                    unit_text(row, *number_at(row, target), buf, sizeof(buf)));
    }
    ist_sb_putc(out, '\n');
}

static void indent(struct ist_sb *out, size_t depth)
{
    for (size_t i = 0; i < depth; i++)
        ist_sb_puts(out, "  ");
}

/* Length of what two names have in common, in whole levels with their dot. */
static size_t common_levels(const char *a, const char *b)
{
    size_t common = 0;

    for (size_t i = 0; a[i] && a[i] == b[i]; i++) {
        if (a[i] == '.')
            common = i + 1;
    }
    return common;
}

static size_t count_dots(const char *text, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += text[i] == '.';
    return n;
}

static void show_row(const struct ist_row *row, const char *before,
                     void *target, bool help, struct ist_sb *out)
{
    size_t common = common_levels(before, row->name);
    size_t depth = count_dots(row->name, common);
    const char *at = row->name + common, *dot;

    for (; (dot = strchr(at, '.')); at = dot + 1) {
        indent(out, depth++);
        ist_sb_printf(out, "%.*s:\n", (int) (dot - at), at);
    }
    if (help && row->help) {
        indent(out, depth);
        ist_sb_printf(out, "# %s\n", row->help);
    }
    indent(out, depth);
    /* A string without a value cannot be written as one. */
    if (is_string(row) && !*string_at(row, target)) {
        ist_sb_printf(out, "#%s:\n", at);
        return;
    }
    ist_sb_printf(out, "%s: ", at);
    show_value(row, target, out);
}

static int by_name(const void *a, const void *b)
{
    const struct ist_row *const *left = a, *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

static void *target_of(const struct ist_conf_table *tables, size_t n_tables,
                       const struct ist_row *wanted_row)
{
    for (size_t i = 0; i < n_tables; i++) {
        for (const struct ist_row *row = tables[i].rows; row->name; row++) {
            if (row == wanted_row)
                return tables[i].target;
        }
    }
    return NULL;
}

void ist_conf_show(const struct ist_conf_table *tables, size_t n_tables,
                   bool help, struct ist_sb *out)
{
    struct load load = {tables, n_tables, NULL, NULL};
    IST_CLEANUP(ist_freep) const struct ist_row **sorted = NULL;
    const struct ist_row *row;
    size_t i = 0, j = 0, n = 0;

    while (next_row(&load, &i, &j))
        n++;
    sorted = calloc(n + 1, sizeof(*sorted));
    if (!sorted) {
        out->rc = out->rc ? out->rc : -ENOMEM;
        return;
    }
    n = i = j = 0;
    while ((row = next_row(&load, &i, &j)))
        sorted[n++] = row;
    /* Levels must stay together, whichever module owns them. */
    qsort(sorted, n, sizeof(*sorted), by_name);
    for (i = 0; i < n; i++)
        show_row(sorted[i], i ? sorted[i - 1]->name : "",
                 target_of(tables, n_tables, sorted[i]), help, out);
}
