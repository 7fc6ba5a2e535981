/* Making an application credential: what is asked, and what may come of it. */
#include "os/credential.h"

#include "world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct {
    int status;
    const char *body;
    char asked[1024];
    unsigned n;
} t;

static bool hook(struct fake_site *site, const struct fake_request *r,
                 struct fake_answer *answer)
{
    (void) site;
    if (strcmp(r->path, "/v3/users/u-1/application_credentials") != 0 ||
        strcmp(r->method, "POST") != 0)
        return false;
    t.n++;
    snprintf(t.asked, sizeof(t.asked), "%.*s", (int) r->call->body_size,
             (const char *) r->call->body);
    answer->status = t.status;
    ist_sb_puts(&answer->body, t.body);
    return true;
}

static int make(struct world *w, struct os_credential *c, int status,
                const char *body)
{
    static const char *const roles[] = {"member", "load \"balancer\""};

    world_init(w);
    memset(&t, 0, sizeof(t));
    t.status = status;
    t.body = body;
    w->site->hook = hook;
    *c = (struct os_credential){
        .cloud = w->cloud, .name = "agent 1", .roles = roles, .n_roles = 2};
    world_flag = &w->done;
    ist_op_prepare(&c->op, &w->loop, NULL, 10000, world_done);
    os_credential_start(c);
    world_run(w);
    return c->op.rc;
}

static void test_made(void **state)
{
    struct os_credential c;
    struct world w;

    (void) state;
    assert_int_equal(make(&w, &c, 201,
                          "{\"application_credential\": {\"id\": \"ac-1\", "
                          "\"secret\": \"s\\u0065cret\"}}"),
                     0);
    assert_string_equal(c.id, "ac-1");
    assert_string_equal(c.secret, "secret");
    assert_string_equal(
        t.asked, "{\"application_credential\":{\"name\":\"agent 1\","
                 "\"unrestricted\":false,\"roles\":[{\"name\":\"member\"},"
                 "{\"name\":\"load \\\"balancer\\\"\"}]}}");
    os_credential_fini(&c);
    assert_null(c.secret);
    world_fini(&w);
}

static void test_refused(void **state)
{
    static const struct {
        int status;
        const char *body;
        int rc;
        const char *words;
    } cases[] = {
        {400, "{\"error\": {\"message\": \"no such role\"}}", OS_E_UPSTREAM,
         "no such role"},
        {409, "{}", OS_E_UPSTREAM, "409"},
        {201, "{}", OS_E_BAD_ANSWER, "no id or no secret"},
        {201, "<html>", OS_E_BAD_ANSWER, "no id or no secret"},
        {201, "{\"application_credential\": {\"id\": \"a\"}}", OS_E_BAD_ANSWER,
         "no id or no secret"},
        {200, "{}", OS_E_UPSTREAM, "200"},
    };
    struct os_credential c;
    struct world w;

    (void) state;
    for (size_t i = 0; i < IST_COUNT(cases); i++) {
        assert_int_equal(make(&w, &c, cases[i].status, cases[i].body),
                         cases[i].rc);
        if (!strstr(c.op.err.text, cases[i].words))
            fail_msg("%zu: %s", i, c.op.err.text);
        assert_int_equal(t.n, 1);
        os_credential_fini(&c);
        world_fini(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
