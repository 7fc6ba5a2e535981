#include "cli/watch_bus.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "bus/amqp.h"
#include "cli/event_filter.h"
#include "cli/event_line.h"
#include "cli/hub.h"
#include "cli/noc.h"
#include "cli/say.h"

#include <bsd/sys/tree.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS     100
#define CONNECT_MS  15000 /* The first time; later it is tried for ever. */
#define IDLE_MS     1000  /* Nothing more comes of what was asked for. */
#define PREFETCH    200
#define BODY_MAX    (4U << 20)
#define ORIGINS_MAX 10000 /* Then holes are no longer looked for. */

/* Who numbers events, and how far it was seen. */
struct origin {
    RB_ENTRY(origin) entry;
    char name[72];
    uint64_t epoch, sequence;
};

RB_HEAD(origins, origin);

struct watch {
    const struct cli_args *args;
    struct cli_event_lines lines;
    struct cli_event_filter filter;
    struct cli_noc noc;
    struct ist_loop loop;
    struct ist_bus *bus;
    struct ist_bus_consumer consumer;
    struct ist_timer tick;

    char offset[32];
    uint64_t until_ms, begun_ms, heard_ms;
    struct origins origins;
    size_t n_origins;
    bool was_up, over, closed;
    int rc; /* enum cli_exit */
};

static int compare_origins(const struct origin *a, const struct origin *b)
{
    return strcmp(a->name, b->name);
}

RB_GENERATE_INTERNAL(origins, origin, entry, compare_origins, IST_UNUSED_STATIC)

static void end(struct watch *watch, int rc)
{
    watch->rc = rc;
    watch->over = true;
    ist_loop_stop(&watch->loop);
}

/* Events */

static uint64_t number(const json_t *event, const char *name)
{
    uint64_t value = 0;

    ist_parse_u64(cli_event_text(event, name), 0, UINT64_MAX, &value);
    return value;
}

static struct origin *origin_of(struct watch *watch, const char *name)
{
    struct origin want, *origin;

    snprintf(want.name, sizeof(want.name), "%s", name);
    origin = RB_FIND(origins, &watch->origins, &want);
    if (origin || watch->n_origins == ORIGINS_MAX)
        return origin;
    origin = calloc(1, sizeof(*origin));
    if (!origin)
        return NULL;
    memcpy(origin->name, want.name, sizeof(origin->name));
    RB_INSERT(origins, &watch->origins, origin);
    watch->n_origins++;
    return origin;
}

/* Not seen before? And is there a hole before it? */
static bool is_new(struct watch *watch, const json_t *event)
{
    const char *name = cli_event_text(event, "origin");
    uint64_t epoch = number(event, "epoch");
    uint64_t sequence = number(event, "sequence");
    struct origin *origin = *name ? origin_of(watch, name) : NULL;

    if (!origin || !sequence)
        return true;
    if (epoch < origin->epoch ||
        (epoch == origin->epoch && sequence <= origin->sequence))
        return false;
    if (epoch == origin->epoch && sequence > origin->sequence + 1)
        cli_event_lines_note(&watch->lines,
                             "events %" PRIu64 " to %" PRIu64
                             " of %s are missing",
                             origin->sequence + 1, sequence - 1, name);
    origin->epoch = epoch;
    origin->sequence = sequence;
    return true;
}

static void take_event(struct watch *watch, const json_t *event)
{
    uint64_t when = 0;
    char *text;

    if (!is_new(watch, event))
        return;
    if (ist_clock_parse(cli_event_text(event, "time"), &when) &&
        when > watch->until_ms) {
        end(watch, CLI_OK);
        return;
    }
    if (!cli_event_filter_match(&watch->filter, event))
        return;
    text = json_dumps(event, JSON_COMPACT);
    if (text)
        cli_event_lines_put(&watch->lines, event, text, strlen(text));
    free(text);
}

static void on_message(struct ist_bus_consumer *consumer,
                       const struct ist_bus_message *message)
{
    struct watch *watch = IST_CONTAINER(consumer, struct watch, consumer);
    json_t *batch, *event;
    size_t i;
    int rc;

    watch->heard_ms = ist_loop_now(&watch->loop);
    batch = cli_noc_verify(&watch->noc, message)
                ? json_loadb(message->body, message->size, 0, NULL)
                : NULL;
    if (!json_is_array(batch))
        cli_say("message %" PRIu64 " of the stream is not signed by the hub: "
                "left out",
                message->offset);
    json_array_foreach(batch, i, event)
    {
        if (!watch->over)
            take_event(watch, event);
    }
    json_decref(batch);
    ist_bus_ack(watch->bus, consumer, message->tag);
    rc = cli_event_lines_flush(&watch->lines);
    if (rc == -EPIPE)
        end(watch, CLI_OK);
    else if (rc)
        end(watch, cli_fail(CLI_FAILED, "cannot write: %s", strerror(-rc)));
}

static void on_dropped(struct ist_bus_consumer *consumer)
{
    struct watch *watch = IST_CONTAINER(consumer, struct watch, consumer);

    cli_event_lines_note(&watch->lines, "a message that is none of the hub's "
                                        "was left out");
}

static void on_refused(struct ist_bus_consumer *consumer,
                       const struct ist_err *err)
{
    struct watch *watch = IST_CONTAINER(consumer, struct watch, consumer);

    if (!watch->was_up)
        end(watch, cli_fail(CLI_DENIED, "the broker refuses %s: %s",
                            watch->noc.queue, err->text));
}

/* The connection */

static void on_placed(struct ist_bus_consumer *consumer)
{
    struct watch *watch = IST_CONTAINER(consumer, struct watch, consumer);

    watch->was_up = true;
    watch->heard_ms = ist_loop_now(&watch->loop);
}

static void on_down(struct ist_bus *bus, const struct ist_err *err)
{
    (void) bus;
    cli_say("lost the bus, trying again: %s", err->text);
}

static void on_closed(struct ist_bus *bus)
{
    struct watch *watch = bus->owner;

    watch->closed = true;
    ist_loop_stop(&watch->loop);
}

static const struct ist_bus_events bus_events = {.down = on_down,
                                                 .closed = on_closed};

static void on_tick(struct ist_timer *timer)
{
    struct watch *watch = IST_CONTAINER(timer, struct watch, tick);
    uint64_t now = ist_loop_now(&watch->loop);

    if (cli_hub_interrupted())
        end(watch, CLI_OK);
    else if (!watch->was_up && now >= watch->begun_ms + CONNECT_MS)
        end(watch, cli_fail(CLI_UNREACHABLE,
                            "no connection to the bus at %s after %d s",
                            watch->noc.url, CONNECT_MS / 1000));
    else if (watch->was_up && ist_loop_wall(&watch->loop) >= watch->until_ms &&
             now >= watch->heard_ms + IDLE_MS)
        end(watch, CLI_OK);
    else
        ist_timer_arm_in(timer, &watch->loop, TICK_MS, on_tick);
}

static int connect_bus(struct watch *watch)
{
    struct ist_amqp_conf conf = {.url = watch->noc.url,
                                 .ca = watch->noc.ca,
                                 .certificate = watch->noc.certificate,
                                 .key = watch->noc.key,
                                 .heartbeat_ms = 6000,
                                 .backoff_max_ms = 5000,
                                 .out_high = 1U << 20,
                                 .out_hard = 2U << 20,
                                 .body_max = BODY_MAX};
    struct ist_err err;

    watch->bus = ist_amqp_new(&watch->loop, &conf, "isthmus watch", &bus_events,
                              watch, &err);
    if (!watch->bus)
        return cli_fail(CLI_FAILED, "%s", err.text);
    watch->consumer = (struct ist_bus_consumer){.queue = watch->noc.queue,
                                                .offset = watch->offset,
                                                .ack = true,
                                                .prefetch = PREFETCH,
                                                .deliver = on_message,
                                                .placed = on_placed,
                                                .dropped = on_dropped,
                                                .refused = on_refused};
    ist_bus_consume(watch->bus, &watch->consumer);
    return 0;
}

static int run(struct watch *watch)
{
    int rc = connect_bus(watch);

    if (rc)
        return rc;
    watch->begun_ms = ist_loop_now(&watch->loop);
    ist_timer_arm_in(&watch->tick, &watch->loop, TICK_MS, on_tick);
    ist_loop_run(&watch->loop);
    ist_timer_disarm(&watch->tick);
    ist_bus_cancel(watch->bus, &watch->consumer);
    ist_bus_close(watch->bus);
    while (!watch->closed)
        ist_loop_run(&watch->loop);
    watch->bus = ist_bus_free(watch->bus);
    return watch->rc;
}

/* Times */

/* As the broker takes it: a word, or "90s", how long ago. */
static int read_since(struct watch *watch, const char *text, uint64_t now)
{
    uint64_t since, seconds;

    if (!text || strcmp(text, "now") == 0) {
        snprintf(watch->offset, sizeof(watch->offset), "next");
        return 0;
    }
    if (strcmp(text, "oldest") == 0) {
        snprintf(watch->offset, sizeof(watch->offset), "first");
        return 0;
    }
    if (!ist_clock_parse_past(text, now, &since))
        return cli_fail(CLI_USAGE,
                        "--since: must be oldest, a time as "
                        "2026-11-25T08:00:00Z, or how long ago, as 1h");
    seconds = now > since ? (now - since + 999) / 1000 : 0;
    if (seconds == 0)
        snprintf(watch->offset, sizeof(watch->offset), "next");
    else
        snprintf(watch->offset, sizeof(watch->offset), "%" PRIu64 "s", seconds);
    return 0;
}

static int read_until(struct watch *watch, const char *text, uint64_t now)
{
    uint64_t ahead;

    watch->until_ms = UINT64_MAX;
    if (!text)
        return 0;
    if (*text == '+' && ist_parse_ms(text + 1, &ahead))
        watch->until_ms = now + ahead;
    else if (!ist_clock_parse_past(text, now, &watch->until_ms))
        return cli_fail(CLI_USAGE,
                        "--until: must be a time as 2026-11-25T08:00:00Z, how "
                        "long ago, as 1h, or how long from now, as +1h");
    return 0;
}

int cli_watch_bus(const struct cli_args *args)
{
    struct watch watch = {.args = args};
    uint64_t now = ist_clock_wall_ms();
    struct origin *origin;
    int rc;

    RB_INIT(&watch.origins);
    ist_log_level_set(IST_LOG_ERROR); /* What counts is said here. */
    if (sodium_init() < 0 || ist_loop_init(&watch.loop))
        return cli_fail(CLI_FAILED, "no event loop to be had");
    cli_hub_watch_signals();
    rc = cli_event_lines_init(&watch.lines, args);
    cli_event_filter_init(&watch.filter, args);
    if (rc == 0)
        rc = read_since(&watch, args->since, now);
    if (rc == 0)
        rc = read_until(&watch, args->until, now);
    if (rc == 0)
        rc = cli_noc_read(&watch.noc, args->bus);
    if (rc == 0)
        rc = run(&watch);
    while ((origin = RB_ROOT(&watch.origins)) != NULL) {
        RB_REMOVE(origins, &watch.origins, origin);
        free(origin);
    }
    cli_event_lines_fini(&watch.lines);
    ist_loop_fini(&watch.loop);
    return rc;
}
