/* Happy path: collect a short body, sign what is asked, start the call; with
 * the first frame begin the answer, write what comes, give the site credit for
 * what has gone out to the client, and end with the last frame.
 *
 * A long body goes on as Data, as far as the site has granted; then the client
 * is held back by its socket.
 *
 * It ends early when the client leaves (the site is told to stop), when the
 * site fails (a fault in the service's shape before the head; a cut connection
 * behind it), and when nothing moves for facade.idle. It is freed when both its
 * call and its request are over. */
#include "facade/relay.h"

#include "facade/fault.h"

#include "codec/statement.h"
#include "codec/unpack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define INLINE_MAX  (64U * 1024)   /* A longer body follows the call. */
#define PIECE       (256U * 1024)  /* Of a body that follows. */
#define WINDOW      (1024U * 1024) /* Of the answer, here and on its way. */
#define ARENA_MAX   (4U << 20)     /* A frame, or the call. */
#define LIFE_MS     60000U         /* Of an assertion. */
#define HEADERS_MAX 64

struct facade_relay {
    struct facade *facade;          /* Borrowed. */
    struct ist_httpd_request *http; /* Borrowed; NULL: answered. */
    struct facade_asked asked;
    char service_site[80]; /* "compute at hkg" */
    struct desk_call call;
    struct ist_arena arena;
    struct ist_timer idle;
    bool is_calling; /* The call has begun, and not ended. */
    bool is_late, follows;

    /* Up. */
    struct ist_sb up;
    size_t up_at;
    uint64_t granted;
    bool up_whole, is_full;

    /* Down. */
    struct ist_httpd_stream *stream; /* NULL: none, or no more. */
    struct ist_sb down; /* What the client's connection does not take yet. */
    size_t down_at;
    uint32_t owed; /* Bytes that went out, for which no credit was given. */
    bool has_head, is_whole;
    LIST_ENTRY(facade_relay) link;
};

struct facade_relay *facade_relay_next(struct facade_relay *relay)
{
    return LIST_NEXT(relay, link);
}

static void maybe_free(struct facade_relay *relay)
{
    if (relay->is_calling || relay->http || relay->stream)
        return;
    LIST_REMOVE(relay, link);
    relay->facade->n_open--;
    ist_timer_disarm(&relay->idle);
    ist_sb_fini(&relay->up);
    ist_sb_fini(&relay->down);
    ist_arena_fini(&relay->arena);
    free(relay);
}

static void stop_call(struct facade_relay *relay, int reason)
{
    if (relay->is_calling)
        ist_op_cancel(&relay->call.op, reason);
}

/* Answering with an error */

static void fault(struct facade_relay *relay, int status, const char *text)
{
    struct ist_httpd_request *http = relay->http;

    if (!http)
        return;
    relay->http = NULL;
    http->gone = NULL;
    facade_fault(http, relay->asked.service->shape, status, NULL, "%s", text);
}

/* Why it came to nothing, as a status. */
static const struct {
    int outcome;
    Isthmus__V1__Failure__Code code; /* With DESK_FAILED. */
    int status;
    bool is_undone; /* For certain. */
} rows[] = {
    {DESK_ABSENT, 0, 503, false},
    {DESK_NO_QUEUE, 0, 503, true},
    {DESK_FULL, 0, 503, true},
    {DESK_NO_BUS, 0, 503, false},
    {DESK_BUSY, 0, 503, true},
    {DESK_BROKEN, 0, 502, false},
    {DESK_TOO_LARGE, 0, 413, false},
    {-ETIMEDOUT, 0, 504, false},
    {DESK_FAILED, ISTHMUS__V1__FAILURE__CODE__DENIED, 403, true},
    {DESK_FAILED, ISTHMUS__V1__FAILURE__CODE__NOT_FOUND, 404, true},
    {DESK_FAILED, ISTHMUS__V1__FAILURE__CODE__UNSUPPORTED, 404, true},
    {DESK_FAILED, ISTHMUS__V1__FAILURE__CODE__TIMEOUT, 504, false},
    {DESK_FAILED, ISTHMUS__V1__FAILURE__CODE__UNREACHABLE, 503, false},
    {DESK_FAILED, ISTHMUS__V1__FAILURE__CODE__BAD_ANSWER, 502, false},
    {DESK_FAILED, ISTHMUS__V1__FAILURE__CODE__LOGIN, 503, true},
    {DESK_FAILED, ISTHMUS__V1__FAILURE__CODE__BUSY, 503, true},
    {DESK_FAILED, ISTHMUS__V1__FAILURE__CODE__BAD_CALL, 400, true},
};

static void fault_of_call(struct facade_relay *relay)
{
    const struct desk_call *call = &relay->call;
    const char *undone = "";
    int status = 502;
    char text[400];

    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        if (rows[i].outcome != call->op.rc ||
            (rows[i].code && rows[i].code != call->failure))
            continue;
        status = rows[i].status;
        undone = rows[i].is_undone && status == 503 ? " Nothing was done." : "";
        break;
    }
    snprintf(text, sizeof(text), "%s: %s.%s", relay->service_site,
             relay->is_late ? "nothing came in time" : call->op.err.text,
             undone);
    fault(relay, status, text);
}

/* Silence */

static void on_idle(struct ist_timer *timer)
{
    struct facade_relay *relay =
        IST_CONTAINER(timer, struct facade_relay, idle);

    relay->is_late = true;
    stop_call(relay, -ETIMEDOUT);
}

static void moved(struct facade_relay *relay)
{
    ist_timer_arm_in(&relay->idle, relay->facade->loop,
                     relay->facade->conf.idle_ms, on_idle);
}

/* Down: the answer */

static void give_credit(struct facade_relay *relay, size_t n)
{
    relay->facade->n_bytes_down += n;
    relay->owed += (uint32_t) n;
    if (relay->owed < WINDOW / 4 || !relay->is_calling)
        return;
    desk_call_credit_bytes(&relay->call, relay->owed);
    relay->owed = 0;
}

/* All has gone out that will. */
static void end_stream(struct facade_relay *relay)
{
    ist_httpd_stream_end(relay->stream);
    relay->stream = NULL;
}

static void abort_stream(struct facade_relay *relay)
{
    if (relay->stream)
        ist_httpd_stream_abort(relay->stream);
    relay->stream = NULL;
}

/* To the client, as much as it takes. */
static void pump_down(struct facade_relay *relay)
{
    while (relay->stream && relay->down_at < relay->down.len) {
        size_t n = relay->down.len - relay->down_at;

        if (n > PIECE / 4)
            n = PIECE / 4;
        if (ist_httpd_stream_write(relay->stream,
                                   relay->down.data + relay->down_at, n))
            return;
        relay->down_at += n;
        moved(relay);
        give_credit(relay, n);
    }
    relay->down.len = relay->down_at = 0;
    if (relay->stream && relay->is_whole)
        end_stream(relay);
}

static void on_stream_drained(struct ist_httpd_stream *stream, void *arg)
{
    struct facade_relay *relay = arg;

    (void) stream;
    pump_down(relay);
    maybe_free(relay);
}

static void on_stream_gone(struct ist_httpd_stream *stream, void *arg)
{
    struct facade_relay *relay = arg;

    (void) stream;
    end_stream(relay);
    stop_call(relay, -ECANCELED);
    maybe_free(relay);
}

/* A site speaks for its own region, not for the hub, whose origin the answer
 * has in a browser. */
static bool is_of_the_origin(const char *name)
{
    static const char *const names[] = {
        "Set-Cookie",     "Set-Cookie2",     "Strict-Transport-Security",
        "Alt-Svc",        "Clear-Site-Data", "Content-Security-Policy",
        "Refresh",        "X-Auth-Token",    "X-Subject-Token",
        "X-Frame-Options"};

    for (size_t i = 0; i < IST_COUNT(names); i++) {
        if (strcasecmp(name, names[i]) == 0)
            return true;
    }
    return strncasecmp(name, "Access-Control-", 15) == 0;
}

static size_t take_headers(const Isthmus__V1__RelayHead *head,
                           struct ist_httpd_header *ret)
{
    size_t n = 0;

    ret[n++] = (struct ist_httpd_header){"Content-Security-Policy",
                                         "default-src 'none'; sandbox"};
    ret[n++] = (struct ist_httpd_header){"X-Content-Type-Options", "nosniff"};
    for (size_t i = 0; i < head->n_headers && n < HEADERS_MAX; i++) {
        const Isthmus__V1__Header *header = head->headers[i];

        if (is_of_the_origin(header->name))
            continue;
        /* The answer's own id is the hub's. */
        if (strcasecmp(header->name, "x-openstack-request-id") == 0)
            ret[n++] = (struct ist_httpd_header){"X-Isthmus-Site-Request-Id",
                                                 header->value};
        else
            ret[n++] = (struct ist_httpd_header){header->name, header->value};
    }
    return n;
}

static void take_head(struct facade_relay *relay,
                      const Isthmus__V1__Reply *reply)
{
    struct ist_httpd_request *http = relay->http;
    struct ist_httpd_header headers[HEADERS_MAX];
    size_t n = take_headers(reply->head, headers);
    int status = (int) reply->head->status;

    relay->has_head = true;
    relay->http = NULL;
    http->gone = NULL;
    if (reply->last && !reply->failure) {
        ist_httpd_reply(http, status, headers, n, reply->data.data,
                        reply->data.len);
        relay->facade->n_bytes_down += reply->data.len;
        relay->is_whole = true;
        return;
    }
    relay->stream = ist_httpd_stream_begin(
        http, status, headers, n, on_stream_drained, on_stream_gone, relay);
    if (!relay->stream)
        stop_call(relay, -ENOMEM);
}

static bool is_good_head(const Isthmus__V1__RelayHead *head)
{
    return head->status >= 200 && head->status <= 599;
}

static void pump_up(struct facade_relay *relay);

static int on_frame(struct desk_call *call, const Isthmus__V1__Reply *reply)
{
    struct facade_relay *relay = IST_CONTAINER(call, struct facade_relay, call);

    moved(relay);
    relay->granted += reply->granted;
    if (reply->granted)
        pump_up(relay);
    if (reply->head && !relay->has_head && relay->http) {
        if (!is_good_head(reply->head))
            return ist_err_set(&call->op.err, DESK_BROKEN,
                               "its answer has no status that there is");
        take_head(relay, reply);
    }
    if (relay->stream && reply->data.len) {
        ist_sb_add(&relay->down, reply->data.data, reply->data.len);
        if (relay->down.rc)
            return ist_err_set(&call->op.err, -ENOMEM, "out of memory");
    }
    if (reply->last && !reply->failure)
        relay->is_whole = true;
    pump_down(relay);
    return 0;
}

static void on_called(struct ist_op *op)
{
    struct desk_call *call = IST_CONTAINER(op, struct desk_call, op);
    struct facade_relay *relay = IST_CONTAINER(call, struct facade_relay, call);

    relay->is_calling = false;
    ist_timer_disarm(&relay->idle);
    if (op->rc == 0 && !relay->has_head && relay->http)
        fault(relay, 502, "The site gave no answer.");
    else if (op->rc && relay->http)
        fault_of_call(relay);
    else if (op->rc)
        abort_stream(relay);
    maybe_free(relay);
}

/* Up: the request's body */

/* To the site, as far as it has granted, in whole pieces. */
static void pump_up(struct facade_relay *relay)
{
    bool resumes = relay->is_full;

    while (relay->is_calling && relay->follows) {
        size_t left = relay->up.len - relay->up_at, n = left;
        bool last;

        if (n > PIECE)
            n = PIECE;
        last = relay->up_whole && n == left;
        if (n > relay->granted || (n < PIECE && !last) ||
            desk_call_data(&relay->call, relay->up.data + relay->up_at, n,
                           last))
            break;
        moved(relay);
        relay->granted -= n;
        relay->up_at += n;
        relay->facade->n_bytes_up += n;
        if (last)
            relay->follows = false; /* All of it went. */
    }
    if (relay->up_at > 0) {
        memmove(relay->up.data, relay->up.data + relay->up_at,
                relay->up.len - relay->up_at);
        relay->up.len -= relay->up_at;
        relay->up_at = 0;
    }
    if (resumes && relay->up.len < PIECE && relay->http) {
        relay->is_full = false;
        ist_httpd_resume_body(relay->http);
    }
}

void facade_relay_drained(struct facade_relay *relay)
{
    pump_up(relay);
}

static int on_body(struct ist_httpd_request *http, const void *data,
                   size_t size)
{
    struct facade_relay *relay = http->owner;

    if (relay->up.len >= PIECE) {
        relay->is_full = true;
        return -EAGAIN;
    }
    moved(relay);
    ist_sb_add(&relay->up, data, size);
    if (relay->up.rc) {
        stop_call(relay, -ENOMEM);
        return 0;
    }
    if (relay->follows)
        pump_up(relay);
    return 0;
}

/* The call */

/* Headers that a service may see, as openstack-facing proxies pass them: all
 * others stay here, above all those by which a service behind
 * keystonemiddleware would know its user (X-Roles, X-Project-Id,
 * X-Identity-Status...). */
static bool may_pass(const char *name)
{
    static const char *const names[] = {"Accept",
                                        "Accept-Language",
                                        "Content-Type",
                                        "Content-MD5",
                                        "If-Match",
                                        "If-None-Match",
                                        "If-Modified-Since",
                                        "If-Unmodified-Since",
                                        "Range",
                                        "User-Agent",
                                        "ETag"};
    static const char *const prefixes[] = {
        "OpenStack-API-Version", "X-OpenStack-Nova-API-Version",
        "X-OpenStack-Volume-API-Version", "X-OpenStack-Image-", "X-Image-"};

    for (size_t i = 0; i < IST_COUNT(names); i++) {
        if (strcasecmp(name, names[i]) == 0)
            return true;
    }
    for (size_t i = 0; i < IST_COUNT(prefixes); i++) {
        if (strncasecmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    }
    return false;
}

static bool put_headers(struct facade_relay *relay, Isthmus__V1__Relay *asks)
{
    Isthmus__V1__Header *all = ist_arena_alloc(
        &relay->arena, HEADERS_MAX * sizeof(Isthmus__V1__Header));
    struct ist_httpd_header header;

    asks->headers = ist_arena_alloc(
        &relay->arena, HEADERS_MAX * sizeof(Isthmus__V1__Header *));
    if (!all || !asks->headers)
        return false;
    for (size_t i = 0; ist_httpd_header_at(relay->http, i, &header); i++) {
        Isthmus__V1__Header *one = &all[asks->n_headers];

        if (!may_pass(header.name) || asks->n_headers == HEADERS_MAX)
            continue;
        isthmus__v1__header__init(one);
        one->name = (char *) (uintptr_t) header.name;
        one->value = (char *) (uintptr_t) header.value;
        asks->headers[asks->n_headers++] = one;
    }
    return true;
}

/* Whose word it is, and for what. */
static bool put_assertion(struct facade_relay *relay, Isthmus__V1__Relay *asks)
{
    const struct facade *facade = relay->facade;
    const struct facade_asked *asked = &relay->asked;
    uint64_t now = ist_loop_wall(facade->loop);
    Isthmus__V1__Assertion assertion = ISTHMUS__V1__ASSERTION__INIT;
    uint8_t hash[crypto_hash_sha256_BYTES];

    assertion.audience = (ProtobufCBinaryData){sizeof(asked->site->peer.uid.b),
                                               asked->site->peer.uid.b};
    assertion.user = (char *) (uintptr_t) asked->caller.user;
    assertion.project = (char *) (uintptr_t) asked->caller.project;
    assertion.project_name = (char *) (uintptr_t) asked->caller.project_name;
    assertion.roles = asked->caller.roles;
    assertion.n_roles = asked->caller.n_roles;
    assertion.service = (char *) (uintptr_t) asked->service->name;
    assertion.method = (char *) (uintptr_t) relay->http->method;
    assertion.target = (char *) (uintptr_t) asked->target;
    assertion.request_id = relay->http->id;
    assertion.issued_ms = now;
    assertion.expires_ms = now + LIFE_MS;
    if (!asks->body_follows) {
        crypto_hash_sha256(hash, asks->body.data, asks->body.len);
        assertion.body_hash = (ProtobufCBinaryData){sizeof(hash), hash};
    }
    asks->assertion.data =
        ist_pack(&assertion, &relay->arena, &asks->assertion.len);
    asks->signature.data = ist_arena_alloc(&relay->arena, crypto_sign_BYTES);
    asks->signature.len = crypto_sign_BYTES;
    return asks->assertion.data && asks->signature.data &&
           ist_statement_sign(IST_STATEMENT_ASSERTION, asks->assertion.data,
                              asks->assertion.len, facade->self->signing_secret,
                              asks->signature.data) == 0;
}

static void start_call(struct facade_relay *relay)
{
    Isthmus__V1__Call what = ISTHMUS__V1__CALL__INIT;
    Isthmus__V1__Relay asks = ISTHMUS__V1__RELAY__INIT;
    struct desk_call *call = &relay->call;

    asks.body_follows = relay->follows;
    if (!relay->follows)
        asks.body =
            (ProtobufCBinaryData){relay->up.len, (uint8_t *) relay->up.data};
    else if (relay->http->body_length != UINT64_MAX)
        asks.body_length = relay->http->body_length;
    asks.window = WINDOW;
    asks.public_url = (char *) (uintptr_t) relay->asked.base;
    if (!put_headers(relay, &asks) || !put_assertion(relay, &asks)) {
        fault(relay, 413, "The request's headers are too large.");
        return;
    }
    what.what_case = ISTHMUS__V1__CALL__WHAT_RELAY;
    what.relay = &asks;
    call->site = relay->asked.site;
    call->arena = &relay->arena;
    call->on_frame = on_frame;
    call->bytes = WINDOW;
    call->is_passing = true;
    relay->is_calling = true;
    ist_op_prepare(&call->op, relay->facade->loop, NULL, 0, on_called);
    desk_call_start(relay->facade->desk, call, &what);
    moved(relay);
}

/* The request */

/* The client left before the answer began. */
static void on_gone(struct ist_httpd_request *http)
{
    struct facade_relay *relay = http->owner;

    stop_call(relay, -ECANCELED);
}

static void on_end(struct ist_httpd_request *http, int rc)
{
    struct facade_relay *relay = http->owner;

    if (rc) {
        if (relay->is_calling)
            stop_call(relay, -ECANCELED);
        else
            fault(relay, rc == -EMSGSIZE ? 413 : 408,
                  "The request is not whole.");
    } else {
        relay->up_whole = true;
        if (relay->follows)
            pump_up(relay);
        else
            start_call(relay);
    }
    maybe_free(relay);
}

void facade_relay_begin(struct facade *facade, struct ist_httpd_request *http,
                        const struct facade_asked *asked)
{
    struct facade_relay *relay = calloc(1, sizeof(*relay));

    if (!relay) {
        facade_fault(http, asked->service->shape, 500, NULL,
                     "The hub is out of memory.");
        return;
    }
    relay->facade = facade;
    relay->http = http;
    relay->asked = *asked;
    snprintf(relay->service_site, sizeof(relay->service_site), "%s at %s",
             asked->service->name, asked->site->name);
    ist_arena_init(&relay->arena, ARENA_MAX);
    ist_sb_init(&relay->up, 0);
    ist_sb_init(&relay->down, 0);
    LIST_INSERT_HEAD(&facade->relays, relay, link);
    facade->n_open++;
    http->owner = relay;
    http->gone = on_gone;
    http->on_body = on_body;
    http->on_end = on_end;
    relay->follows = http->body_length > INLINE_MAX;
    if (relay->follows)
        start_call(relay);
    maybe_free(relay);
}
