#include "keys/keys.h"

#include "base/clock.h"
#include "base/parse.h"
#include "codec/file.h"
#include "codec/words.h"
#include "codec/x509.h"
#include "keys/keys_priv.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: isthmus-agent keys --state DIR --site NAME [--out FILE] [--renew]\n"
    "       isthmus-agent keys --state DIR --import FILE\n"
    "\n"
    "First makes this site's keys and writes the bundle for the hub's admin;\n"
    "then takes the bundle that the hub's admin made of it. Both may be\n"
    "repeated.\n"
    "\n"
    "  --state DIR    where the keys are kept (mode 0700)\n"
    "  --site NAME    2 to 32 of a-z, 0-9 and '-'; cannot be changed later\n"
    "  --out FILE     the bundle; to the terminal if not given\n"
    "  --renew        new online keys, signed by the root key; the hub must\n"
    "                 then be given the new bundle\n"
    "  --import FILE  the hub's bundle\n";

struct request {
    const char *dir, *site, *out, *import;
    bool renew;
    uint64_t now_ms;
};

static void unlock(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static void wipe_pem(struct ist_sb *pem)
{
    if (pem->data)
        sodium_memzero(pem->data, pem->size);
    ist_sb_fini(pem);
}

static int misuse(const char *why)
{
    fprintf(stderr, "isthmus-agent keys: %s\n\n%s", why, usage);
    return 2;
}

static int complain(const struct ist_err *err)
{
    fprintf(stderr, "isthmus-agent: %s\n", err->text);
    return 1;
}

/* Export */

/* The bundle that was exported before, if it still says what is true: a
 * certificate request is signed with chance, so a new one would differ. */
static bool reuse(const struct ist_keyfile *own, const char *path,
                  const uint8_t key_hash[32], struct ist_sb *text)
{
    IST_CLEANUP(ist_arena_fini) struct ist_arena arena;
    struct ist_bundle_site bundle;
    uint8_t hash[32];
    bool ok;

    ist_arena_init(&arena, KEYS_ARENA);
    ok = ist_file_read(path, IST_FILE_OWN, text, NULL) == 0 &&
         ist_bundle_site_parse(ist_sb_text(text), text->len, 0, &arena, &bundle,
                               NULL) == 0 &&
         strcmp(bundle.name, own->name) == 0 &&
         memcmp(bundle.root, own->root, sizeof(own->root)) == 0 &&
         bundle.signed_size == own->signed_size &&
         memcmp(bundle.signed_delegation, own->signed_delegation,
                own->signed_size) == 0 &&
         ist_x509_request_hash(bundle.request, bundle.request_size, hash,
                               NULL) == 0 &&
         memcmp(hash, key_hash, sizeof(hash)) == 0;
    if (!ok)
        ist_sb_reset(text);
    return ok;
}

static int make_bundle(const struct ist_keyfile *own, const struct ist_sb *key,
                       struct ist_sb *text, struct ist_err *err)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb request;
    struct ist_bundle_site bundle = {
        .name = own->name,
        .signed_delegation = own->signed_delegation,
        .signed_size = own->signed_size,
    };
    int rc;

    ist_sb_init(&request, IST_X509_MAX);
    rc = ist_x509_request_make(key->data, key->len, own->name, &request, err);
    if (rc)
        return rc;
    memcpy(bundle.root, own->root, sizeof(bundle.root));
    bundle.request = request.data;
    bundle.request_size = request.len;
    ist_bundle_site_make(&bundle, text);
    return text->rc;
}

static int bundle_text(const struct ist_keyfile *own, struct ist_sb *text,
                       struct ist_err *err)
{
    IST_CLEANUP(wipe_pem) struct ist_sb key;
    char path[PATH_MAX], stored[PATH_MAX];
    uint8_t key_hash[32];
    int rc = keys_path(own, "tls.key", path, err);

    ist_sb_init(&key, IST_X509_MAX);
    ist_sb_reserve(&key, IST_X509_MAX);
    if (rc == 0)
        rc = keys_path(own, "site.bundle", stored, err);
    if (rc == 0)
        rc = ist_file_read(path, IST_FILE_SECRET, &key, err);
    if (rc == 0)
        rc = ist_x509_key_hash(key.data, key.len, key_hash, err);
    if (rc || reuse(own, stored, key_hash, text))
        return rc;
    rc = make_bundle(own, &key, text, err);
    return rc ? rc
              : ist_file_write(stored, IST_FILE_OWN, text->data, text->len,
                               err);
}

static int write_out(const char *out, const struct ist_sb *text,
                     struct ist_err *err)
{
    if (out && strcmp(out, "-") != 0)
        return ist_file_write(out, IST_FILE_OWN, text->data, text->len, err);
    if (fwrite(text->data, 1, text->len, stdout) != text->len ||
        fflush(stdout) != 0)
        return ist_err_set(err, -EIO, "cannot write the bundle");
    return 0;
}

static void report_export(const struct request *request,
                          const struct ist_keyfile *own)
{
    char words[IST_WORDS_SIZE], until[IST_CLOCK_TEXT_SIZE];
    bool to_file = request->out && strcmp(request->out, "-") != 0;
    FILE *to = to_file ? stdout : stderr;

    fprintf(to, "site         %s\n", own->name);
    fprintf(to, "fingerprint  %s\n", ist_words(own->root, words));
    fprintf(to, "online keys  until %s\n",
            ist_clock_text(own->delegation.not_after_ms, until));
    fprintf(to,
            "next         give %s to the hub's admin (it holds no secret), "
            "and keep a\n"
            "             copy of %s/root.key offline\n",
            to_file ? request->out : "this bundle", own->dir);
}

static int export(const struct request *request, struct ist_keyfile *own,
                  struct ist_err *err)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;
    int rc = 0;

    ist_sb_init(&text, IST_BUNDLE_TEXT_MAX);
    if (request->renew)
        rc = ist_keyfile_renew(own, request->now_ms, err);
    if (rc == 0)
        rc = ist_keyfile_check(own, request->now_ms, err);
    if (rc == 0)
        rc = bundle_text(own, &text, err);
    if (rc == 0)
        rc = write_out(request->out, &text, err);
    if (rc == 0)
        report_export(request, own);
    return rc;
}

/* Import */

/* A hub that was pinned is changed by its own root only. */
static int judge_change(const struct ist_keyfile *own,
                        const struct ist_bundle_hub *given,
                        struct ist_arena *arena, struct ist_err *err)
{
    char old[IST_WORDS_SIZE], new[IST_WORDS_SIZE];
    struct ist_bundle_hub pinned;
    int rc = keys_read_hub(own, arena, &pinned, err);

    if (rc == -ENOENT)
        return 0;
    if (rc)
        return rc;
    if (memcmp(pinned.root, given->root, sizeof(pinned.root)) != 0)
        return ist_err_set(
            err, -EKEYREJECTED,
            "this site trusts the hub %s; the bundle is of "
            "another, %s. To change the hub on purpose, make new "
            "keys in an empty directory",
            ist_words(pinned.root, old), ist_words(given->root, new));
    if (!ist_id_eq(&pinned.delegation.subject, &given->delegation.subject) ||
        strcmp(pinned.federation, given->federation) != 0)
        return ist_err_set(err, -EKEYREJECTED,
                           "this site trusts the hub of federation %s, under "
                           "another uid or name than the bundle's",
                           pinned.federation);
    if (given->delegation.serial < pinned.delegation.serial)
        return ist_err_set(err, -EKEYEXPIRED,
                           "this bundle is older than the one in use");
    return 0;
}

static int write_file(const struct ist_keyfile *own, const char *name,
                      const char *text, struct ist_err *err)
{
    char path[PATH_MAX];
    int rc = keys_path(own, name, path, err);

    return rc ? rc
              : ist_file_write(path, IST_FILE_OWN, text, strlen(text), err);
}

/* The bundle last: it is what the agent looks for. */
static int store(const struct ist_keyfile *own,
                 const struct ist_bundle_hub *given, struct ist_err *err)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;
    char path[PATH_MAX];
    int rc = keys_path(own, "bus", path, err);

    ist_sb_init(&text, IST_BUNDLE_TEXT_MAX);
    ist_bundle_hub_make(given, &text);
    if (rc == 0)
        rc = text.rc;
    if (rc == 0)
        rc = ist_file_mkdir(path, err);
    if (rc == 0)
        rc = write_file(own, "bus/url", given->bus_url, err);
    if (rc == 0)
        rc = write_file(own, "bus/ca.pem", given->bus_ca, err);
    if (rc == 0)
        rc = write_file(own, "bus/cert.pem", given->bus_certificate, err);
    return rc ? rc : write_file(own, "hub.bundle", ist_sb_text(&text), err);
}

static void report_import(const struct ist_keyfile *own,
                          const struct ist_bundle_hub *given)
{
    char site[IST_WORDS_SIZE], hub[IST_WORDS_SIZE];

    printf("hub          of federation %s\n", given->federation);
    printf("fingerprint  %s\n", ist_words(given->root, hub));
    printf("this site's  %s\n", ist_words(own->root, site));
    printf("bus          %s\n", given->bus_url);
    printf("next         compare both fingerprints with the hub's admin, then "
           "start the agent\n");
}

static int import(const struct request *request, struct ist_keyfile *own,
                  struct ist_err *err)
{
    IST_CLEANUP(ist_arena_fini) struct ist_arena arena;
    struct ist_bundle_hub given;
    int rc;

    ist_arena_init(&arena, 2 * KEYS_ARENA);
    rc = keys_parse_hub(own, request->import, true, request->now_ms, &arena,
                        &given, err);
    if (rc == 0)
        rc = judge_change(own, &given, &arena, err);
    if (rc == 0)
        rc = store(own, &given, err);
    if (rc == 0)
        report_import(own, &given);
    return rc;
}

/* The command line */

static int load(const struct request *request, struct ist_keyfile *own,
                struct ist_err *err)
{
    int rc;

    if (request->site)
        return ist_keyfile_make(request->dir, IST_ROLE_SITE, request->site,
                                request->now_ms, own, err);
    rc = ist_keyfile_load(request->dir, own, err);
    if (rc == -ENOENT)
        return ist_err_set(err, rc, "%s: no keys here yet: use --site first",
                           request->dir);
    if (rc == 0 && own->role != IST_ROLE_SITE) {
        ist_keyfile_fini(own);
        return ist_err_set(err, -EINVAL, "%s: these are the keys of a hub",
                           request->dir);
    }
    return rc;
}

static int run(const struct request *request)
{
    struct ist_keyfile own;
    struct ist_err err;
    int rc = load(request, &own, &err);

    if (rc)
        return complain(&err);

    IST_CLEANUP(unlock) int lock = ist_file_lock(own.dir, ".admin", &err);

    if (lock < 0)
        rc = lock;
    else
        rc = request->import ? import(request, &own, &err)
                             : export(request, &own, &err);
    ist_keyfile_fini(&own);
    return rc ? complain(&err) : 0;
}

static int check(const struct request *request)
{
    if (!request->dir)
        return misuse("--state is needed");
    if (!request->site == !request->import)
        return misuse("either --site or --import is needed");
    if (request->import && (request->out || request->renew))
        return misuse("--out and --renew go with --site");
    if (request->site && !ist_parse_site_name(request->site))
        return misuse("--site: 2 to 32 of a-z, 0-9 and '-', and none of the "
                      "bus's own words");
    return 0;
}

int keys_command(int argc, char **argv)
{
    static const struct option options[] = {
        {"state", required_argument, NULL, 's'},
        {"site", required_argument, NULL, 'n'},
        {"out", required_argument, NULL, 'o'},
        {"import", required_argument, NULL, 'i'},
        {"renew", no_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct request request = {.now_ms = ist_clock_wall_ms()};
    int c, rc;

    optind = 0;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 's':
            request.dir = optarg;
            break;
        case 'n':
            request.site = optarg;
            break;
        case 'o':
            request.out = optarg;
            break;
        case 'i':
            request.import = optarg;
            break;
        case 'r':
            request.renew = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            return misuse("unknown option, or one without its value");
        }
    }
    if (optind != argc)
        return misuse("no further words are understood");
    rc = check(&request);
    return rc ? rc : run(&request);
}
