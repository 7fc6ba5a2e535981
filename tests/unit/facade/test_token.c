/* Tokens: found while they are good, gone when revoked or over, there again
 * after a restart. */
#include "facade/token.h"

#include "../scratch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define WALL 1790000000000ULL

struct box {
    struct ist_loop loop;
    char dir[SCRATCH_SIZE];
    struct ist_tree *tree;
    struct facade_keep *tokens, *credentials;
    struct ist_arena arena;
    unsigned n_done;
};

static struct box box;

static void open_store(void)
{
    struct ist_tree_conf conf = {.path = scratch_path(box.dir, "hub.db"),
                                 .size_max = 16U << 20,
                                 .maps_max = 4};
    struct ist_err err;

    box.tree = ist_tree_open(&box.loop, &conf, &err);
    if (!box.tree)
        fail_msg("%s", err.text);
    box.tokens = facade_keep_open(box.tree, &facade_token_kind, &err);
    assert_non_null(box.tokens);
    box.credentials = facade_keep_open(box.tree, &facade_credential_kind, &err);
    assert_non_null(box.credentials);
}

static void close_store(void)
{
    box.tokens = facade_keep_free(box.tokens);
    box.credentials = facade_keep_free(box.credentials);
    box.tree = ist_tree_free(box.tree);
}

static int setup(void **state)
{
    (void) state;
    memset(&box, 0, sizeof(box));
    ist_loop_init_virtual(&box.loop, WALL);
    scratch_make(box.dir);
    ist_arena_init(&box.arena, 1U << 20);
    open_store();
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    close_store();
    ist_arena_fini(&box.arena);
    ist_loop_fini(&box.loop);
    scratch_drop(box.dir);
    return 0;
}

static void run_until(unsigned n)
{
    while (box.n_done < n)
        ist_loop_step(&box.loop, ist_loop_now(&box.loop) + 1);
}

static void on_done(struct ist_op *op)
{
    assert_int_equal(op->rc, 0);
    box.n_done++;
}

struct issued {
    char text[FACADE_TOKEN_SIZE];
};

/* Of the credential, or NULL. */
static struct issued issue(uint64_t life_ms, const char *credential)
{
    Isthmus__V1__Token token = ISTHMUS__V1__TOKEN__INIT;
    Isthmus__V1__Identity who = ISTHMUS__V1__IDENTITY__INIT;
    struct facade_keep_write write = {.size = 0};
    struct issued ret;

    who.user = (char *) "alice";
    token.identity = &who;
    token.home = (char *) "hkg";
    token.expires_ms = ist_loop_wall(&box.loop) + life_ms;
    if (credential)
        token.credential_id = (char *) (uintptr_t) credential;
    ist_op_prepare(&write.write.op, &box.loop, NULL, 0, on_done);
    facade_token_issue(box.tokens, &write, &token, ret.text);
    run_until(box.n_done + 1);
    assert_false(write.is_full);
    facade_keep_write_fini(&write);
    assert_int_equal(strlen(ret.text), FACADE_TOKEN_SIZE - 1);
    return ret;
}

static bool is_found(const char *text)
{
    const Isthmus__V1__Token *token =
        facade_token_find(box.tokens, box.credentials, text, &box.arena);

    if (token)
        assert_string_equal(token->identity->user, "alice");
    return token != NULL;
}

static void take_back(const char *text)
{
    uint8_t key[FACADE_KEY_BYTES];
    struct facade_keep_write write = {.size = 0};

    ist_op_prepare(&write.write.op, &box.loop, NULL, 0, on_done);
    facade_token_key(text, key);
    facade_keep_delete(box.tokens, &write, key);
    run_until(box.n_done + 1);
    facade_keep_write_fini(&write);
}

static void test_found_and_revoked(void **state)
{
    struct issued one, other;
    char text[FACADE_TOKEN_SIZE];

    (void) state;
    one = issue(60000, NULL);
    other = issue(60000, NULL);
    assert_string_not_equal(one.text, other.text);
    assert_true(is_found(one.text));
    memcpy(text, one.text, sizeof(text));
    text[20] ^= 1;
    assert_false(is_found(text));
    assert_false(is_found(""));
    assert_false(is_found("isg_"));
    take_back(one.text);
    take_back(text); /* That there is none is no fault. */
    assert_false(is_found(one.text));
    assert_true(is_found(other.text));
}

static void test_over(void **state)
{
    (void) state;
    assert_false(is_found(issue(0, NULL).text));
}

static void test_after_a_restart(void **state)
{
    struct issued one, gone;

    (void) state;
    one = issue(60000, NULL);
    gone = issue(60000, NULL);
    take_back(gone.text);
    close_store();
    open_store();
    assert_true(is_found(one.text));
    assert_false(is_found(gone.text));
}

#define CREDENTIAL "0123456789abcdef0123456789abcdef"

static void keep_credential(const char *secret, uint64_t expires_ms)
{
    Isthmus__V1__Credential credential = ISTHMUS__V1__CREDENTIAL__INIT;
    Isthmus__V1__Token token = ISTHMUS__V1__TOKEN__INIT;
    Isthmus__V1__Identity who = ISTHMUS__V1__IDENTITY__INIT;
    Isthmus__V1__Grant grant = ISTHMUS__V1__GRANT__INIT, *grants = &grant;
    struct facade_keep_write write = {.size = 0};
    uint8_t key[FACADE_KEY_BYTES], hash[32];

    who.grants = &grants;
    who.n_grants = 1;
    token.identity = &who;
    credential.id = (char *) CREDENTIAL;
    credential.token = &token;
    credential.expires_ms = expires_ms;
    facade_credential_hash(secret, hash);
    credential.hash = (ProtobufCBinaryData){sizeof(hash), hash};
    assert_true(facade_credential_key(CREDENTIAL, key));
    ist_op_prepare(&write.write.op, &box.loop, NULL, 0, on_done);
    facade_keep_put(box.credentials, &write, key, &credential);
    run_until(box.n_done + 1);
    facade_keep_write_fini(&write);
}

static void test_it_goes_with_its_credential(void **state)
{
    struct facade_keep_write write = {.size = 0};
    const Isthmus__V1__Credential *credential;
    uint8_t key[FACADE_KEY_BYTES];
    struct issued one;

    (void) state;
    keep_credential("secret", 0);
    one = issue(60000, CREDENTIAL);
    assert_true(is_found(one.text));
    credential =
        facade_credential_find(box.credentials, CREDENTIAL, &box.arena);
    assert_non_null(credential);
    assert_true(facade_credential_opens(credential, "secret"));
    assert_false(facade_credential_opens(credential, "secreu"));
    assert_false(facade_credential_opens(credential, ""));
    assert_null(facade_credential_find(box.credentials, "xyz", &box.arena));
    facade_credential_key(CREDENTIAL, key);
    ist_op_prepare(&write.write.op, &box.loop, NULL, 0, on_done);
    facade_keep_delete(box.credentials, &write, key);
    run_until(box.n_done + 1);
    assert_false(is_found(one.text));
}

static void test_a_credential_that_is_over(void **state)
{
    (void) state;
    keep_credential("secret", ist_loop_wall(&box.loop));
    assert_null(
        facade_credential_find(box.credentials, CREDENTIAL, &box.arena));
}

static bool count(void *arg, const uint8_t key[FACADE_KEY_BYTES],
                  const void *message)
{
    (void) key, (void) message;
    ++*(unsigned *) arg;
    return true;
}

/* Every ten minutes. */
static void test_what_is_over_is_swept_away(void **state)
{
    uint64_t until = ist_loop_now(&box.loop) + 601000;
    unsigned n = 0;
    MDB_txn *txn;
    MDB_dbi map;
    MDB_stat stat;
    struct ist_err err;

    (void) state;
    issue(1000, NULL);
    issue(3600000, NULL);
    while (ist_loop_step(&box.loop, until))
        ;
    while (facade_keep_busy(box.tokens))
        ist_loop_step(&box.loop, ist_loop_now(&box.loop) + 1);
    facade_keep_each(box.tokens, count, &n);
    assert_int_equal(n, 1);
    assert_int_equal(ist_tree_read(box.tree, &txn, &err), 0);
    assert_int_equal(mdb_dbi_open(txn, "token", 0, &map), 0);
    assert_int_equal(mdb_stat(txn, map, &stat), 0);
    assert_int_equal(stat.ms_entries, 1);
    mdb_txn_abort(txn);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_found_and_revoked),
                                       TEST(test_over),
                                       TEST(test_after_a_restart),
                                       TEST(test_it_goes_with_its_credential),
                                       TEST(test_a_credential_that_is_over),
                                       TEST(test_what_is_over_is_swept_away)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
