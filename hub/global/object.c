/* One object: whatever is asked of it goes to the site that has it.
 *
 *     known? (made here, or in the view, as the caller's own) --yes--> its site
 *       | no
 *     all sites are asked for it: the one that has it; none: it is not there,
 *     unless some could not be asked
 *
 * Of a site that is away a read gives what the view last knew, and a write is
 * refused: nothing that only cannot be reached is ever said to be gone. */
#include "global/gather.h"
#include "global/names.h"
#include "global/stale.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct finding {
    struct global_gather gather;
    struct facade_ask show;
    struct global_request *request;
    const struct global_site *site;
    bool is_shown;
};

static void finding_free(void *work)
{
    struct finding *finding = work;

    global_gather_fini(&finding->gather);
    if (finding->is_shown)
        facade_ask_fini(&finding->show);
    free(finding);
}

/* Nova, Neutron, Glance and Cinder make their ids as UUIDs; who asks for
 * anything else asks for a name, to see whether it is an id. */
static bool is_uuid(const char *text)
{
    size_t n_hex = 0;

    for (const char *c = text; *c; c++) {
        if (strchr("0123456789abcdefABCDEF", *c))
            n_hex++;
        else if (*c != '-')
            return false;
    }
    return n_hex == 32;
}

static const char *id_of(const struct global_request *request)
{
    return request->segments[1];
}

static void not_found(struct global_request *request)
{
    const char *kind = request->route->kind;

    global_request_fail(request, 404, "%s %.80s could not be found.",
                        kind ? kind : "The resource",
                        request->n_segments > 1 ? id_of(request) : "");
}

static bool is_read(const struct global_request *request)
{
    return strcmp(request->http->method, "GET") == 0 ||
           strcmp(request->http->method, "HEAD") == 0;
}

/* --- A site that is away --- */

/* What the object is wrapped in. */
static const char *wrapper_of(const char *kind)
{
    static const struct {
        const char *kind, *wrapper;
    } rows[] = {
        {"server", "server"},         {"volume", "volume"},
        {"snapshot", "snapshot"},     {"network", "network"},
        {"subnet", "subnet"},         {"port", "port"},
        {"router", "router"},         {"security-group", "security_group"},
        {"floating-ip", "floatingip"}};

    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        if (strcmp(rows[i].kind, kind) == 0)
            return rows[i].wrapper;
    }
    return NULL;
}

static void show_stale(struct global_request *request,
                       const struct global_site *site,
                       const struct ist_bytes *row)
{
    const char *wrapper = wrapper_of(request->route->kind);
    struct ist_httpd_header note = {"X-Isthmus-Sites", NULL};
    struct ist_bytes body = global_stale_body(
        request, site, ist_kind_find(request->route->kind), row);
    struct ist_sb out, text;

    ist_sb_init(&out, 0);
    ist_sb_init(&text, 0);
    global_request_note(&text, site->site->name, "stale");
    note.value = ist_arena_strdup(&request->http->arena, ist_sb_text(&text));
    ist_sb_fini(&text);
    if (wrapper)
        ist_sb_printf(&out, "{\"%s\":", wrapper);
    ist_sb_add(&out, body.data, body.size);
    if (wrapper)
        ist_sb_putc(&out, '}');
    global_request_reply(request, 200, &note, 1, &out);
}

static bool is_show(const struct global_request *request)
{
    return strcmp(request->http->method, "GET") == 0 &&
           request->n_segments == 2 && request->route->kind;
}

static void away(struct global_request *request, const struct global_site *site)
{
    struct ist_bytes row;

    if (is_show(request) &&
        global_stale_row(request, site, request->route->kind, id_of(request),
                         &row))
        show_stale(request, site, &row);
    else
        global_request_away(request, site->site);
}

/* --- Its site --- */

/* The request as the site is to have it. False: no memory. */
static bool prepare(struct global_request *request,
                    const struct global_site *site, struct facade_asked *ret)
{
    const char *image = NULL, *copy = NULL;

    *ret = global_request_asked(request, site);
    if (request->version && request->version[0])
        ret->version = request->version;
    if (request->route->kind && strcmp(request->route->kind, "server") == 0)
        image = global_alias_find(request->global->aliases, id_of(request),
                                  &request->http->arena);
    if (image)
        copy = global_names_copy(request, site, image, NULL);
    return global_names_add(request, ret, image, copy);
}

static void on_shown(struct ist_op *op)
{
    struct facade_ask *ask = IST_CONTAINER(op, struct facade_ask, op);
    struct finding *finding = IST_CONTAINER(ask, struct finding, show);
    struct global_request *request = finding->request;
    char why[FACADE_OUTCOME_MAX];
    struct ist_bytes row;
    int status;

    request->running = NULL;
    if (op->rc == 0) {
        global_request_pass(request, ask);
        return;
    }
    status = facade_ask_outcome(ask, why);
    if (status >= 500 &&
        global_stale_row(request, finding->site, request->route->kind,
                         id_of(request), &row))
        show_stale(request, finding->site, &row);
    else
        global_request_fail(request, status, "%s", why);
}

/* Collected, so that the view can stand in if the site does not answer. */
static void show(struct finding *finding, const struct facade_asked *asked)
{
    struct global_request *request = finding->request;

    finding->is_shown = true;
    finding->show = (struct facade_ask){.facade = request->global->facade,
                                        .asked = *asked,
                                        .method = "GET",
                                        .http = request->http,
                                        .max = GLOBAL_ANSWER_MAX};
    request->running = &finding->show.op;
    ist_op_prepare(&finding->show.op, request->http->loop, NULL, 0, on_shown);
    facade_ask_start(&finding->show);
}

static void go_to(struct finding *finding, const struct global_site *site)
{
    struct global_request *request = finding->request;
    struct facade_asked asked;

    finding->site = site;
    if (site->is_away)
        away(request, site);
    else if (!prepare(request, site, &asked))
        global_request_fail(request, 500, "The hub is out of memory.");
    else if (is_show(request))
        show(finding, &asked);
    else
        global_request_relay(request, &asked);
}

/* --- Finding it --- */

static const struct global_site *known_site(struct global_request *request)
{
    const struct global_site *site =
        global_place_recall(request, request->segments[0], id_of(request));
    struct ist_bytes row;

    for (size_t i = 0; !site && request->route->kind && i < request->n_sites;
         i++) {
        if (global_stale_row(request, &request->sites[i], request->route->kind,
                             id_of(request), &row))
            site = &request->sites[i];
    }
    return site;
}

/* Some site could not say whether it has it. */
static void nobody_knows(struct global_request *request,
                         const struct global_gather *gather)
{
    struct ist_sb names;
    char text[200];

    ist_sb_init(&names, 0);
    for (size_t i = 0; i < gather->n_parts; i++) {
        if (gather->parts[i].state != GLOBAL_ANSWERED)
            ist_sb_printf(&names, "%s%s", names.len ? ", " : "",
                          gather->parts[i].site->site->name);
    }
    snprintf(text, sizeof(text), "%.180s", ist_sb_text(&names));
    ist_sb_fini(&names);
    global_request_fail(request, 503,
                        "%.80s is at none of the sites that answered; it may "
                        "be at one that cannot be reached: %s.",
                        id_of(request), text);
}

static void on_searched(struct ist_op *op)
{
    struct global_gather *gather = IST_CONTAINER(op, struct global_gather, op);
    struct finding *finding = IST_CONTAINER(gather, struct finding, gather);
    struct global_request *request = finding->request;
    bool is_sure = true;

    request->running = NULL;
    if (global_request_is_over(request, op))
        return;
    for (size_t i = 0; i < gather->n_parts; i++) {
        const struct global_part *part = &gather->parts[i];

        is_sure &= part->state == GLOBAL_ANSWERED && part->status < 500;
        if (part->state != GLOBAL_ANSWERED || part->status >= 300)
            continue;
        global_place_note(request, request->segments[0], id_of(request),
                          part->site->site->name);
        go_to(finding, part->site);
        return;
    }
    if (is_sure || (is_read(request) && !is_uuid(id_of(request))))
        not_found(request);
    else if (request->is_region)
        global_request_away(request, request->asked.site);
    else
        nobody_knows(request, gather);
}

static void search(struct finding *finding)
{
    struct global_request *request = finding->request;

    request->running = &finding->gather.op;
    finding->gather = (struct global_gather){
        .request = request, .target = global_request_target(request, 2, NULL)};
    ist_op_prepare(&finding->gather.op, request->http->loop, NULL, 0,
                   on_searched);
    global_gather_start(&finding->gather);
}

static void begin(struct global_request *request)
{
    const struct global_site *site;
    struct finding *finding;

    if (request->n_segments < 2 || (request->route->kind && is_read(request) &&
                                    !is_uuid(id_of(request)))) {
        not_found(request);
        return;
    }
    finding = calloc(1, sizeof(*finding));
    if (!finding) {
        global_request_fail(request, 500, "The hub is out of memory.");
        return;
    }
    finding->request = request;
    request->work = finding;
    request->free_work = finding_free;
    site = known_site(request);
    if (site)
        go_to(finding, site);
    else
        search(finding);
}

void global_object(struct global_request *request)
{
    global_version_settle(request, begin);
}

/* --- What every site has alike --- */

/* The first site that is there. */
void global_anywhere(struct global_request *request)
{
    struct facade_asked asked;

    for (size_t i = 0; i < request->n_sites; i++) {
        if (request->sites[i].is_away)
            continue;
        asked = global_request_asked(request, &request->sites[i]);
        if (!global_names_add(request, &asked, NULL, NULL))
            break;
        global_request_relay(request, &asked);
        return;
    }
    global_request_fail(request, 503, "None of the sites can be reached.");
}
