/* Making goes file by file, in an order in which each can be made from those
 * before: a crash in between leaves what the next call completes. What cannot
 * be made again (a root that peers have pinned) is never replaced. */
#include "codec/keyfile.h"

#include "base/parse.h"
#include "base/rand.h"
#include "codec/armour.h"
#include "codec/file.h"
#include "codec/x509.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROOT_SECRET   "ISTHMUS ROOT KEY"
#define ROOT_PUBLIC   "ISTHMUS ROOT PUBLIC KEY"
#define ONLINE_SECRET "ISTHMUS ONLINE KEYS"

#define SEEDS_SIZE (crypto_sign_SEEDBYTES + crypto_box_SECRETKEYBYTES)
#define TEXT_MAX   8192

static const char *const roles[] = {
    [IST_ROLE_HUB] = "hub",
    [IST_ROLE_SITE] = "site",
};

/* A builder for secrets: as large at first as it may become, so that growing
 * leaves no copy behind; wiped at the end. */
static void secret_init(struct ist_sb *sb)
{
    ist_sb_init(sb, TEXT_MAX);
    ist_sb_reserve(sb, TEXT_MAX);
}

static void secret_fini(struct ist_sb *sb)
{
    if (sb->data)
        sodium_memzero(sb->data, sb->size);
    ist_sb_fini(sb);
}

#define SECRET IST_CLEANUP(secret_fini) struct ist_sb
#define TEXT   IST_CLEANUP(ist_sb_fini) struct ist_sb

static void unlock(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

bool ist_keyfile_federation_ok(const char *name)
{
    static const char ends[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    static const char inner[] = "abcdefghijklmnopqrstuvwxyz0123456789.-";
    size_t len = strlen(name);

    return len >= 2 && len <= 63 && strspn(name, inner) == len &&
           strchr(ends, name[0]) && strchr(ends, name[len - 1]);
}

static bool name_ok(enum ist_role role, const char *name)
{
    return role == IST_ROLE_SITE ? ist_parse_site_name(name)
                                 : ist_keyfile_federation_ok(name);
}

static int path_of(const struct ist_keyfile *keys, const char *name,
                   char path[PATH_MAX], struct ist_err *err)
{
    int rc = ist_file_path(path, PATH_MAX, keys->dir, name);

    return rc ? ist_err_set(err, rc, "%s: the path is too long", keys->dir) : 0;
}

/* Armoured files */

static int read_armoured(const struct ist_keyfile *keys, const char *name,
                         enum ist_file_care care, const char *label,
                         struct ist_sb *ret, struct ist_err *err)
{
    char path[PATH_MAX];
    SECRET text;
    int rc = path_of(keys, name, path, err);

    secret_init(&text);
    if (rc == 0)
        rc = ist_file_read(path, care, &text, err);
    if (rc)
        return rc;
    if (ist_armour_read(text.data, text.len, label, ret) != 0)
        return ist_err_set(err, -EBADMSG, "%s: damaged: no %s in it", path,
                           label);
    return 0;
}

static int write_armoured(const struct ist_keyfile *keys, const char *name,
                          enum ist_file_care care, const char *label,
                          const void *data, size_t size, struct ist_err *err)
{
    char path[PATH_MAX];
    SECRET text;
    int rc = path_of(keys, name, path, err);

    secret_init(&text);
    if (rc)
        return rc;
    ist_armour_write(&text, label, data, size);
    if (text.rc)
        return ist_err_set(err, text.rc, "%s: too large", path);
    return ist_file_write(path, care, text.data, text.len, err);
}

/* Who */

static int parse_identity(struct ist_keyfile *keys, const char *path,
                          const struct ist_sb *text, struct ist_err *err)
{
    json_t *root =
        json_loadb(ist_sb_text(text), text->len, JSON_REJECT_DUPLICATES, NULL);
    const char *role = NULL, *name = NULL, *uid = NULL;
    bool ok = root && json_unpack(root, "{s:s, s:s, s:s !}", "role", &role,
                                  "name", &name, "uid", &uid) == 0;

    if (ok)
        keys->role = strcmp(role, roles[IST_ROLE_HUB]) == 0 ? IST_ROLE_HUB
                                                            : IST_ROLE_SITE;
    ok = ok && strcmp(role, roles[keys->role]) == 0 &&
         name_ok(keys->role, name) &&
         ist_hex_parse(uid, strlen(uid), keys->self.uid.b, 16);
    if (ok)
        snprintf(keys->name, sizeof(keys->name), "%s", name);
    json_decref(root);
    keys->self.role = keys->role;
    return ok ? 0
              : ist_err_set(err, -EBADMSG, "%s: damaged: no identity in it",
                            path);
}

static int read_identity(struct ist_keyfile *keys, struct ist_err *err)
{
    char path[PATH_MAX];
    TEXT text;
    int rc = path_of(keys, "identity", path, err);

    ist_sb_init(&text, TEXT_MAX);
    if (rc == 0)
        rc = ist_file_read(path, IST_FILE_OWN, &text, err);
    return rc ? rc : parse_identity(keys, path, &text, err);
}

static int make_identity(struct ist_keyfile *keys, enum ist_role role,
                         const char *name, struct ist_err *err)
{
    char path[PATH_MAX], text[256], uid[IST_ID_HEX_SIZE];
    int len, rc = path_of(keys, "identity", path, err);

    if (rc)
        return rc;
    keys->role = keys->self.role = role;
    keys->self.uid = ist_id_random();
    snprintf(keys->name, sizeof(keys->name), "%s", name);
    len = snprintf(text, sizeof(text),
                   "{\"role\": \"%s\", \"name\": \"%s\", \"uid\": \"%s\"}\n",
                   roles[role], name, ist_id_hex(&keys->self.uid, uid));
    return ist_file_write(path, IST_FILE_OWN, text, (size_t) len, err);
}

/* An existing directory keeps its name and role for good. */
static int identify(struct ist_keyfile *keys, enum ist_role role,
                    const char *name, struct ist_err *err)
{
    int rc = read_identity(keys, err);

    if (rc == -ENOENT)
        return make_identity(keys, role, name, err);
    if (rc)
        return rc;
    if (keys->role != role || strcmp(keys->name, name) != 0)
        return ist_err_set(err, -EEXIST,
                           "%s holds the keys of %s %s, not of %s %s: name "
                           "another directory",
                           keys->dir, roles[keys->role], keys->name,
                           roles[role], name);
    return 0;
}

/* The root key */

static int read_root_public(struct ist_keyfile *keys, struct ist_err *err)
{
    TEXT key;
    int rc;

    ist_sb_init(&key, sizeof(keys->root));
    rc = read_armoured(keys, "root.pub", IST_FILE_OWN, ROOT_PUBLIC, &key, err);
    if (rc)
        return rc;
    if (key.len != sizeof(keys->root))
        return ist_err_set(err, -EBADMSG, "%s/root.pub: damaged", keys->dir);
    memcpy(keys->root, key.data, sizeof(keys->root));
    return 0;
}

/* Into 'secret', which the caller wipes. */
static int read_root_secret(const struct ist_keyfile *keys,
                            uint8_t public[crypto_sign_PUBLICKEYBYTES],
                            uint8_t secret[crypto_sign_SECRETKEYBYTES],
                            struct ist_err *err)
{
    SECRET seed;
    int rc;

    secret_init(&seed);
    rc = read_armoured(keys, "root.key", IST_FILE_SECRET, ROOT_SECRET, &seed,
                       err);
    if (rc)
        return rc;
    if (seed.len != crypto_sign_SEEDBYTES)
        return ist_err_set(err, -EBADMSG, "%s/root.key: damaged", keys->dir);
    crypto_sign_seed_keypair(public, secret, (const uint8_t *) seed.data);
    return 0;
}

static int make_root_secret(const struct ist_keyfile *keys, struct ist_err *err)
{
    uint8_t seed[crypto_sign_SEEDBYTES];
    int rc;

    ist_rand_bytes(seed, sizeof(seed));
    rc = write_armoured(keys, "root.key", IST_FILE_SECRET, ROOT_SECRET, seed,
                        sizeof(seed), err);
    sodium_memzero(seed, sizeof(seed));
    return rc;
}

static bool exists(const struct ist_keyfile *keys, const char *name)
{
    char path[PATH_MAX];

    return ist_file_path(path, sizeof(path), keys->dir, name) == 0 &&
           access(path, F_OK) == 0;
}

static int make_root(struct ist_keyfile *keys, struct ist_err *err)
{
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
    int rc = 0;

    if (exists(keys, "root.pub"))
        return read_root_public(keys, err);
    if (exists(keys, "online.key"))
        return ist_err_set(err, -ENOKEY,
                           "%s: root.pub is missing though there are online "
                           "keys: put it back from a copy",
                           keys->dir);
    if (!exists(keys, "root.key"))
        rc = make_root_secret(keys, err);
    if (rc == 0)
        rc = read_root_secret(keys, keys->root, secret, err);
    sodium_memzero(secret, sizeof(secret));
    return rc ? rc
              : write_armoured(keys, "root.pub", IST_FILE_OWN, ROOT_PUBLIC,
                               keys->root, sizeof(keys->root), err);
}

/* Online keys and their delegation */

static void adopt_seeds(struct ist_self *self, const uint8_t *seeds)
{
    crypto_sign_seed_keypair(self->signing_public, self->signing_secret, seeds);
    memcpy(self->sealing_secret, seeds + crypto_sign_SEEDBYTES,
           sizeof(self->sealing_secret));
    crypto_scalarmult_base(self->sealing_public, self->sealing_secret);
}

static int adopt_online(struct ist_keyfile *keys, const struct ist_sb *file,
                        struct ist_err *err)
{
    struct ist_delegation *d = &keys->delegation;
    int rc;

    if (file->len <= SEEDS_SIZE ||
        file->len - SEEDS_SIZE > sizeof(keys->signed_delegation))
        return ist_err_set(err, -EBADMSG, "%s/online.key: damaged", keys->dir);
    adopt_seeds(&keys->self, (const uint8_t *) file->data);
    keys->signed_size = file->len - SEEDS_SIZE;
    memcpy(keys->signed_delegation, file->data + SEEDS_SIZE, keys->signed_size);
    rc = ist_delegation_verify(keys->signed_delegation, keys->signed_size,
                               keys->root, keys->role, 0, d, err);
    if (rc) {
        ist_err_wrap(err, "%s/online.key", keys->dir);
        return -EBADMSG;
    }
    if (!ist_id_eq(&d->subject, &keys->self.uid) ||
        memcmp(d->signing_key, keys->self.signing_public, 32) != 0 ||
        memcmp(d->sealing_key, keys->self.sealing_public, 32) != 0)
        return ist_err_set(err, -EBADMSG,
                           "%s/online.key: its delegation is for other keys",
                           keys->dir);
    return 0;
}

static int read_online(struct ist_keyfile *keys, struct ist_err *err)
{
    SECRET file;
    int rc;

    secret_init(&file);
    rc = read_armoured(keys, "online.key", IST_FILE_SECRET, ONLINE_SECRET,
                       &file, err);
    return rc ? rc : adopt_online(keys, &file, err);
}

static void describe(const struct ist_keyfile *keys,
                     const struct ist_self *self, uint64_t now_ms,
                     struct ist_delegation *d)
{
    uint64_t next = keys->delegation.serial + 1;

    *d = (struct ist_delegation){
        .subject = keys->self.uid,
        .kinds = ist_delegation_kinds(keys->role),
        .not_before_ms = now_ms > IST_DELEGATION_BEFORE_MS
                             ? now_ms - IST_DELEGATION_BEFORE_MS
                             : 0,
        .not_after_ms = now_ms + IST_DELEGATION_LIFE_MS,
        /* Time serves as the serial: it rises even if this file was lost. */
        .serial = next > now_ms ? next : now_ms,
    };
    memcpy(d->signing_key, self->signing_public, sizeof(d->signing_key));
    memcpy(d->sealing_key, self->sealing_public, sizeof(d->sealing_key));
}

static int write_online(const struct ist_keyfile *keys, uint64_t now_ms,
                        const uint8_t root_secret[crypto_sign_SECRETKEYBYTES],
                        struct ist_err *err)
{
    struct ist_self self = {0};
    struct ist_delegation d;
    SECRET file;
    int rc;

    secret_init(&file);
    ist_self_make_keys(&self);
    describe(keys, &self, now_ms, &d);
    ist_sb_add(&file, self.signing_secret, crypto_sign_SEEDBYTES);
    ist_sb_add(&file, self.sealing_secret, sizeof(self.sealing_secret));
    ist_self_wipe(&self);
    ist_delegation_sign(&d, root_secret, &file);
    rc = file.rc;
    return rc ? rc
              : write_armoured(keys, "online.key", IST_FILE_SECRET,
                               ONLINE_SECRET, file.data, file.len, err);
}

int ist_keyfile_renew(struct ist_keyfile *keys, uint64_t now_ms,
                      struct ist_err *err)
{
    uint8_t public[crypto_sign_PUBLICKEYBYTES];
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
    IST_CLEANUP(unlock) int lock = ist_file_lock(keys->dir, ".lock", err);
    int rc;

    if (lock < 0)
        return lock;
    rc = read_root_secret(keys, public, secret, err);
    if (rc == -ENOENT)
        rc = ist_err_set(err, -ENOKEY,
                         "%s/root.key is not here: bring the root key back, "
                         "only it can sign new online keys",
                         keys->dir);
    if (rc == 0 && memcmp(public, keys->root, sizeof(public)) != 0)
        rc = ist_err_set(err, -EBADMSG, "%s: root.key is not that of root.pub",
                         keys->dir);
    if (rc == 0)
        rc = write_online(keys, now_ms, secret, err);
    sodium_memzero(secret, sizeof(secret));
    return rc ? rc : read_online(keys, err);
}

static int make_online(struct ist_keyfile *keys, uint64_t now_ms,
                       struct ist_err *err)
{
    uint8_t public[crypto_sign_PUBLICKEYBYTES];
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
    int rc;

    if (exists(keys, "online.key"))
        return 0;
    rc = read_root_secret(keys, public, secret, err);
    if (rc == -ENOENT)
        rc = ist_err_set(err, -ENOKEY,
                         "%s: online.key is missing, and root.key, that could "
                         "sign new ones, is not here",
                         keys->dir);
    if (rc == 0)
        rc = write_online(keys, now_ms, secret, err);
    sodium_memzero(secret, sizeof(secret));
    return rc;
}

/* TLS */

static int make_tls(const struct ist_keyfile *keys, struct ist_err *err)
{
    char path[PATH_MAX];
    SECRET pem;
    int rc = path_of(keys, "tls.key", path, err);

    secret_init(&pem);
    if (rc)
        return rc;
    if (access(path, F_OK) == 0)
        return ist_file_read(path, IST_FILE_SECRET, &pem, err);
    rc = ist_x509_key_make(&pem, err);
    return rc ? rc
              : ist_file_write(path, IST_FILE_SECRET, pem.data, pem.len, err);
}

/* All of it */

static int begin(struct ist_keyfile *keys, const char *dir, struct ist_err *err)
{
    *keys = (struct ist_keyfile){.running = -1};
    if (sodium_init() < 0)
        return ist_err_set(err, -EIO, "libsodium cannot start");
    if ((size_t) snprintf(keys->dir, sizeof(keys->dir), "%s", dir) >=
        sizeof(keys->dir))
        return ist_err_set(err, -ENAMETOOLONG,
                           "the directory's path is too "
                           "long");
    return 0;
}

static int make_all(struct ist_keyfile *keys, enum ist_role role,
                    const char *name, uint64_t now_ms, struct ist_err *err)
{
    int rc = ist_file_mkdir(keys->dir, err);

    if (rc)
        return rc;

    IST_CLEANUP(unlock) int lock = ist_file_lock(keys->dir, ".lock", err);

    if (lock < 0)
        return lock;
    rc = identify(keys, role, name, err);
    if (rc == 0)
        rc = make_root(keys, err);
    if (rc == 0)
        rc = make_online(keys, now_ms, err);
    if (rc == 0)
        rc = make_tls(keys, err);
    return rc;
}

int ist_keyfile_make(const char *dir, enum ist_role role, const char *name,
                     uint64_t now_ms, struct ist_keyfile *ret,
                     struct ist_err *err)
{
    struct ist_keyfile keys;
    int rc = begin(&keys, dir, err);

    if (rc == 0 && !name_ok(role, name))
        rc = ist_err_set(err, -EINVAL, "not a name of a %s", roles[role]);
    if (rc == 0)
        rc = make_all(&keys, role, name, now_ms, err);
    return rc ? rc : ist_keyfile_load(dir, ret, err);
}

int ist_keyfile_load(const char *dir, struct ist_keyfile *ret,
                     struct ist_err *err)
{
    struct ist_keyfile keys;
    int rc = begin(&keys, dir, err);

    if (rc == 0)
        rc = ist_file_check_dir(keys.dir, err);
    if (rc == 0)
        rc = read_identity(&keys, err);
    if (rc == 0)
        rc = read_root_public(&keys, err);
    if (rc == 0)
        rc = read_online(&keys, err);
    if (rc == 0)
        *ret = keys;
    ist_self_wipe(&keys.self);
    return rc;
}

int ist_keyfile_check(const struct ist_keyfile *keys, uint64_t now_ms,
                      struct ist_err *err)
{
    if (now_ms > keys->delegation.not_after_ms)
        return ist_err_set(err, -EKEYEXPIRED,
                           "the online keys in %s have run out: renew them and "
                           "give the other side the new bundle",
                           keys->dir);
    if (now_ms < keys->delegation.not_before_ms)
        return ist_err_set(err, -EKEYEXPIRED,
                           "the online keys in %s are not valid yet: is the "
                           "clock right?",
                           keys->dir);
    return 0;
}

int ist_keyfile_start(struct ist_keyfile *keys, uint64_t now_ms,
                      struct ist_err *err)
{
    char path[PATH_MAX];
    uint64_t last, epoch;
    int lock, rc = path_of(keys, "epoch", path, err);

    if (rc)
        return rc;
    lock = ist_file_lock(keys->dir, ".running", err);
    if (lock < 0)
        return lock;
    rc = ist_file_number_read(path, &last, err);
    if (rc == 0 && last == UINT64_MAX)
        rc = ist_err_set(err, -EOVERFLOW, "%s: no higher epoch", path);
    if (rc == 0) {
        epoch = last + 1 > now_ms ? last + 1 : now_ms;
        rc = ist_file_number_write(path, epoch, err);
    }
    if (rc) {
        close(lock);
        return rc;
    }
    keys->self.epoch = epoch;
    keys->running = lock;
    return 0;
}

void ist_keyfile_fini(struct ist_keyfile *keys)
{
    ist_self_wipe(&keys->self);
    if (keys->running >= 0)
        close(keys->running);
    keys->running = -1;
}
