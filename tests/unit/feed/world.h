/* A site in memory, its feed, a bus, and a hub that keeps what it is told: a
 * replica of the site's rows, made by nothing but entries, and checked for
 * numbers without holes. */
#ifndef FEED_TEST_WORLD_H
#define FEED_TEST_WORLD_H

#include "feed/feed.h"

#include "../identity.h"
#include "../os/world.h"
#include "../scratch.h"
#include "bus/mem.h"
#include "codec/unpack.h"

#include <unistd.h>

#define TOLD_MAX 20000
#define ROWS_MAX 8192

struct told {
    uint64_t epoch, sequence, position;
    int op; /* -1: no change. */
    Isthmus__V1__Event__Severity severity;
    char kind[24], action[24], subject[64], project[40], text[160];
    size_t n_keys;
};

struct replica_row {
    char kind[24], id[64], *body;
    bool is_stated;
};

struct box {
    struct world w;
    char dir[SCRATCH_SIZE];
    struct ist_mem_broker *broker;
    struct ist_self hub, site;
    struct ist_peer to_site, to_hub;
    struct policy *policy;
    struct ist_bus *agent_bus, *hub_bus;
    struct ist_bus_consumer consumer;
    struct feed *feed;
    struct feed_conf conf;
    struct ist_arena arena;
    bool is_closed;

    /* What the hub was told. */
    struct told told[TOLD_MAX];
    size_t n_told, n_messages, n_doubles, n_gaps, n_refused;
    uint64_t epoch, sequence;
    struct {
        char kind[24];
        uint64_t position;
        bool is_open;
    } kinds[64];
    size_t n_kinds;
    struct replica_row rows[ROWS_MAX];
    size_t n_rows;
};

/* --- The hub --- */

static inline void replica_drop(struct box *box, size_t i)
{
    free(box->rows[i].body);
    box->rows[i] = box->rows[--box->n_rows];
}

static inline void replica_forget(struct box *box)
{
    while (box->n_rows)
        replica_drop(box, box->n_rows - 1);
    box->n_kinds = 0;
    box->sequence = 0;
}

static inline long replica_find(const struct box *box, const char *kind,
                                const char *id)
{
    for (size_t i = 0; i < box->n_rows; i++) {
        if (strcmp(box->rows[i].kind, kind) == 0 &&
            strcmp(box->rows[i].id, id) == 0)
            return (long) i;
    }
    return -1;
}

static inline size_t replica_count(const struct box *box, const char *kind)
{
    size_t n = 0;

    for (size_t i = 0; i < box->n_rows; i++)
        n += strcmp(box->rows[i].kind, kind) == 0;
    return n;
}

static inline void replica_apply(struct box *box, const char *kind,
                                 const char *subject,
                                 const Isthmus__V1__Change *change)
{
    const Isthmus__V1__Record *record = change->record;
    long at;

    switch (change->op) {
    case ISTHMUS__V1__CHANGE__OP__BEGIN:
        for (size_t i = 0; i < box->n_rows; i++) {
            if (strcmp(box->rows[i].kind, kind) == 0)
                box->rows[i].is_stated = false;
        }
        break;
    case ISTHMUS__V1__CHANGE__OP__END:
        for (size_t i = 0; i < box->n_rows;) {
            if (strcmp(box->rows[i].kind, kind) == 0 && !box->rows[i].is_stated)
                replica_drop(box, i);
            else
                i++;
        }
        break;
    case ISTHMUS__V1__CHANGE__OP__UPSERT:
        at = replica_find(box, kind, record->id);
        if (at < 0) {
            at = (long) box->n_rows++;
            assert(box->n_rows <= ROWS_MAX);
            box->rows[at] = (struct replica_row){.body = NULL};
            snprintf(box->rows[at].kind, sizeof(box->rows[at].kind), "%s",
                     kind);
            snprintf(box->rows[at].id, sizeof(box->rows[at].id), "%s",
                     record->id);
        }
        free(box->rows[at].body);
        box->rows[at].body =
            strndup((const char *) record->body.data, record->body.len);
        box->rows[at].is_stated = true;
        break;
    case ISTHMUS__V1__CHANGE__OP__DELETE:
        at = replica_find(box, kind, subject);
        if (at >= 0)
            replica_drop(box, (size_t) at);
        break;
    default:
        abort();
    }
}

static inline uint64_t *hub_position(struct box *box, const char *kind)
{
    for (size_t i = 0; i < box->n_kinds; i++) {
        if (strcmp(box->kinds[i].kind, kind) == 0)
            return &box->kinds[i].position;
    }
    snprintf(box->kinds[box->n_kinds].kind, 24, "%s", kind);
    box->kinds[box->n_kinds].position = 0;
    return &box->kinds[box->n_kinds++].position;
}

/* Whether it is the next one; a double is passed over. */
static inline bool hub_in_turn(struct box *box, uint64_t *last, uint64_t number)
{
    if (number <= *last) {
        box->n_doubles++;
        return false;
    }
    box->n_gaps += number != *last + 1;
    *last = number;
    return true;
}

static inline void hub_take(struct box *box, uint64_t epoch,
                            const Isthmus__V1__Event *event)
{
    struct told *told = &box->told[box->n_told];
    const Isthmus__V1__Change *change = event->change;

    if (epoch != box->epoch) {
        replica_forget(box);
        box->epoch = epoch;
    }
    if (change &&
        !hub_in_turn(box, hub_position(box, event->kind), change->position))
        return;
    if (event->sequence && !hub_in_turn(box, &box->sequence, event->sequence))
        return;
    assert(box->n_told < TOLD_MAX);
    box->n_told++;
    *told = (struct told){
        .epoch = epoch,
        .sequence = event->sequence,
        .position = change ? change->position : 0,
        .op = change ? (int) change->op : -1,
        .severity = event->severity,
        .n_keys = change && change->record ? change->record->n_keys : 0};
    snprintf(told->kind, sizeof(told->kind), "%s", event->kind);
    snprintf(told->action, sizeof(told->action), "%s", event->action);
    snprintf(told->subject, sizeof(told->subject), "%s", event->subject);
    snprintf(told->project, sizeof(told->project), "%s", event->project);
    snprintf(told->text, sizeof(told->text), "%s", event->text);
    if (change)
        replica_apply(box, event->kind, event->subject, change);
}

static struct ist_peer *hub_find(void *arg, const uint8_t id[16])
{
    struct box *box = arg;

    return memcmp(box->to_site.id_in, id, 16) == 0 ? &box->to_site : NULL;
}

static inline void hub_deliver(struct ist_bus_consumer *consumer,
                               const struct ist_bus_message *message)
{
    struct box *box = IST_CONTAINER(consumer, struct box, consumer);
    const Isthmus__V1__Events *events;
    struct ist_letter letter;
    struct ist_peer *peer;

    ist_arena_reset(&box->arena);
    box->n_messages++;
    if (ist_open(&box->hub, hub_find, box, ist_loop_wall(&box->w.loop), 30000,
                 message->body, message->size, &box->arena, &letter, &peer)) {
        box->n_refused++;
        return;
    }
    assert(letter.kind == IST_KIND_EVENT);
    assert(strcmp(message->key, "hkg.feed.batch") == 0);
    events = ist_unpack(&isthmus__v1__events__descriptor, &box->arena,
                        letter.body, letter.body_size);
    assert(events && events->n_events >= 1 && events->n_events <= 64);
    for (size_t i = 0; i < events->n_events; i++)
        hub_take(box, events->epoch, events->events[i]);
}

/* --- Time --- */

static inline void run_ms(struct box *box, uint64_t ms)
{
    uint64_t until = ist_loop_now(&box->w.loop) + ms;

    while (ist_loop_step(&box->w.loop, until))
        ;
}

/* --- The agent --- */

static inline struct policy *policy_of(const char *rules)
{
    char path[] = "/tmp/isthmus-feed-XXXXXX";
    struct policy *policy;
    struct ist_err err;
    int fd = mkstemp(path);

    if (fd < 0 || write(fd, rules, strlen(rules)) != (ssize_t) strlen(rules))
        abort();
    close(fd);
    policy = policy_load(path, &err);
    unlink(path);
    if (!policy)
        abort();
    return policy;
}

static void agent_up(struct ist_bus *bus)
{
    struct box *box = bus->owner;

    if (box->feed)
        feed_up(box->feed);
}

static void agent_down(struct ist_bus *bus, const struct ist_err *err)
{
    struct box *box = bus->owner;

    (void) err;
    if (box->feed)
        feed_down(box->feed);
}

static void agent_drained(struct ist_bus *bus)
{
    struct box *box = bus->owner;

    if (box->feed)
        feed_drained(box->feed);
}

static const struct ist_bus_events agent_events = {
    .up = agent_up, .down = agent_down, .drained = agent_drained};
static const struct ist_bus_events hub_events = {0};

static inline void box_open(struct box *box)
{
    struct ist_err err;

    box->feed = feed_open(&box->w.loop, box->dir, box->w.cloud, box->policy,
                          box->agent_bus, &box->site, &box->to_hub, "hkg",
                          &box->conf, &err);
    if (!box->feed) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
}

static void box_closed(void *arg)
{
    ((struct box *) arg)->is_closed = true;
}

static inline void box_close(struct box *box)
{
    struct feed *feed = box->feed;

    box->is_closed = false;
    box->feed = NULL;
    feed_close(feed, box_closed, box);
    while (!box->is_closed && ist_loop_step(&box->w.loop, UINT64_MAX))
        ;
    assert(box->is_closed);
}

static inline struct box *box_new(void)
{
    struct box *box = calloc(1, sizeof(*box));

    if (!box)
        abort();
    world_init(&box->w);
    scratch_make(box->dir);
    ist_arena_init(&box->arena, 64U << 20);
    identity_make(&box->hub, IST_ROLE_HUB, 5);
    identity_make(&box->site, IST_ROLE_SITE, 5);
    box->to_site = identity_peer(&box->site, &box->hub);
    box->to_hub = identity_peer(&box->hub, &box->site);
    box->policy = policy_of("mode: active\nrules:\n"
                            "  - {deny: read, what: keypair}\n"
                            "  - {allow: read, what: \"*\"}\n");
    box->broker = ist_mem_broker_new(&box->w.loop);
    ist_mem_exchange(box->broker, "x.evt", "topic");
    ist_mem_queue(box->broker, "evt", 0, 0);
    ist_mem_bind(box->broker, "evt", "x.evt", "*.feed.batch");
    box->agent_bus = ist_mem_new(box->broker, "hkg", &agent_events, box);
    box->hub_bus = ist_mem_new(box->broker, "hub", &hub_events, box);
    box->consumer =
        (struct ist_bus_consumer){.queue = "evt", .deliver = hub_deliver};
    ist_bus_consume(box->hub_bus, &box->consumer);
    box->conf = (struct feed_conf){.enabled = true,
                                   .poll_ms = 30000,
                                   .audit_ms = 300000,
                                   .settle_ms = 100,
                                   .outbox_max = 64U << 20};
    return box;
}

static inline void box_free(struct box *box)
{
    if (box->feed)
        box_close(box);
    ist_bus_close(box->agent_bus);
    ist_bus_close(box->hub_bus);
    run_ms(box, 1000);
    ist_bus_free(box->agent_bus);
    ist_bus_free(box->hub_bus);
    ist_mem_broker_free(box->broker);
    run_ms(box, 1000);
    replica_forget(box);
    policy_free(box->policy);
    ist_arena_fini(&box->arena);
    world_fini(&box->w);
    scratch_drop(box->dir);
    free(box);
}

/* --- What there is, and what was told --- */

static inline void add_server(struct box *box, const char *id, const char *name,
                              const char *status)
{
    fake_site_add(box->w.site, "server", id, name, "p1", status, WORLD_WALL_MS);
}

static inline void change_server(struct box *box, const char *id,
                                 const char *name, const char *status)
{
    if (!fake_site_remove(box->w.site, "server", id))
        abort();
    add_server(box, id, name, status);
}

/* The last that was told of a kind with that action; NULL: nothing. */
static inline const struct told *told_last(const struct box *box,
                                           const char *kind, const char *action)
{
    for (size_t i = box->n_told; i-- > 0;) {
        if (strcmp(box->told[i].kind, kind) == 0 &&
            strcmp(box->told[i].action, action) == 0)
            return &box->told[i];
    }
    return NULL;
}

static inline size_t told_count(const struct box *box, const char *kind, int op)
{
    size_t n = 0;

    for (size_t i = 0; i < box->n_told; i++)
        n += strcmp(box->told[i].kind, kind) == 0 && box->told[i].op == op;
    return n;
}

static inline size_t told_news(const struct box *box)
{
    size_t n = 0;

    for (size_t i = 0; i < box->n_told; i++)
        n += box->told[i].sequence != 0;
    return n;
}

#endif
