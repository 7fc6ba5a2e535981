#include "obs/metric.h"
#include "obs/process.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void expect_page(struct ist_metrics *registry, const char *page)
{
    struct ist_sb out;

    ist_sb_init(&out, 0);
    ist_metrics_write(registry, &out);
    assert_int_equal(out.rc, 0);
    assert_string_equal(ist_sb_text(&out), page);
    ist_sb_fini(&out);
}

static void test_page(void **state)
{
    static const double bounds[] = {0.1, 1, 2.5};
    struct ist_metric plain = IST_COUNTER("isthmus_plain_total", "One.");
    struct ist_metric calls = IST_COUNTER(
        "isthmus_calls_total", "Calls \\ sent,\nall.", "site", "state");
    struct ist_metric up = IST_GAUGE("isthmus_site_up", "Up?", "site");
    struct ist_metric rtt =
        IST_HISTOGRAM("isthmus_rtt_seconds", "Time.", bounds, "site");
    struct ist_metrics registry;

    (void) state;
    ist_metrics_init(&registry);
    ist_metrics_add(&registry, &plain);
    ist_metrics_add(&registry, &calls);
    ist_metrics_add(&registry, &up);
    ist_metrics_add(&registry, &rtt);
    ist_metric_add(&calls, 1, "par1", "ok");
    ist_metric_add(&calls, 2, "par1", "ok");
    ist_metric_add(&calls, 1, "hkg", "a\"b\\c\nd");
    ist_metric_set(&up, 1, "par1");
    ist_metric_add(&up, -3.5, "par1");
    ist_metric_set(&up, NAN, "x");
    ist_metric_set(&up, -INFINITY, "y");
    ist_metric_observe(&rtt, 0.1, "par1");
    ist_metric_observe(&rtt, 0.5, "par1");
    ist_metric_observe(&rtt, 7, "par1");
    expect_page(
        &registry,
        "# HELP isthmus_plain_total One.\n"
        "# TYPE isthmus_plain_total counter\n"
        "isthmus_plain_total 0\n"
        "# HELP isthmus_calls_total Calls \\\\ sent,\\nall.\n"
        "# TYPE isthmus_calls_total counter\n"
        "isthmus_calls_total{site=\"hkg\",state=\"a\\\"b\\\\c\\nd\"} 1\n"
        "isthmus_calls_total{site=\"par1\",state=\"ok\"} 3\n"
        "# HELP isthmus_site_up Up?\n"
        "# TYPE isthmus_site_up gauge\n"
        "isthmus_site_up{site=\"par1\"} -2.5\n"
        "isthmus_site_up{site=\"x\"} NaN\n"
        "isthmus_site_up{site=\"y\"} -Inf\n"
        "# HELP isthmus_rtt_seconds Time.\n"
        "# TYPE isthmus_rtt_seconds histogram\n"
        "isthmus_rtt_seconds_bucket{site=\"par1\",le=\"0.1\"} 1\n"
        "isthmus_rtt_seconds_bucket{site=\"par1\",le=\"1\"} 2\n"
        "isthmus_rtt_seconds_bucket{site=\"par1\",le=\"2.5\"} 2\n"
        "isthmus_rtt_seconds_bucket{site=\"par1\",le=\"+Inf\"} 3\n"
        "isthmus_rtt_seconds_sum{site=\"par1\"} 7.6\n"
        "isthmus_rtt_seconds_count{site=\"par1\"} 3\n");

    /* A metric that leaves takes its lines along; one whose series are
     * forgotten keeps its name. */
    ist_metric_fini(&plain);
    ist_metric_fini(&rtt);
    ist_metric_forget(&calls, "hkg", "a\"b\\c\nd");
    ist_metric_forget(&calls, "hkg", "never seen");
    ist_metric_clear(&up);
    expect_page(&registry,
                "# HELP isthmus_calls_total Calls \\\\ sent,\\nall.\n"
                "# TYPE isthmus_calls_total counter\n"
                "isthmus_calls_total{site=\"par1\",state=\"ok\"} 3\n"
                "# HELP isthmus_site_up Up?\n"
                "# TYPE isthmus_site_up gauge\n");
    ist_metrics_fini(&registry);
    ist_metric_fini(&calls);
    ist_metric_fini(&up);
    ist_metric_fini(&up);
}

/* A histogram without labels, and what is no number. */
static void test_plain_histogram(void **state)
{
    struct ist_metric h = IST_HISTOGRAM("h_seconds", "H.", ist_metric_seconds);
    struct ist_metrics registry;
    struct ist_sb out;

    (void) state;
    ist_metrics_init(&registry);
    ist_metrics_add(&registry, &h);
    ist_metric_observe(&h, -1);
    ist_metric_observe(&h, NAN);
    ist_sb_init(&out, 0);
    ist_metrics_write(&registry, &out);
    assert_non_null(
        strstr(ist_sb_text(&out), "h_seconds_bucket{le=\"0.001\"} 1\n"));
    assert_non_null(
        strstr(ist_sb_text(&out), "h_seconds_bucket{le=\"60\"} 1\n"));
    assert_non_null(
        strstr(ist_sb_text(&out), "h_seconds_bucket{le=\"+Inf\"} 2\n"));
    assert_non_null(strstr(ist_sb_text(&out), "h_seconds_count 2\n"));
    ist_sb_fini(&out);
    ist_metric_fini(&h);
    ist_metrics_fini(&registry);
}

static void test_cap(void **state)
{
    struct ist_metric m = IST_COUNTER("m_total", "M.", "a", "b");
    struct ist_metrics registry;
    char value[16];
    int i;

    (void) state;
    ist_metrics_init(&registry);
    m.series_max = 3;
    ist_metrics_add(&registry, &m);
    for (i = 0; i < 100; i++) {
        snprintf(value, sizeof(value), "v%02d", i);
        ist_metric_add(&m, 1, value, "x");
    }
    ist_metric_add(&m, 1, "v01", "x");
    assert_int_equal(m.n_series, 4);
    expect_page(&registry, "# HELP m_total M.\n"
                           "# TYPE m_total counter\n"
                           "m_total{a=\"_other\",b=\"_other\"} 97\n"
                           "m_total{a=\"v00\",b=\"x\"} 1\n"
                           "m_total{a=\"v01\",b=\"x\"} 2\n"
                           "m_total{a=\"v02\",b=\"x\"} 1\n");
    ist_metric_fini(&m);
    ist_metrics_fini(&registry);
}

/* Foreign text as a value: cut at a character, and always UTF-8. */
static void test_values(void **state)
{
    struct ist_metric m = IST_GAUGE("m", "M.", "a");
    struct ist_metrics registry;
    char value[400] = "", want[600];
    int i;

    (void) state;
    ist_metrics_init(&registry);
    ist_metrics_add(&registry, &m);
    ist_metric_set(&m, 1,
                   "\xff"
                   "a\xc3");
    expect_page(&registry, "# HELP m M.\n# TYPE m gauge\nm{a=\"?a?\"} 1\n");
    ist_metric_clear(&m);
    for (i = 0; i < 60; i++)
        strcat(value, "\xe2\x82\xac");
    ist_metric_set(&m, 1, value);
    value[42 * 3] = '\0'; /* The most that fits in 128 bytes. */
    snprintf(want, sizeof(want), "# HELP m M.\n# TYPE m gauge\nm{a=\"%s\"} 1\n",
             value);
    expect_page(&registry, want);
    ist_metric_fini(&m);
    ist_metrics_fini(&registry);
}

static void test_numbers(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {1e6, "1000000"},
        {123456789012345, "123456789012345"},
        {0.1, "0.1"},
        {0.30000000000000004, "0.30000000000000004"},
        {1e300, "1e+300"},
        {INFINITY, "+Inf"},
    };
    struct ist_metric m = IST_GAUGE("m", "M.");
    struct ist_metrics registry;
    char want[128];
    size_t i;

    (void) state;
    ist_metrics_init(&registry);
    ist_metrics_add(&registry, &m);
    for (i = 0; i < IST_COUNT(rows); i++) {
        ist_metric_set(&m, rows[i].value);
        snprintf(want, sizeof(want), "# HELP m M.\n# TYPE m gauge\nm %s\n",
                 rows[i].text);
        expect_page(&registry, want);
    }
    ist_metric_fini(&m);
    ist_metrics_fini(&registry);
}

struct collected {
    struct ist_metrics_collector collector;
    struct ist_metric m;
    int n;
};

static void collect(struct ist_metrics_collector *collector)
{
    struct collected *c = IST_CONTAINER(collector, struct collected, collector);

    ist_metric_set(&c->m, ++c->n);
}

static void test_collector(void **state)
{
    struct collected c = {{.collect = collect}, IST_GAUGE("m", "M."), 0};
    struct ist_metrics registry;

    (void) state;
    ist_metrics_init(&registry);
    ist_metrics_add(&registry, &c.m);
    ist_metrics_collect(&registry, &c.collector);
    expect_page(&registry, "# HELP m M.\n# TYPE m gauge\nm 1\n");
    expect_page(&registry, "# HELP m M.\n# TYPE m gauge\nm 2\n");
    ist_metrics_uncollect(&registry, &c.collector);
    expect_page(&registry, "# HELP m M.\n# TYPE m gauge\nm 2\n");
    ist_metric_fini(&c.m);
    ist_metrics_fini(&registry);
}

/* Wrong names are found when they are added, not by Prometheus. An assertion
 * aborts, so each is tried in a child. */
static void test_bad_names(void **state)
{
    static const double bounds[] = {1, 1};
    struct ist_metric rows[] = {
        IST_COUNTER("fine", "x", "a"), /* The only one. */
        IST_COUNTER("", "x"),
        IST_COUNTER("1a", "x"),
        IST_COUNTER("a-b", "x"),
        IST_COUNTER("ok", "x", "a:b"),
        IST_COUNTER("ok", "x", ""),
        IST_HISTOGRAM("ok", "x", ist_metric_seconds, "le"),
        IST_HISTOGRAM("ok", "x", bounds),
        IST_COUNTER("taken", "x"),
    };
    struct ist_metric taken = IST_COUNTER("taken", "x");
    struct ist_metrics registry;
    size_t i;

    (void) state;
#ifdef NDEBUG
    skip();
#endif
    ist_metrics_init(&registry);
    ist_metrics_add(&registry, &taken);
    for (i = 0; i < IST_COUNT(rows); i++) {
        pid_t pid = fork();
        int status = 0;

        if (pid == 0) {
            close(2);
            signal(SIGABRT, SIG_DFL);
            ist_metrics_add(&registry, &rows[i]);
            _exit(0);
        }
        waitpid(pid, &status, 0);
        assert_int_equal(WIFSIGNALED(status), i > 0);
    }
    ist_metric_fini(&taken);
    ist_metrics_fini(&registry);
}

static double value_of(const char *page, const char *name)
{
    char line[128];
    const char *at;

    snprintf(line, sizeof(line), "\n%s ", name);
    at = strstr(page, line);
    assert_non_null(at);
    return strtod(at + strlen(line), NULL);
}

static void test_process(void **state)
{
    struct ist_metrics registry;
    struct ist_process process;
    struct ist_sb out;
    const char *page;

    (void) state;
    ist_metrics_init(&registry);
    ist_process_init(&process, &registry);
    ist_sb_init(&out, 0);
    ist_metrics_write(&registry, &out);
    page = ist_sb_text(&out);
    assert_true(value_of(page, "process_cpu_seconds_total") < 60);
    assert_true(value_of(page, "process_resident_memory_bytes") > 1e5);
    assert_true(value_of(page, "process_virtual_memory_bytes") >
                value_of(page, "process_resident_memory_bytes"));
    assert_true(value_of(page, "process_open_fds") >= 3);
    assert_true(value_of(page, "process_max_fds") >= 64);
    assert_true(value_of(page, "process_start_time_seconds") > 1.6e9);
    assert_non_null(
        strstr(page, "\nisthmus_build_info{version=\"" IST_VERSION "\"} 1\n"));
    ist_sb_fini(&out);
    ist_process_fini(&process);
    expect_page(&registry, "");
    ist_metrics_fini(&registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_plain_histogram),
        cmocka_unit_test(test_cap),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_collector),
        cmocka_unit_test(test_bad_names),
        cmocka_unit_test(test_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
