#include "view_engine_memory.h"

/* Reading: groups of one value, each forwards, in the direction */

struct walk {
    const struct memory *m;
    const struct ve_query *query;
    const struct map *map;
    uint32_t project;
    size_t n;
    ve_emit *emit;
    void *arg;
};

static bool is_in_scope(const struct walk *walk, const struct map_row *row)
{
    return row && (!walk->map->in_project || row->project == walk->project);
}

static void emit_row(struct walk *walk, const struct map_row *stored)
{
    struct ve_row row;

    ve_unpack(walk->m->mapped + stored->at, stored->size, &row);
    walk->emit(walk->arg, row.site, &row.keys[VE_ID], &row.body);
    walk->n++;
}

/* 'value' NULL: all of the scope. */
static void walk_on(struct walk *walk, struct map_at at,
                    const struct ist_bytes *value)
{
    for (; walk->n < walk->query->limit; map_next(&at)) {
        struct map_row *row = map_get(&at);
        struct ist_bytes is;

        if (!is_in_scope(walk, row))
            return;
        is = map_row_key(row, walk->map->member);
        if (value && !ve_equal(&is, value))
            return;
        emit_row(walk, row);
    }
}

static struct map_at seek_behind(const struct walk *walk,
                                 const struct ve_row *after)
{
    struct map_place place = {.project = walk->project,
                              .value = after->keys[walk->map->member],
                              .site = after->site,
                              .id = after->keys[VE_ID]};
    struct map_at at = map_seek(walk->map, &place);
    struct map_row *row = map_get(&at);

    if (row && map_cmp(walk->map, row, &place) == 0)
        map_next(&at);
    return at;
}

/* The first of those of one value: most often the one that 'at' is at. */
static struct map_at seek_group(const struct walk *walk,
                                const struct map_at *at)
{
    struct map_place place = map_place(walk->map, map_get(at));
    struct map_at before = *at;
    struct ist_bytes value;

    if (!map_prev(&before))
        return *at;
    value = map_row_key(map_get(&before), walk->map->member);
    if (!is_in_scope(walk, map_get(&before)) || !ve_equal(&value, &place.value))
        return *at;
    place.site = "";
    place.id = (struct ist_bytes){"", 0};
    return map_seek(walk->map, &place);
}

static void walk_down(struct walk *walk)
{
    const struct ve_row *after = walk->query->after;
    struct map_place place = {.project = walk->project + 1, .site = ""};
    struct map_at at, group;

    if (after) {
        place.project = walk->project;
        place.value = after->keys[walk->map->member];
        walk_on(walk, seek_behind(walk, after), &place.value);
        at = map_seek(walk->map, &place);
    } else if (walk->map->in_project) {
        at = map_seek(walk->map, &place);
    } else {
        at = (struct map_at){.map = walk->map, .leaf = walk->map->n_leaves};
    }
    while (walk->n < walk->query->limit && map_prev(&at) &&
           is_in_scope(walk, map_get(&at))) {
        struct ist_bytes value = map_row_key(map_get(&at), walk->map->member);

        group = seek_group(walk, &at);
        walk_on(walk, group, &value);
        at = group;
    }
}

void memory_page(void *self, const struct ve_query *query, ve_emit *emit,
                 void *arg)
{
    struct memory *m = self;
    struct walk walk = {
        .m = m,
        .query = query,
        .map = &m->maps[query->member * 2 + (query->project != NULL)],
        .emit = emit,
        .arg = arg};
    struct map_place start = {.site = ""};

    if (query->project)
        walk.project = start.project = memory_project(m, query->project);
    if (query->descending)
        walk_down(&walk);
    else
        walk_on(&walk,
                query->after ? seek_behind(&walk, query->after)
                             : map_seek(walk.map, &start),
                NULL);
}

void memory_lookup(void *self, const struct ist_bytes *id, ve_emit *emit,
                   void *arg)
{
    struct ve_query query = {.member = VE_ID, .limit = SIZE_MAX};
    struct memory *m = self;
    struct walk walk = {
        .m = m, .query = &query, .map = &m->maps[0], .emit = emit, .arg = arg};
    struct map_place place = {.value = *id, .site = ""};

    walk_on(&walk, map_seek(&m->maps[0], &place), id);
}
