/* Two indexes over the same sites: by name for people and calls, by pair key
 * id for what arrives. The directory is read in the pool into a list of what
 * was found, which touches nothing of ours; the list is then compared with
 * what is known, on the loop. A folder that cannot be read changes nothing:
 * only one that is gone removes its site. */
#include "sites/registry_priv.h"

#include "base/log.h"
#include "codec/file.h"
#include "sites/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

RB_HEAD(sites_by_name, sites_site);
RB_HEAD(sites_by_key, sites_site);

struct sites {
    struct ist_loop *loop;       /* Borrowed. */
    const struct ist_self *self; /* Borrowed. */
    sites_changed_fn *changed;
    void *owner;
    void (*closed)(void *owner);

    struct sites_by_name by_name;
    struct sites_by_key by_key;
    TAILQ_HEAD(, sites_site) removed;
    size_t n;

    struct sites_scan scan;
    size_t n_stores; /* Under way. */
    bool closing;
    struct ist_timer end;
};

/* The write of one epoch. */
struct store {
    struct ist_work work;
    struct sites_site *site;
    uint64_t epoch;
    char path[PATH_MAX];
};

static int cmp_name(const struct sites_site *a, const struct sites_site *b)
{
    return strcmp(a->name, b->name);
}

static int cmp_key(const struct sites_site *a, const struct sites_site *b)
{
    return memcmp(a->peer.id_in, b->peer.id_in, sizeof(a->peer.id_in));
}

RB_GENERATE_INTERNAL(sites_by_name, sites_site, by_name, cmp_name,
                     IST_UNUSED_STATIC)
RB_GENERATE_INTERNAL(sites_by_key, sites_site, by_key, cmp_key,
                     IST_UNUSED_STATIC)

const char *sites_state_name(enum sites_state state)
{
    static const char *const names[] = {"unknown", "present", "absent",
                                        "removed"};

    return (unsigned) state < IST_COUNT(names) ? names[state] : "unknown";
}

struct ist_loop *sites_loop(const struct sites *sites)
{
    return sites->loop;
}

static void tell(struct sites_site *site, unsigned changes)
{
    if (changes && site->sites->changed)
        site->sites->changed(site->sites->owner, site, changes);
}

/* State */

void sites_set_state(struct sites_site *site, enum sites_state state,
                     unsigned changes)
{
    if (site->state != state) {
        site->state = state;
        site->changed_ms = ist_loop_wall(site->sites->loop);
        changes |= SITES_CHANGE_STATE;
    }
    tell(site, changes);
}

static void silent(struct ist_timer *timer)
{
    struct sites_site *site = IST_CONTAINER(timer, struct sites_site, silence);

    sites_set_state(site, SITES_ABSENT, 0);
}

void sites_await_presence(struct sites_site *site)
{
    ist_timer_arm_in(&site->silence, site->sites->loop, SITES_ABSENT_MS,
                     silent);
}

/* Comparing what was found with what is known */

static bool is_same(const struct sites_site *site,
                    const struct sites_found *found)
{
    return ist_id_eq(&site->peer.uid, &found->delegation.subject) &&
           memcmp(site->root, found->root, sizeof(site->root)) == 0;
}

/* Joins the keys; the place in the index by key is the caller's. */
static int join(struct sites *sites, struct ist_peer *peer,
                const struct sites_found *found)
{
    struct ist_peer fresh;
    int rc;

    ist_delegation_peer(&found->delegation, IST_ROLE_SITE, &fresh);
    rc = ist_peer_join(&fresh, sites->self);
    if (rc == 0) {
        /* Numbers go on: the epoch is the site's, whatever its keys. */
        fresh.epoch = peer->epoch;
        fresh.sequence_out = peer->sequence_out;
        fresh.sequence_high = peer->sequence_high;
        memcpy(fresh.window, peer->window, sizeof(fresh.window));
        *peer = fresh;
    }
    ist_peer_wipe(&fresh);
    return rc;
}

static void add(struct sites *sites, const struct sites_found *found,
                bool quiet)
{
    struct sites_site *site = calloc(1, sizeof(*site));

    if (!site) {
        ist_log_error("sites", "no memory for site=%s", found->name);
        return;
    }
    snprintf(site->name, sizeof(site->name), "%s", found->name);
    memcpy(site->root, found->root, sizeof(site->root));
    snprintf(site->policy_mode, sizeof(site->policy_mode), "unknown");
    site->sites = sites;
    site->serial = found->delegation.serial;
    site->peer.epoch = site->epoch_known = site->epoch_stored = found->epoch;
    site->changed_ms = ist_loop_wall(sites->loop);
    site->in_scan = true;
    if (join(sites, &site->peer, found) != 0 ||
        RB_INSERT(sites_by_key, &sites->by_key, site)) {
        ist_log_error("sites", "left out: unsafe or used keys site=%s",
                      found->name);
        free(site);
        return;
    }
    RB_INSERT(sites_by_name, &sites->by_name, site);
    sites->n++;
    sites_await_presence(site);
    if (!quiet)
        tell(site, SITES_CHANGE_ADDED);
}

/* It is in the index by key no more. */
static void put_away(struct sites *sites, struct sites_site *site)
{
    RB_REMOVE(sites_by_name, &sites->by_name, site);
    TAILQ_INSERT_TAIL(&sites->removed, site, removed_link);
    sites->n--;
    ist_timer_disarm(&site->silence);
    ist_peer_wipe(&site->peer);
    sites_set_state(site, SITES_REMOVED, SITES_CHANGE_REMOVED);
}

static void drop(struct sites *sites, struct sites_site *site)
{
    RB_REMOVE(sites_by_key, &sites->by_key, site);
    put_away(sites, site);
}

static void renew(struct sites *sites, struct sites_site *site,
                  const struct sites_found *found)
{
    struct sites_site *other;

    if (found->delegation.serial == site->serial)
        return;
    if (found->delegation.serial < site->serial) {
        ist_log_warn("sites", "older keys ignored site=%s", site->name);
        return;
    }
    RB_REMOVE(sites_by_key, &sites->by_key, site);
    if (join(sites, &site->peer, found) != 0)
        ist_log_error("sites", "unsafe new keys ignored site=%s", site->name);
    else
        site->serial = found->delegation.serial;
    other = RB_INSERT(sites_by_key, &sites->by_key, site);
    if (other) {
        /* Never two for one key: this one is out until that is mended. */
        ist_log_error("sites", "keys of another site=%s other=%s", site->name,
                      other->name);
        put_away(sites, site);
        return;
    }
    tell(site, SITES_CHANGE_KEYS);
}

static void apply_one(struct sites *sites, const struct sites_found *found,
                      bool quiet)
{
    struct sites_site *site = sites_find(sites, found->name);

    if (found->rc) {
        ist_log_error("sites", "cannot be used site=%s: %s", found->name,
                      found->err.text);
        if (site)
            site->in_scan = true;
        return;
    }
    if (site && !is_same(site, found)) {
        drop(sites, site);
        site = NULL;
    }
    if (!site) {
        add(sites, found, quiet);
        return;
    }
    site->in_scan = true;
    renew(sites, site, found);
}

static void apply(struct sites *sites, bool quiet)
{
    struct sites_scan *scan = &sites->scan;
    struct sites_site *site, *next;

    RB_FOREACH(site, sites_by_name, &sites->by_name)
    site->in_scan = false;
    for (size_t i = 0; i < scan->n; i++)
        apply_one(sites, &scan->found[i], quiet);
    RB_FOREACH_SAFE(site, sites_by_name, &sites->by_name, next)
    {
        if (!site->in_scan)
            drop(sites, site);
    }
    if (scan->n_left_out)
        ist_log_error("sites", "more than %d sites: left out n=%zu", SITES_MAX,
                      scan->n_left_out);
}

/* The ends */

static void end(struct ist_timer *timer)
{
    struct sites *sites = IST_CONTAINER(timer, struct sites, end);
    void (*closed)(void *) = sites->closed;
    void *owner = sites->owner;
    struct sites_site *site, *next;

    RB_FOREACH_SAFE(site, sites_by_name, &sites->by_name, next)
    {
        RB_REMOVE(sites_by_name, &sites->by_name, site);
        ist_timer_disarm(&site->silence);
        ist_peer_wipe(&site->peer);
        free(site);
    }
    while ((site = TAILQ_FIRST(&sites->removed)) != NULL) {
        TAILQ_REMOVE(&sites->removed, site, removed_link);
        free(site);
    }
    sites_scan_reset(&sites->scan);
    free(sites);
    if (closed)
        closed(owner);
}

/* Ends when the pool has let go; the timer brings us out of the caller. */
static void maybe_end(struct sites *sites)
{
    if (sites->closing && sites->n_stores == 0 &&
        sites->scan.work.op.state == IST_OP_IDLE)
        ist_timer_arm_in(&sites->end, sites->loop, 0, end);
}

static void scanned(struct ist_op *op)
{
    struct ist_work *work = IST_CONTAINER(op, struct ist_work, op);
    struct sites_scan *scan = IST_CONTAINER(work, struct sites_scan, work);
    struct sites *sites = IST_CONTAINER(scan, struct sites, scan);

    if (!sites->closing) {
        if (op->rc)
            ist_log_error("sites", "cannot be read again: %s", op->err.text);
        else if (!scan->unchanged)
            apply(sites, false);
    }
    sites_scan_reset(scan);
    maybe_end(sites);
}

void sites_admit(struct sites *sites, const char *name,
                 const struct ist_delegation *delegation)
{
    struct sites_found found = {.delegation = *delegation};

    snprintf(found.name, sizeof(found.name), "%s", name);
    apply_one(sites, &found, false);
}

void sites_rescan(struct sites *sites)
{
    struct sites_scan *scan = &sites->scan;

    if (scan->work.op.state != IST_OP_IDLE || sites->closing || !scan->dir[0])
        return;
    ist_op_prepare(&scan->work.op, sites->loop, NULL, 0, scanned);
    ist_work_start(&scan->work, sites_scan_run);
}

struct sites *sites_new(struct ist_loop *loop, const char *dir,
                        const struct ist_self *self, sites_changed_fn *changed,
                        void *owner, struct ist_err *err)
{
    struct sites *sites = calloc(1, sizeof(*sites));
    int rc;

    if (!sites) {
        ist_err_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    sites->loop = loop;
    sites->self = self;
    sites->changed = changed;
    sites->owner = owner;
    RB_INIT(&sites->by_name);
    RB_INIT(&sites->by_key);
    TAILQ_INIT(&sites->removed);
    if (!dir)
        return sites;
    if ((size_t) snprintf(sites->scan.dir, sizeof(sites->scan.dir), "%s",
                          dir) >= sizeof(sites->scan.dir))
        rc = ist_err_set(&sites->scan.work.op.err, -ENAMETOOLONG,
                         "the path is too long");
    else
        rc = sites_scan_run(&sites->scan.work);
    if (rc) {
        if (err)
            *err = sites->scan.work.op.err;
        sites_scan_reset(&sites->scan);
        free(sites);
        return NULL;
    }
    apply(sites, true);
    sites_scan_reset(&sites->scan);
    return sites;
}

void sites_close(struct sites *sites, void (*closed)(void *owner))
{
    struct sites_site *site;

    RB_FOREACH(site, sites_by_name, &sites->by_name)
    ist_timer_disarm(&site->silence);
    sites->closed = closed;
    sites->changed = NULL;
    sites->closing = true;
    maybe_end(sites);
}

/* Looking up */

struct sites_site *sites_find(struct sites *sites, const char *name)
{
    struct sites_site key;

    if (strlen(name) >= sizeof(key.name))
        return NULL;
    snprintf(key.name, sizeof(key.name), "%s", name);
    return RB_FIND(sites_by_name, &sites->by_name, &key);
}

struct sites_site *sites_find_uid(struct sites *sites, const struct ist_id *uid)
{
    struct sites_site *site;

    RB_FOREACH(site, sites_by_name, &sites->by_name)
    {
        if (ist_id_eq(&site->peer.uid, uid))
            return site;
    }
    return NULL;
}

struct ist_peer *sites_find_peer(void *arg, const uint8_t id[16])
{
    struct sites *sites = arg;
    struct sites_site key, *site;

    memcpy(key.peer.id_in, id, sizeof(key.peer.id_in));
    site = RB_FIND(sites_by_key, &sites->by_key, &key);
    return site ? &site->peer : NULL;
}

struct sites_site *sites_of_peer(struct ist_peer *peer)
{
    return IST_CONTAINER(peer, struct sites_site, peer);
}

struct sites_site *sites_next(struct sites *sites, struct sites_site *site)
{
    return site ? RB_NEXT(sites_by_name, &sites->by_name, site)
                : RB_MIN(sites_by_name, &sites->by_name);
}

size_t sites_count(const struct sites *sites)
{
    return sites->n;
}

size_t sites_count_state(struct sites *sites, enum sites_state state)
{
    struct sites_site *site;
    size_t n = 0;

    RB_FOREACH(site, sites_by_name, &sites->by_name)
    n += site->state == state;
    return n;
}

/* Epochs */

static int store_run(struct ist_work *work)
{
    struct store *store = IST_CONTAINER(work, struct store, work);

    return ist_file_number_write(store->path, store->epoch, &work->op.err);
}

static void stored(struct ist_op *op)
{
    struct ist_work *work = IST_CONTAINER(op, struct ist_work, op);
    struct store *store = IST_CONTAINER(work, struct store, work);
    struct sites_site *site = store->site;
    struct sites *sites = site->sites;

    if (op->rc && site->state != SITES_REMOVED) {
        ist_log_error("sites", "epoch not stored site=%s: %s", site->name,
                      op->err.text);
        /* The next message tries again. */
        if (site->epoch_stored == store->epoch)
            site->epoch_stored = store->epoch - 1;
    }
    site->storing = false;
    free(store);
    sites->n_stores--;
    maybe_end(sites);
}

/* Two writes for one site may overlap only when it restarts twice while the
 * disk is busy; the later write would then win whichever it is. So one at a
 * time: a second waits for the next message. */
static void store_epoch(struct sites_site *site)
{
    struct sites *sites = site->sites;
    struct store *store;

    if (site->storing || !sites->scan.dir[0])
        return;
    store = calloc(1, sizeof(*store));
    if (!store ||
        (size_t) snprintf(store->path, sizeof(store->path), "%s/%s/epoch",
                          sites->scan.dir, site->name) >= sizeof(store->path)) {
        free(store);
        return;
    }
    site->storing = true;
    store->site = site;
    store->epoch = site->peer.epoch;
    site->epoch_stored = store->epoch;
    sites->n_stores++;
    ist_op_prepare(&store->work.op, sites->loop, NULL, 0, stored);
    ist_work_start(&store->work, store_run);
}

void sites_heard(struct sites *sites, struct sites_site *site)
{
    (void) sites;
    if (site->state == SITES_REMOVED)
        return;
    if (site->peer.epoch > site->epoch_stored)
        store_epoch(site);
    if (site->peer.epoch > site->epoch_known) {
        site->epoch_known = site->peer.epoch;
        tell(site, SITES_CHANGE_RESTART);
    }
}
