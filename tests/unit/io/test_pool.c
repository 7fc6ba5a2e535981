#include "io/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>

/* A work that waits at a gate, so that the test decides when it runs. */
struct job {
    struct ist_work work;
    sem_t *started; /* Posted when it runs; or NULL. */
    sem_t *gate;    /* NULL: does not wait. */
    int result;
    pthread_t ran_on;
    int n_run, n_done;
};

static int run(struct ist_work *work)
{
    struct job *job = IST_CONTAINER(work, struct job, work);

    if (job->started)
        sem_post(job->started);
    if (job->gate)
        sem_wait(job->gate);
    job->ran_on = pthread_self();
    job->n_run++;
    return job->result;
}

static void done(struct ist_op *op)
{
    IST_CONTAINER(op, struct job, work.op)->n_done++;
}

static void start(struct job *job, struct ist_loop *loop, uint64_t timeout_ms)
{
    ist_op_prepare(&job->work.op, loop, NULL, timeout_ms, done);
    ist_work_start(&job->work, run);
    assert_int_equal(job->n_done, 0);
}

static void test_runs_elsewhere(void **state)
{
    struct ist_loop loop;
    struct job jobs[20] = {0};

    (void) state;
    assert_int_equal(ist_loop_init(&loop), 0);
    for (int i = 0; i < 20; i++) {
        jobs[i].result = i % 3 == 0 ? 0 : i % 3 == 1 ? -EIO : i;
        start(&jobs[i], &loop, 60000);
    }
    ist_loop_run(&loop);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(jobs[i].n_run, 1);
        assert_int_equal(jobs[i].n_done, 1);
        assert_int_equal(jobs[i].work.op.rc, jobs[i].result);
        assert_false(pthread_equal(jobs[i].ran_on, pthread_self()));
    }
    ist_loop_fini(&loop);
}

static void test_runs_at_once_when_virtual(void **state)
{
    struct ist_loop loop;
    struct job job = {.result = -ENOSPC};

    (void) state;
    ist_loop_init_virtual(&loop, 0);
    start(&job, &loop, 0);
    assert_int_equal(job.n_run, 1);
    ist_loop_run(&loop);
    assert_int_equal(job.n_done, 1);
    assert_int_equal(job.work.op.rc, -ENOSPC);
    assert_true(pthread_equal(job.ran_on, pthread_self()));
    ist_loop_fini(&loop);
}

static struct ist_timer opener;
static sem_t gate;

static void open_gate(struct ist_timer *timer)
{
    (void) timer;
    for (int i = 0; i < 200; i++)
        sem_post(&gate);
}

/* More than the pool has threads: the first ones run and cannot be stopped,
 * the last one never begins. All finish by the reason of the cancel. */
static void test_cancel_queued_and_running(void **state)
{
    enum { N = 150 };
    static struct job jobs[N];
    struct ist_loop loop;

    (void) state;
    assert_int_equal(ist_loop_init(&loop), 0);
    sem_init(&gate, 0, 0);
    for (int i = 0; i < N; i++) {
        jobs[i] = (struct job){.gate = &gate};
        start(&jobs[i], &loop, 0);
    }
    ist_op_cancel(&jobs[0].work.op, -ECANCELED);
    ist_op_cancel(&jobs[N - 1].work.op, -ECANCELED);
    ist_timer_arm_in(&opener, &loop, 20, open_gate);
    ist_loop_run(&loop);
    assert_int_equal(jobs[N - 1].n_run, 0);
    assert_int_equal(jobs[N - 1].work.op.rc, -ECANCELED);
    assert_int_equal(jobs[0].work.op.rc, -ECANCELED);
    for (int i = 0; i < N; i++)
        assert_int_equal(jobs[i].n_done, 1);
    assert_int_equal(jobs[1].work.op.rc, 0);
    sem_destroy(&gate);
    ist_loop_fini(&loop);
}

static void test_deadline_waits_for_run(void **state)
{
    struct ist_loop loop;
    sem_t started;
    struct job job = {.started = &started, .gate = &gate};
    uint64_t begun;

    (void) state;
    assert_int_equal(ist_loop_init(&loop), 0);
    sem_init(&gate, 0, 0);
    sem_init(&started, 0, 0);
    begun = ist_loop_now(&loop);
    start(&job, &loop, 20);
    sem_wait(&started); /* From here on it cannot be taken back. */
    ist_timer_arm_in(&opener, &loop, 60, open_gate);
    ist_loop_run(&loop);
    assert_int_equal(job.work.op.rc, -ETIMEDOUT);
    assert_int_equal(job.n_run, 1);
    assert_true(ist_loop_now(&loop) >= begun + 60);
    sem_destroy(&started);
    sem_destroy(&gate);
    ist_loop_fini(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_elsewhere),
        cmocka_unit_test(test_runs_at_once_when_virtual),
        cmocka_unit_test(test_cancel_queued_and_running),
        cmocka_unit_test(test_deadline_waits_for_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
