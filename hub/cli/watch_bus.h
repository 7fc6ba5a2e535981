/* "isthmus watch --bus FOLDER": the events of all sites from the stream on the
 * bus, without the hub's API. FOLDER is what 'isthmus-hub noc add' made. */
#ifndef CLI_WATCH_BUS_H
#define CLI_WATCH_BUS_H

#include "cli/args.h"

/* As cli_watch(); what is not signed by the hub is said on stderr and left
 * out, what comes twice is dropped, and a hole in the numbers of a site is a
 * line of its own. */
int cli_watch_bus(const struct cli_args *);

#endif
