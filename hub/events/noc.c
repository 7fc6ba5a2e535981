/* One window of the log at a time: its events are put together by site, the
 * batches published at once, and when all are confirmed the place moves behind
 * the window. */
#include "events/noc.h"

#include "base/log.h"
#include "codec/statement.h"
#include "events/filter.h"
#include "events/place.h"

#include <assert.h>
#include <bsd/sys/tree.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINGER_MS        5    /* That events wait for others of their site. */
#define WINDOW_ITEMS     4096 /* Events read at a time, */
#define WINDOW_BATCHES   1024 /* put into so many messages at most, */
#define WINDOW_BYTES     (1024 * 1024) /* of so many bytes. */
#define CONFIRM_MS       30000
#define RETRY_MIN_MS     100
#define RETRY_MAX_MS     5000
#define WORD_MAX         48 /* Five of them fit into a key. */
#define DELEGATION_CHARS 1400

enum { SERVICE, KIND, ACTION, SEVERITY, WORDS };

struct batch {
    struct ist_bus_publish publish;
    struct noc *noc;
    RB_ENTRY(batch) entry; /* While its site's events still go into it. */
    char site[WORD_MAX + 17];
    char words[WORDS][WORD_MAX + 1];
    struct ist_sb body;
    size_t n_events;
    char signature[sodium_base64_ENCODED_LEN(crypto_sign_BYTES,
                                             sodium_base64_VARIANT_ORIGINAL)];
    bool is_confirmed;
};

RB_HEAD(batches, batch);

struct noc {
    struct ist_loop *loop;
    struct ist_bus *bus;
    struct events_log *log;
    const uint8_t *secret; /* All borrowed. */
    char delegation[DELEGATION_CHARS];

    struct events_follower follower;
    struct ist_timer turn;
    struct events_place place; /* Up to here all is published. */
    uint64_t window_end;       /* Up to here it will be, with these batches. */
    struct batch *batches;
    size_t n_batches, n_open, n_bytes;
    size_t hubs; /* The last that has one of the hub's own events. */
    struct batches by_site;
    unsigned n_tries; /* That failed, one after the other. */
    bool is_stopped;

    struct noc_counts counts;
};

static int compare_sites(const struct batch *a, const struct batch *b)
{
    return strcmp(a->site, b->site);
}

RB_GENERATE_INTERNAL(batches, batch, entry, compare_sites, IST_UNUSED_STATIC)

/* Putting together */

/* A word of the key: the batch's own, until two events differ in it. */
static void merge_word(struct batch *batch, size_t i, const char *word)
{
    char *have = batch->words[i];

    if (batch->n_events == 0)
        snprintf(have, WORD_MAX + 1, "%.*s", WORD_MAX, *word ? word : "_");
    else if (strncmp(have, *word ? word : "_", WORD_MAX) != 0)
        snprintf(have, WORD_MAX + 1, "_");
}

static struct batch *batch_begin(struct noc *noc, const char *site)
{
    struct batch *batch = &noc->batches[noc->n_batches++];

    *batch = (struct batch){.noc = noc};
    snprintf(batch->site, sizeof(batch->site), "%s", site);
    ist_sb_init(&batch->body, 0);
    ist_sb_putc(&batch->body, '[');
    return batch;
}

/* A site's own events are in its own batches; the hub's are in those of all
 * sites, and must not overtake each other either: none goes into a batch that
 * stands before the last one of them. */
static bool has_room(const struct noc *noc, const struct batch *batch,
                     bool is_hubs)
{
    return batch->n_events < NOC_BATCH_MAX &&
           (!is_hubs || batch >= &noc->batches[noc->hubs]);
}

/* The one that the site's next event goes into; NULL: no room in this window.
 */
static struct batch *batch_of(struct noc *noc, const struct events_item *item,
                              bool is_hubs)
{
    struct batch want, *batch;

    snprintf(want.site, sizeof(want.site), "%s", item->site);
    batch = RB_FIND(batches, &noc->by_site, &want);
    if (batch && has_room(noc, batch, is_hubs))
        return batch;
    if (noc->n_batches == WINDOW_BATCHES)
        return NULL;
    if (batch)
        RB_REMOVE(batches, &noc->by_site, batch);
    batch = batch_begin(noc, item->site);
    RB_INSERT(batches, &noc->by_site, batch);
    return batch;
}

static bool take(void *arg, const struct events_item *item)
{
    const char *const words[WORDS] = {
        [SERVICE] = item->service,
        [KIND] = item->kind,
        [ACTION] = item->action,
        [SEVERITY] = events_severity_name(item->severity),
    };
    struct noc *noc = arg;
    bool is_hubs = strcmp(item->origin, EVENTS_HUB) == 0;
    struct batch *batch =
        noc->n_bytes < WINDOW_BYTES ? batch_of(noc, item, is_hubs) : NULL;

    if (!batch)
        return false;
    if (is_hubs)
        noc->hubs = (size_t) (batch - noc->batches);
    for (size_t i = 0; i < WORDS; i++)
        merge_word(batch, i, words[i]);
    if (batch->n_events++)
        ist_sb_putc(&batch->body, ',');
    ist_sb_add(&batch->body, item->json.data, item->json.size);
    noc->n_bytes += item->json.size;
    return true;
}

/* What the log no longer holds. */
static void take_gap(struct noc *noc)
{
    static const char *const words[WORDS] = {"hub", "log", "gap", "warning"};
    struct batch *batch;
    uint64_t first, last;

    events_log_range(noc->log, &first, &last);
    noc->window_end = noc->place.at;
    if (noc->place.at + 1 >= first)
        return;
    /* At the very first start nothing is missed. */
    if (noc->place.at) {
        batch = batch_begin(noc, "hub");
        for (size_t i = 0; i < WORDS; i++)
            merge_word(batch, i, words[i]);
        batch->n_events = 1;
        events_gap_put(&batch->body, noc->place.at + 1, first - 1,
                       ist_loop_wall(noc->loop));
    }
    noc->window_end = first - 1;
}

static void batches_drop(struct noc *noc)
{
    for (size_t i = 0; i < noc->n_batches; i++)
        ist_sb_fini(&noc->batches[i].body);
    noc->n_batches = noc->n_bytes = noc->hubs = 0;
    RB_INIT(&noc->by_site);
}

static int batch_finish(struct batch *batch)
{
    uint8_t signature[crypto_sign_BYTES];
    int rc;

    ist_sb_putc(&batch->body, ']');
    if (batch->body.rc)
        return batch->body.rc;
    rc = ist_statement_sign(IST_STATEMENT_EVENTS, batch->body.data,
                            batch->body.len, batch->noc->secret, signature);
    if (rc == 0)
        sodium_bin2base64(batch->signature, sizeof(batch->signature), signature,
                          sizeof(signature), sodium_base64_VARIANT_ORIGINAL);
    return rc;
}

/* Fills the window: 0, also when there is nothing. */
static int window_take(struct noc *noc, struct ist_err *err)
{
    int rc;

    take_gap(noc);
    rc = events_log_read(noc->log, noc->window_end, WINDOW_ITEMS, take, noc,
                         &noc->window_end, err);
    for (size_t i = 0; rc == 0 && i < noc->n_batches; i++) {
        rc = batch_finish(&noc->batches[i]);
        if (rc)
            ist_err_set(err, rc, "out of memory");
    }
    if (rc)
        batches_drop(noc);
    return rc;
}

/* Publishing */

static void on_turn(struct ist_timer *timer);

static void wait_longer(struct noc *noc, const char *why)
{
    uint64_t ms = (uint64_t) RETRY_MIN_MS
                  << (noc->n_tries < 6 ? noc->n_tries : 6);

    if (noc->n_tries++ == 0)
        ist_log_warn("noc", "events cannot be published, trying again: %s",
                     why);
    ist_timer_arm_in(&noc->turn, noc->loop,
                     ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS, on_turn);
}

/* Soon, or at once when there is enough for whole messages. */
static void wait_for_more(struct noc *noc)
{
    uint64_t first, last;

    if (noc->is_stopped || noc->n_batches || ist_timer_armed(&noc->turn))
        return;
    events_log_range(noc->log, &first, &last);
    if (noc->place.at < last)
        ist_timer_arm_in(&noc->turn, noc->loop,
                         last - noc->place.at < NOC_BATCH_MAX ? LINGER_MS : 0,
                         on_turn);
}

static struct batch *first_unconfirmed(struct noc *noc)
{
    for (size_t i = 0; i < noc->n_batches; i++) {
        if (!noc->batches[i].is_confirmed)
            return &noc->batches[i];
    }
    return NULL;
}

static void window_done(struct noc *noc)
{
    if (noc->n_tries)
        ist_log_info("noc", "events are published again");
    noc->n_tries = 0;
    events_place_move(&noc->place, noc->window_end);
    noc->counts.messages += noc->n_batches;
    for (size_t i = 0; i < noc->n_batches; i++)
        noc->counts.events += noc->batches[i].n_events;
    batches_drop(noc);
}

static void window_over(struct noc *noc)
{
    struct batch *failed = first_unconfirmed(noc);

    if (!failed)
        window_done(noc);
    if (noc->is_stopped) {
        batches_drop(noc);
        events_place_stop(&noc->place);
    } else if (failed) {
        wait_longer(noc, failed->publish.op.err.text);
    } else {
        wait_for_more(noc);
    }
}

static void on_published(struct ist_op *op)
{
    struct batch *batch = IST_CONTAINER(op, struct batch, publish.op);
    struct noc *noc = batch->noc;

    batch->is_confirmed = op->rc == 0;
    if (op->rc)
        noc->counts.failures++;
    if (--noc->n_open == 0)
        window_over(noc);
}

static void batch_publish(struct noc *noc, struct batch *batch)
{
    struct ist_bus_header headers[] = {
        {"isthmus-signature", batch->signature},
        {"isthmus-delegation", noc->delegation},
    };
    char key[WORD_MAX * (WORDS + 2)];
    struct ist_bus_message message = {.exchange = NOC_EXCHANGE,
                                      .key = key,
                                      .type = "events",
                                      .content_type = NOC_CONTENT_TYPE,
                                      .headers = headers,
                                      .n_headers = IST_COUNT(headers),
                                      .body = batch->body.data,
                                      .size = batch->body.len,
                                      .mandatory = true,
                                      .persistent = true};

    snprintf(key, sizeof(key), "%.*s.%s.%s.%s.%s", WORD_MAX, batch->site,
             batch->words[SERVICE], batch->words[KIND], batch->words[ACTION],
             batch->words[SEVERITY]);
    ist_op_prepare(&batch->publish.op, noc->loop, NULL, CONFIRM_MS,
                   on_published);
    ist_bus_publish(noc->bus, &batch->publish, &message);
}

/* From the first that is not confirmed on: so what follows it at its site does
 * not overtake it. */
static void window_publish(struct noc *noc)
{
    struct batch *first = first_unconfirmed(noc);
    size_t at = first ? (size_t) (first - noc->batches) : noc->n_batches;

    noc->n_open = noc->n_batches - at;
    if (noc->n_open == 0) { /* Nothing but what needs no telling. */
        window_over(noc);
        return;
    }
    for (size_t i = at; i < noc->n_batches; i++) {
        noc->batches[i].is_confirmed = false;
        batch_publish(noc, &noc->batches[i]);
    }
}

static void on_turn(struct ist_timer *timer)
{
    struct noc *noc = IST_CONTAINER(timer, struct noc, turn);
    struct ist_err err = {.text = ""};

    if (noc->n_batches == 0 && window_take(noc, &err))
        wait_longer(noc, err.text);
    else
        window_publish(noc);
}

static void on_more(struct events_follower *follower)
{
    wait_for_more(IST_CONTAINER(follower, struct noc, follower));
}

/* The life of one */

struct noc *noc_open(struct ist_bus *bus, struct ist_tree *tree,
                     struct events_log *log, const struct noc_signer *signer,
                     struct ist_err *err)
{
    struct noc *noc = calloc(1, sizeof(*noc));

    assert(sodium_base64_ENCODED_LEN(signer->delegation_size,
                                     sodium_base64_VARIANT_ORIGINAL) <=
           DELEGATION_CHARS);
    if (noc)
        noc->batches = calloc(WINDOW_BATCHES, sizeof(*noc->batches));
    if (!noc || !noc->batches) {
        free(noc);
        ist_err_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    noc->loop = bus->loop;
    noc->bus = bus;
    noc->log = log;
    noc->secret = signer->secret;
    sodium_bin2base64(noc->delegation, sizeof(noc->delegation),
                      signer->delegation, signer->delegation_size,
                      sodium_base64_VARIANT_ORIGINAL);
    RB_INIT(&noc->by_site);
    events_place_open(&noc->place, tree, log, NOC_PLACE);
    noc->follower.more = on_more;
    events_log_follow(log, &noc->follower);
    wait_for_more(noc);
    return noc;
}

void noc_up(struct noc *noc)
{
    if (noc->is_stopped || noc->n_open)
        return;
    if (noc->n_batches)
        ist_timer_arm_in(&noc->turn, noc->loop, 0, on_turn);
    else
        wait_for_more(noc);
}

void noc_stop(struct noc *noc)
{
    if (noc->is_stopped)
        return;
    noc->is_stopped = true;
    events_log_unfollow(&noc->follower);
    ist_timer_disarm(&noc->turn);
    for (size_t i = 0; i < noc->n_batches && noc->n_open; i++)
        ist_op_cancel(&noc->batches[i].publish.op, -ECANCELED);
    if (noc->n_open == 0) {
        batches_drop(noc);
        events_place_stop(&noc->place);
    }
}

bool noc_busy(const struct noc *noc)
{
    return noc->n_open || events_place_busy(&noc->place);
}

struct noc *noc_free(struct noc *noc)
{
    if (!noc)
        return NULL;
    assert(noc->is_stopped && !noc_busy(noc));
    batches_drop(noc);
    free(noc->batches);
    free(noc);
    return NULL;
}

void noc_count(const struct noc *noc, struct noc_counts *ret)
{
    uint64_t first, last;

    events_log_range(noc->log, &first, &last);
    *ret = noc->counts;
    ret->behind = last > noc->place.at ? last - noc->place.at : 0;
}
