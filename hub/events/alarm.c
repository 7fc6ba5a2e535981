/* Which alarms there are, and their life. What moves them is in alarm_move.c,
 * who moves them in alarm_follow.c and alarm_order.c, and where they are kept
 * in alarm_store.c. */
#include "events/alarm_priv.h"

#include "base/utf8.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLACE "alarm"

const struct ist_row alarm_rows[] = {
    {"alarms.max", IST_ROW_U64, offsetof(struct alarm_conf, max), "10000", 10,
     100000, 0,
     "Alarms open at once; above, new ones are only counted, in one alarm of "
     "type too-many-alarms."},
    {"alarms.keep", IST_ROW_MS, offsetof(struct alarm_conf, keep_ms), "30d",
     60000, 3660ULL * 86400000, 0,
     "How long cleared alarms are kept; then they are dropped."},
    {"alarms.keep_items", IST_ROW_U64, offsetof(struct alarm_conf, keep_items),
     "10000", 10, 100000, 0,
     "Cleared alarms kept at most; then the oldest are dropped."},
    {"alarms.linger", IST_ROW_MS, offsetof(struct alarm_conf, linger_ms), "30s",
     0, 3600000, 0,
     "How long a cleared alarm is still listed among the open ones."},
    {"alarms.flaps", IST_ROW_U64, offsetof(struct alarm_conf, flaps), "4", 2,
     1000, 0,
     "An alarm raised again so often within alarms.flap_window is flapping: "
     "it stays open until it was quiet for that long."},
    {"alarms.flap_window", IST_ROW_MS, offsetof(struct alarm_conf, flap_ms),
     "10m", 1000, 86400000, 0,
     "See alarms.flaps; an alarm raised again within it is the same one."},
    {"alarms.resources", IST_ROW_BOOL, offsetof(struct alarm_conf, resources),
     "true", 0, 0, 0, "Whether resources in an error state raise alarms."},
    IST_ROW_END,
};

/* Indexes */

static int id_cmp(const struct alarm *a, const struct alarm *b)
{
    return (a->id > b->id) - (a->id < b->id);
}

/* By site first: what is folded under a site stands together. */
static int key_cmp(const struct alarm *a, const struct alarm *b)
{
    int order = strcmp(a->site, b->site);

    if (order == 0)
        order = (a->type > b->type) - (a->type < b->type);
    return order ? order : strcmp(a->object, b->object);
}

RB_GENERATE(alarm_ids, alarm, by_id, id_cmp)
RB_GENERATE(alarm_keys, alarm, by_key, key_cmp)

struct alarm *alarm_find_id(struct alarm_engine *engine, uint64_t id)
{
    struct alarm want;

    want.id = id;
    return RB_FIND(alarm_ids, &engine->ids, &want);
}

/* Copies what fits, whole characters; control characters become spaces. */
void alarm_put_text(char *to, size_t size, const char *text)
{
    size_t len = strnlen(text, size + 4), at = 0, used = 0;

    while (at < len) {
        size_t n = ist_utf8_len(text + at, len - at);
        unsigned char c = (unsigned char) text[at];

        if (used + (n ? n : 1) >= size)
            break;
        if (n <= 1) {
            to[used++] =
                n == 0 ? '?' : (char) (c < 0x20 || c == 0x7F ? ' ' : c);
        } else {
            memcpy(to + used, text + at, n);
            used += n;
        }
        at += n ? n : 1;
    }
    to[used] = '\0';
}

struct alarm *alarm_find_key(struct alarm_engine *engine, enum alarm_type type,
                             const char *site, const char *object)
{
    struct alarm want;

    want.type = type;
    alarm_put_text(want.site, sizeof(want.site), site);
    alarm_put_text(want.object, sizeof(want.object), object);
    return RB_FIND(alarm_keys, &engine->keys, &want);
}

/* Of two that were stored as the current one the newer is it. */
static void take_key(struct alarm_engine *engine, struct alarm *alarm)
{
    struct alarm *other = RB_INSERT(alarm_keys, &engine->keys, alarm);

    if (!other)
        return;
    alarm_forget_key(engine, other);
    RB_INSERT(alarm_keys, &engine->keys, alarm);
}

struct alarm *alarm_add(struct alarm_engine *engine, const struct alarm *given)
{
    struct alarm *alarm = malloc(sizeof(*alarm));

    if (!alarm)
        return NULL;
    *alarm = *given;
    alarm->is_dirty = alarm->is_untold = false;
    if (RB_INSERT(alarm_ids, &engine->ids, alarm)) {
        free(alarm);
        return NULL;
    }
    if (alarm->is_current)
        take_key(engine, alarm);
    if (alarm->cleared_ms)
        engine->n_cleared++;
    else
        engine->n_open++;
    return alarm;
}

void alarm_forget_key(struct alarm_engine *engine, struct alarm *alarm)
{
    if (alarm->is_current)
        RB_REMOVE(alarm_keys, &engine->keys, alarm);
    alarm->is_current = false;
}

uint64_t alarm_wall(const struct alarm_engine *engine)
{
    return ist_loop_wall(ist_tree_loop(engine->tree));
}
/* Looking */

const struct alarm *alarm_find(struct alarm_engine *engine, uint64_t id)
{
    return alarm_find_id(engine, id);
}

const struct alarm *alarm_before(struct alarm_engine *engine, uint64_t id)
{
    struct alarm want, *alarm;

    want.id = id;
    alarm = RB_NFIND(alarm_ids, &engine->ids, &want);
    return alarm ? RB_PREV(alarm_ids, &engine->ids, alarm)
                 : RB_MAX(alarm_ids, &engine->ids);
}

bool alarm_is_listed(const struct alarm_engine *engine,
                     const struct alarm *alarm)
{
    return !alarm->cleared_ms ||
           alarm_wall(engine) < alarm->cleared_ms + engine->conf.linger_ms;
}

void alarm_count(const struct alarm_engine *engine, struct alarm_counts *ret)
{
    struct alarm *alarm;

    memset(ret, 0, sizeof(*ret));
    RB_FOREACH(alarm, alarm_ids, (struct alarm_ids *) &engine->ids)
    {
        if (alarm->cleared_ms)
            continue;
        if (alarm->folded_under)
            ret->folded[alarm->severity]++;
        else if (alarm->ack_ms)
            ret->acknowledged[alarm->severity]++;
        else
            ret->fresh[alarm->severity]++;
    }
}
/* Its life */

/* How many are folded under each is not kept, but counted. */
static void count_folded(struct alarm_engine *engine)
{
    struct alarm *alarm, *cause;

    RB_FOREACH(alarm, alarm_ids, &engine->ids)
    {
        cause = alarm->folded_under ? alarm_find_id(engine, alarm->folded_under)
                                    : NULL;
        if (cause)
            cause->n_folded++;
        else
            alarm->folded_under = 0;
    }
}

struct alarm_engine *alarm_open(struct ist_tree *tree, struct events_log *log,
                                const struct alarm_conf *conf,
                                struct ist_err *err)
{
    struct alarm_engine *engine = calloc(1, sizeof(*engine));

    if (!engine) {
        ist_err_set(err, -ENOMEM, "the alarms: out of memory");
        return NULL;
    }
    engine->tree = tree;
    engine->log = log;
    engine->conf = *conf;
    engine->next_id = 1;
    RB_INIT(&engine->ids);
    RB_INIT(&engine->keys);
    if (alarm_load(engine, err)) {
        engine->is_stopped = true;
        return alarm_free(engine);
    }
    count_folded(engine);
    engine->place = engine->place_written = events_place_get(log, PLACE);
    engine->follower.more = alarm_on_more;
    events_log_follow(log, &engine->follower);
    ist_timer_arm_in(&engine->tick, ist_tree_loop(tree), 0, alarm_on_tick);
    return engine;
}

void alarm_stop(struct alarm_engine *engine)
{
    if (engine->is_stopped)
        return;
    engine->is_stopped = true;
    events_log_unfollow(&engine->follower);
    ist_timer_disarm(&engine->tick);
    ist_timer_disarm(&engine->go_on);
    alarm_write(engine);
}

bool alarm_busy(const struct alarm_engine *engine)
{
    return engine->write.op.state != IST_OP_IDLE;
}

struct alarm_engine *alarm_free(struct alarm_engine *engine)
{
    struct alarm *alarm;

    if (!engine)
        return NULL;
    assert(engine->is_stopped && !alarm_busy(engine));
    while ((alarm = RB_ROOT(&engine->ids)) != NULL) {
        RB_REMOVE(alarm_ids, &engine->ids, alarm);
        free(alarm->comments);
        free(alarm);
    }
    alarm_store_fini(engine);
    free(engine);
    return NULL;
}
