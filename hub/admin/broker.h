/* The broker's administration, by its own tool. No shell is involved, and
 * names go as arguments of their own. */
#ifndef ADMIN_BROKER_H
#define ADMIN_BROKER_H

#include "admin/home.h"
#include "base/err.h"

#include <jansson.h>

#define BROKER_TIMEOUT_MS 60000 /* Of one call; then it is killed. */
#define BROKER_OUTPUT_MAX (4 * 1024 * 1024) /* Bytes kept; more is -EFBIG. */

/* Writes DIR/broker/definitions.json anew: all that a broker without memory
 * needs, with the sites and NOC readers that are under DIR now. */
int broker_write_definitions(const struct admin_home *, struct ist_err *err);

/* Imports what one site, one NOC reader needs, then looks whether user and
 * queues are there. -ETIMEDOUT: not after five looks. */
int broker_add_site(const char *rabbitmqctl, const char *name,
                    const json_t *definitions, struct ist_err *err);
int broker_add_noc(const char *rabbitmqctl, const char *user,
                   const json_t *definitions, struct ist_err *err);

/* Deletes user and queues; its connections end at once. What is not there is
 * fine. */
int broker_remove_site(const char *rabbitmqctl, const char *name,
                       struct ist_err *err);
int broker_remove_noc(const char *rabbitmqctl, const char *user,
                      struct ist_err *err);

#endif
