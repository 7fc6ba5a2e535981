#include "httpd/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct ist_httpd_conf conf = {
    .line_max = 64,
    .header_max = 64,
    .headers_max = 4,
};

struct row {
    int status;
    const char *method, *target, *version;
    const char *lines[6]; /* "Name: value", NULL-ended. */
};

static int check(const struct row *row)
{
    struct ist_check_header headers[6];
    struct ist_check_head head = {row->method, row->target, row->version,
                                  headers, 0};
    char names[6][80], values[6][80];
    const char *why = NULL;
    size_t i;
    int status;

    for (i = 0; i < 6 && row->lines[i]; i++) {
        const char *colon = strstr(row->lines[i], ": ");

        snprintf(names[i], 80, "%.*s", (int) (colon - row->lines[i]),
                 row->lines[i]);
        snprintf(values[i], 80, "%s", colon + 2);
        headers[i] = (struct ist_check_header){
            names[i], values[i], strlen(names[i]), strlen(values[i])};
    }
    head.n_headers = i;
    status = ist_check_head(&head, &conf, &why);
    assert_true((status == 0) == (why == NULL));
    return status;
}

static void test_head(void **state)
{
    static const struct row rows[] = {
        {0, "GET", "/", "HTTP/1.1", {"Host: h"}},
        {0, "GET", "/", "HTTP/1.1", {"host: h.example:8774"}},
        {0, "GET", "/", "HTTP/1.1", {"Host: 127.0.0.1:80"}},
        {0, "GET", "/", "HTTP/1.1", {"Host: [2001:db8::1]"}},
        {0, "GET", "/", "HTTP/1.1", {"Host: [::1]:443"}},
        {0, "POST", "/", "HTTP/1.1", {"Host: h", "Content-Length: 1000"}},
        {0, "POST", "/", "HTTP/1.1", {"Host: h", "Transfer-Encoding: Chunked"}},
        {0, "M-SEARCH", "/", "HTTP/1.1", {"Host: h"}},
        {0, "GET", "/", "HTTP/1.1", {"Host: h", "X: a\tb \xc3\xa9"}},
        {0, "GET", "/", "HTTP/1.1", {"Host: h", "a: b", "a: c", "d: "}},
        {400, "GET", "/", "HTTP/1.1", {0}},
        {400, "GET", "/", "HTTP/1.1", {"Host: h", "Host: h"}},
        {400, "GET", "/", "HTTP/1.1", {"Host: "}},
        {400, "GET", "/", "HTTP/1.1", {"Host: []"}},
        {400, "GET", "/", "HTTP/1.1", {"Host: [::1]x"}},
        {400, "GET", "/", "HTTP/1.1", {"Host: h:123456"}},
        {400, "GET", "/", "HTTP/1.1", {"Host: h,i"}},
        {400, "G T", "/", "HTTP/1.1", {"Host: h"}},
        {400, "", "/", "HTTP/1.1", {"Host: h"}},
        {505, "GET", "/", "HTTP/1.0", {"Host: h"}},
        {505, "GET", "/", "", {0}},
        {414,
         "GET",
         "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "HTTP/1.1",
         {"Host: h"}},
        {0,
         "GET",
         "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "HTTP/1.1",
         {"Host: h"}},
        {431,
         "GET",
         "/",
         "HTTP/1.1",
         {"Host: h", "a: 1", "b: 1", "c: 1", "d: 1"}},
        {0,
         "GET",
         "/",
         "HTTP/1.1",
         {"Host: h",
          "a: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}},
        {431,
         "GET",
         "/",
         "HTTP/1.1",
         {"Host: h",
          "a: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}},
        {400, "GET", "/", "HTTP/1.1", {"Host: h", "a b: c"}},
        {400, "GET", "/", "HTTP/1.1", {"Host: h", "a : c"}},
        {400, "GET", "/", "HTTP/1.1", {"Host: h", ": c"}},
        {400, "GET", "/", "HTTP/1.1", {"Host: h", "a: b\x01"}},
        {400, "GET", "/", "HTTP/1.1", {"Host: h", "a: b\rc"}},
        {400, "GET", "/", "HTTP/1.1", {"Host: h", "a: b\x7f"}},
        {0,
         "POST",
         "/",
         "HTTP/1.1",
         {"Host: h", "Content-Length: 9223372036854775807"}},
        {413,
         "POST",
         "/",
         "HTTP/1.1",
         {"Host: h", "Content-Length: 9223372036854775808"}},
        {413,
         "POST",
         "/",
         "HTTP/1.1",
         {"Host: h", "Content-Length: 18446744073709551615"}},
        {400, "POST", "/", "HTTP/1.1", {"Host: h", "Content-Length: +1"}},
        {400, "POST", "/", "HTTP/1.1", {"Host: h", "Content-Length: 1,1"}},
        {400,
         "POST",
         "/",
         "HTTP/1.1",
         {"Host: h", "Content-Length: 1", "content-length: 1"}},
        {400,
         "POST",
         "/",
         "HTTP/1.1",
         {"Host: h", "Content-Length: 1", "Transfer-Encoding: chunked"}},
        {400,
         "POST",
         "/",
         "HTTP/1.1",
         {"Host: h", "Transfer-Encoding: chunked",
          "transfer-encoding: chunked"}},
        {501, "POST", "/", "HTTP/1.1", {"Host: h", "Transfer-Encoding: gzip"}},
        {501,
         "POST",
         "/",
         "HTTP/1.1",
         {"Host: h", "Transfer-Encoding: chunked "}},
    };
    size_t i;
    int status;

    (void) state;
    for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        status = check(&rows[i]);
        if (status != rows[i].status)
            fail_msg("row %zu: %d instead of %d", i, status, rows[i].status);
    }
}

static uint64_t length_of(const char *name, const char *value)
{
    const struct ist_check_header header = {name, value, strlen(name),
                                            strlen(value)};
    const struct ist_check_head head = {"PUT", "/", "HTTP/1.1", &header, 1};

    return ist_check_length(&head);
}

static void test_length(void **state)
{
    (void) state;
    assert_int_equal(length_of("Host", "h"), 0);
    assert_int_equal(length_of("content-length", "0"), 0);
    assert_int_equal(length_of("Content-Length", "1001"), 1001);
    assert_true(length_of("Content-Length", "9223372036854775807") ==
                INT64_MAX);
    assert_true(length_of("Transfer-Encoding", "Chunked") == UINT64_MAX);
}

static void test_request_id(void **state)
{
    (void) state;
    assert_true(
        ist_check_request_id("req-01234567-89ab-cdef-ABCD-EF0123456789"));
    assert_false(
        ist_check_request_id("req-01234567-89ab-cdef-ABCD-EF012345678"));
    assert_false(
        ist_check_request_id("req-01234567-89ab-cdef-ABCD-EF01234567890"));
    assert_false(
        ist_check_request_id("req-01234567-89ab-cdef-ABCD_EF0123456789"));
    assert_false(
        ist_check_request_id("req-01234567-89ab-cdef-ABCD-EF012345678g"));
    assert_false(
        ist_check_request_id("req-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"));
    assert_false(ist_check_request_id("01234567-89ab-cdef-ABCD-EF0123456789"));
    assert_false(ist_check_request_id(""));
}

static void test_header_out(void **state)
{
    (void) state;
    assert_true(ist_check_header_out("X-A", "b \t c"));
    assert_true(ist_check_header_out("X-A", ""));
    assert_false(ist_check_header_out("", "b"));
    assert_false(ist_check_header_out("X A", "b"));
    assert_false(ist_check_header_out("X:", "b"));
    assert_false(ist_check_header_out("X", "b\nc"));
    assert_false(ist_check_header_out("X", "\x1b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_request_id),
        cmocka_unit_test(test_header_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
