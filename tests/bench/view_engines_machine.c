/* What the machine says: memory, disk, flushes. */
#include "base/clock.h"
#include "view_engines.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLUSHES 200

/* The number behind a word that begins a line; dies without. */
static uint64_t number_in(const char *path, const char *word)
{
    FILE *file = fopen(path, "r");
    uint64_t n = UINT64_MAX;
    char line[256];

    if (!file)
        ve_die("%s: %m", path);
    while (fgets(line, sizeof(line), file)) {
        if (strncmp(line, word, strlen(word)) == 0)
            n = strtoull(line + strlen(word), NULL, 10);
    }
    fclose(file);
    if (n == UINT64_MAX)
        ve_die("%s: no %s", path, word);
    return n;
}

void ve_memory_of_self(uint64_t *ret_anonymous, uint64_t *ret_mapped)
{
    static const char path[] = "/proc/self/smaps_rollup";
    uint64_t all = number_in(path, "Rss:") << 10;

    *ret_anonymous = number_in(path, "Anonymous:") << 10;
    *ret_mapped = all - *ret_anonymous;
}

uint64_t ve_written(void)
{
    return number_in("/proc/self/io", "wchar:");
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

    return (x > y) - (x < y);
}

uint64_t ve_flush_floor(const char *dir)
{
    uint64_t took[FLUSHES], began;
    char path[4096], page[4096] = "";
    int fd;

    snprintf(path, sizeof(path), "%s/bench_view_flush.XXXXXX", dir);
    fd = mkstemp(path);
    if (fd < 0)
        ve_die("%s: %m", path);
    for (int i = 0; i < FLUSHES; i++) {
        began = ist_clock_mono_ns();
        if (write(fd, page, sizeof(page)) != sizeof(page) || fdatasync(fd))
            ve_die("%s: %m", path);
        took[i] = ist_clock_mono_ns() - began;
    }
    close(fd);
    unlink(path);
    qsort(took, FLUSHES, sizeof(took[0]), by_size);
    return took[FLUSHES / 2];
}

/* Folders of files */

typedef void each_file_fn(const char *path, void *arg);

static void each_file(const char *dir, each_file_fn *fn, void *arg)
{
    DIR *all = opendir(dir);
    struct dirent *entry;
    char path[8192];

    if (!all)
        ve_die("%s: %m", dir);
    while ((entry = readdir(all)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        fn(path, arg);
    }
    closedir(all);
}

static void add_used(const char *path, void *arg)
{
    struct stat st;

    if (stat(path, &st))
        ve_die("%s: %m", path);
    *(uint64_t *) arg += (uint64_t) st.st_blocks * 512;
}

uint64_t ve_disk_used(const char *dir)
{
    uint64_t used = 0;

    each_file(dir, add_used, &used);
    return used;
}

static void forget(const char *path, void *arg)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    (void) arg;
    if (fd < 0 || fdatasync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
        ve_die("%s: %m", path);
    close(fd);
}

void ve_forget_cached(const char *dir)
{
    each_file(dir, forget, NULL);
}

void ve_make_dir(char *out, size_t size, const char *parent)
{
    snprintf(out, size, "%s/bench_view.XXXXXX", parent);
    if (!mkdtemp(out))
        ve_die("%s: %m", out);
}

static void remove_file(const char *path, void *arg)
{
    (void) arg;
    if (unlink(path))
        ve_die("%s: %m", path);
}

void ve_remove_dir(const char *dir)
{
    each_file(dir, remove_file, NULL);
    if (rmdir(dir))
        ve_die("%s: %m", dir);
}

void *ve_shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        ve_die("%zu bytes: %m", size);
    return memory;
}
