/* What the files of one connection share: conn.c has its life, its clock and
 * its frames; conn_handshake.c the methods of the connection itself;
 * conn_channel.c what we ask on channels; conn_incoming.c what comes on them.
 */
#ifndef BUS_CONN_PRIV_H
#define BUS_CONN_PRIV_H

#include "bus/amqp_codec.h"
#include "bus/conn.h"
#include "bus/frame.h"
#include "bus/link.h"

#define RPCS_MAX 8 /* Due on one channel; setting up a consumer has 7. */

enum conn_state { CONNECTING, START, TUNE, OPEN, READY, CLOSING, DEAD };

enum channel_state { FREE, OPENED, CLOSING_CHANNEL };
enum content_state { NO_CONTENT, WANT_HEADER, WANT_BODY };

struct rpc {
    uint32_t answer;
    uint64_t deadline;
};

struct channel {
    enum channel_state state;
    bool is_consuming;
    struct rpc rpcs[RPCS_MAX];
    unsigned n_rpcs;

    /* The message that is coming in. */
    enum content_state content;
    struct ist_method method; /* Its deliver or return. */
    struct ist_content header;
    struct ist_properties properties;
    bool is_dropped;
    uint8_t *body; /* Owned. */
    uint64_t n_body, body_room;
};

struct ist_conn {
    struct ist_loop *loop; /* Borrowed. */
    const struct ist_conn_events *events;
    void *owner;
    struct ist_link *link; /* Owned. */
    struct ist_codec *codec;
    struct ist_frames frames;
    enum conn_state state;
    bool is_blocked, is_owned; /* The owner still wants to hear. */

    char vhost[256], user[256], password[256], name[128];
    bool is_tls;
    uint64_t body_max;

    uint32_t frame_max;
    uint16_t channel_max, heartbeat_s;
    uint64_t deadline; /* Of the handshake, or of the orderly end. */
    uint64_t received_at, written_at, unblocked_at;
    bool is_suspect; /* Silent too long, when last looked. */
    struct ist_timer tick;

    struct channel *channels[IST_CONN_CHANNELS + 1]; /* Owned. By number. */
};

/* ---- conn.c */

/* From the loop only: notes the reason, tells the owner, closes the link.
 * Returns 'rc', to be passed up. */
int ist_conn_fail(struct ist_conn *, int rc, const char *fmt, ...)
    IST_PRINTF(3, 4);

/* How we say who we are: by a password if there is one. */
const char *ist_conn_mechanism(const struct ist_conn *);

/* Closes the link, and tells the owner nothing but 'gone'. */
void ist_conn_die(struct ist_conn *);

/* Queues a whole frame; 'size' < 0 is an encoder's fault, passed on. 0,
 * -ENOTCONN, -ENOBUFS. */
int ist_conn_put(struct ist_conn *, const uint8_t *frame, ssize_t size);

/* Reads the frame's method, or fails the connection. */
int ist_conn_decode(struct ist_conn *, const struct ist_frame *,
                    struct ist_method *);

/* ---- conn_handshake.c: a frame on channel 0. */
int ist_conn_own_frame(struct ist_conn *, const struct ist_frame *);

/* ---- conn_channel.c */

/* Forgets what it waits for. What the message of the moment points to stays,
 * unless the channel becomes free. */
void ist_conn_channel_reset(struct channel *, enum channel_state);

/* ---- conn_incoming.c: a frame on another channel. */
int ist_conn_channel_frame(struct ist_conn *, const struct ist_frame *);

#endif
