#include "cloud_http.h"

#include "codec/json.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static struct fake_site *sites;

/* --- Sites and rows --- */

struct fake_site *fake_site_new(const char *host)
{
    struct fake_site *site = calloc(1, sizeof(*site));

    if (!site)
        abort();
    snprintf(site->host, sizeof(site->host), "%s", host);
    site->piece = 16384;
    site->password = "secret";
    site->project = "0123456789abcdef0123456789abcdef";
    site->role = "admin";
    site->region = "RegionOne";
    site->token_life_ms = 3600000;
    site->page_max = 1000;
    site->max_version = "2.93";
    site->token = 1;
    site->next = sites;
    sites = site;
    return site;
}

static void row_fini(struct fake_row *row)
{
    free(row->id);
    free(row->name);
    free(row->project);
    free(row->status);
    free(row->body);
}

struct fake_site *fake_site_free(struct fake_site *site)
{
    struct fake_site **at = &sites;

    if (!site)
        return NULL;
    assert(site->n_running == 0);
    while (*at != site)
        at = &(*at)->next;
    *at = site->next;
    for (size_t i = 0; i < site->n_rows; i++)
        row_fini(&site->rows[i]);
    free(site->rows);
    free(site);
    return NULL;
}

static struct fake_row *row_new(struct fake_site *site)
{
    if (site->n_rows == site->rows_size) {
        site->rows_size = site->rows_size ? 2 * site->rows_size : 64;
        site->rows = realloc(site->rows, site->rows_size * sizeof(*site->rows));
        if (!site->rows)
            abort();
    }
    return memset(&site->rows[site->n_rows++], 0, sizeof(*site->rows));
}

void fake_site_add(struct fake_site *site, const char *kind, const char *id,
                   const char *name, const char *project, const char *status,
                   uint64_t created_ms)
{
    struct fake_row *row = row_new(site);

    row->kind = kind;
    row->id = strdup(id);
    row->name = strdup(name);
    row->project = strdup(project);
    row->status = strdup(status);
    row->created_ms = created_ms;
}

void fake_site_add_body(struct fake_site *site, const char *kind,
                        const char *id, uint64_t created_ms, const char *body)
{
    fake_site_add(site, kind, id, id, site->project, "ACTIVE", created_ms);
    site->rows[site->n_rows - 1].body = strdup(body);
}

bool fake_site_remove(struct fake_site *site, const char *kind, const char *id)
{
    for (size_t i = 0; i < site->n_rows; i++) {
        struct fake_row *row = &site->rows[i];

        if (strcmp(row->kind, kind) != 0 || strcmp(row->id, id) != 0)
            continue;
        row_fini(row);
        memmove(row, row + 1, (--site->n_rows - i) * sizeof(*row));
        return true;
    }
    return false;
}

void fake_site_revoke(struct fake_site *site)
{
    site->token++;
}

/* --- Requests --- */

struct transfer {
    struct ist_http *http;
    struct ist_http_call *call;
    struct fake_site *site; /* NULL: there is no such host. */
    struct ist_timer timer;
    struct fake_answer answer;
    size_t at; /* Bytes handed over. */
    int fault; /* Instead of an answer, or at its end. */
    bool begun, paused;
};

struct request {
    struct fake_site *site;
    const struct ist_http_call *call;
    char origin[128]; /* "http://hkg.test:8774" */
    char path[512];
    const char *query;
    const struct os_service *service;
};

static const char *header(const struct ist_http_call *call, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; call->headers && call->headers[i]; i++) {
        const char *line = call->headers[i];

        if (strncasecmp(line, name, len) == 0 && line[len] == ':')
            return line + len + 2;
    }
    return "";
}

/* The value of a query's parameter, "nth" of that name, decoded. */
static bool parameter(const char *query, const char *name, unsigned nth,
                      char *buf, size_t size)
{
    size_t len = strlen(name), n = 0;
    const char *at = query;

    for (; at && *at; at = strchr(at, '&') ? strchr(at, '&') + 1 : NULL) {
        if (strncmp(at, name, len) == 0 && at[len] == '=' && nth-- == 0)
            break;
    }
    if (!at || !*at)
        return false;
    for (at += len + 1; *at && *at != '&' && n + 1 < size; at++) {
        unsigned c = (unsigned char) *at;

        if (*at == '%' && sscanf(at + 1, "%2x", &c) == 1)
            at += 2;
        buf[n++] = (char) c;
    }
    buf[n] = '\0';
    return true;
}

static struct fake_site *find_site(const char *url)
{
    const char *host = strstr(url, "://");
    size_t len;

    if (!host)
        return NULL;
    host += 3;
    len = strcspn(host, ":/?");
    for (struct fake_site *s = sites; s; s = s->next) {
        if (strlen(s->host) == len && memcmp(s->host, host, len) == 0)
            return s;
    }
    return NULL;
}

/* By its port, which is that of the catalog below. */
static const struct {
    const char *service;
    unsigned port;
} ports[] = {
    {"identity", 5000}, {"compute", 8774}, {"network", 9696},
    {"image", 9292},    {"volume", 8776},
};

static const struct os_service *find_service(const char *origin)
{
    const char *colon = strrchr(origin, ':');

    for (size_t i = 0; i < IST_COUNT(ports); i++) {
        if (colon && (unsigned) atoi(colon + 1) == ports[i].port)
            return os_service_find(ports[i].service);
    }
    return NULL;
}

/* --- Bodies --- */

static void time_text(uint64_t ms, char *buf, size_t size)
{
    time_t s = (time_t) (ms / 1000);
    struct tm tm;

    gmtime_r(&s, &tm);
    strftime(buf, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* A value at a path of one or two names. */
static void put_member(struct ist_sb *out, const char *path, const char *value)
{
    const char *dot = strchr(path, '.');

    if (dot) {
        ist_sb_json(out, path, (size_t) (dot - path));
        ist_sb_puts(out, ": {");
        ist_sb_json(out, dot + 1, strlen(dot + 1));
    } else {
        ist_sb_json(out, path, strlen(path));
    }
    ist_sb_puts(out, ": ");
    ist_sb_json(out, value, strlen(value));
    if (dot)
        ist_sb_putc(out, '}');
}

static const char *value_of(const struct fake_row *row, const char *member,
                            char *buf, size_t size)
{
    if (strcmp(member, "id") == 0)
        return row->id;
    if (strcmp(member, "name") == 0)
        return row->name;
    if (strcmp(member, "project") == 0)
        return row->project;
    if (strcmp(member, "status") == 0)
        return row->status;
    if (strcmp(member, "created_at") == 0) {
        time_text(row->created_ms, buf, size);
        return buf;
    }
    return NULL;
}

static void put_row(struct ist_sb *out, const struct fake_row *row)
{
    const struct ist_kind *kind = ist_kind_find(row->kind);
    bool first = true;
    char buf[32];

    if (row->body) {
        ist_sb_puts(out, row->body);
        return;
    }
    ist_sb_putc(out, '{');
    for (const struct ist_member *m = kind->members; m->name; m++) {
        const char *value = value_of(row, m->name, buf, sizeof(buf));
        bool twice = false;

        for (const struct ist_member *e = kind->members; e < m; e++)
            twice |= strcmp(e->path, m->path) == 0;
        if (!value || !m->path[0] || twice)
            continue;
        ist_sb_puts(out, first ? "" : ", ");
        put_member(out, m->path, value);
        first = false;
    }
    ist_sb_putc(out, '}');
}

static void put_object(struct ist_sb *out, const struct os_resource *resource,
                       const struct fake_row *row)
{
    if (resource->wrapper)
        ist_sb_printf(out, "{\"%s\": ", resource->wrapper);
    put_row(out, row);
    if (resource->wrapper)
        ist_sb_putc(out, '}');
}

/* "limits.absolute" opens two. */
static unsigned open_collection(struct ist_sb *out, const char *path)
{
    unsigned n = 0;

    while (*path) {
        size_t len = strcspn(path, ".");

        ist_sb_putc(out, '{');
        ist_sb_json(out, path, len);
        ist_sb_puts(out, ": ");
        path += len + (path[len] == '.');
        n++;
    }
    return n;
}

static void fault_body(const struct os_service *service, int status,
                       const char *message, struct fake_answer *answer)
{
    const char *path =
        service && service->message ? service->message : "message";
    unsigned n;

    answer->status = status;
    n = open_collection(&answer->body,
                        strncmp(path, "*.", 2) == 0 ? "someFault" : path);
    if (path[0] == '*')
        n += open_collection(&answer->body, "message");
    ist_sb_json(&answer->body, message, strlen(message));
    while (n--)
        ist_sb_putc(&answer->body, '}');
}

/* --- Lists --- */

struct sorting {
    struct {
        bool created, descending;
    } keys[4];
    size_t n;
};

/* From either way of asking; what is not known is refused. */
static bool add_sorting(struct sorting *sorting, const char *key,
                        const char *dir)
{
    bool created = strncmp(key, "created_at", 10) == 0;

    if ((!created && strncmp(key, "id", 2) != 0 &&
         strncmp(key, "uuid", 4) != 0) ||
        sorting->n == 4)
        return false;
    sorting->keys[sorting->n].created = created;
    sorting->keys[sorting->n++].descending = strncmp(dir, "desc", 4) == 0;
    return true;
}

static bool take_sorting(const struct request *r, struct sorting *sorting)
{
    char key[256], dir[16];

    if (parameter(r->query, "sort", 0, key, sizeof(key))) {
        for (char *at = strtok(key, ","); at; at = strtok(NULL, ",")) {
            char *colon = strchr(at, ':');

            if (!add_sorting(sorting, at, colon ? colon + 1 : "asc"))
                return false;
        }
    }
    for (unsigned i = 0; parameter(r->query, "sort_key", i, key, sizeof(key));
         i++) {
        if (!parameter(r->query, "sort_dir", i, dir, sizeof(dir)) ||
            !add_sorting(sorting, key, dir))
            return false;
    }
    return true;
}

static int compare(const struct fake_row *a, const struct fake_row *b,
                   const struct sorting *sorting)
{
    for (size_t i = 0; i < sorting->n; i++) {
        /* As a service does: with the seconds that it shows. */
        uint64_t x = a->created_ms / 1000, y = b->created_ms / 1000;
        int cmp =
            sorting->keys[i].created ? (x > y) - (x < y) : strcmp(a->id, b->id);

        if (cmp)
            return sorting->keys[i].descending ? -cmp : cmp;
    }
    return 0;
}

static bool filtered_out(const struct request *r,
                         const struct os_resource *resource,
                         const struct fake_row *row)
{
    char wanted[256], buf[32];

    for (size_t i = 0; i < OS_NATIVE_MAX && resource->filters[i].member; i++) {
        const char *value =
            value_of(row, resource->filters[i].member, buf, sizeof(buf));

        if (parameter(r->query, resource->filters[i].native, 0, wanted,
                      sizeof(wanted)) &&
            (!value || strcmp(value, wanted) != 0))
            return true;
    }
    return false;
}

/* Without "all_tenants" and the like, only the token's own project. */
static bool invisible(const struct request *r,
                      const struct os_resource *resource,
                      const struct fake_row *row)
{
    const char *all = resource->admin_query;

    return all && ist_kind_member(ist_kind_find(resource->kind), "project") &&
           !strstr(r->query, all) && strcmp(row->project, r->site->project);
}

static size_t collect(const struct request *r,
                      const struct os_resource *resource,
                      const struct sorting *sorting,
                      const struct fake_row **found)
{
    struct fake_site *site = r->site;
    size_t n = 0;

    for (size_t i = 0; i < site->n_rows; i++) {
        const struct fake_row *row = &site->rows[i];
        size_t at = n;

        if (strcmp(row->kind, resource->kind) != 0 ||
            filtered_out(r, resource, row) || invisible(r, resource, row))
            continue;
        /* Insertion: what is equal stays in the order it was added. */
        while (sorting->n && at > 0 && compare(row, found[at - 1], sorting) < 0)
            at--;
        memmove(&found[at + 1], &found[at], (n - at) * sizeof(*found));
        found[at] = row;
        n++;
    }
    return n;
}

static void put_next(const struct request *r,
                     const struct os_resource *resource, const char *marker,
                     size_t limit, struct fake_answer *answer)
{
    const char *origin = r->service->paging == OS_PAGING_NEXT ? "" : r->origin;
    struct ist_sb *out = &answer->body;

    if (r->site->fault == FAKE_ELSEWHERE)
        origin = "http://elsewhere.test:8774";
    switch (r->service->paging) {
    case OS_PAGING_NEXT:
        ist_sb_puts(out, ", \"next\": ");
        break;
    case OS_PAGING_LINKS_NEXT:
        ist_sb_puts(out, ", \"links\": {\"self\": \"x\", \"next\": ");
        break;
    case OS_PAGING_LINKS:
        if (resource->links)
            ist_sb_printf(out, ", \"%s\": ", resource->links);
        else
            ist_sb_printf(out, ", \"%s_links\": ", resource->collection);
        ist_sb_puts(out, "[{\"rel\": \"previous\", \"href\": \"x\"}, "
                         "{\"rel\": \"next\", \"href\": ");
        break;
    }
    /* As Nova does: other parameters may be lost. */
    ist_sb_printf(out, "\"%s%s?limit=%zu&marker=%s\"", origin, r->path, limit,
                  r->site->fault == FAKE_LOOP ? "same" : marker);
    if (r->service->paging == OS_PAGING_LINKS_NEXT)
        ist_sb_putc(out, '}');
    else if (r->service->paging == OS_PAGING_LINKS)
        ist_sb_puts(out, "}]");
}

static void put_page(const struct request *r,
                     const struct os_resource *resource,
                     const struct fake_row **found, size_t from, size_t to,
                     bool more, size_t limit, struct fake_answer *answer)
{
    struct ist_sb *out = &answer->body;
    unsigned n = open_collection(out, resource->collection);
    bool one = strstr(resource->list_path, "{project}") ||
               strchr(resource->collection, '.');

    if (!one)
        ist_sb_putc(out, '[');
    for (size_t i = from; i < to; i++) {
        if (i > from)
            ist_sb_puts(out, ", ");
        put_object(out, resource, found[i]);
        if (one)
            break;
    }
    if (one && from == to)
        ist_sb_puts(out, "{}");
    if (!one)
        ist_sb_putc(out, ']');
    while (n-- > 1)
        ist_sb_putc(out, '}');
    if (more)
        put_next(r, resource, found[to - 1]->id, limit, answer);
    ist_sb_putc(out, '}');
    answer->status = 200;
}

static bool find_marker(const struct fake_row **found, size_t n,
                        const char *marker, size_t *ret)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(found[i]->id, marker) == 0) {
            *ret = i + 1;
            return true;
        }
    }
    return false;
}

static void answer_list(const struct request *r,
                        const struct os_resource *resource,
                        struct fake_answer *answer)
{
    const struct fake_row **found = calloc(r->site->n_rows + 1, sizeof(*found));
    struct sorting sorting = {.n = 0};
    size_t n, from = 0, limit = r->site->page_max;
    char text[256];

    if (!found)
        abort();
    if (!take_sorting(r, &sorting)) {
        fault_body(r->service, 400, "no such sort key", answer);
        free(found);
        return;
    }
    if (r->site->fault == FAKE_UNSORTED)
        sorting.n = 0;
    n = collect(r, resource, &sorting, found);
    if (parameter(r->query, "limit", 0, text, sizeof(text)) &&
        (size_t) atol(text) < limit)
        limit = (size_t) atol(text);
    if (resource->unpaged)
        limit = n;
    if (parameter(r->query, "marker", 0, text, sizeof(text)) &&
        !find_marker(found, n, text, &from) && strcmp(text, "same") != 0)
        fault_body(r->service, 400, "marker not found", answer);
    else
        put_page(r, resource, found, from, limit < n - from ? from + limit : n,
                 limit < n - from, limit, answer);
    free(found);
}

static void answer_show(const struct request *r,
                        const struct os_resource *resource, const char *id,
                        struct fake_answer *answer)
{
    for (size_t i = 0; i < r->site->n_rows; i++) {
        const struct fake_row *row = &r->site->rows[i];
        unsigned n;

        if (strcmp(row->kind, resource->kind) != 0 || strcmp(row->id, id) != 0)
            continue;
        n = open_collection(&answer->body, resource->show_collection);
        put_row(&answer->body, row);
        while (n--)
            ist_sb_putc(&answer->body, '}');
        answer->status = 200;
        return;
    }
    fault_body(r->service, 404, "It could not be found.", answer);
}

/* --- The services --- */

/* Takes 'pattern' from the front of a path; "{project}" and "{id}" stand for
 * any segment, and the last one's is kept. */
static const char *take_path(const char *path, const char *pattern, char *id,
                             size_t size)
{
    while (*pattern) {
        size_t len = strcspn(path, "/");

        if (*pattern != '{') {
            if (*path++ != *pattern++)
                return NULL;
            continue;
        }
        snprintf(id, size, "%.*s", (int) len, path);
        path += len;
        pattern += strcspn(pattern, "}") + 1;
        if (len == 0)
            return NULL;
    }
    return path;
}

static void answer_resource(const struct request *r, const char *path,
                            struct fake_answer *answer)
{
    size_t n;
    const struct os_resource *resources = os_resources(&n);
    char id[256];

    for (size_t i = 0; i < n; i++) {
        const struct os_resource *resource = &resources[i];
        const char *end;

        if (strcmp(ist_kind_find(resource->kind)->service, r->service->name))
            continue;
        end = take_path(path, resource->list_path, id, sizeof(id));
        if (end && *end == '\0') {
            answer_list(r, resource, answer);
            return;
        }
        if (!resource->show_path)
            continue;
        end = take_path(path, resource->show_path, id, sizeof(id));
        if (end && *end == '\0') {
            answer_show(r, resource, id, answer);
            return;
        }
    }
    fault_body(r->service, 404, "There is nothing there.", answer);
}

static void answer_versions(const struct request *r, struct fake_answer *answer)
{
    bool list = r->service->version_collection &&
                strcmp(r->service->version_collection, "versions") == 0;

    answer->status = 200;
    ist_sb_printf(&answer->body,
                  "{\"%s\": %s{\"id\": \"v\", \"version\": \"%s\", "
                  "\"min_version\": \"%s\"}%s}",
                  list ? "versions" : "version", list ? "[" : "",
                  list ? "3.70" : r->site->max_version, list ? "3.0" : "2.1",
                  list ? "]" : "");
}

static void put_catalog(const struct fake_site *site, struct ist_sb *out)
{
    bool first = true;

    for (size_t i = 0; i < IST_COUNT(ports); i++) {
        const struct os_service *service = os_service_find(ports[i].service);

        if (site->without && strcmp(site->without, service->name) == 0)
            continue;
        ist_sb_printf(out,
                      "%s{\"type\": \"%s\", \"name\": \"x\", \"endpoints\": ["
                      "{\"interface\": \"admin\", \"region_id\": \"%s\", "
                      "\"url\": \"http://admin.test\"}, "
                      "{\"interface\": \"public\", \"region_id\": \"Else\", "
                      "\"url\": \"http://else.test\"}, "
                      "{\"interface\": \"public\", \"region_id\": \"%s\", "
                      "\"region\": \"%s\", \"url\": \"http://%s:%u",
                      first ? "" : ", ", service->types[0], site->region,
                      site->region, site->region, site->host, ports[i].port);
        if (strcmp(service->name, "volume") == 0)
            ist_sb_printf(out, "/v3/%s", site->project);
        if (strcmp(service->name, "compute") == 0)
            ist_sb_puts(out, "/v2.1/");
        ist_sb_puts(out, "\"}]}");
        first = false;
    }
}

static void put_token(const struct request *r, uint64_t wall_ms,
                      struct fake_answer *answer)
{
    static char more[128];
    char expires[32];

    time_text(wall_ms + r->site->token_life_ms, expires, sizeof(expires));
    snprintf(more, sizeof(more), "X-Subject-Token: token-%u\r\n",
             r->site->token);
    answer->more = more;
    answer->status = 201;
    ist_sb_printf(&answer->body,
                  "{\"token\": {\"expires_at\": \"%s\", \"roles\": [{\"id\": "
                  "\"1\", \"name\": \"%s\"}], \"project\": {\"id\": \"%s\"}, "
                  "\"user\": {\"id\": \"u-1\"}, "
                  "\"catalog\": [",
                  expires, r->site->role, r->site->project);
    put_catalog(r->site, &answer->body);
    ist_sb_puts(&answer->body, "]}}");
}

static void answer_login(const struct request *r, uint64_t wall_ms,
                         struct fake_answer *answer)
{
    struct ist_json_slice doc = {r->call->body, r->call->body_size};
    struct ist_json_slice word = ist_json_find(doc, "auth.identity.password");

    word = ist_json_find(word, "user.password");
    if (!word.data) {
        word = ist_json_find(doc, "auth.identity.application_credential");
        word = ist_json_find(word, "secret");
    }
    r->site->n_logins++;
    if (!ist_json_text_is(word, r->site->password) ||
        r->site->login_fault == FAKE_BAD_TOKEN)
        fault_body(r->service, 401,
                   "The request you have made requires "
                   "authentication.",
                   answer);
    else
        put_token(r, wall_ms, answer);
}

static bool token_is_good(const struct request *r)
{
    char wanted[32];

    snprintf(wanted, sizeof(wanted), "token-%u", r->site->token);
    return strcmp(header(r->call, "X-Auth-Token"), wanted) == 0;
}

static void answer_service(const struct request *r, struct fake_answer *answer)
{
    const char *path;
    char id[256];

    if (!token_is_good(r)) {
        fault_body(os_service_find("identity"), 401, "Unauthorized", answer);
        return;
    }
    if (strcmp(r->path, r->service->versions) == 0) {
        answer_versions(r, answer);
        return;
    }
    path = take_path(r->path, r->service->prefix, id, sizeof(id));
    if (path)
        answer_resource(r, path, answer);
    else
        fault_body(r->service, 404, "There is nothing there.", answer);
}

static enum fake_fault fault_of(const struct request *r, bool login)
{
    if (login)
        return r->site->login_fault;
    if (r->site->fault_at && strcmp(r->site->fault_at, r->service->name) != 0)
        return FAKE_FINE;
    return r->site->fault;
}

/* What a fault makes of the answer. */
static void spoil(struct transfer *t, const struct request *r,
                  enum fake_fault fault)
{
    struct fake_answer *answer = &t->answer;

    switch (fault) {
    case FAKE_REFUSED:
        t->fault = -ECONNREFUSED;
        break;
    case FAKE_CUT:
        answer->body.len /= 2;
        t->fault = -ECONNRESET;
        break;
    case FAKE_TRUNCATED:
        answer->body.len -= answer->body.len / 3 + 1;
        break;
    case FAKE_HTML:
        ist_sb_reset(&answer->body);
        ist_sb_puts(&answer->body, "<html><h1>Welcome to nginx!</h1></html>");
        answer->type = "text/html";
        answer->status = 200;
        break;
    case FAKE_ERROR:
        ist_sb_reset(&answer->body);
        fault_body(r->service, 503, "It is\n unwell\x1b[31m", answer);
        break;
    case FAKE_BAD_TOKEN:
        ist_sb_reset(&answer->body);
        fault_body(os_service_find("identity"), 401, "Unauthorized", answer);
        break;
    default:
        break;
    }
}

static bool hooked(const struct request *r, struct fake_answer *answer)
{
    const struct fake_request seen = {r->call->method, r->path, r->query,
                                      r->call};

    return r->site->hook && r->site->hook(r->site, &seen, answer);
}

static void answer(struct transfer *t, const struct request *r,
                   uint64_t wall_ms)
{
    bool login = strcmp(r->path, "/v3/auth/tokens") == 0;
    struct fake_site *site = r->site;
    const char *version = header(r->call, "OpenStack-API-Version");

    if (!login) {
        site->n_requests++;
        snprintf(site->last_path, sizeof(site->last_path), "%s%s%s", r->path,
                 *r->query ? "?" : "", r->query);
        snprintf(site->last_version, sizeof(site->last_version), "%s",
                 strchr(version, ' ') ? strchr(version, ' ') + 1 : "");
    }
    if (hooked(r, &t->answer))
        return;
    if (!r->service)
        t->answer.status = 404;
    else if (login)
        answer_login(r, wall_ms, &t->answer);
    else
        answer_service(r, &t->answer);
    if (r->service)
        spoil(t, r, fault_of(r, login));
}

static void request_init(struct request *r, struct transfer *t)
{
    const char *url = t->call->url, *at = strstr(url, "://") + 3;
    size_t len = strcspn(at, "/?"), path_len;

    *r = (struct request){.site = t->site, .call = t->call, .query = ""};
    snprintf(r->origin, sizeof(r->origin), "%.*s", (int) (at + len - url), url);
    at += len;
    path_len = strcspn(at, "?");
    snprintf(r->path, sizeof(r->path), "%.*s", (int) path_len, at);
    if (at[path_len])
        r->query = at + path_len + 1;
    r->service = find_service(r->origin);
}

/* --- The client --- */

struct ist_http {
    struct ist_loop *loop;
    struct ist_op closing;
    void (*closed)(void *);
    void *arg;
};

static void transfer_end(struct transfer *t, int rc)
{
    struct ist_http_call *call = t->call;

    ist_timer_disarm(&t->timer);
    if (t->site)
        t->site->n_running--;
    ist_sb_fini(&t->answer.body);
    call->transfer = NULL;
    free(t);
    ist_op_finish(&call->op, rc);
}

static void begin(struct transfer *t)
{
    struct ist_http_call *call = t->call;

    t->begun = true;
    call->status = t->answer.status;
    ist_sb_printf(&call->header_text, "Content-Type: %s\r\n%s",
                  t->answer.type ? t->answer.type : "application/json",
                  t->answer.more ? t->answer.more : "");
}

static int hand_over(struct transfer *t, const char *data, size_t size)
{
    struct ist_http_call *call = t->call;
    char *piece;
    int rc;

    if (!call->on_data) {
        if (call->collected.len + size > call->collect_max)
            return -EMSGSIZE;
        ist_sb_add(&call->collected, data, size);
        return 0;
    }
    /* Memory of its own size: who reads behind it, or keeps it, is caught. */
    piece = malloc(size);
    if (!piece)
        abort();
    memcpy(piece, data, size);
    rc = call->on_data(call, piece, size);
    free(piece);
    return rc;
}

static void on_timer(struct ist_timer *timer)
{
    struct transfer *t = IST_CONTAINER(timer, struct transfer, timer);
    size_t size = t->answer.body.len - t->at;
    int rc;

    if (t->fault && !t->answer.status) {
        transfer_end(t, t->fault);
        return;
    }
    if (!t->begun)
        begin(t);
    if (t->site && size > t->site->piece)
        size = t->site->piece;
    if (size == 0) {
        transfer_end(t, t->fault);
        return;
    }
    rc = hand_over(t, t->answer.body.data + t->at, size);
    if (rc == -EAGAIN) {
        t->paused = true;
        return;
    }
    t->at += size;
    t->call->n_received += size;
    if (rc)
        transfer_end(t, rc);
    else
        ist_timer_arm_in(&t->timer, t->http->loop, 0, on_timer);
}

static void on_cancel(struct ist_op *op)
{
    struct ist_http_call *call = IST_CONTAINER(op, struct ist_http_call, op);

    transfer_end(call->transfer, -ECANCELED);
}

static bool begin_answer(struct transfer *t)
{
    struct fake_site *site = t->site;
    struct request r;

    request_init(&r, t);
    answer(t, &r, ist_loop_wall(t->http->loop));
    if (++site->n_running > site->n_running_max)
        site->n_running_max = site->n_running;
    if (t->fault == -ECONNREFUSED)
        t->answer.status = 0;
    return fault_of(&r, strcmp(r.path, "/v3/auth/tokens") == 0) != FAKE_SILENT;
}

void ist_http_start(struct ist_http *http, struct ist_http_call *call)
{
    struct transfer *t = calloc(1, sizeof(*t));

    if (!t)
        abort();
    ist_sb_init(&call->header_text, 0);
    ist_sb_init(&call->collected, 0);
    call->status = 0;
    call->n_received = 0;
    call->transfer = t;
    t->http = http;
    t->call = call;
    t->site = find_site(call->url);
    ist_sb_init(&t->answer.body, 0);
    ist_op_begin(&call->op, on_cancel);
    if (!t->site)
        t->fault = -EHOSTUNREACH;
    else if (!begin_answer(t))
        return; /* Only a cancel will end it. */
    ist_timer_arm_in(&t->timer, http->loop, t->site ? t->site->delay_ms : 1,
                     on_timer);
}

void ist_http_resume(struct ist_http_call *call)
{
    struct transfer *t = call->transfer;

    if (!t || !t->paused)
        return;
    t->paused = false;
    ist_timer_arm_in(&t->timer, t->http->loop, 0, on_timer);
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

static void on_closed(struct ist_op *op)
{
    struct ist_http *http = IST_CONTAINER(op, struct ist_http, closing);
    void (*closed)(void *) = http->closed;
    void *arg = http->arg;

    free(http);
    if (closed)
        closed(arg);
}

void ist_http_close(struct ist_http *http, void (*closed)(void *), void *arg)
{
    if (!http)
        return;
    http->closed = closed;
    http->arg = arg;
    ist_op_prepare(&http->closing, http->loop, NULL, 0, on_closed);
    ist_op_begin(&http->closing, NULL);
    ist_op_finish(&http->closing, 0);
}
