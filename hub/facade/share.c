#include "facade/share.h"

#include "codec/json.h"
#include "facade/mapping.h"
#include "facade/pass.h"

#include <stdio.h>
#include <string.h>

/* Glance API v2, image members; Neutron API v2.0, RBAC policies. */
static const struct row {
    const char *service, *in_path;
    const char *given; /* Member of the body that names the project; a path. */
    const char *const members[4];
    size_t n_members;
} rows[] = {
    {"image", "/members", "member", {"member", "member_id"}, 2},
    {"network",
     "/rbac-policies",
     "rbac_policy.target_tenant",
     {"target_tenant", "target_project"},
     2},
};

static const struct row *row_of(const struct facade_asked *asked)
{
    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        if (strcmp(asked->service->name, rows[i].service) == 0 &&
            strstr(asked->target, rows[i].in_path))
            return &rows[i];
    }
    return NULL;
}

static const Isthmus__V1__Pair *find(const Isthmus__V1__Swap *swap,
                                     const char *hub, size_t len)
{
    for (size_t i = 0; i < swap->n_pairs; i++) {
        const Isthmus__V1__Pair *pair = swap->pairs[i];

        if (strlen(pair->hub) == len && memcmp(pair->hub, hub, len) == 0)
            return pair;
    }
    return NULL;
}

/* ".../members/<id>?...": with the site's id for the hub's. NULL: no memory. */
static const char *translated(const char *target, const Isthmus__V1__Swap *swap,
                              struct ist_arena *arena)
{
    const char *at = strstr(target, "/members/");
    const Isthmus__V1__Pair *pair;
    size_t len, size;
    char *text;

    if (!at)
        return target;
    at += strlen("/members/");
    len = strcspn(at, "/?");
    pair = find(swap, at, len);
    if (!pair)
        return target;
    size = strlen(target) - len + strlen(pair->site) + 1;
    text = ist_arena_alloc(arena, size);
    if (text)
        snprintf(text, size, "%.*s%s%s", (int) (at - target), target,
                 pair->site, at + len);
    return text;
}

/* A project that the body names and the site does not know. "*" is all of
 * them, and his own is the agent's to replace. */
static bool is_unknown(const struct facade_asked *asked, const struct row *row,
                       const Isthmus__V1__Swap *swap, const void *body,
                       size_t size, char ret[40])
{
    struct ist_json_slice doc = {body, size};

    return size > 0 &&
           ist_json_text(ist_json_find(doc, row->given), ret, 40, NULL) &&
           strcmp(ret, "*") != 0 && strcmp(ret, asked->caller.project) != 0 &&
           !find(swap, ret, strlen(ret));
}

static bool add(struct facade_asked *asked, Isthmus__V1__Swap *swap,
                struct ist_arena *arena)
{
    Isthmus__V1__Swap **all = ist_arena_alloc(
        arena, (asked->n_swaps + 1) * sizeof(Isthmus__V1__Swap *));

    if (!all)
        return false;
    if (asked->n_swaps)
        memcpy(all, asked->swaps, asked->n_swaps * sizeof(*all));
    all[asked->n_swaps++] = swap;
    asked->swaps = all;
    return true;
}

bool facade_share(const struct facade *facade, struct facade_asked *asked,
                  const void *body, size_t size, struct ist_arena *arena,
                  char ret[40])
{
    const struct row *row = row_of(asked);
    Isthmus__V1__Swap *swap =
        row ? ist_arena_alloc(arena, sizeof(*swap)) : NULL;
    const char *target;

    ret[0] = '\0';
    /* The hub's admin speaks of the site's own. */
    if (!swap || !asked->caller.project[0])
        return true;
    isthmus__v1__swap__init(swap);
    swap->members = (char **) (uintptr_t) row->members;
    swap->n_members = row->n_members;
    if (!facade_mapping_pairs(facade->mappings, facade->sites, asked->site,
                              arena, &swap->pairs, &swap->n_pairs))
        return true;
    /* Whose sites share a Keystone knows ids that no file of ours has. */
    if (!facade_pass_is_for(&asked->caller, asked->site->name) &&
        is_unknown(asked, row, swap, body, size, ret))
        return false;
    target = translated(asked->target, swap, arena);
    if (target)
        asked->target = target;
    add(asked, swap, arena);
    return true;
}
