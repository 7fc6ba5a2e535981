/* GET /api/v1/{kind} and GET /api/v1/{kind}/{id}: read the query, have it
 * answered by view and sites (reading.c), splice their bytes into one document.
 * The hub never parses a row: it puts "site" in front of the members and copies
 * the rest. */
#include "api/api.h"
#include "api/problem.h"
#include "api/query.h"
#include "api/reading.h"
#include "api/tenant.h"
#include "codec/json.h"
#include "model/marker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One request on its way. */
struct asking {
    struct api_reading reading;
    struct api *api;
    struct ist_httpd_request *http;
    const struct ist_kind *kind;
    struct api_query query;
    const char *id;              /* Of the one object asked for; or NULL. */
    struct facade_caller caller; /* Of a tenant. */
    char *ids[1];
    struct ist_arena arena;
};

/* Rows */

/* The members that 'fields' names, in its order. */
struct projection {
    struct ist_sb *out;
    const struct api_query *query;
};

static int put_members(void *arg, const struct ist_json_element *element)
{
    struct projection *p = arg;

    for (size_t i = 0; i < p->query->n_fields; i++) {
        const struct ist_json_slice *value = &element->picks[i];

        if (!value->data || strcmp(p->query->fields[i], "site") == 0)
            continue;
        ist_sb_putc(p->out, ',');
        ist_sb_json(p->out, p->query->fields[i], strlen(p->query->fields[i]));
        ist_sb_putc(p->out, ':');
        ist_sb_add(p->out, value->data, value->size);
    }
    return 0;
}

static void put_projected(struct ist_sb *out, const struct ist_bytes *body,
                          const struct api_query *query)
{
    struct projection p = {out, query};
    struct ist_json_want want = {.collection = "",
                                 .picks = query->fields,
                                 .n_picks = query->n_fields,
                                 .element_max = SIZE_MAX};
    struct ist_json_split split;

    ist_json_split_init(&split, &want, put_members, &p);
    ist_json_split_feed(&split, body->data, body->size);
    ist_json_split_fini(&split);
}

/* {"site":"hkg", then the native members. */
static void put_row(struct ist_sb *out, const struct ist_row_out *row,
                    const struct api_query *query)
{
    const char *text = row->body.data;
    size_t size = row->body.size, at = 0;

    ist_sb_puts(out, "{\"site\":");
    ist_sb_json(out, row->place.site, strlen(row->place.site));
    if (query->fields) {
        put_projected(out, &row->body, query);
        ist_sb_putc(out, '}');
        return;
    }
    while (text[at] != '{') /* The survey has seen that it is an object. */
        at++;
    at++;
    while (strchr(" \t\r\n", text[at]))
        at++;
    if (text[at] != '}')
        ist_sb_putc(out, ',');
    ist_sb_add(out, text + at, size - at);
}

/* Lists */

/* The link to the next page, or NULL. In the request's own arena. */
static char *next_link(struct asking *asking)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb marker, link;
    const struct api_reading *reading = &asking->reading;
    struct ist_httpd_request *http = asking->http;

    ist_sb_init(&marker, 0);
    ist_sb_init(&link, 0);
    if (reading->n_rows < asking->query.limit || !reading->has_more)
        return NULL;
    ist_marker_put(&marker, asking->kind->name, asking->query.sort_text,
                   asking->query.n_sort,
                   &reading->rows[reading->n_rows - 1].place);
    api_query_next(&link, http->path, http->params, http->n_params,
                   ist_sb_text(&marker));
    return marker.rc || link.rc ? NULL
                                : ist_arena_strdup(&http->arena, link.data);
}

/* About: so that the answer need not be moved while it grows. */
static size_t size_of(const struct api_reading *reading)
{
    size_t size = 4096 + 96 * reading->sites.n;

    for (size_t i = 0; i < reading->n_rows; i++)
        size += reading->rows[i].body.size + 64;
    return size;
}

static void reply_list(struct asking *asking)
{
    const struct api_reading *reading = &asking->reading;
    struct ist_httpd_header link = {"Link", NULL};
    char *next = next_link(asking);
    struct ist_sb out, value;

    ist_sb_init(&out, 0);
    ist_sb_init(&value, 0);
    ist_sb_reserve(&out, size_of(reading));
    ist_sb_puts(&out, "{\"items\":[");
    for (size_t i = 0; i < reading->n_rows; i++) {
        if (i)
            ist_sb_putc(&out, ',');
        put_row(&out, &reading->rows[i], &asking->query);
    }
    ist_sb_puts(&out, "],\"next\":");
    if (next) {
        ist_sb_json(&out, next, strlen(next));
        ist_sb_printf(&value, "<%s>; rel=\"next\"", next);
        link.value = ist_sb_text(&value);
    } else {
        ist_sb_puts(&out, "null");
    }
    ist_sb_puts(&out, ",\"sites\":");
    api_problem_sites(&out, &reading->sites, false);
    ist_sb_puts(&out, "}\n");
    api_reply_json(asking->http, 200, &link, next ? 1 : 0, &out);
    ist_sb_fini(&value);
}

/* Objects */

static void reply_choices(struct asking *asking)
{
    const struct api_reading *reading = &asking->reading;
    struct ist_sb out;

    ist_sb_init(&out, 0);
    ist_sb_puts(&out, "{\"choices\":[");
    for (size_t i = 0; i < reading->n_rows; i++) {
        const char *site = reading->rows[i].place.site;

        ist_sb_printf(&out, "%s{\"site\":\"%s\",\"href\":", i ? "," : "", site);
        {
            IST_CLEANUP(ist_sb_fini) struct ist_sb href;

            ist_sb_init(&href, 0);
            ist_sb_printf(&href, "%s?site=%s", asking->http->path, site);
            ist_sb_json(&out, ist_sb_text(&href), href.len);
        }
        ist_sb_putc(&out, '}');
    }
    ist_sb_puts(&out, "]}\n");
    api_reply_json(asking->http, 300, NULL, 0, &out);
}

static void reply_absent(struct asking *asking)
{
    const char *kind = asking->kind->name, *id = asking->id;

    if (api_sites_lacking(&asking->reading.sites))
        api_problem_reply(asking->http, API_UNREACHABLE, &asking->reading.sites,
                          "No %s '%.100s' at the sites that answered; it may "
                          "be at one that did not. Try again later.",
                          kind, id);
    else
        api_problem_reply(asking->http, API_NOT_FOUND, NULL,
                          "No site has a %s '%.100s'.", kind, id);
}

static void reply_object(struct asking *asking)
{
    const struct api_reading *reading = &asking->reading;
    struct ist_sb out;

    if (reading->n_rows == 0) {
        reply_absent(asking);
        return;
    }
    if (reading->n_rows > 1) {
        reply_choices(asking);
        return;
    }
    ist_sb_init(&out, 0);
    put_row(&out, &reading->rows[0], &asking->query);
    ist_sb_putc(&out, '\n');
    api_reply_json(asking->http, 200, NULL, 0, &out);
}

/* The way of a request */

static void drop(struct asking *asking)
{
    ist_arena_fini(&asking->arena);
    free(asking);
}

static void on_read(struct ist_op *op)
{
    struct asking *asking = IST_CONTAINER(op, struct asking, reading.op);
    const struct api_sites *sites = &asking->reading.sites;
    size_t n_lacking = op->rc ? 0 : api_sites_lacking(sites);

    if (op->rc)
        api_problem_reply(asking->http, API_INTERNAL, NULL, "%s", op->err.text);
    else if (n_lacking && asking->query.deny_partial)
        api_problem_reply(asking->http, API_PARTIAL, sites,
                          "%zu of %zu sites did not answer in full, and "
                          "partial=deny was asked for.",
                          n_lacking, sites->n);
    else if (asking->id)
        reply_object(asking);
    else
        reply_list(asking);
    asking->api->n_open--;
    drop(asking);
}

static void on_gone(struct ist_httpd_request *http)
{
    struct asking *asking = http->owner;

    ist_op_cancel(&asking->reading.op, -ECANCELED);
}

static int by_name(const void *a, const void *b)
{
    struct sites_site *const *x = a, *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

/* The sites that the query names, in order; NULL: all. */
static int pick_sites(struct asking *asking, struct sites_site ***ret,
                      struct ist_err *err)
{
    const struct api_query *query = &asking->query;
    struct sites_site **picked;

    *ret = NULL;
    if (!query->sites)
        return 0;
    picked = ist_arena_alloc(&asking->arena,
                             query->n_sites * sizeof(struct sites_site *));
    for (size_t i = 0; picked && i < query->n_sites; i++) {
        picked[i] = sites_find(asking->api->sites, query->sites[i]);
        if (!picked[i] || picked[i]->state == SITES_REMOVED)
            return ist_err_set(err, -EINVAL,
                               "site: there is no site '%.40s': see "
                               "/api/v1/sites",
                               query->sites[i]);
    }
    if (!picked)
        return ist_err_set(err, -ENOMEM, "site: too many");
    qsort(picked, query->n_sites, sizeof(struct sites_site *), by_name);
    *ret = picked;
    return 0;
}

static void start(struct asking *asking, struct sites_site **sites,
                  size_t n_sites)
{
    struct api_reading *reading = &asking->reading;

    asking->http->owner = asking;
    asking->http->gone = on_gone;
    asking->api->n_open++;
    ist_op_prepare(&reading->op, asking->api->loop, NULL,
                   asking->query.deadline_ms, on_read);
    reading->api = asking->api;
    reading->kind = asking->kind;
    reading->request_id = asking->http->id;
    reading->query = &asking->query;
    reading->arena = &asking->arena;
    api_reading_start(reading, sites, n_sites);
}

/* An object is looked for in the lists of the tenant's own: the sites show him
 * what he may see. */
static void ask_by_id(struct asking *asking)
{
    struct api_query *query = &asking->query;

    asking->ids[0] = (char *) (uintptr_t) asking->id;
    query->filters[query->n_filters++] =
        (struct survey_filter){"id", asking->ids, 1};
    query->limit =
        VIEW_SITES_MAX < API_LIMIT_MAX ? VIEW_SITES_MAX : API_LIMIT_MAX;
    asking->reading.show_id = NULL;
}

/* His own project by its id here needs no filter; another's finds nothing. */
static void drop_own_project(struct asking *asking)
{
    struct api_query *query = &asking->query;

    for (size_t i = 0; i < query->n_filters; i++) {
        struct survey_filter *filter = &query->filters[i];

        for (size_t j = 0; j < filter->n_values; j++) {
            if (strcmp(filter->name, "project") != 0 ||
                strcmp(filter->values[j], asking->caller.project) != 0)
                continue;
            *filter = query->filters[--query->n_filters];
            return;
        }
    }
}

/* False: it is answered. */
static bool start_tenant(struct asking *asking, struct sites_site **sites)
{
    struct ist_httpd_request *http = asking->http;
    const char *doubt = api_tenant_doubt(asking->kind, &asking->query);
    char url[FACADE_URL_SIZE];
    size_t n;

    if (doubt) {
        api_problem_reply(http, API_FORBIDDEN, NULL, "%s", doubt);
        return false;
    }
    sites = api_tenant_sites(asking->api, &asking->caller, sites,
                             asking->query.n_sites, &asking->arena, &n);
    facade_url(asking->api->facade, http, url);
    asking->reading.base = ist_arena_strdup(&asking->arena, url);
    if (!sites || !asking->reading.base) {
        api_problem_reply(http, API_INTERNAL, NULL, "Out of memory.");
        return false;
    }
    asking->reading.caller = &asking->caller;
    if (asking->id)
        ask_by_id(asking);
    drop_own_project(asking);
    start(asking, sites, n);
    return true;
}

typedef int query_fn(const struct ist_httpd_param *, size_t,
                     const struct ist_kind *, struct ist_arena *,
                     struct api_query *, struct ist_err *);

static void ask(const struct api_request *request, query_fn *read)
{
    struct asking *asking = calloc(1, sizeof(*asking));
    struct ist_httpd_request *http = request->http;
    struct sites_site **sites;
    struct ist_err err;

    if (!asking) {
        api_problem_reply(http, API_INTERNAL, NULL, "Out of memory.");
        return;
    }
    asking->api = request->api;
    asking->http = http;
    asking->kind = request->kind;
    asking->id = asking->reading.show_id = request->word;
    ist_arena_init(&asking->arena, request->api->conf.request_memory);
    if (read(http->params, http->n_params, request->kind, &asking->arena,
             &asking->query, &err) ||
        pick_sites(asking, &sites, &err)) {
        api_problem_reply(http, API_BAD_PARAMETER, NULL, "%s", err.text);
        drop(asking);
        return;
    }
    if (!request->tenant) {
        start(asking, sites, asking->query.n_sites);
        return;
    }
    asking->caller = *request->tenant;
    if (!start_tenant(asking, sites))
        drop(asking);
}

void api_list_resources(const struct api_request *request)
{
    ask(request, api_query_list);
}

void api_show_resource(const struct api_request *request)
{
    if (strlen(request->word) > 255) {
        api_problem_reply(request->http, API_BAD_PARAMETER, NULL,
                          "An id has at most 255 characters.");
        return;
    }
    ask(request, api_query_show);
}
