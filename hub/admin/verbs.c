#include "admin/verbs.h"

#include "base/clock.h"
#include "base/parse.h"
#include "codec/bundle.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static int misuse(const struct admin_verbs *verbs, const char *why)
{
    fprintf(stderr, "isthmus-hub %s: %s\n\n%s", verbs->command, why,
            verbs->usage);
    return 2;
}

static int which_verb(const struct admin_verbs *verbs)
{
    char why[64] = "";

    for (size_t i = 0; i < verbs->n; i++) {
        size_t len = strlen(why);

        snprintf(why + len, sizeof(why) - len, "%s%s",
                 i == 0              ? ""
                 : i + 1 == verbs->n ? " or "
                                     : ", ",
                 verbs->all[i].name);
    }
    snprintf(why + strlen(why), sizeof(why) - strlen(why), "?");
    return misuse(verbs, why);
}

static const struct admin_verb *find_verb(const struct admin_verbs *verbs,
                                          const char *name)
{
    for (size_t i = 0; i < verbs->n; i++) {
        if (strcmp(verbs->all[i].name, name) == 0)
            return &verbs->all[i];
    }
    return NULL;
}

static int check(const struct admin_verbs *verbs, const struct admin_verb *verb,
                 const struct admin_request *request)
{
    if (request->name && !ist_parse_site_name(request->name))
        return misuse(verbs, "a name has 2 to 32 of a-z, 0-9 and '-', and is "
                             "none of the bus's own words");
    if (!request->dir)
        return misuse(verbs, "--state is needed");
    if (verb->has_out && !request->out)
        return misuse(verbs, "--out is needed");
    if (!verb->has_out && request->out)
        return misuse(verbs, "--out is for add");
    if (request->bus_url && !verbs->has_bus_url)
        return misuse(verbs, "--bus-url is not for this command");
    if (request->bus_url && !ist_bundle_url_ok(request->bus_url))
        return misuse(verbs, "--bus-url: amqps://HOST[:PORT][/VHOST], without "
                             "user and password");
    if (request->rabbitmqctl && request->no_broker)
        return misuse(verbs,
                      "--rabbitmqctl and --no-broker exclude each other");
    return 0;
}

static int run(const struct admin_verb *verb,
               const struct admin_request *request)
{
    struct admin_home home;
    struct ist_err err;
    int rc = admin_home_open(request->dir, &home, &err);

    if (rc)
        return admin_complain(&err);

    IST_CLEANUP(admin_unlock)
    int lock = admin_lock(home.keys.dir, &err);

    rc = lock < 0 ? lock : verb->run(&home, request, &err);
    admin_home_close(&home);
    return rc ? admin_complain(&err) : 0;
}

int admin_verbs_command(const struct admin_verbs *verbs, int argc, char **argv)
{
    static const struct option options[] = {
        {"state", required_argument, NULL, 's'},
        {"out", required_argument, NULL, 'o'},
        {"rabbitmqctl", required_argument, NULL, 'c'},
        {"no-broker", no_argument, NULL, 'n'},
        {"bus-url", required_argument, NULL, 'u'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct admin_request request = {.now_ms = ist_clock_wall_ms()};
    const struct admin_verb *verb;
    int c, rc;

    optind = 0;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 's':
            request.dir = optarg;
            break;
        case 'o':
            request.out = optarg;
            break;
        case 'c':
            request.rabbitmqctl = optarg;
            break;
        case 'n':
            request.no_broker = true;
            break;
        case 'u':
            request.bus_url = optarg;
            break;
        case 'h':
            fputs(verbs->usage, stdout);
            return 0;
        default:
            return misuse(verbs, "unknown option, or one without its value");
        }
    }
    verb = optind < argc ? find_verb(verbs, argv[optind]) : NULL;
    if (!verb)
        return which_verb(verbs);
    if (argc - optind - 1 != verb->n_words)
        return misuse(verbs, verb->words);
    if (verb->n_words > 0)
        request.name = argv[optind + 1];
    if (verb->n_words > 1)
        request.bundle = argv[optind + 2];
    rc = check(verbs, verb, &request);
    if (rc)
        return rc;
    if (!request.rabbitmqctl)
        request.rabbitmqctl = "rabbitmqctl";
    return run(verb, &request);
}
