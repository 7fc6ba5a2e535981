/* Happy path: unpack the call, judge it, start the work, and when it is done
 * send its records frame by frame, as credit allows, until the one marked last.
 *
 * Of a list OpenStack is first asked for no more than what the hub has given
 * credit for: of many sites it needs few records each, and a service takes
 * its time for every one. Credit for more means that this site is one of
 * those that fill the page; then the rest is asked for at once.
 *
 * It ends early when the hub cancels, when the connection is lost, or when the
 * call's time is over: then nothing more is sent, for nobody waits for it. A
 * failure of the work is an answer like any other. */
#include "serve/answer.h"

#include "base/log.h"
#include "codec/unpack.h"
#include "model/kind.h"
#include "serve/audit.h"
#include "serve/relay.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_BYTES (256U * 1024)      /* Of records in one frame, about. */
#define FRAME_MAX   (4U * 1024 * 1024) /* Rewritten: a frame and one more. */
#define TIMEOUT_MAX 60000U

static int answer_cmp(struct serve_answer *a, struct serve_answer *b)
{
    return ist_id_cmp(&a->stream.id, &b->stream.id);
}

RB_GENERATE_INTERNAL(serve_answers, serve_answer, node, answer_cmp, )

struct serve_answer *serve_answer_find(struct serve *serve,
                                       const struct ist_id *id)
{
    struct serve_answer key = {.stream.id = *id};

    return RB_FIND(serve_answers, &serve->answers, &key);
}

/* Frames */

/* A record's body as the hub is to have it; data NULL: no memory. */
static ProtobufCBinaryData body_of(struct serve_answer *answer,
                                   const struct os_record *record)
{
    struct ist_rewrite doc = {.how = answer->rewriting};
    ProtobufCBinaryData ret = {record->body.size,
                               (uint8_t *) record->body.data};
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;

    ist_sb_init(&text, 0);
    if (!answer->is_rewritten)
        return ret;
    ist_rewrite_feed(&doc, record->body.data, record->body.size, &text);
    ist_rewrite_end(&doc, &text);
    ret.len = text.len;
    ret.data =
        text.rc ? NULL
                : ist_arena_dup(&answer->frame, ist_sb_text(&text), text.len);
    return ret;
}

/* What a record adds to its frame, about. */
static size_t record_size(const struct serve_answer *answer,
                          const struct os_record *record)
{
    size_t size = record->body.size + strlen(record->id);

    for (size_t i = 0; i < answer->list.n_sort; i++)
        size += record->keys[i].size;
    return size;
}

static size_t fill_records(struct serve_answer *answer,
                           Isthmus__V1__Record *records,
                           Isthmus__V1__Record **at, ProtobufCBinaryData *keys,
                           size_t max)
{
    size_t n = 0, bytes = 0;

    while (n < max && answer->next_record < answer->n_records) {
        const struct os_record *from = &answer->records[answer->next_record];
        Isthmus__V1__Record *record = &records[n];
        size_t size = record_size(answer, from);

        if (n && bytes + size > FRAME_BYTES)
            break;
        isthmus__v1__record__init(record);
        record->keys = keys;
        record->n_keys = answer->list.n_sort;
        for (size_t i = 0; i < record->n_keys; i++)
            *keys++ = (ProtobufCBinaryData){from->keys[i].size,
                                            (uint8_t *) from->keys[i].data};
        record->id = (char *) from->id;
        record->body = body_of(answer, from);
        bytes += size;
        at[n++] = record;
        answer->next_record++;
    }
    return n;
}

void serve_answer_fail(struct serve_answer *answer,
                       Isthmus__V1__Failure__Code code,
                       const struct ist_err *err)
{
    isthmus__v1__failure__init(&answer->failure);
    answer->failure.code = code;
    answer->failure.http = (uint32_t) err->http;
    answer->failure.retryable = err->retryable;
    answer->failure.text = ist_arena_strdup(&answer->arena, err->text);
    answer->has_failed = true;
    answer->has_more = false;
    answer->n_records = answer->next_record = answer->n_skipped = 0;
    answer->serve->counts.failed++;
}

void serve_answer_refuse(struct serve_answer *answer,
                         Isthmus__V1__Failure__Code code, const char *text)
{
    struct ist_err err;

    ist_err_set(&err, 1, "%s", text);
    serve_answer_fail(answer, code, &err);
}

#define FRAME_RECORDS 256U

static bool is_all_sent(const struct serve_answer *answer)
{
    return answer->next_record == answer->n_records;
}

static bool is_whole(const struct serve_answer *answer)
{
    return is_all_sent(answer) && !answer->has_more;
}

/* One frame; true when there is another one to send. */
static bool send_frame(struct serve_answer *answer)
{
    Isthmus__V1__Record records[FRAME_RECORDS], *at[FRAME_RECORDS];
    ProtobufCBinaryData keys[FRAME_RECORDS * IST_ORDER_KEYS_MAX];
    Isthmus__V1__Reply reply = ISTHMUS__V1__REPLY__INIT;
    size_t before = answer->next_record;
    size_t max = answer->granted < FRAME_RECORDS ? (size_t) answer->granted
                                                 : FRAME_RECORDS;
    int rc;

    ist_arena_reset(&answer->frame);
    reply.n_records = fill_records(answer, records, at, keys, max);
    reply.records = at;
    reply.last = is_whole(answer);
    if (reply.last && answer->has_failed)
        reply.failure = &answer->failure;
    reply.skipped = answer->n_skipped < UINT32_MAX
                        ? (uint32_t) answer->n_skipped
                        : UINT32_MAX;
    if (reply.skipped && answer->skipped_why)
        reply.skipped_why = answer->skipped_why;
    reply.services = (Isthmus__V1__Service **) answer->services;
    reply.n_services = answer->n_services;
    reply.feed = (Isthmus__V1__FeedState *) (uintptr_t) answer->feed;
    reply.identity = (Isthmus__V1__Identity *) (uintptr_t) answer->identity;
    reply.mappings = answer->mappings;
    reply.n_mappings = answer->n_mappings;
    rc = answer->frame.exceeded ? -EMSGSIZE
                                : serve_stream_send(&answer->stream, &reply);
    if (rc == -EAGAIN) {
        answer->next_record = before;
        answer->is_stalled = true;
        return false;
    }
    if (rc == -EMSGSIZE && !answer->has_failed) {
        serve_answer_refuse(answer, ISTHMUS__V1__FAILURE__CODE__TOO_LARGE,
                            "a record is too large for a message");
        return true;
    }
    if (rc) {
        ist_op_cancel(&answer->op, rc);
        return false;
    }
    answer->n_skipped -= reply.skipped;
    answer->granted -= reply.n_records;
    answer->serve->counts.records += reply.n_records;
    if (reply.last)
        ist_op_finish(&answer->op, 0);
    return !reply.last;
}

static void list_on(struct serve_answer *answer);

void serve_answer_pump(struct serve_answer *answer)
{
    answer->is_stalled = false;
    if (answer->relay && !answer->has_failed) {
        serve_relay_pump(answer->relay);
        return;
    }
    if (!answer->is_ready || answer->op.state != IST_OP_RUNNING)
        return;
    while (!is_all_sent(answer) || !answer->has_more) {
        if (answer->granted == 0 && !is_whole(answer))
            return;
        if (!send_frame(answer))
            return;
    }
    if (answer->granted > 0)
        list_on(answer);
}

void serve_answer_credit(struct serve_answer *answer, uint32_t records)
{
    answer->granted += records;
    serve_answer_pump(answer);
}

/* The work is done, or was refused: from here on there is only sending. */
static void ready(struct serve_answer *answer)
{
    if (answer->op.state != IST_OP_RUNNING) { /* Cancelled meanwhile. */
        ist_op_finish(&answer->op, -ECANCELED);
        return;
    }
    answer->is_ready = true;
    serve_answer_pump(answer);
}

/* The kinds of calls */

static void on_work_done(struct serve_answer *answer, const struct ist_op *work)
{
    if (work->rc)
        serve_answer_fail(answer, os_failure_code(work->rc), &work->err);
    ready(answer);
}

/* One record that is of no use must not cost a site its whole list; but the
 * caller gets to know. */
static void skip(struct serve_answer *answer, const struct os_list *list)
{
    answer->n_skipped += list->n_refused;
    answer->serve->counts.skipped += list->n_refused;
    answer->skipped_why = ist_arena_strdup(&answer->arena, list->op.err.text);
}

static void on_list_done(struct ist_op *op)
{
    struct serve_answer *answer =
        IST_CONTAINER(op, struct serve_answer, list.op);
    const struct os_list *list = &answer->list;

    if (answer->word.asks && !answer->is_rewritten && list->n_records) {
        answer->is_rewritten = true;
        if (!serve_assertion_rewriting(answer, &answer->word,
                                       &answer->rewriting)) {
            serve_answer_refuse(answer, ISTHMUS__V1__FAILURE__CODE__TOO_LARGE,
                                "no memory is left for the list");
            ready(answer);
            return;
        }
    }
    answer->records = list->records;
    answer->n_records = op->rc == 0 || list->is_whole ? list->n_records : 0;
    answer->next_record = 0;
    answer->has_more = list->has_more;
    if (op->rc == 0 || !list->is_whole) {
        on_work_done(answer, op);
        return;
    }
    skip(answer, list);
    ready(answer);
}

static struct ist_bytes copy(struct ist_arena *arena, const void *data,
                             size_t size)
{
    return (struct ist_bytes){ist_arena_dup(arena, data, size), size};
}

/* Copied, for the records themselves go. */
static bool copy_last_place(struct serve_answer *answer,
                            struct ist_place *place)
{
    const struct os_record *last = &answer->records[answer->n_records - 1];

    *place = (struct ist_place){.site = ""};
    place->id = copy(&answer->arena, last->id, strlen(last->id));
    for (size_t i = 0; i < answer->list.n_sort; i++)
        place->keys[i] =
            copy(&answer->arena, last->keys[i].data, last->keys[i].size);
    return !answer->arena.exceeded;
}

/* All the rest. */
static void list_on(struct serve_answer *answer)
{
    struct os_list *list = &answer->list;

    answer->is_ready = false;
    if (!copy_last_place(answer, &list->after)) {
        serve_answer_refuse(answer, ISTHMUS__V1__FAILURE__CODE__TOO_LARGE,
                            "no memory is left to go on with the list");
        ready(answer);
        return;
    }
    list->has_after = true;
    list->ties = OS_TIES_AFTER_ID;
    list->limit -= answer->n_records;
    list->first = 0;
    answer->records = NULL;
    answer->n_records = answer->next_record = 0;
    os_list_fini(list);
    ist_op_prepare(&list->op, answer->op.loop, &answer->op, 0, on_list_done);
    os_list_start(serve_assertion_cloud(answer, &answer->word), list);
}

static void on_show_done(struct ist_op *op)
{
    struct serve_answer *answer =
        IST_CONTAINER(op, struct serve_answer, show.op);

    answer->records = &answer->show.record;
    answer->n_records = op->rc ? 0 : 1;
    on_work_done(answer, op);
}

static void on_probe_done(struct ist_op *op)
{
    struct serve_answer *answer =
        IST_CONTAINER(op, struct serve_answer, probe.op);

    answer->services = answer->probe.services;
    answer->n_services = op->rc ? 0 : answer->probe.n_services;
    on_work_done(answer, op);
}

/* Without a feed there is none to be told of: epoch 0. */
static void take_feed(struct serve_answer *answer)
{
    static const Isthmus__V1__FeedState none = ISTHMUS__V1__FEED_STATE__INIT;
    struct feed *feed = answer->serve->feed;

    answer->feed = feed ? feed_state(feed, &answer->arena) : &none;
    if (!answer->feed)
        serve_answer_refuse(answer, ISTHMUS__V1__FAILURE__CODE__TOO_LARGE,
                            "no memory is left to tell how far the feed is");
}

static void on_settled(struct ist_op *op)
{
    struct serve_answer *answer =
        IST_CONTAINER(op, struct serve_answer, settle.op);

    if (op->rc == 0)
        take_feed(answer);
    on_work_done(answer, op);
}

static bool take_sort(struct os_list *list, const Isthmus__V1__List *from)
{
    if (from->n_sort > IST_ORDER_KEYS_MAX)
        return false;
    list->n_sort = from->n_sort;
    for (size_t i = 0; i < from->n_sort; i++)
        list->sort[i] =
            (struct os_sort){from->sort[i]->name, from->sort[i]->descending};
    return true;
}

static bool take_filters(struct os_list *list, const Isthmus__V1__List *from)
{
    if (from->n_filters > OS_FILTERS_MAX)
        return false;
    list->n_filters = from->n_filters;
    for (size_t i = 0; i < from->n_filters; i++)
        list->filters[i] =
            (struct os_filter){from->filters[i]->name,
                               (const char *const *) from->filters[i]->values,
                               from->filters[i]->n_values};
    return true;
}

static bool take_after(struct os_list *list, const Isthmus__V1__List *from)
{
    static const enum os_ties ties[] = {
        [ISTHMUS__V1__AFTER__TIES__AFTER_ID] = OS_TIES_AFTER_ID,
        [ISTHMUS__V1__AFTER__TIES__SKIP] = OS_TIES_SKIP,
        [ISTHMUS__V1__AFTER__TIES__TAKE] = OS_TIES_TAKE,
    };
    const Isthmus__V1__After *after = from->after;

    if (!after)
        return true;
    if (after->n_keys != from->n_sort ||
        (size_t) after->ties >= IST_COUNT(ties))
        return false;
    list->has_after = true;
    list->ties = ties[after->ties];
    list->after.site = "";
    list->after.id = (struct ist_bytes){after->id, strlen(after->id)};
    for (size_t i = 0; i < after->n_keys; i++)
        list->after.keys[i] =
            (struct ist_bytes){after->keys[i].data, after->keys[i].len};
    return true;
}

/* In a client's name: his filters, his microversion, his id of the request. */
static void take_word(struct serve_answer *answer)
{
    const Isthmus__V1__Assertion *said = answer->word.assertion;
    const char *query = strchr(said->target, '?');

    answer->list.query = query ? query + 1 : "";
    answer->list.request_id = said->request_id[0] ? said->request_id : NULL;
    if (answer->call->list->version[0])
        answer->list.version = answer->call->list->version;
}

static bool start_list(struct serve_answer *answer)
{
    const Isthmus__V1__List *from = answer->call->list;
    struct os_list *list = &answer->list;

    list->kind = from->kind;
    list->limit = from->limit;
    /* An exchange more costs more than half a page. */
    list->first = from->window < from->limit / 2 ? from->window : 0;
    list->memory = answer->serve->conf.answer_memory;
    answer->granted = from->window;
    if (from->limit == 0 || from->limit > OS_LIMIT_MAX || from->window == 0 ||
        !take_sort(list, from) || !take_filters(list, from) ||
        !take_after(list, from))
        return false;
    if (answer->word.asks)
        take_word(answer);
    ist_op_prepare(&list->op, answer->op.loop, &answer->op, 0, on_list_done);
    os_list_start(serve_assertion_cloud(answer, &answer->word), list);
    return true;
}

static bool start_show(struct serve_answer *answer)
{
    struct os_show *show = &answer->show;

    show->kind = answer->call->show->kind;
    show->id = answer->call->show->id;
    answer->granted = 1;
    ist_op_prepare(&show->op, answer->op.loop, &answer->op, 0, on_show_done);
    os_show_start(answer->serve->cloud, show);
    return true;
}

static bool start_probe(struct serve_answer *answer)
{
    ist_op_prepare(&answer->probe.op, answer->op.loop, &answer->op, 0,
                   on_probe_done);
    os_probe_start(answer->serve->cloud, &answer->probe);
    return true;
}

static bool start_position(struct serve_answer *answer)
{
    struct feed *feed = answer->serve->feed;

    if (feed) {
        ist_op_prepare(&answer->settle.op, answer->op.loop, &answer->op, 0,
                       on_settled);
        feed_settle_start(feed, &answer->settle);
        return true;
    }
    take_feed(answer);
    ready(answer);
    return true;
}

static bool start_resync(struct serve_answer *answer)
{
    const Isthmus__V1__Resync *resync = answer->call->resync;

    if (answer->serve->feed)
        feed_resync(answer->serve->feed, resync->kinds, resync->n_kinds);
    take_feed(answer);
    ready(answer);
    return true;
}

static void on_visited(struct ist_op *op)
{
    struct serve_answer *answer =
        IST_CONTAINER(op, struct serve_answer, visitor.op);

    struct os_visitor *visitor = &answer->visitor;

    if (op->rc == 0) {
        answer->identity = visitor->identity;
        /* Only where the site has its users act with their own. */
        if (answer->serve->guests && visitor->asks->wants_token)
            visitor->identity->token = (ProtobufCBinaryData){
                strlen(visitor->token), (uint8_t *) visitor->token};
    }
    on_work_done(answer, op);
}

static bool start_login(struct serve_answer *answer)
{
    struct os_visitor *visitor = &answer->visitor;

    visitor->cloud = answer->serve->cloud;
    visitor->asks = answer->call->login;
    visitor->site = &answer->serve->self->uid;
    visitor->arena = &answer->arena;
    ist_op_prepare(&visitor->op, answer->op.loop, &answer->op, 0, on_visited);
    os_visitor_start(visitor);
    return true;
}

static bool start_mappings(struct serve_answer *answer)
{
    if (!projects_tell(answer->serve->projects, &answer->arena,
                       &answer->mappings, &answer->n_mappings))
        serve_answer_refuse(answer, ISTHMUS__V1__FAILURE__CODE__TOO_LARGE,
                            "no memory is left to tell the projects");
    ready(answer);
    return true;
}

static const char *kind_of_show(const Isthmus__V1__Call *call)
{
    return call->show->kind;
}

static const char *kind_of_probe(const Isthmus__V1__Call *call)
{
    (void) call;
    return "service";
}

static const char *kind_of_login(const Isthmus__V1__Call *call)
{
    (void) call;
    return "project";
}

static const char *kind_of_feed(const Isthmus__V1__Call *call)
{
    (void) call;
    return "service";
}

static bool look_at_list(struct serve_answer *answer, struct serve_asked *ret)
{
    const Isthmus__V1__List *list = answer->call->list;

    *ret = (struct serve_asked){POLICY_READ, list->kind, NULL};
    if (!list->as)
        return true;
    if (!serve_assertion_look(answer, list->as, &answer->word, ret))
        return false;
    if (ret->verb == POLICY_READ && strcmp(ret->kind, list->kind) == 0)
        return true;
    serve_answer_refuse(answer, ISTHMUS__V1__FAILURE__CODE__DENIED,
                        "the hub's assertion is for something else");
    return false;
}

/* What a call may be: by which verb and kind the policy judges it, and who
 * carries it out (false: it makes no sense). */
struct serve_verb {
    Isthmus__V1__Call__WhatCase what;
    enum policy_verb verb;
    const char *(*kind)(const Isthmus__V1__Call *);
    bool (*start)(struct serve_answer *);
    /* Instead of verb and kind; false: the answer is a failure already. */
    bool (*look)(struct serve_answer *, struct serve_asked *ret);
};

#define READS(case, its_kind, starter)                                         \
    {                                                                          \
        .what = ISTHMUS__V1__CALL__WHAT_##case, .verb = POLICY_READ,           \
        .kind = its_kind, .start = starter                                     \
    }

static const struct serve_verb verbs[] = {
    {.what = ISTHMUS__V1__CALL__WHAT_LIST,
     .start = start_list,
     .look = look_at_list},
    READS(SHOW, kind_of_show, start_show),
    READS(PROBE, kind_of_probe, start_probe),
    /* What they tell of is what the policy lets be listed; they themselves
     * say nothing of any row. */
    READS(POSITION, kind_of_feed, start_position),
    READS(RESYNC, kind_of_feed, start_resync),
    READS(MAPPINGS, kind_of_feed, start_mappings),
    READS(LOGIN, kind_of_login, start_login),
    {.what = ISTHMUS__V1__CALL__WHAT_RELAY,
     .start = serve_relay_start,
     .look = serve_relay_look},
};

/* The way of a call */

static bool is_login(const struct serve_answer *answer)
{
    return answer->call->what_case == ISTHMUS__V1__CALL__WHAT_LOGIN;
}

/* The password was in the arena. */
static void wipe_login(struct serve_answer *answer)
{
    if (is_login(answer))
        explicit_bzero(answer->call->login->password.data,
                       answer->call->login->password.len);
}

static void on_answered(struct ist_op *op)
{
    struct serve_answer *answer = IST_CONTAINER(op, struct serve_answer, op);

    RB_REMOVE(serve_answers, &answer->serve->answers, answer);
    answer->serve->n_open--;
    if (!serve_relay_is_bulk(answer->relay))
        answer->serve->small_ended_ms = ist_loop_now(answer->serve->loop);
    os_list_fini(&answer->list);
    os_show_fini(&answer->show);
    os_probe_fini(&answer->probe);
    os_visitor_fini(&answer->visitor);
    wipe_login(answer);
    serve_relay_free(answer->relay);
    serve_assertion_fini(&answer->word);
    ist_arena_fini(&answer->frame);
    ist_arena_fini(&answer->arena);
    free(answer);
}

/* While the work goes on its op is cancelled too, and ready() finishes. */
static void on_cancel(struct ist_op *op)
{
    struct serve_answer *answer = IST_CONTAINER(op, struct serve_answer, op);

    if (answer->is_ready)
        ist_op_finish(op, -ECANCELED);
}

static const struct serve_verb *find_verb(const Isthmus__V1__Call *call)
{
    for (size_t i = 0; i < IST_COUNT(verbs); i++) {
        if (verbs[i].what == call->what_case)
            return &verbs[i];
    }
    return NULL;
}

static void tell_denied(struct serve *serve, enum policy_verb verb,
                        const char *kind)
{
    const char *known = ist_kind_find(kind) ? kind : "unknown";
    char text[128];

    snprintf(text, sizeof(text), "the site's policy denied the hub: %s %s",
             policy_verb_name(verb), known);
    serve_tell(serve, "denied", known, policy_verb_name(verb), text);
}

static bool look(struct serve_answer *answer, struct serve_asked *ret)
{
    const struct serve_verb *verb = answer->verb;

    if (verb->look)
        return verb->look(answer, ret);
    *ret = (struct serve_asked){verb->verb, verb->kind(answer->call), NULL};
    return true;
}

/* In the site's audit log, where it asks for an effect in a client's name; what
 * only reads needs no record. */
static bool is_recorded(struct serve_answer *answer, enum policy_verb verb,
                        const char *kind, const char *reason)
{
    struct serve_audit *audit = answer->serve->audit;

    if (!audit || !answer->word.asks || verb == POLICY_READ)
        return true;
    return serve_audit_add(audit, &answer->word, verb, kind, reason);
}

/* One whose word was not good enough for the policy to judge. */
static void record_refusal(struct serve_answer *answer)
{
    const Isthmus__V1__Assertion *said = answer->word.assertion;

    if (said && strcmp(said->method, "GET") != 0 &&
        strcmp(said->method, "HEAD") != 0)
        is_recorded(answer, POLICY_ACTION, "unknown", answer->failure.text);
}

static bool is_allowed(struct serve_answer *answer,
                       const struct serve_asked *asked)
{
    struct serve *serve = answer->serve;
    struct policy_verdict verdict =
        policy_judge(serve->policy, asked->verb, asked->kind, asked->project);

    if (verdict.allow && is_recorded(answer, asked->verb, asked->kind, NULL))
        return true;
    if (verdict.allow) {
        serve_answer_refuse(answer, ISTHMUS__V1__FAILURE__CODE__BUSY,
                            "the site cannot record it, and does nothing "
                            "without a record: see its agent's log");
        return false;
    }
    is_recorded(answer, asked->verb, asked->kind, verdict.reason);
    serve->counts.denied++;
    tell_denied(serve, asked->verb, asked->kind);
    ist_log_info("serve", "denied by the site's policy: %s %s (%s)",
                 policy_verb_name(asked->verb), asked->kind, verdict.reason);
    serve_answer_refuse(answer, ISTHMUS__V1__FAILURE__CODE__DENIED,
                        "the site's policy does not allow it");
    return false;
}

/* Refuses, or starts the work: zero OpenStack calls for what is denied. */
static void judge(struct serve_answer *answer)
{
    struct serve *serve = answer->serve;
    struct serve_asked asked;

    if (!answer->verb) {
        serve_answer_refuse(
            answer, ISTHMUS__V1__FAILURE__CODE__BAD_CALL,
            "this agent does not know that kind of call: is it older "
            "than the hub?");
    } else if (serve->n_open > serve->conf.calls_max) {
        serve->counts.busy++;
        serve_answer_refuse(answer, ISTHMUS__V1__FAILURE__CODE__BUSY,
                            "the agent works on as many calls as it may");
        answer->failure.retryable = true;
    } else if (!look(answer, &asked)) {
        record_refusal(answer); /* The answer says why. */
    } else if (!is_allowed(answer, &asked)) {
        /* The same. */
    } else if (!serve->cloud) {
        serve_answer_refuse(answer, ISTHMUS__V1__FAILURE__CODE__UNSUPPORTED,
                            "the agent has no OpenStack configured");
    } else if (answer->verb->start(answer)) {
        return;
    } else {
        serve_answer_refuse(
            answer, ISTHMUS__V1__FAILURE__CODE__BAD_CALL,
            "the call is out of range: is the agent older than the hub?");
    }
    ready(answer);
}

/* Refusals too wait for a bus that takes nothing: no more of them than there
 * may be calls. What comes on top is not answered at all. */
static bool is_flooded(struct serve *serve)
{
    if (serve->n_open < 2 * serve->conf.calls_max)
        return false;
    serve->counts.busy++;
    return true;
}

void serve_answers_over(struct serve *serve, const ProtobufCBinaryData *ids,
                        size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct serve_answer *answer;
        struct ist_id id;

        if (ids[i].len != sizeof(id.b))
            continue;
        memcpy(id.b, ids[i].data, sizeof(id.b));
        answer = serve_answer_find(serve, &id);
        if (answer)
            ist_op_cancel(&answer->op, -ECANCELED);
    }
}

void serve_answer_start(struct serve *serve, const struct ist_letter *letter)
{
    struct serve_answer *answer =
        is_flooded(serve) ? NULL : calloc(1, sizeof(*answer));
    uint64_t timeout;

    if (!answer)
        return;
    ist_arena_init(&answer->arena, 1U << 20);
    ist_arena_init(&answer->frame, FRAME_MAX);
    answer->call = ist_unpack(&isthmus__v1__call__descriptor, &answer->arena,
                              letter->body, letter->body_size);
    if (!answer->call || !serve_is_word(answer->call->reply_word) ||
        answer->call->timeout_ms == 0 ||
        serve_answer_find(serve, &letter->op)) {
        serve->counts.refused[IST_SEAL_BODY]++;
        ist_arena_fini(&answer->arena);
        free(answer);
        return;
    }
    serve_answers_over(serve, answer->call->over, answer->call->n_over);
    answer->serve = serve;
    serve_stream_init(&answer->stream, serve, letter, answer->call->reply_word);
    answer->verb = find_verb(answer->call);
    timeout = answer->call->timeout_ms;
    if (timeout > TIMEOUT_MAX)
        timeout = TIMEOUT_MAX;
    /* A relay goes on for as long as anything moves (relay.c). */
    ist_op_prepare(
        &answer->op, serve->loop, NULL,
        answer->call->what_case == ISTHMUS__V1__CALL__WHAT_RELAY ? 0 : timeout,
        on_answered);
    RB_INSERT(serve_answers, &serve->answers, answer);
    serve->n_open++;
    ist_op_begin(&answer->op, on_cancel);
    if (is_login(answer)) /* In the letter too, which is ours to open. */
        explicit_bzero((void *) (uintptr_t) letter->body, letter->body_size);
    judge(answer);
}
