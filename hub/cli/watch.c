/* Reads the hub's stream of Server-Sent Events. */
#include "cli/watch.h"

#include "cli/event_line.h"
#include "cli/say.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_MIN_MS 500
#define AGAIN_MAX_MS 30000

struct watch {
    struct cli_hub *hub;
    struct cli_event_lines lines;
    struct ist_sb line, data;
    char type[64];
    uint64_t last; /* Number of the last event; 0: none yet. */
    bool seen_any;
};

/* A gap as this stream tells it is nothing but the two numbers. */
static void note_gap(struct watch *watch, const json_t *gap)
{
    cli_event_lines_note(&watch->lines,
                         "events %" JSON_INTEGER_FORMAT
                         " to %" JSON_INTEGER_FORMAT " are no longer held",
                         json_integer_value(json_object_get(gap, "from")),
                         json_integer_value(json_object_get(gap, "to")));
}

/* An event is whole. */
static void dispatch(struct watch *watch)
{
    json_t *event;

    if (watch->data.len == 0)
        return;
    event = json_loadb(watch->data.data, watch->data.len, 0, NULL);
    if (event && strcmp(watch->type, "gap") == 0 && !watch->lines.as_json)
        note_gap(watch, event);
    else if (event)
        cli_event_lines_put(&watch->lines, event, watch->data.data,
                            watch->data.len);
    json_decref(event);
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
    if (watch->line.rc || watch->data.rc)
        return -ENOBUFS;
    return cli_event_lines_flush(&watch->lines);
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
    struct watch watch = {.hub = hub};
    int rc = cli_event_lines_init(&watch.lines, hub->args);

    ist_sb_init(&watch.line, CLI_ANSWER_MAX);
    ist_sb_init(&watch.data, CLI_ANSWER_MAX);
    if (rc == 0)
        rc = follow(&watch);
    ist_sb_fini(&watch.line);
    ist_sb_fini(&watch.data);
    cli_event_lines_fini(&watch.lines);
    return rc;
}
