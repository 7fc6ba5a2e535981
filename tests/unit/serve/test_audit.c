/* The site's record of what was asked for: whole lines, none lost, and none
 * where the disk takes none. */
#include "serve/audit.h"

#include "../scratch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define WALL 1790000000123ULL

struct box {
    struct ist_loop loop;
    char dir[SCRATCH_SIZE];
    struct serve_audit audit;
    Isthmus__V1__Assertion said;
    struct serve_asserted word;
};

static struct box box;

static int setup(void **state)
{
    (void) state;
    memset(&box, 0, sizeof(box));
    ist_loop_init_virtual(&box.loop, WALL);
    scratch_make(box.dir);
    serve_audit_init(&box.audit, &box.loop, scratch_path(box.dir, "audit.log"));
    isthmus__v1__assertion__init(&box.said);
    box.said.method = (char *) "DELETE";
    box.said.service = (char *) "compute";
    box.said.target = (char *) "/v2.1/servers/1?token=secret";
    box.said.user = (char *) "hkg/\"alice\"";
    box.said.project_name = (char *) "hkg/shop";
    box.said.request_id = (char *) "req-1";
    box.word.assertion = &box.said;
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    serve_audit_fini(&box.audit);
    ist_loop_fini(&box.loop);
    scratch_drop(box.dir);
    return 0;
}

static void run(void)
{
    do
        ist_loop_step(&box.loop, ist_loop_now(&box.loop) + 1);
    while (serve_audit_busy(&box.audit));
}

static bool add(const char *reason)
{
    return serve_audit_add(&box.audit, &box.word, POLICY_DELETE, "server",
                           reason);
}

static void read_file(char *text, size_t size)
{
    int fd = open(box.audit.path, O_RDONLY);
    ssize_t n;

    assert_true(fd >= 0);
    n = read(fd, text, size - 1);
    assert_true(n >= 0);
    text[n] = '\0';
    close(fd);
}

static void test_lines(void **state)
{
    static const char wanted[] =
        "{\"time\":\"2026-09-21T14:13:20.123Z\",\"verdict\":\"allowed\","
        "\"verb\":\"delete\",\"kind\":\"server\",\"method\":\"DELETE\","
        "\"service\":\"compute\",\"path\":\"/v2.1/servers/1\","
        "\"user\":\"hkg/\\\"alice\\\"\",\"project\":\"hkg/shop\","
        "\"request_id\":\"req-1\"}\n";
    char text[4096];
    struct stat st;

    (void) state;
    assert_true(add(NULL));
    run();
    read_file(text, sizeof(text));
    assert_string_equal(text, wanted);
    assert_int_equal(stat(box.audit.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(add("no rule"));
    assert_true(add(NULL));
    run();
    read_file(text, sizeof(text));
    assert_non_null(strstr(text, "\"verdict\":\"denied\""));
    assert_non_null(strstr(text, "\"reason\":\"no rule\"}\n{"));
}

/* Moved away by who keeps logs: made anew. */
static void test_moved_away(void **state)
{
    char text[4096];

    (void) state;
    assert_true(add(NULL));
    run();
    assert_int_equal(unlink(box.audit.path), 0);
    assert_true(add("again"));
    run();
    read_file(text, sizeof(text));
    assert_non_null(strstr(text, "again"));
}

static void test_no_disk(void **state)
{
    (void) state;
    strlcpy(box.audit.path, "/nosuch/audit.log", sizeof(box.audit.path));
    add(NULL);
    run();
    assert_false(add(NULL));
    run();
    box.word.assertion = NULL;
    assert_false(add(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moved_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_disk, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
