/* Which events a watcher wants, where no hub chooses for it: the same filters
 * by the same names as the API's streams have (API reference, events). */
#ifndef CLI_EVENT_FILTER_H
#define CLI_EVENT_FILTER_H

#include "cli/args.h"

#include <jansson.h>

/* Commas separate alternatives; NULL or "": anything. All must match. */
struct cli_event_filter {
    const char *site, *kind, *project;
    const char *type; /* Patterns of "server.created", or of the whole type. */
    int severity;     /* That or worse. */
};

/* Borrows from the arguments. */
void cli_event_filter_init(struct cli_event_filter *, const struct cli_args *);
bool cli_event_filter_match(const struct cli_event_filter *,
                            const json_t *event);

#endif
