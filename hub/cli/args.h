/* The command line, taken apart. Options are rows; parsing, help, completion
 * and the check of the man page all read the same rows. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include "base/sb.h"
#include "cli/kind.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which commands take an option. */
enum cli_for {
    CLI_FOR_ALL = 1,       /* Everything that asks the hub. */
    CLI_FOR_LIST = 2,      /* A list of resources. */
    CLI_FOR_SHOW = 4,      /* One resource. */
    CLI_FOR_SITE_LIST = 8, /* Sites have filters of their own: none. */
    CLI_FOR_SITE_SHOW = 16,
    CLI_FOR_NONE = 32,  /* What asks nobody: help, complete. */
    CLI_FOR_WATCH = 64, /* Events as they come. */
    CLI_FOR_ALARM_LIST = 128,
    CLI_FOR_ALARM_SHOW = 256,
    CLI_FOR_ALARM_DO = 512, /* ack and the like. */
    CLI_FOR_EVENT_LIST = 1024,
    CLI_FOR_SEARCH = 2048,
    CLI_FOR_TOP = 4096,
    CLI_FOR_LISTS = CLI_FOR_LIST | CLI_FOR_SITE_LIST | CLI_FOR_ALARM_LIST |
                    CLI_FOR_EVENT_LIST | CLI_FOR_SEARCH,
    CLI_FOR_SHOWS = CLI_FOR_SHOW | CLI_FOR_SITE_SHOW | CLI_FOR_ALARM_SHOW,
    CLI_FOR_BOTH = CLI_FOR_LISTS | CLI_FOR_SHOWS,
};

struct cli_option {
    const char *name;  /* Without "--". */
    char letter;       /* Or 0. */
    const char *arg;   /* What it takes, as in the help; NULL: nothing. */
    const char *words; /* "a b c": the only values; or NULL. */
    unsigned takers;   /* enum cli_for. */
    int id;            /* Private to args.c. */
    const char *help;
};

extern const struct cli_option cli_options[]; /* Ended by a NULL name. */

#define CLI_WORDS_MAX   8    /* Words of a command; more is a usage error. */
#define CLI_COLUMNS_MAX 64   /* Of -c, of --sort-column. */
#define CLI_FIELDS_MAX  15   /* Members of --fields: the hub's own limit. */
#define CLI_VALUE_MAX   1024 /* Bytes of one argument. */

struct cli_names {
    const char *names[CLI_COLUMNS_MAX]; /* Borrowed from argv. */
    size_t n;
};

struct cli_args {
    const char *words[CLI_WORDS_MAX]; /* Borrowed from argv. */
    size_t n_words;
    uint64_t used; /* Bit i: option i of cli_options was given. */

    bool help, version, debug, timing;
    const char *url, *ca_file; /* Or NULL: from the environment. */

    const char *format, *quote, *prefix;
    struct cli_names columns, sort_columns, fields;
    bool long_form, noindent, fit_width, print_empty, descending;
    uint64_t max_width; /* 0: as wide as it comes. */

    struct ist_sb sites, sort;        /* As the API wants them; "" for none. */
    struct ist_sb field_names;        /* Owns what 'fields' points to. */
    const char *state, *by, *message; /* Or NULL. */
    bool folded;
    const char *name, *status, *project, *partial; /* Or NULL. */
    const char *max_age; /* Seconds, as the API wants them; or NULL. */
    bool consistent;
    const char *kind, *type, *severity, *since, *until; /* Or NULL. */
    const char *bus;                                    /* A folder, or NULL. */
    uint64_t limit;                                     /* 0: all. */
    uint64_t deadline_ms;        /* 0: the hub's default. */
    uint64_t interval_ms, count; /* 0: not given. */
    char max_age_text[24];       /* What 'max_age' points to. */
};

/* Says what is wrong; CLI_USAGE then, else 0. Always needs the fini. */
int cli_args_parse(struct cli_args *, int argc, char **argv);
void cli_args_fini(struct cli_args *);

/* CLI_USAGE when an option was given that 'takers' do not take. */
int cli_args_check(const struct cli_args *, unsigned takers,
                   const char *command);

#endif
