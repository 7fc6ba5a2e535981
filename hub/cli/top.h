/* "isthmus top": the sites and how they do, drawn again and again. */
#ifndef CLI_TOP_H
#define CLI_TOP_H

#include "cli/hub.h"

/* The command, from its word on, until interrupted; on what is no terminal it
 * is drawn once, or --count times. Writes to stdout itself; returns enum
 * cli_exit. A hub that is away is said and asked again; only the first answer
 * must succeed. */
int cli_top(const struct cli_args *);

#endif
