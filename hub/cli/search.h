/* "isthmus search TEXT": where an id, a name or an address is. */
#ifndef CLI_SEARCH_H
#define CLI_SEARCH_H

#include "cli/hub.h"

/* Listed as any kind is. */
extern const struct cli_kind cli_search_kind;

/* What is searched for, and how many the hub gives at most. */
void cli_search_query(const struct cli_args *, struct ist_sb *path);

/* The command, from its word on; returns enum cli_exit. */
int cli_search(const struct cli_args *, struct ist_sb *out);

#endif
