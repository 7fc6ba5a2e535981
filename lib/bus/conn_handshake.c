/* The connection's own methods, on channel 0: the handshake, a broker's alarm,
 * the end. Each is legal in some states only. */
#include "bus/conn_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define IN(state) (1U << (state))

static int on_start(struct ist_conn *conn, const struct ist_method *method)
{
    const struct ist_codec_login login = {
        .mechanism = ist_conn_mechanism(conn),
        .user = conn->user,
        .password = conn->password,
        .name = conn->name,
    };
    uint8_t buf[IST_CODEC_MAX];
    int rc;

    if (method->major != 0 || method->minor != 9)
        return ist_conn_fail(conn, -EPROTONOSUPPORT,
                             "the broker speaks AMQP %u.%u", method->major,
                             method->minor);
    if (!method->has_mechanism)
        return ist_conn_fail(conn, -EPROTONOSUPPORT,
                             "the broker does not offer %s", login.mechanism);
    rc = ist_conn_put(conn, buf, ist_codec_start_ok(buf, &login));
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
        return ist_conn_fail(conn, -EPROTO,
                             "the broker wants frames of %" PRIu32,
                             method->frame_max);
    if (method->frame_max && method->frame_max < conn->frame_max)
        conn->frame_max = method->frame_max;
    if (method->channel_max && method->channel_max < conn->channel_max)
        conn->channel_max = method->channel_max;
    if (method->heartbeat_s && method->heartbeat_s < conn->heartbeat_s)
        conn->heartbeat_s = method->heartbeat_s;
    conn->frames.max = conn->frame_max;
    rc = ist_conn_put(conn, buf,
                      ist_codec_tune_ok(buf, conn->channel_max, conn->frame_max,
                                        conn->heartbeat_s));
    if (rc == 0)
        rc = ist_conn_put(conn, buf, ist_codec_open(buf, conn->vhost));
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

    ist_conn_put(conn, buf, ist_codec_bare(buf, 0, IST_CONNECTION_CLOSE_OK));
    return ist_conn_fail(conn, rc, "the broker closed the connection: %u %s",
                         method->code, method->text);
}

static int on_close_ok(struct ist_conn *conn, const struct ist_method *method)
{
    (void) method;
    ist_conn_die(conn);
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

int ist_conn_own_frame(struct ist_conn *conn, const struct ist_frame *frame)
{
    struct ist_method method;
    uint32_t id;

    if (frame->type != IST_FRAME_METHOD || frame->size < 4)
        return ist_conn_fail(conn, -EPROTO, "frame of type %u on channel 0",
                             frame->type);
    id = ist_get32(frame->payload);
    for (size_t i = 0; i < IST_COUNT(connection_methods); i++) {
        if (connection_methods[i].id != id)
            continue;
        if (!(connection_methods[i].states & IN(conn->state)))
            break;
        if (ist_conn_decode(conn, frame, &method))
            return -EPROTO;
        return connection_methods[i].handle(conn, &method);
    }
    return ist_conn_fail(conn, -EPROTO, "method %08" PRIx32 " is not expected",
                         id);
}
