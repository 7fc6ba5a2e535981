/* Happy path:
 *
 *   getaddrinfo -> connect -> [TLS handshake] -> opened -> received...
 *
 * Writing: the owner fills 'out'. In the next turn of the loop (an idle handle,
 * active only while there is something to send) it goes with uv_try_write(),
 * and what the kernel does not take with one uv_write(), while a new 'out'
 * fills. Under TLS 'out' is encrypted into 'wire' first, a
 * bounded piece at a time.
 *
 * Failing: every fault goes through break_link(), which only notes it; the
 * event is given by the caller in the loop (on_read, on_turn...), never in
 * the owner's call. After ist_link_close() the memory goes when the last of
 * handles and requests has called back: name resolution cannot always be
 * cancelled. */
#include "bus/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_SIZE     65536
#define ENCRYPT_PIECE 262144 /* Encrypted in one turn of the loop. */
#define BUFFER_MIN    4096
#define BUFFER_KEEP   65536 /* A larger empty buffer is freed. */
#define ADDRESSES_MAX 16    /* Of one name; more are not tried. */

struct buffer {
    uint8_t *data;
    size_t used, room;
};

struct ist_link {
    struct ist_loop *loop; /* Borrowed. */
    const struct ist_link_events *events;
    void *owner;
    unsigned address, n_addresses;
    uint64_t hard_max;
    struct ist_tls *tls; /* Owned. NULL: plain. */

    struct buffer out;  /* What the owner wrote. */
    struct buffer wire; /* Being written to the socket. */
    size_t n_wire_sent; /* Of 'wire', taken by uv_try_write(). */
    bool is_resolving, is_connected, is_opened;
    bool is_writing, is_broken, is_told, is_closing;
    struct ist_err why;
    uint64_t progress_at;
    size_t last_queue; /* libuv's queue when we last looked. */
    char peer[80];

    uv_tcp_t tcp;
    uv_idle_t turn;
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    uv_write_t write;
    unsigned n_pending; /* Handles and requests that will call back. */
};

/* One thread drives all links, and no read outlives its callback. */
static _Thread_local char read_buffer[READ_SIZE];

/* Buffers. */

static bool buffer_reserve(struct buffer *buffer, size_t size)
{
    size_t room = buffer->room ? buffer->room : BUFFER_MIN;
    uint8_t *more;

    if (size <= buffer->room - buffer->used)
        return true;
    while (room - buffer->used < size)
        room *= 2;
    more = realloc(buffer->data, room);
    if (!more)
        return false;
    buffer->data = more;
    buffer->room = room;
    return true;
}

static void buffer_fini(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){.data = NULL};
}

static void buffer_empty(struct buffer *buffer)
{
    buffer->used = 0;
    if (buffer->room > BUFFER_KEEP)
        buffer_fini(buffer);
}

/* Failing and ending. */

static void link_maybe_free(struct ist_link *link)
{
    const struct ist_link_events *events = link->events;
    void *owner = link->owner;

    if (--link->n_pending > 0)
        return;
    ist_tls_free(link->tls);
    buffer_fini(&link->out);
    buffer_fini(&link->wire);
    free(link);
    events->gone(owner);
}

static void on_closed(uv_handle_t *handle)
{
    link_maybe_free(handle->data);
}

static void on_turn(uv_idle_t *handle);

static void break_link(struct ist_link *link, const struct ist_err *err)
{
    if (link->is_broken)
        return;
    link->is_broken = true;
    link->why = *err;
    uv_idle_start(&link->turn, on_turn);
}

static void break_errno(struct ist_link *link, int rc, const char *what)
{
    struct ist_err err = {0};

    ist_err_set(&err, rc, "%s: %s", what, uv_strerror(rc));
    break_link(link, &err);
}

/* What TLS still has to say, such as why it does not trust the peer. */
static void send_alert(struct ist_link *link)
{
    char alert[4096];
    uv_buf_t buf = uv_buf_init(alert, 0);

    if (link->is_connected && link->tls && !link->is_writing) {
        buf.len = ist_tls_take(link->tls, alert, sizeof(alert));
        if (buf.len)
            uv_try_write((uv_stream_t *) &link->tcp, &buf, 1);
    }
}

/* From the loop only. True when the link is of no more use. */
static bool tell_broken(struct ist_link *link)
{
    if (link->is_broken && !link->is_closing && !link->is_told) {
        link->is_told = true;
        send_alert(link);
        uv_idle_stop(&link->turn);
        link->events->broken(link->owner, &link->why);
        return true;
    }
    return link->is_broken || link->is_closing;
}

/* Writing. */

static void note_progress(struct ist_link *link)
{
    link->progress_at = ist_loop_now(link->loop);
}

static uint64_t queued(const struct ist_link *link)
{
    return link->out.used + link->wire.used - link->n_wire_sent;
}

/* Moves what waits into 'wire', which is empty. */
static int fill_wire(struct ist_link *link)
{
    size_t n = link->out.used, pending;
    struct ist_err err = {0};

    if (!link->tls) {
        struct buffer swap = link->wire;

        if (link->is_opened) {
            link->wire = link->out;
            link->out = swap;
        }
        return 0;
    }
    if (n > ENCRYPT_PIECE)
        n = ENCRYPT_PIECE;
    if (link->is_opened && n) {
        if (ist_tls_write(link->tls, link->out.data, n, &err)) {
            break_link(link, &err);
            return err.code;
        }
        memmove(link->out.data, link->out.data + n, link->out.used - n);
        link->out.used -= n;
        if (link->out.used == 0)
            buffer_empty(&link->out);
    }
    pending = ist_tls_pending(link->tls);
    if (!buffer_reserve(&link->wire, pending)) {
        break_errno(link, -ENOMEM, "write");
        return -ENOMEM;
    }
    link->wire.used = ist_tls_take(link->tls, link->wire.data, pending);
    return 0;
}

static void on_written(uv_write_t *request, int rc);

/* One piece: 1 when more can follow at once, 0 when not. */
static int flush_piece(struct ist_link *link)
{
    uv_buf_t buf;
    int rc;

    if (fill_wire(link) || link->wire.used == 0)
        return 0;
    if (queued(link) == link->wire.used)
        note_progress(link);
    buf = uv_buf_init((char *) link->wire.data, (unsigned) link->wire.used);
    rc = uv_try_write((uv_stream_t *) &link->tcp, &buf, 1);
    if (rc < 0 && rc != UV_EAGAIN) {
        break_errno(link, rc, "write");
        return 0;
    }
    if (rc > 0)
        note_progress(link);
    link->n_wire_sent = rc > 0 ? (size_t) rc : 0;
    if (link->n_wire_sent == link->wire.used) {
        link->n_wire_sent = 0;
        buffer_empty(&link->wire);
        return link->out.used > 0;
    }
    buf = uv_buf_init((char *) link->wire.data + link->n_wire_sent,
                      (unsigned) (link->wire.used - link->n_wire_sent));
    rc =
        uv_write(&link->write, (uv_stream_t *) &link->tcp, &buf, 1, on_written);
    if (rc) {
        break_errno(link, rc, "write");
        return 0;
    }
    link->last_queue = buf.len;
    link->is_writing = true;
    link->n_pending++;
    return 0;
}

/* At most one piece in a turn of the loop, so that others get theirs. */
static void flush(struct ist_link *link)
{
    if (link->is_writing || link->is_broken || !link->is_connected) {
        uv_idle_stop(&link->turn);
        return;
    }
    if (flush_piece(link) || link->is_broken)
        uv_idle_start(&link->turn, on_turn);
    else
        uv_idle_stop(&link->turn);
    if (!link->is_broken && !link->is_closing)
        link->events->sent(link->owner);
}

static void on_written(uv_write_t *request, int rc)
{
    struct ist_link *link = request->data;

    link->is_writing = false;
    link->n_wire_sent = 0;
    buffer_empty(&link->wire);
    note_progress(link);
    if (!link->is_closing) {
        if (rc)
            break_errno(link, rc, "write");
        if (!tell_broken(link))
            flush(link);
    }
    link_maybe_free(link);
}

static void on_turn(uv_idle_t *handle)
{
    struct ist_link *link = handle->data;

    if (!tell_broken(link))
        flush(link);
}

uint8_t *ist_link_reserve(struct ist_link *link, size_t size)
{
    struct ist_err err = {0};

    if (link->is_broken || link->is_closing)
        return NULL;
    if (size > link->hard_max || queued(link) > link->hard_max - size) {
        ist_err_set(&err, -ENOBUFS, "the broker takes nothing: %zu bytes wait",
                    (size_t) queued(link));
        break_link(link, &err);
        return NULL;
    }
    if (!buffer_reserve(&link->out, size)) {
        break_errno(link, -ENOMEM, "write");
        return NULL;
    }
    return link->out.data + link->out.used;
}

void ist_link_commit(struct ist_link *link, size_t size)
{
    if (queued(link) == 0)
        note_progress(link);
    link->out.used += size;
    if (!link->is_writing)
        uv_idle_start(&link->turn, on_turn);
}

uint64_t ist_link_queued(const struct ist_link *link)
{
    return queued(link);
}

uint64_t ist_link_progress_at(struct ist_link *link)
{
    size_t queue = uv_stream_get_write_queue_size((uv_stream_t *) &link->tcp);

    if (queued(link) == 0 || queue != link->last_queue)
        note_progress(link);
    link->last_queue = queue;
    return link->progress_at;
}

unsigned ist_link_n_addresses(const struct ist_link *link)
{
    return link->n_addresses;
}

const char *ist_link_peer(const struct ist_link *link)
{
    return link->peer;
}

/* Reading. */

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    (void) handle;
    (void) size;
    *buf = uv_buf_init(read_buffer, sizeof(read_buffer));
}

static void opened(struct ist_link *link)
{
    link->is_opened = true;
    link->events->opened(link->owner);
}

static void received_tls(struct ist_link *link, const char *data, size_t size)
{
    struct ist_err err = {0};
    char plain[16384]; /* A record at most. */
    ssize_t n = ist_tls_feed(link->tls, data, size);

    if (n)
        break_errno(link, (int) n, "read");
    if (n == 0 && !link->is_opened) {
        int rc = ist_tls_handshake(link->tls, &err);

        uv_idle_start(&link->turn, on_turn);
        if (rc < 0)
            break_link(link, &err);
        if (rc <= 0)
            return;
        opened(link);
    }
    while (!link->is_closing && !link->is_broken) {
        n = ist_tls_read(link->tls, plain, sizeof(plain), &err);
        if (n < 0)
            break_link(link, &err);
        if (n <= 0)
            break;
        link->events->received(link->owner, plain, (size_t) n);
    }
    /* An answer of the TLS layer itself may wait, as to a key update. */
    if (!link->is_closing && ist_tls_pending(link->tls))
        uv_idle_start(&link->turn, on_turn);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct ist_link *link = stream->data;
    struct ist_err err = {0};

    if (link->is_closing || link->is_broken || n == 0)
        return;
    if (n < 0) {
        if (n == UV_EOF)
            ist_err_set(&err, -ECONNRESET, "the broker closed the connection");
        else
            ist_err_set(&err, (int) n, "read: %s", uv_strerror((int) n));
        break_link(link, &err);
    } else if (link->tls) {
        received_tls(link, buf->base, (size_t) n);
    } else {
        link->events->received(link->owner, buf->base, (size_t) n);
    }
    tell_broken(link);
}

/* Opening. */

static void remember_peer(struct ist_link *link, const struct sockaddr *addr)
{
    char host[64] = "";
    unsigned port = 0;

    if (addr->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *) addr;

        uv_ip4_name(in, host, sizeof(host));
        port = ntohs(in->sin_port);
    } else if (addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *) addr;

        uv_ip6_name(in, host, sizeof(host));
        port = ntohs(in->sin6_port);
    }
    snprintf(link->peer, sizeof(link->peer), "%s:%u", host, port);
}

static void on_connected(uv_connect_t *request, int rc)
{
    struct ist_link *link = request->data;
    struct ist_err err = {0};

    if (link->is_closing) {
        link_maybe_free(link);
        return;
    }
    if (rc) {
        break_errno(link, rc, "connect");
    } else {
        link->is_connected = true;
        uv_tcp_nodelay(&link->tcp, 1);
        rc = uv_read_start((uv_stream_t *) &link->tcp, on_alloc, on_read);
        if (rc)
            break_errno(link, rc, "read");
        else if (!link->tls)
            opened(link);
        else if (ist_tls_handshake(link->tls, &err) < 0)
            break_link(link, &err);
        if (!link->is_closing && !link->is_broken)
            uv_idle_start(&link->turn, on_turn);
    }
    tell_broken(link);
    link_maybe_free(link);
}

/* The wanted one of them, and how many there are. */
static const struct addrinfo *pick_address(struct ist_link *link,
                                           const struct addrinfo *list)
{
    const struct addrinfo *at, *found = NULL;

    for (at = list; at && link->n_addresses < ADDRESSES_MAX; at = at->ai_next) {
        if (at->ai_family != AF_INET && at->ai_family != AF_INET6)
            continue;
        if (link->n_addresses++ == link->address || !found)
            found = at;
    }
    return found;
}

static void on_resolved(uv_getaddrinfo_t *request, int rc,
                        struct addrinfo *list)
{
    struct ist_link *link = request->data;
    const struct addrinfo *address;

    link->is_resolving = false;
    if (!link->is_closing) {
        address = rc ? NULL : pick_address(link, list);
        if (!rc && !address)
            rc = UV_EAI_NODATA;
        if (rc) {
            break_errno(link, rc, "resolve");
        } else {
            rc = uv_tcp_connect(&link->connect, &link->tcp, address->ai_addr,
                                on_connected);
            if (rc)
                break_errno(link, rc, "connect");
            else
                link->n_pending++;
            remember_peer(link, address->ai_addr);
        }
    }
    uv_freeaddrinfo(list);
    tell_broken(link);
    link_maybe_free(link);
}

static void link_init_handles(struct ist_link *link)
{
    uv_tcp_init(link->loop->uv, &link->tcp);
    uv_idle_init(link->loop->uv, &link->turn);
    link->tcp.data = link->turn.data = link->resolve.data = link;
    link->connect.data = link->write.data = link;
    link->n_pending = 2;
}

struct ist_link *ist_link_new(struct ist_loop *loop,
                              const struct ist_link_conf *conf,
                              const struct ist_link_events *events, void *owner)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM};
    struct ist_link *link = calloc(1, sizeof(*link));
    char port[8];
    int rc;

    if (!link)
        return NULL;
    *link = (struct ist_link){.loop = loop,
                              .events = events,
                              .owner = owner,
                              .address = conf->address,
                              .hard_max = conf->hard_max};
    if (conf->tls) {
        link->tls = ist_tls_new(conf->tls, conf->host);
        if (!link->tls) {
            free(link);
            return NULL;
        }
    }
    link_init_handles(link);
    note_progress(link);
    snprintf(port, sizeof(port), "%u", conf->port);
    rc = uv_getaddrinfo(loop->uv, &link->resolve, on_resolved, conf->host, port,
                        &hints);
    if (rc)
        break_errno(link, rc, "resolve");
    else
        link->n_pending++;
    link->is_resolving = rc == 0;
    return link;
}

void ist_link_close(struct ist_link *link)
{
    uv_buf_t buf;

    if (link->is_closing)
        return;
    if (link->is_opened && !link->is_broken && !link->is_writing) {
        fill_wire(link);
        if (link->tls) {
            ist_tls_shutdown(link->tls);
            if (buffer_reserve(&link->wire, ist_tls_pending(link->tls)))
                link->wire.used +=
                    ist_tls_take(link->tls, link->wire.data + link->wire.used,
                                 link->wire.room - link->wire.used);
        }
        buf = uv_buf_init((char *) link->wire.data, (unsigned) link->wire.used);
        if (link->wire.used)
            uv_try_write((uv_stream_t *) &link->tcp, &buf, 1);
    }
    link->is_closing = true;
    if (link->is_resolving)
        uv_cancel((uv_req_t *) &link->resolve);
    uv_close((uv_handle_t *) &link->tcp, on_closed);
    uv_close((uv_handle_t *) &link->turn, on_closed);
}
