#include "api/query.h"
#include "model/marker.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct ist_arena arena;
static struct api_query query;
static struct ist_err err;

static int setup(void **state)
{
    (void) state;
    ist_arena_init(&arena, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    ist_arena_fini(&arena);
    return 0;
}

static int list(const struct ist_httpd_param *params, size_t n)
{
    return api_query_list(params, n, ist_kind_find("server"), &arena, &query,
                          &err);
}

static int list_one(const char *name, const char *value)
{
    struct ist_httpd_param param = {name, value};

    return list(&param, 1);
}

static void test_defaults(void **state)
{
    (void) state;
    assert_int_equal(list(NULL, 0), 0);
    assert_int_equal(query.limit, 100);
    assert_int_equal(query.deadline_ms, 10000);
    assert_int_equal(query.n_sort, 1);
    assert_string_equal(query.sort[0].name, "created_at");
    assert_true(query.sort[0].descending);
    assert_false(query.deny_partial);
    assert_null(query.sites);
    assert_null(query.fields);
}

static void test_all_parameters(void **state)
{
    const struct ist_httpd_param params[] = {
        {"limit", "1000"},          {"sort", "name,-created_at"},
        {"site", "lon,hkg"},        {"name", "web, 1"},
        {"status", "ACTIVE,ERROR"}, {"project", "p"},
        {"fields", "id,name"},      {"deadline", "100"},
        {"partial", "deny"},
    };

    (void) state;
    assert_int_equal(list(params, IST_COUNT(params)), 0);
    assert_int_equal(query.limit, 1000);
    assert_int_equal(query.n_sort, 2);
    assert_false(query.sort[0].descending);
    assert_true(query.sort[1].descending);
    assert_int_equal(query.n_sites, 2);
    assert_string_equal(query.sites[1], "hkg");
    assert_int_equal(query.n_filters, 3);
    assert_string_equal(query.filters[0].values[0], "web, 1");
    assert_int_equal(query.filters[1].n_values, 2);
    assert_int_equal(query.n_fields, 2);
    assert_true(query.deny_partial);
}

static void test_out_of_range(void **state)
{
    static const struct ist_httpd_param bad[] = {
        {"limit", "0"},
        {"limit", "-1"},
        {"limit", "1001"},
        {"limit", "1000000000"},
        {"limit", "NaN"},
        {"limit", ""},
        {"limit", "1 "},
        {"limit", "+1"},
        {"limit", "0x10"},
        {"deadline", "99"},
        {"deadline", "60001"},
        {"deadline", "1e3"},
        {"deadline", "18446744073709551616"},
        {"partial", "perhaps"},
        {"partial", ""},
        {"sort", ""},
        {"sort", "-"},
        {"sort", "colour"},
        {"sort", "name,name"},
        {"sort", "name,-name"},
        {"sort", "name,,id"},
        {"sort", "name,id,status,project,created_at"},
        {"site", ""},
        {"site", "a,a"},
        {"site", "a,"},
        {"name", ""},
        {"status", ""},
        {"fields", ""},
        {"fields", "a.b"},
        {"fields", "a,a"},
        {"fields", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p"},
        {"marker", ""},
        {"marker", "nonsense"},
        {"colour", "blue"},
        {"Limit", "1"},
    };

    (void) state;
    for (size_t i = 0; i < IST_COUNT(bad); i++) {
        err.text[0] = '\0';
        assert_int_equal(list_one(bad[i].name, bad[i].value), -EINVAL);
        assert_non_null(strstr(err.text, bad[i].name));
        ist_arena_reset(&arena);
    }
}

static void test_kinds_without_a_name(void **state)
{
    struct ist_httpd_param param = {"name", "x"};
    const struct ist_kind *quota = ist_kind_find("quota");

    (void) state;
    assert_int_equal(api_query_list(NULL, 0, quota, &arena, &query, &err), 0);
    assert_string_equal(query.sort[0].name, "id");
    assert_int_equal(api_query_list(&param, 1, quota, &arena, &query, &err),
                     -EINVAL);
    assert_string_equal(err.text, "name: quotas have none");
}

static void test_twice(void **state)
{
    const struct ist_httpd_param params[] = {{"limit", "1"}, {"limit", "1"}};

    (void) state;
    assert_int_equal(list(params, 2), -EINVAL);
    assert_non_null(strstr(err.text, "limit"));
}

static void test_show_takes_fewer(void **state)
{
    struct ist_httpd_param param = {"limit", "1"};

    (void) state;
    assert_int_equal(api_query_show(&param, 1, ist_kind_find("server"), &arena,
                                    &query, &err),
                     -EINVAL);
    param = (struct ist_httpd_param){"site", "hkg"};
    assert_int_equal(api_query_show(&param, 1, ist_kind_find("server"), &arena,
                                    &query, &err),
                     0);
}

static void test_marker_belongs_to_its_list(void **state)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb marker;
    const struct ist_place place = {
        .keys = {{"2026", 4}}, .site = "hkg", .id = {"x", 1}};
    struct ist_httpd_param params[] = {{"marker", NULL}, {"sort", "name"}};

    (void) state;
    ist_sb_init(&marker, 0);
    ist_marker_put(&marker, "server", "-created_at", 1, &place);
    params[0].value = ist_sb_text(&marker);
    assert_int_equal(list(params, 1), 0);
    assert_true(query.has_after);
    assert_string_equal(query.after.site, "hkg");
    assert_int_equal(list(params, 2), -EINVAL);
}

static void test_link_keeps_the_question(void **state)
{
    const struct ist_httpd_param params[] = {
        {"name", "a&b=c d/\xC3\xA9"}, {"marker", "old"}, {"limit", "5"}};
    IST_CLEANUP(ist_sb_fini) struct ist_sb link;

    (void) state;
    ist_sb_init(&link, 0);
    api_query_next(&link, "/api/v1/servers", params, IST_COUNT(params), "new");
    assert_string_equal(ist_sb_text(&link),
                        "/api/v1/servers?name=a%26b%3Dc%20d%2F%C3%A9&limit=5&"
                        "marker=new");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_defaults),
        T(test_all_parameters),
        T(test_out_of_range),
        T(test_kinds_without_a_name),
        T(test_twice),
        T(test_show_takes_fewer),
        T(test_marker_belongs_to_its_list),
        T(test_link_keeps_the_question),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
