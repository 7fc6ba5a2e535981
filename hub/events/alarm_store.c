/* Alarms in the hub's tree: the map "alarm", by id; at id 0 stands the next id
 * to be given. What changed is rendered on the loop, into one batch, and put
 * there in the pool: "id, size, record", where a size of 0 deletes. */
#include "events/alarm_priv.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLACE         "alarm"
#define VERSION       1
#define BATCH_MAX     500   /* Records. */
#define PLACE_LAZY_MS 10000 /* A place that moved alone. */

/* A record: numbers, sizes, texts. Host byte order: the file does not travel.
 */
struct record {
    uint8_t version, severity, is_flapping, is_current;
    uint32_t n_comments;
    uint64_t raised_ms, changed_ms, cleared_ms, count, ack_ms, folded_under,
        flap_from_ms, n_flaps, quiet_ms;
};

static void put_word(struct ist_sb *out, const char *text)
{
    uint16_t len = (uint16_t) strlen(text);

    ist_sb_add(out, &len, sizeof(len));
    ist_sb_add(out, text, len);
}

static void put_record(struct ist_sb *out, const struct alarm *alarm)
{
    struct record record = {.version = VERSION,
                            .severity = (uint8_t) alarm->severity,
                            .is_flapping = alarm->is_flapping,
                            .is_current = alarm->is_current,
                            .n_comments = (uint32_t) alarm->n_comments,
                            .raised_ms = alarm->raised_ms,
                            .changed_ms = alarm->changed_ms,
                            .cleared_ms = alarm->cleared_ms,
                            .count = alarm->count,
                            .ack_ms = alarm->ack_ms,
                            .folded_under = alarm->folded_under,
                            .flap_from_ms = alarm->flap_from_ms,
                            .n_flaps = alarm->n_flaps,
                            .quiet_ms = alarm->quiet_ms};

    ist_sb_add(out, &record, sizeof(record));
    put_word(out, alarm_row(alarm->type)->name);
    put_word(out, alarm->site);
    put_word(out, alarm->object);
    put_word(out, alarm->text);
    put_word(out, alarm->ack_by);
    for (size_t i = 0; i < alarm->n_comments; i++) {
        const struct alarm_comment *comment = &alarm->comments[i];

        ist_sb_add(out, &comment->at_ms, sizeof(comment->at_ms));
        put_word(out, comment->by);
        put_word(out, comment->text);
    }
}

/* Reading */

struct reader {
    const char *at;
    size_t left;
    bool bad;
};

static void get_bytes(struct reader *reader, void *to, size_t size)
{
    if (reader->left < size) {
        reader->bad = true;
        memset(to, 0, size);
        return;
    }
    memcpy(to, reader->at, size);
    reader->at += size;
    reader->left -= size;
}

static void get_word(struct reader *reader, char *to, size_t size)
{
    uint16_t len;

    to[0] = '\0';
    get_bytes(reader, &len, sizeof(len));
    if (len >= size || len > reader->left) {
        reader->bad = true;
        return;
    }
    get_bytes(reader, to, len);
    to[len] = '\0';
}

static int get_comments(struct reader *reader, struct alarm *alarm, size_t n)
{
    if (n > ALARM_COMMENTS_MAX) {
        reader->bad = true;
        return 0;
    }
    alarm->comments = n ? calloc(n, sizeof(*alarm->comments)) : NULL;
    if (n && !alarm->comments)
        return -ENOMEM;
    alarm->n_comments = n;
    for (size_t i = 0; i < n; i++) {
        struct alarm_comment *comment = &alarm->comments[i];

        get_bytes(reader, &comment->at_ms, sizeof(comment->at_ms));
        get_word(reader, comment->by, sizeof(comment->by));
        get_word(reader, comment->text, sizeof(comment->text));
    }
    return 0;
}

/* 0, -ENOMEM, or -EUCLEAN: it is none of ours. */
static int get_record(const MDB_val *value, struct alarm *alarm)
{
    struct reader reader = {.at = value->mv_data, .left = value->mv_size};
    struct record record;
    char type[64];
    int rc, known;

    get_bytes(&reader, &record, sizeof(record));
    if (record.version != VERSION || record.severity >= ALARM_SEVERITIES)
        return -EUCLEAN;
    alarm->severity = record.severity;
    alarm->is_flapping = record.is_flapping;
    alarm->is_current = record.is_current;
    alarm->raised_ms = record.raised_ms;
    alarm->changed_ms = record.changed_ms;
    alarm->cleared_ms = record.cleared_ms;
    alarm->count = record.count;
    alarm->ack_ms = record.ack_ms;
    alarm->folded_under = record.folded_under;
    alarm->flap_from_ms = record.flap_from_ms;
    alarm->n_flaps = record.n_flaps;
    alarm->quiet_ms = record.quiet_ms;
    get_word(&reader, type, sizeof(type));
    known = alarm_type_parse(type);
    alarm->type = (enum alarm_type)(known < 0 ? 0 : known);
    get_word(&reader, alarm->site, sizeof(alarm->site));
    get_word(&reader, alarm->object, sizeof(alarm->object));
    get_word(&reader, alarm->text, sizeof(alarm->text));
    get_word(&reader, alarm->ack_by, sizeof(alarm->ack_by));
    rc = get_comments(&reader, alarm, record.n_comments);
    return rc ? rc : known < 0 || reader.bad ? -EUCLEAN : 0;
}

static int load_one(struct alarm_engine *engine, uint64_t id,
                    const MDB_val *value)
{
    struct alarm alarm = {.id = id};
    int rc;

    if (id == 0) {
        if (value->mv_size == sizeof(engine->next_id))
            memcpy(&engine->next_id, value->mv_data, sizeof(engine->next_id));
        return 0;
    }
    rc = get_record(value, &alarm);
    if (rc == -EUCLEAN)
        ist_log_warn("alarms", "alarm %llu cannot be read and is left out",
                     (unsigned long long) id);
    if (rc == 0 && !alarm_add(engine, &alarm))
        rc = -ENOMEM;
    if (rc)
        free(alarm.comments);
    return rc == -EUCLEAN ? 0 : rc;
}

static int load_all(struct alarm_engine *engine, MDB_cursor *cursor,
                    struct ist_err *err)
{
    MDB_val key, value;
    int rc;

    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        uint64_t id = 0;

        if (key.mv_size == sizeof(id))
            memcpy(&id, key.mv_data, sizeof(id));
        if (load_one(engine, id, &value))
            return ist_err_set(err, -ENOMEM, "the alarms: out of memory");
    }
    return rc == MDB_NOTFOUND ? 0
                              : ist_tree_fault(rc, "reading the alarms", err);
}

int alarm_load(struct alarm_engine *engine, struct ist_err *err)
{
    MDB_cursor *cursor;
    MDB_txn *txn;
    int rc;

    TAILQ_INIT(&engine->dirty);
    ist_sb_init(&engine->gone, 0);
    ist_sb_init(&engine->batch, 0);
    rc = ist_tree_map(engine->tree, "alarm", MDB_INTEGERKEY, &engine->map, err);
    if (rc == 0)
        rc = ist_tree_read(engine->tree, &txn, err);
    if (rc)
        return rc;
    rc = mdb_cursor_open(txn, engine->map, &cursor);
    if (rc) {
        rc = ist_tree_fault(rc, "reading the alarms", err);
    } else {
        rc = load_all(engine, cursor, err);
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return rc;
}

/* Writing */

void alarm_touch(struct alarm_engine *engine, struct alarm *alarm)
{
    if (alarm->is_dirty)
        return;
    alarm->is_dirty = true;
    TAILQ_INSERT_TAIL(&engine->dirty, alarm, dirty);
}

static void clean(struct alarm_engine *engine, struct alarm *alarm)
{
    if (alarm->is_dirty)
        TAILQ_REMOVE(&engine->dirty, alarm, dirty);
    alarm->is_dirty = false;
}

void alarm_drop(struct alarm_engine *engine, struct alarm *alarm)
{
    clean(engine, alarm);
    ist_sb_add(&engine->gone, &alarm->id, sizeof(alarm->id));
    free(alarm->comments);
    free(alarm);
}

struct piece {
    uint64_t id, size;
};

static int put_piece(struct alarm_engine *engine, MDB_txn *txn,
                     const struct piece *piece, const char *data)
{
    MDB_val key = {sizeof(piece->id), (void *) (uintptr_t) &piece->id};
    MDB_val value = {piece->size, (void *) (uintptr_t) data};
    int rc;

    if (piece->size)
        return mdb_put(txn, engine->map, &key, &value, 0);
    rc = mdb_del(txn, engine->map, &key, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* In the pool. */
static int put_batch(struct ist_write *write, MDB_txn *txn, struct ist_err *err)
{
    struct alarm_engine *engine =
        IST_CONTAINER(write, struct alarm_engine, write);
    size_t at = 0;
    struct piece piece;
    int rc = 0;

    for (; at < engine->batch.len && rc == 0; at += piece.size) {
        memcpy(&piece, engine->batch.data + at, sizeof(piece));
        at += sizeof(piece);
        rc = put_piece(engine, txn, &piece, engine->batch.data + at);
    }
    rc = ist_tree_fault(rc, "writing the alarms", err);
    if (rc == 0 && engine->batch_place)
        rc =
            events_place_put(engine->log, txn, PLACE, engine->batch_place, err);
    return rc;
}

/* What was not written is dirty again, if it is still there. */
static void take_back(struct alarm_engine *engine)
{
    struct piece piece;

    for (size_t at = 0; at < engine->batch.len; at += piece.size) {
        struct alarm *alarm;

        memcpy(&piece, engine->batch.data + at, sizeof(piece));
        at += sizeof(piece);
        alarm = (struct alarm *) (uintptr_t) alarm_find(engine, piece.id);
        if (alarm)
            alarm_touch(engine, alarm);
    }
}

static void on_written(struct ist_op *op)
{
    struct alarm_engine *engine =
        IST_CONTAINER(op, struct alarm_engine, write.op);

    if (op->rc) {
        ist_log_error("alarms", "alarms are not kept at present: %s",
                      op->err.text);
        take_back(engine);
        ist_sb_reset(&engine->batch);
        return; /* The tick tries again. */
    }
    if (engine->batch_place)
        engine->place_written = engine->batch_place;
    engine->written_ms = ist_loop_now(op->loop);
    ist_sb_reset(&engine->batch);
    if (engine->is_stopped)
        alarm_write(engine);
    else
        alarm_go_on(engine);
}

static void add_piece(struct ist_sb *batch, uint64_t id, const void *data,
                      size_t size)
{
    struct piece piece = {id, size};

    ist_sb_add(batch, &piece, sizeof(piece));
    ist_sb_add(batch, data, size);
}

static void fill_batch(struct alarm_engine *engine)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb record;
    struct alarm *alarm;
    uint64_t id;

    ist_sb_init(&record, 0);
    for (size_t at = 0; at < engine->gone.len; at += sizeof(id)) {
        memcpy(&id, engine->gone.data + at, sizeof(id));
        add_piece(&engine->batch, id, NULL, 0);
    }
    ist_sb_reset(&engine->gone);
    for (size_t n = 0;
         n < BATCH_MAX && (alarm = TAILQ_FIRST(&engine->dirty)) != NULL; n++) {
        ist_sb_reset(&record);
        put_record(&record, alarm);
        add_piece(&engine->batch, alarm->id, record.data, record.len);
        clean(engine, alarm);
    }
    add_piece(&engine->batch, 0, &engine->next_id, sizeof(engine->next_id));
}

/* The place of what was taken counts only with all that came of it; alone it
 * has time: what it passed over raised nothing. */
void alarm_write(struct alarm_engine *engine)
{
    struct ist_loop *loop = ist_tree_loop(engine->tree);
    bool moved = engine->place != engine->place_written;
    bool has_news = !TAILQ_EMPTY(&engine->dirty) || engine->gone.len > 0;

    if (alarm_busy(engine) ||
        !(has_news || (moved && (engine->is_stopped ||
                                 ist_loop_now(loop) >=
                                     engine->written_ms + PLACE_LAZY_MS))))
        return;
    if (has_news)
        fill_batch(engine);
    if (engine->batch.rc) { /* Kept as they were; a change writes again. */
        ist_log_error("alarms", "out of memory: alarms are not kept");
        ist_sb_reset(&engine->batch);
        return;
    }
    engine->batch_place =
        moved && TAILQ_EMPTY(&engine->dirty) ? engine->place : 0;
    ist_op_prepare(&engine->write.op, loop, NULL, 0, on_written);
    ist_tree_write(engine->tree, &engine->write, put_batch);
}

void alarm_store_fini(struct alarm_engine *engine)
{
    ist_sb_fini(&engine->gone);
    ist_sb_fini(&engine->batch);
}
