#include "cli/args.h"

#include "base/parse.h"
#include "base/utf8.h"
#include "cli/say.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPT_HELP = 256,
    OPT_VERSION,
    OPT_URL,
    OPT_CACERT,
    OPT_DEBUG,
    OPT_TIMING,
    OPT_FORMAT,
    OPT_COLUMN,
    OPT_SORT_COLUMN,
    OPT_ASCENDING,
    OPT_DESCENDING,
    OPT_QUOTE,
    OPT_NOINDENT,
    OPT_MAX_WIDTH,
    OPT_FIT_WIDTH,
    OPT_PRINT_EMPTY,
    OPT_PREFIX,
    OPT_LONG,
    OPT_FIELDS,
    OPT_SITE,
    OPT_NAME,
    OPT_STATUS,
    OPT_PROJECT,
    OPT_SORT,
    OPT_LIMIT,
    OPT_DEADLINE,
    OPT_PARTIAL,
    OPT_MAX_AGE,
    OPT_CONSISTENT,
    OPT_KIND,
    OPT_TYPE,
    OPT_SEVERITY,
    OPT_SINCE,
    OPT_UNTIL,
    OPT_BUS,
    OPT_INTERVAL,
    OPT_COUNT,
    OPT_STATE,
    OPT_FOLDED,
    OPT_BY,
    OPT_MESSAGE,
    OPT_TOKEN, /* Refused. */
};

#define ALL    CLI_FOR_ALL
#define NONE   CLI_FOR_NONE
#define LIST   CLI_FOR_LIST
#define SHOW   CLI_FOR_SHOW
#define LISTS  CLI_FOR_LISTS
#define SHOWS  CLI_FOR_SHOWS
#define BOTH   CLI_FOR_BOTH
#define WATCH  (CLI_FOR_WATCH | CLI_FOR_EVENT_LIST)
#define ALARMS CLI_FOR_ALARM_LIST
#define DO     CLI_FOR_ALARM_DO

/* clang-format off */
const struct cli_option cli_options[] = {
    {"site", 0, "SITE[,SITE...]", NULL, LIST | SHOW | WATCH | ALARMS,
     OPT_SITE,
     "only these sites; may be repeated"},
    {"name", 0, "NAME", NULL, LIST, OPT_NAME, "only what has this name"},
    {"status", 0, "STATUS", NULL, LIST, OPT_STATUS,
     "only what has this status"},
    {"project", 0, "PROJECT", NULL, LIST | WATCH | CLI_FOR_SEARCH,
     OPT_PROJECT,
     "only what belongs to this project"},
    {"sort", 0, "KEY[,KEY...]", NULL, LIST, OPT_SORT,
     "order of the rows: created_at, updated_at, name, status, id, project "
     "and what else the kind has; \"-KEY\" or \"KEY:desc\" descends"},
    {"limit", 0, "N", NULL, LIST | ALARMS | CLI_FOR_EVENT_LIST | CLI_FOR_SEARCH,
     OPT_LIMIT,
     "at most N rows; all of them without it"},
    {"deadline", 0, "TIME", NULL, LIST | SHOW, OPT_DEADLINE,
     "how long the sites may take, 100ms to 60s; the hub's choice without it"},
    {"partial", 0, "allow|deny", "allow deny", LIST | SHOW, OPT_PARTIAL,
     "whether an answer of only some sites will do (it does by default)"},
    {"max-age", 0, "TIME", NULL, LIST | SHOW, OPT_MAX_AGE,
     "take rows that the hub knows, if no older: 10s; only sites whose rows "
     "are older are asked"},
    {"consistent", 0, NULL, NULL, LIST | SHOW, OPT_CONSISTENT,
     "take rows that the hub knows, once it is as far as the sites are"},
    {"severity", 0, "SEVERITY",
     "info notice warning error minor major critical", WATCH | ALARMS,
     OPT_SEVERITY, "only this severity or worse; of events: info, notice, "
     "warning, error, critical; of alarms: warning, minor, major, critical"},
    {"kind", 0, "KIND[,KIND...]", NULL, WATCH, OPT_KIND,
     "only events about these kinds: server, site, feed, alarm"},
    {"type", 0, "TYPE[,TYPE...]", NULL, WATCH | ALARMS, OPT_TYPE,
     "only these types; of events, '*' stands for any text: 'server.*'"},
    {"state", 0, "STATE", "open cleared all", ALARMS, OPT_STATE,
     "alarms that are open (default), cleared, or all of them"},
    {"folded", 0, NULL, NULL, ALARMS, OPT_FOLDED,
     "also alarms that are folded under their cause"},
    {"by", 0, "NAME", NULL, DO, OPT_BY,
     "who does it (default: $USER)"},
    {"message", 'm', "TEXT", NULL, DO, OPT_MESSAGE,
     "a comment to go with it"},
    {"since", 0, "TIME", NULL, WATCH, OPT_SINCE,
     "begin with what came then: 1h ago, 2026-11-25T08:00:00Z, or oldest"},
    {"until", 0, "TIME", NULL, WATCH, OPT_UNTIL,
     "end with what came by then: 10m ago, 2026-11-25T09:00:00Z, or +1h"},
    {"bus", 0, "FOLDER", NULL, CLI_FOR_WATCH, OPT_BUS,
     "from the stream on the bus, without the hub; the folder is made by "
     "'isthmus-hub noc add'"},
    {"interval", 0, "TIME", NULL, CLI_FOR_TOP, OPT_INTERVAL,
     "how long a drawing stands, 500ms to 1h (default: 2s)"},
    {"count", 0, "N", NULL, CLI_FOR_TOP, OPT_COUNT,
     "end after N drawings; without it, once if stdout is no terminal"},
    {"long", 0, NULL, NULL, LISTS, OPT_LONG, "more columns"},
    {"fields", 0, "MEMBER[,MEMBER...]", NULL, LIST | CLI_FOR_SITE_LIST, OPT_FIELDS,
     "these members of the native objects as columns, and the site"},

    {"format", 'f', "FORMAT", "table json csv value yaml shell",
     BOTH | WATCH | CLI_FOR_TOP, OPT_FORMAT, "table (default), json, value, yaml; csv for lists, shell "
     "for one object"},
    {"column", 'c', "COLUMN", NULL, BOTH, OPT_COLUMN,
     "only this column; may be repeated"},
    {"sort-column", 0, "COLUMN", NULL, LISTS, OPT_SORT_COLUMN,
     "sort the rows received by this column; may be repeated"},
    {"sort-ascending", 0, NULL, NULL, LISTS, OPT_ASCENDING,
     "with --sort-column: smallest first (default)"},
    {"sort-descending", 0, NULL, NULL, LISTS, OPT_DESCENDING,
     "with --sort-column: greatest first"},
    {"quote", 0, "MODE", "all minimal none nonnumeric", LISTS, OPT_QUOTE,
     "csv: what is quoted: all, minimal, none, nonnumeric (default)"},
    {"noindent", 0, NULL, NULL, BOTH, OPT_NOINDENT, "json: in one line"},
    {"max-width", 0, "N", NULL, BOTH, OPT_MAX_WIDTH,
     "table: at most N columns wide, 0 for any"},
    {"fit-width", 0, NULL, NULL, BOTH, OPT_FIT_WIDTH,
     "table: as wide as the terminal"},
    {"print-empty", 0, NULL, NULL, BOTH, OPT_PRINT_EMPTY,
     "table: print the headings even without rows"},
    {"prefix", 0, "TEXT", NULL, SHOWS, OPT_PREFIX,
     "shell: what each variable's name begins with"},

    {"url", 0, "URL", NULL, ALL, OPT_URL,
     "address of the hub (default: $ISTHMUS_URL)"},
    {"cacert", 0, "FILE", NULL, ALL, OPT_CACERT,
     "certificates to trust, PEM (default: $ISTHMUS_CACERT, or the system's)"},
    {"debug", 0, NULL, NULL, ALL, OPT_DEBUG,
     "show requests and answers on stderr, the token only as its hash"},
    {"timing", 0, NULL, NULL, ALL, OPT_TIMING,
     "show on stderr how long requests and sites took"},
    {"help", 'h', NULL, NULL, ALL | NONE, OPT_HELP, "show help and exit"},
    {"version", 0, NULL, NULL, ALL | NONE, OPT_VERSION,
     "show the version and exit"},
    {NULL, 0, NULL, NULL, 0, 0, NULL},
};
/* clang-format on */

#define N_OPTIONS (IST_COUNT(cli_options) - 1)

_Static_assert(N_OPTIONS <= 64, "cli_args.used has a bit for each");

static int bad_value(const struct cli_option *option, const char *value,
                     const char *why)
{
    return cli_fail(CLI_USAGE, "--%s: '%s' %s", option->name, value, why);
}

static int check_words(const struct cli_option *option, const char *value)
{
    const char *at = option->words;
    size_t len = strlen(value);

    while (at && *at) {
        size_t n = strcspn(at, " ");

        if (n == len && memcmp(at, value, n) == 0)
            return 0;
        at += n + (at[n] == ' ');
    }
    if (!at)
        return 0;
    return cli_fail(CLI_USAGE, "--%s: '%s' is none of: %s", option->name, value,
                    option->words);
}

static int add_name(const struct cli_option *option, struct cli_names *names,
                    const char *value)
{
    if (names->n == CLI_COLUMNS_MAX)
        return cli_fail(CLI_USAGE, "--%s: more than %d of them", option->name,
                        CLI_COLUMNS_MAX);
    names->names[names->n++] = value;
    return 0;
}

/* "a,b" or repeated: joined by commas, each checked. */
static int add_sites(struct cli_args *args, const struct cli_option *option,
                     const char *value)
{
    const char *at = value, *item;
    size_t len;

    while (ist_parse_item(&at, &item, &len)) {
        char name[64];

        if (len >= sizeof(name))
            return bad_value(option, value, "is no site name");
        memcpy(name, item, len);
        name[len] = '\0';
        if (!ist_parse_site_name(name))
            return bad_value(option, name, "is no site name");
        if (args->sites.len)
            ist_sb_putc(&args->sites, ',');
        ist_sb_puts(&args->sites, name);
    }
    return 0;
}

#define KEY_LETTERS "abcdefghijklmnopqrstuvwxyz_"

/* Which keys a kind has, the hub says.
 * "-name", "name:desc" and "name:asc" are all understood. */
static int add_sort(struct cli_args *args, const struct cli_option *option,
                    const char *value)
{
    const char *at = value, *item;
    size_t len;

    while (ist_parse_item(&at, &item, &len)) {
        size_t skip = len && *item == '-', n = len - skip;
        const char *colon = memchr(item, ':', len);
        bool descends = skip;

        if (colon) {
            size_t tail = len - (size_t) (colon - item);

            descends ^= tail == 5 && memcmp(colon, ":desc", 5) == 0;
            if (!(tail == 5 && memcmp(colon, ":desc", 5) == 0) &&
                !(tail == 4 && memcmp(colon, ":asc", 4) == 0))
                return bad_value(option, value, "has no such direction");
            n -= tail;
        }
        if (n == 0 || strspn(item + skip, KEY_LETTERS) < n)
            return bad_value(option, value, "is no list of keys");
        ist_sb_printf(&args->sort, "%s%s", args->sort.len ? "," : "",
                      descends ? "-" : "");
        ist_sb_add(&args->sort, item + skip, n);
    }
    return 0;
}

static int set_fields(struct cli_args *args, const struct cli_option *option,
                      const char *value)
{
    const char *at = value, *item;
    char *copy;
    size_t len;

    if (args->field_names.len)
        return bad_value(option, value, "is given twice");
    /* All copies fit in what is reserved, so that none moves. */
    copy = ist_sb_reserve(&args->field_names, 2 * strlen(value) + 2);
    if (!copy)
        return cli_fail(CLI_FAILED, "out of memory");
    while (ist_parse_item(&at, &item, &len)) {
        memcpy(copy, item, len);
        copy[len] = '\0';
        for (size_t i = 0; i < args->fields.n; i++) {
            if (strcmp(args->fields.names[i], copy) == 0)
                return bad_value(option, copy, "is given twice");
        }
        if (len == 0)
            return bad_value(option, value, "has an empty member");
        if (args->fields.n == CLI_FIELDS_MAX)
            return cli_fail(CLI_USAGE, "--fields: more than %d members",
                            CLI_FIELDS_MAX);
        if (add_name(option, &args->fields, copy))
            return CLI_USAGE;
        copy += len + 1;
        args->field_names.len += len + 1;
    }
    return 0;
}

static int set_number(const struct cli_option *option, const char *value,
                      uint64_t min, uint64_t max, uint64_t *ret)
{
    if (ist_parse_u64(value, min, max, ret))
        return 0;
    return cli_fail(CLI_USAGE, "--%s: '%s' is no number from %llu to %llu",
                    option->name, value, (unsigned long long) min,
                    (unsigned long long) max);
}

/* 'range' is what the help says of it. */
static int set_time(const struct cli_option *option, const char *value,
                    uint64_t min, uint64_t max, const char *range,
                    uint64_t *ret)
{
    uint64_t ms;

    if (!ist_parse_ms(value, &ms))
        return bad_value(option, value, "is no time: write 500ms or 10s");
    if (ms < min || ms > max)
        return bad_value(option, value, range);
    *ret = ms;
    return 0;
}

static int set_max_age(struct cli_args *args, const struct cli_option *option,
                       const char *value)
{
    uint64_t ms;

    if (!ist_parse_ms(value, &ms))
        return bad_value(option, value, "is no time: write 10s or 5m");
    snprintf(args->max_age_text, sizeof(args->max_age_text), "%llu",
             (unsigned long long) (ms / 1000));
    args->max_age = args->max_age_text;
    return 0;
}

static int set_text(const char **slot, const char *value)
{
    *slot = value;
    return 0;
}

static int set_flag(bool *flag)
{
    *flag = true;
    return 0;
}

/* Options that take text, and the slot it goes to. */
static const char **text_slot(struct cli_args *args, int id)
{
    switch (id) {
    case OPT_URL:
        return &args->url;
    case OPT_CACERT:
        return &args->ca_file;
    case OPT_FORMAT:
        return &args->format;
    case OPT_QUOTE:
        return &args->quote;
    case OPT_PREFIX:
        return &args->prefix;
    case OPT_NAME:
        return &args->name;
    case OPT_STATUS:
        return &args->status;
    case OPT_PROJECT:
        return &args->project;
    case OPT_PARTIAL:
        return &args->partial;
    case OPT_KIND:
        return &args->kind;
    case OPT_TYPE:
        return &args->type;
    case OPT_SEVERITY:
        return &args->severity;
    case OPT_SINCE:
        return &args->since;
    case OPT_UNTIL:
        return &args->until;
    case OPT_BUS:
        return &args->bus;
    case OPT_STATE:
        return &args->state;
    case OPT_BY:
        return &args->by;
    case OPT_MESSAGE:
        return &args->message;
    default:
        return NULL;
    }
}

static bool *flag_slot(struct cli_args *args, int id)
{
    switch (id) {
    case OPT_HELP:
        return &args->help;
    case OPT_VERSION:
        return &args->version;
    case OPT_DEBUG:
        return &args->debug;
    case OPT_TIMING:
        return &args->timing;
    case OPT_NOINDENT:
        return &args->noindent;
    case OPT_FIT_WIDTH:
        return &args->fit_width;
    case OPT_PRINT_EMPTY:
        return &args->print_empty;
    case OPT_LONG:
        return &args->long_form;
    case OPT_FOLDED:
        return &args->folded;
    case OPT_DESCENDING:
        return &args->descending;
    case OPT_CONSISTENT:
        return &args->consistent;
    default:
        return NULL;
    }
}

static int apply(struct cli_args *args, const struct cli_option *option,
                 const char *value)
{
    const char **text = text_slot(args, option->id);
    bool *flag = flag_slot(args, option->id);

    if (text)
        return set_text(text, value);
    if (flag)
        return set_flag(flag);
    switch (option->id) {
    case OPT_SITE:
        return add_sites(args, option, value);
    case OPT_SORT:
        return add_sort(args, option, value);
    case OPT_FIELDS:
        return set_fields(args, option, value);
    case OPT_COLUMN:
        return add_name(option, &args->columns, value);
    case OPT_SORT_COLUMN:
        return add_name(option, &args->sort_columns, value);
    case OPT_LIMIT:
        return set_number(option, value, 1, UINT32_MAX, &args->limit);
    case OPT_MAX_WIDTH:
        return set_number(option, value, 0, 100000, &args->max_width);
    case OPT_DEADLINE:
        return set_time(option, value, 100, 60000,
                        "is not between 100ms and 60s", &args->deadline_ms);
    case OPT_INTERVAL:
        return set_time(option, value, 500, 3600000,
                        "is not between 500ms and 1h", &args->interval_ms);
    case OPT_COUNT:
        return set_number(option, value, 1, UINT32_MAX, &args->count);
    case OPT_MAX_AGE:
        return set_max_age(args, option, value);
    default:
        return 0;
    }
}

static int take(struct cli_args *args, size_t index, const char *value)
{
    const struct cli_option *option = &cli_options[index];
    int rc = value ? check_words(option, value) : 0;

    if (rc)
        return rc;
    args->used |= UINT64_C(1) << index;
    return apply(args, option, value);
}

static int unknown(const char *word)
{
    const char *names[N_OPTIONS + 1], *near;
    size_t len = strcspn(word, "=");
    char name[64];

    for (size_t i = 0; i <= N_OPTIONS; i++)
        names[i] = cli_options[i].name;
    if (strncmp(word, "--", 2) != 0 || len >= sizeof(name))
        return cli_fail(CLI_USAGE, "unknown option '%s'", word);
    memcpy(name, word, len);
    name[len] = '\0';
    near = cli_nearest(name + 2, names);
    if (near)
        return cli_fail(CLI_USAGE, "unknown option '%s'; did you mean --%s?",
                        name, near);
    return cli_fail(CLI_USAGE, "unknown option '%s'", name);
}

static int check_text(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strlen(argv[i]) > CLI_VALUE_MAX)
            return cli_fail(CLI_USAGE, "argument %d is longer than %d bytes", i,
                            CLI_VALUE_MAX);
        if (!ist_utf8_valid(argv[i], strlen(argv[i])))
            return cli_fail(CLI_USAGE, "argument %d is not UTF-8: %s", i,
                            argv[i]);
    }
    return 0;
}

static int add_word(struct cli_args *args, const char *word)
{
    if (args->n_words == CLI_WORDS_MAX)
        return cli_fail(CLI_USAGE, "too many words, from '%s' on", word);
    args->words[args->n_words++] = word;
    return 0;
}

static int one_option(struct cli_args *args, int c, const char *word)
{
    switch (c) {
    case OPT_TOKEN:
        return cli_fail(CLI_USAGE, "a token on the command line can be read "
                                   "by everybody here: use ISTHMUS_TOKEN or "
                                   "ISTHMUS_TOKEN_FILE");
    case ':':
        return cli_fail(CLI_USAGE, "option '%s' needs a value", word);
    case '?':
        return unknown(word);
    case 1:
        return add_word(args, optarg);
    default:
        break;
    }
    for (size_t i = 0; i < N_OPTIONS; i++) {
        if (cli_options[i].id == c || (cli_options[i].letter == c && c < 256))
            return take(args, i, optarg);
    }
    return unknown(word);
}

static void defaults(struct cli_args *args)
{
    const char *width = getenv("CLIFF_MAX_TERM_WIDTH");
    const char *fit = getenv("CLIFF_FIT_WIDTH");

    *args = (struct cli_args){
        .format = "table", .quote = "nonnumeric", .prefix = ""};
    ist_sb_init(&args->sites, 0);
    ist_sb_init(&args->sort, 0);
    ist_sb_init(&args->field_names, 0);
    if (width)
        ist_parse_u64(width, 0, 100000, &args->max_width);
    args->fit_width = fit && *fit && strcmp(fit, "0") != 0;
}

int cli_args_parse(struct cli_args *args, int argc, char **argv)
{
    struct option table[N_OPTIONS + 2] = {{0}};
    int rc, c;

    for (size_t i = 0; i < N_OPTIONS; i++)
        table[i] = (struct option){cli_options[i].name,
                                   cli_options[i].arg ? required_argument
                                                      : no_argument,
                                   NULL, cli_options[i].id};
    table[N_OPTIONS] =
        (struct option){"token", optional_argument, NULL, OPT_TOKEN};
    defaults(args);
    rc = check_text(argc, argv);
    opterr = 0;
    optind = 0;
    while (rc == 0) {
        int at = optind ? optind : 1;

        /* '-': words come as options of number 1, in their order. */
        c = getopt_long(argc, argv, "-:hf:c:m:", table, NULL);
        if (c < 0)
            break;
        rc = one_option(args, c, argv[at]);
    }
    while (rc == 0 && optind < argc)
        rc = add_word(args, argv[optind++]);
    return rc;
}

void cli_args_fini(struct cli_args *args)
{
    ist_sb_fini(&args->sites);
    ist_sb_fini(&args->sort);
    ist_sb_fini(&args->field_names);
}

int cli_args_check(const struct cli_args *args, unsigned takers,
                   const char *command)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct cli_option *option = &cli_options[i];

        if ((args->used >> i & 1) && !(option->takers & takers))
            return cli_fail(CLI_USAGE, "'%s' takes no --%s", command,
                            option->name);
    }
    if (args->long_form && args->fields.n)
        return cli_fail(CLI_USAGE, "--long and --fields exclude each other");
    if (args->max_age && args->consistent)
        return cli_fail(CLI_USAGE,
                        "--max-age and --consistent exclude each other");
    return 0;
}
