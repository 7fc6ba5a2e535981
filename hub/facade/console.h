/* Consoles of servers: noVNC, SPICE, serial. What Nova answers to such a
 * request is an address at the site, which the hub's clients do not reach; so
 * it is refused instead. Pure. */
#ifndef FACADE_CONSOLE_H
#define FACADE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

/* Does a request to the compute service ask for one? By its target, and by the
 * action in its body (Nova's API reference, "servers, run an action"). */
bool facade_is_console(const char *method, const char *target, const void *body,
                       size_t size);

#endif
