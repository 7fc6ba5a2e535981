/* Records wait in a queue; while none is being written, all that wait are
 * written in one transaction by the pool, and finish together. So one flush of
 * the disk serves many messages, and one message costs one.
 *
 * The pool's side (batch_run and all it calls) has the database to itself
 * while 'busy'; the loop's side never touches it then. 'high_ms', the time
 * that never goes back, is written with each batch, in the same transaction:
 * what that deleted has expired by the stored time, whatever the clock says
 * after a restart. */
#include "store/seen.h"

#include "io/pool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEMA_VERSION 1
#define APPLICATION    0x49535448 /* "ISTH" */
#define BATCH_MAX      256
#define ROWS_MAX       100000
#define SKEW_MAX_MS    120000
#define PURGE_EVERY_MS 60000

enum statement {
    BY_MESSAGE,
    BY_OP,
    INSERT,
    EXTEND,
    PURGE,
    SET_HIGH,
    BEGIN,
    COMMIT,
    ROLLBACK,
    VACUUM,
    STATEMENTS,
};

static const char *const texts[STATEMENTS] = {
    [BY_MESSAGE] = "SELECT message, hash, expires FROM seen"
                   " WHERE sender = ? AND message = ?",
    [BY_OP] = "SELECT message, hash, expires FROM seen"
              " WHERE sender = ? AND op = ?",
    [INSERT] = "INSERT INTO seen (sender, message, op, hash, expires, raw)"
               " VALUES (?, ?, ?, ?, ?, ?)",
    [EXTEND] = "UPDATE seen SET expires = ? WHERE sender = ? AND message = ?",
    [PURGE] = "DELETE FROM seen WHERE expires < ?",
    [SET_HIGH] = "UPDATE clock SET high = ?",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [VACUUM] = "PRAGMA incremental_vacuum",
};

static const char schema[] =
    "CREATE TABLE seen ("
    " sender BLOB NOT NULL, message BLOB NOT NULL, op BLOB NOT NULL,"
    " hash BLOB NOT NULL, expires INTEGER NOT NULL, raw BLOB,"
    " PRIMARY KEY (sender, message)) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX seen_op ON seen (sender, op);"
    "CREATE INDEX seen_expires ON seen (expires);"
    "CREATE TABLE clock (high INTEGER NOT NULL);"
    "INSERT INTO clock VALUES (0);";

STAILQ_HEAD(records, ist_seen_record);

struct ist_seen {
    struct ist_loop *loop; /* Borrowed. */
    sqlite3 *db;           /* Owned. */
    sqlite3_stmt *statements[STATEMENTS];
    uint64_t skew_ms, rows_max;
    uint64_t high_ms;  /* The loop's. */
    uint64_t ahead_ms; /* At opening. */
    uint64_t rows;     /* Behind the last batch. */

    struct records waiting;

    bool busy;
    struct batch {
        struct ist_work work;
        struct records records;
        uint64_t now_ms;

        /* The pool's while busy. */
        uint64_t rows, stored_ms, purged_ms;
    } batch;
};

/* SQLite */

static int fault_of(int code)
{
    switch (code & 0xFF) {
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return -EROFS;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    default:
        return -EIO;
    }
}

static int complain(const struct ist_seen *seen, struct ist_err *err, int code)
{
    return ist_err_set(err, fault_of(code), "seen-set: %s",
                       seen->db ? sqlite3_errmsg(seen->db)
                                : sqlite3_errstr(code));
}

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

/* One record (in the pool) */

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

/* A batch (in the pool) */

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

static int batch_run(struct ist_work *work)
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
        rc = complain(seen, &work->op.err, code);
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

/* The loop's side */

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
    ist_work_start(&batch->work, batch_run);
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

/* Opening */

/* Made by us with the right mode: SQLite gives its other files the same. */
static int prepare_file(const char *path, struct ist_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                  0600);
    struct stat st;
    int rc = 0;

    if (fd < 0)
        return ist_err_set(err, -errno, "%s: %s", path, strerror(errno));
    if (fstat(fd, &st) != 0)
        rc = ist_err_set(err, -errno, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        rc = ist_err_set(err, -EINVAL, "%s: not a regular file", path);
    else if (st.st_mode & 077)
        rc = ist_err_set(err, -EACCES,
                         "%s: others may read or write it (mode %04o): chmod "
                         "600",
                         path, (unsigned) st.st_mode & 07777);
    close(fd);
    return rc;
}

static int get_number(struct ist_seen *seen, const char *sql, uint64_t *ret)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(seen->db, sql, -1, &statement, NULL);

    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
        if (code == SQLITE_ROW) {
            *ret = (uint64_t) sqlite3_column_int64(statement, 0);
            code = SQLITE_OK;
        } else if (code == SQLITE_DONE) {
            code = SQLITE_CORRUPT;
        }
    }
    sqlite3_finalize(statement);
    return code;
}

static int run_sql(struct ist_seen *seen, const char *sql)
{
    return sqlite3_exec(seen->db, sql, NULL, NULL, NULL);
}

/* A new file, ours, or another's. */
static int check_schema(struct ist_seen *seen, const char *path,
                        struct ist_err *err)
{
    uint64_t version, application, n_tables;
    char sql[sizeof(schema) + 128];
    int code = get_number(seen, "PRAGMA user_version", &version);

    if (code == SQLITE_OK)
        code = get_number(seen, "PRAGMA application_id", &application);
    if (code == SQLITE_OK)
        code =
            get_number(seen, "SELECT count(*) FROM sqlite_master", &n_tables);
    if (code != SQLITE_OK)
        return complain(seen, err, code);
    if (n_tables == 0 && version == 0) {
        snprintf(sql, sizeof(sql),
                 "BEGIN; %s PRAGMA application_id = %d; PRAGMA user_version = "
                 "%d; COMMIT;",
                 schema, APPLICATION, SCHEMA_VERSION);
        code = run_sql(seen, sql);
        return code == SQLITE_OK ? 0 : complain(seen, err, code);
    }
    if (application != APPLICATION)
        return ist_err_set(err, -EBADMSG, "%s: not a seen-set", path);
    if (version != SCHEMA_VERSION)
        return ist_err_set(err, -EBADMSG,
                           "%s: of version %llu, this program knows version %d",
                           path, (unsigned long long) version, SCHEMA_VERSION);
    return 0;
}

static int configure(struct ist_seen *seen, struct ist_err *err)
{
    /* Exclusive: a second process is refused, and needs no shared memory. */
    static const char sql[] = "PRAGMA locking_mode = EXCLUSIVE;"
                              "PRAGMA auto_vacuum = INCREMENTAL;"
                              "PRAGMA journal_mode = WAL;"
                              "PRAGMA synchronous = FULL;"
                              "PRAGMA cell_size_check = ON;"
                              "PRAGMA trusted_schema = OFF;"
                              "BEGIN EXCLUSIVE; COMMIT;";
    int code = run_sql(seen, sql);

    if (code == SQLITE_BUSY)
        return ist_err_set(err, -EBUSY, "seen-set: in use by another process");
    return code == SQLITE_OK ? 0 : complain(seen, err, code);
}

static int check_damage(struct ist_seen *seen, const char *path,
                        struct ist_err *err)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(seen->db, "PRAGMA quick_check(1)", -1,
                                  &statement, NULL);
    const char *text;
    bool ok = false;

    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        text = (const char *) sqlite3_column_text(statement, 0);
        ok = text && strcmp(text, "ok") == 0;
    }
    sqlite3_finalize(statement);
    return ok ? 0 : ist_err_set(err, -EBADMSG, "%s: damaged", path);
}

static int load(struct ist_seen *seen, struct ist_err *err)
{
    uint64_t wall = ist_loop_wall(seen->loop);
    int code = SQLITE_OK;

    for (int i = 0; code == SQLITE_OK && i < STATEMENTS; i++)
        code = sqlite3_prepare_v3(seen->db, texts[i], -1,
                                  SQLITE_PREPARE_PERSISTENT,
                                  &seen->statements[i], NULL);
    if (code == SQLITE_OK)
        code = get_number(seen, "SELECT count(*) FROM seen", &seen->rows);
    if (code == SQLITE_OK)
        code = get_number(seen, "SELECT high FROM clock", &seen->high_ms);
    if (code != SQLITE_OK)
        return complain(seen, err, code);
    seen->ahead_ms = seen->high_ms > wall ? seen->high_ms - wall : 0;
    seen->batch.rows = seen->rows;
    seen->batch.stored_ms = seen->high_ms;
    return 0;
}

static int open_all(struct ist_seen *seen, const char *path,
                    struct ist_err *err)
{
    int rc = prepare_file(path, err), code;

    if (rc)
        return rc;
    /* One thread at a time uses it, see the top of this file. */
    code = sqlite3_open_v2(path, &seen->db,
                           SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK)
        return complain(seen, err, code);
    sqlite3_extended_result_codes(seen->db, 1);
    rc = configure(seen, err);
    if (rc == 0)
        rc = check_schema(seen, path, err);
    if (rc == 0)
        rc = check_damage(seen, path, err);
    return rc ? rc : load(seen, err);
}

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
    if (open_all(seen, conf->path, err) != 0)
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

/* Visiting */

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
        rc = fault_of(code);
    return rc;
}
