/* How a daemon begins: its options, and its configuration file read with
 * every complaint shown. */
#ifndef CONF_START_H
#define CONF_START_H

#include "conf/conf.h"

struct ist_start {
    const char *program;  /* "isthmus-agent". */
    const char *fallback; /* "/etc/isthmus/agent.yaml". */

    /* Filled by ist_start_parse(). Borrowed from argv. */
    const char *config;
    bool check; /* Only look whether it could start. */
};

/* argv[0] is the word ("run"). Less than 0: go on. Else the exit status: help
 * was asked for (0), or it was used wrongly (2). */
int ist_start_parse(struct ist_start *, int argc, char **argv);

/* Loads start->config; complaints go to stderr. 0 or a fault. */
int ist_start_load(const struct ist_start *, const struct ist_conf_table *,
                   size_t n_tables);

/* Sets the level of the log by its word; complains if it is none. */
int ist_start_log_level(const struct ist_start *, const char *word);

/* The word "conf": argv[1] is "show". Prints every setting with its value and
 * help, as a file. Returns the exit status. */
int ist_start_show(struct ist_start *, const struct ist_conf_table *,
                   size_t n_tables, int argc, char **argv);

#endif
