/* Traces of requests: a timeline of calls, whichever comes first, capped. */
#include "survey/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define WALL 1790000000000ULL

static struct traces traces;

static int setup(void **state)
{
    (void) state;
    traces_init(&traces);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    traces_fini(&traces);
    assert_int_equal(traces.n, 0);
    return 0;
}

/* The request came at 1000, its calls went out a little later. */
static void test_a_timeline(void **state)
{
    const struct trace *trace;

    (void) state;
    trace_begin(&traces, "req-1", WALL + 5, 1005);
    trace_begin(&traces, "req-1", WALL + 6, 1006);
    trace_add(&traces, "req-1", "lon", "list", 1006, 1040, 1050, "");
    trace_answered(&traces, "req-1", "GET", "/x", 200, 1000, WALL + 90, 1090);
    trace_add(&traces, "req-1", "hkg", "relay", 1005, 0, 1095, "too late");
    trace = trace_find(&traces, "req-1");
    assert_non_null(trace);
    assert_int_equal(trace->wall_ms, WALL);
    assert_int_equal(trace->status, 200);
    assert_int_equal(trace->duration_ms, 90);
    assert_string_equal(trace->method, "GET");
    assert_int_equal(trace->n_calls, 2);
    assert_string_equal(trace->calls[0].site, "lon");
    assert_int_equal(trace->calls[0].sent_ms, 6);
    assert_int_equal(trace->calls[0].heard_ms, 40);
    assert_int_equal(trace->calls[0].ended_ms, 50);
    assert_string_equal(trace->calls[0].reason, "");
    assert_int_equal(trace->calls[1].sent_ms, 5);
    assert_int_equal(trace->calls[1].heard_ms, 0);
    assert_string_equal(trace->calls[1].reason, "too late");
}

/* What asked no site has none, nor has an id that is none. */
static void test_no_trace(void **state)
{
    char id[TRACE_ID_SIZE + 1];

    (void) state;
    memset(id, 'x', sizeof(id) - 1);
    id[sizeof(id) - 1] = '\0';
    trace_answered(&traces, "req-1", "GET", "/x", 200, 1, WALL, 2);
    trace_add(&traces, "req-1", "hkg", "list", 1, 1, 1, "");
    trace_begin(&traces, id, WALL, 1);
    trace_begin(&traces, "", WALL, 1);
    assert_null(trace_find(&traces, "req-1"));
    assert_null(trace_find(&traces, id));
    assert_int_equal(traces.n, 0);
}

static void test_caps(void **state)
{
    char id[TRACE_ID_SIZE];

    (void) state;
    for (unsigned i = 0; i < TRACE_REQUESTS_MAX + 3; i++) {
        snprintf(id, sizeof(id), "req-%u", i);
        trace_begin(&traces, id, WALL, i);
    }
    assert_int_equal(traces.n, TRACE_REQUESTS_MAX);
    assert_null(trace_find(&traces, "req-2"));
    assert_non_null(trace_find(&traces, "req-3"));
    for (unsigned i = 0; i < TRACE_CALLS_MAX + 5; i++)
        trace_add(&traces, id, "hkg", "list", 9000, 0, 9000, "");
    assert_int_equal(trace_find(&traces, id)->n_calls, TRACE_CALLS_MAX);
    assert_int_equal(trace_find(&traces, id)->n_left_out, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_timeline, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_trace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_caps, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
