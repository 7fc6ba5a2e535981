/* Each parameter is a row: its name, which requests take it, and the function
 * that reads it. */
#include "api/query.h"

#include "base/parse.h"
#include "model/marker.h"

#include <errno.h>
#include <string.h>

struct reading {
    const struct ist_kind *kind;
    struct ist_arena *arena;
    struct api_query *query;
    const char *marker;
    struct ist_err *err;
};

typedef int read_fn(struct reading *, const char *name, const char *value);

static int bad(struct reading *r, const char *name, const char *must)
{
    return ist_err_set(r->err, -EINVAL, "%s: %s", name, must);
}

static int read_limit(struct reading *r, const char *name, const char *value)
{
    if (ist_parse_u64(value, 1, API_LIMIT_MAX, &r->query->limit))
        return 0;
    return bad(r, name, "must be a whole number from 1 to 1000");
}

static int read_deadline(struct reading *r, const char *name, const char *value)
{
    if (ist_parse_u64(value, API_DEADLINE_MIN, API_DEADLINE_MAX,
                      &r->query->deadline_ms))
        return 0;
    return bad(r, name, "must be milliseconds, from 100 to 60000");
}

static int read_partial(struct reading *r, const char *name, const char *value)
{
    r->query->deny_partial = strcmp(value, "deny") == 0;
    if (r->query->deny_partial || strcmp(value, "allow") == 0)
        return 0;
    return bad(r, name, "must be 'allow' or 'deny'");
}

static int read_max_age(struct reading *r, const char *name, const char *value)
{
    uint64_t seconds;

    if (!ist_parse_u64(value, 0, API_MAX_AGE_MAX, &seconds))
        return bad(r, name, "must be whole seconds, from 0 to 31536000");
    r->query->has_max_age = true;
    r->query->max_age_ms = seconds * 1000;
    return 0;
}

static int read_consistent(struct reading *r, const char *name,
                           const char *value)
{
    r->query->consistent = strcmp(value, "true") == 0;
    if (r->query->consistent || strcmp(value, "false") == 0)
        return 0;
    return bad(r, name, "must be 'true' or 'false'");
}

/* Splits at commas into the arena. */
static char **split(struct reading *r, const char *name, const char *value,
                    size_t *ret_n)
{
    char **items = ist_arena_alloc(r->arena, API_VALUES_MAX * sizeof(*items));
    const char *at = value, *item;
    size_t len, n = 0;

    while (items && ist_parse_item(&at, &item, &len)) {
        if (len == 0 || n == API_VALUES_MAX) {
            bad(r, name,
                len ? "takes at most 64 values"
                    : "has an empty value: leave it out to ask for all");
            return NULL;
        }
        items[n] = ist_arena_dup(r->arena, item, len);
        if (!items[n++])
            return NULL;
    }
    *ret_n = n;
    return items;
}

/* A filter holds exact values; a name may contain a comma, so only the
 * enumerable ones are lists. */
static int add_filter(struct reading *r, const char *name, char *const *values,
                      size_t n)
{
    if (!values)
        return -EINVAL;
    if (!ist_kind_member(r->kind, name))
        return ist_err_set(r->err, -EINVAL, "%s: %s have none", name,
                           r->kind->plural);
    r->query->filters[r->query->n_filters++] =
        (struct survey_filter){.name = name, .values = values, .n_values = n};
    return 0;
}

static int read_one(struct reading *r, const char *name, const char *value)
{
    char **values = ist_arena_alloc(r->arena, sizeof(*values));

    if (!value[0])
        return bad(r, name, "has an empty value: leave it out to ask for all");
    if (values)
        values[0] = ist_arena_strdup(r->arena, value);
    return add_filter(r, name, values, 1);
}

static int read_many(struct reading *r, const char *name, const char *value)
{
    size_t n = 0;
    char **values = split(r, name, value, &n);

    return add_filter(r, name, values, n);
}

static int read_site(struct reading *r, const char *name, const char *value)
{
    char **names = split(r, name, value, &r->query->n_sites);

    for (size_t i = 0; names && i < r->query->n_sites; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(names[i], names[j]) == 0)
                return bad(r, name, "names a site twice");
        }
    }
    r->query->sites = names;
    return names ? 0 : -EINVAL;
}

static int read_fields(struct reading *r, const char *name, const char *value)
{
    char **names = split(r, name, value, &r->query->n_fields);

    if (!names)
        return -EINVAL;
    if (r->query->n_fields > API_FIELDS_MAX)
        return bad(r, name, "takes at most 15 members");
    for (size_t i = 0; i < r->query->n_fields; i++) {
        if (strlen(names[i]) > 63 || strchr(names[i], '.'))
            return bad(r, name,
                       "takes names of top-level members, up to 63 "
                       "characters, without dots");
        for (size_t j = 0; j < i; j++) {
            if (strcmp(names[i], names[j]) == 0)
                return bad(r, name, "names a member twice");
        }
    }
    r->query->fields = (const char *const *) names;
    return 0;
}

static int read_sort(struct reading *r, const char *name, const char *value)
{
    struct api_query *query = r->query;
    size_t n = 0;
    char **items = split(r, name, value, &n);

    if (!items)
        return -EINVAL;
    if (n > IST_ORDER_KEYS_MAX)
        return bad(r, name, "takes at most 4 keys");
    for (size_t i = 0; i < n; i++) {
        const char *key = items[i] + (items[i][0] == '-');

        if (!ist_kind_member(r->kind, key))
            return ist_err_set(r->err, -EINVAL,
                               "sort: %s cannot be sorted by '%.40s'",
                               r->kind->plural, key);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(query->sort[j].name, key) == 0)
                return bad(r, name, "names a key twice");
        }
        query->sort[i] = (struct survey_sort){key, items[i][0] == '-'};
    }
    query->n_sort = n;
    query->sort_text = value;
    return 0;
}

/* Judged last: it belongs to one order. */
static int read_marker(struct reading *r, const char *name, const char *value)
{
    (void) name;
    r->marker = value;
    return 0;
}

static const struct {
    const char *name;
    bool list, show;
    read_fn *read;
} rows[] = {
    {"limit", true, false, read_limit},
    {"marker", true, false, read_marker},
    {"sort", true, false, read_sort},
    {"site", true, true, read_site},
    {"id", true, false, read_many},
    {"name", true, false, read_one},
    {"status", true, false, read_many},
    {"project", true, false, read_many},
    {"fields", true, true, read_fields},
    {"deadline", true, true, read_deadline},
    {"partial", true, true, read_partial},
    {"max_age", true, true, read_max_age},
    {"consistent", true, true, read_consistent},
};

const char *const api_query_list_names[] = {
    "limit",   "marker",  "sort",       "site",   "id",
    "name",    "status",  "project",    "fields", "deadline",
    "partial", "max_age", "consistent", NULL};
const char *const api_query_show_names[] = {
    "site", "fields", "deadline", "partial", "max_age", "consistent", NULL};

static int read_param(struct reading *r, const struct ist_httpd_param *param,
                      bool is_list)
{
    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        if (strcmp(rows[i].name, param->name) == 0 &&
            (is_list ? rows[i].list : rows[i].show))
            return rows[i].read(r, rows[i].name, param->value);
    }
    return ist_err_set(r->err, -EINVAL,
                       "'%.40s' is not a parameter of this request",
                       param->name);
}

static int read_all(struct reading *r, const struct ist_httpd_param *params,
                    size_t n, bool is_list)
{
    for (size_t i = 0; i < n; i++) {
        int rc;

        for (size_t j = 0; j < i; j++) {
            if (strcmp(params[i].name, params[j].name) == 0)
                return ist_err_set(r->err, -EINVAL,
                                   "'%.40s' is given twice: put several "
                                   "values into one, with commas",
                                   params[i].name);
        }
        rc = read_param(r, &params[i], is_list);
        if (rc)
            return r->arena->exceeded
                       ? ist_err_set(r->err, -EINVAL, "the query is too large")
                       : rc;
    }
    if (r->query->consistent && r->query->has_max_age)
        return bad(r, "max_age",
                   "says how old rows may be, which 'consistent' "
                   "says too: leave one out");
    return 0;
}

static void set_defaults(struct reading *r)
{
    r->query->limit = 100;
    r->query->deadline_ms = 10000;
}

static int place_after(struct reading *r)
{
    struct api_query *query = r->query;
    int rc;

    if (!r->marker)
        return 0;
    rc = ist_marker_parse(r->marker, r->kind->name, query->sort_text,
                          query->n_sort, r->arena, &query->after);
    if (rc == IST_MARKER_OTHER_LIST)
        return bad(r, "marker",
                   "belongs to another list or sort: begin "
                   "again without it");
    if (rc)
        return bad(r, "marker", "is not one that this API gave");
    query->has_after = true;
    return 0;
}

/* The newest first, where the kind knows when; else by name. */
static const char *default_sort(const struct ist_kind *kind)
{
    return ist_kind_member(kind, "created_at") ? "-created_at"
           : ist_kind_member(kind, "name")     ? "name"
                                               : "id";
}

int api_query_list(const struct ist_httpd_param *params, size_t n,
                   const struct ist_kind *kind, struct ist_arena *arena,
                   struct api_query *ret, struct ist_err *err)
{
    struct reading r = {kind, arena, ret, NULL, err};
    int rc;

    *ret = (struct api_query){0};
    set_defaults(&r);
    rc = read_all(&r, params, n, true);
    if (rc == 0 && ret->n_sort == 0)
        rc = read_sort(&r, "sort", default_sort(kind));
    return rc ? rc : place_after(&r);
}

int api_query_show(const struct ist_httpd_param *params, size_t n,
                   const struct ist_kind *kind, struct ist_arena *arena,
                   struct api_query *ret, struct ist_err *err)
{
    struct reading r = {kind, arena, ret, NULL, err};

    *ret = (struct api_query){0};
    set_defaults(&r);
    return read_all(&r, params, n, false);
}

/* RFC 3986: unreserved characters stay, and the comma, which every list here
 * uses and no server splits at. */
void api_query_next(struct ist_sb *out, const char *path,
                    const struct ist_httpd_param *params, size_t n,
                    const char *marker)
{
    ist_sb_puts(out, path);
    ist_sb_putc(out, '?');
    for (size_t i = 0; i < n; i++) {
        if (strcmp(params[i].name, "marker") == 0)
            continue;
        ist_query_encode(out, params[i].name);
        ist_sb_putc(out, '=');
        ist_query_encode(out, params[i].value);
        ist_sb_putc(out, '&');
    }
    ist_sb_puts(out, "marker=");
    ist_query_encode(out, marker);
}
