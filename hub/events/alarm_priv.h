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

/* alarm.c */

/* In the index by id; by key, too, if 'is_current'. NULL: no memory. */
struct alarm *alarm_add(struct alarm_engine *, const struct alarm *);
/* From the log, and what is due. Harmless at any time. */
void alarm_go_on(struct alarm_engine *);

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
