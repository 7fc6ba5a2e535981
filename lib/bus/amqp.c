/* Connecting:
 *
 *   DOWN --timer--> CONNECTING --both ready--> SETTLING --consumers--> UP
 *    ^                  |                          |      in place     |
 *    +------------------+--- amqp_lost() ----------+------------------+
 *
 * A bus object has two connections, for publishing and for consuming (or one,
 * 'joint'), and lives or dies with both: whoever sees 'up' may use all of it,
 * and after 'down' nothing of the old generation is left. Each attempt takes
 * the next address of the name, then the next URL; when all have failed, a
 * jittered back-off. The certificate files are read anew for each attempt. */
#include "bus/amqp.h"

#include "base/log.h"
#include "bus/amqp_priv.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define BACKOFF_MIN_MS 100
#define TICK_MS        500
/* librabbitmq's decoder recurses; what frame.c lets through needs far less,
 * but a stack below the usual one is a mistake worth refusing. */
#define STACK_MIN (8U << 20)

const struct ist_row ist_amqp_rows[] = {
    {"bus.url", IST_ROW_STRING, offsetof(struct ist_amqp_conf, url), NULL, 1,
     2048, 0,
     "The brokers, with commas: amqps://host[:port][/vhost], the vhost "
     "percent-encoded (%2Fisthmus). All are tried in turn. Without it, and "
     "without the next three, what the state directory holds is used."},
    {"bus.ca", IST_ROW_PATH, offsetof(struct ist_amqp_conf, ca), NULL, 1, 4096,
     0,
     "PEM file of the CA that signed the broker's "
     "certificate. Read at each connect."},
    {"bus.certificate", IST_ROW_PATH,
     offsetof(struct ist_amqp_conf, certificate), NULL, 1, 4096, 0,
     "PEM file of our certificate; its common name is our user at the "
     "broker. Read at each connect."},
    {"bus.key", IST_ROW_PATH, offsetof(struct ist_amqp_conf, key), NULL, 1,
     4096, 0,
     "PEM file of its private key, not encrypted. "
     "Read at each connect."},
    {"bus.heartbeat", IST_ROW_MS, offsetof(struct ist_amqp_conf, heartbeat_ms),
     "6s", 1000, 60000, 0,
     "Silence of twice this long ends a connection; the broker may ask for "
     "less."},
    {"bus.backoff_max", IST_ROW_MS,
     offsetof(struct ist_amqp_conf, backoff_max_ms), "5s", 100, 600000, 0,
     "Longest pause between two rounds of connecting. With hundreds of sites "
     "an agent wants 60s, lest they all come back at once."},
    {"bus.out_high", IST_ROW_BYTES, offsetof(struct ist_amqp_conf, out_high),
     "8MiB", 65536, 1U << 30, 0,
     "Bytes waiting for the broker; over this, a publish is told to try again "
     "later."},
    {"bus.out_hard", IST_ROW_BYTES, offsetof(struct ist_amqp_conf, out_hard),
     "32MiB", 131072, 1U << 30, 0,
     "Bytes waiting for the broker, acks and heartbeats included; over this "
     "the connection is given up."},
    {"bus.body_max", IST_ROW_BYTES, offsetof(struct ist_amqp_conf, body_max),
     "1088KiB", 65536, 16U << 20, 0,
     "Largest message that is read or sent; a larger one is dropped and "
     "counted, or refused."},
    IST_ROW_END,
};

static const struct ist_bus_class amqp_class;
static const struct ist_conn_events conn_events;

struct amqp_bus *amqp_of(struct ist_bus *base)
{
    assert(base->class == &amqp_class);
    return (struct amqp_bus *) base;
}

/* Connecting. */

static void on_connect(struct ist_timer *timer);

static void connect_in(struct amqp_bus *bus, uint64_t ms)
{
    ist_timer_arm_in(&bus->connect_timer, bus->base.loop, ms, on_connect);
}

/* Which address is next, and when. 'n_addresses': how many this name has. */
static void plan_next(struct amqp_bus *bus, bool was_up, unsigned n_addresses)
{
    bool is_round_over;

    if (was_up) {
        bus->n_failed = bus->n_tried = 0;
        bus->address_at = 0;
        bus->url_at = (bus->url_at + 1) % bus->n_urls;
        connect_in(bus, ist_bus_backoff_ms(BACKOFF_MIN_MS,
                                           bus->conf.backoff_max_ms, 0));
        return;
    }
    if (++bus->address_at < n_addresses) {
        connect_in(bus, 0);
        return;
    }
    bus->address_at = 0;
    bus->url_at = (bus->url_at + 1) % bus->n_urls;
    is_round_over = ++bus->n_tried >= bus->n_urls;
    if (!is_round_over) {
        connect_in(bus, 0);
        return;
    }
    bus->n_tried = 0;
    connect_in(bus, ist_bus_backoff_ms(BACKOFF_MIN_MS, bus->conf.backoff_max_ms,
                                       bus->n_failed++));
}

static unsigned abort_sides(struct amqp_bus *bus)
{
    unsigned n_addresses = 0;

    for (int i = 0; i < AMQP_ROLES; i++) {
        struct ist_conn *conn = IST_TAKE(bus->sides[i].conn);
        unsigned n = conn ? ist_conn_n_addresses(conn) : 0;

        if (n > n_addresses)
            n_addresses = n;
        if (conn)
            ist_conn_abort(conn);
    }
    return n_addresses;
}

void amqp_lost(struct amqp_bus *bus, const struct ist_err *err)
{
    const struct ist_bus_events *events = bus->base.events;
    bool was_up = bus->state == AMQP_UP, was_blocked = bus->base.is_blocked;
    unsigned n_addresses;

    if (bus->is_closing || bus->state == AMQP_DOWN)
        return;
    ist_log_warn(amqp_label(bus), "%s: %s",
                 was_up ? "connection lost" : "cannot connect", err->text);
    bus->state = AMQP_DOWN;
    bus->base.is_up = bus->base.is_blocked = bus->is_over = false;
    ist_timer_disarm(&bus->up_timer);
    ist_timer_disarm(&bus->tick);
    n_addresses = abort_sides(bus);
    amqp_lanes_fail(bus, -ENOTCONN, err->text);
    amqp_subs_detach(bus);
    plan_next(bus, was_up, n_addresses);
    if (was_up && events->down)
        events->down(&bus->base, err);
    if (was_blocked && !bus->is_closing && events->blocked)
        events->blocked(&bus->base, false);
}

static int connect_side(struct amqp_bus *bus, enum amqp_role role,
                        struct ist_tls_ctx *tls)
{
    const struct ist_conn_conf conf = {
        .url = &bus->urls[bus->url_at],
        .address = bus->address_at,
        .tls = tls,
        .name = bus->name,
        .heartbeat_ms = bus->conf.heartbeat_ms,
        .hard_max = bus->conf.out_hard,
        .body_max = bus->conf.body_max,
    };
    struct amqp_side *side = &bus->sides[role];

    side->conn = ist_conn_new(bus->base.loop, &conf, &conn_events, side);
    if (!side->conn)
        return -ENOMEM;
    bus->n_conns++;
    return 0;
}

static int first_role(const struct amqp_bus *bus)
{
    return bus->conf.foreign || bus->conf.joint ? AMQP_CONSUME : AMQP_PUBLISH;
}

static struct ist_tls_ctx *new_tls(struct amqp_bus *bus, struct ist_err *err)
{
    const struct ist_amqp_conf *conf = &bus->conf;

    return conf->foreign ? ist_tls_ctx_new(conf->ca, NULL, NULL, NULL, err)
                         : ist_tls_ctx_new(conf->ca, conf->certificate,
                                           conf->key, bus->user, err);
}

static void on_connect(struct ist_timer *timer)
{
    struct amqp_bus *bus = IST_CONTAINER(timer, struct amqp_bus, connect_timer);
    struct ist_tls_ctx *tls = NULL;
    struct ist_err err = {0};
    int rc = 0;

    bus->state = AMQP_CONNECTING;
    bus->base.generation = ist_bus_next_generation(&bus->base);
    if (bus->urls[0].is_tls) {
        tls = new_tls(bus, &err);
        rc = tls ? 0 : err.code;
    }
    for (int i = first_role(bus); i < AMQP_ROLES && rc == 0; i++) {
        rc = connect_side(bus, (enum amqp_role) i, tls);
        if (rc)
            ist_err_set(&err, rc, "no memory for a connection");
    }
    ist_tls_ctx_free(tls);
    if (rc)
        amqp_lost(bus, &err);
}

/* Up. */

static void on_tick(struct ist_timer *timer)
{
    struct amqp_bus *bus = IST_CONTAINER(timer, struct amqp_bus, tick);

    ist_timer_arm_in(&bus->tick, bus->base.loop, TICK_MS, on_tick);
    amqp_lanes_check(bus);
}

static void on_up_timer(struct ist_timer *timer)
{
    struct amqp_bus *bus = IST_CONTAINER(timer, struct amqp_bus, up_timer);

    if (bus->state != AMQP_SETTLING || bus->n_unsettled)
        return;
    bus->state = AMQP_UP;
    bus->base.is_up = true;
    bus->base.n_connects++;
    bus->n_failed = bus->n_tried = 0;
    ist_timer_arm_in(&bus->tick, bus->base.loop, TICK_MS, on_tick);
    ist_log_info(amqp_label(bus), "connected broker=%s user=%s",
                 ist_conn_peer(bus->sides[AMQP_CONSUME].conn), bus->user);
    if (bus->base.events->up)
        bus->base.events->up(&bus->base);
}

void amqp_settled(struct amqp_bus *bus)
{
    if (bus->state == AMQP_SETTLING)
        ist_timer_arm_in(&bus->up_timer, bus->base.loop, 0, on_up_timer);
}

/* The connections' events. */

static bool is_publishing(const struct amqp_side *side)
{
    return side->role == AMQP_PUBLISH || side->bus->conf.joint;
}

static void on_ready(void *owner)
{
    struct amqp_bus *bus = ((struct amqp_side *) owner)->bus;

    for (int i = first_role(bus); i < AMQP_ROLES; i++)
        if (!ist_conn_is_ready(bus->sides[i].conn))
            return;
    bus->state = AMQP_SETTLING;
    amqp_subs_attach(bus);
    if (bus->n_unsettled == 0)
        amqp_settled(bus);
}

static void on_broken(void *owner, const struct ist_err *err)
{
    struct amqp_side *side = owner;
    struct ist_err why = *err;
    const char *peer = ist_conn_peer(side->conn);

    ist_err_wrap(&why, "broker %s",
                 *peer ? peer : side->bus->urls[side->bus->url_at].host);
    amqp_lost(side->bus, &why);
}

static void maybe_closed(struct amqp_bus *bus)
{
    if (!bus->is_close_due || bus->n_conns || bus->is_closed)
        return;
    bus->is_closed = true;
    if (bus->base.events->closed)
        bus->base.events->closed(&bus->base); /* May have freed it. */
}

static void on_gone(void *owner)
{
    struct amqp_bus *bus = ((struct amqp_side *) owner)->bus;

    bus->n_conns--;
    maybe_closed(bus);
}

static void on_blocked(void *owner, bool on)
{
    struct amqp_side *side = owner;
    struct amqp_bus *bus = side->bus;

    if (!is_publishing(side))
        return;
    bus->base.is_blocked = on;
    ist_log_warn("bus", "the broker has %s publishing",
                 on ? "blocked" : "unblocked");
    if (!on)
        amqp_lanes_unblocked(bus);
    if (bus->base.events->blocked)
        bus->base.events->blocked(&bus->base, on);
    amqp_drained_maybe(bus);
}

static void on_sent(void *owner)
{
    struct amqp_side *side = owner;

    if (is_publishing(side))
        amqp_drained_maybe(side->bus);
}

static void on_confirmed(void *owner, uint16_t channel, uint64_t tag,
                         bool multiple, bool ack)
{
    struct amqp_side *side = owner;

    if (is_publishing(side))
        amqp_confirmed(side->bus, channel, tag, multiple, ack);
}

static void on_returned(void *owner, uint16_t channel, uint64_t id)
{
    struct amqp_side *side = owner;

    if (is_publishing(side))
        amqp_returned(side->bus, channel, id);
}

/* Only the consuming connection has consumers: conn.c would not let one pass
 * on the other. */
static void on_delivered(void *owner, const struct ist_conn_delivery *delivery)
{
    amqp_delivered(((struct amqp_side *) owner)->bus, delivery);
}

static void on_dropped(void *owner, uint16_t channel, uint64_t tag)
{
    amqp_dropped(((struct amqp_side *) owner)->bus, channel, tag);
}

static void on_consuming(void *owner, uint16_t channel)
{
    amqp_consuming(((struct amqp_side *) owner)->bus, channel);
}

static void on_cancelled(void *owner, uint16_t channel)
{
    amqp_cancelled(((struct amqp_side *) owner)->bus, channel);
}

static void on_channel_closed(void *owner, uint16_t channel, uint16_t code,
                              const char *text)
{
    struct amqp_side *side = owner;

    /* Each finds its own channels alone. */
    if (is_publishing(side))
        amqp_lane_closed(side->bus, channel, code, text);
    if (side->role == AMQP_CONSUME)
        amqp_sub_closed(side->bus, channel, code, text);
}

static const struct ist_conn_events conn_events = {
    .ready = on_ready,
    .broken = on_broken,
    .gone = on_gone,
    .blocked = on_blocked,
    .sent = on_sent,
    .confirmed = on_confirmed,
    .returned = on_returned,
    .delivered = on_delivered,
    .dropped = on_dropped,
    .consuming = on_consuming,
    .cancelled = on_cancelled,
    .channel_closed = on_channel_closed,
};

/* The class. */

static void on_close_timer(struct ist_timer *timer)
{
    struct amqp_bus *bus = IST_CONTAINER(timer, struct amqp_bus, close_timer);

    bus->is_close_due = true;
    maybe_closed(bus);
}

static void amqp_close(struct ist_bus *base)
{
    struct amqp_bus *bus = amqp_of(base);

    if (bus->is_closing)
        return;
    bus->is_closing = true;
    bus->base.is_up = bus->base.is_blocked = false;
    ist_timer_disarm(&bus->connect_timer);
    ist_timer_disarm(&bus->up_timer);
    ist_timer_disarm(&bus->tick);
    amqp_lanes_fail(bus, -ECANCELED, "closed");
    amqp_subs_free(bus);
    for (int i = 0; i < AMQP_ROLES; i++) {
        struct ist_conn *conn = IST_TAKE(bus->sides[i].conn);

        if (conn)
            ist_conn_close(conn);
    }
    bus->state = AMQP_DOWN;
    ist_timer_arm_in(&bus->close_timer, base->loop, 0, on_close_timer);
}

static void bus_destroy(struct amqp_bus *bus)
{
    explicit_bzero(bus->urls, sizeof(bus->urls));
    if (bus->conf.url)
        explicit_bzero(bus->conf.url, strlen(bus->conf.url));
    free(bus->conf.url);
    free(bus->conf.ca);
    free(bus->conf.certificate);
    free(bus->conf.key);
    free(bus->name);
    free(bus);
}

static struct ist_bus *amqp_free(struct ist_bus *base)
{
    struct amqp_bus *bus = amqp_of(base);

    assert(bus->is_closed);
    bus_destroy(bus);
    return NULL;
}

static const struct ist_bus_class amqp_class = {
    .name = "amqp",
    .close = amqp_close,
    .free = amqp_free,
    .send = amqp_send,
    .publish = amqp_publish,
    .consume = amqp_consume,
    .cancel = amqp_cancel,
    .ack = amqp_ack,
};

static bool dup_or_null(const char *text, char **ret)
{
    *ret = text ? strdup(text) : NULL;
    return !text || *ret;
}

static int copy_conf(struct amqp_bus *bus, const struct ist_amqp_conf *conf,
                     const char *name)
{
    bus->conf = *conf;
    bus->conf.ca = bus->conf.certificate = bus->conf.key = NULL;
    bus->conf.url = bus->name = NULL;
    return dup_or_null(conf->url, &bus->conf.url) &&
                   dup_or_null(conf->ca, &bus->conf.ca) &&
                   dup_or_null(conf->certificate, &bus->conf.certificate) &&
                   dup_or_null(conf->key, &bus->conf.key) &&
                   dup_or_null(name, &bus->name)
               ? 0
               : -ENOMEM;
}

static int check_stack(struct ist_err *err)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_STACK, &limit) || limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur >= STACK_MIN)
        return 0;
    return ist_err_set(err, -EINVAL,
                       "the stack limit is %llu KiB; the bus wants %u KiB "
                       "(ulimit -s, LimitSTACK=)",
                       (unsigned long long) limit.rlim_cur / 1024,
                       STACK_MIN / 1024);
}

/* Everything that can be known to be wrong before connecting. */
static int check_conf(struct amqp_bus *bus, struct ist_err *err)
{
    const struct ist_amqp_conf *conf = &bus->conf;
    struct ist_tls_ctx *tls;
    int n = ist_bus_url_parse(conf->url ? conf->url : "", bus->urls, err);

    if (n < 0)
        return n;
    bus->n_urls = (unsigned) n;
    for (n = 0; n < (int) bus->n_urls; n++)
        if (*bus->urls[n].user ? bus->urls[n].is_tls && !conf->foreign
                               : conf->foreign)
            return ist_err_set(
                err, -EINVAL, "broker URL %d: %s", n + 1,
                conf->foreign
                    ? "user:password@ is missing"
                    : "amqps takes no user: the certificate says who we are");
    strlcpy(bus->user, bus->urls[0].user, sizeof(bus->user));
    if (!bus->urls[0].is_tls) {
        if (!conf->foreign)
            ist_log_warn("bus", "amqp:// protects nothing: for tests only");
        return 0;
    }
    if (!conf->foreign && (!conf->ca || !conf->certificate || !conf->key))
        return ist_err_set(err, -EINVAL,
                           "amqps needs a CA, a certificate and its key");
    tls = new_tls(bus, err);
    if (!tls)
        return err->code;
    ist_tls_ctx_free(tls);
    return 0;
}

struct ist_bus *ist_amqp_new(struct ist_loop *loop,
                             const struct ist_amqp_conf *conf, const char *name,
                             const struct ist_bus_events *events, void *owner,
                             struct ist_err *err)
{
    struct ist_err ignored = {0};
    struct amqp_bus *bus;
    int rc;

    err = err ? err : &ignored;
    if (check_stack(err))
        return NULL;
    bus = calloc(1, sizeof(*bus));
    if (!bus) {
        ist_err_set(err, -ENOMEM, "no memory for the bus");
        return NULL;
    }
    bus->base = (struct ist_bus){
        .class = &amqp_class, .loop = loop, .events = events, .owner = owner};
    TAILQ_INIT(&bus->subs);
    for (int i = 0; i < AMQP_ROLES; i++)
        bus->sides[i] =
            (struct amqp_side){.bus = bus, .role = (enum amqp_role) i};
    rc = copy_conf(bus, conf, name);
    if (rc)
        ist_err_set(err, rc, "no memory for the bus");
    if (rc || check_conf(bus, err)) {
        bus_destroy(bus);
        return NULL;
    }
    connect_in(bus, 0);
    return &bus->base;
}
