/* Files of a state directory: written so that a crash leaves the old or the
 * new one, read so that a careless mode is noticed before a secret is used.
 *
 * Everything here blocks on the disk: for programs at start, for commands, and
 * for work in the pool. */
#ifndef CODEC_FILE_H
#define CODEC_FILE_H

#include "base/err.h"
#include "base/sb.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ist_file_care {
    IST_FILE_SECRET, /* Ours alone: no right for group and others. */
    IST_FILE_OWN,    /* Of our state: others may read, nobody else write. */
    IST_FILE_GIVEN,  /* Named by an admin: any regular file. */
};

/* "DIR/NAME" into 'buf'. -ENAMETOOLONG. */
int ist_file_path(char *buf, size_t size, const char *dir, const char *name);

/* Appends the file to 'ret', whose cap bounds it (-EFBIG). -ENOENT is left to
 * the caller but has a text. Refused: what is no regular file, a symbolic link
 * (but for GIVEN), an owner that is neither we nor root (-EPERM), rights that
 * 'care' forbids (-EACCES). */
int ist_file_read(const char *path, enum ist_file_care care, struct ist_sb *ret,
                  struct ist_err *err);

/* Writes a new file beside it, flushes it, renames it over 'path' and flushes
 * the directory. The mode is 0600 for SECRET, else 0644, whatever the umask. */
int ist_file_write(const char *path, enum ist_file_care care, const void *data,
                   size_t size, struct ist_err *err);

/* Appends to a file of ours alone (0600), made if it is not there; on the disk
 * when it returns. 0 or -errno. */
int ist_file_append(const char *path, const void *data, size_t size);

/* Makes a directory of mode 0700, or accepts the one that is there if nobody
 * else owns or may write it. Parents must exist. */
int ist_file_mkdir(const char *path, struct ist_err *err);

/* Is there such a directory, not writable for others? */
int ist_file_check_dir(const char *path, struct ist_err *err);

/* An exclusive lock on DIR/NAME, held until the descriptor returned is closed
 * or the process ends. -EBUSY: somebody else has it; it is not waited for. */
int ist_file_lock(const char *dir, const char *name, struct ist_err *err);

/* A number that only ever rises, as decimal text. Reading a file that does not
 * exist gives 0; one that is damaged is -EBADMSG, never 0. */
int ist_file_number_read(const char *path, uint64_t *ret, struct ist_err *err);
int ist_file_number_write(const char *path, uint64_t, struct ist_err *err);

#endif
