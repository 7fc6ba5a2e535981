#include "api/watch.h"

#include "api/problem.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SLICE_ITEMS 256          /* Read at once, before others get a turn. */
#define SLICE_BYTES (64U * 1024) /* The same of what they take. */
#define BEAT_MS     15000        /* Proxies cut streams idle for 30 s. */

struct framing {
    const char *type, *head;
    void (*put_item)(struct ist_sb *, const struct events_item *);
    void (*put_gap)(struct ist_sb *, uint64_t from, uint64_t to,
                    uint64_t wall_ms);
    void (*put_beat)(struct ist_sb *, uint64_t place);
};

struct watcher {
    struct api *api;
    struct ist_httpd_stream *stream;
    const struct framing *framing;
    struct events_filter filter;
    uint64_t until_ms;
    uint64_t place; /* All before it were written, or not wanted. */
    uint64_t told;  /* The last number that the client knows. */
    bool full;      /* Until 'drained'. */
    struct events_follower follower;
    struct ist_timer turn, beat;
};

/* The framings */

static void put_sse_item(struct ist_sb *out, const struct events_item *item)
{
    char type[EVENTS_TYPE_SIZE];

    ist_sb_printf(out, "id: %" PRIu64 "\nevent: %s\ndata: ", item->id,
                  events_type(item, type));
    ist_sb_add(out, item->json.data, item->json.size);
    ist_sb_puts(out, "\n\n");
}

static void put_sse_gap(struct ist_sb *out, uint64_t from, uint64_t to,
                        uint64_t wall_ms)
{
    (void) wall_ms;
    ist_sb_printf(out,
                  "id: %" PRIu64 "\nevent: gap\ndata: {\"from\":%" PRIu64
                  ",\"to\":%" PRIu64 "}\n\n",
                  to, from, to);
}

/* An id without data is no event, but where a client goes on: what it did not
 * want is not read again. */
static void put_sse_beat(struct ist_sb *out, uint64_t place)
{
    ist_sb_puts(out, ":hb\n");
    if (place)
        ist_sb_printf(out, "id: %" PRIu64 "\n", place);
    ist_sb_putc(out, '\n');
}

static void put_line(struct ist_sb *out, const struct events_item *item)
{
    ist_sb_add(out, item->json.data, item->json.size);
    ist_sb_putc(out, '\n');
}

static void put_line_gap(struct ist_sb *out, uint64_t from, uint64_t to,
                         uint64_t wall_ms)
{
    events_gap_put(out, from, to, wall_ms);
    ist_sb_putc(out, '\n');
}

static void put_line_beat(struct ist_sb *out, uint64_t place)
{
    (void) place;
    ist_sb_putc(out, '\n');
}

static const struct framing framings[] = {
    [API_WATCH_SSE] = {"text/event-stream; charset=utf-8", "retry: 3000\n\n",
                       put_sse_item, put_sse_gap, put_sse_beat},
    [API_WATCH_NDJSON] = {"application/x-ndjson", "", put_line, put_line_gap,
                          put_line_beat},
};

/* The end of one */

static void watcher_free(struct watcher *watcher)
{
    ist_timer_disarm(&watcher->turn);
    ist_timer_disarm(&watcher->beat);
    events_filter_fini(&watcher->filter);
    watcher->api->n_watchers--;
    free(watcher);
}

static void watcher_end(struct watcher *watcher)
{
    events_log_unfollow(&watcher->follower);
    ist_httpd_stream_end(watcher->stream);
    watcher_free(watcher);
}

/* So that the client does not take what it has for the whole. */
static void watcher_cut(struct watcher *watcher, const char *why)
{
    ist_log_warn("api", "a watcher of events is cut off: %s", why);
    events_log_unfollow(&watcher->follower);
    ist_httpd_stream_abort(watcher->stream);
    watcher_free(watcher);
}

static void on_gone(struct ist_httpd_stream *stream, void *arg)
{
    (void) stream;
    watcher_end(arg);
}

/* A turn */

struct slice {
    const struct watcher *watcher;
    struct ist_sb *out;
    uint64_t told;
    bool over; /* What comes now is later than was asked for. */
};

static bool on_item(void *arg, const struct events_item *item)
{
    struct slice *slice = arg;

    if (item->received_ms > slice->watcher->until_ms)
        slice->over = true;
    if (slice->over || slice->out->len >= SLICE_BYTES)
        return false;
    if (events_filter_match(&slice->watcher->filter, item)) {
        slice->watcher->framing->put_item(slice->out, item);
        slice->told = item->id;
    }
    return true;
}

/* What lies behind 'place' and is no longer held. */
static uint64_t put_gap(const struct watcher *watcher, struct slice *slice)
{
    uint64_t first, last;

    events_log_range(watcher->api->events, &first, &last);
    if (watcher->place + 1 >= first)
        return watcher->place;
    watcher->framing->put_gap(slice->out, watcher->place + 1, first - 1,
                              ist_loop_wall(watcher->api->loop));
    slice->told = first - 1;
    return first - 1;
}

static void on_turn(struct ist_timer *timer);

static void watcher_wait(struct watcher *watcher)
{
    struct api *api = watcher->api;
    uint64_t now = ist_loop_wall(api->loop), first, last;

    events_log_range(api->events, &first, &last);
    if (watcher->place < last)
        ist_timer_arm_in(&watcher->turn, api->loop, 0, on_turn);
    else if (watcher->until_ms <= now)
        watcher_end(watcher);
    else if (watcher->until_ms != UINT64_MAX)
        ist_timer_arm_in(&watcher->turn, api->loop, watcher->until_ms - now,
                         on_turn);
}

/* What was not taken is read again when there is room. */
static void on_turn(struct ist_timer *timer)
{
    struct watcher *watcher = IST_CONTAINER(timer, struct watcher, turn);
    struct ist_sb *out = &watcher->api->watch_text;
    struct slice slice = {watcher, out, watcher->told, false};
    struct ist_err err = {.text = ""};
    uint64_t place;
    int rc;

    ist_sb_reset(out);
    place = put_gap(watcher, &slice);
    rc = events_log_read(watcher->api->events, place, SLICE_ITEMS, on_item,
                         &slice, &place, &err);
    if (rc == 0)
        rc = out->rc;
    if (rc == 0 && out->len)
        rc = ist_httpd_stream_write(watcher->stream, out->data, out->len);
    if (rc == -EAGAIN || rc == -EPIPE) {
        watcher->full = true; /* Or 'gone' comes. */
        return;
    }
    if (rc) {
        watcher_cut(watcher, err.text[0] ? err.text : ist_err_name(rc));
        return;
    }
    watcher->place = place;
    watcher->told = slice.told;
    if (slice.over)
        watcher_end(watcher);
    else
        watcher_wait(watcher);
}

/* Not at once: whoever commits has others to wake. */
static void on_more(struct events_follower *follower)
{
    struct watcher *watcher = IST_CONTAINER(follower, struct watcher, follower);

    if (!watcher->full)
        ist_timer_arm_in(&watcher->turn, watcher->api->loop, 0, on_turn);
}

static void on_drained(struct ist_httpd_stream *stream, void *arg)
{
    struct watcher *watcher = arg;

    (void) stream;
    watcher->full = false;
    ist_timer_arm_in(&watcher->turn, watcher->api->loop, 0, on_turn);
}

static void on_beat(struct ist_timer *timer)
{
    struct watcher *watcher = IST_CONTAINER(timer, struct watcher, beat);
    struct ist_sb *out = &watcher->api->watch_text;
    bool news = watcher->place > watcher->told;

    ist_sb_reset(out);
    watcher->framing->put_beat(out, news ? watcher->place : 0);
    if (!watcher->full && out->rc == 0 &&
        ist_httpd_stream_write(watcher->stream, out->data, out->len) == 0)
        watcher->told = watcher->place;
    ist_timer_arm_in(timer, watcher->api->loop, BEAT_MS, on_beat);
}

/* The beginning of one */

static struct watcher *watcher_new(struct api *api,
                                   struct api_events_query *query,
                                   uint64_t place,
                                   const struct framing *framing)
{
    struct watcher *watcher = calloc(1, sizeof(*watcher));

    if (!watcher)
        return NULL;
    api->n_watchers++;
    watcher->api = api;
    watcher->framing = framing;
    watcher->filter = query->filter;
    query->filter = (struct events_filter){0};
    watcher->until_ms = query->until_ms;
    watcher->place = watcher->told = place;
    watcher->follower.more = on_more;
    return watcher;
}

#define HEADERS 3

static void fill_headers(struct ist_httpd_header to[HEADERS],
                         const struct framing *framing)
{
    to[0] = (struct ist_httpd_header){"Content-Type", framing->type};
    to[1] = (struct ist_httpd_header){"Cache-Control", "no-store"};
    to[2] = (struct ist_httpd_header){"X-Accel-Buffering", "no"};
}

static void watcher_begin(struct watcher *watcher,
                          struct ist_httpd_request *http)
{
    struct ist_httpd_header headers[HEADERS];
    struct api *api = watcher->api;
    const char *head = watcher->framing->head;

    fill_headers(headers, watcher->framing);
    watcher->stream = ist_httpd_stream_begin(http, 200, headers, HEADERS,
                                             on_drained, on_gone, watcher);
    if (!watcher->stream) {
        watcher_free(watcher);
        return;
    }
    ist_httpd_stream_write(watcher->stream, head, strlen(head));
    events_log_follow(api->events, &watcher->follower);
    ist_timer_arm_in(&watcher->turn, api->loop, 0, on_turn);
    ist_timer_arm_in(&watcher->beat, api->loop, BEAT_MS, on_beat);
}

/* Who asks for the head only is not to be kept as one that watches. */
static void reply_head(struct ist_httpd_request *http,
                       const struct framing *framing)
{
    struct ist_httpd_header headers[HEADERS];

    fill_headers(headers, framing);
    ist_httpd_reply(http, 200, headers, HEADERS, "", 0);
}

void api_watch(const struct api_request *request,
               struct api_events_query *query, uint64_t place,
               enum api_watch_framing framing)
{
    struct api *api = request->api;
    struct watcher *watcher;

    if (strcmp(request->http->method, "HEAD") == 0) {
        reply_head(request->http, &framings[framing]);
        return;
    }

    if (api->n_watchers >= api->conf.watchers_max) {
        api_problem_reply(request->http, API_BUSY, NULL,
                          "There are as many watchers as there may be. Try "
                          "again later.");
        return;
    }
    watcher = watcher_new(api, query, place, &framings[framing]);
    if (watcher)
        watcher_begin(watcher, request->http);
    else
        api_problem_reply(request->http, API_INTERNAL, NULL, "Out of memory.");
}
