/* Which requests ask for a console. */
#include "facade/console.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool asks(const char *method, const char *target, const char *body)
{
    return facade_is_console(method, target, body, strlen(body));
}

static void test_consoles(void **state)
{
    (void) state;
    assert_true(asks("POST", "/v2.1/servers/x/remote-consoles",
                     "{\"remote_console\":{\"protocol\":\"vnc\"}}"));
    assert_true(asks("POST", "/v2.1/servers/x/remote-consoles/?a=b", "{}"));
    assert_true(asks("POST", "/v2.1/servers/x/action",
                     "{\"os-getVNCConsole\": {\"type\": \"novnc\"}}"));
    assert_true(asks("POST", "/v2.1/p/servers/x/action",
                     " {\"os-getSerialConsole\":{}}"));
}

static void test_others(void **state)
{
    (void) state;
    assert_false(asks("GET", "/v2.1/servers/x/remote-consoles", ""));
    assert_false(asks("POST", "/v2.1/servers/x/action",
                      "{\"os-getConsoleOutput\":{\"length\":3}}"));
    assert_false(asks("POST", "/v2.1/servers/x/action",
                      "{\"rebuild\":{\"name\":\"os-getVNCConsole\"}}"));
    assert_false(asks("POST", "/v2.1/servers/x/action", "not JSON"));
    assert_false(asks("POST", "/v2.1/servers", "{\"os-getVNCConsole\":{}}"));
    assert_false(asks("POST", "/action?x", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_consoles),
        cmocka_unit_test(test_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
