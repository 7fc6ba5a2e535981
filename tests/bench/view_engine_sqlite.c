/* SQLite: one table, an index for each order, a log written ahead. */
#include "view_engine.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 64 MiB of pages in memory, and of log before it is brought into the file:
 * with the default (2 MiB, 4 MiB) the fill waits for little else. */
#define TUNING                                                                 \
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"                        \
    "PRAGMA cache_size=-65536; PRAGMA wal_autocheckpoint=16384;"               \
    "PRAGMA mmap_size=2147418112; PRAGMA temp_store=MEMORY;"

enum step { FIRST, REST_OF_GROUP, BEHIND, STEPS };

struct sqlite {
    sqlite3 *db;
    sqlite3_stmt *begin, *commit, *touch, *put, *del, *lookup;
    sqlite3_stmt *page[VE_MEMBERS][2][2][STEPS]; /* Project, descending. */
};

static const char *const columns[VE_MEMBERS] = {"id", "name", "status",
                                                "created_at", "updated_at"};

static void must(struct sqlite *s, int rc, const char *what)
{
    if (rc != SQLITE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW)
        ve_die("sqlite: %s: %s", what, sqlite3_errmsg(s->db));
}

static void exec(struct sqlite *s, const char *sql)
{
    must(s, sqlite3_exec(s->db, sql, NULL, NULL, NULL), sql);
}

static sqlite3_stmt *prepare(struct sqlite *s, const char *sql)
{
    sqlite3_stmt *stmt;

    must(s,
         sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt,
                            NULL),
         sql);
    return stmt;
}

/* Bodies and maps are one table and its indexes; the index of ids is the one
 * that says which row is meant, too. */
static void make_schema(struct sqlite *s)
{
    char sql[512];

    exec(s, "CREATE TABLE IF NOT EXISTS row (site TEXT, id TEXT, project TEXT,"
            " name TEXT, status TEXT, created_at TEXT, updated_at TEXT,"
            " body TEXT);"
            "CREATE UNIQUE INDEX IF NOT EXISTS all_id ON row (id, site);"
            "CREATE INDEX IF NOT EXISTS project_id ON row (project, id, site)");
    for (int i = VE_NAME; i < VE_MEMBERS; i++) {
        snprintf(sql, sizeof(sql),
                 "CREATE INDEX IF NOT EXISTS all_%s ON row (%s, site, id);"
                 "CREATE INDEX IF NOT EXISTS project_%s"
                 " ON row (project, %s, site, id)",
                 columns[i], columns[i], columns[i], columns[i]);
        exec(s, sql);
    }
}

static void *sqlite_open(const char *dir, uint64_t n_rows)
{
    struct sqlite *s = calloc(1, sizeof(*s));
    char path[4096];

    (void) n_rows;
    if (!s)
        ve_die("out of memory");
    snprintf(path, sizeof(path), "%s/view.sqlite", dir);
    must(s, sqlite3_open(path, &s->db), path);
    exec(s, TUNING);
    make_schema(s);
    s->begin = prepare(s, "BEGIN IMMEDIATE");
    s->commit = prepare(s, "COMMIT");
    /* An UPDATE writes the index of every column that it names, changed or
     * not: so what seldom changes is named by the second statement alone. */
    s->touch = prepare(s, "UPDATE row SET status=?5, updated_at=?7, body=?8"
                          " WHERE id=?2 AND site=?1 AND project=?3 AND name=?4"
                          " AND created_at=?6");
    s->put = prepare(s, "INSERT INTO row VALUES (?1,?2,?3,?4,?5,?6,?7,?8)"
                        " ON CONFLICT (id, site) DO UPDATE SET project=?3,"
                        " name=?4, status=?5, created_at=?6, updated_at=?7,"
                        " body=?8");
    s->del = prepare(s, "DELETE FROM row WHERE id=?2 AND site=?1");
    s->lookup = prepare(s, "SELECT site, id, body FROM row WHERE id=?1"
                           " ORDER BY site");
    return s;
}

static void sqlite_settle(void *self)
{
    struct sqlite *s = self;

    exec(s, "PRAGMA wal_checkpoint(TRUNCATE)");
}

static void sqlite_close(void *self)
{
    struct sqlite *s = self;
    sqlite3_stmt *stmt;

    while ((stmt = sqlite3_next_stmt(s->db, NULL)) != NULL)
        sqlite3_finalize(stmt);
    must(s, sqlite3_close(s->db), "closing");
    free(s);
}

/* Writing */

static void run(struct sqlite *s, sqlite3_stmt *stmt)
{
    must(s, sqlite3_step(stmt), sqlite3_sql(stmt));
    sqlite3_reset(stmt);
}

static void bind(sqlite3_stmt *stmt, int at, const struct ist_bytes *text)
{
    sqlite3_bind_text(stmt, at, text->data, (int) text->size, SQLITE_STATIC);
}

static void bind_row(sqlite3_stmt *stmt, const struct ve_row *row)
{
    sqlite3_bind_text(stmt, 1, row->site, -1, SQLITE_STATIC);
    bind(stmt, 2, &row->keys[VE_ID]);
    bind(stmt, 3, &row->project);
    for (int i = VE_NAME; i < VE_MEMBERS; i++)
        bind(stmt, 3 + i, &row->keys[i]);
    bind(stmt, 8, &row->body);
}

static void apply(struct sqlite *s, const struct ve_change *change)
{
    if (change->is_delete) {
        sqlite3_bind_text(s->del, 1, change->row.site, -1, SQLITE_STATIC);
        bind(s->del, 2, &change->row.keys[VE_ID]);
        run(s, s->del);
        return;
    }
    bind_row(s->touch, &change->row);
    run(s, s->touch);
    if (sqlite3_changes(s->db))
        return;
    bind_row(s->put, &change->row);
    run(s, s->put);
}

static void sqlite_write(void *self, const struct ve_change *changes, size_t n)
{
    struct sqlite *s = self;

    run(s, s->begin);
    for (size_t i = 0; i < n; i++)
        apply(s, &changes[i]);
    run(s, s->commit);
}

/* Reading. ?1 project, ?2 value, ?3 site, ?4 id, ?5 limit. */

static void write_order(char *out, size_t size, enum ve_member member,
                        bool descending, enum step step)
{
    const char *down = descending ? " DESC" : "";

    if (step == REST_OF_GROUP)
        snprintf(out, size, "site, id");
    else if (member == VE_ID)
        snprintf(out, size, "id%s, site", down);
    else
        snprintf(out, size, "%s%s, site, id", columns[member], down);
}

static void write_where(char *out, size_t size, enum ve_member member,
                        bool descending, enum step step)
{
    if (step == FIRST)
        snprintf(out, size, "1");
    else if (step == REST_OF_GROUP)
        snprintf(out, size, "%s = ?2 AND (site, id) > (?3, ?4)",
                 columns[member]);
    else if (descending)
        snprintf(out, size, "%s < ?2", columns[member]);
    else if (member == VE_ID)
        snprintf(out, size, "(id, site) > (?4, ?3)");
    else
        snprintf(out, size, "(%s, site, id) > (?2, ?3, ?4)", columns[member]);
}

static sqlite3_stmt *page_stmt(struct sqlite *s, const struct ve_query *query,
                               enum step step)
{
    bool in_project = query->project != NULL;
    sqlite3_stmt **stmt =
        &s->page[query->member][in_project][query->descending][step];
    char where[128], order[64], sql[512];

    if (*stmt)
        return *stmt;
    write_where(where, sizeof(where), query->member, query->descending, step);
    write_order(order, sizeof(order), query->member, query->descending, step);
    snprintf(sql, sizeof(sql),
             "SELECT site, id, body FROM row INDEXED BY %s_%s"
             " WHERE %s%s ORDER BY %s LIMIT ?5",
             in_project ? "project" : "all", columns[query->member],
             in_project ? "project = ?1 AND " : "", where, order);
    return *stmt = prepare(s, sql);
}

static size_t emit_all(struct sqlite *s, sqlite3_stmt *stmt, ve_emit *emit,
                       void *arg)
{
    struct ist_bytes id, body;
    size_t n = 0;
    int rc;

    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *site = (const char *) sqlite3_column_text(stmt, 0);

        id.data = sqlite3_column_text(stmt, 1);
        id.size = (size_t) sqlite3_column_bytes(stmt, 1);
        body.data = sqlite3_column_text(stmt, 2);
        body.size = (size_t) sqlite3_column_bytes(stmt, 2);
        emit(arg, site, &id, &body);
        n++;
    }
    must(s, rc, sqlite3_sql(stmt));
    sqlite3_reset(stmt);
    return n;
}

static size_t run_page(struct sqlite *s, const struct ve_query *query,
                       enum step step, size_t limit, ve_emit *emit, void *arg)
{
    sqlite3_stmt *stmt = page_stmt(s, query, step);

    if (query->project)
        bind(stmt, 1, query->project);
    if (query->after) {
        bind(stmt, 2, &query->after->keys[query->member]);
        sqlite3_bind_text(stmt, 3, query->after->site, -1, SQLITE_STATIC);
        bind(stmt, 4, &query->after->keys[VE_ID]);
    }
    sqlite3_bind_int64(stmt, 5, (sqlite3_int64) limit);
    return emit_all(s, stmt, emit, arg);
}

/* Down, the order is no index's: site and id ascend within it. What is left of
 * the marker's group is one statement, the groups behind it another. */
static void sqlite_page(void *self, const struct ve_query *query, ve_emit *emit,
                        void *arg)
{
    struct sqlite *s = self;
    size_t n = 0;

    if (query->after && query->descending)
        n = run_page(s, query, REST_OF_GROUP, query->limit, emit, arg);
    if (n < query->limit)
        run_page(s, query, query->after ? BEHIND : FIRST, query->limit - n,
                 emit, arg);
}

static void sqlite_lookup(void *self, const struct ist_bytes *id, ve_emit *emit,
                          void *arg)
{
    struct sqlite *s = self;

    bind(s->lookup, 1, id);
    emit_all(s, s->lookup, emit, arg);
}

const struct ve_engine ve_sqlite = {
    .name = "sqlite",
    .flushes = "fdatasync of the log (WAL, FULL)",
    .loses = "nothing",
    .open = sqlite_open,
    .write = sqlite_write,
    .settle = sqlite_settle,
    .page = sqlite_page,
    .lookup = sqlite_lookup,
    .close = sqlite_close,
};
