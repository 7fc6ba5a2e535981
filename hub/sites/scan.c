/* A folder that cannot be read is found all the same, with its error: only one
 * that is gone removes its site. */
#include "sites/scan.h"

#include "base/clock.h"
#include "base/parse.h"
#include "codec/bundle.h"
#include "codec/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ARENA_SIZE (512 * 1024)

/* A directory that changed so shortly before it was read may change again
 * under the same time stamp. */
#define SETTLED_MS 2000

static int read_bundle(const char *dir, struct sites_found *found)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;
    IST_CLEANUP(ist_arena_fini) struct ist_arena arena;
    struct ist_bundle_site bundle;
    char path[PATH_MAX];
    int rc;

    ist_sb_init(&text, IST_BUNDLE_TEXT_MAX);
    ist_arena_init(&arena, ARENA_SIZE);
    if ((size_t) snprintf(path, sizeof(path), "%s/%s/bundle", dir,
                          found->name) >= sizeof(path))
        return ist_err_set(&found->err, -ENAMETOOLONG, "the path is too long");
    rc = ist_file_read(path, IST_FILE_OWN, &text, &found->err);
    if (rc)
        return rc;
    /* Its times are judged with every message, by ist_open(). */
    rc = ist_bundle_site_parse(text.data, text.len, 0, &arena, &bundle,
                               &found->err);
    if (rc)
        return rc;
    if (strcmp(bundle.name, found->name) != 0)
        return ist_err_set(&found->err, -EBADMSG,
                           "its bundle is of a site called %s", bundle.name);
    found->delegation = bundle.delegation;
    memcpy(found->root, bundle.root, sizeof(found->root));
    return 0;
}

static int read_epoch(const char *dir, struct sites_found *found)
{
    char path[PATH_MAX];

    if ((size_t) snprintf(path, sizeof(path), "%s/%s/epoch", dir,
                          found->name) >= sizeof(path))
        return ist_err_set(&found->err, -ENAMETOOLONG, "the path is too long");
    return ist_file_number_read(path, &found->epoch, &found->err);
}

static int read_folder(struct sites_scan *scan, const char *name)
{
    struct sites_found *found;

    if (scan->n == SITES_MAX) {
        scan->n_left_out++;
        return 0;
    }
    if (scan->n == scan->size) {
        size_t size = scan->size ? 2 * scan->size : 16;

        found = reallocarray(scan->found, size, sizeof(*found));
        if (!found)
            return -ENOMEM;
        scan->found = found;
        scan->size = size;
    }
    found = &scan->found[scan->n];
    *found = (struct sites_found){.rc = 0};
    strlcpy(found->name, name, sizeof(found->name));
    found->rc = read_bundle(scan->dir, found);
    if (found->rc == 0)
        found->rc = read_epoch(scan->dir, found);
    /* Without a bundle a site is not yet, or no longer, there. */
    if (found->rc != -ENOENT)
        scan->n++;
    return 0;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

int sites_scan_run(struct ist_work *work)
{
    struct sites_scan *scan = IST_CONTAINER(work, struct sites_scan, work);
    uint64_t now = ist_clock_wall_ms(), then;
    struct dirent **entries;
    struct stat st;
    int n, rc = 0;

    scan->unchanged = false;
    if (stat(scan->dir, &st) != 0)
        return ist_err_set(&work->op.err, -errno, "%s: %s", scan->dir,
                           strerror(errno));
    if (scan->settled && same_time(&st.st_mtim, &scan->seen)) {
        scan->unchanged = true;
        return 0;
    }
    /* Sorted, so that the same ones are left out at the cap each time. */
    n = scandir(scan->dir, &entries, NULL, alphasort);
    if (n < 0)
        return ist_err_set(&work->op.err, -errno, "%s: %s", scan->dir,
                           strerror(errno));
    for (int i = 0; i < n; i++) {
        if (rc == 0 && ist_parse_site_name(entries[i]->d_name))
            rc = read_folder(scan, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    if (rc)
        return ist_err_set(&work->op.err, rc, "out of memory");
    then = (uint64_t) st.st_mtim.tv_sec * 1000 +
           (uint64_t) st.st_mtim.tv_nsec / 1000000;
    scan->settled = now > then + SETTLED_MS;
    scan->seen = st.st_mtim;
    return 0;
}

void sites_scan_reset(struct sites_scan *scan)
{
    free(scan->found);
    scan->found = NULL;
    scan->n = scan->size = scan->n_left_out = 0;
}
