/* Reads the hub's stream of Server-Sent Events. What is printed was escaped:
 * events quote names that come from sites. */
#include "cli/watch.h"

#include "cli/safe.h"
#include "cli/say.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AGAIN_MIN_MS 500
#define AGAIN_MAX_MS 30000

struct watch {
    struct cli_hub *hub;
    struct ist_sb line, data, out;
    char type[64];
    uint64_t last; /* Number of the last event; 0: none yet. */
    bool seen_any, as_json, in_colour;
};

static const struct {
    const char *name, *colour;
} severities[] = {
    {"critical", "\033[1;31m"}, {"error", "\033[31m"}, {"warning", "\033[33m"},
    {"notice", "\033[36m"},     {"info", ""},
};

static const char *colour_of(const char *severity)
{
    for (size_t i = 0; i < IST_COUNT(severities); i++) {
        if (strcmp(severities[i].name, severity) == 0)
            return severities[i].colour;
    }
    return "";
}

static const char *member(const json_t *event, const char *name)
{
    const char *text = json_string_value(json_object_get(event, name));

    return text ? text : "";
}

static void put(struct ist_sb *out, const char *text, int width)
{
    size_t before = out->len;

    cli_safe(out, text, strlen(text), "");
    for (size_t len = out->len - before; (int) len < width; len++)
        ist_sb_putc(out, ' ');
    ist_sb_putc(out, ' ');
}

/* "io.isthmus.server.created.v1" is "server.created" to a person. */
static const char *short_type(const char *type, char buf[64])
{
    size_t len;

    if (strncmp(type, "io.isthmus.", 11) == 0)
        type += 11;
    snprintf(buf, 64, "%s", type);
    len = strlen(buf);
    if (len > 3 && strcmp(buf + len - 3, ".v1") == 0)
        buf[len - 3] = '\0';
    return buf;
}

static void put_event(struct watch *watch, const json_t *event)
{
    const char *severity = member(event, "severity"), *colour = "";
    char type[64];

    if (watch->in_colour)
        colour = colour_of(severity);
    ist_sb_puts(&watch->out, colour);
    put(&watch->out, member(event, "time"), 24);
    put(&watch->out, member(event, "site"), 8);
    put(&watch->out, severity, 8);
    put(&watch->out, short_type(member(event, "type"), type), 24);
    put(&watch->out, member(event, "subject"), 0);
    put(&watch->out, member(json_object_get(event, "data"), "text"), 0);
    if (*colour)
        ist_sb_puts(&watch->out, "\033[0m");
    ist_sb_putc(&watch->out, '\n');
}

static void put_gap(struct watch *watch, const json_t *gap)
{
    ist_sb_printf(&watch->out,
                  "-- events %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT
                  " are no longer held --\n",
                  json_integer_value(json_object_get(gap, "from")),
                  json_integer_value(json_object_get(gap, "to")));
}

/* An event is whole. */
static void dispatch(struct watch *watch)
{
    json_t *event;

    if (watch->data.len == 0)
        return;
    if (watch->as_json) {
        ist_sb_add(&watch->out, watch->data.data, watch->data.len);
        ist_sb_putc(&watch->out, '\n');
    } else {
        event = json_loadb(watch->data.data, watch->data.len, 0, NULL);
        if (event && strcmp(watch->type, "gap") == 0)
            put_gap(watch, event);
        else if (event)
            put_event(watch, event);
        json_decref(event);
    }
    ist_sb_reset(&watch->data);
    watch->type[0] = '\0';
}

static const char *value_of(const char *line, const char *field)
{
    size_t len = strlen(field);

    if (strncmp(line, field, len) != 0 || line[len] != ':')
        return NULL;
    return line + len + 1 + (line[len + 1] == ' ');
}

/* HTML standard, section 9.2.6: fields by lines, an empty one ends an event. */
static void take_line(struct watch *watch, const char *line)
{
    const char *value;

    if (!*line)
        dispatch(watch);
    else if ((value = value_of(line, "data")) != NULL)
        ist_sb_puts(&watch->data, value);
    else if ((value = value_of(line, "id")) != NULL)
        watch->last = strtoull(value, NULL, 10);
    else if ((value = value_of(line, "event")) != NULL)
        snprintf(watch->type, sizeof(watch->type), "%s", value);
}

/* Non-zero: stdout takes no more. */
static int on_bytes(void *arg, const char *data, size_t size)
{
    struct watch *watch = arg;

    watch->seen_any = true;
    for (size_t i = 0; i < size; i++) {
        if (data[i] != '\n') {
            ist_sb_putc(&watch->line, data[i]);
            continue;
        }
        take_line(watch, ist_sb_text(&watch->line));
        ist_sb_reset(&watch->line);
    }
    if (watch->out.len &&
        (fwrite(watch->out.data, 1, watch->out.len, stdout) != watch->out.len ||
         fflush(stdout)))
        return errno == EPIPE ? -EPIPE : -EIO;
    ist_sb_reset(&watch->out);
    return watch->line.rc || watch->data.rc ? -ENOBUFS : 0;
}

static void make_path(const struct watch *watch, struct ist_sb *path)
{
    const struct cli_args *args = watch->hub->args;
    char last[24];

    ist_sb_reset(path);
    ist_sb_puts(path, "/api/v1/events/stream");
    cli_hub_query(path, "site", ist_sb_text(&args->sites));
    cli_hub_query(path, "kind", args->kind);
    cli_hub_query(path, "type", args->type);
    cli_hub_query(path, "project", args->project);
    cli_hub_query(path, "severity", args->severity);
    cli_hub_query(path, "until", args->until);
    if (watch->last) {
        snprintf(last, sizeof(last), "%" PRIu64, watch->last);
        cli_hub_query(path, "after", last);
    } else {
        cli_hub_query(path, "from", args->since);
    }
}

static void pause_for(uint64_t *again_ms)
{
    poll(NULL, 0, (int) *again_ms); /* An interrupt ends it. */
    *again_ms = *again_ms * 2 > AGAIN_MAX_MS ? AGAIN_MAX_MS : *again_ms * 2;
}

/* Until the hub ends the stream, which it does at 'until'. */
static int follow(struct watch *watch)
{
    uint64_t again_ms = AGAIN_MIN_MS;
    struct ist_sb path;
    bool lost;
    int rc;

    ist_sb_init(&path, 0);
    do {
        bool was_there = watch->seen_any;

        make_path(watch, &path);
        watch->seen_any = false;
        ist_sb_reset(&watch->line);
        ist_sb_reset(&watch->data);
        rc = cli_hub_stream(watch->hub, ist_sb_text(&path), on_bytes, watch,
                            was_there, &lost);
        if (watch->seen_any)
            again_ms = AGAIN_MIN_MS;
        watch->seen_any |= was_there;
        if (lost && watch->seen_any)
            pause_for(&again_ms);
    } while (lost && watch->seen_any && !cli_hub_interrupted());
    ist_sb_fini(&path);
    return cli_hub_interrupted() ? CLI_OK : rc;
}

int cli_watch(struct cli_hub *hub)
{
    const char *format = hub->args->format, *no_colour = getenv("NO_COLOR");
    struct watch watch = {.hub = hub, .as_json = strcmp(format, "json") == 0};
    int rc;

    if (!watch.as_json && strcmp(format, "table") != 0 &&
        strcmp(format, "value") != 0)
        return cli_fail(CLI_USAGE, "watch prints lines, or -f json");
    watch.in_colour =
        isatty(STDOUT_FILENO) && !(no_colour && *no_colour) && !watch.as_json;
    ist_sb_init(&watch.line, CLI_ANSWER_MAX);
    ist_sb_init(&watch.data, CLI_ANSWER_MAX);
    ist_sb_init(&watch.out, 0);
    rc = follow(&watch);
    ist_sb_fini(&watch.line);
    ist_sb_fini(&watch.data);
    ist_sb_fini(&watch.out);
    return rc;
}
