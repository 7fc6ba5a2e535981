/* Three engines for the hub's view, measured on one job (view_engine.h).
 *
 *   bench_view_engines [--rows N] [--changes N] [--seed N] [--engine NAME]
 *                      [--dir DIR] [--json]
 *
 * Each engine has three processes of its own, one after the other. The first
 * fills, changes and reads, then ends as if killed; the second opens what is
 * there, looks whether all of it is there, and closes; the third opens again,
 * with none of the files in the page cache. All three engines must have given
 * the same rows for every page and every lookup: else the exit status is 1.
 *
 * Files go to a new folder in DIR, /var/tmp when not given: on the disk that is
 * meant, for every change waits for a flush. They are removed. */
#include "view_engines.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/rand.h"
#include "view_engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BATCH       500
#define PAGE        100
#define CHECKS      500 /* Reads that are done before the kill and after. */
#define DELETES_PCT 10

static const struct ve_engine *const engines[] = {&ve_memory, &ve_lmdb,
                                                  &ve_sqlite};

struct bench {
    const struct ve_engine *engine;
    const struct ve_bench_conf *conf;
    void *self;
    struct ve_result *result;

    /* What a read gave, copied as an answer to a client would be. */
    char *got;
    size_t got_len, got_rows;

    uint64_t *samples[VE_SERIES];
    size_t n_samples[VE_SERIES];
};

#define GOT_MAX (1U << 20)

/* Samples */

static void sample(struct bench *b, enum ve_series series, uint64_t ns)
{
    b->samples[series][b->n_samples[series]++] = ns;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

    return (x > y) - (x < y);
}

static void finish_samples(struct bench *b)
{
    for (int i = 0; i < VE_SERIES; i++) {
        size_t n = b->n_samples[i];

        if (n == 0)
            continue;
        qsort(b->samples[i], n, sizeof(uint64_t), by_size);
        b->result->series[i].p50_ns = b->samples[i][n / 2];
        b->result->series[i].p99_ns = b->samples[i][n * 99 / 100];
        b->result->series[i].n = n;
    }
}

/* Reading, and remembering what came */

static void copy(struct bench *b, const void *data, size_t size)
{
    if (b->got_len + size > GOT_MAX)
        ve_die("an answer over %u bytes", GOT_MAX);
    memcpy(b->got + b->got_len, data, size);
    b->got_len += size;
}

static void take_row(void *arg, const char *site, const struct ist_bytes *id,
                     const struct ist_bytes *body)
{
    struct bench *b = arg;

    copy(b, site, strlen(site) + 1);
    copy(b, id->data, id->size);
    copy(b, body->data, body->size);
    b->got_rows++;
}

static void got_begin(struct bench *b)
{
    b->got_len = b->got_rows = 0;
}

/* Outside of what is timed. */
static void got_end(struct bench *b)
{
    uint64_t sum = 0xCBF29CE484222325U;

    for (size_t i = 0; i < b->got_len; i++)
        sum = (sum ^ (uint8_t) b->got[i]) * 0x100000001B3U;
    if (b->result->n_answers == VE_ANSWERS_MAX)
        ve_die("more than %d answers", VE_ANSWERS_MAX);
    b->result->answers[b->result->n_answers++] = sum;
    b->result->n_rows_read += b->got_rows;
}

static uint64_t any_row(const struct bench *b)
{
    return ist_rand_below(b->conf->rows);
}

/* Tenants: half of the pages are of the one that has most rows. */
static uint64_t any_row_of_tenant(const struct bench *b)
{
    bool big = ist_rand_below(2) == 0;
    uint64_t n;

    do {
        n = any_row(b);
    } while (ve_is_of_big(b->conf->seed, n) != big);
    return n;
}

static void read_page(struct bench *b, enum ve_series series,
                      enum ve_member member)
{
    bool of_tenant = series == VE_TENANT_FIRST || series == VE_TENANT_DEEP;
    bool is_deep = series == VE_TENANT_DEEP || series == VE_ALL_DEEP;
    uint64_t n = of_tenant ? any_row_of_tenant(b) : any_row(b), began;
    struct ve_text text;
    struct ve_row row;
    struct ve_query query = {
        .member = member,
        .descending = member == VE_CREATED || member == VE_UPDATED,
        .limit = PAGE,
    };

    ve_make(&text, b->conf->seed, n, 0, &row);
    query.project = of_tenant ? &row.project : NULL;
    query.after = is_deep ? &row : NULL;
    got_begin(b);
    began = ist_clock_mono_ns();
    b->engine->page(b->self, &query, take_row, b);
    sample(b, series, ist_clock_mono_ns() - began);
    got_end(b);
}

static void read_lookup(struct bench *b)
{
    struct ve_text text;
    struct ve_row row;
    uint64_t began;

    ve_make(&text, b->conf->seed, any_row(b), 0, &row);
    got_begin(b);
    began = ist_clock_mono_ns();
    b->engine->lookup(b->self, &row.keys[VE_ID], take_row, b);
    sample(b, VE_LOOKUP, ist_clock_mono_ns() - began);
    got_end(b);
}

/* Every kind of page by every member comes in turn. */
static void read_some(struct bench *b, uint64_t turn)
{
    static const enum ve_series pages[] = {VE_TENANT_FIRST, VE_TENANT_DEEP,
                                           VE_ALL_FIRST, VE_ALL_DEEP};

    read_page(b, pages[turn % IST_COUNT(pages)],
              (enum ve_member)(turn / IST_COUNT(pages) % VE_MEMBERS));
    read_lookup(b);
}

/* The same reads whenever it is called. */
static void check(struct bench *b)
{
    ist_rand_plant(b->conf->seed + 1);
    for (uint64_t i = 0; i < CHECKS; i++)
        read_some(b, i);
}

/* Writing */

static void fill(struct bench *b)
{
    struct ve_change *changes = calloc(BATCH, sizeof(*changes));
    struct ve_text *texts = calloc(BATCH, sizeof(*texts));
    uint64_t began, n = 0;
    size_t i;

    if (!changes || !texts)
        ve_die("out of memory");
    while (n < b->conf->rows) {
        for (i = 0; i < BATCH && n < b->conf->rows; i++, n++)
            ve_make(&texts[i], b->conf->seed, n, 0, &changes[i].row);
        began = ist_clock_mono_ns();
        b->engine->write(b->self, changes, i);
        b->result->fill_ns += ist_clock_mono_ns() - began;
    }
    began = ist_clock_mono_ns();
    b->engine->settle(b->self);
    b->result->settle_ns = ist_clock_mono_ns() - began;
    free(changes);
    free(texts);
}

static void change(struct bench *b, uint64_t version)
{
    struct ve_change change = {.is_delete = ist_rand_below(100) < DELETES_PCT};
    struct ve_text text;
    uint64_t began;

    ve_make(&text, b->conf->seed, any_row(b), version, &change.row);
    began = ist_clock_mono_ns();
    b->engine->write(b->self, &change, 1);
    sample(b, VE_CHANGE, ist_clock_mono_ns() - began);
}

/* The three processes */

static void run_filling(struct bench *b)
{
    uint64_t before = ve_written();

    b->self = b->engine->open(b->conf->dir, b->conf->rows);
    fill(b);
    b->result->written = ve_written() - before;
    ve_memory_of_self(&b->result->anonymous, &b->result->mapped);
    ist_rand_plant(b->conf->seed);
    before = ve_written();
    for (uint64_t i = 0; i < b->conf->changes; i++) {
        change(b, i + 1);
        read_some(b, i);
    }
    b->result->changes_written = ve_written() - before;
    ve_memory_of_self(&b->result->anonymous_end, &b->result->mapped_end);
    finish_samples(b);
    b->result->n_checks = CHECKS * 2;
    check(b);
    /* Not closed: as if killed. */
}

/* Until the page that a client sees first. */
static void open_to_first_page(struct bench *b)
{
    struct ve_query query = {
        .member = VE_CREATED, .descending = true, .limit = PAGE};
    uint64_t began = ist_clock_mono_ns();

    b->self = b->engine->open(b->conf->dir, b->conf->rows);
    got_begin(b);
    b->engine->page(b->self, &query, take_row, b);
    b->result->restart_ns = ist_clock_mono_ns() - began;
    got_end(b);
}

static void run_killed(struct bench *b)
{
    open_to_first_page(b);
    check(b);
    b->engine->close(b->self);
    b->result->disk = ve_disk_used(b->conf->dir);
}

static void run_closed(struct bench *b)
{
    ve_forget_cached(b->conf->dir);
    open_to_first_page(b);
    b->engine->close(b->self);
}

static void (*const runs[VE_RUNS])(struct bench *) = {run_filling, run_killed,
                                                      run_closed};

static void run_child(const struct ve_engine *engine,
                      const struct ve_bench_conf *conf, int run,
                      struct ve_result *result)
{
    struct bench b = {.engine = engine, .conf = conf, .result = result};

    b.got = malloc(GOT_MAX);
    for (int i = 0; i < VE_SERIES; i++) {
        b.samples[i] = calloc(conf->changes + 2 * CHECKS, sizeof(uint64_t));
        if (!b.got || !b.samples[i])
            ve_die("out of memory");
    }
    runs[run](&b);
    fflush(NULL);
    _exit(0);
}

/* The result is in memory that is shared with the child. */
static void run_one(const struct ve_engine *engine,
                    const struct ve_bench_conf *conf, int run,
                    struct ve_result *result)
{
    int status;
    pid_t pid = fork();

    if (pid < 0)
        ve_die("fork: %m");
    if (pid == 0)
        run_child(engine, conf, run, result);
    if (waitpid(pid, &status, 0) != pid || status != 0)
        ve_die("%s: process %d ended with status %#x", engine->name, run + 1,
               (unsigned) status);
}

/* Do they agree? */

static bool is_equal(const char *what, const uint64_t *a, size_t n_a,
                     const uint64_t *b, size_t n_b)
{
    if (n_a != n_b) {
        fprintf(stderr, "%s: %zu answers against %zu\n", what, n_b, n_a);
        return false;
    }
    for (size_t i = 0; i < n_a; i++) {
        if (a[i] != b[i]) {
            fprintf(stderr, "%s: answer %zu of %zu differs\n", what, i + 1,
                    n_a);
            return false;
        }
    }
    return true;
}

/* Nothing that was written before the kill is missing after it. */
static bool has_all(const char *name, const struct ve_result *results)
{
    const struct ve_result *before = &results[0], *after = &results[1];
    char what[64];

    snprintf(what, sizeof(what), "%s, after a kill", name);
    return is_equal(what,
                    before->answers + before->n_answers - before->n_checks,
                    before->n_checks, after->answers + 1, after->n_answers - 1);
}

static bool agrees(const char *name, const char *first_name,
                   const struct ve_result *first,
                   const struct ve_result *results)
{
    bool ok = true;
    char what[64];

    snprintf(what, sizeof(what), "%s against %s", name, first_name);
    for (int i = 0; i < VE_RUNS; i++)
        ok = is_equal(what, first[i].answers, first[i].n_answers,
                      results[i].answers, results[i].n_answers) &&
             ok;
    return ok;
}

/* Pages over all are full ones, whatever was deleted. */
static bool has_read(const char *name, const struct ve_bench_conf *conf,
                     const struct ve_result *results)
{
    uint64_t least = conf->changes / 4 * PAGE;

    if (results[0].n_rows_read >= least)
        return true;
    fprintf(stderr, "%s: read %" PRIu64 " rows, fewer than %" PRIu64 "\n", name,
            results[0].n_rows_read, least);
    return false;
}

static int run_all(struct ve_bench_conf *conf, const char *only,
                   struct ve_result *results)
{
    const struct ve_engine *ran[IST_COUNT(engines)];
    const char *parent = conf->dir;
    size_t n = 0;
    bool ok = true;

    for (size_t i = 0; i < IST_COUNT(engines); i++) {
        struct ve_result *of = results + n * VE_RUNS;
        char dir[4096];

        if (only && strcmp(only, engines[i]->name) != 0)
            continue;
        ve_make_dir(dir, sizeof(dir), parent);
        conf->dir = dir;
        for (int run = 0; run < VE_RUNS; run++)
            run_one(engines[i], conf, run, &of[run]);
        ve_remove_dir(dir);
        ok = has_all(engines[i]->name, of) && ok;
        ok = has_read(engines[i]->name, conf, of) && ok;
        ok = agrees(engines[i]->name, engines[0]->name, results, of) && ok;
        ran[n++] = engines[i];
    }
    conf->dir = parent;
    if (n == 0)
        ve_die("there is no engine '%s'", only);
    ve_report(conf, ran, n, results, ok);
    return ok ? 0 : 1;
}

static _Noreturn void usage(void)
{
    fputs("usage: bench_view_engines [--rows N] [--changes N] [--seed N]\n"
          "                          [--engine memory|lmdb|sqlite] "
          "[--dir DIR] [--json]\n",
          stderr);
    exit(2);
}

/* Takes an option's number from the next argument. */
static bool take_number(char **argv, int *i, const char *name, uint64_t max,
                        uint64_t *ret)
{
    if (strcmp(argv[*i], name) != 0)
        return false;
    if (!argv[*i + 1] || !ist_parse_u64(argv[++*i], 1, max, ret))
        usage();
    return true;
}

static bool take_text(char **argv, int *i, const char *name, const char **ret)
{
    if (strcmp(argv[*i], name) != 0)
        return false;
    if (!argv[*i + 1])
        usage();
    *ret = argv[++*i];
    return true;
}

int main(int argc, char **argv)
{
    struct ve_bench_conf conf = {
        .rows = 1000000, .changes = 10000, .seed = 1, .dir = "/var/tmp"};
    const char *only = NULL;

    for (int i = 1; i < argc; i++) {
        if (take_number(argv, &i, "--rows", 10000000, &conf.rows) ||
            take_number(argv, &i, "--changes", VE_CHANGES_MAX, &conf.changes) ||
            take_number(argv, &i, "--seed", UINT32_MAX, &conf.seed) ||
            take_text(argv, &i, "--engine", &only) ||
            take_text(argv, &i, "--dir", &conf.dir))
            continue;
        if (strcmp(argv[i], "--json") != 0)
            usage();
        conf.json = true;
    }
    conf.flush_ns = ve_flush_floor(conf.dir);
    return run_all(
        &conf, only,
        ve_shared(IST_COUNT(engines) * VE_RUNS * sizeof(struct ve_result)));
}
