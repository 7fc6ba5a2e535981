#include "keys/keys.h"

#include "../command.h"
#include "../scratch.h"
#include "base/clock.h"
#include "base/log.h"
#include "codec/bundle.h"
#include "codec/file.h"
#include "codec/words.h"
#include "codec/x509.h"

#include <errno.h>
#include <setjmp.h>
#include <stddef.h>

#include <cmocka.h>

#define DAY (24ULL * 3600 * 1000)

struct box {
    char dir[SCRATCH_SIZE], state[SCRATCH_SIZE + 8], site[SCRATCH_SIZE + 8],
        hub[SCRATCH_SIZE + 8];
    struct command said;
    struct ist_err err;

    /* The hub: its keys, its CA. */
    uint64_t now;
    struct ist_keyfile hub_keys;
    struct ist_sb ca, ca_key;
    uint64_t lowest_epoch;
};

#define KEYS(box, ...)                                                         \
    command_run(&(box)->said, keys_command, "keys", "--state", (box)->state,   \
                __VA_ARGS__, NULL)
#define EXPORT(box) KEYS(box, "--site", "hkg", "--out", (box)->site)
#define IMPORT(box) KEYS(box, "--import", (box)->hub)

static int setup(void **state)
{
    struct box *box = calloc(1, sizeof(*box));

    ist_log_level_set(IST_LOG_ERROR);
    scratch_make(box->dir);
    snprintf(box->state, sizeof(box->state), "%s/state", box->dir);
    snprintf(box->site, sizeof(box->site), "%s/site", box->dir);
    snprintf(box->hub, sizeof(box->hub), "%s/hub", box->dir);
    box->now = ist_clock_wall_ms();
    ist_sb_init(&box->ca, 0);
    ist_sb_init(&box->ca_key, 0);
    if (ist_keyfile_make(scratch_path(box->dir, "hub.keys"), IST_ROLE_HUB, "eu",
                         box->now, &box->hub_keys, &box->err) != 0 ||
        ist_x509_ca_make("bus", box->now, 3650, &box->ca_key, &box->ca,
                         &box->err) != 0 ||
        EXPORT(box) != 0)
        return -1;
    *state = box;
    return 0;
}

static int teardown(void **state)
{
    struct box *box = *state;

    ist_keyfile_fini(&box->hub_keys);
    ist_sb_fini(&box->ca);
    ist_sb_fini(&box->ca_key);
    scratch_drop(box->dir);
    free(box);
    return 0;
}

/* What the hub's admin would send back: the bundle for 'name', with a
 * certificate for that name and the site's key, issued then. */
static void answer(struct box *box, const char *name, uint64_t issued_ms)
{
    struct ist_x509_leaf leaf = {
        .use = IST_X509_CLIENT, .cn = name, .now_ms = issued_ms, .days = 30};
    struct ist_bundle_hub hub;
    struct ist_sb certificate, text, key, request;

    ist_sb_init(&certificate, 0);
    ist_sb_init(&text, 0);
    ist_sb_init(&key, 0);
    ist_sb_init(&request, 0);
    ist_file_read(scratch_path(box->state, "tls.key"), IST_FILE_SECRET, &key,
                  NULL);
    ist_x509_request_make(key.data, key.len, name, &request, NULL);
    assert_int_equal(ist_x509_issue(box->ca.data, box->ca.len, box->ca_key.data,
                                    box->ca_key.len, request.data, request.len,
                                    &leaf, &certificate, &box->err),
                     0);
    hub = (struct ist_bundle_hub){
        .federation = box->hub_keys.name,
        .site = name,
        .signed_delegation = box->hub_keys.signed_delegation,
        .signed_size = box->hub_keys.signed_size,
        .bus_url = "amqps://bus.example.net:5671/%2Fisthmus",
        .bus_ca = box->ca.data,
        .bus_certificate = certificate.data,
        .lowest_epoch = box->lowest_epoch};
    memcpy(hub.root, box->hub_keys.root, 32);
    ist_bundle_hub_make(&hub, &text);
    assert_int_equal(text.rc, 0);
    scratch_write(box->hub, text.data);
    ist_sb_fini(&certificate);
    ist_sb_fini(&text);
    ist_sb_fini(&key);
    ist_sb_fini(&request);
}

/* The command */

static void test_export(void **state)
{
    struct box *box = *state;
    char *first = scratch_read(box->site, NULL), *second;

    assert_non_null(strstr(first, "BEGIN ISTHMUS SITE BUNDLE"));
    assert_non_null(strstr(box->said.out, "fingerprint"));
    assert_int_equal(EXPORT(box), 0);
    second = scratch_read(box->site, NULL);
    assert_string_equal(first, second);
    free(second);
    /* Without a file: the bundle alone on stdout. */
    assert_int_equal(KEYS(box, "--site", "hkg"), 0);
    assert_string_equal(box->said.out, first);
    assert_non_null(strstr(box->said.complaint, "fingerprint"));
    assert_int_equal(EXPORT(box), 0);
    free(first);
}

static void test_export_renewed(void **state)
{
    struct box *box = *state;
    char *first = scratch_read(box->site, NULL), *second;

    assert_int_equal(KEYS(box, "--site", "hkg", "--out", box->site, "--renew"),
                     0);
    second = scratch_read(box->site, NULL);
    assert_string_not_equal(first, second);
    free(first);
    free(second);
    answer(box, "hkg", box->now);
    assert_int_equal(IMPORT(box), 0);
}

static void test_import(void **state)
{
    struct box *box = *state;
    char words[IST_WORDS_SIZE], *text;

    answer(box, "hkg", box->now);
    assert_int_equal(IMPORT(box), 0);
    assert_non_null(
        strstr(box->said.out, ist_words(box->hub_keys.root, words)));
    text = scratch_read(scratch_path(box->state, "bus/url"), NULL);
    assert_string_equal(text, "amqps://bus.example.net:5671/%2Fisthmus");
    free(text);
    text = scratch_read(scratch_path(box->state, "bus/ca.pem"), NULL);
    assert_string_equal(text, box->ca.data);
    free(text);
    assert_int_equal(IMPORT(box), 0);
}

static void test_import_refused(void **state)
{
    struct box *box = *state;

    /* For another site, of another kind, no bundle at all. */
    answer(box, "lon", box->now);
    assert_int_equal(IMPORT(box), 1);
    assert_non_null(strstr(box->said.complaint, "for the site lon, not"));
    answer(box, "hkg", box->now - 31 * DAY);
    assert_int_equal(IMPORT(box), 1);
    assert_non_null(strstr(box->said.complaint, "refused (certificate)"));
    assert_int_equal(KEYS(box, "--import", box->site), 1);
    assert_non_null(strstr(box->said.complaint, "refused (armour)"));
    assert_int_equal(KEYS(box, "--import", "/nowhere"), 1);
    assert_int_equal(access(scratch_path(box->state, "hub.bundle"), F_OK), -1);
    assert_int_equal(access(scratch_path(box->state, "bus"), F_OK), -1);
}

static void test_another_hub(void **state)
{
    struct box *box = *state;
    struct ist_keyfile evil;
    char *before, *after;

    answer(box, "hkg", box->now);
    assert_int_equal(IMPORT(box), 0);
    before = scratch_read(scratch_path(box->state, "hub.bundle"), NULL);
    /* Another root, which calls itself the same. */
    assert_int_equal(ist_keyfile_make(scratch_path(box->dir, "evil"),
                                      IST_ROLE_HUB, "eu", box->now, &evil,
                                      &box->err),
                     0);
    ist_keyfile_fini(&box->hub_keys);
    box->hub_keys = evil;
    answer(box, "hkg", box->now);
    assert_int_equal(IMPORT(box), 1);
    assert_non_null(strstr(box->said.complaint, "trusts the hub"));
    after = scratch_read(scratch_path(box->state, "hub.bundle"), NULL);
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void test_renewed_hub(void **state)
{
    struct box *box = *state;
    char *old;

    answer(box, "hkg", box->now);
    old = scratch_read(box->hub, NULL);
    assert_int_equal(IMPORT(box), 0);
    assert_int_equal(ist_keyfile_renew(&box->hub_keys, box->now, &box->err), 0);
    answer(box, "hkg", box->now);
    assert_int_equal(IMPORT(box), 0);
    /* And not back. */
    scratch_write(box->hub, old);
    assert_int_equal(IMPORT(box), 1);
    assert_non_null(strstr(box->said.complaint, "older"));
    free(old);
}

static void test_usage(void **state)
{
    struct box *box = *state;

    assert_int_equal(KEYS(box, NULL), 2);
    assert_int_equal(KEYS(box, "--site", "HKG"), 2);
    assert_int_equal(KEYS(box, "--site", "hkg", "--import", "x"), 2);
    assert_int_equal(KEYS(box, "--import", "x", "--renew"), 2);
    assert_int_equal(KEYS(box, "--import", "x", "--out", "y"), 2);
    assert_int_equal(KEYS(box, "--site"), 2);
    assert_int_equal(KEYS(box, "--what"), 2);
    assert_int_equal(KEYS(box, "--site", "hkg", "more"), 2);
    assert_int_equal(KEYS(box, "--help"), 0);
    assert_non_null(strstr(box->said.out, "usage"));
    assert_int_equal(
        command_run(&box->said, keys_command, "keys", "--site", "hkg", NULL),
        2);
    assert_int_equal(KEYS(box, "--site", "lon"), 1);
    assert_non_null(strstr(box->said.complaint, "site hkg, not of site lon"));
    assert_int_equal(command_run(&box->said, keys_command, "keys", "--state",
                                 box->dir, "--import", box->hub, NULL),
                     1);
    assert_non_null(strstr(box->said.complaint, "use --site first"));
    assert_int_equal(KEYS(box, "--site", "hkg", "--out", "/nowhere/x"), 1);
}

static void test_no_secret_is_said(void **state)
{
    struct box *box = *state;
    static const char *const files[] = {"root.key", "online.key", "tls.key"};

    answer(box, "hkg", box->now);
    for (int i = 0; i < 3; i++) {
        char *secret = scratch_read(scratch_path(box->state, files[i]), NULL);
        char *line = strchr(secret, '\n') + 1;
        char *bundle = scratch_read(box->site, NULL);

        line[32] = '\0';
        assert_int_equal(KEYS(box, "--site", "hkg"), 0);
        assert_null(strstr(box->said.out, line));
        assert_null(strstr(box->said.complaint, line));
        assert_null(strstr(bundle, line));
        free(secret);
        free(bundle);
    }
}

/* The agent's start */

static void test_opened(void **state)
{
    struct box *box = *state;
    struct keys *keys = calloc(1, sizeof(*keys));
    struct ist_peer site;
    struct ist_loop loop;

    ist_loop_init_virtual(&loop, box->now);
    assert_int_equal(keys_open(box->state, &loop, keys, &box->err), -ENOTCONN);
    assert_non_null(strstr(box->err.text, "--import"));
    box->lowest_epoch = 5;
    answer(box, "hkg", box->now);
    assert_int_equal(IMPORT(box), 0);
    assert_int_equal(keys_open(box->state, &loop, keys, &box->err), 0);
    assert_string_equal(keys->federation, "eu");
    assert_string_equal(keys->bus_url,
                        "amqps://bus.example.net:5671/%2Fisthmus");
    assert_int_equal(access(keys->bus_ca, R_OK), 0);
    assert_int_equal(access(keys->bus_certificate, R_OK), 0);
    assert_int_equal(access(keys->bus_key, R_OK), 0);
    assert_int_equal(keys->own.self.epoch, box->now);
    assert_int_equal(keys->hub.epoch, 5);
    assert_int_equal(keys->hub.kinds, ist_delegation_kinds(IST_ROLE_HUB));
    assert_int_equal(keys->hub_until_ms, box->hub_keys.delegation.not_after_ms);
    /* Both ends have the same secret between them. */
    ist_delegation_peer(&keys->own.delegation, IST_ROLE_SITE, &site);
    assert_int_equal(ist_peer_join(&site, &box->hub_keys.self), 0);
    assert_memory_equal(site.shared, keys->hub.shared, sizeof(site.shared));
    assert_memory_equal(site.id_in, keys->hub.id_out, sizeof(site.id_in));
    keys_close(keys);
    free(keys);
    ist_loop_fini(&loop);
}

static int open_at(struct box *box, uint64_t now_ms)
{
    struct keys *keys = calloc(1, sizeof(*keys));
    struct ist_loop loop;
    int rc;

    ist_loop_init_virtual(&loop, now_ms);
    rc = keys_open(box->state, &loop, keys, &box->err);
    if (rc == 0)
        keys_close(keys);
    free(keys);
    ist_loop_fini(&loop);
    return rc;
}

static void test_run_out(void **state)
{
    struct box *box = *state;

    answer(box, "hkg", box->now);
    assert_int_equal(IMPORT(box), 0);
    assert_int_equal(open_at(box, box->now + 29 * DAY), 0);
    assert_int_equal(open_at(box, box->now + 31 * DAY), -EKEYEXPIRED);
    assert_non_null(strstr(box->err.text, "certificate"));
    assert_int_equal(open_at(box, box->now + 91 * DAY), -EKEYEXPIRED);
}

static void test_hub_epoch_is_durable(void **state)
{
    struct box *box = *state;
    struct keys *keys = calloc(1, sizeof(*keys));
    struct ist_loop loop;

    answer(box, "hkg", box->now);
    assert_int_equal(IMPORT(box), 0);
    ist_loop_init_virtual(&loop, box->now);
    assert_int_equal(keys_open(box->state, &loop, keys, &box->err), 0);
    keys->hub.epoch = 700;
    keys_heard(keys);
    assert_true(keys_busy(keys));
    while (ist_loop_step(&loop, UINT64_MAX))
        continue;
    assert_false(keys_busy(keys));
    keys_heard(keys);
    assert_false(keys_busy(keys));
    keys_close(keys);
    assert_int_equal(keys_open(box->state, &loop, keys, &box->err), 0);
    assert_int_equal(keys->hub.epoch, 700);
    keys_close(keys);
    free(keys);
    ist_loop_fini(&loop);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_export),
        TEST(test_export_renewed),
        TEST(test_import),
        TEST(test_import_refused),
        TEST(test_another_hub),
        TEST(test_renewed_hub),
        TEST(test_usage),
        TEST(test_no_secret_is_said),
        TEST(test_opened),
        TEST(test_run_out),
        TEST(test_hub_epoch_is_durable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
