/* projects.yaml: sound files, and every fault of one in words. */
#include "projects/projects.h"

#include "../scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char clouds[] = "clouds:\n"
                             "  shop:\n"
                             "    auth: {auth_url: 'http://10.0.0.1:5000/v3', "
                             "username: u, password: p,\n"
                             "           project_name: shop}\n"
                             "  reader:\n"
                             "    auth_type: v3applicationcredential\n"
                             "    auth: {auth_url: 'http://10.0.0.1:5000/v3',\n"
                             "           application_credential_id: i,\n"
                             "           application_credential_secret: s}\n";

static char state_dir[SCRATCH_SIZE];
static struct ist_cloud_entry own = {
    .name = (char *) "hkg",
    .auth = IST_CLOUD_PASSWORD,
    .auth_url = (char *) "http://10.0.0.1:5000/v3",
    .username = (char *) "agent",
    .password = (char *) "secret",
};
static struct ist_loop loop;
static const struct os_conf conf = {.answer_max = 1 << 20};

static void put(char path[64], const char *text)
{
    int fd;

    snprintf(path, 64, "/tmp/isthmus-projects-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static struct projects *read_text(const char *text, struct ist_err *err)
{
    char path[64], clouds_path[64];
    struct projects *projects;

    put(path, text);
    put(clouds_path, clouds);
    projects = projects_open(&loop, NULL, &conf,
                             &(struct projects_conf){.path = path,
                                                     .clouds = clouds_path,
                                                     .own = &own,
                                                     .state = state_dir},
                             err);
    unlink(path);
    unlink(clouds_path);
    return projects;
}

static void on_closed(void *arg)
{
    *(bool *) arg = true;
}

static void done(struct projects *projects)
{
    bool closed = false;

    projects_close(projects, on_closed, &closed);
    ist_loop_run(&loop);
    assert_true(closed);
}

static void test_the_first_row_that_fits(void **state)
{
    static char *member[] = {(char *) "member"},
                *reader[] = {(char *) "reader"};
    struct projects *projects;
    struct ist_err err;

    (void) state;
    projects =
        read_text("projects:\n"
                  "  - {hub: hkg/shop, cloud: reader, roles: [reader]}\n"
                  "  - {hub: hkg/shop, cloud: shop, roles: [member, x]}\n"
                  "  - {hub: 0123, cloud: shop}\n",
                  &err);
    assert_non_null(projects);
    assert_int_equal(projects_count(projects), 3);
    assert_string_equal(
        projects_find(projects, "77", "hkg/shop", member, 1)->cloud_name,
        "shop");
    assert_string_equal(
        projects_find(projects, "77", "hkg/shop", reader, 1)->cloud_name,
        "reader");
    assert_null(projects_find(projects, "77", "hkg/shop", NULL, 0));
    assert_non_null(projects_find(projects, "0123", "lon/x", NULL, 0));
    assert_null(projects_find(projects, "77", "lon/shop", member, 1));
    assert_null(projects_find(NULL, "77", "hkg/shop", member, 1));
    done(projects);
}

/* What the hub is told, and that it can tell when it is other. */
static void test_telling(void **state)
{
    static const char *const texts[] = {
        "projects:\n  - {hub: hkg/shop, cloud: shop, roles: [a, b]}\n",
        "projects:\n  - {hub: hkg/shop, cloud: shop, roles: [ab]}\n",
        "projects:\n  - {hub: hkg/shop2, cloud: shop, roles: [a, b]}\n",
        "projects:\n  - {hub: hkg/shop, cloud: shop}\n"};
    uint8_t digests[4][32];
    struct ist_arena arena;
    struct ist_err err;

    (void) state;
    ist_arena_init(&arena, 1U << 16);
    for (size_t i = 0; i < IST_COUNT(texts); i++) {
        struct projects *projects = read_text(texts[i], &err);
        Isthmus__V1__Mapping **rows;
        size_t n;

        assert_non_null(projects);
        assert_true(projects_tell(projects, &arena, &rows, &n));
        assert_int_equal(n, 1);
        assert_string_equal(rows[0]->project, ""); /* Not logged in. */
        if (i == 0) {
            assert_string_equal(rows[0]->hub, "hkg/shop");
            assert_int_equal(rows[0]->n_roles, 2);
            assert_string_equal(rows[0]->roles[1], "b");
        }
        projects_digest(projects, digests[i]);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(digests[i], digests[j], 32);
        done(projects);
    }
    ist_arena_fini(&arena);
}

static void test_nothing_to_tell(void **state)
{
    Isthmus__V1__Mapping **rows;
    struct ist_arena arena;
    size_t n = 1;

    (void) state;
    ist_arena_init(&arena, 1U << 16);
    assert_true(projects_tell(NULL, &arena, &rows, &n));
    assert_int_equal(n, 0);
    ist_arena_fini(&arena);
}

static void test_bad_files(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "must be a list"},
        {"projects: 3\n", "must be a list"},
        {"projects:\n  - x\n", ":2: a project must be a map"},
        {"projects:\n  - {hub: a}\n", "must say hub:, and either"},
        {"projects:\n  - {hub: a, cloud: shop, project: x, grant: [y]}\n",
         "either project: or cloud:"},
        {"projects:\n  - {hub: a, project: x}\n", "belong together"},
        {"projects:\n  - {hub: a, cloud: shop, grant: [y]}\n",
         "belong together"},
        {"projects:\n  - {hub: a, project: x, grant: y}\n",
         "grant must be a list"},
        {"projects:\n  - {hub: a, cloud: shop, role: [x]}\n",
         "role is none of"},
        {"projects:\n  - {hub: a, cloud: shop, roles: x}\n",
         "roles must be a list"},
        {"projects:\n  - {hub: [a], cloud: shop}\n", "hub must be a word"},
        {"projects:\n  - {hub: a, cloud: nosuch}\n", "nosuch"},
    };
    struct ist_err err;

    (void) state;
    for (size_t i = 0; i < IST_COUNT(cases); i++) {
        assert_null(read_text(cases[i].text, &err));
        if (!strstr(err.text, cases[i].words))
            fail_msg("%s", err.text);
        ist_loop_run(&loop);
    }
    assert_null(projects_open(
        &loop, NULL, &conf, &(struct projects_conf){.path = "/nosuch"}, &err));
    assert_non_null(strstr(err.text, "/nosuch"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_row_that_fits),
        cmocka_unit_test(test_telling),
        cmocka_unit_test(test_nothing_to_tell),
        cmocka_unit_test(test_bad_files),
    };
    int n;

    scratch_make(state_dir);
    ist_loop_init(&loop);
    n = cmocka_run_group_tests(tests, NULL, NULL);
    ist_loop_fini(&loop);
    scratch_drop(state_dir);
    return n;
}
