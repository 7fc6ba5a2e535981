/* Rates are differences between two answers; so the first drawing has none,
 * unless it is to be the only one: then it waits for a second answer. */
#include "cli/top.h"

#include "base/clock.h"
#include "cli/out.h"
#include "cli/say.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define INTERVAL_MS 2000
#define RATE_MS     10000 /* Rates are of so long: presence comes in steps. */
#define SAMPLES     16
#define FRAME_LINES 6 /* Of a drawing, beside the rows. */

struct sample {
    json_t *sites; /* Owned: the items of one answer; NULL: none. */
    uint64_t at_ms;
};

struct top {
    struct cli_hub hub;
    const struct cli_args *args;
    const struct cli_format *format;
    struct sample samples[SAMPLES]; /* The newest first. */
    char alarms[160];
    bool on_terminal;
    uint64_t n_drawn;
};

/* Asking */

static void keep(struct top *top, json_t *sites)
{
    json_decref(top->samples[SAMPLES - 1].sites);
    memmove(top->samples + 1, top->samples,
            sizeof(top->samples) - sizeof(top->samples[0]));
    top->samples[0] = (struct sample){sites, ist_clock_wall_ms()};
}

static int get(struct top *top, const char *path, json_t **ret)
{
    long status;
    json_t *body = NULL;
    int rc = cli_hub_get(&top->hub, path, &status, &body);

    if (rc == 0 && status != 200)
        rc = cli_hub_problem(status, body);
    if (rc) {
        json_decref(body);
        body = NULL;
    }
    *ret = body;
    return rc;
}

static int ask_sites(struct top *top)
{
    json_t *body, *items;
    int rc = get(top, "/api/v1/sites", &body);

    if (rc)
        return rc;
    items = json_object_get(body, "items");
    if (json_is_array(items))
        keep(top, json_incref(items));
    json_decref(body);
    return json_is_array(items)
               ? 0
               : cli_fail(CLI_FAILED, "the hub's answer has no sites");
}

static json_int_t count_of(const json_t *counts, const char *state,
                           const char *severity)
{
    return json_integer_value(
        json_object_get(json_object_get(counts, state), severity));
}

/* Of each severity, those that nobody has taken on and those that somebody
 * has. A hub without alarms has a line without them. */
static void ask_alarms(struct top *top)
{
    static const char *const severities[] = {"critical", "major", "minor",
                                             "warning"};
    json_t *body = NULL, *counts;
    size_t len = 0;

    top->alarms[0] = '\0';
    if (get(top, "/api/v1/alarms?limit=1", &body))
        return;
    counts = json_object_get(body, "counts");
    for (size_t i = 0; i < IST_COUNT(severities); i++) {
        json_int_t n = count_of(counts, "new", severities[i]) +
                       count_of(counts, "acknowledged", severities[i]);

        if (n && len < sizeof(top->alarms))
            len += (size_t) snprintf(
                top->alarms + len, sizeof(top->alarms) - len,
                ", %" JSON_INTEGER_FORMAT " %s", n, severities[i]);
    }
    json_decref(body);
}

/* Rows */

static const json_t *find_site(const json_t *sites, const char *name)
{
    const json_t *site;
    size_t i;

    json_array_foreach((json_t *) (uintptr_t) sites, i, site)
    {
        const char *its = json_string_value(json_object_get(site, "name"));

        if (its && strcmp(its, name) == 0)
            return site;
    }
    return NULL;
}

static json_int_t answered(const json_t *site)
{
    return json_integer_value(
        json_object_get(json_object_get(site, "calls"), "answered"));
}

static json_int_t entries(const json_t *site)
{
    return json_integer_value(json_object_get(site, "feed_entries"));
}

/* The oldest sample that is not older than rates may be. */
static const struct sample *base_of(const struct top *top)
{
    const struct sample *base = NULL;

    for (size_t i = 1; i < SAMPLES && top->samples[i].sites; i++) {
        base = &top->samples[i];
        if (top->samples[0].at_ms - base->at_ms >= RATE_MS)
            break;
    }
    return base;
}

/* Per second; null where it cannot be known: an agent that numbers anew. */
static json_t *rate(const struct top *top, const json_t *site,
                    json_int_t (*number)(const json_t *))
{
    const struct sample *base = base_of(top);
    const char *name = json_string_value(json_object_get(site, "name"));
    const json_t *before = base && name ? find_site(base->sites, name) : NULL;
    json_int_t n = before ? number(site) - number(before) : -1;
    double seconds;

    if (n < 0 || top->samples[0].at_ms <= base->at_ms)
        return json_null();
    seconds = (double) (top->samples[0].at_ms - base->at_ms) / 1000.0;
    return json_real((double) (int64_t) ((double) n / seconds * 10.0 + 0.5) /
                     10.0);
}

/* Seconds since it was heard of. */
static json_t *make_seen(const struct top *top, const json_t *site)
{
    const char *text = json_string_value(json_object_get(site, "last_seen"));
    uint64_t ms, now = top->samples[0].at_ms;

    if (!text || !ist_clock_parse(text, &ms))
        return json_null();
    return json_real((double) (now > ms ? (now - ms) / 100 : 0) / 10.0);
}

static json_t *make_entries(const struct top *top, const json_t *site)
{
    return rate(top, site, entries);
}

static json_t *make_calls(const struct top *top, const json_t *site)
{
    return rate(top, site, answered);
}

static json_t *member(const json_t *site, const char *name)
{
    json_t *value = json_object_get(site, name);

    return value ? json_incref(value) : json_null();
}

static json_t *make_age(const struct top *top, const json_t *site)
{
    const json_t *ms = json_object_get(site, "rows_age_ms");

    (void) top;
    return json_is_integer(ms)
               ? json_real((double) (json_integer_value(ms) / 100) / 10.0)
               : json_null();
}

static json_t *make_latency(const struct top *top, const json_t *site)
{
    (void) top;
    return member(json_object_get(site, "calls"), "latency_ms");
}

static json_t *make_failed(const struct top *top, const json_t *site)
{
    (void) top;
    return member(json_object_get(site, "calls"), "failed");
}

static const struct {
    const char *title, *member;
    json_t *(*make)(const struct top *, const json_t *site);
    bool status;
} columns[] = {
    {"Site", "name", NULL, false},
    {"State", "state", NULL, true},
    {"Seen (s)", NULL, make_seen, false},
    {"Rows", "rows", NULL, false},
    {"Age (s)", NULL, make_age, false},
    {"Changes/s", NULL, make_entries, false},
    {"Calls/s", NULL, make_calls, false},
    {"Failed", NULL, make_failed, false},
    {"Latency (ms)", NULL, make_latency, false},
    {"Clock (ms)", "clock_offset_ms", NULL, false},
    {"Agent", "agent_version", NULL, false},
};

static bool is_present(const json_t *site)
{
    const char *state = json_string_value(json_object_get(site, "state"));

    return state && strcmp(state, "present") == 0;
}

static int add_site(const struct top *top, struct cli_table *table,
                    const json_t *site)
{
    json_t *row[IST_COUNT(columns)];

    for (size_t i = 0; i < IST_COUNT(columns); i++)
        row[i] = columns[i].make ? columns[i].make(top, site)
                                 : member(site, columns[i].member);
    return cli_table_add(table, row);
}

/* Those that are not well first: they must not fall off the screen. */
static int add_sites(const struct top *top, struct cli_table *table)
{
    for (int present = 0; present < 2; present++) {
        const json_t *site;
        size_t i;

        json_array_foreach(top->samples[0].sites, i, site)
        {
            if (is_present(site) == (present == 1) &&
                add_site(top, table, site))
                return cli_fail(CLI_FAILED, "out of memory");
        }
    }
    return 0;
}

/* Drawing */

static void put_head(const struct top *top, struct ist_sb *out)
{
    char now[IST_CLOCK_TEXT_SIZE];
    const json_t *site;
    size_t i, n_present = 0, n;

    n = json_array_size(top->samples[0].sites);
    json_array_foreach(top->samples[0].sites, i, site)
    {
        n_present += is_present(site);
    }
    ist_clock_text(top->samples[0].at_ms, now);
    ist_sb_printf(out, "%.19sZ  %zu sites, %zu present", now, n, n_present);
    if (top->alarms[0])
        ist_sb_printf(out, "  alarms: %s", top->alarms + 2);
    else
        ist_sb_puts(out, "  no alarms");
    ist_sb_putc(out, '\n');
}

/* What does not fit is counted in a last line. */
static void cut_rows(struct cli_table *table, size_t *ret_left_out)
{
    struct winsize size;
    size_t room;

    *ret_left_out = 0;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 ||
        size.ws_row <= FRAME_LINES)
        return;
    room = (size_t) size.ws_row - FRAME_LINES;
    while (table->n_rows > room) {
        table->n_rows--;
        for (size_t i = 0; i < table->n_cols; i++)
            json_decref(table->cells[table->n_rows * table->n_cols + i]);
        (*ret_left_out)++;
    }
}

static int fill(const struct top *top, struct cli_table *table)
{
    for (size_t i = 0; i < IST_COUNT(columns); i++) {
        if (cli_table_col(table, columns[i].title, NULL))
            return cli_fail(CLI_FAILED, "out of memory");
        table->cols[i].status = columns[i].status;
    }
    return add_sites(top, table);
}

static int draw(struct top *top)
{
    bool is_table = strcmp(top->args->format, "table") == 0;
    struct cli_table table;
    struct ist_sb out;
    size_t left_out = 0;
    int rc;

    cli_table_init(&table);
    ist_sb_init(&out, 0);
    rc = fill(top, &table);
    if (top->on_terminal)
        ist_sb_puts(&out, "\033[H\033[2J");
    if (is_table)
        put_head(top, &out);
    if (top->on_terminal)
        cut_rows(&table, &left_out);
    if (rc == 0)
        top->format->list(&out, &table, top->args);
    if (left_out)
        ist_sb_printf(&out, "and %zu more, all present\n", left_out);
    if (rc == 0 && (out.rc || fwrite(out.data, 1, out.len, stdout) != out.len ||
                    fflush(stdout)))
        rc = errno == EPIPE
                 ? CLI_FAILED
                 : cli_fail(CLI_FAILED, "cannot write: %s", strerror(errno));
    top->n_drawn++;
    cli_table_fini(&table);
    ist_sb_fini(&out);
    return rc;
}

/* The hub may be away for a while; what was drawn last stands, and says so. */
static bool refresh(struct top *top)
{
    if (ask_sites(top)) {
        printf("what stands above is old; trying again\n");
        fflush(stdout);
        return false;
    }
    ask_alarms(top);
    return true;
}

static int run(struct top *top)
{
    uint64_t count = top->args->count   ? top->args->count
                     : top->on_terminal ? UINT64_MAX
                                        : 1;
    int interval =
        (int) (top->args->interval_ms ? top->args->interval_ms : INTERVAL_MS);
    int rc = ask_sites(top);

    if (rc)
        return rc;
    ask_alarms(top);
    if (top->on_terminal)
        rc = draw(top);
    while (rc == 0 && top->n_drawn < count) {
        poll(NULL, 0, interval); /* An interrupt ends it. */
        if (cli_hub_interrupted())
            break;
        if (refresh(top))
            rc = draw(top);
    }
    return rc;
}

int cli_top(const struct cli_args *args)
{
    struct top top = {.args = args,
                      .format = cli_format_find(args->format, false)};
    int rc = cli_args_check(args, CLI_FOR_ALL | CLI_FOR_TOP, "top");

    if (rc)
        return rc;
    if (args->n_words > 1)
        return cli_fail(CLI_USAGE, "top: '%s' is a word too much",
                        args->words[1]);
    if (!top.format)
        return cli_fail(CLI_USAGE, "format %s is not for lists", args->format);
    top.on_terminal =
        isatty(STDOUT_FILENO) && strcmp(args->format, "table") == 0;
    cli_hub_watch_signals();
    rc = cli_hub_init(&top.hub, args);
    if (rc == 0)
        rc = run(&top);
    for (size_t i = 0; i < SAMPLES; i++)
        json_decref(top.samples[i].sites);
    cli_hub_fini(&top.hub);
    return cli_hub_interrupted() ? CLI_OK : rc;
}
