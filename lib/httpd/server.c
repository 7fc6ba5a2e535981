/* libmicrohttpd on the loop: its epoll descriptor in a uv_poll_t, its time-outs
 * in one timer, which is armed anew after every run: without that, TLS and what
 * epoll's edges do not show would stall. When it wants to be run at once, an
 * idle handle does so in the loop's next turn; a timer of libuv's that is set
 * to now runs before the sockets get theirs.
 *
 * Closing: no new connection is taken; open requests are answered 503, streams
 * cut; when all of that is sent, or a second later, the daemon is stopped.
 * What handlers and writers still hold is waited for, then all is freed. */
#include "httpd/server_priv.h"

#include "base/log.h"
#include "base/parse.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG      1024
#define GRACE_MS     1000
#define PEM_MAX      (1U << 20)
#define TLS_PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

#define ROW(field) offsetof(struct ist_httpd_conf, field)

const struct ist_row ist_httpd_rows[] = {
    {"http.listen", IST_ROW_STRING, ROW(listen), "127.0.0.1:8443", 1, 128, 0,
     "Address and port to listen on, numeric."},
    {"http.certificate", IST_ROW_PATH, ROW(certificate), NULL, 0, 4096, 0,
     "PEM file with the certificate chain; without it plain HTTP is spoken."},
    {"http.key", IST_ROW_PATH, ROW(key), NULL, 0, 4096, 0,
     "PEM file with the certificate's key."},
    {"http.connections", IST_ROW_U64, ROW(connections_max), "4096", 1, 1000000,
     0, "Open connections; more wait until one closes."},
    {"http.connections-per-address", IST_ROW_U64, ROW(per_address_max), "256",
     1, 1000000, 0, "Of one client address; more are closed at once."},
    {"http.line", IST_ROW_BYTES, ROW(line_max), "8KiB", 256, 65536, 0,
     "Request line; a longer one is answered 414."},
    {"http.header", IST_ROW_BYTES, ROW(header_max), "8KiB", 256, 65536, 0,
     "One header; a longer one is answered 431."},
    {"http.headers", IST_ROW_U64, ROW(headers_max), "64", 8, 1024, 0,
     "Headers of a request; more are answered 431."},
    {"http.body", IST_ROW_BYTES, ROW(body_max), "1MiB", 1, 1U << 30, 0,
     "Body of a request; a larger one is answered 413."},
    {"http.head-timeout", IST_ROW_MS, ROW(head_timeout_ms), "10s", 100, 600000,
     0, "Time for the headers of a request; 408 after it."},
    {"http.body-timeout", IST_ROW_MS, ROW(body_timeout_ms), "30s", 100, 3600000,
     0,
     "Time for the body of a request, or for some of a streamed one; 408 "
     "after it."},
    {"http.idle-timeout", IST_ROW_MS, ROW(idle_timeout_ms), "60s", 100, 3600000,
     0, "Silence on a connection; it is closed after it."},
    IST_ROW_END,
};

/* ---- running ----------------------------------------------------------- */

static void on_grace(struct ist_timer *timer);

static void on_time(struct ist_timer *timer);
static void on_again(uv_idle_t *again);

static void arm(struct ist_httpd *httpd)
{
    MHD_UNSIGNED_LONG_LONG ms = 0;
    bool wanted =
        httpd->kicked || MHD_get_timeout(httpd->daemon, &ms) == MHD_YES;

    uv_idle_stop(&httpd->again);
    ist_timer_disarm(&httpd->timer);
    if (httpd->kicked || (wanted && ms == 0))
        uv_idle_start(&httpd->again, on_again);
    else if (wanted)
        ist_timer_arm_in(&httpd->timer, httpd->loop, ms, on_time);
}

static bool is_busy(const struct ist_httpd *httpd)
{
    const struct request *r;

    LIST_FOREACH(r, &httpd->requests, sibling)
    {
        if (r->conn && r->phase >= PHASE_FLOW)
            return true;
    }
    return false;
}

static void run(struct ist_httpd *httpd)
{
    httpd->kicked = false;
    httpd->in_run = true;
    MHD_run(httpd->daemon);
    conn_park_all(httpd);
    httpd->in_run = false;
    if (httpd->closing && httpd->listen_fd < 0 && !is_busy(httpd))
        ist_timer_arm_in(&httpd->grace, httpd->loop, 0, on_grace);
    arm(httpd);
}

static void on_time(struct ist_timer *timer)
{
    run(IST_CONTAINER(timer, struct ist_httpd, timer));
}

static void on_again(uv_idle_t *again)
{
    run(again->data);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    (void) status, (void) events;
    run(handle->data);
}

void httpd_kick(struct ist_httpd *httpd)
{
    if (httpd->kicked || !httpd->daemon)
        return;
    httpd->kicked = true;
    if (!httpd->in_run)
        arm(httpd);
}

/* ---- closing ----------------------------------------------------------- */

static void on_freed(struct ist_timer *timer)
{
    struct ist_httpd *httpd = IST_CONTAINER(timer, struct ist_httpd, grace);

    if (httpd->closed)
        httpd->closed(httpd->closed_arg);
    free(httpd);
}

void httpd_maybe_free(struct ist_httpd *httpd)
{
    if (httpd->daemon || httpd->poll_open || httpd->again_open ||
        !LIST_EMPTY(&httpd->conns) || !LIST_EMPTY(&httpd->requests) ||
        !LIST_EMPTY(&httpd->streams))
        return;
    ist_timer_arm_in(&httpd->grace, httpd->loop, 0, on_freed);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct ist_httpd *httpd = handle->data;

    httpd->poll_open = false;
    httpd_maybe_free(httpd);
}

static void on_again_closed(uv_handle_t *handle)
{
    struct ist_httpd *httpd = handle->data;

    httpd->again_open = false;
    httpd_maybe_free(httpd);
}

static void on_grace(struct ist_timer *timer)
{
    struct ist_httpd *httpd = IST_CONTAINER(timer, struct ist_httpd, grace);
    struct MHD_Daemon *daemon = IST_TAKE(httpd->daemon);

    /* The daemon closes its epoll descriptor. */
    uv_poll_stop(&httpd->poll);
    uv_close((uv_handle_t *) &httpd->poll, on_poll_closed);
    uv_close((uv_handle_t *) &httpd->again, on_again_closed);
    ist_timer_disarm(&httpd->timer);
    MHD_stop_daemon(daemon);
}

/* One that has not been told of the close. */
static struct request *find_untold(struct ist_httpd *httpd)
{
    struct request *r;

    LIST_FOREACH(r, &httpd->requests, sibling)
    {
        if (!r->told)
            return r;
    }
    return NULL;
}

/* Nothing may be suspended when the daemon stops: every suspended connection
 * has a request that waits, which is answered here, or a stream, or is parked.
 * A handler that is told may let go of this request and of others: so the list
 * is begun anew each time. */
static void on_close(struct ist_timer *timer)
{
    struct ist_httpd *httpd = IST_CONTAINER(timer, struct ist_httpd, grace);
    struct request *r;

    MHD_quiesce_daemon(httpd->daemon);
    close(httpd->listen_fd);
    httpd->listen_fd = -1;
    LIST_FOREACH(r, &httpd->requests, sibling)
    {
        request_overtake(r);
    }
    stream_break_all(httpd);
    conn_unpark_all(httpd);
    while ((r = find_untold(httpd))) {
        r->told = true;
        request_gone(r, -ECANCELED);
    }
    ist_timer_arm_in(&httpd->grace, httpd->loop, GRACE_MS, on_grace);
    httpd_kick(httpd);
}

void ist_httpd_close(struct ist_httpd *httpd, void (*closed)(void *), void *arg)
{
    assert(!httpd->closing);
    httpd->closing = true;
    httpd->closed = closed;
    httpd->closed_arg = arg;
    /* The caller may be a handler, inside the daemon. */
    ist_timer_arm_in(&httpd->grace, httpd->loop, 0, on_close);
}

/* ---- starting ---------------------------------------------------------- */

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
    socklen_t size;
};

/* "127.0.0.1:8443" or "[::1]:8443". */
static bool parse_listen(const char *text, struct address *ret)
{
    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN];
    uint64_t port;
    size_t len;

    memset(ret, 0, sizeof(*ret));
    if (!colon || !ist_parse_u64(colon + 1, 0, 65535, &port))
        return false;
    len = (size_t) (colon - text);
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        if (len - 2 >= sizeof(host))
            return false;
        memcpy(host, text + 1, len - 2);
        host[len - 2] = '\0';
        ret->v6.sin6_family = AF_INET6;
        ret->v6.sin6_port = htons((uint16_t) port);
        ret->size = sizeof(ret->v6);
        return inet_pton(AF_INET6, host, &ret->v6.sin6_addr) == 1;
    }
    if (len >= sizeof(host))
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    ret->v4.sin_family = AF_INET;
    ret->v4.sin_port = htons((uint16_t) port);
    ret->size = sizeof(ret->v4);
    return inet_pton(AF_INET, host, &ret->v4.sin_addr) == 1;
}

static int open_socket(struct ist_httpd *httpd, struct ist_err *err)
{
    const char *listen_at = httpd->conf.listen;
    struct address at;
    int on = 1, fd;

    if (!parse_listen(listen_at, &at))
        return ist_err_set(err, -EINVAL, "listen: %s is not address:port",
                           listen_at);
    fd =
        socket(at.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ist_err_set(err, -errno, "listen: %s", strerror(errno));
    httpd->listen_fd = fd;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, &at.any, at.size) || listen(fd, BACKLOG) ||
        getsockname(fd, &at.any, &at.size))
        return ist_err_set(err, -errno, "listen on %s: %s", listen_at,
                           strerror(errno));
    httpd->port = ntohs(at.v6.sin6_port); /* The same place as sin_port. */
    return 0;
}

/* Owned text; NULL with 'err' filled. */
static char *read_pem(const char *path, const char *what, struct ist_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = malloc(PEM_MAX);
    ssize_t n = fd < 0 || !text ? -1 : read(fd, text, PEM_MAX - 1);

    if (n < 0) {
        ist_err_set(err, text ? -errno : -ENOMEM, "%s %s: %s", what, path,
                    text ? strerror(errno) : "out of memory");
        free(text);
        text = NULL;
    } else {
        text[n] = '\0';
    }
    if (fd >= 0)
        close(fd);
    return text;
}

/* libmicrohttpd only says that it did not start. */
static int check_pem(const char *certificate, const char *key,
                     struct ist_err *err)
{
    gnutls_datum_t cert_pem = {(unsigned char *) certificate,
                               (unsigned) strlen(certificate)};
    gnutls_datum_t key_pem = {(unsigned char *) key, (unsigned) strlen(key)};
    gnutls_certificate_credentials_t cred;
    int rc = gnutls_certificate_allocate_credentials(&cred);

    if (rc < 0)
        return ist_err_set(err, -ENOMEM, "tls: %s", gnutls_strerror(rc));
    rc = gnutls_certificate_set_x509_key_mem(cred, &cert_pem, &key_pem,
                                             GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(cred);
    if (rc < 0)
        return ist_err_set(err, -EINVAL, "certificate and key: %s",
                           gnutls_strerror(rc));
    return 0;
}

IST_PRINTF(2, 0)
static void on_log(void *arg, const char *fmt, va_list args)
{
    char text[256];

    (void) arg;
    vsnprintf(text, sizeof(text), fmt, args);
    text[strcspn(text, "\n")] = '\0';
    ist_log_debug("httpd", "libmicrohttpd: %s", text);
}

/* What one connection may take for its head, the answer's included. The
 * daemon clears all of it between two requests, so no more than is needed. */
static size_t pool_size(const struct ist_httpd_conf *conf)
{
    return conf->line_max + 2 * conf->header_max + 8192;
}

static size_t unescape_nothing(void *arg, struct MHD_Connection *mhd,
                               char *text)
{
    (void) arg, (void) mhd;
    return strlen(text);
}

/* 'certificate' and 'key' are needed only while it starts. */
static struct MHD_Daemon *start(struct ist_httpd *httpd,
                                const char *certificate, const char *key)
{
    const struct ist_httpd_conf *conf = &httpd->conf;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME |
                     MHD_USE_ERROR_LOG | (certificate ? MHD_USE_TLS : 0);
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *) certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *) key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *) TLS_PRIORITY},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    unsigned idle_s = (unsigned) ((conf->idle_timeout_ms + 999) / 1000);

    return MHD_start_daemon(
        flags, 0, NULL, NULL, request_access, httpd, MHD_OPTION_EXTERNAL_LOGGER,
        on_log, httpd, /* First: it logs all. */
        MHD_OPTION_LISTEN_SOCKET, httpd->listen_fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned) conf->connections_max, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned) conf->per_address_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        pool_size(conf), MHD_OPTION_CONNECTION_TIMEOUT, idle_s,
        MHD_OPTION_UNESCAPE_CALLBACK, unescape_nothing, NULL,
        MHD_OPTION_URI_LOG_CALLBACK, request_begin, httpd,
        MHD_OPTION_NOTIFY_COMPLETED, request_completed, httpd,
        MHD_OPTION_NOTIFY_CONNECTION, conn_notify, httpd, MHD_OPTION_ARRAY,
        certificate ? tls : none, MHD_OPTION_END);
}

static int start_tls(struct ist_httpd *httpd, struct ist_err *err)
{
    char *certificate = read_pem(httpd->conf.certificate, "certificate", err);
    char *key = certificate ? read_pem(httpd->conf.key, "key", err) : NULL;
    int rc = key ? check_pem(certificate, key, err) : -EINVAL;

    if (rc == 0) {
        httpd->daemon = start(httpd, certificate, key);
        httpd->tls = true;
    }
    if (key)
        explicit_bzero(key, PEM_MAX);
    free(key);
    free(certificate);
    return rc;
}

static int start_daemon(struct ist_httpd *httpd, struct ist_err *err)
{
    int rc = open_socket(httpd, err);

    if (rc)
        return rc;
    if (!httpd->conf.certificate != !httpd->conf.key)
        return ist_err_set(err, -EINVAL, "certificate and key: only one given");
    if (httpd->conf.certificate)
        rc = start_tls(httpd, err);
    else
        httpd->daemon = start(httpd, NULL, NULL);
    if (rc)
        return rc;
    if (!httpd->daemon)
        return ist_err_set(err, -EIO, "the HTTP server does not start");
    return 0;
}

/* On failure the caller stops the daemon. */
static int watch_daemon(struct ist_httpd *httpd, struct ist_err *err)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(httpd->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    int rc = uv_poll_init(httpd->loop->uv, &httpd->poll, info->epoll_fd);

    if (rc)
        return ist_err_set(err, rc, "the HTTP server: %s", uv_strerror(rc));
    uv_idle_init(httpd->loop->uv, &httpd->again);
    httpd->poll.data = httpd->again.data = httpd;
    httpd->poll_open = httpd->again_open = true;
    uv_poll_start(&httpd->poll, UV_READABLE, on_poll);
    return 0;
}

struct ist_httpd *ist_httpd_new(struct ist_loop *loop,
                                const struct ist_httpd_conf *conf,
                                ist_httpd_handler_fn *handler,
                                ist_httpd_refuse_fn *refuse, void *arg,
                                struct ist_err *err)
{
    struct ist_httpd *httpd = calloc(1, sizeof(*httpd));
    int rc;

    if (!httpd) {
        ist_err_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    httpd->loop = loop;
    httpd->conf = *conf;
    httpd->handler = handler;
    httpd->refuse = refuse;
    httpd->arg = arg;
    httpd->listen_fd = -1;
    LIST_INIT(&httpd->conns);
    LIST_INIT(&httpd->shaking);
    LIST_INIT(&httpd->requests);
    LIST_INIT(&httpd->streams);
    rc = start_daemon(httpd, err);
    if (rc == 0)
        rc = watch_daemon(httpd, err);
    httpd->conf.certificate = httpd->conf.key = NULL;
    httpd->conf.listen = NULL;
    if (rc == 0) {
        run(httpd);
        return httpd;
    }
    if (httpd->daemon)
        MHD_stop_daemon(httpd->daemon); /* It closes the socket. */
    else if (httpd->listen_fd >= 0)
        close(httpd->listen_fd);
    free(httpd);
    return NULL;
}

void ist_httpd_on_begin(struct ist_httpd *httpd, ist_httpd_begin_fn *begin)
{
    httpd->begin = begin;
}

void ist_httpd_on_answered(struct ist_httpd *httpd,
                           ist_httpd_answered_fn *answered)
{
    httpd->answered = answered;
}

unsigned ist_httpd_port(const struct ist_httpd *httpd)
{
    return httpd->port;
}
