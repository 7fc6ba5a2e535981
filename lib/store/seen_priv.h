/* What the files of the seen-set share: seen.c is the loop's side, seen_batch.c
 * the pool's, which has the database to itself while 'busy'; seen_file.c opens
 * the database and prepares the statements. */
#ifndef STORE_SEEN_PRIV_H
#define STORE_SEEN_PRIV_H

#include "io/pool.h"
#include "store/seen.h"

#include <sqlite3.h>

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

/* ---- seen_file.c */

/* Opens or makes the database, and fills what is known from it. 0, or -errno
 * with 'err' filled; what was opened is left to ist_seen_free(). */
int ist_seen_open_file(struct ist_seen *, const char *path,
                       struct ist_err *err);

/* A code of SQLite as -errno; the second also fills 'err'. */
int ist_seen_fault(int code);
int ist_seen_complain(const struct ist_seen *, struct ist_err *err, int code);

/* ---- seen_batch.c */

/* In the pool: all records of the batch in one transaction. */
int ist_seen_batch_run(struct ist_work *);

#endif
