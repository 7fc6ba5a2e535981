/* From the outbox to the bus, in order: several batches on their way at once,
 * and what was confirmed without a hole before it leaves the outbox. When one
 * fails nothing more is sent until all are answered; then it goes on behind
 * what was confirmed. So an entry may come twice, and by its number whoever
 * gets it knows. */
#include "feed/feed_priv.h"

#include "base/log.h"
#include "base/rand.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define ENTRIES_MAX 64U
#define BYTES_MAX   (256U * 1024)
#define GATHER_MS   5
#define LIFE_MS     (24ULL * 3600 * 1000 - 60000)
#define AGAIN_MS    100 /* After the first failure; then twice that... */
#define AGAIN_MAX   10000

static void pump(struct feed *feed);

static struct feed *feed_of(struct feed_sender *sender)
{
    return IST_CONTAINER(sender, struct feed, sender);
}

/* What has arrived */

static void confirm(struct feed *feed);

static void on_removed(struct feed_write *write)
{
    struct feed_confirm *done = IST_CONTAINER(write, struct feed_confirm, base);
    struct feed_sender *sender =
        IST_CONTAINER(done, struct feed_sender, confirm);
    struct feed *feed = feed_of(sender);

    sender->is_confirming = false;
    if (write->write.op.rc)
        ist_log_warn("feed", "what was sent cannot be removed: %s",
                     write->write.op.err.text);
    else
        confirm(feed);
    feed_wrote(feed, write);
    feed_end(feed);
}

static void confirm(struct feed *feed)
{
    struct feed_sender *sender = &feed->sender;

    if (sender->is_confirming || sender->confirmed < feed->store.head.first)
        return;
    sender->is_confirming = true;
    sender->confirm.upto = sender->confirmed;
    feed_begin(feed);
    feed_store_confirm(&feed->store, &sender->confirm, on_removed);
}

static void take_confirmed(struct feed *feed)
{
    struct feed_sender *sender = &feed->sender;

    while (sender->n && sender->batches[sender->first].is_confirmed) {
        struct feed_batch *batch = &sender->batches[sender->first];

        sender->confirmed = batch->last;
        feed->counts.sent += batch->n;
        sender->first = (sender->first + 1) % FEED_WINDOW;
        sender->n--;
        sender->n_failures = 0;
    }
    confirm(feed);
}

/* What has not */

static void on_again(struct ist_timer *timer)
{
    pump(feed_of(IST_CONTAINER(timer, struct feed_sender, again)));
}

static void go_back(struct feed *feed)
{
    struct feed_sender *sender = &feed->sender;
    uint64_t wait = AGAIN_MS;

    for (unsigned i = 0; i < sender->n_failures && wait < AGAIN_MAX; i++)
        wait *= 2;
    sender->n_failures++;
    sender->has_failed = false;
    sender->n = 0;
    sender->sent = sender->confirmed;
    if (!feed->is_closing)
        ist_timer_arm_in(&sender->again, feed->loop,
                         wait / 2 + ist_rand_below(wait), on_again);
}

static void on_published(struct ist_op *op)
{
    struct ist_bus_publish *publish =
        IST_CONTAINER(op, struct ist_bus_publish, op);
    struct feed_batch *batch =
        IST_CONTAINER(publish, struct feed_batch, publish);
    struct feed *feed = batch->feed;
    struct feed_sender *sender = &feed->sender;

    sender->n_flying--;
    batch->is_confirmed = op->rc == 0;
    if (op->rc) {
        sender->has_failed = true;
        if (op->rc == IST_BUS_DENIED && sender->n_failures == 0)
            ist_log_warn("feed", "the broker does not take events: %s",
                         op->err.text);
    }
    take_confirmed(feed);
    if (sender->has_failed && sender->n_flying == 0)
        go_back(feed);
    pump(feed);
    feed_end(feed);
}

/* Sending */

static int publish(struct feed *feed, struct feed_batch *batch,
                   const struct ist_sb *body)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb wire;
    struct ist_letter letter = {
        .kind = IST_KIND_EVENT, .body = body->data, .body_size = body->len};
    uint64_t now = ist_loop_wall(feed->loop);
    struct ist_bus_message message;
    int rc;

    ist_sb_init(&wire, 0);
    letter.expires_ms = now + LIFE_MS;
    rc = ist_seal(feed->self, feed->hub, now, &letter, &wire);
    if (rc)
        return rc;
    message = (struct ist_bus_message){.exchange = "x.evt",
                                       .key = feed->key,
                                       .body = wire.data,
                                       .size = wire.len,
                                       .type = "event",
                                       .expiration_ms = LIFE_MS,
                                       .persistent = true};
    feed->sender.n_flying++;
    feed_begin(feed);
    ist_op_prepare(&batch->publish.op, feed->loop, NULL, 0, on_published);
    ist_bus_publish(feed->bus, &batch->publish, &message);
    return 0;
}

/* The next batch; false: there is none, or it cannot be sent now. */
static bool send_next(struct feed *feed)
{
    struct feed_sender *sender = &feed->sender;
    struct feed_batch *batch =
        &sender->batches[(sender->first + sender->n) % FEED_WINDOW];
    IST_CLEANUP(ist_sb_fini) struct ist_sb body;
    struct ist_err err;
    int rc;

    ist_sb_init(&body, 0);
    memset(&batch->publish, 0, sizeof(batch->publish));
    batch->feed = feed;
    batch->is_confirmed = false;
    rc = feed_store_batch(&feed->store, sender->sent, sender->confirmed + 1,
                          ENTRIES_MAX, BYTES_MAX, &body, &batch->last,
                          &batch->n, &err);
    if (rc == 0 && batch->n == 0)
        return false;
    if (rc == 0)
        rc = publish(feed, batch, &body);
    if (rc) {
        ist_log_warn("feed", "changes cannot be sent: %s", ist_err_name(rc));
        sender->has_failed = true;
        if (sender->n_flying == 0)
            go_back(feed);
        return false;
    }
    sender->sent = batch->last;
    sender->n++;
    return true;
}

static void pump(struct feed *feed)
{
    struct feed_sender *sender = &feed->sender;

    while (!feed->is_closing && feed->bus->is_up && !sender->has_failed &&
           !ist_timer_armed(&sender->again) && sender->n < FEED_WINDOW &&
           send_next(feed))
        ;
}

static void on_gathered(struct ist_timer *timer)
{
    pump(feed_of(IST_CONTAINER(timer, struct feed_sender, gather)));
}

void feed_sender_wake(struct feed *feed)
{
    struct feed_sender *sender = &feed->sender;

    if (feed->is_closing || sender->sent + 1 >= feed->store.head.next ||
        ist_timer_armed(&sender->gather))
        return;
    ist_timer_arm_in(&sender->gather, feed->loop, GATHER_MS, on_gathered);
}

void feed_sender_retry(struct feed *feed)
{
    ist_timer_disarm(&feed->sender.again);
    feed->sender.n_failures = 0;
    pump(feed);
}

/* Life */

void feed_sender_init(struct feed *feed)
{
    struct feed_sender *sender = &feed->sender;

    sender->sent = sender->confirmed = feed->store.head.first - 1;
    feed->counts.outbox_entries =
        feed->store.head.next - feed->store.head.first;
    feed->counts.outbox_bytes = feed->store.head.bytes;
}

void feed_sender_stop(struct feed *feed)
{
    struct feed_sender *sender = &feed->sender;

    ist_timer_disarm(&sender->gather);
    ist_timer_disarm(&sender->again);
    for (size_t i = 0; i < sender->n; i++)
        ist_op_cancel(
            &sender->batches[(sender->first + i) % FEED_WINDOW].publish.op,
            -ECANCELED);
}
