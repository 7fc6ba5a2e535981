/* Some sites in one process that only speak: each says that it is there, states
 * its servers, and then tells of changes at a given rate. What is sealed and
 * published is what an agent's feed sends; what lies behind a real feed
 * (OpenStack, the outbox) is not here, so that it is the bus and the hub that
 * are measured.
 *
 *   bench_feeds DIR FIRST N
 *
 * DIR/sNNN is a site's state directory. Says "ready" when all are connected;
 * then obeys lines, and answers each with one of JSON:
 *
 *   state ROWS            every site states so many servers
 *   news RATE SECONDS RUN changes of these, RATE a second over all sites, RUN
 * of each server that is picked, one after the other
 *
 * Ends with its input. */
#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/rand.h"
#include "bus/amqp.h"
#include "codec/unpack.h"
#include "keys/keys.h"

#include "isthmus/v1/event.pb-c.h"
#include "isthmus/v1/presence.pb-c.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH_MAX   64
#define BATCH_BYTES (192U * 1024)
#define WINDOW      4 /* Batches of a site not yet confirmed. */
#define TURN_MS     5
#define PRESENCE_MS 5000
#define LIFE_MS     (24ULL * 3600 * 1000)
#define KEYS        9 /* Of a server, in the order of the table of kinds. */
#define PROJECTS    1000

struct site {
    uint32_t number;
    char name[16], key[40], alive_key[32];
    struct keys keys;
    struct ist_bus *bus;
    struct ist_timer presence;
    struct publish {
        struct ist_bus_publish publish;
        struct site *site;
        bool busy;
    } publishes[WINDOW];

    uint64_t epoch, next_sequence, position;
    uint64_t n_rows;
    /* What is to be said. */
    uint64_t next_row;   /* Of the statement under way. */
    bool stating, ended; /* ended: its END was sent. */
    uint64_t n_wanted;   /* Changes that are due. */
    uint64_t row, n_run; /* The server that changes, and how often still. */
    bool has_been_up;
};

static struct ist_loop loop;
static struct site *sites;
static uint32_t n_sites, n_up;
static struct ist_timer turn;
static struct ist_arena packing;

/* The order being carried out. */
static struct {
    bool running, is_news;
    uint64_t began_ms, ends_ms, rate, run, n_due, n_sent, n_confirmed, n_lost;
    uint32_t next_site;
} order;

static const struct ist_amqp_conf amqp_conf = {
    .heartbeat_ms = 30000,
    .backoff_max_ms = 5000,
    .out_high = 8U << 20,
    .out_hard = 32U << 20,
    .body_max = 1088U << 10,
};

static void die(const char *what, const struct ist_err *err)
{
    fprintf(stderr, "bench_feeds: %s: %s\n", what, err->text);
    exit(1);
}

/* Entries, each with what it points to */

struct entry {
    Isthmus__V1__Event event;
    Isthmus__V1__Change change;
    Isthmus__V1__Record record;
    ProtobufCBinaryData keys[KEYS];
    char id[40], name[40], project[40], created[32], updated[32], host[24],
        text[96], body[1024];
};

static struct entry entries[BATCH_MAX];
static Isthmus__V1__Event *events[BATCH_MAX];

static void set_key(struct entry *entry, size_t i, const char *text)
{
    entry->keys[i] = (ProtobufCBinaryData){strlen(text), (uint8_t *) text};
}

/* Projects are skewed: one has nine rows of ten, the others share the rest. */
static unsigned project_of(uint64_t row)
{
    return row % 10 ? 0 : (unsigned) (1 + row / 10 % (PROJECTS - 1));
}

/* About 600 bytes, made of what a server's record has. */
static void write_body(struct entry *entry, const struct site *site,
                       uint64_t row)
{
    int n = snprintf(
        entry->body, sizeof(entry->body),
        "{\"id\": \"%s\", \"name\": \"%s\", \"status\": \"ACTIVE\", "
        "\"tenant_id\": \"%s\", \"user_id\": "
        "\"0f5f2c1e8a6b4f0d9a51c7de9b1f3a77\", \"created\": \"%s\", "
        "\"updated\": \"%s\", \"addresses\": {\"net\": [{\"version\": 4, "
        "\"addr\": \"10.%u.%u.%u\", \"OS-EXT-IPS:type\": \"fixed\"}]}, "
        "\"flavor\": {\"vcpus\": 4, \"ram\": 8192, \"disk\": 80, "
        "\"original_name\": \"m1.large\"}, \"OS-EXT-SRV-ATTR:host\": \"%s\", "
        "\"OS-EXT-STS:vm_state\": \"active\", \"OS-EXT-STS:power_state\": 1, "
        "\"metadata\": {}, \"key_name\": null, \"progress\": 0}",
        entry->id, entry->name, entry->project, entry->created, entry->updated,
        site->number % 256, (unsigned) (row / 256 % 256),
        (unsigned) (row % 256), entry->host);

    entry->record.body =
        (ProtobufCBinaryData){(size_t) n, (uint8_t *) entry->body};
}

/* Stated rows were last changed in the past, at times that are spread as those
 * of real ones are; what is news was changed just now. */
static void write_row(struct entry *entry, const struct site *site,
                      uint64_t row, bool is_news)
{
    static const char *const fixed[KEYS] = {
        [1] = "ACTIVE",
        [5] = "0f5f2c1e8a6b4f0d9a51c7de9b1f3a77",
        [7] = "az-1",
        [8] = "2026-11-01T00:00:00.000000"};

    snprintf(entry->id, sizeof(entry->id), "%08x-0000-4000-8000-%012" PRIx64,
             site->number, row);
    snprintf(entry->name, sizeof(entry->name), "web-%" PRIu64, row % 5000);
    snprintf(entry->project, sizeof(entry->project), "%032x", project_of(row));
    snprintf(entry->created, sizeof(entry->created),
             "2026-09-%02uT%02u:%02u:%02u.000000", (unsigned) (1 + row % 28),
             (unsigned) (row / 28 % 24), (unsigned) (row % 60),
             (unsigned) (site->number % 60));
    if (is_news)
        ist_clock_text(ist_loop_wall(&loop), entry->updated);
    else
        snprintf(entry->updated, sizeof(entry->updated),
                 "2026-10-%02uT%02u:%02u:%02u.000000",
                 (unsigned) (1 + row % 28), (unsigned) (row / 28 % 24),
                 (unsigned) (site->number % 60), (unsigned) (row % 60));
    snprintf(entry->host, sizeof(entry->host), "compute-%u",
             (unsigned) (row % 50));
    isthmus__v1__record__init(&entry->record);
    entry->record.id = entry->id;
    for (size_t i = 0; i < KEYS; i++)
        set_key(entry, i, fixed[i] ? fixed[i] : "");
    set_key(entry, 0, entry->name);
    set_key(entry, 2, entry->project);
    set_key(entry, 3, entry->created);
    set_key(entry, 4, entry->updated);
    set_key(entry, 6, entry->host);
    entry->record.n_keys = KEYS;
    entry->record.keys = entry->keys;
    write_body(entry, site, row);
}

static struct entry *begin_entry(struct site *site, size_t n,
                                 Isthmus__V1__Change__Op op)
{
    static char service[] = "compute", kind[] = "server";
    struct entry *entry = &entries[n];

    events[n] = &entry->event;
    isthmus__v1__event__init(&entry->event);
    isthmus__v1__change__init(&entry->change);
    entry->event.time_ms = ist_loop_wall(&loop);
    entry->event.service = service;
    entry->event.kind = kind;
    entry->event.change = &entry->change;
    entry->change.op = op;
    entry->change.position = ++site->position;
    return entry;
}

static void add_row(struct site *site, size_t n, uint64_t row, bool is_news)
{
    static char action[] = "updated";
    struct entry *entry = begin_entry(site, n, ISTHMUS__V1__CHANGE__OP__UPSERT);

    write_row(entry, site, row, is_news);
    entry->change.record = &entry->record;
    if (!is_news)
        return;
    snprintf(entry->text, sizeof(entry->text), "server %s was updated",
             entry->name);
    entry->event.sequence = site->next_sequence++;
    entry->event.action = action;
    entry->event.subject = entry->id;
    entry->event.project = entry->project;
    entry->event.text = entry->text;
}

/* Messages */

static void pump(struct site *site);

static void on_published(struct ist_op *op)
{
    struct publish *publish = IST_CONTAINER(op, struct publish, publish.op);

    publish->busy = false;
    if (op->rc == 0)
        order.n_confirmed++;
    else
        order.n_lost++;
    pump(publish->site);
}

static void publish_batch(struct site *site, struct publish *publish, size_t n)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb wire;
    Isthmus__V1__Events batch;
    struct ist_letter letter = {.kind = IST_KIND_EVENT};
    struct ist_bus_message message;
    uint64_t now = ist_loop_wall(&loop);

    ist_sb_init(&wire, 0);
    ist_arena_reset(&packing);
    isthmus__v1__events__init(&batch);
    batch.epoch = site->epoch;
    batch.n_events = n;
    batch.events = events;
    letter.expires_ms = now + LIFE_MS;
    letter.body = ist_pack(&batch, &packing, &letter.body_size);
    if (!letter.body || ist_seal(&site->keys.own.self, &site->keys.hub, now,
                                 &letter, &wire) != 0)
        exit(1);
    message = (struct ist_bus_message){.exchange = "x.evt",
                                       .key = site->key,
                                       .body = wire.data,
                                       .size = wire.len,
                                       .type = "event",
                                       .persistent = true};
    publish->busy = true;
    order.n_sent++;
    ist_op_prepare(&publish->publish.op, &loop, NULL, 0, on_published);
    ist_bus_publish(site->bus, &publish->publish, &message);
}

static size_t fill_statement(struct site *site)
{
    size_t n = 0, bytes = 0;

    if (site->next_row == 0)
        begin_entry(site, n++, ISTHMUS__V1__CHANGE__OP__BEGIN);
    while (n < BATCH_MAX - 1 && bytes < BATCH_BYTES &&
           site->next_row < site->n_rows) {
        add_row(site, n, site->next_row++, false);
        bytes += entries[n++].record.body.len;
    }
    if (site->next_row == site->n_rows) {
        begin_entry(site, n++, ISTHMUS__V1__CHANGE__OP__END);
        site->stating = false;
        site->ended = true;
    }
    return n;
}

static size_t fill_news(struct site *site)
{
    size_t n = 0;

    for (; n < BATCH_MAX && site->n_wanted; n++, site->n_wanted--) {
        if (site->n_run == 0) {
            site->row = ist_rand_below(site->n_rows);
            site->n_run = order.run;
        }
        site->n_run--;
        add_row(site, n, site->row, true);
    }
    return n;
}

static void pump(struct site *site)
{
    for (size_t i = 0; i < WINDOW; i++) {
        struct publish *publish = &site->publishes[i];
        size_t n;

        if (publish->busy)
            continue;
        n = site->stating ? fill_statement(site) : fill_news(site);
        if (n == 0)
            return;
        publish_batch(site, publish, n);
    }
}

/* Orders */

static void answer(void)
{
    uint64_t ms = ist_loop_now(&loop) - order.began_ms, news = 0;

    for (uint32_t i = 0; i < n_sites; i++)
        news += sites[i].next_sequence - 1;
    printf("{\"ms\": %" PRIu64 ", \"messages\": %" PRIu64 ", \"lost\": %" PRIu64
           ", \"news_in_all\": %" PRIu64 "}\n",
           ms, order.n_confirmed, order.n_lost, news);
    fflush(stdout);
    order.running = false;
}

static bool is_idle(void)
{
    if (order.n_sent != order.n_confirmed + order.n_lost)
        return false;
    for (uint32_t i = 0; i < n_sites; i++) {
        if (sites[i].stating || sites[i].n_wanted)
            return false;
    }
    return true;
}

/* Open loop: what is due is due, whether or not the last has been sent. */
static void share_out(void)
{
    uint64_t now = ist_loop_now(&loop), due;

    if (now > order.ends_ms)
        now = order.ends_ms;
    due = (now - order.began_ms) * order.rate / 1000;
    for (; order.n_due < due; order.n_due++) {
        sites[order.next_site].n_wanted++;
        /* A site's changes come in bursts, as a batch holds them. */
        if (order.n_due % BATCH_MAX == BATCH_MAX - 1)
            order.next_site = (order.next_site + 1) % n_sites;
    }
}

static void on_turn(struct ist_timer *timer)
{
    if (order.running) {
        if (order.is_news)
            share_out();
        for (uint32_t i = 0; i < n_sites; i++)
            pump(&sites[i]);
        if (is_idle() &&
            (!order.is_news || ist_loop_now(&loop) >= order.ends_ms))
            answer();
    }
    ist_timer_arm_in(timer, &loop, TURN_MS, on_turn);
}

static void obey(const char *line)
{
    uint64_t a = 0, b = 0, c = 0;

    memset(&order, 0, sizeof(order));
    order.began_ms = ist_loop_now(&loop);
    if (sscanf(line, "state %" SCNu64, &a) == 1) {
        for (uint32_t i = 0; i < n_sites; i++) {
            sites[i].n_rows = a;
            sites[i].next_row = 0;
            sites[i].stating = true;
        }
    } else if (sscanf(line, "news %" SCNu64 " %" SCNu64 " %" SCNu64, &a, &b,
                      &c) == 3 &&
               c > 0) {
        order.is_news = true;
        order.rate = a;
        order.run = c;
        order.ends_ms = order.began_ms + 1000 * b;
    } else {
        fprintf(stderr, "bench_feeds: what is '%s'?\n", line);
        exit(2);
    }
    order.running = true;
}

static void on_input(uv_poll_t *poll, int status, int what)
{
    char buf[64];
    ssize_t n = read(STDIN_FILENO, buf, sizeof(buf) - 1);

    (void) poll;
    (void) what;
    if (status < 0 || n <= 0)
        exit(0); /* The process ends here, and all it holds. */
    buf[n] = '\0';
    obey(buf);
}

/* The sites */

static void on_presence(struct ist_timer *timer)
{
    struct site *site = IST_CONTAINER(timer, struct site, presence);
    IST_CLEANUP(ist_sb_fini) struct ist_sb wire;
    static char version[] = IST_VERSION, mode[] = "active", kind[] = "server";
    Isthmus__V1__Presence presence;
    Isthmus__V1__FeedState feed;
    Isthmus__V1__KindPosition position, *positions[] = {&position};
    struct ist_letter letter = {.kind = IST_KIND_HEARTBEAT};
    struct ist_bus_message message;
    uint64_t now = ist_loop_wall(&loop);

    ist_sb_init(&wire, 0);
    ist_arena_reset(&packing);
    isthmus__v1__presence__init(&presence);
    isthmus__v1__feed_state__init(&feed);
    isthmus__v1__kind_position__init(&position);
    presence.version = version;
    presence.policy_mode = mode;
    presence.feed = &feed;
    feed.epoch = site->epoch;
    feed.next_sequence = site->next_sequence;
    feed.n_kinds = site->ended;
    feed.kinds = positions;
    position.kind = kind;
    position.position = site->position;
    position.notified = true;
    position.read_ms = now;
    letter.expires_ms = now + 15000;
    letter.body = ist_pack(&presence, &packing, &letter.body_size);
    if (letter.body && ist_seal(&site->keys.own.self, &site->keys.hub, now,
                                &letter, &wire) == 0) {
        message = (struct ist_bus_message){.exchange = "x.evt",
                                           .key = site->alive_key,
                                           .body = wire.data,
                                           .size = wire.len,
                                           .type = "alive"};
        ist_bus_send(site->bus, &message);
    }
    ist_timer_arm_in(timer, &loop, PRESENCE_MS, on_presence);
}

static void on_up(struct ist_bus *bus)
{
    struct site *site = bus->owner;

    ist_timer_arm_in(&site->presence, &loop, ist_rand_below(PRESENCE_MS),
                     on_presence);
    if (site->has_been_up)
        return;
    site->has_been_up = true;
    if (++n_up == n_sites) {
        puts("ready");
        fflush(stdout);
    }
}

static void on_down(struct ist_bus *bus, const struct ist_err *err)
{
    fprintf(stderr, "bench_feeds: %s lost the bus: %s\n",
            ((struct site *) bus->owner)->name, err->text);
}

static const struct ist_bus_events bus_events = {.up = on_up, .down = on_down};

static void start(struct site *site, uint32_t number, const char *dir)
{
    struct ist_amqp_conf conf = amqp_conf;
    struct ist_err err;
    char state[PATH_MAX];

    site->number = number;
    snprintf(site->name, sizeof(site->name), "s%03u", number);
    snprintf(site->key, sizeof(site->key), "%s.feed.batch", site->name);
    snprintf(site->alive_key, sizeof(site->alive_key), "%s.alive", site->name);
    snprintf(state, sizeof(state), "%s/%s", dir, site->name);
    if (keys_open(state, &loop, &site->keys, &err))
        die(site->name, &err);
    site->epoch = ist_loop_wall(&loop);
    site->next_sequence = 1;
    for (size_t i = 0; i < WINDOW; i++)
        site->publishes[i].site = site;
    conf.url = site->keys.bus_url;
    conf.ca = site->keys.bus_ca;
    conf.certificate = site->keys.bus_certificate;
    conf.key = site->keys.bus_key;
    site->bus = ist_amqp_new(&loop, &conf, site->name, &bus_events, site, &err);
    if (!site->bus)
        die(site->name, &err);
}

int main(int argc, char **argv)
{
    uint64_t first, n;
    uv_poll_t input;

    if (argc != 4 || !ist_parse_u64(argv[2], 0, 999, &first) ||
        !ist_parse_u64(argv[3], 1, 1000, &n)) {
        fputs("usage: bench_feeds DIR FIRST N\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    ist_log_level_set(IST_LOG_ERROR);
    if (ist_loop_init(&loop))
        return 1;
    ist_arena_init(&packing, 2U << 20);
    n_sites = (uint32_t) n;
    sites = calloc(n_sites, sizeof(*sites));
    if (!sites)
        return 1;
    for (uint32_t i = 0; i < n_sites; i++)
        start(&sites[i], (uint32_t) first + i, argv[1]);
    uv_poll_init(loop.uv, &input, STDIN_FILENO);
    uv_poll_start(&input, UV_READABLE, on_input);
    on_turn(&turn);
    ist_loop_run(&loop);
    return 1;
}
