/* What the agent counts, as a metrics page on loopback: off unless
 * "metrics.listen" names an address there. */
#ifndef AGENT_METRICS_H
#define AGENT_METRICS_H

#include "feed/feed.h"
#include "feed/notify.h"
#include "httpd/server.h"
#include "obs/metric.h"
#include "obs/process.h"
#include "serve/command.h"
#include "serve/serve.h"

struct agent_metrics {
    struct ist_metrics registry;
    struct ist_metrics_collector collector;
    struct ist_process process;
    const struct serve *serve;
    const struct serve_commands *commands;
    const struct ist_bus *bus;
    const struct feed *feed;     /* All borrowed; NULL: there is no feed, */
    const struct notify *events; /* or nothing tells it of changes. */
    struct ist_httpd *httpd;     /* Owned; NULL: off. */

    struct ist_metric calls, calls_open, denied, failed, busy, frames, records,
        skipped, refused, commands_total, bus_up, bus_connects, bus_dropped,
        feed_touches, feed_shows, feed_readings, feed_entries, feed_news,
        feed_sent, feed_dropped, feed_outbox_entries, feed_outbox_bytes,
        notifications, notifications_bad, notifying;
};

/* 'listen' NULL: off. 0, or a fault with 'err' filled: not a loopback
 * address, or it cannot be listened on. */
int agent_metrics_open(struct agent_metrics *, struct ist_loop *,
                       const char *listen, const struct serve *,
                       const struct serve_commands *, const struct ist_bus *,
                       const struct feed *, const struct notify *,
                       struct ist_err *err);

/* 'closed' is called from the loop, or at once when it was off. */
void agent_metrics_close(struct agent_metrics *, void (*closed)(void *),
                         void *arg);

#endif
