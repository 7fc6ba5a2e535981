/* "isthmus alarm": what is wrong at the sites and at the hub, and what
 * operators do about it. */
#ifndef CLI_ALARM_H
#define CLI_ALARM_H

#include "cli/hub.h"

/* Listed and shown as any kind is. */
extern const struct cli_kind cli_alarm_kind;

/* "list show ack unack comment clear", for help and completion. */
extern const char cli_alarm_verbs[];

/* Of enum cli_for; 0: there is no such verb. */
unsigned cli_alarm_takers(const char *verb);

/* The filters of the list. */
void cli_alarm_query(const struct cli_args *, struct ist_sb *path);

/* The command, from its verb on; returns enum cli_exit. */
int cli_alarm(const struct cli_args *, struct ist_sb *out);

#endif
