/* What we ask of the broker on a channel. The answers to our methods come in
 * order on each channel: 'rpcs' is a FIFO of the answers due. */
#include "bus/conn_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct channel *usable(struct ist_conn *conn, uint16_t number)
{
    struct channel *channel =
        number <= IST_CONN_CHANNELS ? conn->channels[number] : NULL;

    return conn->state == READY && channel && channel->state == OPENED ? channel
                                                                       : NULL;
}

/* What the message of the moment points to stays: the owner may close a channel
 * while it is being handed one. */
void ist_conn_channel_reset(struct channel *channel, enum channel_state state)
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

/* A method that will be answered. */
static int ask(struct ist_conn *conn, uint16_t number, const uint8_t *frame,
               ssize_t size, uint32_t answer)
{
    struct channel *channel = conn->channels[number];
    int rc;

    if (channel->n_rpcs == RPCS_MAX)
        return -EBUSY;
    rc = ist_conn_put(conn, frame, size);
    if (rc)
        return rc;
    channel->rpcs[channel->n_rpcs++] =
        (struct rpc){.answer = answer,
                     .deadline = ist_loop_now(conn->loop) + IST_CONN_RPC_MS};
    return 0;
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
    ist_conn_channel_reset(channel, CLOSING_CHANNEL);
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

static int bind_to(struct ist_conn *conn, uint16_t number,
                   const struct ist_conn_consume *consume, const char *key)
{
    uint8_t buf[IST_CODEC_MAX];

    return ask(conn, number, buf,
               ist_codec_bind(buf, number, consume->queue,
                              consume->bind_exchange, key),
               IST_QUEUE_BIND_OK);
}

static int declare(struct ist_conn *conn, uint16_t number,
                   const struct ist_conn_consume *consume)
{
    uint8_t buf[IST_CODEC_MAX];
    int rc = 0;

    if (consume->declare_exchange)
        rc = ask(conn, number, buf,
                 ist_codec_exchange(buf, number, consume->bind_exchange),
                 IST_EXCHANGE_DECLARE_OK);
    if (rc == 0)
        rc = ask(conn, number, buf,
                 ist_codec_declare(buf, number, consume->queue, consume->ttl_ms,
                                   consume->max_length),
                 IST_QUEUE_DECLARE_OK);
    if (rc == 0)
        rc = bind_to(conn, number, consume, consume->bind_key);
    if (rc == 0 && consume->bind_also)
        rc = bind_to(conn, number, consume, consume->bind_also);
    return rc;
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
    return ist_conn_put(conn, buf, ist_codec_ack(buf, number, tag));
}
