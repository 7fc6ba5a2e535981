/* Links in JSON, in whole documents and in pieces of any size. */
#include "codec/links.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct ist_link_map maps[] = {
    {"http://10.0.0.1:8774", "https://hub/r/hkg/compute"},
    {"http://10.0.0.1/image", "https://hub/r/hkg/image"},
    {"http://10.0.0.1", "https://hub/r/hkg/web"},
};

static void rewrite_in(const char *text, size_t piece, struct ist_sb *out)
{
    struct ist_links links = {.maps = maps, .n_maps = 3};
    size_t len = strlen(text);

    for (size_t at = 0; at < len; at += piece)
        ist_links_feed(&links, text + at, len - at < piece ? len - at : piece,
                       out);
    ist_links_end(&links, out);
}

static void expect(const char *text, const char *wanted)
{
    for (size_t piece = 1; piece <= strlen(text) + 1; piece++) {
        struct ist_sb out;

        ist_sb_init(&out, 0);
        rewrite_in(text, piece, &out);
        assert_string_equal(ist_sb_text(&out), wanted);
        ist_sb_fini(&out);
    }
}

static void test_links(void **state)
{
    (void) state;
    expect("{\"links\": [{\"rel\": \"self\", \"href\": "
           "\"http://10.0.0.1:8774/v2.1/servers/1\"}]}",
           "{\"links\": [{\"rel\": \"self\", \"href\": "
           "\"https://hub/r/hkg/compute/v2.1/servers/1\"}]}");
    expect("{\"href\" :\n\t\"http://10.0.0.1:8774\"}",
           "{\"href\" :\n\t\"https://hub/r/hkg/compute\"}");
    expect("{\"href\":\"http://10.0.0.1:8774?marker=x\"}",
           "{\"href\":\"https://hub/r/hkg/compute?marker=x\"}");
}

static void test_longest(void **state)
{
    (void) state;
    expect("{\"href\":\"http://10.0.0.1/image/v2/x\"}",
           "{\"href\":\"https://hub/r/hkg/image/v2/x\"}");
    expect("{\"href\":\"http://10.0.0.1/images/x\"}",
           "{\"href\":\"https://hub/r/hkg/web/images/x\"}");
}

static void test_left_alone(void **state)
{
    static const char *const texts[] = {
        "{\"name\":\"http://10.0.0.1:8774/v2.1\"}",
        "{\"href\":\"http://10.0.0.1:87745/v2.1\"}",
        "{\"href\":\"http://10.0.0.2/v2.1\"}",
        "{\"href\":[\"http://10.0.0.1:8774/\"]}",
        "{\"hrefs\":\"http://10.0.0.1:8774/\"}",
        "{\"xhref\":\"http://10.0.0.1:8774/\"}",
        "{\"hre\\u0066\":\"http://10.0.0.1:8774/\"}",
        "[\"href\",\"http://10.0.0.1:8774/\"]",
        "{\"a\":\"href\",\"b\":\"http://10.0.0.1:8774/\"}",
        "{\"a\":\"\\\"href\\\":\\\"http://10.0.0.1:8774/\\\"\"}",
        "{\"href\":\"\\\\\",\"b\":\"http://10.0.0.1:8774/\"}",
        "{\"href\":null,\"b\":1}",
        "{\"href\":\"http://10.0.0.1:8774/ no end",
        "not JSON at all: \"href",
        "",
    };

    (void) state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        expect(texts[i], texts[i]);
}

static void test_too_long(void **state)
{
    char text[IST_LINK_MAX + 200] = "{\"href\":\"http://10.0.0.1:8774/";
    size_t at = strlen(text);
    struct ist_sb out;

    (void) state;
    memset(text + at, 'x', IST_LINK_MAX);
    strcpy(text + at + IST_LINK_MAX, "\",\"href\":\"http://10.0.0.1:8774/\"}");
    ist_sb_init(&out, 0);
    rewrite_in(text, 100, &out);
    assert_memory_equal(ist_sb_text(&out), text, at + IST_LINK_MAX);
    assert_string_equal(ist_sb_text(&out) + at + IST_LINK_MAX,
                        "\",\"href\":\"https://hub/r/hkg/compute/\"}");
    ist_sb_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_left_alone),
        cmocka_unit_test(test_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
