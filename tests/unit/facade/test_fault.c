/* Errors in the shape of each service. */
#include "facade/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    enum facade_shape shape;
    int status;
    const char *text;
} cases[] = {
    {FACADE_NOVA, 400,
     "{\"badRequest\":{\"code\":400,\"message\":\"a\\\"b\"}}"},
    {FACADE_NOVA, 403, "{\"forbidden\":{\"code\":403,\"message\":\"a\\\"b\"}}"},
    {FACADE_NOVA, 404,
     "{\"itemNotFound\":{\"code\":404,\"message\":\"a\\\"b\"}}"},
    {FACADE_NOVA, 503,
     "{\"serviceUnavailable\":{\"code\":503,\"message\":\"a\\\"b\"}}"},
    {FACADE_NOVA, 504,
     "{\"computeFault\":{\"code\":504,\"message\":\"a\\\"b\"}}"},
    {FACADE_NOVA, 599,
     "{\"computeFault\":{\"code\":599,\"message\":\"a\\\"b\"}}"},
    {FACADE_NEUTRON, 404,
     "{\"NeutronError\":{\"type\":\"HTTPNotFound\",\"message\":\"a\\\"b\","
     "\"detail\":\"\"}}"},
    {FACADE_NEUTRON, 503,
     "{\"NeutronError\":{\"type\":\"ServiceUnavailable\",\"message\":"
     "\"a\\\"b\",\"detail\":\"\"}}"},
    {FACADE_GLANCE, 404,
     "{\"message\":\"a\\\"b\",\"code\":\"404 Not Found\",\"title\":"
     "\"Not Found\"}"},
    {FACADE_KEYSTONE, 403,
     "{\"error\":{\"code\":403,\"title\":\"Forbidden\",\"message\":"
     "\"a\\\"b\"}}"},
    {FACADE_GLANCE, 401,
     "{\"error\":{\"code\":401,\"title\":\"Unauthorized\",\"message\":"
     "\"a\\\"b\"}}"},
};

static void test_faults(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ist_sb out;

        ist_sb_init(&out, 0);
        facade_fault_write(&out, cases[i].shape, cases[i].status, "a\"b");
        assert_string_equal(ist_sb_text(&out), cases[i].text);
        ist_sb_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_faults)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
