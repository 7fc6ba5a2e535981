/* Records wait in a queue; while none is being written, all that wait are
 * written in one transaction by the pool (seen_batch.c), and finish together.
 * So one flush of the disk serves many messages, and one message costs one.
 *
 * While 'busy' the pool has the database to itself; the loop's side, which is
 * here, never touches it then. */
#include "store/seen_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MAX   256
#define ROWS_MAX    100000
#define SKEW_MAX_MS 120000

/* Records. */

uint64_t ist_seen_now(struct ist_seen *seen)
{
    uint64_t wall = ist_loop_wall(seen->loop);

    if (wall > seen->high_ms)
        seen->high_ms = wall;
    return seen->high_ms;
}

static void batch_start(struct ist_seen *seen);

static void batch_done(struct ist_op *op)
{
    struct ist_work *work = IST_CONTAINER(op, struct ist_work, op);
    struct batch *batch = IST_CONTAINER(work, struct batch, work);
    struct ist_seen *seen = IST_CONTAINER(batch, struct ist_seen, batch);
    struct ist_seen_record *record;

    seen->busy = false;
    seen->rows = batch->rows;
    while ((record = STAILQ_FIRST(&batch->records)) != NULL) {
        STAILQ_REMOVE_HEAD(&batch->records, link);
        if (op->rc) {
            record->op.err = op->err;
            ist_op_finish(&record->op, op->rc);
        } else {
            ist_op_finish(&record->op, record->outcome);
        }
    }
    batch_start(seen);
}

static void batch_start(struct ist_seen *seen)
{
    struct batch *batch = &seen->batch;
    struct ist_seen_record *record;

    if (seen->busy || STAILQ_EMPTY(&seen->waiting))
        return;
    for (int i = 0; i < BATCH_MAX; i++) {
        record = STAILQ_FIRST(&seen->waiting);
        if (!record)
            break;
        STAILQ_REMOVE_HEAD(&seen->waiting, link);
        STAILQ_INSERT_TAIL(&batch->records, record, link);
        record->queued = false;
    }
    seen->busy = true;
    batch->now_ms = ist_seen_now(seen);
    ist_op_prepare(&batch->work.op, seen->loop, NULL, 0, batch_done);
    ist_work_start(&batch->work, ist_seen_batch_run);
}

/* One that waits leaves; one that is being written finishes with the batch,
 * and is then on disk whatever its rc says. */
static void cancel(struct ist_op *op)
{
    struct ist_seen_record *record =
        IST_CONTAINER(op, struct ist_seen_record, op);

    if (!record->queued)
        return;
    STAILQ_REMOVE(&record->seen->waiting, record, ist_seen_record, link);
    record->queued = false;
    ist_op_finish(op, -ECANCELED);
}

void ist_seen_record(struct ist_seen *seen, struct ist_seen_record *record)
{
    record->seen = seen;
    record->queued = false;
    record->outcome = 0;
    ist_op_begin(&record->op, cancel);
    if (record->raw_size > IST_SEEN_RAW_MAX) {
        ist_op_fail(&record->op, -EMSGSIZE, "seen-set: over %d bytes",
                    IST_SEEN_RAW_MAX);
        return;
    }
    record->queued = true;
    STAILQ_INSERT_TAIL(&seen->waiting, record, link);
    batch_start(seen);
}

uint64_t ist_seen_ahead_ms(const struct ist_seen *seen)
{
    return seen->ahead_ms;
}

uint64_t ist_seen_rows(const struct ist_seen *seen)
{
    return seen->rows;
}

/* Opening. */

struct ist_seen *ist_seen_open(struct ist_loop *loop,
                               const struct ist_seen_conf *conf,
                               struct ist_err *err)
{
    struct ist_seen *seen;

    if (conf->skew_ms > SKEW_MAX_MS) {
        ist_err_set(err, -EINVAL, "seen-set: a skew over %d ms", SKEW_MAX_MS);
        return NULL;
    }
    seen = calloc(1, sizeof(*seen));
    if (!seen) {
        ist_err_set(err, -ENOMEM, "seen-set: out of memory");
        return NULL;
    }
    seen->loop = loop;
    seen->skew_ms = conf->skew_ms;
    seen->rows_max = conf->rows_max ? conf->rows_max : ROWS_MAX;
    STAILQ_INIT(&seen->waiting);
    STAILQ_INIT(&seen->batch.records);
    if (ist_seen_open_file(seen, conf->path, err) != 0)
        return ist_seen_free(seen);
    return seen;
}

struct ist_seen *ist_seen_free(struct ist_seen *seen)
{
    if (!seen)
        return NULL;
    assert(!seen->busy && STAILQ_EMPTY(&seen->waiting));
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(seen->statements[i]);
    sqlite3_close(seen->db);
    free(seen);
    return NULL;
}

/* Visiting. */

static bool take_row(sqlite3_stmt *statement, struct ist_seen_record *record)
{
    const struct {
        void *to;
        int size;
    } parts[] = {
        {record->sender.b, sizeof(record->sender.b)},
        {record->message.b, sizeof(record->message.b)},
        {record->op_id.b, sizeof(record->op_id.b)},
        {record->hash, sizeof(record->hash)},
    };

    for (int i = 0; i < (int) IST_COUNT(parts); i++) {
        if (sqlite3_column_bytes(statement, i) != parts[i].size)
            return false;
        memcpy(parts[i].to, sqlite3_column_blob(statement, i),
               (size_t) parts[i].size);
    }
    record->expires_ms = (uint64_t) sqlite3_column_int64(statement, 4);
    record->raw = sqlite3_column_blob(statement, 5);
    record->raw_size = (size_t) sqlite3_column_bytes(statement, 5);
    return true;
}

int ist_seen_each(struct ist_seen *seen, ist_seen_row_fn *fn, void *arg)
{
    static const char sql[] =
        "SELECT sender, message, op, hash, expires, raw FROM seen"
        " WHERE raw IS NOT NULL ORDER BY expires, sender, message";
    sqlite3_stmt *statement = NULL;
    int code, rc = 0;

    assert(!seen->busy);
    code = sqlite3_prepare_v2(seen->db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        while (rc == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
            struct ist_seen_record record = {.raw = NULL};

            rc = take_row(statement, &record) ? fn(arg, &record) : -EBADMSG;
        }
    }
    sqlite3_finalize(statement);
    if (rc == 0 && code != SQLITE_DONE)
        rc = ist_seen_fault(code);
    return rc;
}
