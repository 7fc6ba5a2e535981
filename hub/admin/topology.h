/* The layout of the broker: exchanges, queues, bindings, permissions, topic
 * permissions and limits, in one table (topology.c). From it come the
 * definitions that RabbitMQ loads and what the permission test expects.
 *
 * Words in the table: <s> a site's name, <h> a hub's word, <n> the number of a
 * connection, <id> of a transfer, <noc> a NOC reader's name. */
#ifndef ADMIN_TOPOLOGY_H
#define ADMIN_TOPOLOGY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define TOPOLOGY_VHOST "/isthmus"

/* Names whose objects and users are wanted. */
struct topology_names {
    const char *const *hubs, *const *sites, *const *nocs;
    size_t n_hubs, n_sites, n_nocs;
};

/* Definitions as RabbitMQ takes them: with 'shared' the vhost and all that is
 * there once, and for each name its user, rights, queues and bindings. A new
 * reference; NULL when memory is out. */
json_t *topology_definitions(const struct topology_names *, bool shared);

/* The table itself, with the words unreplaced and the objects that hubs make
 * at run time. A new reference. */
json_t *topology_table(void);

#endif
