/* Writes messages down: all that wait, in one transaction. The numbers are
 * worked on in copies, which count once it is committed. */
#include "view/intake_priv.h"

#include "base/log.h"
#include "base/utf8.h"
#include "survey/survey.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OFFSET_KEY     "#offset" /* No site's name has a '#'. */
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 10000

/* What is stored */

static int put(struct intake *intake, MDB_txn *txn, const char *name,
               const void *data, size_t size)
{
    MDB_val key = view_val(name, strlen(name)), value = view_val(data, size);

    return mdb_put(txn, intake->map, &key, &value, 0);
}

static void load_site(struct intake *intake, MDB_txn *txn,
                      struct sites_site *site)
{
    struct intake_site *at = intake_site_of(intake, site);
    MDB_val key = view_val(site->name, strlen(site->name)), value;
    char told[SITES_NAME_SIZE + 8];

    if (at && mdb_get(txn, intake->map, &key, &value) == 0)
        numbers_unpack(&at->numbers, value.mv_data, value.mv_size);
    intake_told_key(told, sizeof(told), site->name);
    key = view_val(told, strlen(told));
    if (at && mdb_get(txn, intake->map, &key, &value) == 0 &&
        value.mv_size == sizeof(at->told))
        memcpy(&at->told, value.mv_data, sizeof(at->told));
}

/* Sites that were removed while nobody looked. */
static int load_removed(struct intake *intake, MDB_txn *txn)
{
    char name[SITES_NAME_SIZE];
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc = mdb_cursor_open(txn, intake->map, &cursor);

    if (rc)
        return rc;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        if (key.mv_size >= sizeof(name) ||
            memchr(key.mv_data, '#', key.mv_size))
            continue;
        memcpy(name, key.mv_data, key.mv_size);
        name[key.mv_size] = '\0';
        if (!sites_find(intake->sites, name))
            intake_drop(intake, name);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int intake_forget(struct intake *intake, MDB_txn *txn, const char *name)
{
    char told[SITES_NAME_SIZE + 8];
    MDB_val keys[2] = {view_val(name, strlen(name)), view_val(told, 0)};
    int rc = 0;

    intake_told_key(told, sizeof(told), name);
    keys[1].mv_size = strlen(told);
    for (size_t i = 0; i < IST_COUNT(keys) && rc == 0; i++) {
        rc = mdb_del(txn, intake->map, &keys[i], NULL);
        if (rc == MDB_NOTFOUND)
            rc = 0;
    }
    return rc;
}

int intake_load(struct intake *intake, struct ist_err *err)
{
    MDB_val key = view_val(OFFSET_KEY, strlen(OFFSET_KEY)), value;
    struct sites_site *site = NULL;
    uint64_t offset;
    MDB_txn *txn;
    int rc = ist_tree_read(intake->tree, &txn, err);

    if (rc)
        return rc;
    snprintf(intake->offset, sizeof(intake->offset), "first");
    if (mdb_get(txn, intake->map, &key, &value) == 0 &&
        value.mv_size == sizeof(offset)) {
        memcpy(&offset, value.mv_data, sizeof(offset));
        snprintf(intake->offset, sizeof(intake->offset), "%" PRIu64,
                 offset + 1);
    }
    while ((site = sites_next(intake->sites, site)) != NULL)
        load_site(intake, txn, site);
    rc = load_removed(intake, txn);
    mdb_txn_abort(txn);
    return ist_tree_fault(rc, "reading the sites' numbers", err);
}

/* One entry, in the pool */

struct applying {
    struct intake *intake;
    MDB_txn *txn;
    struct intake_site *at;
    struct numbers *numbers;
    struct ist_err *err;
};

static int append(struct applying *a, const struct events_item *item)
{
    return events_log_append(a->intake->log, a->txn, item,
                             a->intake->batch.now_ms, a->err);
}

/* The hub's word about a site's feed. */
static int append_note(struct applying *a, const char *action,
                       enum events_severity severity, const char *text)
{
    struct events_item item = {.site = a->at->site->name,
                               .time_ms = a->intake->batch.now_ms,
                               .severity = severity,
                               .service = "isthmus",
                               .kind = "feed",
                               .action = action,
                               .subject = a->at->site->name,
                               .text = text};

    return events_log_append_own(a->intake->log, a->txn, &item,
                                 a->intake->batch.now_ms, a->err);
}

static int note_gap(struct applying *a, uint64_t due, uint64_t sequence)
{
    char text[160];

    a->intake->batch.counts.gaps++;
    snprintf(text, sizeof(text),
             "events %" PRIu64 " to %" PRIu64 " of site %s are missing", due,
             sequence - 1, a->at->site->name);
    return append_note(a, "gap", EVENTS_WARNING, text);
}

static int take_news(struct applying *a, const Isthmus__V1__Event *event)
{
    struct events_item item = {.site = a->at->site->name,
                               .origin = a->at->site->name,
                               .epoch = a->numbers->epoch,
                               .sequence = event->sequence,
                               .time_ms = event->time_ms,
                               .severity =
                                   (enum events_severity) event->severity,
                               .service = event->service,
                               .kind = event->kind,
                               .action = event->action,
                               .subject = event->subject,
                               .project = event->project,
                               .text = event->text};
    uint64_t due;
    int rc = 0;

    switch (numbers_take_sequence(a->numbers, event->sequence, &due)) {
    case NUMBERS_DOUBLE:
        a->intake->batch.counts.doubles++;
        return 0;
    case NUMBERS_GAP:
        rc = note_gap(a, due, event->sequence);
        break;
    case NUMBERS_NEXT:
        break;
    }
    if (item.severity > EVENTS_CRITICAL)
        item.severity = EVENTS_CRITICAL;
    a->intake->batch.counts.news++;
    return rc ? rc : append(a, &item);
}

static bool is_id_sound(const char *id)
{
    size_t len = strlen(id);

    return len > 0 && len <= IST_ORDER_ID_MAX && ist_utf8_valid(id, len);
}

static bool is_record_sound(const Isthmus__V1__Record *record)
{
    if (!record || record->n_keys > IST_KIND_MEMBERS_MAX)
        return false;
    for (size_t i = 0; i < record->n_keys; i++) {
        if (record->keys[i].len > IST_ORDER_KEY_MAX)
            return false;
    }
    return is_id_sound(record->id) && survey_is_body_sound(&record->body);
}

static int do_upsert(struct applying *a, const struct ist_kind *kind,
                     const Isthmus__V1__Event *event)
{
    if (!is_record_sound(event->change->record)) {
        a->intake->batch.counts.malformed++;
        return 0;
    }
    a->intake->batch.counts.upserts++;
    return view_gather_upsert(a->intake->batch.rows, a->txn, a->at->site->name,
                              kind, event->change->record, a->err);
}

static int do_delete(struct applying *a, const struct ist_kind *kind,
                     const Isthmus__V1__Event *event)
{
    if (!is_id_sound(event->subject)) {
        a->intake->batch.counts.malformed++;
        return 0;
    }
    a->intake->batch.counts.deletes++;
    return view_gather_delete(a->intake->batch.rows, a->txn, a->at->site->name,
                              kind, event->subject, a->err);
}

static struct numbers_kind *kind_numbers(struct applying *a,
                                         const struct ist_kind *kind)
{
    return &a->numbers->kinds[view_kind_number(a->intake->view, kind)];
}

static int do_begin(struct applying *a, const struct ist_kind *kind,
                    const Isthmus__V1__Event *event)
{
    int rc = view_gather_flush(a->intake->batch.rows, a->txn, a->err);

    (void) event;
    numbers_begin(kind_numbers(a, kind));
    return rc ? rc
              : view_begin(a->intake->view, a->txn, a->at->site->name, kind,
                           a->err);
}

/* Where entries are missing, rows that were stated may be among them: nothing
 * is swept then. They were all when the site said so, which may be long ago:
 * the stream keeps what comes while no hub is there. */
static int do_end(struct applying *a, const struct ist_kind *kind,
                  const Isthmus__V1__Event *event)
{
    uint64_t now = a->intake->batch.now_ms;
    bool is_past = event->time_ms && event->time_ms < now;
    int rc;

    if (!numbers_end(kind_numbers(a, kind), is_past ? event->time_ms : now))
        return 0;
    rc = view_gather_flush(a->intake->batch.rows, a->txn, a->err);
    return rc ? rc
              : view_end(a->intake->view, a->txn, a->at->site->name, kind,
                         a->err);
}

static int take_change(struct applying *a, const Isthmus__V1__Event *event)
{
    static int (*const ops[])(struct applying *, const struct ist_kind *,
                              const Isthmus__V1__Event *) = {
        [ISTHMUS__V1__CHANGE__OP__UPSERT] = do_upsert,
        [ISTHMUS__V1__CHANGE__OP__DELETE] = do_delete,
        [ISTHMUS__V1__CHANGE__OP__BEGIN] = do_begin,
        [ISTHMUS__V1__CHANGE__OP__END] = do_end,
    };
    const struct ist_kind *kind = ist_kind_find(event->kind);
    unsigned op = (unsigned) event->change->op;

    if (!kind || op >= IST_COUNT(ops)) {
        a->intake->batch.counts.malformed++;
        return 0;
    }
    if (numbers_take_position(kind_numbers(a, kind), event->change->position) ==
        NUMBERS_DOUBLE) {
        if (event->sequence == 0)
            a->intake->batch.counts.doubles++;
        return 0;
    }
    return ops[op](a, kind, event);
}

static int take_event(struct applying *a, const Isthmus__V1__Event *event)
{
    int rc = 0;

    a->intake->batch.counts.entries++;
    if (event->change)
        rc = take_change(a, event);
    if (rc == 0 && event->sequence)
        rc = take_news(a, event);
    return rc;
}

static int take_message(struct intake *intake, MDB_txn *txn,
                        const struct intake_message *message,
                        struct ist_err *err)
{
    struct applying a = {.intake = intake,
                         .txn = txn,
                         .at = message->from,
                         .numbers = message->from->working,
                         .err = err};
    bool restarted;
    int rc = 0;

    if (!numbers_take_epoch(a.numbers, message->events->epoch, message->is_live,
                            &restarted)) {
        intake->batch.counts.doubles++;
        return 0;
    }
    if (!numbers_take_places(a.numbers, message->events->first,
                             message->events->oldest,
                             message->events->n_events)) {
        intake->batch.counts.early++;
        return 0;
    }
    if (restarted)
        rc = append_note(&a, "restarted", EVENTS_NOTICE,
                         "its feed begins anew: the site's agent has lost its "
                         "log, and events in it that were not here yet");
    for (size_t i = 0; i < message->events->n_events && rc == 0; i++)
        rc = take_event(&a, message->events->events[i]);
    return rc;
}

/* The transaction */

/* The numbers of each site that has a message in it, once. */
static int put_numbers(struct intake *intake, MDB_txn *txn,
                       const struct intake_site *at)
{
    uint8_t packed[NUMBERS_PACKED_MAX];
    size_t size = numbers_pack(at->working, packed);

    return put(intake, txn, at->site->name, packed, size);
}

static int apply(struct ist_write *write, MDB_txn *txn, struct ist_err *err)
{
    struct intake *intake = IST_CONTAINER(write, struct intake, batch.write);
    struct intake_message *message;
    int rc = 0;

    view_gather_reset(intake->batch.rows); /* Of one that was given up. */
    STAILQ_FOREACH(message, &intake->writing, link)
    {
        if (message->from && rc == 0)
            rc = take_message(intake, txn, message, err);
    }
    if (rc == 0)
        rc = view_gather_flush(intake->batch.rows, txn, err);
    STAILQ_FOREACH(message, &intake->writing, link)
    {
        if (message->puts_numbers && rc == 0)
            rc = ist_tree_fault(put_numbers(intake, txn, message->from),
                                "writing a site's numbers", err);
    }
    if (rc == 0)
        rc = ist_tree_fault(put(intake, txn, OFFSET_KEY, &intake->batch.offset,
                                sizeof(intake->batch.offset)),
                            "writing the place in the stream", err);
    return rc;
}

static void add_counts(struct intake_counts *to,
                       const struct intake_counts *from)
{
    to->entries += from->entries;
    to->upserts += from->upserts;
    to->deletes += from->deletes;
    to->news += from->news;
    to->doubles += from->doubles;
    to->gaps += from->gaps;
    to->early += from->early;
    to->malformed += from->malformed;
}

/* as_of moves on the loop too: the later one counts. */
static void take_over(struct intake *intake, struct intake_site *at)
{
    for (size_t i = 0; i < VIEW_KINDS_MAX; i++) {
        uint64_t was = at->numbers.kinds[i].as_of_ms;

        if (at->working->kinds[i].as_of_ms < was)
            at->working->kinds[i].as_of_ms = was;
    }
    at->numbers = *at->working;
    intake_site_moved(intake, at);
}

static void forget_working(struct intake *intake, bool committed)
{
    struct intake_message *message;

    STAILQ_FOREACH(message, &intake->writing, link)
    {
        struct intake_site *at = message->from;

        if (!at || !at->working)
            continue;
        if (committed)
            take_over(intake, at);
        free(at->working);
        at->working = NULL;
    }
}

static void ack_all(struct intake *intake)
{
    struct intake_message *message;

    while ((message = STAILQ_FIRST(&intake->writing)) != NULL) {
        STAILQ_REMOVE_HEAD(&intake->writing, link);
        if (!intake->closing && !intake->is_paused)
            ist_bus_ack(intake->bus, &intake->consumer, message->tag);
        intake_message_free(intake, message);
    }
}

static void begin(struct intake *intake);

static void on_again(struct ist_timer *timer)
{
    begin(IST_CONTAINER(timer, struct intake, batch.again));
}

/* The file is full, or the disk: events give way to rows. */
static int make_room(struct ist_write *write, MDB_txn *txn, struct ist_err *err)
{
    struct intake *intake = IST_CONTAINER(write, struct intake, chore.write);

    return events_log_trim(intake->log, txn, UINT64_MAX, INTAKE_TRIM_MAX, err);
}

static void on_room_made(struct ist_op *op)
{
    struct intake *intake = IST_CONTAINER(op, struct intake, chore.write.op);

    if (op->rc)
        ist_log_error("intake", "no room can be made: %s", op->err.text);
    events_log_committed(intake->log);
}

static void retry(struct intake *intake, const struct ist_op *op)
{
    uint64_t *backoff = &intake->batch.backoff_ms;

    if (!intake->batch.trouble[0])
        ist_log_error("intake", "the view stands still, trying again: %s",
                      op->err.text);
    snprintf(intake->batch.trouble, sizeof(intake->batch.trouble), "%.99s",
             op->err.text);
    forget_working(intake, false);
    *backoff = *backoff ? *backoff * 2 : BACKOFF_MIN_MS;
    if (*backoff > BACKOFF_MAX_MS)
        *backoff = BACKOFF_MAX_MS;
    if (op->rc == -ENOSPC && intake->chore.write.op.state == IST_OP_IDLE) {
        intake->chore.drop = NULL;
        ist_op_prepare(&intake->chore.write.op, intake->loop, NULL, 0,
                       on_room_made);
        ist_tree_make_room(intake->tree, &intake->chore.write, make_room);
    }
    ist_timer_arm_in(&intake->batch.again, intake->loop, *backoff, on_again);
}

static void on_committed(struct ist_op *op)
{
    struct intake *intake = IST_CONTAINER(op, struct intake, batch.write.op);

    if (op->rc && !intake->closing) {
        retry(intake, op);
        return;
    }
    if (intake->batch.trouble[0] && op->rc == 0)
        ist_log_info("intake", "the view goes on");
    intake->batch.trouble[0] = '\0';
    intake->batch.backoff_ms = 0;
    forget_working(intake, op->rc == 0);
    intake->batch.has_place |= op->rc == 0;
    if (op->rc == 0)
        add_counts(&intake->counts, &intake->batch.counts);
    ack_all(intake);
    if (op->rc == 0) {
        events_log_committed(intake->log);
        intake_try_waits(intake);
    }
    if (!intake->closing)
        intake_write_next(intake);
}

static bool copy_numbers(struct intake *intake)
{
    struct intake_message *message;

    STAILQ_FOREACH(message, &intake->writing, link)
    {
        struct intake_site *at = message->from;

        message->puts_numbers = at && !at->working;
        if (!message->puts_numbers)
            continue;
        at->working = malloc(sizeof(*at->working));
        if (!at->working)
            return false;
        *at->working = at->numbers;
    }
    return true;
}

/* Of sites that were removed since they came, or whose name was another's. */
static void leave_out_removed(struct intake *intake)
{
    struct intake_message *message;

    STAILQ_FOREACH(message, &intake->writing, link)
    {
        if (message->from &&
            (message->from->site->state == SITES_REMOVED ||
             intake_is_dropping(intake, message->from->site->name)))
            message->from = NULL;
    }
}

static void begin(struct intake *intake)
{
    leave_out_removed(intake);
    memset(&intake->batch.counts, 0, sizeof(intake->batch.counts));
    intake->batch.now_ms = ist_loop_wall(intake->loop);
    if (!copy_numbers(intake)) {
        forget_working(intake, false);
        ist_timer_arm_in(&intake->batch.again, intake->loop, BACKOFF_MAX_MS,
                         on_again);
        return;
    }
    ist_op_prepare(&intake->batch.write.op, intake->loop, NULL, 0,
                   on_committed);
    ist_tree_write(intake->tree, &intake->batch.write, apply);
}

void intake_write_next(struct intake *intake)
{
    if (!STAILQ_EMPTY(&intake->writing))
        return;
    if (STAILQ_EMPTY(&intake->waiting)) {
        if (intake->is_paused)
            intake_read_on(intake);
        return;
    }
    STAILQ_CONCAT(&intake->writing, &intake->waiting);
    intake->batch.offset =
        STAILQ_LAST(&intake->writing, intake_message, link)->offset;
    begin(intake);
}
