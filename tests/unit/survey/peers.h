/* A hub's desk on the in-memory bus, and agents that do what the test says:
 * they keep what they are asked, and send the frames they are told to. Each
 * test of this room is a program that includes this once. */
#ifndef UNIT_SURVEY_PEERS_H
#define UNIT_SURVEY_PEERS_H

#include "../identity.h"
#include "bus/mem.h"
#include "codec/unpack.h"
#include "survey/survey.h"

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

#define WALL      1790000000000ULL
#define PEERS_MAX 4
#define ROWS_MAX  64

struct hall;

struct peer {
    struct hall *hall;
    char name[16], queue[32];
    struct ist_self self;
    struct ist_peer hub;
    struct ist_bus *bus;
    struct ist_bus_consumer requests;
    struct ist_arena arena;

    /* What came last, and how often. */
    const Isthmus__V1__Call *call; /* In the arena. */
    struct ist_letter letter;
    unsigned n_calls, n_cancels, n_credits;
    size_t n_over; /* Calls over that came with another, or with a cancel. */
    uint64_t credit;
};

struct hall {
    struct ist_loop loop;
    struct ist_mem_broker *broker;
    struct ist_self self;
    struct ist_bus *bus;
    struct sites *sites;
    struct desk desk;
    struct peer peers[PEERS_MAX];
    size_t n_peers;

    /* Who else is told of sites that change; NULL: nobody. */
    sites_changed_fn *on_change;
    void *on_change_arg;
};

/* Moves the clock by so much, at least; on a real loop, lets it move. */
static inline void hall_run(struct hall *hall, uint64_t ms)
{
    uint64_t until = ist_loop_now(&hall->loop) + ms;

    if (!hall->loop.uv) {
        while (ist_loop_step(&hall->loop, until))
            ;
        return;
    }
    while (ist_loop_now(&hall->loop) < until) {
        uv_run(hall->loop.uv, UV_RUN_NOWAIT);
        usleep(500);
    }
}

static inline void peer_take(struct ist_bus_consumer *consumer,
                             const struct ist_bus_message *message);

static inline struct ist_peer *peer_find_hub(void *arg, const uint8_t id[16])
{
    struct peer *peer = arg;

    return memcmp(peer->hub.id_in, id, 16) == 0 ? &peer->hub : NULL;
}

static inline void peer_take(struct ist_bus_consumer *consumer,
                             const struct ist_bus_message *message)
{
    struct peer *peer = IST_CONTAINER(consumer, struct peer, requests);
    const Isthmus__V1__Credit *credit;
    const Isthmus__V1__Cancel *cancel;
    struct ist_letter letter;
    struct ist_peer *from;
    int rc = ist_open(&peer->self, peer_find_hub, peer,
                      ist_loop_wall(&peer->hall->loop), 30000, message->body,
                      message->size, &peer->arena, &letter, &from);

    assert_int_equal(rc, 0);
    switch (letter.kind) {
    case IST_KIND_QUERY:
        peer->n_calls++;
        peer->letter = letter;
        peer->call = ist_unpack(&isthmus__v1__call__descriptor, &peer->arena,
                                letter.body, letter.body_size);
        assert_non_null(peer->call);
        peer->n_over += peer->call->n_over;
        return;
    case IST_KIND_CREDIT:
        credit = ist_unpack(&isthmus__v1__credit__descriptor, &peer->arena,
                            letter.body, letter.body_size);
        peer->n_credits++;
        peer->credit += credit->records;
        return;
    default:
        assert_int_equal(letter.kind, IST_KIND_CANCEL);
        cancel = ist_unpack(&isthmus__v1__cancel__descriptor, &peer->arena,
                            letter.body, letter.body_size);
        peer->n_cancels++;
        peer->n_over += cancel->n_over;
    }
}

/* Sends a body of any kind as this site would; 'key' NULL: to the hub's reply
 * queue. */
static inline void peer_send(struct peer *peer, struct ist_letter *letter,
                             const char *exchange, const char *key)
{
    struct hall *hall = peer->hall;
    struct ist_bus_message message = {.exchange = exchange, .key = key};
    uint64_t now = ist_loop_wall(&hall->loop);
    char reply_key[64];
    struct ist_sb wire;

    snprintf(reply_key, sizeof(reply_key), "h1-%llu.%s",
             (unsigned long long) ist_bus_generation(hall->bus), peer->name);
    if (!key)
        message.key = reply_key;
    if (!letter->expires_ms)
        letter->expires_ms = now + 15000;
    ist_sb_init(&wire, 0);
    assert_int_equal(ist_seal(&peer->self, &peer->hub, now, letter, &wire), 0);
    message.body = wire.data;
    message.size = wire.len;
    assert_int_equal(ist_bus_send(peer->bus, &message), 0);
    ist_sb_fini(&wire);
}

static inline void peer_presence(struct peer *peer, bool leaving)
{
    Isthmus__V1__Presence presence = ISTHMUS__V1__PRESENCE__INIT;
    struct ist_letter letter = {.kind = IST_KIND_HEARTBEAT};
    struct ist_arena arena;
    char key[32];

    presence.leaving = leaving;
    ist_arena_init(&arena, 1U << 20);
    letter.body = ist_pack(&presence, &arena, &letter.body_size);
    snprintf(key, sizeof(key), "%s.alive", peer->name);
    peer_send(peer, &letter, "x.evt", key);
    ist_arena_fini(&arena);
    hall_run(peer->hall, 10);
}

/* A frame for the call that came last, bytes as given. */
static inline void peer_raw(struct peer *peer, const void *body, size_t size)
{
    struct ist_letter letter = {
        .kind = IST_KIND_ANSWER, .body = body, .body_size = size};

    for (int i = 0; i < 1000 && !peer->call; i++) /* On its way. */
        hall_run(peer->hall, 2);
    letter.op = peer->letter.op;
    letter.audience_epoch = peer->letter.epoch;
    memcpy(letter.request_hash, peer->letter.hash, 32);
    peer_send(peer, &letter, "x.rep", NULL);
    hall_run(peer->hall, 10);
}

static inline void peer_reply(struct peer *peer,
                              const Isthmus__V1__Reply *reply)
{
    struct ist_arena arena;
    size_t size;
    const void *body;

    ist_arena_init(&arena, 8U << 20);
    body = ist_pack(reply, &arena, &size);
    assert_non_null(body);
    peer_raw(peer, body, size);
    ist_arena_fini(&arena);
}

/* Rows of a frame, one key each. */
struct rows {
    Isthmus__V1__Reply reply;
    Isthmus__V1__Record records[ROWS_MAX], *at[ROWS_MAX];
    ProtobufCBinaryData keys[ROWS_MAX];
    char key_text[ROWS_MAX][16], id_text[ROWS_MAX][32], body_text[ROWS_MAX][64];
};

static inline void rows_init(struct rows *rows, uint32_t index, bool last)
{
    memset(rows, 0, sizeof(*rows));
    isthmus__v1__reply__init(&rows->reply);
    rows->reply.index = index;
    rows->reply.last = last;
    rows->reply.records = rows->at;
}

static inline Isthmus__V1__Record *rows_add(struct rows *rows, unsigned key,
                                            const char *id)
{
    size_t i = rows->reply.n_records++;
    Isthmus__V1__Record *record = &rows->records[i];
    int len;

    assert_true(i < ROWS_MAX);
    isthmus__v1__record__init(record);
    snprintf(rows->key_text[i], sizeof(rows->key_text[i]), "k%05u", key);
    snprintf(rows->id_text[i], sizeof(rows->id_text[i]), "%s", id);
    len = snprintf(rows->body_text[i], sizeof(rows->body_text[i]),
                   "{\"id\":\"%s\"}", id);
    rows->keys[i] =
        (ProtobufCBinaryData){6, (uint8_t *) (void *) rows->key_text[i]};
    record->keys = &rows->keys[i];
    record->n_keys = 1;
    record->id = rows->id_text[i];
    record->body = (ProtobufCBinaryData){
        (size_t) len, (uint8_t *) (void *) rows->body_text[i]};
    rows->at[i] = record;
    return record;
}

/* Frame 'index' with n rows whose keys ascend from 'from'. */
static inline void peer_rows(struct peer *peer, uint32_t index, bool last,
                             unsigned from, unsigned n)
{
    struct rows rows;
    char id[32];

    rows_init(&rows, index, last);
    for (unsigned i = 0; i < n; i++) {
        snprintf(id, sizeof(id), "%s-%u", peer->name, from + i);
        rows_add(&rows, from + i, id);
    }
    peer_reply(peer, &rows.reply);
}

static inline void peer_failure(struct peer *peer, uint32_t index,
                                Isthmus__V1__Failure__Code code,
                                const char *text)
{
    Isthmus__V1__Failure failure = ISTHMUS__V1__FAILURE__INIT;
    struct rows rows;

    rows_init(&rows, index, true);
    failure.code = code;
    failure.text = (char *) text;
    rows.reply.failure = &failure;
    peer_reply(peer, &rows.reply);
}

static inline void on_hall_down(struct ist_bus *bus, const struct ist_err *err)
{
    desk_down(&((struct hall *) bus->owner)->desk, err);
}

static inline void on_hall_site(void *owner, struct sites_site *site,
                                unsigned changes)
{
    struct hall *hall = owner;

    desk_site_changed(&hall->desk, site, changes);
    if (hall->on_change)
        hall->on_change(hall->on_change_arg, site, changes);
}

static const struct ist_bus_events hall_events = {.down = on_hall_down};
static const struct ist_bus_events no_events = {0};

static inline struct sites_site *hall_site(struct hall *hall, size_t i)
{
    return sites_find(hall->sites, hall->peers[i].name);
}

static inline void admit(struct hall *hall, const char *name,
                         const struct ist_self *self)
{
    struct ist_delegation delegation = identity_delegation(self);

    sites_admit(hall->sites, name, &delegation);
}

/* The site is removed, and another one comes under its name. */
static inline void hall_replace(struct hall *hall, size_t i)
{
    struct ist_self other;

    identity_make(&other, IST_ROLE_SITE, 5);
    admit(hall, hall->peers[i].name, &other);
}

/* Sites are "sa", "sb", ... in the order they are added, each with its queue.
 */
static inline struct peer *hall_add(struct hall *hall)
{
    struct peer *peer = &hall->peers[hall->n_peers];
    char key[32];

    peer->hall = hall;
    snprintf(peer->name, sizeof(peer->name), "s%c",
             (char) ('a' + (char) hall->n_peers++));
    snprintf(peer->queue, sizeof(peer->queue), "site.%s.req", peer->name);
    snprintf(key, sizeof(key), "site.%s", peer->name);
    identity_make(&peer->self, IST_ROLE_SITE, 5);
    peer->hub = identity_peer(&hall->self, &peer->self);
    ist_arena_init(&peer->arena, 64U << 20);
    ist_mem_queue(hall->broker, peer->queue, 0, 0);
    ist_mem_bind(hall->broker, peer->queue, "x.req", key);
    peer->bus = ist_mem_new(hall->broker, peer->name, &no_events, peer);
    peer->requests =
        (struct ist_bus_consumer){.queue = peer->queue, .deliver = peer_take};
    ist_bus_consume(peer->bus, &peer->requests);
    admit(hall, peer->name, &peer->self);
    for (int i = 0; i < 1000 && !(peer->bus->is_up && hall->bus->is_up); i++)
        hall_run(hall, 20);
    peer_presence(peer, false);
    for (int i = 0;
         i < 1000 && hall_site(hall, hall->n_peers - 1)->state != SITES_PRESENT;
         i++)
        hall_run(hall, 2);
    return peer;
}

static inline struct hall *hall_new_on(bool is_real, size_t n_peers)
{
    static const struct desk_conf conf = {.calls_max = 8, .skew_ms = 30000};
    struct hall *hall = calloc(1, sizeof(*hall));
    struct ist_err err;

    assert_non_null(hall);
    if (is_real)
        assert_int_equal(ist_loop_init(&hall->loop), 0);
    else
        ist_loop_init_virtual(&hall->loop, WALL);
    identity_make(&hall->self, IST_ROLE_HUB, 5);
    hall->broker = ist_mem_broker_new(&hall->loop);
    ist_mem_exchange(hall->broker, "x.req", "topic");
    ist_mem_exchange(hall->broker, "x.rep", "topic");
    ist_mem_exchange(hall->broker, "x.evt", "topic");
    hall->sites =
        sites_new(&hall->loop, NULL, &hall->self, on_hall_site, hall, &err);
    assert_non_null(hall->sites);
    hall->bus = ist_mem_new(hall->broker, "hub-h1", &hall_events, hall);
    desk_init(&hall->desk, &hall->loop, hall->bus, hall->sites, &hall->self,
              "h1", &conf);
    hall_run(hall, 20);
    while (hall->n_peers < n_peers)
        hall_add(hall);
    return hall;
}

static inline struct hall *hall_new(size_t n_peers)
{
    return hall_new_on(false, n_peers);
}

/* No call may be open. */
static inline void hall_free(struct hall *hall)
{
    assert_int_equal(hall->desk.n_open, 0);
    desk_fini(&hall->desk);
    ist_bus_close(hall->bus);
    for (size_t i = 0; i < hall->n_peers; i++)
        ist_bus_close(hall->peers[i].bus);
    hall_run(hall, 100);
    ist_bus_free(hall->bus);
    for (size_t i = 0; i < hall->n_peers; i++) {
        ist_bus_free(hall->peers[i].bus);
        ist_arena_fini(&hall->peers[i].arena);
    }
    ist_mem_broker_free(hall->broker);
    sites_close(hall->sites, NULL);
    hall_run(hall, 100);
    ist_loop_fini(&hall->loop);
    free(hall);
}

#endif
