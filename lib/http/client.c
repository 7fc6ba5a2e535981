/* libcurl's multi interface, driven by the loop.
 *
 * Happy path: start() makes an easy handle and adds it; curl names the sockets
 * it waits for (on_socket) and the time at which it wants to be called
 * (on_curl_timer); each socket is a uv_poll_t, the time is one timer. Header
 * lines and body come through on_header and on_body; when curl reports the
 * transfer done, the op finishes.
 *
 * Failures: what curl reports is put into our errno words by a table. What we
 * find ourselves (caps, idleness, an on_data that refuses) is kept in
 * transfer.rc, and wins. A cancel is carried out in the loop's next turn,
 * because curl must not lose a handle inside one of its own callbacks; so are
 * a resume, and a start from inside one.
 *
 * Idleness is counted here, not by curl, whose low-speed limit knows seconds
 * only and counts pauses of ours. */
#include "http/client.h"

#include <assert.h>
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WHERE_SIZE 128

struct ist_http {
    struct ist_loop *loop; /* Borrowed. */
    struct ist_http_conf conf;
    char *proxy; /* Owned. */
    CURLM *multi;
    struct ist_timer timer; /* When curl wants to be called... */
    uv_idle_t again;        /* ... and that it wants to be at once. */
    LIST_HEAD(, watch) watches;
    size_t n_calls;
    unsigned depth; /* How many of curl's functions we are inside of. */
    bool again_open;
    void (*closed)(void *);
    void *closed_arg;
};

/* One socket curl waits for. */
struct watch {
    struct ist_http *http;
    uv_poll_t poll;
    LIST_ENTRY(watch) sibling;
};

struct transfer {
    struct ist_http *http;      /* Borrowed. */
    struct ist_http_call *call; /* Borrowed. */
    CURL *easy;
    CURLU *url;
    struct curl_slist *headers;
    struct ist_timer kick; /* Something to do outside of curl. */
    struct ist_timer idle;
    uint64_t active_ms; /* When a byte last moved. */
    curl_off_t sent;    /* Body bytes that had gone by then. */
    uint64_t n_header;  /* Bytes of all header lines so far. */
    char length[24];    /* The first Content-Length. */
    int rc;             /* What we found wrong ourselves; or 0. */
    bool added, on_wire, head_done, cancelled, paused, resuming;
    char where[WHERE_SIZE]; /* Method and URL, without query. */
    char what[64];          /* Words for 'rc'. */
    char error[CURL_ERROR_SIZE];
};

static void reap(struct ist_http *http);

/* ---- sockets and time -------------------------------------------------- */

static void maybe_free(struct ist_http *http)
{
    if (http->again_open || !LIST_EMPTY(&http->watches))
        return;
    if (http->closed)
        http->closed(http->closed_arg);
    free(http->proxy);
    free(http);
    curl_global_cleanup();
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct watch *watch = handle->data;
    struct ist_http *http = watch->http;

    LIST_REMOVE(watch, sibling);
    free(watch);
    maybe_free(http);
}

static void watch_close(struct watch *watch)
{
    /* Before the descriptor is closed by curl: the handle must not outlive
     * its place in epoll, since the number will come back. */
    uv_poll_stop(&watch->poll);
    if (!uv_is_closing((uv_handle_t *) &watch->poll))
        uv_close((uv_handle_t *) &watch->poll, on_watch_closed);
}

static void socket_action(struct ist_http *http, curl_socket_t fd, int events)
{
    int n_running;

    http->depth++;
    curl_multi_socket_action(http->multi, fd, events, &n_running);
    http->depth--;
    reap(http);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct watch *watch = handle->data;
    uv_os_fd_t fd;
    int flags = 0;

    if (uv_fileno((uv_handle_t *) handle, &fd))
        return;
    if (status < 0)
        flags |= CURL_CSELECT_ERR;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    socket_action(watch->http, fd, flags);
}

static struct watch *watch_new(struct ist_http *http, curl_socket_t fd)
{
    struct watch *watch = calloc(1, sizeof(*watch));

    if (!watch)
        return NULL;
    if (uv_poll_init_socket(http->loop->uv, &watch->poll, fd)) {
        free(watch);
        return NULL;
    }
    watch->http = http;
    watch->poll.data = watch;
    LIST_INSERT_HEAD(&http->watches, watch, sibling);
    return watch;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
                     void *socket_arg)
{
    struct ist_http *http = arg;
    struct watch *watch = socket_arg;
    int events = 0;

    (void) easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch)
            watch_close(watch);
        curl_multi_assign(http->multi, fd, NULL);
        return 0;
    }
    if (!watch) {
        watch = watch_new(http, fd);
        if (!watch)
            return -1;
        curl_multi_assign(http->multi, fd, watch);
    }
    if (what & CURL_POLL_IN)
        events |= UV_READABLE;
    if (what & CURL_POLL_OUT)
        events |= UV_WRITABLE;
    return uv_poll_start(&watch->poll, events, on_poll) ? -1 : 0;
}

static void on_time(struct ist_timer *timer)
{
    struct ist_http *http = IST_CONTAINER(timer, struct ist_http, timer);

    socket_action(http, CURL_SOCKET_TIMEOUT, 0);
}

static void on_again(uv_idle_t *again)
{
    uv_idle_stop(again);
    socket_action(again->data, CURL_SOCKET_TIMEOUT, 0);
}

/* Curl often asks to be called at once, again and again while data lasts. An
 * idle handle does that once in each turn of the loop; a timer of libuv's that
 * is set to now runs before the sockets get their turn. */
static int on_curl_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct ist_http *http = arg;

    (void) multi;
    uv_idle_stop(&http->again);
    ist_timer_disarm(&http->timer);
    if (timeout_ms == 0)
        uv_idle_start(&http->again, on_again);
    else if (timeout_ms > 0)
        ist_timer_arm_in(&http->timer, http->loop, (uint64_t) timeout_ms,
                         on_time);
    return 0;
}

/* ---- the end of a transfer --------------------------------------------- */

/* Tokens travel in headers: do not leave them in freed memory. */
static void headers_free(struct curl_slist *list)
{
    struct curl_slist *at;

    for (at = list; at; at = at->next)
        explicit_bzero(at->data, strlen(at->data));
    curl_slist_free_all(list);
}

static void transfer_free(struct transfer *t)
{
    ist_timer_disarm(&t->kick);
    ist_timer_disarm(&t->idle);
    if (t->easy) {
        t->http->depth++;
        if (t->added)
            curl_multi_remove_handle(t->http->multi, t->easy);
        curl_easy_cleanup(t->easy);
        t->http->depth--;
    }
    curl_url_cleanup(t->url);
    headers_free(t->headers);
    t->http->n_calls--;
    free(t);
}

static const struct fault {
    CURLcode code;
    int rc;
    const char *area; /* Said in front of curl's words. */
} faults[] = {
    {CURLE_COULDNT_RESOLVE_HOST, -EHOSTUNREACH, ""},
    {CURLE_COULDNT_RESOLVE_PROXY, -EHOSTUNREACH, "proxy: "},
    {CURLE_COULDNT_CONNECT, -ECONNREFUSED, ""},
    {CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT, ""},
    {CURLE_PARTIAL_FILE, -ECONNRESET, ""},
    {CURLE_GOT_NOTHING, -ECONNRESET, ""},
    {CURLE_RECV_ERROR, -ECONNRESET, ""},
    {CURLE_SEND_ERROR, -ECONNRESET, ""},
    {CURLE_SSL_CONNECT_ERROR, -EPROTO, "tls: "},
    {CURLE_PEER_FAILED_VERIFICATION, -EPROTO, "tls: "},
    {CURLE_SSL_CACERT_BADFILE, -EPROTO, "tls: "},
    {CURLE_SSL_CERTPROBLEM, -EPROTO, "tls: "},
    {CURLE_SSL_CIPHER, -EPROTO, "tls: "},
    {CURLE_SSL_ISSUER_ERROR, -EPROTO, "tls: "},
    {CURLE_WEIRD_SERVER_REPLY, -EPROTO, ""},
    {CURLE_UNSUPPORTED_PROTOCOL, -EPROTO, ""},
    {CURLE_BAD_CONTENT_ENCODING, -EPROTO, ""},
    {CURLE_OUT_OF_MEMORY, -ENOMEM, ""},
    {CURLE_URL_MALFORMAT, -EINVAL, ""},
};

static const struct fault *fault_find(CURLcode code)
{
    static const struct fault other = {CURLE_OK, -EIO, ""};
    size_t i;

    for (i = 0; i < IST_COUNT(faults); i++)
        if (faults[i].code == code)
            return &faults[i];
    return &other;
}

/* A connection fails in more ways than refusal. */
static int connect_rc(CURL *easy)
{
    long os_errno = 0;

    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_errno);
    switch (os_errno) {
    case ETIMEDOUT:
        return -ETIMEDOUT;
    case EHOSTUNREACH:
    case ENETUNREACH:
        return -EHOSTUNREACH;
    default:
        return -ECONNREFUSED;
    }
}

/* Curl's words quote the peer (names in a certificate, say). */
static void make_plain(char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

static bool worth_retrying(int rc)
{
    return rc == -ECONNREFUSED || rc == -EHOSTUNREACH || rc == -ETIMEDOUT ||
           rc == -ECONNRESET;
}

/* Fills op.err and returns the errno: 'rc' if we found one ourselves. */
static int say_why(struct transfer *t, CURLcode code, int rc)
{
    const struct fault *fault = fault_find(code);
    struct ist_op *op = &t->call->op;

    if (rc == 0) {
        rc = code == CURLE_COULDNT_CONNECT ? connect_rc(t->easy) : fault->rc;
        if (!t->error[0])
            strlcpy(t->error, curl_easy_strerror(code), sizeof(t->error));
        make_plain(t->error);
        ist_err_set(&op->err, rc, "%s: %s%s", t->where, fault->area, t->error);
    } else {
        ist_err_set(&op->err, rc, "%s: %s", t->where,
                    t->what[0] ? t->what : ist_err_name(rc));
    }
    if (op->state == IST_OP_CANCELLING)
        ist_err_set(&op->err, op->reason, "%s: %s", t->where,
                    op->reason == -ETIMEDOUT ? "no answer in time"
                                             : "cancelled");
    return rc;
}

static void transfer_finish(struct transfer *t, CURLcode code)
{
    struct ist_http_call *call = t->call;
    int rc = t->rc;

    /* Curl takes a connection closed among the headers for an answer. */
    if (code == CURLE_OK && rc == 0 && !t->head_done) {
        rc = -ECONNRESET;
        strlcpy(t->what, "cut among the headers", sizeof(t->what));
    }
    if (code == CURLE_OK && rc == 0 && !t->cancelled) {
        transfer_free(t);
        call->transfer = NULL;
        ist_op_finish(&call->op, 0);
        return;
    }
    rc = say_why(t, code, rc);
    call->op.err.http = call->status;
    call->op.err.retryable = worth_retrying(call->op.err.code);
    transfer_free(t);
    call->transfer = NULL;
    ist_op_finish(&call->op, rc);
}

/* Takes what curl has finished with. */
static void reap(struct ist_http *http)
{
    struct CURLMsg *msg;
    struct transfer *t;
    CURLcode code;
    int n_left;

    while ((msg = curl_multi_info_read(http->multi, &n_left))) {
        if (msg->msg != CURLMSG_DONE)
            continue;
        code = msg->data.result;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **) &t);
        transfer_finish(t, code);
    }
}

/* ---- what arrives ------------------------------------------------------ */

static void on_idle(struct ist_timer *timer);

static void idle_arm(struct transfer *t)
{
    uint64_t limit = t->http->conf.idle_timeout_ms;

    if (limit && t->on_wire && !t->paused)
        ist_timer_arm(&t->idle, t->http->loop, t->active_ms + limit, on_idle);
}

/* Bytes only note the time; the timer looks at it when it fires, so that a
 * fast transfer does not move a timer for each piece. */
static void on_idle(struct ist_timer *timer)
{
    struct transfer *t = IST_CONTAINER(timer, struct transfer, idle);
    uint64_t limit = t->http->conf.idle_timeout_ms;
    uint64_t now = ist_loop_now(t->http->loop);
    curl_off_t sent = 0;

    curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    if (sent != t->sent) {
        t->sent = sent;
        t->active_ms = now;
    }
    if (now < t->active_ms + limit) {
        idle_arm(t);
        return;
    }
    t->rc = -ETIMEDOUT;
    snprintf(t->what, sizeof(t->what), "no byte for %llu ms",
             (unsigned long long) limit);
    transfer_finish(t, CURLE_OPERATION_TIMEDOUT);
}

/* Connected, and about to send: from here on silence counts. */
static int on_connected(void *arg, char *peer, char *local, int peer_port,
                        int local_port)
{
    struct transfer *t = arg;

    (void) peer, (void) local, (void) peer_port, (void) local_port;
    t->on_wire = true;
    t->active_ms = ist_loop_now(t->http->loop);
    idle_arm(t);
    return CURL_PREREQFUNC_OK;
}

/* Returns 0, which curl takes for a refusal of the piece. */
static size_t refuse(struct transfer *t, int rc, const char *what)
{
    t->rc = rc;
    strlcpy(t->what, what, sizeof(t->what));
    return 0;
}

static bool is_token_char(char c)
{
    return isalnum((unsigned char) c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* Length of the token at 'text'. */
static size_t token_len(const char *text, size_t len)
{
    size_t n = 0;

    while (n < len && is_token_char(text[n]))
        n++;
    return n;
}

static bool is_value(const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        if ((text[i] >= 0 && text[i] < ' ' && text[i] != '\t') ||
            text[i] == 0x7f)
            return false;
    return true;
}

/* Two lengths that differ mean that somebody between disagrees with us about
 * where the answer ends. */
static bool length_agrees(struct transfer *t, const char *line, size_t len)
{
    static const char name[] = "content-length:";
    size_t skip = sizeof(name) - 1;
    char value[sizeof(t->length)];

    if (len < skip || strncasecmp(line, name, skip))
        return true;
    while (skip < len && (line[skip] == ' ' || line[skip] == '\t'))
        skip++;
    if (len - skip >= sizeof(value))
        return false;
    memcpy(value, line + skip, len - skip);
    value[len - skip] = '\0';
    if (t->length[0])
        return strcmp(t->length, value) == 0;
    strlcpy(t->length, value, sizeof(t->length));
    return true;
}

/* A line that begins with white space continues the one before (RFC 9112,
 * section 5.2): joined, so that nobody after us sees it. */
static bool unfold(struct ist_sb *text, const char *line, size_t len)
{
    if (text->len < 2)
        return false;
    while (len && (*line == ' ' || *line == '\t'))
        line++, len--;
    text->len -= 2;
    ist_sb_putc(text, ' ');
    ist_sb_add(text, line, len);
    ist_sb_puts(text, "\r\n");
    return true;
}

static bool header_line(struct transfer *t, const char *line, size_t len)
{
    struct ist_sb *text = &t->call->header_text;
    size_t name_len = token_len(line, len);

    if (!is_value(line, len))
        return false;
    if (*line == ' ' || *line == '\t')
        return unfold(text, line, len);
    if (name_len == 0 || name_len == len || line[name_len] != ':')
        return false;
    ist_sb_add(text, line, len);
    ist_sb_puts(text, "\r\n");
    return length_agrees(t, line, len);
}

static void head_end(struct transfer *t)
{
    long status = 0;

    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200)
        return;
    t->call->status = (int) status;
    t->head_done = true;
}

/* One line, status lines and the empty last one included. Interim answers
 * come first and are forgotten; trailers come last and are left out. */
static size_t on_header(char *line, size_t one, size_t size, void *arg)
{
    struct transfer *t = arg;
    size_t len = size;

    (void) one;
    t->active_ms = ist_loop_now(t->http->loop);
    t->n_header += size;
    if (t->http->conf.headers_max && t->n_header > t->http->conf.headers_max)
        return refuse(t, -EMSGSIZE, "too many answer headers");
    while (len && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        len--;
    if (t->head_done)
        return size;
    if (len == 0)
        head_end(t);
    else if (len > 5 && memcmp(line, "HTTP/", 5) == 0) {
        ist_sb_reset(&t->call->header_text);
        t->length[0] = '\0';
    } else if (!header_line(t, line, len))
        return refuse(t, -EPROTO, "broken header in the answer");
    if (t->call->header_text.rc)
        return refuse(t, t->call->header_text.rc, "no memory for headers");
    return size;
}

static size_t collect(struct transfer *t, const char *data, size_t size)
{
    struct ist_http_call *call = t->call;

    if (size > call->collect_max - call->collected.len) {
        refuse(t, -EMSGSIZE, "");
        snprintf(t->what, sizeof(t->what), "answer of more than %zu bytes",
                 call->collect_max);
        return 0;
    }
    ist_sb_add(&call->collected, data, size);
    if (call->collected.rc)
        return refuse(t, call->collected.rc, "no memory for the answer");
    call->n_received += size;
    return size;
}

static size_t on_body(char *data, size_t one, size_t size, void *arg)
{
    struct transfer *t = arg;
    int rc;

    (void) one;
    if (size == 0)
        return 0;
    if (t->cancelled)
        return refuse(t, -ECANCELED, "cancelled");
    t->active_ms = ist_loop_now(t->http->loop);
    if (!t->call->on_data)
        return collect(t, data, size);
    rc = t->call->on_data(t->call, data, size);
    if (rc == -EAGAIN) {
        t->paused = true;
        ist_timer_disarm(&t->idle);
        return CURL_WRITEFUNC_PAUSE;
    }
    if (rc)
        return refuse(t, rc, "");
    t->call->n_received += size;
    return size;
}

/* ---- starting ---------------------------------------------------------- */

static int add_header(struct transfer *t, const char *line)
{
    struct curl_slist *list = curl_slist_append(t->headers, line);

    if (!list)
        return -ENOMEM;
    t->headers = list;
    return 0;
}

static bool has_name(const char *line, const char *name)
{
    size_t len = strlen(name);

    return strncasecmp(line, name, len) == 0 && line[len] == ':';
}

static bool is_framing(const char *line)
{
    static const char *const names[] = {
        "Content-Length", "Transfer-Encoding", "Connection", "Expect", "TE",
        "Trailer",        "Upgrade",           "Keep-Alive",
    };
    size_t i;

    for (i = 0; i < IST_COUNT(names); i++)
        if (has_name(line, names[i]))
            return true;
    return false;
}

static int add_caller_header(struct transfer *t, const char *line)
{
    size_t len = strlen(line), name_len = token_len(line, len);
    size_t value = name_len + 1;
    char name[128];

    if (name_len == 0 || line[name_len] != ':' || !is_value(line, len))
        return -EINVAL;
    if (is_framing(line))
        return 0;
    value += strspn(line + value, " \t");
    if (line[value])
        return add_header(t, line);
    /* Curl takes "Name:" for "leave it out", and "Name;" for an empty one. */
    if (name_len + 2 > sizeof(name))
        return -EINVAL;
    snprintf(name, sizeof(name), "%.*s;", (int) name_len, line);
    return add_header(t, name);
}

static int add_headers(struct transfer *t)
{
    const char *const *at = t->call->headers;
    bool typed = false;
    int rc = add_header(t, "Expect:");

    for (; at && *at && rc == 0; at++) {
        rc = add_caller_header(t, *at);
        typed |= has_name(*at, "Content-Type");
    }
    if (rc == 0 && !typed)
        rc = add_header(t, "Content-Type:");
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
    return rc;
}

/* The URL in words: no user, no password, no query. */
static void say_where(struct transfer *t)
{
    static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST,
                                      CURLUPART_PORT, CURLUPART_PATH};
    char *text[IST_COUNT(parts)];
    size_t i;

    for (i = 0; i < IST_COUNT(parts); i++) {
        text[i] = NULL;
        curl_url_get(t->url, parts[i], &text[i], 0);
    }
    snprintf(t->where, sizeof(t->where), "%s %s://%s%s%s%s", t->call->method,
             text[0] ? text[0] : "", text[1] ? text[1] : "", text[2] ? ":" : "",
             text[2] ? text[2] : "", text[3] ? text[3] : "");
    make_plain(t->where);
    for (i = 0; i < IST_COUNT(parts); i++)
        curl_free(text[i]);
}

static int parse_url(struct transfer *t)
{
    const char *url = t->call->url;

    if (strncasecmp(url, "http://", 7) && strncasecmp(url, "https://", 8))
        return -EINVAL;
    t->url = curl_url();
    if (!t->url)
        return -ENOMEM;
    if (curl_url_set(t->url, CURLUPART_URL, url,
                     CURLU_PATH_AS_IS | CURLU_DISALLOW_USER))
        return -EINVAL;
    say_where(t);
    return 0;
}

static bool may_repeat(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ||
           strcmp(method, "OPTIONS") == 0;
}

static bool wants_body(const char *method)
{
    return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
           strcmp(method, "PATCH") == 0;
}

static void set_method(struct transfer *t)
{
    const struct ist_http_call *call = t->call;
    CURL *easy = t->easy;

    if (call->body_size || wants_body(call->method)) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                         call->body_size ? call->body : "");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t) call->body_size);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    if (strcmp(call->method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
    /* Curl sends a request again when a kept connection dies before the
     * answer's first byte. The peer may have obeyed the first one, though. */
    if (!may_repeat(call->method))
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
}

static void set_limits(struct transfer *t)
{
    CURL *easy = t->easy;

    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, t->http->proxy ? t->http->proxy : "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    curl_easy_setopt(easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* A name being resolved in curl's thread must not hold up a cancel. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
    curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long) t->http->conf.connect_timeout_ms);
}

static void set_tls(struct transfer *t)
{
    CURL *easy = t->easy;

    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, t->call->insecure ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, t->call->insecure ? 0L : 2L);
    if (t->call->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, t->call->ca_file);
}

static void set_callbacks(struct transfer *t)
{
    CURL *easy = t->easy;

    curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, t);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
}

/* -errno with words in t->what. */
static int set_up(struct transfer *t)
{
    size_t method_len = strlen(t->call->method);
    int rc = parse_url(t);

    if (rc == -EINVAL)
        refuse(t, rc, "not a URL that can be called");
    if (rc)
        return rc;
    if (method_len == 0 || token_len(t->call->method, method_len) < method_len)
        return refuse(t, -EINVAL, "not a method"), -EINVAL;
    t->easy = curl_easy_init();
    if (!t->easy)
        return -ENOMEM;
    curl_easy_setopt(t->easy, CURLOPT_CURLU, t->url);
    curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "isthmus/" IST_VERSION);
    set_limits(t);
    set_tls(t);
    set_callbacks(t);
    set_method(t);
    rc = add_headers(t);
    if (rc == -EINVAL)
        refuse(t, rc, "not a header that can be sent");
    return rc;
}

static void add(struct transfer *t)
{
    CURLMcode code;

    t->http->depth++;
    code = curl_multi_add_handle(t->http->multi, t->easy);
    t->http->depth--;
    if (code == CURLM_OK) {
        t->added = true;
        return;
    }
    t->rc = code == CURLM_OUT_OF_MEMORY ? -ENOMEM : -EIO;
    strlcpy(t->what, curl_multi_strerror(code), sizeof(t->what));
    transfer_finish(t, CURLE_OK);
}

static void resume(struct transfer *t)
{
    CURLcode code;

    t->resuming = false;
    if (!t->paused)
        return;
    t->paused = false;
    t->active_ms = ist_loop_now(t->http->loop);
    t->http->depth++;
    code = curl_easy_pause(t->easy, CURLPAUSE_CONT);
    t->http->depth--;
    if (code != CURLE_OK) {
        transfer_finish(t, code);
        return;
    }
    idle_arm(t);
}

static void on_kick(struct ist_timer *timer)
{
    struct transfer *t = IST_CONTAINER(timer, struct transfer, kick);

    if (t->cancelled)
        transfer_finish(t, CURLE_ABORTED_BY_CALLBACK);
    else if (!t->added)
        add(t);
    else if (t->resuming)
        resume(t);
}

static void kick(struct transfer *t)
{
    ist_timer_arm_in(&t->kick, t->http->loop, 0, on_kick);
}

static void on_cancel(struct ist_op *op)
{
    struct ist_http_call *call = IST_CONTAINER(op, struct ist_http_call, op);
    struct transfer *t = call->transfer;

    t->cancelled = true;
    kick(t);
}

void ist_http_start(struct ist_http *http, struct ist_http_call *call)
{
    struct transfer *t;
    int rc;

    ist_http_call_fini(call);
    ist_sb_init(&call->header_text, 0);
    ist_sb_init(&call->collected, 0);
    ist_op_begin(&call->op, on_cancel);
    t = calloc(1, sizeof(*t));
    if (!t) {
        ist_op_finish(&call->op, -ENOMEM);
        return;
    }
    t->http = http;
    t->call = call;
    call->transfer = t;
    http->n_calls++;
    strlcpy(t->where, "HTTP call", sizeof(t->where));
    rc = set_up(t);
    if (rc) {
        t->rc = rc;
        transfer_finish(t, CURLE_OK);
    } else if (http->depth) {
        kick(t);
    } else {
        add(t);
    }
}

void ist_http_resume(struct ist_http_call *call)
{
    struct transfer *t = call->transfer;

    if (!t)
        return;
    /* From inside on_data the piece is about to be taken back. */
    t->resuming = true;
    kick(t);
}

/* ---- results ----------------------------------------------------------- */

void ist_http_call_fini(struct ist_http_call *call)
{
    assert(!call->transfer);
    ist_sb_fini(&call->header_text);
    ist_sb_fini(&call->collected);
    call->status = 0;
    call->n_received = 0;
}

const char *ist_http_header(const struct ist_http_call *call, const char *name,
                            size_t *ret_len)
{
    const char *at = ist_sb_text(&call->header_text), *end;
    size_t len = strlen(name);

    for (; (end = strstr(at, "\r\n")); at = end + 2) {
        if (!has_name(at, name))
            continue;
        at += len + 1;
        at += strspn(at, " \t");
        while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        *ret_len = (size_t) (end - at);
        return at;
    }
    return NULL;
}

/* ---- the client -------------------------------------------------------- */

static void set_multi(struct ist_http *http)
{
    const struct ist_http_conf *conf = &http->conf;

    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    curl_multi_setopt(http->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
                      (long) conf->connections_max);
    curl_multi_setopt(http->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                      (long) conf->per_host_max);
    if (conf->connections_max)
        curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS,
                          (long) conf->connections_max);
}

struct ist_http *ist_http_new(struct ist_loop *loop,
                              const struct ist_http_conf *conf)
{
    struct ist_http *http;

    if (curl_global_init(CURL_GLOBAL_DEFAULT))
        return NULL;
    http = calloc(1, sizeof(*http));
    if (http) {
        http->loop = loop;
        http->conf = *conf;
        LIST_INIT(&http->watches);
        http->multi = curl_multi_init();
    }
    if (http && http->multi && conf->proxy && conf->proxy[0]) {
        http->proxy = strdup(conf->proxy);
        if (!http->proxy) {
            curl_multi_cleanup(http->multi);
            http->multi = NULL;
        }
    }
    if (!http || !http->multi) {
        free(http);
        curl_global_cleanup();
        return NULL;
    }
    http->conf.proxy = NULL;
    uv_idle_init(loop->uv, &http->again);
    http->again.data = http;
    http->again_open = true;
    set_multi(http);
    return http;
}

static void on_again_closed(uv_handle_t *handle)
{
    struct ist_http *http = handle->data;

    http->again_open = false;
    maybe_free(http);
}

void ist_http_close(struct ist_http *http, void (*closed)(void *), void *arg)
{
    struct watch *watch, *next;

    assert(http->n_calls == 0);
    http->closed = closed;
    http->closed_arg = arg;
    curl_multi_cleanup(http->multi);
    http->multi = NULL;
    LIST_FOREACH_SAFE(watch, &http->watches, sibling, next)
    {
        watch_close(watch);
    }
    ist_timer_disarm(&http->timer);
    uv_close((uv_handle_t *) &http->again, on_again_closed);
}
