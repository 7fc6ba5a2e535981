#include "io/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

/* Timers write their letter when they fire. */
struct letter {
    struct ist_timer timer;
    char c;
    void (*also)(struct letter *);
};

static char fired[64];
static uint64_t fired_at;

static void write_letter(struct ist_timer *timer)
{
    struct letter *letter = IST_CONTAINER(timer, struct letter, timer);

    assert_false(ist_timer_armed(timer));
    strncat(fired, &letter->c, 1);
    if (letter->also)
        letter->also(letter);
}

static int setup_virtual(void **state)
{
    static struct ist_loop loop;

    ist_loop_init_virtual(&loop, 1795593600000);
    fired[0] = '\0';
    *state = &loop;
    return 0;
}

static int setup_real(void **state)
{
    static struct ist_loop loop;

    fired[0] = '\0';
    *state = &loop;
    return ist_loop_init(&loop);
}

static int teardown(void **state)
{
    ist_loop_fini(*state);
    return 0;
}

static void arm_in(struct letter *letter, struct ist_loop *loop, uint64_t ms)
{
    ist_timer_arm_in(&letter->timer, loop, ms, write_letter);
}

/* Both kinds of loop must pass the tests from here ... */

static void test_order(void **state)
{
    struct letter a = {.c = 'a'}, b = {.c = 'b'}, c = {.c = 'c'},
                  d = {.c = 'd'};
    struct ist_loop *loop = *state;
    uint64_t begin = ist_loop_now(loop);

    arm_in(&d, loop, 9);
    ist_timer_arm(&b.timer, loop, begin + 4, write_letter);
    ist_timer_arm(&c.timer, loop, begin + 4, write_letter);
    arm_in(&a, loop, 0);
    assert_true(ist_timer_armed(&a.timer));
    ist_loop_run(loop);
    assert_string_equal(fired, "abcd");
    assert_true(ist_loop_now(loop) >= begin + 9);
}

static void test_never_inside_arm(void **state)
{
    struct letter a = {.c = 'a'};
    struct ist_loop *loop = *state;

    ist_timer_arm(&a.timer, loop, 0, write_letter);
    assert_string_equal(fired, "");
    ist_loop_run(loop);
    assert_string_equal(fired, "a");
}

static void test_disarm_and_move(void **state)
{
    struct letter a = {.c = 'a'}, b = {.c = 'b'}, c = {.c = 'c'};
    struct ist_loop *loop = *state;

    arm_in(&a, loop, 1);
    arm_in(&b, loop, 2);
    arm_in(&c, loop, 3);
    ist_timer_disarm(&a.timer);
    ist_timer_disarm(&a.timer);
    assert_false(ist_timer_armed(&a.timer));
    arm_in(&b, loop, 6);
    ist_loop_run(loop);
    assert_string_equal(fired, "cb");
}

static struct letter *other;

static void disarm_other(struct letter *self)
{
    (void) self;
    ist_timer_disarm(&other->timer);
}

static void test_disarm_of_one_also_due(void **state)
{
    struct letter a = {.c = 'a', .also = disarm_other}, b = {.c = 'b'},
                  c = {.c = 'c'};
    struct ist_loop *loop = *state;
    uint64_t due = ist_loop_now(loop) + 1;

    ist_timer_arm(&a.timer, loop, due, write_letter);
    ist_timer_arm(&b.timer, loop, due, write_letter);
    ist_timer_arm(&c.timer, loop, due, write_letter);
    other = &b;
    ist_loop_run(loop);
    assert_string_equal(fired, "ac");
}

static struct ist_loop *again_on;

static void again_at_once(struct letter *self)
{
    if (strlen(fired) < 6)
        ist_timer_arm(&self->timer, again_on, 0, write_letter);
}

/* One that rearms itself for the past must not starve the others due. */
static void test_rearming_is_fair(void **state)
{
    struct letter a = {.c = 'a', .also = again_at_once}, b = {.c = 'b'};
    struct ist_loop *loop = again_on = *state;

    ist_timer_arm(&a.timer, loop, 0, write_letter);
    ist_timer_arm(&b.timer, loop, ist_loop_now(loop), write_letter);
    ist_loop_run(loop);
    assert_memory_equal(fired, "ab", 2);
    assert_string_equal(fired, "abaaaa");
}

static void stop_loop(struct letter *self)
{
    (void) self;
    ist_loop_stop(again_on);
}

static void test_stop_and_go_on(void **state)
{
    struct letter a = {.c = 'a', .also = stop_loop}, b = {.c = 'b'};
    struct ist_loop *loop = again_on = *state;

    arm_in(&a, loop, 1);
    arm_in(&b, loop, 20);
    ist_loop_run(loop);
    assert_string_equal(fired, "a");
    ist_loop_run(loop);
    assert_string_equal(fired, "ab");
}

static void test_never_is_never(void **state)
{
    struct letter a = {.c = 'a'}, b = {.c = 'b'};
    struct ist_loop *loop = *state;

    arm_in(&a, loop, UINT64_MAX);
    assert_true(a.timer.deadline == UINT64_MAX);
    arm_in(&b, loop, 1);
    ist_loop_run(loop);
    assert_string_equal(fired, "b");
    ist_timer_disarm(&a.timer);
}

/* ... to here. */

static void test_virtual_clock_moves_by_hand(void **state)
{
    struct letter a = {.c = 'a'}, b = {.c = 'b'};
    struct ist_loop *loop = *state;

    assert_int_equal(ist_loop_now(loop), 0);
    arm_in(&a, loop, 1000);
    arm_in(&b, loop, 86400000);
    assert_false(ist_loop_step(loop, 999));
    assert_int_equal(ist_loop_now(loop), 999);
    assert_true(ist_loop_step(loop, 1000));
    assert_string_equal(fired, "a");
    assert_int_equal(ist_loop_now(loop), 1000);
    assert_int_equal(ist_loop_wall(loop), 1795593601000);
    assert_true(ist_loop_step(loop, UINT64_MAX));
    assert_int_equal(ist_loop_now(loop), 86400000);
    assert_false(ist_loop_step(loop, UINT64_MAX));
    assert_int_equal(ist_loop_now(loop), 86400000);
    assert_false(ist_loop_step(loop, 5));
    assert_int_equal(ist_loop_now(loop), 86400000);
}

static void note_now(struct letter *self)
{
    fired_at = ist_loop_now(again_on);
    (void) self;
}

static void test_real_is_punctual(void **state)
{
    struct letter a = {.c = 'a', .also = note_now};
    struct ist_loop *loop = again_on = *state;
    uint64_t due = ist_loop_now(loop) + 30;

    ist_timer_arm(&a.timer, loop, due, write_letter);
    ist_loop_run(loop);
    assert_true(fired_at >= due);
    assert_true(fired_at < due + 2000); /* A busy machine is forgiven. */
    assert_true(ist_loop_wall(loop) > 1700000000000);
}

static void disarm_data(uv_idle_t *idle)
{
    ist_timer_disarm(idle->data);
    uv_close((uv_handle_t *) idle, NULL);
}

/* The last timer may be disarmed by anything that runs on the loop. */
/* A timer that rearms itself for now must not keep sockets waiting. */
static struct ist_loop *timer_loop;
static unsigned n_rearmed;
static bool was_polled;

static void rearm_now(struct ist_timer *timer)
{
    if (!was_polled && n_rearmed++ < 10000)
        ist_timer_arm_in(timer, timer_loop, 0, rearm_now);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void) status, (void) events;
    was_polled = true;
    uv_close((uv_handle_t *) poll, NULL);
}

static void test_a_chain_of_timers_lets_the_loop_poll(void **state)
{
    struct ist_loop *loop = *state;
    struct ist_timer timer = {0};
    uv_poll_t poll;
    int ends[2];

    timer_loop = loop;
    n_rearmed = 0;
    was_polled = false;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    uv_poll_init(loop->uv, &poll, ends[0]);
    uv_poll_start(&poll, UV_READABLE, on_readable);
    ist_timer_arm_in(&timer, loop, 0, rearm_now);
    ist_loop_run(loop);
    assert_true(was_polled);
    assert_true(n_rearmed < 100);
    close(ends[0]);
    close(ends[1]);
}

static void test_disarmed_does_not_hold_the_loop(void **state)
{
    struct letter a = {.c = 'a'};
    struct ist_loop *loop = *state;
    uint64_t begin = ist_loop_now(loop);
    uv_idle_t idle = {.data = &a.timer};

    uv_idle_init(loop->uv, &idle);
    uv_idle_start(&idle, disarm_data);
    arm_in(&a, loop, 20000);
    ist_loop_run(loop);
    assert_string_equal(fired, "");
    assert_true(ist_loop_now(loop) < begin + 15000);
}

#define ON_BOTH(test)                                                          \
    cmocka_unit_test_setup_teardown(test, setup_virtual, teardown),            \
    {                                                                          \
#test " (real)", test, setup_real, teardown, NULL                      \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(test_order),
        ON_BOTH(test_never_inside_arm),
        ON_BOTH(test_disarm_and_move),
        ON_BOTH(test_disarm_of_one_also_due),
        ON_BOTH(test_rearming_is_fair),
        ON_BOTH(test_stop_and_go_on),
        ON_BOTH(test_never_is_never),
        cmocka_unit_test_setup_teardown(test_virtual_clock_moves_by_hand,
                                        setup_virtual, teardown),
        cmocka_unit_test_setup_teardown(test_real_is_punctual, setup_real,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_a_chain_of_timers_lets_the_loop_poll, setup_real, teardown),
        cmocka_unit_test_setup_teardown(test_disarmed_does_not_hold_the_loop,
                                        setup_real, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
