/* roles.yaml: who is what, and every fault of a file in words. */
#include "facade/roles.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct facade_roles *read_text(const char *text, struct ist_err *err)
{
    char path[] = "/tmp/isthmus-roles-XXXXXX";
    int fd = mkstemp(path);
    struct facade_roles *roles;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    roles = facade_roles_open(path, err);
    unlink(path);
    return roles;
}

static void test_roles(void **state)
{
    static const struct {
        const char *user, *project;
        enum facade_role role;
    } cases[] = {
        {"hkg/ann", "hkg/shop", FACADE_NOC},
        {"hkg/ann", "hkg/ops", FACADE_ADMIN}, /* The highest. */
        {"hkg/bob", "hkg/ops", FACADE_ADMIN},
        {"hkg/bob", "hkg/shop", FACADE_TENANT},
        {"lon/ann", "lon/ops", FACADE_TENANT},
    };
    struct facade_roles *roles;
    struct ist_err err;

    (void) state;
    roles = read_text("roles:\n"
                      "  - {user: hkg/ann, role: noc}\n"
                      "  - {project: hkg/ops, role: admin}\n",
                      &err);
    assert_non_null(roles);
    for (size_t i = 0; i < IST_COUNT(cases); i++) {
        struct facade_caller caller = {.user = cases[i].user,
                                       .project = "0",
                                       .project_name = cases[i].project};

        assert_int_equal(facade_roles_of(roles, &caller), cases[i].role);
        assert_int_equal(facade_roles_of(NULL, &caller), FACADE_TENANT);
    }
    facade_roles_free(roles);
}

static void test_bad_files(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "must be a list"},
        {"roles: {}\n", "must be a list"},
        {"roles:\n  - x\n", ":2: a row must be a map"},
        {"roles:\n  - {user: a}\n", "must say role:"},
        {"roles:\n  - {role: noc}\n", "must say role:"},
        {"roles:\n  - {user: a, project: b, role: noc}\n", "must say role:"},
        {"roles:\n  - {user: a, role: root}\n", "role must be noc or admin"},
        {"roles:\n  - {user: [a], role: noc}\n", "user must be a word"},
        {"roles:\n  - {group: a, role: noc}\n", "group is none of"},
    };
    struct ist_err err;

    (void) state;
    for (size_t i = 0; i < IST_COUNT(cases); i++) {
        assert_null(read_text(cases[i].text, &err));
        if (!strstr(err.text, cases[i].words))
            fail_msg("%s: %s", cases[i].text, err.text);
    }
    assert_null(facade_roles_open("/nosuch", &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_bad_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
