#include "serve/guest.h"

#include "conf/file.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_MAX   8192U
#define PROJECT_MAX 64U
#define REST_MS     300000U
#define SWEEP_MS    30000U

struct guest {
    struct serve_guest pub;
    struct serve_guests *all;
    uint8_t key[crypto_hash_sha256_BYTES];
    struct ist_cloud_entry entry;
    unsigned n_held;
    uint64_t used_ms;
    TAILQ_ENTRY(guest) sibling; /* The one used last comes first. */
};

struct serve_guests {
    struct ist_loop *loop;
    struct ist_http *http;
    const struct os_conf *conf;
    const struct ist_cloud_entry *own; /* All borrowed. */
    TAILQ_HEAD(guests, guest) rows;
    unsigned n, n_closing;
    struct ist_timer sweep;
    bool is_closing;
    void (*closed)(void *);
    void *arg;
};

/* --- Leaving --- */

static void guest_free(struct guest *guest)
{
    ist_cloud_entry_fini(&guest->entry);
    free(guest->pub.project);
    free(guest);
}

static void maybe_closed(struct serve_guests *all)
{
    if (!all->is_closing || all->n_closing > 0)
        return;
    if (all->closed)
        all->closed(all->arg);
    free(all);
}

static void on_gone(void *arg)
{
    struct guest *guest = arg;
    struct serve_guests *all = guest->all;

    guest_free(guest);
    all->n_closing--;
    maybe_closed(all);
}

static void drop(struct guest *guest)
{
    struct serve_guests *all = guest->all;

    TAILQ_REMOVE(&all->rows, guest, sibling);
    all->n--;
    all->n_closing++;
    os_cloud_close(IST_TAKE(guest->pub.cloud), on_gone, guest);
}

/* The one that rested longest, of those that nobody holds. */
static struct guest *oldest(struct serve_guests *all)
{
    struct guest *guest;

    TAILQ_FOREACH_REVERSE(guest, &all->rows, guests, sibling)
    {
        if (guest->n_held == 0)
            return guest;
    }
    return NULL;
}

static void on_sweep(struct ist_timer *timer)
{
    struct serve_guests *all = IST_CONTAINER(timer, struct serve_guests, sweep);
    uint64_t now = ist_loop_now(all->loop);
    struct guest *guest;

    while ((guest = oldest(all)) && now - guest->used_ms >= REST_MS)
        drop(guest);
    if (!TAILQ_EMPTY(&all->rows))
        ist_timer_arm_in(timer, all->loop, SWEEP_MS, on_sweep);
}

/* --- Coming --- */

static bool is_plain(const char *text, size_t size, size_t max)
{
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char) text[i] <= ' ' || (unsigned char) text[i] >= 0x7f)
            return false;
    }
    return size > 0 && size <= max;
}

static void key_of(const char *token, size_t size, const char *project,
                   uint8_t ret[crypto_hash_sha256_BYTES])
{
    crypto_hash_sha256_state state;

    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const uint8_t *) project,
                              strlen(project) + 1);
    crypto_hash_sha256_update(&state, (const uint8_t *) token, size);
    crypto_hash_sha256_final(&state, ret);
}

static struct guest *find(struct serve_guests *all,
                          const uint8_t key[crypto_hash_sha256_BYTES])
{
    struct guest *guest;

    TAILQ_FOREACH(guest, &all->rows, sibling)
    {
        if (memcmp(guest->key, key, sizeof(guest->key)) == 0)
            return guest;
    }
    return NULL;
}

/* The agent's own entry says where; the token says who, and Keystone gives him
 * one of the project. */
static bool fill_entry(struct guest *guest, const struct ist_cloud_entry *own,
                       const char *token, size_t size)
{
    struct ist_cloud_entry *e = &guest->entry;

    if (ist_cloud_entry_copy(own, e))
        return false;
    e->auth = IST_CLOUD_TOKEN;
    e->password = ist_conf_secret_free(e->password);
    e->application_credential_secret =
        ist_conf_secret_free(e->application_credential_secret);
    e->token = ist_conf_secret_free(e->token);
    e->project_name = ist_conf_secret_free(e->project_name);
    e->project_id = ist_conf_secret_free(e->project_id);
    e->token = strndup(token, size);
    e->project_id = strdup(guest->pub.project);
    return e->token && e->project_id;
}

static struct guest *guest_new(struct serve_guests *all, const char *token,
                               size_t size, const char *project)
{
    struct guest *guest = calloc(1, sizeof(*guest));
    struct ist_err err;

    if (!guest)
        return NULL;
    guest->all = all;
    guest->pub.project = strdup(project);
    if (guest->pub.project && fill_entry(guest, all->own, token, size))
        guest->pub.cloud =
            os_cloud_new(all->loop, all->http, &guest->entry, all->conf, &err);
    if (guest->pub.cloud)
        return guest;
    guest_free(guest);
    return NULL;
}

struct serve_guest *serve_guests_get(struct serve_guests *all,
                                     const void *token, size_t size,
                                     const char *project)
{
    uint8_t key[crypto_hash_sha256_BYTES];
    struct guest *guest, *old;

    if (!is_plain(token, size, TOKEN_MAX) ||
        !is_plain(project, strlen(project), PROJECT_MAX))
        return NULL;
    key_of(token, size, project, key);
    guest = find(all, key);
    if (guest) {
        TAILQ_REMOVE(&all->rows, guest, sibling);
    } else {
        old = all->n < SERVE_GUESTS_MAX ? NULL : oldest(all);
        if (all->n >= SERVE_GUESTS_MAX && !old)
            return NULL;
        guest = guest_new(all, token, size, project);
        if (!guest)
            return NULL;
        memcpy(guest->key, key, sizeof(key));
        all->n++;
        if (old)
            drop(old);
        if (!ist_timer_armed(&all->sweep))
            ist_timer_arm_in(&all->sweep, all->loop, SWEEP_MS, on_sweep);
    }
    TAILQ_INSERT_HEAD(&all->rows, guest, sibling);
    guest->n_held++;
    guest->used_ms = ist_loop_now(all->loop);
    return &guest->pub;
}

void serve_guest_release(struct serve_guest *pub)
{
    struct guest *guest;

    if (!pub)
        return;
    guest = IST_CONTAINER(pub, struct guest, pub);
    guest->n_held--;
    guest->used_ms = ist_loop_now(guest->all->loop);
}

/* --- Life --- */

struct serve_guests *serve_guests_new(struct ist_loop *loop,
                                      struct ist_http *http,
                                      const struct os_conf *conf,
                                      const struct ist_cloud_entry *own)
{
    struct serve_guests *all = calloc(1, sizeof(*all));

    if (!all)
        return NULL;
    all->loop = loop;
    all->http = http;
    all->conf = conf;
    all->own = own;
    TAILQ_INIT(&all->rows);
    return all;
}

void serve_guests_close(struct serve_guests *all, void (*closed)(void *),
                        void *arg)
{
    struct guest *guest;

    if (!all) {
        if (closed)
            closed(arg);
        return;
    }
    all->closed = closed;
    all->arg = arg;
    ist_timer_disarm(&all->sweep);
    while ((guest = TAILQ_FIRST(&all->rows)))
        drop(guest);
    all->is_closing = true;
    maybe_closed(all);
}
