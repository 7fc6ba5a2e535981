#include "admin/commands.h"

#include "admin/home_priv.h"
#include "admin/topology.h"
#include "base/parse.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: isthmus-hub topology [--definitions] [--hub WORD]... [--site "
    "NAME]...\n"
    "           [--noc NAME]...\n"
    "\n"
    "Prints the layout of the broker as JSON: exchanges, queues, bindings and\n"
    "who may do what. With --definitions, or with a name, in the form that\n"
    "rabbitmqctl import_definitions takes: the users and queues of those "
    "names\n"
    "and, with --definitions, all that is there once.\n";

#define NAMES_MAX 64 /* Of each kind; more is wrong usage. */

struct list {
    const char *names[NAMES_MAX];
    size_t n;
};

static bool put(struct list *list, const char *name)
{
    if (list->n == NAMES_MAX)
        return false;
    list->names[list->n++] = name;
    return true;
}

static int misuse(const char *why)
{
    fprintf(stderr, "isthmus-hub topology: %s\n\n%s", why, usage);
    return 2;
}

static int print(json_t *json)
{
    int rc = json ? json_dumpf(json, stdout, JSON_INDENT(1)) : -1;

    json_decref(json);
    if (rc != 0 || putchar('\n') == EOF || fflush(stdout) != 0) {
        fputs("isthmus-hub topology: cannot be written\n", stderr);
        return 1;
    }
    return 0;
}

int admin_topology_command(int argc, char **argv)
{
    static const struct option options[] = {
        {"definitions", no_argument, NULL, 'd'},
        {"hub", required_argument, NULL, 'u'},
        {"site", required_argument, NULL, 's'},
        {"noc", required_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct list hubs = {.n = 0}, sites = {.n = 0}, nocs = {.n = 0};
    bool shared = false, ok = true;
    int c;

    optind = 0;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'd':
            shared = true;
            break;
        case 'u':
            ok = ok && admin_word_ok(optarg) && put(&hubs, optarg);
            break;
        case 's':
            ok = ok && ist_parse_site_name(optarg) && put(&sites, optarg);
            break;
        case 'n':
            /* In "noc-<name>" it is an ordinary word, of the same letters. */
            ok = ok && ist_parse_site_name(optarg) && put(&nocs, optarg);
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            return misuse("unknown option, or one without its value");
        }
    }
    if (optind != argc)
        return misuse("no further words are understood");
    if (!ok)
        return misuse("not a name of that kind, or more than 64");
    if (!shared && hubs.n + sites.n + nocs.n == 0)
        return print(topology_table());
    return print(topology_definitions(
        &(struct topology_names){hubs.names, sites.names, nocs.names, hubs.n,
                                 sites.n, nocs.n},
        shared));
}
