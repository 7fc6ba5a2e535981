/* Reads the stream: opens each message and hands it on. What does not open is
 * counted, and acked with what comes after it. */
#include "view/intake_priv.h"

#include "base/log.h"
#include "codec/unpack.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_MAX  4096 /* Entries of one message. */
#define ANEW_MAX_MS 3600000

const struct ist_row intake_rows[] = {
    {"feed.batch_max", IST_ROW_U64, offsetof(struct intake_conf, batch_max),
     "1024", 1, 10000, 0,
     "Messages of sites' feeds held until they are written; beyond it the "
     "broker keeps them."},
    {"feed.held_max", IST_ROW_BYTES, offsetof(struct intake_conf, held_max),
     "64MiB", 8U << 20, 16ULL << 30, 0,
     "Bytes of such messages, as they lie in memory; beyond it they are left "
     "to the broker, and read again when what is held is written."},
    {"feed.clock_skew", IST_ROW_MS, offsetof(struct intake_conf, skew_ms),
     "30s", 0, 120000, 0, "Clock difference between hub and sites borne."},
    {"feed.resync", IST_ROW_MS, offsetof(struct intake_conf, resync_ms), "30s",
     1000, 3600000, 0,
     "Least time between two demands on a site to state its kinds again."},
    IST_ROW_END,
};

/* A message that was sent just now: nothing older waits in the stream. */
static void note_end(struct intake *intake, const struct sites_site *site,
                     uint64_t issued_ms)
{
    int64_t age = (int64_t) (ist_loop_wall(intake->loop) - issued_ms) +
                  site->clock_offset_ms;

    if (age > -INTAKE_QUIET_MS && age < INTAKE_QUIET_MS)
        intake->at_end_ms = ist_loop_now(intake->loop);
}

/* The site that sealed it; NULL: refused, and counted. */
static struct intake_site *open_it(struct intake *intake,
                                   struct intake_message *into,
                                   const struct ist_bus_message *message)
{
    struct ist_letter letter;
    struct ist_peer *peer;
    struct sites_site *site;
    int rc =
        ist_open(intake->self, sites_find_peer, intake->sites,
                 ist_loop_wall(intake->loop), intake->conf.skew_ms,
                 message->body, message->size, &into->arena, &letter, &peer);

    if (rc == 0 && letter.kind != IST_KIND_EVENT)
        rc = IST_SEAL_KIND;
    if (rc) {
        intake->counts.refused[rc]++;
        ist_log_debug("intake", "message refused: %s",
                      ist_seal_refusal_name(rc));
        return NULL;
    }
    site = sites_of_peer(peer);
    into->events = ist_unpack(&isthmus__v1__events__descriptor, &into->arena,
                              letter.body, letter.body_size);
    if (!into->events || into->events->n_events > EVENTS_MAX ||
        into->events->epoch == 0) {
        intake->counts.malformed++;
        ist_log_debug("intake", "%s: a message of its feed cannot be read",
                      site->name);
        return NULL;
    }
    sites_heard(intake->sites, site);
    into->is_live =
        site->state == SITES_PRESENT && site->feed_epoch == into->events->epoch;
    note_end(intake, site, letter.issued_ms);
    return site->state == SITES_REMOVED ? NULL : intake_site_of(intake, site);
}

/* What is not held yet is not acked either, and comes again. */
static void pause_reading(struct intake *intake)
{
    ist_bus_cancel(intake->bus, &intake->consumer);
    intake->is_paused = true;
}

static void on_delivery(struct ist_bus_consumer *consumer,
                        const struct ist_bus_message *delivered)
{
    struct intake *intake = IST_CONTAINER(consumer, struct intake, consumer);
    struct intake_message *message = NULL;

    intake->heard_ms = ist_loop_now(intake->loop);
    if (intake->held < intake->conf.held_max)
        message = calloc(1, sizeof(*message));
    if (!message) {
        pause_reading(intake);
        return;
    }
    intake->counts.messages++;
    ist_arena_init(&message->arena, INTAKE_MESSAGE_MAX);
    message->tag = delivered->tag;
    message->offset = delivered->offset;
    message->from = open_it(intake, message, delivered);
    if (!message->from)
        ist_arena_reset(&message->arena);
    intake->held += message->arena.used;
    STAILQ_INSERT_TAIL(&intake->waiting, message, link);
    intake_write_next(intake);
}

static void on_refused(struct ist_bus_consumer *consumer,
                       const struct ist_err *err)
{
    (void) consumer;
    ist_log_warn("intake",
                 "the stream of the sites' feeds cannot be read at "
                 "present: %s",
                 err->text);
}

/* Life */

void intake_message_free(struct intake *intake, struct intake_message *message)
{
    intake->held -= message->arena.used;
    ist_arena_fini(&message->arena);
    free(message);
}

static void free_all(struct intake *intake, struct intake_messages *messages)
{
    struct intake_message *message;

    while ((message = STAILQ_FIRST(messages)) != NULL) {
        STAILQ_REMOVE_HEAD(messages, link);
        intake_message_free(intake, message);
    }
}

static void consume(struct intake *intake)
{
    intake->consumer = (struct ist_bus_consumer){
        .queue = "evt.stream",
        .ack = true,
        .prefetch =
            (uint16_t) (intake->conf.batch_max < 60000 ? intake->conf.batch_max
                                                       : 60000),
        .offset = intake->offset,
        .deliver = on_delivery,
        .refused = on_refused,
    };
    ist_bus_consume(intake->bus, &intake->consumer);
}

void intake_read_on(struct intake *intake)
{
    intake->is_paused = false;
    if (intake->batch.has_place)
        snprintf(intake->offset, sizeof(intake->offset), "%" PRIu64,
                 intake->batch.offset + 1);
    consume(intake);
}

void intake_read_anew(struct intake *intake)
{
    uint64_t wait = intake->anew_wait_ms;

    ist_log_warn("intake", "nothing comes from the stream though sites have "
                           "sent: it is read from its start");
    intake->anew_wait_ms = !wait                ? INTAKE_ANEW_MS
                           : wait < ANEW_MAX_MS ? wait * 2
                                                : wait;
    intake->anew_at_ms = ist_loop_now(intake->loop) + intake->anew_wait_ms;
    ist_bus_cancel(intake->bus, &intake->consumer);
    free_all(intake, &intake->waiting);
    snprintf(intake->offset, sizeof(intake->offset), "first");
    intake->batch.has_place = intake->is_paused = false;
    consume(intake);
}

static void free_sites(struct intake *intake)
{
    struct intake_site *site;
    struct intake_drop *drop;

    while ((site = LIST_FIRST(&intake->known)) != NULL) {
        LIST_REMOVE(site, sibling);
        site->site->owner = NULL;
        free(site->working);
        free(site);
    }
    while ((drop = LIST_FIRST(&intake->drops)) != NULL) {
        LIST_REMOVE(drop, sibling);
        free(drop);
    }
}

static void intake_free(struct intake *intake)
{
    free_sites(intake);
    intake_standings_free(intake);
    view_gather_free(intake->batch.rows);
    free(intake);
}

struct intake *intake_open(struct ist_loop *loop, struct ist_bus *bus,
                           struct desk *desk, struct sites *sites,
                           struct ist_self *self, struct ist_tree *tree,
                           struct view *view, struct events_log *log,
                           const struct intake_conf *conf, struct ist_err *err)
{
    struct intake *intake = calloc(1, sizeof(*intake));

    if (!intake) {
        ist_err_set(err, -ENOMEM, "the intake: out of memory");
        return NULL;
    }
    intake->loop = loop;
    intake->bus = bus;
    intake->desk = desk;
    intake->sites = sites;
    intake->self = self;
    intake->tree = tree;
    intake->view = view;
    intake->log = log;
    intake->conf = *conf;
    intake->n_moves = 1;
    STAILQ_INIT(&intake->waiting);
    STAILQ_INIT(&intake->writing);
    intake->batch.rows = view_gather_new(view);
    if (!intake->batch.rows)
        ist_err_set(err, -ENOMEM, "the intake: out of memory");
    if (!intake->batch.rows ||
        ist_tree_map(tree, "intake", 0, &intake->map, err) ||
        intake_load(intake, err)) {
        intake_free(intake);
        return NULL;
    }
    consume(intake);
    ist_timer_arm_in(&intake->tick, intake->loop, 0, intake_tick);
    return intake;
}

static void try_close(struct intake *intake)
{
    void (*closed)(void *) = intake->closed;
    void *arg = intake->closed_arg;

    if (intake->batch.write.op.state != IST_OP_IDLE ||
        intake->chore.write.op.state != IST_OP_IDLE ||
        intake->telling.write.op.state != IST_OP_IDLE ||
        !LIST_EMPTY(&intake->resyncs) || !LIST_EMPTY(&intake->waits) ||
        events_log_busy(intake->log))
        return;
    ist_timer_disarm(&intake->tick);
    free_all(intake, &intake->writing); /* That were to be tried again. */
    intake_free(intake);
    if (closed)
        closed(arg);
}

static void on_closing(struct ist_timer *timer)
{
    struct intake *intake = IST_CONTAINER(timer, struct intake, tick);

    ist_timer_arm_in(timer, intake->loop, 5, on_closing);
    try_close(intake);
}

void intake_stop(struct intake *intake)
{
    intake->stopping = true;
    intake_sites_stop(intake);
    intake_waits_stop(intake);
}

void intake_close(struct intake *intake, void (*closed)(void *), void *arg)
{
    intake->closing = true;
    intake->closed = closed;
    intake->closed_arg = arg;
    ist_bus_cancel(intake->bus, &intake->consumer);
    ist_timer_disarm(&intake->batch.again);
    free_all(intake, &intake->waiting);
    intake_stop(intake);
    ist_timer_arm_in(&intake->tick, intake->loop, 0, on_closing);
}

void intake_up(struct intake *intake)
{
    intake->heard_ms = ist_loop_now(intake->loop);
}

/* What was delivered and not acked comes again. */
void intake_down(struct intake *intake)
{
    free_all(intake, &intake->waiting);
}

const char *intake_trouble(const struct intake *intake)
{
    return intake->batch.trouble;
}

const struct intake_counts *intake_counts(const struct intake *intake)
{
    return &intake->counts;
}
