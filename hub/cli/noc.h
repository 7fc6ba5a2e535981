/* What 'isthmus-hub noc add' hands out: where the NOC's stream is, what lets a
 * console in, and the hub's root key, by which a message is known for the
 * hub's (isthmus-events(7)). */
#ifndef CLI_NOC_H
#define CLI_NOC_H

#include "bus/bus.h"

#include <limits.h>
#include <sodium.h>
#include <stdbool.h>

struct cli_noc {
    char url[1100], queue[256];
    char ca[PATH_MAX], certificate[PATH_MAX], key[PATH_MAX]; /* Files. */

    /* Private to noc.c. */
    uint8_t root[crypto_sign_PUBLICKEYBYTES];
    char delegation[1400]; /* The last one that was verified, in base64, */
    uint8_t signer[crypto_sign_PUBLICKEYBYTES]; /* and its key. */
};

/* Says what is wrong and returns enum cli_exit; else 0. */
int cli_noc_read(struct cli_noc *, const char *folder);

/* Was the message signed by a key that the hub's root key lets speak? */
bool cli_noc_verify(struct cli_noc *, const struct ist_bus_message *);

#endif
