/* isthmus-agent: the words of its command line. */
#include "agent.h"
#include "keys/keys.h"

#include "base/program.h"

#include <malloc.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

static const struct ist_program_word words[] = {
    {"run", agent_command, "serve the site: --config FILE [--check]"},
    {"keys", keys_command, "make the site's keys, or import the hub's bundle"},
    {"policy", agent_policy_command,
     "test FILE VERB KIND [PROJECT]: what the policy says, and by which rule"},
    {"conf", agent_conf_command,
     "show [--config FILE]: every setting, its value and meaning"},
    {NULL, NULL, NULL},
};

static const struct ist_program program = {
    .name = "isthmus-agent",
    .about = "Joins one OpenStack site to an Isthmus hub. It only dials out, "
             "and\ndoes what the site's policy file allows.",
    .see = "isthmus-agent(8), isthmus-agent.yaml(5)",
    .words = words,
};

int main(int argc, char **argv)
{
    /* Small at a site: few threads for the disk, one heap for all. */
    setenv("UV_THREADPOOL_SIZE", "2", 0);
    mallopt(M_ARENA_MAX, 1);
    if (sodium_init() < 0) {
        fputs("isthmus-agent: libsodium cannot be used here\n", stderr);
        return 1;
    }
    return ist_program_run(&program, argc, argv);
}
