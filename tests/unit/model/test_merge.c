#include "model/merge.h"

#include "base/rand.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SITES_MAX 8
#define ROWS_MAX  40

/* A federation: each site's rows, sorted as a site sorts them. Few different
 * times, so that ties are the rule. */
struct world {
    struct ist_order order;
    uint32_t n_sites;
    char sites[SITES_MAX][16];
    struct cell {
        char time[16], id[24];
        struct ist_place place;
    } rows[SITES_MAX][ROWS_MAX];
    size_t n_rows[SITES_MAX];
};

static struct world world;

static int by_place(const void *a, const void *b)
{
    const struct cell *x = a, *y = b;

    return ist_order_cmp(&world.order, &x->place, &y->place);
}

static void point(struct cell *cell, const char *site)
{
    cell->place = (struct ist_place){.keys = {{cell->time, strlen(cell->time)}},
                                     .site = site,
                                     .id = {cell->id, strlen(cell->id)}};
}

static void make_world(void)
{
    world.order = (struct ist_order){1, {ist_rand_below(2) != 0}};
    world.n_sites = 1 + (uint32_t) ist_rand_below(SITES_MAX);
    for (uint32_t s = 0; s < world.n_sites; s++) {
        snprintf(world.sites[s], sizeof(world.sites[s]), "s%u", s);
        world.n_rows[s] = ist_rand_below(ROWS_MAX + 1);
        for (size_t i = 0; i < world.n_rows[s]; i++) {
            struct cell *cell = &world.rows[s][i];

            snprintf(cell->time, sizeof(cell->time), "%u",
                     (unsigned) ist_rand_below(5));
            snprintf(cell->id, sizeof(cell->id), "%zu", i);
            point(cell, world.sites[s]);
        }
        qsort(world.rows[s], world.n_rows[s], sizeof(struct cell), by_place);
        for (size_t i = 0; i < world.n_rows[s]; i++)
            point(&world.rows[s][i], world.sites[s]);
    }
}

/* What a page must be: all rows of the sites not in 'failed', sorted. */
static size_t expect(const bool *failed, struct cell *all)
{
    size_t n = 0;

    for (uint32_t s = 0; s < world.n_sites; s++) {
        for (size_t i = 0; !failed[s] && i < world.n_rows[s]; i++)
            all[n++] = world.rows[s][i];
    }
    qsort(all, n, sizeof(*all), by_place);
    return n;
}

static void assert_page(const struct ist_merge *merge, const struct cell *all,
                        size_t n, size_t limit)
{
    assert_int_equal(merge->n_page, n < limit ? n : limit);
    for (size_t i = 0; i < merge->n_page; i++)
        assert_int_equal(
            ist_order_cmp(&world.order, &merge->page[i].place, &all[i].place),
            0);
}

/* Pushes the sites' rows in a random interleaving; some sites fail somewhere,
 * also after their last row was taken. */
static void run_once(void)
{
    static struct cell all[SITES_MAX * ROWS_MAX];
    struct ist_arena arena;
    struct ist_merge merge;
    size_t sent[SITES_MAX] = {0}, fails_at[SITES_MAX], n;
    bool failed[SITES_MAX] = {false}, over[SITES_MAX] = {false};
    size_t limit = 1 + ist_rand_below(SITES_MAX * ROWS_MAX / 2);

    make_world();
    ist_arena_init(&arena, 1 << 20);
    assert_int_equal(
        ist_merge_init(&merge, &world.order, limit, world.n_sites, &arena), 0);
    for (uint32_t s = 0; s < world.n_sites; s++)
        fails_at[s] = ist_rand_below(4) == 0
                          ? ist_rand_below(world.n_rows[s] + 1)
                          : SIZE_MAX;
    while (!ist_merge_complete(&merge)) {
        uint32_t s = (uint32_t) ist_rand_below(world.n_sites);
        struct ist_bytes body = {"b", 1};

        if (over[s])
            continue;
        if (sent[s] == fails_at[s]) {
            ist_merge_fail(&merge, s);
            failed[s] = over[s] = true;
        } else if (sent[s] == world.n_rows[s]) {
            ist_merge_end(&merge, s);
            over[s] = true;
        } else {
            assert_int_equal(ist_merge_push(&merge, s,
                                            &world.rows[s][sent[s]++].place,
                                            &body),
                             0);
        }
    }
    n = expect(failed, all);
    assert_page(&merge, all, n, limit);
    if (n > limit)
        assert_true(ist_merge_has_more(&merge));
    ist_arena_fini(&arena);
}

static void test_any_interleaving_gives_the_exact_page(void **state)
{
    (void) state;
    ist_rand_plant(42);
    for (int i = 0; i < 3000; i++)
        run_once();
    ist_rand_unplant();
}

static void test_a_row_out_of_order_is_refused(void **state)
{
    struct ist_arena arena;
    struct ist_merge merge;
    struct ist_order order = {1, {true}};
    struct ist_place a = {.keys = {{"2", 1}}, .site = "s", .id = {"a", 1}};
    struct ist_place b = {.keys = {{"3", 1}}, .site = "s", .id = {"b", 1}};
    struct ist_bytes body = {"", 0};

    (void) state;
    ist_arena_init(&arena, 1 << 16);
    assert_int_equal(ist_merge_init(&merge, &order, 10, 1, &arena), 0);
    assert_int_equal(ist_merge_push(&merge, 0, &a, &body), 0);
    assert_int_equal(ist_merge_push(&merge, 0, &b, &body), IST_MERGE_DISORDER);
    assert_int_equal(ist_merge_push(&merge, 0, &a, &body), IST_MERGE_DISORDER);
    ist_arena_fini(&arena);
}

static void test_no_site_no_rows(void **state)
{
    struct ist_arena arena;
    struct ist_merge merge;
    struct ist_order order = {0};

    (void) state;
    ist_arena_init(&arena, 1 << 16);
    assert_int_equal(ist_merge_init(&merge, &order, 10, 0, &arena), 0);
    assert_true(ist_merge_complete(&merge));
    assert_false(ist_merge_has_more(&merge));
    ist_arena_fini(&arena);
}

static void test_the_arena_bounds_it(void **state)
{
    struct ist_arena arena;
    struct ist_merge merge;
    struct ist_order order = {0};

    (void) state;
    ist_arena_init(&arena, 1024);
    assert_int_equal(ist_merge_init(&merge, &order, 1000, 1, &arena), -ENOMEM);
    ist_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_interleaving_gives_the_exact_page),
        cmocka_unit_test(test_a_row_out_of_order_is_refused),
        cmocka_unit_test(test_no_site_no_rows),
        cmocka_unit_test(test_the_arena_bounds_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
