/* A YAML file as a small tree, with the line of everything in it.
 *
 * Only the plain part of YAML 1.1 is taken: one document of maps, lists and
 * scalars in UTF-8. Refused: a byte order mark, NUL, tags, a second document,
 * a name twice in one map, nesting over IST_YAML_DEPTH_MAX, over
 * IST_CONF_FILE_MAX bytes. Anchors and aliases are refused too, unless asked
 * for; then an alias is the same node again, never a copy, so that a small
 * file cannot become a large tree, and a "<<" member lends the members of the
 * map it names. */
#ifndef CONF_YAML_H
#define CONF_YAML_H

#include "base/arena.h"
#include "conf/report.h"

#include <stdbool.h>

#define IST_YAML_DEPTH_MAX 32

enum ist_yaml_type { IST_YAML_SCALAR, IST_YAML_LIST, IST_YAML_MAP };

/* All of it lives in the arena of its tree. */
struct ist_yaml_node {
    enum ist_yaml_type type;
    unsigned line; /* From 1. */

    const char *text; /* Of a scalar; never holds a NUL. */
    bool quoted;      /* 'x' or "x": an empty one is no missing value. */

    struct ist_yaml_link *first; /* Of a list or a map. */
};

/* A member of a map, or an item of a list. */
struct ist_yaml_link {
    const char *key; /* NULL in a list. */
    unsigned line;   /* Of the key. */
    struct ist_yaml_node *node;
    struct ist_yaml_link *next; /* In the order of the file. */
};

struct ist_yaml {
    struct ist_arena arena;
    struct ist_yaml_node *root; /* NULL: nothing but comments. */
};

enum ist_yaml_flags { IST_YAML_ALIASES = 1 };

/* 'tree' need not be initialised and must be given to _fini() whatever the
 * result. Complaints go to 'report', whose path is used as it is; false if
 * there were any. */
bool ist_yaml_parse(struct ist_yaml *, const char *data, size_t size,
                    unsigned flags, struct ist_conf_report *report);
void ist_yaml_fini(struct ist_yaml *);

/* Member of a map by name; NULL when there is none, or no map. */
const struct ist_yaml_node *ist_yaml_get(const struct ist_yaml_node *map,
                                         const char *key);

/* A plain scalar without a character: "key:" and nothing behind it. */
bool ist_yaml_is_empty(const struct ist_yaml_node *);

#endif
