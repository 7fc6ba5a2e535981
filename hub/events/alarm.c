/* The state of alarms, as events, conditions, operators and time move it.
 *
 *            raise               clear                    linger, flap_ms over
 *   (none) --------> open ------------------> cleared ----------------> kept
 *                     ^ |                        | (history) raise   | | too
 * often              | raise | v                        v flapping: a clear
 * only  open again, the same alarm counts when it stays quiet for flap_ms
 */
#include "events/alarm_priv.h"

#include "base/log.h"
#include "base/utf8.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACE    "alarm"
#define TICK_MS  1000
#define READ_MAX 200   /* Items taken between two writes. */
#define TELL_MAX 200   /* Alarms told of in one tick. */
#define TELL_MS  10000 /* Between two words about one that only counts. */
#define DROP_MAX 1000  /* Old ones dropped in one tick. */

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

/* RB_GENERATE_STATIC wants BSD's __unused, which glibc has not. */
#define UNUSED_STATIC __attribute__((unused)) static
RB_GENERATE_INTERNAL(alarm_ids, alarm, by_id, id_cmp, UNUSED_STATIC)
RB_GENERATE_INTERNAL(alarm_keys, alarm, by_key, key_cmp, UNUSED_STATIC)

static struct alarm *find_id(struct alarm_engine *engine, uint64_t id)
{
    struct alarm want;

    want.id = id;
    return RB_FIND(alarm_ids, &engine->ids, &want);
}

/* Copies what fits, whole characters; control characters become spaces. */
static void put_text(char *to, size_t size, const char *text)
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

static struct alarm *find_key(struct alarm_engine *engine, enum alarm_type type,
                              const char *site, const char *object)
{
    struct alarm want;

    want.type = type;
    put_text(want.site, sizeof(want.site), site);
    put_text(want.object, sizeof(want.object), object);
    return RB_FIND(alarm_keys, &engine->keys, &want);
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
    if (alarm->is_current && RB_INSERT(alarm_keys, &engine->keys, alarm))
        alarm->is_current = false;
    if (alarm->cleared_ms)
        engine->n_cleared++;
    else
        engine->n_open++;
    return alarm;
}

static void forget_key(struct alarm_engine *engine, struct alarm *alarm)
{
    if (alarm->is_current)
        RB_REMOVE(alarm_keys, &engine->keys, alarm);
    alarm->is_current = false;
}

static uint64_t wall(const struct alarm_engine *engine)
{
    return ist_loop_wall(ist_tree_loop(engine->tree));
}

/* Telling */

static enum events_severity told_as(const struct alarm *alarm)
{
    static const enum events_severity as[ALARM_SEVERITIES] = {
        EVENTS_NOTICE, EVENTS_WARNING, EVENTS_ERROR, EVENTS_CRITICAL};

    if (alarm->folded_under)
        return EVENTS_INFO;
    return alarm->cleared_ms ? EVENTS_NOTICE : as[alarm->severity];
}

static void tell(struct alarm_engine *engine, struct alarm *alarm,
                 const char *action)
{
    char id[24], text[ALARM_TEXT_SIZE + ALARM_OBJECT_SIZE + 120];

    snprintf(id, sizeof(id), "%" PRIu64, alarm->id);
    snprintf(text, sizeof(text), "%s alarm %s%s%s: %s",
             alarm_severity_name(alarm->severity), alarm_row(alarm->type)->name,
             *alarm->object ? " of " : "", alarm->object, alarm->text);
    alarm->told_ms = wall(engine);
    alarm->is_untold = false;
    events_post(engine->log, &(struct events_item){.site = alarm->site,
                                                   .severity = told_as(alarm),
                                                   .service = "isthmus",
                                                   .kind = "alarm",
                                                   .action = action,
                                                   .subject = id,
                                                   .text = text});
}

/* Has moved; told at once, or by the tick when that was done a moment ago. */
static void changed(struct alarm_engine *engine, struct alarm *alarm,
                    uint64_t when)
{
    alarm->changed_ms = when;
    alarm_touch(engine, alarm);
    alarm->is_untold = true;
    if (wall(engine) >= alarm->told_ms + TELL_MS)
        tell(engine, alarm, "changed");
}

/* Folding */

static const struct alarm_cause *cause_of(enum alarm_type type)
{
    for (size_t i = 0; i < alarm_n_causes; i++) {
        if (alarm_causes[i].type == type)
            return &alarm_causes[i];
    }
    return NULL;
}

/* The greatest open cause of an alarm; NULL: it stands for itself. */
static struct alarm *find_cause(struct alarm_engine *engine,
                                const struct alarm *alarm)
{
    if (strcmp(alarm->site, ALARM_HUB) == 0)
        return NULL;
    for (size_t i = 0; i < alarm_n_causes; i++) {
        const struct alarm_cause *cause = &alarm_causes[i];
        struct alarm *found;

        if (alarm->type == cause->type)
            break;
        found = find_key(engine, cause->type,
                         cause->is_hubs ? ALARM_HUB : alarm->site, "");
        if (found && !found->cleared_ms)
            return found;
    }
    return NULL;
}

/* True: it is folded otherwise than before. */
static bool fold(struct alarm_engine *engine, struct alarm *alarm)
{
    struct alarm *cause = alarm->cleared_ms ? NULL : find_cause(engine, alarm);
    struct alarm *before =
        alarm->folded_under ? find_id(engine, alarm->folded_under) : NULL;

    if (alarm->folded_under == (cause ? cause->id : 0))
        return false;
    if (before && before->n_folded)
        before->n_folded--;
    if (cause)
        cause->n_folded++;
    alarm->folded_under = cause ? cause->id : 0;
    alarm_touch(engine, alarm);
    return true;
}

/* A cause came or went: what it explains is folded anew. Told by the tick:
 * there may be thousands. */
static void fold_others(struct alarm_engine *engine, const struct alarm *alarm)
{
    const struct alarm_cause *cause = cause_of(alarm->type);
    struct alarm first = {.type = 0}, *other;

    if (!cause)
        return;
    if (!cause->is_hubs)
        memcpy(first.site, alarm->site, sizeof(first.site));
    for (other = RB_NFIND(alarm_keys, &engine->keys, &first); other;
         other = RB_NEXT(alarm_keys, &engine->keys, other)) {
        if (!cause->is_hubs && strcmp(other->site, alarm->site) != 0)
            break;
        if (!other->cleared_ms && fold(engine, other))
            other->is_untold = true;
    }
}

/* Raising */

static void set_severity(struct alarm *alarm, enum alarm_severity severity)
{
    /* What got worse is to be looked at again. */
    if (severity > alarm->severity)
        alarm->ack_ms = 0;
    alarm->severity = severity;
}

struct raising {
    enum alarm_type type;
    const char *site, *object, *text;
    enum alarm_severity severity;
    uint64_t when;
};

static void raise_one(struct alarm_engine *, const struct raising *);

static void note_too_many(struct alarm_engine *engine, uint64_t when)
{
    struct raising raising = {
        .type = ALARM_TOO_MANY,
        .site = ALARM_HUB,
        .object = "",
        .text = "so many alarms are open that new ones are only counted here",
        .severity = alarm_row(ALARM_TOO_MANY)->severity,
        .when = when};

    raise_one(engine, &raising);
}

/* Causes and the hub's own are few, and never left out. */
static bool is_too_many(const struct alarm_engine *engine,
                        const struct raising *raising)
{
    return engine->n_open >= engine->conf.max && !cause_of(raising->type) &&
           strcmp(raising->site, ALARM_HUB) != 0;
}

static void raise_new(struct alarm_engine *engine,
                      const struct raising *raising)
{
    struct alarm given = {.id = engine->next_id,
                          .type = raising->type,
                          .severity = raising->severity,
                          .raised_ms = raising->when,
                          .changed_ms = raising->when,
                          .count = 1,
                          .flap_from_ms = raising->when,
                          .is_current = true};
    struct alarm *alarm;

    if (is_too_many(engine, raising)) {
        note_too_many(engine, raising->when);
        return;
    }
    put_text(given.site, sizeof(given.site), raising->site);
    put_text(given.object, sizeof(given.object), raising->object);
    put_text(given.text, sizeof(given.text), raising->text);
    alarm = alarm_add(engine, &given);
    if (!alarm) {
        ist_log_error("alarms", "out of memory: %s at %s is not raised",
                      alarm_row(raising->type)->name, raising->site);
        return;
    }
    engine->next_id++;
    alarm_touch(engine, alarm);
    fold(engine, alarm);
    tell(engine, alarm, "raised");
    fold_others(engine, alarm);
}

/* Came back: does it flap? */
static void note_flap(struct alarm_engine *engine, struct alarm *alarm,
                      uint64_t when)
{
    if (when > alarm->flap_from_ms + engine->conf.flap_ms) {
        alarm->flap_from_ms = when;
        alarm->n_flaps = 0;
    }
    alarm->n_flaps++;
    if (alarm->n_flaps >= engine->conf.flaps)
        alarm->is_flapping = true;
}

static void reopen(struct alarm_engine *engine, struct alarm *alarm,
                   const struct raising *raising)
{
    bool was_flapping = alarm->is_flapping;

    alarm->cleared_ms = 0;
    engine->n_cleared--;
    engine->n_open++;
    alarm->count++;
    note_flap(engine, alarm, raising->when);
    set_severity(alarm, raising->severity);
    put_text(alarm->text, sizeof(alarm->text), raising->text);
    alarm->changed_ms = raising->when;
    alarm_touch(engine, alarm);
    fold(engine, alarm);
    tell(engine, alarm,
         alarm->is_flapping && !was_flapping ? "changed" : "raised");
    fold_others(engine, alarm);
}

static void raise_again(struct alarm_engine *engine, struct alarm *alarm,
                        const struct raising *raising)
{
    bool moved = alarm->severity != raising->severity;

    alarm->count++;
    alarm->quiet_ms = 0;
    set_severity(alarm, raising->severity);
    put_text(alarm->text, sizeof(alarm->text), raising->text);
    if (moved)
        alarm->told_ms = 0;
    changed(engine, alarm, raising->when);
}

static void raise_one(struct alarm_engine *engine,
                      const struct raising *raising)
{
    struct alarm *alarm =
        find_key(engine, raising->type, raising->site, raising->object);

    if (alarm && alarm->cleared_ms &&
        raising->when > alarm->cleared_ms + engine->conf.flap_ms) {
        forget_key(engine, alarm);
        alarm = NULL;
    }
    if (!alarm)
        raise_new(engine, raising);
    else if (alarm->cleared_ms)
        reopen(engine, alarm, raising);
    else
        raise_again(engine, alarm, raising);
}

/* Clearing */

static void clear_now(struct alarm_engine *engine, struct alarm *alarm,
                      uint64_t when)
{
    alarm->cleared_ms = when ? when : 1;
    alarm->changed_ms = when;
    alarm->quiet_ms = 0;
    engine->n_open--;
    engine->n_cleared++;
    fold(engine, alarm);
    alarm_touch(engine, alarm);
    tell(engine, alarm, "cleared");
    fold_others(engine, alarm);
}

/* What flaps is cleared when it stays so. */
static void clear_one(struct alarm_engine *engine, struct alarm *alarm,
                      uint64_t when)
{
    if (!alarm || alarm->cleared_ms || alarm->quiet_ms)
        return;
    if (!alarm->is_flapping) {
        clear_now(engine, alarm, when);
        return;
    }
    alarm->quiet_ms = when;
    alarm_touch(engine, alarm);
}

/* The site is no more: nor is what was wrong with it. */
static void clear_site(struct alarm_engine *engine, const char *site,
                       uint64_t when)
{
    struct alarm first = {.type = 0}, *alarm;

    put_text(first.site, sizeof(first.site), site);
    for (alarm = RB_NFIND(alarm_keys, &engine->keys, &first);
         alarm && strcmp(alarm->site, first.site) == 0;
         alarm = RB_NEXT(alarm_keys, &engine->keys, alarm)) {
        alarm->is_flapping = false;
        alarm->quiet_ms = 0;
        clear_one(engine, alarm, when);
    }
}

/* From the log */

static void name_object(const struct alarm_rule *rule,
                        const struct events_item *item, char *buf, size_t size)
{
    buf[0] = '\0';
    if (rule->about == ALARM_ABOUT_SUBJECT)
        snprintf(buf, size, "%s", item->subject);
    if (rule->about == ALARM_ABOUT_RESOURCE)
        snprintf(buf, size, "%s/%s", item->kind, item->subject);
}

static void follow_rule(struct alarm_engine *engine,
                        const struct alarm_rule *rule,
                        const struct events_item *item)
{
    char object[ALARM_OBJECT_SIZE + 64];
    struct raising raising = {.type = rule->type,
                              .site = item->site,
                              .object = object,
                              .text = item->text,
                              .when = item->received_ms};

    if (rule->deed == ALARM_CLEAR_SITE) {
        clear_site(engine, item->site, item->received_ms);
        return;
    }
    if (rule->type == ALARM_RESOURCE_ERROR && !engine->conf.resources)
        return;
    name_object(rule, item, object, sizeof(object));
    raising.severity = alarm_row(rule->type)->severity;
    if (rule->deed == ALARM_RAISE)
        raise_one(engine, &raising);
    else
        clear_one(engine, find_key(engine, rule->type, item->site, object),
                  item->received_ms);
}

static bool take(void *arg, const struct events_item *item)
{
    const struct alarm_rule *rule = alarm_rule_find(item);

    if (rule)
        follow_rule(arg, rule, item);
    return true;
}

static void on_go_on(struct ist_timer *timer)
{
    alarm_go_on(IST_CONTAINER(timer, struct alarm_engine, go_on));
}

/* While something is written nothing more is taken: so a flood of events waits
 * in the log, where it has room, and not here. */
void alarm_go_on(struct alarm_engine *engine)
{
    uint64_t last, first, end;
    struct ist_err err;

    if (engine->is_stopped || alarm_busy(engine))
        return;
    events_log_range(engine->log, &first, &end);
    if (engine->place >= end) {
        alarm_write(engine);
        return;
    }
    if (events_log_read(engine->log, engine->place, READ_MAX, take, engine,
                        &last, &err)) {
        ist_log_warn("alarms", "%s", err.text);
        return; /* The tick tries again. */
    }
    engine->place = last;
    alarm_write(engine);
    if (last < end && !alarm_busy(engine))
        ist_timer_arm_in(&engine->go_on, ist_tree_loop(engine->tree), 0,
                         on_go_on);
}

static void on_more(struct events_follower *follower)
{
    alarm_go_on(IST_CONTAINER(follower, struct alarm_engine, follower));
}

/* From time */

static void check_quiet(struct alarm_engine *engine, struct alarm *alarm,
                        uint64_t now)
{
    uint64_t expires = alarm_row(alarm->type)->expires_ms;

    if (alarm->is_flapping && alarm->quiet_ms &&
        now >= alarm->quiet_ms + engine->conf.flap_ms) {
        alarm->is_flapping = false;
        alarm->n_flaps = 0;
        clear_now(engine, alarm, now);
    } else if (expires && now >= alarm->changed_ms + expires) {
        clear_now(engine, alarm, now);
    } else if (alarm->type == ALARM_TOO_MANY &&
               engine->n_open < engine->conf.max - engine->conf.max / 10) {
        clear_now(engine, alarm, now);
    }
}

static bool is_old(const struct alarm_engine *engine, const struct alarm *alarm,
                   uint64_t now)
{
    return now >= alarm->cleared_ms + engine->conf.keep_ms ||
           (engine->n_cleared > engine->conf.keep_items &&
            now >= alarm->cleared_ms + engine->conf.linger_ms);
}

static void look_over(struct alarm_engine *engine)
{
    uint64_t now = wall(engine);
    size_t n_told = 0, n_dropped = 0;
    struct alarm *alarm, *next;

    for (alarm = RB_MIN(alarm_ids, &engine->ids); alarm; alarm = next) {
        next = RB_NEXT(alarm_ids, &engine->ids, alarm);
        if (!alarm->cleared_ms)
            check_quiet(engine, alarm, now);
        else if (n_dropped < DROP_MAX && is_old(engine, alarm, now)) {
            forget_key(engine, alarm);
            RB_REMOVE(alarm_ids, &engine->ids, alarm);
            engine->n_cleared--;
            n_dropped++;
            alarm_drop(engine, alarm);
            continue;
        }
        if (alarm->is_untold && n_told < TELL_MAX &&
            now >= alarm->told_ms + TELL_MS) {
            n_told++;
            tell(engine, alarm, "changed");
        }
    }
}

static void on_tick(struct ist_timer *timer)
{
    struct alarm_engine *engine =
        IST_CONTAINER(timer, struct alarm_engine, tick);

    look_over(engine);
    alarm_go_on(engine);
    ist_timer_arm_in(timer, ist_tree_loop(engine->tree), TICK_MS, on_tick);
}

/* From those who look */

void alarm_condition(struct alarm_engine *engine,
                     const struct alarm_condition *condition)
{
    struct alarm *alarm =
        find_key(engine, condition->type, condition->site, condition->object);
    struct raising raising = {.type = condition->type,
                              .site = condition->site,
                              .object = condition->object,
                              .text = condition->text,
                              .when = wall(engine)};

    raising.severity = condition->severity
                           ? *condition->severity
                           : alarm_row(condition->type)->severity;
    if (!condition->on) {
        clear_one(engine, alarm, raising.when);
    } else if (!alarm || alarm->cleared_ms || alarm->quiet_ms ||
               alarm->severity != raising.severity) {
        raise_one(engine, &raising);
    } else if (strncmp(alarm->text, condition->text, sizeof(alarm->text) - 4) !=
               0) {
        put_text(alarm->text, sizeof(alarm->text), condition->text);
        changed(engine, alarm, raising.when);
    }
    alarm_write(engine);
}

/* Operators */

int alarm_ack(struct alarm_engine *engine, uint64_t id, const char *by)
{
    struct alarm *alarm = find_id(engine, id);

    if (!alarm)
        return -ENOENT;
    if (alarm->ack_ms)
        return -EALREADY;
    alarm->ack_ms = alarm->changed_ms = wall(engine);
    put_text(alarm->ack_by, sizeof(alarm->ack_by), by);
    alarm_touch(engine, alarm);
    tell(engine, alarm, "acknowledged");
    alarm_write(engine);
    return 0;
}

int alarm_unack(struct alarm_engine *engine, uint64_t id, const char *by)
{
    struct alarm *alarm = find_id(engine, id);

    (void) by;
    if (!alarm)
        return -ENOENT;
    if (!alarm->ack_ms)
        return -EALREADY;
    alarm->ack_ms = 0;
    alarm->changed_ms = wall(engine);
    alarm_touch(engine, alarm);
    tell(engine, alarm, "changed");
    alarm_write(engine);
    return 0;
}

static int add_comment(struct alarm *alarm, const struct alarm_comment *comment)
{
    struct alarm_comment *comments = alarm->comments;

    if (alarm->n_comments == ALARM_COMMENTS_MAX) {
        memmove(comments, comments + 1,
                (ALARM_COMMENTS_MAX - 1) * sizeof(*comments));
        alarm->n_comments--;
    } else {
        comments =
            reallocarray(comments, alarm->n_comments + 1, sizeof(*comments));
        if (!comments)
            return -ENOMEM;
        alarm->comments = comments;
    }
    comments[alarm->n_comments++] = *comment;
    return 0;
}

static int comment_on(struct alarm_engine *engine, struct alarm *alarm,
                      const char *by, const char *text)
{
    struct alarm_comment comment = {.at_ms = wall(engine)};
    int rc;

    put_text(comment.by, sizeof(comment.by), by);
    put_text(comment.text, sizeof(comment.text), text);
    rc = add_comment(alarm, &comment);
    if (rc == 0) {
        alarm->changed_ms = comment.at_ms;
        alarm_touch(engine, alarm);
    }
    return rc;
}

int alarm_comment(struct alarm_engine *engine, uint64_t id, const char *by,
                  const char *text)
{
    struct alarm *alarm = find_id(engine, id);
    int rc = alarm ? comment_on(engine, alarm, by, text) : -ENOENT;

    if (rc == 0) {
        tell(engine, alarm, "commented");
        alarm_write(engine);
    }
    return rc;
}

int alarm_clear(struct alarm_engine *engine, uint64_t id, const char *by)
{
    struct alarm *alarm = find_id(engine, id);

    if (!alarm)
        return -ENOENT;
    if (alarm->cleared_ms)
        return -EALREADY;
    comment_on(engine, alarm, by, "cleared by hand");
    alarm->is_flapping = false;
    alarm->n_flaps = 0;
    clear_now(engine, alarm, wall(engine));
    alarm_write(engine);
    return 0;
}

/* Looking */

const struct alarm *alarm_find(struct alarm_engine *engine, uint64_t id)
{
    return find_id(engine, id);
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
           wall(engine) < alarm->cleared_ms + engine->conf.linger_ms;
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
        cause =
            alarm->folded_under ? find_id(engine, alarm->folded_under) : NULL;
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
    engine->follower.more = on_more;
    events_log_follow(log, &engine->follower);
    ist_timer_arm_in(&engine->tick, ist_tree_loop(tree), 0, on_tick);
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
