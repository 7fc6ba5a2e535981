/* "isthmus watch": the events of all sites as they come, a line each, until
 * interrupted or until the time asked for. */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include "cli/hub.h"

/* Writes to stdout as events come; returns enum cli_exit. A lost connection is
 * taken up again behind the last event seen; only the first one must
 * succeed. */
int cli_watch(struct cli_hub *);

#endif
