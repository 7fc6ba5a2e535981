/* A folder for one test, gone afterwards with all that is in it. */
#ifndef UNIT_SCRATCH_H
#define UNIT_SCRATCH_H

#include <assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCRATCH_SIZE 64

static inline void scratch_make(char dir[SCRATCH_SIZE])
{
    snprintf(dir, SCRATCH_SIZE, "/tmp/isthmus-test-XXXXXX");
    if (!mkdtemp(dir))
        abort();
}

static inline int scratch_unlink(const char *path, const struct stat *st,
                                 int flag, struct FTW *ftw)
{
    (void) st, (void) flag, (void) ftw;
    return remove(path);
}

static inline void scratch_drop(const char *dir)
{
    nftw(dir, scratch_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

/* "dir/name", in one of four buffers that take turns. */
static inline const char *scratch_path(const char *dir, const char *name)
{
    static char buffers[4][512];
    static unsigned turn;
    char *buf = buffers[turn++ % 4];

    snprintf(buf, sizeof(buffers[0]), "%s/%s", dir, name);
    return buf;
}

static inline void scratch_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
        abort();
}

/* The file as a string, to be freed. */
static inline char *scratch_read(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "r");
    char *data = calloc(1, 1024 * 1024);
    size_t size;

    if (!file || !data)
        abort();
    size = fread(data, 1, 1024 * 1024 - 1, file);
    fclose(file);
    if (ret_size)
        *ret_size = size;
    return data;
}

#endif
