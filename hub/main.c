/* isthmus-hub: the words of its command line. */
#include "admin/commands.h"
#include "hub.h"

#include "base/scope.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static int help(int argc, char **argv);

static int version(int argc, char **argv)
{
    (void) argc;
    (void) argv;
    puts("isthmus-hub " IST_VERSION);
    return 0;
}

static const struct {
    const char *word;
    int (*run)(int argc, char **argv);
    const char *help;
} words[] = {
    {"run", hub_command, "serve the merged view: --config FILE [--check]"},
    {"setup", admin_setup_command,
     "make keys, certificates and the broker's definitions"},
    {"site", admin_site_command, "add NAME BUNDLE, list, remove NAME"},
    {"topology", admin_topology_command, "the broker's layout, as JSON"},
    {"conf", hub_conf_command,
     "show [--config FILE]: every setting, its value and meaning"},
    {"--version", version, NULL},
    {"help", help, NULL},
    {"--help", help, NULL},
    {"-h", help, NULL},
};

static int help(int argc, char **argv)
{
    (void) argc;
    (void) argv;
    puts("Usage: isthmus-hub WORD [OPTIONS]\n"
         "\n"
         "Asks many OpenStack sites at once and merges what they answer.\n");
    for (size_t i = 0; i < IST_COUNT(words); i++) {
        if (words[i].help)
            printf("  %-9s %s\n", words[i].word, words[i].help);
    }
    puts("\nisthmus-hub WORD --help says more. See isthmus-hub(8), "
         "isthmus-hub.yaml(5).");
    return 0;
}

int main(int argc, char **argv)
{
    if (sodium_init() < 0) {
        fputs("isthmus-hub: libsodium cannot be used here\n", stderr);
        return 1;
    }
    for (size_t i = 0; argc > 1 && i < IST_COUNT(words); i++) {
        if (strcmp(argv[1], words[i].word) == 0)
            return words[i].run(argc - 1, argv + 1);
    }
    if (argc > 1)
        fprintf(stderr, "isthmus-hub: there is no '%s'\n", argv[1]);
    fputs("isthmus-hub: try 'isthmus-hub --help'\n", stderr);
    return 2;
}
