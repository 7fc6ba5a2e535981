/* The feed of one OpenStack by hand, with a bus in process:
 *
 *     feed_driver CLOUDS_YAML CLOUD STATE_DIR [POLL_MS]
 *
 * Every entry is a line on stdout: sequence, op, kind, id, action, text, with
 * tabs between. Lines on stdin are orders, in their order:
 *
 *     touch KIND [ID]
 *     notified SERVICE on|off
 *     resync [KIND...]
 *     settle                  until all that was noticed is told: "settled RC"
 *     state                   a line for each kind, then "end"
 *     counts
 *
 * It ends with stdin. Used by tests/integ, and by people. */
#include "feed/feed.h"

#include "base/log.h"
#include "bus/mem.h"
#include "codec/unpack.h"
#include "conf/conf.h"

#include "../unit/identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS_MAX 64

struct driver {
    struct ist_loop loop;
    struct ist_http *http;
    struct ist_cloud_entry entry;
    struct os_conf os_conf;
    struct os_cloud *cloud;
    struct policy *policy;
    struct ist_mem_broker *broker;
    struct ist_bus *site_bus, *hub_bus;
    struct ist_self site, hub;
    struct ist_peer to_hub, to_site;
    struct ist_bus_consumer consumer;
    struct feed_conf conf;
    struct feed *feed;
    struct feed_settle settle;
    struct ist_arena arena;
    uv_pipe_t input;
    char buf[65536], line[65536];
    size_t len;
};

/* Entries */

static struct ist_peer *find_site(void *arg, const uint8_t id[16])
{
    struct driver *d = arg;

    return memcmp(d->to_site.id_in, id, 16) == 0 ? &d->to_site : NULL;
}

static void print(const Isthmus__V1__Event *event)
{
    static const char *const ops[] = {"upsert", "delete", "begin", "end"};
    const Isthmus__V1__Change *change = event->change;
    const char *id =
        change && change->record ? change->record->id : event->subject;

    printf("entry\t%" PRIu64 "\t%s\t%s\t%s\t%s\t%s\n", event->sequence,
           change ? ops[change->op] : "news", event->kind, id, event->action,
           event->text);
}

static void on_events(struct ist_bus_consumer *consumer,
                      const struct ist_bus_message *message)
{
    struct driver *d = IST_CONTAINER(consumer, struct driver, consumer);
    const Isthmus__V1__Events *events;
    struct ist_letter letter;
    struct ist_peer *peer;

    ist_arena_reset(&d->arena);
    if (ist_open(&d->hub, find_site, d, ist_loop_wall(&d->loop), 30000,
                 message->body, message->size, &d->arena, &letter, &peer))
        abort();
    events = ist_unpack(&isthmus__v1__events__descriptor, &d->arena,
                        letter.body, letter.body_size);
    for (size_t i = 0; events && i < events->n_events; i++)
        print(events->events[i]);
    fflush(stdout);
}

/* Orders */

static void order_touch(struct driver *d, char **words, size_t n)
{
    if (n > 0)
        feed_touch(d->feed, words[0], n > 1 ? words[1] : NULL);
}

static void order_notified(struct driver *d, char **words, size_t n)
{
    if (n > 1)
        feed_notified(d->feed, words[0], strcmp(words[1], "on") == 0);
}

static void order_resync(struct driver *d, char **words, size_t n)
{
    feed_resync(d->feed, words, n);
}

static void on_settled(struct ist_op *op)
{
    printf("settled\t%d\n", op->rc);
    fflush(stdout);
}

static void order_settle(struct driver *d, char **words, size_t n)
{
    (void) words, (void) n;
    ist_op_prepare(&d->settle.op, &d->loop, NULL, 120000, on_settled);
    feed_settle_start(d->feed, &d->settle);
}

static void order_state(struct driver *d, char **words, size_t n)
{
    const Isthmus__V1__FeedState *state;

    (void) words, (void) n;
    ist_arena_reset(&d->arena);
    state = feed_state(d->feed, &d->arena);
    for (size_t i = 0; state && i < state->n_kinds; i++)
        printf("kind\t%s\t%" PRIu64 "\t%" PRIu64 "\t%s\n",
               state->kinds[i]->kind, state->kinds[i]->position,
               state->kinds[i]->read_ms, state->kinds[i]->trouble);
    puts("end");
    fflush(stdout);
}

static void order_counts(struct driver *d, char **words, size_t n)
{
    const struct feed_counts *c = feed_counts(d->feed);

    (void) words, (void) n;
    printf("counts\ttouches %" PRIu64 " shows %" PRIu64 " readings %" PRIu64
           " failed %" PRIu64 " upserts %" PRIu64 " deletes %" PRIu64
           " news %" PRIu64 " sent %" PRIu64 "\n",
           c->touches, c->shows, c->readings, c->failed_readings, c->upserts,
           c->deletes, c->news, c->sent);
    fflush(stdout);
}

static const struct {
    const char *word;
    void (*obey)(struct driver *, char **words, size_t n);
} orders[] = {
    {"touch", order_touch},   {"notified", order_notified},
    {"resync", order_resync}, {"settle", order_settle},
    {"state", order_state},   {"counts", order_counts},
};

static void obey(struct driver *d, char *line)
{
    char *words[WORDS_MAX], *word;
    size_t n = 0;

    while (n < WORDS_MAX && (word = strsep(&line, " ")) != NULL)
        words[n++] = word;
    for (size_t i = 0; i < IST_COUNT(orders) && n > 0; i++) {
        if (strcmp(orders[i].word, words[0]) == 0)
            orders[i].obey(d, words + 1, n - 1);
    }
}

/* The end */

static void on_feed_closed(void *arg)
{
    struct driver *d = arg;

    ist_bus_close(d->site_bus);
    ist_bus_close(d->hub_bus);
    os_cloud_close(d->cloud, NULL, NULL);
    ist_http_close(d->http, NULL, NULL);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    struct driver *d = handle->data;

    (void) size;
    *buf = uv_buf_init(d->buf, sizeof(d->buf));
}

static void on_input(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct driver *d = stream->data;

    if (n < 0) {
        uv_close((uv_handle_t *) stream, NULL);
        feed_close(d->feed, on_feed_closed, d);
        return;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (buf->base[i] != '\n' && d->len < sizeof(d->line) - 1) {
            d->line[d->len++] = buf->base[i];
            continue;
        }
        d->line[d->len] = '\0';
        d->len = 0;
        obey(d, d->line);
    }
}

/* The start */

static void on_up(struct ist_bus *bus)
{
    struct driver *d = bus->owner;

    if (d->feed)
        feed_up(d->feed);
}

static void open_bus(struct driver *d)
{
    static const struct ist_bus_events up = {.up = on_up}, none = {.up = NULL};

    identity_make(&d->hub, IST_ROLE_HUB, 1);
    identity_make(&d->site, IST_ROLE_SITE, 1);
    d->to_site = identity_peer(&d->site, &d->hub);
    d->to_hub = identity_peer(&d->hub, &d->site);
    d->broker = ist_mem_broker_new(&d->loop);
    ist_mem_exchange(d->broker, "x.evt", "topic");
    ist_mem_queue(d->broker, "events", 0, 0);
    ist_mem_bind(d->broker, "events", "x.evt", "*.feed.batch");
    d->site_bus = ist_mem_new(d->broker, "site", &up, d);
    d->hub_bus = ist_mem_new(d->broker, "hub", &none, d);
    d->consumer =
        (struct ist_bus_consumer){.queue = "events", .deliver = on_events};
    ist_bus_consume(d->hub_bus, &d->consumer);
}

static struct policy *allow_all(struct ist_err *err)
{
    static const char rules[] = "mode: active\nrules:\n"
                                "  - {allow: read, what: \"*\"}\n";
    char path[] = "/tmp/isthmus-feed-XXXXXX";
    struct policy *policy = NULL;
    int fd = mkstemp(path);

    if (fd >= 0 && write(fd, rules, sizeof(rules) - 1) > 0)
        policy = policy_load(path, err);
    if (fd >= 0)
        close(fd);
    unlink(path);
    return policy;
}

static int start(struct driver *d, int argc, char **argv, struct ist_err *err)
{
    static const struct ist_http_conf http = {.connect_timeout_ms = 5000,
                                              .idle_timeout_ms = 20000,
                                              .connections_max = 16,
                                              .per_host_max = 8,
                                              .headers_max = 65536};
    const struct ist_conf_table tables[] = {{os_rows, &d->os_conf},
                                            {feed_rows, &d->conf}};
    struct ist_conf_report report;

    ist_conf_report_init(&report);
    if (ist_conf_load(NULL, tables, IST_COUNT(tables), &report, err) ||
        ist_clouds_load(argv[1], argv[2], &d->entry, err))
        return -1;
    ist_conf_report_fini(&report);
    if (argc > 4)
        d->conf.poll_ms = (uint64_t) atoll(argv[4]);
    d->policy = allow_all(err);
    if (!d->policy || ist_loop_init(&d->loop))
        return -1;
    d->http = ist_http_new(&d->loop, &http);
    d->cloud = os_cloud_new(&d->loop, d->http, &d->entry, &d->os_conf, err);
    if (!d->cloud)
        return -1;
    open_bus(d);
    d->feed = feed_open(&d->loop, argv[3], d->cloud, d->policy, d->site_bus,
                        &d->site, &d->to_hub, "site", &d->conf, err);
    return d->feed ? 0 : -1;
}

int main(int argc, char **argv)
{
    static struct driver d;
    struct ist_err err = {.text = "usage: feed_driver CLOUDS_YAML CLOUD "
                                  "STATE_DIR [POLL_MS]"};

    ist_log_level_set(IST_LOG_DEBUG);
    ist_arena_init(&d.arena, 64U << 20);
    if (argc < 4 || start(&d, argc, argv, &err)) {
        fprintf(stderr, "feed_driver: %s\n", err.text);
        return 2;
    }
    uv_pipe_init(d.loop.uv, &d.input, 0);
    d.input.data = &d;
    if (uv_pipe_open(&d.input, STDIN_FILENO) ||
        uv_read_start((uv_stream_t *) &d.input, on_alloc, on_input))
        return 2;
    ist_loop_run(&d.loop);
    ist_bus_free(d.site_bus);
    ist_bus_free(d.hub_bus);
    ist_mem_broker_free(d.broker);
    ist_loop_fini(&d.loop);
    policy_free(d.policy);
    ist_cloud_entry_fini(&d.entry);
    ist_arena_fini(&d.arena);
    return 0;
}
