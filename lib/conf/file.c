#include "conf/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* O_NONBLOCK, so that a FIFO does not hold us before we see what it is. */
static int open_regular(const char *path, struct stat *st, struct ist_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return ist_err_set(err, -errno, "%s: %s", path, strerror(errno));
    if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
        return fd;
    close(fd);
    return ist_err_set(err, -EINVAL, "%s: not a regular file", path);
}

static int read_all(int fd, const char *path, size_t max, struct ist_sb *sb,
                    struct ist_err *err)
{
    size_t start = sb->len;

    for (;;) {
        char *to = ist_sb_reserve(sb, 4096);
        ssize_t n;

        if (!to)
            return ist_err_set(err, sb->rc, "%s: %s", path,
                               ist_err_name(sb->rc));
        n = read(fd, to, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ist_err_set(err, -errno, "%s: %s", path, strerror(errno));
        if (n == 0)
            break;
        sb->len += (size_t) n;
        sb->data[sb->len] = '\0';
        /* It may have grown since it was looked at. */
        if (sb->len - start > max)
            return ist_err_set(err, -EFBIG, "%s: over %zu bytes", path, max);
    }
    return 0;
}

static int too_large(const char *path, const struct stat *st, size_t max,
                     struct ist_err *err)
{
    if ((uintmax_t) st->st_size <= max)
        return 0;
    return ist_err_set(err, -EFBIG, "%s: over %zu bytes", path, max);
}

int ist_conf_read(const char *path, size_t max, struct ist_sb *sb,
                  unsigned *ret_mode, struct ist_err *err)
{
    struct stat st;
    IST_CLEANUP(closep) int fd = open_regular(path, &st, err);
    int rc;

    if (fd < 0)
        return fd;
    if (st.st_mode & S_IWOTH)
        return ist_err_set(err, -EPERM,
                           "%s: everybody may write it; run chmod o-w", path);
    rc = too_large(path, &st, max, err);
    if (rc)
        return rc;
    rc = read_all(fd, path, max, sb, err);
    if (rc == 0 && ret_mode)
        *ret_mode = st.st_mode & 07777;
    return rc;
}

static int secret_check(const char *path, const struct stat *st,
                        struct ist_err *err)
{
    if (st->st_mode & 077)
        return ist_err_set(
            err, -EPERM,
            "%s: holds a secret that others may read; run chmod 0400", path);
    if (st->st_uid != 0 && st->st_uid != geteuid())
        return ist_err_set(err, -EPERM,
                           "%s: holds a secret, and belongs to another user",
                           path);
    return too_large(path, st, IST_CONF_SECRET_MAX, err);
}

static void wipe(struct ist_sb *sb)
{
    if (sb->data)
        explicit_bzero(sb->data, sb->size);
    ist_sb_fini(sb);
}

int ist_conf_read_secret(const char *path, char **ret_secret,
                         struct ist_err *err)
{
    struct stat st;
    IST_CLEANUP(closep) int fd = open_regular(path, &st, err);
    IST_CLEANUP(wipe) struct ist_sb sb;
    int rc;

    /* Room from the start, so that growing leaves no copy behind. */
    ist_sb_init(&sb, 2 * IST_CONF_SECRET_MAX);
    if (fd < 0)
        return fd;
    rc = secret_check(path, &st, err);
    if (rc)
        return rc;
    if (!ist_sb_reserve(&sb, IST_CONF_SECRET_MAX + 8192))
        return ist_err_set(err, sb.rc, "%s: %s", path, ist_err_name(sb.rc));
    rc = read_all(fd, path, IST_CONF_SECRET_MAX, &sb, err);
    if (rc)
        return rc;
    if (sb.len && sb.data[sb.len - 1] == '\n')
        sb.data[--sb.len] = '\0';
    if (sb.len == 0 || strlen(sb.data) != sb.len || strchr(sb.data, '\n'))
        return ist_err_set(err, -EINVAL, "%s: must hold one line of text",
                           path);
    *ret_secret = strdup(sb.data);
    return *ret_secret ? 0 : ist_err_set(err, -ENOMEM, "out of memory");
}

char *ist_conf_secret_free(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
    return NULL;
}

char *ist_conf_path(const char *from, const char *path)
{
    const char *slash = strrchr(from, '/');
    char *joined;

    if (path[0] == '/' || !slash)
        return strdup(path);
    if (asprintf(&joined, "%.*s%s", (int) (slash - from) + 1, from, path) < 0)
        return NULL;
    return joined;
}
