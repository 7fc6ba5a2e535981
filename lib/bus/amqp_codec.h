/* The methods of AMQP 0-9-1 that the bus speaks, to and from bytes. Behind it
 * is librabbitmq's codec, and only here: what comes out are plain values, so
 * that nothing points into a buffer.
 *
 * Encoders write whole frames into 'buf' and return their size, or -EMSGSIZE
 * when it does not fit, or a string is longer than 255 bytes. */
#ifndef BUS_AMQP_CODEC_H
#define BUS_AMQP_CODEC_H

#include "bus/bus.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define IST_CODEC_MAX 4096 /* Bytes that any encoder needs at most. */

/* Class and method number. */
enum ist_method_id {
    IST_CONNECTION_START = 0x000A000A,
    IST_CONNECTION_START_OK = 0x000A000B,
    IST_CONNECTION_TUNE = 0x000A001E,
    IST_CONNECTION_TUNE_OK = 0x000A001F,
    IST_CONNECTION_OPEN = 0x000A0028,
    IST_CONNECTION_OPEN_OK = 0x000A0029,
    IST_CONNECTION_CLOSE = 0x000A0032,
    IST_CONNECTION_CLOSE_OK = 0x000A0033,
    IST_CONNECTION_BLOCKED = 0x000A003C,
    IST_CONNECTION_UNBLOCKED = 0x000A003D,
    IST_CHANNEL_OPEN = 0x0014000A,
    IST_CHANNEL_OPEN_OK = 0x0014000B,
    IST_CHANNEL_FLOW = 0x00140014,
    IST_CHANNEL_FLOW_OK = 0x00140015,
    IST_CHANNEL_CLOSE = 0x00140028,
    IST_CHANNEL_CLOSE_OK = 0x00140029,
    IST_EXCHANGE_DECLARE = 0x0028000A,
    IST_EXCHANGE_DECLARE_OK = 0x0028000B,
    IST_QUEUE_DECLARE = 0x0032000A,
    IST_QUEUE_DECLARE_OK = 0x0032000B,
    IST_QUEUE_BIND = 0x00320014,
    IST_QUEUE_BIND_OK = 0x00320015,
    IST_BASIC_QOS = 0x003C000A,
    IST_BASIC_QOS_OK = 0x003C000B,
    IST_BASIC_CONSUME = 0x003C0014,
    IST_BASIC_CONSUME_OK = 0x003C0015,
    IST_BASIC_CANCEL = 0x003C001E,
    IST_BASIC_PUBLISH = 0x003C0028,
    IST_BASIC_RETURN = 0x003C0032,
    IST_BASIC_DELIVER = 0x003C003C,
    IST_BASIC_ACK = 0x003C0050,
    IST_BASIC_NACK = 0x003C0078,
    IST_CONFIRM_SELECT = 0x0055000A,
    IST_CONFIRM_SELECT_OK = 0x0055000B,
};

/* A method received: those members that its kind has. */
struct ist_method {
    uint32_t id;
    uint8_t major, minor;               /* start */
    bool has_mechanism;                 /* start: the one asked for */
    uint16_t channel_max, heartbeat_s;  /* tune */
    uint32_t frame_max;                 /* tune */
    uint16_t code;                      /* close, return */
    char text[256];                     /* close, return, blocked: printable */
    uint64_t tag;                       /* deliver, ack, nack */
    bool multiple, redelivered, active; /* ack, nack; deliver; flow */
    char exchange[256], key[256];       /* deliver, return */
};

/* The properties of a message received. */
struct ist_properties {
    char type[256], user[256];
    uint64_t correlation;   /* 0: none, or not one of ours. */
    uint64_t message_id;    /* The same. */
    uint64_t expiration_ms; /* 0: none. */
    bool is_persistent;
    struct ist_bus_header headers[IST_BUS_HEADERS_MAX];
    size_t n_headers;
    /* Of the headers; last, for it is large and need not be cleared. */
    char texts[IST_BUS_HEADERS_SIZE + 2 * IST_BUS_HEADERS_MAX];
};

void ist_codec_properties_clear(struct ist_properties *);

/* Memory of the decoder. */
struct ist_codec;
struct ist_codec *ist_codec_new(void);
struct ist_codec *ist_codec_free(struct ist_codec *);

/* A method frame's payload, one of those above that a broker may send; the
 * caller has checked the id. 'mechanism' is looked for in a start. 0, or
 * -EPROTO. */
int ist_codec_method(struct ist_codec *, const uint8_t *payload, size_t size,
                     const char *mechanism, struct ist_method *ret);
/* What ist_content_parse() has let through. 0, or -EPROTO. */
int ist_codec_properties(struct ist_codec *, const uint8_t *data, size_t size,
                         struct ist_properties *ret);

struct ist_codec_login {
    const char *mechanism; /* "EXTERNAL" or "PLAIN" */
    const char *user, *password;
    const char *name; /* Shown to the broker's operators. */
};
ssize_t ist_codec_start_ok(uint8_t *buf, const struct ist_codec_login *);
ssize_t ist_codec_tune_ok(uint8_t *buf, uint16_t channel_max,
                          uint32_t frame_max, uint16_t heartbeat_s);
ssize_t ist_codec_open(uint8_t *buf, const char *vhost);
/* With channel 0 of the connection, else of the channel. */
ssize_t ist_codec_close(uint8_t *buf, uint16_t channel);
/* A method without arguments: close-ok, channel.open, confirm.select. */
ssize_t ist_codec_bare(uint8_t *buf, uint16_t channel, uint32_t id);
ssize_t ist_codec_flow_ok(uint8_t *buf, uint16_t channel, bool active);
ssize_t ist_codec_qos(uint8_t *buf, uint16_t channel, uint16_t prefetch);
/* A topic exchange, transient, not auto-delete. */
ssize_t ist_codec_exchange(uint8_t *buf, uint16_t channel, const char *name);
/* Exclusive, auto-delete; 0 is none of ttl and length. */
ssize_t ist_codec_declare(uint8_t *buf, uint16_t channel, const char *queue,
                          uint64_t ttl_ms, uint64_t max_length);
ssize_t ist_codec_bind(uint8_t *buf, uint16_t channel, const char *queue,
                       const char *exchange, const char *key);

struct ist_codec_consume {
    const char *queue;
    bool no_ack;
    uint64_t priority;      /* 0: none. */
    const char *offset;     /* Stream: a word; NULL: none, or */
    uint64_t offset_number; /* with 'has_number', this. */
    bool has_number;
};
ssize_t ist_codec_consume(uint8_t *buf, uint16_t channel,
                          const struct ist_codec_consume *);
/* The publish method and the content header; the body's frames follow. */
ssize_t ist_codec_publish(uint8_t *buf, uint16_t channel,
                          const struct ist_bus_message *, const char *user,
                          uint64_t message_id);
ssize_t ist_codec_ack(uint8_t *buf, uint16_t channel, uint64_t tag);

#endif
