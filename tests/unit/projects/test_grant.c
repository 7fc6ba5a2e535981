/* The credentials that an agent makes for its projects: made once, kept as a
 * secret, shared by rows that grant the same, and not made again. */
#include "projects/projects.h"

#include "../../fake/cloud_http.h"
#include "../scratch.h"
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct {
    struct ist_loop loop;
    struct ist_http *http;
    struct fake_site *site;
    struct os_conf conf;
    struct ist_cloud_entry own;
    char dir[SCRATCH_SIZE];
    unsigned n_made, n_changed;
    int status;
    char scope[512], logged_in[512];
} t;

/* Keystone: credentials can be made, and what was made lets in. */
static bool hook(struct fake_site *site, const struct fake_request *r,
                 struct fake_answer *answer)
{
    (void) site;
    if (strcmp(r->path, "/v3/auth/tokens") == 0) {
        snprintf(t.logged_in, sizeof(t.logged_in), "%.*s",
                 (int) r->call->body_size, (const char *) r->call->body);
        if (strstr(t.logged_in, "\"scope\""))
            strlcpy(t.scope, strstr(t.logged_in, "\"scope\""), sizeof(t.scope));
        return false;
    }
    if (strcmp(r->path, "/v3/users/u-1/application_credentials") != 0)
        return false;
    t.n_made++;
    answer->status = t.status;
    ist_sb_printf(&answer->body,
                  "{\"application_credential\": {\"id\": \"ac-%u\", "
                  "\"secret\": \"canary\"}}",
                  t.n_made);
    return true;
}

static void on_changed(void *arg)
{
    (void) arg;
    t.n_changed++;
}

static struct projects *open_text(const char *text, struct ist_err *err)
{
    const char *path = scratch_path(t.dir, "projects.yaml");
    struct projects_conf conf = {.path = path, .own = &t.own, .state = t.dir};
    FILE *file = fopen(path, "w");

    fputs(text, file);
    fclose(file);
    return projects_open(&t.loop, t.http, &t.conf, &conf, err);
}

static void run(uint64_t ms)
{
    uint64_t until = ist_loop_now(&t.loop) + ms;

    while (ist_loop_step(&t.loop, until))
        ;
}

static struct projects *resolved(const char *text)
{
    struct ist_err err = {.code = 0};
    struct projects *projects = open_text(text, &err);

    if (!projects)
        fail_msg("%s", err.text);
    projects_resolve(projects, on_changed, NULL);
    for (int i = 0; i < 100 && t.n_changed == 0 && t.status == 201; i++)
        run(20);
    run(50);
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
    for (int i = 0; i < 100 && !closed; i++)
        run(10);
    assert_true(closed);
}

static const struct project *find(const struct projects *projects,
                                  const char *hub)
{
    return projects_find(projects, "", hub, NULL, 0);
}

static unsigned files(void)
{
    char command[256], line[64] = "";
    FILE *pipe;

    snprintf(command, sizeof(command),
             "find %s/credentials -name '*.json' -perm 600 | wc -l", t.dir);
    pipe = popen(command, "r");
    if (!fgets(line, sizeof(line), pipe))
        line[0] = '\0';
    pclose(pipe);
    return (unsigned) strtoul(line, NULL, 10);
}

static int setup(void **state)
{
    const struct ist_conf_table table = {os_rows, &t.conf};
    struct ist_conf_report report;
    struct ist_err err;

    (void) state;
    memset(&t, 0, sizeof(t));
    ist_loop_init_virtual(&t.loop, 1795593600000U);
    ist_conf_report_init(&report);
    if (ist_conf_load(NULL, &table, 1, &report, &err))
        return -1;
    ist_conf_report_fini(&report);
    t.http = ist_http_new(&t.loop, NULL);
    t.site = fake_site_new("hkg.test");
    t.site->hook = hook;
    t.status = 201;
    t.own = (struct ist_cloud_entry){
        .name = (char *) "hkg",
        .auth = IST_CLOUD_PASSWORD,
        .auth_url = (char *) "http://hkg.test:5000/v3/",
        .username = (char *) "agent",
        .password = (char *) "canary",
        .user_domain_name = (char *) "Services",
        .project_name = (char *) "admin",
        .region_name = (char *) "RegionOne",
        .interface = (char *) "public",
    };
    t.site->password = "canary"; /* And any secret. */
    scratch_make(t.dir);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    ist_http_close(t.http, NULL, NULL);
    run(50);
    fake_site_free(t.site);
    ist_loop_fini(&t.loop);
    scratch_drop(t.dir);
    return 0;
}

#define TWO                                                                    \
    "projects:\n"                                                              \
    "  - {hub: hkg/shop, project: shop, grant: [member]}\n"                    \
    "  - {hub: lon/shop, project: shop, grant: [member]}\n"

static void test_made_once(void **state)
{
    struct projects *projects = resolved(TWO);
    const struct project *row = find(projects, "hkg/shop");

    (void) state;
    assert_int_equal(t.n_made, 1);
    assert_int_equal(t.n_changed, 1);
    assert_int_equal(files(), 1);
    assert_non_null(strstr(t.scope, "\"name\":\"shop\""));
    assert_non_null(strstr(t.scope, "Services"));
    assert_non_null(row->cloud);
    assert_non_null(find(projects, "lon/shop")->cloud);
    assert_string_equal(row->entry.application_credential_id, "ac-1");
    assert_string_equal(row->entry.application_credential_secret, "canary");
    assert_null(row->entry.password);
    assert_non_null(strstr(t.logged_in, "application_credential"));
    done(projects);

    /* Read again; another grant is another credential. */
    t.n_changed = 0;
    projects = resolved(
        TWO "  - {hub: sjc/shop, project: shop, grant: [reader]}\n"
            "  - {hub: a/b, project: Corp/shop, grant: [member]}\n"
            "  - {hub: c/d, project: 0123456789abcdef0123456789abcdef, "
            "grant: [member]}\n");
    assert_string_equal(
        find(projects, "hkg/shop")->entry.application_credential_id, "ac-1");
    assert_string_equal(
        find(projects, "sjc/shop")->entry.application_credential_id, "ac-2");
    assert_int_equal(t.n_made, 4);
    assert_int_equal(files(), 4);
    assert_non_null(strstr(t.scope, "\"project\":{\"id\":\"0123456789abcdef"));
    done(projects);
}

static void test_refused(void **state)
{
    struct projects *projects;

    (void) state;
    t.status = 403;
    projects = resolved(TWO);
    assert_int_equal(t.n_changed, 0);
    assert_int_equal(t.n_made, 2); /* Each row for itself. */
    assert_null(find(projects, "hkg/shop")->cloud);
    assert_int_equal(files(), 0);
    done(projects);
}

/* Deleted at Keystone: the grant has ended, and no other is made. */
static void test_deleted_in_keystone(void **state)
{
    struct projects *projects;

    (void) state;
    done(resolved(TWO));
    t.n_changed = 0;
    t.status = 403;
    t.site->login_fault = FAKE_BAD_TOKEN;
    projects = resolved(TWO);
    assert_int_equal(t.n_changed, 0);
    assert_int_equal(t.n_made, 1);
    assert_int_equal(files(), 1);
    done(projects);
}

/* Each try is a login by password: one in a round, by turns. */
static void test_no_account_is_locked(void **state)
{
    struct ist_err err = {.code = 0};
    struct projects *projects;

    (void) state;
    t.site->login_fault = FAKE_BAD_TOKEN;
    projects = open_text(TWO "  - {hub: a/b, project: b, grant: [member]}\n"
                             "  - {hub: c/d, project: d, grant: [member]}\n",
                         &err);
    assert_non_null(projects);
    projects_resolve(projects, on_changed, NULL);
    run(1000);
    assert_int_equal(t.site->n_logins, 1);
    assert_non_null(strstr(t.scope, "\"shop\""));
    run(60000);
    assert_int_equal(t.site->n_logins, 2);
    run(60000);
    assert_int_equal(t.site->n_logins, 3);
    assert_non_null(strstr(t.scope, "\"b\""));
    run(60000);
    assert_non_null(strstr(t.scope, "\"d\""));
    run(60000);
    assert_non_null(strstr(t.scope, "\"shop\"")); /* From the start. */
    t.site->login_fault = FAKE_FINE;
    run(600000);
    assert_int_equal(t.n_made, 3);
    assert_non_null(find(projects, "c/d")->cloud);
    done(projects);
}

/* Made, and the disk is full: only the writing is tried again. */
static void test_not_written(void **state)
{
    char command[256];
    struct ist_err err = {.code = 0};
    struct projects *projects = open_text(TWO, &err);

    (void) state;
    snprintf(command, sizeof(command), "rm -rf %s/credentials", t.dir);
    assert_int_equal(system(command), 0);
    projects_resolve(projects, on_changed, NULL);
    run(1000);
    assert_int_equal(t.n_changed, 0);
    snprintf(command, sizeof(command), "mkdir -m 700 %s/credentials", t.dir);
    assert_int_equal(system(command), 0);
    run(61000);
    assert_int_equal(t.n_made, 2); /* By each row, and by none again. */
    assert_int_equal(files(), 1);
    assert_non_null(find(projects, "hkg/shop")->cloud);
    done(projects);
}

static void test_closed_in_the_middle(void **state)
{
    struct ist_err err;
    struct projects *projects;

    (void) state;
    t.site->delay_ms = 1000;
    projects = open_text(TWO, &err);
    projects_resolve(projects, on_changed, NULL);
    run(20);
    done(projects);
    assert_int_equal(t.n_changed, 0);
}

static void test_a_damaged_file(void **state)
{
    char command[256];
    struct ist_err err;

    (void) state;
    done(resolved(TWO));
    snprintf(command, sizeof(command),
             "for f in %s/credentials/*.json; do echo '{}' >$f; done", t.dir);
    assert_int_equal(system(command), 0);
    assert_null(open_text(TWO, &err));
    assert_non_null(strstr(err.text, "is damaged: delete it"));
    run(20);
    snprintf(command, sizeof(command), "chmod 644 %s/credentials/*.json",
             t.dir);
    assert_int_equal(system(command), 0);
    assert_null(open_text(TWO, &err));
    run(20);
}

static void test_one_who_cannot(void **state)
{
    struct ist_err err;

    (void) state;
    t.own.auth = IST_CLOUD_APPLICATION_CREDENTIAL;
    assert_null(open_text(TWO, &err));
    assert_non_null(strstr(err.text, "by password"));
    run(20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_made_once),           TEST(test_refused),
        TEST(test_deleted_in_keystone), TEST(test_no_account_is_locked),
        TEST(test_not_written),         TEST(test_closed_in_the_middle),
        TEST(test_a_damaged_file),      TEST(test_one_who_cannot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
