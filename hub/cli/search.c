#include "cli/search.h"

#include "cli/ask.h"
#include "cli/say.h"

#include <string.h>

#define HITS_MAX 500 /* The most that the hub gives. */

static const struct cli_column columns[] = {
    {"Site", "site", 0, NULL, NULL},
    {"Kind", "kind", 0, NULL, NULL},
    {"ID", "id", 0, NULL, NULL},
    {"Name", "name", 0, NULL, NULL},
    {"Matched", "matched", 0, NULL, NULL},
    {"Text", "text", 0, NULL, NULL},
    {"Path", "href", CLI_LONG, NULL, NULL},
    {NULL, NULL, 0, NULL, NULL},
};

const struct cli_kind cli_search_kind = {"search", NULL, "search", "objects",
                                         columns};

void cli_search_query(const struct cli_args *args, struct ist_sb *path)
{
    cli_hub_query(path, "q", args->words[1]);
    cli_hub_query(path, "project", args->project);
}

int cli_search(const struct cli_args *args, struct ist_sb *out)
{
    struct cli_hub hub;
    int rc;

    if (args->n_words < 2)
        return cli_fail(CLI_USAGE, "search for what? An id, a name or an "
                                   "address, or how one begins");
    if (args->n_words > 2)
        return cli_fail(CLI_USAGE, "search: '%s' is a word too much",
                        args->words[2]);
    rc = cli_args_check(args, CLI_FOR_ALL | CLI_FOR_SEARCH, "search");
    if (rc)
        return rc;
    if (args->limit > HITS_MAX)
        return cli_fail(CLI_USAGE, "search: --limit is at most %d", HITS_MAX);
    rc = cli_hub_init(&hub, args);
    if (rc == 0)
        rc = cli_list(&hub, &cli_search_kind, out);
    cli_hub_fini(&hub);
    return rc;
}
