/* "isthmus-hub site VERB" and "isthmus-hub noc VERB": both have verbs, words
 * behind them, and the same options; both work on the hub's directory, one at
 * a time. */
#ifndef ADMIN_VERBS_H
#define ADMIN_VERBS_H

#include "admin/home_priv.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What was asked; borrowed from argv. NULL: not given. */
struct admin_request {
    const char *name, *bundle; /* The first and the second word. */
    const char *dir, *out, *bus_url;
    const char *rabbitmqctl; /* The one to call: never NULL for 'run'. */
    bool no_broker;
    uint64_t now_ms;
};

struct admin_verb {
    const char *name;
    int n_words;       /* After it, 0 to 2; the first is a name. */
    const char *words; /* What is said when there are more or fewer. */
    bool has_out;      /* --out is needed; else refused. */
    int (*run)(const struct admin_home *, const struct admin_request *,
               struct ist_err *);
};

struct admin_verbs {
    const char *command, *usage;
    const struct admin_verb *all;
    size_t n;
    bool has_bus_url;
};

/* The whole command: reads it, takes the lock, runs. Returns the exit status,
 * as commands.h says. */
int admin_verbs_command(const struct admin_verbs *, int argc, char **argv);

#endif
