/* One AMQP connection: handshake, heartbeat, channels, messages cut together
 * from frames. Knows nothing of queues' meaning, of retries, or of the bus's
 * owner: that is amqp.c.
 *
 *   CONNECTING -> START -> TUNE -> OPEN -> READY -> CLOSING -> gone
 *
 * Each method is legal in one state, or on one kind of channel, only; anything
 * else breaks the connection. Every event comes from the loop, none inside the
 * owner's call. */
#ifndef BUS_CONN_H
#define BUS_CONN_H

#include "bus/bus_priv.h"
#include "bus/tls.h"
#include "bus/url.h"

#define IST_CONN_CHANNELS     64    /* channel_max: numbers 1 to 64. */
#define IST_CONN_HANDSHAKE_MS 10000 /* From the first step to open-ok. */
#define IST_CONN_RPC_MS       10000 /* For the answer to a method. */
#define IST_CONN_STALLED_MS   30000 /* Bytes wait, the kernel takes none. */
#define IST_CONN_CLOSE_MS     2000  /* For an orderly end. */

struct ist_conn;

/* A message that came for a channel's consumer. */
struct ist_conn_delivery {
    uint16_t channel;
    uint64_t tag;
    struct ist_bus_message message; /* Borrowed. */
    bool redelivered;
    uint64_t delivery_count; /* Of the header, or 0. */
};

struct ist_conn_events {
    void (*ready)(void *owner);
    /* It broke, or the broker closed it; nothing but 'gone' follows, and
     * everything in flight is lost. The connection closes itself. */
    void (*broken)(void *owner, const struct ist_err *);
    /* The memory is freed: always last, also after ist_conn_close(). */
    void (*gone)(void *owner);
    void (*blocked)(void *owner, bool on);
    void (*sent)(void *owner); /* The write buffer shrank. */

    void (*confirmed)(void *owner, uint16_t channel, uint64_t tag,
                      bool multiple, bool ack);
    /* 'id' as it was published. Before its confirm. */
    void (*returned)(void *owner, uint16_t channel, uint64_t id);
    void (*delivered)(void *owner, const struct ist_conn_delivery *);
    /* A delivery that was not worth reading: over the cap, an encoding, a
     * header table out of bounds. */
    void (*dropped)(void *owner, uint16_t channel, uint64_t tag);
    void (*consuming)(void *owner, uint16_t channel);
    void (*cancelled)(void *owner, uint16_t channel);
    /* By the broker, with a code and its text. The number is free again. */
    void (*channel_closed)(void *owner, uint16_t channel, uint16_t code,
                           const char *text);
};

struct ist_conn_conf {
    const struct ist_bus_url *url; /* Borrowed during the call. */
    unsigned address;              /* Of those the name has, which one. */
    struct ist_tls_ctx *tls;       /* NULL with amqp://. */
    const char *name;              /* For the broker's operators. */
    uint64_t heartbeat_ms, hard_max, body_max;
};

/* Begins at once. NULL when memory is out. */
struct ist_conn *ist_conn_new(struct ist_loop *, const struct ist_conn_conf *,
                              const struct ist_conn_events *, void *owner);

/* Orderly when it stands: what was written before still goes out. Ends with
 * 'gone'; no other event follows. */
void ist_conn_close(struct ist_conn *);
/* At once. */
void ist_conn_abort(struct ist_conn *);

bool ist_conn_is_ready(const struct ist_conn *);
uint64_t ist_conn_queued(const struct ist_conn *);
unsigned ist_conn_n_addresses(const struct ist_conn *);
const char *ist_conn_peer(const struct ist_conn *);

/* Methods are only written here; what the broker thinks of them comes as an
 * event. They may follow each other at once: the broker works in order, and
 * ignores what follows a refusal. Each returns 0, -ENOTCONN, -ENOBUFS. */

/* A channel of its own; -EMFILE when there is none left. */
int ist_conn_channel_open(struct ist_conn *, uint16_t *ret);
/* What still comes for it is ignored. Unacked deliveries go back. */
void ist_conn_channel_close(struct ist_conn *, uint16_t channel);
int ist_conn_confirm_select(struct ist_conn *, uint16_t channel);

struct ist_conn_consume {
    const char *queue;
    const char *bind_exchange, *bind_key; /* Not NULL: declare and bind. */
    const char *bind_also;                /* A second key, or NULL. */
    bool declare_exchange;                /* Before it: topic, transient. */
    uint64_t ttl_ms, max_length;
    uint16_t prefetch;
    bool ack;
    uint64_t priority;
    const char *offset;
    bool has_offset_number;
    uint64_t offset_number;
};
int ist_conn_consume(struct ist_conn *, uint16_t channel,
                     const struct ist_conn_consume *);

/* 'id' comes back in 'returned'; 0: none. Also -EMSGSIZE: properties too
 * large. All of the message is queued, or nothing. */
int ist_conn_publish(struct ist_conn *, uint16_t channel,
                     const struct ist_bus_message *, const char *user,
                     uint64_t id);
int ist_conn_ack(struct ist_conn *, uint16_t channel, uint64_t tag);

#endif
