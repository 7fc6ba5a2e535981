/* Configuration by rows: each module owns a table of rows (base/row.h) and a
 * struct; here files are read into the structs, and shown.
 *
 * A row named "survey.deadline" is the member "deadline" of the map "survey".
 * Numbers of time and size carry a unit: "10s", "64KiB". Every mistake in the
 * file is reported, with its line; a name that no row has is one, and the
 * report says which row is spelled nearly so. */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "base/row.h"
#include "conf/report.h"

#include <stdbool.h>

/* Rows of one module, and where their values go. Borrowed. */
struct ist_conf_table {
    const struct ist_row *rows; /* Ended by a NULL name. */
    void *target;
};

#define IST_CONF_STRING_MAX 4096 /* Bytes of a string whose row has no max. */

/* Reads 'path' (NULL: no file, only what the rows fall back to) into the
 * targets. They are written only when there is no error at all; strings are
 * then allocated, and what stood there before is not looked at. 'report' gets
 * every complaint and borrows 'path'; 'err' the first of them. Returns 0,
 * -EINVAL for what is in the file, or why it could not be read. */
int ist_conf_load(const char *path, const struct ist_conf_table *tables,
                  size_t n_tables, struct ist_conf_report *report,
                  struct ist_err *err);

/* Frees the strings and zeroes what the rows name. Secrets are wiped. */
void ist_conf_free(const struct ist_conf_table *tables, size_t n_tables);

/* All rows with their values, as a file that could be loaded again, but for
 * secrets, which are shown as "***". With 'help', each has its help above it
 * as a comment: so a sample file is made of a configuration of defaults. */
void ist_conf_show(const struct ist_conf_table *tables, size_t n_tables,
                   bool help, struct ist_sb *out);

#endif
