/* What is true: the servers that each simulated site has, and what a page of
 * the merged list must therefore be. Knows nothing of hub or agent. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "model/order.h"

#include <stdbool.h>
#include <stdint.h>

#define WORLD_SITES_MAX 200
#define WORLD_ROWS_MAX  40

struct world_row {
    char created[32]; /* As Nova writes it. */
    char updated[32];
    char key[32]; /* As it is compared. */
    char id[40], name[24], status[12];
    const char *site;
};

struct world_site {
    char name[16];
    struct world_row rows[WORLD_ROWS_MAX];
    uint32_t n_rows;
    uint64_t n_made; /* Also those that are gone: ids are never used again. */
    uint64_t n_changes;
};

struct world {
    struct world_site sites[WORLD_SITES_MAX];
    uint32_t n_sites;
};

/* Drawn from the planted random source. Few different times and names, so
 * that ties within and between sites are the rule; ids collide across sites. */
void world_draw(struct world *, uint32_t n_sites);

/* Makes, changes or deletes a server of that site. Returns its id, valid until
 * the next call. */
const char *world_change(struct world *, uint32_t site);

/* The row of that id, or NULL. */
const struct world_row *world_row(const struct world_site *, const char *id);

/* Index of the site, or -1. */
int world_find(const struct world *, const char *site);

/* One sort key: by created_at or by name. */
struct world_sort {
    bool by_name, descending;
};

/* The place of a row in that order. */
struct ist_place world_place(const struct world_row *,
                             const struct world_sort *);

/* The rows of all sites with include[i], in order, behind 'after' (NULL: from
 * the start), at most 'limit'. 'page' has room for that many. Returns the
 * number. */
uint32_t world_page(const struct world *, const struct world_sort *,
                    const bool *include, const struct ist_place *after,
                    uint32_t limit, const struct world_row **page);

#endif
