#include "facade/pass.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <stdlib.h>
#include <string.h>

#define SWEEP_MS 60000U

struct pass {
    char audit_id[IST_ID_HEX_SIZE];
    uint64_t expires_ms; /* Wall time. */
    char *token;
    RB_ENTRY(pass) node;
    TAILQ_ENTRY(pass) sibling; /* The oldest comes first. */
};

RB_HEAD(pass_tree, pass);

struct facade_passes {
    struct ist_loop *loop; /* Borrowed, as are the names. */
    const char *sites;
    struct pass_tree tree;
    TAILQ_HEAD(, pass) rows;
    unsigned n;
    struct ist_timer sweep;
};

static int pass_cmp(struct pass *a, struct pass *b)
{
    return strcmp(a->audit_id, b->audit_id);
}

RB_GENERATE_INTERNAL(pass_tree, pass, node, pass_cmp, IST_UNUSED_STATIC)

static bool is_listed(const char *sites, const char *site)
{
    size_t len = strlen(site);

    while (sites && *sites) {
        size_t n = strcspn(sites, ",");

        if (n == len && memcmp(sites, site, n) == 0)
            return true;
        sites += n + (sites[n] == ',');
        sites += strspn(sites, " ");
    }
    return false;
}

bool facade_passes_share(const struct facade_passes *all, const char *site)
{
    return all && is_listed(all->sites, site);
}

bool facade_pass_is_for(const struct facade_caller *caller, const char *site)
{
    return caller->pass && is_listed(caller->pass_sites, site);
}

static struct pass *find(const struct facade_passes *all, const char *audit_id)
{
    struct pass key;

    strlcpy(key.audit_id, audit_id, sizeof(key.audit_id));
    return RB_FIND(pass_tree, (struct pass_tree *) (uintptr_t) &all->tree,
                   &key);
}

static void drop(struct facade_passes *all, struct pass *pass)
{
    RB_REMOVE(pass_tree, &all->tree, pass);
    TAILQ_REMOVE(&all->rows, pass, sibling);
    all->n--;
    explicit_bzero(pass->token, strlen(pass->token));
    free(pass->token);
    free(pass);
}

static void on_sweep(struct ist_timer *timer)
{
    struct facade_passes *all =
        IST_CONTAINER(timer, struct facade_passes, sweep);
    uint64_t now = ist_loop_wall(all->loop);
    struct pass *pass, *next;

    TAILQ_FOREACH_SAFE(pass, &all->rows, sibling, next)
    {
        if (pass->expires_ms <= now)
            drop(all, pass);
    }
    if (all->n > 0)
        ist_timer_arm_in(timer, all->loop, SWEEP_MS, on_sweep);
}

bool facade_pass_put(struct facade_passes *all, const char *audit_id,
                     const void *token, size_t size, uint64_t expires_ms)
{
    struct pass *old = find(all, audit_id);
    struct pass *pass = calloc(1, sizeof(*pass));

    if (pass)
        pass->token = strndup(token, size);
    if (!pass || !pass->token) {
        free(pass);
        return false;
    }
    if (old)
        drop(all, old);
    if (all->n == FACADE_PASSES_MAX)
        drop(all, TAILQ_FIRST(&all->rows));
    strlcpy(pass->audit_id, audit_id, sizeof(pass->audit_id));
    pass->expires_ms = expires_ms;
    RB_INSERT(pass_tree, &all->tree, pass);
    TAILQ_INSERT_TAIL(&all->rows, pass, sibling);
    all->n++;
    if (!ist_timer_armed(&all->sweep))
        ist_timer_arm_in(&all->sweep, all->loop, SWEEP_MS, on_sweep);
    return true;
}

bool facade_pass_copy(struct facade_passes *all, const char *from_audit_id,
                      const char *to_audit_id)
{
    const struct pass *pass = all ? find(all, from_audit_id) : NULL;

    return !pass || facade_pass_put(all, to_audit_id, pass->token,
                                    strlen(pass->token), pass->expires_ms);
}

const char *facade_pass_find(const struct facade_passes *all,
                             const char *audit_id)
{
    const struct pass *pass = all ? find(all, audit_id) : NULL;

    return pass && pass->expires_ms > ist_loop_wall(all->loop) ? pass->token
                                                               : NULL;
}

void facade_pass_drop(struct facade_passes *all, const char *audit_id)
{
    struct pass *pass = all ? find(all, audit_id) : NULL;

    if (pass)
        drop(all, pass);
}

bool facade_pass_is_lost(const struct facade_passes *all,
                         const Isthmus__V1__Token *token)
{
    return token->has_pass && !facade_pass_find(all, token->audit_id);
}

struct facade_passes *facade_passes_new(struct ist_loop *loop,
                                        const char *sites)
{
    struct facade_passes *all = calloc(1, sizeof(*all));

    if (!all)
        return NULL;
    all->loop = loop;
    all->sites = sites;
    RB_INIT(&all->tree);
    TAILQ_INIT(&all->rows);
    return all;
}

struct facade_passes *facade_passes_free(struct facade_passes *all)
{
    struct pass *pass;

    if (!all)
        return NULL;
    ist_timer_disarm(&all->sweep);
    while ((pass = TAILQ_FIRST(&all->rows)))
        drop(all, pass);
    free(all);
    return NULL;
}
