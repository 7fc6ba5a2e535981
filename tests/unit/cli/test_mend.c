#include "cli/mend.h"

#include "base/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void mend(const char *text, size_t len, const char *wanted)
{
    struct ist_sb sb;
    json_t *value;

    ist_sb_init(&sb, 0);
    cli_mend(&sb, text, len);
    assert_string_equal(ist_sb_text(&sb), wanted);
    value = json_loadb(ist_sb_text(&sb), sb.len,
                       JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(value);
    json_decref(value);
    ist_sb_fini(&sb);
}

#define MEND(text, wanted) mend(text, sizeof(text) - 1, wanted)

static void test_good_stays(void **state)
{
    (void) state;
    MEND("{\"a\": [1, -2.5e3, \"x\\\"y\\\\\", true, null]}",
         "{\"a\": [1, -2.5e3, \"x\\\"y\\\\\", true, null]}");
    MEND("\"\\ud83d\\ude00 h\xC3\xA9\"", "\"\\ud83d\\ude00 h\xC3\xA9\"");
    MEND("\"99999999999999999999\"", "\"99999999999999999999\"");
    MEND("999999999999999999", "999999999999999999");
    MEND("[1.5e300]", "[1.5e300]");
}

static void test_mended(void **state)
{
    (void) state;
    MEND("\"a\xFFz\"", "\"a\xEF\xBF\xBDz\"");
    MEND("\"\\ud800\"", "\"\\ufffd\"");
    MEND("\"\\udc00x\"", "\"\\ufffdx\"");
    MEND("\"\\ud800\\u0041\"", "\"\\ufffd\\u0041\"");
    MEND("{\"a\\u0000b\": 1}", "{\"a\\ufffdb\": 1}");
    MEND("[99999999999999999999]", "[\"99999999999999999999\"]");
    MEND("[1e999, -1e999]", "[\"1e999\", \"-1e999\"]");
}

/* Any bytes: it ends, and stays within its input. */
static void test_any_bytes(void **state)
{
    static const char letters[] = "\"\\u0dD8{}[]:,-+.eE19 \xC3\xFF";

    (void) state;
    ist_rand_plant(3);
    for (int round = 0; round < 20000; round++) {
        size_t len = ist_rand_below(24);
        struct ist_sb sb;
        char *text = malloc(len ? len : 1); /* Its end is guarded. */

        for (size_t i = 0; i < len; i++)
            text[i] = letters[ist_rand_below(sizeof(letters))];
        ist_sb_init(&sb, 0);
        cli_mend(&sb, text, len);
        assert_int_equal(sb.rc, 0);
        ist_sb_fini(&sb);
        free(text);
    }
    ist_rand_unplant();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_stays),
        cmocka_unit_test(test_mended),
        cmocka_unit_test(test_any_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
