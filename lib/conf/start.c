#include "conf/start.h"

#include "base/log.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static void print_help(const struct ist_start *start, const char *word)
{
    printf("Usage: %s %s [--config FILE] [--check]\n"
           "  --config FILE  default %s\n"
           "  --check        read the configuration, say what is wrong, and "
           "end\n",
           start->program, word, start->fallback);
}

int ist_start_parse(struct ist_start *start, int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check", no_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c;

    start->config = start->fallback;
    start->check = false;
    optind = 1;
    while ((c = getopt_long(argc, argv, "c:nh", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            start->config = optarg;
            break;
        case 'n':
            start->check = true;
            break;
        case 'h':
            print_help(start, argv[0]);
            return 0;
        default:
            return 2;
        }
    }
    if (optind == argc)
        return -1;
    fprintf(stderr, "%s: '%s' is not understood here\n", start->program,
            argv[optind]);
    return 2;
}

int ist_start_load(const struct ist_start *start,
                   const struct ist_conf_table *tables, size_t n_tables)
{
    struct ist_conf_report report;
    struct ist_err err;
    int rc;

    ist_conf_report_init(&report);
    rc = ist_conf_load(start->config, tables, n_tables, &report, &err);
    if (report.text.len)
        fputs(ist_sb_text(&report.text), stderr);
    else if (rc)
        fprintf(stderr, "%s: %s\n", start->program, err.text);
    ist_conf_report_fini(&report);
    return rc;
}

int ist_start_log_level(const struct ist_start *start, const char *word)
{
    enum ist_log_level level;

    if (!ist_log_level_parse(word, &level)) {
        fprintf(stderr,
                "%s: log.level: '%.20s' is none of error, warn, info, debug\n",
                start->program, word);
        return -EINVAL;
    }
    ist_log_level_set(level);
    return 0;
}

int ist_start_show(struct ist_start *start, const struct ist_conf_table *tables,
                   size_t n_tables, int argc, char **argv)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb out;
    int rc;

    ist_sb_init(&out, 0);
    if (argc < 2 || strcmp(argv[1], "show") != 0) {
        fprintf(stderr, "Usage: %s conf show [--config FILE]\n",
                start->program);
        return 2;
    }
    rc = ist_start_parse(start, argc - 1, argv + 1);
    if (rc >= 0)
        return rc;
    if (ist_start_load(start, tables, n_tables))
        return 1;
    ist_conf_show(tables, n_tables, true, &out);
    fputs(ist_sb_text(&out), stdout);
    ist_conf_free(tables, n_tables);
    return 0;
}
