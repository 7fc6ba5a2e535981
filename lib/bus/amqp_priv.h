/* The class 'amqp' in three files: amqp.c (connecting, the class itself),
 * amqp_publish.c, amqp_consume.c. Under them: conn.c. */
#ifndef BUS_AMQP_PRIV_H
#define BUS_AMQP_PRIV_H

#include "bus/amqp.h"
#include "bus/bus_priv.h"
#include "bus/conn.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

/* A broker's alarm blocks the connections that publish: so consuming, and its
 * acks, have one of their own. */
enum amqp_role { AMQP_PUBLISH, AMQP_CONSUME, AMQP_ROLES };

struct amqp_side {
    struct amqp_bus *bus;
    enum amqp_role role;
    struct ist_conn *conn; /* NULL: none. */
};

/* A publish whose confirm is due. */
struct amqp_pending {
    uint64_t tag, sent_at;
    struct ist_bus_publish *publish; /* NULL: cancelled meanwhile. */
    bool returned;
    RB_ENTRY(amqp_pending) node;
    char key[]; /* To find the one that was denied. */
};
RB_HEAD(amqp_pendings, amqp_pending);

/* A channel for publishing. One for each exchange with confirms, since a
 * refusal closes the channel with everything in flight on it, and may concern
 * the exchange; one for all that goes without. */
struct amqp_lane {
    char exchange[IST_BUS_NAME_MAX + 1];
    bool confirms;
    uint16_t channel; /* 0: not open. */
    uint64_t last_tag, last_confirm_at;
    struct amqp_pendings pendings;
    unsigned n_nacks;   /* In a row. */
    unsigned n_streaks; /* The channel was reopened for it, in a row. */
};

#define AMQP_LANES 16 /* Exchanges that one bus object publishes to. */

struct amqp_unacked {
    uint64_t tag, offset;
    STAILQ_ENTRY(amqp_unacked) sibling;
};

struct amqp_sub {
    struct ist_bus_consumer *consumer; /* Borrowed. */
    struct amqp_bus *bus;
    uint16_t channel; /* 0: not open. */
    uint64_t incarnation;
    bool is_settled; /* It no longer holds up 'up'. */
    bool declares;   /* The exchange is not there: this time make it. */
    STAILQ_HEAD(, amqp_unacked) unacked;
    uint64_t resume; /* Of a stream: where to go on, + 1; 0: as configured. */
    uint64_t n_refused;
    struct ist_timer retry;
    TAILQ_ENTRY(amqp_sub) sibling;
};

enum amqp_state { AMQP_DOWN, AMQP_CONNECTING, AMQP_SETTLING, AMQP_UP };

struct amqp_bus {
    struct ist_bus base;
    struct ist_amqp_conf conf; /* Strings owned. */
    char *name;                /* Owned. */
    struct ist_bus_url urls[IST_BUS_URL_MAX];
    unsigned n_urls, url_at, address_at, n_tried;
    char user[256];
    enum amqp_state state;
    struct amqp_side sides[AMQP_ROLES];
    unsigned n_conns;  /* Not yet gone. */
    uint64_t n_failed; /* Rounds of all brokers, in a row. */
    bool is_closing, is_closed, is_close_due;
    struct ist_timer connect_timer, up_timer, tick, close_timer;

    struct amqp_lane lanes[AMQP_LANES];
    unsigned n_lanes, n_pending;
    bool is_over; /* -EAGAIN was given: owes 'drained'. */

    TAILQ_HEAD(, amqp_sub) subs;
    struct amqp_sub *by_channel[IST_CONN_CHANNELS + 1];
    unsigned n_unsettled;
    uint64_t n_incarnations;
};

struct amqp_bus *amqp_of(struct ist_bus *);

/* The connection of that role, or NULL. A bus with only one has it on the
 * consuming side. */
static inline struct ist_conn *amqp_conn(const struct amqp_bus *bus,
                                         enum amqp_role role)
{
    return bus->sides[bus->conf.joint ? AMQP_CONSUME : role].conn;
}

/* What log lines begin with: it must not be taken for ours when it is that of
 * others. */
static inline const char *amqp_label(const struct amqp_bus *bus)
{
    return bus->conf.foreign ? "site-bus" : "bus";
}

/* From the loop only: both connections go, everything in flight fails, and
 * connecting begins anew. */
void amqp_lost(struct amqp_bus *, const struct ist_err *);

/* amqp_publish.c */
int amqp_send(struct ist_bus *, const struct ist_bus_message *);
void amqp_publish(struct ist_bus *, struct ist_bus_publish *,
                  const struct ist_bus_message *);
void amqp_confirmed(struct amqp_bus *, uint16_t channel, uint64_t tag,
                    bool multiple, bool ack);
void amqp_returned(struct amqp_bus *, uint16_t channel, uint64_t id);
void amqp_lane_closed(struct amqp_bus *, uint16_t channel, uint16_t code,
                      const char *text);
void amqp_lanes_fail(struct amqp_bus *, int rc, const char *why);
void amqp_lanes_check(struct amqp_bus *); /* For confirms overdue. */
void amqp_lanes_unblocked(struct amqp_bus *);
void amqp_drained_maybe(struct amqp_bus *);

/* amqp_consume.c */
void amqp_consume(struct ist_bus *, struct ist_bus_consumer *);
void amqp_cancel(struct ist_bus *, struct ist_bus_consumer *);
int amqp_ack(struct ist_bus *, struct ist_bus_consumer *, uint64_t tag);
void amqp_subs_attach(struct amqp_bus *); /* All; SETTLING begins. */
void amqp_subs_detach(struct amqp_bus *);
void amqp_subs_free(struct amqp_bus *);
void amqp_delivered(struct amqp_bus *, const struct ist_conn_delivery *);
void amqp_dropped(struct amqp_bus *, uint16_t channel, uint64_t tag);
void amqp_consuming(struct amqp_bus *, uint16_t channel);
void amqp_cancelled(struct amqp_bus *, uint16_t channel);
void amqp_sub_closed(struct amqp_bus *, uint16_t channel, uint16_t code,
                     const char *text);
/* In amqp.c: no consumer holds up 'up' any more. */
void amqp_settled(struct amqp_bus *);

#endif
