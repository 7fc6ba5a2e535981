/* Help, completion and the words of a command, all from the tables. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "cli/args.h"

/* All of Isthmus; one noun; one command. 'verb' is "list" or "show". */
void cli_help_all(struct ist_sb *);
void cli_help_noun(struct ist_sb *, const struct cli_kind *);
void cli_help_command(struct ist_sb *, const struct cli_kind *,
                      const char *verb);

/* The commands that are no nouns. 'verb' is the word behind, or "": then help
 * is of all of them. */
typedef void cli_help_fn(struct ist_sb *, const char *verb);
cli_help_fn cli_help_watch, cli_help_event, cli_help_alarm, cli_help_search,
    cli_help_top, cli_help_login, cli_help_logout;

struct cli_command {
    const char *name;
    int (*run)(const struct cli_args *, struct ist_sb *out); /* enum cli_exit */
    cli_help_fn *help; /* NULL: that of all. */
};
extern const struct cli_command cli_commands[]; /* Ended by a NULL name. */

/* A completion script; false for a shell we do not know. */
bool cli_complete(struct ist_sb *, const char *shell);

/* What a command of this kind takes: of enum cli_for. 0 for no such verb. */
unsigned cli_takers(const struct cli_kind *, const char *verb);

/* "security group": the noun as two words. 'buf' is returned. */
char *cli_spaced(const char *noun, char *buf, size_t size);

#endif
