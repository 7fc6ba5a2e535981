/* A directory that lives as long as one test. */
#ifndef SCRATCH_H
#define SCRATCH_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct scratch {
    char dir[64];
    char path[160]; /* Of the file written last. */
};

static inline void scratch_init(struct scratch *s)
{
    snprintf(s->dir, sizeof(s->dir), "/tmp/isthmus-test-XXXXXX");
    if (!mkdtemp(s->dir))
        abort();
}

static inline const char *scratch_name(struct scratch *s, const char *name)
{
    snprintf(s->path, sizeof(s->path), "%s/%s", s->dir, name);
    return s->path;
}

static inline const char *scratch_write(struct scratch *s, const char *name,
                                        const char *data, size_t size,
                                        mode_t mode)
{
    FILE *f = fopen(scratch_name(s, name), "w");

    if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0 ||
        chmod(s->path, mode) != 0)
        abort();
    return s->path;
}

static inline const char *scratch_text(struct scratch *s, const char *name,
                                       const char *text)
{
    return scratch_write(s, name, text, strlen(text), 0600);
}

static inline void scratch_fini(struct scratch *s)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", s->dir);
    if (system(command) != 0)
        abort();
}

#endif
