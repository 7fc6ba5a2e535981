#include "os/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_check(void **state)
{
    static const char *const good[] = {
        "http://h",
        "https://h.example:8774/v2.1",
        "http://[::1]:5000/v3",
        "http://10.0.0.1:443/x",
        "HTTP://h/",
        "http://169.253.1.1/",
        "http://h:80",
        "https://identity.example/",
    };
    static const char *const bad[] = {
        "",
        "h:8774",
        "file:///etc/passwd",
        "ftp://h/",
        "gopher://h/",
        "http:///x",
        "http://:80/",
        "http://user@h/",
        "http://user:password@h/",
        "http://h/?x=1",
        "http://h/#x",
        "http://h:0/",
        "http://h:65536/",
        "http://h:99999999999/",
        "http://h:x/",
        "http://h:/",
        "http://h:22/",
        "http://h:25/",
        "http://169.254.169.254/",
        "http://169.254.0.1:8774/v2.1",
        "http://0xA9FEA9FE/",
        "http://2852039166/",
        "http://169.254.43518/",
        "http://[fe80::1]/",
        "http://[fe80::1%25eth0]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::1/",
        "http://h h/",
        "http://h/\r\nX: y",
        "http://h/\x01",
        "http://\xC3\xA9/",
    };
    char longest[OS_URL_MAX + 2];

    (void) state;
    for (size_t i = 0; i < IST_COUNT(good); i++) {
        if (os_url_check(good[i], NULL))
            fail_msg("refused: %s", good[i]);
    }
    for (size_t i = 0; i < IST_COUNT(bad); i++) {
        if (!os_url_check(bad[i], NULL))
            fail_msg("taken: %s", bad[i]);
    }
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    memcpy(longest, "http://h/", 9);
    assert_int_not_equal(os_url_check(longest, NULL), 0);
}

static void test_base(void **state)
{
    static const char *const cases[][2] = {
        {"http://h:8774/v2.1", "http://h:8774"},
        {"http://h:8774/v2.1/", "http://h:8774"},
        {"http://h:8774/v2.1/6f00", "http://h:8774"},
        {"http://h:8776/v3/6f00/", "http://h:8776"},
        {"https://h/volume/v3/6f00", "https://h/volume"},
        {"http://h:9292", "http://h:9292"},
        {"http://h:9292/", "http://h:9292"},
        {"http://h/identity/", "http://h/identity"},
        {"http://h/identity/v3//", "http://h/identity"},
        {"http://h/vault/v3", "http://h/vault"},
        {"http://[::1]:5000/v3", "http://[::1]:5000"},
        {"http://v3/v3", "http://v3"},
    };

    (void) state;
    for (size_t i = 0; i < IST_COUNT(cases); i++) {
        struct ist_sb sb;

        ist_sb_init(&sb, 0);
        os_url_base(cases[i][0], &sb);
        assert_string_equal(ist_sb_text(&sb), cases[i][1]);
        ist_sb_fini(&sb);
    }
}

static void test_origin(void **state)
{
    const char *base = "http://h.example:8774/compute";

    (void) state;
    assert_true(os_url_same_origin(base, "http://h.example:8774/v2.1?x"));
    assert_true(os_url_same_origin(base, "http://H.EXAMPLE:8774"));
    assert_true(os_url_same_origin(base, "/v2/images?marker=x"));
    assert_true(os_url_same_origin("http://h", "http://h:80/"));
    assert_true(os_url_same_origin("https://h:443", "https://h/"));
    assert_false(os_url_same_origin(base, "https://h.example:8774/"));
    assert_false(os_url_same_origin(base, "http://h.example:8775/"));
    assert_false(os_url_same_origin(base, "http://h.example/"));
    assert_false(os_url_same_origin(base, "http://i.example:8774/"));
    assert_false(os_url_same_origin(base, "http://h.example:8774@evil/"));
    assert_false(os_url_same_origin(base, "//evil/"));
    assert_false(os_url_same_origin(base, "/\\evil/"));
    assert_false(os_url_same_origin(base, "images?marker=x"));
    assert_false(os_url_same_origin(base, ""));
}

static void test_parameter(void **state)
{
    static const struct {
        const char *url, *value;
    } cases[] = {
        {"http://h/x?marker=a%20b", "a%20b"},
        {"/x?limit=1&marker=abc&y=2", "abc"},
        {"/x?xmarker=1&marker=2#marker=3", "2"},
        {"/x?marker=", NULL},
        {"/x?markers=1", NULL},
        {"/x", NULL},
        {"/x?limit=1#&marker=3", NULL},
        {"/x?a=?marker=3", NULL},
    };

    (void) state;
    for (size_t i = 0; i < IST_COUNT(cases); i++) {
        struct ist_sb sb;

        ist_sb_init(&sb, 0);
        assert_int_equal(os_url_parameter(cases[i].url, "marker", &sb),
                         cases[i].value != NULL);
        if (cases[i].value)
            assert_string_equal(ist_sb_text(&sb), cases[i].value);
        ist_sb_fini(&sb);
    }
}

static void test_expand(void **state)
{
    struct ist_sb sb;

    (void) state;
    ist_sb_init(&sb, 0);
    os_url_expand(&sb, "/v3/{project}/volumes/{id}?{x}", "p/1", "a?b&\xC3\xA9");
    assert_string_equal(ist_sb_text(&sb),
                        "/v3/p%2F1/volumes/a%3Fb%26%C3%A9?{x}");
    ist_sb_fini(&sb);
}

static void test_target(void **state)
{
    static const struct {
        const char *target;
        bool is_good;
    } cases[] = {
        {"/", true},
        {"/v2.1/servers/detail?limit=2&name=a%2Fb", true},
        {"/v2.1/servers/", true},
        {"/v2.0/extensions/Availability%20Zone", true},
        {"/v2/images/caf%C3%A9", true},
        {"", false},
        {"v2.1", false},
        {"//evil.example.com/x", false},
        {"/v2.1//servers", false},
        {"/v2.1/../admin", false},
        {"/v2.1/./servers", false},
        {"/v2.1/%2e%2e/admin", false},
        {"/v2.1/servers%2fdetail", false},
        {"/v2.1/%73ervers", false},
        {"/v2.1/a%00b", false},
        {"/v2.1/a%5Cb", false},
        {"/v2.1/a%0d%0aX", false},
        {"/v2.1/a%", false},
        {"/v2.1/a%4", false},
        {"/v2.1/a%zz", false},
        {"/v2.1/a b", false},
        {"/v2.1/a#b", false},
        {"/v2.1/a\\b", false},
        {"/v2.1/caf\xC3\xA9", false},
        {"/v2.1/a?b\r\nX: y", false},
    };
    struct ist_err err;

    (void) state;
    for (size_t i = 0; i < IST_COUNT(cases); i++) {
        if ((os_url_check_target(cases[i].target, &err) == 0) !=
            cases[i].is_good)
            fail_msg("%s", cases[i].target);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),  cmocka_unit_test(test_base),
        cmocka_unit_test(test_origin), cmocka_unit_test(test_parameter),
        cmocka_unit_test(test_expand), cmocka_unit_test(test_target),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
