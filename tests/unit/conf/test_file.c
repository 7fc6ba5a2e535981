#include "conf/file.h"

#include "scratch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int read_file(const char *path, size_t max, struct ist_err *err)
{
    struct ist_sb sb;
    int rc;

    ist_sb_init(&sb, 0);
    rc = ist_conf_read(path, max, &sb, NULL, err);
    ist_sb_fini(&sb);
    return rc;
}

static void test_read(void **state)
{
    struct scratch s;
    struct ist_err err;
    struct ist_sb sb;
    unsigned mode = 0;

    (void) state;
    scratch_init(&s);
    scratch_write(&s, "f", "abc\n", 4, 0640);
    ist_sb_init(&sb, 0);
    assert_int_equal(ist_conf_read(s.path, 4, &sb, &mode, &err), 0);
    assert_string_equal(ist_sb_text(&sb), "abc\n");
    assert_int_equal(mode, 0640);
    ist_sb_fini(&sb);
    assert_int_equal(read_file(s.path, 3, &err), -EFBIG);
    scratch_write(&s, "w", "abc\n", 4, 0666);
    assert_int_equal(read_file(s.path, 9, &err), -EPERM);
    assert_non_null(strstr(err.text, "chmod o-w"));
    assert_int_equal(read_file(scratch_name(&s, "none"), 9, &err), -ENOENT);
    assert_int_equal(read_file(s.dir, 9, &err), -EINVAL);
    /* A FIFO without a writer would hold us for ever. */
    assert_int_equal(mkfifo(scratch_name(&s, "fifo"), 0600), 0);
    assert_int_equal(read_file(s.path, 9, &err), -EINVAL);
    assert_int_equal(read_file("/dev/zero", 9, &err), -EINVAL);
    scratch_fini(&s);
}

static void test_secret(void **state)
{
    static const struct {
        const char *data;
        size_t size;
        mode_t mode;
        int rc;
    } cases[] = {
        {"CANARY-1\n", 9, 0400, 0},        {"CANARY-1", 8, 0600, 0},
        {"CANARY-1\n", 9, 0440, -EPERM},   {"CANARY-1\n", 9, 0604, -EPERM},
        {"CANARY-1\n", 9, 0620, -EPERM},   {"", 0, 0400, -EINVAL},
        {"\n", 1, 0400, -EINVAL},          {"CAN\0RY", 6, 0400, -EINVAL},
        {"CANARY\nX\n", 9, 0400, -EINVAL},
    };
    struct scratch s;

    (void) state;
    scratch_init(&s);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ist_err err = {.code = 0};
        char name[16], *secret = NULL;

        snprintf(name, sizeof(name), "s%zu", i);
        scratch_write(&s, name, cases[i].data, cases[i].size, cases[i].mode);
        assert_int_equal(ist_conf_read_secret(s.path, &secret, &err),
                         cases[i].rc);
        if (cases[i].rc == 0) {
            assert_string_equal(secret, "CANARY-1");
        } else {
            assert_null(secret);
            assert_null(strstr(err.text, "CAN"));
        }
        assert_null(ist_conf_secret_free(secret));
    }
    scratch_fini(&s);
}

static void test_path(void **state)
{
    static const char *const cases[][3] = {
        {"/etc/isthmus/agent.yaml", "key", "/etc/isthmus/key"},
        {"/etc/isthmus/agent.yaml", "/run/key", "/run/key"},
        {"agent.yaml", "key", "key"},
        {"conf/agent.yaml", "../key", "conf/../key"},
        {"", "key", "key"},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *path = ist_conf_path(cases[i][0], cases[i][1]);

        assert_string_equal(path, cases[i][2]);
        free(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_secret),
        cmocka_unit_test(test_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
