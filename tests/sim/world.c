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
    }
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
