/* Events as "isthmus watch" prints them, wherever they come from: a line each,
 * or the JSON as it came. What is printed was escaped: events quote names that
 * come from sites. */
#ifndef CLI_EVENT_LINE_H
#define CLI_EVENT_LINE_H

#include "base/sb.h"
#include "cli/args.h"

#include <jansson.h>

struct cli_event_lines {
    struct ist_sb out; /* What is not written yet. */
    bool as_json, in_colour;
};

/* CLI_USAGE for a format that is not for events. Always needs the fini. */
int cli_event_lines_init(struct cli_event_lines *, const struct cli_args *);
void cli_event_lines_fini(struct cli_event_lines *);

/* 'json' is the same event as bytes. A gap, io.isthmus.log.gap.v1, gets a line
 * of its own kind. */
void cli_event_lines_put(struct cli_event_lines *, const json_t *event,
                         const char *json, size_t size);
/* "-- ... --", between lines; nothing among JSON. */
void cli_event_lines_note(struct cli_event_lines *, const char *fmt, ...)
    IST_PRINTF(2, 3);

/* To stdout: 0, -EPIPE when nobody reads there any more, or -EIO. */
int cli_event_lines_flush(struct cli_event_lines *);

/* A member that is text; "" when it is not there. Borrowed. */
const char *cli_event_text(const json_t *event, const char *name);

/* "io.isthmus.server.created.v1" is "server.created" to a person. 'buf' has
 * CLI_EVENT_TYPE_SIZE bytes; returned. */
#define CLI_EVENT_TYPE_SIZE 160
const char *cli_event_type(const char *type, char *buf);

#endif
