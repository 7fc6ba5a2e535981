#include "facade/mapping.h"

#include "codec/uuid5.h"
#include "facade/pass.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_MAX (1U << 20)
#define ASK_MS    10000U
#define AGAIN_MS  30000U /* After a site did not say. */

/* What is known of one site. */
struct known {
    struct facade_mappings *owner;
    struct ist_id uid;
    uint8_t digest[32];
    Isthmus__V1__SiteMappings *said; /* Owned; NULL: nothing. */

    /* Asking it. */
    struct desk_call call;
    struct ist_arena arena;
    bool is_asking;
    uint64_t again_ms; /* Not before; loop time. */
    uint8_t asked_digest[32];
    Isthmus__V1__SiteMappings told; /* In the arena. */
    RB_ENTRY(known) node;
};

RB_HEAD(known_sites, known);

struct facade_mappings {
    struct ist_loop *loop;
    struct desk *desk;
    struct facade_keep *keep;
    struct known_sites sites;
    size_t n_busy;
};

static int known_cmp(struct known *a, struct known *b)
{
    return ist_id_cmp(&a->uid, &b->uid);
}

RB_GENERATE_INTERNAL(known_sites, known, node, known_cmp, IST_UNUSED_STATIC)

static struct known *find(const struct facade_mappings *all,
                          const struct ist_id *uid)
{
    struct known key = {.uid = *uid};

    return RB_FIND(known_sites, (struct known_sites *) &all->sites, &key);
}

static struct known *find_or_add(struct facade_mappings *all,
                                 const struct ist_id *uid)
{
    struct known *known = find(all, uid);

    if (known)
        return known;
    known = calloc(1, sizeof(*known));
    if (!known)
        return NULL;
    known->owner = all;
    known->uid = *uid;
    RB_INSERT(known_sites, &all->sites, known);
    return known;
}

/* Takes over what a site said, as a copy of its own. */
static void take(struct known *known, const Isthmus__V1__SiteMappings *said)
{
    size_t size = isthmus__v1__site_mappings__get_packed_size(said);
    uint8_t *wire = malloc(size ? size : 1);
    Isthmus__V1__SiteMappings *copy = NULL;

    if (wire) {
        isthmus__v1__site_mappings__pack(said, wire);
        copy = isthmus__v1__site_mappings__unpack(NULL, size, wire);
        free(wire);
    }
    if (!copy)
        return;
    if (known->said)
        isthmus__v1__site_mappings__free_unpacked(known->said, NULL);
    known->said = copy;
    memset(known->digest, 0, sizeof(known->digest));
    if (said->digest.len == sizeof(known->digest))
        memcpy(known->digest, said->digest.data, sizeof(known->digest));
}

/* --- Keeping --- */

static bool is_over(const void *message, uint64_t wall_ms)
{
    (void) message, (void) wall_ms;
    return false;
}

const struct facade_keep_kind facade_mapping_kind = {
    .map = "mapping",
    .message = &isthmus__v1__site_mappings__descriptor,
    .n_max = SITES_MAX,
    .is_over = is_over,
};

static bool load(void *arg, const uint8_t key[FACADE_KEY_BYTES],
                 const void *message)
{
    const Isthmus__V1__SiteMappings *said = message;
    struct known *known = NULL;
    struct ist_id uid;

    (void) key;
    if (said->site_uid.len == sizeof(uid.b)) {
        memcpy(uid.b, said->site_uid.data, sizeof(uid.b));
        known = find_or_add(arg, &uid);
    }
    if (known)
        take(known, said);
    return true;
}

/* --- Asking --- */

static void is_done(struct known *known)
{
    known->owner->n_busy--;
    ist_arena_fini(&known->arena);
}

static void keep(struct known *known)
{
    uint8_t key[FACADE_KEY_BYTES] = {0};

    memcpy(key, known->uid.b, sizeof(known->uid.b));
    facade_keep_note(known->owner->keep, key, &known->told);
}

static int on_frame(struct desk_call *call, const Isthmus__V1__Reply *reply)
{
    struct known *known = IST_CONTAINER(call, struct known, call);

    known->told.mappings = reply->mappings;
    known->told.n_mappings = reply->n_mappings;
    return 0;
}

static void on_called(struct ist_op *op)
{
    struct desk_call *call = IST_CONTAINER(op, struct desk_call, op);
    struct known *known = IST_CONTAINER(call, struct known, call);

    known->is_asking = false;
    known->again_ms = ist_loop_now(op->loop) + AGAIN_MS;
    if (op->rc) {
        ist_log_info("facade", "the projects of site %s are not known: %s",
                     call->site->name, op->err.text);
        is_done(known);
        return;
    }
    known->again_ms = 0;
    known->told.site_uid =
        (ProtobufCBinaryData){sizeof(known->uid.b), known->uid.b};
    known->told.digest =
        (ProtobufCBinaryData){sizeof(known->asked_digest), known->asked_digest};
    take(known, &known->told);
    keep(known);
    is_done(known);
}

static void ask(struct known *known, struct sites_site *site)
{
    Isthmus__V1__Mappings mappings = ISTHMUS__V1__MAPPINGS__INIT;
    Isthmus__V1__Call what = ISTHMUS__V1__CALL__INIT;
    struct desk_call *call = &known->call;

    known->owner->n_busy++;
    known->is_asking = true;
    isthmus__v1__site_mappings__init(&known->told);
    memcpy(known->asked_digest, site->projects_digest,
           sizeof(known->asked_digest));
    ist_arena_init(&known->arena, ARENA_MAX);
    what.what_case = ISTHMUS__V1__CALL__WHAT_MAPPINGS;
    what.mappings = &mappings;
    *call = (struct desk_call){
        .site = site, .arena = &known->arena, .on_frame = on_frame};
    ist_op_prepare(&call->op, known->owner->loop, NULL, ASK_MS, on_called);
    desk_call_start(known->owner->desk, call, &what);
}

void facade_mappings_site_changed(struct facade_mappings *all,
                                  struct sites_site *site, unsigned changes)
{
    struct known *known;

    if (!all || !(changes & SITES_CHANGE_HEARD))
        return;
    known = find_or_add(all, &site->peer.uid);
    if (!known || known->is_asking ||
        memcmp(known->digest, site->projects_digest, sizeof(known->digest)) ==
            0 ||
        ist_loop_now(all->loop) < known->again_ms)
        return;
    ask(known, site);
}

/* --- Finding --- */

static bool has_role(const Isthmus__V1__Mapping *row,
                     const struct facade_caller *caller)
{
    for (size_t i = 0; i < row->n_roles; i++) {
        for (size_t j = 0; j < caller->n_roles; j++) {
            if (strcmp(row->roles[i], caller->roles[j]) == 0)
                return true;
        }
    }
    return row->n_roles == 0;
}

bool facade_mapping_find(const struct facade_mappings *all,
                         const struct sites_site *site,
                         const struct facade_caller *caller,
                         const char **ret_project)
{
    const struct known *known = all ? find(all, &site->peer.uid) : NULL;

    *ret_project = "";
    if (caller->user[0] && !caller->project[0])
        return true;
    if (facade_pass_is_for(caller, site->name)) {
        *ret_project = caller->pass_project;
        return true;
    }
    for (size_t i = 0; known && known->said && i < known->said->n_mappings;
         i++) {
        const Isthmus__V1__Mapping *row = known->said->mappings[i];

        if ((strcmp(row->hub, caller->project) != 0 &&
             strcmp(row->hub, caller->project_name) != 0) ||
            !has_role(row, caller))
            continue;
        *ret_project = row->project;
        return true;
    }
    return false;
}

/* --- Ids of projects --- */

/* The row of that very project, "hkg/shop", at its home. */
static const Isthmus__V1__Mapping *home_row(const struct known *home,
                                            const char *hub)
{
    for (size_t i = 0; home && home->said && i < home->said->n_mappings; i++) {
        const Isthmus__V1__Mapping *row = home->said->mappings[i];

        if (strcmp(row->hub, hub) == 0 && row->project[0])
            return row;
    }
    return NULL;
}

/* Its id at the hub; false: not known. */
static bool hub_id(const struct facade_mappings *all, struct sites *sites,
                   const char *hub, char ret[IST_ID_HEX_SIZE])
{
    size_t len = strcspn(hub, "./");
    char name[SITES_NAME_SIZE];
    const struct sites_site *site;
    const Isthmus__V1__Mapping *row;
    struct ist_id id;

    if (ist_id_is_hex(hub)) {
        strlcpy(ret, hub, IST_ID_HEX_SIZE);
        return true;
    }
    if (len >= sizeof(name))
        return false;
    memcpy(name, hub, len);
    name[len] = '\0';
    site = sites_find(sites, name);
    row = site ? home_row(find(all, &site->peer.uid), hub) : NULL;
    if (!row)
        return false;
    id = ist_uuid5(&site->peer.uid, row->project);
    ist_id_hex(&id, ret);
    return true;
}

bool facade_mapping_pairs(const struct facade_mappings *all,
                          struct sites *sites, const struct sites_site *site,
                          struct ist_arena *arena, Isthmus__V1__Pair ***ret,
                          size_t *ret_n)
{
    const struct known *known = all ? find(all, &site->peer.uid) : NULL;
    size_t n = known && known->said ? known->said->n_mappings : 0;
    Isthmus__V1__Pair *pairs = ist_arena_alloc(arena, (n + 1) * sizeof(*pairs));

    *ret = ist_arena_alloc(arena, (n + 1) * sizeof(Isthmus__V1__Pair *));
    *ret_n = 0;
    if (!pairs || !*ret)
        return false;
    for (size_t i = 0; i < n; i++) {
        const Isthmus__V1__Mapping *row = known->said->mappings[i];
        char id[IST_ID_HEX_SIZE];

        if (!row->project[0] || !hub_id(all, sites, row->hub, id))
            continue;
        isthmus__v1__pair__init(&pairs[i]);
        pairs[i].hub = ist_arena_strdup(arena, id);
        pairs[i].site = row->project;
        if (!pairs[i].hub)
            return false;
        (*ret)[(*ret_n)++] = &pairs[i];
    }
    return true;
}

/* --- Life --- */

struct facade_mappings *facade_mappings_new(struct ist_loop *loop,
                                            struct desk *desk,
                                            struct facade_keep *keep)
{
    struct facade_mappings *all = calloc(1, sizeof(*all));

    if (!all)
        return NULL;
    all->loop = loop;
    all->desk = desk;
    all->keep = keep;
    RB_INIT(&all->sites);
    facade_keep_each(keep, load, all);
    return all;
}

bool facade_mappings_busy(const struct facade_mappings *all)
{
    return all && all->n_busy > 0;
}

struct facade_mappings *facade_mappings_free(struct facade_mappings *all)
{
    struct known *known, *next;

    if (!all)
        return NULL;
    RB_FOREACH_SAFE(known, known_sites, &all->sites, next)
    {
        RB_REMOVE(known_sites, &all->sites, known);
        if (known->said)
            isthmus__v1__site_mappings__free_unpacked(known->said, NULL);
        free(known);
    }
    free(all);
    return NULL;
}
