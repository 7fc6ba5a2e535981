/* Happy path: seal the call, publish it (mandatory, confirmed, with the time
 * left as its expiration), take frames 0, 1, 2... until the one marked last.
 *
 * A call ends once for whichever reason comes first, by end(). The publish may
 * still wait for its confirm then: it is cancelled, and the op finishes when it
 * has let go.
 *
 * A site that works on a call is told at once that it is over. One that has
 * sent all it was allowed only waits, and most calls of a merged list end so:
 * it learns of it by the next call, or within OVER_MS, of several together. */
#include "survey/desk.h"

#include "base/log.h"
#include "base/mutant.h"
#include "codec/unpack.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SCRATCH_MAX  (4U * 1024 * 1024) /* One frame, opened. */
#define PACKING_MAX  (2U * 1024 * 1024) /* One call, or a piece, packed. */
#define LIFETIME_MAX 60000U             /* Of a query (codec/seal.h). */
#define OVER_MS      1000

const struct ist_row desk_rows[] = {
    {"calls.max", IST_ROW_U64, offsetof(struct desk_conf, calls_max), "20000",
     1, 1000000, 0,
     "Calls to sites open at once; beyond it a site counts as failed, busy."},
    {"calls.clock_skew", IST_ROW_MS, offsetof(struct desk_conf, skew_ms), "30s",
     0, 120000, 0, "Clock difference between hub and sites that is borne."},
    IST_ROW_END,
};

static int call_cmp(struct desk_call *a, struct desk_call *b)
{
    return ist_id_cmp(&a->id, &b->id);
}

RB_GENERATE_INTERNAL(desk_calls, desk_call, node, call_cmp, IST_UNUSED_STATIC)

/* Ending a call */

/* One that its caller ends, having heard enough, was answered; one that it ends
 * before that is neither. */
static void note_outcome(const struct desk_call *call)
{
    if (call->op.rc == 0 || (call->op.rc == -ECANCELED && call->heard_ms))
        call->site->n_answered++;
    else if (call->op.rc != -ECANCELED)
        call->site->n_failed++;
}

static const char *what_of(const Isthmus__V1__Call *what)
{
    static const struct {
        Isthmus__V1__Call__WhatCase what;
        const char *name;
    } rows[] = {
        {ISTHMUS__V1__CALL__WHAT_LIST, "list"},
        {ISTHMUS__V1__CALL__WHAT_SHOW, "show"},
        {ISTHMUS__V1__CALL__WHAT_RELAY, "relay"},
        {ISTHMUS__V1__CALL__WHAT_LOGIN, "login"},
        {ISTHMUS__V1__CALL__WHAT_PROBE, "probe"},
    };

    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        if (rows[i].what == what->what_case)
            return rows[i].name;
    }
    return "other";
}

/* Why it was not answered; "": it was, or its caller had heard enough. */
static const char *reason_of(const struct desk_call *call)
{
    if (call->end_rc == 0 || (call->end_rc == -ECANCELED && call->heard_ms))
        return "";
    if (call->op.err.text[0])
        return call->op.err.text;
    return call->end_rc == -ETIMEDOUT ? "it did not answer in time"
                                      : "nobody waited for it any more";
}

static void trace(const struct desk_call *call)
{
    struct desk *desk = call->desk;

    if (call->request_id)
        trace_add(&desk->traces, call->request_id, call->site->name, call->what,
                  call->sent_ms, call->heard_ms, ist_loop_now(desk->loop),
                  reason_of(call));
}

static void settle(struct desk_call *call)
{
    if (call->publishing) {
        ist_op_cancel(&call->publish.op, -ECANCELED);
        return;
    }
    ist_op_finish(&call->op, call->end_rc); /* 'rc' is the reason now. */
    note_outcome(call);
}

static void note_latency(struct desk_call *call, uint64_t now)
{
    uint64_t us = (now - call->sent_ms) * 1000, old = call->site->latency_us;

    call->site->latency_us = old ? old - old / 8 + us / 8 : us;
}

/* Once; what comes afterwards finds no open call. */
static void end(struct desk_call *call, int rc)
{
    if (call->ended)
        return;
    call->ended = true;
    call->end_rc = rc;
    RB_REMOVE(desk_calls, &call->desk->calls, call);
    call->desk->n_open--;
    trace(call);
    settle(call);
}

static void end_with(struct desk_call *call, int rc, const char *text)
{
    if (call->ended)
        return;
    ist_err_set(&call->op.err, rc, "%s", text);
    call->op.err.retryable = rc != DESK_BROKEN && rc != DESK_TOO_LARGE;
    end(call, rc);
}

/* Sealing and sending */

static int seal_for(struct desk_call *call, enum ist_letter_kind kind,
                    const ProtobufCMessage *body, uint64_t lifetime_ms,
                    struct ist_letter *letter, struct ist_sb *out)
{
    struct desk *desk = call->desk;
    uint64_t now = ist_loop_wall(desk->loop);

    ist_arena_reset(&desk->packing);
    *letter = (struct ist_letter){.kind = kind,
                                  .op = call->id,
                                  .expires_ms = now + lifetime_ms,
                                  .audience_epoch = call->epoch};
    if (kind == IST_KIND_DATA)
        letter->n_dense = &call->n_dense;
    letter->body = ist_pack(body, &desk->packing, &letter->body_size);
    if (!letter->body)
        return -EMSGSIZE;
    return ist_seal(desk->self, &call->site->peer, now, letter, out);
}

static struct ist_bus_message message_to(const char *key, const char *type,
                                         const struct ist_sb *body,
                                         uint64_t lifetime_ms)
{
    return (struct ist_bus_message){.exchange = "x.req",
                                    .key = key,
                                    .body = body->data,
                                    .size = body->len,
                                    .type = type,
                                    .mandatory = true,
                                    .expiration_ms = lifetime_ms};
}

static void site_key(const struct desk_call *call, char key[48])
{
    snprintf(key, 48, "site.%s", call->site->name);
}

/* Cancel and credit: at most once, never waited for. If one is lost, the
 * deadline ends what it would have ended. */
static void send_aside(struct desk_call *call, enum ist_letter_kind kind,
                       const char *type, const ProtobufCMessage *body)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb wire;
    struct ist_letter letter;
    struct ist_bus_message message;
    char key[48];

    ist_sb_init(&wire, 0);
    if (seal_for(call, kind, body, 10000, &letter, &wire))
        return;
    site_key(call, key);
    message = message_to(key, type, &wire, 10000);
    message.mandatory = false;
    ist_bus_send(call->desk->bus, &message);
}

/* The ids of the calls that the site's present agent is to forget. */
static size_t list_over(struct sites_site *site,
                        ProtobufCBinaryData ids[SITES_OVER_MAX])
{
    if (site->over_epoch != site->peer.epoch)
        site->n_over = 0; /* Another agent knows nothing of them. */
    for (size_t i = 0; i < site->n_over; i++)
        ids[i] =
            (ProtobufCBinaryData){sizeof(site->over[i].b), site->over[i].b};
    return site->n_over;
}

static void tell_over(struct desk *desk, struct sites_site *site)
{
    Isthmus__V1__Cancel cancel = ISTHMUS__V1__CANCEL__INIT;
    ProtobufCBinaryData ids[SITES_OVER_MAX];
    struct desk_call first = {.desk = desk,
                              .site = site,
                              .epoch = site->over_epoch,
                              .id = site->over[0]};
    size_t n = list_over(site, ids);

    if (n == 0)
        return;
    cancel.n_over = n - 1;
    cancel.over = ids + 1;
    send_aside(&first, IST_KIND_CANCEL, "cancel", &cancel.base);
    site->n_over = 0;
}

static void on_over(struct ist_timer *timer)
{
    struct desk *desk = IST_CONTAINER(timer, struct desk, over);
    struct sites_site *site = NULL;

    while ((site = sites_next(desk->sites, site)))
        tell_over(desk, site);
}

static void note_over(struct desk_call *call)
{
    struct sites_site *site = call->site;
    struct desk *desk = call->desk;

    if (site->over_epoch != call->epoch)
        site->n_over = 0;
    site->over_epoch = call->epoch;
    site->over[site->n_over++] = call->id;
    if (site->n_over == SITES_OVER_MAX)
        tell_over(desk, site);
    else if (!ist_timer_armed(&desk->over))
        ist_timer_arm_in(&desk->over, desk->loop, OVER_MS, on_over);
}

static bool is_waiting_for_credit(const struct desk_call *call)
{
    return call->heard_ms && call->window == 0 && !call->is_passing;
}

static void on_cancel(struct ist_op *op)
{
    struct desk_call *call = IST_CONTAINER(op, struct desk_call, op);
    Isthmus__V1__Cancel nothing = ISTHMUS__V1__CANCEL__INIT;

    if (call->ended)
        return;
    if (is_waiting_for_credit(call))
        note_over(call);
    else
        send_aside(call, IST_KIND_CANCEL, "cancel", &nothing.base);
    end(call, -ECANCELED); /* finish() puts the reason in its place. */
}

static void on_published(struct ist_op *op)
{
    static const struct {
        int rc, outcome;
        const char *text;
    } rows[] = {
        {IST_BUS_UNROUTABLE, DESK_NO_QUEUE,
         "the broker has no queue for it: was it added to this broker?"},
        {IST_BUS_FULL, DESK_FULL,
         "its queue on the broker is full: its agent does not keep up"},
        {IST_BUS_DENIED, DESK_NO_QUEUE,
         "the broker does not let the hub publish to it"},
    };
    struct desk_call *call = IST_CONTAINER(op, struct desk_call, publish.op);

    call->publishing = false;
    if (call->ended) {
        settle(call);
        return;
    }
    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        if (op->rc == rows[i].rc)
            end_with(call, rows[i].outcome, rows[i].text);
    }
    if (op->rc < 0)
        end_with(call, DESK_NO_BUS,
                 op->rc == -EAGAIN ? "the broker takes no messages at present"
                                   : "the hub has no connection to the bus");
}

static void publish(struct desk_call *call, const struct ist_sb *wire,
                    uint64_t left_ms)
{
    struct ist_bus_message message;
    char key[48];

    site_key(call, key);
    message = message_to(key, "call", wire, left_ms);
    ist_op_prepare(&call->publish.op, call->desk->loop, &call->op, 0,
                   on_published);
    call->desk->counts.sent++;
    call->publishing = true;
    ist_bus_publish(call->desk->bus, &call->publish, &message);
}

/* What can be known before anything is sent. */
static bool is_hopeless(struct desk_call *call)
{
    struct desk *desk = call->desk;
    const struct sites_site *site = call->site;

    if (site->state == SITES_ABSENT || site->state == SITES_REMOVED ||
        site->peer.epoch == 0)
        end_with(call, DESK_ABSENT,
                 site->heard_ms ? "its agent has not been heard for 10 s"
                                : "its agent has not been heard yet");
    else if (!desk->bus->is_up)
        end_with(call, DESK_NO_BUS, "the hub has no connection to the bus");
    else if (desk->n_open > desk->conf.calls_max)
        end_with(call, DESK_BUSY, "the hub has too many calls open");
    return call->ended;
}

static uint64_t time_left(const struct desk_call *call)
{
    uint64_t now = ist_loop_now(call->desk->loop);
    uint64_t left = call->op.deadline > now ? call->op.deadline - now : 1;

    return left < LIFETIME_MAX ? left : LIFETIME_MAX;
}

/* What sites are told of the bulk bus; "": it is not to be had now. */
static char *bulk_word(const struct desk *desk, char word[48])
{
    word[0] = '\0';
    if (desk->bulk && desk->bulk->is_up)
        snprintf(word, 48, "%s-%" PRIu64 "b", desk->word,
                 ist_bus_generation(desk->bulk));
    return word;
}

void desk_call_start(struct desk *desk, struct desk_call *call,
                     Isthmus__V1__Call *what)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb wire;
    ProtobufCBinaryData over[SITES_OVER_MAX];
    struct ist_letter letter;
    uint64_t left;
    char word[48], large[48];
    int rc;

    ist_sb_init(&wire, 0);
    call->desk = desk;
    call->id = ist_id_random();
    call->epoch = call->site->peer.epoch;
    call->next_index = call->next_data = call->n_dense = 0;
    call->by_bulk = false;
    call->ended = call->publishing = false;
    call->sent_ms = ist_loop_now(desk->loop);
    call->heard_ms = 0;
    call->what = what_of(what);
    if (call->request_id)
        trace_begin(&desk->traces, call->request_id, ist_loop_wall(desk->loop),
                    call->sent_ms);
    call->held = 0;
    call->publish = (struct ist_bus_publish){0};
    ist_op_begin(&call->op, on_cancel);
    RB_INSERT(desk_calls, &desk->calls, call);
    desk->n_open++;
    desk->counts.calls++;
    if (is_hopeless(call))
        return;
    left = time_left(call);
    snprintf(word, sizeof(word), "%s-%" PRIu64, desk->word,
             ist_bus_generation(desk->bus));
    what->reply_word = word;
    if (what->what_case == ISTHMUS__V1__CALL__WHAT_RELAY)
        what->relay->bulk_word = bulk_word(desk, large);
    what->timeout_ms = (uint32_t) left;
    what->n_over = list_over(call->site, over);
    what->over = over;
    rc = seal_for(call, IST_KIND_QUERY, &what->base, left, &letter, &wire);
    what->n_over = 0;
    if (rc) {
        end_with(call, DESK_TOO_LARGE, "the call is too large to send");
        return;
    }
    call->site->n_over = 0;
    memcpy(call->hash, letter.hash, sizeof(call->hash));
    publish(call, &wire, left);
}

static void give(struct desk_call *call, uint32_t records, uint32_t bytes)
{
    Isthmus__V1__Credit credit = ISTHMUS__V1__CREDIT__INIT;

    if (call->ended)
        return;
    call->window += records;
    call->bytes += bytes;
    credit.records = records;
    credit.bytes = bytes;
    send_aside(call, IST_KIND_CREDIT, "credit", &credit.base);
}

void desk_call_credit(struct desk_call *call, uint32_t records)
{
    give(call, records, 0);
}

void desk_call_credit_bytes(struct desk_call *call, uint32_t bytes)
{
    give(call, 0, bytes);
}

int desk_call_data(struct desk_call *call, const void *data, size_t size,
                   bool last)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb wire;
    Isthmus__V1__Data piece = ISTHMUS__V1__DATA__INIT;
    struct desk *desk = call->desk;
    struct ist_letter letter;
    struct ist_bus_message message;
    char key[48];
    int rc;

    ist_sb_init(&wire, 0);
    if (call->ended)
        return -ECANCELED;
    piece.index = call->next_data;
    piece.bytes = (ProtobufCBinaryData){size, (uint8_t *) (uintptr_t) data};
    piece.last = last;
    rc = seal_for(call, IST_KIND_DATA, &piece.base, LIFETIME_MAX, &letter,
                  &wire);
    if (rc)
        return rc;
    snprintf(key, sizeof(key), "%s.%s", call->by_bulk ? "bulk" : "site",
             call->site->name);
    message = message_to(key, "data", &wire, LIFETIME_MAX);
    message.mandatory = false;
    rc = ist_bus_send(call->by_bulk ? desk->bulk : desk->bus, &message);
    if (rc == 0) {
        call->next_data++;
        desk->counts.bulk += call->by_bulk;
    } else if (rc != -EAGAIN) {
        end_with(call, DESK_NO_BUS,
                 "the hub has no connection to the bus for its body");
    }
    return rc;
}

/* Answers */

static void take_failure(struct desk_call *call,
                         const Isthmus__V1__Failure *failure)
{
    call->failure = failure->code;
    ist_err_set(&call->op.err, DESK_FAILED, "%s",
                failure->text[0] ? failure->text : "failed without a reason");
    if (failure->http >= 100 && failure->http <= 599)
        call->op.err.http = (int) failure->http;
    call->op.err.retryable = failure->retryable;
    end(call, DESK_FAILED);
}

/* What the next frame may take of the arena. */
static size_t share(const struct desk_call *call)
{
    size_t room = call->arena->cap - call->arena->used;

    if (!call->is_sharing)
        return room;
    return room > call->held ? (room - call->held) / 2 : 0;
}

/* In the arena, within the share. NULL when it cannot be. */
static const Isthmus__V1__Reply *unpack(struct desk_call *call,
                                        const struct ist_letter *letter)
{
    struct ist_arena *arena = call->arena;
    const Isthmus__V1__Reply *reply;
    size_t cap = arena->cap;

    arena->cap = arena->used + share(call);
    arena->exceeded = false;
    reply = ist_unpack(&isthmus__v1__reply__descriptor, arena, letter->body,
                       letter->body_size);
    arena->cap = cap;
    if (!reply)
        end_with(call, arena->exceeded ? DESK_TOO_LARGE : DESK_BROKEN,
                 arena->exceeded ? "its answer is over the cap of one request"
                                 : "its answer cannot be read");
    return reply;
}

/* Is it the one that is due, within what was allowed? */
static bool is_due(struct desk_call *call, const Isthmus__V1__Reply *reply)
{
    if (reply->index < call->next_index && !IST_MUTANT("duplicate"))
        return false; /* Seen: the bus may deliver twice. */
    if (reply->index > call->next_index) {
        end_with(call, DESK_BROKEN, "a part of its answer was lost");
        call->op.err.retryable = true;
        return false;
    }
    if (reply->data.len > call->bytes) {
        end_with(call, DESK_BROKEN, "it sent more bytes than it was allowed");
        return false;
    }
    if (reply->n_records > call->window) {
        end_with(call, DESK_BROKEN, "it sent more records than it was allowed");
        return false;
    }
    return true;
}

static void take_frame(struct desk_call *call, const struct ist_letter *letter,
                       bool by_bulk)
{
    struct ist_arena_mark mark = ist_arena_mark(call->arena);
    const Isthmus__V1__Reply *reply = unpack(call, letter);
    int rc;

    if (!reply || !is_due(call, reply)) {
        ist_arena_rewind(call->arena, &mark);
        return;
    }
    call->next_index++;
    call->by_bulk |= by_bulk || (reply->by_bulk && call->desk->bulk);
    call->desk->counts.bulk += by_bulk;
    call->window -= (uint32_t) reply->n_records;
    call->bytes -= reply->data.len;
    if (!call->heard_ms)
        note_latency(call, ist_loop_now(call->desk->loop));
    call->heard_ms = ist_loop_now(call->desk->loop);
    rc = call->on_frame(call, reply);
    if (rc)
        end(call, rc);
    else if (reply->failure)
        take_failure(call, reply->failure);
    else if (reply->last)
        end(call, 0);
    if (call->is_passing)
        ist_arena_rewind(call->arena, &mark);
    else
        call->held += call->arena->used - mark.used;
}

static void take_answer(struct desk *desk, const struct sites_site *site,
                        const struct ist_letter *letter, bool by_bulk)
{
    struct desk_call key = {.id = letter->op}, *call;

    call = RB_FIND(desk_calls, &desk->calls, &key);
    if (IST_MUTANT("late_answer") && !call) {
        RB_FOREACH(call, desk_calls, &desk->calls)
        if (call->site == site)
            break;
    }
    if (!call) {
        desk->counts.late++;
        return;
    }
    if (call->site != site ||
        (memcmp(call->hash, letter->request_hash, sizeof(call->hash)) != 0 &&
         !IST_MUTANT("late_answer"))) {
        desk->counts.broken++;
        return;
    }
    desk->counts.frames++;
    take_frame(call, letter, by_bulk);
}

/* Nobody is left there who would answer. */
static void give_up_some(struct desk *desk, const struct sites_site *site,
                         bool passing_only, const char *why)
{
    struct desk_call *call, *next;

    RB_FOREACH_SAFE(call, desk_calls, &desk->calls, next)
    {
        if (call->site == site && (call->is_passing || !passing_only))
            end_with(call, DESK_ABSENT, why);
    }
}

static void give_up(struct desk *desk, const struct sites_site *site,
                    const char *why)
{
    give_up_some(desk, site, false, why);
}

void desk_site_changed(struct desk *desk, const struct sites_site *site,
                       unsigned changes)
{
    if (changes & SITES_CHANGE_REMOVED)
        give_up(desk, site, "it was removed meanwhile");
    else if (changes & SITES_CHANGE_RESTART)
        give_up(desk, site, "its agent has restarted meanwhile");
    else if (changes & SITES_CHANGE_STATE && site->state == SITES_ABSENT)
        give_up_some(desk, site, true, "its agent is heard no more");
}

static void take_presence(struct desk *desk, struct sites_site *site,
                          const struct ist_letter *letter)
{
    const Isthmus__V1__Presence *presence =
        ist_unpack(&isthmus__v1__presence__descriptor, &desk->scratch,
                   letter->body, letter->body_size);

    if (!presence) {
        desk->counts.broken++;
        return;
    }
    desk->counts.presences++;
    sites_presence(desk->sites, site, presence, letter->issued_ms);
    if (presence->leaving)
        give_up(desk, site, "its agent has stopped meanwhile");
}

/* Everything that reaches the hub passes here. */
static void take(struct desk *desk, const struct ist_bus_message *message,
                 bool by_bulk)
{
    struct sites_site *site;
    struct ist_letter letter;
    struct ist_peer *peer;
    int rc;

    ist_arena_reset(&desk->scratch);
    rc = ist_open(desk->self, sites_find_peer, desk->sites,
                  ist_loop_wall(desk->loop), desk->conf.skew_ms, message->body,
                  message->size, &desk->scratch, &letter, &peer);
    if (rc) {
        desk->counts.refused[rc]++;
        ist_log_debug("survey", "message refused: %s key=%s",
                      ist_seal_refusal_name(rc), message->key);
        return;
    }
    site = sites_of_peer(peer);
    sites_heard(desk->sites, site);
    switch (letter.kind) {
    case IST_KIND_ANSWER:
        take_answer(desk, site, &letter, by_bulk);
        return;
    case IST_KIND_HEARTBEAT:
        take_presence(desk, site, &letter);
        return;
    default:
        desk->counts.broken++;
    }
}

static void on_reply(struct ist_bus_consumer *consumer,
                     const struct ist_bus_message *message)
{
    take(IST_CONTAINER(consumer, struct desk, replies), message, false);
}

static void on_alive(struct ist_bus_consumer *consumer,
                     const struct ist_bus_message *message)
{
    take(IST_CONTAINER(consumer, struct desk, alive), message, false);
}

static void on_large(struct ist_bus_consumer *consumer,
                     const struct ist_bus_message *message)
{
    take(IST_CONTAINER(consumer, struct desk, large), message, true);
}

void desk_bulk_down(struct desk *desk)
{
    Isthmus__V1__Cancel nothing = ISTHMUS__V1__CANCEL__INIT;
    struct desk_call *call, *next;

    RB_FOREACH_SAFE(call, desk_calls, &desk->calls, next)
    {
        if (!call->by_bulk)
            continue;
        send_aside(call, IST_KIND_CANCEL, "cancel", &nothing.base);
        end_with(call, DESK_NO_BUS,
                 "the hub lost its connection for large bodies meanwhile");
    }
}

void desk_down(struct desk *desk, const struct ist_err *err)
{
    struct desk_call *call;

    (void) err;
    while ((call = RB_MIN(desk_calls, &desk->calls)))
        end_with(call, DESK_NO_BUS,
                 "the hub lost its connection to the bus meanwhile");
}

void desk_init(struct desk *desk, struct ist_loop *loop, struct ist_bus *bus,
               struct sites *sites, struct ist_self *self, const char *word,
               const struct desk_conf *conf)
{
    *desk = (struct desk){
        .loop = loop, .bus = bus, .sites = sites, .self = self, .conf = *conf};
    RB_INIT(&desk->calls);
    traces_init(&desk->traces);
    ist_arena_init(&desk->scratch, SCRATCH_MAX);
    ist_arena_init(&desk->packing, PACKING_MAX);
    snprintf(desk->word, sizeof(desk->word), "%s", word);
    snprintf(desk->reply_queue, sizeof(desk->reply_queue), "hub.%s.{n}.rep",
             desk->word);
    snprintf(desk->reply_key, sizeof(desk->reply_key), "%s-{n}.*", desk->word);
    snprintf(desk->alive_queue, sizeof(desk->alive_queue), "hub.%s.{n}.alive",
             desk->word);
    desk->replies = (struct ist_bus_consumer){.queue = desk->reply_queue,
                                              .bind_exchange = "x.rep",
                                              .bind_key = desk->reply_key,
                                              .deliver = on_reply};
    desk->alive = (struct ist_bus_consumer){.queue = desk->alive_queue,
                                            .bind_exchange = "x.evt",
                                            .bind_key = "*.alive",
                                            .ttl_ms = 15000,
                                            .max_length = 20000,
                                            .deliver = on_alive};
    ist_bus_consume(bus, &desk->replies);
    ist_bus_consume(bus, &desk->alive);
}

void desk_bulk_init(struct desk *desk, struct ist_bus *bus)
{
    desk->bulk = bus;
    snprintf(desk->bulk_queue, sizeof(desk->bulk_queue), "hub.%s.{n}.bulk",
             desk->word);
    snprintf(desk->bulk_key, sizeof(desk->bulk_key), "%s-{n}b.*", desk->word);
    desk->large = (struct ist_bus_consumer){.queue = desk->bulk_queue,
                                            .bind_exchange = "x.rep",
                                            .bind_key = desk->bulk_key,
                                            .deliver = on_large};
    ist_bus_consume(bus, &desk->large);
}

void desk_fini(struct desk *desk)
{
    assert(RB_EMPTY(&desk->calls));
    if (desk->bulk)
        ist_bus_cancel(desk->bulk, &desk->large);
    ist_bus_cancel(desk->bus, &desk->replies);
    ist_bus_cancel(desk->bus, &desk->alive);
    ist_timer_disarm(&desk->over);
    past_fini(&desk->past);
    traces_fini(&desk->traces);
    ist_arena_fini(&desk->scratch);
    ist_arena_fini(&desk->packing);
}
