/* What arrives: the head line by line, the body piece by piece. What we do not
 * like of it (caps, a broken line, an on_data that refuses) ends the call.
 *
 * Idleness is counted here, not by curl, whose low-speed limit knows seconds
 * only and counts pauses of ours. */
#include "http/client_priv.h"
#include "http/field.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static void on_idle(struct ist_timer *timer);

void http_idle_arm(struct http_transfer *t)
{
    uint64_t limit = t->http->conf.idle_timeout_ms;

    if (limit && t->on_wire && !t->paused)
        ist_timer_arm(&t->idle, t->http->loop, t->active_ms + limit, on_idle);
}

void http_pause(struct http_transfer *t)
{
    t->paused = true;
    ist_timer_disarm(&t->idle);
}

/* Bytes only note the time; the timer looks at it when it fires, so that a
 * fast transfer does not move a timer for each piece. */
static void on_idle(struct ist_timer *timer)
{
    struct http_transfer *t = IST_CONTAINER(timer, struct http_transfer, idle);
    uint64_t limit = t->http->conf.idle_timeout_ms;
    uint64_t now = ist_loop_now(t->http->loop);
    curl_off_t sent = 0;

    curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    if (sent != t->sent) {
        t->sent = sent;
        t->active_ms = now;
    }
    if (now < t->active_ms + limit) {
        http_idle_arm(t);
        return;
    }
    t->rc = -ETIMEDOUT;
    snprintf(t->what, sizeof(t->what), "no byte for %llu ms",
             (unsigned long long) limit);
    http_finish(t, CURLE_OPERATION_TIMEDOUT);
}

/* Connected, and about to send: from here on silence counts. */
int http_on_connected(void *arg, char *peer, char *local, int peer_port,
                      int local_port)
{
    struct http_transfer *t = arg;

    (void) peer, (void) local, (void) peer_port, (void) local_port;
    if (t->rc)
        return CURL_PREREQFUNC_ABORT;
    t->on_wire = true;
    t->active_ms = ist_loop_now(t->http->loop);
    http_idle_arm(t);
    return CURL_PREREQFUNC_OK;
}

/* Two lengths that differ mean that somebody between disagrees with us about
 * where the answer ends. */
static bool length_agrees(struct http_transfer *t, const char *line, size_t len)
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

static bool header_line(struct http_transfer *t, const char *line, size_t len)
{
    struct ist_sb *text = &t->call->header_text;
    size_t name_len = http_token_len(line, len);

    if (!http_is_value(line, len))
        return false;
    if (*line == ' ' || *line == '\t')
        return unfold(text, line, len);
    if (name_len == 0 || name_len == len || line[name_len] != ':')
        return false;
    ist_sb_add(text, line, len);
    ist_sb_puts(text, "\r\n");
    return length_agrees(t, line, len);
}

static void head_end(struct http_transfer *t)
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
size_t http_on_header(char *line, size_t one, size_t size, void *arg)
{
    struct http_transfer *t = arg;
    size_t len = size;

    (void) one;
    t->active_ms = ist_loop_now(t->http->loop);
    t->n_header += size;
    if (t->http->conf.headers_max && t->n_header > t->http->conf.headers_max)
        return http_refuse(t, -EMSGSIZE, "too many answer headers");
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
        return http_refuse(t, -EPROTO, "broken header in the answer");
    if (t->call->header_text.rc)
        return http_refuse(t, t->call->header_text.rc, "no memory for headers");
    return size;
}

static size_t collect(struct http_transfer *t, const char *data, size_t size)
{
    struct ist_http_call *call = t->call;

    if (size > call->collect_max - call->collected.len) {
        http_refuse(t, -EMSGSIZE, "");
        snprintf(t->what, sizeof(t->what), "answer of more than %zu bytes",
                 call->collect_max);
        return 0;
    }
    ist_sb_add(&call->collected, data, size);
    if (call->collected.rc)
        return http_refuse(t, call->collected.rc, "no memory for the answer");
    call->n_received += size;
    return size;
}

size_t http_on_body(char *data, size_t one, size_t size, void *arg)
{
    struct http_transfer *t = arg;
    int rc;

    (void) one;
    if (size == 0)
        return 0;
    if (t->cancelled)
        return http_refuse(t, -ECANCELED, "cancelled");
    t->active_ms = ist_loop_now(t->http->loop);
    if (!t->call->on_data)
        return collect(t, data, size);
    rc = t->call->on_data(t->call, data, size);
    if (rc == -EAGAIN) {
        http_pause(t);
        return CURL_WRITEFUNC_PAUSE;
    }
    if (rc)
        return http_refuse(t, rc, "");
    t->call->n_received += size;
    return size;
}
