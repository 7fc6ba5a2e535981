#include "httpd/query.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_path(void **state)
{
    static const struct {
        const char *target, *path; /* path NULL: refused with 'rc'. */
        int rc;
    } rows[] = {
        {"/", "/", 0},
        {"/?x", "/", 0},
        {"/v2.1/servers", "/v2.1/servers", 0},
        {"/v3/", "/v3/", 0},
        {"/a%20b+c", "/a b+c", 0},
        {"/caf%C3%A9?q=%zz", "/caf\xc3\xa9", 0},
        {"/a:b;c=d,e@f!$&'()*~", "/a:b;c=d,e@f!$&'()*~", 0},
        {"/...", "/...", 0},
        {"/.a/..b", "/.a/..b", 0},
        {"/100%25", "/100%", 0},
        {"/%25zz", "/%zz", 0},
        {"/?//..", "/", 0},
        {"", NULL, IST_QUERY_E_ORIGIN},
        {"*", NULL, IST_QUERY_E_ORIGIN},
        {"?x", NULL, IST_QUERY_E_ORIGIN},
        {"http://h/", NULL, IST_QUERY_E_ORIGIN},
        {"//", NULL, IST_QUERY_E_SEGMENT},
        {"/a//", NULL, IST_QUERY_E_SEGMENT},
        {"/.", NULL, IST_QUERY_E_SEGMENT},
        {"/..", NULL, IST_QUERY_E_SEGMENT},
        {"/a/%2e/", NULL, IST_QUERY_E_SEGMENT},
        {"/a/.%2E/b", NULL, IST_QUERY_E_SEGMENT},
        {"/%2e%2e", NULL, IST_QUERY_E_SEGMENT},
        {"/%252e", NULL, IST_QUERY_E_TWICE},
        {"/%2541", NULL, IST_QUERY_E_TWICE},
        {"/a%2Fb", NULL, IST_QUERY_E_SLASH},
        {"/a%5Cb", NULL, IST_QUERY_E_SLASH},
        {"/a\\b", NULL, IST_QUERY_E_BYTE},
        {"/a b", NULL, IST_QUERY_E_BYTE},
        {"/a#b", NULL, IST_QUERY_E_BYTE},
        {"/\xc3\xa9", NULL, IST_QUERY_E_BYTE},
        {"/\x7f", NULL, IST_QUERY_E_BYTE},
        {"/%00", NULL, IST_QUERY_E_CONTROL},
        {"/%0a", NULL, IST_QUERY_E_CONTROL},
        {"/%7F", NULL, IST_QUERY_E_CONTROL},
        {"/%", NULL, IST_QUERY_E_ESCAPE},
        {"/%4", NULL, IST_QUERY_E_ESCAPE},
        {"/%4?4", NULL, IST_QUERY_E_ESCAPE},
        {"/%g0", NULL, IST_QUERY_E_ESCAPE},
        {"/%-1", NULL, IST_QUERY_E_ESCAPE},
        {"/%c3", NULL, IST_QUERY_E_UTF8},
        {"/%c0%af", NULL, IST_QUERY_E_UTF8},
        {"/%ed%a0%80", NULL, IST_QUERY_E_UTF8},
        {"/%f4%90%80%80", NULL, IST_QUERY_E_UTF8},
    };
    struct ist_arena arena;
    const char *path;
    size_t i;
    int rc;

    (void) state;
    for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        ist_arena_init(&arena, 4096);
        path = NULL;
        rc = ist_query_path(&arena, rows[i].target, &path);
        if (rc != rows[i].rc)
            fail_msg("%s: %d instead of %d", rows[i].target, rc, rows[i].rc);
        if (rows[i].path)
            assert_string_equal(path, rows[i].path);
        else
            assert_null(path);
        ist_arena_fini(&arena);
    }
}

static void test_params(void **state)
{
    static const struct {
        const char *target;
        size_t n;
        const char *pairs[8]; /* Name, value, name, value. */
    } rows[] = {
        {"/", 0, {0}},
        {"/?", 0, {0}},
        {"/?&&", 0, {0}},
        {"/?a", 1, {"a", ""}},
        {"/?a=", 1, {"a", ""}},
        {"/?=b", 1, {"", "b"}},
        {"/?a=b=c", 1, {"a", "b=c"}},
        {"/?a=1&a=2&A=3", 3, {"a", "1", "a", "2", "A", "3"}},
        {"/?&a=1&&b=2&", 2, {"a", "1", "b", "2"}},
        {"/?a+b=c+d%2B", 1, {"a b", "c d+"}},
        {"/?a=%26%3D&b%3D=%25", 2, {"a", "&=", "b=", "%"}},
        {"/?q=/a/../b//?c", 1, {"q", "/a/../b//?c"}},
        {"/?q=%E2%82%AC%0A", 1, {"q", "\xe2\x82\xac\n"}},
    };
    const struct ist_httpd_param *params;
    struct ist_arena arena;
    size_t i, k, n;

    (void) state;
    for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        ist_arena_init(&arena, 4096);
        assert_int_equal(ist_query_params(&arena, rows[i].target, &params, &n),
                         0);
        if (n != rows[i].n)
            fail_msg("%s: %zu parameters", rows[i].target, n);
        for (k = 0; k < n; k++) {
            assert_string_equal(params[k].name, rows[i].pairs[2 * k]);
            assert_string_equal(params[k].value, rows[i].pairs[2 * k + 1]);
        }
        ist_arena_fini(&arena);
    }
}

static void test_bad_params(void **state)
{
    static const struct {
        const char *target;
        int rc;
    } rows[] = {
        {"/?a=%", IST_QUERY_E_ESCAPE},       {"/?a=%4&b", IST_QUERY_E_ESCAPE},
        {"/?%zz=a", IST_QUERY_E_ESCAPE},     {"/?a=%00", IST_QUERY_E_CONTROL},
        {"/?%00=a", IST_QUERY_E_CONTROL},    {"/?a=%ff", IST_QUERY_E_UTF8},
        {"/?a=%c3&b=%a9", IST_QUERY_E_UTF8}, {"/?a=b c", IST_QUERY_E_BYTE},
        {"/?a=\xc3\xa9", IST_QUERY_E_BYTE},  {"/?a#b", IST_QUERY_E_BYTE},
        {"/?a=1&b=%g", IST_QUERY_E_ESCAPE},
    };
    const struct ist_httpd_param *params;
    struct ist_arena arena;
    size_t i, n;

    (void) state;
    for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        ist_arena_init(&arena, 4096);
        assert_int_equal(ist_query_params(&arena, rows[i].target, &params, &n),
                         rows[i].rc);
        assert_int_equal(n, 0);
        ist_arena_fini(&arena);
    }
}

static void test_caps(void **state)
{
    static char target[3 * IST_QUERY_PARAMS_MAX + 8] = "/?";
    const struct ist_httpd_param *params;
    struct ist_arena arena;
    const char *path;
    size_t i, n;

    (void) state;
    for (i = 0; i < IST_QUERY_PARAMS_MAX; i++)
        strcat(target, "a&");
    ist_arena_init(&arena, 1U << 20);
    assert_int_equal(ist_query_params(&arena, target, &params, &n), 0);
    assert_int_equal(n, IST_QUERY_PARAMS_MAX);
    strcat(target, "a");
    assert_int_equal(ist_query_params(&arena, target, &params, &n),
                     IST_QUERY_E_MANY);
    ist_arena_fini(&arena);

    ist_arena_init(&arena, 8);
    assert_int_equal(ist_query_path(&arena, "/0123456789abcdef", &path),
                     -ENOMEM);
    assert_int_equal(ist_query_params(&arena, "/?a=1", &params, &n), -ENOMEM);
    ist_arena_fini(&arena);
}

static void test_text(void **state)
{
    int i;

    (void) state;
    for (i = IST_QUERY_E_ESCAPE; i <= IST_QUERY_E_MANY; i++)
        assert_string_not_equal(ist_query_text(i), "bad URL");
    assert_string_equal(ist_query_text(0), "bad URL");
    assert_string_equal(ist_query_text(99), "bad URL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),       cmocka_unit_test(test_params),
        cmocka_unit_test(test_bad_params), cmocka_unit_test(test_caps),
        cmocka_unit_test(test_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
