/* The agent's ear at the site's own RabbitMQ: the services' notifications, as
 * hints for the feed.
 *
 * One connection, one consumer for each service of os/services.c, each with a
 * queue of its own that is gone when the agent is: what other programs of the
 * site get stays theirs, and nothing piles up. A message becomes
 * feed_touch(kind, id); of what else is in it nothing is kept
 * (notify_read.h).
 *
 * A service counts as telling its changes (feed_notified()) while its consumer
 * is in place, and once it has told one: an exchange alone proves nothing, for
 * services use theirs for calls too.
 *
 * Nothing here is needed for the feed to be right. What is not heard, or not
 * understood, is found by reading the kinds again. */
#ifndef FEED_NOTIFY_H
#define FEED_NOTIFY_H

#include "base/row.h"
#include "feed/feed.h"
#include "feed/notify_read.h"

struct notify_conf {
    /* Of a file with nothing but oslo.messaging's transport_url, as in
     * nova.conf, and for nobody else to read. NULL: polling only. */
    char *transport_url_file;
    char *ca;              /* PEM file; NULL: what the system trusts. */
    bool declare;          /* Make an exchange that is not there yet. */
    uint64_t queue_max;    /* Messages that wait at the broker; beyond it the */
    uint64_t queue_ttl_ms; /* oldest go, as do those older than this. */
};

extern const struct ist_row notify_rows[];

struct notify;

/* Counted for metrics; only ever rise, but 'told'. */
struct notify_counts {
    uint64_t received, wanted, faults[NOTIFY_FAULTS];
    uint64_t told; /* Services that tell their changes now. */
};

/* Can the file be read, and is there a transport URL in it? */
int notify_check(const struct notify_conf *, struct ist_err *err);

/* The file is read, and connecting begins. All is borrowed until closed. NULL
 * with 'err': the file cannot be read, or what is in it not understood. */
struct notify *notify_open(struct ist_loop *, const struct notify_conf *,
                           const char *site, struct feed *,
                           struct ist_err *err);
/* From now on the feed is left alone. 'closed' comes from the loop. */
void notify_close(struct notify *, void (*closed)(void *), void *arg);

const struct notify_counts *notify_counts(const struct notify *);

/* The file's text as one of bus/amqp.h, into 'ret': "rabbit://u:p@h:5672/v"
 * becomes "amqp://u:p@h:5672/v"; several hosts become several URLs; with
 * "rabbit+tls" or "?ssl=1" they are amqps. -EINVAL; the error never quotes the
 * text, which holds a password. */
int notify_url(const char *text, struct ist_sb *ret, struct ist_err *err);

#endif
