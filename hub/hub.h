/* The hub daemon: everything of hub/ wired together. */
#ifndef HUB_H
#define HUB_H

/* Each returns the exit status: 0, 1 failed, 2 used wrongly. */
int hub_command(int argc, char **argv);      /* run */
int hub_conf_command(int argc, char **argv); /* conf show */

#endif
