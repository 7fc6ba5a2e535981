/* The intake on the in-memory bus: what sites publish, in order and out of it,
 * sound and hostile. */
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
    bool closed;
    struct ist_err err;
    struct ist_arena arena;
    /* Of the log, when it was last read. */
    char actions[512];
    size_t n_items;
};

static void open_it(struct box *box)
{
    static const struct events_conf events = {.keep_ms = 86400000,
                                              .keep_items = 10000};
    static const struct intake_conf conf = {
        .batch_max = 16, .skew_ms = 30000, .resync_ms = 1000};
    struct ist_tree_conf tree = {.path = scratch_path(box->dir, "hub.db"),
                                 .size_max = 32U << 20,
                                 .maps_max = 16};
    struct hall *hall = box->hall;

    box->tree = ist_tree_open(&hall->loop, &tree, &box->err);
    box->view = view_open(box->tree, &box->err);
    box->log = events_log_open(box->tree, &events, &box->err);
    box->intake = intake_open(&hall->loop, hall->bus, &hall->desk, hall->sites,
                              &hall->self, box->tree, box->view, box->log,
                              &conf, &box->err);
    assert_non_null(box->intake);
    intake_up(box->intake);
}

static void on_closed(void *arg)
{
    ((struct box *) arg)->closed = true;
}

static void close_it(struct box *box)
{
    box->closed = false;
    intake_close(box->intake, on_closed, box);
    for (int i = 0; i < 1000 && !box->closed; i++)
        hall_run(box->hall, 5);
    assert_true(box->closed);
    events_log_free(box->log);
    view_free(box->view);
    ist_tree_free(box->tree);
}

static int setup(void **state)
{
    static const struct ist_mem_queue_args stream = {.stream = true};
    struct box *box = calloc(1, sizeof(*box));

    scratch_make(box->dir);
    box->hall = hall_new(2);
    ist_mem_queue_with(box->hall->broker, "evt.stream", &stream);
    ist_mem_bind(box->hall->broker, "evt.stream", "x.evt", "*.*.*.#");
    ist_arena_init(&box->arena, 16U << 20);
    open_it(box);
    *state = box;
    return 0;
}

static int teardown(void **state)
{
    struct box *box = *state;

    close_it(box);
    hall_free(box->hall);
    ist_arena_fini(&box->arena);
    scratch_drop(box->dir);
    free(box);
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

static void said_init(struct said *said, uint64_t epoch)
{
    memset(said, 0, sizeof(*said));
    isthmus__v1__events__init(&said->events);
    said->events.epoch = epoch;
    said->events.events = said->at;
}

/* 'op' of a server; -1: news of no resource. Sequence 0: no news. */
static Isthmus__V1__Event *say(struct said *said, int op, uint64_t position,
                               uint64_t sequence, const char *id)
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

static void publish_raw(struct peer *peer, const void *body, size_t size)
{
    struct ist_letter letter = {
        .kind = IST_KIND_EVENT, .body = body, .body_size = size};
    char key[32];

    snprintf(key, sizeof(key), "%s.feed.batch", peer->name);
    peer_send(peer, &letter, "x.evt", key);
    hall_run(peer->hall, 20);
}

static void publish(struct peer *peer, const struct said *said)
{
    struct ist_arena arena;
    size_t size;
    const void *body;

    ist_arena_init(&arena, 4U << 20);
    body = ist_pack(&said->events, &arena, &size);
    assert_non_null(body);
    publish_raw(peer, body, size);
    ist_arena_fini(&arena);
}

/* Two servers, stated whole: positions 1 to 4. */
static void state_two(struct peer *peer, uint64_t epoch)
{
    struct said said;

    said_init(&said, epoch);
    say(&said, BEGIN, 1, 0, "");
    say(&said, UPSERT, 2, 0, "one");
    say(&said, UPSERT, 3, 0, "two");
    say(&said, END, 4, 0, "");
    publish(peer, &said);
}

static void publish_one(struct peer *peer, uint64_t epoch, int op,
                        uint64_t position, uint64_t sequence, const char *id)
{
    struct said said;

    said_init(&said, epoch);
    say(&said, op, position, sequence, id);
    publish(peer, &said);
}

/* What is known then */

static size_t n_rows(struct box *box, const char *site)
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

static bool on_item(void *arg, const struct events_item *item)
{
    struct box *box = arg;
    size_t len = strlen(box->actions);

    snprintf(box->actions + len, sizeof(box->actions) - len, "%s:%s ",
             item->site, item->action);
    box->n_items++;
    return true;
}

static const char *log_of(struct box *box)
{
    uint64_t last;

    box->actions[0] = '\0';
    box->n_items = 0;
    events_log_read(box->log, 0, 1000, on_item, box, &last, &box->err);
    return box->actions;
}

/* The site says how far its feed is. */
static void presence(struct box *box, struct peer *peer, uint64_t epoch,
                     uint64_t position, uint64_t next_sequence)
{
    Isthmus__V1__Presence presence = ISTHMUS__V1__PRESENCE__INIT;
    Isthmus__V1__FeedState feed = ISTHMUS__V1__FEED_STATE__INIT;
    Isthmus__V1__KindPosition kind = ISTHMUS__V1__KIND_POSITION__INIT;
    Isthmus__V1__KindPosition *kinds[] = {&kind};
    struct sites_site *site = sites_find(box->hall->sites, peer->name);

    kind.kind = TEXT("server");
    kind.position = position;
    kind.notified = true;
    feed.epoch = epoch;
    feed.next_sequence = next_sequence;
    feed.n_kinds = 1;
    feed.kinds = kinds;
    presence.feed = &feed;
    sites_presence(box->hall->sites, site, &presence,
                   ist_loop_wall(&box->hall->loop));
    intake_site_changed(box->intake, site, SITES_CHANGE_HEARD);
}

static struct intake_currency currency(struct box *box, struct peer *peer)
{
    struct intake_currency is;

    intake_currency(box->intake, sites_find(box->hall->sites, peer->name),
                    ist_kind_find("server"), &is);
    return is;
}

static void test_in_order(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];

    assert_false(currency(box, peer).known);
    state_two(peer, 9);
    assert_int_equal(n_rows(box, "sa"), 2);
    assert_string_equal(log_of(box), "");
    publish_one(peer, 9, UPSERT, 5, 1, "three");
    publish_one(peer, 9, DELETE, 6, 2, "one");
    assert_int_equal(n_rows(box, "sa"), 2);
    assert_string_equal(log_of(box), "sa:updated sa:updated ");
    presence(box, peer, 9, 6, 3);
    assert_true(currency(box, peer).known);
    assert_true(currency(box, peer).current);
    assert_int_equal(currency(box, peer).age_ms, 0);
    hall_run(box->hall, 3000);
    assert_in_range(currency(box, peer).age_ms, 2900, 3100);
    assert_int_equal(intake_counts(box->intake)->doubles, 0);
}

static void test_doubles(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];

    state_two(peer, 9);
    publish_one(peer, 9, UPSERT, 5, 1, "three");
    publish_one(peer, 9, DELETE, 6, 2, "three");
    publish_one(peer, 9, UPSERT, 5, 1, "three");
    assert_int_equal(n_rows(box, "sa"), 2);
    log_of(box);
    assert_int_equal(box->n_items, 2);
    assert_int_equal(intake_counts(box->intake)->doubles, 1);
}

/* A position is missing: the row counts, the site is asked to state again. */
static void test_gap(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];

    state_two(peer, 9);
    publish_one(peer, 9, UPSERT, 7, 3, "four");
    assert_int_equal(n_rows(box, "sa"), 3);
    assert_string_equal(log_of(box), "sa:gap sa:updated ");
    presence(box, peer, 9, 7, 4);
    assert_false(currency(box, peer).current);
    hall_run(box->hall, 2000);
    assert_int_equal(intake_counts(box->intake)->resyncs, 1);
    assert_int_equal(peer->call->what_case, ISTHMUS__V1__CALL__WHAT_RESYNC);
    assert_int_equal(peer->call->resync->n_kinds, 1);
    assert_string_equal(peer->call->resync->kinds[0], "server");
}

/* Of a statement with a hole nothing is swept. */
static void test_statement_with_a_hole(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];
    struct said said;

    state_two(peer, 9);
    said_init(&said, 9);
    say(&said, BEGIN, 5, 0, "");
    say(&said, UPSERT, 7, 0, "two");
    say(&said, END, 8, 0, "");
    publish(peer, &said);
    assert_int_equal(n_rows(box, "sa"), 2);
    said_init(&said, 9);
    say(&said, BEGIN, 9, 0, "");
    say(&said, UPSERT, 10, 0, "two");
    say(&said, END, 11, 0, "");
    publish(peer, &said);
    assert_int_equal(n_rows(box, "sa"), 1);
}

static void test_epochs(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];

    state_two(peer, 9);
    publish_one(peer, 9, UPSERT, 5, 1, "three");
    publish_one(peer, 8, DELETE, 6, 2, "three"); /* Back in time. */
    assert_int_equal(n_rows(box, "sa"), 3);
    state_two(peer, 10);
    assert_int_equal(n_rows(box, "sa"), 2);
    assert_string_equal(log_of(box), "sa:updated sa:restarted ");
}

/* The key decides whose rows they are: one site cannot touch another's. */
static void test_sites_are_apart(void **state)
{
    struct box *box = *state;

    state_two(&box->hall->peers[0], 9);
    state_two(&box->hall->peers[1], 9);
    publish_one(&box->hall->peers[1], 9, DELETE, 5, 1, "one");
    assert_int_equal(n_rows(box, "sa"), 2);
    assert_int_equal(n_rows(box, "sb"), 1);
}

static void test_hostile(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];
    Isthmus__V1__Event *entry;
    static char long_text[65536];
    struct said said;

    memset(long_text, 'a', sizeof(long_text) - 1);
    state_two(peer, 9);
    publish_raw(peer, "\xFF\xFF\xFF\xFF", 4);
    publish_raw(peer, "", 0);
    said_init(&said, 9);
    entry = say(&said, UPSERT, 5, 1, "three");
    entry->kind = TEXT("no such kind");
    entry = say(&said, UPSERT, 5, 2, "three");
    said.changes[1].op = (Isthmus__V1__Change__Op) 77;
    entry = say(&said, UPSERT, 5, 3, long_text);
    entry = say(&said, UPSERT, 6, 4, "<b>\x1b[31m\n");
    entry->severity = (Isthmus__V1__Event__Severity) 99;
    entry->text = entry->action = TEXT("<script>\x1b[2J\n\xff");
    entry = say(&said, UPSERT, 7, 5, "no record");
    entry->change->record = NULL;
    publish(peer, &said);
    assert_int_equal(n_rows(box, "sa"), 3);
    log_of(box);
    assert_int_equal(box->n_items, 5);
    assert_null(strpbrk(box->actions, "<>\x1b\n"));
    assert_int_equal(intake_counts(box->intake)->malformed, 6);
    publish_one(peer, 9, UPSERT, 8, 6, "fine");
    assert_int_equal(n_rows(box, "sa"), 4);
}

/* Sealed by somebody whom the hub does not know, and with a bit flipped. */
static void test_refused(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];
    struct ist_self other;

    identity_make(&other, IST_ROLE_SITE, 5);
    peer->hub = identity_peer(&box->hall->self, &other);
    peer->self = other;
    state_two(peer, 9);
    assert_int_equal(n_rows(box, "sa"), 0);
    assert_int_equal(intake_counts(box->intake)->refused[IST_SEAL_UNKNOWN], 1);
}

static void test_goes_on_after_a_restart(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];

    state_two(peer, 9);
    publish_one(peer, 9, UPSERT, 5, 1, "three");
    close_it(box);
    publish_one(peer, 9, DELETE, 6, 2, "one");
    open_it(box);
    hall_run(box->hall, 500);
    assert_int_equal(n_rows(box, "sa"), 2);
    assert_string_equal(log_of(box), "sa:updated sa:updated ");
    assert_int_equal(intake_counts(box->intake)->messages, 1);
    assert_true(currency(box, peer).known);
}

static void test_interrupted_and_resumed(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];
    struct sites_site *site = sites_find(box->hall->sites, "sa");

    state_two(peer, 9);
    publish_one(peer, 9, UPSERT, 5, 1, "three");
    presence(box, peer, 9, 5, 2);
    hall_run(box->hall, SITES_ABSENT_MS + 100);
    assert_int_equal(site->state, SITES_ABSENT);
    intake_site_changed(box->intake, site, SITES_CHANGE_STATE);
    hall_run(box->hall, 10);
    assert_string_equal(log_of(box),
                        "sa:updated sa:unreachable sa:interrupted ");
    assert_false(currency(box, peer).current);
    presence(box, peer, 9, 6, 3); /* It is back, and has more to say. */
    intake_site_changed(box->intake, site, SITES_CHANGE_STATE);
    hall_run(box->hall, 10);
    publish_one(peer, 9, DELETE, 6, 2, "three");
    hall_run(box->hall, 1500);
    assert_string_equal(log_of(box), "sa:updated sa:unreachable sa:interrupted "
                                     "sa:reachable sa:updated sa:resumed ");
}

/* Waiting until the view is as far as the site */

static unsigned n_waited;

static void on_waited(struct ist_op *op)
{
    (void) op;
    n_waited++;
}

static void start_wait(struct box *box, struct intake_wait *wait,
                       uint64_t timeout_ms)
{
    n_waited = 0;
    memset(wait, 0, sizeof(*wait));
    wait->site = sites_find(box->hall->sites, "sa");
    wait->kind = ist_kind_find("server");
    ist_op_prepare(&wait->op, &box->hall->loop, NULL, timeout_ms, on_waited);
    intake_wait_start(box->intake, wait);
    hall_run(box->hall, 10);
}

static void answer_position(struct peer *peer, uint64_t epoch,
                            uint64_t position)
{
    Isthmus__V1__Reply reply = ISTHMUS__V1__REPLY__INIT;
    Isthmus__V1__FeedState feed = ISTHMUS__V1__FEED_STATE__INIT;
    Isthmus__V1__KindPosition kind = ISTHMUS__V1__KIND_POSITION__INIT;
    Isthmus__V1__KindPosition *kinds[] = {&kind};

    kind.kind = TEXT("server");
    kind.position = position;
    feed.epoch = epoch;
    feed.n_kinds = 1;
    feed.kinds = kinds;
    reply.feed = &feed;
    reply.last = true;
    peer_reply(peer, &reply);
}

static void test_wait(void **state)
{
    struct box *box = *state;
    struct peer *peer = &box->hall->peers[0];
    struct intake_wait wait;

    state_two(peer, 9);
    start_wait(box, &wait, 5000);
    assert_int_equal(peer->call->what_case, ISTHMUS__V1__CALL__WHAT_POSITION);
    answer_position(peer, 9, 5);
    assert_int_equal(n_waited, 0);
    publish_one(peer, 9, UPSERT, 5, 1, "three");
    assert_int_equal(n_waited, 1);
    assert_int_equal(wait.op.rc, 0);
    start_wait(box, &wait, 5000);
    answer_position(peer, 9, 5);
    assert_int_equal(n_waited, 1);
    /* What it waits for does not come. */
    start_wait(box, &wait, 500);
    answer_position(peer, 9, 50);
    hall_run(box->hall, 1000);
    assert_int_equal(n_waited, 1);
    assert_int_equal(wait.op.rc, -ETIMEDOUT);
    /* An agent without a feed. */
    start_wait(box, &wait, 5000);
    answer_position(peer, 0, 0);
    assert_int_equal(wait.op.rc, DESK_FAILED);
}

static void test_closed_while_waited_for(void **state)
{
    struct box *box = *state;
    struct intake_wait wait;

    state_two(&box->hall->peers[0], 9);
    start_wait(box, &wait, 5000);
    close_it(box);
    assert_int_equal(n_waited, 1);
    assert_int_equal(wait.op.rc, -ECANCELED);
    open_it(box);
}

/* Rows of a site that was removed go. */
static void test_removed(void **state)
{
    struct box *box = *state;

    state_two(&box->hall->peers[0], 9);
    intake_site_changed(box->intake, sites_find(box->hall->sites, "sa"),
                        SITES_CHANGE_REMOVED);
    hall_run(box->hall, 3000);
    assert_int_equal(n_rows(box, "sa"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_in_order),
        TEST(test_doubles),
        TEST(test_gap),
        TEST(test_statement_with_a_hole),
        TEST(test_epochs),
        TEST(test_sites_are_apart),
        TEST(test_hostile),
        TEST(test_refused),
        TEST(test_goes_on_after_a_restart),
        TEST(test_interrupted_and_resumed),
        TEST(test_wait),
        TEST(test_closed_while_waited_for),
        TEST(test_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
