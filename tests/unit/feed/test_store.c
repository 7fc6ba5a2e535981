/* The feed's file: which one goes on, and which begins anew. */
#include "feed/store.h"

#include "../scratch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define WALL UINT64_C(1795593600000)

struct box {
    struct ist_loop loop;
    struct feed_store store;
    char dir[SCRATCH_SIZE], path[SCRATCH_SIZE + 16];
    bool done;
    int rc;
};

static int setup(void **state)
{
    struct box *box = calloc(1, sizeof(*box));

    ist_loop_init_virtual(&box->loop, WALL);
    scratch_make(box->dir);
    snprintf(box->path, sizeof(box->path), "%s/feed.db", box->dir);
    *state = box;
    return 0;
}

static int teardown(void **state)
{
    struct box *box = *state;

    scratch_drop(box->dir);
    ist_loop_fini(&box->loop);
    free(box);
    return 0;
}

static void open_store(struct box *box)
{
    struct ist_err err;

    assert_int_equal(
        feed_store_open(&box->store, &box->loop, box->path, 1U << 20, &err), 0);
}

static void on_closed(void *arg)
{
    ((struct box *) arg)->done = true;
}

static void close_store(struct box *box)
{
    box->done = false;
    feed_store_close(&box->store, on_closed, box);
    while (!box->done)
        assert_true(ist_loop_step(&box->loop, UINT64_MAX));
}

static void on_written(struct feed_write *write)
{
    (void) write;
}

static int say(struct box *box, size_t text_size)
{
    struct feed_said said = {.base.kind = -1};
    char *text = malloc(text_size + 1);

    memset(text, 'x', text_size);
    text[text_size] = '\0';
    isthmus__v1__event__init(&said.event);
    said.event.text = text;
    feed_store_say(&box->store, &said, on_written);
    while (ist_loop_step(&box->loop, ist_loop_now(&box->loop)))
        ;
    free(text);
    return said.base.write.op.rc;
}

/* As another start of the machine would find it. */
static void reboot(const struct box *box)
{
    struct feed_head head;
    MDB_val key = {5, (void *) (uintptr_t) "head"}, value;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi meta;

    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 3), 0);
    assert_int_equal(mdb_env_open(env, box->path, MDB_NOSUBDIR, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "feed.meta", 0, &meta), 0);
    assert_int_equal(mdb_get(txn, meta, &key, &value), 0);
    assert_int_equal(value.mv_size, sizeof(head));
    memcpy(&head, value.mv_data, sizeof(head));
    strcpy(head.boot, "another");
    value.mv_data = &head;
    assert_int_equal(mdb_put(txn, meta, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void test_goes_on(void **state)
{
    struct box *box = *state;
    uint64_t epoch;

    open_store(box);
    assert_true(box->store.is_new);
    epoch = box->store.head.epoch;
    assert_int_equal(epoch, WALL);
    assert_int_equal(say(box, 10), 0);
    close_store(box);
    reboot(box); /* In good order: nothing can be missing. */
    open_store(box);
    assert_false(box->store.is_new);
    assert_int_equal(box->store.head.epoch, epoch);
    assert_int_equal(box->store.head.next_sequence, 2);
    assert_int_equal(box->store.head.next - box->store.head.first, 1);
    close_store(box);
}

/* The agent died: the system still has what was written. */
static void test_a_crash_of_the_agent_goes_on(void **state)
{
    struct box *box = *state;
    uint64_t epoch;

    open_store(box);
    epoch = box->store.head.epoch;
    assert_int_equal(say(box, 10), 0);
    box->store.tree = ist_tree_free(box->store.tree);
    open_store(box);
    assert_int_equal(box->store.head.epoch, epoch);
    assert_int_equal(box->store.head.next_sequence, 2);
    close_store(box);
}

/* The machine died: the last transaction may be missing, and its numbers may
 * be known to the hub. */
static void test_a_crash_of_the_machine_begins_anew(void **state)
{
    struct box *box = *state;
    uint64_t epoch;

    open_store(box);
    epoch = box->store.head.epoch;
    assert_int_equal(say(box, 10), 0);
    box->store.tree = ist_tree_free(box->store.tree);
    reboot(box);
    open_store(box); /* At the same moment: later all the same. */
    assert_true(box->store.is_new);
    assert_true(box->store.head.epoch > epoch);
    assert_int_equal(box->store.head.next_sequence, 1);
    assert_int_equal(box->store.head.next, box->store.head.first);
    assert_int_equal(box->store.head.bytes, 0);
    close_store(box);
}

static void on_confirmed(struct feed_write *write)
{
    (void) write;
}

static int confirm(struct box *box, uint64_t upto)
{
    struct feed_confirm confirm = {.upto = upto};

    feed_store_confirm(&box->store, &confirm, on_confirmed);
    while (ist_loop_step(&box->loop, ist_loop_now(&box->loop)))
        ;
    return confirm.base.write.op.rc;
}

/* The same file, of which hardly more may be used than is. */
static void open_small(struct box *box)
{
    const struct ist_tree_conf conf = {
        .path = box->path, .size_max = 512U << 10, .maps_max = 3};
    struct feed_store *store = &box->store;
    struct ist_err err;

    open_store(box);
    ist_tree_free(store->tree);
    store->tree = ist_tree_open(&box->loop, &conf, &err);
    assert_non_null(store->tree);
    assert_int_equal(
        ist_tree_map(store->tree, "feed.rows", 0, &store->rows, &err), 0);
    assert_int_equal(
        ist_tree_map(store->tree, "feed.out", 0, &store->out, &err), 0);
    assert_int_equal(
        ist_tree_map(store->tree, "feed.meta", 0, &store->meta, &err), 0);
}

/* What was sent leaves it also when nothing more goes in: so it comes to
 * itself. */
static void test_a_full_file_can_be_emptied(void **state)
{
    struct box *box = *state;
    unsigned n = 0;

    open_small(box);
    while (say(box, 20000) == 0)
        n++;
    assert_in_range(n, 10, 50);
    assert_int_equal(say(box, 20000), -ENOSPC);
    assert_int_equal(box->store.head.next - box->store.head.first, n);
    assert_int_equal(box->store.head.next_sequence, n + 1);
    assert_int_equal(confirm(box, box->store.head.next - 1), 0);
    assert_int_equal(box->store.head.next, box->store.head.first);
    assert_int_equal(box->store.head.bytes, 0);
    assert_int_equal(say(box, 20000), 0);
    assert_int_equal(box->store.head.next_sequence, n + 2);
    /* And it is closed in good order when it is full. */
    while (say(box, 20000) == 0)
        ;
    close_store(box);
    reboot(box);
    open_store(box);
    assert_false(box->store.is_new);
    close_store(box);
}

/* Writes at once that share a transaction: all are told what came of it. */
static void test_many_at_once(void **state)
{
    struct box *box = *state;
    struct feed_said said[100] = {0};
    struct ist_sb out;
    uint64_t last = 0;
    struct ist_err err;
    size_t n;

    open_store(box);
    for (size_t i = 0; i < 100; i++) {
        isthmus__v1__event__init(&said[i].event);
        feed_store_say(&box->store, &said[i], on_written);
    }
    while (ist_loop_step(&box->loop, ist_loop_now(&box->loop)))
        ;
    assert_int_equal(box->store.head.next_sequence, 101);
    ist_sb_init(&out, 0);
    assert_int_equal(feed_store_batch(&box->store, 40, 41, 64, 1U << 20, &out,
                                      &last, &n, &err),
                     0);
    assert_int_equal(n, 60);
    assert_int_equal(last, 100);
    ist_sb_reset(&out);
    assert_int_equal(feed_store_batch(&box->store, 0, 1, 64, 1U << 20, &out,
                                      &last, &n, &err),
                     0);
    assert_int_equal(n, 64);
    assert_int_equal(last, 64);
    ist_sb_reset(&out); /* One at least, however large. */
    assert_int_equal(
        feed_store_batch(&box->store, 0, 1, 64, 1, &out, &last, &n, &err), 0);
    assert_int_equal(n, 1);
    ist_sb_fini(&out);
    close_store(box);
}

static void test_one_larger_than_the_outbox(void **state)
{
    struct box *box = *state;

    open_store(box);
    assert_int_equal(say(box, 2U << 20), 0);
    assert_int_equal(box->store.head.next - box->store.head.first, 1);
    assert_int_equal(say(box, 10), 0);
    assert_int_equal(box->store.head.next - box->store.head.first, 1);
    assert_true(box->store.head.bytes < 100);
    close_store(box);
}

static void test_open_to_others(void **state)
{
    struct box *box = *state;
    struct ist_err err;

    open_store(box);
    close_store(box);
    chmod(box->path, 0644);
    assert_int_equal(
        feed_store_open(&box->store, &box->loop, box->path, 1U << 20, &err),
        -EACCES);
    assert_non_null(strstr(err.text, "chmod 600"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_goes_on),
        TEST(test_a_crash_of_the_agent_goes_on),
        TEST(test_a_crash_of_the_machine_begins_anew),
        TEST(test_a_full_file_can_be_emptied),
        TEST(test_many_at_once),
        TEST(test_one_larger_than_the_outbox),
        TEST(test_open_to_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
