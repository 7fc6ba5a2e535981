/* isthmus-agent: the words of its command line. */
#include "agent.h"
#include "keys/keys.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static int help(int argc, char **argv);

static int version(int argc, char **argv)
{
    (void) argc;
    (void) argv;
    puts("isthmus-agent " IST_VERSION);
    return 0;
}

static const struct {
    const char *word;
    int (*run)(int argc, char **argv);
    const char *help;
} words[] = {
    {"run", agent_command, "serve the site: --config FILE [--check]"},
    {"keys", keys_command, "make the site's keys, or import the hub's bundle"},
    {"policy", agent_policy_command,
     "test FILE VERB KIND [PROJECT]: what the policy says, and by which rule"},
    {"conf", agent_conf_command,
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
    puts("Usage: isthmus-agent WORD [OPTIONS]\n"
         "\n"
         "Joins one OpenStack site to an Isthmus hub. It only dials out, and\n"
         "does what the site's policy file allows.\n");
    for (size_t i = 0; i < IST_COUNT(words); i++) {
        if (words[i].help)
            printf("  %-8s %s\n", words[i].word, words[i].help);
    }
    puts("\nisthmus-agent WORD --help says more. See isthmus-agent(8), "
         "isthmus-agent.yaml(5).");
    return 0;
}

int main(int argc, char **argv)
{
    if (sodium_init() < 0) {
        fputs("isthmus-agent: libsodium cannot be used here\n", stderr);
        return 1;
    }
    for (size_t i = 0; argc > 1 && i < IST_COUNT(words); i++) {
        if (strcmp(argv[1], words[i].word) == 0)
            return words[i].run(argc - 1, argv + 1);
    }
    if (argc > 1)
        fprintf(stderr, "isthmus-agent: there is no '%s'\n", argv[1]);
    fputs("isthmus-agent: try 'isthmus-agent --help'\n", stderr);
    return 2;
}
