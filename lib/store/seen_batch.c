/* The pool's side of the seen-set: one batch is one transaction, and so one
 * flush of the disk. 'high_ms', the time that never goes back, is written with
 * it: what it deleted has expired by the stored time, whatever the clock says
 * after a restart. */
#include "store/seen_priv.h"

#include <string.h>

#define PURGE_EVERY_MS 60000

/* Statements. */

/* Runs a statement that gives no rows. SQLITE_OK. */
static int step(const struct ist_seen *seen, enum statement which)
{
    sqlite3_stmt *statement = seen->statements[which];
    int code;

    do
        code = sqlite3_step(statement);
    while (code == SQLITE_ROW);
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static void bind_id(sqlite3_stmt *statement, int at, const struct ist_id *id)
{
    sqlite3_bind_blob(statement, at, id->b, sizeof(id->b), SQLITE_STATIC);
}

/* Times beyond what SQLite's integers hold are as good as for ever. */
static void bind_ms(sqlite3_stmt *statement, int at, uint64_t ms)
{
    sqlite3_bind_int64(statement, at,
                       ms > INT64_MAX ? INT64_MAX : (sqlite3_int64) ms);
}

/* One record. */

struct row {
    struct ist_id message;
    uint8_t hash[32];
    uint64_t expires_ms;
};

/* SQLITE_ROW: found, SQLITE_DONE: not. */
static int look(const struct ist_seen *seen, enum statement which,
                const struct ist_id *sender, const struct ist_id *id,
                struct row *ret)
{
    sqlite3_stmt *statement = seen->statements[which];
    int code;

    bind_id(statement, 1, sender);
    bind_id(statement, 2, id);
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        if (sqlite3_column_bytes(statement, 0) != sizeof(ret->message.b) ||
            sqlite3_column_bytes(statement, 1) != sizeof(ret->hash)) {
            sqlite3_reset(statement);
            return SQLITE_CORRUPT;
        }
        memcpy(ret->message.b, sqlite3_column_blob(statement, 0),
               sizeof(ret->message.b));
        memcpy(ret->hash, sqlite3_column_blob(statement, 1), sizeof(ret->hash));
        ret->expires_ms = (uint64_t) sqlite3_column_int64(statement, 2);
    }
    sqlite3_reset(statement);
    return code;
}

/* A resend lives longer than the first: so does the memory of its op. */
static int extend(const struct ist_seen *seen,
                  const struct ist_seen_record *record, const struct row *row)
{
    sqlite3_stmt *statement = seen->statements[EXTEND];

    if (record->expires_ms <= row->expires_ms)
        return SQLITE_OK;
    bind_ms(statement, 1, record->expires_ms);
    bind_id(statement, 2, &record->sender);
    bind_id(statement, 3, &row->message);
    return step(seen, EXTEND);
}

static int insert(struct ist_seen *seen, const struct ist_seen_record *record)
{
    sqlite3_stmt *statement = seen->statements[INSERT];
    int code;

    bind_id(statement, 1, &record->sender);
    bind_id(statement, 2, &record->message);
    bind_id(statement, 3, &record->op_id);
    sqlite3_bind_blob(statement, 4, record->hash, sizeof(record->hash),
                      SQLITE_STATIC);
    bind_ms(statement, 5, record->expires_ms);
    if (record->raw)
        sqlite3_bind_blob(statement, 6, record->raw, (int) record->raw_size,
                          SQLITE_STATIC);
    else
        sqlite3_bind_null(statement, 6);
    code = step(seen, INSERT);
    sqlite3_clear_bindings(statement);
    if (code == SQLITE_OK)
        seen->batch.rows++;
    return code;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* By the time of the batch. Rows that are behind it by twice the skew are as
 * if they were deleted already: their messages are late by then. */
static int purge(struct ist_seen *seen)
{
    struct batch *batch = &seen->batch;
    uint64_t margin = 2 * seen->skew_ms;
    int code;

    batch->purged_ms = batch->now_ms;
    if (batch->now_ms <= margin)
        return SQLITE_OK;
    bind_ms(seen->statements[PURGE], 1, batch->now_ms - margin);
    code = step(seen, PURGE);
    if (code == SQLITE_OK)
        batch->rows -= (uint64_t) sqlite3_changes(seen->db);
    return code;
}

static int record_new(struct ist_seen *seen, struct ist_seen_record *record)
{
    int code = SQLITE_OK;

    if (seen->batch.rows >= seen->rows_max)
        code = purge(seen);
    if (code != SQLITE_OK)
        return code;
    if (seen->batch.rows >= seen->rows_max) {
        record->outcome = IST_SEEN_FULL;
        return SQLITE_OK;
    }
    record->outcome = 0;
    return insert(seen, record);
}

static int record_one(struct ist_seen *seen, struct ist_seen_record *record)
{
    struct row row;
    int code;

    if (plus(record->expires_ms, seen->skew_ms) < seen->batch.now_ms) {
        record->outcome = IST_SEEN_LATE;
        return SQLITE_OK;
    }
    code = look(seen, BY_MESSAGE, &record->sender, &record->message, &row);
    if (code == SQLITE_DONE)
        code = look(seen, BY_OP, &record->sender, &record->op_id, &row);
    if (code == SQLITE_DONE)
        return record_new(seen, record);
    if (code != SQLITE_ROW)
        return code;
    record->first_message = row.message;
    if (memcmp(row.hash, record->hash, sizeof(row.hash)) != 0) {
        record->outcome = IST_SEEN_CONFLICT;
        return SQLITE_OK;
    }
    record->outcome = IST_SEEN_AGAIN;
    return extend(seen, record, &row);
}

/* A batch. */

static int batch_body(struct ist_seen *seen)
{
    struct batch *batch = &seen->batch;
    struct ist_seen_record *record;
    int code = SQLITE_OK;

    if (batch->now_ms >= batch->purged_ms + PURGE_EVERY_MS)
        code = purge(seen);
    STAILQ_FOREACH(record, &batch->records, link)
    {
        if (code == SQLITE_OK)
            code = record_one(seen, record);
    }
    if (code == SQLITE_OK && batch->now_ms > batch->stored_ms) {
        bind_ms(seen->statements[SET_HIGH], 1, batch->now_ms);
        code = step(seen, SET_HIGH);
    }
    return code;
}

int ist_seen_batch_run(struct ist_work *work)
{
    struct batch *batch = IST_CONTAINER(work, struct batch, work);
    struct ist_seen *seen = IST_CONTAINER(batch, struct ist_seen, batch);
    uint64_t rows = batch->rows, purged_ms = batch->purged_ms;
    int code = step(seen, BEGIN), rc;

    if (code == SQLITE_OK)
        code = batch_body(seen);
    if (code == SQLITE_OK)
        code = step(seen, COMMIT);
    if (code != SQLITE_OK) {
        /* Nothing of it is on disk, so nothing of it counts. */
        rc = ist_seen_complain(seen, &work->op.err, code);
        if (!sqlite3_get_autocommit(seen->db))
            step(seen, ROLLBACK);
        batch->rows = rows;
        batch->purged_ms = purged_ms;
        return rc;
    }
    batch->stored_ms = batch->now_ms;
    if (purged_ms != batch->purged_ms)
        step(seen, VACUUM);
    return 0;
}
