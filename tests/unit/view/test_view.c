/* Random changes and random questions against a model that is an array. */
#include "view/gather.h"

#include "../scratch.h"
#include "base/rand.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define N_SITES   5
#define N_ROWS    60
#define LONG_NAME 1024

/* Of a server, all but the id, as in model/kind.c. */
enum {
    NAME,
    STATUS,
    PROJECT,
    CREATED,
    UPDATED,
    USER,
    HOST,
    ZONE,
    LAUNCHED,
    KEYS
};

struct model {
    char site[8], id[16];
    char *keys[KEYS];
    char body[160];
    bool there;
};

struct box {
    char dir[SCRATCH_SIZE];
    struct ist_loop loop;
    struct ist_tree *tree;
    struct view *view;
    const struct ist_kind *kind;
    struct model rows[N_SITES][N_ROWS];
    struct ist_arena arena;
    struct ist_err err;
    MDB_txn *txn;
    /* Changes go through it, and are held by the arena until the flush; NULL:
     * they are made at once. */
    struct view_gather *gather;
    bool is_gathering;
    struct ist_arena held;
};

static void open_it(struct box *box)
{
    struct ist_tree_conf conf = {.path = scratch_path(box->dir, "hub.db"),
                                 .size_max = 64U << 20,
                                 .maps_max = 16};

    box->tree = ist_tree_open(&box->loop, &conf, &box->err);
    if (box->tree)
        box->view = view_open(box->tree, &box->err);
    if (!box->view)
        fail_msg("%s", box->err.text);
    if (box->is_gathering)
        box->gather = view_gather_new(box->view);
}

static void close_it(struct box *box)
{
    box->gather = view_gather_free(box->gather);
    box->view = view_free(box->view);
    box->tree = ist_tree_free(box->tree);
}

static int setup(void **state)
{
    struct box *box = calloc(1, sizeof(*box));

    scratch_make(box->dir);
    ist_rand_plant(3);
    ist_loop_init_virtual(&box->loop, 1800000000000ULL);
    box->kind = ist_kind_find("server");
    ist_arena_init(&box->arena, 64U << 20);
    ist_arena_init(&box->held, 64U << 20);
    open_it(box);
    for (size_t s = 0; s < N_SITES; s++) {
        for (size_t i = 0; i < N_ROWS; i++) {
            struct model *row = &box->rows[s][i];

            snprintf(row->site, sizeof(row->site), "s%zu", s);
            snprintf(row->id, sizeof(row->id), "id-%02zu", i);
        }
    }
    *state = box;
    return 0;
}

static int teardown(void **state)
{
    struct box *box = *state;

    close_it(box);
    ist_loop_fini(&box->loop);
    ist_arena_fini(&box->arena);
    ist_arena_fini(&box->held);
    for (size_t s = 0; s < N_SITES; s++) {
        for (size_t i = 0; i < N_ROWS; i++) {
            for (size_t k = 0; k < KEYS; k++)
                free(box->rows[s][i].keys[k]);
        }
    }
    scratch_drop(box->dir);
    ist_rand_unplant();
    free(box);
    return 0;
}

static void begin(struct box *box)
{
    assert_int_equal(ist_tree_begin(box->tree, &box->txn, &box->err), 0);
}

static void flush(struct box *box)
{
    if (box->gather)
        assert_int_equal(view_gather_flush(box->gather, box->txn, &box->err),
                         0);
    ist_arena_reset(&box->held);
}

static void commit(struct box *box)
{
    flush(box);
    assert_int_equal(mdb_txn_commit(box->txn), 0);
}

/* Changes */

/* "<word><a number below n>" */
static char *text(const char *word, uint64_t n)
{
    char buf[64];

    snprintf(buf, sizeof(buf), "%s%u", word, (unsigned) ist_rand_below(n));
    return strdup(buf);
}

/* Few values, so that ties are the rule; some as long as may be, alike but for
 * their ends. */
static char *draw_name(void)
{
    char *name;

    if (ist_rand_below(4))
        return text("vm-", 6);
    name = malloc(LONG_NAME + 1);
    memset(name, 'x', LONG_NAME);
    name[LONG_NAME] = '\0';
    name[LONG_NAME - 1] = (char) ('a' + ist_rand_below(3));
    return name;
}

static void draw(struct model *row)
{
    for (size_t k = 0; k < KEYS; k++)
        free(row->keys[k]);
    row->keys[NAME] = draw_name();
    row->keys[STATUS] = strdup(ist_rand_below(2) ? "ACTIVE" : "ERROR");
    row->keys[PROJECT] = text("p", 4);
    row->keys[CREATED] = text("2026-01-0", 9);
    row->keys[UPDATED] = text("2026-02-0", 9);
    row->keys[USER] = text("u", 3);
    row->keys[HOST] = text("h", 3);
    row->keys[ZONE] = strdup("");
    row->keys[LAUNCHED] = strdup("");
    snprintf(row->body, sizeof(row->body),
             "{\"id\":\"%s\",\"n\":%u,\"addresses\":{\"net\":[{\"addr\":"
             "\"10.0.%u.%u\",\"version\":4}]}}",
             row->id, (unsigned) ist_rand_below(1000000), row->site[1] - '0',
             (unsigned) ist_rand_below(250));
    row->there = true;
}

static ProtobufCBinaryData held(struct box *box, const char *text)
{
    return (ProtobufCBinaryData){
        strlen(text), (uint8_t *) ist_arena_strdup(&box->held, text)};
}

static void upsert(struct box *box, const struct model *row)
{
    Isthmus__V1__Record *record = ist_arena_alloc(&box->held, sizeof(*record));
    ProtobufCBinaryData *keys =
        ist_arena_alloc(&box->held, KEYS * sizeof(*keys));
    int rc;

    isthmus__v1__record__init(record);
    for (size_t k = 0; k < KEYS; k++)
        keys[k] = held(box, row->keys[k]);
    record->n_keys = KEYS;
    record->keys = keys;
    record->id = (char *) held(box, row->id).data;
    record->body = held(box, row->body);
    rc = box->gather ? view_gather_upsert(box->gather, box->txn, row->site,
                                          box->kind, record, &box->err)
                     : view_upsert(box->view, box->txn, row->site, box->kind,
                                   record, &box->err);
    assert_int_equal(rc, 0);
}

static void delete (struct box *box, struct model *row)
{
    int rc = box->gather ? view_gather_delete(box->gather, box->txn, row->site,
                                              box->kind, row->id, &box->err)
                         : view_delete(box->view, box->txn, row->site,
                                       box->kind, row->id, &box->err);

    assert_int_equal(rc, 0);
    row->there = false;
}

static void change_something(struct box *box)
{
    struct model *row =
        &box->rows[ist_rand_below(N_SITES)][ist_rand_below(N_ROWS)];

    if (ist_rand_below(3)) {
        draw(row);
        upsert(box, row);
        return;
    }
    delete (box, row);
}

/* A site is stated again: some rows have changed, some are gone. */
static void state_again(struct box *box)
{
    size_t s = (size_t) ist_rand_below(N_SITES);
    const char *site = box->rows[s][0].site;

    flush(box);
    assert_int_equal(
        view_begin(box->view, box->txn, site, box->kind, &box->err), 0);
    for (size_t i = 0; i < N_ROWS; i++) {
        struct model *row = &box->rows[s][i];
        uint64_t dice = ist_rand_below(4);

        if (dice == 0)
            row->there = false;
        else if (dice == 1)
            draw(row);
        if (row->there)
            upsert(box, row);
    }
    flush(box);
    assert_int_equal(view_end(box->view, box->txn, site, box->kind, &box->err),
                     0);
}

static void change_much(struct box *box, unsigned n)
{
    begin(box);
    while (n--) {
        if (ist_rand_below(40) == 0)
            state_again(box);
        else
            change_something(box);
    }
    commit(box);
}

/* Questions */

static const char *const sorts[] = {"id",      "name",       "status",
                                    "project", "created_at", "updated_at",
                                    "user",    "host"};

static int key_of(const char *name)
{
    static const struct {
        const char *name;
        int key;
    } keys[] = {{"name", NAME},       {"status", STATUS},
                {"project", PROJECT}, {"created_at", CREATED},
                {"user", USER},       {"updated_at", UPDATED},
                {"host", HOST}};

    for (size_t i = 0; i < IST_COUNT(keys); i++) {
        if (strcmp(keys[i].name, name) == 0)
            return keys[i].key;
    }
    return -1;
}

static struct ist_place place_of(const struct model *row,
                                 const struct view_query *query)
{
    struct ist_place place = {.site = row->site,
                              .id = {row->id, strlen(row->id)}};

    for (size_t i = 0; i < query->n_sort; i++) {
        int key = key_of(query->sort[i].name);
        const char *value = key < 0 ? row->id : row->keys[key];

        place.keys[i] = (struct ist_bytes){value, strlen(value)};
    }
    return place;
}

static const struct view_query *asked; /* For qsort(). */
static struct ist_order asked_order;

static int by_place(const void *a, const void *b)
{
    struct ist_place x = place_of(*(const struct model *const *) a, asked);
    struct ist_place y = place_of(*(const struct model *const *) b, asked);

    return ist_order_cmp(&asked_order, &x, &y);
}

static bool among(const char *text, char *const *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(values[i], text) == 0)
            return true;
    }
    return false;
}

static bool matches(const struct model *row, const struct view_query *query)
{
    struct ist_place place;

    if (!row->there ||
        (query->sites && !among(row->site, query->sites, query->n_sites)) ||
        (query->projects &&
         !among(row->keys[PROJECT], query->projects, query->n_projects)))
        return false;
    for (size_t i = 0; i < query->n_filters; i++) {
        int key = key_of(query->filters[i].name);

        if (!among(key < 0 ? row->id : row->keys[key], query->filters[i].values,
                   query->filters[i].n_values))
            return false;
    }
    place = place_of(row, query);
    return !query->after ||
           ist_order_cmp(&asked_order, &place, query->after) > 0;
}

static size_t expect(struct box *box, const struct view_query *query,
                     const struct model **want)
{
    size_t n = 0;

    asked = query;
    asked_order.n_keys = query->n_sort;
    for (size_t i = 0; i < query->n_sort; i++)
        asked_order.descending[i] = query->sort[i].descending;
    for (size_t s = 0; s < N_SITES; s++) {
        for (size_t i = 0; i < N_ROWS; i++) {
            if (matches(&box->rows[s][i], query))
                want[n++] = &box->rows[s][i];
        }
    }
    if (n)
        qsort(want, n, sizeof(want[0]), by_place);
    return n;
}

static struct view_page check(struct box *box, const struct view_query *query)
{
    const struct model *want[N_SITES * N_ROWS] = {NULL};
    size_t n = expect(box, query, want);
    struct view_page page;

    assert_int_equal(view_page(box->view, query, &box->arena, &page, &box->err),
                     0);
    assert_int_equal(page.has_more, n > query->limit);
    assert_int_equal(page.n_rows, n > query->limit ? query->limit : n);
    assert_false(page.is_cut);
    for (size_t i = 0; i < page.n_rows; i++) {
        struct ist_place place = place_of(want[i], query);

        assert_int_equal(
            ist_order_cmp(&asked_order, &place, &page.rows[i].place), 0);
        assert_int_equal(page.rows[i].body.size, strlen(want[i]->body));
        assert_memory_equal(page.rows[i].body.data, want[i]->body,
                            page.rows[i].body.size);
    }
    return page;
}

static void draw_question(struct view_query *query, struct view_filter *filter,
                          char **words)
{
    static char *statuses[] = {(char *) "ERROR"};
    static char *hosts[] = {(char *) "h1", (char *) "h2"};
    static char *ids[] = {(char *) "id-07", (char *) "id-31"};
    static char *names[] = {(char *) "vm-1"};
    static const struct view_filter filters[] = {
        {"status", statuses, 1}, {"host", hosts, 2},  {"id", ids, 2},
        {"name", names, 1},      {"status", NULL, 0},
    };

    query->n_sort = 1 + ist_rand_below(3);
    for (size_t i = 0; i < query->n_sort; i++) {
        query->sort[i].name = sorts[ist_rand_below(IST_COUNT(sorts))];
        query->sort[i].descending = ist_rand_below(2) != 0;
    }
    query->limit = 1 + ist_rand_below(ist_rand_below(2) ? 100 : 7);
    if (ist_rand_below(3) == 0) {
        *filter = filters[ist_rand_below(IST_COUNT(filters))];
        query->filters = filter;
        query->n_filters = 1;
    }
    if (ist_rand_below(4) == 0) {
        words[0] = (char *) "s1";
        words[1] = (char *) "s3";
        query->sites = words;
        query->n_sites = 1 + ist_rand_below(2);
    }
    if (ist_rand_below(3) == 0) {
        words[2] = (char *) "p1";
        words[3] = (char *) "p3";
        query->projects = words + 2;
        query->n_projects = 1 + ist_rand_below(2);
    }
}

static void ask_something(struct box *box)
{
    struct view_query query = {.kind = box->kind};
    struct view_filter filter;
    struct ist_place after;
    struct view_page page;
    char *words[4];

    ist_arena_reset(&box->arena);
    draw_question(&query, &filter, words);
    page = check(box, &query);
    /* From page to page, and once from where a row is no more. */
    while (page.has_more) {
        after = page.rows[page.n_rows - 1].place;
        query.after = &after;
        page = check(box, &query);
    }
}

static void ask_at_random(struct box *box)
{
    for (unsigned round = 0; round < 60; round++) {
        change_much(box, 40);
        for (unsigned i = 0; i < 12; i++)
            ask_something(box);
        if (round % 20 == 19) {
            close_it(box);
            open_it(box);
        }
    }
}

static void test_random(void **state)
{
    ask_at_random(*state);
}

/* The same, where what is changed several times in a transaction is written
 * once. */
static void test_random_gathered(void **state)
{
    struct box *box = *state;

    box->is_gathering = true;
    close_it(box);
    open_it(box);
    ask_at_random(box);
}

/* A page goes on behind a row that has been deleted meanwhile. */
static void test_place_without_row(void **state)
{
    struct box *box = *state;
    struct view_query query = {
        .kind = box->kind, .sort = {{"name", true}}, .n_sort = 1, .limit = 5};
    struct ist_place after;
    struct view_page page;

    change_much(box, 300);
    page = check(box, &query);
    after = page.rows[4].place;
    query.after = &after;
    begin(box);
    for (size_t s = 0; s < N_SITES; s++) {
        for (size_t i = 0; i < N_ROWS; i++) {
            struct model *row = &box->rows[s][i];

            if (strcmp(row->site, after.site) || strcmp(row->id, after.id.data))
                continue;
            view_delete(box->view, box->txn, row->site, box->kind, row->id,
                        &box->err);
            row->there = false;
        }
    }
    commit(box);
    check(box, &query);
}

static void test_counts(void **state)
{
    struct box *box = *state;
    bool more = true;

    change_much(box, 500);
    for (size_t s = 0; s < N_SITES; s++) {
        uint64_t n = 0;

        for (size_t i = 0; i < N_ROWS; i++)
            n += box->rows[s][i].there;
        assert_int_equal(view_count_site(box->view, box->rows[s][0].site), n);
    }
    while (more) {
        begin(box);
        assert_int_equal(
            view_drop_site(box->view, box->txn, "s2", 7, &more, &box->err), 0);
        commit(box);
    }
    for (size_t i = 0; i < N_ROWS; i++)
        box->rows[2][i].there = false;
    assert_int_equal(view_count_site(box->view, "s2"), 0);
    for (unsigned i = 0; i < 20; i++)
        ask_something(box);
}

static void test_show(void **state)
{
    struct box *box = *state;
    struct view_page page;

    begin(box);
    for (size_t s = 0; s < 3; s++) {
        draw(&box->rows[s][4]);
        upsert(box, &box->rows[s][4]);
    }
    commit(box);
    view_show(box->view, box->kind, "id-04", NULL, &box->arena, &page,
              &box->err);
    assert_int_equal(page.n_rows, 3);
    view_show(box->view, box->kind, "id-04", "s1", &box->arena, &page,
              &box->err);
    assert_int_equal(page.n_rows, 1);
    assert_string_equal(page.rows[0].place.site, "s1");
    view_show(box->view, box->kind, "id-05", NULL, &box->arena, &page,
              &box->err);
    assert_int_equal(page.n_rows, 0);
}

static size_t hits(struct box *box, const char *text, char *const *projects,
                   size_t n_projects, struct view_hit **ret)
{
    size_t n;
    bool more;

    assert_int_equal(view_search(box->view, text, projects, n_projects, 10,
                                 &box->arena, ret, &n, &more, &box->err),
                     0);
    return n;
}

static void test_search(void **state)
{
    struct box *box = *state;
    struct model *row = &box->rows[1][7];
    char *mine[] = {(char *) "p1"}, *theirs[] = {(char *) "p2"};
    struct view_hit *found;

    draw(row);
    free(row->keys[NAME]);
    free(row->keys[PROJECT]);
    row->keys[NAME] = strdup("Gateway-West");
    row->keys[PROJECT] = strdup("p1");
    snprintf(row->body, sizeof(row->body),
             "{\"addresses\":{\"a \\\"net\\\"\":[{\"x\":\"10.9.9.9\",\"addr\":"
             "\"10.1.2.3\"}]}}");
    begin(box);
    upsert(box, row);
    commit(box);
    assert_int_equal(hits(box, "gateway", NULL, 0, &found), 1);
    assert_string_equal(found[0].site, "s1");
    assert_string_equal(found[0].what, "name");
    assert_string_equal(found[0].name, "Gateway-West");
    assert_int_equal(hits(box, "10.1.2", NULL, 0, &found), 1);
    assert_string_equal(found[0].what, "address");
    assert_string_equal(found[0].text, "10.1.2.3");
    assert_int_equal(hits(box, "10.9.9", NULL, 0, &found), 0);
    assert_int_equal(hits(box, "ID-07", NULL, 0, &found), 1);
    assert_int_equal(hits(box, "gateway", mine, 1, &found), 1);
    assert_int_equal(hits(box, "gateway", theirs, 1, &found), 0);
    free(row->keys[NAME]);
    row->keys[NAME] = strdup("other");
    snprintf(row->body, sizeof(row->body), "{\"addresses\":{}}");
    begin(box);
    upsert(box, row);
    commit(box);
    assert_int_equal(hits(box, "gateway", NULL, 0, &found), 0);
    assert_int_equal(hits(box, "10.1.2.3", NULL, 0, &found), 0);
    assert_int_equal(hits(box, "other", NULL, 0, &found), 1);
    begin(box);
    view_delete(box->view, box->txn, "s1", box->kind, row->id, &box->err);
    commit(box);
    assert_int_equal(hits(box, "id-07", NULL, 0, &found), 0);
}

static void test_search_too_short(void **state)
{
    struct box *box = *state;
    struct view_hit *found;
    size_t n;
    bool more;

    assert_int_equal(view_search(box->view, "a", NULL, 0, 10, &box->arena,
                                 &found, &n, &more, &box->err),
                     -EINVAL);
}

static void test_arena_too_small(void **state)
{
    struct box *box = *state;
    struct view_query query = {
        .kind = box->kind, .sort = {{"id", false}}, .n_sort = 1, .limit = 200};
    struct ist_arena small;
    struct view_page page;

    change_much(box, 300);
    ist_arena_init(&small, 1000);
    assert_int_equal(view_page(box->view, &query, &small, &page, &box->err),
                     -ENOBUFS);
    ist_arena_fini(&small);
}

static void test_scan_is_bounded(void **state)
{
    struct box *box = *state;
    struct view_query query = {.kind = box->kind,
                               .sort = {{"host", false}},
                               .n_sort = 1,
                               .limit = 5,
                               .scan_max = 10};
    struct view_page page;

    change_much(box, 300);
    assert_int_equal(
        view_page(box->view, &query, &box->arena, &page, &box->err), 0);
    assert_true(page.is_cut);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_random),
        TEST(test_random_gathered),
        TEST(test_place_without_row),
        TEST(test_counts),
        TEST(test_show),
        TEST(test_search),
        TEST(test_search_too_short),
        TEST(test_arena_too_small),
        TEST(test_scan_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
