/* Webhooks: readers of the log that are called over HTTP. Each has its own
 * place in it and is told the events that its filters let through, in their
 * order, one request at a time: a CloudEvent in structured mode, or, with a
 * batch above 1, an array of up to so many ("CloudEvents HTTP Protocol
 * Binding 1.0", sections 3.2 and 3.3), signed by Standard Webhooks 1.0.
 *
 * Any 2xx takes it. Anything else is tried again, the same bytes under the
 * same webhook-id, at growing intervals; after webhooks.give_up without one
 * success, or at 410, the webhook is disabled, which is an event and raises an
 * alarm. Enabled again it goes on where it was. Redirects are never followed,
 * and no address is connected to that events/guard.h does not allow.
 *
 * All of it belongs to the loop's thread. */
#ifndef EVENTS_WEBHOOK_H
#define EVENTS_WEBHOOK_H

#include "base/row.h"
#include "events/filter.h"
#include "events/sign.h"

#define WEBHOOK_URL_SIZE   1024
#define WEBHOOK_TEXT_SIZE  256
#define WEBHOOK_BATCH_MAX  100
#define WEBHOOK_OLD_KEY_MS (24ULL * 3600 * 1000)

struct webhooks_conf {
    uint64_t max;        /* Webhooks at once; more are refused. */
    uint64_t timeout_ms; /* Of one delivery. */
    uint64_t give_up_ms;
    char *networks; /* As events_guard_init() takes them. */
    char *ca_file;  /* NULL: what the system trusts. */
    bool http;      /* http://, too. */
};

extern const struct ist_row webhooks_rows[];

/* What its owner may choose. */
struct webhook_want {
    char url[WEBHOOK_URL_SIZE], description[WEBHOOK_TEXT_SIZE];
    struct events_filter filter; /* Owned. */
    uint64_t batch_max;          /* 1 to WEBHOOK_BATCH_MAX. */
    struct events_key key;       /* Size 0: one is made. */
};

struct webhook {
    uint64_t id;
    struct webhook_want want;
    struct events_key old_key; /* Signs, too, until 'old_until_ms'. */
    uint64_t old_until_ms;
    bool is_disabled;
    char reason[WEBHOOK_TEXT_SIZE]; /* Of the last failure; "" after success. */
    uint64_t created_ms;
    uint64_t failing_ms;   /* Since when nothing was taken; 0: all is well. */
    uint64_t retry_ms;     /* When it is tried again; 0: at the next event. */
    uint64_t delivered_ms; /* Last success since the start; 0: none. */
    int status;            /* Of the last answer; 0: none came. */
    uint64_t n_delivered, n_failed; /* Requests, since the start. */
};

struct webhooks;

/* All borrowed; 'conf' is copied, its texts borrowed. NULL with 'err'. */
struct webhooks *webhooks_open(struct ist_tree *, struct events_log *,
                               const struct webhooks_conf *, struct ist_err *);
/* Ends deliveries; soon webhooks_busy() says no. */
void webhooks_stop(struct webhooks *);
bool webhooks_busy(const struct webhooks *);
/* Stopped and not busy. NULL is fine; returns NULL. */
struct webhooks *webhooks_free(struct webhooks *);

/* By id, rising; the first after 0. NULL: no more. Borrowed until the next
 * turn of the loop. */
const struct webhook *webhooks_after(const struct webhooks *, uint64_t id);
const struct webhook *webhooks_find(const struct webhooks *, uint64_t id);
/* Events that it has not passed yet, whether it wants them or not. */
uint64_t webhooks_behind(const struct webhooks *, const struct webhook *);

/* May there be one of that URL? -EINVAL with 'err' filled in a sentence's
 * part. */
int webhooks_check_url(const struct webhooks *, const char *url,
                       struct ist_err *err);

/* A change that somebody ordered: 'done' is called from the loop when it is on
 * disk, and counts from then on. Embedded by who orders, untouched meanwhile.
 */
enum webhook_deed {
    WEBHOOK_ADD, /* Begins with the next event. */
    WEBHOOK_DROP,
    WEBHOOK_ENABLE, /* Goes on where it was; one that waits tries at once. */
    WEBHOOK_ROTATE, /* A new key; the old one signs beside it for a day. */
};

struct webhook_order {
    enum webhook_deed deed;
    uint64_t id;              /* Of which; set for WEBHOOK_ADD. */
    struct webhook_want want; /* For WEBHOOK_ADD; taken over when done. */
    void (*done)(struct webhook_order *);

    int rc; /* 0; -ENOENT; -ENOSPC: as many as there may be; faults. */
    struct ist_err err;

    /* Private. */
    struct webhooks *hooks;
    struct ist_write write;
    struct ist_sb record;
    struct events_key key;
    uint64_t place;
};

/* Fails at once by calling 'done' in the loop's next turn, too. */
void webhooks_order(struct webhooks *, struct webhook_order *);

struct webhooks_counts {
    uint64_t taken, refused, unanswered; /* Requests: 2xx; others; none. */
    uint64_t active, failing, disabled;  /* Webhooks, each in one of them. */
};
void webhooks_count(const struct webhooks *, struct webhooks_counts *ret);

#endif
