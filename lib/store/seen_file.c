/* The database of the seen-set: made, or found to be ours, whole, and free of
 * another process. */
#include "store/seen_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEMA_VERSION 1
#define APPLICATION    0x49535448 /* "ISTH" */

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

int ist_seen_fault(int code)
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

int ist_seen_complain(const struct ist_seen *seen, struct ist_err *err,
                      int code)
{
    return ist_err_set(err, ist_seen_fault(code), "seen-set: %s",
                       seen->db ? sqlite3_errmsg(seen->db)
                                : sqlite3_errstr(code));
}

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
        return ist_seen_complain(seen, err, code);
    if (n_tables == 0 && version == 0) {
        snprintf(sql, sizeof(sql),
                 "BEGIN; %s PRAGMA application_id = %d; PRAGMA user_version = "
                 "%d; COMMIT;",
                 schema, APPLICATION, SCHEMA_VERSION);
        code = run_sql(seen, sql);
        return code == SQLITE_OK ? 0 : ist_seen_complain(seen, err, code);
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
    return code == SQLITE_OK ? 0 : ist_seen_complain(seen, err, code);
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
        return ist_seen_complain(seen, err, code);
    seen->ahead_ms = seen->high_ms > wall ? seen->high_ms - wall : 0;
    seen->batch.rows = seen->rows;
    seen->batch.stored_ms = seen->high_ms;
    return 0;
}

int ist_seen_open_file(struct ist_seen *seen, const char *path,
                       struct ist_err *err)
{
    int rc = prepare_file(path, err), code;

    if (rc)
        return rc;
    /* One thread at a time uses it, see seen_priv.h. */
    code = sqlite3_open_v2(path, &seen->db,
                           SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK)
        return ist_seen_complain(seen, err, code);
    sqlite3_extended_result_codes(seen->db, 1);
    rc = configure(seen, err);
    if (rc == 0)
        rc = check_schema(seen, path, err);
    if (rc == 0)
        rc = check_damage(seen, path, err);
    return rc ? rc : load(seen, err);
}
