/* The hub's state directory:
 *
 *   identity, root.key, ...   key files of the hub (codec/keyfile.h); tls.key
 *                             is its key on the bus
 *   hub.json                  what setup was told: word, hosts, port
 *   ca/{bus,http}.{pem,key}   the two private CAs, EC P-256, 10 years
 *   bus/cert.pem              the hub's certificate on the bus, CN hub-<word>
 *   broker/                   for the broker: ca.pem, broker.pem, broker.key,
 *                             definitions.json
 *   http/                     ca.pem, cert.pem, key.pem of the HTTPS server
 *   sites/NAME/               bundle, cert.pem, definitions.json, epoch
 *   noc/NAME/cert.pem         certificates of NOC readers; their keys are not
 *                             kept here
 *   removed/UID               sites that were removed: those keys never again
 */
#ifndef ADMIN_HOME_H
#define ADMIN_HOME_H

#include "base/err.h"
#include "codec/keyfile.h"

#include <limits.h>

struct admin_home {
    struct ist_keyfile keys; /* name is the federation's. */
    char word[20];           /* "h1": in queue names and reply keys. */
    char user[24];           /* "hub-h1": on the broker. */
    char broker_host[256], http_host[256];
    unsigned broker_port;
    char bus_url[1025]; /* For hub and sites. */
    char bus_ca[PATH_MAX], bus_certificate[PATH_MAX], bus_key[PATH_MAX];
    char http_ca[PATH_MAX], http_certificate[PATH_MAX], http_key[PATH_MAX];
    char sites[PATH_MAX];          /* For sites_new(). */
    uint64_t certificate_until_ms; /* Of the hub on the bus. */
};

/* Reads it. 0, or a negative errno with advice: -ENOENT not set up yet. The
 * hub then calls ist_keyfile_check() and ist_keyfile_start() on 'keys'. */
int admin_home_open(const char *dir, struct admin_home *ret,
                    struct ist_err *err);
void admin_home_close(struct admin_home *);

#endif
