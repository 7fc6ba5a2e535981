/* The commands that ask the hub. */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include "cli/args.h"
#include "cli/hub.h"

/* Both return enum cli_exit and append what goes to stdout. */
int cli_list(struct cli_hub *, const struct cli_kind *, struct ist_sb *out);
int cli_show(struct cli_hub *, const struct cli_kind *, const char *id,
             struct ist_sb *out);

#endif
