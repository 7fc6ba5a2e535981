/* A site's folder is written so that the bundle comes last: without it the
 * hub takes the site for not yet there. Removing is one rename, after which
 * the hub refuses it, and only then the broker's turn. */
#include "admin/commands.h"

#include "admin/broker.h"
#include "admin/home_priv.h"
#include "admin/topology.h"
#include "base/clock.h"
#include "base/parse.h"
#include "codec/bundle.h"
#include "codec/file.h"
#include "codec/words.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "usage: isthmus-hub site add NAME BUNDLE --state DIR --out FILE\n"
    "           [--rabbitmqctl PATH | --no-broker] [--bus-url URL]\n"
    "       isthmus-hub site list --state DIR\n"
    "       isthmus-hub site remove NAME --state DIR\n"
    "           [--rabbitmqctl PATH | --no-broker]\n"
    "\n"
    "add      takes the bundle that 'isthmus-agent keys' wrote at the site, "
    "and\n"
    "         writes the one to bring there. Again: renews the certificate, "
    "and\n"
    "         takes over keys that the site has renewed.\n"
    "remove   for good: the same keys are never taken again.\n"
    "\n"
    "  --out FILE          the bundle for the site; '-' for the terminal\n"
    "  --rabbitmqctl PATH  rabbitmqctl of the broker, from the PATH if not "
    "given\n"
    "  --no-broker         leave the broker alone; 'isthmus-hub topology "
    "--site\n"
    "                      NAME' prints what it must be given\n"
    "  --bus-url URL       if this site reaches the broker by another "
    "address\n";

#define SITE_NAME_SIZE 33
#define ARENA_SIZE     (512 * 1024)

struct request {
    const char *name, *bundle, *dir, *out, *rabbitmqctl, *bus_url;
    bool no_broker;
    uint64_t now_ms;
};

static void unlock(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static int misuse(const char *why)
{
    fprintf(stderr, "isthmus-hub site: %s\n\n%s", why, usage);
    return 2;
}

/* Files of a site */

static int read_site(const struct admin_home *home, const char *name,
                     const char *file, struct ist_sb *ret, struct ist_err *err)
{
    char path[128];

    snprintf(path, sizeof(path), "sites/%s/%s", name, file);
    return admin_read(home, path, false, ret, err);
}

static int write_site(const struct admin_home *home, const char *name,
                      const char *file, const struct ist_sb *data,
                      struct ist_err *err)
{
    char path[128];

    snprintf(path, sizeof(path), "sites/%s/%s", name, file);
    return admin_write(home, path, false, data, err);
}

/* The stored bundle of a site. -ENOENT: no such site. */
static int read_bundle(const struct admin_home *home, const char *name,
                       struct ist_arena *arena, struct ist_bundle_site *ret,
                       struct ist_err *err)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;
    int rc;

    ist_sb_init(&text, IST_BUNDLE_TEXT_MAX);
    rc = read_site(home, name, "bundle", &text, err);
    if (rc)
        return rc;
    rc = ist_bundle_site_parse(text.data, text.len, 0, arena, ret, err);
    if (rc) {
        ist_err_wrap(err, "%s/%s", home->sites, name);
        return -EBADMSG;
    }
    return 0;
}

/* The hub looks at one time stamp only: see sites/registry.c. */
static int touch(const struct admin_home *home, uint64_t now_ms,
                 struct ist_err *err)
{
    char path[PATH_MAX];
    int rc = admin_path(home, "sites/.changed", path, err);

    return rc ? rc : ist_file_number_write(path, now_ms, err);
}

static int filter_sites(const struct dirent *entry)
{
    return ist_parse_site_name(entry->d_name);
}

/* Names of all sites, sorted, for free_names(). < 0: an error. */
static int list_names(const struct admin_home *home, struct dirent ***ret,
                      struct ist_err *err)
{
    int n = scandir(home->sites, ret, filter_sites, alphasort);

    return n < 0 ? ist_err_set(err, -errno, "%s: %s", home->sites,
                               strerror(errno))
                 : n;
}

static void free_names(struct dirent **names, int n)
{
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

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

static int judge_one(const struct admin_home *home, const char *name,
                     const struct ist_bundle_site *given, struct ist_err *err)
{
    IST_CLEANUP(ist_arena_fini) struct ist_arena arena;
    struct ist_bundle_site known;
    int rc;

    ist_arena_init(&arena, ARENA_SIZE);
    rc = read_bundle(home, name, &arena, &known, err);
    if (rc == -ENOENT)
        return 0;
    if (rc)
        return rc;
    if (strcmp(name, given->name) == 0)
        return judge_known(&known, given, err);
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
    struct dirent **names;
    int rc = judge_removed(home, given, err), n;

    if (rc)
        return rc;
    if (memcmp(given->root, home->keys.root, sizeof(given->root)) == 0)
        return ist_err_set(err, -EKEYREJECTED,
                           "this is the hub's own root key");
    n = list_names(home, &names, err);
    if (n < 0)
        return n;
    for (int i = 0; rc == 0 && i < n; i++)
        rc = judge_one(home, names[i]->d_name, given, err);
    free_names(names, n);
    return rc;
}

/* Adding */

static int read_ca(const struct admin_home *home, struct ist_sb *ca,
                   struct ist_err *err)
{
    return admin_read(home, "ca/bus.pem", false, ca, err);
}

/* The site's certificate for the bus: the one that is there, or a new one. */
static int certify(const struct admin_home *home,
                   const struct ist_bundle_site *bundle, uint64_t now_ms,
                   struct ist_sb *pem, struct ist_err *err)
{
    char uri[160], uid[IST_ID_HEX_SIZE];
    struct ist_x509_leaf leaf = {.use = IST_X509_CLIENT,
                                 .cn = bundle->name,
                                 .uri = uri,
                                 .now_ms = now_ms,
                                 .days = ADMIN_SITE_DAYS};
    uint8_t key_hash[32];
    ADMIN_PEM ca;
    int rc;

    admin_pem_init(&ca);
    snprintf(uri, sizeof(uri), "spiffe://%s/site/%s", home->keys.name,
             ist_id_hex(&bundle->delegation.subject, uid));
    rc = read_ca(home, &ca, err);
    if (rc == 0)
        rc = ist_x509_request_hash(bundle->request, bundle->request_size,
                                   key_hash, err);
    if (rc)
        return rc;
    if (read_site(home, bundle->name, "cert.pem", pem, NULL) == 0 &&
        admin_is_fresh(pem, &ca, key_hash, &leaf))
        return 0;
    ist_sb_reset(pem);
    rc = admin_issue(home, "bus", bundle->request, bundle->request_size, &leaf,
                     pem, err);
    return rc ? rc : write_site(home, bundle->name, "cert.pem", pem, err);
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
        rc = write_site(home, name, "definitions.json", &text, err);
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
    return write_site(home, bundle->name, "bundle", &text, err);
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
                            const struct request *request,
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

static const char *ctl_of(const struct request *request)
{
    return request->rabbitmqctl ? request->rabbitmqctl : "rabbitmqctl";
}

/* All that stays, then the broker, then what the site waits for. */
static int add(const struct admin_home *home, const struct request *request,
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
        rc = touch(home, request->now_ms, err);
    if (rc == 0)
        rc = broker_write_definitions(home, err);
    if (rc == 0 && !request->no_broker)
        rc = broker_add_site(ctl_of(request), bundle->name, definitions, err);
    json_decref(definitions);
    return rc ? rc : write_hub_bundle(home, request, &certificate, err);
}

static void report(const struct admin_home *home, const struct request *request,
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

static int read_given(const struct request *request, struct ist_arena *arena,
                      struct ist_bundle_site *ret, struct ist_err *err)
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

static int run_add(const struct admin_home *home, const struct request *request,
                   struct ist_err *err)
{
    IST_CLEANUP(ist_arena_fini) struct ist_arena arena;
    struct ist_bundle_site bundle;
    int rc;

    ist_arena_init(&arena, ARENA_SIZE);
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

/* Listing */

static void print_site(const struct admin_home *home, const char *name)
{
    char words[IST_WORDS_SIZE], keys[IST_CLOCK_TEXT_SIZE],
        until[IST_CLOCK_TEXT_SIZE] = "-", uid[IST_ID_UUID_SIZE];
    IST_CLEANUP(ist_arena_fini) struct ist_arena arena;
    struct ist_bundle_site bundle;
    struct ist_x509_info info;
    struct ist_err err;
    ADMIN_PEM pem;

    admin_pem_init(&pem);
    ist_arena_init(&arena, ARENA_SIZE);
    if (read_bundle(home, name, &arena, &bundle, &err) != 0) {
        printf("%-32s  unusable: %s\n", name, err.text);
        return;
    }
    ist_clock_text(bundle.delegation.not_after_ms, keys);
    if (read_site(home, name, "cert.pem", &pem, NULL) == 0 &&
        ist_x509_read(pem.data, pem.len, &info, NULL) == 0)
        ist_clock_text(info.not_after_ms, until);
    printf("%-32s  %s  %.10s  %-11.10s  %s\n", name,
           ist_id_uuid(&bundle.delegation.subject, uid), keys, until,
           ist_words(bundle.root, words));
}

static int run_list(const struct admin_home *home,
                    const struct request *request, struct ist_err *err)
{
    struct dirent **names;
    int n = list_names(home, &names, err);

    (void) request;
    if (n < 0)
        return n;
    printf("%-32s  %-36s  %-10s  %-11s  %s\n", "NAME", "UID", "KEYS UNTIL",
           "CERT. UNTIL", "FINGERPRINT");
    for (int i = 0; i < n; i++)
        print_site(home, names[i]->d_name);
    free_names(names, n);
    return 0;
}

/* Removing */

static int put_away(const struct admin_home *home,
                    const struct request *request, struct ist_err *err)
{
    char uid[IST_ID_HEX_SIZE], from_name[64], to_name[64];
    char from[PATH_MAX], to[PATH_MAX];
    IST_CLEANUP(ist_arena_fini) struct ist_arena arena;
    struct ist_bundle_site bundle;
    int rc;

    ist_arena_init(&arena, ARENA_SIZE);
    rc = read_bundle(home, request->name, &arena, &bundle, err);
    if (rc)
        return rc;
    snprintf(from_name, sizeof(from_name), "sites/%s", request->name);
    snprintf(to_name, sizeof(to_name), "removed/%s",
             ist_id_hex(&bundle.delegation.subject, uid));
    rc = admin_path(home, from_name, from, err);
    if (rc == 0)
        rc = admin_path(home, to_name, to, err);
    if (rc == 0 && rename(from, to) != 0)
        rc = ist_err_set(err, -errno, "%s: cannot be put away: %s", from,
                         strerror(errno));
    return rc ? rc : touch(home, request->now_ms, err);
}

/* Was a site of that name put away already? Then the broker may still have
 * to be told. */
static bool was_removed(const struct admin_home *home, const char *name)
{
    char path[PATH_MAX];
    bool found = false;
    struct dirent **entries;
    int n = admin_path(home, "removed", path, NULL) == 0
                ? scandir(path, &entries, NULL, NULL)
                : -1;

    for (int i = 0; i < n; i++) {
        IST_CLEANUP(ist_arena_fini) struct ist_arena arena;
        IST_CLEANUP(ist_sb_fini) struct ist_sb text;
        struct ist_bundle_site bundle;
        char part[128];

        ist_arena_init(&arena, ARENA_SIZE);
        ist_sb_init(&text, IST_BUNDLE_TEXT_MAX);
        snprintf(part, sizeof(part), "removed/%.64s/bundle",
                 entries[i]->d_name);
        found = found || (admin_read(home, part, false, &text, NULL) == 0 &&
                          ist_bundle_site_parse(text.data, text.len, 0, &arena,
                                                &bundle, NULL) == 0 &&
                          strcmp(bundle.name, name) == 0);
    }
    if (n >= 0)
        free_names(entries, n);
    return found;
}

static int run_remove(const struct admin_home *home,
                      const struct request *request, struct ist_err *err)
{
    int rc = put_away(home, request, err);

    if (rc == -ENOENT) {
        if (!was_removed(home, request->name))
            return ist_err_set(err, rc, "no site is called %s", request->name);
        rc = 0;
    }
    if (rc == 0)
        rc = broker_write_definitions(home, err);
    if (rc == 0 && !request->no_broker)
        rc = broker_remove_site(ctl_of(request), request->name, err);
    if (rc == 0)
        printf("removed %s%s\n", request->name,
               request->no_broker ? "; the broker still has its user and queues"
                                  : "");
    return rc;
}

/* The command line */

static const struct verb {
    const char *name;
    int n_words; /* After the verb. */
    int (*run)(const struct admin_home *, const struct request *,
               struct ist_err *);
} verbs[] = {
    {"add", 2, run_add},
    {"list", 0, run_list},
    {"remove", 1, run_remove},
};

static int run(const struct verb *verb, const struct request *request)
{
    struct admin_home home;
    struct ist_err err;
    int rc = admin_home_open(request->dir, &home, &err);

    if (rc)
        return admin_complain(&err);

    IST_CLEANUP(unlock)
    int lock = ist_file_lock(home.keys.dir, ADMIN_LOCK, &err);

    rc = lock < 0 ? lock : verb->run(&home, request, &err);
    admin_home_close(&home);
    return rc ? admin_complain(&err) : 0;
}

static int check(const struct verb *verb, struct request *request, char **words,
                 int n_words)
{
    if (n_words != verb->n_words)
        return misuse(verb->n_words == 2   ? "add takes a name and a bundle"
                      : verb->n_words == 1 ? "remove takes one name"
                                           : "list takes no names");
    if (n_words > 0)
        request->name = words[0];
    if (n_words > 1)
        request->bundle = words[1];
    if (request->name && !ist_parse_site_name(request->name))
        return misuse("a site's name has 2 to 32 of a-z, 0-9 and '-', and is "
                      "none of the bus's own words");
    if (!request->dir)
        return misuse("--state is needed");
    if (verb->run == run_add && !request->out)
        return misuse("--out is needed");
    if (request->bus_url && !ist_bundle_url_ok(request->bus_url))
        return misuse("--bus-url: amqps://HOST[:PORT][/VHOST], without user "
                      "and password");
    if (request->rabbitmqctl && request->no_broker)
        return misuse("--rabbitmqctl and --no-broker exclude each other");
    return 0;
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < IST_COUNT(verbs); i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    }
    return NULL;
}

int admin_site_command(int argc, char **argv)
{
    static const struct option options[] = {
        {"state", required_argument, NULL, 's'},
        {"out", required_argument, NULL, 'o'},
        {"rabbitmqctl", required_argument, NULL, 'c'},
        {"no-broker", no_argument, NULL, 'n'},
        {"bus-url", required_argument, NULL, 'u'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct request request = {.now_ms = ist_clock_wall_ms()};
    const struct verb *verb;
    int c, rc;

    if (argc < 2)
        return misuse("add, list or remove?");
    optind = 0;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 's':
            request.dir = optarg;
            break;
        case 'o':
            request.out = optarg;
            break;
        case 'c':
            request.rabbitmqctl = optarg;
            break;
        case 'n':
            request.no_broker = true;
            break;
        case 'u':
            request.bus_url = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            return misuse("unknown option, or one without its value");
        }
    }
    verb = optind < argc ? find_verb(argv[optind]) : NULL;
    if (!verb)
        return misuse("add, list or remove?");
    rc = check(verb, &request, argv + optind + 1, argc - optind - 1);
    return rc ? rc : run(verb, &request);
}
