/* isthmus-hub: the words of its command line. */
#include "admin/commands.h"
#include "hub.h"

#include "base/program.h"

#include <malloc.h>
#include <sodium.h>
#include <stdio.h>

/* An answer takes some hundred KiB. Given back to the system each time and
 * taken again, it costs a page fault for every 4 KiB: a quarter of the time of
 * a page. */
#define HEAP_KEPT  (64 << 20) /* Free at its end before that is given back. */
#define HEAP_LARGE (4 << 20)  /* Blocks from here on are mapped alone. */

static const struct ist_program_word words[] = {
    {"run", hub_command, "serve the merged view: --config FILE [--check]"},
    {"setup", admin_setup_command,
     "make keys, certificates and the broker's definitions"},
    {"site", admin_site_command, "add NAME BUNDLE, list, remove NAME"},
    {"noc", admin_noc_command,
     "add NAME, list, remove NAME: readers of the events of all sites"},
    {"topology", admin_topology_command, "the broker's layout, as JSON"},
    {"conf", hub_conf_command,
     "show [--config FILE]: every setting, its value and meaning"},
    {NULL, NULL, NULL},
};

static const struct ist_program program = {
    .name = "isthmus-hub",
    .about = "Asks many OpenStack sites at once and merges what they answer.",
    .see = "isthmus-hub(8), isthmus-hub.yaml(5)",
    .words = words,
};

int main(int argc, char **argv)
{
    mallopt(M_TRIM_THRESHOLD, HEAP_KEPT);
    mallopt(M_MMAP_THRESHOLD, HEAP_LARGE);
    if (sodium_init() < 0) {
        fputs("isthmus-hub: libsodium cannot be used here\n", stderr);
        return 1;
    }
    return ist_program_run(&program, argc, argv);
}
