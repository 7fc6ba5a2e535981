#include "cloud.h"

#include "base/rand.h"
#include "http/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_MS  30000 /* As the real client is configured. */
#define PAGE_MAX 16    /* Small, so that links are followed. */

struct ist_http {
    struct ist_loop *loop;
    struct ist_timer closing;
    void (*closed)(void *);
    void *arg;
};

/* One answer on its way. */
struct transfer {
    struct ist_http_call *call;
    struct ist_timer timer;
    struct ist_sb body;
    int status;
    size_t at;
};

static const struct world *world;
static struct sim_cloud_faults faults;

void sim_cloud_set(const struct world *w, const struct sim_cloud_faults *f)
{
    world = w;
    faults = *f;
}

/* What Nova does */

#define KEYS_MAX 4

struct listing {
    char keys[KEYS_MAX][24], dirs[KEYS_MAX][8], marker[48];
    uint32_t n_keys, n_dirs, limit;
};

static void take_param(struct listing *listing, const char *name, size_t len,
                       const char *value, size_t size)
{
    if (len == 8 && strncmp(name, "sort_key", 8) == 0 &&
        listing->n_keys < KEYS_MAX)
        snprintf(listing->keys[listing->n_keys++], 24, "%.*s", (int) size,
                 value);
    else if (len == 8 && strncmp(name, "sort_dir", 8) == 0 &&
             listing->n_dirs < KEYS_MAX)
        snprintf(listing->dirs[listing->n_dirs++], 8, "%.*s", (int) size,
                 value);
    else if (len == 6 && strncmp(name, "marker", 6) == 0)
        snprintf(listing->marker, sizeof(listing->marker), "%.*s", (int) size,
                 value);
    else if (len == 5 && strncmp(name, "limit", 5) == 0)
        listing->limit = (uint32_t) strtoul(value, NULL, 10);
}

static struct listing parse_listing(const char *query)
{
    struct listing listing = {.limit = PAGE_MAX};

    while (query && *query) {
        size_t len = strcspn(query, "="), size;
        const char *value = query + len + (query[len] == '=');

        size = strcspn(value, "&");
        take_param(&listing, query, len, value, size);
        query = value + size + (value[size] == '&');
    }
    if (listing.limit == 0 || listing.limit > PAGE_MAX)
        listing.limit = PAGE_MAX;
    return listing;
}

static const struct listing *sorting; /* For qsort(). */

static bool is_descending(uint32_t key)
{
    return key >= sorting->n_dirs || strcmp(sorting->dirs[key], "asc") != 0;
}

static int by_listing(const void *a, const void *b)
{
    const struct world_row *const *x = a, *const *y = b;
    int cmp = 0;

    for (uint32_t i = 0; i < sorting->n_keys && cmp == 0; i++) {
        if (strcmp(sorting->keys[i], "created_at") == 0)
            cmp = strcmp((*x)->created, (*y)->created);
        else
            cmp = strcmp((*x)->id, (*y)->id);
        cmp = is_descending(i) ? -cmp : cmp;
    }
    /* Nova appends its own id, in the direction of the first key. */
    if (cmp == 0) {
        cmp = strcmp((*x)->id, (*y)->id);
        cmp = is_descending(0) ? -cmp : cmp;
    }
    return cmp;
}

static void put_next(struct ist_sb *out, const struct listing *listing,
                     const char *base, const char *marker)
{
    ist_sb_printf(out,
                  ",\"servers_links\":[{\"rel\":\"next\",\"href\":"
                  "\"%s/v2.1/servers/detail?all_tenants=1&limit=%u",
                  base, listing->limit);
    for (uint32_t i = 0; i < listing->n_keys; i++)
        ist_sb_printf(out, "&sort_key=%s&sort_dir=%s", listing->keys[i],
                      is_descending(i) ? "desc" : "asc");
    ist_sb_printf(out, "&marker=%s\"}]", marker);
}

void sim_cloud_put(struct ist_sb *out, const struct world_row *row)
{
    ist_sb_printf(out,
                  "{\"id\":\"%s\",\"name\":\"%s\",\"status\":\"%s\","
                  "\"tenant_id\":\"p1\",\"created\":\"%s\","
                  "\"updated\":\"%s\"}",
                  row->id, row->name, row->status, row->created, row->updated);
}

static void put_servers(struct ist_sb *out, const struct world_site *site,
                        const char *base, const char *query)
{
    struct listing listing = parse_listing(query);
    const struct world_row *rows[WORLD_ROWS_MAX];
    uint32_t at = 0, n = 0;

    for (uint32_t i = 0; i < site->n_rows; i++)
        rows[i] = &site->rows[i];
    sorting = &listing;
    qsort(rows, site->n_rows, sizeof(rows[0]), by_listing);
    while (listing.marker[0] && at < site->n_rows &&
           strcmp(rows[at++]->id, listing.marker) != 0)
        ;
    ist_sb_puts(out, "{\"servers\":[");
    for (; n < listing.limit && at < site->n_rows; n++, at++) {
        if (n)
            ist_sb_putc(out, ',');
        sim_cloud_put(out, rows[at]);
    }
    ist_sb_putc(out, ']');
    if (at < site->n_rows)
        put_next(out, &listing, base, rows[at - 1]->id);
    ist_sb_putc(out, '}');
}

/* What Keystone does */

static void put_token(struct ist_sb *out, const char *site)
{
    ist_sb_printf(
        out,
        "{\"token\":{\"expires_at\":\"2099-01-01T00:00:00.000000Z\","
        "\"project\":{\"id\":\"p1\",\"name\":\"admin\"},"
        "\"roles\":[{\"id\":\"r1\",\"name\":\"admin\"}],"
        "\"catalog\":[{\"type\":\"compute\",\"name\":\"nova\",\"endpoints\":["
        "{\"interface\":\"public\",\"region\":\"sim\",\"region_id\":\"sim\","
        "\"url\":\"http://%s.sim:8774/v2.1\"}]}]}}",
        site);
}

static void put_version(struct ist_sb *out)
{
    ist_sb_puts(out, "{\"version\":{\"id\":\"v2.1\",\"status\":\"CURRENT\","
                     "\"min_version\":\"2.1\",\"version\":\"2.93\"}}");
}

/* One request */

static void show(struct transfer *t, const struct world_site *site,
                 const char *id)
{
    char text[40];
    const struct world_row *row;

    snprintf(text, sizeof(text), "%.*s", (int) strcspn(id, "?"), id);
    row = world_row(site, text);
    if (!row) {
        t->status = 404;
        ist_sb_puts(&t->body, "{\"itemNotFound\":{\"code\":404,\"message\":"
                              "\"Instance could not be found.\"}}");
        return;
    }
    ist_sb_puts(&t->body, "{\"server\":");
    sim_cloud_put(&t->body, row);
    ist_sb_putc(&t->body, '}');
}

static void answer(struct transfer *t, const char *host, const char *base,
                   const char *path)
{
    struct ist_sb *headers = &t->call->header_text;
    int site = world_find(world, host);
    const char *query = strchr(path, '?');

    t->status = 200;
    if (site < 0 || ist_rand_below(65536) < faults.error) {
        t->status = site < 0 ? 404 : 500;
        ist_sb_puts(&t->body, "{\"computeFault\":{\"code\":500,\"message\":"
                              "\"drawn by lot\"}}");
    } else if (strncmp(path, "/v3/auth/tokens", 15) == 0) {
        t->status = 201;
        ist_sb_puts(headers, "X-Subject-Token: simulated\r\n");
        put_token(&t->body, host);
    } else if (strncmp(path, "/v2.1/servers/detail", 20) == 0) {
        put_servers(&t->body, &world->sites[site], base,
                    query ? query + 1 : NULL);
    } else if (strncmp(path, "/v2.1/servers/", 14) == 0) {
        show(t, &world->sites[site], path + 14);
    } else {
        put_version(&t->body);
    }
    ist_sb_puts(headers, "Content-Type: application/json\r\n");
}

static void finish(struct transfer *t, int rc)
{
    struct ist_http_call *call = t->call;

    call->transfer = NULL;
    ist_timer_disarm(&t->timer);
    ist_sb_fini(&t->body);
    free(t);
    ist_op_finish(&call->op, rc);
}

static int hand_over(struct transfer *t)
{
    struct ist_http_call *call = t->call;

    call->status = t->status;
    call->n_received = t->body.len;
    if (call->on_data)
        return call->on_data(call, t->body.data, t->body.len);
    if (t->body.len > call->collect_max)
        return -EMSGSIZE;
    ist_sb_add(&call->collected, t->body.data, t->body.len);
    return 0;
}

static void on_time(struct ist_timer *timer)
{
    struct transfer *t = IST_CONTAINER(timer, struct transfer, timer);
    int rc = hand_over(t);

    if (rc != -EAGAIN) /* Else ist_http_resume() brings it again. */
        finish(t, rc);
}

static void on_idle(struct ist_timer *timer)
{
    finish(IST_CONTAINER(timer, struct transfer, timer), -ETIMEDOUT);
}

static void on_cancel(struct ist_op *op)
{
    struct ist_http_call *call = IST_CONTAINER(op, struct ist_http_call, op);

    finish(call->transfer, -ECANCELED);
}

void ist_http_start(struct ist_http *http, struct ist_http_call *call)
{
    struct transfer *t = calloc(1, sizeof(*t));
    char host[32] = "", base[64] = "";
    const char *at = strstr(call->url, "://"), *path;

    if (!t)
        abort();
    at = at ? at + 3 : call->url;
    path = at + strcspn(at, "/");
    snprintf(host, sizeof(host), "%.*s", (int) strcspn(at, ".:/"), at);
    snprintf(base, sizeof(base), "%.*s", (int) (path - call->url), call->url);
    t->call = call;
    call->transfer = t;
    call->status = 0;
    ist_sb_init(&t->body, 0);
    ist_sb_init(&call->header_text, 0);
    ist_sb_init(&call->collected, 0);
    ist_op_begin(&call->op, on_cancel);
    answer(t, host, base, path);
    if (ist_rand_below(65536) < faults.hang)
        ist_timer_arm_in(&t->timer, http->loop, IDLE_MS, on_idle);
    else
        ist_timer_arm_in(
            &t->timer, http->loop,
            faults.delay_min_ms +
                ist_rand_below(faults.delay_max_ms - faults.delay_min_ms + 1),
            on_time);
}

void ist_http_resume(struct ist_http_call *call)
{
    struct transfer *t = call->transfer;

    if (t)
        ist_timer_arm_in(&t->timer, call->op.loop, 0, on_time);
}

struct ist_http *ist_http_new(struct ist_loop *loop,
                              const struct ist_http_conf *conf)
{
    struct ist_http *http = calloc(1, sizeof(*http));

    (void) conf;
    if (http)
        http->loop = loop;
    return http;
}

static void on_closing(struct ist_timer *timer)
{
    struct ist_http *http = IST_CONTAINER(timer, struct ist_http, closing);

    if (http->closed)
        http->closed(http->arg);
    free(http);
}

void ist_http_close(struct ist_http *http, void (*closed)(void *), void *arg)
{
    http->closed = closed;
    http->arg = arg;
    ist_timer_arm_in(&http->closing, http->loop, 0, on_closing);
}
