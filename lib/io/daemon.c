#include "io/daemon.h"

#include "base/log.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS  20
#define LIMIT_MS 5000

static void close_signals(struct ist_daemon *daemon)
{
    uv_close((uv_handle_t *) &daemon->end, NULL);
    uv_close((uv_handle_t *) &daemon->interrupt, NULL);
    uv_close((uv_handle_t *) &daemon->hangup, NULL);
}

static void on_tick(struct ist_timer *timer)
{
    struct ist_daemon *daemon = IST_CONTAINER(timer, struct ist_daemon, tick);

    while (daemon->stage < daemon->n_stages &&
           daemon->stages[daemon->stage](daemon->arg))
        daemon->stage++;
    if (daemon->stage == daemon->n_stages) {
        close_signals(daemon);
        return;
    }
    if (ist_loop_now(daemon->loop) - daemon->since_ms > LIMIT_MS) {
        ist_log_warn(daemon->name, "still busy after 5 s: ending as it is");
        exit(0);
    }
    ist_timer_arm_in(timer, daemon->loop, TICK_MS, on_tick);
}

static void on_end(uv_signal_t *handle, int signum)
{
    struct ist_daemon *daemon = handle->data;

    if (daemon->since_ms)
        exit(0);
    ist_log_info(daemon->name, "going down: %s", strsignal(signum));
    daemon->since_ms = ist_loop_now(daemon->loop);
    on_tick(&daemon->tick);
}

static void on_hangup(uv_signal_t *handle, int signum)
{
    struct ist_daemon *daemon = handle->data;

    (void) signum;
    if (daemon->reload && !daemon->since_ms)
        daemon->reload(daemon->arg);
}

void ist_daemon_watch(struct ist_daemon *daemon, struct ist_loop *loop)
{
    struct {
        uv_signal_t *handle;
        uv_signal_cb fn;
        int signum;
    } rows[] = {{&daemon->end, on_end, SIGTERM},
                {&daemon->interrupt, on_end, SIGINT},
                {&daemon->hangup, on_hangup, SIGHUP}};

    daemon->loop = loop;
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        uv_signal_init(loop->uv, rows[i].handle);
        rows[i].handle->data = daemon;
        uv_signal_start(rows[i].handle, rows[i].fn, rows[i].signum);
    }
}
