#include "facade/keep.h"

#include "base/log.h"
#include "codec/unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SWEEP_MS   600000U
#define RECORD_MAX (1024U * 1024) /* Of one, unpacked. */

struct facade_keep {
    struct ist_loop *loop;
    struct ist_tree *tree;
    const struct facade_keep_kind *kind;
    MDB_dbi map;
    struct ist_timer timer;

    /* Of the sweep; touched in the pool while it is under way. */
    struct ist_write sweep;
    struct ist_arena arena;
    uint64_t wall_ms;
    bool is_sweeping;
    size_t n_noting;
};

/* --- Reading --- */

static const void *read_record(const struct facade_keep *keep,
                               const MDB_val *value, uint64_t wall_ms,
                               struct ist_arena *arena)
{
    const void *message =
        ist_unpack(keep->kind->message, arena, value->mv_data, value->mv_size);

    return message && !keep->kind->is_over(message, wall_ms) ? message : NULL;
}

const void *facade_keep_get(struct facade_keep *keep,
                            const uint8_t key[FACADE_KEY_BYTES],
                            struct ist_arena *arena)
{
    MDB_val k = {FACADE_KEY_BYTES, (void *) (uintptr_t) key}, value;
    const void *message = NULL;
    struct ist_err err;
    MDB_txn *txn;

    if (ist_tree_read(keep->tree, &txn, &err))
        return NULL;
    if (mdb_get(txn, keep->map, &k, &value) == 0)
        message = read_record(keep, &value, ist_loop_wall(keep->loop), arena);
    mdb_txn_abort(txn);
    return message;
}

void facade_keep_each(struct facade_keep *keep, facade_keep_each_fn *fn,
                      void *arg)
{
    uint64_t now = ist_loop_wall(keep->loop);
    struct ist_arena arena;
    struct ist_err err;
    MDB_cursor *cursor;
    MDB_val key, value;
    MDB_txn *txn;

    if (ist_tree_read(keep->tree, &txn, &err))
        return;
    ist_arena_init(&arena, RECORD_MAX);
    if (mdb_cursor_open(txn, keep->map, &cursor) == 0) {
        bool goes_on = true;

        while (goes_on && mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
            const void *message;

            ist_arena_reset(&arena);
            message = read_record(keep, &value, now, &arena);
            if (message && key.mv_size == FACADE_KEY_BYTES)
                goes_on = fn(arg, key.mv_data, message);
        }
        mdb_cursor_close(cursor);
    }
    ist_arena_fini(&arena);
    mdb_txn_abort(txn);
}

/* --- Writing --- */

static int apply_put(struct ist_write *write, MDB_txn *txn, struct ist_err *err)
{
    struct facade_keep_write *put =
        IST_CONTAINER(write, struct facade_keep_write, write);
    MDB_val key = {sizeof(put->key), put->key};
    MDB_val value = {put->size, put->data};
    MDB_stat stat;
    int rc = mdb_stat(txn, put->keep->map, &stat);

    put->is_full = rc == 0 && stat.ms_entries >= put->keep->kind->n_max;
    if (rc == 0 && !put->is_full)
        rc = mdb_put(txn, put->keep->map, &key, &value, 0);
    return ist_tree_fault(rc, put->keep->kind->map, err);
}

void facade_keep_put(struct facade_keep *keep, struct facade_keep_write *put,
                     const uint8_t key[FACADE_KEY_BYTES], const void *message)
{
    put->keep = keep;
    memcpy(put->key, key, sizeof(put->key));
    put->size = protobuf_c_message_get_packed_size(message);
    put->data = malloc(put->size ? put->size : 1);
    if (!put->data) {
        ist_op_begin(&put->write.op, NULL);
        ist_op_fail(&put->write.op, -ENOMEM, "out of memory");
        return;
    }
    protobuf_c_message_pack(message, put->data);
    ist_tree_write(keep->tree, &put->write, apply_put);
}

static void on_noted(struct ist_op *op)
{
    struct ist_write *write = IST_CONTAINER(op, struct ist_write, op);
    struct facade_keep_write *put =
        IST_CONTAINER(write, struct facade_keep_write, write);

    if (op->rc || put->is_full)
        ist_log_warn("facade", "a record of %s is not kept: %s",
                     put->keep->kind->map,
                     op->rc ? op->err.text : "there are as many as may be");
    put->keep->n_noting--;
    facade_keep_write_fini(put);
    free(put);
}

void facade_keep_note(struct facade_keep *keep,
                      const uint8_t key[FACADE_KEY_BYTES], const void *message)
{
    struct facade_keep_write *put = calloc(1, sizeof(*put));

    if (!put)
        return;
    keep->n_noting++;
    ist_op_prepare(&put->write.op, keep->loop, NULL, 0, on_noted);
    facade_keep_put(keep, put, key, message);
}

static int apply_delete(struct ist_write *write, MDB_txn *txn,
                        struct ist_err *err)
{
    struct facade_keep_write *gone =
        IST_CONTAINER(write, struct facade_keep_write, write);
    MDB_val key = {sizeof(gone->key), gone->key};
    int rc = mdb_del(txn, gone->keep->map, &key, NULL);

    return rc == MDB_NOTFOUND ? 0
                              : ist_tree_fault(rc, gone->keep->kind->map, err);
}

void facade_keep_delete(struct facade_keep *keep,
                        struct facade_keep_write *gone,
                        const uint8_t key[FACADE_KEY_BYTES])
{
    gone->keep = keep;
    memcpy(gone->key, key, sizeof(gone->key));
    ist_tree_make_room(keep->tree, &gone->write, apply_delete);
}

void facade_keep_write_fini(struct facade_keep_write *write)
{
    if (write->data)
        sodium_memzero(write->data, write->size);
    free(write->data);
    write->data = NULL;
}

/* --- Sweeping --- */

static int apply_sweep(struct ist_write *write, MDB_txn *txn,
                       struct ist_err *err)
{
    struct facade_keep *keep = IST_CONTAINER(write, struct facade_keep, sweep);
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc = mdb_cursor_open(txn, keep->map, &cursor);

    if (rc)
        return ist_tree_fault(rc, keep->kind->map, err);
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        ist_arena_reset(&keep->arena);
        if (!read_record(keep, &value, keep->wall_ms, &keep->arena))
            rc = mdb_cursor_del(cursor, 0);
        if (rc)
            break;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : ist_tree_fault(rc, keep->kind->map, err);
}

static void on_swept(struct ist_op *op)
{
    struct ist_write *write = IST_CONTAINER(op, struct ist_write, op);
    struct facade_keep *keep = IST_CONTAINER(write, struct facade_keep, sweep);

    keep->is_sweeping = false;
    if (op->rc)
        ist_log_warn("facade", "records that are over stay: %s", op->err.text);
}

static void on_due(struct ist_timer *timer)
{
    struct facade_keep *keep = IST_CONTAINER(timer, struct facade_keep, timer);

    ist_timer_arm_in(timer, keep->loop, SWEEP_MS, on_due);
    if (keep->is_sweeping)
        return;
    keep->is_sweeping = true;
    keep->wall_ms = ist_loop_wall(keep->loop);
    ist_op_prepare(&keep->sweep.op, keep->loop, NULL, 0, on_swept);
    ist_tree_make_room(keep->tree, &keep->sweep, apply_sweep);
}

/* --- Life --- */

struct facade_keep *facade_keep_open(struct ist_tree *tree,
                                     const struct facade_keep_kind *kind,
                                     struct ist_err *err)
{
    struct facade_keep *keep = calloc(1, sizeof(*keep));

    if (!keep) {
        ist_err_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    keep->tree = tree;
    keep->kind = kind;
    keep->loop = ist_tree_loop(tree);
    ist_arena_init(&keep->arena, RECORD_MAX);
    if (ist_tree_map(tree, kind->map, 0, &keep->map, err))
        return facade_keep_free(keep);
    ist_timer_arm_in(&keep->timer, keep->loop, SWEEP_MS, on_due);
    return keep;
}

void facade_keep_stop(struct facade_keep *keep)
{
    if (keep)
        ist_timer_disarm(&keep->timer);
}

bool facade_keep_busy(const struct facade_keep *keep)
{
    return keep && (keep->is_sweeping || keep->n_noting > 0);
}

struct facade_keep *facade_keep_free(struct facade_keep *keep)
{
    if (!keep)
        return NULL;
    ist_timer_disarm(&keep->timer);
    ist_arena_fini(&keep->arena);
    free(keep);
    return NULL;
}
