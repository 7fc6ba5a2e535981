#include "obs/metric.h"

#include "base/utf8.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ist_series {
    RB_ENTRY(ist_series) node;
    const char *const *values; /* As many as the metric has labels. */
    size_t n;
    double value;      /* A histogram's sum. */
    uint64_t count;    /* A histogram's. */
    uint64_t *buckets; /* Not cumulative, and one for the rest; or NULL. */
};

/* Label values as they are kept. */
struct cleaned {
    const char *values[IST_METRIC_LABELS_MAX];
    char text[IST_METRIC_LABELS_MAX][IST_METRIC_VALUE_MAX + 1];
};

const double ist_metric_seconds[IST_METRIC_SECONDS_N] = {
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60};

static int series_cmp(struct ist_series *a, struct ist_series *b)
{
    size_t i;
    int order;

    for (i = 0; i < a->n; i++) {
        order = strcmp(a->values[i], b->values[i]);
        if (order)
            return order;
    }
    return 0;
}

RB_GENERATE_INTERNAL(ist_metric_series, ist_series, node, series_cmp,
                     IST_UNUSED_STATIC)

/* ---- series ------------------------------------------------------------ */

static size_t count_labels(const struct ist_metric *m)
{
    size_t n = 0;

    while (m->labels[n])
        n++;
    return n;
}

/* Whole characters only, and '?' for what is none. */
static void clean_value(const char *value, char *ret)
{
    size_t len = strlen(value), n = 0, step;

    while (len) {
        step = ist_utf8_len(value, len);
        if (n + (step ? step : 1) > IST_METRIC_VALUE_MAX)
            break;
        if (step)
            memcpy(ret + n, value, step);
        else
            ret[n] = '?';
        step = step ? step : 1;
        n += step;
        value += step;
        len -= step;
    }
    ret[n] = '\0';
}

static void clean(struct cleaned *ret, size_t n, const char *const *values)
{
    size_t i;

    for (i = 0; i < n; i++) {
        clean_value(values[i], ret->text[i]);
        ret->values[i] = ret->text[i];
    }
}

static struct ist_series *series_find(struct ist_metric *m, size_t n,
                                      const char *const *values)
{
    struct ist_series key = {.values = values, .n = n};

    return RB_FIND(ist_metric_series, &m->series, &key);
}

/* One piece of memory: the series, its buckets, its values, their text. */
static struct ist_series *series_new(struct ist_metric *m, size_t n,
                                     const char *const *values)
{
    size_t n_buckets = m->kind == IST_METRIC_HISTOGRAM ? m->n_bounds + 1 : 0;
    size_t size = sizeof(struct ist_series), i;
    struct ist_series *s;
    const char **kept;
    char *text;

    size += n_buckets * sizeof(*s->buckets) + n * sizeof(*kept);
    for (i = 0; i < n; i++)
        size += strlen(values[i]) + 1;
    s = calloc(1, size);
    if (!s)
        return NULL;
    s->buckets = n_buckets ? (uint64_t *) (void *) &s[1] : NULL;
    kept = (const char **) (void *) ((uint64_t *) (void *) &s[1] + n_buckets);
    text = (char *) &kept[n];
    for (i = 0; i < n; i++) {
        kept[i] = text;
        text = stpcpy(text, values[i]) + 1;
    }
    s->values = kept;
    s->n = n;
    RB_INSERT(ist_metric_series, &m->series, s);
    m->n_series++;
    return s;
}

/* The series to count in: at the cap that of all others. NULL when memory is
 * out. */
static struct ist_series *series_get(struct ist_metric *m, size_t n,
                                     const char *const *values)
{
    static const char *const others[IST_METRIC_LABELS_MAX] = {
        "_other", "_other", "_other", "_other"};
    size_t max = m->series_max ? m->series_max : IST_METRIC_SERIES_MAX;
    struct cleaned cleaned;
    struct ist_series *s;

    assert(n == count_labels(m));
    clean(&cleaned, n, values);
    s = series_find(m, n, cleaned.values);
    if (s)
        return s;
    if (m->n_series < max)
        return series_new(m, n, cleaned.values);
    s = series_find(m, n, others);
    return s ? s : series_new(m, n, others);
}

static void series_free(struct ist_metric *m, struct ist_series *s)
{
    RB_REMOVE(ist_metric_series, &m->series, s);
    m->n_series--;
    free(s);
}

/* ---- counting ---------------------------------------------------------- */

void ist_metric_add_at(struct ist_metric *m, double by, size_t n,
                       const char *const *values)
{
    struct ist_series *s = series_get(m, n, values);

    assert(m->kind != IST_METRIC_HISTOGRAM);
    assert(m->kind == IST_METRIC_GAUGE || by >= 0);
    if (s)
        s->value += by;
}

void ist_metric_set_at(struct ist_metric *m, double to, size_t n,
                       const char *const *values)
{
    struct ist_series *s = series_get(m, n, values);

    assert(m->kind != IST_METRIC_HISTOGRAM);
    if (s)
        s->value = to;
}

void ist_metric_observe_at(struct ist_metric *m, double value, size_t n,
                           const char *const *values)
{
    struct ist_series *s = series_get(m, n, values);
    size_t i = 0;

    assert(m->kind == IST_METRIC_HISTOGRAM);
    if (!s)
        return;
    /* A value that is no number falls behind the last bound. */
    while (i < m->n_bounds && !(value <= m->bounds[i]))
        i++;
    s->buckets[i]++;
    s->count++;
    s->value += value;
}

void ist_metric_forget_at(struct ist_metric *m, size_t n,
                          const char *const *values)
{
    struct cleaned cleaned;
    struct ist_series *s;

    assert(n == count_labels(m));
    clean(&cleaned, n, values);
    s = series_find(m, n, cleaned.values);
    if (s)
        series_free(m, s);
}

void ist_metric_clear(struct ist_metric *m)
{
    struct ist_series *s;

    while ((s = RB_MIN(ist_metric_series, &m->series)))
        series_free(m, s);
}

void ist_metric_fini(struct ist_metric *m)
{
    ist_metric_clear(m);
    if (m->registry)
        STAILQ_REMOVE(&m->registry->metrics, m, ist_metric, sibling);
    m->registry = NULL;
}

/* ---- the registry ------------------------------------------------------ */

void ist_metrics_init(struct ist_metrics *registry)
{
    STAILQ_INIT(&registry->metrics);
    STAILQ_INIT(&registry->collectors);
}

void ist_metrics_fini(struct ist_metrics *registry)
{
    struct ist_metric *m;

    while ((m = STAILQ_FIRST(&registry->metrics))) {
        STAILQ_REMOVE_HEAD(&registry->metrics, sibling);
        m->registry = NULL;
    }
    STAILQ_INIT(&registry->collectors);
}

/* [a-zA-Z_:][a-zA-Z0-9_:]*, without the colons for a label. */
static bool is_name(const char *name, bool colons)
{
    const char *at;

    for (at = name; *at; at++)
        if (!isalpha((unsigned char) *at) && *at != '_' &&
            !(colons && *at == ':') &&
            !(at > name && isdigit((unsigned char) *at)))
            return false;
    return at > name;
}

static bool is_fit(const struct ist_metrics *registry,
                   const struct ist_metric *m)
{
    const struct ist_metric *other;
    size_t i;

    if (!is_name(m->name, true))
        return false;
    for (i = 0; m->labels[i]; i++)
        if (!is_name(m->labels[i], false) || strcmp(m->labels[i], "le") == 0)
            return false;
    for (i = 1; i < m->n_bounds; i++)
        if (!(m->bounds[i - 1] < m->bounds[i]))
            return false;
    STAILQ_FOREACH(other, &registry->metrics, sibling)
    {
        if (strcmp(other->name, m->name) == 0)
            return false;
    }
    return true;
}

void ist_metrics_add(struct ist_metrics *registry, struct ist_metric *m)
{
    assert(is_fit(registry, m));
    (void) is_fit;
    assert(!m->registry);
    m->registry = registry;
    STAILQ_INSERT_TAIL(&registry->metrics, m, sibling);
    if (count_labels(m) == 0)
        series_get(m, 0, NULL);
}

void ist_metrics_collect(struct ist_metrics *registry,
                         struct ist_metrics_collector *collector)
{
    STAILQ_INSERT_TAIL(&registry->collectors, collector, sibling);
}

void ist_metrics_uncollect(struct ist_metrics *registry,
                           struct ist_metrics_collector *collector)
{
    STAILQ_REMOVE(&registry->collectors, collector, ist_metrics_collector,
                  sibling);
}

/* ---- the page ---------------------------------------------------------- */

/* The shortest text that reads back as the same number. */
static void put_number(struct ist_sb *out, double value)
{
    char text[40];

    if (isnan(value)) {
        ist_sb_puts(out, "NaN");
        return;
    }
    if (isinf(value)) {
        ist_sb_puts(out, value > 0 ? "+Inf" : "-Inf");
        return;
    }
    snprintf(text, sizeof(text), "%.15g", value);
    if (strtod(text, NULL) != value)
        snprintf(text, sizeof(text), "%.17g", value);
    ist_sb_puts(out, text);
}

static void put_escaped(struct ist_sb *out, const char *text, bool quotes)
{
    for (; *text; text++) {
        if (*text == '\n')
            ist_sb_puts(out, "\\n");
        else if (*text == '\\' || (quotes && *text == '"'))
            ist_sb_printf(out, "\\%c", *text);
        else
            ist_sb_putc(out, *text);
    }
}

/* 'le' is a histogram's bound, or NULL. */
static void put_labels(struct ist_sb *out, const struct ist_metric *m,
                       const struct ist_series *s, const double *le)
{
    size_t i;

    if (!s->n && !le)
        return;
    ist_sb_putc(out, '{');
    for (i = 0; i < s->n; i++) {
        ist_sb_printf(out, "%s%s=\"", i ? "," : "", m->labels[i]);
        put_escaped(out, s->values[i], true);
        ist_sb_putc(out, '"');
    }
    if (le) {
        ist_sb_printf(out, "%sle=\"", i ? "," : "");
        put_number(out, *le);
        ist_sb_putc(out, '"');
    }
    ist_sb_putc(out, '}');
}

static void put_line(struct ist_sb *out, const struct ist_metric *m,
                     const char *suffix, const struct ist_series *s,
                     const double *le, double value)
{
    ist_sb_puts(out, m->name);
    ist_sb_puts(out, suffix);
    put_labels(out, m, s, le);
    ist_sb_putc(out, ' ');
    put_number(out, value);
    ist_sb_putc(out, '\n');
}

static void put_histogram(struct ist_sb *out, const struct ist_metric *m,
                          const struct ist_series *s)
{
    const double infinite = INFINITY;
    uint64_t sum = 0;
    size_t i;

    for (i = 0; i < m->n_bounds; i++) {
        sum += s->buckets[i];
        put_line(out, m, "_bucket", s, &m->bounds[i], (double) sum);
    }
    put_line(out, m, "_bucket", s, &infinite, (double) s->count);
    put_line(out, m, "_sum", s, NULL, s->value);
    put_line(out, m, "_count", s, NULL, (double) s->count);
}

static void put_metric(struct ist_sb *out, struct ist_metric *m)
{
    static const char *const kinds[] = {
        [IST_METRIC_COUNTER] = "counter",
        [IST_METRIC_GAUGE] = "gauge",
        [IST_METRIC_HISTOGRAM] = "histogram",
    };
    struct ist_series *s;

    ist_sb_printf(out, "# HELP %s ", m->name);
    put_escaped(out, m->help, false);
    ist_sb_printf(out, "\n# TYPE %s %s\n", m->name, kinds[m->kind]);
    RB_FOREACH(s, ist_metric_series, &m->series)
    {
        if (m->kind == IST_METRIC_HISTOGRAM)
            put_histogram(out, m, s);
        else
            put_line(out, m, "", s, NULL, s->value);
    }
}

void ist_metrics_write(struct ist_metrics *registry, struct ist_sb *out)
{
    struct ist_metrics_collector *collector;
    struct ist_metric *m;

    STAILQ_FOREACH(collector, &registry->collectors, sibling)
    {
        collector->collect(collector);
    }
    STAILQ_FOREACH(m, &registry->metrics, sibling)
    {
        put_metric(out, m);
    }
}
