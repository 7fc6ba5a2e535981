/* A list of all sites as one: each is asked for its rows in the client's name,
 * in one order, and the streams are merged; a site that is away is stood in for
 * by what the view last knew of it.
 *
 *     version --> marker --> survey --> rows of sites away --> answer
 *
 * The marker is a plain id, as OpenStack's clients have it. Where its row lies
 * in the order is remembered from the page that it ended, else the view knows,
 * else the sites are asked. */
#include "global/gather.h"
#include "global/names.h"
#include "global/stale.h"

#include "codec/rewrite.h"
#include "facade/assertion.h"
#include "facade/outcome.h"
#include "httpd/query.h"
#include "model/marker.h"
#include "survey/survey.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LIMIT_MAX  1000U /* Nova's own. */
#define FIELDS_MAX 32U
#define MARKER_MS  10000U

/* How a service writes a list. */
static const struct style {
    const char *kind, *collection;
    enum { LINKS_NOVA, LINKS_NEUTRON, LINKS_GLANCE } links;
    bool newest_first; /* By default; else by id. */
    const char *brief[12];
} styles[] = {
    {"server", "servers", LINKS_NOVA, true, {"id", "name", "links"}},
    {"volume", "volumes", LINKS_NOVA, true, {"id", "name", "links"}},
    {"snapshot",
     "snapshots",
     LINKS_NOVA,
     true,
     {"id", "name", "description", "status", "size", "metadata", "volume_id",
      "created_at", "updated_at"}},
    {"image", "images", LINKS_GLANCE, true, {NULL}},
    {"network", "networks", LINKS_NEUTRON, false, {NULL}},
    {"subnet", "subnets", LINKS_NEUTRON, false, {NULL}},
    {"port", "ports", LINKS_NEUTRON, false, {NULL}},
    {"router", "routers", LINKS_NEUTRON, false, {NULL}},
    {"security-group", "security_groups", LINKS_NEUTRON, false, {NULL}},
    {"floating-ip", "floatingips", LINKS_NEUTRON, false, {NULL}},
};

struct listing {
    struct global_request *request;
    const struct ist_kind *kind;
    const struct style *style;

    size_t limit;
    const char *marker; /* NULL: from the start. */
    struct survey_sort sort[IST_ORDER_KEYS_MAX];
    size_t n_sort;
    char sort_text[120]; /* What a marker is tied to. */
    const char *fields[FIELDS_MAX];
    size_t n_fields;
    const struct global_site *only; /* NULL: all sites. */
    bool is_paged;                  /* The client spoke of pages. */
    struct ist_place after;
    bool has_after;

    struct survey survey;
    struct sites_site **asked; /* By name. */
    size_t n_asked;
    struct survey_filter by_id; /* Of the search for a marker. */
    char *ids[1];

    struct ist_row_out *rows; /* Live and stale, in order. */
    size_t n_rows;
    bool has_more;
    struct ist_sb note;
};

static void listing_free(void *work)
{
    struct listing *listing = work;

    ist_sb_fini(&listing->note);
    free(listing);
}

/* --- The query --- */

/* What clients call the members that can be sorted by. */
static const struct {
    const char *native, *name;
} sort_names[] = {{"created_at", "created_at"},
                  {"updated_at", "updated_at"},
                  {"name", "name"},
                  {"display_name", "name"},
                  {"status", "status"},
                  {"vm_state", "status"},
                  {"id", "id"},
                  {"uuid", "id"},
                  {"project_id", "project"},
                  {"tenant_id", "project"},
                  {"owner", "project"},
                  {"size", "size"},
                  {"availability_zone", "zone"}};

static const char *sort_name(const struct listing *listing, const char *native)
{
    for (size_t i = 0; i < IST_COUNT(sort_names); i++) {
        if (strcmp(sort_names[i].native, native) == 0 &&
            ist_kind_member(listing->kind, sort_names[i].name))
            return sort_names[i].name;
    }
    return NULL;
}

static bool add_sort(struct listing *listing, const char *native,
                     bool descending)
{
    const char *name = sort_name(listing, native);

    if (!name)
        return false;
    for (size_t i = 0; i < listing->n_sort; i++) {
        if (strcmp(listing->sort[i].name, name) == 0)
            return true;
    }
    if (listing->n_sort < IST_ORDER_KEYS_MAX)
        listing->sort[listing->n_sort++] =
            (struct survey_sort){name, descending};
    return true;
}

/* "name:asc,created_at" */
static bool take_sort(struct listing *listing, const char *value)
{
    char text[120], *rest = text, *one;

    if (strlcpy(text, value, sizeof(text)) >= sizeof(text))
        return false;
    while ((one = strsep(&rest, ","))) {
        char *way = strchr(one, ':');

        if (way)
            *way++ = '\0';
        if (*one && !add_sort(listing, one, !way || strcmp(way, "asc") != 0))
            return false;
    }
    return true;
}

/* The n-th sort_dir is that of the n-th sort_key; without one, that of the
 * last. */
static bool take_sort_key(struct listing *listing, const char *key, size_t n)
{
    const struct ist_httpd_request *http = listing->request->http;
    const char *way = listing->style->newest_first ? "desc" : "asc";
    size_t at = 0;

    for (size_t i = 0; i < http->n_params; i++) {
        if (strcmp(http->params[i].name, "sort_dir") == 0 && at++ <= n)
            way = http->params[i].value;
    }
    return add_sort(listing, key, strcmp(way, "desc") == 0);
}

/* What the services themselves sort by, and add behind what was asked for. */
static void complete_sort(struct listing *listing)
{
    struct ist_sb text;
    bool descending = listing->n_sort ? listing->sort[0].descending : true;

    if (listing->style->newest_first &&
        !(listing->n_sort && strcmp(listing->sort[0].name, "id") == 0))
        add_sort(listing, "created_at", descending);
    if (listing->n_sort == 0)
        add_sort(listing, "id", false);
    ist_sb_init(&text, sizeof(listing->sort_text) - 1);
    for (size_t i = 0; i < listing->n_sort; i++)
        ist_sb_printf(&text, "%s%s,", listing->sort[i].descending ? "-" : "",
                      listing->sort[i].name);
    snprintf(listing->sort_text, sizeof(listing->sort_text), "%s",
             ist_sb_text(&text));
    ist_sb_fini(&text);
}

static bool take_limit(struct listing *listing, const char *value)
{
    char *end;
    unsigned long limit = strtoul(value, &end, 10);

    if (!*value || *end || *value == '-' || *value == '+')
        return false;
    if (limit < LIMIT_MAX && (limit > 0 || listing->style->newest_first))
        listing->limit = limit; /* To Neutron alone 0 is no limit. */
    listing->is_paged = true;
    return true;
}

static bool take_zone(struct listing *listing, const char *value)
{
    listing->only = global_names_zone(listing->request, value);
    return listing->only != NULL;
}

/* Those that are the region's business; all others are the service's own. */
static bool is_filter(const char *name)
{
    static const char *const names[] = {
        "limit",      "marker",           "sort_key",     "sort_dir",
        "sort",       "fields",           "page_reverse", "offset",
        "with_count", "availability_zone"};

    for (size_t i = 0; i < IST_COUNT(names); i++) {
        if (strcmp(names[i], name) == 0)
            return false;
    }
    return true;
}

/* NULL: fine; else what is wrong. */
static const char *take_param(struct listing *listing,
                              const struct ist_httpd_param *param,
                              size_t *n_keys)
{
    const char *name = param->name, *value = param->value;

    if (strcmp(name, "limit") == 0)
        return take_limit(listing, value) ? NULL : "limit must be an integer";
    if (strcmp(name, "marker") == 0) {
        listing->marker = *value ? value : NULL;
        listing->is_paged = true;
        return NULL;
    }
    if (strcmp(name, "sort_key") == 0)
        return take_sort_key(listing, value, (*n_keys)++)
                   ? NULL
                   : "region global cannot sort by that sort_key";
    if (strcmp(name, "sort") == 0)
        return take_sort(listing, value)
                   ? NULL
                   : "region global cannot sort by that key";
    if (strcmp(name, "fields") == 0) {
        if (listing->n_fields < FIELDS_MAX)
            listing->fields[listing->n_fields++] = value;
        return NULL;
    }
    if (strcmp(name, "availability_zone") == 0)
        return take_zone(listing, value) ? NULL : "there is no such zone";
    return NULL;
}

/* NULL: it is understood; else what is wrong. */
static const char *read_query(struct listing *listing)
{
    const struct ist_httpd_request *http = listing->request->http;
    size_t n_keys = 0;

    listing->limit = LIMIT_MAX;
    for (size_t i = 0; i < http->n_params; i++) {
        const char *wrong = take_param(listing, &http->params[i], &n_keys);

        if (wrong)
            return wrong;
    }
    complete_sort(listing);
    return NULL;
}

/* As the site is to have it: its own ids of the project and of a flavor. */
static const char *value_at(struct listing *listing,
                            const struct global_site *site,
                            const struct ist_httpd_param *param)
{
    struct global_request *request = listing->request;
    const char *id = NULL;

    if (strcmp(param->name, "flavor") == 0)
        id = global_names_id(request, site->site->name, "flavor", param->value);
    else if (strcmp(param->value, request->asked.caller.project) == 0)
        id = site->project[0] ? site->project : NULL;
    return id ? id : param->value;
}

/* The filters that the service itself knows. */
static void put_filters(struct listing *listing, const struct global_site *site,
                        struct ist_sb *out)
{
    const struct ist_httpd_request *http = listing->request->http;

    for (size_t i = 0; i < http->n_params; i++) {
        const struct ist_httpd_param *param = &http->params[i];

        if (!is_filter(param->name))
            continue;
        ist_sb_printf(out, "%s", out->len ? "&" : "");
        ist_query_encode(out, param->name);
        ist_sb_putc(out, '=');
        ist_query_encode(out, value_at(listing, site, param));
    }
}

/* --- Asking --- */

static Isthmus__V1__Relay *ask_as(struct survey *survey,
                                  struct sites_site *site)
{
    struct listing *listing = IST_CONTAINER(survey, struct listing, survey);
    struct global_request *request = listing->request;
    const struct global_site *at = global_request_site(request, site->name);
    Isthmus__V1__Relay *ret = ist_arena_alloc(&request->arena, sizeof(*ret));
    struct facade_asked asked = global_request_asked(request, at);
    struct ist_sb filters;

    ist_sb_init(&filters, 0);
    if (!ret)
        return NULL;
    isthmus__v1__relay__init(ret);
    put_filters(listing, at, &filters);
    asked.target = global_request_target(request, request->n_segments,
                                         ist_sb_text(&filters));
    ist_sb_fini(&filters);
    return global_names_add(request, &asked, NULL, NULL) &&
                   facade_assert(request->global->facade, &asked, "GET",
                                 request->http->id, &request->arena, ret)
               ? ret
               : NULL;
}

static bool is_wanted(const struct listing *listing,
                      const struct global_site *site)
{
    return !listing->only || listing->only == site;
}

static void start_survey(struct listing *listing, size_t limit,
                         uint64_t timeout_ms, ist_op_done_fn *done)
{
    struct global_request *request = listing->request;
    struct survey *survey = &listing->survey;

    listing->asked = ist_arena_alloc(
        &request->arena, (request->n_sites + 1) * sizeof(struct sites_site *));
    listing->n_asked = 0;
    for (size_t i = 0; listing->asked && i < request->n_sites; i++) {
        if (!request->sites[i].is_away &&
            is_wanted(listing, &request->sites[i]))
            listing->asked[listing->n_asked++] = request->sites[i].site;
    }
    *survey =
        (struct survey){.kind = listing->kind->name,
                        .sort = listing->sort,
                        .n_sort = listing->n_sort,
                        .limit = limit,
                        .after = listing->has_after ? &listing->after : NULL,
                        .as = ask_as,
                        .version = request->version,
                        .request_id = request->http->id,
                        .arena = &request->arena};
    request->running = &survey->op;
    ist_op_prepare(&survey->op, request->http->loop, NULL, timeout_ms, done);
    if (listing->by_id.n_values) {
        survey->filters = &listing->by_id;
        survey->n_filters = 1;
    }
    survey_start(survey, request->global->facade->desk, listing->asked,
                 listing->n_asked);
}

/* --- Rows of sites that are away --- */

/* A page of a site's rows in the view, behind 'after': the project's own, or,
 * where there are rows of everybody, all. */
static void view_of(struct listing *listing, const struct global_site *site,
                    const struct ist_place *after, struct view_page *ret)
{
    char *sites[] = {site->site->name};
    char *projects[] = {(char *) (uintptr_t) global_site_rows(site)};
    struct view_query query = {.kind = listing->kind,
                               .n_sort = listing->n_sort,
                               .sites = sites,
                               .n_sites = 1,
                               .after = after,
                               .limit = listing->limit + 1};
    struct ist_err err;

    for (size_t i = 0; i < listing->n_sort; i++) {
        query.sort[i].name = listing->sort[i].name;
        query.sort[i].descending = listing->sort[i].descending;
    }
    if (listing->request->asked.caller.project[0] &&
        !global_stale_has_public(listing->kind)) {
        query.projects = projects;
        query.n_projects = 1;
    }
    if (view_page(listing->request->global->view, &query,
                  &listing->request->arena, ret, &err))
        *ret = (struct view_page){0};
}

/* A failure that says nothing of what is there. */
static bool is_unreachable(const struct survey_site *part)
{
    static const int outcomes[] = {DESK_ABSENT, DESK_NO_QUEUE, DESK_FULL,
                                   DESK_NO_BUS, DESK_BROKEN,   DESK_BUSY};

    for (size_t i = 0; i < IST_COUNT(outcomes); i++) {
        if (part->err.code == outcomes[i])
            return true;
    }
    return part->err.code == -ETIMEDOUT ||
           part->failure == ISTHMUS__V1__FAILURE__CODE__TIMEOUT ||
           part->failure == ISTHMUS__V1__FAILURE__CODE__UNREACHABLE ||
           part->failure == ISTHMUS__V1__FAILURE__CODE__BAD_ANSWER ||
           part->failure == ISTHMUS__V1__FAILURE__CODE__LOGIN ||
           part->failure == ISTHMUS__V1__FAILURE__CODE__BUSY;
}

static const struct survey_site *part_of(const struct listing *listing,
                                         const struct global_site *site)
{
    for (uint32_t i = 0; i < listing->survey.n_sites; i++) {
        if (listing->survey.sites[i].site == site->site)
            return &listing->survey.sites[i];
    }
    return NULL;
}

static bool is_shown(const struct listing *listing,
                     const struct global_site *site,
                     const struct ist_bytes *row)
{
    return global_stale_is_visible(listing->request, site, listing->kind,
                                   row) &&
           global_stale_fits(listing->request, row);
}

static void add_stale(struct listing *listing, const struct global_site *site,
                      size_t room)
{
    const struct ist_place *after = listing->has_after ? &listing->after : NULL;
    size_t wanted = listing->n_rows + listing->limit + 1;
    struct view_page page;

    do {
        view_of(listing, site, after, &page);
        for (size_t i = 0; i < page.n_rows && listing->n_rows < room &&
                           listing->n_rows < wanted;
             i++) {
            struct view_row *row = &page.rows[i];
            struct ist_row_out *to = &listing->rows[listing->n_rows];

            after = &row->place;
            if (!is_shown(listing, site, &row->body))
                continue;
            *to = (struct ist_row_out){
                .place = row->place,
                .body = global_stale_body(listing->request, site, listing->kind,
                                          &row->body)};
            listing->n_rows += to->body.data != NULL;
        }
    } while (page.has_more && listing->n_rows < room &&
             listing->n_rows < wanted);
}

static const struct ist_order *sorting; /* For qsort(); the loop is one. */

static int by_place(const void *a, const void *b)
{
    const struct ist_row_out *x = a, *y = b;

    return ist_order_cmp(sorting, &x->place, &y->place);
}

static void sort_rows(struct listing *listing)
{
    struct ist_order order = {.n_keys = listing->n_sort};

    for (size_t i = 0; i < listing->n_sort; i++)
        order.descending[i] = listing->sort[i].descending;
    sorting = &order;
    qsort(listing->rows, listing->n_rows, sizeof(listing->rows[0]), by_place);
    sorting = NULL;
}

/* Live rows and those of the sites away, the page cut to its size. */
static bool collect(struct listing *listing)
{
    struct global_request *request = listing->request;
    const struct ist_merge *live = &listing->survey.merge;
    size_t n_live = listing->n_asked ? live->n_page : 0;
    size_t room = n_live + request->n_sites * (listing->limit + 1);

    listing->has_more = listing->n_asked && ist_merge_has_more(live);
    listing->rows =
        ist_arena_alloc(&request->arena, (room + 1) * sizeof(listing->rows[0]));
    if (!listing->rows)
        return false;
    for (size_t i = 0; i < n_live; i++)
        listing->rows[listing->n_rows++] = live->page[i];
    for (size_t i = 0; i < request->n_sites; i++) {
        const struct global_site *site = &request->sites[i];
        const struct survey_site *part = part_of(listing, site);
        bool is_stale =
            !part || (part->state == SURVEY_FAILED && is_unreachable(part));

        if (!is_wanted(listing, site))
            continue;
        if (is_stale)
            add_stale(listing, site, room);
        global_request_note(&listing->note, site->site->name,
                            is_stale                       ? "stale"
                            : part->state == SURVEY_FAILED ? "failed"
                                                           : "ok");
    }
    if (listing->n_rows > n_live)
        sort_rows(listing);
    if (listing->n_rows > listing->limit) {
        listing->n_rows = listing->limit;
        listing->has_more = true;
    }
    return true;
}

/* --- The answer --- */

/* Only some members of the object; they come in the order of 'names'. */
static void put_members(struct ist_sb *out, const struct ist_bytes *body,
                        const char *const *names, size_t n)
{
    json_t *object =
        json_loadb(body->data, body->size, JSON_REJECT_DUPLICATES, NULL);
    json_t *brief = json_object();
    char *text;

    for (size_t i = 0; i < n && names[i]; i++)
        json_object_set(brief, names[i], json_object_get(object, names[i]));
    text = json_dumps(brief, JSON_COMPACT);
    ist_sb_puts(out, text ? text : "{}");
    free(text);
    json_decref(brief);
    json_decref(object);
}

/* A server that was made of another site's image shows the id by which its
 * client asked for it. */
static struct ist_bytes with_image(struct listing *listing,
                                   const struct ist_row_out *row)
{
    static const char *const names[] = {"id"};
    struct global_request *request = listing->request;
    IST_CLEANUP(ist_sb_fini) struct ist_sb out;
    struct ist_rewrite doc = {.how = {.n_swaps = 1}};
    struct ist_pair pair;
    struct ist_swap swap = {names, 1, &pair, 1};
    const char *id =
        ist_arena_dup(&request->arena, row->place.id.data, row->place.id.size);
    const char *image =
        id && strcmp(listing->kind->name, "server") == 0
            ? global_alias_find(request->global->aliases, id, &request->arena)
            : NULL;
    const struct global_site *site =
        image ? global_request_site(request, row->place.site) : NULL;
    void *copy;

    ist_sb_init(&out, 0);
    pair.from = site ? global_names_copy(request, site, image, NULL) : NULL;
    pair.to = image;
    if (!pair.from)
        return row->body;
    doc.how.swaps = &swap;
    ist_rewrite_feed(&doc, row->body.data, row->body.size, &out);
    ist_rewrite_end(&doc, &out);
    copy = out.rc ? NULL
                  : ist_arena_dup(&request->arena, ist_sb_text(&out), out.len);
    return copy ? (struct ist_bytes){copy, out.len} : row->body;
}

static void put_row(const struct listing *listing, struct ist_sb *out,
                    const struct ist_bytes *body)
{
    const char *more = listing->request->route->more;

    if (more && strcmp(more, "brief") == 0)
        put_members(out, body, listing->style->brief,
                    IST_COUNT(listing->style->brief));
    else if (listing->n_fields)
        put_members(out, body, listing->fields, listing->n_fields);
    else
        ist_sb_add(out, body->data, body->size);
}

/* The client's own query, with another marker, or none. */
static void put_query(const struct listing *listing, struct ist_sb *out,
                      const char *marker)
{
    const struct ist_httpd_request *http = listing->request->http;
    char sep = '?';

    for (size_t i = 0; i < http->n_params; i++) {
        if (strcmp(http->params[i].name, "marker") == 0)
            continue;
        ist_sb_putc(out, sep);
        ist_query_encode(out, http->params[i].name);
        ist_sb_putc(out, '=');
        ist_query_encode(out, http->params[i].value);
        sep = '&';
    }
    if (marker) {
        ist_sb_printf(out, "%cmarker=", sep);
        ist_query_encode(out, marker);
    }
}

static void put_link(const struct listing *listing, struct ist_sb *out,
                     const char *marker)
{
    struct global_request *request = listing->request;
    IST_CLEANUP(ist_sb_fini) struct ist_sb link;
    bool is_whole = listing->style->links != LINKS_GLANCE;

    ist_sb_init(&link, 0);
    if (is_whole)
        ist_sb_printf(&link, "%s/%s", request->asked.base,
                      request->asked.service->name);
    ist_sb_puts(&link,
                global_request_target(request, request->n_segments, NULL));
    put_query(listing, &link, marker);
    ist_sb_json(out, ist_sb_text(&link), link.len);
}

static void put_links(const struct listing *listing, struct ist_sb *out,
                      const char *last)
{
    const char *collection = listing->style->collection;
    bool is_full = listing->n_rows > 0 && listing->n_rows == listing->limit;

    if (listing->style->links == LINKS_GLANCE) {
        is_full &= listing->has_more; /* The others' way is to try. */
        ist_sb_puts(out, ",\"first\":");
        put_link(listing, out, NULL);
        if (is_full) {
            ist_sb_puts(out, ",\"next\":");
            put_link(listing, out, last);
        }
        ist_sb_puts(out, ",\"schema\":\"/v2/schemas/images\"");
        return;
    }
    if (!is_full)
        return;
    ist_sb_printf(out,
                  ",\"%s_links\":[{\"rel\":\"next\",\"href\":", collection);
    put_link(listing, out, last);
    ist_sb_puts(out, "}]");
}

static void mark_name(const struct listing *listing, const char *id,
                      struct ist_sb *out)
{
    ist_sb_printf(out, "mark %s %s %s %s",
                  listing->request->asked.caller.project, listing->kind->name,
                  listing->sort_text, id);
}

/* The page's end, so that the next begins there whatever becomes of the row. */
static void remember_last(struct listing *listing, const char *id)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb name, mark;

    ist_sb_init(&name, 0);
    ist_sb_init(&mark, 0);
    mark_name(listing, id, &name);
    ist_marker_put(&mark, listing->kind->name, listing->sort_text,
                   listing->n_sort, &listing->rows[listing->n_rows - 1].place);
    if (!name.rc && !mark.rc)
        global_memory_put(&listing->request->global->memory, ist_sb_text(&name),
                          ist_sb_text(&mark), mark.len,
                          ist_loop_now(listing->request->http->loop));
}

static void reply(struct listing *listing)
{
    struct global_request *request = listing->request;
    struct ist_httpd_header note = {"X-Isthmus-Sites", NULL};
    const char *last = NULL;
    struct ist_bytes body;
    struct ist_sb out;

    ist_sb_init(&out, 0);
    ist_sb_printf(&out, "{\"%s\":[", listing->style->collection);
    for (size_t i = 0; i < listing->n_rows; i++) {
        if (i)
            ist_sb_putc(&out, ',');
        body = with_image(listing, &listing->rows[i]);
        put_row(listing, &out, &body);
    }
    ist_sb_putc(&out, ']');
    if (listing->n_rows) {
        const struct ist_bytes *id =
            &listing->rows[listing->n_rows - 1].place.id;

        last = ist_arena_dup(&request->http->arena, id->data, id->size);
        if (last)
            remember_last(listing, last);
    }
    put_links(listing, &out, last);
    ist_sb_putc(&out, '}');
    note.value =
        ist_arena_strdup(&request->http->arena, ist_sb_text(&listing->note));
    global_request_reply(request, 200, &note, 1, &out);
}

/* No site gave anything: what they all say, or that they cannot be asked. */
static bool has_failed(struct listing *listing, int *ret_status,
                       char ret[FACADE_OUTCOME_MAX])
{
    const struct survey *survey = &listing->survey;
    bool is_own = false;

    *ret_status = 0;
    for (uint32_t i = 0; i < survey->n_sites; i++) {
        const struct survey_site *part = &survey->sites[i];
        int status;

        if (part->state != SURVEY_FAILED || is_unreachable(part))
            return false;
        status =
            facade_outcome(&part->call, listing->request->asked.service->name,
                           part->site->name, false, ret);
        if (part->err.http >= 400 && part->err.http < 500)
            status = part->err.http;
        is_own = *ret_status && status != *ret_status;
        *ret_status = is_own ? 503 : status;
    }
    return *ret_status != 0;
}

static void on_surveyed(struct ist_op *op)
{
    struct survey *survey = IST_CONTAINER(op, struct survey, op);
    struct listing *listing = IST_CONTAINER(survey, struct listing, survey);
    struct global_request *request = listing->request;
    char why[FACADE_OUTCOME_MAX];
    int status;

    request->running = NULL;
    if (op->rc)
        global_request_fail(request, 503, "The list came to nothing: %s",
                            op->err.text);
    else if (has_failed(listing, &status, why))
        global_request_fail(request, status, "%s", why);
    else if (!collect(listing))
        global_request_fail(request, 413,
                            "The list is over the cap of one request: ask for "
                            "fewer rows by 'limit'.");
    else
        reply(listing);
}

static void survey_page(struct listing *listing)
{
    listing->by_id.n_values = 0;
    start_survey(listing, listing->limit, FACADE_ASK_MS, on_surveyed);
}

/* --- The marker --- */

static void go_on_behind(struct listing *listing, const struct ist_place *place)
{
    listing->after = *place;
    listing->has_after = true;
    survey_page(listing);
}

static bool recall_marker(struct listing *listing, struct ist_place *ret)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb name;
    const struct global_memo *memo;

    ist_sb_init(&name, 0);
    mark_name(listing, listing->marker, &name);
    memo = global_memory_find(&listing->request->global->memory,
                              ist_sb_text(&name));
    return memo && ist_marker_parse(memo->text, listing->kind->name,
                                    listing->sort_text, listing->n_sort,
                                    &listing->request->arena, ret) == 0;
}

/* Only a row of the caller's own: of another's nobody learns anything. */
static bool view_marker(struct listing *listing, struct ist_place *ret)
{
    struct global_request *request = listing->request;
    char *ids[] = {(char *) (uintptr_t) listing->marker};
    struct view_filter filter = {"id", ids, 1};
    struct ist_err err;

    for (size_t i = 0; i < request->n_sites; i++) {
        const struct global_site *site = &request->sites[i];
        char *sites[] = {site->site->name};
        char *projects[] = {(char *) (uintptr_t) global_site_rows(site)};
        struct view_query query = {.kind = listing->kind,
                                   .n_sort = listing->n_sort,
                                   .filters = &filter,
                                   .n_filters = 1,
                                   .sites = sites,
                                   .n_sites = 1,
                                   .limit = 1};
        struct view_page page = {0};

        for (size_t j = 0; j < listing->n_sort; j++)
            query.sort[j].name = listing->sort[j].name;
        if (request->asked.caller.project[0]) {
            query.projects = projects;
            query.n_projects = 1;
        }
        if (view_page(request->global->view, &query, &request->arena, &page,
                      &err) == 0 &&
            page.n_rows == 1) {
            *ret = page.rows[0].place;
            return true;
        }
    }
    return false;
}

/* Neutron and Cinder look for an object, Nova and Glance at a parameter. */
static int marker_status(const struct listing *listing)
{
    const char *service = listing->kind->service;

    return strcmp(service, "network") == 0 || strcmp(service, "volume") == 0
               ? 404
               : 400;
}

static void on_marker_found(struct ist_op *op)
{
    struct survey *survey = IST_CONTAINER(op, struct survey, op);
    struct listing *listing = IST_CONTAINER(survey, struct listing, survey);

    listing->request->running = NULL;
    if (op->rc == 0 && survey->merge.n_page > 0)
        go_on_behind(listing, &survey->merge.page[0].place);
    else
        global_request_fail(listing->request, marker_status(listing),
                            "marker [%.80s] not found", listing->marker);
}

static void find_marker(struct listing *listing)
{
    struct ist_place place;

    if (listing->limit == 0) {
        reply(listing); /* Nothing was asked for. */
    } else if (!listing->marker) {
        survey_page(listing);
    } else if (recall_marker(listing, &place) || view_marker(listing, &place)) {
        go_on_behind(listing, &place);
    } else {
        listing->ids[0] = (char *) (uintptr_t) listing->marker;
        listing->by_id = (struct survey_filter){"id", listing->ids, 1};
        start_survey(listing, 1, MARKER_MS, on_marker_found);
    }
}

/* --- Beginning --- */

static const struct style *find_style(const char *kind)
{
    for (size_t i = 0; i < IST_COUNT(styles); i++) {
        if (strcmp(styles[i].kind, kind) == 0)
            return &styles[i];
    }
    return NULL;
}

static void begin(struct global_request *request)
{
    struct listing *listing = calloc(1, sizeof(*listing));
    const char *wrong;

    if (!listing) {
        global_request_fail(request, 500, "The hub is out of memory.");
        return;
    }
    listing->request = request;
    listing->kind = ist_kind_find(request->route->kind);
    listing->style = find_style(request->route->kind);
    ist_sb_init(&listing->note, 0);
    request->work = listing;
    request->free_work = listing_free;
    wrong = read_query(listing);
    if (wrong)
        global_request_fail(request, 400, "Invalid input: %s.", wrong);
    else
        find_marker(listing);
}

void global_list(struct global_request *request)
{
    global_version_settle(request, begin);
}
