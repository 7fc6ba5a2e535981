/* Metrics: what a daemon counts, and how Prometheus reads it.
 *
 * A metric belongs to the module that counts, as a member of one of its own
 * structs; a registry, of which a daemon has one, lends it to the page:
 *
 *     struct survey { struct ist_metric calls; ... };
 *
 *     survey->calls = (struct ist_metric) IST_COUNTER(
 *         "isthmus_survey_calls_total", "Calls sent.", "site", "state");
 *     ist_metrics_add(registry, &survey->calls);
 *     ...
 *     ist_metric_add(&survey->calls, 1, site->name, "ok");
 *
 * Each combination of label values is a series. A metric has at most
 * 'series_max' of them: what would need another is counted in one more, whose
 * values are all "_other". So a label must never be an id, but if it were one,
 * memory would still be bounded. A series that finds no memory is not counted.
 *
 * All of it belongs to the loop's thread. */
#ifndef OBS_METRIC_H
#define OBS_METRIC_H

#include "base/sb.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stddef.h>

#define IST_METRIC_LABELS_MAX 4
#define IST_METRIC_SERIES_MAX 1000
#define IST_METRIC_VALUE_MAX  128 /* Bytes of a label value; more is cut. */

/* What the page is served as. */
#define IST_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum ist_metric_kind {
    IST_METRIC_COUNTER,
    IST_METRIC_GAUGE,
    IST_METRIC_HISTOGRAM
};

RB_HEAD(ist_metric_series, ist_series);

struct ist_metric {
    /* Set by its owner; all text is static. */
    const char *name, *help;
    enum ist_metric_kind kind;
    const char *labels[IST_METRIC_LABELS_MAX + 1]; /* NULL-ended. */
    const double *bounds; /* Of a histogram's buckets, ascending. */
    size_t n_bounds;
    size_t series_max; /* 0: IST_METRIC_SERIES_MAX. */

    /* Private to metric.c. */
    struct ist_metric_series series;
    size_t n_series;
    struct ist_metrics *registry;
    STAILQ_ENTRY(ist_metric) sibling;
};

/* Initialisers; after the text come the label names, if any. */
#define IST_COUNTER(name_, help_, ...)                                         \
    {                                                                          \
        .name = (name_), .help = (help_), .kind = IST_METRIC_COUNTER,          \
        .labels = {                                                            \
            __VA_ARGS__                                                        \
        }                                                                      \
    }
#define IST_GAUGE(name_, help_, ...)                                           \
    {                                                                          \
        .name = (name_), .help = (help_), .kind = IST_METRIC_GAUGE,            \
        .labels = {                                                            \
            __VA_ARGS__                                                        \
        }                                                                      \
    }
/* 'bounds_' is an array. */
#define IST_HISTOGRAM(name_, help_, bounds_, ...)                              \
    {                                                                          \
        .name = (name_), .help = (help_), .kind = IST_METRIC_HISTOGRAM,        \
        .bounds = (bounds_), .n_bounds = IST_COUNT(bounds_), .labels = {       \
            __VA_ARGS__                                                        \
        }                                                                      \
    }

/* Seconds: from a millisecond to a minute. */
#define IST_METRIC_SECONDS_N 12
extern const double ist_metric_seconds[IST_METRIC_SECONDS_N];

/* After the number come the label values, as many as there are names. */

/* A counter only grows: 'by' is not negative. A gauge moves either way. */
#define ist_metric_add(m, by, ...)                                             \
    ist_metric_add_at((m), (by), IST_METRIC_N_(m, ##__VA_ARGS__),              \
                      IST_METRIC_VALUES_(m, ##__VA_ARGS__))
/* Of a gauge; or of a counter whose total is counted elsewhere. */
#define ist_metric_set(m, to, ...)                                             \
    ist_metric_set_at((m), (to), IST_METRIC_N_(m, ##__VA_ARGS__),              \
                      IST_METRIC_VALUES_(m, ##__VA_ARGS__))
/* One observation of a histogram. */
#define ist_metric_observe(m, value, ...)                                      \
    ist_metric_observe_at((m), (value), IST_METRIC_N_(m, ##__VA_ARGS__),       \
                          IST_METRIC_VALUES_(m, ##__VA_ARGS__))
/* Forgets one series: its site is no more. Harmless when there is none. */
#define ist_metric_forget(m, ...)                                              \
    ist_metric_forget_at((m), IST_METRIC_N_(m, ##__VA_ARGS__),                 \
                         IST_METRIC_VALUES_(m, ##__VA_ARGS__))

void ist_metric_add_at(struct ist_metric *, double by, size_t n,
                       const char *const *values);
void ist_metric_set_at(struct ist_metric *, double to, size_t n,
                       const char *const *values);
void ist_metric_observe_at(struct ist_metric *, double value, size_t n,
                           const char *const *values);
void ist_metric_forget_at(struct ist_metric *, size_t n,
                          const char *const *values);

/* Forgets all series. */
void ist_metric_clear(struct ist_metric *);

/* Leaves its registry, if it is in one, and frees the series. Safe on a metric
 * that was only initialised. */
void ist_metric_fini(struct ist_metric *);

/* To be called before each page: for what is cheaper to look up than to keep
 * up. Embedded, borrowed by the registry until removed. */
struct ist_metrics_collector {
    void (*collect)(struct ist_metrics_collector *);
    STAILQ_ENTRY(ist_metrics_collector) sibling;
};

struct ist_metrics {
    STAILQ_HEAD(, ist_metric) metrics; /* Borrowed, in the order added. */
    STAILQ_HEAD(, ist_metrics_collector) collectors;
};

void ist_metrics_init(struct ist_metrics *);
/* Lets go of what is still in it. */
void ist_metrics_fini(struct ist_metrics *);

/* The name must be new, and all names fit for Prometheus; asserted. A metric
 * without labels is on the page from now on, as 0. */
void ist_metrics_add(struct ist_metrics *, struct ist_metric *);
void ist_metrics_collect(struct ist_metrics *, struct ist_metrics_collector *);
void ist_metrics_uncollect(struct ist_metrics *,
                           struct ist_metrics_collector *);

/* The page, in the text format 0.0.4. Errors are the builder's. */
void ist_metrics_write(struct ist_metrics *, struct ist_sb *out);

/* Of the macros above: how many values, and which. */
#define IST_METRIC_N_(m, ...)                                                  \
    (sizeof((const char *const[]){NULL, ##__VA_ARGS__}) /                      \
         sizeof(const char *) -                                                \
     1)
#define IST_METRIC_VALUES_(m, ...)                                             \
    (&(const char *const[]){NULL, ##__VA_ARGS__}[1])

#endif
