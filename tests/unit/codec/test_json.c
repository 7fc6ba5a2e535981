#include "codec/json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What a scan gave, as one text: "id|name;id|name;" with "-" for absent, "!"
 * for ambiguous and "#" for too large. */
struct seen {
    struct ist_sb text, bodies;
    int stop_after, n;
};

static int note(void *arg, const struct ist_json_element *e)
{
    struct seen *seen = arg;

    if (e->refusal == IST_JSON_TOO_LARGE) {
        assert_null(e->bytes.data);
        ist_sb_puts(&seen->text, "#;");
    } else {
        if (e->refusal == IST_JSON_AMBIGUOUS)
            ist_sb_putc(&seen->text, '!');
        for (int i = 0; i < 3; i++) {
            if (e->picks[i].data)
                ist_sb_add(&seen->text, e->picks[i].data, e->picks[i].size);
            else
                ist_sb_putc(&seen->text, '-');
            ist_sb_putc(&seen->text, i < 2 ? '|' : ';');
        }
        ist_sb_add(&seen->bodies, e->bytes.data, e->bytes.size);
        ist_sb_putc(&seen->bodies, '\n');
    }
    seen->n++;
    return seen->stop_after && seen->n == seen->stop_after ? -ECANCELED : 0;
}

static const char *const picks[] = {"id", "flavor.id", "OS-EXT-STS:vm_state"};
static const char *const siblings[] = {"servers_links", "links.next"};

static const struct ist_json_want want = {
    .collection = "servers",
    .picks = picks,
    .n_picks = 3,
    .siblings = siblings,
    .n_siblings = 2,
    .element_max = 400,
    .siblings_max = 100,
};

static void seen_init(struct seen *seen)
{
    *seen = (struct seen){.stop_after = 0};
    ist_sb_init(&seen->text, 0);
    ist_sb_init(&seen->bodies, 0);
}

static void seen_fini(struct seen *seen)
{
    ist_sb_fini(&seen->text);
    ist_sb_fini(&seen->bodies);
}

/* Scans 'json' cut at 'cut' (and at every byte when 'cut' is SIZE_MAX). Each
 * piece is fed from memory of its own size, freed at once, so that a slice
 * into an old piece shows under AddressSanitizer. */
static int scan_cut(const struct ist_json_want *w, const char *json,
                    size_t size, size_t cut, struct seen *seen,
                    struct ist_json_split *s)
{
    size_t at = 0;

    ist_json_split_init(s, w, note, seen);
    while (at < size) {
        size_t n = cut == SIZE_MAX ? 1 : at < cut && cut < size ? cut : size;
        char *piece;

        if (n > size - at)
            n = size - at;
        piece = malloc(n);
        memcpy(piece, json + at, n);
        ist_json_split_feed(s, piece, n);
        free(piece);
        at += n;
    }
    return ist_json_split_end(s);
}

/* The same result however it is cut. */
static void check(const struct ist_json_want *w, const char *json, int rc,
                  const char *text)
{
    size_t size = strlen(json);

    for (size_t cut = 0; cut <= size; cut++) {
        struct ist_json_split s;
        struct seen seen;

        seen_init(&seen);
        assert_int_equal(
            scan_cut(w, json, size, cut == 0 ? SIZE_MAX : cut, &seen, &s), rc);
        if (text)
            assert_string_equal(ist_sb_text(&seen.text), text);
        ist_json_split_fini(&s);
        seen_fini(&seen);
    }
}

static void test_split(void **state)
{
    (void) state;
    check(&want, "{\"servers\": []}", 0, "");
    check(&want, "{\"servers\":[{\"id\":\"a\"},{\"id\":\"b\"}]}", 0,
          "\"a\"|-|-;\"b\"|-|-;");
    check(&want,
          " {\"x\": [{\"id\": 1}], \"servers\" : [ {\"id\" : \"a\", \"flavor\""
          ": {\"links\": [{\"id\": 7}], \"id\": 12.5e3}, \"OS-EXT-STS:vm_state"
          "\": null} , {\"meta\": {\"id\": 3}, \"flavor\": [{\"id\": 4}]}, 7 ,"
          " [], \"id\", {} ] , \"id\": 9}\n",
          0, "\"a\"|12.5e3|null;-|-|-;-|-|-;-|-|-;-|-|-;-|-|-;");
    /* One object instead of a list. */
    check(&want, "{\"servers\": {\"id\": true}}", 0, "true|-|-;");
    /* Escaped names are names. */
    check(&want, "{\"\\u0073ervers\": [{\"i\\u0064\": \"\\\"}]\"}]}", 0,
          "\"\\\"}]\"|-|-;");
    /* A value that contains a pick contains it whole. */
    check(&want, "{\"servers\": [{\"flavor\": {\"id\": {\"id\": [1]}}}]}", 0,
          "-|{\"id\": [1]}|-;");
}

static void test_bodies(void **state)
{
    static const char json[] = "{\"servers\": [{\"id\": \"\xC3\xA9\"}, {\"b\": "
                               "[1, {\"c\": \"\\u20ac\"}]} ]}";

    (void) state;
    for (size_t cut = 1; cut < sizeof(json); cut++) {
        struct ist_json_split s;
        struct seen seen;

        seen_init(&seen);
        assert_int_equal(
            scan_cut(&want, json, sizeof(json) - 1, cut, &seen, &s), 0);
        assert_string_equal(ist_sb_text(&seen.bodies),
                            "{\"id\": \"\xC3\xA9\"}\n"
                            "{\"b\": [1, {\"c\": \"\\u20ac\"}]}\n");
        assert_int_equal(s.n_elements, 2);
        ist_json_split_fini(&s);
        seen_fini(&seen);
    }
}

static void test_paths(void **state)
{
    struct ist_json_want w = want;

    (void) state;
    w.collection = "limits.absolute";
    check(&w,
          "{\"limits\": {\"rate\": [], \"absolute\": {\"id\": 5}}, "
          "\"absolute\": [{\"id\": 6}]}",
          0, "5|-|-;");
    w.collection = "";
    check(&w, "[{\"id\": 1}, {\"id\": 2}]", 0, "1|-|-;2|-|-;");
    check(&w, "{\"id\": 1, \"servers\": [{\"id\": 2}]}", 0, "1|-|-;");
    check(&w, "7", IST_JSON_E_SHAPE, "");
    w.collection = NULL;
    check(&w, "{\"servers\": [{\"id\": 2}]}", 0, "");
    check(&w, "-0.5E+10", 0, "");
}

static void test_siblings(void **state)
{
    static const char json[] =
        "{\"links\": {\"self\": 1, \"next\": \"http://x/?a=\\u0062\"}, "
        "\"servers\": [{\"id\": \"a\", \"servers_links\": 0}], "
        "\"servers_links\": [{\"rel\": \"next\"}]}";

    (void) state;
    for (size_t cut = 1; cut < sizeof(json); cut++) {
        struct ist_json_split s;
        struct ist_json_slice v;
        struct seen seen;

        seen_init(&seen);
        assert_int_equal(
            scan_cut(&want, json, sizeof(json) - 1, cut, &seen, &s), 0);
        v = ist_json_split_sibling(&s, 0);
        assert_int_equal(v.size, strlen("[{\"rel\": \"next\"}]"));
        assert_memory_equal(v.data, "[{\"rel\": \"next\"}]", v.size);
        v = ist_json_split_sibling(&s, 1);
        assert_true(ist_json_text_is(v, "http://x/?a=b"));
        ist_json_split_fini(&s);
        seen_fini(&seen);
    }
}

static void test_siblings_cap(void **state)
{
    struct ist_json_want w = want;

    (void) state;
    w.siblings_max = 4;
    check(&w, "{\"servers_links\": 1234, \"servers\": []}", 0, "");
    check(&w, "{\"servers_links\": 12345, \"servers\": []}", IST_JSON_E_SIZE,
          NULL);
}

/* One that is too large or ambiguous does not spoil the others. */
static void test_refused_elements(void **state)
{
    struct ist_json_want w = want;

    (void) state;
    w.element_max = 20;
    check(&w,
          "{\"servers\": [{\"id\": 1}, {\"id\": \"12345678901234567890\"}, "
          "{\"id\": 2, \"i\": 1234}, {\"id\": 3}]}",
          0, "1|-|-;#;2|-|-;3|-|-;");
    check(&want,
          "{\"servers\": [{\"id\": 1, \"id\": 2}, {\"id\": 3}, {\"flavor\": "
          "{\"id\": 4}, \"flavor\": {}}, {\"x\": 1, \"x\": 2}, {\"id\": 5}, "
          "{\"id\": 6, \"\\u0069d\": 7}]}",
          0, "!2|-|-;3|-|-;!-|4|-;-|-|-;5|-|-;!7|-|-;");
}

static void test_refused_documents(void **state)
{
    static const char *const broken[] = {
        "{\"servers\": [1,]}",
        "{\"servers\": [,1]}",
        "{\"servers\": [1 2]}",
        "{\"servers\": [1}}",
        "{\"servers\": []]",
        "{\"servers\" []}",
        "{servers: []}",
        "{\"servers\": [],}",
        "{\"servers\": []} x",
        "{\"servers\": []}{}",
        "{\"servers\": [01]}",
        "{\"servers\": [-]}",
        "{\"servers\": [+1]}",
        "{\"servers\": [1.]}",
        "{\"servers\": [.5]}",
        "{\"servers\": [1e]}",
        "{\"servers\": [1e+]}",
        "{\"servers\": [0x10]}",
        "{\"servers\": [tru]}",
        "{\"servers\": [nulll]}",
        "{\"servers\": [NaN]}",
        "{\"servers\": [\"\\x\"]}",
        "{\"servers\": [\"\\u12g4\"]}",
        "{\"servers\": [\"\\ud800\"]}",
        "{\"servers\": [\"\\ud800x\"]}",
        "{\"servers\": [\"\\ud800\\n\"]}",
        "{\"servers\": [\"\\ud800\\u0041\"]}",
        "{\"servers\": [\"\\udc00\"]}",
        "{\"servers\": [\"a\nb\"]}",
        "{\"servers\": [\"a\tb\"]}",
        "{\"servers\": [\"\xFF\"]}",
        "{\"servers\": [\"\xC0\x80\"]}",
        "{\"servers\": [\"\xED\xA0\x80\"]}",
        "{\"servers\": [\"\xE2\x82\"]}",
        "{\"servers\": [\"\xF4\x90\x80\x80\"]}",
        "{\"servers\": ['a']}",
        "\xEF\xBB\xBF{\"servers\": []}",
        "{\"servers\": [] /* no */}",
        "<html><body>Bad gateway</body></html>",
    };

    (void) state;
    for (size_t i = 0; i < IST_COUNT(broken); i++)
        check(&want, broken[i], IST_JSON_E_SYNTAX, NULL);
    check(&want, "{}", IST_JSON_E_ABSENT, "");
    check(&want, "[]", IST_JSON_E_ABSENT, "");
    check(&want, "{\"servers\": null}", IST_JSON_E_SHAPE, "");
    check(&want, "{\"servers\": \"x\"}", IST_JSON_E_SHAPE, "");
    check(&want, "{\"servers\": [], \"servers\": []}", IST_JSON_E_TWICE, "");
    check(&want, "{\"links\": {}, \"links\": {}, \"servers\": []}",
          IST_JSON_E_TWICE, "");
}

/* Every proper beginning of a document is refused, and by no other name. */
static void test_truncated(void **state)
{
    static const char json[] =
        "{\"servers\": [{\"id\": \"a\xC3\xA9\\u00e9\\ud83d\\ude00\", \"n\": "
        "-12.5e+3}, true, false, null], \"servers_links\": []}";

    (void) state;
    for (size_t size = 0; size < sizeof(json) - 1; size++) {
        struct ist_json_split s;
        struct seen seen;

        seen_init(&seen);
        assert_int_equal(scan_cut(&want, json, size, SIZE_MAX, &seen, &s),
                         IST_JSON_E_TRUNCATED);
        assert_int_equal(s.error_at, size);
        assert_null(ist_json_split_sibling(&s, 0).data);
        ist_json_split_fini(&s);
        seen_fini(&seen);
    }
}

static void nested(struct ist_sb *sb, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        ist_sb_puts(sb, i % 2 ? "{\"a\":" : "[");
    ist_sb_puts(sb, "1");
    for (unsigned i = depth; i-- > 0;)
        ist_sb_puts(sb, i % 2 ? "}" : "]");
}

static void test_depth(void **state)
{
    struct ist_json_want w = want;
    struct ist_sb sb;

    (void) state;
    w.collection = NULL;
    ist_sb_init(&sb, 0);
    nested(&sb, IST_JSON_DEPTH_MAX);
    check(&w, ist_sb_text(&sb), 0, "");
    ist_sb_reset(&sb);
    nested(&sb, IST_JSON_DEPTH_MAX + 1);
    check(&w, ist_sb_text(&sb), IST_JSON_E_DEPTH, "");
    ist_sb_fini(&sb);
}

/* The first error stays, with its place; nothing more is handed out. */
static void test_sticky(void **state)
{
    static const char json[] = "{\"servers\": [{\"id\": 1}, @, {\"id\": 2}]}";
    struct ist_json_split s;
    struct seen seen;

    (void) state;
    seen_init(&seen);
    assert_int_equal(scan_cut(&want, json, sizeof(json) - 1, 5, &seen, &s),
                     IST_JSON_E_SYNTAX);
    assert_int_equal(s.error_at, 24);
    assert_int_equal(ist_json_split_feed(&s, "1", 1), IST_JSON_E_SYNTAX);
    assert_string_equal(ist_sb_text(&seen.text), "1|-|-;");
    ist_json_split_fini(&s);
    seen_fini(&seen);
}

static void test_stop_and_reset(void **state)
{
    static const char json[] = "{\"servers\": [{\"id\": 1}, {\"id\": 2}]}";
    struct ist_json_split s;
    struct seen seen;

    (void) state;
    seen_init(&seen);
    seen.stop_after = 1;
    assert_int_equal(scan_cut(&want, json, sizeof(json) - 1, 7, &seen, &s),
                     -ECANCELED);
    assert_int_equal(seen.n, 1);
    seen.stop_after = 0;
    ist_json_split_reset(&s);
    assert_int_equal(ist_json_split_feed(&s, json, sizeof(json) - 1), 0);
    assert_int_equal(ist_json_split_end(&s), 0);
    assert_int_equal(seen.n, 3);
    ist_json_split_fini(&s);
    seen_fini(&seen);
}

/* A name longer than any that is looked for, cut where it hurts, does not
 * match the one it begins with. */
static void test_long_names(void **state)
{
    struct ist_sb sb;

    (void) state;
    ist_sb_init(&sb, 0);
    for (unsigned n = 60; n < 66; n++) {
        ist_sb_reset(&sb);
        ist_sb_puts(&sb, "{\"");
        for (unsigned i = 0; i < n; i++)
            ist_sb_puts(&sb, "\\u0061");
        ist_sb_puts(&sb, "\": 1, \"servers\": [{\"id\": 3}]}");
        check(&want, ist_sb_text(&sb), 0, "3|-|-;");
    }
    ist_sb_fini(&sb);
}

static struct ist_json_slice slice(const char *text)
{
    return (struct ist_json_slice){text, strlen(text)};
}

static void test_media_types(void **state)
{
    static const char *const json[] = {"application/json",
                                       "Application/JSON; charset=UTF-8"};
    static const char *const other[] = {"", "application/jso", "text/json",
                                        "application/octet-stream"};

    (void) state;
    for (size_t i = 0; i < IST_COUNT(json); i++)
        assert_true(ist_json_is_type(json[i], strlen(json[i])));
    for (size_t i = 0; i < IST_COUNT(other); i++)
        assert_false(ist_json_is_type(other[i], strlen(other[i])));
    assert_false(ist_json_is_type("application/json", 15));
    assert_false(ist_json_is_type(NULL, 0));
}

static void test_text(void **state)
{
    char buf[64];
    size_t len;

    (void) state;
    assert_true(ist_json_text(
        slice("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\\ud83d"
              "\\ude00\""),
        buf, sizeof(buf), &len));
    assert_string_equal(buf, "a\"\\/\b\f\n\r\tA\xC3\xA9\xE2\x82\xAC"
                             "\xF0\x9F\x98\x80");
    assert_int_equal(len, strlen(buf));
    assert_true(ist_json_text(slice("\"a\\u0000b\""), buf, sizeof(buf), &len));
    assert_int_equal(len, 3);
    assert_memory_equal(buf, "a\0b", 4);
    assert_true(ist_json_text(slice("\"\""), buf, 1, &len));
    assert_true(ist_json_text(slice("\"ab\""), buf, 3, NULL));
    assert_false(ist_json_text(slice("\"ab\""), buf, 2, NULL));
    assert_false(ist_json_text(slice("12"), buf, sizeof(buf), NULL));
    assert_true(ist_json_text_is(slice("\"n\\u0065xt\""), "next"));
    assert_false(ist_json_text_is(slice("\"nex\""), "next"));
    assert_false(ist_json_text_is(slice("null"), "null"));
}

static void test_types_and_find(void **state)
{
    struct ist_json_slice doc =
        slice("{\"a\": {\"b\": [1, true]}, \"c\": false, \"d\": null}");

    (void) state;
    assert_int_equal(ist_json_type(ist_json_find(doc, "a")), IST_JSON_OBJECT);
    assert_int_equal(ist_json_type(ist_json_find(doc, "a.b")), IST_JSON_ARRAY);
    assert_int_equal(ist_json_type(ist_json_find(doc, "c")), IST_JSON_FALSE);
    assert_int_equal(ist_json_type(ist_json_find(doc, "d")), IST_JSON_NULL);
    assert_int_equal(ist_json_type(ist_json_find(doc, "e")), IST_JSON_ABSENT);
    assert_int_equal(ist_json_type(ist_json_find(doc, "a.x")), IST_JSON_ABSENT);
    assert_int_equal(ist_json_type(ist_json_find(slice("{\"a\": 1"), "a")),
                     IST_JSON_ABSENT);
    assert_int_equal(ist_json_type(slice("-1")), IST_JSON_NUMBER);
    assert_int_equal(ist_json_type(slice("true")), IST_JSON_TRUE);
    assert_int_equal(ist_json_type(slice("\"\"")), IST_JSON_STRING);
    /* Names with dots in them. */
    doc = slice("{\"a.b\": {\"c.d\": 1, \"c\": {\"d\": null}}}");
    assert_int_equal(ist_json_type(ist_json_find(doc, "/a.b/c.d")),
                     IST_JSON_NUMBER);
    assert_int_equal(ist_json_type(ist_json_find(doc, "/a.b/c/d")),
                     IST_JSON_NULL);
    assert_int_equal(ist_json_type(ist_json_find(doc, "/a.b")),
                     IST_JSON_OBJECT);
    assert_int_equal(ist_json_type(ist_json_find(doc, "a.b")), IST_JSON_ABSENT);
}

static int count(void *arg, const struct ist_json_element *e)
{
    int *sum = arg;

    assert_int_equal(e->refusal, IST_JSON_FINE);
    *sum += (int) e->picks[0].size;
    return 0;
}

static void test_each(void **state)
{
    int sum = 0;

    (void) state;
    assert_int_equal(ist_json_each(slice("[{\"id\": 1}, {\"id\": 22}]"), picks,
                                   1, count, &sum),
                     0);
    assert_int_equal(sum, 3);
    assert_int_equal(ist_json_each(slice("[1"), picks, 1, count, &sum),
                     IST_JSON_E_TRUNCATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_siblings),
        cmocka_unit_test(test_siblings_cap),
        cmocka_unit_test(test_refused_elements),
        cmocka_unit_test(test_refused_documents),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_sticky),
        cmocka_unit_test(test_stop_and_reset),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_media_types),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_types_and_find),
        cmocka_unit_test(test_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
