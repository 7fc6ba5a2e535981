/* What the services of the region can do: what all sites can. The oldest
 * microversion is the newest of the sites' oldest, and the newest the oldest of
 * their newest, so that one answer of all of them has one shape; and no newer
 * than what this was tried with. */
#include "global/gather.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRESH_MS 300000U /* A service changes when it is upgraded. */

static const struct tried {
    const char *service, *path, *min, *max;
} tried[] = {
    {"compute", "/v2.1/", "2.1", "2.93"},
    {"volume", "/v3/", "3.0", "3.70"},
};

static const struct tried *find_tried(const struct global_request *request)
{
    for (size_t i = 0; i < IST_COUNT(tried); i++) {
        if (strcmp(tried[i].service, request->asked.service->name) == 0)
            return &tried[i];
    }
    return NULL;
}

/* "2.93" as 2 * 65536 + 93; 0: it is no version. */
static unsigned value_of(const char *text)
{
    char *end;
    unsigned long major = strtoul(text, &end, 10), minor;

    if (end == text || *end != '.' || end[1] < '0' || end[1] > '9')
        return 0;
    minor = strtoul(end + 1, &end, 10);
    return *end || major > 99 || minor > 9999
               ? 0
               : (unsigned) (major * 65536 + minor);
}

/* {"version": {...}} of Nova, {"versions": [{...}]} of Cinder. Borrowed. */
static json_t *version_in(json_t *document)
{
    json_t *one = json_object_get(document, "version");

    return one ? one : json_array_get(json_object_get(document, "versions"), 0);
}

struct range {
    unsigned min, max;
    char min_text[16], max_text[16];
};

static void range_init(struct range *range, const struct tried *row)
{
    range->min = value_of(row->min);
    range->max = value_of(row->max);
    snprintf(range->min_text, sizeof(range->min_text), "%s", row->min);
    snprintf(range->max_text, sizeof(range->max_text), "%s", row->max);
}

static void narrow(struct range *range, const struct global_part *part)
{
    json_t *document = json_loadb(part->text ? part->text : "", part->size,
                                  JSON_REJECT_DUPLICATES, NULL);
    json_t *one = version_in(document);
    const char *min = json_string_value(json_object_get(one, "min_version"));
    const char *max = json_string_value(json_object_get(one, "version"));

    if (min && value_of(min) > range->min) {
        range->min = value_of(min);
        snprintf(range->min_text, sizeof(range->min_text), "%s", min);
    }
    if (max && value_of(max) && value_of(max) < range->max) {
        range->max = value_of(max);
        snprintf(range->max_text, sizeof(range->max_text), "%s", max);
    }
    json_decref(document);
}

static void find_range(struct range *range, const struct tried *row,
                       const struct global_gather *gather)
{
    range_init(range, row);
    for (size_t i = 0; i < gather->n_parts; i++)
        narrow(range, &gather->parts[i]);
}

/* --- What a request asks for --- */

struct settling {
    struct global_gather gather;
    struct global_request *request;
    void (*next)(struct global_request *);
    const char *asked; /* While the sites are asked, without a version. */
};

static void settling_free(void *work)
{
    struct settling *settling = work;

    global_gather_fini(&settling->gather);
    free(settling);
}

/* False: it is answered. */
static bool judge(struct global_request *request, const struct range *range,
                  const char *asked)
{
    const char *chosen = !asked                         ? range->min_text
                         : strcmp(asked, "latest") == 0 ? range->max_text
                                                        : asked;
    unsigned value = value_of(chosen);

    if (value == 0) {
        global_request_fail(request, 400,
                            "API Version String %.40s is of invalid format. "
                            "Must be of format MajorNum.MinorNum.",
                            asked);
        return false;
    }
    if (value < range->min || value > range->max) {
        global_request_fail(request, 406,
                            "Version %.40s is not supported by the API. "
                            "Minimum is %s and maximum is %s.",
                            asked, range->min_text, range->max_text);
        return false;
    }
    request->version = ist_arena_strdup(&request->http->arena, chosen);
    return true;
}

static void on_gathered(struct ist_op *op)
{
    struct global_gather *gather = IST_CONTAINER(op, struct global_gather, op);
    struct settling *settling = IST_CONTAINER(gather, struct settling, gather);
    struct global_request *request = settling->request;
    void (*next)(struct global_request *) = settling->next;
    const char *asked = settling->asked;
    struct range range;

    request->running = NULL;
    if (global_request_is_over(request, op))
        return;
    find_range(&range, find_tried(request), gather);
    request->free_work = NULL;
    settling_free(settling);
    request->version = NULL;
    if (judge(request, &range, asked))
        next(request);
}

void global_version_settle(struct global_request *request,
                           void (*next)(struct global_request *))
{
    const struct tried *row = find_tried(request);
    struct settling *settling = row ? calloc(1, sizeof(*settling)) : NULL;

    if (!row) {
        request->version = "";
        next(request);
        return;
    }
    if (!settling) {
        global_request_fail(request, 500, "The hub is out of memory.");
        return;
    }
    *settling = (struct settling){
        .request = request, .next = next, .asked = request->version};
    request->version = NULL;
    request->work = settling;
    request->free_work = settling_free;
    request->running = &settling->gather.op;
    settling->gather = (struct global_gather){.request = request,
                                              .target = row->path,
                                              .fresh_ms = FRESH_MS,
                                              .is_remembered = true,
                                              .is_common = true};
    ist_op_prepare(&settling->gather.op, request->http->loop, NULL, 0,
                   on_gathered);
    global_gather_start(&settling->gather);
}

/* --- The documents --- */

struct showing {
    struct global_gather gather;
    struct global_request *request;
};

static void showing_free(void *work)
{
    struct showing *showing = work;

    global_gather_fini(&showing->gather);
    free(showing);
}

/* The first site's, in which the range is that of all. */
static json_t *document_of(const struct global_gather *gather)
{
    const struct tried *row = find_tried(gather->request);
    struct range range;
    json_t *document = NULL, *one;

    for (size_t i = 0; i < gather->n_parts && !document; i++) {
        const struct global_part *part = &gather->parts[i];

        if (part->status == 200 || part->status == 300)
            document = json_loadb(part->text, part->size,
                                  JSON_REJECT_DUPLICATES, NULL);
    }
    one = version_in(document);
    if (!document || !row || gather->request->is_region)
        return document;
    find_range(&range, row, gather);
    for (size_t i = 0;
         i < json_array_size(json_object_get(document, "versions")); i++) {
        json_t *entry =
            json_array_get(json_object_get(document, "versions"), i);
        const char *version =
            json_string_value(json_object_get(entry, "version"));

        if (version && *version)
            one = entry;
    }
    json_object_set_new(one, "min_version", json_string(range.min_text));
    json_object_set_new(one, "version", json_string(range.max_text));
    return document;
}

static void on_shown(struct ist_op *op)
{
    struct global_gather *gather = IST_CONTAINER(op, struct global_gather, op);
    struct showing *showing = IST_CONTAINER(gather, struct showing, gather);
    struct global_request *request = showing->request;
    json_t *document = document_of(gather);
    char why[FACADE_OUTCOME_MAX];
    int status;

    request->running = NULL;
    status = document ? 200 : global_gather_failure(gather, why, sizeof(why));
    for (size_t i = 0; i < gather->n_parts && document; i++) {
        if (gather->parts[i].status == 300)
            status = 300;
    }
    if (document)
        global_request_reply_json(request, status, NULL, 0, document);
    else
        global_request_fail(request, status, "%s", why);
}

void global_versions(struct global_request *request)
{
    struct showing *showing = calloc(1, sizeof(*showing));

    if (!showing) {
        global_request_fail(request, 500, "The hub is out of memory.");
        return;
    }
    showing->request = request;
    request->version = NULL;
    request->work = showing;
    request->free_work = showing_free;
    request->running = &showing->gather.op;
    showing->gather = (struct global_gather){.request = request,
                                             .target = request->asked.target,
                                             .fresh_ms = FRESH_MS,
                                             .is_remembered = true,
                                             .is_common = true};
    ist_op_prepare(&showing->gather.op, request->http->loop, NULL, 0, on_shown);
    global_gather_start(&showing->gather);
}
