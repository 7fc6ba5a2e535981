/* Against what Python's uuid.uuid5 makes. */
#include "codec/uuid5.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_known(void **state)
{
    /* uuid.uuid5(uuid.NAMESPACE_DNS, 'python.org') */
    static const struct ist_id dns = {{0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11,
                                       0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4,
                                       0x30, 0xc8}};
    struct ist_id id = ist_uuid5(&dns, "python.org");
    char text[IST_ID_UUID_SIZE];

    (void) state;
    assert_string_equal(ist_id_uuid(&id, text),
                        "886313e1-3b8a-5372-9b90-0c9aee199e5d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_known)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
