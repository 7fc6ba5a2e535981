#include "admin/topology.h"

#include "../command.h"
#include "admin/commands.h"
#include "base/scope.h"

#include <setjmp.h>
#include <stddef.h>

#include <cmocka.h>

static const char *const site_names[] = {"par1", "a-b"};
static const char *const hub_names[] = {"h1"};
static const char *const noc_names[] = {"desk"};

static json_t *all_definitions(void)
{
    json_t *all = topology_definitions(
        &(struct topology_names){hub_names, site_names, noc_names, 1, 2, 1},
        true);

    assert_non_null(all);
    return all;
}

static const char *text(const json_t *row, const char *member)
{
    const char *value = json_string_value(json_object_get(row, member));

    assert_non_null(value);
    return value;
}

static const json_t *find(const json_t *all, const char *list,
                          const char *member, const char *value)
{
    size_t i;
    json_t *row;

    json_array_foreach(json_object_get(all, list), i, row)
    {
        if (strcmp(text(row, member), value) == 0)
            return row;
    }
    return NULL;
}

static void test_a_site(void **state)
{
    const char *name = "par1";
    json_t *all = topology_definitions(
        &(struct topology_names){.sites = &name, .n_sites = 1}, false);
    json_t *expected;
    json_error_t error;

    (void) state;
    /* Word for word what the broker was tried with. */
    expected = json_loads(
        "{\"users\": [{\"name\": \"par1\", \"password_hash\": \"\","
        "  \"hashing_algorithm\": \"rabbit_password_hashing_sha256\","
        "  \"tags\": [], \"limits\": {\"max-connections\": 6,"
        "  \"max-channels\": 16}}],"
        " \"permissions\": [{\"user\": \"par1\", \"vhost\": \"/isthmus\","
        "  \"configure\": \"^$\", \"write\": \"^x\\\\.(rep|evt)$\","
        "  \"read\": \"^site\\\\.par1\\\\.(req|cmd|bulk)$\"}],"
        " \"topic_permissions\": ["
        "  {\"user\": \"par1\", \"vhost\": \"/isthmus\", \"exchange\": "
        "   \"x.rep\", \"write\": \"^[a-z0-9-]+\\\\.{username}$\","
        "   \"read\": \"^$\"},"
        "  {\"user\": \"par1\", \"vhost\": \"/isthmus\", \"exchange\": "
        "   \"x.evt\", \"write\": \"^{username}\\\\.\", \"read\": \"^$\"}],"
        " \"queues\": ["
        "  {\"name\": \"site.par1.req\", \"vhost\": \"/isthmus\","
        "   \"durable\": true, \"auto_delete\": false, \"arguments\": {"
        "    \"x-message-ttl\": 30000, \"x-max-length\": 2000,"
        "    \"x-overflow\": \"reject-publish\"}},"
        "  {\"name\": \"site.par1.cmd\", \"vhost\": \"/isthmus\","
        "   \"durable\": true, \"auto_delete\": false, \"arguments\": {"
        "    \"x-queue-type\": \"quorum\","
        "    \"x-single-active-consumer\": true, \"x-delivery-limit\": 5,"
        "    \"x-dead-letter-exchange\": \"x.dead\","
        "    \"x-dead-letter-strategy\": \"at-least-once\","
        "    \"x-max-length\": 10000, \"x-max-length-bytes\": 67108864,"
        "    \"x-overflow\": \"reject-publish\"}},"
        "  {\"name\": \"site.par1.bulk\", \"vhost\": \"/isthmus\","
        "   \"durable\": true, \"auto_delete\": false, \"arguments\": {"
        "    \"x-message-ttl\": 60000, \"x-max-length\": 2000,"
        "    \"x-max-length-bytes\": 268435456,"
        "    \"x-overflow\": \"reject-publish\"}}],"
        " \"bindings\": ["
        "  {\"source\": \"x.req\", \"vhost\": \"/isthmus\","
        "   \"destination\": \"site.par1.req\", \"destination_type\": "
        "   \"queue\", \"routing_key\": \"site.par1\", \"arguments\": {}},"
        "  {\"source\": \"x.cmd\", \"vhost\": \"/isthmus\","
        "   \"destination\": \"site.par1.cmd\", \"destination_type\": "
        "   \"queue\", \"routing_key\": \"par1\", \"arguments\": {}},"
        "  {\"source\": \"x.req\", \"vhost\": \"/isthmus\","
        "   \"destination\": \"site.par1.bulk\", \"destination_type\": "
        "   \"queue\", \"routing_key\": \"bulk.par1\", \"arguments\": {}}]}",
        0, &error);
    assert_non_null(expected);
    assert_true(json_equal(all, expected));
    json_decref(expected);
    json_decref(all);
}

/* Each right is a whole-name pattern, and none matches the default exchange,
 * whose name is "amq.default" there. */
static void test_rights(void **state)
{
    static const char *const rights[] = {"configure", "write", "read"};
    json_t *all = all_definitions(), *row;
    size_t i;

    (void) state;
    assert_int_equal(json_array_size(json_object_get(all, "permissions")), 4);
    json_array_foreach(json_object_get(all, "permissions"), i, row)
    {
        for (size_t j = 0; j < IST_COUNT(rights); j++) {
            const char *right = text(row, rights[j]);

            assert_int_equal(right[0], '^');
            assert_int_equal(right[strlen(right) - 1], '$');
            assert_null(strstr(right, "amq"));
            assert_null(strchr(right, '<'));
            assert_null(strstr(right, ".*"));
        }
    }
    json_decref(all);
}

static void test_users_have_no_password(void **state)
{
    json_t *all = all_definitions(), *row;
    size_t i;

    (void) state;
    json_array_foreach(json_object_get(all, "users"), i, row)
    {
        assert_string_equal(text(row, "password_hash"), "");
        assert_int_equal(json_array_size(json_object_get(row, "tags")), 0);
        assert_non_null(json_object_get(row, "limits"));
    }
    assert_non_null(find(all, "users", "name", "hub-h1"));
    assert_non_null(find(all, "users", "name", "noc-desk"));
    assert_non_null(find(all, "users", "name", "a-b"));
    assert_null(find(all, "users", "name", "guest"));
    json_decref(all);
}

/* What a binding names is there. */
static void test_bindings_lead_somewhere(void **state)
{
    json_t *all = all_definitions(), *row;
    size_t i;

    (void) state;
    json_array_foreach(json_object_get(all, "bindings"), i, row)
    {
        assert_non_null(find(all, "exchanges", "name", text(row, "source")));
        assert_non_null(find(all, "queues", "name", text(row, "destination")));
    }
    json_array_foreach(json_object_get(all, "queues"), i, row) assert_non_null(
        find(all, "bindings", "destination", text(row, "name")));
    json_decref(all);
}

static void test_command(void **state)
{
    struct command *said = malloc(sizeof(*said));
    json_t *all;

    (void) state;
    assert_int_equal(
        command_run(said, admin_topology_command, "topology", NULL), 0);
    all = json_loads(said->out, 0, NULL);
    assert_non_null(all);
    assert_non_null(find(all, "queues", "name", "hub.<h>.<n>.rep"));
    json_decref(all);
    assert_int_equal(command_run(said, admin_topology_command, "topology",
                                 "--site", "hkg", "--noc", "desk", NULL),
                     0);
    all = json_loads(said->out, 0, NULL);
    assert_null(json_object_get(all, "exchanges"));
    assert_non_null(find(all, "users", "name", "noc-desk"));
    json_decref(all);
    assert_int_equal(command_run(said, admin_topology_command, "topology",
                                 "--definitions", "--hub", "h1", NULL),
                     0);
    all = json_loads(said->out, 0, NULL);
    assert_non_null(find(all, "queues", "name", "evt.stream"));
    json_decref(all);

    assert_int_equal(
        command_run(said, admin_topology_command, "topology", "--help", NULL),
        0);
    assert_int_equal(command_run(said, admin_topology_command, "topology",
                                 "--site", ".*", NULL),
                     2);
    assert_int_equal(command_run(said, admin_topology_command, "topology",
                                 "--hub", "x", NULL),
                     2);
    assert_int_equal(
        command_run(said, admin_topology_command, "topology", "x", NULL), 2);
    assert_int_equal(
        command_run(said, admin_topology_command, "topology", "--what", NULL),
        2);
    free(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_site),
        cmocka_unit_test(test_rights),
        cmocka_unit_test(test_users_have_no_password),
        cmocka_unit_test(test_bindings_lead_somewhere),
        cmocka_unit_test(test_command),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
