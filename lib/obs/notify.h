/* Telling the service manager how we are: systemd's notification protocol
 * (sd_notify(3)), without its library. Started by hand, nothing is told and
 * nothing fails. Messages are single datagrams, never waited for: one that
 * does not get through is lost. */
#ifndef OBS_NOTIFY_H
#define OBS_NOTIFY_H

#include "io/loop.h"

#include <sys/socket.h>
#include <sys/un.h>

struct ist_notify {
    /* Private to notify.c. */
    struct ist_loop *loop; /* Borrowed. */
    int fd;                /* -1: nobody listens. */
    struct sockaddr_un addr;
    socklen_t addr_size;
    uint64_t watchdog_ms; /* 0: none asked for. */
    struct ist_timer timer;
    bool (*well)(void *arg);
    void *arg;
};

/* Reads NOTIFY_SOCKET (a path, or "@name" for an abstract one), WATCHDOG_USEC
 * and WATCHDOG_PID, and takes them out of the environment, so that no child
 * speaks for us. -EINVAL for a socket that is neither; -errno. After a failure
 * all other calls are harmless. */
int ist_notify_init(struct ist_notify *, struct ist_loop *);
void ist_notify_fini(struct ist_notify *);

/* From here on the manager starts what waits for us. Begins the watchdog, if
 * the manager wants one: a sign of life in half the time it gives, as long as
 * 'well' (NULL: always) says true. */
void ist_notify_ready(struct ist_notify *, bool (*well)(void *arg), void *arg);

/* A reload begins; ist_notify_ready() ends it. */
void ist_notify_reloading(struct ist_notify *);
void ist_notify_stopping(struct ist_notify *);

/* One line for "systemctl status"; line breaks become spaces. At most 255
 * bytes; more is cut. */
void ist_notify_status(struct ist_notify *, const char *fmt, ...)
    IST_PRINTF(2, 3);

#endif
