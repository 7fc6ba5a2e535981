#include "store/tree.h"

#include "../scratch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SIZE (1U << 20)

struct box {
    char dir[SCRATCH_SIZE];
    struct ist_loop loop;
    struct ist_tree *tree;
    MDB_dbi map;
    struct ist_err err;
};

static void open_it(struct box *box)
{
    struct ist_tree_conf conf = {.path = scratch_path(box->dir, "hub.db"),
                                 .size_max = SIZE,
                                 .maps_max = 4};

    box->tree = ist_tree_open(&box->loop, &conf, &box->err);
    if (!box->tree || ist_tree_map(box->tree, "m", 0, &box->map, &box->err))
        fail_msg("%s", box->err.text);
}

static int setup(void **state)
{
    struct box *box = calloc(1, sizeof(*box));

    scratch_make(box->dir);
    assert_int_equal(ist_loop_init(&box->loop), 0);
    open_it(box);
    *state = box;
    return 0;
}

static int teardown(void **state)
{
    struct box *box = *state;

    box->tree = ist_tree_free(box->tree);
    ist_loop_fini(&box->loop);
    scratch_drop(box->dir);
    free(box);
    return 0;
}

/* A write of one key, or of one that fails. */

struct put {
    struct ist_write write;
    struct box *box;
    const char *key;
    size_t size;
    int fails;
    unsigned n_done;
};

static int apply(struct ist_write *write, MDB_txn *txn, struct ist_err *err)
{
    struct put *put = IST_CONTAINER(write, struct put, write);
    MDB_val key = {strlen(put->key), (void *) put->key};
    MDB_val value = {put->size, NULL};
    int rc;

    if (put->fails)
        return ist_err_set(err, put->fails, "it fails");
    rc = mdb_put(txn, put->box->map, &key, &value, MDB_RESERVE);
    if (rc == 0)
        memset(value.mv_data, 7, value.mv_size);
    return ist_tree_fault(rc, "putting", err);
}

static void on_put(struct ist_op *op)
{
    IST_CONTAINER(op, struct put, write.op)->n_done++;
}

static void put(struct box *box, struct put *put, const char *key)
{
    put->box = box;
    put->key = key;
    if (!put->size)
        put->size = 8;
    ist_op_prepare(&put->write.op, &box->loop, NULL, 0, on_put);
    ist_tree_write(box->tree, &put->write, apply);
}

static bool holds(struct box *box, const char *key)
{
    MDB_val k = {strlen(key), (void *) key}, v;
    MDB_txn *txn;
    int rc;

    assert_int_equal(ist_tree_read(box->tree, &txn, &box->err), 0);
    rc = mdb_get(txn, box->map, &k, &v);
    mdb_txn_abort(txn);
    return rc == 0;
}

static void test_writes(void **state)
{
    struct box *box = *state;
    struct put a = {0}, b = {0}, c = {0};

    put(box, &a, "a");
    put(box, &b, "b");
    put(box, &c, "c");
    assert_int_equal(a.n_done, 0);
    ist_loop_run(&box->loop);
    assert_int_equal(a.n_done + b.n_done + c.n_done, 3);
    assert_int_equal(a.write.op.rc, 0);
    assert_int_equal(c.write.op.rc, 0);
    assert_true(holds(box, "a") && holds(box, "b") && holds(box, "c"));
    ist_tree_free(box->tree);
    open_it(box);
    assert_true(holds(box, "c"));
}

/* The first has a transaction of its own; the others share the second. */
static void test_one_fails_all_that_share(void **state)
{
    struct box *box = *state;
    struct put a = {0}, b = {0}, c = {.fails = -EINVAL};

    put(box, &a, "a");
    put(box, &b, "b");
    put(box, &c, "c");
    ist_loop_run(&box->loop);
    assert_int_equal(a.write.op.rc, 0);
    assert_int_equal(b.write.op.rc, -EINVAL);
    assert_string_equal(b.write.op.err.text, "it fails");
    assert_int_equal(c.write.op.rc, -EINVAL);
    assert_true(holds(box, "a"));
    assert_false(holds(box, "b"));
    put(box, &b, "b");
    ist_loop_run(&box->loop);
    assert_true(holds(box, "b"));
}

static void test_cancelled_while_waiting(void **state)
{
    struct box *box = *state;
    struct put a = {0}, b = {0};

    put(box, &a, "a");
    put(box, &b, "b");
    ist_op_cancel(&b.write.op, -ETIMEDOUT);
    ist_loop_run(&box->loop);
    assert_int_equal(b.n_done, 1);
    assert_int_equal(b.write.op.rc, -ETIMEDOUT);
    assert_true(holds(box, "a"));
    assert_false(holds(box, "b"));
}

static void test_cap(void **state)
{
    struct box *box = *state;
    struct put big = {.size = 8 * SIZE}, small = {0};
    uint64_t used, max;

    put(box, &big, "big");
    ist_loop_run(&box->loop);
    assert_int_equal(big.write.op.rc, -ENOSPC);
    put(box, &small, "small");
    ist_loop_run(&box->loop);
    assert_int_equal(small.write.op.rc, 0);
    ist_tree_room(box->tree, &used, &max);
    assert_int_equal(max, SIZE);
    assert_in_range(used, 1, SIZE);
}

static int apply_delete(struct ist_write *write, MDB_txn *txn,
                        struct ist_err *err)
{
    struct put *put = IST_CONTAINER(write, struct put, write);
    MDB_val key = {strlen(put->key), (void *) put->key};

    return ist_tree_fault(mdb_del(txn, put->box->map, &key, NULL), "deleting",
                          err);
}

static void drop(struct box *box, struct put *put, const char *key)
{
    put->box = box;
    put->key = key;
    ist_op_prepare(&put->write.op, &box->loop, NULL, 0, on_put);
    ist_tree_make_room(box->tree, &put->write, apply_delete);
}

/* Filled to the cap, emptied and filled again, many times: it never comes to
 * where nothing can be deleted, nor does it grow. */
static void test_full_and_emptied(void **state)
{
    struct box *box = *state;
    unsigned n, n_first = 0;
    uint64_t used, max;
    char key[16];

    for (unsigned round = 0; round < 20; round++) {
        struct put one = {.size = 3000}, del = {0};

        for (n = 0; n < 1000 && one.write.op.rc == 0; n++) {
            snprintf(key, sizeof(key), "%04u", n);
            put(box, &one, key);
            ist_loop_run(&box->loop);
        }
        assert_int_equal(one.write.op.rc, -ENOSPC);
        if (!round)
            n_first = n;
        assert_in_range(n, n_first - 20, n_first + 20);
        ist_tree_room(box->tree, &used, &max);
        assert_in_range(used, SIZE, SIZE + (64U << 10));
        for (unsigned i = 0; i < n - 1; i++) {
            snprintf(key, sizeof(key), "%04u", i);
            drop(box, &del, key);
            ist_loop_run(&box->loop);
            assert_int_equal(del.write.op.rc, 0);
        }
        ist_tree_room(box->tree, &used, &max);
        assert_in_range(used, 1, SIZE / 4);
    }
}

/* One that makes room is not undone by what waits beside it. */
static void test_making_room_shares_nothing(void **state)
{
    struct box *box = *state;
    struct put a = {0}, b = {0}, c = {0}, d = {.fails = -EINVAL};

    put(box, &a, "a");
    put(box, &b, "b");
    drop(box, &c, "a");
    put(box, &d, "d");
    ist_loop_run(&box->loop);
    assert_int_equal(b.write.op.rc, 0);
    assert_int_equal(c.write.op.rc, 0);
    assert_int_equal(d.write.op.rc, -EINVAL);
    assert_true(holds(box, "b"));
    assert_false(holds(box, "a"));
}

static void test_refuses_what_others_read(void **state)
{
    struct box *box = *state;
    struct ist_tree_conf conf = {.path = scratch_path(box->dir, "open.db"),
                                 .size_max = SIZE,
                                 .maps_max = 1};
    FILE *file = fopen(conf.path, "w");

    assert_non_null(file);
    fclose(file);
    chmod(conf.path, 0644);
    assert_null(ist_tree_open(&box->loop, &conf, &box->err));
    assert_int_equal(box->err.code, -EACCES);
    assert_non_null(strstr(box->err.text, "chmod 600"));
}

static void test_refuses_what_is_no_tree(void **state)
{
    struct box *box = *state;
    struct ist_tree_conf conf = {.path = scratch_path(box->dir, "junk.db"),
                                 .size_max = SIZE,
                                 .maps_max = 1};
    FILE *file = fopen(conf.path, "w");

    assert_non_null(file);
    for (int i = 0; i < 2000; i++)
        fputs("no tree ", file);
    fclose(file);
    chmod(conf.path, 0600);
    assert_null(ist_tree_open(&box->loop, &conf, &box->err));
    assert_int_equal(box->err.code, -EUCLEAN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_fails_all_that_share, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_cancelled_while_waiting, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_cap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_and_emptied, setup, teardown),
        cmocka_unit_test_setup_teardown(test_making_room_shares_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_refuses_what_others_read, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_refuses_what_is_no_tree, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
