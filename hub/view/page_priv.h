/* Between the files of a page: page.c chooses and keeps, page_order.c walks the
 * map in the order wanted. */
#ifndef VIEW_PAGE_PRIV_H
#define VIEW_PAGE_PRIV_H

#include "view/key.h"
#include "view/row.h"

struct walk {
    struct view *view;
    MDB_txn *txn;
    const struct view_query *query;
    uint16_t kind;
    int sort[IST_ORDER_KEYS_MAX], project; /* Members; -1: none. */
    struct ist_order order;
    /* Only rows with these values of the first sort keys. */
    struct ist_bytes fixed[IST_ORDER_KEYS_MAX];
    size_t n_fixed;
    uint64_t n_all; /* Rows of the kind; 0: not counted yet. */

    /* The best so far; borrowed from the map. Twice the page, so that sorting
     * them is rare. */
    struct view_row *best;
    size_t n_best, wanted;
    size_t n_looked;
    bool is_cut;
    int rc; /* Of LMDB; sticky. */
};

/* May one more row be looked at? */
bool page_may_look(struct walk *);
/* Looks at one row, whose key is known; true: it was kept. */
bool page_look_at(struct walk *, const char *site, const struct ist_bytes *id);
/* Has the place the values that 'fixed' says? */
bool page_is_of_group(const struct walk *, const struct ist_place *);
/* Rows of the kind at the sites wanted. */
uint64_t page_count_all(struct walk *);

/* Keeps the first rows in the order wanted, of a project, or of all (NULL). */
void page_walk_order(struct walk *, const char *project);

/* Rows with one of the values of a filter, from that member's map, 'max' and a
 * few; with 'count' only how many there are. */
size_t page_walk_values(struct walk *, const struct view_filter *, size_t max,
                        bool count);

#endif
