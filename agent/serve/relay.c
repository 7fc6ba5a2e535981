/* Happy path: check the hub's assertion, start the exchange with the service,
 * send the head of its answer as soon as it is there, then its body in frames
 * of CHUNK bytes, and the last frame when both are whole.
 *
 * A failure before the head is an answer like any other; behind it the last
 * frame says that the body is not whole, and the hub cuts its client off. */
#include "serve/relay.h"

#include "base/log.h"
#include "base/parse.h"
#include "codec/json.h"
#include "codec/rewrite.h"
#include "serve/bulk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CHUNK      (256U * 1024)    /* Bytes of the body in one frame. */
#define GATHER_MS  1                /* For a frame to fill up. */
#define UP_WINDOW  (1024U * 1024)   /* Of a request's body, on its way. */
#define UP_WIDE    (2U * UP_WINDOW) /* Of a large one, */
#define WIDE_MAX   16U              /* of so many at once. */
#define IDLE_MAX   60000U
#define HEADER_MAX 8192U
#define METHOD_MAX 16U

struct serve_relay {
    struct serve_answer *answer;       /* Borrowed: whose part it is. */
    const struct serve_asserted *word; /* The answer's. */
    struct os_exchange exchange;
    uint64_t idle_ms;
    struct ist_timer idle, gather;
    bool is_late;           /* Nothing has moved for idle_ms. */
    struct serve_seat seat; /* On the way of large bodies. */
    bool is_lost;           /* It broke with something of ours on it. */
    bool is_bulk;           /* It has a large body, whichever way it goes. */
    uint64_t next_ms;       /* As such: no piece before that. */

    /* Down: the answer. */
    Isthmus__V1__RelayHead *head; /* In the arena; NULL: not come yet. */
    bool head_sent, is_whole, is_held;
    struct ist_sb out;
    size_t out_at;     /* What of it is sent. */
    uint64_t granted;  /* Bytes that the hub still takes. */
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

static struct serve_relay *relay_new(struct serve_answer *answer)
{
    struct serve_relay *relay = calloc(1, sizeof(*relay));

    if (!relay)
        return NULL;
    answer->relay = relay;
    relay->answer = answer;
    relay->word = &answer->word;
    relay->idle_ms = answer->call->timeout_ms < IDLE_MAX
                         ? answer->call->timeout_ms
                         : IDLE_MAX;
    ist_sb_init(&relay->out, 0);
    ist_sb_init(&relay->up, 0);
    return relay;
}

bool serve_relay_look(struct serve_answer *answer, struct serve_asked *ret)
{
    if (!relay_new(answer)) {
        serve_answer_refuse(answer, ISTHMUS__V1__FAILURE__CODE__BUSY,
                            "no memory is left for it");
        return false;
    }
    return serve_assertion_look(answer, answer->call->relay, &answer->word,
                                ret);
}

static void say_lost(struct serve_relay *relay)
{
    serve_answer_refuse(relay->answer, ISTHMUS__V1__FAILURE__CODE__UNREACHABLE,
                        "the site's connection for large bodies broke");
    relay->answer->failure.retryable = true;
    serve_answer_pump(relay->answer);
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

/* A large body takes what the machine and the line have; what somebody waits
 * for goes first. */
static bool stands_back(const struct serve_relay *relay)
{
    return relay->is_bulk && serve_is_asked(relay->answer->serve);
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
    if (!is_news(relay, n, reply.last) || relay->seat.state == SERVE_SEAT_WAITS)
        return false;
    if (!relay->head_sent)
        reply.head = relay->head;
    reply.data = (ProtobufCBinaryData){
        n, n ? (uint8_t *) relay->out.data + relay->out_at : NULL};
    reply.granted = relay->up_owed;
    if (stands_back(relay) && reply.granted > CHUNK)
        reply.granted = CHUNK;
    reply.by_bulk = relay->up_owed && relay->seat.state == SERVE_SEAT_TAKEN;
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
    relay->up_open += reply.granted;
    relay->up_owed -= reply.granted;
    if (reply.last)
        ist_op_finish(&answer->op, 0);
    return !reply.last;
}

static void on_gathered(struct ist_timer *timer)
{
    serve_relay_pump(IST_CONTAINER(timer, struct serve_relay, gather));
}

static bool is_due(struct serve_relay *relay)
{
    struct ist_loop *loop = relay->answer->serve->loop;

    if (!stands_back(relay) || ist_loop_now(loop) >= relay->next_ms)
        return true;
    ist_timer_arm(&relay->gather, loop, relay->next_ms, on_gathered);
    return false;
}

/* After a frame: is that all for now? */
static bool hold_back(struct serve_relay *relay)
{
    struct serve *serve = relay->answer->serve;

    if (!stands_back(relay) || serve->conf.bulk_yield_ms == 0)
        return false;
    relay->next_ms = ist_loop_now(serve->loop) + serve->conf.bulk_yield_ms;
    ist_timer_arm(&relay->gather, serve->loop, relay->next_ms, on_gathered);
    return true;
}

void serve_relay_pump(struct serve_relay *relay)
{
    if (relay->answer->op.state != IST_OP_RUNNING || !is_due(relay))
        return;
    ist_timer_disarm(&relay->gather);
    while (send_frame(relay) && !hold_back(relay))
        ;
    forget_sent(relay);
    if (relay->answer->op.state == IST_OP_RUNNING)
        take_again(relay);
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

/* Large bodies have a way of their own. Which way all of a body goes must be
 * known before its first piece. */

/* Is that more than should stand before what is small? 0: who knows. */
static bool is_large(uint64_t length)
{
    return length == 0 || length > UP_WINDOW;
}

static void use_seat(struct serve_relay *relay)
{
    const Isthmus__V1__Relay *asks = relay->word->asks;

    /* Of a request's body the hub is told with what is granted of it. */
    if (relay->seat.state == SERVE_SEAT_TAKEN && !asks->body_follows)
        serve_stream_turn(&relay->answer->stream,
                          relay->answer->serve->bulk->bus, asks->bulk_word);
}

static void on_seat_settled(struct serve_seat *seat)
{
    struct serve_relay *relay = IST_CONTAINER(seat, struct serve_relay, seat);

    use_seat(relay);
    serve_relay_pump(relay);
}

/* The hub misses something now. */
static void on_seat_lost(struct serve_seat *seat)
{
    struct serve_relay *relay = IST_CONTAINER(seat, struct serve_relay, seat);
    struct serve_answer *answer = relay->answer;

    relay->is_lost = true;
    serve_stream_turn(&answer->stream, answer->serve->bus,
                      answer->call->reply_word);
    if (ist_op_active(&relay->exchange.op))
        ist_op_cancel(&relay->exchange.op, -ECONNRESET);
    else if (answer->is_ready)
        say_lost(relay);
}

static void take_seat(struct serve_relay *relay)
{
    relay->is_bulk = true;
    relay->answer->serve->n_bulk++;
    relay->seat.settled = on_seat_settled;
    relay->seat.lost = on_seat_lost;
    if (serve_is_word(relay->word->asks->bulk_word))
        serve_bulk_join(relay->answer->serve->bulk, &relay->seat);
    use_seat(relay);
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
    size_t len = 0;
    const char *type = ist_http_header(&exchange->call, "Content-Type", &len);

    return ist_json_is_type(type, len);
}

static bool is_head(const struct serve_relay *relay)
{
    return strcmp(relay->word->assertion->method, "HEAD") == 0;
}

/* An answer of which nothing has gone out. What is JSON is small enough. */
static bool has_large_body(const struct serve_relay *relay)
{
    size_t len;
    const char *text =
        ist_http_header(&relay->exchange.call, "Content-Length", &len);
    uint64_t length = 0; /* 0: it does not say. */
    char digits[24];

    if (relay->is_rewritten || is_head(relay) ||
        relay->exchange.call.status == 204 || relay->word->asks->body_follows)
        return false;
    if (text && len < sizeof(digits)) {
        memcpy(digits, text, len);
        digits[len] = '\0';
        if (ist_parse_u64(digits, 0, UINT64_MAX, &length) && length == 0)
            return false;
    }
    return is_large(length);
}

static void on_head(struct os_exchange *exchange)
{
    struct serve_relay *relay =
        IST_CONTAINER(exchange, struct serve_relay, exchange);

    moved(relay);
    if (!serve_assertion_rewriting(relay->answer, relay->word,
                                   &relay->rewrite.how)) {
        ist_op_cancel(&exchange->op, -ENOMEM);
        return;
    }
    relay->is_rewritten =
        !exchange->service->is_opaque && is_json(exchange) && !is_head(relay);
    if (has_large_body(relay))
        take_seat(relay);
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
        serve_answer_refuse(answer, ISTHMUS__V1__FAILURE__CODE__TIMEOUT,
                            "nothing moved between hub and service in time");
    else if (relay->is_lost)
        say_lost(relay);
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
    if (relay->up_owed >= CHUNK)
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
        &answer->arena, (relay->word->asks->n_headers + 2) * sizeof(char *));
    size_t n = 0;

    if (!lines || relay->word->asks->n_headers > OS_EXCHANGE_HEADERS_MAX - 1)
        return NULL;
    for (size_t i = 0; i < relay->word->asks->n_headers; i++) {
        const Isthmus__V1__Header *header = relay->word->asks->headers[i];

        if (is_ours(header->name))
            continue;
        lines[n] = line_of(answer, header->name, header->value);
        if (!lines[n++])
            return NULL;
    }
    lines[n] = line_of(answer, "X-OpenStack-Request-Id",
                       relay->word->assertion->request_id);
    if (!lines[n++])
        return NULL;
    lines[n] = NULL;
    return lines;
}

bool serve_relay_start(struct serve_answer *answer)
{
    struct serve_relay *relay = answer->relay;
    const Isthmus__V1__Relay *asks = relay->word->asks;
    struct os_exchange *exchange = &relay->exchange;

    exchange->cloud = serve_assertion_cloud(answer, relay->word);
    exchange->service = relay->word->service;
    exchange->method = relay->word->assertion->method;
    exchange->target = relay->word->assertion->target;
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
        if (is_large(asks->body_length) && answer->serve->n_bulk < WIDE_MAX)
            relay->up_owed = UP_WIDE;
    }
    if (!serve_assertion_request(answer, relay->word, &exchange->rewriting) ||
        !exchange->headers || strlen(exchange->method) > METHOD_MAX)
        return false;
    moved(relay);
    ist_op_prepare(&exchange->op, answer->op.loop, &answer->op, 0,
                   on_exchanged);
    os_exchange_start(exchange);
    if (asks->body_follows && is_large(asks->body_length))
        take_seat(relay);
    if (asks->body_follows)
        serve_relay_pump(relay);
    return true;
}

bool serve_relay_is_bulk(const struct serve_relay *relay)
{
    return relay && relay->is_bulk;
}

void serve_relay_free(struct serve_relay *relay)
{
    if (!relay)
        return;
    ist_timer_disarm(&relay->idle);
    ist_timer_disarm(&relay->gather);
    serve_bulk_leave(&relay->seat);
    if (relay->is_bulk)
        relay->answer->serve->n_bulk--;
    os_exchange_fini(&relay->exchange);
    ist_sb_fini(&relay->out);
    ist_sb_fini(&relay->up);
    free(relay);
}
