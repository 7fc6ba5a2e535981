/* What every daemon does with signals: SIGTERM and SIGINT take it down stage by
 * stage, SIGHUP reloads.
 *
 * A stage is asked again every 20 ms until it says that it is over; then the
 * next one begins. A second signal, or 5 s, ends the process as it is: what
 * must survive is on disk by then, or it would not survive a kill -9 either. */
#ifndef IO_DAEMON_H
#define IO_DAEMON_H

#include "io/loop.h"

#include <stddef.h>

/* True when the stage is over. Called at least once. */
typedef bool ist_daemon_stage_fn(void *arg);

struct ist_daemon {
    /* Set by the owner before ist_daemon_watch(). Borrowed. */
    const char *name; /* For the log: "agent". */
    ist_daemon_stage_fn *const *stages;
    size_t n_stages;
    void (*reload)(void *arg); /* SIGHUP; NULL: ignored. */
    void *arg;

    /* Private to daemon.c. */
    struct ist_loop *loop;
    uv_signal_t end, interrupt, hangup;
    struct ist_timer tick;
    uint64_t since_ms; /* 0: not going down. */
    size_t stage;
};

/* Ignores SIGPIPE, and begins to listen. After the last stage nothing of it
 * is left on the loop, which then ends by itself if nothing else is. */
void ist_daemon_watch(struct ist_daemon *, struct ist_loop *);

#endif
