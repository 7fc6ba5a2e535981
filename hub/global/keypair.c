/* A key pair is one at all sites: made at all, deleted at all. Where Nova makes
 * the key itself the first site does, and the others get its public half. */
#include "global/gather.h"

#include <stdlib.h>
#include <string.h>

struct pairing {
    struct global_gather first, rest;
    struct global_request *request;
    char *body; /* Of 'rest'; owned. */
};

static void pairing_free(void *work)
{
    struct pairing *pairing = work;

    global_gather_fini(&pairing->first);
    global_gather_fini(&pairing->rest);
    free(pairing->body);
    free(pairing);
}

static void fail(struct global_request *request, const struct global_part *part)
{
    if (part->state == GLOBAL_ANSWERED)
        global_request_pass(request, &part->ask);
    else
        global_request_fail(request, part->outcome ? part->outcome : 503, "%s",
                            part->why);
}

static bool is_good(const struct global_part *part)
{
    return part->state == GLOBAL_ANSWERED && part->status < 300;
}

static void gather(struct pairing *pairing, struct global_gather *to,
                   const char *method, const char *body, ist_op_done_fn *done)
{
    struct global_request *request = pairing->request;

    to->request = request;
    to->target =
        global_request_target(request, request->n_segments, request->query);
    to->method = method;
    to->body = body;
    to->body_size = body ? strlen(body) : 0;
    request->running = &to->op;
    ist_op_prepare(&to->op, request->http->loop, NULL, 0, done);
    global_gather_start(to);
}

/* --- One that is read, or deleted --- */

static void on_all(struct ist_op *op)
{
    struct global_gather *all = IST_CONTAINER(op, struct global_gather, op);
    struct pairing *pairing = IST_CONTAINER(all, struct pairing, first);
    struct global_request *request = pairing->request;
    const struct global_part *best = NULL;

    request->running = NULL;
    for (size_t i = 0; i < all->n_parts; i++) {
        const struct global_part *part = &all->parts[i];

        if (!best || (is_good(part) && !is_good(best)))
            best = part;
        if (part->state != GLOBAL_ANSWERED &&
            strcmp(request->http->method, "DELETE") == 0) {
            fail(request, part);
            return;
        }
    }
    fail(request, best);
}

/* --- One that is made --- */

static void on_rest(struct ist_op *op)
{
    struct global_gather *rest = IST_CONTAINER(op, struct global_gather, op);
    struct pairing *pairing = IST_CONTAINER(rest, struct pairing, rest);
    struct global_request *request = pairing->request;

    request->running = NULL;
    for (size_t i = 0; i < rest->n_parts; i++) {
        if (is_good(&rest->parts[i]))
            continue;
        fail(request, &rest->parts[i]);
        return;
    }
    global_request_pass(request, &pairing->first.parts[0].ask);
}

/* What the others are asked: the same, with the key that was made. */
static char *body_with_key(const struct global_request *request,
                           const struct global_part *made)
{
    json_t *asked = json_loadb(ist_sb_text(&request->body), request->body.len,
                               JSON_REJECT_DUPLICATES, NULL);
    json_t *answer =
        json_loadb(made->text, made->size, JSON_REJECT_DUPLICATES, NULL);
    json_t *key =
        json_object_get(json_object_get(answer, "keypair"), "public_key");
    char *text;

    json_object_set(json_object_get(asked, "keypair"), "public_key", key);
    text = key ? json_dumps(asked, JSON_COMPACT) : NULL;
    json_decref(asked);
    json_decref(answer);
    return text;
}

static void on_first(struct ist_op *op)
{
    struct global_gather *first = IST_CONTAINER(op, struct global_gather, op);
    struct pairing *pairing = IST_CONTAINER(first, struct pairing, first);
    struct global_request *request = pairing->request;

    request->running = NULL;
    if (global_request_is_over(request, op))
        return;
    if (!is_good(&first->parts[0])) {
        fail(request, &first->parts[0]);
        return;
    }
    pairing->body = body_with_key(request, &first->parts[0]);
    if (!pairing->body) {
        global_request_pass(request, &first->parts[0].ask);
        return;
    }
    pairing->rest.except = &request->sites[0];
    gather(pairing, &pairing->rest, "POST", pairing->body, on_rest);
}

/* --- Beginning --- */

static bool is_any_away(const struct global_request *request)
{
    for (size_t i = 0; i < request->n_sites; i++) {
        if (request->sites[i].is_away)
            return true;
    }
    return false;
}

static void begin(struct global_request *request)
{
    struct pairing *pairing = calloc(1, sizeof(*pairing));
    const char *method = request->http->method;

    if (!pairing) {
        global_request_fail(request, 500, "The hub is out of memory.");
        return;
    }
    pairing->request = request;
    request->work = pairing;
    request->free_work = pairing_free;
    if (strcmp(method, "GET") != 0 && is_any_away(request)) {
        global_request_fail(request, 503,
                            "A key pair is one at all sites, and some cannot "
                            "be reached. Nothing was done.");
    } else if (strcmp(method, "POST") == 0) {
        /* The first alone; the others wait for what it makes. */
        pairing->first.only = &request->sites[0];
        gather(pairing, &pairing->first, method, ist_sb_text(&request->body),
               on_first);
    } else {
        gather(pairing, &pairing->first, method, NULL, on_all);
    }
}

void global_keypair(struct global_request *request)
{
    global_version_settle(request, begin);
}
