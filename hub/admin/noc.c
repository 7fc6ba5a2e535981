/* Readers of what the hub publishes for the NOC: a user on the broker that may
 * read noc.stream and nothing else, and the files that a console of theirs
 * needs. Their private key is made here, written to where it is wanted, and not
 * kept. */
#include "admin/commands.h"

#include "admin/broker.h"
#include "admin/topology.h"
#include "admin/verbs.h"
#include "base/clock.h"
#include "codec/armour.h"
#include "codec/file.h"

#include <errno.h>
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

#define USER_SIZE 48

/* On the broker. 'buf' has USER_SIZE bytes; returned. */
static const char *user_of(const char *name, char *buf)
{
    snprintf(buf, USER_SIZE, "noc-%s", name);
    return buf;
}

/* The folder that is handed out */

static int out_path(const struct admin_request *request, const char *file,
                    char path[PATH_MAX], struct ist_err *err)
{
    int rc = ist_file_path(path, PATH_MAX, request->out, file);

    return rc ? ist_err_set(err, rc, "%s: the path is too long", request->out)
              : 0;
}

static int out_write(const struct admin_request *request, const char *file,
                     enum ist_file_care care, const void *data, size_t size,
                     struct ist_err *err)
{
    char path[PATH_MAX];
    int rc = out_path(request, file, path, err);

    return rc ? rc : ist_file_write(path, care, data, size, err);
}

/* The key that is there already, or a new one. */
static int out_key(const struct admin_request *request, struct ist_sb *key,
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
                    const struct admin_request *request, struct ist_err *err)
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
                        const struct admin_request *request,
                        struct ist_err *err)
{
    char user[USER_SIZE];
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "url",
        home->bus_url, "federation", home->keys.name, "host", home->broker_host,
        "port", (int) home->broker_port, "vhost", TOPOLOGY_VHOST, "user",
        user_of(request->name, user), "queue", "noc.stream", "ca", "ca.pem",
        "certificate", "cert.pem", "key", "key.pem", "hub", "hub.pem");
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

static void kept_path(const struct admin_request *request, const char *file,
                      char path[96])
{
    snprintf(path, 96, "noc/%s%s", request->name, file);
}

static int certify(const struct admin_home *home,
                   const struct admin_request *request,
                   const struct ist_sb *key, struct ist_sb *pem,
                   struct ist_err *err)
{
    char uri[192], kept[96], user[USER_SIZE];
    struct admin_certificate what = {
        .ca = "bus",
        .file = kept,
        .leaf = {.use = IST_X509_CLIENT,
                 .cn = user_of(request->name, user),
                 .uri = uri,
                 .now_ms = request->now_ms,
                 .days = ADMIN_NOC_DAYS}};
    ADMIN_PEM der;
    int rc;

    admin_pem_init(&der);
    snprintf(uri, sizeof(uri), "spiffe://%s/noc/%s", home->keys.name,
             request->name);
    kept_path(request, "/cert.pem", kept);
    rc = ist_x509_request_make(key->data, key->len, what.leaf.cn, &der, err);
    what.request = der.data;
    what.request_size = der.len;
    return rc ? rc : admin_certify(home, &what, pem, err);
}

static int make_folders(const struct admin_home *home,
                        const struct admin_request *request,
                        struct ist_err *err)
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
                     const struct admin_request *request, struct ist_err *err)
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
        rc = certify(home, request, &key, &pem, err);
    if (rc == 0)
        rc = out_write(request, "ca.pem", IST_FILE_OWN, ca.data, ca.len, err);
    if (rc == 0)
        rc = out_write(request, "cert.pem", IST_FILE_OWN, pem.data, pem.len,
                       err);
    if (rc == 0)
        rc = out_root(home, request, err);
    return rc ? rc : out_settings(home, request, err);
}

static int tell_broker(const struct admin_request *request, struct ist_err *err)
{
    char user[USER_SIZE];
    json_t *definitions = topology_definitions(
        &(struct topology_names){.nocs = &request->name, .n_nocs = 1}, false);
    int rc = definitions ? broker_add_noc(request->rabbitmqctl,
                                          user_of(request->name, user),
                                          definitions, err)
                         : ist_err_set(err, -ENOMEM, "out of memory");

    json_decref(definitions);
    return rc;
}

static int run_add(const struct admin_home *home,
                   const struct admin_request *request, struct ist_err *err)
{
    char user[USER_SIZE];
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
           user_of(request->name, user),
           request->no_broker ? ", not on the broker yet" : "", request->out);
    return 0;
}

/* Listing and removing */

static int run_list(const struct admin_home *home,
                    const struct admin_request *request, struct ist_err *err)
{
    struct admin_names nocs;
    int rc = admin_names(home, "noc", &nocs, err);

    (void) request;
    if (rc == 0)
        printf("%-32s  %-36s  %s\n", "NAME", "USER", "CERT. UNTIL");
    for (size_t i = 0; rc == 0 && i < nocs.n; i++) {
        char path[96], until[IST_CLOCK_TEXT_SIZE] = "-", user[USER_SIZE];
        struct ist_x509_info info;
        ADMIN_PEM pem;

        admin_pem_init(&pem);
        snprintf(path, sizeof(path), "noc/%s/cert.pem", nocs.names[i]);
        if (admin_read(home, path, false, &pem, NULL) == 0 &&
            ist_x509_read(pem.data, pem.len, &info, NULL) == 0)
            ist_clock_text(info.not_after_ms, until);
        printf("%-32s  %-36s  %.10s\n", nocs.names[i],
               user_of(nocs.names[i], user), until);
    }
    admin_names_free(&nocs);
    return rc;
}

static int forget(const struct admin_home *home,
                  const struct admin_request *request, struct ist_err *err)
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
                      const struct admin_request *request, struct ist_err *err)
{
    char user[USER_SIZE];
    int rc = 0;

    if (!request->no_broker)
        rc = broker_remove_noc(request->rabbitmqctl,
                               user_of(request->name, user), err);
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

static const struct admin_verb verbs[] = {
    {"add", 1, "one name is needed", true, run_add},
    {"list", 0, "list takes no names", false, run_list},
    {"remove", 1, "one name is needed", false, run_remove},
};

int admin_noc_command(int argc, char **argv)
{
    static const struct admin_verbs noc = {"noc", usage, verbs,
                                           IST_COUNT(verbs), false};

    return admin_verbs_command(&noc, argc, argv);
}
