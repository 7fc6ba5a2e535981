#include "cli/help.h"

#include "cli/alarm.h"
#include "cli/event.h"
#include "cli/search.h"

#include <stdio.h>
#include <string.h>

#define WIDTH  79
#define INDENT 30

char *cli_spaced(const char *noun, char *buf, size_t size)
{
    snprintf(buf, size, "%s", noun);
    for (char *p = buf; *p; p++) {
        if (*p == '-')
            *p = ' ';
    }
    return buf;
}

unsigned cli_takers(const struct cli_kind *kind, const char *verb)
{
    bool site = cli_kind_is_site(kind);

    if (strcmp(verb, "list") == 0)
        return CLI_FOR_ALL | (site ? CLI_FOR_SITE_LIST : CLI_FOR_LIST);
    if (strcmp(verb, "show") == 0)
        return CLI_FOR_ALL | (site ? CLI_FOR_SITE_SHOW : CLI_FOR_SHOW);
    return 0;
}

/* 'text' in lines from INDENT to WIDTH; 'at' is where the line stands. */
static void put_wrapped(struct ist_sb *sb, const char *text, size_t at)
{
    if (at + 2 > INDENT) {
        ist_sb_putc(sb, '\n');
        at = 0;
    }
    ist_sb_printf(sb, "%*s", (int) (INDENT - at), "");
    at = INDENT;
    while (*text) {
        size_t len = strcspn(text, " ");

        if (at > INDENT && at + len > WIDTH) {
            ist_sb_printf(sb, "\n%*s", INDENT, "");
            at = INDENT;
        }
        ist_sb_add(sb, text, len);
        at += len;
        text += len;
        if (*text == ' ') {
            text++;
            if (at + 1 + strcspn(text, " ") <= WIDTH) {
                ist_sb_putc(sb, ' ');
                at++;
            } else {
                ist_sb_printf(sb, "\n%*s", INDENT, "");
                at = INDENT;
            }
        }
    }
    ist_sb_putc(sb, '\n');
}

static void put_option(struct ist_sb *sb, const struct cli_option *option)
{
    struct ist_sb left;

    ist_sb_init(&left, 0);
    if (option->letter)
        ist_sb_printf(&left, "  -%c, --%s", option->letter, option->name);
    else
        ist_sb_printf(&left, "      --%s", option->name);
    if (option->arg)
        ist_sb_printf(&left, " %s", option->arg);
    ist_sb_puts(sb, ist_sb_text(&left));
    put_wrapped(sb, option->help, left.len);
    ist_sb_fini(&left);
}

static void put_options(struct ist_sb *sb, unsigned takers, const char *title)
{
    bool any = false;

    for (const struct cli_option *o = cli_options; o->name; o++) {
        if (!(o->takers & takers))
            continue;
        if (!any)
            ist_sb_printf(sb, "\n%s:\n", title);
        any = true;
        put_option(sb, o);
    }
}

static const char environment[] =
    "\nEnvironment:\n"
    "  ISTHMUS_URL                 address of the hub\n"
    "  ISTHMUS_TOKEN               token to show it, never given as an "
    "argument\n"
    "  ISTHMUS_TOKEN_FILE          file that holds the token instead\n"
    "  OS_CLOUD, OS_AUTH_URL ...   account to log in with, where no token is "
    "given\n"
    "  ISTHMUS_CACERT              certificates to trust, PEM\n"
    "  NO_COLOR                    no colours, if set\n";

static const char exits[] =
    "\nExit codes:\n"
    "  0 ok   1 failed   2 usage   3 unreachable   4 denied\n"
    "  5 partial: some sites did not answer, the rows of the others are "
    "printed\n";

void cli_help_all(struct ist_sb *sb)
{
    char noun[40];

    ist_sb_puts(sb, "Usage: isthmus NOUN list [option...]\n"
                    "       isthmus NOUN show ID [option...]\n"
                    "       isthmus search TEXT [option...]\n"
                    "       isthmus top [option...]\n"
                    "       isthmus watch [option...]\n"
                    "       isthmus event list [option...]\n"
                    "       isthmus alarm list|show|ack|unack|comment|clear "
                    "[option...]\n"
                    "       isthmus login|logout [option...]\n"
                    "       isthmus complete bash|zsh|fish\n"
                    "       isthmus help [NOUN [list|show]]\n\n"
                    "Many OpenStack sites, seen as one through their hub.\n\n"
                    "Nouns:\n");
    for (const struct cli_kind *k = cli_kinds; k->noun; k++) {
        size_t at = sb->len;

        ist_sb_printf(sb, "  %s", cli_spaced(k->noun, noun, sizeof(noun)));
        at = sb->len - at;
        if (cli_kind_is_site(k))
            put_wrapped(sb, "the sites themselves, and how they do", at);
        else {
            char text[80];

            snprintf(text, sizeof(text), "%s of all sites", k->many);
            put_wrapped(sb, text, at);
        }
    }
    put_options(sb, CLI_FOR_ALL, "Options of every command");
    ist_sb_puts(sb, environment);
    ist_sb_puts(sb, exits);
    ist_sb_puts(sb, "\n\"isthmus NOUN list --help\", \"isthmus watch --help\" "
                    "and the like\nshow the rest.\n");
}

void cli_help_noun(struct ist_sb *sb, const struct cli_kind *kind)
{
    char noun[40];

    cli_spaced(kind->noun, noun, sizeof(noun));
    ist_sb_printf(sb,
                  "Usage: isthmus %s list [option...]\n"
                  "       isthmus %s show %s [option...]\n\n"
                  "\"isthmus %s list --help\" shows the options.\n",
                  noun, noun, cli_kind_is_site(kind) ? "NAME" : "ID", noun);
}

static void put_columns(struct ist_sb *sb, const struct cli_kind *kind)
{
    for (int long_form = 0; long_form < 2; long_form++) {
        const char *separator = "";

        ist_sb_puts(sb, long_form ? "With --long:  " : "\nColumns:      ");
        for (const struct cli_column *c = kind->columns; c->title; c++) {
            if (!(c->flags & CLI_LONG) != !long_form)
                continue;
            ist_sb_printf(sb, "%s%s", separator, c->title);
            separator = ", ";
        }
        ist_sb_puts(sb, *separator ? "\n" : "nothing more\n");
    }
}

void cli_help_command(struct ist_sb *sb, const struct cli_kind *kind,
                      const char *verb)
{
    unsigned takers = cli_takers(kind, verb);
    bool list = strcmp(verb, "list") == 0;
    char noun[40];

    cli_spaced(kind->noun, noun, sizeof(noun));
    ist_sb_printf(sb, "Usage: isthmus %s %s%s [option...]\n\n", noun, verb,
                  list                     ? ""
                  : cli_kind_is_site(kind) ? " NAME"
                                           : " ID");
    if (list)
        ist_sb_printf(sb, "List the %s%s.\n", kind->many,
                      cli_kind_is_site(kind) ? "" : " of all sites");
    else
        ist_sb_printf(sb, "Show one of the %s%s.\n", kind->many,
                      cli_kind_is_site(kind) ? "" : ", by its id or name");
    if (list)
        put_columns(sb, kind);
    put_options(sb, takers & ~(unsigned) CLI_FOR_ALL, "Options");
    put_options(sb, CLI_FOR_ALL, "Options of every command");
    ist_sb_puts(sb, environment);
    ist_sb_puts(sb, exits);
}

void cli_help_alarm(struct ist_sb *sb, const char *verb)
{
    unsigned takers = cli_alarm_takers(verb);

    ist_sb_puts(sb, "Usage: isthmus alarm list [option...]\n"
                    "       isthmus alarm show ID [option...]\n"
                    "       isthmus alarm ack|unack|clear ID... [option...]\n"
                    "       isthmus alarm comment ID TEXT [option...]\n\n"
                    "Show what is wrong at the sites and at the hub, and say "
                    "what is done about it.\n");
    if (takers & CLI_FOR_ALARM_LIST)
        put_columns(sb, &cli_alarm_kind);
    put_options(sb,
                takers ? takers & ~(unsigned) CLI_FOR_ALL
                       : CLI_FOR_ALARM_LIST | CLI_FOR_ALARM_SHOW |
                             CLI_FOR_ALARM_DO,
                "Options");
    put_options(sb, CLI_FOR_ALL, "Options of every command");
    ist_sb_puts(sb, environment);
    ist_sb_puts(sb, exits);
}

/* 'kind' NULL: it has no columns to choose from. */
static void put_command(struct ist_sb *sb, const char *usage,
                        const struct cli_kind *kind, unsigned takers)
{
    ist_sb_puts(sb, usage);
    if (kind)
        put_columns(sb, kind);
    put_options(sb, takers, "Options");
    put_options(sb, CLI_FOR_ALL, "Options of every command");
    ist_sb_puts(sb, environment);
    ist_sb_puts(sb, exits);
}

void cli_help_watch(struct ist_sb *sb, const char *verb)
{
    (void) verb;
    put_command(sb,
                "Usage: isthmus watch [option...]\n\n"
                "Show the events of all sites as they come, until "
                "interrupted.\n",
                NULL, CLI_FOR_WATCH);
}

void cli_help_event(struct ist_sb *sb, const char *verb)
{
    (void) verb;
    put_command(sb,
                "Usage: isthmus event list [option...]\n\n"
                "List the events of all sites, of the last hour unless "
                "--since says otherwise.\n",
                &cli_event_kind, CLI_FOR_EVENT_LIST);
}

void cli_help_search(struct ist_sb *sb, const char *verb)
{
    (void) verb;
    put_command(sb,
                "Usage: isthmus search TEXT [option...]\n\n"
                "List what has an id, a name or an address that begins with "
                "the text, at all sites,\n"
                "from what the hub knows.\n",
                &cli_search_kind, CLI_FOR_SEARCH);
}

void cli_help_login(struct ist_sb *sb, const char *verb)
{
    (void) verb;
    ist_sb_puts(
        sb, "Usage: isthmus login [option...]\n\n"
            "Log in at the hub with the account of your own site, as OS_CLOUD "
            "names it in\nclouds.yaml, or as OS_AUTH_URL, OS_USERNAME, "
            "OS_PASSWORD and so on say, and keep\nthe token for the commands "
            "that follow, in ~/.config/isthmus/login.json.\nWithout it each "
            "command logs in by itself, where OS_CLOUD or OS_AUTH_URL is "
            "set.\n");
}

void cli_help_logout(struct ist_sb *sb, const char *verb)
{
    (void) verb;
    ist_sb_puts(sb, "Usage: isthmus logout\n\nForget the token that 'isthmus "
                    "login' has kept.\n");
}

void cli_help_top(struct ist_sb *sb, const char *verb)
{
    (void) verb;
    put_command(sb,
                "Usage: isthmus top [option...]\n\n"
                "Draw the sites and how they do, again and again, those that "
                "are not well first,\n"
                "until interrupted.\n",
                NULL, CLI_FOR_TOP);
}
