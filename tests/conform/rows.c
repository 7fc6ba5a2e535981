/* One battery for every row of the tables of services and resources: whoever
 * adds a row runs this. Against clouds in memory; that a row fits the real
 * service is for tests/integ/os_sites.py to say. */
#include "../unit/os/world.h"

#include "codec/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N_ROWS 7

/* Kinds of which there is one for each project. */
static bool is_single(const struct os_resource *r)
{
    return strstr(r->list_path, "{project}") || strchr(r->collection, '.');
}

static void fill(struct world *w, const struct os_resource *r)
{
    static const char *const names[] = {"b", "a", "a"};

    if (is_single(r)) {
        fake_site_add(w->site, r->kind, w->site->project, "n", w->site->project,
                      "s", WORLD_WALL_MS);
        return;
    }
    for (int i = 0; i < N_ROWS; i++) {
        char id[32];

        snprintf(id, sizeof(id), "id-%d", (i * 5) % N_ROWS);
        fake_site_add(w->site, r->kind, id, names[i % 3], i % 2 ? "p1" : "p2",
                      i % 3 ? "ACTIVE" : "ERROR",
                      WORLD_WALL_MS + (uint64_t) (i % 3) * 1000);
    }
}

static size_t n_rows(const struct os_resource *r)
{
    return is_single(r) ? 1 : N_ROWS;
}

typedef void row_test(struct world *w, const struct os_resource *r);

static void each_row(row_test *test)
{
    size_t n;
    const struct os_resource *resources = os_resources(&n);

    assert_in_range(n, 1, 64);
    for (size_t i = 0; i < n; i++) {
        struct world w;

        world_init(&w);
        fill(&w, &resources[i]);
        test(&w, &resources[i]);
        world_fini(&w);
    }
}

static void good(struct world *w, struct os_list *list)
{
    world_list(w, list, 10000);
    if (list->op.rc)
        fail_msg("%s: %s", list->kind, list->op.err.text);
}

/* --- The tables --- */

static void row_is_sound(struct world *w, const struct os_resource *r)
{
    const struct ist_kind *kind = ist_kind_find(r->kind);

    (void) w;
    assert_non_null(kind);
    assert_non_null(os_service_find(kind->service));
    assert_ptr_equal(os_resource_find(r->kind), r);
    assert_int_equal(r->list_path[0], '/');
    assert_true(!r->show_path == !r->show_collection);
    assert_true(!r->show_path || strstr(r->show_path, "{id}"));
    /* A version is asked for exactly where there are versions. */
    assert_int_equal(r->version != NULL,
                     os_service_find(kind->service)->microversions != NULL);
    for (size_t i = 0; i < OS_NATIVE_MAX && r->sorts[i].member; i++)
        assert_non_null(ist_kind_member(kind, r->sorts[i].member));
    for (size_t i = 0; i < OS_NATIVE_MAX && r->filters[i].member; i++)
        assert_non_null(ist_kind_member(kind, r->filters[i].member));
}

static void test_rows_are_sound(void **state)
{
    size_t n_kinds, n_resources, n_services;
    const struct ist_kind *kinds = ist_kinds(&n_kinds);

    (void) state;
    each_row(row_is_sound);
    os_resources(&n_resources);
    assert_int_equal(n_kinds, n_resources);
    for (size_t i = 0; i < n_kinds; i++)
        assert_non_null(os_resource_find(kinds[i].name));
    os_services(&n_services);
    assert_true(n_services <= OS_SERVICES_MAX);
}

/* --- Lists --- */

/* By every member, up and down: a total order, all rows, whole pages of any
 * size. */
static void row_sorts(struct world *w, const struct os_resource *r)
{
    const struct ist_kind *kind = ist_kind_find(r->kind);

    for (const struct ist_member *m = kind->members; m->name; m++) {
        for (int descending = 0; descending < 2; descending++) {
            struct os_list list = {.kind = r->kind, .limit = 1000};
            const struct ist_order order = {1, {descending != 0}};
            struct ist_place last = {.site = ""}, now = {.site = ""};

            list.sort[list.n_sort++] =
                (struct os_sort){m->name, descending != 0};
            w->site->page_max = 1 + (unsigned) (m - kind->members) % 4;
            good(w, &list);
            assert_int_equal(list.n_records, n_rows(r));
            for (size_t i = 0; i < list.n_records; i++) {
                now.keys[0] = list.records[i].keys[0];
                now.id = (struct ist_bytes){list.records[i].id,
                                            strlen(list.records[i].id)};
                assert_true(i == 0 || ist_order_cmp(&order, &last, &now) < 0);
                last = now;
            }
            os_list_fini(&list);
        }
    }
}

static void test_sorts(void **state)
{
    (void) state;
    each_row(row_sorts);
}

static void row_filters(struct world *w, const struct os_resource *r)
{
    static const struct {
        const char *name, *value;
        size_t n;
    } cases[] = {
        {"id", "id-3", 1},      {"id", "id-99", 0},   {"name", "a", 4},
        {"status", "ERROR", 3}, {"project", "p1", 3}, {"project", "p9", 0},
    };
    const struct ist_kind *kind = ist_kind_find(r->kind);

    for (size_t i = 0; i < IST_COUNT(cases) && !is_single(r); i++) {
        const struct ist_member *m = ist_kind_member(kind, cases[i].name);
        struct os_list list = {.kind = r->kind, .limit = 1000, .n_filters = 1};

        /* Where two names stand for one member it holds the id. */
        if (!m || (strcmp(m->name, "id") != 0 &&
                   strcmp(m->path, ist_kind_member(kind, "id")->path) == 0))
            continue;
        list.filters[0] = (struct os_filter){cases[i].name, &cases[i].value, 1};
        good(w, &list);
        if (list.n_records != cases[i].n)
            fail_msg("%s: %s=%s gave %zu", r->kind, cases[i].name,
                     cases[i].value, list.n_records);
        os_list_fini(&list);
    }
}

static void test_filters(void **state)
{
    (void) state;
    each_row(row_filters);
}

/* The record is the object itself, whatever it was wrapped in. */
static void row_bodies(struct world *w, const struct os_resource *r)
{
    const struct ist_member *id = ist_kind_member(ist_kind_find(r->kind), "id");
    struct os_list list = {.kind = r->kind, .limit = 3};

    good(w, &list);
    for (size_t i = 0; i < list.n_records; i++) {
        const struct os_record *record = &list.records[i];
        struct ist_json_slice v = {record->body.data, record->body.size};

        assert_int_equal(ist_json_type(v), IST_JSON_OBJECT);
        if (id->path[0])
            assert_true(
                ist_json_text_is(ist_json_find(v, id->path), record->id));
        else
            assert_string_equal(record->id, w->site->project);
    }
    os_list_fini(&list);
}

static void test_bodies(void **state)
{
    (void) state;
    each_row(row_bodies);
}

/* --- One object --- */

static void show(struct world *w, struct os_show *s, const char *kind,
                 const char *id)
{
    *s = (struct os_show){.kind = kind, .id = id};
    w->done = false;
    world_flag = &w->done;
    ist_op_prepare(&s->op, &w->loop, NULL, 10000, world_done);
    os_show_start(w->cloud, s);
    world_run(w);
}

static void row_shows(struct world *w, const struct os_resource *r)
{
    const char *id = is_single(r) ? w->site->project : "id-3";
    struct os_show s;

    show(w, &s, r->kind, id);
    if (s.op.rc)
        fail_msg("%s: %s", r->kind, s.op.err.text);
    assert_string_equal(s.record.id, id);
    assert_memory_equal(s.record.body.data, "{", 1);
    os_show_fini(&s);
    if (is_single(r))
        return; /* A service has quotas for any project, real or not. */
    show(w, &s, r->kind, "id-99");
    assert_int_equal(s.op.rc, OS_E_NOT_FOUND);
    os_show_fini(&s);
}

static void test_shows(void **state)
{
    (void) state;
    each_row(row_shows);
}

/* --- Complaints --- */

static bool deny(struct fake_site *site, const struct fake_request *request,
                 struct fake_answer *answer)
{
    if (strstr(request->path, "/auth/tokens") ||
        strcmp(request->path, "/v2.1/") == 0 ||
        strcmp(request->path, "/v3/") == 0)
        return false;
    answer->status = 403;
    ist_sb_puts(&answer->body, site->hook_arg);
    return true;
}

static void row_denied(struct world *w, const struct os_resource *r)
{
    static const struct {
        const char *service, *body;
    } shapes[] = {
        {"compute", "{\"forbidden\": {\"code\": 403, \"message\": \"Policy "
                    "says no.\"}}"},
        {"volume", "{\"forbidden\": {\"code\": 403, \"message\": \"Policy "
                   "says no.\"}}"},
        {"network", "{\"NeutronError\": {\"type\": \"PolicyNotAuthorized\", "
                    "\"message\": \"Policy says no.\", \"detail\": \"\"}}"},
        {"image", "{\"message\": \"Policy says no.<br /><br />\\n\\n\\n\", "
                  "\"code\": \"403 Forbidden\", \"title\": \"Forbidden\"}"},
        {"identity", "{\"error\": {\"code\": 403, \"message\": \"Policy says "
                     "no.\", \"title\": \"Forbidden\"}}"},
    };
    const char *service = ist_kind_find(r->kind)->service;
    struct os_list list = {.kind = r->kind, .limit = 3};

    for (size_t i = 0; i < IST_COUNT(shapes); i++) {
        if (strcmp(shapes[i].service, service) == 0)
            w->site->hook_arg = (void *) shapes[i].body;
    }
    w->site->hook = deny;
    world_list(w, &list, 1000);
    assert_int_equal(list.op.rc, OS_E_UPSTREAM);
    assert_int_equal(list.op.err.http, 403);
    assert_false(list.op.err.retryable);
    if (!strstr(list.op.err.text, "403, Policy says no.; the agent's user may"))
        fail_msg("%s: %s", r->kind, list.op.err.text);
    os_list_fini(&list);
}

static void test_denied(void **state)
{
    (void) state;
    each_row(row_denied);
}

static void row_faults(struct world *w, const struct os_resource *r)
{
    static const struct {
        enum fake_fault fault;
        int rc;
    } cases[] = {
        {FAKE_TRUNCATED, OS_E_BAD_ANSWER}, {FAKE_HTML, OS_E_BAD_ANSWER},
        {FAKE_ERROR, OS_E_UPSTREAM},       {FAKE_CUT, OS_E_UNREACHABLE},
        {FAKE_REFUSED, OS_E_UNREACHABLE},  {FAKE_FINE, 0},
    };
    struct os_list list = {.kind = r->kind, .limit = 3};

    good(w, &list);
    os_list_fini(&list);
    for (size_t i = 0; i < IST_COUNT(cases); i++) {
        w->site->fault = cases[i].fault;
        world_list(w, &list, 1000);
        if (list.op.rc != cases[i].rc)
            fail_msg("%s: fault %d gave %d, %s", r->kind, cases[i].fault,
                     list.op.rc, list.op.err.text);
        os_list_fini(&list);
    }
}

static void test_faults(void **state)
{
    (void) state;
    each_row(row_faults);
}

/* A site that lacks the service says so, and nothing is asked. */
static void row_without(struct world *w, const struct os_resource *r)
{
    struct os_list list = {.kind = r->kind, .limit = 3};

    w->site->without = ist_kind_find(r->kind)->service;
    world_list(w, &list, 1000);
    assert_int_equal(list.op.rc, OS_E_UNSUPPORTED);
    assert_int_equal(w->site->n_requests, 0);
    os_list_fini(&list);
}

static void test_without(void **state)
{
    (void) state;
    each_row(row_without);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_sound), cmocka_unit_test(test_sorts),
        cmocka_unit_test(test_filters),        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_shows),          cmocka_unit_test(test_denied),
        cmocka_unit_test(test_faults),         cmocka_unit_test(test_without),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
