/* Making something: at which site, and under which names there.
 *
 * The site is that of the zone that the client names; else that of what it
 * refers to, a network, a volume, a port; else the one that the configuration
 * says: the site with room where the project has the fewest, or its home. The
 * body goes on as it is, but for the names of zones, flavors and images. */
#include "global/gather.h"
#include "global/names.h"
#include "global/stale.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFERENCES_MAX 8

/* What is made, what it may refer to, and where it says its zone. */
static const struct recipe {
    const char *service, *collection, *root;
    const char *zone; /* Member of the root: a text, or a list of one. */
    bool is_spread;   /* Worth a choice of site; else the project's home. */
    struct {
        const char *path, *kind; /* "networks.uuid": through lists too. */
    } references[REFERENCES_MAX];
} recipes[] = {
    {"compute",
     "servers",
     "server",
     "availability_zone",
     true,
     {{"networks.uuid", "network"},
      {"networks.port", "port"},
      {"block_device_mapping_v2.uuid", "volume"},
      {"block_device_mapping_v2.uuid", "snapshot"},
      {"block_device_mapping.volume_id", "volume"}}},
    {"compute",
     "os-server-groups",
     "server_group",
     NULL,
     false,
     {{NULL, NULL}}},
    {"network",
     "networks",
     "network",
     "availability_zone_hints",
     false,
     {{NULL, NULL}}},
    {"network", "subnets", "subnet", NULL, false, {{"network_id", "network"}}},
    {"network", "ports", "port", NULL, false, {{"network_id", "network"}}},
    {"network",
     "routers",
     "router",
     "availability_zone_hints",
     false,
     {{"external_gateway_info.network_id", "network"}}},
    {"network",
     "floatingips",
     "floatingip",
     NULL,
     false,
     {{"floating_network_id", "network"}, {"port_id", "port"}}},
    {"network",
     "security-group-rules",
     "security_group_rule",
     NULL,
     false,
     {{"security_group_id", "security-group"}}},
    {"image", "images", "", NULL, false, {{NULL, NULL}}},
    {"volume",
     "volumes",
     "volume",
     "availability_zone",
     true,
     {{"snapshot_id", "snapshot"}, {"source_volid", "volume"}}},
    {"volume", "snapshots", "snapshot", NULL, false, {{"volume_id", "volume"}}},
    {"volume", "backups", "backup", NULL, false, {{"volume_id", "volume"}}},
    {"volume",
     "os-volume-transfer",
     "transfer",
     NULL,
     false,
     {{"volume_id", "volume"}}},
    {"volume",
     "attachments",
     "attachment",
     NULL,
     false,
     {{"volume_uuid", "volume"}}},
};

struct making {
    struct global_gather room; /* What is left of the project's quota. */
    struct facade_ask ask;
    struct global_request *request;
    const struct recipe *recipe;
    json_t *body, *root;
    const struct global_site *site;
    const char *flavor, *image; /* As the client names them; NULL: none. */
    const char *copy;           /* The image's id at the site. */
    bool is_asked;
    char why[300]; /* Why the sites that were left out were. */
};

static void making_free(void *work)
{
    struct making *making = work;

    global_gather_fini(&making->room);
    if (making->is_asked)
        facade_ask_fini(&making->ask);
    json_decref(making->body);
    free(making);
}

/* --- Making it at a site --- */

/* What the answer says of the thing made: so that it is found at once. */
static void note_made(struct making *making)
{
    struct global_request *request = making->request;
    const struct facade_ask *ask = &making->ask;
    json_t *answer = json_loadb(ist_sb_text(&ask->text), ask->text.len,
                                JSON_REJECT_DUPLICATES, NULL);
    const char *root = making->recipe->root;
    json_t *made = *root ? json_object_get(answer, root) : answer;
    const char *id = json_string_value(json_object_get(made, "id"));

    if (id && ask->status < 300) {
        global_place_note(request, request->segments[0], id,
                          making->site->site->name);
        if (making->copy && strcmp(making->image, making->copy) != 0)
            global_alias_note(request->global->aliases, id, making->image,
                              ist_loop_wall(request->global->facade->loop));
    }
    json_decref(answer);
}

static void on_made(struct ist_op *op)
{
    struct facade_ask *ask = IST_CONTAINER(op, struct facade_ask, op);
    struct making *making = IST_CONTAINER(ask, struct making, ask);
    struct global_request *request = making->request;
    char why[FACADE_OUTCOME_MAX];
    int status;

    request->running = NULL;
    if (op->rc) {
        status = facade_ask_outcome(ask, why);
        global_request_fail(request, status, "%s%s", why,
                            status == 504
                                ? " Whether it was made is not known: look "
                                  "before trying again."
                                : "");
        return;
    }
    note_made(making);
    global_request_pass(request, ask);
}

/* False: it is answered, for the site has no such image. */
static bool find_copy(struct making *making)
{
    struct global_request *request = making->request;
    struct ist_sb where;

    if (!making->image)
        return true;
    ist_sb_init(&where, 0);
    making->copy =
        global_names_copy(request, making->site, making->image, &where);
    if (!making->copy && where.len == 0) /* The site is to say. */
        making->copy = making->image;
    if (making->copy) {
        ist_sb_fini(&where);
        return true;
    }
    global_request_fail(
        request, 400,
        "Site %s has no image %.80s, nor a copy of it; it is at %.200s.",
        making->site->site->name, making->image, ist_sb_text(&where));
    ist_sb_fini(&where);
    return false;
}

/* Where a network is to be is said by hints, which a site that has no zones of
 * Neutron's refuses: they have done their part. */
static bool drop_hints(struct making *making)
{
    const char *zone = making->recipe->zone;

    return zone && strcmp(zone, "availability_zone_hints") == 0 &&
           json_object_del(making->root, zone) == 0;
}

/* The name of a security group of the caller's, by its id; NULL: it is at no
 * site, or is no id. '*ret_here': it is at the site chosen. */
static json_t *group_named(const struct making *making, json_t *group,
                           bool *ret_here)
{
    struct global_request *request = making->request;
    const char *id = json_string_value(json_object_get(group, "name"));
    json_t *object, *name = NULL;
    struct ist_bytes row;

    for (size_t i = 0; id && !name && i < request->n_sites; i++) {
        const struct global_site *site = &request->sites[i];

        if (!global_stale_row(request, site, "security-group", id, &row))
            continue;
        object = json_loadb(row.data, row.size, JSON_REJECT_DUPLICATES, NULL);
        name = json_incref(json_object_get(object, "name"));
        *ret_here = site == making->site;
        json_decref(object);
    }
    return name;
}

/* Of groups that other sites have, those of the same name at the site chosen
 * are meant, each once: forms fill in every group called "default". */
static bool take_own_groups(struct making *making)
{
    json_t *groups = json_object_get(making->root, "security_groups");
    json_t *seen = json_object(), *group;
    bool is_changed = false;

    for (int pass = 0; pass < 2; pass++) { /* The site's own come first. */
        for (size_t i = 0; i < json_array_size(groups); i++) {
            bool is_here = false;
            json_t *name;

            group = json_array_get(groups, i);
            name = group_named(making, group, &is_here);
            if (!json_is_string(name) || is_here != (pass == 0)) {
                json_decref(name);
                continue;
            }
            if (!is_here && json_object_get(seen, json_string_value(name))) {
                json_array_remove(groups, i--);
                is_changed = true;
            } else if (!is_here) {
                json_object_set(group, "name", name);
                is_changed = true;
            }
            json_object_set_new(seen, json_string_value(name), json_true());
            json_decref(name);
        }
    }
    json_decref(seen);
    return is_changed;
}

/* The body as the site chosen is to have it, where names alone will not do.
 * False: no memory. */
static bool settle_body(struct making *making)
{
    struct ist_sb *body = &making->request->body;
    bool is_changed = drop_hints(making);
    char *text;

    is_changed |= take_own_groups(making);
    if (!is_changed)
        return true;
    text = json_dumps(making->body, JSON_COMPACT);
    ist_sb_reset(body);
    ist_sb_puts(body, text ? text : "");
    free(text);
    return text && body->rc == 0;
}

static void make(struct making *making, const struct global_site *site)
{
    struct global_request *request = making->request;
    struct facade_ask *ask = &making->ask;

    making->site = site;
    if (site->is_away) {
        global_request_away(request, site->site);
        return;
    }
    if (!find_copy(making))
        return;
    if (!settle_body(making)) {
        global_request_fail(request, 500, "The hub is out of memory.");
        return;
    }
    *ask = (struct facade_ask){.facade = request->global->facade,
                               .asked = global_request_asked(request, site),
                               .method = request->http->method,
                               .http = request->http,
                               .body = ist_sb_text(&request->body),
                               .body_size = request->body.len,
                               .max = GLOBAL_ANSWER_MAX};
    making->is_asked = true;
    if (request->version && request->version[0])
        ask->asked.version = request->version;
    global_names_add(request, &ask->asked, making->image, making->copy);
    request->running = &ask->op;
    ist_op_prepare(&ask->op, request->http->loop, NULL, 0, on_made);
    facade_ask_start(ask);
}

/* --- The site with room --- */

static bool has_what_it_takes(struct making *making,
                              const struct global_site *site)
{
    struct global_request *request = making->request;
    const char *lacks = NULL;

    if (site->is_away)
        lacks = "cannot be reached";
    else if (making->flavor && !global_names_id(request, site->site->name,
                                                "flavor", making->flavor))
        lacks = "has no such flavor";
    else if (making->image &&
             !global_names_copy(request, site, making->image, NULL))
        lacks = "has no such image";
    if (lacks) {
        size_t len = strlen(making->why);

        snprintf(making->why + len, sizeof(making->why) - len, " %s %s;",
                 site->site->name, lacks);
    }
    return !lacks;
}

/* "absolute" limits, used and allowed, of Nova and Cinder. */
static const struct {
    const char *service, *used, *max;
} counts[] = {
    {"compute", "totalInstancesUsed", "maxTotalInstances"},
    {"compute", "totalCoresUsed", "maxTotalCores"},
    {"compute", "totalRAMUsed", "maxTotalRAMSize"},
    {"volume", "totalVolumesUsed", "maxTotalVolumes"},
    {"volume", "totalGigabytesUsed", "maxTotalVolumeGigabytes"},
};

/* How many there are, by the first of its counts; -1: there is no room. */
static double usage_of(const struct making *making,
                       const struct global_part *part)
{
    json_t *document = json_loadb(part->text ? part->text : "", part->size,
                                  JSON_REJECT_DUPLICATES, NULL);
    json_t *limits =
        json_object_get(json_object_get(document, "limits"), "absolute");
    double usage = json_is_object(limits) ? 0 : -1;
    bool is_first = true;

    for (size_t i = 0; usage >= 0 && i < IST_COUNT(counts); i++) {
        double used, max;

        if (strcmp(counts[i].service, making->recipe->service) != 0)
            continue;
        used = json_number_value(json_object_get(limits, counts[i].used));
        max = json_number_value(json_object_get(limits, counts[i].max));
        if (max >= 0 && used >= max)
            usage = -1;
        else if (is_first)
            usage = used;
        is_first = false;
    }
    json_decref(document);
    return usage;
}

static void on_room(struct ist_op *op)
{
    struct global_gather *room = IST_CONTAINER(op, struct global_gather, op);
    struct making *making = IST_CONTAINER(room, struct making, room);
    struct global_request *request = making->request;
    const struct global_site *best = NULL;
    double least = 0;

    request->running = NULL;
    if (global_request_is_over(request, op))
        return;
    for (size_t i = 0; i < room->n_parts; i++) {
        const struct global_part *part = &room->parts[i];
        double usage;

        if (!has_what_it_takes(making, part->site))
            continue;
        usage = part->state == GLOBAL_ANSWERED && part->status == 200
                    ? usage_of(making, part)
                    : -1;
        if (usage >= 0 && (!best || usage < least)) {
            best = part->site;
            least = usage;
        }
    }
    if (best)
        make(making, best);
    else
        global_request_fail(request, 403,
                            "No site has room for it:%s the others' quotas "
                            "are used up, or they did not answer.",
                            making->why);
}

static void choose_by_room(struct making *making)
{
    struct global_request *request = making->request;
    struct ist_sb target;

    ist_sb_init(&target, 0);
    ist_sb_printf(&target, "%s/limits", request->prefix);
    making->room = (struct global_gather){
        .request = request,
        .target = ist_arena_strdup(&request->arena, ist_sb_text(&target))};
    ist_sb_fini(&target);
    request->running = &making->room.op;
    ist_op_prepare(&making->room.op, request->http->loop, NULL, 0, on_room);
    global_gather_start(&making->room);
}

/* --- Where it says itself --- */

/* "hkg/shop" is at home in hkg. */
static const struct global_site *home_of(struct global_request *request)
{
    char site[SITES_NAME_SIZE];
    const char *name = request->asked.caller.project_name;

    snprintf(site, sizeof(site), "%.*s", (int) strcspn(name, "./"), name);
    return global_request_site(request, site);
}

static const char *zone_in(const struct making *making)
{
    json_t *zone = making->recipe->zone
                       ? json_object_get(making->root, making->recipe->zone)
                       : NULL;

    if (json_is_array(zone))
        zone = json_array_get(zone, 0);
    return json_string_value(zone);
}

/* The site of an object that the caller sees; NULL: it is not known. Of
 * another's nothing is told, not even where it is. */
static const struct global_site *site_of(struct global_request *request,
                                         const char *kind, const char *id)
{
    const struct global_site *site =
        global_place_recall(request, ist_kind_find(kind)->plural, id);
    struct ist_bytes row;

    for (size_t i = 0; !site && i < request->n_sites; i++) {
        if (global_stale_row(request, &request->sites[i], kind, id, &row))
            site = &request->sites[i];
    }
    return site;
}

struct referring {
    struct making *making;
    const char *kind, *id; /* Of the one that decided. */
    const struct global_site *site;
    bool is_answered;
};

static void refer_to(struct referring *to, const char *kind, const char *id)
{
    struct global_request *request = to->making->request;
    const struct global_site *site = site_of(request, kind, id);

    if (!site || to->is_answered)
        return;
    if (to->site && to->site != site) {
        to->is_answered = true;
        global_request_fail(request, 400,
                            "All that it refers to must be at one site: %s "
                            "%.60s is at %s, %s %.60s at %s.",
                            to->kind, to->id, to->site->site->name, kind, id,
                            site->site->name);
        return;
    }
    to->kind = kind;
    to->id = id;
    to->site = site;
}

/* Every value at a path, through lists. */
static void walk(struct referring *to, const char *kind, json_t *value,
                 const char *path)
{
    char name[64];
    size_t i, len;
    json_t *element;

    if (json_is_array(value)) {
        json_array_foreach(value, i, element) walk(to, kind, element, path);
    } else if (*path && json_is_object(value)) {
        len = strcspn(path, ".");
        snprintf(name, sizeof(name), "%.*s", (int) len, path);
        walk(to, kind, json_object_get(value, name),
             path + len + (path[len] == '.'));
    } else if (!*path && json_is_string(value)) {
        refer_to(to, kind, json_string_value(value));
    }
}

/* Else where the configuration says. */
static void choose(struct making *making)
{
    struct global_request *request = making->request;
    const char *placement = request->global->conf.placement;
    const struct global_site *home = home_of(request);

    if (making->recipe->is_spread && strcmp(placement, "spread") == 0)
        choose_by_room(making);
    else if (making->recipe->is_spread && strcmp(placement, "none") == 0)
        global_request_fail(request, 400,
                            "availability_zone required: name one of those "
                            "that the region lists.");
    else
        make(making, home ? home : &request->sites[0]);
}

static const char *image_in(const struct making *making)
{
    const char *id =
        json_string_value(json_object_get(making->root, "imageRef"));

    return id && *id ? id : NULL;
}

static void place(struct making *making)
{
    struct global_request *request = making->request;
    const char *zone = zone_in(making);
    struct referring to = {.making = making};

    making->flavor =
        json_string_value(json_object_get(making->root, "flavorRef"));
    making->image = image_in(making);
    if (zone && *zone) {
        const struct global_site *site = global_names_zone(request, zone);

        if (site)
            make(making, site);
        else
            global_request_fail(request, 400,
                                "The requested availability zone %.80s is not "
                                "available.",
                                zone);
        return;
    }
    for (size_t i = 0; i < REFERENCES_MAX && making->recipe->references[i].path;
         i++)
        walk(&to, making->recipe->references[i].kind, making->root,
             making->recipe->references[i].path);
    if (to.is_answered)
        return;
    if (to.site)
        make(making, to.site);
    else
        choose(making);
}

/* --- Beginning --- */

static const struct recipe *find_recipe(const struct global_request *request)
{
    for (size_t i = 0; i < IST_COUNT(recipes); i++) {
        if (strcmp(recipes[i].service, request->asked.service->name) == 0 &&
            strcmp(recipes[i].collection, request->segments[0]) == 0)
            return &recipes[i];
    }
    return NULL;
}

/* What a recipe does not say of is made at home. */
static const struct recipe plain = {NULL, "", "", NULL, false, {{NULL, NULL}}};

/* Of many made at once (Neutron's bulk) the first decides. */
static json_t *root_of(const struct making *making)
{
    const char *root = making->recipe->root;
    char plural[64];
    json_t *one;

    if (!*root)
        return making->body;
    one = json_object_get(making->body, root);
    snprintf(plural, sizeof(plural), "%ss", root);
    return one ? one : json_array_get(json_object_get(making->body, plural), 0);
}

static void begin(struct global_request *request)
{
    struct making *making = calloc(1, sizeof(*making));

    if (!making) {
        global_request_fail(request, 500, "The hub is out of memory.");
        return;
    }
    making->request = request;
    making->recipe = find_recipe(request);
    if (!making->recipe)
        making->recipe = &plain;
    request->work = making;
    request->free_work = making_free;
    making->body = json_loadb(ist_sb_text(&request->body), request->body.len,
                              JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(making->body)) {
        global_request_fail(request, 400,
                            "Malformed request body: it is no JSON object.");
        return;
    }
    making->root = root_of(making);
    place(making);
}

void global_create(struct global_request *request)
{
    global_version_settle(request, begin);
}
