/* Completion scripts. All three shells do the same: count the words that are
 * no options, then offer nouns, verbs, shells or options; what stands behind
 * an option of few values is one of them, and behind --site a site. */
#include "cli/help.h"

#include "cli/alarm.h"

#include <string.h>

static void put_nouns(struct ist_sb *sb)
{
    for (const struct cli_kind *k = cli_kinds; k->noun; k++)
        ist_sb_printf(sb, "%s ", k->noun);
    for (const struct cli_command *c = cli_commands; c->name; c++)
        ist_sb_printf(sb, "%s%s", c->name, c[1].name ? " " : "");
}

static void put_names(struct ist_sb *sb, unsigned takers, bool with_arg_only)
{
    const char *separator = "";

    for (const struct cli_option *o = cli_options; o->name; o++) {
        if (!(o->takers & takers) || (with_arg_only && !o->arg))
            continue;
        ist_sb_printf(sb, "%s--%s", separator, o->name);
        if (o->letter)
            ist_sb_printf(sb, "%s-%c", with_arg_only ? "|" : " ", o->letter);
        separator = with_arg_only ? "|" : " ";
    }
}

/* A case of the shell for each option with few values. */
static void put_value_cases(struct ist_sb *sb, const char *offer_front,
                            const char *offer_back)
{
    for (const struct cli_option *o = cli_options; o->name; o++) {
        if (!o->words)
            continue;
        ist_sb_printf(sb, "    --%s", o->name);
        if (o->letter)
            ist_sb_printf(sb, "|-%c", o->letter);
        ist_sb_printf(sb, ")\n        %s%s%s\n        return ;;\n", offer_front,
                      o->words, offer_back);
    }
}

/* "noun list") or "noun show"): the options of that command. */
static void put_command_cases(struct ist_sb *sb, const char *front,
                              const char *back)
{
    static const char *const verbs[] = {"list", "show"};

    ist_sb_printf(sb, "    alarm)\n        %s%s%s ;;\n", front, cli_alarm_verbs,
                  back);
    ist_sb_printf(sb, "    \"alarm list\"*)\n        %s", front);
    put_names(sb, cli_alarm_takers("list"), false);
    ist_sb_printf(sb, "%s ;;\n    \"alarm show\"*)\n        %s", back, front);
    put_names(sb, cli_alarm_takers("show"), false);
    ist_sb_printf(sb, "%s ;;\n    \"alarm \"*)\n        %s", back, front);
    put_names(sb, cli_alarm_takers("ack"), false);
    ist_sb_printf(sb, "%s ;;\n", back);
    for (size_t i = 0; i < IST_COUNT(verbs); i++) {
        for (int site = 1; site >= 0; site--) {
            const struct cli_kind *kind = &cli_kinds[site ? 0 : 1];

            ist_sb_printf(sb, "    %s\" %s\"*)\n        %s",
                          site ? "site" : "*", verbs[i], front);
            put_names(sb, cli_takers(kind, verbs[i]), false);
            ist_sb_printf(sb, "%s ;;\n", back);
        }
    }
}

static const char sites[] = "$(isthmus site list -f value -c Name 2>/dev/null)";

static void complete_bash(struct ist_sb *sb)
{
    ist_sb_puts(sb,
                "# bash completion of isthmus; made by "
                "\"isthmus complete bash\"\n"
                "_isthmus()\n{\n"
                "    local cur=${COMP_WORDS[COMP_CWORD]} words= offer= i w\n"
                "    local prev=${COMP_WORDS[COMP_CWORD-1]}\n"
                "    COMPREPLY=()\n"
                "    case $prev in\n");
    put_value_cases(sb, "COMPREPLY=($(compgen -W \"", "\" -- \"$cur\"))");
    ist_sb_printf(sb,
                  "    --site)\n"
                  "        COMPREPLY=($(compgen -W \"%s\" -- \"$cur\"))\n"
                  "        return ;;\n"
                  "    --cacert)\n"
                  "        COMPREPLY=($(compgen -f -- \"$cur\"))\n"
                  "        return ;;\n",
                  sites);
    ist_sb_puts(sb, "    ");
    put_names(sb, ~0U, true);
    ist_sb_puts(sb, ")\n        return ;;\n    esac\n"
                    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                    "        w=${COMP_WORDS[i]}\n"
                    "        case $w in\n        ");
    put_names(sb, ~0U, true);
    ist_sb_puts(sb, ") i=$((i + 1)) ;;\n"
                    "        -*) ;;\n"
                    "        *) words=\"$words${words:+ }$w\" ;;\n"
                    "        esac\n"
                    "    done\n"
                    "    case $words in\n"
                    "    \"\")\n        offer=\"");
    put_nouns(sb);
    ist_sb_puts(sb, "\" ;;\n    complete)\n        offer=\"bash zsh fish\" ;;\n"
                    "    help)\n        offer=\"");
    put_nouns(sb);
    ist_sb_printf(sb, "\" ;;\n    \"site show\")\n        offer=\"%s\" ;;\n",
                  sites);
    put_command_cases(sb, "offer=\"", "\"");
    ist_sb_puts(sb, "    *)\n        offer=\"list show\" ;;\n    esac\n"
                    "    COMPREPLY=($(compgen -W \"$offer\" -- \"$cur\"))\n"
                    "}\n"
                    "complete -F _isthmus isthmus\n");
}

static void complete_zsh(struct ist_sb *sb)
{
    ist_sb_puts(sb, "#compdef isthmus\n"
                    "# zsh completion of isthmus; made by "
                    "\"isthmus complete zsh\"\n"
                    "local line= i w\n"
                    "case ${words[CURRENT-1]} in\n");
    put_value_cases(sb, "compadd -- ", "");
    ist_sb_printf(sb,
                  "    --site)\n        compadd -- ${(f)\"%s\"}\n"
                  "        return ;;\n"
                  "    --cacert)\n        _files\n        return ;;\n    ",
                  sites);
    put_names(sb, ~0U, true);
    ist_sb_puts(sb, ")\n        return ;;\nesac\n"
                    "for ((i = 2; i < CURRENT; i++)); do\n"
                    "    w=${words[i]}\n"
                    "    case $w in\n    ");
    put_names(sb, ~0U, true);
    ist_sb_puts(sb, ") ((i++)) ;;\n"
                    "    -*) ;;\n"
                    "    *) line=\"$line${line:+ }$w\" ;;\n"
                    "    esac\n"
                    "done\n"
                    "case $line in\n"
                    "    \"\")\n        compadd -- ");
    put_nouns(sb);
    ist_sb_puts(sb, " ;;\n    complete)\n        compadd -- bash zsh fish ;;\n"
                    "    help)\n        compadd -- ");
    put_nouns(sb);
    ist_sb_printf(
        sb, " ;;\n    \"site show\")\n        compadd -- ${(f)\"%s\"} ;;\n",
        sites);
    put_command_cases(sb, "compadd -- ", "");
    ist_sb_puts(sb, "    *)\n        compadd -- list show ;;\nesac\n");
}

/* Between single quotes fish takes a '\' for itself and the quote only. */
static void put_fish_quoted(struct ist_sb *sb, const char *text)
{
    ist_sb_putc(sb, '\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            ist_sb_putc(sb, '\\');
        ist_sb_putc(sb, *text);
    }
    ist_sb_putc(sb, '\'');
}

static void fish_option(struct ist_sb *sb, const struct cli_option *o)
{
    ist_sb_printf(sb, "complete -c isthmus -l %s", o->name);
    if (o->letter)
        ist_sb_printf(sb, " -s %c", o->letter);
    if (o->arg)
        ist_sb_puts(sb, strcmp(o->name, "cacert") == 0 ? " -r -F" : " -x");
    if (o->words)
        ist_sb_printf(sb, " -a '%s'", o->words);
    if (strcmp(o->name, "site") == 0)
        ist_sb_puts(sb, " -a '(isthmus site list -f value -c Name "
                        "2>/dev/null)'");
    ist_sb_puts(sb, " -d ");
    put_fish_quoted(sb, o->help);
    ist_sb_putc(sb, '\n');
}

static void complete_fish(struct ist_sb *sb)
{
    ist_sb_puts(sb, "# fish completion of isthmus; made by "
                    "\"isthmus complete fish\"\n"
                    "complete -c isthmus -f\n"
                    "set -l nouns ");
    put_nouns(sb);
    ist_sb_puts(sb,
                "\ncomplete -c isthmus -n \"not __fish_seen_subcommand_from "
                "$nouns\" -a \"$nouns\"\n"
                "complete -c isthmus -n \"__fish_seen_subcommand_from "
                "complete\" -a 'bash zsh fish'\n"
                "complete -c isthmus -n \"__fish_seen_subcommand_from $nouns; "
                "and not __fish_seen_subcommand_from list show complete "
                "help\" -a 'list show'\n"
                "complete -c isthmus -n \"__fish_seen_subcommand_from alarm; "
                "and not __fish_seen_subcommand_from list show ack unack "
                "comment clear\" -a 'ack unack comment clear'\n");
    for (const struct cli_option *o = cli_options; o->name; o++)
        fish_option(sb, o);
}

bool cli_complete(struct ist_sb *sb, const char *shell)
{
    static const struct {
        const char *name;
        void (*put)(struct ist_sb *);
    } shells[] = {{"bash", complete_bash},
                  {"zsh", complete_zsh},
                  {"fish", complete_fish}};

    for (size_t i = 0; i < IST_COUNT(shells); i++) {
        if (strcmp(shells[i].name, shell) == 0) {
            shells[i].put(sb);
            return true;
        }
    }
    return false;
}
