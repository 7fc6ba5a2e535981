#include "codec/keyfile.h"

#include "../scratch.h"
#include "codec/words.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NOW 1800000000000ULL

struct box {
    char dir[SCRATCH_SIZE], keys[SCRATCH_SIZE + 8];
    struct ist_keyfile first, second;
    struct ist_err err;
};

static int make(struct box *box, struct ist_keyfile *ret)
{
    return ist_keyfile_make(box->keys, IST_ROLE_SITE, "hkg", NOW, ret,
                            &box->err);
}

static int load(struct box *box)
{
    return ist_keyfile_load(box->keys, &box->second, &box->err);
}

static int setup(void **state)
{
    struct box *box = calloc(1, sizeof(*box));

    scratch_make(box->dir);
    snprintf(box->keys, sizeof(box->keys), "%s/keys", box->dir);
    box->first.running = box->second.running = -1;
    if (make(box, &box->first) != 0)
        return -1;
    *state = box;
    return 0;
}

static int teardown(void **state)
{
    struct box *box = *state;

    ist_keyfile_fini(&box->first);
    ist_keyfile_fini(&box->second);
    scratch_drop(box->dir);
    free(box);
    return 0;
}

static void test_made(void **state)
{
    struct box *box = *state;
    struct ist_keyfile *keys = &box->first;
    struct stat st;
    static const char *const secrets[] = {"root.key", "online.key", "tls.key"};

    assert_string_equal(keys->name, "hkg");
    assert_int_equal(keys->role, IST_ROLE_SITE);
    assert_int_equal(keys->self.role, IST_ROLE_SITE);
    assert_int_equal(keys->self.epoch, 0);
    assert_int_equal(keys->delegation.kinds,
                     ist_delegation_kinds(IST_ROLE_SITE));
    assert_int_equal(ist_keyfile_check(keys, NOW, &box->err), 0);
    assert_int_equal(
        ist_keyfile_check(keys, NOW + IST_DELEGATION_LIFE_MS + 1, &box->err),
        -EKEYEXPIRED);
    assert_int_equal(ist_keyfile_check(keys, NOW - 3600 * 1000, &box->err),
                     -EKEYEXPIRED);
    assert_int_equal(stat(box->keys, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    for (size_t i = 0; i < IST_COUNT(secrets); i++) {
        assert_int_equal(stat(scratch_path(box->keys, secrets[i]), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
}

static void assert_same(const struct ist_keyfile *a,
                        const struct ist_keyfile *b)
{
    assert_memory_equal(&a->self, &b->self, sizeof(a->self));
    assert_memory_equal(a->root, b->root, sizeof(a->root));
    assert_int_equal(a->signed_size, b->signed_size);
    assert_memory_equal(a->signed_delegation, b->signed_delegation,
                        a->signed_size);
}

static void test_made_again_is_the_same(void **state)
{
    struct box *box = *state;

    assert_int_equal(make(box, &box->second), 0);
    assert_same(&box->first, &box->second);
}

static void test_keys_work(void **state)
{
    struct box *box = *state;
    uint8_t signature[crypto_sign_BYTES];

    assert_int_equal(load(box), 0);
    crypto_sign_detached(signature, NULL, (const uint8_t *) "x", 1,
                         box->second.self.signing_secret);
    assert_int_equal(
        crypto_sign_verify_detached(signature, (const uint8_t *) "x", 1,
                                    box->first.delegation.signing_key),
        0);
}

static void test_other_name_or_role(void **state)
{
    struct box *box = *state;

    assert_int_equal(ist_keyfile_make(box->keys, IST_ROLE_SITE, "lon", NOW,
                                      &box->second, &box->err),
                     -EEXIST);
    assert_non_null(strstr(box->err.text, "site hkg, not of site lon"));
    assert_int_equal(ist_keyfile_make(box->keys, IST_ROLE_HUB, "hkg", NOW,
                                      &box->second, &box->err),
                     -EEXIST);
    assert_int_equal(ist_keyfile_make(box->dir, IST_ROLE_SITE, "h1", NOW,
                                      &box->second, &box->err),
                     -EINVAL);
}

static void test_readable_secret_refused(void **state)
{
    static const char *const secrets[] = {"root.key", "online.key", "tls.key"};
    struct box *box = *state;

    for (size_t i = 0; i < IST_COUNT(secrets); i++) {
        const char *path = scratch_path(box->keys, secrets[i]);
        int rc;

        chmod(path, 0640);
        rc = i == 0   ? ist_keyfile_renew(&box->first, NOW, &box->err)
             : i == 1 ? load(box)
                      : make(box, &box->second);
        assert_int_equal(rc, -EACCES);
        assert_non_null(strstr(box->err.text, secrets[i]));
        assert_non_null(strstr(box->err.text, "chmod 600"));
        chmod(path, 0600);
    }
    chmod(box->keys, 0777);
    assert_int_equal(load(box), -EACCES);
}

static void test_root_offline(void **state)
{
    struct box *box = *state;

    assert_int_equal(rename(scratch_path(box->keys, "root.key"),
                            scratch_path(box->dir, "safe")),
                     0);
    assert_int_equal(make(box, &box->second), 0);
    assert_same(&box->first, &box->second);
    assert_int_equal(ist_keyfile_renew(&box->second, NOW, &box->err), -ENOKEY);
    assert_int_equal(rename(scratch_path(box->dir, "safe"),
                            scratch_path(box->keys, "root.key")),
                     0);
    assert_int_equal(ist_keyfile_renew(&box->second, NOW, &box->err), 0);
}

static void test_foreign_root_key(void **state)
{
    struct box *box = *state;
    char other[SCRATCH_SIZE + 8];

    snprintf(other, sizeof(other), "%s/other", box->dir);
    assert_int_equal(ist_keyfile_make(other, IST_ROLE_SITE, "lon", NOW,
                                      &box->second, &box->err),
                     0);
    rename(scratch_path(other, "root.key"),
           scratch_path(box->keys, "root.key"));
    assert_int_equal(ist_keyfile_renew(&box->first, NOW, &box->err), -EBADMSG);
    /* And nothing was signed by it. */
    ist_keyfile_fini(&box->second);
    assert_int_equal(load(box), 0);
    assert_same(&box->first, &box->second);
}

static void test_renewed(void **state)
{
    struct box *box = *state;

    assert_int_equal(load(box), 0);
    /* Even with a clock that went back. */
    assert_int_equal(ist_keyfile_renew(&box->second, NOW - 86400000, &box->err),
                     0);
    assert_true(box->second.delegation.serial > box->first.delegation.serial);
    assert_memory_equal(box->second.root, box->first.root, 32);
    assert_true(ist_id_eq(&box->second.self.uid, &box->first.self.uid));
    assert_memory_not_equal(box->second.self.signing_public,
                            box->first.self.signing_public, 32);
    assert_memory_not_equal(box->second.self.sealing_public,
                            box->first.self.sealing_public, 32);
}

static void test_unfinished_is_finished(void **state)
{
    struct box *box = *state;

    /* As a crash leaves it: what was made last is missing. */
    unlink(scratch_path(box->keys, "tls.key"));
    unlink(scratch_path(box->keys, "online.key"));
    unlink(scratch_path(box->keys, "root.pub"));
    assert_int_equal(load(box), -ENOENT);
    assert_int_equal(make(box, &box->second), 0);
    assert_memory_equal(box->second.root, box->first.root, 32);
}

static void test_lost_root_is_not_replaced(void **state)
{
    struct box *box = *state;

    unlink(scratch_path(box->keys, "root.pub"));
    assert_int_equal(make(box, &box->second), -ENOKEY);
    assert_int_equal(access(scratch_path(box->keys, "root.pub"), F_OK), -1);
}

static void test_lost_online_needs_root(void **state)
{
    struct box *box = *state;

    unlink(scratch_path(box->keys, "online.key"));
    unlink(scratch_path(box->keys, "root.key"));
    assert_int_equal(make(box, &box->second), -ENOKEY);
}

static void test_damaged(void **state)
{
    static const char *const files[] = {"identity", "root.pub", "online.key"};
    struct box *box = *state;

    for (size_t i = 0; i < IST_COUNT(files); i++) {
        const char *path = scratch_path(box->keys, files[i]);
        size_t size;
        char *good = scratch_read(path, &size), *bad = strdup(good);

        /* Cut at some places, and a character changed at each. */
        for (size_t at = 0; at < size - 1; at += 7) {
            bad[at] = '\0';
            scratch_write(path, bad);
            assert_int_equal(load(box), -EBADMSG);
            bad[at] = good[at] == 'Q' ? 'R' : 'Q';
            scratch_write(path, bad);
            assert_int_equal(load(box), -EBADMSG);
            bad[at] = good[at];
        }
        scratch_write(path, good);
        assert_int_equal(load(box), 0);
        ist_keyfile_fini(&box->second);
        free(good);
        free(bad);
    }
}

static void test_epoch_rises(void **state)
{
    struct box *box = *state;
    uint64_t epoch;

    assert_int_equal(ist_keyfile_start(&box->first, NOW, &box->err), 0);
    assert_int_equal(box->first.self.epoch, NOW);
    /* A second daemon in the same place. */
    assert_int_equal(load(box), 0);
    assert_int_equal(ist_keyfile_start(&box->second, NOW, &box->err), -EBUSY);
    ist_keyfile_fini(&box->first);
    /* The clock went back. */
    assert_int_equal(ist_keyfile_start(&box->second, NOW - 5000, &box->err), 0);
    epoch = box->second.self.epoch;
    assert_int_equal(epoch, NOW + 1);
    ist_keyfile_fini(&box->second);
    /* The number is damaged: better no start than an epoch used before. */
    scratch_write(scratch_path(box->keys, "epoch"), "12x");
    assert_int_equal(load(box), 0);
    assert_int_equal(ist_keyfile_start(&box->second, NOW, &box->err), -EBADMSG);
}

static void test_secrets_wiped(void **state)
{
    static const uint8_t zero[64];
    struct box *box = *state;

    ist_keyfile_fini(&box->first);
    assert_memory_equal(box->first.self.signing_secret, zero, 64);
    assert_memory_equal(box->first.self.sealing_secret, zero, 32);
}

static void test_federation_names(void **state)
{
    static const char *const good[] = {"eu", "example.net", "a-b.c1"};
    static const char *const bad[] = {"",    "a",   "-a",   "a-",  "A.b",
                                      "a b", "a/b", "a\"b", ".ab", "ab."};
    char longest[66];

    (void) state;
    for (size_t i = 0; i < IST_COUNT(good); i++)
        assert_true(ist_keyfile_federation_ok(good[i]));
    for (size_t i = 0; i < IST_COUNT(bad); i++)
        assert_false(ist_keyfile_federation_ok(bad[i]));
    memset(longest, 'a', sizeof(longest));
    longest[63] = '\0';
    assert_true(ist_keyfile_federation_ok(longest));
    longest[63] = 'a';
    longest[64] = '\0';
    assert_false(ist_keyfile_federation_ok(longest));
}

static void test_words(void **state)
{
    struct box *box = *state;
    char a[IST_WORDS_SIZE], b[IST_WORDS_SIZE];
    uint8_t key[32];
    int dashes = 0;

    for (int i = 0; i < 256; i++) {
        for (int j = 0; j < i; j++)
            assert_string_not_equal(ist_words_nth((uint8_t) i),
                                    ist_words_nth((uint8_t) j));
        assert_true(strlen(ist_words_nth((uint8_t) i)) <= 8);
    }
    memcpy(key, box->first.root, 32);
    ist_words(key, a);
    for (const char *c = a; *c; c++)
        dashes += *c == '-';
    assert_int_equal(dashes, 5);
    assert_string_equal(ist_words(key, b), a);
    key[0] ^= 1;
    assert_string_not_equal(ist_words(key, b), a);
    /* SHA-256 of 32 zero bytes begins 66 68 7a ad f8 62. */
    memset(key, 0, sizeof(key));
    ist_words(key, a);
    snprintf(b, sizeof(b), "%s-%s-%s-%s-%s-%s", ist_words_nth(0x66),
             ist_words_nth(0x68), ist_words_nth(0x7a), ist_words_nth(0xad),
             ist_words_nth(0xf8), ist_words_nth(0x62));
    assert_string_equal(a, b);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_made),
        TEST(test_made_again_is_the_same),
        TEST(test_keys_work),
        TEST(test_other_name_or_role),
        TEST(test_readable_secret_refused),
        TEST(test_root_offline),
        TEST(test_foreign_root_key),
        TEST(test_renewed),
        TEST(test_unfinished_is_finished),
        TEST(test_lost_root_is_not_replaced),
        TEST(test_lost_online_needs_root),
        TEST(test_damaged),
        TEST(test_epoch_rises),
        TEST(test_secrets_wiped),
        TEST(test_federation_names),
        TEST(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
