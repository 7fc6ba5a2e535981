/* Path keys: in none of them is there what gophercloud takes for a version. */
#include "sites/key.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *site, *key; /* NULL: none. */
} cases[] = {
    {"hkg", "hkg"},
    {"tlv1", "tlv-1"},
    {"dev2", "dev-2"},
    {"srv.v3", "srv-v-3"},
    {"London", "london"},
    {"a_b", "a-b"},
    {"v", "v"},
    {"v1v2", "v-1v-2"},
    {"global", NULL},
    {"GLOBAL", NULL},
    {"1a", NULL},
    {"-a", NULL},
    {"", NULL},
    {"abcdefghijklmnopqrstuvwxyz-12345", NULL},
    {"abcdefghijklmnopqrstuvwxyz-1234", "abcdefghijklmnopqrstuvwxyz-1234"},
};

static void test_keys(void **state)
{
    char key[SITES_KEY_SIZE];

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool is_good = sites_key(cases[i].site, key);

        assert_int_equal(is_good, cases[i].key != NULL);
        if (!is_good)
            continue;
        assert_string_equal(key, cases[i].key);
        for (const char *at = key; (at = strchr(at, 'v')); at++)
            assert_false(isdigit((unsigned char) at[1]) || at[1] == '.');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_keys)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
