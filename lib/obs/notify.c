#include "obs/notify.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int parse_socket(struct ist_notify *n, const char *text)
{
    size_t len = strlen(text);

    if ((text[0] != '/' && text[0] != '@') || len < 2 ||
        len >= sizeof(n->addr.sun_path))
        return -EINVAL;
    n->addr.sun_family = AF_UNIX;
    memcpy(n->addr.sun_path, text, len);
    n->addr_size = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + len);
    if (text[0] == '@')
        n->addr.sun_path[0] = '\0'; /* Abstract: the length ends the name. */
    else
        n->addr_size++;
    return 0;
}

/* The watchdog may be meant for another process. */
static void parse_watchdog(struct ist_notify *n)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    uint64_t us, whom;

    if (!usec || !ist_parse_u64(usec, 1, UINT64_MAX, &us))
        return;
    if (pid && (!ist_parse_u64(pid, 1, INT32_MAX, &whom) ||
                whom != (uint64_t) getpid()))
        return;
    n->watchdog_ms = us / 1000 ? us / 1000 : 1;
}

static void forget_environment(void)
{
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

int ist_notify_init(struct ist_notify *n, struct ist_loop *loop)
{
    const char *where = getenv("NOTIFY_SOCKET");
    int rc = 0;

    *n = (struct ist_notify){.loop = loop, .fd = -1};
    if (where && where[0])
        rc = parse_socket(n, where);
    if (where && where[0] && rc == 0) {
        n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (n->fd < 0)
            rc = -errno;
        else
            parse_watchdog(n);
    }
    forget_environment();
    return rc;
}

void ist_notify_fini(struct ist_notify *n)
{
    ist_timer_disarm(&n->timer);
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}

static void say(struct ist_notify *n, const char *text)
{
    const struct sockaddr *addr = (const void *) &n->addr;

    if (n->fd < 0)
        return;
    if (sendto(n->fd, text, strlen(text), MSG_NOSIGNAL, addr, n->addr_size) < 0)
        ist_log_debug("notify", "not told to the service manager: %s",
                      strerror(errno));
}

static void on_time(struct ist_timer *timer)
{
    struct ist_notify *n = IST_CONTAINER(timer, struct ist_notify, timer);

    if (!n->well || n->well(n->arg))
        say(n, "WATCHDOG=1");
    ist_timer_arm_in(&n->timer, n->loop, n->watchdog_ms / 2, on_time);
}

void ist_notify_ready(struct ist_notify *n, bool (*well)(void *arg), void *arg)
{
    say(n, "READY=1");
    n->well = well;
    n->arg = arg;
    if (n->watchdog_ms)
        ist_timer_arm_in(&n->timer, n->loop, n->watchdog_ms / 2, on_time);
}

void ist_notify_reloading(struct ist_notify *n)
{
    char text[64];

    /* The manager tells our message from an older one by this time. */
    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long) (ist_clock_mono_ns() / 1000));
    say(n, text);
}

void ist_notify_stopping(struct ist_notify *n)
{
    say(n, "STOPPING=1");
}

void ist_notify_status(struct ist_notify *n, const char *fmt, ...)
{
    char text[256 + sizeof("STATUS=")] = "STATUS=";
    size_t skip = sizeof("STATUS=") - 1;
    va_list args;
    char *at;

    va_start(args, fmt);
    vsnprintf(text + skip, 256, fmt, args);
    va_end(args);
    for (at = text; (at = strchr(at, '\n'));)
        *at = ' ';
    say(n, text);
}
