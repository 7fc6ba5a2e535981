/* What the hub's parts count, put on the metrics page. Names and labels are
 * the contract with dashboards and alert rules. */
#ifndef HUB_METRICS_H
#define HUB_METRICS_H

#include "conditions.h"

#include "api/api.h"
#include "events/noc.h"
#include "events/webhook.h"
#include "obs/metric.h"
#include "view/intake.h"

struct hub_metrics {
    struct ist_metrics registry;
    struct ist_metrics_collector collector;
    const struct desk *desk;
    struct sites *sites;
    const struct ist_bus *bus;
    const struct api *api;
    struct ist_tree *tree;
    struct view *view;
    struct intake *intake;
    struct events_log *events;
    const struct alarm_engine *alarms;
    const struct conditions *conditions;
    const struct noc *noc;
    const struct webhooks *webhooks; /* All borrowed. */

    struct ist_metric calls, calls_open, frames, bulk, late, broken, presences,
        refused, sites_known, site_up, site_seen, site_offset, bus_up,
        bus_connects, bus_sent, bus_delivered, bus_dropped, requests_open,
        view_rows, view_lag, feed_messages, feed_entries, feed_doubles,
        feed_gaps, feed_resyncs, feed_malformed, feed_refused, events_held,
        events_appended, events_dropped, store_bytes, store_max, alarms_open,
        certificate_end, delegation_end, bus_blocked, api_requests,
        api_durations, noc_events, noc_messages, noc_failures, noc_behind,
        webhooks_by_state, webhook_requests;
};

void hub_metrics_init(struct hub_metrics *, const struct desk *, struct sites *,
                      const struct ist_bus *, const struct api *);
/* What the view and the log count, too. */
void hub_metrics_view(struct hub_metrics *, struct ist_tree *, struct view *,
                      struct intake *, struct events_log *);
/* The alarms, and when what ends some day does. */
void hub_metrics_alarms(struct hub_metrics *, const struct alarm_engine *,
                        const struct conditions *);
/* Who is told of events beside those who ask. */
void hub_metrics_readers(struct hub_metrics *, const struct noc *,
                         const struct webhooks *);
void hub_metrics_fini(struct hub_metrics *);

#endif
