/* Requests in the words of the policy. */
#include "serve/action.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define PROJECT "6fa459eaee8a3ca4894edb77e160355e"
#define UUID    "16fd2706-8baf-433b-82eb-8c7fada847da"

static const struct {
    const char *service, *method, *target;
    enum policy_verb verb;
    const char *kind;
} cases[] = {
    {"compute", "GET", "/v2.1/servers/detail?limit=1", POLICY_READ, "server"},
    {"compute", "HEAD", "/v2.1/servers", POLICY_READ, "server"},
    {"compute", "POST", "/v2.1/servers", POLICY_CREATE, "server"},
    {"compute", "POST", "/v2.1/" PROJECT "/servers", POLICY_CREATE, "server"},
    {"compute", "PUT", "/v2.1/servers/" UUID, POLICY_UPDATE, "server"},
    {"compute", "DELETE", "/v2.1/servers/" UUID, POLICY_DELETE, "server"},
    {"compute", "DELETE", "/v2.1/servers/" UUID "/", POLICY_DELETE, "server"},
    {"compute", "POST", "/v2.1/servers/" UUID "/action", POLICY_ACTION,
     "server"},
    {"compute", "DELETE", "/v2.1/servers/" UUID "/os-volume_attachments/x",
     POLICY_ACTION, "server"},
    {"compute", "GET", "/v2.1/os-keypairs", POLICY_READ, "keypair"},
    {"compute", "GET", "/v2.1/", POLICY_READ, "service"},
    {"compute", "GET", "/", POLICY_READ, "service"},
    {"compute", "POST", "/", POLICY_CREATE, "service"},
    {"compute", "GET", "/v2.1/server", POLICY_READ, "unknown"},
    {"compute", "GET", "/v2.1/networks", POLICY_READ, "unknown"},
    {"compute", "TRACE", "/v2.1/servers", POLICY_ACTION, "server"},
    {"network", "POST", "/v2.0/security-group-rules", POLICY_CREATE,
     "security-group"},
    {"network", "PUT", "/v2.0/routers/" UUID "/add_router_interface",
     POLICY_ACTION, "router"},
    {"network", "GET", "/v2.0/extensions", POLICY_READ, "service"},
    {"network", "GET", "/v2.0/bgpvpn/bgpvpns", POLICY_READ, "unknown"},
    {"image", "PUT", "/v2/images/" UUID "/file", POLICY_ACTION, "image"},
    {"image", "PATCH", "/v2/images/" UUID, POLICY_UPDATE, "image"},
    {"image", "GET", "/versions", POLICY_READ, "service"},
    {"volume", "GET", "/v3/" PROJECT "/volumes/detail", POLICY_READ, "volume"},
    {"volume", "POST", "/v3/" PROJECT "/volumes", POLICY_CREATE, "volume"},
    {"volume", "DELETE", "/v3/" PROJECT "/snapshots/" UUID, POLICY_DELETE,
     "snapshot"},
    {"volume", "DELETE", "/v3/abc-1/volumes/" UUID, POLICY_DELETE, "volume"},
    {"volume", "DELETE", "/v3/volumes/" UUID, POLICY_DELETE, "volume"},
    {"volume", "GET", "/v3/" PROJECT "/os-quota-sets/" PROJECT, POLICY_READ,
     "volume-quota"},
};

static void test_actions(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct serve_action action =
            serve_action_of(os_service_find(cases[i].service), cases[i].method,
                            cases[i].target);

        if (action.verb != cases[i].verb ||
            strcmp(action.kind, cases[i].kind) != 0)
            fail_msg("%s %s: %s %s", cases[i].method, cases[i].target,
                     policy_verb_name(action.verb), action.kind);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_actions)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
