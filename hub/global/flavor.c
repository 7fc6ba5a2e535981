/* What the region knows by name where each site has an id of its own: a flavor,
 * a type of volumes. Its own path is translated for the first site that has
 * it. */
#include "facade/outcome.h"
#include "global/names.h"

#include "httpd/query.h"

#include <stdlib.h>

/* The path with the site's id in the place of the name. */
static bool translate(struct global_request *request, const char *id,
                      struct facade_asked *asked)
{
    const char *name = request->segments[1];

    request->segments[1] = id;
    asked->target =
        global_request_target(request, request->n_segments, request->query);
    request->segments[1] = name;
    return asked->target != NULL;
}

/* The name as it is, of a segment as it was sent. */
static const char *decoded(struct global_request *request)
{
    struct ist_sb path;
    const char *text = NULL;

    ist_sb_init(&path, 0);
    ist_sb_printf(&path, "/%s", request->segments[1]);
    if (ist_query_path(&request->arena, ist_sb_text(&path), &text))
        text = NULL;
    ist_sb_fini(&path);
    return text ? text + 1 : "";
}

/* Itself, with its name for its id; of what lies behind it nothing reads
 * otherwise. */

struct showing {
    struct facade_ask ask;
    struct global_request *request;
};

static void showing_free(void *work)
{
    struct showing *showing = work;

    facade_ask_fini(&showing->ask);
    free(showing);
}

static void on_shown(struct ist_op *op)
{
    struct facade_ask *ask = IST_CONTAINER(op, struct facade_ask, op);
    struct showing *showing = IST_CONTAINER(ask, struct showing, ask);
    struct global_request *request = showing->request;
    char why[FACADE_OUTCOME_MAX];
    json_t *document, *object;
    const char *name;
    int status;

    request->running = NULL;
    if (op->rc) {
        status = facade_ask_outcome(ask, why);
        global_request_fail(request, status, "%s", why);
        return;
    }
    document = json_loadb(ist_sb_text(&ask->text), ask->text.len,
                          JSON_REJECT_DUPLICATES, NULL);
    json_object_foreach(document, name, object) global_names_show(object);
    if (document && ask->status == 200) {
        global_request_reply_json(request, 200, NULL, 0, document);
        return;
    }
    json_decref(document);
    global_request_pass(request, ask);
}

static void show(struct global_request *request,
                 const struct facade_asked *asked)
{
    struct showing *showing = calloc(1, sizeof(*showing));

    if (!showing) {
        global_request_fail(request, 500, "The hub is out of memory.");
        return;
    }
    showing->request = request;
    request->work = showing;
    request->free_work = showing_free;
    request->running = &showing->ask.op;
    showing->ask = (struct facade_ask){.facade = request->global->facade,
                                       .asked = *asked,
                                       .method = "GET",
                                       .http = request->http,
                                       .max = GLOBAL_ANSWER_MAX};
    ist_op_prepare(&showing->ask.op, request->http->loop, NULL, 0, on_shown);
    facade_ask_start(&showing->ask);
}

static void begin(struct global_request *request)
{
    const char *name = decoded(request);

    for (size_t i = 0; i < request->n_sites; i++) {
        const struct global_site *site = &request->sites[i];
        struct facade_asked asked = global_request_asked(request, site);
        const char *id = site->is_away
                             ? NULL
                             : global_names_id(request, site->site->name,
                                               request->route->kind, name);

        if (!id)
            continue;
        if (request->version && request->version[0])
            asked.version = request->version;
        if (!translate(request, id, &asked))
            global_request_fail(request, 500, "The hub is out of memory.");
        else if (request->n_segments == 2)
            show(request, &asked);
        else
            global_request_relay(request, &asked);
        return;
    }
    global_request_fail(request, 404, "%s %.80s could not be found.",
                        request->route->kind, name);
}

void global_flavor(struct global_request *request)
{
    if (request->n_segments < 2)
        global_request_fail(request, 404, "The resource could not be found.");
    else
        global_version_settle(request, begin);
}
