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
    struct facade_tokens *tokens;
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
    box.tokens = facade_tokens_open(box.tree, &err);
    assert_non_null(box.tokens);
}

static void close_store(void)
{
    box.tokens = facade_tokens_free(box.tokens);
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

static void issue(struct facade_token_write *write, uint64_t life_ms)
{
    Isthmus__V1__Token token = ISTHMUS__V1__TOKEN__INIT;
    Isthmus__V1__Identity who = ISTHMUS__V1__IDENTITY__INIT;

    who.user = (char *) "alice";
    token.identity = &who;
    token.home = (char *) "hkg";
    token.expires_ms = ist_loop_wall(&box.loop) + life_ms;
    memset(write, 0, sizeof(*write));
    ist_op_prepare(&write->write.op, &box.loop, NULL, 0, on_done);
    facade_token_issue(box.tokens, write, &token);
    run_until(box.n_done + 1);
    assert_int_equal(strlen(write->text), FACADE_TOKEN_SIZE - 1);
}

static bool is_found(const char *text)
{
    const Isthmus__V1__Token *token =
        facade_token_find(box.tokens, text, &box.arena);

    if (token)
        assert_string_equal(token->identity->user, "alice");
    return token != NULL;
}

static void take_back(const char *text)
{
    struct facade_token_write write = {.size = 0};

    ist_op_prepare(&write.write.op, &box.loop, NULL, 0, on_done);
    facade_token_revoke(box.tokens, &write, text);
    run_until(box.n_done + 1);
    facade_token_write_fini(&write);
}

static void test_found_and_revoked(void **state)
{
    struct facade_token_write one, other;
    char text[FACADE_TOKEN_SIZE];

    (void) state;
    issue(&one, 60000);
    issue(&other, 60000);
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
    facade_token_write_fini(&one);
    facade_token_write_fini(&other);
}

static void test_over(void **state)
{
    struct facade_token_write one;

    (void) state;
    issue(&one, 0);
    assert_false(is_found(one.text));
    facade_token_write_fini(&one);
}

static void test_after_a_restart(void **state)
{
    struct facade_token_write one, gone;

    (void) state;
    issue(&one, 60000);
    issue(&gone, 60000);
    take_back(gone.text);
    close_store();
    open_store();
    assert_true(is_found(one.text));
    assert_false(is_found(gone.text));
    facade_token_write_fini(&one);
    facade_token_write_fini(&gone);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_found_and_revoked),
                                       TEST(test_over),
                                       TEST(test_after_a_restart)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
