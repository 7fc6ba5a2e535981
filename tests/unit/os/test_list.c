#include "world.h"

#include "base/rand.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S(n) (WORLD_WALL_MS + (uint64_t) (n) *1000)

static void three_servers(struct world *w)
{
    fake_site_add(w->site, "server", "b", "web", "p1", "ACTIVE", S(20));
    fake_site_add(w->site, "server", "a", "web", "p1", "ERROR", S(20));
    fake_site_add(w->site, "server", "c", "db", "p2", "ACTIVE", S(10));
}

static struct os_list list_of(const char *kind, size_t limit)
{
    return (struct os_list){.kind = kind, .limit = limit};
}

static void sort_by(struct os_list *list, const char *name, bool descending)
{
    list->sort[list->n_sort++] = (struct os_sort){name, descending};
}

static void test_order_of_the_service(void **state)
{
    struct os_list list = list_of("server", 10);
    struct world w;

    (void) state;
    world_init(&w);
    three_servers(&w);
    sort_by(&list, "created_at", true);
    world_list(&w, &list, 1000);
    assert_int_equal(list.op.rc, 0);
    assert_string_equal(world_ids(&list), "a b c");
    assert_memory_equal(list.records[0].keys[0].data,
                        "2026-11-25T08:00:20.000000", 26);
    assert_non_null(strstr(w.site->last_path, "all_tenants=1"));
    assert_non_null(strstr(w.site->last_path,
                           "sort_key=created_at&sort_dir=desc&sort_key=uuid&"
                           "sort_dir=asc"));
    assert_string_equal(w.site->last_version, "2.93");
    assert_non_null(strstr(list.records[0].body.data, "\"tenant_id\": \"p1\""));
    os_list_fini(&list);
    world_fini(&w);
}

static void test_order_of_ours(void **state)
{
    struct os_list list = list_of("server", 10);
    struct world w;

    (void) state;
    world_init(&w);
    three_servers(&w);
    sort_by(&list, "name", false);
    sort_by(&list, "status", true);
    world_list(&w, &list, 1000);
    assert_string_equal(world_ids(&list), "c a b");
    assert_null(strstr(w.site->last_path, "sort"));
    os_list_fini(&list);

    list = list_of("server", 10);
    world_list(&w, &list, 1000);
    assert_string_equal(world_ids(&list), "a b c");
    os_list_fini(&list);
    world_fini(&w);
}

static void test_filters(void **state)
{
    static const char *const active[] = {"ACTIVE"};
    static const char *const names[] = {"db", "web"};
    static const char *const ids[] = {"a", "b", "z"};
    struct os_list list = list_of("server", 10);
    struct world w;

    (void) state;
    world_init(&w);
    three_servers(&w);
    list.filters[0] = (struct os_filter){"status", active, 1};
    list.filters[1] = (struct os_filter){"name", names, 2};
    list.n_filters = 2;
    world_list(&w, &list, 1000);
    assert_string_equal(world_ids(&list), "b c");
    assert_non_null(strstr(w.site->last_path, "status=ACTIVE"));
    assert_null(strstr(w.site->last_path, "name="));
    os_list_fini(&list);

    list = list_of("server", 10);
    list.filters[0] = (struct os_filter){"id", ids, 3};
    list.n_filters = 1;
    world_list(&w, &list, 1000);
    assert_string_equal(world_ids(&list), "a b");
    os_list_fini(&list);

    list.filters[0] = (struct os_filter){"id", ids, 0};
    world_list(&w, &list, 1000);
    assert_int_equal(list.op.rc, 0);
    assert_int_equal(list.n_records, 0);
    os_list_fini(&list);
    world_fini(&w);
}

/* What the service would refuse, or take for something else, or answer by
 * changing itself, is not sent: it is filtered here. */
static void test_filters_not_sent(void **state)
{
    static const struct {
        const char *kind, *filter, *value, *part;
        bool is_sent;
    } rows[] = {
        {"server", "status", "SHUTOFF", "status=SHUTOFF", true},
        {"server", "status", "NOSUCH", "status=", false},
        {"server", "status", "DELETED", "status=", false},
        {"server", "status", "active", "status=", false},
        {"server", "project", "NOSUCH", "project_id=NOSUCH", true},
        {"router", "status", "ACTIVE", "status=", false},
        {"router", "project", "p1", "project_id=p1", true},
        {"security-group", "project", "p1", "project_id=", false},
        {"security-group", "name", "web", "name=web", true},
        {"image", "name", "debian-12", "name=debian-12", true},
        {"image", "name", "debian:12", "name=", false},
        {"image", "name", "in:a,b", "name=", false},
        {"network", "name", "a:b", "name=a%3Ab", true},
    };
    struct world w;

    (void) state;
    world_init(&w);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct os_list list = list_of(rows[i].kind, 10);

        list.filters[0] = (struct os_filter){rows[i].filter, &rows[i].value, 1};
        list.n_filters = 1;
        fake_site_add(w.site, rows[i].kind, "a", "debian:12", "p1", "DELETED",
                      S(10));
        world_list(&w, &list, 1000);
        assert_int_equal(list.op.rc, 0);
        assert_int_equal(!!strstr(w.site->last_path, rows[i].part),
                         rows[i].is_sent);
        os_list_fini(&list);
    }
    world_fini(&w);
}

static void test_no_admin(void **state)
{
    struct os_list list = list_of("server", 10);
    struct world w;

    (void) state;
    world_init(&w);
    three_servers(&w);
    w.site->role = "member";
    w.site->project = "p2";
    world_list(&w, &list, 1000);
    assert_string_equal(world_ids(&list), "c");
    os_list_fini(&list);
    world_fini(&w);
}

/* Any list, read in pages of any size, is that list: no row lost, none twice,
 * whatever the ties, the marker's site, and the service's own page size. */
static void pages_are_exact(struct world *w, const char *kind,
                            const struct os_sort *sort, size_t n_sort,
                            size_t limit, enum os_ties ties)
{
    struct os_list all = list_of(kind, 1000), page = list_of(kind, limit);
    char id[64] = "", keys[IST_ORDER_KEYS_MAX][64];
    size_t seen = 0;

    for (size_t i = 0; i < n_sort; i++)
        all.sort[i] = page.sort[i] = sort[i];
    all.n_sort = page.n_sort = n_sort;
    world_list(w, &all, 100000);
    assert_int_equal(all.op.rc, 0);
    for (;;) {
        world_list(w, &page, 100000);
        assert_int_equal(page.op.rc, 0);
        for (size_t i = 0; i < page.n_records; i++, seen++)
            if (strcmp(page.records[i].id, all.records[seen].id) != 0)
                fail_msg("limit %zu, key %s, page of %u: at %zu is %s, not %s",
                         limit, n_sort ? sort[0].name : "none",
                         w->site->page_max, seen, page.records[i].id,
                         all.records[seen].id);
        if (page.n_records < limit)
            break;
        snprintf(id, sizeof(id), "%s", page.records[limit - 1].id);
        page.after = (struct ist_place){.site = "", .id = {id, strlen(id)}};
        for (size_t i = 0; i < n_sort; i++) {
            const struct ist_bytes *k = &page.records[limit - 1].keys[i];

            memcpy(keys[i], k->data, k->size);
            page.after.keys[i] = (struct ist_bytes){keys[i], k->size};
        }
        page.has_after = true;
        page.ties = ties;
        os_list_fini(&page);
    }
    assert_int_equal(seen, all.n_records);
    os_list_fini(&page);
    os_list_fini(&all);
}

static void random_servers(struct world *w, unsigned n)
{
    static const char *const names[] = {"web", "db", "cache", "", "\xC3\xA9"};

    for (unsigned i = 0; i < n; i++) {
        char id[32];

        snprintf(id, sizeof(id), "%08x-%u",
                 (unsigned) ist_rand_below(UINT32_MAX), i);
        fake_site_add(w->site, "server", id, names[ist_rand_below(5)], "p1",
                      "ACTIVE", S(ist_rand_below(8)));
    }
}

static void test_pages_are_exact(void **state)
{
    static const struct os_sort by_time[] = {{"created_at", true}};
    static const struct os_sort by_time_up[] = {{"created_at", false},
                                                {"id", true}};
    static const struct os_sort by_name[] = {{"name", false},
                                             {"created_at", true}};
    struct world w;

    (void) state;
    ist_rand_plant(7);
    world_init(&w);
    random_servers(&w, 100);
    for (unsigned page_max = 3; page_max < 200; page_max *= 3) {
        w.site->page_max = page_max;
        for (size_t limit = 1; limit <= 101; limit += 11) {
            pages_are_exact(&w, "server", NULL, 0, limit, OS_TIES_AFTER_ID);
            pages_are_exact(&w, "server", by_time, 1, limit, OS_TIES_AFTER_ID);
            pages_are_exact(&w, "server", by_time_up, 2, limit,
                            OS_TIES_AFTER_ID);
            pages_are_exact(&w, "server", by_name, 2, limit, OS_TIES_AFTER_ID);
        }
    }
    w.site->fault = FAKE_UNSORTED;
    for (size_t limit = 1; limit <= 101; limit += 20)
        pages_are_exact(&w, "server", by_time, 1, limit, OS_TIES_AFTER_ID);
    world_fini(&w);
    ist_rand_unplant();
}

static void after(struct os_list *list, const char *time, const char *id,
                  enum os_ties ties)
{
    list->has_after = true;
    list->ties = ties;
    list->after = (struct ist_place){
        .site = "", .keys[0] = {time, strlen(time)}, .id = {id, strlen(id)}};
}

static void test_ties(void **state)
{
    static const struct {
        const char *time, *id;
        enum os_ties ties;
        const char *ids;
    } cases[] = {
        {"2026-11-25T08:00:20.000000", "a", OS_TIES_AFTER_ID, "b c"},
        {"2026-11-25T08:00:20.000000", "aa", OS_TIES_AFTER_ID, "b c"},
        {"2026-11-25T08:00:20.000000", "b", OS_TIES_AFTER_ID, "c"},
        {"2026-11-25T08:00:20.000000", "a", OS_TIES_SKIP, "c"},
        {"2026-11-25T08:00:20.000000", "zz", OS_TIES_TAKE, "a b c"},
        {"2026-11-25T08:00:15.000000", "", OS_TIES_TAKE, "c"},
        {"2026-11-25T08:00:15.000000", "", OS_TIES_SKIP, "c"},
        {"2026-11-25T08:00:10.000000", "", OS_TIES_TAKE, "c"},
        {"2026-11-25T08:00:10.000000", "", OS_TIES_SKIP, ""},
        {"", "", OS_TIES_TAKE, ""},
        {"9999", "", OS_TIES_SKIP, "a b c"},
    };
    struct world w;

    (void) state;
    world_init(&w);
    three_servers(&w);
    /* Twice: without a trail, and behind one. */
    for (size_t i = 0; i < 2 * IST_COUNT(cases); i++) {
        size_t c = i % IST_COUNT(cases);
        struct os_list list = list_of("server", 10);

        sort_by(&list, "created_at", true);
        after(&list, cases[c].time, cases[c].id, cases[c].ties);
        world_list(&w, &list, 1000);
        assert_int_equal(list.op.rc, 0);
        assert_string_equal(world_ids(&list), cases[c].ids);
        os_list_fini(&list);
        if (i + 1 == IST_COUNT(cases)) {
            list = list_of("server", 10);
            sort_by(&list, "created_at", true);
            world_list(&w, &list, 1000);
            os_list_fini(&list);
        }
    }
    world_fini(&w);
}

/* One exchange for each page, from the second one on too. */
static void test_trail(void **state)
{
    char keys[64], id[64];
    struct os_list list = list_of("server", 10);
    struct world w;

    (void) state;
    ist_rand_plant(9);
    world_init(&w);
    random_servers(&w, 200);
    sort_by(&list, "created_at", true);
    world_list(&w, &list, 1000);
    assert_int_equal(list.n_pages, 2); /* The versions, and the page. */
    assert_int_equal(list.n_scanned, 10);
    for (int i = 0; i < 5; i++) {
        const struct os_record *last = &list.records[9];

        memcpy(keys, last->keys[0].data, last->keys[0].size);
        keys[last->keys[0].size] = '\0';
        strcpy(id, last->id);
        os_list_fini(&list);
        after(&list, keys, id, OS_TIES_AFTER_ID);
        list.n_pages = 0;
        list.n_scanned = 0;
        world_list(&w, &list, 1000);
        assert_int_equal(list.op.rc, 0);
        assert_int_equal(list.n_records, 10);
        assert_int_equal(list.n_pages, 1);
        assert_true(list.n_scanned <= 30);
        assert_non_null(strstr(w.site->last_path, "marker="));
    }
    /* The object behind which it would begin is gone: from the start then. */
    memcpy(keys, list.records[9].keys[0].data, list.records[9].keys[0].size);
    strcpy(id, list.records[9].id);
    os_list_fini(&list);
    assert_true(fake_site_remove(w.site, "server", id));
    list.n_pages = 0;
    world_list(&w, &list, 1000);
    assert_int_equal(list.op.rc, 0);
    os_list_fini(&list);
    after(&list, keys, id, OS_TIES_AFTER_ID);
    world_list(&w, &list, 1000);
    assert_int_equal(list.op.rc, 0);
    assert_int_equal(list.n_records, 10);
    os_list_fini(&list);
    world_fini(&w);
    ist_rand_unplant();
}

/* The rest of a list that ended for 'first', and how many it has. */
static size_t rest_of(struct world *w, struct os_list *list)
{
    const struct os_record *last = &list->records[list->n_records - 1];
    size_t n = list->n_records;
    char keys[64], id[64];

    snprintf(keys, sizeof(keys), "%.*s", (int) last->keys[0].size,
             (const char *) last->keys[0].data);
    snprintf(id, sizeof(id), "%s", last->id);
    os_list_fini(list);
    list->first = 0;
    list->limit -= n;
    after(list, keys, id, OS_TIES_AFTER_ID);
    world_list(w, list, 1000);
    assert_int_equal(list->op.rc, 0);
    assert_false(list->has_more);
    return list->n_records;
}

/* No more is asked for than what will do for now, and nothing is lost. */
static void test_first(void **state)
{
    struct os_list list = list_of("server", 100);
    struct world w;
    char *whole;

    (void) state;
    ist_rand_plant(9);
    world_init(&w);
    random_servers(&w, 200);
    sort_by(&list, "created_at", true);
    world_list(&w, &list, 1000);
    assert_false(list.has_more);
    whole = strdup(world_ids(&list));
    os_list_fini(&list);
    list.first = 12;
    world_list(&w, &list, 1000);
    assert_int_equal(list.op.rc, 0);
    assert_true(list.has_more);
    assert_int_equal(list.n_records, 12);
    assert_int_equal(list.n_scanned, 12);
    assert_memory_equal(whole, world_ids(&list), strlen(world_ids(&list)));
    assert_int_equal(rest_of(&w, &list), 88);
    assert_int_equal(list.n_pages, 1);
    assert_string_equal(whole + strlen(whole) - strlen(world_ids(&list)),
                        world_ids(&list));
    os_list_fini(&list);
    free(whole);
    world_fini(&w);
    ist_rand_unplant();
}

static void test_first_is_all(void **state)
{
    struct os_list list = list_of("server", 100);
    struct world w;

    (void) state;
    ist_rand_plant(9);
    world_init(&w);
    random_servers(&w, 50);
    sort_by(&list, "created_at", true);
    list.first = 50; /* As many as there are. */
    world_list(&w, &list, 1000);
    assert_int_equal(list.n_records, 50);
    assert_false(list.has_more);
    os_list_fini(&list);
    list.first = 1000; /* Over the limit it means nothing. */
    list.limit = 20;
    world_list(&w, &list, 1000);
    assert_int_equal(list.n_records, 20);
    assert_false(list.has_more);
    os_list_fini(&list);
    list = list_of("server", 40); /* In our order all are read anyway. */
    sort_by(&list, "name", false);
    list.first = 5;
    world_list(&w, &list, 1000);
    assert_int_equal(list.n_records, 40);
    assert_false(list.has_more);
    os_list_fini(&list);
    world_fini(&w);
    ist_rand_unplant();
}

/* Every kind: listed, paged, shown. */
static void test_every_kind(void **state)
{
    size_t n;
    const struct os_resource *resources = os_resources(&n);

    (void) state;
    for (size_t i = 0; i < n; i++) {
        const char *kind = resources[i].kind;
        bool one = strstr(resources[i].list_path, "{project}") ||
                   strchr(resources[i].collection, '.');
        struct os_list list = list_of(kind, 10);
        struct world w;

        world_init(&w);
        w.site->page_max = 2;
        for (int j = 0; j < (one ? 1 : 5); j++) {
            char id[64];

            snprintf(id, sizeof(id), "id%d", 4 - j);
            fake_site_add(w.site, kind, one ? w.site->project : id,
                          one ? "n" : id, w.site->project, "ACTIVE", S(j));
        }
        world_list(&w, &list, 1000);
        if (list.op.rc)
            fail_msg("%s: %s", kind, list.op.err.text);
        assert_string_equal(world_ids(&list),
                            one ? w.site->project : "id0 id1 id2 id3 id4");
        assert_memory_equal(list.records[0].body.data, "{", 1);
        if (resources[i].wrapper)
            assert_null(memmem(list.records[0].body.data,
                               list.records[0].body.size, resources[i].wrapper,
                               strlen(resources[i].wrapper)));
        os_list_fini(&list);
        world_fini(&w);
    }
}

/* --- What is not as it should be --- */

static void fails(struct world *w, struct os_list *list, int rc,
                  const char *sentence)
{
    world_list(w, list, 1000);
    if (list->op.rc != rc || !strstr(list->op.err.text, sentence))
        fail_msg("wanted %d %s\ngot %d %s", rc, sentence, list->op.rc,
                 list->op.err.text);
    os_list_fini(list);
}

static void test_bad_calls(void **state)
{
    struct os_list list = list_of("servers", 10);
    struct world w;

    (void) state;
    world_init(&w);
    fails(&w, &list, OS_E_UNSUPPORTED, "no kind of resource named servers");
    list = list_of("server", 0);
    fails(&w, &list, OS_E_BAD_CALL, "out of range");
    list = list_of("server", OS_LIMIT_MAX + 1);
    fails(&w, &list, OS_E_BAD_CALL, "out of range");
    list = list_of("server", 1);
    sort_by(&list, "colour", false);
    fails(&w, &list, OS_E_BAD_CALL, "no member that is called colour");
    list = list_of("flavor", 1);
    list.filters[0] = (struct os_filter){"project", NULL, 0};
    list.n_filters = 1;
    fails(&w, &list, OS_E_BAD_CALL, "no member that is called project");
    assert_int_equal(w.site->n_logins, 0);
    list = list_of("server", 1);
    list.version = "2.200";
    fails(&w, &list, OS_E_BAD_CALL, "2.200 is not offered here, only 2.1 to");
    list.version = "2.47";
    world_list(&w, &list, 1000);
    assert_int_equal(list.op.rc, 0);
    assert_string_equal(w.site->last_version, "2.47");
    os_list_fini(&list);
    world_fini(&w);
}

static void test_faults(void **state)
{
    static const struct {
        enum fake_fault fault;
        int rc;
        const char *sentence;
    } cases[] = {
        {FAKE_REFUSED, OS_E_UNREACHABLE, "compute: GET /v2.1/servers/detail: "},
        {FAKE_SILENT, -ETIMEDOUT,
         "compute: GET /v2.1/servers/detail: no "
         "answer in time"},
        {FAKE_CUT, OS_E_UNREACHABLE, "compute: GET /v2.1/servers/detail: "},
        {FAKE_TRUNCATED, OS_E_BAD_ANSWER, "answered JSON that ends too early"},
        {FAKE_HTML, OS_E_BAD_ANSWER, "answered text/html where JSON"},
        {FAKE_ERROR, OS_E_UPSTREAM, "503, It is unwell[31m"},
        {FAKE_BAD_TOKEN, OS_E_LOGIN, "401, Unauthorized; the agent's "},
        {FAKE_LOOP, OS_E_BAD_ANSWER, "leads back to a page that was read"},
        {FAKE_ELSEWHERE, OS_E_BAD_ANSWER, "points to another host"},
    };

    (void) state;
    for (size_t i = 0; i < IST_COUNT(cases); i++) {
        struct os_list list = list_of("server", 10);
        struct world w;

        world_init(&w);
        three_servers(&w);
        w.site->page_max = 1;
        w.site->piece = 7;
        /* Let it log in and learn the versions first. */
        world_list(&w, &list, 1000);
        assert_int_equal(list.op.rc, 0);
        os_list_fini(&list);
        w.site->fault = cases[i].fault;
        fails(&w, &list, cases[i].rc, cases[i].sentence);
        /* And it is over when the fault is. */
        w.site->fault = FAKE_FINE;
        world_list(&w, &list, 1000);
        assert_int_equal(list.op.rc, 0);
        os_list_fini(&list);
        world_fini(&w);
    }
}

static void test_deadline(void **state)
{
    struct os_list list = list_of("server", 10);
    struct world w;
    uint64_t begun;

    (void) state;
    world_init(&w);
    three_servers(&w);
    w.site->delay_ms = 400;
    begun = ist_loop_now(&w.loop);
    fails(&w, &list, -ETIMEDOUT, "no answer in time");
    assert_int_equal(ist_loop_now(&w.loop) - begun, 1000);
    assert_int_equal(os_failure_code(-ETIMEDOUT),
                     ISTHMUS__V1__FAILURE__CODE__TIMEOUT);
    world_list(&w, &list, 1300);
    assert_int_equal(list.op.rc, 0);
    os_list_fini(&list);
    world_fini(&w);
}

static void test_cancel(void **state)
{
    struct os_list list = list_of("server", 10);
    struct world w;

    (void) state;
    world_init(&w);
    three_servers(&w);
    w.site->delay_ms = 100;
    /* At every step of it. */
    for (uint64_t at = 0; at < 400; at += 50) {
        uint64_t begun = ist_loop_now(&w.loop);

        fake_site_revoke(w.site);
        w.done = false;
        world_flag = &w.done;
        ist_op_prepare(&list.op, &w.loop, NULL, 0, world_done);
        os_list_start(w.cloud, &list);
        while (ist_loop_step(&w.loop, begun + at))
            ;
        ist_op_cancel(&list.op, -ECANCELED);
        world_run(&w);
        assert_true(list.op.rc == -ECANCELED || list.op.rc == 0);
        os_list_fini(&list);
    }
    world_fini(&w);
}

/* Each gets its own answer; the good ones stay good. */
static void test_records(void **state)
{
    static char large[600000];
    struct os_list list = list_of("server", 10);
    struct world w;

    (void) state;
    world_init(&w);
    fake_site_add_body(w.site, "server", "1", S(1),
                       "{\"id\": \"1\", \"created\": null}");
    fake_site_add_body(w.site, "server", "2", S(2), "{\"name\": \"no id\"}");
    fake_site_add_body(w.site, "server", "3", S(3), "{\"id\": \"\"}");
    fake_site_add_body(w.site, "server", "4", S(4), "{\"id\": [1]}");
    fake_site_add_body(w.site, "server", "5", S(5), "[]");
    fake_site_add_body(w.site, "server", "6", S(6), "null");
    fake_site_add_body(w.site, "server", "7", S(7),
                       "{\"id\": \"7\", \"id\": \"8\"}");
    fake_site_add_body(w.site, "server", "8", S(8), "{\"id\": \"a\\u0000b\"}");
    fake_site_add_body(w.site, "server", "9", S(9), "{\"id\": 9}");
    sort_by(&list, "name", false);
    world_list(&w, &list, 1000);
    assert_int_equal(list.op.rc, OS_E_BAD_ANSWER);
    assert_non_null(strstr(list.op.err.text, "7 records were left out"));
    assert_true(list.is_whole);
    assert_string_equal(world_ids(&list), "1 9");
    assert_int_equal(list.n_refused, 7);
    os_list_fini(&list);

    memset(large, 'x', sizeof(large) - 1);
    memcpy(large, "{\"id\": \"l\", \"name\": \"", 21);
    memcpy(large + sizeof(large) - 3, "\"}", 2);
    for (int i = 2; i < 9; i++) {
        char id[2] = {(char) ('0' + i), '\0'};

        fake_site_remove(w.site, "server", id);
    }
    fake_site_add_body(w.site, "server", "l", S(1), large);
    world_list(&w, &list, 1000);
    assert_int_equal(list.op.rc, OS_E_TOO_LARGE);
    assert_non_null(strstr(list.op.err.text, "openstack.record_max"));
    assert_string_equal(world_ids(&list), "1 9");
    os_list_fini(&list);
    world_fini(&w);
}

static void test_caps(void **state)
{
    struct os_list list = list_of("server", 100);
    struct world w;

    (void) state;
    ist_rand_plant(3);
    world_init(&w);
    random_servers(&w, 100);
    list.memory = 2000;
    fails(&w, &list, OS_E_TOO_LARGE, "the records wanted are over 2000 bytes");
    /* The best few of many need only room for a few. */
    list.limit = 1;
    list.memory = 8000;
    sort_by(&list, "name", false);
    world_list(&w, &list, 1000);
    assert_int_equal(list.op.rc, 0);
    assert_int_equal(list.n_records, 1);
    assert_int_equal(list.n_scanned, 100);
    os_list_fini(&list);
    list.memory = 0;
    w.conf.answer_max = 1000;
    fails(&w, &list, OS_E_TOO_LARGE, "openstack.answer_max");
    w.conf.answer_max = 1 << 20;
    w.site->page_max = 1;
    w.conf.pages_max = 50;
    fails(&w, &list, OS_E_TOO_LARGE, "more than 50 pages");
    world_fini(&w);
    ist_rand_unplant();
}

static void test_down_in_mid_list(void **state)
{
    struct os_list list = list_of("server", 100);
    struct world w;

    (void) state;
    world_init(&w);
    three_servers(&w);
    w.site->page_max = 2;
    /* In the service's own order what came is the beginning, and kept. */
    sort_by(&list, "created_at", true);
    w.site->delay_ms = 300;
    world_list(&w, &list, 1100);
    assert_int_equal(list.op.rc, -ETIMEDOUT);
    assert_string_equal(world_ids(&list), "a b");
    os_list_fini(&list);
    /* Else it says nothing of what is the best. */
    list = list_of("server", 100);
    sort_by(&list, "name", true);
    world_list(&w, &list, 500);
    assert_int_equal(list.op.rc, -ETIMEDOUT);
    assert_int_equal(list.n_records, 0);
    os_list_fini(&list);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_the_service),
        cmocka_unit_test(test_order_of_ours),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_filters_not_sent),
        cmocka_unit_test(test_no_admin),
        cmocka_unit_test(test_pages_are_exact),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_trail),
        cmocka_unit_test(test_first),
        cmocka_unit_test(test_first_is_all),
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_bad_calls),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_caps),
        cmocka_unit_test(test_down_in_mid_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
