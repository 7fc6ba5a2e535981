/* What the files of the alarms share. */
#ifndef EVENTS_ALARM_PRIV_H
#define EVENTS_ALARM_PRIV_H

#include "base/sb.h"
#include "events/alarm.h"

RB_HEAD(alarm_ids, alarm);
RB_HEAD(alarm_keys, alarm);
TAILQ_HEAD(alarm_list, alarm);

struct alarm_engine {
    struct ist_tree *tree;
    struct events_log *log;
    struct alarm_conf conf;
    struct alarm_ids ids;   /* All: owned. */
    struct alarm_keys keys; /* Open, or cleared not long ago. */
    size_t n_open, n_cleared;
    uint64_t next_id;
    struct events_follower follower;
    uint64_t place; /* Of the last item taken. */
    struct ist_timer tick, go_on;
    bool is_stopped;

    /* alarm_store.c */
    MDB_dbi map;
    struct alarm_list dirty;
    struct ist_sb gone;   /* Ids to be deleted, uint64_t each. */
    struct ist_sb batch;  /* Being written: read by the pool. */
    uint64_t batch_place; /* 0: not with this one. */
    uint64_t place_written;
    uint64_t written_ms; /* Loop time. */
    struct ist_write write;
};

RB_PROTOTYPE(alarm_ids, alarm, by_id, )
RB_PROTOTYPE(alarm_keys, alarm, by_key, )

#define ALARM_TELL_MS 10000 /* Between two words about one that counts. */

/* alarm.c */

struct alarm *alarm_find_id(struct alarm_engine *, uint64_t id);
/* Of those that are current. */
struct alarm *alarm_find_key(struct alarm_engine *, enum alarm_type,
                             const char *site, const char *object);
/* Raised again, it is another one. */
void alarm_forget_key(struct alarm_engine *, struct alarm *);
/* Copies what fits, whole characters; control characters become spaces. */
void alarm_put_text(char *to, size_t size, const char *text);
uint64_t alarm_wall(const struct alarm_engine *);

/* In the index by id; by key, too, if 'is_current'. NULL: no memory. */
struct alarm *alarm_add(struct alarm_engine *, const struct alarm *);

/* alarm_move.c */

struct alarm_raising {
    enum alarm_type type;
    const char *site, *object, *text;
    enum alarm_severity severity;
    uint64_t when;
};
void alarm_raise(struct alarm_engine *, const struct alarm_raising *);
/* What flaps is cleared when it stays so; NULL and what is cleared is fine. */
void alarm_clear_one(struct alarm_engine *, struct alarm *, uint64_t when);
void alarm_clear_now(struct alarm_engine *, struct alarm *, uint64_t when);
/* The site is no more: nor is what was wrong with it. */
void alarm_clear_site(struct alarm_engine *, const char *site, uint64_t when);
/* Posts the event of that action. */
void alarm_tell(struct alarm_engine *, struct alarm *, const char *action);
/* Has moved; told at once, or by the tick when that was done a moment ago. */
void alarm_changed(struct alarm_engine *, struct alarm *, uint64_t when);

/* alarm_follow.c */

/* Takes what the log has. Harmless at any time. */
void alarm_go_on(struct alarm_engine *);
void alarm_on_more(struct events_follower *);
void alarm_on_tick(struct ist_timer *);

/* alarm_store.c */

int alarm_load(struct alarm_engine *, struct ist_err *err);
/* Will be written. */
void alarm_touch(struct alarm_engine *, struct alarm *);
/* Will be deleted; frees it. */
void alarm_drop(struct alarm_engine *, struct alarm *);
/* Begins to write, if there is something, and nothing under way. */
void alarm_write(struct alarm_engine *);
void alarm_store_fini(struct alarm_engine *);

/* alarm_rules.c */

enum alarm_deed { ALARM_RAISE, ALARM_CLEAR, ALARM_CLEAR_SITE };

enum alarm_about {
    ALARM_ABOUT_SITE,     /* The site as such. */
    ALARM_ABOUT_SUBJECT,  /* The event's subject. */
    ALARM_ABOUT_RESOURCE, /* "server/ID" */
};

/* The first that fits counts. */
struct alarm_rule {
    const char *kind; /* NULL: any kind of resource. */
    const char *action;
    enum events_severity at_least, at_most;
    enum alarm_deed deed;
    enum alarm_type type;
    enum alarm_about about;
};
/* NULL: the event is none of ours. */
const struct alarm_rule *alarm_rule_find(const struct events_item *);

/* The causes, greatest first: while one is open, all of its scope is folded
 * under it. */
struct alarm_cause {
    enum alarm_type type;
    bool is_hubs; /* Explains what all sites have; else what its site has. */
};
extern const struct alarm_cause alarm_causes[];
extern const size_t alarm_n_causes;

#endif
