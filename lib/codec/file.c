#include "codec/file.h"

#include "base/id.h"
#include "base/parse.h"
#include "base/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <limits.h>

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static int fault(struct ist_err *err, int rc, const char *path,
                 const char *what)
{
    return ist_err_set(err, rc, "%s: %s: %s", path, what, strerror(-rc));
}

int ist_file_path(char *buf, size_t size, const char *dir, const char *name)
{
    int len = snprintf(buf, size, "%s/%s", dir, name);

    return len < 0 || (size_t) len >= size ? -ENAMETOOLONG : 0;
}

/* Reading */

/* May a file of that owner and mode be used with such care? */
static int judge(const char *path, enum ist_file_care care,
                 const struct stat *st, struct ist_err *err)
{
    if (!S_ISREG(st->st_mode))
        return ist_err_set(err, -EINVAL, "%s: not a regular file", path);
    if (care == IST_FILE_GIVEN)
        return 0;
    if (st->st_uid != geteuid() && st->st_uid != 0)
        return ist_err_set(err, -EPERM,
                           "%s: belongs to another user (uid %u): give it to "
                           "the user that this program runs as",
                           path, (unsigned) st->st_uid);
    if (care == IST_FILE_SECRET && (st->st_mode & 077))
        return ist_err_set(err, -EACCES,
                           "%s: others may use this secret (mode %04o): chmod "
                           "600 it, and make new keys if somebody may have "
                           "read it",
                           path, (unsigned) st->st_mode & 07777);
    if (st->st_mode & 022)
        return ist_err_set(err, -EACCES,
                           "%s: others may write it (mode %04o): check what "
                           "is in it, then chmod go-w it",
                           path, (unsigned) st->st_mode & 07777);
    return 0;
}

static int read_all(int fd, const char *path, struct ist_sb *ret,
                    struct ist_err *err)
{
    for (;;) {
        char *room = ist_sb_reserve(ret, 1);
        size_t free_bytes;
        ssize_t n;

        if (!room) { /* Full, which is fine if nothing is left to read. */
            char more;

            n = read(fd, &more, 1);
            if (n == 0 && ret->rc == -ENOBUFS) {
                ret->rc = 0;
                return 0;
            }
            return ist_err_set(err, ret->rc == -ENOBUFS ? -EFBIG : ret->rc,
                               "%s: larger than %zu bytes", path, ret->cap);
        }
        free_bytes = ret->size - ret->len - 1;
        if (free_bytes > ret->cap - ret->len)
            free_bytes = ret->cap - ret->len;
        n = read(fd, room, free_bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault(err, -errno, path, "cannot be read");
        ret->len += (size_t) n;
        ret->data[ret->len] = '\0';
        if (n == 0)
            return 0;
    }
}

int ist_file_read(const char *path, enum ist_file_care care, struct ist_sb *ret,
                  struct ist_err *err)
{
    /* Not blocking: a FIFO must not hold us before it is seen to be one. */
    int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    IST_CLEANUP(close_fd) int fd = -1;
    struct stat st;
    int rc;

    if (care != IST_FILE_GIVEN)
        flags |= O_NOFOLLOW;
    fd = open(path, flags);
    if (fd < 0 && errno == ELOOP)
        return ist_err_set(err, -ELOOP, "%s: is a symbolic link", path);
    if (fd < 0)
        return fault(err, -errno, path, "cannot be opened");
    if (fstat(fd, &st) != 0)
        return fault(err, -errno, path, "cannot be examined");
    rc = judge(path, care, &st, err);
    return rc ? rc : read_all(fd, path, ret, err);
}

/* Writing */

static int write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t n = write(fd, data, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data += n;
        size -= (size_t) n;
    }
    return 0;
}

int ist_file_append(const char *path, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    int rc = fd < 0 ? -errno : write_all(fd, data, size);

    if (rc == 0 && fdatasync(fd))
        rc = -errno;
    if (fd >= 0 && close(fd) && rc == 0)
        rc = -errno;
    return rc;
}

/* A rename is on disk when its directory is. */
static int sync_dir(const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    IST_CLEANUP(close_fd) int fd = -1;

    if (!slash)
        snprintf(dir, sizeof(dir), ".");
    else if (slash == path)
        snprintf(dir, sizeof(dir), "/");
    else
        snprintf(dir, sizeof(dir), "%.*s", (int) (slash - path), path);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return -errno;
    return 0;
}

static int write_new(const char *path, mode_t mode, const void *data,
                     size_t size)
{
    IST_CLEANUP(close_fd)
    int fd =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc;

    if (fd < 0)
        return -errno;
    rc = write_all(fd, data, size);
    if (rc)
        return rc;
    if (fchmod(fd, mode) != 0 || fsync(fd) != 0)
        return -errno;
    return 0;
}

int ist_file_write(const char *path, enum ist_file_care care, const void *data,
                   size_t size, struct ist_err *err)
{
    char temp[PATH_MAX], random[17];
    uint8_t bytes[8];
    int rc;

    /* Beside the target, with a name that a crash may leave behind and that
     * no second writer has. */
    ist_rand_bytes(bytes, sizeof(bytes));
    ist_hex(bytes, sizeof(bytes), random);
    if ((size_t) snprintf(temp, sizeof(temp), "%s.%s.tmp", path, random) >=
        sizeof(temp))
        return fault(err, -ENAMETOOLONG, path, "cannot be written");
    rc = write_new(temp, care == IST_FILE_SECRET ? 0600 : 0644, data, size);
    if (rc == 0 && rename(temp, path) != 0)
        rc = -errno;
    if (rc) {
        unlink(temp);
        return fault(err, rc, path, "cannot be written");
    }
    rc = sync_dir(path);
    return rc ? fault(err, rc, path, "its directory cannot be flushed") : 0;
}

int ist_file_check_dir(const char *path, struct ist_err *err)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return fault(err, -errno, path, "cannot be examined");
    if (!S_ISDIR(st.st_mode))
        return ist_err_set(err, -ENOTDIR, "%s: not a directory", path);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return ist_err_set(err, -EPERM, "%s: belongs to another user (uid %u)",
                           path, (unsigned) st.st_uid);
    if (st.st_mode & 022)
        return ist_err_set(err, -EACCES,
                           "%s: others may write here (mode %04o): chmod 700",
                           path, (unsigned) st.st_mode & 07777);
    return 0;
}

int ist_file_mkdir(const char *path, struct ist_err *err)
{
    int rc;

    if (mkdir(path, 0700) == 0) {
        rc = sync_dir(path);
        return rc ? fault(err, rc, path, "its directory cannot be flushed") : 0;
    }
    if (errno != EEXIST)
        return fault(err, -errno, path, "cannot be made");
    return ist_file_check_dir(path, err);
}

int ist_file_lock(const char *dir, const char *name, struct ist_err *err)
{
    char path[PATH_MAX];
    int fd, rc = ist_file_path(path, sizeof(path), dir, name);

    if (rc)
        return fault(err, rc, dir, "cannot be locked");
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fault(err, -errno, path, "cannot be opened");
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    rc = -errno;
    close(fd);
    if (rc == -EWOULDBLOCK)
        return ist_err_set(err, -EBUSY, "%s: in use by another process", path);
    return fault(err, rc, path, "cannot be locked");
}

/* Numbers */

int ist_file_number_read(const char *path, uint64_t *ret, struct ist_err *err)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;
    struct ist_err own;
    int rc;

    ist_sb_init(&text, 32);
    rc = ist_file_read(path, IST_FILE_OWN, &text, &own);
    if (rc == -ENOENT) {
        *ret = 0;
        return 0;
    }
    if (rc) {
        if (err)
            *err = own;
        return rc;
    }
    if (text.len && text.data[text.len - 1] == '\n')
        text.data[--text.len] = '\0';
    if (strlen(ist_sb_text(&text)) != text.len ||
        !ist_parse_u64(ist_sb_text(&text), 0, UINT64_MAX, ret))
        return ist_err_set(err, -EBADMSG, "%s: damaged: not a number", path);
    return 0;
}

int ist_file_number_write(const char *path, uint64_t number,
                          struct ist_err *err)
{
    char text[32];
    int len =
        snprintf(text, sizeof(text), "%llu\n", (unsigned long long) number);

    return ist_file_write(path, IST_FILE_OWN, text, (size_t) len, err);
}
