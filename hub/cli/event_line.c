#include "cli/event_line.h"

#include "cli/safe.h"
#include "cli/say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

const char *cli_event_text(const json_t *event, const char *name)
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

const char *cli_event_type(const char *type, char *buf)
{
    size_t len;

    if (strncmp(type, "io.isthmus.", 11) == 0)
        type += 11;
    snprintf(buf, CLI_EVENT_TYPE_SIZE, "%s", type);
    len = strlen(buf);
    if (len > 3 && strcmp(buf + len - 3, ".v1") == 0)
        buf[len - 3] = '\0';
    return buf;
}

static void put_event(struct cli_event_lines *lines, const json_t *event)
{
    const char *severity = cli_event_text(event, "severity"), *colour = "";
    char type[CLI_EVENT_TYPE_SIZE];

    if (lines->in_colour)
        colour = colour_of(severity);
    ist_sb_puts(&lines->out, colour);
    put(&lines->out, cli_event_text(event, "time"), 24);
    put(&lines->out, cli_event_text(event, "site"), 8);
    put(&lines->out, severity, 8);
    put(&lines->out, cli_event_type(cli_event_text(event, "type"), type), 24);
    put(&lines->out, cli_event_text(event, "subject"), 0);
    put(&lines->out, cli_event_text(json_object_get(event, "data"), "text"), 0);
    if (*colour)
        ist_sb_puts(&lines->out, "\033[0m");
    ist_sb_putc(&lines->out, '\n');
}

static void put_gap(struct cli_event_lines *lines, const json_t *data)
{
    cli_event_lines_note(lines,
                         "events %" JSON_INTEGER_FORMAT
                         " to %" JSON_INTEGER_FORMAT " are no longer held",
                         json_integer_value(json_object_get(data, "from")),
                         json_integer_value(json_object_get(data, "to")));
}

void cli_event_lines_put(struct cli_event_lines *lines, const json_t *event,
                         const char *json, size_t size)
{
    if (lines->as_json) {
        ist_sb_add(&lines->out, json, size);
        ist_sb_putc(&lines->out, '\n');
    } else if (strcmp(cli_event_text(event, "type"), "io.isthmus.log.gap.v1") ==
               0) {
        put_gap(lines, json_object_get(event, "data"));
    } else {
        put_event(lines, event);
    }
}

void cli_event_lines_note(struct cli_event_lines *lines, const char *fmt, ...)
{
    char text[256];
    va_list args;

    if (lines->as_json)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    ist_sb_puts(&lines->out, "-- ");
    cli_safe(&lines->out, text, strlen(text), "");
    ist_sb_puts(&lines->out, " --\n");
}

int cli_event_lines_flush(struct cli_event_lines *lines)
{
    struct ist_sb *out = &lines->out;

    if (out->rc)
        return out->rc;
    if (out->len &&
        (fwrite(out->data, 1, out->len, stdout) != out->len || fflush(stdout)))
        return errno == EPIPE ? -EPIPE : -EIO;
    ist_sb_reset(out);
    return 0;
}

int cli_event_lines_init(struct cli_event_lines *lines,
                         const struct cli_args *args)
{
    const char *no_colour = getenv("NO_COLOR");

    *lines =
        (struct cli_event_lines){.as_json = strcmp(args->format, "json") == 0};
    ist_sb_init(&lines->out, 0);
    if (!lines->as_json && strcmp(args->format, "table") != 0 &&
        strcmp(args->format, "value") != 0)
        return cli_fail(CLI_USAGE, "watch prints lines, or -f json");
    lines->in_colour =
        isatty(STDOUT_FILENO) && !(no_colour && *no_colour) && !lines->as_json;
    return 0;
}

void cli_event_lines_fini(struct cli_event_lines *lines)
{
    ist_sb_fini(&lines->out);
}
