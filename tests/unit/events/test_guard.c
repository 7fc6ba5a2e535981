#include "events/guard.h"
#include "events/sign.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

static bool allows(const struct events_guard *guard, const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    bool socket, host = events_guard_allows_host(guard, text);

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        socket = events_guard_allows(guard, (struct sockaddr *) &v4);
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
        socket = events_guard_allows(guard, (struct sockaddr *) &v6);
    }
    assert_int_equal(socket, host);
    return socket;
}

static void test_addresses(void **state)
{
    static const char *const public[] = {
        "1.1.1.1",         "9.255.255.255",
        "11.0.0.0",        "100.63.255.255",
        "100.128.0.0",     "172.15.255.255",
        "172.32.0.0",      "192.167.255.255",
        "223.255.255.255", "2001:4860:4860::8888",
        "2a00:1450::1",    "::ffff:1.1.1.1",
    };
    static const char *const closed[] = {
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "fd12::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:db8::1",
        "::7f00:1",
    };
    struct events_guard guard;
    struct ist_err err;

    (void) state;
    assert_int_equal(events_guard_init(&guard, NULL, &err), 0);
    for (size_t i = 0; i < IST_COUNT(public); i++)
        if (!allows(&guard, public[i]))
            fail_msg("%s is refused", public[i]);
    for (size_t i = 0; i < IST_COUNT(closed); i++)
        if (allows(&guard, closed[i]))
            fail_msg("%s is allowed", closed[i]);
    /* A name is judged when it is connected to. */
    assert_true(events_guard_allows_host(&guard, "hooks.example.net"));
}

static void test_networks(void **state)
{
    struct events_guard guard;
    struct ist_err err;

    (void) state;
    assert_int_equal(
        events_guard_init(&guard, "10.1.0.0/16,fd00:1::/33,127.0.0.1/32", &err),
        0);
    assert_true(allows(&guard, "10.1.255.255"));
    assert_false(allows(&guard, "10.2.0.0"));
    assert_true(allows(&guard, "::ffff:10.1.0.1"));
    assert_true(allows(&guard, "fd00:1:7fff::1"));
    assert_false(allows(&guard, "fd00:1:8000::1"));
    assert_true(allows(&guard, "127.0.0.1"));
    assert_false(allows(&guard, "127.0.0.2"));
}

static void test_bad_networks(void **state)
{
    static const char *const bad[] = {"10.1.0.0",  "10.1.0.0/33", "10.1/16",
                                      "x",         "10.0.0.0/8,", "::/129",
                                      "10.0.0.0/", "/8"};
    struct events_guard guard;
    struct ist_err err;
    char many[64 * 12 + 16] = "";

    (void) state;
    for (size_t i = 0; i < IST_COUNT(bad); i++)
        if (events_guard_init(&guard, bad[i], &err) != -EINVAL)
            fail_msg("'%s' is taken", bad[i]);
    for (size_t i = 0; i < EVENTS_GUARD_MAX; i++)
        strcat(many, i ? ",10.0.0.0/8" : "10.0.0.0/8");
    assert_int_equal(events_guard_init(&guard, many, &err), 0);
    strcat(many, ",10.0.0.0/8");
    assert_int_equal(events_guard_init(&guard, many, &err), -EINVAL);
}

/* The example of the specification, "Signature scheme". */
static void test_signature(void **state)
{
    static const char body[] = "{\"test\": 2432232314}";
    struct events_key key;
    struct ist_sb out;
    char text[EVENTS_SECRET_SIZE];

    (void) state;
    assert_true(
        events_key_read(&key, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    ist_sb_init(&out, 0);
    events_sign(&out, &key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body,
                sizeof(body) - 1);
    assert_string_equal(ist_sb_text(&out),
                        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    ist_sb_fini(&out);
    assert_string_equal(events_key_write(&key, text),
                        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
}

static void test_secrets(void **state)
{
    static const char *const bad[] = {
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La", /* 21 bytes. */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw!",
        "whsec_"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "A"
        "AAAAAAAAAAAAAAAAA", /* 66 bytes. */
    };
    char text[EVENTS_SECRET_SIZE], other[EVENTS_SECRET_SIZE];
    struct events_key key, again;

    (void) state;
    for (size_t i = 0; i < IST_COUNT(bad); i++)
        if (events_key_read(&key, bad[i]))
            fail_msg("'%s' is taken", bad[i]);
    events_key_random(&key);
    events_key_write(&key, text);
    assert_true(events_key_read(&again, text));
    assert_int_equal(again.size, key.size);
    assert_memory_equal(again.bytes, key.bytes, key.size);
    events_key_random(&again);
    assert_string_not_equal(events_key_write(&again, other), text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),    cmocka_unit_test(test_networks),
        cmocka_unit_test(test_bad_networks), cmocka_unit_test(test_signature),
        cmocka_unit_test(test_secrets),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
