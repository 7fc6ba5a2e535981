/* A site's folder is written so that the bundle comes last: without it the
 * hub takes the site for not yet there. */
#include "admin/broker.h"
#include "admin/site_priv.h"

#include "admin/topology.h"
#include "codec/bundle.h"
#include "codec/file.h"
#include "codec/words.h"
#include "sites/key.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* May this bundle come in? */

static int judge_removed(const struct admin_home *home,
                         const struct ist_bundle_site *bundle,
                         struct ist_err *err)
{
    char name[64], uid[IST_ID_HEX_SIZE], path[PATH_MAX];
    int rc;

    snprintf(name, sizeof(name), "removed/%s",
             ist_id_hex(&bundle->delegation.subject, uid));
    rc = admin_path(home, name, path, err);
    if (rc == 0 && access(path, F_OK) == 0)
        return ist_err_set(err, -EKEYREVOKED,
                           "these keys belonged to a site that was removed: "
                           "make new ones at the site, in an empty directory");
    return rc;
}

static int judge_known(const struct ist_bundle_site *known,
                       const struct ist_bundle_site *given, struct ist_err *err)
{
    char old[IST_WORDS_SIZE], new[IST_WORDS_SIZE];

    if (memcmp(known->root, given->root, sizeof(known->root)) != 0)
        return ist_err_set(err, -EKEYREJECTED,
                           "%s is known by another root key (%s, not %s): if "
                           "its admin has made new keys on purpose, remove the "
                           "site first",
                           known->name, ist_words(known->root, old),
                           ist_words(given->root, new));
    if (!ist_id_eq(&known->delegation.subject, &given->delegation.subject))
        return ist_err_set(err, -EKEYREJECTED, "%s is known by another uid",
                           known->name);
    if (given->delegation.serial < known->delegation.serial)
        return ist_err_set(err, -EKEYEXPIRED,
                           "%s: this bundle is older than the one in use",
                           known->name);
    return 0;
}

static bool shares_keys(const struct ist_bundle_site *a,
                        const struct ist_bundle_site *b)
{
    const struct ist_delegation *d = &a->delegation, *e = &b->delegation;

    return memcmp(a->root, b->root, 32) == 0 ||
           memcmp(d->signing_key, e->signing_key, 32) == 0 ||
           memcmp(d->sealing_key, e->sealing_key, 32) == 0 ||
           ist_id_eq(&d->subject, &e->subject);
}

/* In URLs its key stands for a site, so no two may have the same. */
static int judge_key(const char *name, const struct ist_bundle_site *given,
                     struct ist_err *err)
{
    char old[SITES_KEY_SIZE], new[SITES_KEY_SIZE];

    if (!sites_key(given->name, new))
        return ist_err_set(err, -EINVAL,
                           "%s: in URLs a site's name must begin with a letter "
                           "and have 31 characters at most, with a hyphen "
                           "between each v and a digit: choose another",
                           given->name);
    if (sites_key(name, old) && strcmp(old, new) == 0)
        return ist_err_set(err, -EEXIST,
                           "%s is %s in URLs, and so is the site %s: choose "
                           "another name",
                           given->name, new, name);
    return 0;
}

static int judge_one(const struct admin_home *home, const char *name,
                     const struct ist_bundle_site *given, struct ist_err *err)
{
    IST_CLEANUP(ist_arena_fini) struct ist_arena arena;
    struct ist_bundle_site known;
    int rc;

    ist_arena_init(&arena, ADMIN_SITE_ARENA);
    rc = admin_site_bundle(home, name, &arena, &known, err);
    if (rc == -ENOENT)
        return 0;
    if (rc)
        return rc;
    if (strcmp(name, given->name) == 0)
        return judge_known(&known, given, err);
    rc = judge_key(name, given, err);
    if (rc)
        return rc;
    if (shares_keys(&known, given))
        return ist_err_set(err, -EKEYREJECTED,
                           "the site %s has these keys already: a second one "
                           "needs its own",
                           name);
    return 0;
}

static int judge(const struct admin_home *home,
                 const struct ist_bundle_site *given, struct ist_err *err)
{
    struct admin_names sites;
    int rc = judge_removed(home, given, err);

    if (rc)
        return rc;
    rc = judge_key("", given, err);
    if (rc)
        return rc;
    if (memcmp(given->root, home->keys.root, sizeof(given->root)) == 0)
        return ist_err_set(err, -EKEYREJECTED,
                           "this is the hub's own root key");
    rc = admin_names(home, "sites", &sites, err);
    for (size_t i = 0; rc == 0 && i < sites.n; i++)
        rc = judge_one(home, sites.names[i], given, err);
    admin_names_free(&sites);
    return rc;
}

/* Adding */

static int read_ca(const struct admin_home *home, struct ist_sb *ca,
                   struct ist_err *err)
{
    return admin_read(home, "ca/bus.pem", false, ca, err);
}

/* The site's certificate for the bus. */
static int certify(const struct admin_home *home,
                   const struct ist_bundle_site *bundle, uint64_t now_ms,
                   struct ist_sb *pem, struct ist_err *err)
{
    char uri[160], uid[IST_ID_HEX_SIZE], file[64];
    const struct admin_certificate what = {.ca = "bus",
                                           .file = file,
                                           .request = bundle->request,
                                           .request_size = bundle->request_size,
                                           .leaf = {.use = IST_X509_CLIENT,
                                                    .cn = bundle->name,
                                                    .uri = uri,
                                                    .now_ms = now_ms,
                                                    .days = ADMIN_SITE_DAYS}};

    snprintf(uri, sizeof(uri), "spiffe://%s/site/%s", home->keys.name,
             ist_id_hex(&bundle->delegation.subject, uid));
    snprintf(file, sizeof(file), "sites/%s/cert.pem", bundle->name);
    return admin_certify(home, &what, pem, err);
}

static int make_folder(const struct admin_home *home, const char *name,
                       struct ist_err *err)
{
    char part[64], path[PATH_MAX];
    int rc;

    snprintf(part, sizeof(part), "sites/%s", name);
    rc = admin_path(home, part, path, err);
    return rc ? rc : ist_file_mkdir(path, err);
}

/* The part of the broker's layout that is this site's. A new reference. */
static json_t *definitions_of(const char *name)
{
    return topology_definitions(
        &(struct topology_names){.sites = &name, .n_sites = 1}, false);
}

static int write_definitions(const struct admin_home *home, const char *name,
                             json_t **ret, struct ist_err *err)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;
    json_t *definitions = definitions_of(name);
    char *dump = definitions ? json_dumps(definitions, JSON_INDENT(1)) : NULL;
    int rc;

    ist_sb_init(&text, 64 * 1024);
    if (dump)
        ist_sb_puts(&text, dump);
    free(dump);
    if (text.len == 0)
        rc = ist_err_set(err, -ENOMEM, "out of memory");
    else
        rc = admin_site_write(home, name, "definitions.json", &text, err);
    if (rc)
        json_decref(definitions);
    else
        *ret = definitions;
    return rc;
}

static int store_bundle(const struct admin_home *home,
                        const struct ist_bundle_site *bundle,
                        struct ist_err *err)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;

    ist_sb_init(&text, IST_BUNDLE_TEXT_MAX);
    ist_bundle_site_make(bundle, &text);
    return admin_site_write(home, bundle->name, "bundle", &text, err);
}

static int write_out(const char *out, const struct ist_sb *text,
                     struct ist_err *err)
{
    if (strcmp(out, "-") != 0)
        return ist_file_write(out, IST_FILE_OWN, text->data, text->len, err);
    if (fwrite(text->data, 1, text->len, stdout) != text->len ||
        fflush(stdout) != 0)
        return ist_err_set(err, -EIO, "cannot write the bundle");
    return 0;
}

static int write_hub_bundle(const struct admin_home *home,
                            const struct admin_request *request,
                            const struct ist_sb *certificate,
                            struct ist_err *err)
{
    struct ist_bundle_hub bundle = {
        .federation = home->keys.name,
        .site = request->name,
        .signed_delegation = home->keys.signed_delegation,
        .signed_size = home->keys.signed_size,
        .bus_url = request->bus_url ? request->bus_url : home->bus_url,
        .bus_certificate = ist_sb_text(certificate),
    };
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;
    char path[PATH_MAX];
    ADMIN_PEM ca;
    int rc;

    admin_pem_init(&ca);
    ist_sb_init(&text, IST_BUNDLE_TEXT_MAX);
    memcpy(bundle.root, home->keys.root, sizeof(bundle.root));
    rc = read_ca(home, &ca, err);
    if (rc == 0)
        rc = admin_path(home, "epoch", path, err);
    if (rc == 0)
        rc = ist_file_number_read(path, &bundle.lowest_epoch, err);
    if (rc)
        return rc;
    bundle.bus_ca = ist_sb_text(&ca);
    ist_bundle_hub_make(&bundle, &text);
    if (text.rc)
        return ist_err_set(err, text.rc, "the hub's bundle is too large");
    return write_out(request->out, &text, err);
}

/* All that stays, then the broker, then what the site waits for. */
static int add(const struct admin_home *home,
               const struct admin_request *request,
               const struct ist_bundle_site *bundle, struct ist_err *err)
{
    json_t *definitions = NULL;
    ADMIN_PEM certificate;
    int rc;

    admin_pem_init(&certificate);
    rc = make_folder(home, bundle->name, err);
    if (rc == 0)
        rc = certify(home, bundle, request->now_ms, &certificate, err);
    if (rc == 0)
        rc = write_definitions(home, bundle->name, &definitions, err);
    if (rc == 0)
        rc = store_bundle(home, bundle, err);
    if (rc == 0)
        rc = admin_site_touch(home, request->now_ms, err);
    if (rc == 0)
        rc = broker_write_definitions(home, err);
    if (rc == 0 && !request->no_broker)
        rc = broker_add_site(request->rabbitmqctl, bundle->name, definitions,
                             err);
    json_decref(definitions);
    return rc ? rc : write_hub_bundle(home, request, &certificate, err);
}

static void report(const struct admin_home *home,
                   const struct admin_request *request,
                   const struct ist_bundle_site *bundle)
{
    char site[IST_WORDS_SIZE], hub[IST_WORDS_SIZE], uid[IST_ID_UUID_SIZE];
    /* The bundle itself may go to stdout. */
    FILE *to = strcmp(request->out, "-") == 0 ? stderr : stdout;

    fprintf(to, "site         %s\n", bundle->name);
    fprintf(to, "uid          %s\n",
            ist_id_uuid(&bundle->delegation.subject, uid));
    fprintf(to, "fingerprint  %s\n", ist_words(bundle->root, site));
    fprintf(to, "hub's        %s\n", ist_words(home->keys.root, hub));
    fprintf(to,
            "next         compare both fingerprints with the site's admin, "
            "then at the site:\n"
            "             isthmus-agent keys --state DIR --import %s\n",
            strcmp(request->out, "-") == 0 ? "FILE" : request->out);
}

static int read_given(const struct admin_request *request,
                      struct ist_arena *arena, struct ist_bundle_site *ret,
                      struct ist_err *err)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;
    int rc;

    ist_sb_init(&text, IST_BUNDLE_TEXT_MAX);
    rc = ist_file_read(request->bundle, IST_FILE_GIVEN, &text, err);
    if (rc)
        return rc;
    rc = ist_bundle_site_parse(ist_sb_text(&text), text.len, request->now_ms,
                               arena, ret, err);
    if (rc) {
        ist_err_wrap(err, "refused (%s)", ist_bundle_refusal_name(rc));
        return rc;
    }
    if (strcmp(ret->name, request->name) != 0)
        return ist_err_set(err, -EINVAL,
                           "this is the bundle of a site that calls itself %s",
                           ret->name);
    return 0;
}

int admin_site_add(const struct admin_home *home,
                   const struct admin_request *request, struct ist_err *err)
{
    IST_CLEANUP(ist_arena_fini) struct ist_arena arena;
    struct ist_bundle_site bundle;
    int rc;

    ist_arena_init(&arena, ADMIN_SITE_ARENA);
    rc = ist_keyfile_check(&home->keys, request->now_ms, err);
    if (rc == 0)
        rc = read_given(request, &arena, &bundle, err);
    if (rc == 0)
        rc = judge(home, &bundle, err);
    if (rc == 0)
        rc = add(home, request, &bundle, err);
    if (rc == 0)
        report(home, request, &bundle);
    return rc;
}
