/* sim: hub and agents on a virtual clock, from seeds.
 *
 *   sim --seeds 1000 [--from N] [--jobs J]   many runs; stops at a violation
 *   sim --seed N [--trace]                   one run, told step by step
 *   sim --feeds ...                          with feeds and the hub's view
 *   sim --twice --seeds N                    each twice: same trace?
 *   sim --mutant NAME --seeds N              must find the planted bug */
#include "base/id.h"
#include "base/log.h"
#include "base/mutant.h"
#include "federation.h"
#include "run.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef IST_MUTANTS
const char *ist_mutant;
#endif

struct options {
    struct run_options run;
    uint64_t from, seeds, jobs;
    void (*play)(const struct run_options *, struct run_result *);
    bool twice, one;
    const char *mutant;
};

static void usage(void)
{
    fputs("Usage: sim [--seeds N] [--from N] [--jobs J] [--sites N] [--feeds] "
          "[--twice] "
          "[--mutant NAME]\n"
          "       sim --seed N [--trace]\n",
          stderr);
    exit(2);
}

static struct options parse(int argc, char **argv)
{
    static const struct option rows[] = {
        {"seeds", required_argument, NULL, 'n'},
        {"seed", required_argument, NULL, 's'},
        {"from", required_argument, NULL, 'f'},
        {"jobs", required_argument, NULL, 'j'},
        {"sites", required_argument, NULL, 'i'},
        {"mutant", required_argument, NULL, 'm'},
        {"twice", no_argument, NULL, 't'},
        {"feeds", no_argument, NULL, 'F'},
        {"trace", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    struct options o = {.play = run_once,
                        .run = {.n_sites = 100},
                        .from = 1,
                        .seeds = 100,
                        .jobs = 1};
    int c;

    while ((c = getopt_long(argc, argv, "", rows, NULL)) != -1) {
        switch (c) {
        case 'n':
            o.seeds = strtoull(optarg, NULL, 10);
            break;
        case 's':
            o.from = strtoull(optarg, NULL, 10);
            o.seeds = 1;
            o.one = true;
            break;
        case 'f':
            o.from = strtoull(optarg, NULL, 10);
            break;
        case 'j':
            o.jobs = strtoull(optarg, NULL, 10);
            break;
        case 'i':
            o.run.n_sites = (uint32_t) strtoul(optarg, NULL, 10);
            break;
        case 'm':
            o.mutant = optarg;
            break;
        case 'F':
            o.play = run_feeds;
            break;
        case 't':
            o.twice = true;
            break;
        case 'v':
            o.run.trace = true;
            break;
        default:
            usage();
        }
    }
    if (optind != argc || o.run.n_sites < 1 ||
        o.run.n_sites > WORLD_SITES_MAX || o.jobs < 1)
        usage();
    return o;
}

static bool same_again(struct options *o, const struct run_result *first)
{
    struct run_result again;

    o->play(&o->run, &again);
    return memcmp(first->hash, again.hash, sizeof(again.hash)) == 0;
}

/* Every job takes each jobs-th seed. Returns the number of violations. */
static int run_share(struct options *o, uint64_t share)
{
    struct run_result total = {0}, r;
    char hex[65];

    for (uint64_t i = share; i < o->seeds; i += o->jobs) {
        o->run.seed = o->from + i;
        o->play(&o->run, &r);
        total.n_surveys += r.n_surveys;
        total.n_partial += r.n_partial;
        total.n_rows += r.n_rows;
        total.n_messages += r.n_messages;
        total.n_replayed += r.n_replayed;
        total.n_changes += r.n_changes;
        total.n_news += r.n_news;
        total.n_gaps += r.n_gaps;
        if (!r.violation[0] && o->twice && !same_again(o, &r))
            snprintf(r.violation, sizeof(r.violation),
                     "the same seed gave another trace");
        if (r.violation[0]) {
            printf("seed %" PRIu64 ": %s\n", o->run.seed, r.violation);
            return 1;
        }
        if (o->one)
            printf("trace %s\n", ist_hex(r.hash, sizeof(r.hash), hex));
    }
    printf("%" PRIu64 " answers (%" PRIu64 " partial), %" PRIu64
           " rows, %" PRIu64 " messages, %" PRIu64 " played again\n",
           total.n_surveys, total.n_partial, total.n_rows, total.n_messages,
           total.n_replayed);
    if (total.n_changes)
        printf("%" PRIu64 " changes at the sites, %" PRIu64 " news, %" PRIu64
               " gaps\n",
               total.n_changes, total.n_news, total.n_gaps);
    return 0;
}

static int run_jobs(struct options *o)
{
    int n_bad = 0, status;

    if (o->jobs == 1)
        return run_share(o, 0);
    fflush(stdout);
    for (uint64_t j = 0; j < o->jobs; j++) {
        if (fork() == 0) {
            int rc = run_share(o, j);

            fflush(stdout);
            _exit(rc);
        }
    }
    while (wait(&status) > 0)
        n_bad += status != 0;
    return n_bad;
}

int main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    int n_bad;

    if (sodium_init() < 0)
        return 1;
    ist_log_level_set(IST_LOG_ERROR);
    federation_make_keys(o.run.n_sites);
#ifdef IST_MUTANTS
    ist_mutant = o.mutant;
#else
    if (o.mutant) {
        fputs("sim: this build has no mutants, sim_mutants has\n", stderr);
        return 2;
    }
#endif
    n_bad = run_jobs(&o);
    if (o.mutant) {
        printf("%s: %s\n", o.mutant, n_bad ? "caught" : "NOT CAUGHT");
        return n_bad ? 0 : 1;
    }
    return n_bad ? 1 : 0;
}
