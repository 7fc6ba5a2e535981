#include "codec/file.h"

#include "../scratch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>

#include <cmocka.h>

struct box {
    char dir[SCRATCH_SIZE];
    struct ist_sb sb;
    struct ist_err err;
};

static int setup(void **state)
{
    struct box *box = calloc(1, sizeof(*box));

    scratch_make(box->dir);
    ist_sb_init(&box->sb, 100);
    *state = box;
    return 0;
}

static int teardown(void **state)
{
    struct box *box = *state;

    scratch_drop(box->dir);
    ist_sb_fini(&box->sb);
    free(box);
    return 0;
}

static unsigned mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return (unsigned) st.st_mode & 07777;
}

static void test_written_then_read(void **state)
{
    struct box *box = *state;
    const char *path = scratch_path(box->dir, "secret");
    mode_t old = umask(0);

    assert_int_equal(ist_file_write(path, IST_FILE_SECRET, "one", 3, &box->err),
                     0);
    assert_int_equal(
        ist_file_write(path, IST_FILE_SECRET, "two!", 4, &box->err), 0);
    umask(077);
    assert_int_equal(ist_file_write(scratch_path(box->dir, "open"),
                                    IST_FILE_OWN, "", 0, &box->err),
                     0);
    umask(old);
    assert_int_equal(ist_file_read(path, IST_FILE_SECRET, &box->sb, &box->err),
                     0);
    assert_string_equal(ist_sb_text(&box->sb), "two!");
    assert_int_equal(mode_of(path), 0600);
    assert_int_equal(mode_of(scratch_path(box->dir, "open")), 0644);
}

static void test_no_leftovers(void **state)
{
    struct box *box = *state;

    ist_file_write(scratch_path(box->dir, "a"), IST_FILE_OWN, "x", 1, NULL);
    /* A directory in the way: the rename fails. */
    mkdir(scratch_path(box->dir, "b"), 0700);
    assert_true(ist_file_write(scratch_path(box->dir, "b"), IST_FILE_OWN, "x",
                               1, &box->err) < 0);
    unlink(scratch_path(box->dir, "a"));
    rmdir(scratch_path(box->dir, "b"));
    assert_int_equal(rmdir(box->dir), 0); /* Nothing else was in it. */
}

static void test_cap(void **state)
{
    struct box *box = *state;
    const char *path = scratch_path(box->dir, "f");
    char data[101];

    memset(data, 'x', sizeof(data));
    ist_file_write(path, IST_FILE_OWN, data, 100, NULL);
    assert_int_equal(ist_file_read(path, IST_FILE_OWN, &box->sb, &box->err), 0);
    assert_int_equal(box->sb.len, 100);
    ist_sb_reset(&box->sb);
    ist_file_write(path, IST_FILE_OWN, data, 101, NULL);
    assert_int_equal(ist_file_read(path, IST_FILE_OWN, &box->sb, &box->err),
                     -EFBIG);
    assert_non_null(strstr(box->err.text, "larger than 100 bytes"));
}

static void test_modes(void **state)
{
    static const struct {
        unsigned mode;
        enum ist_file_care care;
        int rc;
    } cases[] = {
        {0600, IST_FILE_SECRET, 0},       {0400, IST_FILE_SECRET, 0},
        {0640, IST_FILE_SECRET, -EACCES}, {0604, IST_FILE_SECRET, -EACCES},
        {0610, IST_FILE_SECRET, -EACCES}, {0666, IST_FILE_SECRET, -EACCES},
        {0644, IST_FILE_OWN, 0},          {0664, IST_FILE_OWN, -EACCES},
        {0646, IST_FILE_OWN, -EACCES},    {0666, IST_FILE_GIVEN, 0},
    };
    struct box *box = *state;
    const char *path = scratch_path(box->dir, "f");

    scratch_write(path, "text");
    for (size_t i = 0; i < IST_COUNT(cases); i++) {
        ist_sb_reset(&box->sb);
        assert_int_equal(chmod(path, cases[i].mode), 0);
        assert_int_equal(
            ist_file_read(path, cases[i].care, &box->sb, &box->err),
            cases[i].rc);
        if (cases[i].rc)
            assert_non_null(strstr(box->err.text, "chmod"));
    }
}

static void test_kinds_of_file(void **state)
{
    struct box *box = *state;
    const char *real = scratch_path(box->dir, "real");
    const char *link = scratch_path(box->dir, "link");
    const char *fifo = scratch_path(box->dir, "fifo");

    scratch_write(real, "text");
    chmod(real, 0600);
    assert_int_equal(symlink(real, link), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(ist_file_read(link, IST_FILE_SECRET, &box->sb, &box->err),
                     -ELOOP);
    assert_int_equal(ist_file_read(link, IST_FILE_OWN, &box->sb, &box->err),
                     -ELOOP);
    assert_int_equal(ist_file_read(fifo, IST_FILE_GIVEN, &box->sb, &box->err),
                     -EINVAL);
    assert_int_equal(
        ist_file_read(box->dir, IST_FILE_GIVEN, &box->sb, &box->err), -EINVAL);
    assert_int_equal(
        ist_file_read("/nowhere/at/all", IST_FILE_GIVEN, &box->sb, &box->err),
        -ENOENT);
    assert_int_equal(box->sb.len, 0);
    assert_int_equal(ist_file_read(link, IST_FILE_GIVEN, &box->sb, &box->err),
                     0);
}

static void test_foreign_owner(void **state)
{
    struct box *box = *state;
    const char *path = scratch_path(box->dir, "f");

    if (geteuid() != 0)
        skip();
    scratch_write(path, "text");
    chmod(path, 0600);
    assert_int_equal(chown(path, 12345, 12345), 0);
    assert_int_equal(ist_file_read(path, IST_FILE_OWN, &box->sb, &box->err),
                     -EPERM);
    assert_int_equal(chown(box->dir, 12345, 12345), 0);
    assert_int_equal(ist_file_check_dir(box->dir, &box->err), -EPERM);
}

static void test_directories(void **state)
{
    struct box *box = *state;
    const char *path = scratch_path(box->dir, "d");

    assert_int_equal(ist_file_mkdir(path, &box->err), 0);
    assert_int_equal(ist_file_mkdir(path, &box->err), 0);
    assert_int_equal(mode_of(path), 0700);
    chmod(path, 0711);
    assert_int_equal(ist_file_mkdir(path, &box->err), 0);
    chmod(path, 0770);
    assert_int_equal(ist_file_mkdir(path, &box->err), -EACCES);
    scratch_write(scratch_path(box->dir, "f"), "");
    assert_int_equal(ist_file_mkdir(scratch_path(box->dir, "f"), &box->err),
                     -ENOTDIR);
    assert_int_equal(ist_file_mkdir("/nowhere/at/all", &box->err), -ENOENT);
}

static void test_lock(void **state)
{
    struct box *box = *state;
    int fd = ist_file_lock(box->dir, ".lock", &box->err);

    assert_true(fd >= 0);
    assert_int_equal(ist_file_lock(box->dir, ".lock", &box->err), -EBUSY);
    close(fd);
    fd = ist_file_lock(box->dir, ".lock", &box->err);
    assert_true(fd >= 0);
    close(fd);
}

static void test_numbers(void **state)
{
    struct box *box = *state;
    const char *path = scratch_path(box->dir, "n");
    static const char *const damaged[] = {
        "", "\n", "x", "-1", "1 2", "18446744073709551616", "1\n\n"};
    uint64_t n = 5;

    assert_int_equal(ist_file_number_read(path, &n, &box->err), 0);
    assert_int_equal(n, 0);
    assert_int_equal(ist_file_number_write(path, UINT64_MAX, &box->err), 0);
    assert_int_equal(ist_file_number_read(path, &n, &box->err), 0);
    assert_true(n == UINT64_MAX);
    for (size_t i = 0; i < IST_COUNT(damaged); i++) {
        scratch_write(path, damaged[i]);
        assert_int_equal(ist_file_number_read(path, &n, &box->err), -EBADMSG);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_written_then_read),
        TEST(test_no_leftovers),
        TEST(test_cap),
        TEST(test_modes),
        TEST(test_kinds_of_file),
        TEST(test_foreign_owner),
        TEST(test_directories),
        TEST(test_lock),
        TEST(test_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
