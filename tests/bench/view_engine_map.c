#include "view_engine_map.h"

#include <stdlib.h>
#include <string.h>

#define LEAF_MAX 254

struct map_leaf {
    size_t n;
    struct map_row *rows[LEAF_MAX];
};

struct ist_bytes map_row_key(const struct map_row *row, enum ve_member member)
{
    size_t start = 0;

    for (int i = 0; i < (int) member; i++)
        start += row->sizes[i];
    return (struct ist_bytes){row->text + start, row->sizes[member]};
}

struct map_place map_place(const struct map *map, const struct map_row *row)
{
    return (struct map_place){.project = map->in_project ? row->project : 0,
                              .value = map_row_key(row, map->member),
                              .site = row->site,
                              .id = map_row_key(row, VE_ID)};
}

int map_cmp(const struct map *map, const struct map_row *row,
            const struct map_place *place)
{
    struct ist_bytes value = map_row_key(row, map->member), id;
    int rc = 0;

    if (map->in_project && row->project != place->project)
        return row->project < place->project ? -1 : 1;
    rc = ist_bytes_cmp(&value, &place->value);
    if (rc == 0)
        rc = strcmp(row->site, place->site);
    if (rc)
        return rc;
    id = map_row_key(row, VE_ID);
    return ist_bytes_cmp(&id, &place->id);
}

/* The last leaf that begins before the place, or the first. */
static size_t find_leaf(const struct map *map, const struct map_place *place)
{
    size_t low = 0, high = map->n_leaves;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (map_cmp(map, map->leaves[middle]->rows[0], place) < 0)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static size_t find_in_leaf(const struct map *map, const struct map_leaf *leaf,
                           const struct map_place *place)
{
    size_t low = 0, high = leaf->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (map_cmp(map, leaf->rows[middle], place) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void step_over_end(struct map_at *at)
{
    if (at->leaf < at->map->n_leaves && at->i == at->map->leaves[at->leaf]->n) {
        at->leaf++;
        at->i = 0;
    }
}

struct map_at map_seek(const struct map *map, const struct map_place *place)
{
    struct map_at at = {.map = map};

    if (map->n_leaves) {
        at.leaf = find_leaf(map, place);
        at.i = find_in_leaf(map, map->leaves[at.leaf], place);
        step_over_end(&at);
    }
    return at;
}

struct map_row *map_get(const struct map_at *at)
{
    if (at->leaf == at->map->n_leaves)
        return NULL;
    return at->map->leaves[at->leaf]->rows[at->i];
}

void map_next(struct map_at *at)
{
    at->i++;
    step_over_end(at);
}

bool map_prev(struct map_at *at)
{
    if (at->i == 0) {
        if (at->leaf == 0)
            return false;
        at->leaf--;
        at->i = at->map->leaves[at->leaf]->n;
    }
    at->i--;
    return true;
}

/* Changing */

static struct map_leaf *insert_leaf(struct map *map, size_t at)
{
    struct map_leaf *leaf = malloc(sizeof(*leaf));

    if (map->n_leaves == map->capacity) {
        map->capacity = map->capacity ? 2 * map->capacity : 16;
        map->leaves =
            realloc(map->leaves, map->capacity * sizeof(struct map_leaf *));
    }
    if (!leaf || !map->leaves)
        ve_die("out of memory");
    memmove(map->leaves + at + 1, map->leaves + at,
            (map->n_leaves - at) * sizeof(struct map_leaf *));
    map->leaves[at] = leaf;
    map->n_leaves++;
    leaf->n = 0;
    return leaf;
}

static void split(struct map *map, size_t at)
{
    struct map_leaf *new = insert_leaf(map, at + 1), *leaf = map->leaves[at];

    leaf->n = LEAF_MAX / 2;
    new->n = LEAF_MAX - leaf->n;
    memcpy(new->rows, leaf->rows + leaf->n, new->n * sizeof(new->rows[0]));
}

void map_add(struct map *map, struct map_row *row)
{
    struct map_place place = map_place(map, row);
    struct map_leaf *leaf;
    size_t at, i;

    if (map->n_leaves == 0)
        insert_leaf(map, 0);
    at = find_leaf(map, &place);
    if (map->leaves[at]->n == LEAF_MAX) {
        split(map, at);
        at = find_leaf(map, &place);
    }
    leaf = map->leaves[at];
    i = find_in_leaf(map, leaf, &place);
    memmove(leaf->rows + i + 1, leaf->rows + i,
            (leaf->n - i) * sizeof(leaf->rows[0]));
    leaf->rows[i] = row;
    leaf->n++;
}

/* A leaf that gets few is left so: one that gets none goes. */
void map_remove(struct map *map, const struct map_row *row)
{
    struct map_place place = map_place(map, row);
    struct map_at at = map_seek(map, &place);
    struct map_leaf *leaf;

    if (map_get(&at) != row)
        ve_die("memory: a row is not where it was put");
    leaf = map->leaves[at.leaf];
    leaf->n--;
    memmove(leaf->rows + at.i, leaf->rows + at.i + 1,
            (leaf->n - at.i) * sizeof(leaf->rows[0]));
    if (leaf->n)
        return;
    free(leaf);
    map->n_leaves--;
    memmove(map->leaves + at.leaf, map->leaves + at.leaf + 1,
            (map->n_leaves - at.leaf) * sizeof(struct map_leaf *));
}

void map_append(struct map *map, struct map_row *row)
{
    struct map_leaf *leaf =
        map->n_leaves ? map->leaves[map->n_leaves - 1] : NULL;

    if (!leaf || leaf->n == LEAF_MAX * 3 / 4)
        leaf = insert_leaf(map, map->n_leaves);
    leaf->rows[leaf->n++] = row;
}

void map_fini(struct map *map)
{
    for (size_t i = 0; i < map->n_leaves; i++)
        free(map->leaves[i]);
    free(map->leaves);
}
