/* Links and ids in JSON, in whole documents and in pieces of any size. */
#include "codec/rewrite.h"

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

#define HERE  "0123456789abcdef0123456789abcdef"
#define THERE "fedcba9876543210fedcba9876543210"

static const char *const zone_names[] = {"availability_zone", "zones"};
static const char *const id_names[] = {"id", "flavorRef"};
static const struct ist_pair zones[] = {{"nova", "hkg"}, {"ssd", "hkg-ssd"}};
static const struct ist_pair flavors[] = {{"1", "m1.tiny"}};
static const struct ist_swap swaps[] = {{zone_names, 2, zones, 2},
                                        {id_names, 2, flavors, 1}};

static const struct ist_rewriting how = {.maps = maps,
                                         .n_maps = 3,
                                         .id_from = HERE,
                                         .id_to = THERE,
                                         .swaps = swaps,
                                         .n_swaps = 2};

static void rewrite_in(const char *text, size_t piece, struct ist_sb *out)
{
    struct ist_rewrite doc = {.how = how};
    size_t len = strlen(text);

    for (size_t at = 0; at < len; at += piece)
        ist_rewrite_feed(&doc, text + at, len - at < piece ? len - at : piece,
                         out);
    ist_rewrite_end(&doc, out);
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

static void test_ids(void **state)
{
    (void) state;
    expect("{\"tenant_id\": \"" HERE "\", \"id\": \"" HERE "\"}",
           "{\"tenant_id\": \"" THERE "\", \"id\": \"" HERE "\"}");
    expect("{\"owner\":\"" HERE "\",\"project_id\":\"" HERE "0\"}",
           "{\"owner\":\"" THERE "\",\"project_id\":\"" HERE "0\"}");
    expect("{\"os-vol-tenant-attr:tenant_id\":\"" HERE "\"}",
           "{\"os-vol-tenant-attr:tenant_id\":\"" THERE "\"}");
    expect("{\"tenant_id\":null,\"name\":\"" HERE "\"}",
           "{\"tenant_id\":null,\"name\":\"" HERE "\"}");
    expect("[\"tenant_id\",\"" HERE "\"]", "[\"tenant_id\",\"" HERE "\"]");
    expect("{\"href\":\"http://10.0.0.1/v3/" HERE "/volumes/" HERE "?a=" HERE
           "&b=x" HERE "\"}",
           "{\"href\":\"https://hub/r/hkg/web/v3/" THERE "/volumes/" THERE
           "?a=" THERE "&b=x" HERE "\"}");
}

/* Whole values of members of those names, and those in a list of strings. */
static void test_swaps(void **state)
{
    static const char *const texts[] = {
        "{\"availability_zone\":\"nova2\"}",
        "{\"availability_zone\":\"\"}",
        "{\"availability_zone\":null,\"x\":\"nova\"}",
        "{\"name\":\"nova\"}",
        "[\"availability_zone\",\"nova\"]",
        "{\"availability_zone\":{\"x\":\"nova\"}}",
        "{\"zones\":[[\"nova\"]]}",
        "{\"zones\":[{\"x\":\"nova\"}]}",
        "{\"zones\":[],\"x\":\"nova\"}",
        "{\"id\":1,\"flavorRef\":\"2\"}",
    };

    (void) state;
    expect("{\"os-extended-snapshot-attributes:project_id\":\"" HERE "\"}",
           "{\"os-extended-snapshot-attributes:project_id\":\"" THERE "\"}");
    expect("{\"availability_zone\": \"nova\", \"zones\": \"ssd\"}",
           "{\"availability_zone\": \"hkg\", \"zones\": \"hkg-ssd\"}");
    expect("{\"zones\": [\"nova\", \"x\" ,\"ssd\"], \"y\": [\"nova\"]}",
           "{\"zones\": [\"hkg\", \"x\" ,\"hkg-ssd\"], \"y\": [\"nova\"]}");
    expect("{\"flavor\":{\"id\":\"1\",\"tenant_id\":\"" HERE "\"}}",
           "{\"flavor\":{\"id\":\"m1.tiny\",\"tenant_id\":\"" THERE "\"}}");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        expect(texts[i], texts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links),    cmocka_unit_test(test_ids),
        cmocka_unit_test(test_longest),  cmocka_unit_test(test_left_alone),
        cmocka_unit_test(test_too_long), cmocka_unit_test(test_swaps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
