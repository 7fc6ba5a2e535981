/* Deliveries: what the filters let through is put together, sent, and sent
 * again as it is until it is taken. */
#include "events/webhook_priv.h"

#include "base/log.h"
#include "base/parse.h"
#include "base/rand.h"
#include "events/item.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define READ_MAX       500 /* Items looked at in one turn. */
#define BODY_MAX       (256 * 1024)
#define RETRY_AFTER_MS (24ULL * 3600 * 1000) /* Believed up to this. */

#define SECOND 1000ULL
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

/* After the first failure, the second...; the last repeats. */
static const uint64_t intervals[] = {5 * SECOND,  30 * SECOND, 2 * MINUTE,
                                     10 * MINUTE, 30 * MINUTE, HOUR,
                                     2 * HOUR,    4 * HOUR};

static void on_turn(struct ist_timer *timer)
{
    struct hook *hook = IST_CONTAINER(timer, struct hook, turn);

    hook->pub.retry_ms = 0;
    hook_go_on(hook);
}

static void turn_in(struct hook *hook, uint64_t ms)
{
    ist_timer_arm_in(&hook->turn, hook->hooks->loop, ms, on_turn);
}

/* Putting together */

struct window {
    struct hook *hook;
    uint64_t n, last;
    char first_id[EVENTS_ID_SIZE], last_id[EVENTS_ID_SIZE];
};

static bool take(void *arg, const struct events_item *item)
{
    struct window *window = arg;
    struct hook *hook = window->hook;

    if (window->n == hook->pub.want.batch_max || hook->body.len >= BODY_MAX)
        return false;
    if (events_filter_match(&hook->pub.want.filter, item)) {
        events_item_id(item, window->n ? window->last_id : window->first_id);
        if (window->n++)
            ist_sb_putc(&hook->body, ',');
        ist_sb_add(&hook->body, item->json.data, item->json.size);
    }
    window->last = item->id;
    return true;
}

/* What the log no longer holds, told by an event of its own. */
static bool take_gap(struct hook *hook)
{
    uint64_t first, last, place = hook->place.at;

    events_log_range(hook->hooks->log, &first, &last);
    if (place + 1 >= first)
        return false;
    events_gap_put(&hook->body, place + 1, first - 1,
                   ist_loop_wall(hook->hooks->loop));
    hook->window_end = first - 1;
    snprintf(hook->delivery, sizeof(hook->delivery), "gap-%" PRIu64 "-%" PRIu64,
             place + 1, first - 1);
    return true;
}

static int take_events(struct hook *hook, struct ist_err *err)
{
    struct window window = {.hook = hook, .last = hook->place.at};
    uint64_t last;
    int rc = events_log_read(hook->hooks->log, hook->place.at, READ_MAX, take,
                             &window, &last, err);

    if (rc)
        return rc;
    hook->window_end = window.last;
    if (window.n == 1)
        snprintf(hook->delivery, sizeof(hook->delivery), "%s", window.first_id);
    else if (window.n)
        snprintf(hook->delivery, sizeof(hook->delivery), "%.110s..%.110s",
                 window.first_id, window.last_id);
    return 0;
}

/* 1: there is something to deliver; 0: nothing that it wants; or a fault. */
static int put_together(struct hook *hook, struct ist_err *err)
{
    bool is_array = hook->pub.want.batch_max > 1;
    int rc = 0;

    ist_sb_reset(&hook->body);
    hook->delivery[0] = '\0';
    if (is_array)
        ist_sb_putc(&hook->body, '[');
    if (!take_gap(hook))
        rc = take_events(hook, err);
    if (is_array)
        ist_sb_putc(&hook->body, ']');
    hook->content_type = is_array ? "application/cloudevents-batch+json"
                                  : "application/cloudevents+json";
    if (rc == 0 && hook->body.rc)
        rc = ist_err_set(err, hook->body.rc, "out of memory");
    if (rc)
        hook->delivery[0] = '\0';
    return rc ? rc : hook->delivery[0] != '\0';
}

/* Sending */

static void fail(struct hook *hook, const char *why, uint64_t after_ms)
{
    struct webhook *pub = &hook->pub;
    uint64_t now = ist_loop_wall(hook->hooks->loop), ms, end;
    bool is_first = pub->failing_ms == 0;
    size_t n = hook->n_tries < IST_COUNT(intervals) ? hook->n_tries
                                                    : IST_COUNT(intervals) - 1;

    snprintf(pub->reason, sizeof(pub->reason), "%s", why);
    pub->n_failed++;
    hook->n_tries++;
    if (is_first)
        pub->failing_ms = now;
    end = pub->failing_ms + hook->hooks->conf.give_up_ms;
    if (now >= end) {
        hook_disable(hook, why);
        return;
    }
    if (is_first) {
        ist_log_warn("webhook", "webhook %" PRIu64 " fails: %s", pub->id, why);
        hook_changed(hook);
    }
    /* A fifth more or less, so that many do not come back at once. */
    ms = intervals[n] * 4 / 5 + ist_rand_below(intervals[n] * 2 / 5);
    if (after_ms > ms)
        ms = after_ms;
    if (ms > end - now) /* One last try. */
        ms = end - now;
    pub->retry_ms = now + ms;
    turn_in(hook, ms);
}

static void succeed(struct hook *hook)
{
    struct webhook *pub = &hook->pub;

    pub->n_delivered++;
    pub->delivered_ms = ist_loop_wall(hook->hooks->loop);
    pub->reason[0] = '\0';
    hook->n_tries = 0;
    hook->delivery[0] = '\0';
    events_place_move(&hook->place, hook->window_end);
    if (pub->failing_ms) {
        pub->failing_ms = 0;
        ist_log_info("webhook", "webhook %" PRIu64 " is taken again", pub->id);
        hook_changed(hook);
    }
    turn_in(hook, 0);
}

/* In seconds only: a date would trust another's clock. RFC 9110, 10.2.3. */
static uint64_t retry_after(const struct ist_http_call *call)
{
    uint64_t seconds = 0;
    char text[16];
    size_t len;
    const char *value = ist_http_header(call, "Retry-After", &len);

    if (!value || len >= sizeof(text))
        return 0;
    memcpy(text, value, len);
    text[len] = '\0';
    return ist_parse_u64(text, 0, RETRY_AFTER_MS / SECOND, &seconds)
               ? seconds * SECOND
               : 0;
}

static void on_answered(struct hook *hook)
{
    char why[64];

    hook->pub.status = hook->call.status;
    if (hook->call.status >= 200 && hook->call.status < 300) {
        hook->hooks->counts.taken++;
        succeed(hook);
        return;
    }
    hook->hooks->counts.refused++;
    if (hook->call.status == 410) {
        hook->pub.n_failed++;
        snprintf(hook->pub.reason, sizeof(hook->pub.reason),
                 "the receiver answered 410, gone");
        hook_disable(hook, hook->pub.reason);
        return;
    }
    snprintf(why, sizeof(why), "the receiver answered %d", hook->call.status);
    fail(hook, why, retry_after(&hook->call));
}

static void on_done(struct ist_op *op)
{
    struct hook *hook = IST_CONTAINER(op, struct hook, call.op);

    if (!hook->hooks->is_stopped && !hook->is_gone) {
        if (op->rc == 0) {
            on_answered(hook);
        } else {
            hook->pub.status = 0;
            hook->hooks->counts.unanswered++;
            fail(hook,
                 op->rc == -EACCES ? "the host's address is none that the hub "
                                     "may connect to"
                                   : op->err.text,
                 0);
        }
    }
    ist_http_call_fini(&hook->call);
    hook_settle(hook);
}

static bool may_connect(struct ist_http_call *call, const struct sockaddr *to)
{
    const struct hook *hook = IST_CONTAINER(call, const struct hook, call);

    return events_guard_allows(&hook->hooks->guard, to);
}

/* What a receiver says is not read. */
static int on_data(struct ist_http_call *call, const void *data, size_t size)
{
    (void) call;
    (void) data;
    (void) size;
    return 0;
}

static void make_headers(struct hook *hook)
{
    const struct webhook *pub = &hook->pub;
    uint64_t now = ist_loop_wall(hook->hooks->loop), seconds = now / SECOND;
    size_t n = 0;

    ist_sb_reset(&hook->signature);
    events_sign(&hook->signature, &pub->want.key, hook->delivery, seconds,
                hook->body.data, hook->body.len);
    if (pub->old_key.size && now < pub->old_until_ms) {
        ist_sb_putc(&hook->signature, ' ');
        events_sign(&hook->signature, &pub->old_key, hook->delivery, seconds,
                    hook->body.data, hook->body.len);
    }
    snprintf(hook->headers[n++], sizeof(hook->headers[0]), "Content-Type: %s",
             hook->content_type);
    snprintf(hook->headers[n++], sizeof(hook->headers[0]), "webhook-id: %s",
             hook->delivery);
    snprintf(hook->headers[n++], sizeof(hook->headers[0]),
             "webhook-timestamp: %" PRIu64, seconds);
    snprintf(hook->headers[n++], sizeof(hook->headers[0]),
             "webhook-signature: %s", ist_sb_text(&hook->signature));
    snprintf(hook->headers[n++], sizeof(hook->headers[0]),
             "User-Agent: isthmus-hub/" IST_VERSION);
    for (size_t i = 0; i < n; i++)
        hook->header_list[i] = hook->headers[i];
    hook->header_list[n] = NULL;
}

static void deliver(struct hook *hook)
{
    struct webhooks *hooks = hook->hooks;

    make_headers(hook);
    hook->call = (struct ist_http_call){.method = "POST",
                                        .url = hook->pub.want.url,
                                        .headers = hook->header_list,
                                        .body = hook->body.data,
                                        .body_size = hook->body.len,
                                        .ca_file = hooks->conf.ca_file,
                                        .on_data = on_data,
                                        .may_connect = may_connect};
    ist_op_prepare(&hook->call.op, hooks->loop, NULL, hooks->conf.timeout_ms,
                   on_done);
    ist_http_start(hooks->http, &hook->call);
}

/* Nothing that it wants: its place moves all the same. */
static void pass_over(struct hook *hook)
{
    uint64_t first, last;

    events_log_range(hook->hooks->log, &first, &last);
    if (hook->window_end != hook->place.at)
        events_place_move(&hook->place, hook->window_end);
    if (hook->place.at < last)
        turn_in(hook, 0);
}

void hook_go_on(struct hook *hook)
{
    struct ist_err err = {.text = ""};
    int rc;

    if (hook->hooks->is_stopped || hook->is_gone || hook->pub.is_disabled ||
        hook->call.op.state != IST_OP_IDLE || ist_timer_armed(&hook->turn))
        return;
    rc = hook->delivery[0] ? 1 : put_together(hook, &err);
    if (rc < 0)
        fail(hook, err.text, 0);
    else if (rc)
        deliver(hook);
    else
        pass_over(hook);
}

void hook_stop(struct hook *hook)
{
    ist_timer_disarm(&hook->turn);
    ist_op_cancel(&hook->call.op, -ECANCELED);
    if (hook->is_gone) /* Its place is dropped already: not written anew. */
        hook->place.at = hook->place.written;
    events_place_stop(&hook->place);
}
