#include "cli/event_filter.h"

#include "base/parse.h"
#include "cli/event_line.h"

#include <fnmatch.h>
#include <string.h>

/* From the least on. */
static int severity_rank(const char *name)
{
    static const char *const names[] = {"info", "notice", "warning", "error",
                                        "critical"};

    for (size_t i = 0; i < IST_COUNT(names); i++) {
        if (name && strcmp(names[i], name) == 0)
            return (int) i;
    }
    return 0;
}

static bool wants_any(const char *list)
{
    return !list || !*list;
}

static bool has(const char *list, const char *text)
{
    const char *at = list, *item;
    size_t len;

    if (wants_any(list))
        return true;
    while (ist_parse_item(&at, &item, &len)) {
        if (len == strlen(text) && memcmp(item, text, len) == 0)
            return true;
    }
    return false;
}

static bool has_pattern(const char *list, const char *type)
{
    char pattern[CLI_EVENT_TYPE_SIZE], spoken[CLI_EVENT_TYPE_SIZE];
    const char *at = list, *item;
    size_t len;

    if (wants_any(list))
        return true;
    cli_event_type(type, spoken);
    while (ist_parse_item(&at, &item, &len)) {
        if (len >= sizeof(pattern))
            continue;
        memcpy(pattern, item, len);
        pattern[len] = '\0';
        if (fnmatch(pattern, spoken, FNM_NOESCAPE) == 0 ||
            fnmatch(pattern, type, FNM_NOESCAPE) == 0)
            return true;
    }
    return false;
}

void cli_event_filter_init(struct cli_event_filter *filter,
                           const struct cli_args *args)
{
    *filter =
        (struct cli_event_filter){.site = ist_sb_text(&args->sites),
                                  .kind = args->kind,
                                  .project = args->project,
                                  .type = args->type,
                                  .severity = severity_rank(args->severity)};
}

bool cli_event_filter_match(const struct cli_event_filter *filter,
                            const json_t *event)
{
    const json_t *data = json_object_get(event, "data");

    return severity_rank(cli_event_text(event, "severity")) >=
               filter->severity &&
           has(filter->site, cli_event_text(event, "site")) &&
           has(filter->kind, cli_event_text(data, "kind")) &&
           has(filter->project, cli_event_text(event, "project")) &&
           has_pattern(filter->type, cli_event_text(event, "type"));
}
