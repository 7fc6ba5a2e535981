/* What operators do about alarms. */
#include "events/alarm_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int alarm_ack(struct alarm_engine *engine, uint64_t id, const char *by)
{
    struct alarm *alarm = alarm_find_id(engine, id);

    if (!alarm)
        return -ENOENT;
    if (alarm->ack_ms)
        return -EALREADY;
    alarm->ack_ms = alarm->changed_ms = alarm_wall(engine);
    alarm_put_text(alarm->ack_by, sizeof(alarm->ack_by), by);
    alarm_touch(engine, alarm);
    alarm_tell(engine, alarm, "acknowledged");
    alarm_write(engine);
    return 0;
}

int alarm_unack(struct alarm_engine *engine, uint64_t id, const char *by)
{
    struct alarm *alarm = alarm_find_id(engine, id);

    (void) by;
    if (!alarm)
        return -ENOENT;
    if (!alarm->ack_ms)
        return -EALREADY;
    alarm->ack_ms = 0;
    alarm->changed_ms = alarm_wall(engine);
    alarm_touch(engine, alarm);
    alarm_tell(engine, alarm, "changed");
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
    struct alarm_comment comment = {.at_ms = alarm_wall(engine)};
    int rc;

    alarm_put_text(comment.by, sizeof(comment.by), by);
    alarm_put_text(comment.text, sizeof(comment.text), text);
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
    struct alarm *alarm = alarm_find_id(engine, id);
    int rc = alarm ? comment_on(engine, alarm, by, text) : -ENOENT;

    if (rc == 0) {
        alarm_tell(engine, alarm, "commented");
        alarm_write(engine);
    }
    return rc;
}

int alarm_clear(struct alarm_engine *engine, uint64_t id, const char *by)
{
    struct alarm *alarm = alarm_find_id(engine, id);

    if (!alarm)
        return -ENOENT;
    if (alarm->cleared_ms)
        return -EALREADY;
    comment_on(engine, alarm, by, "cleared by hand");
    alarm->is_flapping = false;
    alarm->n_flaps = 0;
    alarm_clear_now(engine, alarm, alarm_wall(engine));
    alarm_write(engine);
    return 0;
}
