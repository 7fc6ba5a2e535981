/* The keys of a principal, in its state directory (mode 0700):
 *
 *   identity    role, name and uid, JSON
 *   root.key    Ed25519 seed, secret. Signs delegations and nothing else, so
 *               that it may be moved offline, and back to renew
 *   root.pub    its public half
 *   online.key  seed of the signing key and the sealing key, secret; with
 *               their delegation, signed by the root: serial, 90 days, kinds
 *               of the role. One file, so that they change together
 *   tls.key     EC P-256, secret: for the connection to the bus
 *   epoch       rises with every start
 *
 * All but 'identity' and 'epoch' are armoured (codec/armour.h) or PEM. Every
 * file is written whole or not at all. Functions return 0 or a negative errno
 * with 'err' filled; they block on the disk. */
#ifndef CODEC_KEYFILE_H
#define CODEC_KEYFILE_H

#include "base/err.h"
#include "codec/delegation.h"
#include "codec/seal.h"

#include <limits.h>

#define IST_KEYFILE_NAME_SIZE 64 /* A site's name, a federation's. */

struct ist_keyfile {
    char dir[PATH_MAX];
    enum ist_role role;
    char name[IST_KEYFILE_NAME_SIZE];
    uint8_t root[crypto_sign_PUBLICKEYBYTES];
    struct ist_self self; /* 'epoch' is 0 until ist_keyfile_start(). */
    struct ist_delegation delegation;
    char signed_delegation[IST_DELEGATION_SIZE_MAX];
    size_t signed_size;
    int running; /* Lock held since ist_keyfile_start(), or -1. */
};

/* A federation's name: ^[a-z0-9][a-z0-9.-]{0,61}[a-z0-9]$. */
bool ist_keyfile_federation_ok(const char *name);

/* Makes what is missing of the above and loads it all: a second call changes
 * nothing. -EEXIST: the directory belongs to another name or role, which the
 * text names. -ENOKEY: files are missing that cannot be made again. */
int ist_keyfile_make(const char *dir, enum ist_role, const char *name,
                     uint64_t now_ms, struct ist_keyfile *ret,
                     struct ist_err *err);

/* Loads and cross-checks: keys fit the delegation, that fits the root. It may
 * have run out: ist_keyfile_check() says. -ENOENT: there is none here. */
int ist_keyfile_load(const char *dir, struct ist_keyfile *ret,
                     struct ist_err *err);

/* Is the delegation valid now? -EKEYEXPIRED with advice. */
int ist_keyfile_check(const struct ist_keyfile *, uint64_t now_ms,
                      struct ist_err *err);

/* Makes new online keys and a delegation of the next serial. The peers must
 * be given a new bundle. -ENOKEY: the root key is not here. */
int ist_keyfile_renew(struct ist_keyfile *, uint64_t now_ms,
                      struct ist_err *err);

/* For a daemon, once per process: takes the lock that keeps a second one off
 * the same directory (-EBUSY), and draws self.epoch, max(last + 1, now_ms),
 * which is on disk before this returns. */
int ist_keyfile_start(struct ist_keyfile *, uint64_t now_ms,
                      struct ist_err *err);

/* Wipes the secrets, gives up the lock. */
void ist_keyfile_fini(struct ist_keyfile *);

#endif
