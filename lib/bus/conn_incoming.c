/* What comes on a channel: answers, of which any but the one that is due is a
 * protocol error; events; messages. A message is three kinds of frames on one
 * channel, with nothing but a channel.close allowed in between:
 *
 *   method (deliver, return) -> header -> body... */
#include "bus/conn_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BODY_KEEP 65536

/* Methods. */

static int channel_close_ok(struct ist_conn *conn, uint16_t number)
{
    uint8_t buf[IST_CODEC_MAX];

    ist_conn_channel_reset(conn->channels[number], FREE);
    return ist_conn_put(conn, buf,
                        ist_codec_bare(buf, number, IST_CHANNEL_CLOSE_OK));
}

static int channel_answer(struct ist_conn *conn, uint16_t number, uint32_t id)
{
    struct channel *channel = conn->channels[number];

    if (channel->n_rpcs == 0 || channel->rpcs[0].answer != id)
        return ist_conn_fail(conn, -EPROTO,
                             "method %08" PRIx32 " answers nothing", id);
    channel->n_rpcs--;
    memmove(channel->rpcs, channel->rpcs + 1,
            channel->n_rpcs * sizeof(channel->rpcs[0]));
    if (id == IST_CHANNEL_CLOSE_OK)
        ist_conn_channel_reset(channel, FREE);
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
            return ist_conn_fail(conn, -EPROTO, "a delivery to no consumer");
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
            return ist_conn_fail(conn, -EPROTO, "a cancel of no consumer");
        channel->is_consuming = false;
        conn->events->cancelled(conn->owner, number);
        return 0;
    case IST_CHANNEL_FLOW:
        return ist_conn_put(conn, buf,
                            ist_codec_flow_ok(buf, number, method->active));
    default:
        return ist_conn_fail(
            conn, -EPROTO, "method %08" PRIx32 " is not expected", method->id);
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
        return ist_conn_fail(conn, -EPROTO, "a method without a number");
    id = ist_get32(frame->payload);
    if (id == IST_CHANNEL_CLOSE) {
        bool was_ours = channel->state == CLOSING_CHANNEL;
        int rc;

        if (ist_conn_decode(conn, frame, &method))
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
        return ist_conn_fail(conn, -EPROTO,
                             "a method in the middle of a message");
    if (!is_channel_event(id))
        return channel_answer(conn, frame->channel, id);
    if (ist_conn_decode(conn, frame, &channel->method))
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
            .headers = channel->properties.headers,
            .n_headers = channel->properties.n_headers,
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
        return ist_conn_fail(conn, -EPROTO, "a content header out of place");
    rc = ist_content_parse(frame->payload, frame->size, &channel->header);
    if (rc == -EPROTO)
        return ist_conn_fail(conn, rc, "a content header cannot be read");
    channel->is_dropped = rc != 0 || channel->header.is_encoded ||
                          channel->header.body_size > conn->body_max;
    ist_codec_properties_clear(&channel->properties);
    if (rc == 0 && ist_codec_properties(conn->codec, channel->header.properties,
                                        channel->header.properties_size,
                                        &channel->properties))
        return ist_conn_fail(conn, -EPROTO, "properties cannot be read");
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
        return ist_conn_fail(conn, -EPROTO, "a body frame out of place");
    if (frame->size == size && !channel->is_dropped) {
        message_done(conn, frame->channel, frame->payload);
        return 0;
    }
    if (!channel->is_dropped) {
        if (!body_reserve(channel))
            return ist_conn_fail(conn, -ENOMEM, "no memory for a message");
        memcpy(channel->body + channel->n_body, frame->payload, frame->size);
    }
    channel->n_body += frame->size;
    if (channel->n_body == size)
        message_done(conn, frame->channel, channel->body);
    return 0;
}

int ist_conn_channel_frame(struct ist_conn *conn, const struct ist_frame *frame)
{
    struct channel *channel = frame->channel <= IST_CONN_CHANNELS
                                  ? conn->channels[frame->channel]
                                  : NULL;

    if (!channel || channel->state == FREE)
        return ist_conn_fail(conn, -EPROTO,
                             "a frame on channel %u, which is not open",
                             frame->channel);
    if (frame->type == IST_FRAME_METHOD)
        return channel_method(conn, frame);
    if (channel->state == CLOSING_CHANNEL)
        return 0;
    return frame->type == IST_FRAME_HEADER ? content_header(conn, frame)
                                           : content_body(conn, frame);
}
