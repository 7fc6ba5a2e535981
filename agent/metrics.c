#include "metrics.h"

#include <errno.h>
#include <string.h>

static void collect_calls(struct agent_metrics *m)
{
    const struct serve_counts *counts = &m->serve->counts;

    ist_metric_set(&m->calls, (double) counts->calls);
    ist_metric_set(&m->calls_open, (double) m->serve->n_open);
    ist_metric_set(&m->denied, (double) counts->denied);
    ist_metric_set(&m->failed, (double) counts->failed);
    ist_metric_set(&m->busy, (double) counts->busy);
    ist_metric_set(&m->frames, (double) counts->frames);
    ist_metric_set(&m->records, (double) counts->records);
    ist_metric_set(&m->skipped, (double) counts->skipped);
    for (int i = 1; i < IST_SEAL_REFUSALS; i++)
        ist_metric_set(&m->refused, (double) counts->refused[i],
                       ist_seal_refusal_name(i));
}

static void collect_commands(struct agent_metrics *m)
{
    const struct serve_command_counts *counts = &m->commands->counts;
    const struct {
        const char *outcome;
        uint64_t n;
    } rows[] = {{"new", counts->fresh},
                {"again", counts->again},
                {"conflict", counts->conflict},
                {"late", counts->late},
                {"full", counts->full}};

    for (size_t i = 0; i < IST_COUNT(rows); i++)
        ist_metric_set(&m->commands_total, (double) rows[i].n, rows[i].outcome);
}

static void collect_feed(struct agent_metrics *m)
{
    const struct feed_counts *counts = feed_counts(m->feed);

    ist_metric_set(&m->feed_touches, (double) counts->touches);
    ist_metric_set(&m->feed_shows, (double) counts->shows);
    ist_metric_set(&m->feed_readings, (double) counts->readings, "whole");
    ist_metric_set(&m->feed_readings, (double) counts->failed_readings,
                   "failed");
    ist_metric_set(&m->feed_entries, (double) counts->upserts, "upsert");
    ist_metric_set(&m->feed_entries, (double) counts->deletes, "delete");
    ist_metric_set(&m->feed_news, (double) counts->news);
    ist_metric_set(&m->feed_sent, (double) counts->sent);
    ist_metric_set(&m->feed_dropped, (double) counts->dropped);
    ist_metric_set(&m->feed_outbox_entries, (double) counts->outbox_entries);
    ist_metric_set(&m->feed_outbox_bytes, (double) counts->outbox_bytes);
}

static void collect_events(struct agent_metrics *m)
{
    const struct notify_counts *counts = notify_counts(m->events);

    ist_metric_set(&m->notifications, (double) counts->wanted, "wanted");
    ist_metric_set(&m->notifications,
                   (double) (counts->received - counts->wanted), "other");
    for (int i = NOTIFY_FINE + 1; i < NOTIFY_FAULTS; i++)
        ist_metric_set(&m->notifications_bad, (double) counts->faults[i],
                       notify_fault_name((enum notify_fault) i));
    ist_metric_set(&m->notifying, (double) counts->told);
}

static void collect(struct ist_metrics_collector *collector)
{
    struct agent_metrics *m =
        IST_CONTAINER(collector, struct agent_metrics, collector);

    collect_calls(m);
    collect_commands(m);
    if (m->feed)
        collect_feed(m);
    if (m->events)
        collect_events(m);
    ist_metric_set(&m->bus_up, m->bus->is_up ? 1 : 0);
    ist_metric_set(&m->bus_connects, (double) m->bus->n_connects);
    ist_metric_set(&m->bus_dropped, (double) m->bus->n_dropped);
}

#define N(member) offsetof(struct agent_metrics, member)

static const struct {
    size_t offset;
    struct ist_metric metric;
} rows[] = {
    {N(calls), IST_COUNTER("isthmus_agent_calls_total", "Calls of the hub.")},
    {N(calls_open),
     IST_GAUGE("isthmus_agent_calls_open", "Calls being worked on.")},
    {N(denied), IST_COUNTER("isthmus_agent_calls_denied_total",
                            "Calls that the site's policy refused.")},
    {N(failed), IST_COUNTER("isthmus_agent_calls_failed_total",
                            "Calls answered with a failure, denied ones too.")},
    {N(busy), IST_COUNTER("isthmus_agent_calls_busy_total",
                          "Calls refused because there were too many.")},
    {N(frames),
     IST_COUNTER("isthmus_agent_frames_total", "Frames of answers sent.")},
    {N(records),
     IST_COUNTER("isthmus_agent_records_total", "Records in them.")},
    {N(skipped),
     IST_COUNTER("isthmus_agent_records_skipped_total",
                 "Records left out of lists: too large, ambiguous, or without "
                 "an id.")},
    {N(refused), IST_COUNTER("isthmus_agent_messages_refused_total",
                             "Messages that did not open, by the first check "
                             "that failed.",
                             "reason")},
    {N(commands_total),
     IST_COUNTER("isthmus_agent_commands_total",
                 "Commands that opened, by what the record of commands says.",
                 "outcome")},
    {N(bus_up), IST_GAUGE("isthmus_agent_bus_up",
                          "1 while the agent is connected to the bus.")},
    {N(bus_connects),
     IST_COUNTER("isthmus_agent_bus_connects_total", "Connects to the bus.")},
    {N(bus_dropped),
     IST_COUNTER("isthmus_agent_bus_dropped_total",
                 "Deliveries dropped by the transport: too large, or with "
                 "headers beyond the limits.")},
    {N(feed_touches),
     IST_COUNTER("isthmus_feed_touches_total",
                 "Hints of a service that a row has changed.")},
    {N(feed_shows), IST_COUNTER("isthmus_feed_shows_total",
                                "Rows asked for because of them.")},
    {N(feed_readings),
     IST_COUNTER("isthmus_feed_readings_total",
                 "Kinds read whole, by what came of it.", "outcome")},
    {N(feed_entries), IST_COUNTER("isthmus_feed_entries_total",
                                  "Changes of rows put into the feed.", "op")},
    {N(feed_news), IST_COUNTER("isthmus_feed_news_total",
                               "Entries that are news, and no restatement.")},
    {N(feed_sent), IST_COUNTER("isthmus_feed_sent_total",
                               "Entries that the broker has taken.")},
    {N(feed_dropped),
     IST_COUNTER("isthmus_feed_dropped_total",
                 "Entries dropped because too many waited for the bus.")},
    {N(feed_outbox_entries), IST_GAUGE("isthmus_feed_outbox_entries",
                                       "Entries that wait for the bus.")},
    {N(feed_outbox_bytes),
     IST_GAUGE("isthmus_feed_outbox_bytes", "Their bytes.")},
    {N(notifications),
     IST_COUNTER("isthmus_notifications_total",
                 "Notifications of the site's services.", "use")},
    {N(notifications_bad),
     IST_COUNTER("isthmus_notifications_bad_total",
                 "Those that could not be used, by reason.", "reason")},
    {N(notifying), IST_GAUGE("isthmus_notifying_services",
                             "Services that tell their changes now.")},
};

static struct ist_metric *at(struct agent_metrics *m, size_t offset)
{
    return (struct ist_metric *) (void *) ((char *) m + offset);
}

static void show(void *arg, struct ist_httpd_request *request)
{
    static const struct ist_httpd_header headers[] = {
        {"Content-Type", IST_METRICS_TYPE},
    };
    struct agent_metrics *m = arg;
    struct ist_sb page;
    size_t size;
    char *text;

    if (strcmp(request->path, "/metrics") != 0 ||
        strcmp(request->method, "GET") != 0) {
        ist_httpd_reply(request, 404, NULL, 0, "only GET /metrics\n", 18);
        return;
    }
    ist_sb_init(&page, 0);
    ist_metrics_write(&m->registry, &page);
    text = ist_sb_take(&page, &size);
    ist_sb_fini(&page);
    ist_httpd_reply_take(request, text ? 200 : 500, headers, 1, text,
                         text ? size : 0);
}

static int serve_page(struct agent_metrics *m, struct ist_loop *loop,
                      const char *listen, struct ist_err *err)
{
    char address[128];
    struct ist_httpd_conf conf = {
        .listen = address,
        .connections_max = 8,
        .per_address_max = 8,
        .line_max = 1024,
        .header_max = 4096,
        .headers_max = 32,
        .body_max = 1024,
        .head_timeout_ms = 5000,
        .body_timeout_ms = 5000,
        .idle_timeout_ms = 60000,
    };

    if (strncmp(listen, "127.", 4) != 0 && strncmp(listen, "[::1]:", 6) != 0)
        return ist_err_set(err, -EINVAL,
                           "metrics.listen: '%.60s' is not on loopback, and "
                           "the page has no login",
                           listen);
    strlcpy(address, listen, sizeof(address));
    m->httpd = ist_httpd_new(loop, &conf, show, NULL, m, err);
    return m->httpd ? 0 : ist_err_wrap(err, "metrics.listen");
}

int agent_metrics_open(struct agent_metrics *m, struct ist_loop *loop,
                       const char *listen, const struct serve *serve,
                       const struct serve_commands *commands,
                       const struct ist_bus *bus, const struct feed *feed,
                       const struct notify *events, struct ist_err *err)
{
    *m = (struct agent_metrics){.serve = serve,
                                .commands = commands,
                                .bus = bus,
                                .feed = feed,
                                .events = events};
    ist_metrics_init(&m->registry);
    ist_process_init(&m->process, &m->registry);
    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        *at(m, rows[i].offset) = rows[i].metric;
        ist_metrics_add(&m->registry, at(m, rows[i].offset));
    }
    m->collector.collect = collect;
    ist_metrics_collect(&m->registry, &m->collector);
    return listen ? serve_page(m, loop, listen, err) : 0;
}

void agent_metrics_close(struct agent_metrics *m, void (*closed)(void *),
                         void *arg)
{
    ist_metrics_uncollect(&m->registry, &m->collector);
    for (size_t i = 0; i < IST_COUNT(rows); i++)
        ist_metric_fini(at(m, rows[i].offset));
    ist_process_fini(&m->process);
    ist_metrics_fini(&m->registry);
    if (m->httpd)
        ist_httpd_close(IST_TAKE(m->httpd), closed, arg);
    else
        closed(arg);
}
