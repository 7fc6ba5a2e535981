/* Logging in, showing, probing: what is not a list. */
#include "world.h"

#include "codec/json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void show(struct world *w, struct os_show *show, const char *kind,
                 const char *id)
{
    *show = (struct os_show){.kind = kind, .id = id};
    w->done = false;
    world_flag = &w->done;
    ist_op_prepare(&show->op, &w->loop, NULL, 1000, world_done);
    os_show_start(w->cloud, show);
    world_run(w);
}

static int list_rc(struct world *w, const char **ret_text)
{
    static char text[256];
    struct os_list list = {.kind = "network", .limit = 10};

    world_list(w, &list, 100000);
    snprintf(text, sizeof(text), "%s", list.op.rc ? list.op.err.text : "");
    if (ret_text)
        *ret_text = text;
    os_list_fini(&list);
    return list.op.rc;
}

static void wait_ms(struct world *w, uint64_t ms)
{
    uint64_t until = ist_loop_now(&w->loop) + ms;

    while (ist_loop_step(&w->loop, until))
        ;
}

/* --- Logging in --- */

static unsigned n_done;

static void count_done(struct ist_op *op)
{
    assert_int_equal(op->rc, 0);
    n_done++;
}

/* However many ask at once, Keystone is asked once. */
static void test_one_login(void **state)
{
    struct os_list lists[20] = {{.limit = 0}};
    struct world w;

    (void) state;
    world_init(&w);
    w.site->delay_ms = 300;
    n_done = 0;
    for (size_t i = 0; i < IST_COUNT(lists); i++) {
        lists[i] = (struct os_list){.kind = "network", .limit = 1};
        ist_op_prepare(&lists[i].op, &w.loop, NULL, 5000, count_done);
        os_list_start(w.cloud, &lists[i]);
    }
    wait_ms(&w, 5000);
    assert_int_equal(n_done, IST_COUNT(lists));
    assert_int_equal(w.site->n_logins, 1);
    assert_int_equal(w.site->n_requests, IST_COUNT(lists));
    for (size_t i = 0; i < IST_COUNT(lists); i++)
        os_list_fini(&lists[i]);
    /* And the token is kept. */
    assert_int_equal(list_rc(&w, NULL), 0);
    assert_int_equal(w.site->n_logins, 1);
    world_fini(&w);
}

/* A new token is fetched while the old one still serves. */
static void test_renewal(void **state)
{
    struct world w;

    (void) state;
    world_init(&w);
    w.site->token_life_ms = 1000000;
    assert_int_equal(list_rc(&w, NULL), 0);
    wait_ms(&w, 790000);
    assert_int_equal(list_rc(&w, NULL), 0);
    assert_int_equal(w.site->n_logins, 1);
    wait_ms(&w, 20000);
    w.site->delay_ms = 50;
    assert_int_equal(list_rc(&w, NULL), 0);
    assert_int_equal(w.site->n_logins, 2);
    wait_ms(&w, 100);
    /* Over its end, there is nothing to be done but wait for a new one. */
    wait_ms(&w, 999000);
    assert_int_equal(list_rc(&w, NULL), 0);
    assert_int_equal(w.site->n_logins, 3);
    world_fini(&w);
}

/* Keystone's clock may be wrong: no login for each request, none too late. */
static void test_odd_expiry(void **state)
{
    static const int64_t lives[] = {-86400000, 0, 1, INT64_C(250000000000000)};

    (void) state;
    for (size_t i = 0; i < IST_COUNT(lives); i++) {
        struct world w;

        world_init(&w);
        w.site->token_life_ms = (uint64_t) lives[i];
        assert_int_equal(list_rc(&w, NULL), 0);
        assert_int_equal(list_rc(&w, NULL), 0);
        assert_int_equal(w.site->n_logins, 1);
        wait_ms(&w, 86400000);
        assert_int_equal(list_rc(&w, NULL), 0);
        assert_int_equal(w.site->n_logins, 2);
        world_fini(&w);
    }
}

static void test_revoked(void **state)
{
    const char *text;
    struct world w;

    (void) state;
    world_init(&w);
    assert_int_equal(list_rc(&w, NULL), 0);
    fake_site_revoke(w.site);
    assert_int_equal(list_rc(&w, NULL), 0);
    assert_int_equal(w.site->n_logins, 2);
    /* A service that refuses every token is tried with one new one only. */
    w.site->fault = FAKE_BAD_TOKEN;
    w.site->n_requests = 0;
    assert_int_equal(list_rc(&w, &text), OS_E_LOGIN);
    assert_non_null(strstr(text, "network: GET /v2.0/networks: 401"));
    assert_int_equal(w.site->n_logins, 3);
    assert_int_equal(w.site->n_requests, 2);
    world_fini(&w);
}

/* A wrong password is not tried again and again. */
static void test_refused(void **state)
{
    const char *text;
    struct world w;

    (void) state;
    world_init(&w);
    w.site->password = "other";
    for (int i = 0; i < 10; i++) {
        assert_int_equal(list_rc(&w, &text), OS_E_LOGIN);
        assert_non_null(strstr(text, "identity: 401"));
        assert_non_null(strstr(text, "clouds.yaml"));
        assert_null(strstr(text, "secret"));
    }
    assert_int_equal(w.site->n_logins, 1);
    w.site->password = "secret";
    assert_int_equal(list_rc(&w, NULL), OS_E_LOGIN);
    wait_ms(&w, 10001);
    assert_int_equal(list_rc(&w, NULL), 0);
    world_fini(&w);
}

static void test_keystone_down(void **state)
{
    const char *text;
    struct world w;

    (void) state;
    world_init(&w);
    w.site->login_fault = FAKE_REFUSED;
    assert_int_equal(list_rc(&w, &text), OS_E_UNREACHABLE);
    w.site->login_fault = FAKE_ERROR;
    assert_int_equal(list_rc(&w, &text), OS_E_UPSTREAM);
    assert_non_null(strstr(text, "identity: 503, It is unwell"));
    w.site->login_fault = FAKE_HTML;
    assert_int_equal(list_rc(&w, &text), OS_E_BAD_ANSWER);
    w.site->login_fault = FAKE_TRUNCATED;
    assert_int_equal(list_rc(&w, &text), OS_E_BAD_ANSWER);
    w.site->login_fault = FAKE_SILENT;
    assert_int_equal(list_rc(&w, &text), OS_E_TIMEOUT);
    w.site->login_fault = FAKE_FINE;
    assert_int_equal(list_rc(&w, &text), 0);
    world_fini(&w);
}

/* One who waits may give up; the login goes on for the others. */
static void test_give_up(void **state)
{
    struct os_list list = {.kind = "network", .limit = 1};
    struct world w;

    (void) state;
    world_init(&w);
    w.site->delay_ms = 500;
    world_list(&w, &list, 100);
    assert_int_equal(list.op.rc, -ETIMEDOUT);
    os_list_fini(&list);
    wait_ms(&w, 500);
    assert_int_equal(list_rc(&w, NULL), 0);
    assert_int_equal(w.site->n_logins, 1);
    world_fini(&w);
}

static void test_close_in_login(void **state)
{
    struct os_list list = {.kind = "network", .limit = 1};
    struct world w;

    (void) state;
    world_init(&w);
    w.site->delay_ms = 500;
    world_list(&w, &list, 100);
    os_list_fini(&list);
    world_fini(&w); /* The login is still on its way. */
}

/* --- What a login may answer --- */

static const char *login_more, *login_body;

static bool login_hook(struct fake_site *site, const struct fake_request *r,
                       struct fake_answer *answer)
{
    (void) site;
    if (strcmp(r->path, "/v3/auth/tokens") != 0)
        return false;
    answer->status = 201;
    answer->more = login_more;
    ist_sb_puts(&answer->body, login_body);
    return true;
}

static int login_with(const char *more, const char *body, char *text)
{
    struct world w;
    const char *said;
    int rc;

    world_init(&w);
    login_more = more;
    login_body = body;
    w.site->hook = login_hook;
    rc = list_rc(&w, &said);
    strcpy(text, said);
    world_fini(&w);
    return rc;
}

static bool gone_hook(struct fake_site *site, const struct fake_request *r,
                      struct fake_answer *answer)
{
    (void) site;
    if (strcmp(r->path, "/v3/auth/tokens") != 0)
        return false;
    answer->status = 404;
    ist_sb_puts(&answer->body,
                "{\"error\": {\"message\": \"Could not find Application "
                "Credential: ac-1.\", \"code\": 404}}");
    return true;
}

/* Keystone cannot find a credential that was deleted: that is a refusal, and
 * no word on what was asked for. */
static void test_a_credential_that_is_gone(void **state)
{
    struct world w;
    const char *said;

    (void) state;
    world_init(&w);
    w.entry.auth = IST_CLOUD_APPLICATION_CREDENTIAL;
    w.entry.application_credential_id = (char *) "ac-1";
    w.entry.application_credential_secret = (char *) "secret";
    w.site->hook = gone_hook;
    assert_int_equal(list_rc(&w, &said), OS_E_LOGIN);
    assert_non_null(strstr(said, "ac-1"));
    w.entry.auth = IST_CLOUD_PASSWORD;
    wait_ms(&w, 20000);
    assert_int_not_equal(list_rc(&w, &said), OS_E_LOGIN);
    world_fini(&w);
}

#define TOKEN "X-Subject-Token: token-1\r\n"
#define BODY(catalog)                                                          \
    "{\"token\": {\"project\": {\"id\": \"p\"}, \"roles\": [], "               \
    "\"expires_at\": \"2026-11-25T09:00:00Z\", \"catalog\": " catalog "}}"
#define ENDPOINT(url)                                                          \
    BODY("[{\"type\": \"network\", \"endpoints\": [{\"interface\": "           \
         "\"public\", \"region_id\": \"RegionOne\", \"url\": " url "}]}]")

static void test_login_answers(void **state)
{
    static char long_token[9000];
    static const char *const refused[] = {
        "\"file:///etc/passwd\"",        "\"http://169.254.169.254/\"",
        "\"http://user:pw@hkg.test/\"",  "\"http://hkg.test:22/\"",
        "\"http://0xa9fea9fe:9696/\"",   "7",
        "\"http://[fe80::1]:9696\"",     "\"hkg.test:9696\"",
        "\"http://hkg.test\\r\\nX: y\"", "null",
    };
    char text[256];

    (void) state;
    assert_int_equal(
        login_with(TOKEN, ENDPOINT("\"http://hkg.test:9696\""), text), 0);
    for (size_t i = 0; i < IST_COUNT(refused); i++) {
        char body[512];

        snprintf(body, sizeof(body), ENDPOINT("%s"), refused[i]);
        if (login_with(TOKEN, body, text) != OS_E_BAD_ANSWER)
            fail_msg("taken: %s", refused[i]);
        assert_non_null(strstr(text, "endpoint in the catalog is refused"));
        assert_null(strstr(text, "pw"));
    }
    assert_int_equal(login_with("", BODY("[]"), text), OS_E_BAD_ANSWER);
    assert_non_null(strstr(text, "no usable X-Subject-Token"));
    assert_int_equal(login_with("X-Subject-Token: a b\r\n", BODY("[]"), text),
                     OS_E_BAD_ANSWER);
    snprintf(long_token, sizeof(long_token), "X-Subject-Token: %08500d\r\n", 7);
    assert_int_equal(login_with(long_token, BODY("[]"), text), OS_E_BAD_ANSWER);
    assert_int_equal(login_with(TOKEN, "{\"token\": {}}", text), OS_E_LOGIN);
    assert_non_null(strstr(text, "has no project"));
    assert_int_equal(login_with(TOKEN, "{}", text), OS_E_LOGIN);
    assert_int_equal(login_with(TOKEN, "[", text), OS_E_BAD_ANSWER);
    assert_int_equal(login_with(TOKEN, BODY("[]"), text), OS_E_UNSUPPORTED);
    assert_non_null(strstr(text, "no public endpoint for it in region"));
    assert_int_equal(login_with(TOKEN, BODY("{}"), text), OS_E_UNSUPPORTED);
    assert_int_equal(
        login_with(TOKEN, BODY("[7, {\"type\": \"network\"}]"), text),
        OS_E_UNSUPPORTED);
    /* Ten regions, other interfaces: only the one that is configured. */
    assert_int_equal(
        login_with(TOKEN,
                   BODY("[{\"type\": \"network\", \"endpoints\": ["
                        "{\"interface\": \"public\", \"region_id\": \"Two\", "
                        "\"url\": \"http://two.test\"},"
                        "{\"interface\": \"internal\", \"region_id\": "
                        "\"RegionOne\", \"url\": \"http://two.test\"}]}]"),
                   text),
        OS_E_UNSUPPORTED);
}

/* What is sent, by the kind of credential. */
static char sent[1024];

static bool body_hook(struct fake_site *site, const struct fake_request *r,
                      struct fake_answer *answer)
{
    (void) site, (void) answer;
    if (strcmp(r->path, "/v3/auth/tokens") == 0)
        snprintf(sent, sizeof(sent), "%.*s", (int) r->call->body_size,
                 (const char *) r->call->body);
    return false;
}

static void test_credentials(void **state)
{
    struct world w;

    (void) state;
    world_init(&w);
    w.site->hook = body_hook;
    w.entry.user_domain_name = (char *) "D \"1\"";
    w.entry.project_domain_id = (char *) "d2";
    assert_int_equal(list_rc(&w, NULL), 0);
    assert_string_equal(
        sent, "{\"auth\":{\"identity\":{\"methods\":[\"password\"],"
              "\"password\":{\"user\":{\"name\":\"admin\",\"domain\":{\"name\":"
              "\"D \\\"1\\\"\"},\"password\":\"secret\"}}},\"scope\":{"
              "\"project\":{\"name\":\"admin\",\"domain\":{\"id\":\"d2\"}}}}}");
    world_fini(&w);

    world_init(&w);
    w.site->hook = body_hook;
    w.entry.auth = IST_CLOUD_APPLICATION_CREDENTIAL;
    w.entry.application_credential_id = (char *) "ac";
    w.entry.application_credential_secret = (char *) "secret";
    assert_int_equal(list_rc(&w, NULL), 0);
    assert_string_equal(
        sent, "{\"auth\":{\"identity\":{\"methods\":["
              "\"application_credential\"],\"application_credential\":{"
              "\"id\":\"ac\",\"secret\":\"secret\"}}}}");
    world_fini(&w);

    world_init(&w);
    w.site->hook = body_hook;
    w.entry.auth = IST_CLOUD_APPLICATION_CREDENTIAL;
    w.entry.application_credential_name = (char *) "n";
    w.entry.application_credential_secret = (char *) "secret";
    assert_int_equal(list_rc(&w, NULL), 0);
    assert_string_equal(
        sent, "{\"auth\":{\"identity\":{\"methods\":["
              "\"application_credential\"],\"application_credential\":{"
              "\"name\":\"n\",\"user\":{\"name\":\"admin\",\"domain\":{\"id\":"
              "\"default\"}},\"secret\":\"secret\"}}}}");
    /* All of them are JSON. */
    assert_int_equal(
        ist_json_type(ist_json_find((struct ist_json_slice){sent, strlen(sent)},
                                    "auth.identity")),
        IST_JSON_OBJECT);
    world_fini(&w);
}

static void test_bad_auth_url(void **state)
{
    struct ist_cloud_entry entry = {.name = (char *) "x"};
    struct ist_err err;
    struct world w;

    (void) state;
    world_init(&w);
    entry.auth_url = (char *) "http://169.254.169.254/v3";
    assert_null(os_cloud_new(&w.loop, w.http, &entry, &w.conf, &err));
    assert_non_null(strstr(err.text, "cloud x: auth_url: the URL is link"));
    world_fini(&w);
}

/* --- Versions --- */

static void test_versions(void **state)
{
    struct os_list list = {.kind = "server", .limit = 1};
    struct world w;

    (void) state;
    world_init(&w);
    w.site->max_version = "2.60";
    world_list(&w, &list, 1000);
    assert_string_equal(w.site->last_version, "2.60");
    assert_int_equal(list.n_pages, 2);
    os_list_fini(&list);
    world_list(&w, &list, 1000);
    assert_int_equal(list.n_pages, 1);
    os_list_fini(&list);
    /* After an hour it asks again. */
    w.site->max_version = "2.100";
    wait_ms(&w, 3600000);
    world_list(&w, &list, 1000);
    assert_string_equal(w.site->last_version, "2.93");
    os_list_fini(&list);
    world_fini(&w);
}

static bool old_hook(struct fake_site *site, const struct fake_request *r,
                     struct fake_answer *answer)
{
    bool *was_downgraded = site->hook_arg;

    (void) r;
    if (*was_downgraded || strstr(r->path, "auth") ||
        strcmp(r->path, "/v2.1/") == 0)
        return false;
    /* An older release was installed since. */
    *was_downgraded = true;
    site->max_version = "2.79";
    answer->status = 406;
    ist_sb_puts(&answer->body, "{\"computeFault\": {\"message\": \"no\"}}");
    return true;
}

static void test_downgrade(void **state)
{
    struct os_list list = {.kind = "server", .limit = 1};
    bool was_downgraded = false;
    struct world w;

    (void) state;
    world_init(&w);
    w.site->hook = old_hook;
    w.site->hook_arg = &was_downgraded;
    world_list(&w, &list, 1000);
    assert_int_equal(list.op.rc, 0);
    assert_true(was_downgraded);
    assert_string_equal(w.site->last_version, "2.79");
    os_list_fini(&list);
    world_fini(&w);
}

/* --- Showing --- */

static void test_show(void **state)
{
    struct os_show s;
    struct world w;

    (void) state;
    world_init(&w);
    fake_site_add(w.site, "server", "6f-1", "web", "p1", "ACTIVE",
                  WORLD_WALL_MS);
    fake_site_add(w.site, "image", "i1", "img", "p1", "active", WORLD_WALL_MS);
    fake_site_add(w.site, "availability-zone", "az1", "az1", "", "true",
                  WORLD_WALL_MS);
    fake_site_add_body(w.site, "server", "other", WORLD_WALL_MS,
                       "{\"id\": \"6f-1\"}");
    show(&w, &s, "server", "6f-1");
    assert_int_equal(s.op.rc, 0);
    assert_string_equal(s.record.id, "6f-1");
    assert_non_null(memmem(s.record.body.data, s.record.body.size,
                           "\"name\": \"web\"", 13));
    os_show_fini(&s);
    show(&w, &s, "image", "i1");
    assert_int_equal(s.op.rc, 0);
    os_show_fini(&s);
    /* A kind without a path for one. */
    show(&w, &s, "availability-zone", "az1");
    assert_int_equal(s.op.rc, 0);
    assert_string_equal(s.record.id, "az1");
    os_show_fini(&s);
    show(&w, &s, "availability-zone", "az2");
    assert_int_equal(s.op.rc, OS_E_NOT_FOUND);
    os_show_fini(&s);

    show(&w, &s, "server", "6f-2");
    assert_int_equal(s.op.rc, OS_E_NOT_FOUND);
    assert_string_equal(s.op.err.text, "compute: there is no server 6f-2");
    assert_null(s.record.id);
    os_show_fini(&s);
    /* Another one's, or what is not one at all. */
    show(&w, &s, "server", "other");
    assert_int_equal(s.op.rc, OS_E_NOT_FOUND);
    os_show_fini(&s);
    show(&w, &s, "server", "detail");
    assert_int_equal(s.op.rc, OS_E_NOT_FOUND);
    os_show_fini(&s);
    show(&w, &s, "image", "");
    assert_int_equal(s.op.rc, OS_E_NOT_FOUND);
    os_show_fini(&s);
    show(&w, &s, "sever", "1");
    assert_int_equal(s.op.rc, OS_E_UNSUPPORTED);
    os_show_fini(&s);
    world_fini(&w);
}

/* An id is data, wherever it comes from. */
static void test_show_paths(void **state)
{
    static const char *const ids[][2] = {
        {"../../v3/users", "/v2.1/servers/..%2F..%2Fv3%2Fusers"},
        {"a?b=c#d", "/v2.1/servers/a%3Fb%3Dc%23d"},
        {"a b\r\nX: y", "/v2.1/servers/a%20b%0D%0AX%3A%20y"},
        {"%2e%2e", "/v2.1/servers/%252e%252e"},
    };
    struct os_show s;
    struct world w;

    (void) state;
    world_init(&w);
    for (size_t i = 0; i < IST_COUNT(ids); i++) {
        show(&w, &s, "server", ids[i][0]);
        assert_int_equal(s.op.rc, OS_E_NOT_FOUND);
        assert_string_equal(w.site->last_path, ids[i][1]);
        os_show_fini(&s);
    }
    w.site->n_requests = 0;
    show(&w, &s, "server", "..");
    assert_int_equal(s.op.rc, OS_E_NOT_FOUND);
    assert_int_equal(w.site->n_requests, 0);
    os_show_fini(&s);
    world_fini(&w);
}

static void test_show_faults(void **state)
{
    static const struct {
        enum fake_fault fault;
        int rc;
    } cases[] = {
        {FAKE_REFUSED, OS_E_UNREACHABLE},  {FAKE_CUT, OS_E_UNREACHABLE},
        {FAKE_TRUNCATED, OS_E_BAD_ANSWER}, {FAKE_HTML, OS_E_BAD_ANSWER},
        {FAKE_ERROR, OS_E_UPSTREAM},       {FAKE_BAD_TOKEN, OS_E_LOGIN},
        {FAKE_SILENT, -ETIMEDOUT},
    };
    struct os_show s;
    struct world w;

    (void) state;
    world_init(&w);
    fake_site_add(w.site, "image", "i1", "img", "p1", "active", WORLD_WALL_MS);
    for (size_t i = 0; i < IST_COUNT(cases); i++) {
        w.site->fault = cases[i].fault;
        show(&w, &s, "image", "i1");
        assert_int_equal(s.op.rc, cases[i].rc);
        assert_null(s.record.id);
        os_show_fini(&s);
    }
    w.conf.record_max = 10;
    w.site->fault = FAKE_FINE;
    show(&w, &s, "image", "i1");
    assert_int_equal(s.op.rc, OS_E_TOO_LARGE);
    os_show_fini(&s);
    world_fini(&w);
}

/* --- Probing --- */

static const Isthmus__V1__Service *service(const struct os_probe *probe,
                                           const char *name)
{
    for (size_t i = 0; i < probe->n_services; i++) {
        if (strcmp(probe->services[i]->name, name) == 0)
            return probe->services[i];
    }
    fail_msg("no service %s", name);
    return NULL;
}

static void probe(struct world *w, struct os_probe *p)
{
    *p = (struct os_probe){.services = NULL};
    w->done = false;
    world_flag = &w->done;
    ist_op_prepare(&p->op, &w->loop, NULL, 1000, world_done);
    os_probe_start(w->cloud, p);
    world_run(w);
}

static void test_probe(void **state)
{
    struct os_probe p;
    struct world w;
    char **names;

    (void) state;
    world_init(&w);
    assert_int_equal(os_cloud_services(w.cloud, &names), 0);
    w.site->delay_ms = 20;
    w.site->without = "volume";
    w.site->fault = FAKE_ERROR;
    w.site->fault_at = "image";
    probe(&w, &p);
    assert_int_equal(p.op.rc, 0);
    assert_int_equal(p.n_services, 5);
    assert_true(service(&p, "compute")->up);
    assert_string_equal(service(&p, "compute")->min_version, "2.1");
    assert_string_equal(service(&p, "compute")->max_version, "2.93");
    assert_int_equal(service(&p, "compute")->latency_ms, 20);
    assert_true(service(&p, "network")->up);
    assert_string_equal(service(&p, "network")->max_version, "");
    assert_true(service(&p, "identity")->up);
    assert_false(service(&p, "image")->up);
    assert_non_null(strstr(service(&p, "image")->detail, "503"));
    assert_false(service(&p, "volume")->up);
    assert_non_null(strstr(service(&p, "volume")->detail, "not in the site's"));
    assert_true(w.site->n_running_max >= 4);
    os_probe_fini(&p);
    assert_int_equal(os_cloud_services(w.cloud, &names), 4);
    assert_string_equal(names[1], "compute");

    w.site->fault = FAKE_SILENT;
    probe(&w, &p);
    /* One that hangs is told of, and so are the others. */
    assert_int_equal(p.op.rc, 0);
    assert_true(service(&p, "compute")->up);
    assert_false(service(&p, "image")->up);
    assert_non_null(strstr(service(&p, "image")->detail, "no answer in time"));
    assert_int_equal(service(&p, "image")->latency_ms, 750);
    os_probe_fini(&p);
    world_fini(&w);
}

static void test_probe_without_keystone(void **state)
{
    struct os_probe p;
    struct world w;

    (void) state;
    world_init(&w);
    w.site->login_fault = FAKE_REFUSED;
    probe(&w, &p);
    assert_int_equal(p.op.rc, 0);
    assert_false(service(&p, "identity")->up);
    assert_non_null(strstr(service(&p, "identity")->detail, "identity: "));
    assert_false(service(&p, "compute")->up);
    os_probe_fini(&p);
    world_fini(&w);

    world_init(&w);
    w.site->login_fault = FAKE_SILENT;
    probe(&w, &p);
    assert_int_equal(p.op.rc, 0);
    assert_int_equal(p.n_services, 5);
    assert_false(service(&p, "identity")->up);
    assert_non_null(strstr(service(&p, "compute")->detail, "no token"));
    os_probe_fini(&p);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_login),
        cmocka_unit_test(test_a_credential_that_is_gone),
        cmocka_unit_test(test_renewal),
        cmocka_unit_test(test_odd_expiry),
        cmocka_unit_test(test_revoked),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_keystone_down),
        cmocka_unit_test(test_give_up),
        cmocka_unit_test(test_close_in_login),
        cmocka_unit_test(test_login_answers),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_bad_auth_url),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_downgrade),
        cmocka_unit_test(test_show),
        cmocka_unit_test(test_show_paths),
        cmocka_unit_test(test_show_faults),
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_probe_without_keystone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
