#include "cloud.h"

#include "http/client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SITES_MAX 1000
#define PIECE     16384 /* What libcurl hands over at once. */

struct server {
    uint64_t created; /* Seconds. */
    char id[40];
    char *json; /* Owned. */
    size_t size;
};

struct site {
    char url[64];
    struct server *servers; /* Owned. Newest first, as Nova is asked. */
    struct ist_sb page;     /* A list's beginning, rendered once. */
    uint32_t page_limit;
};

static struct site sites[SITES_MAX];
static uint32_t first_site, n_sites, n_servers;

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
    const char *data; /* The answer: of 'body', or of a site's page. */
    size_t size, at;
    int status;
};

/* The servers */

/* Steele, Lea, Flood: SplitMix64. Its own, so that every run is the same,
 * however many processes share the sites. */
static uint64_t state;

static uint64_t draw(void)
{
    uint64_t z = (state += UINT64_C(0x9E3779B97F4A7C15));

    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static void draw_uuid(char id[40])
{
    uint64_t a = draw(), b = draw();

    snprintf(id, 40, "%08x-%04x-4%03x-%04x-%012" PRIx64, (unsigned) (a >> 32),
             (unsigned) (a >> 16) & 0xFFFF, (unsigned) a & 0xFFF,
             (unsigned) (b >> 48) | 0x8000, b & UINT64_C(0xFFFFFFFFFFFF));
}

static void draw_time(uint64_t seconds, char text[24])
{
    snprintf(text, 24, "2026-11-%02uT%02u:%02u:%02u",
             (unsigned) (1 + seconds / 86400 % 28),
             (unsigned) (seconds / 3600 % 24), (unsigned) (seconds / 60 % 60),
             (unsigned) (seconds % 60));
}

static void put_identity(struct ist_sb *out, const struct server *server,
                         uint32_t site, uint32_t i)
{
    char user[40], host[40], image[40], created[24], updated[24];

    draw_uuid(user);
    draw_uuid(host);
    draw_uuid(image);
    draw_time(server->created, created);
    draw_time(server->created + 21, updated);
    ist_sb_printf(
        out,
        "{\"id\": \"%s\", \"name\": \"transcode-%u\", \"status\": \"ACTIVE\", "
        "\"tenant_id\": \"6c7f7ae997dd476da5b187eed0b3b97b\", \"user_id\": "
        "\"%s\", \"metadata\": {\"site\": \"s%03u\"}, \"hostId\": \"%s%s\", "
        "\"image\": {\"id\": \"%s\", \"links\": [{\"rel\": \"bookmark\", "
        "\"href\": \"http://nova.s%03u.bench:8774/images/%s\"}]}, "
        "\"flavor\": {\"vcpus\": 4, \"ram\": 8192, \"disk\": 80, "
        "\"ephemeral\": 0, \"swap\": 0, \"original_name\": \"m1.large\", "
        "\"extra_specs\": {}}, \"created\": \"%sZ\", \"updated\": \"%sZ\", ",
        server->id, i, user, site, host, user, image, site, image, created,
        updated);
}

static void put_place(struct ist_sb *out, const struct server *server,
                      uint32_t site, uint32_t i)
{
    uint64_t mac = draw();

    ist_sb_printf(
        out,
        "\"addresses\": {\"media-net\": [{\"version\": 4, \"addr\": "
        "\"10.12.%u.%u\", \"OS-EXT-IPS:type\": \"fixed\", "
        "\"OS-EXT-IPS-MAC:mac_addr\": \"fa:16:3e:%02x:%02x:%02x\"}]}, "
        "\"accessIPv4\": \"\", \"accessIPv6\": \"\", \"links\": [{\"rel\": "
        "\"self\", \"href\": \"http://nova.s%03u.bench:8774/v2.1/servers/%s\"}"
        ", {\"rel\": \"bookmark\", \"href\": "
        "\"http://nova.s%03u.bench:8774/servers/%s\"}], "
        "\"OS-DCF:diskConfig\": \"MANUAL\", \"progress\": 0, "
        "\"OS-EXT-AZ:availability_zone\": \"az-%u\", \"config_drive\": \"\", ",
        i / 250, i % 250, (unsigned) (mac & 0xFF), (unsigned) (mac >> 8 & 0xFF),
        (unsigned) (mac >> 16 & 0xFF), site, server->id, site, server->id,
        site % 3);
}

static void put_state(struct ist_sb *out, const struct server *server,
                      uint32_t i)
{
    char launched[24];
    uint64_t r = draw();

    draw_time(server->created + 18, launched);
    ist_sb_printf(
        out,
        "\"key_name\": null, \"OS-SRV-USG:launched_at\": \"%s.000000\", "
        "\"OS-SRV-USG:terminated_at\": null, \"OS-EXT-SRV-ATTR:host\": "
        "\"compute-%u\", \"OS-EXT-SRV-ATTR:instance_name\": "
        "\"instance-%08x\", \"OS-EXT-SRV-ATTR:hypervisor_hostname\": "
        "\"compute-%u\", \"OS-EXT-SRV-ATTR:reservation_id\": \"r-%08x\", "
        "\"OS-EXT-SRV-ATTR:launch_index\": 0, \"OS-EXT-SRV-ATTR:hostname\": "
        "\"transcode-%u\", \"OS-EXT-SRV-ATTR:kernel_id\": \"\", "
        "\"OS-EXT-SRV-ATTR:ramdisk_id\": \"\", "
        "\"OS-EXT-SRV-ATTR:root_device_name\": \"/dev/sda\", "
        "\"OS-EXT-SRV-ATTR:user_data\": null, \"OS-EXT-STS:task_state\": "
        "null, \"OS-EXT-STS:vm_state\": \"active\", "
        "\"OS-EXT-STS:power_state\": 1, "
        "\"os-extended-volumes:volumes_attached\": [], \"locked\": false, "
        "\"locked_reason\": null, \"description\": null, \"tags\": [], "
        "\"trusted_image_certificates\": null, \"host_status\": \"UP\", "
        "\"security_groups\": [{\"name\": \"default\"}]}",
        launched, (unsigned) (r % 40), i, (unsigned) (r % 40),
        (unsigned) (r >> 32), i);
}

static int newest_first(const void *a, const void *b)
{
    const struct server *x = a, *y = b;

    if (x->created != y->created)
        return x->created > y->created ? -1 : 1;
    return strcmp(x->id, y->id);
}

static void make_site(struct site *site, uint32_t number)
{
    state = (uint64_t) number << 32;
    snprintf(site->url, sizeof(site->url), "http://s%03u.bench:5000/v3",
             number);
    ist_sb_init(&site->page, 0);
    site->servers = calloc(n_servers ? n_servers : 1, sizeof(struct server));
    if (!site->servers)
        abort();
    for (uint32_t i = 0; i < n_servers; i++) {
        struct server *server = &site->servers[i];
        struct ist_sb out;

        draw_uuid(server->id);
        server->created = draw() % (27U * 86400U);
        ist_sb_init(&out, 0);
        put_identity(&out, server, number, i);
        put_place(&out, server, number, i);
        put_state(&out, server, i);
        server->json = ist_sb_take(&out, &server->size);
        if (!server->json)
            abort();
    }
    qsort(site->servers, n_servers, sizeof(struct server), newest_first);
}

void bench_cloud_init(uint32_t first, uint32_t sites_wanted,
                      uint32_t servers_wanted)
{
    if (sites_wanted > SITES_MAX)
        abort();
    first_site = first;
    n_sites = sites_wanted;
    n_servers = servers_wanted;
    for (uint32_t i = 0; i < n_sites; i++)
        make_site(&sites[i], first + i);
}

const char *bench_cloud_url(uint32_t site)
{
    return sites[site - first_site].url;
}

size_t bench_cloud_write(const char *path)
{
    FILE *file = fopen(path, "w");
    size_t bytes = 0;

    if (!file)
        return 0;
    for (uint32_t s = 0; s < n_sites; s++) {
        for (uint32_t i = 0; i < n_servers; i++) {
            fprintf(file, "%s%s", i ? "," : "[", sites[s].servers[i].json);
            bytes += sites[s].servers[i].size;
        }
        fputs(n_servers ? "]\n" : "[]\n", file);
    }
    return fclose(file) == 0 && n_sites && n_servers
               ? bytes / ((size_t) n_sites * n_servers)
               : 0;
}

/* What Nova and Keystone answer */

static void param(const char *query, const char *name, char *value, size_t size)
{
    size_t len = strlen(name);

    value[0] = '\0';
    for (const char *at = query; at; at = strchr(at, '&')) {
        at += *at == '&' || *at == '?';
        if (strncmp(at, name, len) == 0 && at[len] == '=')
            snprintf(value, size, "%.*s", (int) strcspn(at + len + 1, "&"),
                     at + len + 1);
    }
}

static void put_servers(struct ist_sb *out, const struct site *site,
                        const char *query)
{
    char limit_text[16], marker[48];
    uint32_t at = 0, n = 0, limit;

    param(query, "limit", limit_text, sizeof(limit_text));
    param(query, "marker", marker, sizeof(marker));
    limit = (uint32_t) strtoul(limit_text, NULL, 10);
    if (limit == 0 || limit > 1000)
        limit = 1000;
    while (marker[0] && at < n_servers &&
           strcmp(site->servers[at++].id, marker) != 0)
        ;
    ist_sb_puts(out, "{\"servers\": [");
    for (; n < limit && at < n_servers; n++, at++) {
        if (n)
            ist_sb_puts(out, ", ");
        ist_sb_add(out, site->servers[at].json, site->servers[at].size);
    }
    ist_sb_putc(out, ']');
    if (at < n_servers && n)
        ist_sb_printf(out,
                      ", \"servers_links\": [{\"rel\": \"next\", \"href\": "
                      "\"%.*s:8774/v2.1/servers/detail?limit=%u&marker=%s\"}]",
                      (int) (strstr(site->url, ":5000") - site->url), site->url,
                      limit, site->servers[at - 1].id);
    ist_sb_putc(out, '}');
}

/* Lists that begin at the start are what is measured: they cost nothing. */
static void give_servers(struct transfer *t, struct site *site,
                         const char *query)
{
    char limit[16], marker[48];

    param(query, "limit", limit, sizeof(limit));
    param(query, "marker", marker, sizeof(marker));
    if (marker[0]) {
        put_servers(&t->body, site, query);
        return;
    }
    if (!site->page.len || strtoul(limit, NULL, 10) != site->page_limit) {
        ist_sb_reset(&site->page);
        put_servers(&site->page, site, query);
        site->page_limit = (uint32_t) strtoul(limit, NULL, 10);
    }
    t->data = site->page.data;
    t->size = site->page.len;
}

static void put_token(struct ist_sb *out, uint32_t site)
{
    ist_sb_printf(
        out,
        "{\"token\": {\"expires_at\": \"2099-01-01T00:00:00.000000Z\", "
        "\"project\": {\"id\": \"p1\", \"name\": \"admin\"}, "
        "\"roles\": [{\"id\": \"r1\", \"name\": \"admin\"}], "
        "\"catalog\": [{\"type\": \"compute\", \"name\": \"nova\", "
        "\"endpoints\": [{\"interface\": \"public\", \"region\": \"bench\", "
        "\"region_id\": \"bench\", "
        "\"url\": \"http://s%03u.bench:8774/v2.1\"}]}]}}",
        site);
}

static void answer(struct transfer *t)
{
    const char *url = t->call->url, *host = strstr(url, "://s");
    uint32_t site =
        host ? (uint32_t) strtoul(host + 4, NULL, 10) - first_site : SITES_MAX;
    struct ist_sb *headers = &t->call->header_text;

    t->status = site < n_sites ? 200 : 404;
    if (site >= n_sites) {
        ist_sb_puts(&t->body, "{}");
    } else if (strstr(url, "/v3/auth/tokens")) {
        t->status = 201;
        ist_sb_puts(headers, "X-Subject-Token: canned\r\n");
        put_token(&t->body, first_site + site);
    } else if (strstr(url, "/v2.1/servers/detail")) {
        give_servers(t, &sites[site], strchr(url, '?'));
    } else {
        ist_sb_puts(&t->body,
                    "{\"version\": {\"id\": \"v2.1\", \"status\": \"CURRENT\", "
                    "\"min_version\": \"2.1\", \"version\": \"2.93\"}}");
    }
    if (!t->data) {
        t->data = ist_sb_text(&t->body);
        t->size = t->body.len;
    }
    ist_sb_puts(headers, "Content-Type: application/json\r\n");
}

/* The client */

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
    call->n_received = t->size;
    if (!call->on_data) {
        if (t->size > call->collect_max)
            return -EMSGSIZE;
        ist_sb_add(&call->collected, t->data, t->size);
        return 0;
    }
    while (t->at < t->size) {
        size_t left = t->size - t->at, size = left < PIECE ? left : PIECE;
        int rc = call->on_data(call, t->data + t->at, size);

        if (rc)
            return rc;
        t->at += size;
    }
    return 0;
}

static void on_time(struct ist_timer *timer)
{
    struct transfer *t = IST_CONTAINER(timer, struct transfer, timer);
    int rc = hand_over(t);

    if (rc != -EAGAIN) /* Else ist_http_resume() brings it again. */
        finish(t, rc);
}

static void on_cancel(struct ist_op *op)
{
    struct ist_http_call *call = IST_CONTAINER(op, struct ist_http_call, op);

    finish(call->transfer, -ECANCELED);
}

void ist_http_start(struct ist_http *http, struct ist_http_call *call)
{
    struct transfer *t = calloc(1, sizeof(*t));

    if (!t)
        abort();
    t->call = call;
    call->transfer = t;
    call->status = 0;
    ist_sb_init(&t->body, 0);
    ist_sb_init(&call->header_text, 0);
    ist_sb_init(&call->collected, 0);
    ist_op_begin(&call->op, on_cancel);
    answer(t);
    ist_timer_arm_in(&t->timer, http->loop, 0, on_time);
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
