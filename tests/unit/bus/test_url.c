#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "bus/url.h"

#include <errno.h>

static struct ist_bus_url urls[IST_BUS_URL_MAX];
static struct ist_err err;

static void test_good(void **state)
{
    (void) state;
    assert_int_equal(ist_bus_url_parse("amqps://bus.example.net", urls, &err),
                     1);
    assert_true(urls[0].is_tls);
    assert_string_equal(urls[0].host, "bus.example.net");
    assert_int_equal(urls[0].port, 5671);
    assert_string_equal(urls[0].vhost, "/");
    assert_string_equal(urls[0].user, "");

    assert_int_equal(
        ist_bus_url_parse("AMQPS://[2001:db8::1]:5673/%2Fisthmus", urls, &err),
        1);
    assert_string_equal(urls[0].host, "2001:db8::1");
    assert_int_equal(urls[0].port, 5673);
    assert_string_equal(urls[0].vhost, "/isthmus");

    assert_int_equal(
        ist_bus_url_parse("amqps://[::1]/v,amqps://b:1/w/x,amqps://c/", urls,
                          &err),
        3);
    assert_string_equal(urls[0].host, "::1");
    assert_int_equal(urls[0].port, 5671);
    assert_string_equal(urls[1].vhost, "w/x");
    assert_int_equal(urls[1].port, 1);
    assert_string_equal(urls[2].vhost, "/");

    assert_int_equal(
        ist_bus_url_parse("amqp://me:p%40ss%3aword@127.0.0.1/%2f", urls, &err),
        1);
    assert_false(urls[0].is_tls);
    assert_int_equal(urls[0].port, 5672);
    assert_string_equal(urls[0].user, "me");
    assert_string_equal(urls[0].password, "p@ss:word");
    assert_string_equal(urls[0].vhost, "/");

    assert_int_equal(
        ist_bus_url_parse("amqps://me:a@h1,amqps://you:b@h2:1/v", urls, &err),
        2);
    assert_true(urls[1].is_tls);
    assert_string_equal(urls[0].user, "me");
    assert_string_equal(urls[1].password, "b");
    assert_int_equal(urls[1].port, 1);
}

static void test_bad(void **state)
{
    static const char *const bad[] = {
        "",
        "bus.example.net",
        "http://bus",
        "amqps:/bus",
        "amqps://",
        "amqps:///v",
        "amqps://:5671",
        "amqps://h:",
        "amqps://h:0",
        "amqps://h:65536",
        "amqps://h:5671x",
        "amqps://h:-1",
        "amqps://[::1",
        "amqps://[::1]x",
        "amqps://[]",
        "amqps://h/%2",
        "amqps://h/%zz",
        "amqps://h/%00",
        "amqps://h/a%0ab",
        "amqps://h/v?heartbeat=5",
        "amqps://h#x",
        "amqps://me@h",
        "amqp://h",
        "amqp://me@h",
        "amqp://:secret@h",
        "amqps://a,amqp://me:secret@b",
        "amqps://a,",
        ",amqps://a",
        "amqps://a,amqps://b,,amqps://c",
    };

    (void) state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memset(&err, 0, sizeof(err));
        if (ist_bus_url_parse(bad[i], urls, &err) != -EINVAL)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(err.code, -EINVAL);
        assert_null(strstr(err.text, "secret"));
    }
}

static void test_too_many(void **state)
{
    char text[128] = "amqps://a";

    (void) state;
    for (int i = 1; i < IST_BUS_URL_MAX; i++)
        strlcat(text, ",amqps://a", sizeof(text));
    assert_int_equal(ist_bus_url_parse(text, urls, &err), IST_BUS_URL_MAX);
    strlcat(text, ",amqps://a", sizeof(text));
    assert_int_equal(ist_bus_url_parse(text, urls, &err), -EINVAL);
}

static void test_too_long(void **state)
{
    char text[600] = "amqps://";

    (void) state;
    memset(text + 8, 'h', 256);
    assert_int_equal(ist_bus_url_parse(text, urls, &err), -EINVAL);
    text[8 + 255] = '\0';
    assert_int_equal(ist_bus_url_parse(text, urls, &err), 1);
    assert_int_equal(strlen(urls[0].host), 255);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
