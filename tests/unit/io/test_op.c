#include "io/op.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* An op with a name, that notes what happens to it: "a!" cancelled, "a."
 * done. What it does when cancelled is set by the test. */
struct probe {
    struct ist_op op;
    char name;
    bool finish_on_cancel;
    int n_done, n_cancel;
};

static struct ist_loop loop;
static char notes[128];
static bool inside; /* In a call that must not run 'done'. */

static void note(const struct probe *probe, char what)
{
    char text[3] = {probe->name, what, '\0'};

    strcat(notes, text);
}

static struct probe *probe_of(struct ist_op *op)
{
    return IST_CONTAINER(op, struct probe, op);
}

static void done(struct ist_op *op)
{
    struct probe *probe = probe_of(op);

    assert_false(inside);
    assert_int_equal(op->state, IST_OP_IDLE);
    assert_false(ist_op_active(op));
    assert_false(ist_timer_armed(&op->timer));
    probe->n_done++;
    note(probe, '.');
}

static void cancel(struct ist_op *op)
{
    struct probe *probe = probe_of(op);

    assert_int_equal(op->state, IST_OP_CANCELLING);
    assert_true(ist_op_active(op));
    probe->n_cancel++;
    note(probe, '!');
    if (probe->finish_on_cancel)
        ist_op_finish(op, 0);
}

static void begin(struct probe *probe, struct probe *parent,
                  uint64_t timeout_ms)
{
    ist_op_prepare(&probe->op, &loop, parent ? &parent->op : NULL, timeout_ms,
                   done);
    inside = true;
    ist_op_begin(&probe->op, cancel);
    inside = false;
    assert_true(ist_op_active(&probe->op));
}

static void finish(struct probe *probe, int rc)
{
    inside = true;
    ist_op_finish(&probe->op, rc);
    inside = false;
    assert_false(ist_op_active(&probe->op));
}

static void stop(struct probe *probe, int reason)
{
    inside = true;
    ist_op_cancel(&probe->op, reason);
    inside = false;
}

static int setup(void **state)
{
    (void) state;
    ist_loop_init_virtual(&loop, 0);
    notes[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    ist_loop_fini(&loop);
    return 0;
}

static void test_done_is_late_and_once(void **state)
{
    struct probe a = {.name = 'a'};

    (void) state;
    begin(&a, NULL, 0);
    assert_int_equal(a.op.state, IST_OP_RUNNING);
    finish(&a, 0);
    assert_int_equal(a.op.state, IST_OP_FINISHED);
    assert_int_equal(a.n_done, 0);
    stop(&a, -ECANCELED); /* Too late: harmless. */
    ist_loop_run(&loop);
    assert_int_equal(a.n_done, 1);
    assert_int_equal(a.n_cancel, 0);
    assert_int_equal(a.op.rc, 0);
    stop(&a, -ECANCELED); /* Idle: harmless too. */
    assert_string_equal(notes, "a.");
}

static void test_done_in_order_of_finish(void **state)
{
    struct probe a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};

    (void) state;
    begin(&a, NULL, 0);
    begin(&b, NULL, 0);
    begin(&c, NULL, 0);
    finish(&c, 0);
    finish(&a, 0);
    finish(&b, 0);
    ist_loop_run(&loop);
    assert_string_equal(notes, "c.a.b.");
}

static void test_errors_in_words(void **state)
{
    struct probe a = {.name = 'a'};

    (void) state;
    begin(&a, NULL, 0);
    ist_op_fail(&a.op, -EPROTO, "site %s spoke nonsense", "riga");
    ist_loop_run(&loop);
    assert_int_equal(a.op.rc, -EPROTO);
    assert_int_equal(a.op.err.code, -EPROTO);
    assert_string_equal(a.op.err.text, "site riga spoke nonsense");

    begin(&a, NULL, 0);
    finish(&a, -ENOENT);
    ist_loop_run(&loop);
    assert_string_equal(a.op.err.text, strerror(ENOENT));

    begin(&a, NULL, 0);
    finish(&a, 7);
    ist_loop_run(&loop);
    assert_int_equal(a.op.rc, 7);
    assert_string_equal(a.op.err.text, "outcome 7");
}

static void test_cancel_keeps_its_reason(void **state)
{
    struct probe a = {.name = 'a'}, b = {.name = 'b', .finish_on_cancel = true};

    (void) state;
    begin(&a, NULL, 0);
    begin(&b, NULL, 0);
    stop(&a, -ESHUTDOWN);
    stop(&a, -ECANCELED); /* The first reason stands. */
    stop(&b, -ECANCELED);
    assert_int_equal(a.op.state, IST_OP_CANCELLING);
    assert_int_equal(b.op.state, IST_OP_FINISHED);
    finish(&a, 0);
    ist_loop_run(&loop);
    assert_int_equal(a.op.rc, -ESHUTDOWN);
    assert_int_equal(b.op.rc, -ECANCELED);
    assert_string_equal(b.op.err.text, "cancelled");
    assert_int_equal(a.n_cancel, 1);
    assert_string_equal(notes, "a!b!b.a.");
}

/* Without a cancel function and children there is nothing to wait for. */
static void test_cancel_null(void **state)
{
    struct probe a = {.name = 'a'};

    (void) state;
    ist_op_prepare(&a.op, &loop, NULL, 0, done);
    ist_op_begin(&a.op, NULL);
    stop(&a, -ECANCELED);
    assert_int_equal(a.op.state, IST_OP_FINISHED);
    ist_loop_run(&loop);
    assert_int_equal(a.op.rc, -ECANCELED);
    assert_int_equal(a.n_done, 1);
}

static void test_deadline(void **state)
{
    struct probe a = {.name = 'a', .finish_on_cancel = true};

    (void) state;
    begin(&a, NULL, 100);
    assert_false(ist_loop_step(&loop, 99));
    assert_int_equal(a.n_cancel, 0);
    ist_loop_run(&loop);
    assert_int_equal(ist_loop_now(&loop), 100);
    assert_int_equal(a.op.rc, -ETIMEDOUT);
    assert_string_equal(a.op.err.text, "no answer in time");
    assert_string_equal(notes, "a!a.");
}

static void test_deadline_passed_already(void **state)
{
    struct probe a = {.name = 'a', .finish_on_cancel = true}, b = {.name = 'b'};

    (void) state;
    begin(&b, NULL, 50);
    ist_op_prepare(&a.op, &loop, &b.op, 0, done);
    assert_int_equal(a.op.deadline, 50);
    a.op.deadline = 0;
    inside = true;
    ist_op_begin(&a.op, cancel);
    inside = false;
    assert_int_equal(a.n_cancel, 0);
    assert_true(ist_loop_step(&loop, 0));
    assert_int_equal(a.n_cancel, 1);
    assert_true(ist_loop_step(&loop, 0));
    finish(&b, 0);
    ist_loop_run(&loop);
    assert_string_equal(notes, "a!a.b.");
    assert_int_equal(a.op.rc, -ETIMEDOUT);
    assert_int_equal(b.op.rc, 0);
}

static void test_finish_beats_deadline(void **state)
{
    struct probe a = {.name = 'a'};

    (void) state;
    begin(&a, NULL, 100);
    finish(&a, 0);
    ist_loop_run(&loop);
    assert_int_equal(a.op.rc, 0);
    assert_int_equal(a.n_cancel, 0);
    assert_int_equal(ist_loop_now(&loop), 0);
}

static void test_deadlines_are_inherited(void **state)
{
    struct probe top = {.name = 't'};
    struct ist_op child;

    (void) state;
    begin(&top, NULL, 100);
    ist_op_prepare(&child, &loop, &top.op, 0, done);
    assert_int_equal(child.deadline, 100);
    ist_op_prepare(&child, &loop, &top.op, 500, done);
    assert_int_equal(child.deadline, 100);
    ist_op_prepare(&child, &loop, &top.op, 30, done);
    assert_int_equal(child.deadline, 30);
    ist_op_prepare(&child, &loop, NULL, 0, done);
    assert_true(child.deadline == UINT64_MAX);
    ist_op_prepare(&child, &loop, NULL, UINT64_MAX, done);
    assert_true(child.deadline == UINT64_MAX);
    finish(&top, 0);
    ist_loop_run(&loop);
}

/* A gather as the survey does it: ends when its last child has. */
struct gather {
    struct probe probe;
    unsigned n_left;
};

static struct gather *gather;

static void child_done(struct ist_op *op)
{
    done(op);
    if (--gather->n_left == 0)
        ist_op_finish(&gather->probe.op, 0);
}

static void begin_child(struct probe *probe, uint64_t timeout_ms)
{
    ist_op_prepare(&probe->op, &loop, &gather->probe.op, timeout_ms,
                   child_done);
    ist_op_begin(&probe->op, cancel);
    gather->n_left++;
}

static void begin_gather(struct gather *g, uint64_t timeout_ms)
{
    *g = (struct gather){.probe.name = 'g'};
    gather = g;
    ist_op_prepare(&g->probe.op, &loop, NULL, timeout_ms, done);
    ist_op_begin(&g->probe.op, NULL);
}

static void test_cancel_goes_down_the_tree(void **state)
{
    struct gather g;
    struct probe a = {.name = 'a', .finish_on_cancel = true}, b = {.name = 'b'},
                 c = {.name = 'c', .finish_on_cancel = true};

    (void) state;
    begin_gather(&g, 0);
    begin_child(&a, 0);
    begin_child(&b, 0);
    begin(&c, &b, 0);
    stop(&g.probe, -ECANCELED);
    assert_int_equal(a.n_cancel + b.n_cancel + c.n_cancel, 3);
    assert_true(strstr(notes, "c!") < strstr(notes, "b!")); /* Deepest first. */
    ist_loop_run(&loop);
    assert_int_equal(g.probe.n_done, 0); /* b has not finished. */
    finish(&b, 0);
    ist_loop_run(&loop);
    assert_int_equal(a.op.rc, -ECANCELED);
    assert_int_equal(b.op.rc, -ECANCELED);
    assert_int_equal(c.op.rc, -ECANCELED);
    assert_int_equal(g.probe.op.rc, -ECANCELED);
    assert_int_equal(g.probe.n_done, 1);
    assert_string_equal(notes + strlen(notes) - 4, "b.g.");
}

static void test_parent_deadline_ends_all(void **state)
{
    struct gather g;
    struct probe a = {.name = 'a', .finish_on_cancel = true},
                 b = {.name = 'b', .finish_on_cancel = true};

    (void) state;
    begin_gather(&g, 100);
    begin_child(&a, 40);
    begin_child(&b, 0);
    ist_loop_run(&loop);
    assert_int_equal(ist_loop_now(&loop), 100);
    assert_int_equal(a.op.rc, -ETIMEDOUT);
    assert_int_equal(b.op.rc, -ETIMEDOUT);
    assert_memory_equal(notes, "a!a.b!b.", 8);
    assert_int_equal(g.probe.n_done, 1);
}

static void test_child_cancel_leaves_parent(void **state)
{
    struct gather g;
    struct probe a = {.name = 'a', .finish_on_cancel = true}, b = {.name = 'b'};

    (void) state;
    begin_gather(&g, 0);
    begin_child(&a, 0);
    begin_child(&b, 0);
    stop(&a, -ECANCELED);
    ist_loop_run(&loop);
    assert_true(ist_op_active(&g.probe.op));
    assert_int_equal(b.n_cancel, 0);
    finish(&b, 0);
    ist_loop_run(&loop);
    assert_int_equal(g.probe.op.rc, 0);
}

static void free_self(struct ist_op *op)
{
    strcat(notes, "f");
    free(probe_of(op));
}

static void test_done_may_free(void **state)
{
    struct probe *a = calloc(1, sizeof(*a));

    (void) state;
    assert_non_null(a);
    ist_op_prepare(&a->op, &loop, NULL, 1000, free_self);
    ist_op_begin(&a->op, cancel);
    ist_op_finish(&a->op, 0);
    ist_loop_run(&loop);
    assert_string_equal(notes, "f");
}

static void start_again(struct ist_op *op)
{
    struct probe *probe = probe_of(op);

    probe->n_done++;
    if (probe->n_done == 3)
        return;
    ist_op_prepare(op, &loop, NULL, 10, start_again);
    ist_op_begin(op, cancel);
    ist_op_finish(op, 0);
}

/* Starting again waits a turn, so that it cannot hold the loop. */
static void test_done_may_start_again(void **state)
{
    struct probe a = {.name = 'a'};

    (void) state;
    ist_op_prepare(&a.op, &loop, NULL, 10, start_again);
    ist_op_begin(&a.op, cancel);
    ist_op_finish(&a.op, 0);
    for (int i = 1; i <= 3; i++) {
        assert_true(ist_loop_step(&loop, 0));
        assert_int_equal(a.n_done, i);
    }
    assert_false(ist_loop_step(&loop, 0));
}

static void test_real_loop_runs_done(void **state)
{
    struct probe a = {.name = 'a'}, b = {.name = 'b', .finish_on_cancel = true};

    (void) state;
    assert_int_equal(ist_loop_init(&loop), 0);
    begin(&a, NULL, 60000);
    begin(&b, NULL, 20);
    finish(&a, 0);
    ist_loop_run(&loop);
    assert_string_equal(notes, "a.b!b.");
    assert_int_equal(b.op.rc, -ETIMEDOUT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_done_is_late_and_once),
        TEST(test_done_in_order_of_finish),
        TEST(test_errors_in_words),
        TEST(test_cancel_keeps_its_reason),
        TEST(test_cancel_null),
        TEST(test_deadline),
        TEST(test_deadline_passed_already),
        TEST(test_finish_beats_deadline),
        TEST(test_deadlines_are_inherited),
        TEST(test_cancel_goes_down_the_tree),
        TEST(test_parent_deadline_ends_all),
        TEST(test_child_cancel_leaves_parent),
        TEST(test_done_may_free),
        TEST(test_done_may_start_again),
        TEST(test_real_loop_runs_done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
