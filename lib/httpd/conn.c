/* One client connection: its absolute deadlines, and what has to be said or
 * noticed behind libmicrohttpd's back.
 *
 * The daemon's own timeout counts silence only, so a byte a second keeps a
 * connection for ever: the deadlines here are absolute. When one passes, the
 * daemon gives no way to answer (it takes an answer only for a whole request),
 * so the 408 is written straight to the socket. That is safe exactly then:
 * while a request is being received, the daemon sends nothing.
 *
 * Whether a kept connection is idle or in the middle of a head cannot be asked
 * either; the kernel's count of bytes received tells.
 *
 * While a TLS client is silent in its handshake, the daemon takes its socket
 * for ready and wants to be run again at once, for ever: a few such clients
 * would cost a whole processor. So these connections are suspended, and a
 * uv_poll_t of ours wakes them when the client goes on. (The daemon's manual
 * has suspending for its callbacks; without threads it may be done between two
 * runs just as well.)
 *
 * While a request is with its handler the connection is suspended, and the
 * daemon does not look at it: a uv_poll_t of ours sees the client leave. The
 * same while a streamed body is held back, or answered before its end. */
#include "httpd/received.h"
#include "httpd/server_priv.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* How long a client may take to read an answer that ends its connection,
 * while we throw away what it still sends. */
#define LINGER_MS 1000

static void conn_maybe_free(struct conn *conn)
{
    struct ist_httpd *httpd = conn->httpd;

    if (conn->mhd || conn->watch_open)
        return;
    LIST_REMOVE(conn, sibling);
    free(conn);
    httpd_maybe_free(httpd);
}

static void say_late(struct conn *conn)
{
    static const char text[] = "HTTP/1.1 408 Request Timeout\r\n"
                               "Content-Type: text/plain\r\n"
                               "Content-Length: 26\r\n"
                               "Connection: close\r\n\r\n"
                               "request not sent in time\r\n";

    conn_write_last(conn, text, sizeof(text) - 1);
    conn_cut(conn);
}

static void on_time(struct ist_timer *timer);

/* On a kept connection: idle until its deadline; but when bytes came, a head
 * is under way and must be whole by the next look. */
static void on_next(struct conn *conn)
{
    uint64_t now = ist_loop_now(conn->httpd->loop);
    uint64_t n = ist_received(conn->fd);
    uint64_t next = now + conn->httpd->conf.head_timeout_ms;

    if (n != conn->n_seen) {
        conn->n_seen = n;
        conn->wait = WAIT_HEAD;
    } else if (now >= conn->idle_deadline) {
        conn_cut(conn);
        return;
    } else if (next > conn->idle_deadline) {
        next = conn->idle_deadline;
    }
    ist_timer_arm(&conn->timer, conn->httpd->loop, next, on_time);
}

static void on_time(struct ist_timer *timer)
{
    struct conn *conn = IST_CONTAINER(timer, struct conn, timer);

    switch (conn->wait) {
    case WAIT_HEAD:
        say_late(conn);
        break;
    case WAIT_BODY:
        request_late(conn->request);
        break;
    case WAIT_NEXT:
        on_next(conn);
        break;
    case WAIT_TAKE:
        request_cut(conn->request);
        break;
    case WAIT_LINGER:
        conn_cut(conn);
        break;
    case WAIT_ANSWER:
        break;
    }
}

void conn_wait_for(struct conn *conn, enum conn_wait wait)
{
    const struct ist_httpd_conf *conf = &conn->httpd->conf;
    struct ist_loop *loop = conn->httpd->loop;

    if (conn->cut)
        return;
    conn->wait = wait;
    switch (wait) {
    case WAIT_HEAD:
        ist_timer_arm_in(&conn->timer, loop, conf->head_timeout_ms, on_time);
        break;
    case WAIT_BODY:
        ist_timer_arm_in(&conn->timer, loop, conf->body_timeout_ms, on_time);
        break;
    case WAIT_NEXT:
        conn->n_seen = ist_received(conn->fd);
        conn->idle_deadline = ist_loop_now(loop) + conf->idle_timeout_ms;
        ist_timer_arm_in(&conn->timer, loop,
                         conf->head_timeout_ms < conf->idle_timeout_ms
                             ? conf->head_timeout_ms
                             : conf->idle_timeout_ms,
                         on_time);
        break;
    case WAIT_TAKE:
        ist_timer_arm_in(&conn->timer, loop, conf->idle_timeout_ms, on_time);
        break;
    case WAIT_LINGER:
        ist_timer_arm_in(&conn->timer, loop, LINGER_MS, on_time);
        break;
    case WAIT_ANSWER:
        ist_timer_disarm(&conn->timer);
        break;
    }
}

/* ---- the client leaving ------------------------------------------------ */

static void on_watch_closed(uv_handle_t *handle)
{
    struct conn *conn = handle->data;

    conn->watch_open = false;
    conn_maybe_free(conn);
}

/* A client that only closes its sending side is taken for gone: whoever was
 * killed looks the same. */
static void on_watch(uv_poll_t *handle, int status, int events)
{
    struct conn *conn = handle->data;
    struct request *r = conn->request;

    (void) status, (void) events;
    uv_poll_stop(handle);
    if (r && r->phase == PHASE_FLOW && !r->suspended && !r->by_hand)
        body_poke(r);
    else if (r)
        request_gone(r, -ECONNRESET);
}

/* False when memory is out. */
static bool watch_open(struct conn *conn)
{
    struct ist_loop *loop = conn->httpd->loop;

    if (conn->watch_open)
        return true;
    if (uv_poll_init_socket(loop->uv, &conn->watch, conn->fd))
        return false;
    conn->watch.data = conn;
    conn->watch_open = true;
    return true;
}

void conn_cork(struct conn *conn, bool on)
{
    int value = on;

    if (conn->corked == on)
        return;
    conn->corked = on;
    setsockopt(conn->fd, IPPROTO_TCP, TCP_CORK, &value, sizeof(value));
}

/* Without memory the client leaving is seen when we write. */
void conn_watch(struct conn *conn)
{
    if (watch_open(conn))
        uv_poll_start(&conn->watch, UV_DISCONNECT, on_watch);
}

static void on_writable(uv_poll_t *handle, int status, int events)
{
    struct conn *conn = handle->data;

    (void) status, (void) events;
    uv_poll_stop(handle);
    if (conn->request && conn->request->stream)
        stream_writable(conn->request->stream);
}

int conn_watch_write(struct conn *conn)
{
    if (!watch_open(conn))
        return -ENOMEM;
    return uv_poll_start(&conn->watch, UV_WRITABLE, on_writable);
}

void conn_unwatch(struct conn *conn)
{
    if (conn->watch_open)
        uv_poll_stop(&conn->watch);
}

/* ---- silent handshakes -------------------------------------------------- */

static gnutls_session_t tls_session(struct conn *conn)
{
    const union MHD_ConnectionInfo *info;

    if (!conn->httpd->tls)
        return NULL;
    info =
        MHD_get_connection_info(conn->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info ? info->tls_session : NULL;
}

static void unpark(struct conn *conn)
{
    if (!conn->parked)
        return;
    conn->parked = false;
    conn_unwatch(conn);
    MHD_resume_connection(conn->mhd);
    httpd_kick(conn->httpd);
}

static void on_parked(uv_poll_t *handle, int status, int events)
{
    (void) status, (void) events;
    unpark(handle->data);
}

/* Is there nothing to do but wait for the client? */
static bool is_silent(struct conn *conn)
{
    gnutls_session_t session = tls_session(conn);
    char byte;

    return session && gnutls_record_get_direction(session) == 0 &&
           gnutls_record_check_pending(session) == 0 &&
           recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           errno == EAGAIN;
}

static void park(struct conn *conn)
{
    if (!watch_open(conn) ||
        uv_poll_start(&conn->watch, UV_READABLE | UV_DISCONNECT, on_parked))
        return;
    conn->parked = true;
    MHD_suspend_connection(conn->mhd);
}

void conn_park_all(struct ist_httpd *httpd)
{
    struct conn *conn;

    if (httpd->closing)
        return;
    LIST_FOREACH(conn, &httpd->shaking, shaking_link)
    {
        if (!conn->parked && !conn->cut && is_silent(conn))
            park(conn);
    }
}

void conn_unpark_all(struct ist_httpd *httpd)
{
    struct conn *conn;

    LIST_FOREACH(conn, &httpd->shaking, shaking_link)
    {
        unpark(conn);
    }
}

void conn_shaken(struct conn *conn)
{
    if (!conn->shaking)
        return;
    conn->shaking = false;
    LIST_REMOVE(conn, shaking_link);
}

/* ---- our last word ----------------------------------------------------- */

ssize_t conn_write(struct conn *conn, const char *data, size_t size)
{
    gnutls_session_t session = tls_session(conn);
    ssize_t n;

    if (session) {
        /* Refuses by itself when the handshake is not over. */
        n = gnutls_record_send(session, data, size);
        if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
            return -EAGAIN;
    } else {
        n = conn->httpd->tls
                ? -1
                : send(conn->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return -EAGAIN;
    }
    return n < 0 ? -EPIPE : n;
}

void conn_bye(struct conn *conn)
{
    gnutls_session_t session = tls_session(conn);

    if (session)
        gnutls_bye(session, GNUTLS_SHUT_WR);
    shutdown(conn->fd, SHUT_WR);
}

void conn_write_last(struct conn *conn, const char *text, size_t len)
{
    if (conn_write(conn, text, len) > 0)
        conn_bye(conn);
    else
        shutdown(conn->fd, SHUT_WR);
}

void conn_cut(struct conn *conn)
{
    ist_timer_disarm(&conn->timer);
    conn->cut = true;
    shutdown(conn->fd, SHUT_RDWR);
    unpark(conn);
}

/* ---- life -------------------------------------------------------------- */

/* IPv4 seen through an IPv6 socket is written as IPv4. */
static void say_peer(const struct sockaddr *addr, char *ret, socklen_t size)
{
    const struct sockaddr_in *v4 = (const void *) addr;
    const struct sockaddr_in6 *v6 = (const void *) addr;

    if (addr->sa_family == AF_INET)
        inet_ntop(AF_INET, &v4->sin_addr, ret, size);
    else if (addr->sa_family != AF_INET6)
        strlcpy(ret, "unknown", size);
    else if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], ret, size);
    else
        inet_ntop(AF_INET6, &v6->sin6_addr, ret, size);
}

static void conn_open(struct ist_httpd *httpd, struct MHD_Connection *mhd,
                      void **ret)
{
    const union MHD_ConnectionInfo *info;
    struct conn *conn = calloc(1, sizeof(*conn));

    *ret = conn;
    if (!conn)
        return; /* Its first request will be turned away. */
    conn->httpd = httpd;
    conn->mhd = mhd;
    info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    conn->fd = info->connect_fd;
    info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    say_peer(info->client_addr, conn->peer, sizeof(conn->peer));
    LIST_INSERT_HEAD(&httpd->conns, conn, sibling);
    if (httpd->tls) {
        conn->shaking = true;
        LIST_INSERT_HEAD(&httpd->shaking, conn, shaking_link);
    }
    conn_wait_for(conn, WAIT_HEAD);
}

void conn_notify(void *arg, struct MHD_Connection *mhd, void **ret_conn,
                 enum MHD_ConnectionNotificationCode code)
{
    struct conn *conn = *ret_conn;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        conn_open(arg, mhd, ret_conn);
        return;
    }
    /* At its cap of connections the daemon no longer listens; that it may do
     * so again it finds out only in its next run. */
    httpd_kick(arg);
    if (!conn)
        return;
    assert(!conn->request);
    assert(!conn->parked);
    conn_shaken(conn);
    ist_timer_disarm(&conn->timer);
    conn->mhd = NULL;
    *ret_conn = NULL;
    /* The descriptor is closed right after this. */
    if (conn->watch_open)
        uv_close((uv_handle_t *) &conn->watch, on_watch_closed);
    conn_maybe_free(conn);
}

struct conn *conn_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}
