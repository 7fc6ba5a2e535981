#include "model/marker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct ist_arena arena;

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

static const struct ist_place place = {
    .keys = {{"2026-11-25T08:00:00.000000", 26}, {"n\0x", 3}},
    .site = "hkg",
    .id = {"3f0c", 4},
};

static void make(struct ist_sb *text)
{
    ist_sb_init(text, 0);
    ist_marker_put(text, "server", "-created_at,name", 2, &place);
    assert_int_equal(text->rc, 0);
}

static void test_round_trip(void **state)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;
    struct ist_place got;

    (void) state;
    make(&text);
    assert_null(strpbrk(text.data, "+/=&?"));
    assert_int_equal(ist_marker_parse(text.data, "server", "-created_at,name",
                                      2, &arena, &got),
                     0);
    assert_string_equal(got.site, "hkg");
    assert_int_equal(ist_bytes_cmp(&got.id, &place.id), 0);
    assert_int_equal(ist_bytes_cmp(&got.keys[0], &place.keys[0]), 0);
    assert_int_equal(ist_bytes_cmp(&got.keys[1], &place.keys[1]), 0);
}

static void test_the_longest_place(void **state)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;
    static const char long_sort[] = "-created_at,updated_at,visibility,name";
    static const char long_site[] = "a-site-whose-name-is-32-long-abc";
    static char bytes[IST_ORDER_KEY_MAX], id[IST_ORDER_ID_MAX];
    struct ist_place longest = {.site = long_site, .id = {id, sizeof(id)}};
    struct ist_place got;

    (void) state;
    memset(bytes, 'k', sizeof(bytes));
    memset(id, 'i', sizeof(id));
    for (size_t i = 0; i < IST_ORDER_KEYS_MAX; i++)
        longest.keys[i] = (struct ist_bytes){bytes, sizeof(bytes)};
    ist_sb_init(&text, 0);
    ist_marker_put(&text, "availability-zone", long_sort, IST_ORDER_KEYS_MAX,
                   &longest);
    assert_int_equal(ist_marker_parse(text.data, "availability-zone", long_sort,
                                      IST_ORDER_KEYS_MAX, &arena, &got),
                     0);
    assert_int_equal(ist_bytes_cmp(&got.id, &longest.id), 0);
}

static void test_for_another_list(void **state)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;
    struct ist_place got;

    (void) state;
    make(&text);
    assert_int_equal(ist_marker_parse(text.data, "image", "-created_at,name", 2,
                                      &arena, &got),
                     IST_MARKER_OTHER_LIST);
    assert_int_equal(
        ist_marker_parse(text.data, "server", "name", 1, &arena, &got),
        IST_MARKER_OTHER_LIST);
}

static void test_malformed(void **state)
{
    static char large[IST_MARKER_MAX + 2];
    const char *const bad[] = {"", "x", "????", "AAAA", "-1", large};
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;
    struct ist_place got;

    (void) state;
    memset(large, 'A', sizeof(large) - 1);
    for (size_t i = 0; i < IST_COUNT(bad); i++)
        assert_int_equal(
            ist_marker_parse(bad[i], "server", "name", 1, &arena, &got),
            IST_MARKER_MALFORMED);
    make(&text);
    for (size_t len = text.len - 1; len > 0; len--) {
        text.data[len] = '\0';
        assert_true(ist_marker_parse(text.data, "server", "-created_at,name", 2,
                                     &arena, &got) > 0);
        ist_arena_reset(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_longest_place, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_for_another_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
