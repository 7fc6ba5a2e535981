/* Between the commands that add, list and remove sites. */
#ifndef ADMIN_SITE_PRIV_H
#define ADMIN_SITE_PRIV_H

#include "admin/verbs.h"
#include "base/arena.h"
#include "codec/bundle.h"

#include <stdbool.h>
#include <stdint.h>

#define ADMIN_SITE_NAME_SIZE 33
#define ADMIN_SITE_ARENA     (512 * 1024) /* Of one bundle. */

/* site_files.c: what a site has in the directory of the hub. */

int admin_site_read(const struct admin_home *home, const char *name,
                    const char *file, struct ist_sb *ret, struct ist_err *err);

int admin_site_write(const struct admin_home *home, const char *name,
                     const char *file, const struct ist_sb *data,
                     struct ist_err *err);

/* The stored bundle of a site. -ENOENT: no such site. */
int admin_site_bundle(const struct admin_home *home, const char *name,
                      struct ist_arena *arena, struct ist_bundle_site *ret,
                      struct ist_err *err);

/* The hub looks at one time stamp only: see sites/scan.c. */
int admin_site_touch(const struct admin_home *home, uint64_t now_ms,
                     struct ist_err *err);

/* site_add.c */

int admin_site_add(const struct admin_home *home,
                   const struct admin_request *request, struct ist_err *err);

#endif
