/* "isthmus event list": what happened, as a table. */
#ifndef CLI_EVENT_H
#define CLI_EVENT_H

#include "cli/hub.h"

/* Listed as any kind is. */
extern const struct cli_kind cli_event_kind;

/* The filters of the list: of the last hour, unless told otherwise. */
void cli_event_query(const struct cli_args *, struct ist_sb *path);

/* The command, from its verb on; returns enum cli_exit. */
int cli_event(const struct cli_args *, struct ist_sb *out);

#endif
