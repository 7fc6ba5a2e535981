#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/rand.h"
#include "bus/bus_priv.h"

#include <errno.h>

static void test_expand(void **state)
{
    char buf[16];

    (void) state;
    assert_true(ist_bus_expand("hub.{n}.rep", 17, buf, sizeof(buf)));
    assert_string_equal(buf, "hub.17.rep");
    assert_true(ist_bus_expand("{n}{n}", 12, buf, sizeof(buf)));
    assert_string_equal(buf, "1212");
    assert_true(ist_bus_expand("{n", 12, buf, sizeof(buf)));
    assert_string_equal(buf, "{n");
    assert_true(ist_bus_expand("", 12, buf, sizeof(buf)));
    assert_string_equal(buf, "");
    assert_true(ist_bus_expand("123456789012345", 1, buf, sizeof(buf)));
    assert_false(ist_bus_expand("1234567890123456", 1, buf, sizeof(buf)));
    assert_false(ist_bus_expand("{n}", UINT64_MAX, buf, sizeof(buf)));
}

static void test_backoff(void **state)
{
    (void) state;
    ist_rand_plant(1);
    for (uint64_t n = 0; n < 200; n++) {
        uint64_t ms = ist_bus_backoff_ms(100, 5000, n);

        assert_in_range(ms, 1, n > 5 ? 5000 : 100U << n);
    }
    /* A cap below the base holds too, and jitter is jitter. */
    assert_in_range(ist_bus_backoff_ms(100, 10, 0), 1, 10);
    assert_int_not_equal(ist_bus_backoff_ms(100, 1U << 30, 30),
                         ist_bus_backoff_ms(100, 1U << 30, 30));
    ist_rand_unplant();
}

static void test_generation(void **state)
{
    struct ist_loop loop;
    struct ist_bus bus = {.loop = &loop};

    (void) state;
    ist_loop_init_virtual(&loop, 1000);
    assert_int_equal(ist_bus_next_generation(&bus), 1000);
    bus.generation = 1000; /* Two connects in one millisecond, */
    assert_int_equal(ist_bus_next_generation(&bus), 1001);
    bus.generation = 5000; /* or a clock that was set back. */
    assert_int_equal(ist_bus_next_generation(&bus), 5001);
    ist_loop_fini(&loop);
}

static void test_message_check(void **state)
{
    char longer[257];
    struct ist_bus_message message = {.exchange = "x", .key = ""};

    (void) state;
    memset(longer, 'k', 256);
    longer[256] = '\0';
    assert_int_equal(ist_bus_message_check(&message), 0);
    message.size = 1;
    assert_int_equal(ist_bus_message_check(&message), -EINVAL);
    message.size = 0;
    message.type = longer;
    assert_int_equal(ist_bus_message_check(&message), -EINVAL);
    message.type = NULL;
    message.exchange = longer;
    assert_int_equal(ist_bus_message_check(&message), -EINVAL);
    message.exchange = longer + 1;
    assert_int_equal(ist_bus_message_check(&message), 0);
    message.exchange = NULL;
    assert_int_equal(ist_bus_message_check(&message), -EINVAL);
}

static void test_header_check(void **state)
{
    char value[IST_BUS_HEADERS_SIZE];
    struct ist_bus_header headers[IST_BUS_HEADERS_MAX + 1];
    struct ist_bus_message message = {
        .exchange = "x", .key = "", .headers = headers, .n_headers = 1};

    (void) state;
    for (size_t i = 0; i < IST_COUNT(headers); i++)
        headers[i] = (struct ist_bus_header){"n", ""};
    assert_int_equal(ist_bus_message_check(&message), 0);
    memset(value, 'v', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    headers[0].value = value;
    assert_int_equal(ist_bus_message_check(&message), 0);
    message.n_headers = 2;
    assert_int_equal(ist_bus_message_check(&message), -EINVAL);
    headers[0].value = "";
    message.n_headers = IST_BUS_HEADERS_MAX;
    assert_int_equal(ist_bus_message_check(&message), 0);
    message.n_headers++;
    assert_int_equal(ist_bus_message_check(&message), -EINVAL);
    message.n_headers = 0;
    value[256] = '\0';
    message.content_type = value;
    assert_int_equal(ist_bus_message_check(&message), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expand),
        cmocka_unit_test(test_backoff),
        cmocka_unit_test(test_generation),
        cmocka_unit_test(test_message_check),
        cmocka_unit_test(test_header_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
