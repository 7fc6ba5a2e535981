#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What was logged since capture_begin(), read back from a file that stood in
 * for stderr. */
static struct {
    int saved, file;
    char text[64 * 1024];
} out;

static void capture_begin(void)
{
    char path[] = "/tmp/test_log.XXXXXX";

    out.file = mkstemp(path);
    assert_true(out.file >= 0);
    unlink(path);
    out.saved = dup(STDERR_FILENO);
    dup2(out.file, STDERR_FILENO);
}

static const char *capture_end(void)
{
    ssize_t len = pread(out.file, out.text, sizeof(out.text) - 1, 0);

    dup2(out.saved, STDERR_FILENO);
    close(out.saved);
    close(out.file);
    assert_true(len >= 0);
    out.text[len] = '\0';
    return out.text;
}

static int setup(void **state)
{
    (void) state;
    unsetenv("JOURNAL_STREAM");
    ist_log_level_set(IST_LOG_INFO);
    return 0;
}

static void test_line(void **state)
{
    const char *text;

    (void) state;
    capture_begin();
    ist_log_warn("bus", "connected broker=%s", "b:5671");
    text = capture_end();
    assert_int_equal(text[4], '-');
    assert_int_equal(text[10], 'T');
    assert_int_equal(text[23], 'Z');
    assert_string_equal(text + 24, " warn bus: connected broker=b:5671\n");
}

static void test_journal_line(void **state)
{
    const char *text;

    (void) state;
    setenv("JOURNAL_STREAM", "8:1", 1);
    ist_log_level_set(IST_LOG_DEBUG);
    capture_begin();
    ist_log_error("a", "1");
    ist_log_warn("a", "2");
    ist_log_info("a", "3");
    ist_log_debug("a", "4");
    text = capture_end();
    assert_string_equal(text, "<3>a: 1\n<4>a: 2\n<6>a: 3\n<7>a: 4\n");
}

static void test_level(void **state)
{
    enum ist_log_level level = IST_LOG_WARN;

    (void) state;
    capture_begin();
    ist_log_debug("a", "unheard");
    assert_string_equal(capture_end(), "");
    assert_true(ist_log_level_parse("debug", &level));
    assert_int_equal(level, IST_LOG_DEBUG);
    assert_false(ist_log_level_parse("Debug", &level));
    assert_false(ist_log_level_parse("", &level));
    assert_int_equal(level, IST_LOG_DEBUG);
}

static void test_foreign_text_stays_in_its_line(void **state)
{
    const char *text;

    (void) state;
    setenv("JOURNAL_STREAM", "8:1", 1);
    capture_begin();
    ist_log_info("a", "name=%s",
                 "x\n<3>forged: \x1b[31m\r\x7f\t\xC2\x9B"
                 "1m\x9B \xC3\xA9");
    text = capture_end();
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_null(strpbrk(text, "\x1b\r\x7f\t\x9B"));
    assert_non_null(strstr(text, "\xC3\xA9")); /* Text stays text. */
}

static void test_long_text_is_cut(void **state)
{
    char long_text[5000];
    const char *text;

    (void) state;
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    capture_begin();
    ist_log_info("a", "%s", long_text);
    text = capture_end();
    assert_in_range(strlen(text), 1000, 1200);
    assert_int_equal(text[strlen(text) - 1], '\n');
}

static void test_one_site_cannot_flood(void **state)
{
    const char *text;
    size_t lines = 0;

    (void) state;
    capture_begin();
    for (int i = 0; i < 1000; i++)
        ist_log_info("a", "again");
    ist_log_info("a", "another place");
    text = capture_end();
    for (const char *p = text; (p = strchr(p, '\n')); p++)
        lines++;
    assert_int_equal(lines, 201);
    assert_non_null(strstr(text, "another place"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_line, setup),
        cmocka_unit_test_setup(test_journal_line, setup),
        cmocka_unit_test_setup(test_level, setup),
        cmocka_unit_test_setup(test_foreign_text_stays_in_its_line, setup),
        cmocka_unit_test_setup(test_long_text_is_cut, setup),
        cmocka_unit_test_setup(test_one_site_cannot_flood, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
