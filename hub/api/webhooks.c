/* /api/v1/webhooks: receivers that are told of events over HTTP. What is
 * ordered is answered when it is on disk. A webhook's secret is shown when it
 * is made, and never again. */
#include "api/api.h"
#include "api/member.h"
#include "api/problem.h"
#include "base/parse.h"
#include "events/webhook.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* One as JSON */

static void put_some(struct ist_sb *out, const char *name, const char *text)
{
    api_put_text(out, name, text && *text ? text : NULL);
}

/* What it is, without its end. */
static void put_webhook(struct ist_sb *out, const struct webhooks *hooks,
                        const struct webhook *hook)
{
    ist_sb_printf(out, "{\"id\":\"%" PRIu64 "\"", hook->id);
    api_put_text(out, "url", hook->want.url);
    put_some(out, "description", hook->want.description);
    for (size_t i = 0; events_filter_names[i]; i++)
        put_some(out, events_filter_names[i],
                 events_filter_get(&hook->want.filter, events_filter_names[i]));
    api_put_number(out, "batch", hook->want.batch_max);
    api_put_text(out, "state",
                 hook->is_disabled  ? "disabled"
                 : hook->failing_ms ? "failing"
                                    : "active");
    put_some(out, "reason", hook->reason);
    api_put_time(out, "created_at", hook->created_ms);
    api_put_time(out, "failing_since", hook->failing_ms);
    api_put_time(out, "next_try_at", hook->retry_ms);
    api_put_time(out, "delivered_at", hook->delivered_ms);
    if (hook->status)
        api_put_number(out, "last_status", (uint64_t) hook->status);
    else
        ist_sb_puts(out, ",\"last_status\":null");
    api_put_number(out, "deliveries", hook->n_delivered);
    api_put_number(out, "failures", hook->n_failed);
    api_put_number(out, "behind", webhooks_behind(hooks, hook));
}

/* With its secret, when that is its owner's to learn. */
static void reply_webhook(struct ist_httpd_request *http,
                          const struct webhooks *hooks,
                          const struct webhook *hook, int status,
                          bool with_secret)
{
    char secret[EVENTS_SECRET_SIZE], place[64];
    const struct ist_httpd_header location = {"Location", place};
    struct ist_sb out;

    ist_sb_init(&out, 0);
    put_webhook(&out, hooks, hook);
    if (with_secret)
        api_put_text(&out, "secret", events_key_write(&hook->want.key, secret));
    sodium_memzero(secret, sizeof(secret));
    ist_sb_puts(&out, "}\n");
    snprintf(place, sizeof(place), "/api/v1/webhooks/%" PRIu64, hook->id);
    api_reply_json(http, status, &location, status == 201, &out);
}

/* What is refused at once */

static bool is_served(const struct api_request *request)
{
    struct ist_httpd_request *http = request->http;

    if (api_has_params(http))
        return false;
    if (!request->api->webhooks)
        api_problem_reply(http, API_BUSY, NULL, "This hub has no webhooks.");
    return request->api->webhooks != NULL;
}

/* NULL: answered already. */
static const struct webhook *find(const struct api_request *request)
{
    const struct webhook *hook = NULL;
    uint64_t id;

    if (!is_served(request))
        return NULL;
    if (ist_parse_u64(request->word, 1, UINT64_MAX, &id))
        hook = webhooks_find(request->api->webhooks, id);
    if (!hook)
        api_problem_reply(request->http, API_NOT_FOUND, NULL,
                          "There is no webhook '%.40s', or no more.",
                          request->word);
    return hook;
}

/* Looking */

void api_list_webhooks(const struct api_request *request)
{
    const struct webhooks *hooks = request->api->webhooks;
    const struct webhook *hook = NULL;
    struct ist_sb out;

    if (!is_served(request))
        return;
    ist_sb_init(&out, 0);
    ist_sb_puts(&out, "{\"items\":[");
    while ((hook = webhooks_after(hooks, hook ? hook->id : 0)) != NULL) {
        if (out.data[out.len - 1] != '[')
            ist_sb_putc(&out, ',');
        put_webhook(&out, hooks, hook);
        ist_sb_putc(&out, '}');
    }
    ist_sb_puts(&out, "]}\n");
    api_reply_json(request->http, 200, NULL, 0, &out);
}

void api_show_webhook(const struct api_request *request)
{
    const struct webhook *hook = find(request);

    if (hook)
        reply_webhook(request->http, request->api->webhooks, hook, 200, false);
}

/* What is ordered */

struct job {
    struct webhook_order order;
    struct api *api;
    struct ist_httpd_request *http;
};

static void reply_fault(struct job *job)
{
    struct webhook_order *order = &job->order;

    if (order->rc == -ENOENT)
        api_problem_reply(job->http, API_NOT_FOUND, NULL,
                          "There is no webhook '%" PRIu64 "', or no more.",
                          order->id);
    else if (order->rc == -ENOSPC || order->rc == -ECANCELED)
        api_problem_reply(job->http, API_BUSY, NULL, "This cannot be done: %s.",
                          order->err.text);
    else
        api_problem_reply(job->http, API_INTERNAL, NULL,
                          "The order was not stored, and is not done.");
}

static void on_ordered(struct webhook_order *order)
{
    struct job *job = IST_CONTAINER(order, struct job, order);
    const struct webhooks *hooks = job->api->webhooks;
    const struct webhook *hook = webhooks_find(hooks, order->id);
    bool is_new = order->deed == WEBHOOK_ADD;

    job->api->n_open--;
    if (order->rc)
        reply_fault(job);
    else if (!hook)
        ist_httpd_reply(job->http, 204, NULL, 0, NULL, 0);
    else
        reply_webhook(job->http, hooks, hook, is_new ? 201 : 200,
                      is_new || order->deed == WEBHOOK_ROTATE);
    sodium_memzero(job, sizeof(*job));
    free(job);
}

/* NULL: answered already. */
static struct job *job_new(const struct api_request *request,
                           enum webhook_deed deed)
{
    struct job *job = calloc(1, sizeof(*job));

    if (!job) {
        api_problem_reply(request->http, API_INTERNAL, NULL, "Out of memory.");
        return NULL;
    }
    job->api = request->api;
    job->http = request->http;
    job->order.deed = deed;
    job->order.done = on_ordered;
    return job;
}

static void job_run(struct job *job)
{
    job->api->n_open++;
    webhooks_order(job->api->webhooks, &job->order);
}

static void order_one(const struct api_request *request, enum webhook_deed deed)
{
    const struct webhook *hook = find(request);
    struct job *job = hook ? job_new(request, deed) : NULL;

    if (!job)
        return;
    job->order.id = hook->id;
    job_run(job);
}

void api_delete_webhook(const struct api_request *request)
{
    order_one(request, WEBHOOK_DROP);
}

void api_enable_webhook(const struct api_request *request)
{
    order_one(request, WEBHOOK_ENABLE);
}

void api_rotate_webhook(const struct api_request *request)
{
    order_one(request, WEBHOOK_ROTATE);
}

/* A new one */

typedef int read_fn(const struct webhooks *, const char *name,
                    const json_t *value, struct webhook_want *,
                    struct ist_err *);

static int bad(struct ist_err *err, const char *name, const char *must)
{
    return ist_err_set(err, -EINVAL, "%s: %s", name, must);
}

/* Text without a NUL; -EINVAL. */
static int copy_text(const char *name, const json_t *value, char *buf,
                     size_t size, struct ist_err *err)
{
    const char *text = json_string_value(value);

    if (!text || strlen(text) != json_string_length(value))
        return bad(err, name, "must be text");
    if (strlen(text) >= size)
        return ist_err_set(err, -EINVAL, "%s: must be at most %zu bytes", name,
                           size - 1);
    snprintf(buf, size, "%s", text);
    return 0;
}

static int read_url(const struct webhooks *hooks, const char *name,
                    const json_t *value, struct webhook_want *want,
                    struct ist_err *err)
{
    int rc = copy_text(name, value, want->url, sizeof(want->url), err);

    if (rc)
        return rc;
    rc = webhooks_check_url(hooks, want->url, err);
    return rc ? ist_err_wrap(err, "%s", name) : 0;
}

static int read_description(const struct webhooks *hooks, const char *name,
                            const json_t *value, struct webhook_want *want,
                            struct ist_err *err)
{
    (void) hooks;
    return copy_text(name, value, want->description, sizeof(want->description),
                     err);
}

static int read_batch(const struct webhooks *hooks, const char *name,
                      const json_t *value, struct webhook_want *want,
                      struct ist_err *err)
{
    json_int_t n = json_integer_value(value);

    (void) hooks;
    if (!json_is_integer(value) || n < 1 || n > WEBHOOK_BATCH_MAX)
        return bad(err, name, "must be a whole number from 1 to 100");
    want->batch_max = (uint64_t) n;
    return 0;
}

static int read_secret(const struct webhooks *hooks, const char *name,
                       const json_t *value, struct webhook_want *want,
                       struct ist_err *err)
{
    (void) hooks;
    if (!json_is_string(value) ||
        !events_key_read(&want->key, json_string_value(value)))
        return bad(err, name,
                   "must be 'whsec_' and 24 to 64 random bytes in base64");
    return 0;
}

static int read_filter(const struct webhooks *hooks, const char *name,
                       const json_t *value, struct webhook_want *want,
                       struct ist_err *err)
{
    int rc;

    (void) hooks;
    if (!json_is_string(value) ||
        strlen(json_string_value(value)) != json_string_length(value))
        return bad(err, name, "must be text");
    rc = events_filter_set(&want->filter, name, json_string_value(value), err);
    if (rc == -ENOENT)
        return ist_err_set(err, -EINVAL, "'%.40s' is not a member of a webhook",
                           name);
    return rc;
}

static const struct {
    const char *name;
    read_fn *read;
} members[] = {
    {"url", read_url},
    {"description", read_description},
    {"batch", read_batch},
    {"secret", read_secret},
};

static int read_member(const struct webhooks *hooks, const char *name,
                       const json_t *value, struct webhook_want *want,
                       struct ist_err *err)
{
    for (size_t i = 0; i < IST_COUNT(members); i++) {
        if (strcmp(members[i].name, name) == 0)
            return members[i].read(hooks, name, value, want, err);
    }
    return read_filter(hooks, name, value, want, err);
}

static int read_want(const struct api_request *request,
                     struct webhook_want *want, struct ist_err *err)
{
    json_t *body = json_loadb(request->http->body, request->http->body_size,
                              JSON_REJECT_DUPLICATES, NULL);
    const char *name;
    json_t *value;
    int rc = 0;

    want->batch_max = 1;
    if (!json_is_object(body))
        rc = ist_err_set(err, -EINVAL, "The body must be one JSON object");
    json_object_foreach(body, name, value)
    {
        if (rc == 0 && !json_is_null(value))
            rc = read_member(request->api->webhooks, name, value, want, err);
    }
    if (rc == 0 && !want->url[0])
        rc = bad(err, "url", "is missing");
    json_decref(body);
    return rc;
}

void api_create_webhook(const struct api_request *request)
{
    struct ist_err err = {.text = ""};
    struct job *job;

    if (!is_served(request))
        return;
    job = job_new(request, WEBHOOK_ADD);
    if (!job)
        return;
    if (read_want(request, &job->order.want, &err)) {
        events_filter_fini(&job->order.want.filter);
        sodium_memzero(job, sizeof(*job));
        free(job);
        api_problem_reply(request->http, API_BAD_REQUEST, NULL, "%s.",
                          err.text);
        return;
    }
    job_run(job);
}
