/* The agent's identity: its own keys, the hub it trusts, its way to the bus.
 *
 * The state directory holds the key files (codec/keyfile.h) and, after the
 * hub's bundle was imported:
 *
 *   site.bundle    as it was exported
 *   hub.bundle     as it was imported; pins the hub's root key
 *   bus/url, bus/ca.pem, bus/cert.pem: out of it
 *   hub.epoch      highest epoch seen of the hub */
#ifndef KEYS_KEYS_H
#define KEYS_KEYS_H

#include "codec/keyfile.h"
#include "io/pool.h"

#include <limits.h>

/* isthmus-agent keys --state DIR --site NAME [--out FILE] [--renew]
 * isthmus-agent keys --state DIR --import FILE
 * Returns the exit status: 0 done, 1 failed, 2 used wrongly. argv[0] is the
 * word "keys". Uses getopt. */
int keys_command(int argc, char **argv);

struct keys {
    struct ist_keyfile own;
    struct ist_peer hub; /* Joined. Its 'epoch' is what was stored. */
    char federation[IST_KEYFILE_NAME_SIZE];
    char bus_url[1025];
    char bus_ca[PATH_MAX], bus_certificate[PATH_MAX], bus_key[PATH_MAX];
    uint64_t certificate_until_ms, hub_until_ms; /* When these run out. */

    /* Private to keys.c. */
    struct ist_loop *loop;
    uint64_t epoch_stored;
    struct keys_store {
        struct ist_work work;
        char path[PATH_MAX];
        uint64_t epoch;
    } store;
};

/* For the agent at start: loads everything, checks that it is valid now, takes
 * the lock and draws the epoch. 0, or a negative errno with advice in 'err':
 * -ENOENT no keys yet, -ENOTCONN no hub's bundle yet, -EKEYEXPIRED. Blocks. */
int keys_open(const char *dir, struct ist_loop *, struct keys *ret,
              struct ist_err *err);

/* To be called after each message of the hub that opened: stores a risen epoch
 * in the pool. Costs a comparison when it did not rise. */
void keys_heard(struct keys *);

/* True while a store is under way: keys_close() must wait for it. */
bool keys_busy(const struct keys *);
void keys_close(struct keys *);

#endif
