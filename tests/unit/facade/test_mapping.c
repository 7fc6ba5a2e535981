/* Which projects act where: as the sites have told, kept over a restart. */
#include "facade/mapping.h"

#include "../scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define WALL 1790000000000ULL

struct box {
    struct ist_loop loop;
    char dir[SCRATCH_SIZE];
    struct ist_tree *tree;
    struct facade_keep *keep;
    struct facade_mappings *all;
    struct sites_site site;
    bool done;
};

static struct box box;

static void on_done(struct ist_op *op)
{
    assert_int_equal(op->rc, 0);
    box.done = true;
}

/* What an earlier run of the hub has kept of the site. */
static void keep_rows(void)
{
    static char *reader[] = {(char *) "reader"};
    Isthmus__V1__Mapping rows[3], *at[] = {&rows[0], &rows[1], &rows[2]};
    Isthmus__V1__SiteMappings said = ISTHMUS__V1__SITE_MAPPINGS__INIT;
    struct facade_keep_write put = {.size = 0};
    uint8_t key[FACADE_KEY_BYTES] = {1};

    for (size_t i = 0; i < 3; i++)
        isthmus__v1__mapping__init(&rows[i]);
    rows[0].hub = (char *) "hkg/shop";
    rows[0].roles = reader;
    rows[0].n_roles = 1;
    rows[0].project = (char *) "read-only";
    rows[1].hub = (char *) "hkg/shop";
    rows[1].project = (char *) "own";
    rows[2].hub = (char *) "0123"; /* By its id; not logged in yet. */
    said.site_uid =
        (ProtobufCBinaryData){sizeof(box.site.peer.uid.b), box.site.peer.uid.b};
    said.mappings = at;
    said.n_mappings = 3;
    ist_op_prepare(&put.write.op, &box.loop, NULL, 0, on_done);
    facade_keep_put(box.keep, &put, key, &said);
    while (!box.done)
        ist_loop_step(&box.loop, ist_loop_now(&box.loop) + 1);
    facade_keep_write_fini(&put);
}

static int setup(void **state)
{
    struct ist_tree_conf conf = {.size_max = 16U << 20, .maps_max = 4};
    struct ist_err err;

    (void) state;
    memset(&box, 0, sizeof(box));
    ist_loop_init_virtual(&box.loop, WALL);
    scratch_make(box.dir);
    conf.path = scratch_path(box.dir, "hub.db");
    box.tree = ist_tree_open(&box.loop, &conf, &err);
    assert_non_null(box.tree);
    box.keep = facade_keep_open(box.tree, &facade_mapping_kind, &err);
    assert_non_null(box.keep);
    memset(box.site.peer.uid.b, 7, sizeof(box.site.peer.uid.b));
    strlcpy(box.site.name, "hkg", sizeof(box.site.name));
    keep_rows();
    box.all = facade_mappings_new(&box.loop, NULL, box.keep);
    assert_non_null(box.all);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    facade_mappings_free(box.all);
    facade_keep_free(box.keep);
    ist_tree_free(box.tree);
    ist_loop_fini(&box.loop);
    scratch_drop(box.dir);
    return 0;
}

/* NULL: nothing acts there. */
static const char *project_of(const char *id, const char *name, char *role)
{
    char *roles[] = {role};
    struct facade_caller caller = {.user = "hkg/ann",
                                   .project = id,
                                   .project_name = name,
                                   .roles = roles,
                                   .n_roles = role ? 1 : 0};
    const char *project;

    return facade_mapping_find(box.all, &box.site, &caller, &project) ? project
                                                                      : NULL;
}

static void test_the_first_row_that_fits(void **state)
{
    (void) state;
    assert_string_equal(project_of("9", "hkg/shop", (char *) "reader"),
                        "read-only");
    assert_string_equal(project_of("9", "hkg/shop", (char *) "member"), "own");
    assert_string_equal(project_of("0123", "lon/x", NULL), "");
    assert_null(project_of("9", "lon/shop", (char *) "member"));
}

/* With a token of his own he is in no need of a row. */
static void test_his_own_token(void **state)
{
    struct facade_caller caller = {.user = "hkg/ann",
                                   .project = "9",
                                   .project_name = "hkg/none",
                                   .pass = "token",
                                   .pass_sites = "nosuch",
                                   .pass_project = "p-1"};
    const char *project;

    (void) state;
    assert_false(facade_mapping_find(box.all, &box.site, &caller, &project));
    caller.pass_sites = "lon,hkg";
    assert_true(facade_mapping_find(box.all, &box.site, &caller, &project));
    assert_string_equal(project, "p-1");
}

static void test_others(void **state)
{
    struct facade_caller admin = {
        .user = "hub/admin", .project = "", .project_name = ""};
    struct facade_caller nobody = {
        .user = "", .project = "", .project_name = ""};
    const char *project;

    (void) state;
    assert_true(facade_mapping_find(box.all, &box.site, &admin, &project));
    assert_string_equal(project, "");
    assert_false(facade_mapping_find(box.all, &box.site, &nobody, &project));
    /* Of another site nothing is known. */
    box.site.peer.uid.b[0] = 8;
    assert_null(project_of("9", "hkg/shop", (char *) "member"));
    assert_false(facade_mapping_find(NULL, &box.site, &nobody, &project));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_first_row_that_fits, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_his_own_token, setup, teardown),
        cmocka_unit_test_setup_teardown(test_others, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
