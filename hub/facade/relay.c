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

#include "codec/json.h"
#include "facade/assertion.h"
#include "facade/console.h"
#include "facade/fault.h"
#include "facade/outcome.h"
#include "facade/pass.h"
#include "facade/share.h"
#include "facade/speech.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INLINE_MAX (64U * 1024)   /* A longer body follows the call. */
#define JSON_MAX   (512U * 1024)  /* The same where ids in it are replaced. */
#define PIECE      (256U * 1024)  /* Of a body that follows. */
#define WINDOW     (1024U * 1024) /* Of the answer, here and on its way. */
#define WIDE       (2U * WINDOW)  /* The same of one that is long, */
#define WIDE_MAX   16U            /* for so many at once. */
#define ARENA_MAX  (4U << 20)     /* A frame, or the call. */

struct facade_relay {
    struct facade *facade;          /* Borrowed. */
    struct ist_httpd_request *http; /* Borrowed; NULL: answered. */
    struct facade_asked asked;
    char id[IST_HTTPD_ID_SIZE]; /* The request's. */
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
    bool has_head, is_whole, is_wide;
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
    relay->facade->n_wide -= relay->is_wide;
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

/* To be answered now. */
static struct ist_httpd_request *take_http(struct facade_relay *relay)
{
    struct ist_httpd_request *http = IST_TAKE(relay->http);

    http->gone = NULL;
    return http;
}

static void fault(struct facade_relay *relay, int status, const char *text)
{
    if (relay->http)
        facade_fault(take_http(relay), relay->asked.service->shape, status,
                     NULL, "%s", text);
}

static void fault_of_call(struct facade_relay *relay)
{
    const struct facade_asked *asked = &relay->asked;
    char text[FACADE_OUTCOME_MAX];
    int status = facade_outcome(&relay->call, asked->service->name,
                                asked->site->name, relay->is_late, text);

    /* His own token, and Keystone does not want it any more. */
    if (relay->call.op.rc == DESK_FAILED &&
        relay->call.failure == ISTHMUS__V1__FAILURE__CODE__LOGIN &&
        facade_pass_is_for(&asked->caller, asked->site->name)) {
        fault(relay, 401, text);
        return;
    }
    if (status != 503 || !facade_outcome_is_undone(&relay->call)) {
        fault(relay, status, text);
        return;
    }
    facade_fault_undone(take_http(relay), relay->asked.service->shape, "%s",
                        text);
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

/* An answer of which the client has taken a good part and more is to come: a
 * line that is long holds much. */
static void widen(struct facade_relay *relay)
{
    if (relay->is_wide || relay->facade->n_wide >= WIDE_MAX)
        return;
    relay->is_wide = true;
    relay->facade->n_wide++;
    relay->owed += WIDE - WINDOW;
}

static void give_credit(struct facade_relay *relay, size_t n)
{
    relay->facade->n_bytes_down += n;
    relay->owed += (uint32_t) n;
    if (relay->owed < WINDOW / 4 || !relay->is_calling)
        return;
    widen(relay);
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

static void take_head(struct facade_relay *relay,
                      const Isthmus__V1__Reply *reply)
{
    struct ist_httpd_request *http = relay->http;
    struct ist_httpd_header headers[FACADE_HEADERS_MAX];
    size_t n = facade_speech_headers(
        (const Isthmus__V1__Header *const *) reply->head->headers,
        reply->head->n_headers, headers);
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

static void pump_up(struct facade_relay *relay);

static int on_frame(struct desk_call *call, const Isthmus__V1__Reply *reply)
{
    struct facade_relay *relay = IST_CONTAINER(call, struct facade_relay, call);

    moved(relay);
    relay->granted += reply->granted;
    if (reply->granted)
        pump_up(relay);
    if (reply->head && !relay->has_head && relay->http) {
        if (!facade_is_status((int) reply->head->status))
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

/* What the site looks into, so that it must have all of it at once. Services
 * take far less of it: oslo.middleware's own limit is 112 KiB. */
static bool is_json(const struct facade_relay *relay)
{
    const char *type = ist_httpd_header(relay->http, "Content-Type");

    return !relay->asked.service->is_opaque &&
           ist_json_is_type(type, type ? strlen(type) : 0);
}

/* JSON of unknown length is collected, and refused when it turns out to be
 * longer. */
static bool will_follow(struct facade_relay *relay)
{
    uint64_t length = relay->http->body_length;

    if (!is_json(relay))
        return length > INLINE_MAX;
    if (length == UINT64_MAX)
        relay->http->body_cap = JSON_MAX;
    return length != UINT64_MAX && length > JSON_MAX;
}

static int on_body(struct ist_httpd_request *http, const void *data,
                   size_t size)
{
    struct facade_relay *relay = http->owner;

    if (relay->follows && relay->up.len >= PIECE) {
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

static bool is_console(const struct facade_relay *relay)
{
    return strcmp(relay->asked.service->name, "compute") == 0 &&
           !relay->follows &&
           facade_is_console(relay->http->method, relay->asked.target,
                             relay->up.data ? relay->up.data : "",
                             relay->up.len);
}

static void start_call(struct facade_relay *relay)
{
    Isthmus__V1__Call what = ISTHMUS__V1__CALL__INIT;
    Isthmus__V1__Relay asks = ISTHMUS__V1__RELAY__INIT;
    struct desk_call *call = &relay->call;
    char named[40], text[160];

    if (is_console(relay)) {
        fault(relay, 501,
              "Consoles are not passed on by the hub: ask the site itself.");
        return;
    }
    asks.body_follows = relay->follows;
    if (!relay->follows)
        asks.body =
            (ProtobufCBinaryData){relay->up.len, (uint8_t *) relay->up.data};
    else if (relay->http->body_length != UINT64_MAX)
        asks.body_length = relay->http->body_length;
    asks.window = WINDOW;
    if (!facade_share(relay->facade, &relay->asked, asks.body.data,
                      asks.body.len, &relay->arena, named)) {
        snprintf(text, sizeof(text),
                 "No project %s acts at %s: its admin maps it in "
                 "projects.yaml.",
                 named, relay->asked.site->name);
        fault(relay, 404, text);
        return;
    }
    if (!facade_pass_headers(relay->http, &relay->asked, &relay->arena,
                             &asks) ||
        !facade_assert(relay->facade, &relay->asked, relay->http->method,
                       relay->http->id, &relay->arena, &asks)) {
        fault(relay, 413, "The request's headers are too large.");
        return;
    }
    what.what_case = ISTHMUS__V1__CALL__WHAT_RELAY;
    what.relay = &asks;
    call->site = relay->asked.site;
    call->request_id = relay->id;
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

static void body_ended(struct facade_relay *relay, int rc)
{
    if (rc) {
        if (relay->is_calling)
            stop_call(relay, -ECANCELED);
        else if (rc == -EMSGSIZE)
            fault(relay, 413, "A JSON body may have 512 KiB at most.");
        else
            fault(relay, 408, "The request is not whole.");
    } else {
        relay->up_whole = true;
        if (relay->follows)
            pump_up(relay);
        else
            start_call(relay);
    }
    maybe_free(relay);
}

static void on_end(struct ist_httpd_request *http, int rc)
{
    body_ended(http->owner, rc);
}

void facade_relay_go_on(struct facade *facade, struct ist_httpd_request *http,
                        const struct facade_asked *asked, const void *body,
                        size_t size, bool has_ended)
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
    memcpy(relay->id, http->id, sizeof(relay->id));
    ist_arena_init(&relay->arena, ARENA_MAX);
    ist_sb_init(&relay->up, 0);
    ist_sb_init(&relay->down, 0);
    ist_sb_add(&relay->up, body, size);
    LIST_INSERT_HEAD(&facade->relays, relay, link);
    facade->n_open++;
    http->owner = relay;
    http->gone = on_gone;
    http->on_body = on_body;
    http->on_end = on_end;
    relay->follows = has_ended ? size > (is_json(relay) ? JSON_MAX : INLINE_MAX)
                               : will_follow(relay);
    if (relay->follows)
        start_call(relay);
    if (has_ended)
        body_ended(relay, 0);
    else
        maybe_free(relay);
}

void facade_relay_begin(struct facade *facade, struct ist_httpd_request *http,
                        const struct facade_asked *asked)
{
    facade_relay_go_on(facade, http, asked, NULL, 0, false);
}
