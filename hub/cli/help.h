/* Help, completion and the words of a command, all from the tables. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "cli/args.h"

/* All of Isthmus; one noun; one command. 'verb' is "list" or "show". */
void cli_help_all(struct ist_sb *);
void cli_help_noun(struct ist_sb *, const struct cli_kind *);
void cli_help_command(struct ist_sb *, const struct cli_kind *,
                      const char *verb);

void cli_help_watch(struct ist_sb *);
void cli_help_event(struct ist_sb *);
/* Of that verb; "": of all of them. */
void cli_help_alarm(struct ist_sb *, const char *verb);

/* A completion script; false for a shell we do not know. */
bool cli_complete(struct ist_sb *, const char *shell);

/* What a command of this kind takes: of enum cli_for. 0 for no such verb. */
unsigned cli_takers(const struct cli_kind *, const char *verb);

/* "security group": the noun as two words. 'buf' is returned. */
char *cli_spaced(const char *noun, char *buf, size_t size);

#endif
