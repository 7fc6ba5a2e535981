/* An intake with view and log on the in-memory bus, and sites that say what the
 * test has them say. Each test that needs it is a program that includes this
 * once. */
#ifndef UNIT_VIEW_BOX_H
#define UNIT_VIEW_BOX_H

#include "view/intake.h"

#include "../scratch.h"
#include "../survey/peers.h"

#define ENTRIES_MAX 16

struct box {
    struct hall *hall;
    char dir[SCRATCH_SIZE];
    struct ist_tree *tree;
    struct view *view;
    struct events_log *log;
    struct intake *intake;
    struct intake_conf conf;
    struct events_conf events;
    uint64_t tree_max;
    bool closed;
    struct ist_err err;
    struct ist_arena arena;
    /* Of the log, when it was last read. */
    char actions[512];
    size_t n_items;
};

static inline void open_it(struct box *box)
{
    struct ist_tree_conf tree = {.path = scratch_path(box->dir, "hub.db"),
                                 .size_max = box->tree_max,
                                 .maps_max = 16};
    struct hall *hall = box->hall;

    box->tree = ist_tree_open(&hall->loop, &tree, &box->err);
    box->view = view_open(box->tree, &box->err);
    box->log = events_log_open(box->tree, &box->events, &box->err);
    box->intake = intake_open(&hall->loop, hall->bus, &hall->desk, hall->sites,
                              &hall->self, box->tree, box->view, box->log,
                              &box->conf, &box->err);
    assert_non_null(box->intake);
    intake_up(box->intake);
}

static inline void on_closed(void *arg)
{
    ((struct box *) arg)->closed = true;
}

static inline void close_it(struct box *box)
{
    box->closed = false;
    intake_close(IST_TAKE(box->intake), on_closed, box);
    for (int i = 0; i < 1000 && !box->closed; i++)
        hall_run(box->hall, 5);
    assert_true(box->closed);
    events_log_free(box->log);
    view_free(box->view);
    ist_tree_free(box->tree);
}

static inline void on_box_site(void *arg, struct sites_site *site,
                               unsigned changes)
{
    struct box *box = arg;

    if (box->intake)
        intake_site_changed(box->intake, site, changes);
}

/* With two sites; on a real loop, if it is served to real clients. */
static inline struct box *box_new(bool is_real)
{
    static const struct ist_mem_queue_args stream = {.stream = true};
    struct box *box = calloc(1, sizeof(*box));

    scratch_make(box->dir);
    box->conf = (struct intake_conf){.batch_max = 16,
                                     .held_max = 64U << 20,
                                     .skew_ms = 30000,
                                     .resync_ms = 1000};
    box->events =
        (struct events_conf){.keep_ms = 86400000, .keep_items = 10000};
    box->tree_max = 32U << 20;
    box->hall = hall_new_on(is_real, 2);
    box->hall->on_change = on_box_site;
    box->hall->on_change_arg = box;
    ist_mem_queue_with(box->hall->broker, "evt.stream", &stream);
    ist_mem_bind(box->hall->broker, "evt.stream", "x.evt", "*.*.*.#");
    ist_arena_init(&box->arena, 16U << 20);
    open_it(box);
    return box;
}

static inline void box_free(struct box *box)
{
    close_it(box);
    hall_free(box->hall);
    ist_arena_fini(&box->arena);
    scratch_drop(box->dir);
    free(box);
}

static inline int setup(void **state)
{
    *state = box_new(false);
    return 0;
}

static inline int teardown(void **state)
{
    box_free(*state);
    return 0;
}

/* What a site says */

struct said {
    Isthmus__V1__Events events;
    Isthmus__V1__Event entries[ENTRIES_MAX], *at[ENTRIES_MAX];
    Isthmus__V1__Change changes[ENTRIES_MAX];
    Isthmus__V1__Record records[ENTRIES_MAX];
    ProtobufCBinaryData keys[ENTRIES_MAX][3];
};

#define TEXT(text) ((char *) (uintptr_t) (text))

static inline void said_init(struct said *said, uint64_t epoch)
{
    memset(said, 0, sizeof(*said));
    isthmus__v1__events__init(&said->events);
    said->events.epoch = epoch;
    said->events.events = said->at;
}

/* 'op' of a server; -1: news of no resource. Sequence 0: no news. */
static inline Isthmus__V1__Event *say(struct said *said, int op,
                                      uint64_t position, uint64_t sequence,
                                      const char *id)
{
    size_t i = said->events.n_events++;
    Isthmus__V1__Event *entry = &said->entries[i];
    Isthmus__V1__Change *change = &said->changes[i];
    Isthmus__V1__Record *record = &said->records[i];

    said->at[i] = entry;
    isthmus__v1__event__init(entry);
    isthmus__v1__change__init(change);
    isthmus__v1__record__init(record);
    entry->sequence = sequence;
    entry->service = TEXT("compute");
    entry->kind = TEXT("server");
    entry->action = TEXT("updated");
    entry->subject = TEXT(id);
    entry->text = TEXT("a server was updated");
    if (op < 0)
        return entry;
    entry->change = change;
    change->op = (Isthmus__V1__Change__Op) op;
    change->position = position;
    if (op != ISTHMUS__V1__CHANGE__OP__UPSERT)
        return entry;
    change->record = record;
    record->id = TEXT(id);
    said->keys[i][0] = (ProtobufCBinaryData){strlen(id), (uint8_t *) TEXT(id)};
    said->keys[i][1] = (ProtobufCBinaryData){6, (uint8_t *) TEXT("ACTIVE")};
    said->keys[i][2] = (ProtobufCBinaryData){2, (uint8_t *) TEXT("p1")};
    record->keys = said->keys[i];
    record->n_keys = 3;
    record->body = (ProtobufCBinaryData){2, (uint8_t *) TEXT("{}")};
    return entry;
}

enum { UPSERT, DELETE, BEGIN, END };

static inline void send_raw(struct peer *peer, const void *body, size_t size)
{
    struct ist_letter letter = {.kind = IST_KIND_EVENT,
                                .body = body,
                                .body_size = size,
                                .expires_ms = ist_loop_wall(&peer->hall->loop) +
                                              24 * 3600000};
    char key[32];

    snprintf(key, sizeof(key), "%s.feed.batch", peer->name);
    peer_send(peer, &letter, "x.evt", key);
}

static inline void publish_raw(struct peer *peer, const void *body, size_t size)
{
    send_raw(peer, body, size);
    hall_run(peer->hall, 20);
}

static inline void send_said(struct peer *peer, const struct said *said)
{
    struct ist_arena arena;
    size_t size;
    const void *body;

    ist_arena_init(&arena, 4U << 20);
    body = ist_pack(&said->events, &arena, &size);
    assert_non_null(body);
    send_raw(peer, body, size);
    ist_arena_fini(&arena);
}

static inline void publish(struct peer *peer, const struct said *said)
{
    send_said(peer, said);
    hall_run(peer->hall, 20);
}

/* Two servers, stated whole: positions 1 to 4. */
static inline void state_two(struct peer *peer, uint64_t epoch)
{
    struct said said;

    said_init(&said, epoch);
    say(&said, BEGIN, 1, 0, "");
    say(&said, UPSERT, 2, 0, "one");
    say(&said, UPSERT, 3, 0, "two");
    say(&said, END, 4, 0, "");
    publish(peer, &said);
}

static inline void publish_one(struct peer *peer, uint64_t epoch, int op,
                               uint64_t position, uint64_t sequence,
                               const char *id)
{
    struct said said;

    said_init(&said, epoch);
    say(&said, op, position, sequence, id);
    publish(peer, &said);
}

/* What is known then */

static inline size_t n_rows(struct box *box, const char *site)
{
    char *sites[] = {TEXT(site)};
    struct view_query query = {.kind = ist_kind_find("server"),
                               .sites = sites,
                               .n_sites = 1,
                               .limit = 100};
    struct view_page page;

    assert_int_equal(
        view_page(box->view, &query, &box->arena, &page, &box->err), 0);
    return page.n_rows;
}

static inline bool on_item(void *arg, const struct events_item *item)
{
    struct box *box = arg;
    size_t len = strlen(box->actions);

    snprintf(box->actions + len, sizeof(box->actions) - len, "%s:%s ",
             item->site, item->action);
    box->n_items++;
    return true;
}

static inline const char *log_of(struct box *box)
{
    uint64_t last;

    box->actions[0] = '\0';
    box->n_items = 0;
    events_log_read(box->log, 0, 1000, on_item, box, &last, &box->err);
    return box->actions;
}

/* The site says how far its feed of one kind is. */
static inline void presence_of(struct box *box, struct peer *peer,
                               uint64_t epoch, uint64_t next_sequence,
                               Isthmus__V1__KindPosition *kind)
{
    Isthmus__V1__Presence presence = ISTHMUS__V1__PRESENCE__INIT;
    Isthmus__V1__FeedState feed = ISTHMUS__V1__FEED_STATE__INIT;
    Isthmus__V1__KindPosition *kinds[] = {kind};
    struct sites_site *site = sites_find(box->hall->sites, peer->name);

    feed.epoch = epoch;
    feed.next_sequence = next_sequence;
    feed.n_kinds = 1;
    feed.kinds = kinds;
    presence.feed = &feed;
    sites_presence(box->hall->sites, site, &presence,
                   ist_loop_wall(&box->hall->loop));
}

/* Of servers, whose changes are told. */
static inline void presence(struct box *box, struct peer *peer, uint64_t epoch,
                            uint64_t position, uint64_t next_sequence)
{
    Isthmus__V1__KindPosition kind = ISTHMUS__V1__KIND_POSITION__INIT;

    kind.kind = TEXT("server");
    kind.position = position;
    kind.notified = true;
    presence_of(box, peer, epoch, next_sequence, &kind);
}

/* What stands side by side is what each site says by itself. */
static inline void assert_standings(struct box *box)
{
    const struct ist_kind *kind = ist_kind_find("server");
    uint64_t now = ist_loop_wall(&box->hall->loop);
    struct sites_site *site = NULL;
    size_t n;
    const struct intake_standing *all = intake_standings(box->intake, kind, &n);

    assert_int_equal(n, sites_count(box->hall->sites));
    for (size_t i = 0; i < n; i++) {
        struct intake_currency is;

        site = sites_next(box->hall->sites, site);
        intake_currency(box->intake, site, kind, now, &is);
        assert_ptr_equal(all[i].site, site);
        assert_int_equal(all[i].is_known, is.known);
        assert_int_equal(intake_age(&all[i], now), is.age_ms);
        assert_int_equal(all[i].is_present, site->state == SITES_PRESENT);
    }
}

static inline struct intake_currency currency(struct box *box,
                                              struct peer *peer)
{
    struct intake_currency is;

    intake_currency(box->intake, sites_find(box->hall->sites, peer->name),
                    ist_kind_find("server"), ist_loop_wall(&box->hall->loop),
                    &is);
    assert_standings(box);
    return is;
}

#endif
