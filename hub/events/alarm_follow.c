/* Who moves alarms by themselves: the log, time, and those who look. */
#include "events/alarm_priv.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define TICK_MS  1000
#define READ_MAX 200  /* Items taken between two writes. */
#define TELL_MAX 200  /* Alarms told of in one tick. */
#define DROP_MAX 1000 /* Old ones dropped in one tick. */

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
    struct alarm_raising raising = {.type = rule->type,
                                    .site = item->site,
                                    .object = object,
                                    .text = item->text,
                                    .when = item->received_ms};

    if (rule->deed == ALARM_CLEAR_SITE) {
        alarm_clear_site(engine, item->site, item->received_ms);
        return;
    }
    if (rule->type == ALARM_RESOURCE_ERROR && !engine->conf.resources)
        return;
    name_object(rule, item, object, sizeof(object));
    raising.severity = alarm_row(rule->type)->severity;
    if (rule->deed == ALARM_RAISE)
        alarm_raise(engine, &raising);
    else
        alarm_clear_one(engine,
                        alarm_find_key(engine, rule->type, item->site, object),
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

void alarm_on_more(struct events_follower *follower)
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
        alarm_clear_now(engine, alarm, now);
    } else if (expires && now >= alarm->changed_ms + expires) {
        alarm_clear_now(engine, alarm, now);
    } else if (alarm->type == ALARM_TOO_MANY &&
               engine->n_open < engine->conf.max - engine->conf.max / 10) {
        alarm_clear_now(engine, alarm, now);
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
    uint64_t now = alarm_wall(engine);
    size_t n_told = 0, n_dropped = 0;
    struct alarm *alarm, *next;

    for (alarm = RB_MIN(alarm_ids, &engine->ids); alarm; alarm = next) {
        next = RB_NEXT(alarm_ids, &engine->ids, alarm);
        if (!alarm->cleared_ms)
            check_quiet(engine, alarm, now);
        else if (n_dropped < DROP_MAX && is_old(engine, alarm, now)) {
            alarm_forget_key(engine, alarm);
            RB_REMOVE(alarm_ids, &engine->ids, alarm);
            engine->n_cleared--;
            n_dropped++;
            alarm_drop(engine, alarm);
            continue;
        }
        if (alarm->is_untold && n_told < TELL_MAX &&
            now >= alarm->told_ms + ALARM_TELL_MS) {
            n_told++;
            alarm_tell(engine, alarm, "changed");
        }
    }
}

void alarm_on_tick(struct ist_timer *timer)
{
    struct alarm_engine *engine =
        IST_CONTAINER(timer, struct alarm_engine, tick);

    look_over(engine);
    alarm_go_on(engine);
    ist_timer_arm_in(timer, ist_tree_loop(engine->tree), TICK_MS,
                     alarm_on_tick);
}
/* From those who look */

void alarm_condition(struct alarm_engine *engine,
                     const struct alarm_condition *condition)
{
    struct alarm *alarm = alarm_find_key(engine, condition->type,
                                         condition->site, condition->object);
    struct alarm_raising raising = {.type = condition->type,
                                    .site = condition->site,
                                    .object = condition->object,
                                    .text = condition->text,
                                    .when = alarm_wall(engine)};

    raising.severity = condition->severity
                           ? *condition->severity
                           : alarm_row(condition->type)->severity;
    if (!condition->on) {
        alarm_clear_one(engine, alarm, raising.when);
    } else if (!alarm || alarm->cleared_ms || alarm->quiet_ms ||
               alarm->severity != raising.severity) {
        alarm_raise(engine, &raising);
    } else if (strncmp(alarm->text, condition->text, sizeof(alarm->text) - 4) !=
               0) {
        alarm_put_text(alarm->text, sizeof(alarm->text), condition->text);
        alarm_changed(engine, alarm, raising.when);
    }
    alarm_write(engine);
}
