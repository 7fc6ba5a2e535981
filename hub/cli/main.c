/* The program "isthmus": words to a command, a command to an answer, the
 * answer to stdout in one write at the end. */
#include "cli/alarm.h"
#include "cli/ask.h"
#include "cli/event.h"
#include "cli/help.h"
#include "cli/login.h"
#include "cli/say.h"
#include "cli/search.h"
#include "cli/top.h"
#include "cli/watch.h"
#include "cli/watch_bus.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The noun may be one word or two. Fills the kind and how many words it took;
 * NULL for no such noun. */
static const struct cli_kind *find_noun(const struct cli_args *args,
                                        size_t first, size_t *ret_n)
{
    char noun[64];

    for (size_t n = 2; n > 0; n--) {
        const struct cli_kind *kind;

        if (first + n > args->n_words)
            continue;
        snprintf(noun, sizeof(noun), "%s%s%s", args->words[first],
                 n == 2 ? "-" : "", n == 2 ? args->words[first + 1] : "");
        kind = cli_kind_find(noun);
        if (kind) {
            *ret_n = n;
            return kind;
        }
    }
    return NULL;
}

static const struct cli_command *find_command(const char *word)
{
    const struct cli_command *command = cli_commands;

    while (command->name && strcmp(command->name, word) != 0)
        command++;
    return command->name ? command : NULL;
}

static int unknown_noun(const char *word)
{
    const char *nouns[48], *near;
    size_t n = 0;

    for (; cli_commands[n].name; n++)
        nouns[n] = cli_commands[n].name;
    for (const struct cli_kind *k = cli_kinds;
         k->noun && n + 1 < IST_COUNT(nouns); k++)
        nouns[n++] = k->noun;
    nouns[n] = NULL;
    near = cli_nearest(word, nouns);
    if (near)
        return cli_fail(CLI_USAGE, "no such command: '%s'; did you mean '%s'?",
                        word, near);
    return cli_fail(CLI_USAGE, "no such command: '%s'; see isthmus --help",
                    word);
}

static int unknown_verb(const struct cli_kind *kind, const char *word)
{
    static const char *const verbs[] = {"list", "show", NULL};
    const char *near = cli_nearest(word, verbs);

    return cli_fail(CLI_USAGE, "%s has no '%s'; %s", kind->noun, word,
                    near && near == verbs[0]   ? "did you mean 'list'?"
                    : near && near == verbs[1] ? "did you mean 'show'?"
                                               : "there are list and show");
}

/* From word 'first' on: as much help as the words say. */
static int help(const struct cli_args *args, size_t first, struct ist_sb *out)
{
    const char *word = first < args->n_words ? args->words[first] : NULL;
    const struct cli_command *command = word ? find_command(word) : NULL;
    const char *verb = first + 1 < args->n_words ? args->words[first + 1] : "";
    const struct cli_kind *kind;
    size_t n = 0;

    if (!word || (command && !command->help)) {
        cli_help_all(out);
        return CLI_OK;
    }
    if (command) {
        command->help(out, verb);
        return CLI_OK;
    }
    kind = find_noun(args, first, &n);
    if (!kind)
        return unknown_noun(word);
    if (first + n < args->n_words && cli_takers(kind, args->words[first + n]))
        cli_help_command(out, kind, args->words[first + n]);
    else
        cli_help_noun(out, kind);
    return CLI_OK;
}

/* With an id it is "show", else "list". */
static int ask(const struct cli_args *args, const struct cli_kind *kind,
               const char *id, struct ist_sb *out)
{
    struct cli_hub hub;
    int rc = cli_hub_init(&hub, args);

    if (rc == 0)
        rc = id ? cli_show(&hub, kind, id, out) : cli_list(&hub, kind, out);
    cli_hub_fini(&hub);
    return rc;
}

static int run_noun(const struct cli_args *args, struct ist_sb *out)
{
    const char *verb, *id = NULL;
    char command[64];
    size_t n = 0, n_rest;
    const struct cli_kind *kind = find_noun(args, 0, &n);
    unsigned takers;
    int rc;

    if (!kind)
        return unknown_noun(args->words[0]);
    if (n == args->n_words)
        return cli_fail(CLI_USAGE, "%s what? There are list and show",
                        kind->noun);
    verb = args->words[n];
    takers = cli_takers(kind, verb);
    if (!takers)
        return unknown_verb(kind, verb);
    snprintf(command, sizeof(command), "%s %s", kind->noun, verb);
    rc = cli_args_check(args, takers, command);
    if (rc)
        return rc;
    n_rest = args->n_words - n - 1;
    if (takers & CLI_FOR_SHOWS) {
        if (n_rest == 0 || !*args->words[n + 1])
            return cli_fail(CLI_USAGE, "%s: which one?", command);
        id = args->words[n + 1];
        n_rest--;
    }
    if (n_rest)
        return cli_fail(CLI_USAGE, "%s: '%s' is a word too much", command,
                        args->words[args->n_words - 1]);
    return ask(args, kind, id, out);
}

static int run_watch(const struct cli_args *args, struct ist_sb *out)
{
    struct cli_hub hub;
    int rc = cli_args_check(args, CLI_FOR_ALL | CLI_FOR_WATCH, "watch");

    (void) out;
    if (rc)
        return rc;
    if (args->n_words > 1)
        return cli_fail(CLI_USAGE, "watch: '%s' is a word too much",
                        args->words[1]);
    if (args->bus)
        return cli_watch_bus(args);
    rc = cli_hub_init(&hub, args);
    if (rc == 0)
        rc = cli_watch(&hub);
    cli_hub_fini(&hub);
    return rc;
}

static int run_top(const struct cli_args *args, struct ist_sb *out)
{
    (void) out;
    return cli_top(args);
}

static int run_help(const struct cli_args *args, struct ist_sb *out)
{
    return help(args, 1, out);
}

static int run_complete(const struct cli_args *args, struct ist_sb *out)
{
    int rc = cli_args_check(args, CLI_FOR_NONE, "complete");

    if (rc)
        return rc;
    if (args->n_words != 2 || !cli_complete(out, args->words[1]))
        return cli_fail(CLI_USAGE, "complete bash, zsh or fish");
    return CLI_OK;
}

const struct cli_command cli_commands[] = {
    {"search", cli_search, cli_help_search},
    {"event", cli_event, cli_help_event},
    {"watch", run_watch, cli_help_watch},
    {"alarm", cli_alarm, cli_help_alarm},
    {"top", run_top, cli_help_top},
    {"login", cli_login, cli_help_login},
    {"logout", cli_logout, cli_help_logout},
    {"complete", run_complete, NULL},
    {"help", run_help, NULL},
    {NULL, NULL, NULL},
};

static int run(const struct cli_args *args, struct ist_sb *out)
{
    const struct cli_command *command;

    if (args->version) {
        ist_sb_puts(out, "isthmus " IST_VERSION "\n");
        return CLI_OK;
    }
    if (args->help)
        return help(args, 0, out);
    if (args->n_words == 0) {
        struct ist_sb usage;

        ist_sb_init(&usage, 0);
        cli_help_all(&usage);
        fputs(ist_sb_text(&usage), stderr);
        ist_sb_fini(&usage);
        return CLI_USAGE;
    }
    command = find_command(args->words[0]);
    if (command)
        return command->run(args, out);
    return run_noun(args, out);
}

/* Who asked for JSON gets JSON, whatever happened. */
static void put_json_error(struct ist_sb *out, int exit)
{
    const char *text = cli_said();

    ist_sb_puts(out, "{\n  \"error\": ");
    ist_sb_json(out, text, strlen(text));
    ist_sb_printf(out, ",\n  \"exit\": %d\n}\n", exit);
}

/* A reader that has gone is no news to anybody; a full disk is. */
static int flush(struct ist_sb *out, int rc)
{
    if (out->rc)
        return cli_fail(CLI_FAILED, "out of memory");
    if (out->len == 0 || (fwrite(out->data, 1, out->len, stdout) == out->len &&
                          fflush(stdout) == 0))
        return rc;
    if (errno != EPIPE)
        cli_fail(CLI_FAILED, "cannot write: %s", strerror(errno));
    return rc ? rc : CLI_FAILED;
}

/* Descriptors 0 to 2 must be taken, or a socket becomes stdout. */
static void take_descriptors(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDONLY);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* Widths of characters need a UTF-8 locale, whatever the user's is. */
static void set_locale(void)
{
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

int main(int argc, char **argv)
{
    struct cli_args args;
    struct ist_sb out;
    int rc;

    take_descriptors();
    signal(SIGPIPE, SIG_IGN);
    set_locale();
    ist_sb_init(&out, 0);
    rc = cli_args_parse(&args, argc, argv);
    if (rc == 0)
        rc = run(&args, &out);
    if (rc != CLI_OK && out.len == 0 && strcmp(args.format, "json") == 0)
        put_json_error(&out, rc);
    rc = flush(&out, rc);
    cli_args_fini(&args);
    ist_sb_fini(&out);
    return rc;
}
