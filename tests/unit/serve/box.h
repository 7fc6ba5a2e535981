/* An agent's end of the bus over the in-memory one, with an OpenStack that does
 * as the test says, and a hub to ask. Included once by each program. */
#ifndef UNIT_SERVE_BOX_H
#define UNIT_SERVE_BOX_H

#include "../identity.h"
#include "../scratch.h"
#include "bus/mem.h"
#include "codec/unpack.h"
#include "os/credential.h"
#include "serve/answer.h"

#include "isthmus/v1/presence.pb-c.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define WALL        1790000000000ULL
#define RECORDS_MAX 600

struct box {
    struct ist_loop loop;
    struct ist_mem_broker *broker;
    struct ist_self hub, site;
    struct ist_peer to_site, to_hub;
    struct policy *policy;
    struct ist_bus *agent_bus, *hub_bus;
    struct serve serve;
    struct ist_bus_consumer replies, alive;
    struct ist_letter asked; /* The call sealed last. */
    uint64_t mind_epoch;     /* Of the site, as the hub has it in mind. */

    /* What the hub heard. */
    struct ist_arena arena;
    unsigned n_frames, n_lasts, n_presences;
    size_t n_records;
    const Isthmus__V1__Reply *reply; /* The last one, in the arena. */
    uint64_t presence_calls, presence_epoch;
    bool is_leaving;
};

/* OpenStack: linked in place of agent/os. */

static struct {
    unsigned n_started, n_cancelled;
    struct os_list *list; /* At work. */
    struct os_show *show;
    struct os_exchange *exchange;
    unsigned n_resumed;
    struct os_record records[RECORDS_MAX];
    char ids[RECORDS_MAX][32];
    char *body;
} cloud;

static inline void on_list_cancel(struct ist_op *op)
{
    cloud.n_cancelled++;
    cloud.list = NULL;
    ist_op_finish(op, -ECANCELED);
}

void os_list_start(struct os_cloud *c, struct os_list *list)
{
    (void) c;
    cloud.n_started++;
    cloud.list = list;
    ist_op_begin(&list->op, on_list_cancel);
}

void os_list_fini(struct os_list *list)
{
    list->records = NULL;
}

static inline void on_show_cancel(struct ist_op *op)
{
    cloud.n_cancelled++;
    cloud.show = NULL;
    ist_op_finish(op, -ECANCELED);
}

void os_show_start(struct os_cloud *c, struct os_show *show)
{
    (void) c;
    cloud.n_started++;
    cloud.show = show;
    ist_op_begin(&show->op, on_show_cancel);
}

void os_show_fini(struct os_show *show)
{
    (void) show;
}

void os_probe_start(struct os_cloud *c, struct os_probe *probe)
{
    static char name[] = "compute";
    static Isthmus__V1__Service service = ISTHMUS__V1__SERVICE__INIT;
    static const Isthmus__V1__Service *const services[] = {&service};

    (void) c;
    cloud.n_started++;
    service.name = name;
    service.up = true;
    probe->services = services;
    probe->n_services = 1;
    ist_op_begin(&probe->op, NULL);
    ist_op_finish(&probe->op, 0);
}

void os_probe_fini(struct os_probe *probe)
{
    (void) probe;
}

static inline void on_exchange_cancel(struct ist_op *op)
{
    cloud.n_cancelled++;
    cloud.exchange = NULL;
    ist_op_finish(op, -ECANCELED);
}

void os_exchange_start(struct os_exchange *exchange)
{
    cloud.n_started++;
    cloud.exchange = exchange;
    ist_op_begin(&exchange->op, on_exchange_cancel);
}

void os_exchange_resume(struct os_exchange *exchange)
{
    (void) exchange;
    cloud.n_resumed++;
}

void os_exchange_fini(struct os_exchange *exchange)
{
    (void) exchange;
}

const char *os_cloud_base(const struct os_cloud *c, const struct os_service *s)
{
    (void) c;
    return strcmp(s->name, "compute") == 0 ? "http://10.0.0.1:8774" : NULL;
}

#define OWN_PROJECT "0123456789abcdef0123456789abcdef"

/* Of the credentials that the site has put for projects of the hub. */
static int tenant_cloud;

struct os_cloud *os_cloud_new(struct ist_loop *loop, struct ist_http *http,
                              const struct ist_cloud_entry *entry,
                              const struct os_conf *conf, struct ist_err *err)
{
    (void) loop, (void) http, (void) entry, (void) conf, (void) err;
    return (struct os_cloud *) (void *) &tenant_cloud;
}

void os_cloud_close(struct os_cloud *c, void (*closed)(void *), void *arg)
{
    (void) c;
    if (closed)
        closed(arg);
}

const char *os_cloud_project(const struct os_cloud *c)
{
    (void) c;
    return OWN_PROJECT;
}

void os_login_start(struct os_cloud *c, struct os_login *login)
{
    (void) c, (void) login;
    fail_msg("nobody logs in here");
}

void os_credential_start(struct os_credential *c)
{
    (void) c;
    fail_msg("nobody makes credentials here");
}

void os_credential_fini(struct os_credential *c)
{
    (void) c;
}

void os_visitor_start(struct os_visitor *visitor)
{
    (void) visitor;
    fail_msg("nobody logs in here");
}

void os_visitor_fini(struct os_visitor *visitor)
{
    (void) visitor;
}

size_t os_cloud_services(const struct os_cloud *c, char ***ret_names)
{
    (void) c;
    *ret_names = NULL;
    return 0;
}

Isthmus__V1__Failure__Code os_failure_code(int rc)
{
    return rc > 0 ? (Isthmus__V1__Failure__Code) rc
                  : ISTHMUS__V1__FAILURE__CODE__UNKNOWN;
}

/* The list at work finds n records of so many bytes. */
static inline void cloud_finds(size_t n, size_t body_size)
{
    struct os_list *list = cloud.list;

    assert_non_null(list);
    assert_true(n <= RECORDS_MAX);
    free(cloud.body);
    cloud.body = malloc(body_size);
    memset(cloud.body, ' ', body_size);
    cloud.body[0] = '{';
    cloud.body[body_size - 1] = '}';
    for (size_t i = 0; i < n; i++) {
        snprintf(cloud.ids[i], sizeof(cloud.ids[i]), "id-%04zu", i);
        cloud.records[i] = (struct os_record){.id = cloud.ids[i],
                                              .body = {cloud.body, body_size}};
        cloud.records[i].keys[0] =
            (struct ist_bytes){cloud.ids[i], strlen(cloud.ids[i])};
    }
    list->records = cloud.records;
    list->n_records = n;
    cloud.list = NULL;
    ist_op_finish(&list->op, 0);
}

/* The same, and there are more that it was not asked for. */
static inline void cloud_begins(size_t n)
{
    cloud.list->has_more = true;
    cloud_finds(n, 20);
}

/* The hub */

static inline struct ist_peer *find_site(void *arg, const uint8_t id[16])
{
    struct box *box = arg;

    return memcmp(box->to_site.id_in, id, 16) == 0 ? &box->to_site : NULL;
}

static inline void open_letter(struct box *box,
                               const struct ist_bus_message *message,
                               struct ist_letter *letter)
{
    struct ist_peer *peer;

    assert_int_equal(ist_open(&box->hub, find_site, box,
                              ist_loop_wall(&box->loop), 30000, message->body,
                              message->size, &box->arena, letter, &peer),
                     0);
}

static inline void on_reply(struct ist_bus_consumer *consumer,
                            const struct ist_bus_message *message)
{
    struct box *box = IST_CONTAINER(consumer, struct box, replies);
    struct ist_letter letter;

    open_letter(box, message, &letter);
    assert_int_equal(letter.kind, IST_KIND_ANSWER);
    box->reply = ist_unpack(&isthmus__v1__reply__descriptor, &box->arena,
                            letter.body, letter.body_size);
    assert_non_null(box->reply);
    box->n_frames++;
    box->n_lasts += box->reply->last != 0;
    box->n_records += box->reply->n_records;
}

static inline void on_alive(struct ist_bus_consumer *consumer,
                            const struct ist_bus_message *message)
{
    struct box *box = IST_CONTAINER(consumer, struct box, alive);
    const Isthmus__V1__Presence *presence;
    struct ist_letter letter;

    open_letter(box, message, &letter);
    presence = ist_unpack(&isthmus__v1__presence__descriptor, &box->arena,
                          letter.body, letter.body_size);
    assert_non_null(presence);
    box->n_presences++;
    box->presence_calls = presence->open_calls;
    box->is_leaving = presence->leaving;
    box->presence_epoch = presence->feed ? presence->feed->epoch : 0;
}

static inline void run(struct box *box, uint64_t ms)
{
    uint64_t until = ist_loop_now(&box->loop) + ms;

    while (ist_loop_step(&box->loop, until))
        ;
}

/* Sends a letter of any kind under the op id that was asked last. */
static inline void send_body_to(struct box *box, const char *key,
                                enum ist_letter_kind kind,
                                const ProtobufCMessage *body,
                                struct ist_letter *letter)
{
    struct ist_bus_message message = {.exchange = "x.req", .key = key};
    uint64_t now = ist_loop_wall(&box->loop);
    struct ist_arena arena;
    struct ist_sb wire;

    ist_arena_init(&arena, 1U << 20);
    ist_sb_init(&wire, 0);
    *letter = (struct ist_letter){.kind = kind,
                                  .op = box->asked.op,
                                  .audience_epoch = box->mind_epoch,
                                  .expires_ms = now + 10000};
    letter->body = ist_pack(body, &arena, &letter->body_size);
    assert_int_equal(ist_seal(&box->hub, &box->to_site, now, letter, &wire), 0);
    message.body = wire.data;
    message.size = wire.len;
    assert_int_equal(ist_bus_send(box->hub_bus, &message), 0);
    ist_sb_fini(&wire);
    ist_arena_fini(&arena);
    run(box, 5);
}

static inline void send_body(struct box *box, enum ist_letter_kind kind,
                             const ProtobufCMessage *body,
                             struct ist_letter *letter)
{
    send_body_to(box, "site.hkg", kind, body, letter);
}

static inline void ask(struct box *box, Isthmus__V1__Call *call)
{
    static char word[] = "h1-1";

    call->reply_word = word;
    if (!call->timeout_ms)
        call->timeout_ms = 5000;
    box->asked.op = ist_id_random();
    send_body(box, IST_KIND_QUERY, &call->base, &box->asked);
}

static inline void ask_list(struct box *box, const char *kind, uint32_t limit,
                            uint32_t window)
{
    Isthmus__V1__Call call = ISTHMUS__V1__CALL__INIT;
    Isthmus__V1__List list = ISTHMUS__V1__LIST__INIT;
    Isthmus__V1__SortKey sort = ISTHMUS__V1__SORT_KEY__INIT, *at = &sort;
    static char name[] = "id";

    sort.name = name;
    list.kind = (char *) kind;
    list.limit = limit;
    list.window = window;
    list.sort = &at;
    list.n_sort = 1;
    call.what_case = ISTHMUS__V1__CALL__WHAT_LIST;
    call.list = &list;
    ask(box, &call);
}

static inline void give_credit(struct box *box, uint32_t records)
{
    Isthmus__V1__Credit credit = ISTHMUS__V1__CREDIT__INIT;
    struct ist_letter letter;

    credit.records = records;
    send_body(box, IST_KIND_CREDIT, &credit.base, &letter);
}

static inline void cancel(struct box *box)
{
    Isthmus__V1__Cancel nothing = ISTHMUS__V1__CANCEL__INIT;
    struct ist_letter letter;

    send_body(box, IST_KIND_CANCEL, &nothing.base, &letter);
}

static inline void assert_failure(const struct box *box,
                                  Isthmus__V1__Failure__Code code)
{
    assert_int_equal(box->n_lasts, 1);
    assert_int_equal(box->n_records, 0);
    assert_non_null(box->reply->failure);
    assert_int_equal(box->reply->failure->code, code);
    assert_int_not_equal(box->reply->failure->text[0], '\0');
    assert_int_equal(box->serve.n_open, 0);
}

static inline void assert_complete(const struct box *box, size_t n_records)
{
    assert_int_equal(box->n_lasts, 1);
    assert_true(box->reply->last);
    assert_null(box->reply->failure);
    assert_int_equal(box->n_records, n_records);
    assert_int_equal(box->reply->index + 1, box->n_frames);
    assert_int_equal(box->serve.n_open, 0);
}

/* Set-up */

static inline struct policy *load_policy(void)
{
    static const char rules[] = "mode: active\nrules:\n"
                                "  - {deny: read, what: keypair}\n"
                                "  - {allow: read, what: \"*\"}\n";
    char path[] = "/tmp/isthmus-answer-XXXXXX";
    struct policy *policy;
    struct ist_err err;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, rules, sizeof(rules) - 1), sizeof(rules) - 1);
    close(fd);
    policy = policy_load(path, &err);
    unlink(path);
    assert_non_null(policy);
    return policy;
}

static inline void on_up(struct ist_bus *bus)
{
    serve_up(&((struct box *) bus->owner)->serve);
}

static inline void on_down(struct ist_bus *bus, const struct ist_err *err)
{
    (void) err;
    serve_down(&((struct box *) bus->owner)->serve);
}

static inline void on_drained(struct ist_bus *bus)
{
    serve_drained(&((struct box *) bus->owner)->serve);
}

static const struct ist_bus_events agent_events = {
    .up = on_up, .down = on_down, .drained = on_drained};
static const struct ist_bus_events no_events = {0};

static inline void open_buses(struct box *box)
{
    static const struct serve_conf conf = {.calls_max = 3,
                                           .answer_memory = 1 << 20,
                                           .skew_ms = 30000,
                                           .presence_ms = 5000};
    static int dummy;

    box->hub_bus = ist_mem_new(box->broker, "hub-h1", &no_events, box);
    box->replies = (struct ist_bus_consumer){.queue = "hub.h1.rep",
                                             .bind_exchange = "x.rep",
                                             .bind_key = "h1-1.*",
                                             .deliver = on_reply};
    box->alive = (struct ist_bus_consumer){.queue = "hub.h1.alive",
                                           .bind_exchange = "x.evt",
                                           .bind_key = "*.alive",
                                           .deliver = on_alive};
    ist_bus_consume(box->hub_bus, &box->replies);
    ist_bus_consume(box->hub_bus, &box->alive);
    run(box, 100);
    box->agent_bus = ist_mem_new(box->broker, "hkg", &agent_events, box);
    serve_init(&box->serve, &box->loop, box->agent_bus, &box->site,
               &box->to_hub, (struct os_cloud *) (void *) &dummy, box->policy,
               "hkg", &conf);
    run(box, 100);
}

static inline int setup(void **state)
{
    struct box *box = calloc(1, sizeof(*box));

    memset(&cloud, 0, sizeof(cloud));
    ist_loop_init_virtual(&box->loop, WALL);
    identity_make(&box->hub, IST_ROLE_HUB, 5);
    identity_make(&box->site, IST_ROLE_SITE, 5);
    box->mind_epoch = box->site.epoch;
    box->to_site = identity_peer(&box->site, &box->hub);
    box->to_hub = identity_peer(&box->hub, &box->site);
    ist_arena_init(&box->arena, 64U << 20);
    box->policy = load_policy();
    box->broker = ist_mem_broker_new(&box->loop);
    ist_mem_exchange(box->broker, "x.req", "topic");
    ist_mem_exchange(box->broker, "x.rep", "topic");
    ist_mem_exchange(box->broker, "x.evt", "topic");
    ist_mem_queue(box->broker, "site.hkg.req", 0, 0);
    ist_mem_bind(box->broker, "site.hkg.req", "x.req", "site.hkg");
    open_buses(box);
    *state = box;
    return 0;
}

static inline int teardown(void **state)
{
    struct box *box = *state;

    serve_stop(&box->serve);
    run(box, 100);
    serve_fini(&box->serve);
    ist_bus_close(box->agent_bus);
    ist_bus_close(box->hub_bus);
    run(box, 100);
    ist_bus_free(box->agent_bus);
    ist_bus_free(box->hub_bus);
    ist_mem_broker_free(box->broker);
    run(box, 100);
    policy_free(box->policy);
    ist_arena_fini(&box->arena);
    ist_loop_fini(&box->loop);
    free(cloud.body);
    free(box);
    return 0;
}

#endif
