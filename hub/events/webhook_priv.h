/* Between the files of webhooks: webhook.c is their life and what is ordered,
 * webhook_record.c how they are kept, webhook_send.c the deliveries. */
#ifndef EVENTS_WEBHOOK_PRIV_H
#define EVENTS_WEBHOOK_PRIV_H

#include "events/guard.h"
#include "events/place.h"
#include "events/webhook.h"
#include "http/client.h"

#include <bsd/sys/queue.h>

struct hook {
    struct webhook pub;
    TAILQ_ENTRY(hook) link;
    struct webhooks *hooks;
    struct events_place place;
    struct ist_timer turn; /* Reading on, or trying again. */

    /* The delivery under way, or to be tried again. */
    struct ist_sb body;
    uint64_t window_end; /* Place behind it. */
    char delivery[240];  /* Its webhook-id; "": there is none. */
    const char *content_type;
    struct ist_sb signature;
    char headers[5][512];
    const char *header_list[6];
    struct ist_http_call call;
    unsigned n_tries;

    struct ist_write save;
    struct ist_sb record;
    bool is_dirty, is_gone; /* Gone: freed when nothing is under way. */
};

TAILQ_HEAD(hooks, hook);

struct webhooks {
    struct ist_loop *loop;
    struct ist_tree *tree;
    struct events_log *log;
    struct webhooks_conf conf;
    struct events_guard guard;
    struct ist_http *http; /* Owned. */
    MDB_dbi map;
    struct hooks all; /* By id, rising: ids are given so. */
    struct events_follower follower;
    uint64_t next_id, n, n_orders, n_gone;
    bool is_stopped;
    struct webhooks_counts counts; /* Of requests. */
};

/* webhook.c */

bool hook_is_busy(const struct hook *);
/* Frees one that is gone and has nothing under way. */
void hook_settle(struct hook *);
/* What is to survive has changed. */
void hook_changed(struct hook *);
/* Disabled for good, or until somebody enables it. */
void hook_disable(struct hook *, const char *why);
void hook_name_place(uint64_t id, char buf[EVENTS_PLACE_NAME_SIZE]);

/* webhook_record.c */

void hook_record_write(const struct webhook *, struct ist_sb *out);
/* False: it is none of ours. What it owns is the caller's. */
bool hook_record_read(const void *data, size_t size, struct webhook *ret);

/* webhook_url.c is webhooks_check_url(). */

/* webhook_send.c */

/* Is there something to deliver? Harmless at any time. */
void hook_go_on(struct hook *);
/* Ends what is under way, soon. */
void hook_stop(struct hook *);

#endif
