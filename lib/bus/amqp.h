/* The bus on a real RabbitMQ: AMQP 0-9-1 over TLS, SASL EXTERNAL. */
#ifndef BUS_AMQP_H
#define BUS_AMQP_H

#include "base/row.h"
#include "bus/bus.h"

struct ist_amqp_conf {
    /* "amqps://host[:port][/vhost]", vhost percent-encoded; several, with
     * commas, are tried in turn. For tests there is also
     * amqp://user:password@host..., which nothing protects: a warning is
     * logged. */
    char *url;
    /* The broker is that of others, and we only listen there, by name and
     * password as its operator set it up: "user:password@" in the URL, with
     * amqps too, where 'ca' NULL stands for those that the system trusts and
     * no certificate is shown. There is no connection for publishing: each
     * publish fails with -ENOTCONN. */
    bool foreign;
    /* One connection for both directions, instead of one for each. A broker
     * that blocks publishing then holds up what is consumed as well. */
    bool joint;
    char *ca, *certificate, *key; /* PEM files. */
    uint64_t heartbeat_ms;        /* Negotiated down by the broker. */
    uint64_t backoff_max_ms;
    uint64_t out_high, out_hard; /* Bytes: -EAGAIN above; closed above. */
    uint64_t body_max;           /* Of a delivery; larger ones are dropped. */
};

extern const struct ist_row ist_amqp_rows[];

/* The program must ignore SIGPIPE, for libuv does not.
 *
 * 'name' is shown to the broker's operators ("agent hkg"). 'conf' is copied.
 * Connecting begins at once. NULL with 'err' filled when the configuration
 * cannot be used (bad URL, unreadable key), or the stack limit is below 8 MiB.
 */
struct ist_bus *ist_amqp_new(struct ist_loop *, const struct ist_amqp_conf *,
                             const char *name, const struct ist_bus_events *,
                             void *owner, struct ist_err *err);

#endif
