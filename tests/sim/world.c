#include "world.h"

#include "base/rand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void draw_row(struct world_row *row, const struct world_site *site,
                     uint32_t i)
{
    unsigned minute = (unsigned) ist_rand_below(6);
    static const char *const states[] = {"ACTIVE", "SHUTOFF", "ERROR"};

    row->site = site->name;
    snprintf(row->created, sizeof(row->created), "2026-11-01T10:%02u:00Z",
             minute);
    snprintf(row->key, sizeof(row->key), "2026-11-01T10:%02u:00.000000",
             minute);
    memcpy(row->updated, row->created, sizeof(row->updated));
    snprintf(row->id, sizeof(row->id), "00000000-0000-4000-8000-%012x", i);
    snprintf(row->name, sizeof(row->name), "vm-%u",
             (unsigned) ist_rand_below(8));
    snprintf(row->status, sizeof(row->status), "%s", states[ist_rand_below(3)]);
}

void world_draw(struct world *world, uint32_t n_sites)
{
    world->n_sites = n_sites;
    for (uint32_t s = 0; s < n_sites; s++) {
        struct world_site *site = &world->sites[s];

        snprintf(site->name, sizeof(site->name), "s%03u", s);
        /* Most sites are small; one in eight is not. */
        site->n_rows = (uint32_t) ist_rand_below(
            ist_rand_below(8) ? 5 : WORLD_ROWS_MAX + 1);
        for (uint32_t i = 0; i < site->n_rows; i++)
            draw_row(&site->rows[i], site, i);
        site->n_made = site->n_rows;
    }
}

static void touch(struct world_row *row, uint64_t change)
{
    snprintf(row->updated, sizeof(row->updated), "2026-11-02T%02u:%02u:%02uZ",
             (unsigned) (change / 3600 % 24), (unsigned) (change / 60 % 60),
             (unsigned) (change % 60));
    snprintf(row->status, sizeof(row->status), "%s",
             ist_rand_below(4) ? "ACTIVE" : "ERROR");
}

const char *world_change(struct world *world, uint32_t at)
{
    static char id[40];
    struct world_site *site = &world->sites[at];
    uint32_t i = (uint32_t) ist_rand_below(site->n_rows + 2ULL);
    struct world_row *row;

    site->n_changes++;
    if (i >= site->n_rows && site->n_rows < WORLD_ROWS_MAX) {
        row = &site->rows[site->n_rows++];
        draw_row(row, site, (uint32_t) site->n_made++);
    } else {
        row = &site->rows[i % site->n_rows];
    }
    memcpy(id, row->id, sizeof(id));
    if (i < site->n_rows && ist_rand_below(3) == 0)
        *row = site->rows[--site->n_rows];
    else
        touch(row, site->n_changes);
    return id;
}

const struct world_row *world_row(const struct world_site *site, const char *id)
{
    for (uint32_t i = 0; i < site->n_rows; i++) {
        if (strcmp(site->rows[i].id, id) == 0)
            return &site->rows[i];
    }
    return NULL;
}

int world_find(const struct world *world, const char *site)
{
    for (uint32_t s = 0; s < world->n_sites; s++) {
        if (strcmp(world->sites[s].name, site) == 0)
            return (int) s;
    }
    return -1;
}

struct ist_place world_place(const struct world_row *row,
                             const struct world_sort *sort)
{
    const char *key = sort->by_name ? row->name : row->key;

    return (struct ist_place){.keys = {{key, strlen(key)}},
                              .site = row->site,
                              .id = {row->id, strlen(row->id)}};
}

static const struct world_sort *sorting; /* For qsort(). */

static int by_place(const void *a, const void *b)
{
    const struct world_row *const *x = a, *const *y = b;
    struct ist_order order = {1, {sorting->descending}};
    struct ist_place p = world_place(*x, sorting);
    struct ist_place q = world_place(*y, sorting);

    return ist_order_cmp(&order, &p, &q);
}

uint32_t world_page(const struct world *world, const struct world_sort *sort,
                    const bool *include, const struct ist_place *after,
                    uint32_t limit, const struct world_row **page)
{
    static const struct world_row *all[WORLD_SITES_MAX * WORLD_ROWS_MAX];
    struct ist_order order = {1, {sort->descending}};
    uint32_t n = 0, n_page = 0;

    for (uint32_t s = 0; s < world->n_sites; s++) {
        for (uint32_t i = 0; include[s] && i < world->sites[s].n_rows; i++)
            all[n++] = &world->sites[s].rows[i];
    }
    sorting = sort;
    qsort(all, n, sizeof(all[0]), by_place);
    for (uint32_t i = 0; i < n && n_page < limit; i++) {
        struct ist_place place = world_place(all[i], sort);

        if (!after || ist_order_cmp(&order, &place, after) > 0)
            page[n_page++] = all[i];
    }
    return n_page;
}
