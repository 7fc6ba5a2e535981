#include "obs/health.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct fake {
    struct ist_health_check check;
    bool ok;
    const char *text;
};

static bool fake_ok(struct ist_health_check *check, char *text)
{
    const struct fake *fake = IST_CONTAINER(check, struct fake, check);

    snprintf(text, IST_HEALTH_TEXT_SIZE, "%s", fake->text);
    return fake->ok;
}

static void expect(const struct ist_health *health, enum ist_health_page page,
                   bool ok, const char *text)
{
    struct ist_sb out;

    ist_sb_init(&out, 0);
    assert_int_equal(ist_health_write(health, page, &out), ok);
    assert_int_equal(ist_health_ok(health, page), ok);
    assert_int_equal(out.rc, 0);
    assert_string_equal(ist_sb_text(&out), text);
    ist_sb_fini(&out);
}

static void test_pages(void **state)
{
    struct fake journal = {{"journal", true, fake_ok, {0}}, true, ""};
    struct fake bus = {{"bus", false, fake_ok, {0}}, false, "no \"broker\"\n"};
    struct ist_health health;

    (void) state;
    ist_health_init(&health);
    expect(&health, IST_HEALTH_READY, true,
           "{\"status\":\"ok\",\"checks\":[]}");
    ist_health_add(&health, &journal.check);
    ist_health_add(&health, &bus.check);
    expect(&health, IST_HEALTH_LIVE, true,
           "{\"status\":\"ok\",\"checks\":["
           "{\"name\":\"journal\",\"status\":\"ok\"}]}");
    expect(&health, IST_HEALTH_READY, false,
           "{\"status\":\"failed\",\"checks\":["
           "{\"name\":\"journal\",\"status\":\"ok\"},"
           "{\"name\":\"bus\",\"status\":\"failed\","
           "\"text\":\"no \\\"broker\\\"\\n\"}]}");
    bus.ok = true;
    bus.text = "caf\xc3\xa9";
    journal.ok = false;
    expect(&health, IST_HEALTH_LIVE, false,
           "{\"status\":\"failed\",\"checks\":["
           "{\"name\":\"journal\",\"status\":\"failed\"}]}");
    ist_health_remove(&health, &journal.check);
    expect(&health, IST_HEALTH_READY, true,
           "{\"status\":\"ok\",\"checks\":["
           "{\"name\":\"bus\",\"status\":\"ok\",\"text\":\"caf\xc3\xa9\"}]}");
    expect(&health, IST_HEALTH_LIVE, true, "{\"status\":\"ok\",\"checks\":[]}");
}

static void test_full(void **state)
{
    struct fake bus = {{"bus", false, fake_ok, {0}}, true, "connected"};
    struct ist_health health;
    struct ist_sb out;

    (void) state;
    ist_health_init(&health);
    ist_health_add(&health, &bus.check);
    ist_sb_init(&out, 10);
    assert_true(ist_health_write(&health, IST_HEALTH_READY, &out));
    assert_int_equal(out.rc, -ENOBUFS);
    ist_sb_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
