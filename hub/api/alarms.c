/* /api/v1/alarms: the list, one of them, and what operators do about it. What
 * they do is done at once and written within moments; done twice it is done.
 */
#include "api/api.h"
#include "api/member.h"
#include "api/problem.h"
#include "api/query.h"
#include "base/parse.h"
#include "codec/json.h"
#include "events/alarm.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define LIMIT_DEFAULT 100
#define BY_DEFAULT    "admin"

/* One as JSON */

static void put_comment(struct ist_sb *out, const struct alarm_comment *comment)
{
    ist_sb_puts(out, "{\"by\":");
    ist_sb_json(out, comment->by, strlen(comment->by));
    api_put_time(out, "at", comment->at_ms);
    api_put_text(out, "text", comment->text);
    ist_sb_putc(out, '}');
}

/* What people said and did. */
static void put_handling(struct ist_sb *out, const struct alarm *alarm)
{
    ist_sb_puts(out, ",\"ack\":");
    if (alarm->ack_ms) {
        ist_sb_puts(out, "{\"by\":");
        ist_sb_json(out, alarm->ack_by, strlen(alarm->ack_by));
        api_put_time(out, "at", alarm->ack_ms);
        ist_sb_putc(out, '}');
    } else {
        ist_sb_puts(out, "null");
    }
    ist_sb_puts(out, ",\"comments\":[");
    for (size_t i = 0; i < alarm->n_comments; i++) {
        if (i)
            ist_sb_putc(out, ',');
        put_comment(out, &alarm->comments[i]);
    }
    ist_sb_putc(out, ']');
}

static void put_alarm(struct ist_sb *out, const struct alarm *alarm)
{
    const struct alarm_row *row = alarm_row(alarm->type);

    ist_sb_printf(out, "{\"id\":\"%" PRIu64 "\"", alarm->id);
    api_put_text(out, "type", row->name);
    api_put_text(out, "severity", alarm_severity_name(alarm->severity));
    api_put_text(out, "state", alarm->cleared_ms ? "cleared" : "open");
    api_put_text(out, "site", alarm->site);
    api_put_text(out, "object", alarm->object);
    api_put_text(out, "text", alarm->text);
    api_put_text(out, "remedy", row->remedy);
    ist_sb_printf(out, ",\"runbook\":\"isthmus-alarms(7)#%s\"", row->name);
    api_put_time(out, "raised_at", alarm->raised_ms);
    api_put_time(out, "changed_at", alarm->changed_ms);
    api_put_time(out, "cleared_at", alarm->cleared_ms);
    api_put_time(out, "quiet_since", alarm->quiet_ms);
    ist_sb_printf(out, ",\"count\":%" PRIu64 ",\"flapping\":%s", alarm->count,
                  alarm->is_flapping ? "true" : "false");
    ist_sb_printf(out,
                  ",\"folded\":%" PRIu64 ",\"folded_under\":", alarm->n_folded);
    if (alarm->folded_under)
        ist_sb_printf(out, "\"%" PRIu64 "\"", alarm->folded_under);
    else
        ist_sb_puts(out, "null");
    put_handling(out, alarm);
    ist_sb_putc(out, '}');
}

static bool is_served(const struct api_request *request)
{
    if (!request->api->alarms)
        api_problem_reply(request->http, API_BUSY, NULL,
                          "This hub keeps no alarms.");
    return request->api->alarms != NULL;
}

/* The list's query */

struct query {
    bool open, cleared; /* Wanted states. */
    bool folded;        /* Those, too. */
    const char *sites, *types;
    enum alarm_severity severity; /* That or worse. */
    uint64_t limit, before;
    struct ist_err *err;
};

static int bad(struct query *query, const char *name, const char *must)
{
    return ist_err_set(query->err, -EINVAL, "%s: %s", name, must);
}

static int read_state(struct query *query, const char *value)
{
    query->open = strcmp(value, "cleared") != 0;
    query->cleared = strcmp(value, "open") != 0;
    return strcmp(value, "all") == 0 || query->open != query->cleared
               ? 0
               : bad(query, "state", "must be open, cleared or all");
}

static int read_folded(struct query *query, const char *value)
{
    query->folded = strcmp(value, "true") == 0;
    return query->folded || strcmp(value, "false") == 0
               ? 0
               : bad(query, "folded", "must be true or false");
}

static int read_severity(struct query *query, const char *value)
{
    int severity = alarm_severity_parse(value);

    if (severity < 0)
        return bad(query, "severity",
                   "must be warning, minor, major or critical");
    query->severity = (enum alarm_severity) severity;
    return 0;
}

static int read_site(struct query *query, const char *value)
{
    query->sites = value;
    return *value ? 0 : bad(query, "site", "must be names of sites");
}

static int read_type(struct query *query, const char *value)
{
    const char *at = value, *item;
    char name[64];
    size_t len;

    while (ist_parse_item(&at, &item, &len)) {
        snprintf(name, sizeof(name), "%.*s", (int) (len < 63 ? len : 63), item);
        if (alarm_type_parse(name) < 0)
            return bad(query, "type",
                       "must be types of alarms, as isthmus-alarms(7) has "
                       "them");
    }
    query->types = value;
    return 0;
}

static int read_limit(struct query *query, const char *value)
{
    return ist_parse_u64(value, 1, API_LIMIT_MAX, &query->limit)
               ? 0
               : bad(query, "limit", "must be a whole number from 1 to 1000");
}

static int read_marker(struct query *query, const char *value)
{
    return ist_parse_u64(value, 1, UINT64_MAX, &query->before)
               ? 0
               : bad(query, "marker", "must be what 'next' gave");
}

static const struct {
    const char *name;
    int (*read)(struct query *, const char *value);
} params[] = {
    {"state", read_state},       {"site", read_site},
    {"severity", read_severity}, {"type", read_type},
    {"folded", read_folded},     {"limit", read_limit},
    {"marker", read_marker},
};

const char *const api_alarms_list_names[] = {
    "state", "site", "severity", "type", "folded", "limit", "marker", NULL};

static int read_param(struct query *query, const struct ist_httpd_param *param,
                      unsigned *seen)
{
    for (size_t i = 0; i < IST_COUNT(params); i++) {
        if (strcmp(params[i].name, param->name) != 0)
            continue;
        if (*seen & 1U << i)
            return bad(query, params[i].name, "may be given once");
        *seen |= 1U << i;
        return params[i].read(query, param->value);
    }
    return ist_err_set(query->err, -EINVAL,
                       "'%.40s' is not a parameter of this request",
                       param->name);
}

static int read_query(const struct ist_httpd_request *http, struct query *query)
{
    unsigned seen = 0;
    int rc = 0;

    for (size_t i = 0; i < http->n_params && rc == 0; i++)
        rc = read_param(query, &http->params[i], &seen);
    return rc;
}

/* Does the list, which may be NULL, have the word? */
static bool has_item(const char *list, const char *word)
{
    const char *item;
    size_t len;

    if (!list)
        return true;
    while (ist_parse_item(&list, &item, &len)) {
        if (len == strlen(word) && memcmp(item, word, len) == 0)
            return true;
    }
    return false;
}

static bool is_wanted(const struct api *api, const struct query *query,
                      const struct alarm *alarm)
{
    return ((query->open && alarm_is_listed(api->alarms, alarm)) ||
            (query->cleared && alarm->cleared_ms)) &&
           (query->folded || !alarm->folded_under) &&
           alarm->severity >= query->severity &&
           has_item(query->sites, alarm->site) &&
           has_item(query->types, alarm_row(alarm->type)->name);
}

static void put_counts(struct ist_sb *out, const char *name,
                       const uint64_t counts[ALARM_SEVERITIES])
{
    ist_sb_printf(out, "\"%s\":{", name);
    for (int i = ALARM_SEVERITIES - 1; i >= 0; i--)
        ist_sb_printf(out, "\"%s\":%" PRIu64 "%s",
                      alarm_severity_name((enum alarm_severity) i), counts[i],
                      i ? "," : "}");
}

static void put_all_counts(struct ist_sb *out, const struct api *api)
{
    struct alarm_counts counts;

    alarm_count(api->alarms, &counts);
    ist_sb_puts(out, ",\"counts\":{");
    put_counts(out, "new", counts.fresh);
    ist_sb_putc(out, ',');
    put_counts(out, "acknowledged", counts.acknowledged);
    ist_sb_putc(out, ',');
    put_counts(out, "folded", counts.folded);
    ist_sb_putc(out, '}');
}

static void put_next(struct ist_sb *out, const struct ist_httpd_request *http,
                     uint64_t id)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb next;
    char marker[24];

    ist_sb_init(&next, 0);
    snprintf(marker, sizeof(marker), "%" PRIu64, id);
    api_query_next(&next, http->path, http->params, http->n_params, marker);
    api_put_text(out, "next", ist_sb_text(&next));
}

static void put_list(const struct api_request *request,
                     const struct query *query, struct ist_sb *out)
{
    struct alarm_engine *alarms = request->api->alarms;
    const struct alarm *alarm = alarm_before(alarms, query->before);
    uint64_t n = 0, last = 0;

    ist_sb_puts(out, "{\"items\":[");
    for (; alarm; alarm = alarm_before(alarms, alarm->id)) {
        if (!is_wanted(request->api, query, alarm))
            continue;
        if (n == query->limit)
            break;
        if (n++)
            ist_sb_putc(out, ',');
        put_alarm(out, alarm);
        last = alarm->id;
    }
    ist_sb_putc(out, ']');
    if (alarm)
        put_next(out, request->http, last);
    else
        ist_sb_puts(out, ",\"next\":null");
    put_all_counts(out, request->api);
    ist_sb_puts(out, "}\n");
}

void api_list_alarms(const struct api_request *request)
{
    struct ist_err err = {.code = 0};
    struct query query = {.open = true,
                          .limit = LIMIT_DEFAULT,
                          .before = UINT64_MAX,
                          .err = &err};
    struct ist_sb out;

    if (read_query(request->http, &query)) {
        api_problem_reply(request->http, API_BAD_PARAMETER, NULL, "%s.",
                          err.text);
        return;
    }
    if (!is_served(request))
        return;
    ist_sb_init(&out, 0);
    put_list(request, &query, &out);
    api_reply_json(request->http, 200, NULL, 0, &out);
}

/* One */

/* NULL: answered already. */
static const struct alarm *find(const struct api_request *request)
{
    const struct alarm *alarm = NULL;
    uint64_t id;

    if (api_has_params(request->http) || !is_served(request))
        return NULL;
    if (ist_parse_u64(request->word, 1, UINT64_MAX, &id))
        alarm = alarm_find(request->api->alarms, id);
    if (!alarm)
        api_problem_reply(request->http, API_NOT_FOUND, NULL,
                          "There is no alarm '%.40s', or no more.",
                          request->word);
    return alarm;
}

static void reply_alarm(const struct api_request *request,
                        const struct alarm *alarm)
{
    struct ist_sb out;

    ist_sb_init(&out, 0);
    put_alarm(&out, alarm);
    ist_sb_putc(&out, '\n');
    api_reply_json(request->http, 200, NULL, 0, &out);
}

void api_show_alarm(const struct api_request *request)
{
    const struct alarm *alarm = find(request);

    if (alarm)
        reply_alarm(request, alarm);
}

/* What operators do */

struct order {
    char by[ALARM_BY_SIZE * 6], text[ALARM_COMMENT_SIZE * 6]; /* As escaped. */
};

static bool read_member(const struct ist_httpd_request *http, const char *name,
                        char *buf, size_t size)
{
    struct ist_json_slice body = {http->body, http->body_size};
    struct ist_json_slice value = ist_json_find(body, name);
    size_t len;

    if (ist_json_type(value) == IST_JSON_ABSENT)
        return true;
    return ist_json_text(value, buf, size, &len) && len > 0 &&
           len == strlen(buf);
}

/* Is it one object, whole? */
static bool is_object(const struct ist_httpd_request *http)
{
    static const struct ist_json_want want = {.element_max = SIZE_MAX};
    struct ist_json_split split;
    int rc;

    ist_json_split_init(&split, &want, NULL, NULL);
    rc = ist_json_split_feed(&split, http->body, http->body_size);
    if (rc == 0)
        rc = ist_json_split_end(&split);
    ist_json_split_fini(&split);
    return rc == 0 && http->body[strspn(http->body, " \t\r\n")] == '{';
}

/* False: answered already. */
static bool read_order(const struct api_request *request, bool needs_text,
                       struct order *order)
{
    struct ist_httpd_request *http = request->http;

    snprintf(order->by, sizeof(order->by), BY_DEFAULT);
    order->text[0] = '\0';
    if (http->body_size && !is_object(http))
        api_problem_reply(http, API_BAD_REQUEST, NULL,
                          "The body must be one JSON object.");
    else if (!read_member(http, "by", order->by, sizeof(order->by)) ||
             strlen(order->by) >= ALARM_BY_SIZE)
        api_problem_reply(http, API_BAD_REQUEST, NULL,
                          "by: must be text of 1 to %d bytes.",
                          ALARM_BY_SIZE - 1);
    else if (!read_member(http, "text", order->text, sizeof(order->text)) ||
             strlen(order->text) >= ALARM_COMMENT_SIZE ||
             (needs_text && !*order->text))
        api_problem_reply(http, API_BAD_REQUEST, NULL,
                          "text: must be text of 1 to %d bytes.",
                          ALARM_COMMENT_SIZE - 1);
    else
        return true;
    return false;
}

typedef int act_fn(struct alarm_engine *, uint64_t id, const char *by);

/* A word about it may come with it. Done already is as good as done. */
static void act(const struct api_request *request, act_fn *fn)
{
    const struct alarm *alarm = find(request);
    struct order order;
    int rc = 0;

    if (!alarm || !read_order(request, fn == NULL, &order))
        return;
    if (fn)
        rc = fn(request->api->alarms, alarm->id, order.by);
    if (rc == -EALREADY)
        rc = 0;
    if (rc == 0 && *order.text)
        rc = alarm_comment(request->api->alarms, alarm->id, order.by,
                           order.text);
    if (rc)
        api_problem_reply(request->http, API_INTERNAL, NULL, "Out of memory.");
    else
        reply_alarm(request, alarm);
}

void api_ack_alarm(const struct api_request *request)
{
    act(request, alarm_ack);
}

void api_unack_alarm(const struct api_request *request)
{
    act(request, alarm_unack);
}

void api_comment_alarm(const struct api_request *request)
{
    act(request, NULL);
}

void api_clear_alarm(const struct api_request *request)
{
    act(request, alarm_clear);
}
