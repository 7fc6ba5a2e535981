/* Bytes from the link are cut into frames, each frame is judged by the state
 * of the connection (conn_handshake.c) or of its channel (conn_incoming.c),
 * and only then decoded.
 *
 * Failing: ist_conn_fail() notes the reason, tells the owner, closes the link.
 * The frames after it are not looked at. */
#include "bus/conn_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS       500
#define POLL_GRACE_MS 20 /* See on_tick(). */

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

void ist_conn_die(struct ist_conn *conn)
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

    ist_conn_die(conn);
    conn->is_owned = false;
    if (is_news)
        conn->events->broken(conn->owner, err);
}

int ist_conn_fail(struct ist_conn *conn, int rc, const char *fmt, ...)
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
    ist_conn_die(conn);
}

/* Writing. */

int ist_conn_put(struct ist_conn *conn, const uint8_t *frame, ssize_t size)
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

void ist_conn_close(struct ist_conn *conn)
{
    uint8_t buf[IST_CODEC_MAX];

    conn->is_owned = false;
    if (conn->state != READY ||
        ist_conn_put(conn, buf, ist_codec_close(buf, 0))) {
        ist_conn_die(conn);
        return;
    }
    conn->state = CLOSING;
    conn->deadline = ist_loop_now(conn->loop) + IST_CONN_CLOSE_MS;
}

/* Frames. */

const char *ist_conn_mechanism(const struct ist_conn *conn)
{
    return *conn->user ? "PLAIN" : "EXTERNAL";
}

int ist_conn_decode(struct ist_conn *conn, const struct ist_frame *frame,
                    struct ist_method *method)
{
    if (ist_codec_method(conn->codec, frame->payload, frame->size,
                         ist_conn_mechanism(conn), method))
        return ist_conn_fail(conn, -EPROTO,
                             "method %08" PRIx32 " cannot be read",
                             ist_get32(frame->payload));
    return 0;
}

static int take_frame(struct ist_conn *conn, const struct ist_frame *frame)
{
    if (frame->type == IST_FRAME_HEARTBEAT) {
        if (frame->channel || frame->size)
            return ist_conn_fail(conn, -EPROTO, "a heartbeat that is none");
        return 0;
    }
    if (frame->channel == 0)
        return ist_conn_own_frame(conn, frame);
    if (conn->state == CLOSING)
        return 0;
    if (conn->state != READY)
        return ist_conn_fail(conn, -EPROTO,
                             "a frame on channel %u before its time",
                             frame->channel);
    return ist_conn_channel_frame(conn, frame);
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
    ist_conn_fail(conn, rc, "%s",
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
            return ist_conn_fail(conn, -ETIMEDOUT,
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
    return ist_conn_fail(conn, -ETIMEDOUT,
                         "no heartbeat from the broker for %u s",
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
        ist_conn_put(conn, heartbeat, sizeof(heartbeat));
    if (conn->is_blocked)
        return 0; /* It reads nothing: then nothing can be late. */
    if (check_rpcs(conn, now))
        return -ETIMEDOUT;
    if (progress_at < conn->unblocked_at)
        progress_at = conn->unblocked_at;
    if (elapsed(now, progress_at) >= IST_CONN_STALLED_MS)
        return ist_conn_fail(conn, -ETIMEDOUT, "the broker reads nothing");
    return 0;
}

static void on_tick(struct ist_timer *timer)
{
    struct ist_conn *conn = IST_CONTAINER(timer, struct ist_conn, tick);
    uint64_t now = ist_loop_now(conn->loop);

    if (now >= conn->deadline) {
        if (conn->state == CLOSING)
            ist_conn_die(conn);
        else
            ist_conn_fail(conn, -ETIMEDOUT, "no AMQP connection within %u s",
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
    ist_conn_put(conn, (const uint8_t *) "AMQP\0\0\x09\x01", 8);
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
