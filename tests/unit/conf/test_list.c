/* Files that are a list of rows: what is read, and every fault in words. */
#include "conf/list.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
    size_t room, n;
    bool has_memory;
} t;

static bool begin(void *arg, size_t n)
{
    (void) arg;
    t.room = n;
    return t.has_memory;
}

static void read_row(void *arg, struct ist_conf_report *report,
                     const struct ist_yaml_node *row)
{
    (void) arg;
    t.n++;
    if (!ist_yaml_get(row, "name"))
        ist_conf_complain(report, row->line, "a thing has a name");
}

static const struct ist_conf_list list = {.name = "things",
                                          .row = "a thing",
                                          .max = 3,
                                          .begin = begin,
                                          .read = read_row};

static int read_text(const char *text, struct ist_err *err)
{
    char path[] = "/tmp/isthmus-list-XXXXXX";
    int fd = mkstemp(path), rc;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    memset(&t, 0, sizeof(t));
    t.has_memory = true;
    rc = ist_conf_list_read(path, &list, NULL, err);
    unlink(path);
    return rc;
}

static void test_rows(void **state)
{
    struct ist_err err;

    (void) state;
    assert_int_equal(read_text("things:\n  - {name: a}\n  - name: b\n", &err),
                     0);
    assert_int_equal(t.n, 2);
    assert_int_equal(t.room, 2);
    assert_int_equal(read_text("things: []\n", &err), 0);
    assert_int_equal(t.n, 0);
}

static void test_faults(void **state)
{
    static const struct {
        const char *text, *words;
        size_t n;
    } cases[] = {
        {"", "there must be a list 'things'", 0},
        {"others: []\n", "there must be a list 'things'", 0},
        {"things: 3\n", "there must be a list 'things'", 0},
        {"things:\n  - x\n  - {name: a}\n", ":2: a thing must be a map", 1},
        {"things:\n  - {nome: a}\n", ":2: a thing has a name", 1},
        {"things: [{name: a}, {name: b}, {name: c}, {name: d}]\n",
         "more than 3 things", 0},
        {"things: [\n", "isthmus-list-", 0},
    };
    struct ist_err err;

    (void) state;
    for (size_t i = 0; i < IST_COUNT(cases); i++) {
        assert_int_not_equal(read_text(cases[i].text, &err), 0);
        if (!strstr(err.text, cases[i].words))
            fail_msg("%zu: %s", i, err.text);
        assert_int_equal(t.n, cases[i].n);
    }
    assert_int_equal(ist_conf_list_read("/nosuch", &list, NULL, &err), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
