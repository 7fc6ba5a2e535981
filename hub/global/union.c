/* One document of several: each site's is asked for, or what it said lately,
 * and they are put together as the route says. A site that is away counts with
 * what it said last. */
#include "base/parse.h"
#include "global/gather.h"
#include "global/names.h"
#include "httpd/query.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct uniting {
    struct global_gather gather;
    struct global_request *request;
    json_t *whole; /* What has been put together. */
    json_t *seen;  /* Names, in an object. */
};

typedef void unite_fn(struct uniting *, const struct global_part *,
                      json_t *document);

static void uniting_free(void *work)
{
    struct uniting *uniting = work;

    global_gather_fini(&uniting->gather);
    json_decref(uniting->whole);
    json_decref(uniting->seen);
    free(uniting);
}

/* The member that holds the list. */
static const char *collection_of(json_t *document)
{
    const char *name;
    json_t *value;

    json_object_foreach(document, name, value)
    {
        size_t len = strlen(name);

        if (json_is_array(value) &&
            !(len > 6 && strcmp(name + len - 6, "_links") == 0))
            return name;
    }
    return NULL;
}

/* The list in what has been put together, made of the first that has one. */
static json_t *list_in(struct uniting *uniting, const char *collection)
{
    json_t *list = json_object_get(uniting->whole, collection);

    if (list)
        return list;
    list = json_array();
    json_object_set_new(uniting->whole, collection, list);
    return list;
}

/* --- By name: flavors, types of volumes, key pairs --- */

static void set(json_t *object, const char *name, const char *text)
{
    json_object_set_new(object, name, json_string(text));
}

static void unite_names(struct uniting *uniting, const struct global_part *part,
                        json_t *document)
{
    const char *collection = collection_of(document);
    bool is_keypair = strcmp(uniting->request->route->kind, "keypair") == 0;
    json_t *list, *element;
    size_t i;

    (void) part;
    if (!collection)
        return;
    list = list_in(uniting, collection);
    json_array_foreach(json_object_get(document, collection), i, element)
    {
        json_t *object =
            is_keypair ? json_object_get(element, "keypair") : element;
        const char *name = json_string_value(json_object_get(object, "name"));

        if (!name || json_object_get(uniting->seen, name))
            continue;
        json_object_set_new(uniting->seen, name, json_true());
        if (!is_keypair)
            global_names_show(object);
        json_array_append(list, element);
    }
}

/* --- Zones --- */

/* Of a site whose Neutron has no zones: it is one itself, for hints. */
static void add_network_zone(json_t *list, const char *site)
{
    static const char *const resources[] = {"network", "router"};

    for (size_t i = 0; i < IST_COUNT(resources); i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", site,
                                              "resource", resources[i], "state",
                                              "available"));
}

static void unite_zones(struct uniting *uniting, const struct global_part *part,
                        json_t *document)
{
    const char *collection = collection_of(document);
    const char *site = part->site->site->name;
    char name[GLOBAL_ZONE_SIZE];
    json_t *element, *list;
    size_t i;

    if (!collection)
        return;
    list = list_in(uniting, collection);
    if (strcmp(collection, "availability_zones") == 0 &&
        json_array_size(json_object_get(document, collection)) == 0)
        add_network_zone(list, site);
    json_array_foreach(json_object_get(document, collection), i, element)
    {
        const char *member =
            json_object_get(element, "zoneName") ? "zoneName" : "name";
        const char *own = json_string_value(json_object_get(element, member));

        if (!own || strcmp(own, "internal") == 0)
            continue;
        global_names_zone_of(uniting->request, site, own, name);
        set(element, member, name);
        if (part->state == GLOBAL_STALE &&
            json_object_get(element, "zoneState"))
            json_object_set_new(element, "zoneState",
                                json_pack("{s:b}", "available", 0));
        json_array_append(list, element);
    }
}

/* A site that is away, and never said which zones it has: its zone is not
 * available. */
static void add_zone_away(struct uniting *uniting, const char *site)
{
    json_t *list = json_object_get(uniting->whole, "availabilityZoneInfo");

    json_array_append_new(list, json_pack("{s:s, s:{s:b}}", "zoneName", site,
                                          "zoneState", "available", 0));
}

/* --- Sums: limits, quotas, usage --- */

/* Bounds of one object, or of what is one at all sites, as key pairs are: the
 * smallest counts. */
static bool is_bound(const char *name)
{
    static const char *const names[] = {"maxTotalKeypairs",
                                        "key_pairs",
                                        "maxServerMeta",
                                        "maxImageMeta",
                                        "maxPersonality",
                                        "maxPersonalitySize",
                                        "maxServerGroupMembers",
                                        "maxSecurityGroupRules",
                                        "metadata_items",
                                        "injected_files",
                                        "injected_file_content_bytes",
                                        "injected_file_path_bytes",
                                        "server_group_members",
                                        "per_volume_gigabytes"};

    for (size_t i = 0; i < IST_COUNT(names); i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

/* -1 is without limit. */
static double number_of_both(const char *name, double a, double b)
{
    if (a == -1 || b == -1)
        return is_bound(name) ? (a == -1 ? b : a) : -1;
    if (is_bound(name))
        return a < b ? a : b;
    return a + b;
}

static void add_document(json_t *to, json_t *from);

static void add_member(json_t *to, const char *name, json_t *value)
{
    json_t *have = json_object_get(to, name);

    if (!have) {
        json_object_set(to, name, value);
    } else if (json_is_number(have) && json_is_number(value)) {
        double both = number_of_both(name, json_number_value(have),
                                     json_number_value(value));

        json_object_set_new(to, name,
                            json_is_real(have) || json_is_real(value)
                                ? json_real(both)
                                : json_integer(llround(both)));
    } else if (json_is_array(have)) {
        json_array_extend(have, value);
    } else if (json_is_object(have)) {
        add_document(have, value);
    }
}

static void add_document(json_t *to, json_t *from)
{
    const char *name;
    json_t *value;

    json_object_foreach(from, name, value) add_member(to, name, value);
}

static void unite_sums(struct uniting *uniting, const struct global_part *part,
                       json_t *document)
{
    (void) part;
    add_document(uniting->whole, document);
}

/* --- What all have: extensions --- */

static bool has_alias(json_t *list, const char *alias)
{
    json_t *element;
    size_t i;

    json_array_foreach(list, i, element)
    {
        const char *own = json_string_value(json_object_get(element, "alias"));

        if (own && strcmp(own, alias) == 0)
            return true;
    }
    return false;
}

static void unite_common(struct uniting *uniting,
                         const struct global_part *part, json_t *document)
{
    const char *collection = collection_of(document);
    json_t *have, *list;

    (void) part;
    if (!collection)
        return;
    list = json_object_get(document, collection);
    have = json_object_get(uniting->whole, collection);
    if (!have) {
        json_object_set(uniting->whole, collection, list);
        return;
    }
    for (size_t i = json_array_size(have); i-- > 0;) {
        const char *alias = json_string_value(
            json_object_get(json_array_get(have, i), "alias"));

        if (!alias || !has_alias(list, alias))
            json_array_remove(have, i);
    }
}

/* --- All of all --- */

/* What has an id is an object of its own; of the rest each is there once. */
static bool has_equal(json_t *list, json_t *element)
{
    json_t *other;
    size_t i;

    if (json_object_get(element, "id"))
        return false;
    json_array_foreach(list, i, other)
    {
        if (json_equal(other, element))
            return true;
    }
    return false;
}

static void unite_all(struct uniting *uniting, const struct global_part *part,
                      json_t *document)
{
    const char *collection = collection_of(document);

    json_t *list, *element;
    size_t i;

    (void) part;
    if (!collection) {
        add_document(uniting->whole, document);
        return;
    }
    list = list_in(uniting, collection);
    json_array_foreach(json_object_get(document, collection), i, element)
    {
        if (!has_equal(list, element))
            json_array_append(list, element);
    }
}

/* --- Pages --- */

static const char *param(const struct uniting *uniting, const char *name)
{
    const struct ist_httpd_request *http = uniting->request->http;

    for (size_t i = 0; i < http->n_params; i++) {
        if (strcmp(http->params[i].name, name) == 0)
            return http->params[i].value;
    }
    return NULL;
}

/* The query without pages, for the sites. */
static const char *query_of(struct global_request *request)
{
    char *copy = ist_arena_strdup(&request->arena, request->query), *one;
    struct ist_sb out;
    char *text;

    ist_sb_init(&out, 0);
    for (char *rest = copy; rest && (one = strsep(&rest, "&"));) {
        if (*one && strncmp(one, "limit=", 6) != 0 &&
            strncmp(one, "marker=", 7) != 0)
            ist_sb_printf(&out, "%s%s", out.len ? "&" : "", one);
    }
    text = ist_arena_strdup(&request->arena, ist_sb_text(&out));
    ist_sb_fini(&out);
    return text ? text : "";
}

/* What a marker names: the id, of a key pair its name. */
static const char *mark_of(json_t *element)
{
    json_t *keypair = json_object_get(element, "keypair");

    return json_string_value(keypair ? json_object_get(keypair, "name")
                                     : json_object_get(element, "id"));
}

/* Drops the rows up to the marker's; false: there is none. */
static bool begin_behind(json_t *list, const char *marker)
{
    size_t n = json_array_size(list), at = 0;
    bool is_found = false;

    while (at < n && !is_found) {
        const char *mark = mark_of(json_array_get(list, at++));

        is_found = mark && strcmp(mark, marker) == 0;
    }
    while (is_found && at-- > 0)
        json_array_remove(list, 0);
    return is_found;
}

/* Cinder's are in the singular. */
static void name_link(const char *collection, char *ret, size_t size)
{
    size_t len = strlen(collection);

    if (strcmp(collection, "volume_types") == 0)
        len--;
    snprintf(ret, size, "%.*s_links", (int) len, collection);
}

/* The link to the rows that were cut off. */
static void add_link(struct uniting *uniting, const char *collection,
                     const char *limit, const char *marker)
{
    struct global_request *request = uniting->request;
    const char *query = query_of(request);
    struct ist_sb url;
    char name[80];

    ist_sb_init(&url, 0);
    ist_sb_printf(&url, "%s/%s%s?%s%slimit=%s&marker=", request->asked.base,
                  request->asked.service->name,
                  global_request_target(request, request->n_segments, NULL),
                  query, *query ? "&" : "", limit);
    ist_query_encode(&url, marker);
    name_link(collection, name, sizeof(name));
    json_object_set_new(
        uniting->whole, name,
        json_pack("[{s:s, s:s}]", "rel", "next", "href", ist_sb_text(&url)));
    ist_sb_fini(&url);
}

/* What the services were not asked for. NULL: fine; else what is wrong. */
static const char *cut_page(struct uniting *uniting)
{
    const char *collection = collection_of(uniting->whole);
    const char *marker = param(uniting, "marker");
    const char *limit = param(uniting, "limit");
    json_t *list =
        collection ? json_object_get(uniting->whole, collection) : NULL;
    uint64_t max;

    if (marker && *marker && json_object_get(uniting->whole, "tenant_usage")) {
        /* It is whole on its first page: behind that there is nothing. */
        json_object_set_new(uniting->whole, "tenant_usage", json_object());
        return NULL;
    }
    if (marker && *marker && list && !begin_behind(list, marker))
        return "marker not found";
    if (!limit)
        return NULL;
    if (!ist_parse_u64(limit, 0, UINT32_MAX, &max))
        return "limit must be an integer 0 or greater";
    if (json_array_size(list) <= max)
        return NULL;
    while (json_array_size(list) > max)
        json_array_remove(list, json_array_size(list) - 1);
    if (max > 0 && mark_of(json_array_get(list, max - 1)))
        add_link(uniting, collection, limit,
                 mark_of(json_array_get(list, max - 1)));
    return NULL;
}

/* --- The way of it --- */

static unite_fn *way_of(const struct global_route *route)
{
    static const struct {
        const char *more;
        unite_fn *unite;
    } ways[] = {
        {"zones", unite_zones},
        {"sum", unite_sums},
        {"common", unite_common},
        {"all", unite_all},
    };

    for (size_t i = 0; route->more && i < IST_COUNT(ways); i++) {
        if (strcmp(ways[i].more, route->more) == 0)
            return ways[i].unite;
    }
    return unite_names;
}

static void unite(struct uniting *uniting)
{
    const struct global_gather *gather = &uniting->gather;
    unite_fn *way = way_of(uniting->request->route);

    for (size_t i = 0; i < gather->n_parts; i++) {
        const struct global_part *part = &gather->parts[i];
        json_t *document = NULL;

        if (part->state != GLOBAL_FAILED && part->status == 200)
            document = json_loadb(part->text, part->size,
                                  JSON_REJECT_DUPLICATES, NULL);
        if (json_is_object(document))
            way(uniting, part, document);
        json_decref(document);
        if (part->state == GLOBAL_FAILED && way == unite_zones)
            add_zone_away(uniting, part->site->site->name);
    }
}

/* All said no in the same words: those are the answer. */
static const struct global_part *refusal(const struct global_gather *gather,
                                         int status)
{
    for (size_t i = 0; i < gather->n_parts; i++) {
        if (gather->parts[i].is_asked && gather->parts[i].status == status)
            return &gather->parts[i];
    }
    return NULL;
}

static bool is_answered(const struct global_gather *gather)
{
    for (size_t i = 0; i < gather->n_parts; i++) {
        if (gather->parts[i].state != GLOBAL_FAILED &&
            gather->parts[i].status == 200)
            return true;
    }
    return false;
}

static void fail(struct uniting *uniting)
{
    struct global_request *request = uniting->request;
    char why[FACADE_OUTCOME_MAX];
    int status = global_gather_failure(&uniting->gather, why, sizeof(why));
    const struct global_part *part = refusal(&uniting->gather, status);

    if (part) {
        global_request_pass(request, &part->ask);
    } else {
        global_request_fail(request, status, "%s", why);
    }
}

static void reply(struct uniting *uniting)
{
    struct global_request *request = uniting->request;
    struct ist_httpd_header sites = {"X-Isthmus-Sites", NULL};
    struct ist_sb note;

    ist_sb_init(&note, 0);
    global_gather_note(&uniting->gather, &note);
    sites.value = ist_arena_strdup(&request->http->arena, ist_sb_text(&note));
    ist_sb_fini(&note);
    global_request_reply_json(request, 200, &sites, 1,
                              json_incref(uniting->whole));
}

static void on_gathered(struct ist_op *op)
{
    struct global_gather *gather = IST_CONTAINER(op, struct global_gather, op);
    struct uniting *uniting = IST_CONTAINER(gather, struct uniting, gather);
    struct global_request *request = uniting->request;
    const char *wrong;

    request->running = NULL;
    if (!is_answered(gather)) {
        fail(uniting);
        return;
    }
    unite(uniting);
    wrong = cut_page(uniting);
    if (wrong) {
        global_request_fail(request, 400, "Invalid input: %s.", wrong);
        return;
    }
    reply(uniting);
}

static void begin(struct global_request *request)
{
    struct uniting *uniting = calloc(1, sizeof(*uniting));

    if (!uniting) {
        global_request_fail(request, 500, "The hub is out of memory.");
        return;
    }
    uniting->request = request;
    uniting->whole = json_object();
    uniting->seen = json_object();
    request->work = uniting;
    request->free_work = uniting_free;
    request->running = &uniting->gather.op;
    uniting->gather = (struct global_gather){
        .request = request,
        .target = global_request_target(request, request->n_segments,
                                        query_of(request)),
        /* Flavors and types change rarely, and are asked for with every list
         * of servers; a quota must be what it is. */
        .fresh_ms = way_of(request->route) == unite_names &&
                            strcmp(request->route->kind, "keypair") != 0
                        ? GLOBAL_FRESH_MS
                        : 0,
        .is_remembered = true};
    ist_op_prepare(&uniting->gather.op, request->http->loop, NULL, 0,
                   on_gathered);
    global_gather_start(&uniting->gather);
}

void global_unite(struct global_request *request)
{
    global_version_settle(request, begin);
}

void global_forbid(struct global_request *request)
{
    global_request_fail(request, 403,
                        "Quotas are each site's own: change them in the "
                        "region of the site.");
}
