#include "admin/broker.h"

#include "admin/home_priv.h"
#include "admin/topology.h"
#include "base/clock.h"
#include "base/sb.h"
#include "codec/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define LOOKS   5
#define NO_USER 67 /* Exit code of rabbitmqctl, after sysexits. */

/* A call of rabbitmqctl */

struct call {
    const char *program;
    const char *const *args; /* NULL-ended, the program left out. */
    int input;               /* Descriptor for stdin, or -1. */

    struct ist_sb out, complaint;
    int status; /* Exit status, or 128 and the signal. */
};

static void call_init(struct call *call, const char *program,
                      const char *const *args)
{
    *call = (struct call){.program = program, .args = args, .input = -1};
    ist_sb_init(&call->out, BROKER_OUTPUT_MAX);
    ist_sb_init(&call->complaint, 4096);
}

static void call_fini(struct call *call)
{
    ist_sb_fini(&call->out);
    ist_sb_fini(&call->complaint);
}

#define CALL IST_CLEANUP(call_fini) struct call

static int spawn(struct call *call, int out, int complaint, pid_t *ret)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    const char *argv[12] = {call->program};
    sigset_t none;
    int rc;

    for (size_t i = 0; call->args[i]; i++) {
        if (i + 2 >= IST_COUNT(argv))
            return -E2BIG;
        argv[i + 1] = call->args[i];
    }
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawn_file_actions_init(&actions);
    if (call->input >= 0)
        posix_spawn_file_actions_adddup2(&actions, call->input, 0);
    else
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_adddup2(&actions, complaint, 2);
    /* posix_spawnp() takes strings that are not const, and does not change
     * them. */
    rc = -posix_spawnp(ret, call->program, &actions, &attributes,
                       (char *const *) (uintptr_t) argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return rc;
}

/* Reads what there is. False at the end of it. */
static bool drain(int fd, struct ist_sb *to)
{
    char buf[4096];
    ssize_t n = read(fd, buf, sizeof(buf));

    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    ist_sb_add(to, buf, (size_t) n);
    return n > 0;
}

/* Until both ends are closed. -ETIMEDOUT. */
static int gather(struct call *call, int out, int complaint)
{
    uint64_t end = ist_clock_mono_ns() / 1000000 + (uint64_t) BROKER_TIMEOUT_MS;
    struct pollfd fds[2] = {{out, POLLIN, 0}, {complaint, POLLIN, 0}};

    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        uint64_t now = ist_clock_mono_ns() / 1000000;
        int n = now >= end ? 0 : poll(fds, 2, (int) (end - now));

        if (n == 0)
            return -ETIMEDOUT;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0 && fds[0].revents && !drain(out, &call->out))
            fds[0].fd = -1;
        if (n > 0 && fds[1].revents && !drain(complaint, &call->complaint))
            fds[1].fd = -1;
    }
    return 0;
}

static void wait_for(struct call *call, pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    call->status =
        WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_with_pipes(struct call *call, const int out[2],
                          const int complaint[2])
{
    pid_t pid;
    int rc = spawn(call, out[1], complaint[1], &pid);

    close(out[1]);
    close(complaint[1]);
    if (rc == 0) {
        rc = gather(call, out[0], complaint[0]);
        if (rc)
            kill(pid, SIGKILL);
        wait_for(call, pid);
    }
    close(out[0]);
    close(complaint[0]);
    return rc;
}

/* 0: it ran, see 'status'. */
static int run(struct call *call, struct ist_err *err)
{
    int out[2], complaint[2], rc;

    if (pipe2(out, O_CLOEXEC) != 0)
        return ist_err_set(err, -errno, "no pipe: %s", strerror(errno));
    if (pipe2(complaint, O_CLOEXEC) != 0) {
        rc = -errno;
        close(out[0]);
        close(out[1]);
        return ist_err_set(err, rc, "no pipe: %s", strerror(-rc));
    }
    rc = run_with_pipes(call, out, complaint);
    if (rc == -ETIMEDOUT)
        return ist_err_set(err, rc, "%s %s: no end after %d s", call->program,
                           call->args[0], BROKER_TIMEOUT_MS / 1000);
    if (rc)
        return ist_err_set(err, rc, "%s: cannot be run: %s", call->program,
                           strerror(-rc));
    if (call->out.rc)
        return ist_err_set(err, -EFBIG, "%s %s: says too much", call->program,
                           call->args[0]);
    return 0;
}

/* What it complained of, in one line of printable characters. */
static int complain(struct call *call, struct ist_err *err)
{
    const struct ist_sb *from =
        call->complaint.len ? &call->complaint : &call->out;
    char text[160];
    size_t len = 0;

    for (size_t i = 0; i < from->len && len < sizeof(text) - 1; i++) {
        unsigned char c = (unsigned char) from->data[i];

        if (c < 0x20 || c >= 0x7F)
            c = ' ';
        if (c != ' ' || (len && text[len - 1] != ' '))
            text[len++] = (char) c;
    }
    text[len] = '\0';
    return ist_err_set(err, -EIO, "%s %s: exit status %d: %s", call->program,
                       call->args[0], call->status, text);
}

/* Is there a line in 'text' that begins with 'word' and then ends, or goes on
 * after a tab? */
static bool has_line(const struct ist_sb *text, const char *word)
{
    size_t len = strlen(word);

    for (const char *at = ist_sb_text(text); at && *at;) {
        if (strncmp(at, word, len) == 0 && strchr("\t\r\n", at[len]))
            return true;
        at = strchr(at, '\n');
        if (at)
            at++;
    }
    return false;
}

/* Adding */

/* The definitions go in by stdin: rabbitmqctl may run as another user, which
 * may not read our files. */
static int memory_file(const json_t *definitions, int *ret)
{
    int fd = memfd_create("definitions", MFD_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (json_dumpfd(definitions, fd, JSON_INDENT(1)) != 0 ||
        lseek(fd, 0, SEEK_SET) != 0) {
        close(fd);
        return -EIO;
    }
    *ret = fd;
    return 0;
}

static int import(const char *program, const json_t *definitions,
                  struct ist_err *err)
{
    static const char *const args[] = {"import_definitions", NULL};
    CALL call;
    int rc;

    call_init(&call, program, args);
    rc = memory_file(definitions, &call.input);
    if (rc)
        return ist_err_set(err, rc, "definitions: %s", strerror(-rc));
    rc = run(&call, err);
    close(call.input);
    if (rc == 0 && call.status != 0)
        rc = complain(&call, err);
    return rc;
}

/* Some of its commands say so with the exit code of a broker that cannot be
 * reached. */
static bool says_no_user(const struct call *call)
{
    return call->status == NO_USER ||
           strstr(ist_sb_text(&call->complaint), "no_such_user");
}

/* 1: there; 0: not yet. */
static int look_for_user(const char *program, const char *name,
                         struct ist_err *err)
{
    const char *const args[] = {"-q", "list_user_permissions", name, NULL};
    CALL call;
    int rc;

    call_init(&call, program, args);
    rc = run(&call, err);
    if (rc)
        return rc;
    if (says_no_user(&call))
        return 0;
    if (call.status)
        return complain(&call, err);
    return has_line(&call.out, TOPOLOGY_VHOST);
}

/* Those of topology.c that are a site's. */
static const char *const site_queues[] = {"req", "cmd", "bulk"};

static int look_for_queues(const char *program, const char *name,
                           struct ist_err *err)
{
    static const char *const args[] = {"-q",           "list_queues", "-p",
                                       TOPOLOGY_VHOST, "name",        NULL};
    bool has_all = true;
    CALL call;
    int rc;

    call_init(&call, program, args);
    rc = run(&call, err);
    if (rc)
        return rc;
    if (call.status)
        return complain(&call, err);
    for (size_t i = 0; i < IST_COUNT(site_queues); i++) {
        char queue[64];

        snprintf(queue, sizeof(queue), "site.%s.%s", name, site_queues[i]);
        has_all &= has_line(&call.out, queue);
    }
    return has_all;
}

/* 'with_queues': those of a site of that name, too. */
static int add(const char *program, const char *name, bool with_queues,
               const json_t *definitions, struct ist_err *err)
{
    int rc = import(program, definitions, err), there = 0;

    /* The import goes on after the call; a look takes a second by itself. */
    for (int i = 0; rc == 0 && !there && i < LOOKS; i++) {
        there = look_for_user(program, name, err);
        if (there > 0 && with_queues)
            there = look_for_queues(program, name, err);
        if (there < 0)
            return there;
    }
    if (rc == 0 && !there)
        return ist_err_set(err, -ETIMEDOUT,
                           "the broker took the definitions of %s, but its "
                           "user or queues are not there: see the broker's log",
                           name);
    return rc;
}

int broker_add_site(const char *program, const char *name,
                    const json_t *definitions, struct ist_err *err)
{
    return add(program, name, true, definitions, err);
}

int broker_add_noc(const char *program, const char *user,
                   const json_t *definitions, struct ist_err *err)
{
    return add(program, user, false, definitions, err);
}

/* Removing */

static int delete_user(const char *program, const char *name,
                       struct ist_err *err)
{
    const char *const args[] = {"delete_user", name, NULL};
    CALL call;
    int rc;

    call_init(&call, program, args);
    rc = run(&call, err);
    if (rc == 0 && call.status && !says_no_user(&call))
        rc = complain(&call, err);
    return rc;
}

static int delete_queue(const char *program, const char *queue,
                        struct ist_err *err)
{
    const char *const args[] = {"delete_queue", "-p", TOPOLOGY_VHOST, queue,
                                NULL};
    CALL call;
    int rc;

    call_init(&call, program, args);
    rc = run(&call, err);
    if (rc == 0 && call.status &&
        !strstr(ist_sb_text(&call.complaint), "not found"))
        rc = complain(&call, err);
    return rc;
}

int broker_remove_site(const char *program, const char *name,
                       struct ist_err *err)
{
    int rc = delete_user(program, name, err);

    for (size_t i = 0; i < IST_COUNT(site_queues) && rc == 0; i++) {
        char queue[64];

        snprintf(queue, sizeof(queue), "site.%s.%s", name, site_queues[i]);
        rc = delete_queue(program, queue, err);
    }
    return rc;
}

int broker_remove_noc(const char *program, const char *user,
                      struct ist_err *err)
{
    return delete_user(program, user, err);
}

/* What a new broker loads */

static int write_definitions(const struct admin_home *home,
                             const struct topology_names *names,
                             struct ist_err *err)
{
    json_t *all = topology_definitions(names, true);
    char path[PATH_MAX], *text = all ? json_dumps(all, JSON_INDENT(1)) : NULL;
    int rc = text ? ist_file_path(path, sizeof(path), home->keys.dir,
                                  "broker/definitions.json")
                  : -ENOMEM;

    if (rc == 0)
        rc = ist_file_write(path, IST_FILE_OWN, text, strlen(text), err);
    else
        ist_err_set(err, rc, "definitions: %s", strerror(-rc));
    free(text);
    json_decref(all);
    return rc;
}

int broker_write_definitions(const struct admin_home *home, struct ist_err *err)
{
    struct admin_names sites, nocs;
    const char *hub = home->word;
    int rc = admin_names(home, "sites", &sites, err);

    if (rc)
        return rc;
    rc = admin_names(home, "noc", &nocs, err);
    if (rc == 0)
        rc = write_definitions(home,
                               &(struct topology_names){.hubs = &hub,
                                                        .n_hubs = 1,
                                                        .sites = sites.names,
                                                        .n_sites = sites.n,
                                                        .nocs = nocs.names,
                                                        .n_nocs = nocs.n},
                               err);
    admin_names_free(&sites);
    admin_names_free(&nocs);
    return rc;
}
