#include "cli/event.h"

#include "cli/ask.h"
#include "cli/say.h"

#include <string.h>

static const struct cli_column columns[] = {
    {"Time", "time", 0, NULL, NULL},
    {"Site", "site", 0, NULL, NULL},
    {"Severity", "severity", CLI_STATUS, NULL, NULL},
    {"Kind", "data.kind", 0, NULL, NULL},
    {"Action", "data.action", 0, NULL, NULL},
    {"Object", "data.id", 0, NULL, NULL},
    {"Text", "data.text", 0, NULL, NULL},
    {"Project", "project", CLI_LONG, NULL, NULL},
    {"Type", "type", CLI_LONG, NULL, NULL},
    {"ID", "id", CLI_LONG, NULL, NULL},
    {NULL, NULL, 0, NULL, NULL},
};

const struct cli_kind cli_event_kind = {"event", NULL, "events", "events",
                                        columns};

void cli_event_query(const struct cli_args *args, struct ist_sb *path)
{
    cli_hub_query(path, "site", ist_sb_text(&args->sites));
    cli_hub_query(path, "severity", args->severity);
    cli_hub_query(path, "kind", args->kind);
    cli_hub_query(path, "type", args->type);
    cli_hub_query(path, "project", args->project);
    cli_hub_query(path, "since", args->since ? args->since : "1h");
    cli_hub_query(path, "until", args->until);
}

int cli_event(const struct cli_args *args, struct ist_sb *out)
{
    struct cli_hub hub;
    int rc;

    if (args->n_words < 2 || strcmp(args->words[1], "list") != 0)
        return cli_fail(CLI_USAGE, "event what? There is list; 'isthmus watch' "
                                   "follows events as they come");
    if (args->n_words > 2)
        return cli_fail(CLI_USAGE, "event list: '%s' is a word too much",
                        args->words[2]);
    rc = cli_args_check(args, CLI_FOR_ALL | CLI_FOR_EVENT_LIST, "event list");
    if (rc)
        return rc;
    rc = cli_hub_init(&hub, args);
    if (rc == 0)
        rc = cli_list(&hub, &cli_event_kind, out);
    cli_hub_fini(&hub);
    return rc;
}
