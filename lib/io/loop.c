/* One tree of timers serves both kinds of loop: the real one drives it by a
 * single libuv timer set to the first deadline, the virtual one by moving its
 * clock there. Finished ops wait in a list until an idle handle, active only
 * while there is something to do at once, runs them: so 'done' never runs
 * inside the call that finished the op, and never waits for a poll. */
#include "io/loop.h"

#include "base/clock.h"
#include "io/loop_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static int timer_cmp(struct ist_timer *a, struct ist_timer *b)
{
    if (a->deadline != b->deadline)
        return a->deadline < b->deadline ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

RB_GENERATE_INTERNAL(ist_timers, ist_timer, node, timer_cmp, IST_UNUSED_STATIC)

static void on_wake(uv_timer_t *handle);

/* Sets libuv's timer to the first deadline; harmless on a virtual loop. */
static void wake_at_first(struct ist_loop *loop)
{
    struct ist_timer *first = RB_MIN(ist_timers, &loop->timers);
    uint64_t now;

    if (!loop->uv)
        return;
    if (!first || loop->stopping) {
        uv_timer_stop(&loop->wake);
        return;
    }
    if (first->deadline == UINT64_MAX) {
        uv_timer_stop(&loop->wake);
        return;
    }
    now = ist_loop_now(loop);
    if (first->deadline <= now) {
        /* Not by libuv's timer: 1.44 runs one that is set to now in the same
         * turn, so that a chain of them would keep the loop from polling. */
        uv_timer_stop(&loop->wake);
        loop->due = true;
        ist_loop_defer(loop);
        return;
    }
    uv_update_time(loop->uv);
    uv_timer_start(&loop->wake, on_wake, first->deadline - now, 0);
}

/* Fires what was due when it began; timers armed meanwhile wait a turn, so
 * that a timer that always rearms itself cannot hold the loop. */
static bool fire_due(struct ist_loop *loop)
{
    uint64_t now = ist_loop_now(loop), limit = loop->armed;
    struct ist_timer *timer, *next;
    bool fired = false;

    for (timer = RB_MIN(ist_timers, &loop->timers);
         timer && timer->deadline <= now; timer = next) {
        if (timer->order > limit) {
            next = RB_NEXT(ist_timers, &loop->timers, timer);
            continue;
        }
        ist_timer_disarm(timer);
        timer->fire(timer);
        fired = true;
        next = RB_MIN(ist_timers, &loop->timers);
    }
    return fired;
}

static void on_wake(uv_timer_t *handle)
{
    struct ist_loop *loop = handle->data;

    fire_due(loop);
    wake_at_first(loop);
}

static void on_defer(uv_idle_t *handle)
{
    struct ist_loop *loop = handle->data;

    ist_op_drain(loop);
    if (loop->due) {
        loop->due = false;
        fire_due(loop);
        wake_at_first(loop);
    }
    if (STAILQ_EMPTY(&loop->finished) && !loop->due)
        uv_idle_stop(handle);
}

void ist_loop_defer(struct ist_loop *loop)
{
    if (loop->uv)
        uv_idle_start(&loop->defer, on_defer);
}

void ist_loop_init_virtual(struct ist_loop *loop, uint64_t wall_ms)
{
    *loop = (struct ist_loop){.wall_ms = wall_ms};
    RB_INIT(&loop->timers);
    STAILQ_INIT(&loop->finished);
}

int ist_loop_init(struct ist_loop *loop)
{
    int rc;

    ist_loop_init_virtual(loop, 0);
    loop->uv = malloc(sizeof(*loop->uv));
    if (!loop->uv)
        return -ENOMEM;
    rc = uv_loop_init(loop->uv);
    if (rc) {
        free(IST_TAKE(loop->uv));
        return rc;
    }
    uv_timer_init(loop->uv, &loop->wake);
    uv_idle_init(loop->uv, &loop->defer);
    loop->wake.data = loop->defer.data = loop;
    return 0;
}

void ist_loop_fini(struct ist_loop *loop)
{
    int rc;

    assert(RB_EMPTY(&loop->timers));
    assert(STAILQ_EMPTY(&loop->finished));
    if (!loop->uv)
        return;
    uv_close((uv_handle_t *) &loop->wake, NULL);
    uv_close((uv_handle_t *) &loop->defer, NULL);
    uv_run(loop->uv, UV_RUN_DEFAULT);
    rc = uv_loop_close(loop->uv);
    assert(rc == 0);
    (void) rc;
    free(IST_TAKE(loop->uv));
}

void ist_loop_run(struct ist_loop *loop)
{
    if (loop->uv) {
        loop->stopping = false;
        wake_at_first(loop);
        uv_run(loop->uv, UV_RUN_DEFAULT);
        return;
    }
    loop->stopping = false;
    while (!loop->stopping && ist_loop_step(loop, UINT64_MAX))
        ;
}

void ist_loop_stop(struct ist_loop *loop)
{
    loop->stopping = true;
    if (loop->uv)
        uv_stop(loop->uv);
}

uint64_t ist_loop_now(const struct ist_loop *loop)
{
    return loop->uv ? ist_clock_mono_ns() / 1000000U : loop->now_ms;
}

uint64_t ist_loop_wall(const struct ist_loop *loop)
{
    return loop->uv ? ist_clock_wall_ms() : loop->wall_ms + loop->now_ms;
}

bool ist_loop_step(struct ist_loop *loop, uint64_t until)
{
    struct ist_timer *first;

    assert(!loop->uv);
    if (!STAILQ_EMPTY(&loop->finished)) {
        ist_op_drain(loop);
        return true;
    }
    first = RB_MIN(ist_timers, &loop->timers);
    if (!first || first->deadline > until) {
        if (until != UINT64_MAX && until > loop->now_ms)
            loop->now_ms = until;
        return false;
    }
    if (first->deadline == UINT64_MAX)
        return false;
    if (first->deadline > loop->now_ms)
        loop->now_ms = first->deadline;
    return fire_due(loop);
}

void ist_timer_arm(struct ist_timer *timer, struct ist_loop *loop,
                   uint64_t deadline, ist_timer_fn *fire)
{
    bool first;

    if (timer->loop)
        RB_REMOVE(ist_timers, &timer->loop->timers, timer);
    timer->loop = loop;
    timer->deadline = deadline;
    timer->order = ++loop->armed;
    timer->fire = fire;
    RB_INSERT(ist_timers, &loop->timers, timer);
    first = RB_MIN(ist_timers, &loop->timers) == timer;
    if (first)
        wake_at_first(loop);
}

void ist_timer_arm_in(struct ist_timer *timer, struct ist_loop *loop,
                      uint64_t ms, ist_timer_fn *fire)
{
    uint64_t now = ist_loop_now(loop);

    ist_timer_arm(timer, loop, ms > UINT64_MAX - now ? UINT64_MAX : now + ms,
                  fire);
}

void ist_timer_disarm(struct ist_timer *timer)
{
    struct ist_loop *loop = timer->loop;

    if (!loop)
        return;
    RB_REMOVE(ist_timers, &loop->timers, timer);
    timer->loop = NULL;
    /* A wake-up too early is harmless: nothing will be due. But with no timer
     * left the loop must be able to end. */
    if (loop->uv && RB_EMPTY(&loop->timers))
        uv_timer_stop(&loop->wake);
}

bool ist_timer_armed(const struct ist_timer *timer)
{
    return timer->loop != NULL;
}
