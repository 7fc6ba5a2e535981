/* The state of alarms, as events, conditions, operators and time move it.
 *
 *            raise         clear
 *   (none) --------> open -------> cleared --> history, after flap_ms
 *                    |  ^             |
 *          too often |  +-------------+ raise: the same alarm
 *                    v
 *                 flapping: a clear counts when it stays quiet for flap_ms
 */
#include "events/alarm_priv.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Telling */

static enum events_severity told_as(const struct alarm *alarm)
{
    static const enum events_severity as[ALARM_SEVERITIES] = {
        EVENTS_NOTICE, EVENTS_WARNING, EVENTS_ERROR, EVENTS_CRITICAL};

    if (alarm->folded_under)
        return EVENTS_INFO;
    return alarm->cleared_ms ? EVENTS_NOTICE : as[alarm->severity];
}

void alarm_tell(struct alarm_engine *engine, struct alarm *alarm,
                const char *action)
{
    char id[24], text[ALARM_TEXT_SIZE + ALARM_OBJECT_SIZE + 120];

    snprintf(id, sizeof(id), "%" PRIu64, alarm->id);
    snprintf(text, sizeof(text), "%s alarm %s%s%s: %s",
             alarm_severity_name(alarm->severity), alarm_row(alarm->type)->name,
             *alarm->object ? " of " : "", alarm->object, alarm->text);
    alarm->told_ms = alarm_wall(engine);
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
void alarm_changed(struct alarm_engine *engine, struct alarm *alarm,
                   uint64_t when)
{
    alarm->changed_ms = when;
    alarm_touch(engine, alarm);
    alarm->is_untold = true;
    if (alarm_wall(engine) >= alarm->told_ms + ALARM_TELL_MS)
        alarm_tell(engine, alarm, "changed");
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

/* The greatest open cause of an alarm; NULL: it stands for itself. A cause that
 * only might come back explains nothing. */
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
        found = alarm_find_key(engine, cause->type,
                               cause->is_hubs ? ALARM_HUB : alarm->site, "");
        if (found && !found->cleared_ms && !found->quiet_ms)
            return found;
    }
    return NULL;
}

/* True: it is folded otherwise than before. */
static bool fold(struct alarm_engine *engine, struct alarm *alarm)
{
    struct alarm *cause = alarm->cleared_ms ? NULL : find_cause(engine, alarm);
    struct alarm *before =
        alarm->folded_under ? alarm_find_id(engine, alarm->folded_under) : NULL;

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

static void note_too_many(struct alarm_engine *engine, uint64_t when)
{
    struct alarm_raising raising = {
        .type = ALARM_TOO_MANY,
        .site = ALARM_HUB,
        .object = "",
        .text = "so many alarms are open that new ones are only counted here",
        .severity = alarm_row(ALARM_TOO_MANY)->severity,
        .when = when};

    alarm_raise(engine, &raising);
}

/* Causes and the hub's own are few, and never left out. */
static bool is_too_many(const struct alarm_engine *engine,
                        const struct alarm_raising *raising)
{
    return engine->n_open >= engine->conf.max && !cause_of(raising->type) &&
           strcmp(raising->site, ALARM_HUB) != 0;
}

static void raise_new(struct alarm_engine *engine,
                      const struct alarm_raising *raising)
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
    alarm_put_text(given.site, sizeof(given.site), raising->site);
    alarm_put_text(given.object, sizeof(given.object), raising->object);
    alarm_put_text(given.text, sizeof(given.text), raising->text);
    alarm = alarm_add(engine, &given);
    if (!alarm) {
        ist_log_error("alarms", "out of memory: %s at %s is not raised",
                      alarm_row(raising->type)->name, raising->site);
        return;
    }
    engine->next_id++;
    alarm_touch(engine, alarm);
    fold(engine, alarm);
    alarm_tell(engine, alarm, "raised");
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
                   const struct alarm_raising *raising)
{
    bool was_flapping = alarm->is_flapping;

    alarm->cleared_ms = 0;
    engine->n_cleared--;
    engine->n_open++;
    alarm->count++;
    note_flap(engine, alarm, raising->when);
    set_severity(alarm, raising->severity);
    alarm_put_text(alarm->text, sizeof(alarm->text), raising->text);
    alarm->changed_ms = raising->when;
    alarm_touch(engine, alarm);
    fold(engine, alarm);
    alarm_tell(engine, alarm,
               alarm->is_flapping && !was_flapping ? "changed" : "raised");
    fold_others(engine, alarm);
}

static void raise_again(struct alarm_engine *engine, struct alarm *alarm,
                        const struct alarm_raising *raising)
{
    bool moved = alarm->severity != raising->severity;
    bool was_quiet = alarm->quiet_ms != 0;

    alarm->count++;
    alarm->quiet_ms = 0;
    set_severity(alarm, raising->severity);
    alarm_put_text(alarm->text, sizeof(alarm->text), raising->text);
    if (moved)
        alarm->told_ms = 0;
    alarm_changed(engine, alarm, raising->when);
    if (was_quiet)
        fold_others(engine, alarm);
}

void alarm_raise(struct alarm_engine *engine,
                 const struct alarm_raising *raising)
{
    struct alarm *alarm =
        alarm_find_key(engine, raising->type, raising->site, raising->object);

    if (alarm && alarm->cleared_ms &&
        raising->when > alarm->cleared_ms + engine->conf.flap_ms) {
        alarm_forget_key(engine, alarm);
        alarm_touch(engine, alarm); /* Nor is it the current one when read. */
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

void alarm_clear_now(struct alarm_engine *engine, struct alarm *alarm,
                     uint64_t when)
{
    alarm->cleared_ms = when ? when : 1;
    alarm->changed_ms = when;
    alarm->quiet_ms = 0;
    engine->n_open--;
    engine->n_cleared++;
    fold(engine, alarm);
    alarm_touch(engine, alarm);
    alarm_tell(engine, alarm, "cleared");
    fold_others(engine, alarm);
}

/* What flaps is cleared when it stays so. */
void alarm_clear_one(struct alarm_engine *engine, struct alarm *alarm,
                     uint64_t when)
{
    if (!alarm || alarm->cleared_ms || alarm->quiet_ms)
        return;
    if (!alarm->is_flapping) {
        alarm_clear_now(engine, alarm, when);
        return;
    }
    alarm->quiet_ms = when;
    alarm_changed(engine, alarm, when);
    fold_others(engine, alarm);
}

/* The site is no more: nor is what was wrong with it. */
void alarm_clear_site(struct alarm_engine *engine, const char *site,
                      uint64_t when)
{
    struct alarm first = {.type = 0}, *alarm;

    alarm_put_text(first.site, sizeof(first.site), site);
    for (alarm = RB_NFIND(alarm_keys, &engine->keys, &first);
         alarm && strcmp(alarm->site, first.site) == 0;
         alarm = RB_NEXT(alarm_keys, &engine->keys, alarm)) {
        alarm->is_flapping = false;
        alarm->quiet_ms = 0;
        alarm_clear_one(engine, alarm, when);
    }
}
