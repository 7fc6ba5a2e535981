/* The figures as a table for people, or as one JSON document. */
#include "view_engines.h"

#include <inttypes.h>
#include <stdio.h>

#define MIB (1024.0 * 1024.0)

/* One line of the table: a figure of one of the three processes. */
struct figure {
    const char *text, *key;
    size_t run, offset;
    double unit;
};

#define AT(member) offsetof(struct ve_result, member)

static const struct figure figures[] = {
    {"fill, s", "fill_s", 0, AT(fill_ns), 1e9},
    {"settle after the fill, s", "settle_s", 0, AT(settle_ns), 1e9},
    {"written by both, MiB", "fill_written_mib", 0, AT(written), MIB},
    {"memory after the fill, anonymous, MiB", "anonymous_mib", 0, AT(anonymous),
     MIB},
    {"  of files (page cache), MiB", "mapped_mib", 0, AT(mapped), MIB},
    {"memory after the reads, anonymous, MiB", "anonymous_end_mib", 0,
     AT(anonymous_end), MIB},
    {"  of files (page cache), MiB", "mapped_end_mib", 0, AT(mapped_end), MIB},
    {"on disk when closed, MiB", "disk_mib", 1, AT(disk), MIB},
    {"tenant, first page, p50, us", "tenant_first_p50_us", 0,
     AT(series[VE_TENANT_FIRST].p50_ns), 1e3},
    {"  p99, us", "tenant_first_p99_us", 0, AT(series[VE_TENANT_FIRST].p99_ns),
     1e3},
    {"tenant, deep page, p50, us", "tenant_deep_p50_us", 0,
     AT(series[VE_TENANT_DEEP].p50_ns), 1e3},
    {"  p99, us", "tenant_deep_p99_us", 0, AT(series[VE_TENANT_DEEP].p99_ns),
     1e3},
    {"all, first page, p50, us", "all_first_p50_us", 0,
     AT(series[VE_ALL_FIRST].p50_ns), 1e3},
    {"  p99, us", "all_first_p99_us", 0, AT(series[VE_ALL_FIRST].p99_ns), 1e3},
    {"all, deep page, p50, us", "all_deep_p50_us", 0,
     AT(series[VE_ALL_DEEP].p50_ns), 1e3},
    {"  p99, us", "all_deep_p99_us", 0, AT(series[VE_ALL_DEEP].p99_ns), 1e3},
    {"lookup by id, p50, us", "lookup_p50_us", 0, AT(series[VE_LOOKUP].p50_ns),
     1e3},
    {"  p99, us", "lookup_p99_us", 0, AT(series[VE_LOOKUP].p99_ns), 1e3},
    {"change, flushed, p50, us", "change_p50_us", 0,
     AT(series[VE_CHANGE].p50_ns), 1e3},
    {"  p99, us", "change_p99_us", 0, AT(series[VE_CHANGE].p99_ns), 1e3},
    {"written by all changes, MiB", "changes_written_mib", 0,
     AT(changes_written), MIB},
    {"after a kill to first page, cached, ms", "restart_killed_ms", 1,
     AT(restart_ns), 1e6},
    {"after a close to first page, cold, ms", "restart_closed_ms", 2,
     AT(restart_ns), 1e6},
};

static double value_of(const struct figure *figure,
                       const struct ve_result *results)
{
    const char *at = (const char *) &results[figure->run] + figure->offset;

    return (double) *(const uint64_t *) (const void *) at / figure->unit;
}

static void report_text(const struct ve_bench_conf *conf,
                        const struct ve_engine *const *ran, size_t n,
                        const struct ve_result *results, bool ok)
{
    printf("%" PRIu64 " rows, %" PRIu64 " changes, seed %" PRIu64
           "; a flush of one page here: %.0f us\n\n%-42s",
           conf->rows, conf->changes, conf->seed, (double) conf->flush_ns / 1e3,
           "");
    for (size_t i = 0; i < n; i++)
        printf("%12s", ran[i]->name);
    puts("");
    for (size_t row = 0; row < IST_COUNT(figures); row++) {
        printf("%-42s", figures[row].text);
        for (size_t i = 0; i < n; i++) {
            double value = value_of(&figures[row], results + i * VE_RUNS);

            printf("%12.*f", value < 10 ? 2 : value < 100 ? 1 : 0, value);
        }
        puts("");
    }
    puts("");
    for (size_t i = 0; i < n; i++)
        printf("%s: a change waits for %s; a crash of the machine loses %s\n",
               ran[i]->name, ran[i]->flushes, ran[i]->loses);
    puts(ok ? "All answers are the same, also after a kill."
            : "ANSWERS DIFFER: the figures say nothing.");
}

static void report_json(const struct ve_bench_conf *conf,
                        const struct ve_engine *const *ran, size_t n,
                        const struct ve_result *results, bool ok)
{
    printf("{\"rows\": %" PRIu64 ", \"changes\": %" PRIu64
           ", \"seed\": %" PRIu64
           ", \"flush_us\": %.1f, \"same_answers\": %s, \"engines\": {",
           conf->rows, conf->changes, conf->seed, (double) conf->flush_ns / 1e3,
           ok ? "true" : "false");
    for (size_t i = 0; i < n; i++) {
        printf("%s\"%s\": {", i ? ", " : "", ran[i]->name);
        for (size_t row = 0; row < IST_COUNT(figures); row++)
            printf("\"%s\": %.3f, ", figures[row].key,
                   value_of(&figures[row], results + i * VE_RUNS));
        printf("\"flushes\": \"%s\", \"loses\": \"%s\"}", ran[i]->flushes,
               ran[i]->loses);
    }
    puts("}}");
}

void ve_report(const struct ve_bench_conf *conf,
               const struct ve_engine *const *ran, size_t n,
               const struct ve_result *results, bool ok)
{
    (conf->json ? report_json : report_text)(conf, ran, n, results, ok);
}
