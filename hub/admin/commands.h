/* What an operator does to a hub from its command line, beside running it.
 * The daemon itself never administers the broker: these commands do, by
 * rabbitmqctl on the broker's host.
 *
 * argv[0] is the word of the command ("setup", "site", "noc",
 * "topology"). They
 * return the exit status: 0 done, 1 failed, 2 used wrongly; results go to
 * stdout, complaints to stderr. Each may be repeated without harm. They block,
 * and use getopt. */
#ifndef ADMIN_COMMANDS_H
#define ADMIN_COMMANDS_H

/* isthmus-hub setup --state DIR --federation NAME --broker-host HOST
 *     [--broker-port PORT] [--http-host HOST] [--hub-word WORD] [--renew] */
int admin_setup_command(int argc, char **argv);

/* isthmus-hub site add NAME BUNDLE --state DIR --out FILE
 *     [--rabbitmqctl PATH | --no-broker] [--bus-url URL]
 * isthmus-hub site list --state DIR
 * isthmus-hub site remove NAME --state DIR [--rabbitmqctl PATH | --no-broker]
 */
int admin_site_command(int argc, char **argv);

/* isthmus-hub noc add NAME --state DIR --out FOLDER
 *     [--rabbitmqctl PATH | --no-broker]
 * isthmus-hub noc list --state DIR
 * isthmus-hub noc remove NAME --state DIR [--rabbitmqctl PATH | --no-broker]
 */
int admin_noc_command(int argc, char **argv);

/* isthmus-hub topology [--definitions] [--hub WORD]... [--site NAME]...
 *     [--noc NAME]...: the layout of the broker, as JSON. */
int admin_topology_command(int argc, char **argv);

#endif
