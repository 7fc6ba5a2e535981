/* libcurl's multi interface, driven by the loop: the client, and a call from
 * its start to its end.
 *
 * Happy path: start() makes an easy handle (request.c) and adds it; curl waits
 * on the loop (watch.c); header lines and body come in (answer.c); when curl
 * reports the transfer done, the op finishes.
 *
 * Failures: what curl reports is put into our errno words (reason.c). What we
 * find ourselves (caps, idleness, an on_data that refuses) is kept in
 * transfer.rc, and wins. A cancel is carried out in the loop's next turn,
 * because curl must not lose a handle inside one of its own callbacks; so are
 * a resume, and a start from inside one. */
#include "http/client_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the end of a transfer --------------------------------------------- */

size_t http_refuse(struct http_transfer *t, int rc, const char *what)
{
    t->rc = rc;
    strlcpy(t->what, what, sizeof(t->what));
    return 0;
}

/* Tokens travel in headers: do not leave them in freed memory. */
static void headers_free(struct curl_slist *list)
{
    struct curl_slist *at;

    for (at = list; at; at = at->next)
        explicit_bzero(at->data, strlen(at->data));
    curl_slist_free_all(list);
}

static void transfer_free(struct http_transfer *t)
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

static bool worth_retrying(int rc)
{
    return rc == -ECONNREFUSED || rc == -EHOSTUNREACH || rc == -ETIMEDOUT ||
           rc == -ECONNRESET;
}

void http_finish(struct http_transfer *t, CURLcode code)
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
    rc = http_say_why(t, code, rc);
    call->op.err.http = call->status;
    call->op.err.retryable = worth_retrying(call->op.err.code);
    transfer_free(t);
    call->transfer = NULL;
    ist_op_finish(&call->op, rc);
}

void http_reap(struct ist_http *http)
{
    struct CURLMsg *msg;
    struct http_transfer *t;
    CURLcode code;
    int n_left;

    while ((msg = curl_multi_info_read(http->multi, &n_left))) {
        if (msg->msg != CURLMSG_DONE)
            continue;
        code = msg->data.result;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **) &t);
        http_finish(t, code);
    }
}

/* ---- starting ---------------------------------------------------------- */

static void add(struct http_transfer *t)
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
    http_finish(t, CURLE_OK);
}

static void resume(struct http_transfer *t)
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
        http_finish(t, code);
        return;
    }
    http_idle_arm(t);
}

static void on_kick(struct ist_timer *timer)
{
    struct http_transfer *t = IST_CONTAINER(timer, struct http_transfer, kick);

    if (t->cancelled)
        http_finish(t, CURLE_ABORTED_BY_CALLBACK);
    else if (!t->added)
        add(t);
    else if (t->resuming)
        resume(t);
}

static void kick(struct http_transfer *t)
{
    ist_timer_arm_in(&t->kick, t->http->loop, 0, on_kick);
}

static void on_cancel(struct ist_op *op)
{
    struct ist_http_call *call = IST_CONTAINER(op, struct ist_http_call, op);
    struct http_transfer *t = call->transfer;

    t->cancelled = true;
    kick(t);
}

void ist_http_start(struct ist_http *http, struct ist_http_call *call)
{
    struct http_transfer *t;
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
    rc = http_set_up(t);
    if (rc) {
        t->rc = rc;
        http_finish(t, CURLE_OK);
    } else if (http->depth) {
        kick(t);
    } else {
        add(t);
    }
}

void ist_http_resume(struct ist_http_call *call)
{
    struct http_transfer *t = call->transfer;

    if (!t)
        return;
    /* From inside on_data the piece is about to be taken back. */
    t->resuming = true;
    kick(t);
}

/* ---- the client -------------------------------------------------------- */

void http_maybe_free(struct ist_http *http)
{
    if (http->again_open || !LIST_EMPTY(&http->watches))
        return;
    if (http->closed)
        http->closed(http->closed_arg);
    free(http->proxy);
    free(http);
    curl_global_cleanup();
}

static void set_multi(struct ist_http *http)
{
    const struct ist_http_conf *conf = &http->conf;

    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, http_on_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, http_on_curl_timer);
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
    http_maybe_free(http);
}

void ist_http_close(struct ist_http *http, void (*closed)(void *), void *arg)
{
    assert(http->n_calls == 0);
    http->closed = closed;
    http->closed_arg = arg;
    curl_multi_cleanup(http->multi);
    http->multi = NULL;
    http_watch_close_all(http);
    ist_timer_disarm(&http->timer);
    uv_close((uv_handle_t *) &http->again, on_again_closed);
}
