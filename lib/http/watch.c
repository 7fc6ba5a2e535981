/* Curl waits on the loop: each socket it names is a uv_poll_t, the time at
 * which it wants to be called is one timer. */
#include "http/client_priv.h"

#include <stdlib.h>

/* One socket curl waits for. */
struct http_watch {
    struct ist_http *http;
    uv_poll_t poll;
    LIST_ENTRY(http_watch) sibling;
};

static void on_watch_closed(uv_handle_t *handle)
{
    struct http_watch *watch = handle->data;
    struct ist_http *http = watch->http;

    LIST_REMOVE(watch, sibling);
    free(watch);
    http_maybe_free(http);
}

static void watch_close(struct http_watch *watch)
{
    /* Before the descriptor is closed by curl: the handle must not outlive
     * its place in epoll, since the number will come back. */
    uv_poll_stop(&watch->poll);
    if (!uv_is_closing((uv_handle_t *) &watch->poll))
        uv_close((uv_handle_t *) &watch->poll, on_watch_closed);
}

void http_watch_close_all(struct ist_http *http)
{
    struct http_watch *watch, *next;

    LIST_FOREACH_SAFE(watch, &http->watches, sibling, next)
    {
        watch_close(watch);
    }
}

static void socket_action(struct ist_http *http, curl_socket_t fd, int events)
{
    int n_running;

    http->depth++;
    curl_multi_socket_action(http->multi, fd, events, &n_running);
    http->depth--;
    http_reap(http);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct http_watch *watch = handle->data;
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

static struct http_watch *watch_new(struct ist_http *http, curl_socket_t fd)
{
    struct http_watch *watch = calloc(1, sizeof(*watch));

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

int http_on_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
                   void *socket_arg)
{
    struct ist_http *http = arg;
    struct http_watch *watch = socket_arg;
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
int http_on_curl_timer(CURLM *multi, long timeout_ms, void *arg)
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
