#include "conf/yaml.h"

#include "conf/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool parse(struct ist_yaml *tree, const char *text, size_t size,
                  unsigned flags, struct ist_conf_report *report)
{
    ist_conf_report_init(report);
    report->path = "f";
    return ist_yaml_parse(tree, text, size, flags, report);
}

static void test_tree(void **state)
{
    static const char text[] = "# nothing\n"
                               "a: one\r\n"
                               "b:\n"
                               "  - 'x'\n"
                               "  - {c: [1, \"\"], d: }\n"
                               "\"e\": no newline";
    struct ist_conf_report report;
    const struct ist_yaml_node *b, *map;
    struct ist_yaml tree;

    (void) state;
    assert_true(parse(&tree, text, sizeof(text) - 1, 0, &report));
    assert_string_equal(ist_yaml_get(tree.root, "a")->text, "one");
    assert_int_equal(ist_yaml_get(tree.root, "a")->line, 2);
    b = ist_yaml_get(tree.root, "b");
    assert_int_equal(b->type, IST_YAML_LIST);
    assert_true(b->first->node->quoted);
    assert_int_equal(b->first->line, 4);
    map = b->first->next->node;
    assert_int_equal(map->type, IST_YAML_MAP);
    assert_false(ist_yaml_is_empty(ist_yaml_get(map, "c")->first->next->node));
    assert_true(ist_yaml_is_empty(ist_yaml_get(map, "d")));
    assert_string_equal(ist_yaml_get(tree.root, "e")->text, "no newline");
    assert_null(ist_yaml_get(tree.root, "z"));
    assert_null(ist_yaml_get(b, "a"));
    ist_yaml_fini(&tree);
    ist_conf_report_fini(&report);
}

static void refused(const char *text, size_t size, unsigned flags,
                    const char *complaint)
{
    struct ist_conf_report report;
    struct ist_yaml tree;

    assert_false(parse(&tree, text, size, flags, &report));
    assert_non_null(strstr(ist_sb_text(&report.text), complaint));
    assert_true(report.n_errors > 0);
    ist_yaml_fini(&tree);
    ist_conf_report_fini(&report);
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *complaint;
    } cases[] = {
        {"\xEF\xBB\xBF"
         "a: 1",
         "f:1: begins with a byte order mark"},
        {"a: 1\nb: 2\na: 3\n", "f:3: a: given twice"},
        {"a: &x 1\n", "f:1: anchors"},
        {"a: 1\nb: *x\n", "f:2: aliases"},
        {"a: !!str 1\n", "f:1: tags"},
        {"a: 1\n---\nb: 2\n", "f:2: a second document"},
        {"a: [1\nb: 2\n", "f:"},
        {"a: 1\n\tb: 2\n", "f:2: "},
        {"? [a]\n: 1\n", "f:1: the name of a member must be a word"},
        {"a: \"\\0\"\n", "f:1: a NUL character"},
        {"a: \xFF\n", "f: "},
        {"a: \x01\n", "f: "},
        {"\xFF\xFE"
         "a",
         "byte order mark"},
    };
    char deep[2 * IST_YAML_DEPTH_MAX + 3];

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refused(cases[i].text, strlen(cases[i].text), 0, cases[i].complaint);
    refused("a: 1\0b", 6, 0, "f: holds a NUL byte");
    memset(deep, '[', IST_YAML_DEPTH_MAX + 1);
    memset(deep + IST_YAML_DEPTH_MAX + 1, ']', IST_YAML_DEPTH_MAX + 1);
    refused(deep, 2 * (IST_YAML_DEPTH_MAX + 1), 0, "f:1: nested too deep");
}

static void test_limits(void **state)
{
    size_t size = IST_CONF_FILE_MAX + 1;
    char *text = malloc(size), *at = text;

    (void) state;
    assert_non_null(text);
    memset(text, '#', size);
    refused(text, size, 0, "f: too large");
    /* As many members as a file can hold: refused before it gets slow. */
    for (int i = 0; i < 60000; i++)
        at += sprintf(at, "k%d: 1\n", i);
    refused(text, (size_t) (at - text), 0, "too many members");
    free(text);
}

static void test_deepest(void **state)
{
    char deep[2 * IST_YAML_DEPTH_MAX + 1];
    struct ist_conf_report report;
    struct ist_yaml tree;

    (void) state;
    memset(deep, '[', IST_YAML_DEPTH_MAX);
    memset(deep + IST_YAML_DEPTH_MAX, ']', IST_YAML_DEPTH_MAX);
    assert_true(parse(&tree, deep, 2 * IST_YAML_DEPTH_MAX, 0, &report));
    ist_yaml_fini(&tree);
    ist_conf_report_fini(&report);
}

static void test_empty(void **state)
{
    static const char *const texts[] = {"", "\n", "# only a comment\n",
                                        "---\n"};

    (void) state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct ist_conf_report report;
        struct ist_yaml tree;

        assert_true(parse(&tree, texts[i], strlen(texts[i]), 0, &report));
        assert_null(tree.root);
        ist_yaml_fini(&tree);
        ist_conf_report_fini(&report);
    }
}

static void test_aliases(void **state)
{
    static const char text[] = "base: &base {x: 1, y: 2}\n"
                               "one: {<<: *base, y: 3}\n"
                               "two: *base\n";
    /* Each level names the one above it nine times: 9^7 if copied. */
    static const char bomb[] = "a: &a [x, x, x, x, x, x, x, x, x]\n"
                               "b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n"
                               "c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\n"
                               "d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\n"
                               "e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\n"
                               "f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]\n"
                               "g: &g [*f, *f, *f, *f, *f, *f, *f, *f, *f]\n";
    struct ist_conf_report report;
    const struct ist_yaml_node *one;
    struct ist_yaml tree;

    (void) state;
    assert_true(
        parse(&tree, text, sizeof(text) - 1, IST_YAML_ALIASES, &report));
    one = ist_yaml_get(tree.root, "one");
    assert_string_equal(ist_yaml_get(one, "x")->text, "1");
    assert_string_equal(ist_yaml_get(one, "y")->text, "3");
    assert_ptr_equal(ist_yaml_get(tree.root, "two"),
                     ist_yaml_get(tree.root, "base"));
    ist_yaml_fini(&tree);
    ist_conf_report_fini(&report);

    assert_true(
        parse(&tree, bomb, sizeof(bomb) - 1, IST_YAML_ALIASES, &report));
    assert_in_range(tree.arena.used, 1, 64 * 1024);
    ist_yaml_fini(&tree);
    ist_conf_report_fini(&report);

    refused("a: *b\n", 6, IST_YAML_ALIASES, "an alias without its anchor");
    refused("a: &a [*a]\n", 11, IST_YAML_ALIASES, "within its own anchor");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limits), cmocka_unit_test(test_deepest),
        cmocka_unit_test(test_empty),  cmocka_unit_test(test_aliases),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
