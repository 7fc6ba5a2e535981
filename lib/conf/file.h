/* Reading the files that operators write: whole, regular, not too large, and
 * not writable by everybody. */
#ifndef CONF_FILE_H
#define CONF_FILE_H

#include "base/err.h"
#include "base/sb.h"

#define IST_CONF_FILE_MAX   (1024 * 1024)
#define IST_CONF_SECRET_MAX (64 * 1024)

/* Appends the bytes to 'sb'. 'ret_mode' (may be NULL) gets the permission
 * bits. -ENOENT, -EACCES and the like from the system; -EINVAL for what is no
 * regular file; -EPERM when everybody may write it; -EFBIG over 'max' bytes,
 * where nothing is read. Never waits: a FIFO is refused, not opened. */
int ist_conf_read(const char *path, size_t max, struct ist_sb *sb,
                  unsigned *ret_mode, struct ist_err *err);

/* A secret in a file of its own, without the newline at its end. Refused with
 * -EPERM when group or others may read it, or when it belongs neither to root
 * nor to this user; -EINVAL when it is empty or holds a NUL or a second line.
 * The error says what to do, never what was in it. The result belongs to the
 * caller, who gives it to ist_conf_secret_free(). */
int ist_conf_read_secret(const char *path, char **ret_secret,
                         struct ist_err *err);

/* Wipes it, then frees it. NULL is fine; returns NULL. */
char *ist_conf_secret_free(char *secret);

/* 'path' as it is when absolute, else seen from the directory of the file
 * 'from'. The caller frees it; NULL when memory is out. */
char *ist_conf_path(const char *from, const char *path);

#endif
