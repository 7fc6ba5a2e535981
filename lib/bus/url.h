/* Where a broker is: amqps://[user:password@]host[:port][/vhost], or
 * amqp://user:password@host[:port][/vhost]. The host may be a
 * name, an IPv4 address, or an IPv6 address in brackets. Everything may be
 * percent-encoded. Without a path the virtual host is "/". Source: RabbitMQ
 * URI specification; its query parameters are not taken. */
#ifndef BUS_URL_H
#define BUS_URL_H

#include "base/err.h"

#include <stdint.h>

#define IST_BUS_URL_MAX 8 /* In one list; more is an error. */

struct ist_bus_url {
    bool is_tls;
    uint16_t port;
    char host[256], vhost[256];
    char user[256], password[256]; /* "": the certificate says. */
};

/* All of a comma-separated list, of one scheme: their number, or -EINVAL with
 * 'err' filled. The error never quotes the text: there may be a password. */
int ist_bus_url_parse(const char *text, struct ist_bus_url *ret,
                      struct ist_err *err);

#endif
