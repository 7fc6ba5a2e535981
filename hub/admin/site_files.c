/* The files of a site, by their name in its folder. */
#include "admin/site_priv.h"

#include "codec/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int admin_site_read(const struct admin_home *home, const char *name,
                    const char *file, struct ist_sb *ret, struct ist_err *err)
{
    char path[128];

    snprintf(path, sizeof(path), "sites/%s/%s", name, file);
    return admin_read(home, path, false, ret, err);
}

int admin_site_write(const struct admin_home *home, const char *name,
                     const char *file, const struct ist_sb *data,
                     struct ist_err *err)
{
    char path[128];

    snprintf(path, sizeof(path), "sites/%s/%s", name, file);
    return admin_write(home, path, false, data, err);
}

int admin_site_bundle(const struct admin_home *home, const char *name,
                      struct ist_arena *arena, struct ist_bundle_site *ret,
                      struct ist_err *err)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;
    int rc;

    ist_sb_init(&text, IST_BUNDLE_TEXT_MAX);
    rc = admin_site_read(home, name, "bundle", &text, err);
    if (rc)
        return rc;
    rc = ist_bundle_site_parse(text.data, text.len, 0, arena, ret, err);
    if (rc) {
        ist_err_wrap(err, "%s/%s", home->sites, name);
        return -EBADMSG;
    }
    return 0;
}

int admin_site_touch(const struct admin_home *home, uint64_t now_ms,
                     struct ist_err *err)
{
    char path[PATH_MAX];
    int rc = admin_path(home, "sites/.changed", path, err);

    return rc ? rc : ist_file_number_write(path, now_ms, err);
}
