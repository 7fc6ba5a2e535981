/* Happy path: a query arrives in site.<s>.req, opens, unpacks, becomes an
 * answer (answer.c). Credit and cancel find their answer by its op id.
 *
 * What does not open is counted and forgotten: nobody is told, since whoever
 * sent it may be anyone. One case gets a hint: a query that names another epoch
 * of ours comes from a hub that has not heard of our restart, so presence goes
 * out at once. */
#include "serve/serve.h"

#include "base/log.h"
#include "codec/unpack.h"
#include "serve/answer.h"
#include "serve/relay.h"

#include "isthmus/v1/presence.pb-c.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SCRATCH_MAX       (4U * 1024 * 1024)
#define PACKING_MAX       (2U * 1024 * 1024)
#define PRESENCE_LIFE_MS  15000
#define PRESENCE_AGAIN_MS 1000 /* Between two hints. */
#define WORD_MAX          32U
#define JUST_NOW_MS       10U
#define TELL_MS           60000
#define TELL_MAX          10 /* Warnings told in that time. */

const struct ist_row serve_rows[] = {
    {"calls.max", IST_ROW_U64, offsetof(struct serve_conf, calls_max), "256", 1,
     100000, 0,
     "Calls of the hub worked on at once; beyond it a call is answered "
     "'busy'."},
    {"calls.answer_memory", IST_ROW_BYTES,
     offsetof(struct serve_conf, answer_memory), "16MiB", 1U << 20, 1U << 30, 0,
     "Memory that the rows of one answer may take; an answer that needs more "
     "fails as too large."},
    {"calls.clock_skew", IST_ROW_MS, offsetof(struct serve_conf, skew_ms),
     "30s", 0, 120000, 0,
     "Clock difference between hub and site that is borne."},
    {"presence.every", IST_ROW_MS, offsetof(struct serve_conf, presence_ms),
     "5s", 1000, 5000, 0,
     "How often the agent says that it is there; absent after 10 s."},
    {"bulk.yield", IST_ROW_MS, offsetof(struct serve_conf, bulk_yield_ms),
     "10ms", 0, 1000, 0,
     "Pause between two pieces (256 KiB) of an image or another large body, "
     "while other calls are under way; 0: none. Without other calls there is "
     "no pause."},
    IST_ROW_END,
};

/* Presence */

/* 'digest' holds that of the projects. */
static void fill_presence(struct serve *serve, Isthmus__V1__Presence *presence,
                          bool leaving, uint8_t digest[32])
{
    static char version[] = IST_VERSION;

    isthmus__v1__presence__init(presence);
    presence->version = version;
    presence->started_ms = serve->started_ms;
    presence->open_calls = (uint32_t) serve->n_open;
    presence->policy_digest = (ProtobufCBinaryData){
        sizeof(serve->policy->digest), serve->policy->digest};
    presence->policy_mode = (char *) policy_mode_name(serve->policy->mode);
    presence->leaving = leaving;
    if (serve->cloud)
        presence->n_services =
            os_cloud_services(serve->cloud, &presence->services);
    if (projects_count(serve->projects)) {
        projects_digest(serve->projects, digest);
        presence->projects_digest = (ProtobufCBinaryData){32, digest};
    }
    if (serve->feed)
        presence->feed = (Isthmus__V1__FeedState *) (uintptr_t) feed_state(
            serve->feed, &serve->packing);
}

void serve_presence(struct serve *serve, bool leaving)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb wire;
    Isthmus__V1__Presence presence;
    uint8_t digest[32];
    struct ist_letter letter = {.kind = IST_KIND_HEARTBEAT};
    struct ist_bus_message message;
    uint64_t now = ist_loop_wall(serve->loop);

    ist_sb_init(&wire, 0);
    if (serve->is_stopped)
        return;
    ist_arena_reset(&serve->packing);
    fill_presence(serve, &presence, leaving, digest);
    letter.expires_ms = now + PRESENCE_LIFE_MS;
    letter.body = ist_pack(&presence, &serve->packing, &letter.body_size);
    if (!letter.body ||
        ist_seal(serve->self, serve->hub, now, &letter, &wire) != 0)
        return;
    message = (struct ist_bus_message){.exchange = "x.evt",
                                       .key = serve->alive_key,
                                       .body = wire.data,
                                       .size = wire.len,
                                       .type = "alive",
                                       .expiration_ms = PRESENCE_LIFE_MS};
    serve->presence_sent_ms = ist_loop_now(serve->loop);
    ist_bus_send(serve->bus, &message);
}

static void on_presence_due(struct ist_timer *timer)
{
    struct serve *serve = IST_CONTAINER(timer, struct serve, presence);

    serve_presence(serve, false);
    ist_timer_arm_in(timer, serve->loop, serve->conf.presence_ms,
                     on_presence_due);
}

static void hint(struct serve *serve)
{
    uint64_t now = ist_loop_now(serve->loop);

    if (now - serve->presence_sent_ms >= PRESENCE_AGAIN_MS)
        serve_presence(serve, false);
}

/* News */

void serve_tell(struct serve *serve, const char *action, const char *kind,
                const char *subject, const char *text)
{
    uint64_t now = ist_loop_now(serve->loop);

    if (now - serve->told_since_ms >= TELL_MS) {
        serve->told_since_ms = now;
        serve->n_told = 0;
    }
    if (!serve->feed || serve->n_told >= TELL_MAX)
        return;
    serve->n_told++;
    feed_tell(
        serve->feed,
        &(struct feed_news){.severity = ISTHMUS__V1__EVENT__SEVERITY__WARNING,
                            .service = "agent",
                            .kind = kind,
                            .action = action,
                            .subject = subject,
                            .text = text});
}

/* What comes from the hub */

static void take_credit(struct serve *serve, const struct ist_letter *letter)
{
    struct serve_answer *answer = serve_answer_find(serve, &letter->op);
    const Isthmus__V1__Credit *credit =
        ist_unpack(&isthmus__v1__credit__descriptor, &serve->scratch,
                   letter->body, letter->body_size);

    if (answer && credit && answer->relay)
        serve_relay_credit(answer->relay, credit->bytes);
    else if (answer && credit)
        serve_answer_credit(answer, credit->records);
}

static void take_data(struct serve *serve, const struct ist_letter *letter)
{
    struct serve_answer *answer = serve_answer_find(serve, &letter->op);
    const Isthmus__V1__Data *data =
        ist_unpack(&isthmus__v1__data__descriptor, &serve->scratch,
                   letter->body, letter->body_size);

    if (answer && answer->relay && data)
        serve_relay_data(answer->relay, data);
}

static void take_cancel(struct serve *serve, const struct ist_letter *letter)
{
    struct serve_answer *answer = serve_answer_find(serve, &letter->op);
    const Isthmus__V1__Cancel *cancel =
        ist_unpack(&isthmus__v1__cancel__descriptor, &serve->scratch,
                   letter->body, letter->body_size);

    if (answer)
        ist_op_cancel(&answer->op, -ECANCELED);
    if (cancel)
        serve_answers_over(serve, cancel->over, cancel->n_over);
}

static void take_query(struct serve *serve, const struct ist_letter *letter)
{
    serve->counts.calls++;
    serve_answer_start(serve, letter);
}

static const struct {
    enum ist_letter_kind kind;
    void (*take)(struct serve *, const struct ist_letter *);
} takers[] = {
    {IST_KIND_QUERY, take_query},
    {IST_KIND_CREDIT, take_credit},
    {IST_KIND_CANCEL, take_cancel},
    {IST_KIND_DATA, take_data},
};

static struct ist_peer *find_hub(void *arg, const uint8_t id[16])
{
    struct serve *serve = arg;

    return memcmp(serve->hub->id_in, id, 16) == 0 ? serve->hub : NULL;
}

int serve_open(struct serve *serve, uint64_t now_ms,
               const struct ist_bus_message *message, struct ist_letter *ret)
{
    struct ist_peer *peer;
    int rc;

    ist_arena_reset(&serve->scratch);
    rc = ist_open(serve->self, find_hub, serve, now_ms, serve->conf.skew_ms,
                  message->body, message->size, &serve->scratch, ret, &peer);
    if (rc)
        serve->counts.refused[rc]++;
    return rc;
}

bool serve_is_asked(const struct serve *serve)
{
    return serve->n_open > serve->n_bulk ||
           ist_loop_now(serve->loop) - serve->small_ended_ms < JUST_NOW_MS;
}

bool serve_is_word(const char *word)
{
    size_t len = strlen(word);

    return len > 0 && len <= WORD_MAX &&
           strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

void serve_take(struct serve *serve, const struct ist_bus_message *message)
{
    struct ist_letter letter;
    int rc = serve_open(serve, ist_loop_wall(serve->loop), message, &letter);

    if (rc) {
        ist_log_debug("serve", "message refused: %s",
                      ist_seal_refusal_name(rc));
        if (rc == IST_SEAL_EPOCH)
            hint(serve);
        return;
    }
    if (serve->heard)
        serve->heard(serve->heard_arg);
    for (size_t i = 0; i < IST_COUNT(takers); i++) {
        if (takers[i].kind == letter.kind)
            takers[i].take(serve, &letter);
    }
}

static void on_request(struct ist_bus_consumer *consumer,
                       const struct ist_bus_message *message)
{
    serve_take(IST_CONTAINER(consumer, struct serve, requests), message);
}

/* Life */

void serve_up(struct serve *serve)
{
    if (!serve->is_stopped)
        on_presence_due(&serve->presence);
}

/* Answers under way cannot reach their hub any more: it takes new queues when
 * it comes back, and has given up on these. */
void serve_down(struct serve *serve)
{
    struct serve_answer *answer;

    ist_timer_disarm(&serve->presence);
    RB_FOREACH(answer, serve_answers, &serve->answers)
    ist_op_cancel(&answer->op, -ENOTCONN);
}

void serve_drained(struct serve *serve)
{
    struct serve_answer *answer;

    RB_FOREACH(answer, serve_answers, &serve->answers)
    {
        if (answer->is_stalled)
            serve_answer_pump(answer);
    }
}

void serve_init(struct serve *serve, struct ist_loop *loop, struct ist_bus *bus,
                struct ist_self *self, struct ist_peer *hub,
                struct os_cloud *cloud, struct policy *policy, const char *site,
                const struct serve_conf *conf)
{
    *serve = (struct serve){.loop = loop,
                            .bus = bus,
                            .self = self,
                            .hub = hub,
                            .cloud = cloud,
                            .policy = policy,
                            .conf = *conf,
                            .started_ms = ist_loop_wall(loop)};
    RB_INIT(&serve->answers);
    ist_arena_init(&serve->scratch, SCRATCH_MAX);
    ist_arena_init(&serve->packing, PACKING_MAX);
    snprintf(serve->site, sizeof(serve->site), "%s", site);
    snprintf(serve->queue, sizeof(serve->queue), "site.%s.req", serve->site);
    snprintf(serve->alive_key, sizeof(serve->alive_key), "%s.alive",
             serve->site);
    serve->requests = (struct ist_bus_consumer){
        .queue = serve->queue, .newest_first = true, .deliver = on_request};
    ist_bus_consume(bus, &serve->requests);
}

void serve_stop(struct serve *serve)
{
    struct serve_answer *answer;

    serve->is_stopped = true;
    ist_bus_cancel(serve->bus, &serve->requests);
    ist_timer_disarm(&serve->presence);
    RB_FOREACH(answer, serve_answers, &serve->answers)
    ist_op_cancel(&answer->op, -ECANCELED);
}

void serve_fini(struct serve *serve)
{
    assert(serve->n_open == 0);
    ist_timer_disarm(&serve->presence);
    ist_arena_fini(&serve->scratch);
    ist_arena_fini(&serve->packing);
}
