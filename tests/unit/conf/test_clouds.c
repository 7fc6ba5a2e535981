#include "conf/clouds.h"

#include "scratch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char two_clouds[] =
    "cache: {expiration_time: 3600}\n"
    "clouds:\n"
    "  hkg:\n"
    "    region_name: hkg\n"
    "    identity_api_version: 3\n"
    "    cacert: ca.pem\n"
    "    auth:\n"
    "      auth_url: https://hkg.example/v3\n"
    "      username: admin\n"
    "      password: CANARY-p\n"
    "      project_name: admin\n"
    "      user_domain_name: Default\n"
    "      project_domain_name: Default\n"
    "  lon:\n"
    "    auth_type: v3applicationcredential\n"
    "    interface: internalURL\n"
    "    verify: no\n"
    "    auth:\n"
    "      auth_url: http://lon.example:5000\n"
    "      application_credential_id: abc\n"
    "      application_credential_secret: CANARY-s\n";

static void test_load(void **state)
{
    struct ist_cloud_entry e = {.name = NULL};
    struct ist_err err;
    struct scratch s;
    char ca[100];

    (void) state;
    scratch_init(&s);
    scratch_text(&s, "clouds.yaml", two_clouds);
    snprintf(ca, sizeof(ca), "%s/ca.pem", s.dir);
    assert_int_equal(ist_clouds_load(s.path, "hkg", &e, &err), 0);
    assert_string_equal(e.name, "hkg");
    assert_int_equal(e.auth, IST_CLOUD_PASSWORD);
    assert_string_equal(e.auth_url, "https://hkg.example/v3");
    assert_string_equal(e.password, "CANARY-p");
    assert_string_equal(e.user_domain_name, "Default");
    assert_string_equal(e.region_name, "hkg");
    assert_string_equal(e.interface, "public");
    assert_string_equal(e.cacert, ca);
    assert_false(e.insecure);
    assert_false(e.exposed);
    assert_null(e.token);
    ist_cloud_entry_fini(&e);
    assert_int_equal(ist_clouds_load(s.path, "lon", &e, &err), 0);
    assert_int_equal(e.auth, IST_CLOUD_APPLICATION_CREDENTIAL);
    assert_string_equal(e.interface, "internal");
    assert_true(e.insecure);
    assert_null(e.region_name);
    ist_cloud_entry_fini(&e);
    ist_cloud_entry_fini(&e);
    scratch_fini(&s);
}

static void test_secure_and_merge(void **state)
{
    static const char clouds[] = "clouds:\n"
                                 "  base: &base\n"
                                 "    auth: {auth_url: 'http://a/v3',"
                                 " username: u, password: old}\n"
                                 "  one:\n"
                                 "    <<: *base\n"
                                 "    region_name: r1\n";
    static const char secure[] =
        "clouds:\n  one:\n    auth: {password: CANARY}\n";
    struct ist_cloud_entry e = {.name = NULL};
    struct ist_err err;
    struct scratch s;

    (void) state;
    scratch_init(&s);
    scratch_write(&s, "secure.yaml", secure, sizeof(secure) - 1, 0600);
    scratch_write(&s, "clouds.yaml", clouds, sizeof(clouds) - 1, 0644);
    assert_int_equal(ist_clouds_load(s.path, "one", &e, &err), 0);
    assert_string_equal(e.username, "u");
    assert_string_equal(e.password, "CANARY");
    assert_string_equal(e.region_name, "r1");
    assert_true(e.exposed);
    ist_cloud_entry_fini(&e);
    scratch_fini(&s);
}

static void refused(const char *text, const char *cloud, int rc,
                    const char *sentence)
{
    struct ist_cloud_entry e = {.name = NULL};
    struct ist_err err = {.code = 0};
    struct scratch s;

    scratch_init(&s);
    scratch_text(&s, "clouds.yaml", text);
    assert_int_equal(ist_clouds_load(s.path, cloud, &e, &err), rc);
    if (!strstr(err.text, sentence))
        fail_msg("wanted: %s\ngot: %s", sentence, err.text);
    assert_null(strstr(err.text, "CANARY"));
    assert_null(e.name);
    scratch_fini(&s);
}

static void test_refused(void **state)
{
    (void) state;
    refused(two_clouds, "hgk", -ENOENT, "no cloud named hgk; is it hkg?");
    refused(two_clouds, NULL, -EINVAL, "more than one cloud");
    refused("x: 1\n", "a", -EINVAL, "no map named clouds");
    refused("", "a", -EINVAL, "no map named clouds");
    refused("clouds: {a: 1}\n", "a", -EINVAL, ":1: must be a map");
    refused("clouds: {a: {}}\n", "a", -EINVAL, "auth has no auth_url");
    refused("clouds: {a: {auth: {auth_url: 'http://x'}}}\n", "a", -EINVAL,
            "auth has no username");
    refused("clouds: {a: {auth: {auth_url: 'http://x', username: u}}}\n", "a",
            -EINVAL, "auth has no password");
    refused("clouds: {a: {auth: {auth_url: 'file:///x', username: u, "
            "password: CANARY}}}\n",
            "a", -EINVAL, "must begin with http");
    refused("clouds: {a: {auth_type: v2password, auth: {}}}\n", "a", -EINVAL,
            "auth_type v2password is not one of");
    refused("clouds: {a: {interface: private, auth: {auth_url: 'http://x', "
            "username: u, password: CANARY}}}\n",
            "a", -EINVAL, "interface private");
    refused("clouds: {a: {auth: {auth_url: 'http://x', username: u, "
            "password: [CANARY]}}}\n",
            "a", -EINVAL, "password: must be one value");
    refused("clouds: [\n", "a", -EINVAL, ":2: ");
}

/* Alone it needs no name; found where the variable says, or in ".". */
static void test_search(void **state)
{
    static const char text[] = "clouds: {only: {auth: {auth_url: 'http://x', "
                               "username: u, password: p}}}\n";
    struct ist_cloud_entry e = {.name = NULL};
    char cwd[200];
    struct ist_err err;
    struct scratch s;

    (void) state;
    scratch_init(&s);
    assert_non_null(getcwd(cwd, sizeof(cwd)));
    scratch_text(&s, "named.yaml", text);
    setenv("OS_CLIENT_CONFIG_FILE", s.path, 1);
    assert_int_equal(ist_clouds_load(NULL, NULL, &e, &err), 0);
    assert_string_equal(e.name, "only");
    ist_cloud_entry_fini(&e);
    unsetenv("OS_CLIENT_CONFIG_FILE");

    setenv("HOME", s.dir, 1);
    assert_int_equal(chdir(s.dir), 0);
    scratch_text(&s, "clouds.yml", text);
    assert_int_equal(ist_clouds_load(NULL, "only", &e, &err), 0);
    ist_cloud_entry_fini(&e);
    unlink(s.path);
    assert_int_equal(mkdir(scratch_name(&s, ".config"), 0700), 0);
    assert_int_equal(mkdir(scratch_name(&s, ".config/openstack"), 0700), 0);
    scratch_text(&s, ".config/openstack/clouds.yaml", text);
    assert_int_equal(ist_clouds_load(NULL, "only", &e, &err), 0);
    ist_cloud_entry_fini(&e);
    unlink(s.path);
    assert_int_equal(ist_clouds_load(NULL, "only", &e, &err), -ENOENT);
    assert_int_equal(chdir(cwd), 0);
    scratch_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_secure_and_merge),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_search),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
