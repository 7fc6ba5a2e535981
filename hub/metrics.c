#include "metrics.h"

#include "base/scope.h"

static void collect_desk(struct hub_metrics *m)
{
    const struct desk_counts *counts = &m->desk->counts;

    ist_metric_set(&m->calls, (double) counts->calls);
    ist_metric_set(&m->calls_open, (double) m->desk->n_open);
    ist_metric_set(&m->frames, (double) counts->frames);
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

static void collect(struct ist_metrics_collector *collector)
{
    struct hub_metrics *m =
        IST_CONTAINER(collector, struct hub_metrics, collector);

    collect_desk(m);
    collect_sites(m);
    collect_bus(m);
    ist_metric_set(&m->requests_open, (double) m->api->n_open);
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

void hub_metrics_fini(struct hub_metrics *m)
{
    ist_metrics_uncollect(&m->registry, &m->collector);
    for (size_t i = 0; i < IST_COUNT(rows); i++)
        ist_metric_fini(at(m, rows[i].offset));
    ist_metrics_fini(&m->registry);
}
