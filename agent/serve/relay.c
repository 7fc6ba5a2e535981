/* Happy path: check the hub's assertion, start the exchange with the service,
 * send the head of its answer as soon as it is there, then its body in frames
 * of CHUNK bytes, and the last frame when both are whole.
 *
 * A failure before the head is an answer like any other; behind it the last
 * frame says that the body is not whole, and the hub cuts its client off. */
#include "serve/relay.h"

#include "base/log.h"
#include "codec/rewrite.h"
#include "codec/statement.h"
#include "codec/unpack.h"
#include "os/url.h"
#include "serve/action.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CHUNK      (256U * 1024) /* Bytes of the body in one frame. */
#define GATHER_MS  1             /* For a frame to fill up. */
#define UP_WINDOW  (1024U * 1024)
#define LIFE_MAX   60000U /* Between an assertion's two times. */
#define IDLE_MAX   60000U
#define MAPS_MAX   OS_SERVICES_MAX
#define HEADER_MAX 8192U
#define METHOD_MAX 16U

struct serve_relay {
    struct serve_answer *answer;             /* Borrowed: whose part it is. */
    const Isthmus__V1__Relay *asks;          /* In the answer's arena... */
    const Isthmus__V1__Assertion *assertion; /* ... as this is. */
    const struct os_service *service;
    const struct project *project; /* Borrowed; NULL: the site's own. */
    struct os_exchange exchange;
    uint64_t idle_ms;
    struct ist_timer idle, gather;
    bool is_late; /* Nothing has moved for idle_ms. */

    /* Down: the answer. */
    Isthmus__V1__RelayHead *head; /* In the arena; NULL: not come yet. */
    bool head_sent, is_whole, is_held;
    struct ist_sb out;
    size_t out_at;    /* What of it is sent. */
    uint64_t granted; /* Bytes that the hub still takes. */
    struct ist_link_map maps[MAPS_MAX];
    bool is_rewritten; /* The answer is JSON. */
    struct ist_rewrite rewrite;

    /* Up: the request's body. */
    struct ist_sb up;
    size_t up_at;
    uint32_t up_index; /* Of the next piece. */
    bool up_whole, up_waits;
    uint64_t up_open; /* Bytes that the hub may still send. */
    uint32_t up_owed; /* To be granted with the next frame. */
};

static void fail(struct serve_relay *relay, Isthmus__V1__Failure__Code code,
                 const char *text)
{
    struct ist_err err;

    ist_err_set(&err, 1, "%s", text);
    serve_answer_fail(relay->answer, code, &err);
}

/* Silence */

static void on_idle(struct ist_timer *timer)
{
    struct serve_relay *relay = IST_CONTAINER(timer, struct serve_relay, idle);

    relay->is_late = true;
    if (ist_op_active(&relay->exchange.op))
        ist_op_cancel(&relay->exchange.op, -ETIMEDOUT);
    else
        ist_op_cancel(&relay->answer->op, -ETIMEDOUT);
}

static void moved(struct serve_relay *relay)
{
    ist_timer_arm_in(&relay->idle, relay->answer->serve->loop, relay->idle_ms,
                     on_idle);
}

/* The hub's word */

static bool is_body_asserted(const Isthmus__V1__Relay *asks,
                             const Isthmus__V1__Assertion *assertion)
{
    uint8_t hash[crypto_hash_sha256_BYTES];

    if (asks->body_follows)
        return assertion->body_hash.len == 0 && asks->body.len == 0;
    if (assertion->body_hash.len != sizeof(hash))
        return false;
    crypto_hash_sha256(hash, asks->body.data, asks->body.len);
    return memcmp(hash, assertion->body_hash.data, sizeof(hash)) == 0;
}

static bool is_in_time(const struct serve *serve,
                       const Isthmus__V1__Assertion *assertion)
{
    uint64_t now = ist_loop_wall(serve->loop), skew = serve->conf.skew_ms;

    return assertion->issued_ms <= now + skew &&
           assertion->expires_ms + skew >= now &&
           assertion->expires_ms >= assertion->issued_ms &&
           assertion->expires_ms - assertion->issued_ms <= LIFE_MAX;
}

/* NULL: fine; else what is wrong. */
static const char *doubt(const struct serve_relay *relay)
{
    const struct serve *serve = relay->answer->serve;
    const Isthmus__V1__Relay *asks = relay->asks;
    const Isthmus__V1__Assertion *assertion = relay->assertion;

    if (asks->signature.len != crypto_sign_BYTES ||
        !ist_statement_verify(IST_STATEMENT_ASSERTION, asks->assertion.data,
                              asks->assertion.len, asks->signature.data,
                              serve->hub->signing_public))
        return "it is not signed by the hub";
    if (!assertion)
        return "it cannot be read";
    if (assertion->audience.len != sizeof(serve->self->uid.b) ||
        memcmp(assertion->audience.data, serve->self->uid.b,
               sizeof(serve->self->uid.b)) != 0)
        return "it is for another site";
    if (!is_in_time(serve, assertion))
        return "its time is over, or has not come";
    if (!is_body_asserted(asks, assertion))
        return "it is for another body";
    return NULL;
}

static struct serve_relay *relay_new(struct serve_answer *answer)
{
    struct serve_relay *relay = calloc(1, sizeof(*relay));

    if (!relay)
        return NULL;
    answer->relay = relay;
    relay->answer = answer;
    relay->asks = answer->call->relay;
    relay->assertion =
        ist_unpack(&isthmus__v1__assertion__descriptor, &answer->arena,
                   relay->asks->assertion.data, relay->asks->assertion.len);
    relay->idle_ms = answer->call->timeout_ms < IDLE_MAX
                         ? answer->call->timeout_ms
                         : IDLE_MAX;
    ist_sb_init(&relay->out, 0);
    ist_sb_init(&relay->up, 0);
    return relay;
}

static bool distrust(struct serve_relay *relay, const char *why)
{
    struct serve *serve = relay->answer->serve;
    char text[128];

    snprintf(text, sizeof(text), "the hub's assertion is refused: %s", why);
    ist_log_warn("serve", "%s", text);
    serve->counts.denied++;
    serve_tell(serve, "denied", "unknown", "assertion", text);
    fail(relay, ISTHMUS__V1__FAILURE__CODE__DENIED, text);
    return false;
}

/* The site's own id of the project: as the credential's entry says it, or as
 * Keystone did when it was first used. */
static const char *own_project(const struct project *project)
{
    if (os_cloud_project(project->cloud)[0])
        return os_cloud_project(project->cloud);
    return project->entry.project_id ? project->entry.project_id : "mapped";
}

/* Who acts: the credential that the site has put for the project. What is of no
 * project is the hub's admin's own, or nobody's, who may only ask a service
 * what it is. */
static bool find_project(struct serve_relay *relay, struct serve_asked *asked)
{
    const Isthmus__V1__Assertion *assertion = relay->assertion;
    char text[160];

    if (assertion->project[0] == '\0') {
        if (assertion->user[0] ||
            (asked->verb == POLICY_READ && strcmp(asked->kind, "service") == 0))
            return true;
        fail(relay, ISTHMUS__V1__FAILURE__CODE__DENIED,
             "only who has logged in may ask for that");
        return false;
    }
    relay->project = projects_find(relay->answer->serve->projects,
                                   assertion->project, assertion->project_name,
                                   assertion->roles, assertion->n_roles);
    if (relay->project) {
        asked->project = own_project(relay->project);
        return true;
    }
    snprintf(text, sizeof(text),
             "the site has no project for %.80s: its admin maps it in "
             "projects.yaml",
             assertion->project_name);
    fail(relay, ISTHMUS__V1__FAILURE__CODE__DENIED, text);
    return false;
}

bool serve_relay_look(struct serve_answer *answer, struct serve_asked *ret)
{
    struct serve_relay *relay = relay_new(answer);
    struct serve_action action;
    struct ist_err err;
    const char *why;

    if (!relay) {
        ist_err_set(&err, 1, "no memory is left for it");
        serve_answer_fail(answer, ISTHMUS__V1__FAILURE__CODE__BUSY, &err);
        return false;
    }
    why = doubt(relay);
    if (why)
        return distrust(relay, why);
    relay->service = os_service_find(relay->assertion->service);
    if (!relay->service || strcmp(relay->service->name, "identity") == 0) {
        fail(relay, ISTHMUS__V1__FAILURE__CODE__UNSUPPORTED,
             "it is none of the services that the agent passes on");
        return false;
    }
    if (os_url_check_target(relay->assertion->target, &err)) {
        serve_answer_fail(answer, ISTHMUS__V1__FAILURE__CODE__BAD_CALL, &err);
        return false;
    }
    action = serve_action_of(relay->service, relay->assertion->method,
                             relay->assertion->target);
    *ret = (struct serve_asked){action.verb, action.kind, NULL};
    return find_project(relay, ret);
}

/* Sending */

static void take_again(struct serve_relay *relay)
{
    if (!relay->is_held || relay->out.len - relay->out_at >= relay->granted)
        return;
    relay->is_held = false;
    os_exchange_resume(&relay->exchange);
}

static void forget_sent(struct serve_relay *relay)
{
    struct ist_sb *out = &relay->out;

    if (relay->out_at == 0)
        return;
    memmove(out->data, out->data + relay->out_at, out->len - relay->out_at);
    out->len -= relay->out_at;
    relay->out_at = 0;
}

/* Is there anything to say? */
static bool is_news(const struct serve_relay *relay, size_t n, bool last)
{
    return n > 0 || last || relay->up_owed > 0 ||
           (relay->head && !relay->head_sent);
}

/* One frame; false: no more of them now. */
static bool send_frame(struct serve_relay *relay)
{
    Isthmus__V1__Reply reply = ISTHMUS__V1__REPLY__INIT;
    struct serve_answer *answer = relay->answer;
    size_t left = relay->out.len - relay->out_at, n = left;
    int rc;

    if (n > relay->granted)
        n = (size_t) relay->granted;
    if (n > CHUNK)
        n = CHUNK;
    reply.last = relay->is_whole && n == left;
    if (!is_news(relay, n, reply.last))
        return false;
    if (!relay->head_sent)
        reply.head = relay->head;
    reply.data = (ProtobufCBinaryData){
        n, n ? (uint8_t *) relay->out.data + relay->out_at : NULL};
    reply.granted = relay->up_owed;
    rc = serve_stream_send(&answer->stream, &reply);
    if (rc == -EAGAIN) {
        answer->is_stalled = true;
        return false;
    }
    if (rc) {
        ist_op_cancel(&answer->op, rc);
        return false;
    }
    relay->head_sent |= reply.head != NULL;
    relay->out_at += n;
    relay->granted -= n;
    relay->up_open += relay->up_owed;
    relay->up_owed = 0;
    if (reply.last)
        ist_op_finish(&answer->op, 0);
    return !reply.last;
}

void serve_relay_pump(struct serve_relay *relay)
{
    if (relay->answer->op.state != IST_OP_RUNNING)
        return;
    ist_timer_disarm(&relay->gather);
    while (send_frame(relay))
        ;
    forget_sent(relay);
    if (relay->answer->op.state == IST_OP_RUNNING)
        take_again(relay);
}

static void on_gathered(struct ist_timer *timer)
{
    serve_relay_pump(IST_CONTAINER(timer, struct serve_relay, gather));
}

static void soon(struct serve_relay *relay)
{
    if (!ist_timer_armed(&relay->gather))
        ist_timer_arm_in(&relay->gather, relay->answer->serve->loop, GATHER_MS,
                         on_gathered);
}

void serve_relay_credit(struct serve_relay *relay, uint32_t bytes)
{
    relay->granted += bytes;
    moved(relay);
    serve_relay_pump(relay);
}

/* The answer's head */

static bool is_named(const char *line, size_t len, const char *name)
{
    size_t n = strlen(name);

    return len > n && line[n] == ':' && strncasecmp(line, name, n) == 0;
}

static bool is_dropped(const struct serve_relay *relay, const char *line,
                       size_t len)
{
    /* Of the connection to the service alone (RFC 9110, 7.6.1); what the hub
     * says itself; and what nobody behind us may see. */
    static const char *const names[] = {
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Date",
        "Server",
        "Set-Cookie",
        "X-Subject-Token",
        "X-Auth-Token",
        "Via",
        "Proxy-Connection",
    };

    for (size_t i = 0; i < IST_COUNT(names); i++) {
        if (is_named(line, len, names[i]))
            return true;
    }
    return relay->is_rewritten && is_named(line, len, "Content-Length");
}

/* 'name' is the length of the name in the line. NULL: no memory. */
static Isthmus__V1__Header *
header_new(struct serve_relay *relay, const char *line, size_t len, size_t name)
{
    struct ist_arena *arena = &relay->answer->arena;
    Isthmus__V1__Header *header = ist_arena_alloc(arena, sizeof(*header));
    IST_CLEANUP(ist_sb_fini) struct ist_sb value;
    size_t at = name + 1;

    ist_sb_init(&value, 0);
    if (!header)
        return NULL;
    isthmus__v1__header__init(header);
    while (at < len && (line[at] == ' ' || line[at] == '\t'))
        at++;
    if (is_named(line, len, "Location"))
        ist_rewrite_link(&relay->rewrite.how, line + at, len - at, &value);
    else
        ist_sb_add(&value, line + at, len - at);
    header->value = ist_arena_strdup(arena, ist_sb_text(&value));
    header->name = ist_arena_dup(arena, line, name + 1);
    if (!header->value || !header->name)
        return NULL;
    header->name[name] = '\0';
    return header;
}

/* Lines "Name: value\r\n". */
static bool take_headers(struct serve_relay *relay)
{
    struct ist_arena *arena = &relay->answer->arena;
    const struct ist_sb *text = &relay->exchange.call.header_text;
    const char *line = ist_sb_text(text), *end;
    size_t n = 0;

    for (const char *at = line; (at = strstr(at, "\r\n")); at += 2)
        n++;
    relay->head->headers =
        ist_arena_alloc(arena, (n + 1) * sizeof(Isthmus__V1__Header *));
    if (!relay->head->headers)
        return false;
    for (; (end = strstr(line, "\r\n")); line = end + 2) {
        size_t len = (size_t) (end - line);
        size_t name = strcspn(line, ":");
        Isthmus__V1__Header *header;

        if (name >= len || is_dropped(relay, line, len))
            continue;
        header = header_new(relay, line, len, name);
        if (!header)
            return false;
        relay->head->headers[relay->head->n_headers++] = header;
    }
    return true;
}

static bool is_json(const struct os_exchange *exchange)
{
    static const char wanted[] = "application/json";
    size_t len;
    const char *type = ist_http_header(&exchange->call, "Content-Type", &len);

    return type && len >= sizeof(wanted) - 1 &&
           strncasecmp(type, wanted, sizeof(wanted) - 1) == 0;
}

static bool is_head(const struct serve_relay *relay)
{
    return strcmp(relay->assertion->method, "HEAD") == 0;
}

/* The site's addresses, each with what stands for it. Known
 * once there was a login. False: no memory. */
static bool build_maps(struct serve_relay *relay)
{
    struct ist_arena *arena = &relay->answer->arena;
    struct ist_rewriting *how = &relay->rewrite.how;
    const struct os_cloud *cloud = relay->exchange.cloud;
    const struct os_service *services;
    size_t n;

    services = os_services(&n);
    for (size_t i = 0; i < n && how->n_maps < MAPS_MAX; i++) {
        const char *from = os_cloud_base(cloud, &services[i]);
        size_t size;
        char *to;

        if (!from || relay->asks->public_url[0] == '\0')
            continue;
        size = strlen(relay->asks->public_url) + strlen(services[i].name) + 2;
        to = ist_arena_alloc(arena, size);
        from = ist_arena_strdup(arena, from);
        if (!to || !from)
            return false;
        snprintf(to, size, "%s/%s", relay->asks->public_url, services[i].name);
        relay->maps[how->n_maps++] = (struct ist_link_map){from, to};
    }
    how->maps = relay->maps;
    if (relay->project) {
        how->id_from = ist_arena_strdup(arena, os_cloud_project(cloud));
        how->id_to = relay->assertion->project;
        return how->id_from != NULL;
    }
    return true;
}

static void on_head(struct os_exchange *exchange)
{
    struct serve_relay *relay =
        IST_CONTAINER(exchange, struct serve_relay, exchange);

    moved(relay);
    if (!build_maps(relay)) {
        ist_op_cancel(&exchange->op, -ENOMEM);
        return;
    }
    relay->is_rewritten = is_json(exchange) && !is_head(relay);
    relay->head = ist_arena_alloc(&relay->answer->arena, sizeof(*relay->head));
    if (relay->head) {
        isthmus__v1__relay_head__init(relay->head);
        relay->head->status = (uint32_t) exchange->call.status;
        if (!take_headers(relay))
            relay->head = NULL;
    }
    if (!relay->head)
        ist_op_cancel(&exchange->op, -ENOMEM);
    soon(relay);
}

/* Its body */

static int on_data(struct os_exchange *exchange, const void *data, size_t size)
{
    struct serve_relay *relay =
        IST_CONTAINER(exchange, struct serve_relay, exchange);

    if (relay->out.len - relay->out_at >= relay->granted) {
        relay->is_held = true;
        return -EAGAIN;
    }
    moved(relay);
    if (relay->is_rewritten)
        ist_rewrite_feed(&relay->rewrite, data, size, &relay->out);
    else
        ist_sb_add(&relay->out, data, size);
    if (relay->out.rc)
        return relay->out.rc;
    if (relay->out.len - relay->out_at >= CHUNK)
        serve_relay_pump(relay);
    else
        soon(relay);
    return 0;
}

static void on_exchanged(struct ist_op *op)
{
    struct os_exchange *exchange = IST_CONTAINER(op, struct os_exchange, op);
    struct serve_relay *relay =
        IST_CONTAINER(exchange, struct serve_relay, exchange);
    struct serve_answer *answer = relay->answer;

    if (answer->op.state != IST_OP_RUNNING) {
        ist_op_finish(&answer->op, -ECANCELED);
        return;
    }
    answer->is_ready = true;
    if (relay->is_late)
        fail(relay, ISTHMUS__V1__FAILURE__CODE__TIMEOUT,
             "nothing moved between hub and service in time");
    else if (op->rc)
        serve_answer_fail(answer, os_failure_code(op->rc), &op->err);
    else if (relay->is_rewritten)
        ist_rewrite_end(&relay->rewrite, &relay->out);
    relay->is_whole = true;
    serve_answer_pump(answer);
}

/* The request's body */

static ssize_t on_body(struct os_exchange *exchange, void *buf, size_t size)
{
    struct serve_relay *relay =
        IST_CONTAINER(exchange, struct serve_relay, exchange);
    size_t left = relay->up.len - relay->up_at;

    if (left == 0 && relay->up_whole)
        return 0;
    if (left == 0) {
        relay->up_waits = true;
        return -EAGAIN;
    }
    if (size > left)
        size = left;
    memcpy(buf, relay->up.data + relay->up_at, size);
    relay->up_at += size;
    relay->up_owed += (uint32_t) size;
    if (relay->up_at == relay->up.len) {
        relay->up.len = relay->up_at = 0;
    }
    if (relay->up_owed >= UP_WINDOW / 4)
        soon(relay);
    moved(relay);
    return (ssize_t) size;
}

void serve_relay_data(struct serve_relay *relay, const Isthmus__V1__Data *data)
{
    if (data->index < relay->up_index || !ist_op_active(&relay->exchange.op))
        return; /* The bus may deliver twice; or nobody takes it any more. */
    if (data->index > relay->up_index || data->bytes.len > relay->up_open ||
        relay->up_whole) {
        ist_op_cancel(&relay->exchange.op, -EPROTO);
        return;
    }
    relay->up_index++;
    relay->up_open -= data->bytes.len;
    relay->up_whole = data->last;
    if (relay->up_at > 0) {
        memmove(relay->up.data, relay->up.data + relay->up_at,
                relay->up.len - relay->up_at);
        relay->up.len -= relay->up_at;
        relay->up_at = 0;
    }
    ist_sb_add(&relay->up, data->bytes.data, data->bytes.len);
    if (relay->up.rc)
        ist_op_cancel(&relay->exchange.op, relay->up.rc);
    moved(relay);
    if (relay->up_waits) {
        relay->up_waits = false;
        os_exchange_resume(&relay->exchange);
    }
}

/* Beginning */

static bool has_name(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

/* The hub leaves these out itself; it is not to be trusted with ours. */
static bool is_ours(const char *name)
{
    static const char *const names[] = {"X-Auth-Token",
                                        "X-Service-Token",
                                        "X-Subject-Token",
                                        "X-Storage-Token",
                                        "Authorization",
                                        "Cookie",
                                        "Host",
                                        "X-OpenStack-Request-Id"};

    return has_name(name, names, IST_COUNT(names));
}

static const char *line_of(struct serve_answer *answer, const char *name,
                           const char *value)
{
    size_t size = strlen(name) + strlen(value) + 3;
    char *line =
        size < HEADER_MAX ? ist_arena_alloc(&answer->arena, size) : NULL;

    if (line)
        snprintf(line, size, "%s: %s", name, value);
    return line;
}

/* NULL: they cannot be sent. */
static const char *const *build_headers(struct serve_relay *relay)
{
    struct serve_answer *answer = relay->answer;
    const char **lines = ist_arena_alloc(
        &answer->arena, (relay->asks->n_headers + 2) * sizeof(char *));
    size_t n = 0;

    if (!lines || relay->asks->n_headers > OS_EXCHANGE_HEADERS_MAX - 1)
        return NULL;
    for (size_t i = 0; i < relay->asks->n_headers; i++) {
        const Isthmus__V1__Header *header = relay->asks->headers[i];

        if (is_ours(header->name))
            continue;
        lines[n] = line_of(answer, header->name, header->value);
        if (!lines[n++])
            return NULL;
    }
    lines[n] =
        line_of(answer, "X-OpenStack-Request-Id", relay->assertion->request_id);
    if (!lines[n++])
        return NULL;
    lines[n] = NULL;
    return lines;
}

bool serve_relay_start(struct serve_answer *answer)
{
    struct serve_relay *relay = answer->relay;
    const Isthmus__V1__Relay *asks = relay->asks;
    struct os_exchange *exchange = &relay->exchange;

    exchange->cloud =
        relay->project ? relay->project->cloud : answer->serve->cloud;
    if (relay->project)
        exchange->project_alias = relay->assertion->project;
    exchange->service = relay->service;
    exchange->method = relay->assertion->method;
    exchange->target = relay->assertion->target;
    exchange->headers = build_headers(relay);
    exchange->body = asks->body.data;
    exchange->body_size = asks->body.len;
    exchange->on_head = on_head;
    exchange->on_data = on_data;
    relay->granted = asks->window;
    if (asks->body_follows) {
        exchange->on_body = on_body;
        exchange->body_length =
            asks->body_length ? asks->body_length : UINT64_MAX;
        relay->up_owed = UP_WINDOW;
    }
    if (!exchange->headers || strlen(exchange->method) > METHOD_MAX)
        return false;
    moved(relay);
    ist_op_prepare(&exchange->op, answer->op.loop, &answer->op, 0,
                   on_exchanged);
    os_exchange_start(exchange);
    if (asks->body_follows)
        serve_relay_pump(relay);
    return true;
}

void serve_relay_free(struct serve_relay *relay)
{
    if (!relay)
        return;
    ist_timer_disarm(&relay->idle);
    ist_timer_disarm(&relay->gather);
    os_exchange_fini(&relay->exchange);
    ist_sb_fini(&relay->out);
    ist_sb_fini(&relay->up);
    free(relay);
}
