#include "keys/keys.h"

#include "codec/file.h"
#include "codec/x509.h"
#include "keys/keys_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int keys_path(const struct ist_keyfile *own, const char *name, char *path,
              struct ist_err *err)
{
    int rc = ist_file_path(path, PATH_MAX, own->dir, name);

    return rc ? ist_err_set(err, rc, "the path is too long") : 0;
}

/* The hub's bundle */

static void wipe_pem(struct ist_sb *pem)
{
    if (pem->data)
        sodium_memzero(pem->data, pem->size);
    ist_sb_fini(pem);
}

/* SHA-256 of our public key on the bus. */
static int own_key_hash(const struct ist_keyfile *own, uint8_t ret[32],
                        struct ist_err *err)
{
    IST_CLEANUP(wipe_pem) struct ist_sb pem;
    char path[PATH_MAX];
    int rc = keys_path(own, "tls.key", path, err);

    ist_sb_init(&pem, IST_X509_MAX);
    ist_sb_reserve(&pem, IST_X509_MAX);
    if (rc == 0)
        rc = ist_file_read(path, IST_FILE_SECRET, &pem, err);
    return rc ? rc : ist_x509_key_hash(pem.data, pem.len, ret, err);
}

int keys_parse_hub(const struct ist_keyfile *own, const char *path, bool given,
                   uint64_t now_ms, struct ist_arena *arena,
                   struct ist_bundle_hub *ret, struct ist_err *err)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;
    uint8_t key_hash[32];
    int rc;

    ist_sb_init(&text, IST_BUNDLE_TEXT_MAX);
    rc = ist_file_read(path, given ? IST_FILE_GIVEN : IST_FILE_OWN, &text, err);
    if (rc == 0)
        rc = own_key_hash(own, key_hash, err);
    if (rc)
        return rc;
    rc = ist_bundle_hub_parse(ist_sb_text(&text), text.len, now_ms, key_hash,
                              arena, ret, err);
    if (rc) {
        ist_err_wrap(err, "%s: refused (%s)", path,
                     ist_bundle_refusal_name(rc));
        return rc;
    }
    if (strcmp(ret->site, own->name) != 0)
        return ist_err_set(err, -EINVAL,
                           "%s: this bundle is for the site %s, not for %s",
                           path, ret->site, own->name);
    return 0;
}

int keys_read_hub(const struct ist_keyfile *own, struct ist_arena *arena,
                  struct ist_bundle_hub *ret, struct ist_err *err)
{
    char path[PATH_MAX];
    int rc = keys_path(own, "hub.bundle", path, err);

    return rc ? rc : keys_parse_hub(own, path, false, 0, arena, ret, err);
}

/* Opening */

static int judge_times(const struct keys *keys, uint64_t now_ms,
                       struct ist_err *err)
{
    int rc = ist_keyfile_check(&keys->own, now_ms, err);

    if (rc)
        return rc;
    if (now_ms > keys->hub_until_ms)
        return ist_err_set(err, -EKEYEXPIRED,
                           "the hub's keys have run out: import a new bundle "
                           "of the hub");
    if (now_ms > keys->certificate_until_ms)
        return ist_err_set(err, -EKEYEXPIRED,
                           "the certificate for the bus has run out: import a "
                           "new bundle of the hub");
    return 0;
}

static int adopt_hub(struct keys *keys, const struct ist_bundle_hub *bundle,
                     struct ist_err *err)
{
    const size_t size = strlen(bundle->bus_certificate);
    struct ist_x509_info info;
    uint64_t epoch = 0;
    int rc;

    ist_delegation_peer(&bundle->delegation, IST_ROLE_HUB, &keys->hub);
    if (ist_peer_join(&keys->hub, &keys->own.self) != 0)
        return ist_err_set(err, -EINVAL, "the hub's sealing key is unsafe");
    rc = ist_x509_read(bundle->bus_certificate, size, &info, err);
    if (rc == 0)
        rc = ist_file_number_read(keys->store.path, &epoch, err);
    if (rc)
        return rc;
    keys->epoch_stored = epoch;
    keys->hub.epoch =
        epoch > bundle->lowest_epoch ? epoch : bundle->lowest_epoch;
    keys->hub_until_ms = bundle->delegation.not_after_ms;
    keys->certificate_until_ms = info.not_after_ms;
    snprintf(keys->federation, sizeof(keys->federation), "%s",
             bundle->federation);
    snprintf(keys->bus_url, sizeof(keys->bus_url), "%s", bundle->bus_url);
    return 0;
}

static int open_all(struct keys *keys, uint64_t now_ms, struct ist_err *err)
{
    IST_CLEANUP(ist_arena_fini) struct ist_arena arena;
    struct ist_bundle_hub bundle;
    int rc = keys_path(&keys->own, "bus/ca.pem", keys->bus_ca, err);

    ist_arena_init(&arena, KEYS_ARENA);
    if (rc == 0)
        rc = keys_path(&keys->own, "bus/cert.pem", keys->bus_certificate, err);
    if (rc == 0)
        rc = keys_path(&keys->own, "tls.key", keys->bus_key, err);
    if (rc == 0)
        rc = keys_path(&keys->own, "hub.epoch", keys->store.path, err);
    if (rc)
        return rc;
    rc = keys_read_hub(&keys->own, &arena, &bundle, err);
    if (rc == -ENOENT)
        return ist_err_set(err, -ENOTCONN,
                           "no bundle of a hub was imported yet: "
                           "isthmus-agent keys --import");
    if (rc > 0)
        return -EBADMSG;
    if (rc == 0)
        rc = adopt_hub(keys, &bundle, err);
    if (rc == 0)
        rc = judge_times(keys, now_ms, err);
    return rc ? rc : ist_keyfile_start(&keys->own, now_ms, err);
}

int keys_open(const char *dir, struct ist_loop *loop, struct keys *ret,
              struct ist_err *err)
{
    int rc;

    *ret = (struct keys){.loop = loop};
    ret->own.running = -1;
    rc = ist_keyfile_load(dir, &ret->own, err);
    if (rc == -ENOENT)
        return ist_err_set(
            err, rc, "%s: no keys here yet: isthmus-agent keys --site", dir);
    if (rc)
        return rc;
    rc =
        ret->own.role == IST_ROLE_SITE
            ? open_all(ret, ist_loop_wall(loop), err)
            : ist_err_set(err, -EINVAL, "%s: these are the keys of a hub", dir);
    if (rc)
        keys_close(ret);
    return rc;
}

void keys_close(struct keys *keys)
{
    ist_peer_wipe(&keys->hub);
    ist_keyfile_fini(&keys->own);
}

/* The hub's epoch */

static int write_epoch(struct ist_work *work)
{
    struct keys_store *store = IST_CONTAINER(work, struct keys_store, work);

    return ist_file_number_write(store->path, store->epoch, &work->op.err);
}

static void written(struct ist_op *op)
{
    struct ist_work *work = IST_CONTAINER(op, struct ist_work, op);
    struct keys_store *store = IST_CONTAINER(work, struct keys_store, work);
    struct keys *keys = IST_CONTAINER(store, struct keys, store);

    /* Not stored: the next message tries again. */
    if (op->rc == 0)
        keys->epoch_stored = store->epoch;
}

void keys_heard(struct keys *keys)
{
    struct keys_store *store = &keys->store;

    if (keys->hub.epoch <= keys->epoch_stored || keys_busy(keys))
        return;
    store->epoch = keys->hub.epoch;
    ist_op_prepare(&store->work.op, keys->loop, NULL, 0, written);
    ist_work_start(&store->work, write_epoch);
}

bool keys_busy(const struct keys *keys)
{
    return keys->store.work.op.state != IST_OP_IDLE;
}
