#include "metrics.h"

#include "base/scope.h"

static void collect_desk(struct hub_metrics *m)
{
    const struct desk_counts *counts = &m->desk->counts;

    ist_metric_set(&m->calls, (double) counts->calls);
    ist_metric_set(&m->calls_open, (double) m->desk->n_open);
    ist_metric_set(&m->frames, (double) counts->frames);
    ist_metric_set(&m->bulk, (double) counts->bulk);
    ist_metric_set(&m->late, (double) counts->late);
    ist_metric_set(&m->broken, (double) counts->broken);
    ist_metric_set(&m->presences, (double) counts->presences);
    for (int i = 1; i < IST_SEAL_REFUSALS; i++)
        ist_metric_set(&m->refused, (double) counts->refused[i],
                       ist_seal_refusal_name(i));
}

static void collect_sites(struct hub_metrics *m)
{
    static const enum sites_state states[] = {SITES_PRESENT, SITES_ABSENT,
                                              SITES_UNKNOWN};
    struct sites_site *site = NULL;

    for (size_t i = 0; i < IST_COUNT(states); i++)
        ist_metric_set(&m->sites_known,
                       (double) sites_count_state(m->sites, states[i]),
                       sites_state_name(states[i]));
    while ((site = sites_next(m->sites, site))) {
        ist_metric_set(&m->site_up, site->state == SITES_PRESENT ? 1 : 0,
                       site->name);
        ist_metric_set(&m->site_seen, (double) site->heard_ms / 1000.0,
                       site->name);
        ist_metric_set(&m->site_offset, (double) site->clock_offset_ms / 1000.0,
                       site->name);
    }
}

static void collect_bus(struct hub_metrics *m)
{
    ist_metric_set(&m->bus_up, m->bus->is_up ? 1 : 0);
    ist_metric_set(&m->bus_connects, (double) m->bus->n_connects);
    ist_metric_set(&m->bus_sent, (double) m->bus->n_sent);
    ist_metric_set(&m->bus_delivered, (double) m->bus->n_delivered);
    ist_metric_set(&m->bus_dropped, (double) m->bus->n_dropped);
}

/* Of the oldest of its kinds; kinds that were never here do not count. */
static void collect_site_view(struct hub_metrics *m,
                              const struct sites_site *site)
{
    struct intake_summary is;

    intake_summary(m->intake, site, &is);
    ist_metric_set(&m->view_rows, (double) is.rows, site->name);
    ist_metric_set(&m->view_lag, (double) is.age_ms / 1000.0, site->name);
}

static void collect_feed(struct hub_metrics *m)
{
    const struct intake_counts *counts = intake_counts(m->intake);

    ist_metric_set(&m->feed_messages, (double) counts->messages);
    ist_metric_set(&m->feed_entries, (double) counts->entries);
    ist_metric_set(&m->feed_doubles, (double) counts->doubles);
    ist_metric_set(&m->feed_gaps, (double) counts->gaps);
    ist_metric_set(&m->feed_resyncs, (double) counts->resyncs);
    ist_metric_set(&m->feed_malformed, (double) counts->malformed);
    for (int i = 1; i < IST_SEAL_REFUSALS; i++)
        ist_metric_set(&m->feed_refused, (double) counts->refused[i],
                       ist_seal_refusal_name(i));
}

static void collect_view(struct hub_metrics *m)
{
    const struct events_counts *counts = events_log_counts(m->events);
    struct sites_site *site = NULL;
    uint64_t first, last, used, max;

    while ((site = sites_next(m->sites, site)))
        collect_site_view(m, site);
    collect_feed(m);
    events_log_range(m->events, &first, &last);
    ist_metric_set(&m->events_held, (double) (last + 1 - first));
    ist_metric_set(&m->events_appended, (double) counts->appended);
    ist_metric_set(&m->events_dropped, (double) counts->dropped);
    ist_tree_room(m->tree, &used, &max);
    ist_metric_set(&m->store_bytes, (double) used);
    ist_metric_set(&m->store_max, (double) max);
}

static void collect_alarms(struct hub_metrics *m)
{
    struct alarm_counts counts;

    alarm_count(m->alarms, &counts);
    for (int i = 0; i < ALARM_SEVERITIES; i++) {
        const char *severity = alarm_severity_name((enum alarm_severity) i);

        ist_metric_set(&m->alarms_open, (double) counts.fresh[i], severity,
                       "new");
        ist_metric_set(&m->alarms_open, (double) counts.acknowledged[i],
                       severity, "acknowledged");
        ist_metric_set(&m->alarms_open, (double) counts.folded[i], severity,
                       "folded");
    }
}

static void collect_noc(struct hub_metrics *m)
{
    struct noc_counts counts;

    noc_count(m->noc, &counts);
    ist_metric_set(&m->noc_events, (double) counts.events);
    ist_metric_set(&m->noc_messages, (double) counts.messages);
    ist_metric_set(&m->noc_failures, (double) counts.failures);
    ist_metric_set(&m->noc_behind, (double) counts.behind);
}

static void collect_webhooks(struct hub_metrics *m)
{
    struct webhooks_counts counts;

    webhooks_count(m->webhooks, &counts);
    ist_metric_set(&m->webhooks_by_state, (double) counts.active, "active");
    ist_metric_set(&m->webhooks_by_state, (double) counts.failing, "failing");
    ist_metric_set(&m->webhooks_by_state, (double) counts.disabled, "disabled");
    ist_metric_set(&m->webhook_requests, (double) counts.taken, "taken");
    ist_metric_set(&m->webhook_requests, (double) counts.refused, "refused");
    ist_metric_set(&m->webhook_requests, (double) counts.unanswered,
                   "unanswered");
}

static void collect_ends(struct hub_metrics *m)
{
    struct sites_site *site = NULL;

    for (size_t i = 0; i < CONDITIONS_CERTIFICATES; i++) {
        const struct conditions_certificate *certificate =
            &m->conditions->certificates[i];

        if (certificate->not_after_ms)
            ist_metric_set(&m->certificate_end,
                           (double) certificate->not_after_ms / 1000.0,
                           certificate->which);
    }
    while ((site = sites_next(m->sites, site)))
        ist_metric_set(&m->delegation_end,
                       (double) site->peer.not_after_ms / 1000.0, site->name);
}

static void collect(struct ist_metrics_collector *collector)
{
    struct hub_metrics *m =
        IST_CONTAINER(collector, struct hub_metrics, collector);

    collect_desk(m);
    collect_sites(m);
    collect_bus(m);
    ist_metric_set(&m->requests_open, (double) m->api->n_open);
    ist_metric_set(&m->bus_blocked, m->bus->is_blocked ? 1 : 0);
    if (m->view)
        collect_view(m);
    if (m->alarms) {
        collect_alarms(m);
        collect_ends(m);
    }
    if (m->noc) {
        collect_noc(m);
        collect_webhooks(m);
    }
}

#define N(member) offsetof(struct hub_metrics, member)

/* Where each metric is, and what it is. */
static const struct {
    size_t offset;
    struct ist_metric metric;
} rows[] = {
    {N(calls), IST_COUNTER("isthmus_hub_calls_total", "Calls to sites.")},
    {N(calls_open),
     IST_GAUGE("isthmus_hub_calls_open", "Calls that wait for a site.")},
    {N(frames), IST_COUNTER("isthmus_hub_frames_total",
                            "Frames of answers taken from sites.")},
    {N(bulk),
     IST_COUNTER("isthmus_hub_bulk_messages_total",
                 "Pieces of large bodies that went or came on the connection "
                 "of their own.")},
    {N(late), IST_COUNTER("isthmus_hub_frames_late_total",
                          "Frames for calls that were over already.")},
    {N(broken),
     IST_COUNTER("isthmus_hub_frames_broken_total",
                 "Messages of sites that opened, but broke the rules.")},
    {N(presences),
     IST_COUNTER("isthmus_hub_presences_total", "Presence messages of sites.")},
    {N(refused), IST_COUNTER("isthmus_hub_messages_refused_total",
                             "Messages that did not open, by the first check "
                             "that failed.",
                             "reason")},
    {N(sites_known),
     IST_GAUGE("isthmus_hub_sites", "Sites, by state.", "state")},
    {N(site_up),
     IST_GAUGE("isthmus_hub_site_up",
               "1 while the site's agent is heard, else 0.", "site")},
    {N(site_seen),
     IST_GAUGE("isthmus_hub_site_last_seen_timestamp_seconds",
               "When the site's agent was last heard; 0: never.", "site")},
    {N(site_offset), IST_GAUGE("isthmus_hub_site_clock_offset_seconds",
                               "The site's clock minus the hub's.", "site")},
    {N(bus_up), IST_GAUGE("isthmus_hub_bus_up",
                          "1 while the hub is connected to the bus.")},
    {N(bus_connects),
     IST_COUNTER("isthmus_hub_bus_connects_total", "Connects to the bus.")},
    {N(bus_sent), IST_COUNTER("isthmus_hub_bus_sent_total", "Messages sent.")},
    {N(bus_delivered),
     IST_COUNTER("isthmus_hub_bus_delivered_total", "Messages delivered.")},
    {N(bus_dropped),
     IST_COUNTER("isthmus_hub_bus_dropped_total",
                 "Deliveries dropped by the transport: too large, or with "
                 "headers beyond the limits.")},
    {N(requests_open), IST_GAUGE("isthmus_hub_requests_open",
                                 "API requests that wait for sites.")},
    {N(view_rows), IST_GAUGE("isthmus_hub_view_rows",
                             "Rows of the site in the view.", "site")},
    {N(view_lag),
     IST_GAUGE("isthmus_hub_view_lag_seconds",
               "Age of the site's rows whose changes are notified: since they "
               "were surely all that the site knew.",
               "site")},
    {N(feed_messages), IST_COUNTER("isthmus_hub_feed_messages_total",
                                   "Messages read from the sites' feeds.")},
    {N(feed_entries), IST_COUNTER("isthmus_hub_feed_entries_total",
                                  "Entries of feeds written to the view.")},
    {N(feed_doubles), IST_COUNTER("isthmus_hub_feed_doubles_total",
                                  "Entries that had come before.")},
    {N(feed_gaps), IST_COUNTER("isthmus_hub_feed_gaps_total",
                               "Holes in the numbering of a site's events.")},
    {N(feed_resyncs), IST_COUNTER("isthmus_hub_feed_resyncs_total",
                                  "Demands on sites to state kinds again.")},
    {N(feed_malformed), IST_COUNTER("isthmus_hub_feed_malformed_total",
                                    "Messages and entries of feeds that could "
                                    "not be read.")},
    {N(feed_refused), IST_COUNTER("isthmus_hub_feed_refused_total",
                                  "Messages of feeds that did not open, by "
                                  "the first check that failed.",
                                  "reason")},
    {N(events_held),
     IST_GAUGE("isthmus_hub_events_held", "Events in the log.")},
    {N(events_appended),
     IST_COUNTER("isthmus_hub_events_total", "Events appended to the log.")},
    {N(events_dropped), IST_COUNTER("isthmus_hub_events_dropped_total",
                                    "Events of the hub itself that were lost "
                                    "before they were written.")},
    {N(alarms_open),
     IST_GAUGE("isthmus_hub_alarms",
               "Open alarms; each counts once: folded, else acknowledged, "
               "else new.",
               "severity", "state")},
    {N(certificate_end),
     IST_GAUGE("isthmus_hub_certificate_expiry_timestamp_seconds",
               "When the hub's certificate for the bus, for HTTPS ends.",
               "certificate")},
    {N(delegation_end),
     IST_GAUGE("isthmus_hub_site_delegation_expiry_timestamp_seconds",
               "When the delegation of the site's online keys ends.", "site")},
    {N(api_requests),
     IST_COUNTER("isthmus_hub_api_requests_total",
                 "Requests of the API answered, by method and status.",
                 "method", "code")},
    {N(api_durations),
     IST_HISTOGRAM("isthmus_hub_api_request_duration_seconds",
                   "From a request's head to its answer; of a stream, to its "
                   "beginning.",
                   ist_metric_seconds)},
    {N(noc_events), IST_COUNTER("isthmus_hub_noc_events_total",
                                "Events published for the NOC.")},
    {N(noc_messages), IST_COUNTER("isthmus_hub_noc_messages_total",
                                  "Messages that they were published in.")},
    {N(noc_failures), IST_COUNTER("isthmus_hub_noc_failures_total",
                                  "Messages for the NOC that the broker did "
                                  "not confirm; they were sent again.")},
    {N(noc_behind),
     IST_GAUGE("isthmus_hub_noc_behind",
               "Events in the log that are not published for the NOC yet.")},
    {N(webhooks_by_state),
     IST_GAUGE("isthmus_hub_webhooks", "Webhooks, by how they are.", "state")},
    {N(webhook_requests),
     IST_COUNTER("isthmus_hub_webhook_deliveries_total",
                 "Requests to receivers of webhooks: taken (2xx), refused "
                 "(any other answer), unanswered.",
                 "result")},
    {N(bus_blocked), IST_GAUGE("isthmus_hub_bus_blocked",
                               "1 while the broker takes no messages.")},
    {N(store_bytes), IST_GAUGE("isthmus_hub_store_bytes",
                               "Of hub.db, as far as it was ever used.")},
    {N(store_max),
     IST_GAUGE("isthmus_hub_store_max_bytes", "What hub.db may take.")},
};

static struct ist_metric *at(struct hub_metrics *m, size_t offset)
{
    return (struct ist_metric *) (void *) ((char *) m + offset);
}

void hub_metrics_init(struct hub_metrics *m, const struct desk *desk,
                      struct sites *sites, const struct ist_bus *bus,
                      const struct api *api)
{
    *m = (struct hub_metrics){
        .desk = desk, .sites = sites, .bus = bus, .api = api};
    ist_metrics_init(&m->registry);
    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        *at(m, rows[i].offset) = rows[i].metric;
        ist_metrics_add(&m->registry, at(m, rows[i].offset));
    }
    m->collector.collect = collect;
    ist_metrics_collect(&m->registry, &m->collector);
}

void hub_metrics_view(struct hub_metrics *m, struct ist_tree *tree,
                      struct view *view, struct intake *intake,
                      struct events_log *events)
{
    m->tree = tree;
    m->view = view;
    m->intake = intake;
    m->events = events;
}

void hub_metrics_alarms(struct hub_metrics *m,
                        const struct alarm_engine *alarms,
                        const struct conditions *conditions)
{
    m->alarms = alarms;
    m->conditions = conditions;
}

void hub_metrics_readers(struct hub_metrics *m, const struct noc *noc,
                         const struct webhooks *webhooks)
{
    m->noc = noc;
    m->webhooks = webhooks;
}

void hub_metrics_fini(struct hub_metrics *m)
{
    ist_metrics_uncollect(&m->registry, &m->collector);
    for (size_t i = 0; i < IST_COUNT(rows); i++)
        ist_metric_fini(at(m, rows[i].offset));
    ist_metrics_fini(&m->registry);
}
