/* Rows in one order, in memory: leaves of some hundred pointers, and an array
 * of the leaves. What a B-tree of two levels is; a million rows are some
 * thousand leaves, whose array is cheap to move when one splits. */
#ifndef BENCH_VIEW_ENGINE_MAP_H
#define BENCH_VIEW_ENGINE_MAP_H

#include "view_engine.h"

/* What is in memory of a row: all but the body. */
struct map_row {
    uint64_t at;   /* Of the whole row, in the log. */
    uint32_t size; /* There. */
    uint32_t project;
    uint32_t number;           /* In a snapshot. */
    uint8_t sizes[VE_MEMBERS]; /* Of the keys, one behind the other. */
    const char *site;          /* Borrowed. */
    char *text;                /* Owned. */
};

struct map_leaf;

struct map {
    enum ve_member member;
    bool in_project; /* The project is the first thing that it is ordered by. */
    struct map_leaf **leaves;
    size_t n_leaves, capacity;
};

/* A place in the order, of a row that need not be there. */
struct map_place {
    uint32_t project;
    struct ist_bytes value, id;
    const char *site;
};

/* Where a walk is. Good until the map changes. */
struct map_at {
    const struct map *map;
    size_t leaf, i;
};

struct ist_bytes map_row_key(const struct map_row *, enum ve_member);

/* The place of a row of the map. */
struct map_place map_place(const struct map *, const struct map_row *);

/* < 0, 0, > 0: the row is before the place, at it, behind it. */
int map_cmp(const struct map *, const struct map_row *,
            const struct map_place *);

/* The first row that is not before the place. */
struct map_at map_seek(const struct map *, const struct map_place *);
/* NULL: the walk is behind the last row. */
struct map_row *map_get(const struct map_at *);
void map_next(struct map_at *);
/* False: there is none before. */
bool map_prev(struct map_at *);

void map_add(struct map *, struct map_row *);
void map_remove(struct map *, const struct map_row *);
/* Behind all others: for loading. */
void map_append(struct map *, struct map_row *);
void map_fini(struct map *);

#endif
