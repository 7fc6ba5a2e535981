/* Readers of what the hub publishes for the NOC: a user on the broker that may
 * read noc.stream and nothing else, and the files that a console of theirs
 * needs. Their private key is made here, written to where it is wanted, and not
 * kept. */
#include "admin/commands.h"

#include "admin/broker.h"
#include "admin/home_priv.h"
#include "admin/topology.h"
#include "base/clock.h"
#include "base/parse.h"
#include "codec/armour.h"
#include "codec/file.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: isthmus-hub noc add NAME --state DIR --out FOLDER\n"
    "           [--rabbitmqctl PATH | --no-broker]\n"
    "       isthmus-hub noc list --state DIR\n"
    "       isthmus-hub noc remove NAME --state DIR\n"
    "           [--rabbitmqctl PATH | --no-broker]\n"
    "\n"
    "add      makes a reader of the events of all sites: a user on the "
    "broker,\n"
    "         noc-NAME, that may read noc.stream and do nothing else, and a\n"
    "         folder with what a console needs. Again: renews the "
    "certificate,\n"
    "         with the key in that folder.\n"
    "remove   at once: connections that are open end.\n"
    "\n"
    "  --out FOLDER        made if it is not there; it holds a secret, "
    "key.pem\n"
    "  --rabbitmqctl PATH  rabbitmqctl of the broker, from the PATH if not "
    "given\n"
    "  --no-broker         leave the broker alone; 'isthmus-hub topology "
    "--noc\n"
    "                      NAME' prints what it must be given\n"
    "\n"
    "isthmus-events(7) says what is in the stream, and how to read it.\n";

struct request {
    const char *name, *dir, *out, *rabbitmqctl;
    bool no_broker;
    uint64_t now_ms;
    char user[48]; /* "noc-NAME" */
};

static void unlock(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static int misuse(const char *why)
{
    fprintf(stderr, "isthmus-hub noc: %s\n\n%s", why, usage);
    return 2;
}

/* The folder that is handed out */

static int out_path(const struct request *request, const char *file,
                    char path[PATH_MAX], struct ist_err *err)
{
    int rc = ist_file_path(path, PATH_MAX, request->out, file);

    return rc ? ist_err_set(err, rc, "%s: the path is too long", request->out)
              : 0;
}

static int out_write(const struct request *request, const char *file,
                     enum ist_file_care care, const void *data, size_t size,
                     struct ist_err *err)
{
    char path[PATH_MAX];
    int rc = out_path(request, file, path, err);

    return rc ? rc : ist_file_write(path, care, data, size, err);
}

/* The key that is there already, or a new one. */
static int out_key(const struct request *request, struct ist_sb *key,
                   struct ist_err *err)
{
    char path[PATH_MAX];
    int rc = out_path(request, "key.pem", path, err);

    if (rc == 0)
        rc = ist_file_read(path, IST_FILE_SECRET, key, err);
    if (rc != -ENOENT)
        return rc;
    rc = ist_x509_key_make(key, err);
    return rc ? rc
              : ist_file_write(path, IST_FILE_SECRET, key->data, key->len, err);
}

/* The hub's root key as any TLS library reads it: RFC 8410, section 4. */
static int out_root(const struct admin_home *home,
                    const struct request *request, struct ist_err *err)
{
    static const uint8_t intro[] = {0x30, 0x2A, 0x30, 0x05, 0x06, 0x03,
                                    0x2B, 0x65, 0x70, 0x03, 0x21, 0x00};
    uint8_t der[sizeof(intro) + sizeof(home->keys.root)];
    IST_CLEANUP(ist_sb_fini) struct ist_sb pem;

    memcpy(der, intro, sizeof(intro));
    memcpy(der + sizeof(intro), home->keys.root, sizeof(home->keys.root));
    ist_sb_init(&pem, 0);
    ist_armour_write(&pem, "PUBLIC KEY", der, sizeof(der));
    return out_write(request, "hub.pem", IST_FILE_OWN, ist_sb_text(&pem),
                     pem.len, err);
}

/* Where to connect. The paths are relative to the file. */
static int out_settings(const struct admin_home *home,
                        const struct request *request, struct ist_err *err)
{
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "url",
        home->bus_url, "federation", home->keys.name, "host", home->broker_host,
        "port", (int) home->broker_port, "vhost", TOPOLOGY_VHOST, "user",
        request->user, "queue", "noc.stream", "ca", "ca.pem", "certificate",
        "cert.pem", "key", "key.pem", "hub", "hub.pem");
    char *dump =
        json ? json_dumps(json, JSON_INDENT(1) | JSON_PRESERVE_ORDER) : NULL;
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;

    ist_sb_init(&text, 0);
    if (dump)
        ist_sb_printf(&text, "%s\n", dump);
    free(dump);
    json_decref(json);
    if (text.rc || text.len == 0)
        return ist_err_set(err, -ENOMEM, "out of memory");
    return out_write(request, "noc.json", IST_FILE_OWN, text.data, text.len,
                     err);
}

/* Adding */

static int kept_path(const struct request *request, const char *file,
                     char path[96])
{
    return snprintf(path, 96, "noc/%s%s", request->name, file);
}

static int issue(const struct admin_home *home, const struct request *request,
                 const struct ist_sb *key, const struct ist_sb *ca,
                 struct ist_sb *pem, struct ist_err *err)
{
    char uri[192], kept[96];
    const struct ist_x509_leaf leaf = {.use = IST_X509_CLIENT,
                                       .cn = request->user,
                                       .uri = uri,
                                       .now_ms = request->now_ms,
                                       .days = ADMIN_NOC_DAYS};
    uint8_t key_hash[32];
    ADMIN_PEM der;
    int rc;

    admin_pem_init(&der);
    snprintf(uri, sizeof(uri), "spiffe://%s/noc/%s", home->keys.name,
             request->name);
    kept_path(request, "/cert.pem", kept);
    rc = ist_x509_key_hash(key->data, key->len, key_hash, err);
    if (rc)
        return rc;
    if (admin_read(home, kept, false, pem, NULL) == 0 &&
        admin_is_fresh(pem, ca, key_hash, &leaf))
        return 0;
    ist_sb_reset(pem);
    rc = ist_x509_request_make(key->data, key->len, request->user, &der, err);
    if (rc == 0)
        rc = admin_issue(home, "bus", der.data, der.len, &leaf, pem, err);
    return rc ? rc : admin_write(home, kept, false, pem, err);
}

static int make_folders(const struct admin_home *home,
                        const struct request *request, struct ist_err *err)
{
    char path[PATH_MAX], kept[96];
    int rc = admin_path(home, "noc", path, err);

    if (rc == 0)
        rc = ist_file_mkdir(path, err);
    kept_path(request, "", kept);
    if (rc == 0)
        rc = admin_path(home, kept, path, err);
    if (rc == 0)
        rc = ist_file_mkdir(path, err);
    return rc ? rc : ist_file_mkdir(request->out, err);
}

static int add_files(const struct admin_home *home,
                     const struct request *request, struct ist_err *err)
{
    ADMIN_PEM key;
    ADMIN_PEM ca;
    ADMIN_PEM pem;
    int rc = make_folders(home, request, err);

    admin_pem_init(&key);
    admin_pem_init(&ca);
    admin_pem_init(&pem);
    if (rc == 0)
        rc = out_key(request, &key, err);
    if (rc == 0)
        rc = admin_read(home, "ca/bus.pem", false, &ca, err);
    if (rc == 0)
        rc = issue(home, request, &key, &ca, &pem, err);
    if (rc == 0)
        rc = out_write(request, "ca.pem", IST_FILE_OWN, ca.data, ca.len, err);
    if (rc == 0)
        rc = out_write(request, "cert.pem", IST_FILE_OWN, pem.data, pem.len,
                       err);
    if (rc == 0)
        rc = out_root(home, request, err);
    return rc ? rc : out_settings(home, request, err);
}

static const char *ctl(const struct request *request)
{
    return request->rabbitmqctl ? request->rabbitmqctl : "rabbitmqctl";
}

static int tell_broker(const struct request *request, struct ist_err *err)
{
    json_t *definitions = topology_definitions(
        &(struct topology_names){.nocs = &request->name, .n_nocs = 1}, false);
    int rc = definitions
                 ? broker_add_noc(ctl(request), request->user, definitions, err)
                 : ist_err_set(err, -ENOMEM, "out of memory");

    json_decref(definitions);
    return rc;
}

static int run_add(const struct admin_home *home, const struct request *request,
                   struct ist_err *err)
{
    int rc = add_files(home, request, err);

    if (rc == 0)
        rc = broker_write_definitions(home, err);
    if (rc == 0 && !request->no_broker)
        rc = tell_broker(request, err);
    if (rc)
        return rc;
    printf("user   %s%s\n"
           "files  %s: noc.json ca.pem cert.pem key.pem hub.pem\n"
           "next   bring the folder to the console, key.pem in secret, and "
           "there:\n"
           "       isthmus watch --bus FOLDER\n"
           "       any other AMQP client: isthmus-events(7)\n",
           request->user, request->no_broker ? ", not on the broker yet" : "",
           request->out);
    return 0;
}

/* Listing and removing */

static int run_list(const struct admin_home *home,
                    const struct request *request, struct ist_err *err)
{
    struct admin_names nocs;
    int rc = admin_names(home, "noc", &nocs, err);

    (void) request;
    if (rc == 0)
        printf("%-32s  %-36s  %s\n", "NAME", "USER", "CERT. UNTIL");
    for (size_t i = 0; rc == 0 && i < nocs.n; i++) {
        char path[96], until[IST_CLOCK_TEXT_SIZE] = "-", user[48];
        struct ist_x509_info info;
        ADMIN_PEM pem;

        admin_pem_init(&pem);
        snprintf(path, sizeof(path), "noc/%s/cert.pem", nocs.names[i]);
        snprintf(user, sizeof(user), "noc-%s", nocs.names[i]);
        if (admin_read(home, path, false, &pem, NULL) == 0 &&
            ist_x509_read(pem.data, pem.len, &info, NULL) == 0)
            ist_clock_text(info.not_after_ms, until);
        printf("%-32s  %-36s  %.10s\n", nocs.names[i], user, until);
    }
    admin_names_free(&nocs);
    return rc;
}

static int forget(const struct admin_home *home, const struct request *request,
                  struct ist_err *err)
{
    char kept[96], path[PATH_MAX];
    int rc;

    kept_path(request, "/cert.pem", kept);
    rc = admin_path(home, kept, path, err);
    if (rc == 0 && unlink(path) != 0 && errno != ENOENT)
        return ist_err_set(err, -errno, "%s: %s", path, strerror(errno));
    kept_path(request, "", kept);
    if (rc == 0)
        rc = admin_path(home, kept, path, err);
    if (rc == 0 && rmdir(path) != 0)
        return errno == ENOENT
                   ? ist_err_set(err, -ENOENT, "no NOC reader is called %s",
                                 request->name)
                   : ist_err_set(err, -errno, "%s: %s", path, strerror(errno));
    return rc;
}

/* The broker first: as long as it has the user, the name must be listed. */
static int run_remove(const struct admin_home *home,
                      const struct request *request, struct ist_err *err)
{
    int rc = 0;

    if (!request->no_broker)
        rc = broker_remove_noc(ctl(request), request->user, err);
    if (rc == 0)
        rc = forget(home, request, err);
    if (rc == 0)
        rc = broker_write_definitions(home, err);
    if (rc == 0)
        printf("removed %s%s\n", request->name,
               request->no_broker ? "; the broker still has its user" : "");
    return rc;
}

/* The command line */

static const struct verb {
    const char *name;
    bool is_named, has_out;
    int (*run)(const struct admin_home *, const struct request *,
               struct ist_err *);
} verbs[] = {
    {"add", true, true, run_add},
    {"list", false, false, run_list},
    {"remove", true, false, run_remove},
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
    if (n_words != verb->is_named)
        return misuse(verb->is_named ? "one name is needed"
                                     : "list takes no names");
    if (verb->is_named) {
        request->name = words[0];
        if (!ist_parse_site_name(request->name))
            return misuse("a name has 2 to 32 of a-z, 0-9 and '-', and is none "
                          "of the bus's own words");
        snprintf(request->user, sizeof(request->user), "noc-%s", request->name);
    }
    if (!request->dir)
        return misuse("--state is needed");
    if (verb->has_out && !request->out)
        return misuse("--out is needed");
    if (!verb->has_out && request->out)
        return misuse("--out is for add");
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

int admin_noc_command(int argc, char **argv)
{
    static const struct option options[] = {
        {"state", required_argument, NULL, 's'},
        {"out", required_argument, NULL, 'o'},
        {"rabbitmqctl", required_argument, NULL, 'c'},
        {"no-broker", no_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct request request = {.now_ms = ist_clock_wall_ms()};
    const struct verb *verb;
    int c, rc;

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
