#include "base/id.h"
#include "base/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void test_texts(void **state)
{
    struct ist_id id;
    char hex[IST_ID_HEX_SIZE], uuid[IST_ID_UUID_SIZE];

    (void) state;
    for (int i = 0; i < 16; i++)
        id.b[i] = (uint8_t) (i * 17);
    assert_ptr_equal(ist_id_hex(&id, hex), hex);
    assert_string_equal(hex, "00112233445566778899aabbccddeeff");
    assert_ptr_equal(ist_id_uuid(&id, uuid), uuid);
    assert_string_equal(uuid, "00112233-4455-6677-8899-aabbccddeeff");
    assert_true(ist_id_is_hex(ist_id_hex(&id, hex)));
    assert_false(ist_id_is_hex(uuid));
    assert_false(ist_id_is_hex("00112233445566778899AABBCCDDEEFF"));
    assert_false(ist_id_is_hex("00112233445566778899aabbccddeef"));
    assert_false(ist_id_is_hex(""));
}

static void test_random_is_version_4(void **state)
{
    struct ist_id last = {{0}};

    (void) state;
    assert_true(ist_id_is_zero(&last));
    for (int i = 0; i < 100; i++) {
        struct ist_id id = ist_id_random();

        assert_int_equal(id.b[6] >> 4, 4);
        assert_int_equal(id.b[8] >> 6, 2);
        assert_false(ist_id_eq(&id, &last));
        assert_false(ist_id_is_zero(&id));
        last = id;
    }
}

static void test_order_is_of_bytes(void **state)
{
    struct ist_id a = {{0x7f}}, b = {{0x80}};

    (void) state;
    assert_true(ist_id_cmp(&a, &b) < 0);
    assert_true(ist_id_cmp(&b, &a) > 0);
    assert_int_equal(ist_id_cmp(&a, &a), 0);
    assert_true(ist_id_eq(&a, &a));
    assert_false(ist_id_eq(&a, &b));
}

static void test_hex_round_trip(void **state)
{
    uint8_t bytes[16], back[16];
    char text[33];

    (void) state;
    ist_rand_bytes(bytes, sizeof(bytes));
    assert_true(
        ist_hex_parse(ist_hex(bytes, 16, text), 32, back, sizeof(back)));
    assert_memory_equal(bytes, back, 16);
    assert_true(ist_hex_parse("aBcD", 4, back, 2));
    assert_int_equal(back[0] << 8 | back[1], 0xabcd);
}

static void test_hex_refused_and_untouched(void **state)
{
    static const char *const bad[] = {"",     "a",    "abc",  "abcde",
                                      "abxd", "ab d", "-bcd", "abc\x80"};
    uint8_t out[2] = {1, 2};

    (void) state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(ist_hex_parse(bad[i], strlen(bad[i]), out, 2));
        assert_int_equal(out[0], 1);
        assert_int_equal(out[1], 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_random_is_version_4),
        cmocka_unit_test(test_order_is_of_bytes),
        cmocka_unit_test(test_hex_round_trip),
        cmocka_unit_test(test_hex_refused_and_untouched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
