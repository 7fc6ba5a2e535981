/* What can be listed and shown: a row for each kind, a row for each column of
 * its table. A new kind is a row here and nothing else. */
#ifndef CLI_KIND_H
#define CLI_KIND_H

#include "cli/cell.h"

/* A column's value out of an item: a new reference; NULL for null. */
typedef json_t *cli_make_fn(const json_t *item);

enum cli_column_flags {
    CLI_LONG = 1,   /* Only with --long, or when asked for by name. */
    CLI_STATUS = 2, /* Says how the thing is. */
};

struct cli_column {
    const char *title;   /* Also the key in JSON and YAML. */
    const char *members; /* "a|b.c": the first that is there; or NULL. */
    unsigned flags;
    cli_make_fn *make;   /* NULL: the member as it is. */
    cli_human_fn *human; /* NULL: by type. */
};

struct cli_kind {
    const char *noun;  /* "floating-ip"; also accepted as two words. */
    const char *alias; /* Another noun, or NULL. */
    const char *path;  /* In the API: "floating-ips". */
    const char *many;  /* In a sentence: "floating IPs". */
    const struct cli_column *columns; /* Ended by a NULL title. */
};

/* All of them, ended by a NULL noun; sites come first. */
extern const struct cli_kind cli_kinds[];

/* By noun or alias, words joined by '-'; NULL if there is none. */
const struct cli_kind *cli_kind_find(const char *noun);

/* Is this the kind "site", which is not a resource? */
int cli_kind_is_site(const struct cli_kind *);

/* The value of a column: a new reference, never NULL but out of memory. */
json_t *cli_kind_value(const struct cli_column *, const json_t *item);

#endif
