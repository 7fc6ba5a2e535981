/* Bytes from the link are cut into frames, each frame is judged by the state
 * of the connection or of its channel, and only then decoded. A message is
 * three kinds of frames on one channel, with nothing but a channel.close
 * allowed in between:
 *
 *   method (deliver, return) -> header -> body...
 *
 * The answers to our methods come in order on each channel: 'rpcs' is a FIFO
 * of the answers due, and any other answer is a protocol error.
 *
 * Failing: fail() notes the reason, tells the owner, closes the link. The
 * frames after it are not looked at. */
#include "bus/conn.h"

#include "base/log.h"
#include "bus/amqp_codec.h"
#include "bus/frame.h"
#include "bus/link.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RPCS_MAX      8 /* Due on one channel; setting up a consumer has 5. */
#define BODY_KEEP     65536
#define TICK_MS       500
#define POLL_GRACE_MS 20 /* See on_tick(). */

enum conn_state { CONNECTING, START, TUNE, OPEN, READY, CLOSING, DEAD };

#define IN(state) (1U << (state))

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

/* Ending. */

static void channel_free(struct channel *channel)
{
    if (channel)
        free(channel->body);
    free(channel);
}

static void on_gone(void *owner)
{
    struct ist_conn *conn = owner;
    const struct ist_conn_events *events = conn->events;

    owner = conn->owner;
    for (size_t i = 0; i < IST_COUNT(conn->channels); i++)
        channel_free(conn->channels[i]);
    ist_frames_fini(&conn->frames);
    ist_codec_free(conn->codec);
    explicit_bzero(conn->password, sizeof(conn->password));
    free(conn);
    events->gone(owner);
}

static void die(struct ist_conn *conn)
{
    if (conn->state == DEAD)
        return;
    conn->state = DEAD;
    ist_timer_disarm(&conn->tick);
    ist_link_close(conn->link);
}

static void fail_err(struct ist_conn *conn, const struct ist_err *err)
{
    bool is_news = conn->is_owned && conn->state != DEAD;

    die(conn);
    conn->is_owned = false;
    if (is_news)
        conn->events->broken(conn->owner, err);
}

/* From the loop only. Returns -EPROTO-like 'rc' to be passed up. */
static int IST_PRINTF(3, 4)
    fail(struct ist_conn *conn, int rc, const char *fmt, ...)
{
    struct ist_err err = {0};
    char text[200];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    ist_err_set(&err, rc, "%s", text);
    fail_err(conn, &err);
    return rc;
}

void ist_conn_abort(struct ist_conn *conn)
{
    conn->is_owned = false;
    die(conn);
}

/* Writing. */

static int put(struct ist_conn *conn, const uint8_t *frame, ssize_t size)
{
    uint8_t *room;

    if (size < 0)
        return (int) size;
    if (conn->state == DEAD)
        return -ENOTCONN;
    room = ist_link_reserve(conn->link, (size_t) size);
    if (!room)
        return -ENOBUFS;
    memcpy(room, frame, (size_t) size);
    ist_link_commit(conn->link, (size_t) size);
    conn->written_at = ist_loop_now(conn->loop);
    return 0;
}

/* A method that will be answered. */
static int ask(struct ist_conn *conn, uint16_t number, const uint8_t *frame,
               ssize_t size, uint32_t answer)
{
    struct channel *channel = conn->channels[number];
    int rc;

    if (channel->n_rpcs == RPCS_MAX)
        return -EBUSY;
    rc = put(conn, frame, size);
    if (rc)
        return rc;
    channel->rpcs[channel->n_rpcs++] =
        (struct rpc){.answer = answer,
                     .deadline = ist_loop_now(conn->loop) + IST_CONN_RPC_MS};
    return 0;
}

void ist_conn_close(struct ist_conn *conn)
{
    uint8_t buf[IST_CODEC_MAX];

    conn->is_owned = false;
    if (conn->state != READY || put(conn, buf, ist_codec_close(buf, 0))) {
        die(conn);
        return;
    }
    conn->state = CLOSING;
    conn->deadline = ist_loop_now(conn->loop) + IST_CONN_CLOSE_MS;
}

/* Channels. */

static struct channel *usable(struct ist_conn *conn, uint16_t number)
{
    struct channel *channel =
        number <= IST_CONN_CHANNELS ? conn->channels[number] : NULL;

    return conn->state == READY && channel && channel->state == OPENED ? channel
                                                                       : NULL;
}

/* What the message of the moment points to stays: the owner may close a channel
 * while it is being handed one. */
static void channel_reset(struct channel *channel, enum channel_state state)
{
    channel->state = state;
    channel->content = NO_CONTENT;
    channel->is_consuming = false;
    channel->n_rpcs = 0;
    if (state == FREE) {
        free(IST_TAKE(channel->body));
        channel->body_room = 0;
    }
}

int ist_conn_channel_open(struct ist_conn *conn, uint16_t *ret)
{
    uint8_t buf[IST_CODEC_MAX];
    uint16_t number = 1;
    int rc;

    if (conn->state != READY)
        return -ENOTCONN;
    while (number <= conn->channel_max && conn->channels[number] &&
           conn->channels[number]->state != FREE)
        number++;
    if (number > conn->channel_max)
        return -EMFILE;
    if (!conn->channels[number])
        conn->channels[number] = calloc(1, sizeof(struct channel));
    if (!conn->channels[number])
        return -ENOMEM;
    rc = ask(conn, number, buf, ist_codec_bare(buf, number, IST_CHANNEL_OPEN),
             IST_CHANNEL_OPEN_OK);
    if (rc)
        return rc;
    conn->channels[number]->state = OPENED;
    *ret = number;
    return 0;
}

void ist_conn_channel_close(struct ist_conn *conn, uint16_t number)
{
    struct channel *channel = usable(conn, number);
    uint8_t buf[IST_CODEC_MAX];

    if (!channel)
        return;
    channel_reset(channel, CLOSING_CHANNEL);
    ask(conn, number, buf, ist_codec_close(buf, number), IST_CHANNEL_CLOSE_OK);
}

int ist_conn_confirm_select(struct ist_conn *conn, uint16_t number)
{
    uint8_t buf[IST_CODEC_MAX];

    if (!usable(conn, number))
        return -ENOTCONN;
    return ask(conn, number, buf,
               ist_codec_bare(buf, number, IST_CONFIRM_SELECT),
               IST_CONFIRM_SELECT_OK);
}

static int declare(struct ist_conn *conn, uint16_t number,
                   const struct ist_conn_consume *consume)
{
    uint8_t buf[IST_CODEC_MAX];
    int rc = ask(conn, number, buf,
                 ist_codec_declare(buf, number, consume->queue, consume->ttl_ms,
                                   consume->max_length),
                 IST_QUEUE_DECLARE_OK);

    if (rc)
        return rc;
    return ask(conn, number, buf,
               ist_codec_bind(buf, number, consume->queue,
                              consume->bind_exchange, consume->bind_key),
               IST_QUEUE_BIND_OK);
}

int ist_conn_consume(struct ist_conn *conn, uint16_t number,
                     const struct ist_conn_consume *consume)
{
    const struct ist_codec_consume method = {
        .queue = consume->queue,
        .no_ack = !consume->ack,
        .priority = consume->priority,
        .offset = consume->offset,
        .has_number = consume->has_offset_number,
        .offset_number = consume->offset_number,
    };
    uint8_t buf[IST_CODEC_MAX];
    int rc = 0;

    if (!usable(conn, number))
        return -ENOTCONN;
    if (consume->ack && consume->prefetch)
        rc = ask(conn, number, buf,
                 ist_codec_qos(buf, number, consume->prefetch),
                 IST_BASIC_QOS_OK);
    if (rc == 0 && consume->bind_exchange)
        rc = declare(conn, number, consume);
    if (rc == 0)
        rc = ask(conn, number, buf, ist_codec_consume(buf, number, &method),
                 IST_BASIC_CONSUME_OK);
    return rc;
}

/* A body's frames behind the 'used' bytes of method and header. */
static void put_body(uint8_t *at, uint16_t number, size_t piece_max,
                     const uint8_t *body, size_t size)
{
    while (size) {
        size_t n = size < piece_max ? size : piece_max;

        at[0] = IST_FRAME_BODY;
        ist_put16(at + 1, number);
        ist_put32(at + 3, (uint32_t) n);
        memcpy(at + 7, body, n);
        at[7 + n] = IST_FRAME_END;
        at += n + IST_FRAME_OVERHEAD;
        body += n;
        size -= n;
    }
}

int ist_conn_publish(struct ist_conn *conn, uint16_t number,
                     const struct ist_bus_message *message, const char *user,
                     uint64_t id)
{
    size_t piece_max = conn->frame_max - IST_FRAME_OVERHEAD, n_pieces, total;
    uint8_t buf[IST_CODEC_MAX], *room;
    ssize_t used;

    if (!usable(conn, number))
        return -ENOTCONN;
    used = ist_codec_publish(buf, number, message, user, id);
    if (used < 0)
        return (int) used;
    n_pieces = (message->size + piece_max - 1) / piece_max;
    total = (size_t) used + message->size + n_pieces * IST_FRAME_OVERHEAD;
    room = ist_link_reserve(conn->link, total);
    if (!room)
        return -ENOBUFS;
    memcpy(room, buf, (size_t) used);
    put_body(room + used, number, piece_max, message->body, message->size);
    ist_link_commit(conn->link, total);
    conn->written_at = ist_loop_now(conn->loop);
    return 0;
}

int ist_conn_ack(struct ist_conn *conn, uint16_t number, uint64_t tag)
{
    uint8_t buf[IST_CODEC_MAX];

    if (!usable(conn, number))
        return -ENOTCONN;
    return put(conn, buf, ist_codec_ack(buf, number, tag));
}

/* The connection's own methods: each legal in some states only. */

static int on_start(struct ist_conn *conn, const struct ist_method *method)
{
    const struct ist_codec_login login = {
        .mechanism = conn->is_tls ? "EXTERNAL" : "PLAIN",
        .user = conn->user,
        .password = conn->password,
        .name = conn->name,
    };
    uint8_t buf[IST_CODEC_MAX];
    int rc;

    if (method->major != 0 || method->minor != 9)
        return fail(conn, -EPROTONOSUPPORT, "the broker speaks AMQP %u.%u",
                    method->major, method->minor);
    if (!method->has_mechanism)
        return fail(conn, -EPROTONOSUPPORT, "the broker does not offer %s",
                    login.mechanism);
    rc = put(conn, buf, ist_codec_start_ok(buf, &login));
    explicit_bzero(buf, sizeof(buf));
    conn->state = TUNE;
    return rc;
}

static int on_tune(struct ist_conn *conn, const struct ist_method *method)
{
    uint8_t buf[IST_CODEC_MAX];
    int rc;

    /* 0 leaves it to us. Less than the least would make every later size
     * check meaningless: CVE-2026-44236 in librabbitmq's own transport. */
    if (method->frame_max && method->frame_max < IST_FRAME_MIN)
        return fail(conn, -EPROTO, "the broker wants frames of %" PRIu32,
                    method->frame_max);
    if (method->frame_max && method->frame_max < conn->frame_max)
        conn->frame_max = method->frame_max;
    if (method->channel_max && method->channel_max < conn->channel_max)
        conn->channel_max = method->channel_max;
    if (method->heartbeat_s && method->heartbeat_s < conn->heartbeat_s)
        conn->heartbeat_s = method->heartbeat_s;
    conn->frames.max = conn->frame_max;
    rc = put(conn, buf,
             ist_codec_tune_ok(buf, conn->channel_max, conn->frame_max,
                               conn->heartbeat_s));
    if (rc == 0)
        rc = put(conn, buf, ist_codec_open(buf, conn->vhost));
    conn->state = OPEN;
    return rc;
}

static int on_open_ok(struct ist_conn *conn, const struct ist_method *method)
{
    (void) method;
    conn->state = READY;
    conn->deadline = UINT64_MAX;
    explicit_bzero(conn->password, sizeof(conn->password));
    conn->events->ready(conn->owner);
    return 0;
}

static int on_close(struct ist_conn *conn, const struct ist_method *method)
{
    uint8_t buf[IST_CODEC_MAX];
    int rc = method->code == 403 || method->code == 530 ? -EACCES : -ECONNRESET;

    put(conn, buf, ist_codec_bare(buf, 0, IST_CONNECTION_CLOSE_OK));
    return fail(conn, rc, "the broker closed the connection: %u %s",
                method->code, method->text);
}

static int on_close_ok(struct ist_conn *conn, const struct ist_method *method)
{
    (void) method;
    die(conn);
    return 0;
}

/* While blocked nothing was late; from now on it can be. */
static void restart_clocks(struct ist_conn *conn)
{
    uint64_t now = ist_loop_now(conn->loop);

    conn->unblocked_at = now;
    for (size_t i = 0; i < IST_COUNT(conn->channels); i++) {
        struct channel *channel = conn->channels[i];

        for (unsigned k = 0; channel && k < channel->n_rpcs; k++)
            channel->rpcs[k].deadline = now + IST_CONN_RPC_MS;
    }
}

static int on_blocked(struct ist_conn *conn, const struct ist_method *method)
{
    bool on = method->id == IST_CONNECTION_BLOCKED;

    if (conn->state != READY || conn->is_blocked == on)
        return 0;
    conn->is_blocked = on;
    if (!on)
        restart_clocks(conn);
    conn->events->blocked(conn->owner, on);
    return 0;
}

static const struct {
    uint32_t id;
    unsigned states;
    int (*handle)(struct ist_conn *, const struct ist_method *);
} connection_methods[] = {
    {IST_CONNECTION_START, IN(START), on_start},
    {IST_CONNECTION_TUNE, IN(TUNE), on_tune},
    {IST_CONNECTION_OPEN_OK, IN(OPEN), on_open_ok},
    {IST_CONNECTION_CLOSE,
     IN(START) | IN(TUNE) | IN(OPEN) | IN(READY) | IN(CLOSING), on_close},
    {IST_CONNECTION_CLOSE_OK, IN(CLOSING), on_close_ok},
    {IST_CONNECTION_BLOCKED, IN(READY) | IN(CLOSING), on_blocked},
    {IST_CONNECTION_UNBLOCKED, IN(READY) | IN(CLOSING), on_blocked},
};

static int decode(struct ist_conn *conn, const struct ist_frame *frame,
                  struct ist_method *method)
{
    if (ist_codec_method(conn->codec, frame->payload, frame->size,
                         conn->is_tls ? "EXTERNAL" : "PLAIN", method))
        return fail(conn, -EPROTO, "method %08" PRIx32 " cannot be read",
                    ist_get32(frame->payload));
    return 0;
}

static int connection_frame(struct ist_conn *conn,
                            const struct ist_frame *frame)
{
    struct ist_method method;
    uint32_t id;

    if (frame->type != IST_FRAME_METHOD || frame->size < 4)
        return fail(conn, -EPROTO, "frame of type %u on channel 0",
                    frame->type);
    id = ist_get32(frame->payload);
    for (size_t i = 0; i < IST_COUNT(connection_methods); i++) {
        if (connection_methods[i].id != id)
            continue;
        if (!(connection_methods[i].states & IN(conn->state)))
            break;
        if (decode(conn, frame, &method))
            return -EPROTO;
        return connection_methods[i].handle(conn, &method);
    }
    return fail(conn, -EPROTO, "method %08" PRIx32 " is not expected", id);
}

/* A channel's methods. */

static int channel_close_ok(struct ist_conn *conn, uint16_t number)
{
    uint8_t buf[IST_CODEC_MAX];

    channel_reset(conn->channels[number], FREE);
    return put(conn, buf, ist_codec_bare(buf, number, IST_CHANNEL_CLOSE_OK));
}

static int channel_answer(struct ist_conn *conn, uint16_t number, uint32_t id)
{
    struct channel *channel = conn->channels[number];

    if (channel->n_rpcs == 0 || channel->rpcs[0].answer != id)
        return fail(conn, -EPROTO, "method %08" PRIx32 " answers nothing", id);
    channel->n_rpcs--;
    memmove(channel->rpcs, channel->rpcs + 1,
            channel->n_rpcs * sizeof(channel->rpcs[0]));
    if (id == IST_CHANNEL_CLOSE_OK)
        channel_reset(channel, FREE);
    if (id == IST_BASIC_CONSUME_OK) {
        channel->is_consuming = true;
        conn->events->consuming(conn->owner, number);
    }
    return 0;
}

static int channel_event(struct ist_conn *conn, uint16_t number,
                         const struct ist_method *method)
{
    struct channel *channel = conn->channels[number];
    uint8_t buf[IST_CODEC_MAX];

    switch (method->id) {
    case IST_BASIC_DELIVER:
        if (!channel->is_consuming)
            return fail(conn, -EPROTO, "a delivery to no consumer");
        channel->content = WANT_HEADER;
        return 0;
    case IST_BASIC_RETURN:
        channel->content = WANT_HEADER;
        return 0;
    case IST_BASIC_ACK:
    case IST_BASIC_NACK:
        conn->events->confirmed(conn->owner, number, method->tag,
                                method->multiple, method->id == IST_BASIC_ACK);
        return 0;
    case IST_BASIC_CANCEL:
        if (!channel->is_consuming)
            return fail(conn, -EPROTO, "a cancel of no consumer");
        channel->is_consuming = false;
        conn->events->cancelled(conn->owner, number);
        return 0;
    case IST_CHANNEL_FLOW:
        return put(conn, buf, ist_codec_flow_ok(buf, number, method->active));
    default:
        return fail(conn, -EPROTO, "method %08" PRIx32 " is not expected",
                    method->id);
    }
}

/* Those that a broker may send on an open channel, beside answers. */
static bool is_channel_event(uint32_t id)
{
    return id == IST_BASIC_DELIVER || id == IST_BASIC_RETURN ||
           id == IST_BASIC_ACK || id == IST_BASIC_NACK ||
           id == IST_BASIC_CANCEL || id == IST_CHANNEL_FLOW;
}

static int channel_method(struct ist_conn *conn, const struct ist_frame *frame)
{
    struct channel *channel = conn->channels[frame->channel];
    struct ist_method method;
    uint32_t id;

    if (frame->size < 4)
        return fail(conn, -EPROTO, "a method without a number");
    id = ist_get32(frame->payload);
    if (id == IST_CHANNEL_CLOSE) {
        bool was_ours = channel->state == CLOSING_CHANNEL;
        int rc;

        if (decode(conn, frame, &method))
            return -EPROTO;
        rc = channel_close_ok(conn, frame->channel);
        if (was_ours) {
            /* Both closed at once: its answer to ours is still to come. */
            channel->state = CLOSING_CHANNEL;
            channel->n_rpcs = 1;
            channel->rpcs[0] = (struct rpc){
                .answer = IST_CHANNEL_CLOSE_OK,
                .deadline = ist_loop_now(conn->loop) + IST_CONN_RPC_MS};
        } else if (rc == 0) {
            conn->events->channel_closed(conn->owner, frame->channel,
                                         method.code, method.text);
        }
        return rc;
    }
    if (channel->state == CLOSING_CHANNEL)
        return id == IST_CHANNEL_CLOSE_OK
                   ? channel_answer(conn, frame->channel, id)
                   : 0;
    if (channel->content != NO_CONTENT)
        return fail(conn, -EPROTO, "a method in the middle of a message");
    if (!is_channel_event(id))
        return channel_answer(conn, frame->channel, id);
    if (decode(conn, frame, &channel->method))
        return -EPROTO;
    return channel_event(conn, frame->channel, &channel->method);
}

/* Messages. */

static void message_done(struct ist_conn *conn, uint16_t number,
                         const uint8_t *body)
{
    struct channel *channel = conn->channels[number];
    const struct ist_table_found *found = &channel->header.found;
    const struct ist_method *method = &channel->method;
    struct ist_conn_delivery delivery = {
        .channel = number,
        .tag = method->tag,
        .redelivered = method->redelivered,
        .delivery_count = found->has_delivery_count ? found->delivery_count : 0,
        .message = {
            .exchange = method->exchange,
            .key = method->key,
            .body = body,
            .size = channel->header.body_size,
            .type = *channel->properties.type ? channel->properties.type : NULL,
            .user = channel->properties.user,
            .correlation = channel->properties.correlation,
            .expiration_ms = channel->properties.expiration_ms,
            .persistent = channel->properties.is_persistent,
            .offset = found->has_stream_offset ? found->stream_offset : 0,
        }};

    channel->content = NO_CONTENT;
    if (method->id == IST_BASIC_RETURN)
        conn->events->returned(conn->owner, number,
                               channel->properties.message_id);
    else if (channel->is_dropped)
        conn->events->dropped(conn->owner, number, method->tag);
    else
        conn->events->delivered(conn->owner, &delivery);
    if (channel->content == NO_CONTENT && channel->body_room > BODY_KEEP) {
        free(IST_TAKE(channel->body));
        channel->body_room = 0;
    }
}

static int content_header(struct ist_conn *conn, const struct ist_frame *frame)
{
    struct channel *channel = conn->channels[frame->channel];
    int rc;

    if (channel->content != WANT_HEADER)
        return fail(conn, -EPROTO, "a content header out of place");
    rc = ist_content_parse(frame->payload, frame->size, &channel->header);
    if (rc == -EPROTO)
        return fail(conn, rc, "a content header cannot be read");
    channel->is_dropped = rc != 0 || channel->header.is_encoded ||
                          channel->header.body_size > conn->body_max;
    memset(&channel->properties, 0, sizeof(channel->properties));
    if (rc == 0 && ist_codec_properties(conn->codec, channel->header.properties,
                                        channel->header.properties_size,
                                        &channel->properties))
        return fail(conn, -EPROTO, "properties cannot be read");
    channel->n_body = 0;
    channel->content = WANT_BODY;
    if (channel->header.body_size == 0)
        message_done(conn, frame->channel, (const uint8_t *) "");
    return 0;
}

static bool body_reserve(struct channel *channel)
{
    uint64_t size = channel->header.body_size;
    uint8_t *more;

    if (size <= channel->body_room)
        return true;
    more = realloc(channel->body, size);
    if (!more)
        return false;
    channel->body = more;
    channel->body_room = size;
    return true;
}

static int content_body(struct ist_conn *conn, const struct ist_frame *frame)
{
    struct channel *channel = conn->channels[frame->channel];
    uint64_t size = channel->header.body_size;

    /* An empty one would be no progress, however many come. */
    if (channel->content != WANT_BODY || frame->size == 0 ||
        frame->size > size - channel->n_body)
        return fail(conn, -EPROTO, "a body frame out of place");
    if (frame->size == size && !channel->is_dropped) {
        message_done(conn, frame->channel, frame->payload);
        return 0;
    }
    if (!channel->is_dropped) {
        if (!body_reserve(channel))
            return fail(conn, -ENOMEM, "no memory for a message");
        memcpy(channel->body + channel->n_body, frame->payload, frame->size);
    }
    channel->n_body += frame->size;
    if (channel->n_body == size)
        message_done(conn, frame->channel, channel->body);
    return 0;
}

/* Frames. */

static int channel_frame(struct ist_conn *conn, const struct ist_frame *frame)
{
    struct channel *channel = frame->channel <= IST_CONN_CHANNELS
                                  ? conn->channels[frame->channel]
                                  : NULL;

    if (!channel || channel->state == FREE)
        return fail(conn, -EPROTO, "a frame on channel %u, which is not open",
                    frame->channel);
    if (frame->type == IST_FRAME_METHOD)
        return channel_method(conn, frame);
    if (channel->state == CLOSING_CHANNEL)
        return 0;
    return frame->type == IST_FRAME_HEADER ? content_header(conn, frame)
                                           : content_body(conn, frame);
}

static int take_frame(struct ist_conn *conn, const struct ist_frame *frame)
{
    if (frame->type == IST_FRAME_HEARTBEAT) {
        if (frame->channel || frame->size)
            return fail(conn, -EPROTO, "a heartbeat that is none");
        return 0;
    }
    if (frame->channel == 0)
        return connection_frame(conn, frame);
    if (conn->state == CLOSING)
        return 0;
    if (conn->state != READY)
        return fail(conn, -EPROTO, "a frame on channel %u before its time",
                    frame->channel);
    return channel_frame(conn, frame);
}

static void on_received(void *owner, const void *data, size_t size)
{
    struct ist_conn *conn = owner;
    struct ist_frame frame;
    int rc = 0;

    if (conn->state == DEAD)
        return;
    conn->received_at = ist_loop_now(conn->loop);
    conn->is_suspect = false;
    ist_frames_push(&conn->frames, data, size);
    while (conn->state != DEAD &&
           (rc = ist_frames_next(&conn->frames, &frame)) > 0)
        if (take_frame(conn, &frame))
            break;
    if (conn->state == DEAD || rc >= 0)
        return;
    fail(conn, rc, "%s",
         rc == -EPROTONOSUPPORT ? "the broker refuses AMQP 0-9-1"
         : rc == -ENOMEM        ? "no memory for a frame"
                                : "bytes that are no frame");
}

/* Time. */

/* 'since' may be the later one: the clock goes on while we look. */
static uint64_t elapsed(uint64_t now, uint64_t since)
{
    return now > since ? now - since : 0;
}

static int check_rpcs(struct ist_conn *conn, uint64_t now)
{
    for (size_t i = 0; i < IST_COUNT(conn->channels); i++) {
        const struct channel *channel = conn->channels[i];

        if (channel && channel->n_rpcs && now >= channel->rpcs[0].deadline)
            return fail(conn, -ETIMEDOUT,
                        "no answer to a method on channel %zu", i);
    }
    return 0;
}

/* libuv runs timers before it polls: after the loop stood still, silence may
 * only mean that the bytes have not been read. So the first finding makes the
 * connection suspect, and the next one, after a poll, ends it. */
static int check_silence(struct ist_conn *conn, uint64_t now)
{
    if (elapsed(now, conn->received_at) < 2000U * conn->heartbeat_s) {
        conn->is_suspect = false;
        return 0;
    }
    if (!conn->is_suspect) {
        conn->is_suspect = true;
        return 0;
    }
    return fail(conn, -ETIMEDOUT, "no heartbeat from the broker for %u s",
                2U * conn->heartbeat_s);
}

static int check_ready(struct ist_conn *conn, uint64_t now)
{
    static const uint8_t heartbeat[] = {IST_FRAME_HEARTBEAT, 0, 0, 0, 0, 0, 0,
                                        IST_FRAME_END};

    uint64_t progress_at = ist_link_progress_at(conn->link);

    if (check_silence(conn, now))
        return -ETIMEDOUT;
    if (elapsed(now, conn->written_at) >= 500U * conn->heartbeat_s)
        put(conn, heartbeat, sizeof(heartbeat));
    if (conn->is_blocked)
        return 0; /* It reads nothing: then nothing can be late. */
    if (check_rpcs(conn, now))
        return -ETIMEDOUT;
    if (progress_at < conn->unblocked_at)
        progress_at = conn->unblocked_at;
    if (elapsed(now, progress_at) >= IST_CONN_STALLED_MS)
        return fail(conn, -ETIMEDOUT, "the broker reads nothing");
    return 0;
}

static void on_tick(struct ist_timer *timer)
{
    struct ist_conn *conn = IST_CONTAINER(timer, struct ist_conn, tick);
    uint64_t now = ist_loop_now(conn->loop);

    if (now >= conn->deadline) {
        if (conn->state == CLOSING)
            die(conn);
        else
            fail(conn, -ETIMEDOUT, "no AMQP connection within %u s",
                 IST_CONN_HANDSHAKE_MS / 1000);
        return;
    }
    if (conn->state == READY && check_ready(conn, now))
        return;
    ist_timer_arm_in(&conn->tick, conn->loop,
                     conn->is_suspect ? POLL_GRACE_MS : TICK_MS, on_tick);
}

/* The link's other events. */

static void on_opened(void *owner)
{
    struct ist_conn *conn = owner;

    conn->state = START;
    put(conn, (const uint8_t *) "AMQP\0\0\x09\x01", 8);
}

static void on_sent(void *owner)
{
    struct ist_conn *conn = owner;

    if (conn->state == READY && conn->is_owned)
        conn->events->sent(conn->owner);
}

static void on_broken(void *owner, const struct ist_err *err)
{
    fail_err(owner, err);
}

static const struct ist_link_events link_events = {
    .opened = on_opened,
    .received = on_received,
    .sent = on_sent,
    .broken = on_broken,
    .gone = on_gone,
};

bool ist_conn_is_ready(const struct ist_conn *conn)
{
    return conn->state == READY;
}

uint64_t ist_conn_queued(const struct ist_conn *conn)
{
    return conn->state == DEAD ? 0 : ist_link_queued(conn->link);
}

unsigned ist_conn_n_addresses(const struct ist_conn *conn)
{
    return ist_link_n_addresses(conn->link);
}

const char *ist_conn_peer(const struct ist_conn *conn)
{
    return ist_link_peer(conn->link);
}

static void copy_conf(struct ist_conn *conn, const struct ist_conn_conf *conf)
{
    uint64_t heartbeat_s = (conf->heartbeat_ms + 999) / 1000;

    strlcpy(conn->vhost, conf->url->vhost, sizeof(conn->vhost));
    strlcpy(conn->user, conf->url->user, sizeof(conn->user));
    strlcpy(conn->password, conf->url->password, sizeof(conn->password));
    strlcpy(conn->name, conf->name, sizeof(conn->name));
    conn->is_tls = conf->url->is_tls;
    conn->body_max = conf->body_max;
    conn->frame_max = IST_FRAME_MAX;
    conn->channel_max = IST_CONN_CHANNELS;
    conn->heartbeat_s = heartbeat_s < 1      ? 1
                        : heartbeat_s > 3600 ? 3600
                                             : (uint16_t) heartbeat_s;
}

struct ist_conn *ist_conn_new(struct ist_loop *loop,
                              const struct ist_conn_conf *conf,
                              const struct ist_conn_events *events, void *owner)
{
    const struct ist_link_conf link = {.host = conf->url->host,
                                       .port = conf->url->port,
                                       .address = conf->address,
                                       .tls = conf->tls,
                                       .hard_max = conf->hard_max};
    struct ist_conn *conn = calloc(1, sizeof(*conn));

    if (!conn)
        return NULL;
    conn->loop = loop;
    conn->events = events;
    conn->owner = owner;
    conn->is_owned = true;
    conn->codec = ist_codec_new();
    ist_frames_init(&conn->frames, IST_FRAME_MAX);
    copy_conf(conn, conf);
    if (conn->codec)
        conn->link = ist_link_new(loop, &link, &link_events, conn);
    if (!conn->link) {
        ist_codec_free(conn->codec);
        explicit_bzero(conn->password, sizeof(conn->password));
        free(conn);
        return NULL;
    }
    conn->received_at = conn->written_at = ist_loop_now(loop);
    conn->deadline = conn->received_at + IST_CONN_HANDSHAKE_MS;
    ist_timer_arm_in(&conn->tick, loop, TICK_MS, on_tick);
    return conn;
}
