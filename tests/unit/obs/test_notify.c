#include "obs/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The manager's end. */
static int manager_open(const char *name)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t size = offsetof(struct sockaddr_un, sun_path) + strlen(name);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

    memcpy(addr.sun_path, name, strlen(name));
    if (name[0] == '@')
        addr.sun_path[0] = '\0';
    else
        size++;
    assert_int_equal(bind(fd, (struct sockaddr *) &addr, (socklen_t) size), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

/* The next message, or "" when there is none. */
static const char *heard(int fd)
{
    static char text[1024];
    ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void talk(const char *name)
{
    struct ist_loop loop;
    struct ist_notify n;
    int fd = manager_open(name);

    ist_loop_init_virtual(&loop, 0);
    assert_int_equal(ist_notify_init(&n, &loop), 0);
    assert_null(getenv("NOTIFY_SOCKET"));
    ist_notify_status(&n, "%d sites,\nall well", 3);
    ist_notify_ready(&n, NULL, NULL);
    ist_notify_reloading(&n);
    ist_notify_stopping(&n);
    assert_string_equal(heard(fd), "STATUS=3 sites, all well");
    assert_string_equal(heard(fd), "READY=1");
    assert_memory_equal(heard(fd), "RELOADING=1\nMONOTONIC_USEC=", 27);
    assert_string_equal(heard(fd), "STOPPING=1");
    /* Nobody asked for a watchdog. */
    assert_false(ist_loop_step(&loop, 1000000));
    assert_string_equal(heard(fd), "");
    ist_notify_fini(&n);
    ist_loop_fini(&loop);
    close(fd);
}

static void test_path(void **state)
{
    char dir[] = "/tmp/isthmus-notify-XXXXXX", path[64];

    (void) state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/notify", dir);
    talk(path);
    unlink(path);
    rmdir(dir);
}

static void test_abstract(void **state)
{
    char name[64];

    (void) state;
    snprintf(name, sizeof(name), "@isthmus-notify-%d", (int) getpid());
    talk(name);
}

static bool is_well(void *arg)
{
    return *(bool *) arg;
}

static void test_watchdog(void **state)
{
    char name[64], pid[16];
    struct ist_loop loop;
    struct ist_notify n;
    bool well = true;
    int fd, i;

    (void) state;
    snprintf(name, sizeof(name), "@isthmus-watchdog-%d", (int) getpid());
    snprintf(pid, sizeof(pid), "%d", (int) getpid());
    fd = manager_open(name);
    setenv("WATCHDOG_USEC", "10000000", 1);
    setenv("WATCHDOG_PID", pid, 1);
    ist_loop_init_virtual(&loop, 0);
    assert_int_equal(ist_notify_init(&n, &loop), 0);
    assert_null(getenv("WATCHDOG_USEC"));
    assert_null(getenv("WATCHDOG_PID"));
    ist_notify_ready(&n, is_well, &well);
    assert_string_equal(heard(fd), "READY=1");
    for (i = 1; i <= 3; i++) {
        assert_true(ist_loop_step(&loop, UINT64_MAX));
        assert_int_equal(ist_loop_now(&loop), 5000 * i);
        assert_string_equal(heard(fd), "WATCHDOG=1");
    }
    well = false;
    assert_true(ist_loop_step(&loop, UINT64_MAX));
    assert_string_equal(heard(fd), "");
    well = true;
    assert_true(ist_loop_step(&loop, UINT64_MAX));
    assert_string_equal(heard(fd), "WATCHDOG=1");
    ist_notify_fini(&n);
    ist_loop_fini(&loop);
    close(fd);
}

/* Meant for another process. */
static void test_other_watchdog(void **state)
{
    char name[64];
    struct ist_loop loop;
    struct ist_notify n;
    int fd;

    (void) state;
    snprintf(name, sizeof(name), "@isthmus-other-%d", (int) getpid());
    fd = manager_open(name);
    setenv("WATCHDOG_USEC", "10000000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    ist_loop_init_virtual(&loop, 0);
    assert_int_equal(ist_notify_init(&n, &loop), 0);
    ist_notify_ready(&n, NULL, NULL);
    assert_false(ist_loop_step(&loop, UINT64_MAX));
    ist_notify_fini(&n);
    ist_loop_fini(&loop);
    close(fd);
}

static void test_nobody(void **state)
{
    static char longer[200];
    const char *const bad[] = {"relative", "@", "vsock:2:1", longer};
    struct ist_loop loop;
    struct ist_notify n;
    size_t i;

    (void) state;
    memset(longer, '/', sizeof(longer) - 1);
    ist_loop_init_virtual(&loop, 0);
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(ist_notify_init(&n, &loop), 0);
    ist_notify_ready(&n, NULL, NULL);
    ist_notify_status(&n, "to nobody");
    ist_notify_fini(&n);
    for (i = 0; i < IST_COUNT(bad); i++) {
        setenv("NOTIFY_SOCKET", bad[i], 1);
        assert_int_equal(ist_notify_init(&n, &loop), -EINVAL);
        ist_notify_ready(&n, NULL, NULL);
        ist_notify_fini(&n);
    }
    /* A manager that has gone. */
    setenv("NOTIFY_SOCKET", "/no/such/socket", 1);
    assert_int_equal(ist_notify_init(&n, &loop), 0);
    ist_notify_ready(&n, NULL, NULL);
    ist_notify_fini(&n);
    ist_loop_fini(&loop);
}

/* A manager that does not read does not hold us up. */
static void test_full(void **state)
{
    char name[64];
    struct ist_loop loop;
    struct ist_notify n;
    int fd, i;

    (void) state;
    snprintf(name, sizeof(name), "@isthmus-full-%d", (int) getpid());
    fd = manager_open(name);
    ist_loop_init_virtual(&loop, 0);
    assert_int_equal(ist_notify_init(&n, &loop), 0);
    for (i = 0; i < 5000; i++)
        ist_notify_status(&n, "message %d", i);
    assert_string_equal(heard(fd), "STATUS=message 0");
    ist_notify_fini(&n);
    ist_loop_fini(&loop);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),     cmocka_unit_test(test_abstract),
        cmocka_unit_test(test_watchdog), cmocka_unit_test(test_other_watchdog),
        cmocka_unit_test(test_nobody),   cmocka_unit_test(test_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
