#include "global/names.h"

#include "codec/json.h"

#include <stdio.h>
#include <string.h>

#define ROWS_MAX 1000 /* Flavors, zones or images of one site; then cut. */

/* Members of Nova, Neutron and Cinder that hold each. */
static const char *const zone_members[] = {
    "availability_zone", "OS-EXT-AZ:availability_zone", "zoneName",
    "availability_zone_hints", "availability_zones"};
static const char *const flavor_members[] = {"flavorRef", "id"};
static const char *const type_members[] = {"volume_type_id", "id"};
static const char *const image_members[] = {"imageRef", "image_id", "uuid",
                                            "id"};

/* --- Rows of the view --- */

/* All rows of a kind at a site, by name; none where the view fails. */
static struct view_page rows_of(struct global_request *request,
                                const char *site, const char *kind)
{
    char *sites[] = {(char *) (uintptr_t) site};
    struct view_query query = {.kind = ist_kind_find(kind),
                               .n_sort = 1,
                               .sites = sites,
                               .n_sites = 1,
                               .limit = ROWS_MAX};
    struct view_page page = {0};
    struct ist_err err;

    query.sort[0].name = "name";
    if (view_page(request->global->view, &query, &request->arena, &page, &err))
        return (struct view_page){0};
    return page;
}

static char *text_of(struct global_request *request,
                     const struct ist_bytes *bytes)
{
    char *text = ist_arena_dup(&request->http->arena, bytes->data, bytes->size);

    return text ? text : (char *) "";
}

static bool reads(const struct ist_bytes *bytes, const char *text)
{
    return bytes->size == strlen(text) &&
           memcmp(bytes->data, text, bytes->size) == 0;
}

/* --- Zones --- */

/* Nova's own services are in a zone that nobody asks for. */
static bool is_zone(const struct view_row *row)
{
    return !reads(&row->place.id, "internal");
}

static size_t count_zones(const struct view_page *page)
{
    size_t n = 0;

    for (size_t i = 0; i < page->n_rows; i++)
        n += is_zone(&page->rows[i]);
    return n;
}

static void name_zone(const char *site, const char *zone, size_t n_zones,
                      char ret[GLOBAL_ZONE_SIZE])
{
    snprintf(ret, GLOBAL_ZONE_SIZE, n_zones > 1 ? "%s-%s" : "%s", site, zone);
}

void global_names_zone_of(struct global_request *request, const char *site,
                          const char *zone, char ret[GLOBAL_ZONE_SIZE])
{
    struct view_page page = rows_of(request, site, "availability-zone");

    if (request->is_region) /* Where they have their own names. */
        snprintf(ret, GLOBAL_ZONE_SIZE, "%s", zone);
    else
        name_zone(site, zone, count_zones(&page), ret);
}

const struct global_site *global_names_zone(struct global_request *request,
                                            const char *zone)
{
    char name[GLOBAL_ZONE_SIZE];

    for (size_t i = 0; i < request->n_sites; i++) {
        const char *site = request->sites[i].site->name;
        struct view_page page;
        size_t n;

        if (strncmp(zone, site, strlen(site)) != 0)
            continue;
        page = rows_of(request, site, "availability-zone");
        n = count_zones(&page);
        if (n <= 1 && strcmp(zone, site) == 0)
            return &request->sites[i];
        for (size_t j = 0; n > 1 && j < page.n_rows; j++) {
            name_zone(site, text_of(request, &page.rows[j].place.id), n, name);
            if (is_zone(&page.rows[j]) && strcmp(zone, name) == 0)
                return &request->sites[i];
        }
    }
    return NULL;
}

/* --- Flavors and types --- */

const char *global_names_id(struct global_request *request, const char *site,
                            const char *kind, const char *name)
{
    struct view_page page = rows_of(request, site, kind);

    for (size_t i = 0; i < page.n_rows; i++) {
        const struct view_row *row = &page.rows[i];

        if (reads(&row->place.keys[0], name))
            return text_of(request, &row->place.id);
    }
    for (size_t i = 0; i < page.n_rows; i++) {
        if (reads(&page.rows[i].place.id, name))
            return text_of(request, &page.rows[i].place.id);
    }
    return NULL;
}

/* ".../flavors/<id>" becomes ".../flavors/<name>". */
static void name_links(json_t *object, const char *id, const char *name)
{
    json_t *link;
    size_t i;

    json_array_foreach(json_object_get(object, "links"), i, link)
    {
        const char *href = json_string_value(json_object_get(link, "href"));
        size_t len = href ? strlen(href) : 0, n = strlen(id);

        if (len > n && href[len - n - 1] == '/' &&
            strcmp(href + len - n, id) == 0)
            json_object_set_new(
                link, "href",
                json_sprintf("%.*s%s", (int) (len - n), href, name));
    }
}

void global_names_show(json_t *object)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    const char *id = json_string_value(json_object_get(object, "id"));

    if (!name || !id)
        return;
    name_links(object, id, name);
    json_object_set_new(object, "id", json_string(name));
}

/* --- Swaps --- */

static Isthmus__V1__Swap *swap_new(struct global_request *request,
                                   const char *const *members, size_t n_members,
                                   size_t n_pairs)
{
    struct ist_arena *arena = &request->http->arena;
    Isthmus__V1__Swap *swap = ist_arena_alloc(arena, sizeof(*swap));
    Isthmus__V1__Pair *pairs =
        ist_arena_alloc(arena, (n_pairs + 1) * sizeof(*pairs));
    Isthmus__V1__Pair **at =
        ist_arena_alloc(arena, (n_pairs + 1) * sizeof(Isthmus__V1__Pair *));

    if (!swap || !pairs || !at)
        return NULL;
    isthmus__v1__swap__init(swap);
    swap->members = (char **) (uintptr_t) members;
    swap->n_members = n_members;
    swap->pairs = at;
    for (size_t i = 0; i < n_pairs; i++) {
        isthmus__v1__pair__init(&pairs[i]);
        at[i] = &pairs[i];
    }
    return swap;
}

static void pair_add(Isthmus__V1__Swap *swap, char *hub, char *site)
{
    swap->pairs[swap->n_pairs]->hub = hub;
    swap->pairs[swap->n_pairs++]->site = site;
}

static Isthmus__V1__Swap *zones_of(struct global_request *request,
                                   const char *site)
{
    struct view_page page = rows_of(request, site, "availability-zone");
    size_t n = count_zones(&page);
    Isthmus__V1__Swap *swap = swap_new(
        request, zone_members, IST_COUNT(zone_members), page.n_rows + 1);

    for (size_t i = 0; swap && i < page.n_rows; i++) {
        char name[GLOBAL_ZONE_SIZE], *zone;

        if (!is_zone(&page.rows[i]))
            continue;
        zone = text_of(request, &page.rows[i].place.id);
        name_zone(site, zone, n, name);
        pair_add(swap, ist_arena_strdup(&request->http->arena, name), zone);
    }
    /* Nova's own name for it, where the site's zones are not known yet. */
    if (swap && n == 0)
        pair_add(swap, (char *) (uintptr_t) site, (char *) "nova");
    return swap;
}

/* The region knows them by their names. */
static Isthmus__V1__Swap *named_of(struct global_request *request,
                                   const char *site, const char *kind,
                                   const char *const *members, size_t n_members)
{
    struct view_page page = rows_of(request, site, kind);
    Isthmus__V1__Swap *swap =
        swap_new(request, members, n_members, page.n_rows);

    for (size_t i = 0; swap && i < page.n_rows; i++)
        pair_add(swap, text_of(request, &page.rows[i].place.keys[0]),
                 text_of(request, &page.rows[i].place.id));
    return swap;
}

static Isthmus__V1__Swap *image_of(struct global_request *request,
                                   const char *image, const char *copy)
{
    Isthmus__V1__Swap *swap =
        swap_new(request, image_members, IST_COUNT(image_members), 1);

    if (swap)
        pair_add(swap, ist_arena_strdup(&request->http->arena, image),
                 ist_arena_strdup(&request->http->arena, copy));
    return swap;
}

bool global_names_add(struct global_request *request,
                      struct facade_asked *asked, const char *image,
                      const char *copy)
{
    Isthmus__V1__Swap **swaps =
        ist_arena_alloc(&request->http->arena, 3 * sizeof(Isthmus__V1__Swap *));
    const char *site = asked->site->name;
    const char *service = asked->service->name;
    size_t n = 0;

    if (!swaps)
        return false;
    swaps[n++] = zones_of(request, site);
    if (image && copy && strcmp(image, copy) != 0)
        swaps[n++] = image_of(request, image, copy);
    if (strcmp(service, "compute") == 0)
        swaps[n++] = named_of(request, site, "flavor", flavor_members,
                              IST_COUNT(flavor_members));
    if (strcmp(service, "volume") == 0)
        swaps[n++] = named_of(request, site, "volume-type", type_members,
                              IST_COUNT(type_members));
    asked->swaps = swaps;
    asked->n_swaps = n;
    for (size_t i = 0; i < n; i++) {
        if (!swaps[i])
            return false;
    }
    return true;
}

/* --- Images --- */

static bool member_of(const struct view_row *row, const char *path, char *buf,
                      size_t size)
{
    struct ist_json_slice body = {row->body.data, row->body.size};

    return ist_json_text(ist_json_find(body, path), buf, size, NULL);
}

/* May the project use it, as far as is known here? Members of a shared one are
 * not. */
static bool is_visible(const struct global_site *site,
                       const struct view_row *row)
{
    char text[80];

    if (!global_site_rows(site)[0])
        return true;
    return (member_of(row, "owner", text, sizeof(text)) &&
            strcmp(text, global_site_rows(site)) == 0) ||
           (member_of(row, "visibility", text, sizeof(text)) &&
            (strcmp(text, "public") == 0 || strcmp(text, "community") == 0));
}

/* What the image's bytes hash to; false: it is not known at the sites of the
 * caller, or has no bytes yet. */
static bool hash_of(struct global_request *request, const char *image,
                    char *ret, size_t size)
{
    struct view_page page = {0};
    struct ist_err err;

    if (view_show(request->global->view, ist_kind_find("image"), image, NULL,
                  &request->arena, &page, &err))
        return false;
    for (size_t i = 0; i < page.n_rows; i++) {
        const struct global_site *site =
            global_request_site(request, page.rows[i].place.site);

        if (site && is_visible(site, &page.rows[i]) &&
            member_of(&page.rows[i], "os_hash_value", ret, size))
            return true;
    }
    return false;
}

static const char *copy_at(struct global_request *request,
                           const struct global_site *site, const char *image,
                           const char *hash)
{
    struct view_page page = rows_of(request, site->site->name, "image");
    const char *found = NULL;
    char text[160];

    for (size_t i = 0; i < page.n_rows; i++) {
        const struct view_row *row = &page.rows[i];

        if (reads(&row->place.id, image) && is_visible(site, row))
            return image;
        if (!found && hash[0] && is_visible(site, row) &&
            member_of(row, "status", text, sizeof(text)) &&
            strcmp(text, "active") == 0 &&
            member_of(row, "os_hash_value", text, sizeof(text)) &&
            strcmp(text, hash) == 0)
            found = text_of(request, &row->place.id);
    }
    return found;
}

const char *global_names_copy(struct global_request *request,
                              const struct global_site *wanted,
                              const char *image, struct ist_sb *ret_where)
{
    char hash[160] = "";
    const char *found;

    hash_of(request, image, hash, sizeof(hash));
    found = copy_at(request, wanted, image, hash);
    for (size_t i = 0; !found && ret_where && i < request->n_sites; i++) {
        if (copy_at(request, &request->sites[i], image, hash))
            ist_sb_printf(ret_where, "%s%s", ret_where->len ? ", " : "",
                          request->sites[i].site->name);
    }
    return found;
}
