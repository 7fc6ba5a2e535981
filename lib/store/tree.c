/* One transaction is under way at most; what is handed in meanwhile waits in
 * 'waiting' and goes into the next one together.
 *
 * MDB_NOMETASYNC: a commit flushes its pages and leaves the root to the next
 * flush, so a crash of the machine may lose the last transaction and never the
 * file's integrity. */
#include "store/tree.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define READERS_MAX 64
#define RESERVE_MIN (4U << 20) /* Beyond the cap. */
#define BATCH_MAX   1024       /* Writes of one transaction. */
#define DISK_MIN    (1U << 20) /* With less, the disk is full. */

STAILQ_HEAD(writes, ist_write);

struct ist_tree {
    struct ist_loop *loop;
    MDB_env *env;
    uint64_t size_max;
    struct writes waiting, running;
    struct ist_work work;
    struct ist_err err;
};

int ist_tree_fault(int mdb_rc, const char *what, struct ist_err *err)
{
    static const struct {
        int mdb, fault;
    } faults[] = {
        {MDB_NOTFOUND, -ENOENT},          {MDB_KEYEXIST, -EEXIST},
        {MDB_MAP_FULL, -ENOSPC},          {MDB_CORRUPTED, -EUCLEAN},
        {MDB_PAGE_NOTFOUND, -EUCLEAN},    {MDB_INVALID, -EUCLEAN},
        {MDB_VERSION_MISMATCH, -EUCLEAN}, {MDB_BAD_VALSIZE, -EMSGSIZE},
    };
    int fault = mdb_rc > 0 ? -mdb_rc : -EIO;

    if (mdb_rc == 0)
        return 0;
    for (size_t i = 0; i < IST_COUNT(faults); i++) {
        if (faults[i].mdb == mdb_rc)
            fault = faults[i].fault;
    }
    return ist_err_set(err, fault, "%s: %s", what, mdb_strerror(mdb_rc));
}

/* Opening */

static int check_mode(const char *path, struct ist_err *err)
{
    struct stat st;

    if (stat(path, &st) == 0 && (st.st_mode & 077))
        return ist_err_set(err, -EACCES,
                           "%s can be read by others: chmod 600 it", path);
    return 0;
}

static int open_env(struct ist_tree *tree, const struct ist_tree_conf *conf,
                    struct ist_err *err)
{
    int rc = check_mode(conf->path, err);

    if (rc)
        return rc;
    rc = mdb_env_create(&tree->env);
    if (rc == 0)
        rc = mdb_env_set_mapsize(
            tree->env, conf->size_max + conf->size_max / 16 + RESERVE_MIN);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(tree->env, conf->maps_max);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(tree->env, READERS_MAX);
    if (rc == 0)
        rc = mdb_env_open(
            tree->env, conf->path,
            MDB_NOSUBDIR | MDB_NOTLS | MDB_NOMETASYNC | MDB_NORDAHEAD, 0600);
    return ist_tree_fault(rc, conf->path, err);
}

struct ist_tree *ist_tree_open(struct ist_loop *loop,
                               const struct ist_tree_conf *conf,
                               struct ist_err *err)
{
    struct ist_tree *tree = calloc(1, sizeof(*tree));

    if (!tree) {
        ist_err_set(err, -ENOMEM, "%s: out of memory", conf->path);
        return NULL;
    }
    tree->loop = loop;
    tree->size_max = conf->size_max;
    STAILQ_INIT(&tree->waiting);
    STAILQ_INIT(&tree->running);
    return open_env(tree, conf, err) ? ist_tree_free(tree) : tree;
}

struct ist_tree *ist_tree_free(struct ist_tree *tree)
{
    if (!tree)
        return NULL;
    assert(STAILQ_EMPTY(&tree->waiting) && STAILQ_EMPTY(&tree->running));
    if (tree->env) {
        mdb_env_sync(tree->env, 1);
        mdb_env_close(tree->env);
    }
    free(tree);
    return NULL;
}

struct ist_loop *ist_tree_loop(const struct ist_tree *tree)
{
    return tree->loop;
}

int ist_tree_map(struct ist_tree *tree, const char *name, unsigned flags,
                 MDB_dbi *ret, struct ist_err *err)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(tree->env, NULL, 0, &txn);

    if (rc)
        return ist_tree_fault(rc, name, err);
    rc = mdb_dbi_open(txn, name, flags | MDB_CREATE, ret);
    if (rc)
        mdb_txn_abort(txn);
    else
        rc = mdb_txn_commit(txn);
    return ist_tree_fault(rc, name, err);
}

int ist_tree_begin(struct ist_tree *tree, MDB_txn **ret, struct ist_err *err)
{
    return ist_tree_fault(mdb_txn_begin(tree->env, NULL, 0, ret),
                          "opening to write", err);
}

int ist_tree_read(struct ist_tree *tree, MDB_txn **ret, struct ist_err *err)
{
    return ist_tree_fault(mdb_txn_begin(tree->env, NULL, MDB_RDONLY, ret),
                          "reading the view's file", err);
}

/* LMDB keeps the pages that are free again in a map of its own, 0: lists of
 * them, each with its length in front. */
static uint64_t free_pages(struct ist_tree *tree)
{
    uint64_t n = 0;
    MDB_cursor *cursor;
    MDB_val key, value;
    MDB_txn *txn;
    size_t len;

    if (mdb_txn_begin(tree->env, NULL, MDB_RDONLY, &txn))
        return 0;
    if (mdb_cursor_open(txn, 0, &cursor) == 0) {
        while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
            memcpy(&len, value.mv_data, sizeof(len));
            n += len;
        }
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return n;
}

/* What was ever used, and of that what is used now. */
static void look(struct ist_tree *tree, bool exactly, uint64_t *ret_used)
{
    MDB_envinfo info;
    MDB_stat stat;

    mdb_env_info(tree->env, &info);
    mdb_env_stat(tree->env, &stat);
    *ret_used = (info.me_last_pgno + 1) * stat.ms_psize;
    if (exactly)
        *ret_used -= free_pages(tree) * stat.ms_psize;
}

void ist_tree_room(struct ist_tree *tree, uint64_t *ret_used, uint64_t *ret_max)
{
    look(tree, true, ret_used);
    *ret_max = tree->size_max;
}

static bool is_full(struct ist_tree *tree)
{
    uint64_t used;

    look(tree, false, &used);
    if (used >= tree->size_max)
        look(tree, true, &used);
    return used >= tree->size_max;
}

/* Writing */

/* LMDB says only EIO where the disk took a part of what was written. */
static int commit(struct ist_tree *tree, MDB_txn *txn)
{
    int rc = mdb_txn_commit(txn);
    struct statvfs disk;
    mdb_filehandle_t fd;

    if (rc == EIO && mdb_env_get_fd(tree->env, &fd) == 0 &&
        fstatvfs(fd, &disk) == 0 &&
        (uint64_t) disk.f_bavail * disk.f_frsize < DISK_MIN)
        rc = ENOSPC;
    return rc;
}

static int apply_all(struct ist_work *work)
{
    struct ist_tree *tree = IST_CONTAINER(work, struct ist_tree, work);
    struct ist_write *write;
    MDB_txn *txn;
    int rc;

    if (!STAILQ_FIRST(&tree->running)->makes_room && is_full(tree))
        return ist_tree_fault(MDB_MAP_FULL, "writing", &tree->err);
    rc = mdb_txn_begin(tree->env, NULL, 0, &txn);
    if (rc)
        return ist_tree_fault(rc, "beginning to write", &tree->err);
    STAILQ_FOREACH(write, &tree->running, link)
    {
        rc = write->apply(write, txn, &tree->err);
        if (rc) {
            mdb_txn_abort(txn);
            return rc;
        }
    }
    return ist_tree_fault(commit(tree, txn), "writing", &tree->err);
}

static void run_next(struct ist_tree *tree);

static void on_applied(struct ist_op *op)
{
    struct ist_tree *tree = IST_CONTAINER(op, struct ist_tree, work.op);
    struct writes over = STAILQ_HEAD_INITIALIZER(over);
    struct ist_write *write;
    int rc = op->rc;

    STAILQ_CONCAT(&over, &tree->running);
    while ((write = STAILQ_FIRST(&over)) != NULL) {
        STAILQ_REMOVE_HEAD(&over, link);
        if (rc)
            write->op.err = tree->err;
        ist_op_finish(&write->op, rc);
    }
    run_next(tree);
}

static void run_next(struct ist_tree *tree)
{
    struct ist_write *write = STAILQ_FIRST(&tree->waiting);
    bool makes_room = write && write->makes_room;

    if (!STAILQ_EMPTY(&tree->running) || !write)
        return;
    for (unsigned n = 0; n < BATCH_MAX; n++) {
        write = STAILQ_FIRST(&tree->waiting);
        if (!write || write->makes_room != makes_room)
            break;
        STAILQ_REMOVE_HEAD(&tree->waiting, link);
        write->queued = false;
        STAILQ_INSERT_TAIL(&tree->running, write, link);
    }
    ist_op_prepare(&tree->work.op, tree->loop, NULL, 0, on_applied);
    ist_work_start(&tree->work, apply_all);
}

static void cancel(struct ist_op *op)
{
    struct ist_write *write = IST_CONTAINER(op, struct ist_write, op);

    if (!write->queued)
        return; /* Being applied: ends with the transaction. */
    STAILQ_REMOVE(&write->tree->waiting, write, ist_write, link);
    write->queued = false;
    ist_op_finish(op, -ECANCELED);
}

static void begin(struct ist_tree *tree, struct ist_write *write,
                  ist_write_fn *apply, bool makes_room)
{
    write->tree = tree;
    write->apply = apply;
    write->queued = true;
    write->makes_room = makes_room;
    ist_op_begin(&write->op, cancel);
    STAILQ_INSERT_TAIL(&tree->waiting, write, link);
    run_next(tree);
}

void ist_tree_write(struct ist_tree *tree, struct ist_write *write,
                    ist_write_fn *apply)
{
    begin(tree, write, apply, false);
}

void ist_tree_make_room(struct ist_tree *tree, struct ist_write *write,
                        ist_write_fn *apply)
{
    begin(tree, write, apply, true);
}
