/* The agent daemon: everything of agent/ wired together. */
#ifndef AGENT_H
#define AGENT_H

/* Each returns the exit status: 0, 1 failed, 2 used wrongly. */
int agent_command(int argc, char **argv);        /* run */
int agent_policy_command(int argc, char **argv); /* policy test */
int agent_conf_command(int argc, char **argv);   /* conf show */

#endif
