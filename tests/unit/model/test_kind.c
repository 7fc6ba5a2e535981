#include "model/kind.h"

#include "base/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_find(void **state)
{
    const struct ist_kind *kind = ist_kind_find("security-group");

    (void) state;
    assert_non_null(kind);
    assert_string_equal(kind->plural, "security-groups");
    assert_string_equal(kind->service, "network");
    assert_ptr_equal(ist_kind_find_plural("security-groups"), kind);
    assert_null(ist_kind_find("security-groups"));
    assert_null(ist_kind_find_plural("security-group"));
    assert_null(ist_kind_find(""));
}

static void test_member(void **state)
{
    const struct ist_kind *kind = ist_kind_find("server");
    const struct ist_member *m = ist_kind_member(kind, "created_at");

    (void) state;
    assert_non_null(m);
    assert_string_equal(m->path, "created");
    assert_int_equal(m->type, IST_MEMBER_TIME);
    assert_null(ist_kind_member(kind, "created"));
    assert_null(ist_kind_member(ist_kind_find("flavor"), "project"));
}

/* What everybody who reads the table relies on. */
static void test_rules(void **state)
{
    static const char *const services[] = {"compute", "identity", "image",
                                           "network", "volume"};
    size_t n;
    const struct ist_kind *kinds = ist_kinds(&n);

    (void) state;
    assert_in_range(n, 17, 100);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(kinds[i].name), known = 0;

        assert_ptr_equal(ist_kind_find(kinds[i].name), &kinds[i]);
        assert_ptr_equal(ist_kind_find_plural(kinds[i].plural), &kinds[i]);
        assert_int_equal(strspn(kinds[i].name, "abcdefghijklmnopqrstuvwxyz-"),
                         len);
        assert_non_null(ist_kind_member(&kinds[i], "id"));
        for (size_t j = 0; j < IST_COUNT(services); j++)
            known += strcmp(kinds[i].service, services[j]) == 0;
        assert_int_equal(known, 1);
        for (const struct ist_member *m = kinds[i].members; m->name; m++) {
            assert_ptr_equal(ist_kind_member(&kinds[i], m->name), m);
            assert_non_null(m->path);
            /* Of a kind of which each project has one, the project is the id,
             * which the object need not hold. */
            if (strcmp(m->name, "id") != 0 && strcmp(m->name, "project") != 0)
                assert_string_not_equal(m->path, "");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_member),
        cmocka_unit_test(test_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
