#include "feed/notify.h"

#include "base/log.h"
#include "base/rand.h"
#include "bus/amqp.h"
#include "bus/url.h"
#include "conf/file.h"
#include "feed/notify_priv.h"
#include "os/rows.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVICES_MAX 8
#define URL_MAX      8192
#define HEARTBEAT_MS 15000
/* It is the site's broker, busy with the site. */
#define BACKOFF_MAX_MS 60000
/* An exchange that is not there: that service may never speak. */
#define RETRY_MAX_MS 60000
#define OUT_MAX      (256U * 1024)

const struct ist_row notify_rows[] = {
    {"events.transport_url_file", IST_ROW_PATH,
     offsetof(struct notify_conf, transport_url_file), NULL, 1, 4000, 0,
     "File with the transport_url of the site's RabbitMQ, as in nova.conf, for "
     "the services' notifications; mode 0600. Without it changes are only "
     "found by reading."},
    {"events.ca", IST_ROW_PATH, offsetof(struct notify_conf, ca), NULL, 1, 4000,
     0,
     "PEM file of the CA of that RabbitMQ, where it speaks TLS; else those "
     "that the system trusts."},
    {"events.declare", IST_ROW_BOOL, offsetof(struct notify_conf, declare),
     "false", 0, 0, 0,
     "Make a service's exchange where there is none yet, rather than wait for "
     "it; never on a site whose exchanges are durable."},
    {"events.queue_max", IST_ROW_U64, offsetof(struct notify_conf, queue_max),
     "10000", 1, 1000000, 0,
     "Messages that may wait for us in one queue at the site's RabbitMQ; "
     "beyond it the oldest go, and what they told is found by reading."},
    {"events.queue_ttl", IST_ROW_MS, offsetof(struct notify_conf, queue_ttl_ms),
     "60s", 1000, 86400000, 0, "How long one may wait there."},
    IST_ROW_END,
};

/* One service's place at the broker. */
struct ear {
    struct ist_bus_consumer consumer;
    struct notify *notify;
    const struct os_service *service;
    char queue[160];
    bool is_placed, has_told, is_told;
};

struct notify {
    struct ist_loop *loop;          /* Borrowed. */
    const struct notify_conf *conf; /* Borrowed. */
    struct feed *feed;              /* Borrowed. NULL: closing. */
    struct ist_bus *bus;            /* Owned. */
    struct ear ears[SERVICES_MAX];
    size_t n_ears;
    struct ist_sb scratch;
    struct notify_counts counts;
    void (*closed)(void *);
    void *closed_arg;
};

/* Hearing */

static void update(struct ear *ear)
{
    struct notify *notify = ear->notify;
    bool is_told = ear->is_placed && ear->has_told;

    if (!notify->feed || is_told == ear->is_told)
        return;
    ear->is_told = is_told;
    notify->counts.told += is_told ? 1 : (uint64_t) -1;
    ist_log_info("feed", "changes of %s are %s by its notifications",
                 ear->service->name, is_told ? "told" : "no longer told");
    feed_notified(notify->feed, ear->service->name, is_told);
}

static void on_touch(void *arg, const char *kind, const char *id)
{
    struct notify *notify = arg;

    if (notify->feed)
        feed_touch(notify->feed, kind, id);
}

static void on_deliver(struct ist_bus_consumer *consumer,
                       const struct ist_bus_message *message)
{
    struct ear *ear = IST_CONTAINER(consumer, struct ear, consumer);
    struct notify *notify = ear->notify;
    struct notify_verdict verdict =
        notify_read(ear->service->name, message->body, message->size,
                    &notify->scratch, on_touch, notify);

    notify->counts.received++;
    notify->counts.wanted += verdict.wanted;
    notify->counts.faults[verdict.fault]++;
    if (verdict.fault)
        ist_log_debug("feed", "a notification of %s cannot be used: %s",
                      ear->service->name, notify_fault_name(verdict.fault));
    ear->has_told = ear->has_told || verdict.wanted;
    update(ear);
}

static void on_dropped(struct ist_bus_consumer *consumer)
{
    struct ear *ear = IST_CONTAINER(consumer, struct ear, consumer);
    struct notify *notify = ear->notify;

    notify->counts.received++;
    notify->counts.faults[NOTIFY_LARGE]++;
    notify_touch_all(ear->service->name, on_touch, notify);
}

static void on_placed(struct ist_bus_consumer *consumer)
{
    struct ear *ear = IST_CONTAINER(consumer, struct ear, consumer);

    ear->is_placed = true;
    update(ear);
}

static void on_refused(struct ist_bus_consumer *consumer,
                       const struct ist_err *err)
{
    struct ear *ear = IST_CONTAINER(consumer, struct ear, consumer);

    (void) err; /* The bus has logged it. */
    ear->is_placed = false;
    update(ear);
}

/* The bus */

static void on_down(struct ist_bus *bus, const struct ist_err *err)
{
    struct notify *notify = bus->owner;

    (void) err;
    for (size_t i = 0; i < notify->n_ears; i++) {
        notify->ears[i].is_placed = false;
        update(&notify->ears[i]);
    }
}

static void on_closed(struct ist_bus *bus)
{
    struct notify *notify = bus->owner;
    void (*closed)(void *) = notify->closed;
    void *arg = notify->closed_arg;

    ist_bus_free(bus);
    ist_sb_fini(&notify->scratch);
    free(notify);
    closed(arg);
}

const struct ist_bus_events notify_bus_events = {
    .down = on_down,
    .closed = on_closed,
};

/* Opening */

static void ear_init(struct ear *ear, struct notify *notify,
                     const struct os_service *service, const char *site,
                     uint32_t chance)
{
    ear->notify = notify;
    ear->service = service;
    snprintf(ear->queue, sizeof(ear->queue), "isthmus-agent-%s-%08x-{n}-%s",
             site, chance, service->exchange);
    ear->consumer = (struct ist_bus_consumer){
        .queue = ear->queue,
        .bind_exchange = service->exchange,
        .bind_key = "notifications.*",
        .bind_also = "versioned_notifications.*",
        .ttl_ms = notify->conf->queue_ttl_ms,
        .max_length = notify->conf->queue_max,
        .declare_exchange = notify->conf->declare,
        .retry_max_ms = RETRY_MAX_MS,
        .deliver = on_deliver,
        .dropped = on_dropped,
        .placed = on_placed,
        .refused = on_refused,
    };
}

struct notify *notify_new(struct ist_loop *loop, const struct notify_conf *conf,
                          const char *site, struct feed *feed)
{
    struct notify *notify = calloc(1, sizeof(*notify));
    const struct os_service *services;
    uint32_t chance;

    if (!notify)
        return NULL;
    *notify = (struct notify){.loop = loop, .conf = conf, .feed = feed};
    ist_sb_init(&notify->scratch, NOTIFY_BODY_MAX);
    ist_rand_bytes(&chance, sizeof(chance));
    services = os_services_known(&notify->n_ears);
    assert(notify->n_ears <= SERVICES_MAX);
    for (size_t i = 0; i < notify->n_ears; i++)
        ear_init(&notify->ears[i], notify, &services[i], site, chance);
    return notify;
}

void notify_listen(struct notify *notify, struct ist_bus *bus)
{
    notify->bus = bus;
    for (size_t i = 0; i < notify->n_ears; i++)
        ist_bus_consume(bus, &notify->ears[i].consumer);
}

static struct ist_bus *open_bus(struct notify *notify, const char *site,
                                char *url, struct ist_err *err)
{
    const struct ist_amqp_conf conf = {
        .url = url,
        .foreign = true,
        .ca = notify->conf->ca,
        .heartbeat_ms = HEARTBEAT_MS,
        .backoff_max_ms = BACKOFF_MAX_MS,
        .out_high = OUT_MAX,
        .out_hard = OUT_MAX,
        .body_max = NOTIFY_BODY_MAX,
    };
    char name[64];

    snprintf(name, sizeof(name), "isthmus-agent %s", site);
    return ist_amqp_new(notify->loop, &conf, name, &notify_bus_events, notify,
                        err);
}

static char *read_url(const char *path, struct ist_err *err)
{
    char *text = NULL, *url = NULL;
    struct ist_sb sb;

    ist_sb_init(&sb, URL_MAX);
    if (ist_conf_read_secret(path, &text, err) == 0 &&
        notify_url(text, &sb, err) == 0)
        url = ist_sb_take(&sb, NULL);
    ist_conf_secret_free(text);
    if (sb.data)
        explicit_bzero(sb.data, sb.size);
    ist_sb_fini(&sb);
    return url;
}

int notify_check(const struct notify_conf *conf, struct ist_err *err)
{
    struct ist_bus_url urls[IST_BUS_URL_MAX];
    char *url = read_url(conf->transport_url_file, err);
    int rc = url ? ist_bus_url_parse(url, urls, err) : err->code;

    explicit_bzero(urls, sizeof(urls));
    ist_conf_secret_free(url);
    return rc < 0 ? ist_err_wrap(err, "events.transport_url_file") : 0;
}

struct notify *notify_open(struct ist_loop *loop,
                           const struct notify_conf *conf, const char *site,
                           struct feed *feed, struct ist_err *err)
{
    char *url = read_url(conf->transport_url_file, err);
    struct notify *notify;
    struct ist_bus *bus;

    if (!url) {
        ist_err_wrap(err, "events.transport_url_file");
        return NULL;
    }
    notify = notify_new(loop, conf, site, feed);
    if (!notify)
        ist_err_set(err, -ENOMEM, "out of memory");
    bus = notify ? open_bus(notify, site, url, err) : NULL;
    ist_conf_secret_free(url);
    if (!bus) {
        ist_err_wrap(err, "events.transport_url_file");
        free(notify);
        return NULL;
    }
    notify_listen(notify, bus);
    return notify;
}

void notify_close(struct notify *notify, void (*closed)(void *), void *arg)
{
    notify->feed = NULL;
    notify->closed = closed;
    notify->closed_arg = arg;
    ist_bus_close(notify->bus);
}

const struct notify_counts *notify_counts(const struct notify *notify)
{
    return &notify->counts;
}
