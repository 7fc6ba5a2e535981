#include "cli/alarm.h"

#include "cli/ask.h"
#include "cli/say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char cli_alarm_verbs[] = "list show ack unack comment clear";

/* Columns */

/* Not by colour alone: C critical, M major, m minor, W warning. */
static void human_severity(struct ist_sb *sb, const json_t *value)
{
    static const char *const marks[][2] = {{"critical", "C "},
                                           {"major", "M "},
                                           {"minor", "m "},
                                           {"warning", "W "}};
    const char *text = json_string_value(value);

    for (size_t i = 0; text && i < IST_COUNT(marks); i++) {
        if (strcmp(marks[i][0], text) == 0)
            ist_sb_puts(sb, marks[i][1]);
    }
    cli_cell_human(sb, value);
}

static void put_said(struct ist_sb *sb, const json_t *said)
{
    json_t *text = json_object_get(said, "text");

    cli_cell_human(sb, json_object_get(said, "by"));
    ist_sb_puts(sb, " at ");
    cli_cell_human(sb, json_object_get(said, "at"));
    if (text) {
        ist_sb_puts(sb, ": ");
        cli_cell_human(sb, text);
    }
}

static void human_ack(struct ist_sb *sb, const json_t *value)
{
    if (json_is_object(value))
        put_said(sb, value);
    else
        cli_cell_human(sb, value);
}

static void human_comments(struct ist_sb *sb, const json_t *value)
{
    json_t *comment;
    size_t i;

    json_array_foreach(value, i, comment)
    {
        ist_sb_puts(sb, i ? "\n" : "");
        put_said(sb, comment);
    }
}

static const struct cli_column columns[] = {
    {"ID", "id", 0, NULL, NULL},
    {"Severity", "severity", CLI_STATUS, NULL, human_severity},
    {"Site", "site", 0, NULL, NULL},
    {"Type", "type", 0, NULL, NULL},
    {"Object", "object", 0, NULL, NULL},
    {"Raised At", "raised_at", 0, NULL, NULL},
    {"Count", "count", 0, NULL, NULL},
    {"Folded", "folded", 0, NULL, NULL},
    {"Acknowledged By", "ack.by", 0, NULL, NULL},
    {"Text", "text", 0, NULL, NULL},
    {"State", "state", CLI_LONG, NULL, NULL},
    {"Changed At", "changed_at", CLI_LONG, NULL, NULL},
    {"Cleared At", "cleared_at", CLI_LONG, NULL, NULL},
    {"Quiet Since", "quiet_since", CLI_LONG, NULL, NULL},
    {"Flapping", "flapping", CLI_LONG, NULL, NULL},
    {"Folded Under", "folded_under", CLI_LONG, NULL, NULL},
    {"Ack", "ack", CLI_LONG, NULL, human_ack},
    {"Comments", "comments", CLI_LONG, NULL, human_comments},
    {"Remedy", "remedy", CLI_LONG, NULL, NULL},
    {NULL, NULL, 0, NULL, NULL},
};

const struct cli_kind cli_alarm_kind = {"alarm", NULL, "alarms", "alarms",
                                        columns};

void cli_alarm_query(const struct cli_args *args, struct ist_sb *path)
{
    cli_hub_query(path, "state", args->state);
    cli_hub_query(path, "site", ist_sb_text(&args->sites));
    cli_hub_query(path, "severity", args->severity);
    cli_hub_query(path, "type", args->type);
    cli_hub_query(path, "folded", args->folded ? "true" : NULL);
}

/* Verbs */

static const struct {
    const char *verb;
    unsigned takers;
    bool has_text; /* The word behind the id. */
} verbs[] = {
    {"list", CLI_FOR_ALL | CLI_FOR_ALARM_LIST, false},
    {"show", CLI_FOR_ALL | CLI_FOR_ALARM_SHOW, false},
    {"ack", CLI_FOR_ALL | CLI_FOR_ALARM_DO, false},
    {"unack", CLI_FOR_ALL | CLI_FOR_ALARM_DO, false},
    {"comment", CLI_FOR_ALL | CLI_FOR_ALARM_DO, true},
    {"clear", CLI_FOR_ALL | CLI_FOR_ALARM_DO, false},
};

unsigned cli_alarm_takers(const char *verb)
{
    for (size_t i = 0; i < IST_COUNT(verbs); i++) {
        if (strcmp(verbs[i].verb, verb) == 0)
            return verbs[i].takers;
    }
    return 0;
}

/* Whoever is logged in here, unless told otherwise. */
static const char *who(const struct cli_args *args)
{
    const char *user = args->by ? args->by : getenv("USER");

    return user && *user ? user : "admin";
}

static int post(struct cli_hub *hub, const char *id, const char *verb,
                const char *text)
{
    struct ist_sb path;
    json_t *order =
               json_pack("{s:s, s:s*}", "by", who(hub->args), "text", text),
           *body = NULL;
    long status = 0;
    int rc;

    if (!order)
        return cli_fail(CLI_FAILED, "out of memory");
    ist_sb_init(&path, 0);
    ist_sb_puts(&path, "/api/v1/alarms/");
    cli_hub_segment(&path, id);
    ist_sb_printf(&path, "/%s", verb);
    rc = cli_hub_post(hub, ist_sb_text(&path), order, &status, &body);
    if (rc == 0 && status != 200)
        rc = cli_hub_problem(status, body);
    ist_sb_fini(&path);
    json_decref(order);
    json_decref(body);
    return rc;
}

/* One after the other, up to the first that fails. */
static int post_all(struct cli_hub *hub, const char *verb, bool has_text)
{
    const struct cli_args *args = hub->args;
    int rc = 0;

    if (has_text)
        return post(hub, args->words[2], verb, args->words[3]);
    for (size_t i = 2; i < args->n_words && rc == 0; i++)
        rc = post(hub, args->words[i], verb, args->message);
    return rc;
}

static int ask(const struct cli_args *args, size_t verb, struct ist_sb *out)
{
    struct cli_hub hub;
    int rc = cli_hub_init(&hub, args);

    if (rc == 0 && (verbs[verb].takers & CLI_FOR_ALARM_LIST))
        rc = cli_list(&hub, &cli_alarm_kind, out);
    else if (rc == 0 && (verbs[verb].takers & CLI_FOR_ALARM_SHOW))
        rc = cli_show(&hub, &cli_alarm_kind, args->words[2], out);
    else if (rc == 0)
        rc = post_all(&hub, verbs[verb].verb, verbs[verb].has_text);
    cli_hub_fini(&hub);
    return rc;
}

static int check_words(const struct cli_args *args, size_t verb)
{
    bool is_list = (verbs[verb].takers & CLI_FOR_ALARM_LIST) != 0;
    bool is_show = (verbs[verb].takers & CLI_FOR_ALARM_SHOW) != 0;
    size_t most = is_list                ? 2
                  : is_show              ? 3
                  : verbs[verb].has_text ? 4
                                         : CLI_WORDS_MAX;

    if (!is_list && (args->n_words < 3 || !*args->words[2]))
        return cli_fail(CLI_USAGE, "alarm %s: which one?", verbs[verb].verb);
    if (verbs[verb].has_text && (args->n_words < 4 || !*args->words[3]))
        return cli_fail(CLI_USAGE, "alarm %s: what is to be said?",
                        verbs[verb].verb);
    if (verbs[verb].has_text && args->message)
        return cli_fail(CLI_USAGE, "'alarm %s' takes no --message",
                        verbs[verb].verb);
    if (args->n_words > most)
        return cli_fail(CLI_USAGE, "alarm %s: '%s' is a word too much",
                        verbs[verb].verb, args->words[args->n_words - 1]);
    return 0;
}

int cli_alarm(const struct cli_args *args, struct ist_sb *out)
{
    char command[64];
    size_t verb = 0;
    int rc;

    if (args->n_words < 2)
        return cli_fail(CLI_USAGE, "alarm what? There are %s", cli_alarm_verbs);
    while (verb < IST_COUNT(verbs) &&
           strcmp(verbs[verb].verb, args->words[1]) != 0)
        verb++;
    if (verb == IST_COUNT(verbs))
        return cli_fail(CLI_USAGE, "alarm has no '%s'; there are %s",
                        args->words[1], cli_alarm_verbs);
    snprintf(command, sizeof(command), "alarm %s", verbs[verb].verb);
    rc = cli_args_check(args, verbs[verb].takers, command);
    if (rc == 0)
        rc = check_words(args, verb);
    return rc ? rc : ask(args, verb, out);
}
