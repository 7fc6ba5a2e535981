#include "conf/conf.h"

#include "scratch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct survey {
    uint64_t deadline_ms, per_site, answer_max;
    bool partial;
};

struct bus {
    char *url, *ca, *password;
    uint64_t port;
};

static const struct ist_row survey_rows[] = {
    {"survey.deadline", IST_ROW_MS, offsetof(struct survey, deadline_ms), "10s",
     100, 600000, 0, "Time for a survey whose caller names none."},
    {"survey.limits.per_site", IST_ROW_U64, offsetof(struct survey, per_site),
     "8", 1, 64, 0, "Calls at once; more wait."},
    {"survey.limits.answer", IST_ROW_BYTES, offsetof(struct survey, answer_max),
     "16MiB", 1024, 1 << 30, 0, "Of one answer; above, it is refused."},
    {"survey.partial", IST_ROW_BOOL, offsetof(struct survey, partial), "true",
     0, 0, 0, "Are answers of some sites enough?"},
    IST_ROW_END,
};

static const struct ist_row bus_rows[] = {
    {"bus.url", IST_ROW_STRING, offsetof(struct bus, url), NULL, 1, 100,
     IST_ROW_REQUIRED, "Where the broker is."},
    {"bus.ca", IST_ROW_PATH, offsetof(struct bus, ca), "ca.pem", 0, 0, 0, NULL},
    {"bus.password", IST_ROW_STRING, offsetof(struct bus, password), NULL, 0, 0,
     IST_ROW_SECRET, "Only for tests."},
    {"bus.port", IST_ROW_U64, offsetof(struct bus, port), "5671", 1, 65535, 0,
     "Of the broker."},
    IST_ROW_END,
};

struct fixture {
    struct scratch s;
    struct survey survey;
    struct bus bus;
    struct ist_conf_table tables[2];
    struct ist_conf_report report;
    struct ist_err err;
};

static void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    scratch_init(&f->s);
    f->tables[0] = (struct ist_conf_table){survey_rows, &f->survey};
    f->tables[1] = (struct ist_conf_table){bus_rows, &f->bus};
    ist_conf_report_init(&f->report);
}

static void fixture_fini(struct fixture *f)
{
    ist_conf_report_fini(&f->report);
    scratch_fini(&f->s);
}

static int load(struct fixture *f, const char *text)
{
    ist_conf_report_fini(&f->report);
    ist_conf_report_init(&f->report);
    return ist_conf_load(scratch_text(&f->s, "c.yaml", text), f->tables, 2,
                         &f->report, &f->err);
}

static void test_values(void **state)
{
    struct fixture f;
    char path[100];

    (void) state;
    fixture_init(&f);
    assert_int_equal(load(&f, "survey:\n"
                              "  deadline: 2m\n"
                              "  limits: {answer: 64KiB, per_site: 64}\n"
                              "  partial: false\n"
                              "bus:\n"
                              "  url: amqps://h:5671/%2F\n"
                              "  password: 'x: y'\n"),
                     0);
    assert_int_equal(f.survey.deadline_ms, 120000);
    assert_int_equal(f.survey.per_site, 64);
    assert_int_equal(f.survey.answer_max, 65536);
    assert_false(f.survey.partial);
    assert_string_equal(f.bus.url, "amqps://h:5671/%2F");
    assert_string_equal(f.bus.password, "x: y");
    assert_int_equal(f.bus.port, 5671);
    snprintf(path, sizeof(path), "%s/ca.pem", f.s.dir);
    assert_string_equal(f.bus.ca, path);
    ist_conf_free(f.tables, 2);
    assert_null(f.bus.url);
    fixture_fini(&f);
}

static void complaint(struct fixture *f, const char *text, unsigned line,
                      const char *sentence)
{
    char wanted[400];
    int n;

    assert_int_equal(load(f, text), -EINVAL);
    n = snprintf(wanted, sizeof(wanted), "%s", f->s.path);
    if (line)
        n += snprintf(wanted + n, sizeof(wanted) - (size_t) n, ":%u", line);
    snprintf(wanted + n, sizeof(wanted) - (size_t) n, ": %s", sentence);
    if (!strstr(ist_sb_text(&f->report.text), wanted))
        fail_msg("wanted: %s\ngot: %s", wanted, ist_sb_text(&f->report.text));
    assert_null(f->bus.url);
}

static void test_complaints(void **state)
{
    static const struct {
        const char *text;
        unsigned line;
        const char *sentence;
    } cases[] = {
        {"survey: {}\n", 0, "bus.url: is missing"},
        {"", 0, "bus.url: is missing"},
        {"bus: {url: x}\nsurvey:\n  deadline: 10\n", 3,
         "survey.deadline: 10 is not a time"},
        {"bus: {url: x}\nsurvey: {deadline: 10 s}\n", 2, "survey.deadline: "},
        {"bus: {url: x}\nsurvey: {deadline: 10sec}\n", 2, "survey.deadline: "},
        {"bus: {url: x}\nsurvey: {deadline: -1s}\n", 2, "survey.deadline: "},
        {"bus: {url: x}\nsurvey: {deadline: 1e3s}\n", 2, "survey.deadline: "},
        {"bus: {url: x}\nsurvey: {deadline: 50ms}\n", 2,
         "survey.deadline: 50ms is less than the least allowed, 100ms"},
        {"bus: {url: x}\nsurvey: {deadline: 1h}\n", 2,
         "survey.deadline: 1h is more than the most allowed, 10m"},
        {"bus: {url: x}\nsurvey: {deadline: 99999999999999999999ms}\n", 2,
         "survey.deadline: "},
        {"bus: {url: x, port: 0}\n", 1,
         "bus.port: 0 is less than the least allowed, 1"},
        {"bus: {url: x, port: 65536}\n", 1,
         "bus.port: 65536 is more than the most allowed, 65535"},
        {"bus: {url: x}\nsurvey: {partial: yes}\n", 2,
         "survey.partial: yes is not true or false"},
        {"bus: {url: x}\nsurvey: {limits: {answer: 1MB}}\n", 2,
         "survey.limits.answer: 1MB is not a size"},
        {"bus: {url: ''}\n", 1, "bus.url: must have 1 to 100 characters"},
        {"bus: {url: }\n", 1, "bus.url: has no value"},
        {"bus: {url: [x]}\n", 1, "bus.url: must be one value"},
        {"bus: {url: x}\nsurvey: 7\n", 2, "survey: must be a map"},
        {"bus: {url: x}\nsurvey: {dedline: 1s}\n", 2,
         "survey.dedline: no such setting; is it survey.deadline?"},
        {"bus: {url: x}\nsurvay: {deadline: 1s}\n", 2,
         "survay: no such setting; is it survey?"},
        {"bus: {url: x}\nzzzzzz: 1\n", 2, "zzzzzz: no such setting\n"},
        {"bus: {url: x}\nsurvey.deadline: 1s\n", 2,
         "survey.deadline: no such setting"},
        {"bus: {url: x}\nsurvey: {deadline: 1s, deadline: 2s}\n", 2,
         "deadline: given twice"},
        {"bus: {url: 'amqps://u:CANARY@h/'}\n", 1,
         "bus.url: a password in a URL"},
        {"- 1\n", 1, "must be a map"},
        {"bus: {url: x}\nsurvey: {\"a\\eb\": 1}\n", 2, "survey.a\\x1bb: no"},
    };
    struct fixture f;

    (void) state;
    fixture_init(&f);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        complaint(&f, cases[i].text, cases[i].line, cases[i].sentence);
        assert_null(strstr(ist_sb_text(&f.report.text), "CANARY"));
    }
    fixture_fini(&f);
}

/* All mistakes are named, and nothing is written. */
static void test_all_errors(void **state)
{
    struct fixture f;

    (void) state;
    fixture_init(&f);
    f.survey.deadline_ms = 77;
    assert_int_equal(load(&f, "survey:\n  deadline: 1\n  limits:\n"
                              "    per_site: 0\n  partiel: true\n"),
                     -EINVAL);
    assert_int_equal(f.report.n_errors, 4);
    assert_non_null(strstr(f.err.text, "(and 3 more)"));
    assert_non_null(strstr(f.err.text, "c.yaml:2: survey.deadline"));
    assert_int_equal(f.survey.deadline_ms, 77);
    fixture_fini(&f);
}

static void test_unreadable(void **state)
{
    struct fixture f;

    (void) state;
    fixture_init(&f);
    assert_int_equal(ist_conf_load(scratch_name(&f.s, "none"), f.tables, 2,
                                   &f.report, &f.err),
                     -ENOENT);
    assert_int_equal(ist_conf_load(f.s.dir, f.tables, 2, &f.report, &f.err),
                     -EINVAL);
    fixture_fini(&f);
}

static void test_defaults(void **state)
{
    struct fixture f;

    (void) state;
    fixture_init(&f);
    assert_int_equal(ist_conf_load(NULL, f.tables, 1, &f.report, &f.err), 0);
    assert_int_equal(f.survey.deadline_ms, 10000);
    assert_int_equal(f.survey.answer_max, 16 << 20);
    assert_true(f.survey.partial);
    ist_conf_free(f.tables, 1);
    fixture_fini(&f);
}

/* What is shown can be loaded again, and does not hold the secret. */
static void test_show(void **state)
{
    struct fixture f;
    struct ist_sb out;

    (void) state;
    fixture_init(&f);
    ist_sb_init(&out, 0);
    assert_int_equal(load(&f, "bus: {url: \"a\\tb\", password: CANARY}\n"), 0);
    ist_conf_show(f.tables, 2, true, &out);
    assert_null(strstr(ist_sb_text(&out), "CANARY"));
    assert_non_null(strstr(ist_sb_text(&out), "  password: \"***\"\n"));
    assert_non_null(strstr(ist_sb_text(&out),
                           "survey:\n  # Time for a survey whose caller names "
                           "none.\n  deadline: 10s\n"));
    assert_non_null(strstr(ist_sb_text(&out), "  limits:\n"));
    ist_conf_free(f.tables, 2);
    assert_int_equal(load(&f, ist_sb_text(&out)), 0);
    assert_string_equal(f.bus.url, "a\tb");
    assert_int_equal(f.survey.answer_max, 16 << 20);
    ist_conf_free(f.tables, 2);
    ist_sb_fini(&out);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),     cmocka_unit_test(test_complaints),
        cmocka_unit_test(test_all_errors), cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_defaults),   cmocka_unit_test(test_show),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
