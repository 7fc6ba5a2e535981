#include "admin/commands.h"

#include "../command.h"
#include "../scratch.h"
#include "admin/home.h"
#include "base/clock.h"
#include "codec/bundle.h"
#include "codec/file.h"
#include "codec/x509.h"

#include <errno.h>
#include <ftw.h>
#include <jansson.h>
#include <setjmp.h>
#include <stddef.h>

#include <cmocka.h>

struct box {
    char dir[SCRATCH_SIZE], hub[SCRATCH_SIZE + 8], ctl[SCRATCH_SIZE + 16],
        out[SCRATCH_SIZE + 8];
    char bundles[4][SCRATCH_SIZE + 80]; /* Paths; they take turns. */
    unsigned n_bundles;
    struct command said;
    struct ist_err err;
};

#define SETUP(box, ...)                                                        \
    command_run(&(box)->said, admin_setup_command, "setup", "--state",         \
                (box)->hub, __VA_ARGS__, NULL)
#define SITE(box, ...)                                                         \
    command_run(&(box)->said, admin_site_command, "site", __VA_ARGS__, NULL)
#define ADD(box, name, bundle)                                                 \
    SITE(box, "add", name, bundle, "--state", (box)->hub, "--out", (box)->out, \
         "--rabbitmqctl", (box)->ctl)
#define NOC(box, ...)                                                          \
    command_run(&(box)->said, admin_noc_command, "noc", __VA_ARGS__, NULL)
#define ADD_NOC(box, name)                                                     \
    NOC(box, "add", name, "--state", (box)->hub, "--out", (box)->out,          \
        "--rabbitmqctl", (box)->ctl)
#define SAME "--federation", "eu", "--broker-host", "bus.example.net"

/* A rabbitmqctl that notes what it was asked, and has what it was given. */
static const char stand_in[] =
    "#!/bin/sh\n"
    "cd \"$(dirname \"$0\")\" || exit 1\n"
    "echo \"$*\" >>asked\n"
    "[ -e fail ] && { echo 'Error: no node' >&2; exit 69; }\n"
    "case \"$*\" in\n"
    "import_definitions) [ -e deaf ] || cat >given ;;\n"
    "*list_user_permissions*)\n"
    "    [ -e given ] || { echo '{:no_such_user, x}' >&2; exit 69; }\n"
    "    printf "
    "'vhost\\tconfigure\\twrite\\tread\\n/isthmus\\t^$\\t^$\\t^$\\n' ;;\n"
    "*list_queues*) printf "
    "'name\\nsite.hkg.req\\nsite.hkg.cmd\\nsite.hkg.bulk\\n' ;;\n"
    "delete_user*) [ -e given ] || exit 67 ;;\n"
    "delete_queue*) [ -e given ] || { echo 'Queue not found' >&2; exit 64; } "
    ";;\n"
    "esac\n";

static const char *at(struct box *box, const char *name)
{
    return scratch_path(box->dir, name);
}

static int setup(void **state)
{
    struct box *box = calloc(1, sizeof(*box));

    scratch_make(box->dir);
    snprintf(box->hub, sizeof(box->hub), "%s/hub", box->dir);
    snprintf(box->ctl, sizeof(box->ctl), "%s/ctl", box->dir);
    snprintf(box->out, sizeof(box->out), "%s/out", box->dir);
    scratch_write(box->ctl, stand_in);
    chmod(box->ctl, 0755);
    if (SETUP(box, SAME) != 0)
        return -1;
    *state = box;
    return 0;
}

static int teardown(void **state)
{
    struct box *box = *state;

    scratch_drop(box->dir);
    free(box);
    return 0;
}

/* The bundle of a site with keys in DIR/who, as DIR/who.site. */
static const char *make_bundle(struct box *box, const char *who,
                               const char *name, bool renew)
{
    struct ist_sb key, request, text;
    struct ist_bundle_site bundle;
    struct ist_keyfile keys;
    uint64_t now = ist_clock_wall_ms();
    char file[64];
    char *path;

    ist_sb_init(&key, 0);
    ist_sb_init(&request, 0);
    ist_sb_init(&text, 0);
    assert_int_equal(ist_keyfile_make(at(box, who), IST_ROLE_SITE, name, now,
                                      &keys, &box->err),
                     0);
    if (renew)
        assert_int_equal(ist_keyfile_renew(&keys, now, &box->err), 0);
    snprintf(file, sizeof(file), "%s/tls.key", who);
    ist_file_read(at(box, file), IST_FILE_SECRET, &key, NULL);
    ist_x509_request_make(key.data, key.len, name, &request, NULL);
    bundle =
        (struct ist_bundle_site){.name = name,
                                 .signed_delegation = keys.signed_delegation,
                                 .signed_size = keys.signed_size,
                                 .request = request.data,
                                 .request_size = request.len};
    memcpy(bundle.root, keys.root, 32);
    ist_bundle_site_make(&bundle, &text);
    snprintf(file, sizeof(file), "%s.site", who);
    path = box->bundles[box->n_bundles++ % 4];
    snprintf(path, sizeof(box->bundles[0]), "%s/%s", box->dir, file);
    scratch_write(path, text.data);
    ist_sb_fini(&key);
    ist_sb_fini(&request);
    ist_sb_fini(&text);
    ist_keyfile_fini(&keys);
    return path;
}

/* All files and their bytes as one number. */
static uint64_t sum;

static int add_to_sum(const char *path, const struct stat *st, int flag,
                      struct FTW *ftw)
{
    size_t size = 0;
    char *data;

    (void) ftw;
    if (flag != FTW_F)
        return 0;
    data = scratch_read(path, &size);
    for (const char *c = path; *c; c++)
        sum = sum * 31 + (unsigned char) *c;
    for (size_t i = 0; i < size; i++)
        sum = sum * 31 + (unsigned char) data[i];
    sum = sum * 31 + st->st_mode;
    free(data);
    return 0;
}

static uint64_t sum_of(const char *dir)
{
    sum = 0;
    nftw(dir, add_to_sum, 16, FTW_PHYS);
    return sum;
}

/* Setting up */

static void test_set_up(void **state)
{
    struct box *box = *state;
    struct admin_home home;
    struct ist_sb pem, ca;

    assert_non_null(strstr(box->said.out, "fingerprint"));
    assert_int_equal(admin_home_open(box->hub, &home, &box->err), 0);
    assert_string_equal(home.keys.name, "eu");
    assert_string_equal(home.word, "h1");
    assert_string_equal(home.user, "hub-h1");
    assert_string_equal(home.bus_url,
                        "amqps://bus.example.net:5671/%2Fisthmus");
    assert_string_equal(home.http_host, "localhost");
    ist_sb_init(&pem, 0);
    ist_sb_init(&ca, 0);
    ist_file_read(home.bus_ca, IST_FILE_OWN, &ca, NULL);
    ist_file_read(at(box, "hub/broker/broker.pem"), IST_FILE_OWN, &pem, NULL);
    assert_true(ist_x509_has_host(pem.data, pem.len, "bus.example.net"));
    assert_true(ist_x509_has_host(pem.data, pem.len, "localhost"));
    assert_true(ist_x509_has_host(pem.data, pem.len, "127.0.0.1"));
    assert_int_equal(ist_x509_verify(pem.data, pem.len, ca.data, ca.len,
                                     IST_X509_SERVER, 0, &box->err),
                     0);
    ist_sb_reset(&pem);
    ist_file_read(home.bus_certificate, IST_FILE_OWN, &pem, NULL);
    assert_int_equal(ist_x509_verify(pem.data, pem.len, ca.data, ca.len,
                                     IST_X509_CLIENT, 0, &box->err),
                     0);
    /* HTTPS has a CA of its own. */
    ist_sb_reset(&pem);
    ist_file_read(home.http_certificate, IST_FILE_OWN, &pem, NULL);
    assert_int_not_equal(ist_x509_verify(pem.data, pem.len, ca.data, ca.len,
                                         IST_X509_SERVER, 0, &box->err),
                         0);
    ist_sb_fini(&pem);
    ist_sb_fini(&ca);
    admin_home_close(&home);
}

static void test_set_up_again(void **state)
{
    struct box *box = *state;
    uint64_t before = sum_of(box->hub);

    assert_int_equal(SETUP(box, SAME), 0);
    assert_true(sum_of(box->hub) == before);
}

static void test_another_host(void **state)
{
    struct box *box = *state;
    size_t size;
    char *key = scratch_read(at(box, "hub/broker/broker.key"), &size);
    char *client = scratch_read(at(box, "hub/bus/cert.pem"), NULL), *again;
    struct ist_sb pem;

    assert_int_equal(SETUP(box, "--federation", "eu", "--broker-host", "::2",
                           "--broker-port", "1234", "--http-host",
                           "hub.example"),
                     0);
    assert_non_null(strstr(box->said.out, "amqps://[::2]:1234/%2Fisthmus"));
    ist_sb_init(&pem, 0);
    ist_file_read(at(box, "hub/broker/broker.pem"), IST_FILE_OWN, &pem, NULL);
    assert_true(ist_x509_has_host(pem.data, pem.len, "::2"));
    assert_false(ist_x509_has_host(pem.data, pem.len, "bus.example.net"));
    ist_sb_reset(&pem);
    ist_file_read(at(box, "hub/http/cert.pem"), IST_FILE_OWN, &pem, NULL);
    assert_true(ist_x509_has_host(pem.data, pem.len, "hub.example"));
    /* Keys stay, and so does what has no host in it. */
    again = scratch_read(at(box, "hub/broker/broker.key"), NULL);
    assert_string_equal(again, key);
    free(again);
    again = scratch_read(at(box, "hub/bus/cert.pem"), NULL);
    assert_string_equal(again, client);
    free(again);
    free(key);
    free(client);
    ist_sb_fini(&pem);
    /* What is not said again is kept. */
    assert_int_equal(SETUP(box, "--federation", "eu", "--broker-host", "::2"),
                     0);
    assert_non_null(strstr(box->said.out, "amqps://[::2]:1234/%2Fisthmus"));
}

static void test_set_up_goes_on_after_a_crash(void **state)
{
    static const char *const steps[] = {"hub/broker/definitions.json",
                                        "hub/http/cert.pem",
                                        "hub/http/key.pem",
                                        "hub/ca/http.pem",
                                        "hub/bus/cert.pem",
                                        "hub/ca/bus.pem",
                                        "hub/hub.json",
                                        "hub/online.key"};
    struct box *box = *state;

    for (size_t i = 0; i < IST_COUNT(steps); i++) {
        for (size_t j = 0; j <= i; j++)
            unlink(at(box, steps[j]));
        assert_int_equal(SETUP(box, SAME), 0);
        test_set_up(state);
    }
}

static void test_set_up_refusals(void **state)
{
    struct box *box = *state;

    assert_int_equal(SETUP(box, "--federation", "us", "--broker-host", "b"), 1);
    assert_non_null(strstr(box->said.complaint, "hub eu, not of hub us"));
    assert_int_equal(SETUP(box, SAME, "--hub-word", "h2"), 1);
    assert_int_equal(SETUP(box, SAME, "--hub-word", "x2"), 2);
    assert_int_equal(SETUP(box, SAME, "--broker-port", "0"), 2);
    assert_int_equal(SETUP(box, SAME, "--broker-port", "65536"), 2);
    assert_int_equal(SETUP(box, SAME, "--http-host", "a b"), 2);
    assert_int_equal(SETUP(box, SAME, "--http-host", "a,URI:x"), 2);
    assert_int_equal(SETUP(box, SAME, "more"), 2);
    assert_int_equal(SETUP(box, SAME, "--nonsense"), 2);
    assert_int_equal(SETUP(box, "--federation", "EU", "--broker-host", "b"), 2);
    assert_int_equal(SETUP(box, "--federation", "eu"), 2);
    assert_int_equal(SETUP(box, "--help"), 0);
    assert_non_null(strstr(box->said.out, "usage"));
    chmod(at(box, "hub/ca/bus.key"), 0644);
    assert_int_equal(SETUP(box, "--federation", "eu", "--broker-host", "b"), 1);
    assert_non_null(strstr(box->said.complaint, "chmod 600"));
}

static void test_set_up_renews(void **state)
{
    struct box *box = *state;
    struct admin_home home, renewed;

    assert_int_equal(admin_home_open(box->hub, &home, &box->err), 0);
    assert_int_equal(SETUP(box, SAME, "--renew"), 0);
    assert_int_equal(admin_home_open(box->hub, &renewed, &box->err), 0);
    assert_memory_equal(home.keys.root, renewed.keys.root, 32);
    assert_true(renewed.keys.delegation.serial > home.keys.delegation.serial);
    admin_home_close(&home);
    admin_home_close(&renewed);
}

/* Sites */

static char *asked(struct box *box)
{
    return scratch_read(at(box, "asked"), NULL);
}

static void test_added(void **state)
{
    struct box *box = *state;
    const char *bundle = make_bundle(box, "hkg", "hkg", false);
    struct ist_bundle_hub hub;
    struct ist_arena arena;
    struct ist_sb key;
    uint8_t hash[32];
    char *text, *again;
    json_t *given;

    assert_int_equal(ADD(box, "hkg", bundle), 0);
    assert_non_null(strstr(box->said.out, "fingerprint"));
    text = scratch_read(box->out, NULL);
    ist_sb_init(&key, 0);
    ist_arena_init(&arena, 256 * 1024);
    ist_file_read(at(box, "hkg/tls.key"), IST_FILE_SECRET, &key, NULL);
    assert_int_equal(ist_x509_key_hash(key.data, key.len, hash, NULL), 0);
    assert_int_equal(ist_bundle_hub_parse(text, strlen(text), 0, hash, &arena,
                                          &hub, &box->err),
                     0);
    assert_string_equal(hub.site, "hkg");
    assert_string_equal(hub.federation, "eu");
    assert_string_equal(hub.bus_url, "amqps://bus.example.net:5671/%2Fisthmus");

    given = json_load_file(at(box, "given"), 0, NULL);
    assert_non_null(given);
    assert_int_equal(json_array_size(json_object_get(given, "users")), 1);
    json_decref(given);
    /* A new broker would know it too. */
    given = json_load_file(at(box, "hub/broker/definitions.json"), 0, NULL);
    assert_int_equal(json_array_size(json_object_get(given, "users")), 2);
    json_decref(given);

    assert_int_equal(ADD(box, "hkg", bundle), 0);
    again = scratch_read(box->out, NULL);
    assert_string_equal(again, text);
    free(again);
    free(text);
    ist_sb_fini(&key);
    ist_arena_fini(&arena);
}

static void test_added_by_another_address(void **state)
{
    struct box *box = *state;
    const char *bundle = make_bundle(box, "hkg", "hkg", false);

    assert_int_equal(SITE(box, "add", "hkg", bundle, "--state", box->hub,
                          "--out", "-", "--no-broker", "--bus-url",
                          "amqps://nat.example:1"),
                     0);
    assert_non_null(strstr(box->said.out, "BEGIN ISTHMUS HUB BUNDLE"));
    assert_null(strstr(box->said.out, "fingerprint"));
    assert_non_null(strstr(box->said.complaint, "fingerprint"));
    assert_int_equal(access(at(box, "asked"), F_OK), -1);
    assert_int_equal(SITE(box, "add", "hkg", bundle, "--state", box->hub,
                          "--out", "-", "--no-broker", "--bus-url",
                          "amqps://u:p@nat.example"),
                     2);
}

static void test_other_keys_of_a_name(void **state)
{
    struct box *box = *state;
    const char *first = make_bundle(box, "hkg", "hkg", false);

    assert_int_equal(ADD(box, "hkg", first), 0);
    assert_int_equal(ADD(box, "hkg", make_bundle(box, "evil", "hkg", false)),
                     1);
    assert_non_null(strstr(box->said.complaint, "another root key"));
    /* The one that was there is as it was. */
    assert_int_equal(ADD(box, "hkg", first), 0);
}

static void test_renewed_site(void **state)
{
    struct box *box = *state;
    const char *old = make_bundle(box, "hkg", "hkg", false);
    char *text;

    assert_int_equal(ADD(box, "hkg", old), 0);
    text = scratch_read(old, NULL);
    assert_int_equal(ADD(box, "hkg", make_bundle(box, "hkg", "hkg", true)), 0);
    /* The older bundle again, as somebody may have kept it. */
    scratch_write(old, text);
    assert_int_equal(ADD(box, "hkg", old), 1);
    assert_non_null(strstr(box->said.complaint, "older"));
    free(text);
}

static void test_two_names_for_one_root(void **state)
{
    struct box *box = *state;

    assert_int_equal(ADD(box, "hkg", make_bundle(box, "hkg", "hkg", false)), 0);
    /* The same root key under another name and uid. */
    mkdir(at(box, "lon"), 0700);
    assert_int_equal(rename(at(box, "hkg/root.key"), at(box, "lon/root.key")),
                     0);
    assert_int_equal(ADD(box, "lon", make_bundle(box, "lon", "lon", false)), 1);
    assert_non_null(strstr(box->said.complaint, "has these keys already"));
}

/* Each site is called by a key of its own in URLs. */
static void test_names_in_urls(void **state)
{
    struct box *box = *state;

    assert_int_equal(SITE(box, "add", "tlv1",
                          make_bundle(box, "tlv1", "tlv1", false), "--state",
                          box->hub, "--out", box->out, "--no-broker"),
                     0);
    assert_int_equal(
        ADD(box, "tlv-1", make_bundle(box, "tlv-1", "tlv-1", false)), 1);
    assert_non_null(strstr(box->said.complaint, "is tlv-1 in URLs, and so is "
                                                "the site tlv1"));
    assert_int_equal(ADD(box, "9th", make_bundle(box, "9th", "9th", false)), 1);
    assert_non_null(strstr(box->said.complaint, "must begin with a letter"));
}

static void test_wrong_bundles(void **state)
{
    struct box *box = *state;
    const char *bundle = make_bundle(box, "hkg", "hkg", false);

    assert_int_equal(ADD(box, "lon", bundle), 1);
    assert_non_null(strstr(box->said.complaint, "calls itself hkg"));
    scratch_write(at(box, "text"), "hello");
    assert_int_equal(ADD(box, "hkg", at(box, "text")), 1);
    assert_non_null(strstr(box->said.complaint, "refused (armour)"));
    assert_int_equal(ADD(box, "hkg", box->dir), 1);
    assert_int_equal(ADD(box, "hkg", "/nowhere"), 1);
    assert_int_equal(access(at(box, "hub/sites/hkg"), F_OK), -1);
    assert_int_equal(access(at(box, "asked"), F_OK), -1);
}

static void test_broker_fails(void **state)
{
    struct box *box = *state;
    const char *bundle = make_bundle(box, "hkg", "hkg", false);

    scratch_write(at(box, "fail"), "");
    assert_int_equal(ADD(box, "hkg", bundle), 1);
    assert_non_null(strstr(box->said.complaint, "Error: no node"));
    assert_int_equal(access(box->out, F_OK), -1);
    /* Repeated when the broker is back, it is done. */
    unlink(at(box, "fail"));
    assert_int_equal(ADD(box, "hkg", bundle), 0);
    /* It says yes and does nothing. */
    unlink(at(box, "given"));
    scratch_write(at(box, "deaf"), "");
    assert_int_equal(ADD(box, "hkg", bundle), 1);
    assert_non_null(strstr(box->said.complaint, "not there"));
    assert_int_equal(SITE(box, "add", "hkg", bundle, "--state", box->hub,
                          "--out", box->out, "--rabbitmqctl", "/no/such"),
                     1);
    assert_non_null(strstr(box->said.complaint, "/no/such: cannot be run"));
}

static void test_removed(void **state)
{
    struct box *box = *state;
    const char *bundle = make_bundle(box, "hkg", "hkg", false);
    char *log;

    assert_int_equal(ADD(box, "hkg", bundle), 0);
    assert_int_equal(SITE(box, "list", "--state", box->hub), 0);
    assert_non_null(strstr(box->said.out, "\nhkg "));
    unlink(at(box, "asked"));
    assert_int_equal(SITE(box, "remove", "hkg", "--state", box->hub,
                          "--rabbitmqctl", box->ctl),
                     0);
    log = asked(box);
    assert_string_equal(log, "delete_user hkg\n"
                             "delete_queue -p /isthmus site.hkg.req\n"
                             "delete_queue -p /isthmus site.hkg.cmd\n"
                             "delete_queue -p /isthmus site.hkg.bulk\n");
    free(log);
    assert_int_equal(SITE(box, "list", "--state", box->hub), 0);
    assert_null(strstr(box->said.out, "hkg"));
    /* Its keys are burnt; others may take the name. */
    assert_int_equal(ADD(box, "hkg", bundle), 1);
    assert_non_null(strstr(box->said.complaint, "removed"));
    assert_int_equal(ADD(box, "hkg", make_bundle(box, "anew", "hkg", false)),
                     0);
    assert_int_equal(
        SITE(box, "remove", "hkg", "--state", box->hub, "--no-broker"), 0);
    /* Again: the broker may not have been told. */
    unlink(at(box, "given"));
    assert_int_equal(SITE(box, "remove", "hkg", "--state", box->hub,
                          "--rabbitmqctl", box->ctl),
                     0);
    assert_int_equal(SITE(box, "remove", "lon", "--state", box->hub,
                          "--rabbitmqctl", box->ctl),
                     1);
}

static void test_site_usage(void **state)
{
    struct box *box = *state;

    assert_int_equal(SITE(box, NULL), 2);
    assert_int_equal(SITE(box, "paint"), 2);
    assert_int_equal(SITE(box, "add"), 2);
    assert_int_equal(SITE(box, "add", "hkg"), 2);
    assert_int_equal(SITE(box, "add", "hkg", "x", "--state", box->hub), 2);
    assert_int_equal(
        SITE(box, "add", "h1", "x", "--state", box->hub, "--out", "y"), 2);
    assert_int_equal(
        SITE(box, "add", "../x", "x", "--state", box->hub, "--out", "y"), 2);
    assert_int_equal(SITE(box, "list"), 2);
    assert_int_equal(SITE(box, "list", "hkg", "--state", box->hub), 2);
    assert_int_equal(SITE(box, "remove", "--state", box->hub), 2);
    assert_int_equal(SITE(box, "remove", "hkg", "--state", box->hub,
                          "--no-broker", "--rabbitmqctl", "x"),
                     2);
    assert_int_equal(SITE(box, "--help"), 0);
    assert_int_equal(SITE(box, "list", "--state", box->dir), 1);
    assert_non_null(strstr(box->said.complaint, "isthmus-hub setup"));
}

/* Readers of the NOC's stream */

static void test_noc_added(void **state)
{
    struct box *box = *state;
    struct ist_x509_info info;
    struct ist_sb pem, ca;
    struct stat st;
    char *text, *key;
    json_t *json;

    assert_int_equal(ADD_NOC(box, "desk"), 0);
    assert_non_null(strstr(box->said.out, "noc-desk"));
    ist_sb_init(&pem, 0);
    ist_sb_init(&ca, 0);
    ist_file_read(at(box, "out/ca.pem"), IST_FILE_OWN, &ca, NULL);
    ist_file_read(at(box, "out/cert.pem"), IST_FILE_OWN, &pem, NULL);
    assert_int_equal(ist_x509_verify(pem.data, pem.len, ca.data, ca.len,
                                     IST_X509_CLIENT, 0, &box->err),
                     0);
    assert_int_equal(ist_x509_read(pem.data, pem.len, &info, NULL), 0);
    assert_string_equal(info.cn, "noc-desk");
    assert_int_equal(stat(at(box, "out/key.pem"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    /* The key is nowhere else. */
    assert_int_not_equal(access(at(box, "hub/noc/desk/key.pem"), F_OK), 0);
    text = scratch_read(at(box, "out/noc.json"), NULL);
    json = json_loads(text, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(json, "host")),
                        "bus.example.net");
    assert_string_equal(json_string_value(json_object_get(json, "user")),
                        "noc-desk");
    json_decref(json);
    free(text);
    text = scratch_read(at(box, "hub/broker/definitions.json"), NULL);
    assert_non_null(strstr(text, "\"noc-desk\""));
    free(text);
    text = scratch_read(at(box, "given"), NULL);
    assert_non_null(strstr(text, "^noc\\\\.stream$"));
    free(text);
    /* Again: nothing changes, the key least of all. */
    key = scratch_read(at(box, "out/key.pem"), NULL);
    assert_int_equal(ADD_NOC(box, "desk"), 0);
    text = scratch_read(at(box, "out/key.pem"), NULL);
    assert_string_equal(text, key);
    free(text);
    text = scratch_read(at(box, "out/cert.pem"), NULL);
    assert_string_equal(text, ist_sb_text(&pem));
    free(text);
    free(key);
    ist_sb_fini(&pem);
    ist_sb_fini(&ca);
}

static void test_noc_removed(void **state)
{
    struct box *box = *state;
    char *text;

    assert_int_equal(ADD_NOC(box, "desk"), 0);
    assert_int_equal(NOC(box, "list", "--state", box->hub), 0);
    assert_non_null(strstr(box->said.out, "\ndesk "));
    unlink(at(box, "asked"));
    assert_int_equal(NOC(box, "remove", "desk", "--state", box->hub,
                         "--rabbitmqctl", box->ctl),
                     0);
    text = asked(box);
    assert_string_equal(text, "delete_user noc-desk\n");
    free(text);
    text = scratch_read(at(box, "hub/broker/definitions.json"), NULL);
    assert_null(strstr(text, "noc-desk"));
    free(text);
    assert_int_equal(NOC(box, "list", "--state", box->hub), 0);
    assert_null(strstr(box->said.out, "desk"));
    assert_int_equal(NOC(box, "remove", "desk", "--state", box->hub,
                         "--rabbitmqctl", box->ctl),
                     1);
    assert_non_null(strstr(box->said.complaint, "no NOC reader is called"));
}

static void test_noc_broker_fails(void **state)
{
    struct box *box = *state;

    scratch_write(at(box, "fail"), "");
    assert_int_equal(ADD_NOC(box, "desk"), 1);
    assert_non_null(strstr(box->said.complaint, "no node"));
    unlink(at(box, "fail"));
    assert_int_equal(ADD_NOC(box, "desk"), 0);
    scratch_write(at(box, "fail"), "");
    assert_int_equal(NOC(box, "remove", "desk", "--state", box->hub,
                         "--rabbitmqctl", box->ctl),
                     1);
    assert_int_equal(NOC(box, "list", "--state", box->hub), 0);
    assert_non_null(strstr(box->said.out, "\ndesk "));
}

static void test_noc_usage(void **state)
{
    struct box *box = *state;

    assert_int_equal(NOC(box, NULL), 2);
    assert_int_equal(NOC(box, "paint"), 2);
    assert_int_equal(NOC(box, "add", "--state", box->hub, "--out", "y"), 2);
    assert_int_equal(NOC(box, "add", "desk", "--state", box->hub), 2);
    assert_int_equal(NOC(box, "add", "desk", "--out", "y"), 2);
    assert_int_equal(
        NOC(box, "add", "../desk", "--state", box->hub, "--out", "y"), 2);
    assert_int_equal(NOC(box, "list", "desk", "--state", box->hub), 2);
    assert_int_equal(NOC(box, "list", "--state", box->hub, "--out", "y"), 2);
    assert_int_equal(NOC(box, "remove", "desk", "--state", box->hub,
                         "--no-broker", "--rabbitmqctl", "x"),
                     2);
    assert_int_equal(NOC(box, "--help"), 0);
}

static void test_one_at_a_time(void **state)
{
    struct box *box = *state;
    int lock = ist_file_lock(box->hub, ".admin", &box->err);

    assert_true(lock >= 0);
    assert_int_equal(SITE(box, "list", "--state", box->hub), 1);
    assert_non_null(strstr(box->said.complaint, "in use by another process"));
    close(lock);
    assert_int_equal(SITE(box, "list", "--state", box->hub), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_set_up),
        TEST(test_set_up_again),
        TEST(test_another_host),
        TEST(test_set_up_goes_on_after_a_crash),
        TEST(test_set_up_refusals),
        TEST(test_set_up_renews),
        TEST(test_added),
        TEST(test_added_by_another_address),
        TEST(test_other_keys_of_a_name),
        TEST(test_renewed_site),
        TEST(test_two_names_for_one_root),
        TEST(test_names_in_urls),
        TEST(test_wrong_bundles),
        TEST(test_broker_fails),
        TEST(test_removed),
        TEST(test_site_usage),
        TEST(test_noc_added),
        TEST(test_noc_removed),
        TEST(test_noc_broker_fails),
        TEST(test_noc_usage),
        TEST(test_one_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
