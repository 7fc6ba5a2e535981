/* Step by step, each of which leaves alone what is there and still good: so a
 * second run renews what has run out, and a run after a crash goes on. */
#include "admin/commands.h"

#include "admin/broker.h"
#include "admin/home_priv.h"
#include "base/clock.h"
#include "base/parse.h"
#include "codec/file.h"
#include "codec/words.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: isthmus-hub setup --state DIR --federation NAME --broker-host "
    "HOST\n"
    "           [--broker-port PORT] [--http-host HOST] [--hub-word WORD]\n"
    "           [--renew]\n"
    "\n"
    "Makes a hub: its keys, the private certificate authorities of the bus "
    "and\n"
    "of HTTPS, certificates, and what the broker loads at its first start. A\n"
    "second run changes nothing but what has run out or was asked otherwise.\n"
    "\n"
    "  --state DIR         where all of it is kept (mode 0700)\n"
    "  --federation NAME   a-z, 0-9, '.', '-'; cannot be changed later\n"
    "  --broker-host HOST  name or address by which hub and sites reach it\n"
    "  --broker-port PORT  5671 if not given\n"
    "  --http-host HOST    name by which users reach the hub; localhost if "
    "not\n"
    "                      given\n"
    "  --hub-word WORD     of this process on the bus, h1 if not given\n"
    "  --renew             new online keys, signed by the root key; every "
    "site\n"
    "                      must then be given a new bundle (site add)\n";

struct setup {
    const char *dir, *federation, *broker_host, *http_host, *word;
    unsigned port;
    bool renew;
    uint64_t now_ms;
};

/* Directories and CAs */

static int make_dirs(const struct admin_home *home, struct ist_err *err)
{
    static const char *const names[] = {"ca",   "bus",   "broker",
                                        "http", "sites", "removed"};
    char path[PATH_MAX];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < IST_COUNT(names); i++) {
        rc = admin_path(home, names[i], path, err);
        if (rc == 0)
            rc = ist_file_mkdir(path, err);
    }
    return rc;
}

/* The certificate is written last: as long as it is missing, nothing was
 * signed with the key. Its text goes to 'ret'. */
static int make_ca(const struct admin_home *home, const char *name,
                   const char *cn, uint64_t now_ms, struct ist_sb *ret,
                   struct ist_err *err)
{
    char certificate[32], key_name[32];
    ADMIN_PEM key;
    int rc;

    admin_pem_init(&key);
    snprintf(certificate, sizeof(certificate), "ca/%s.pem", name);
    snprintf(key_name, sizeof(key_name), "ca/%s.key", name);
    rc = admin_read(home, certificate, false, ret, err);
    if (rc != -ENOENT)
        return rc;
    rc = ist_x509_ca_make(cn, now_ms, ADMIN_CA_DAYS, &key, ret, err);
    if (rc == 0)
        rc = admin_write(home, key_name, true, &key, err);
    return rc ? rc : admin_write(home, certificate, false, ret, err);
}

/* A copy for those who read it there. Rewritten only when it differs. */
static int copy(const struct admin_home *home, const char *name,
                const struct ist_sb *data, struct ist_err *err)
{
    ADMIN_PEM there;

    admin_pem_init(&there);
    if (admin_read(home, name, false, &there, NULL) == 0 &&
        there.len == data->len &&
        memcmp(there.data, data->data, data->len) == 0)
        return 0;
    return admin_write(home, name, false, data, err);
}

/* Leaves */

/* The key in file 'name', made when missing. */
static int make_key(const struct admin_home *home, const char *name,
                    struct ist_sb *key, struct ist_err *err)
{
    int rc = admin_read(home, name, true, key, err);

    if (rc != -ENOENT)
        return rc;
    rc = ist_x509_key_make(key, err);
    return rc ? rc : admin_write(home, name, true, key, err);
}

/* 'what' lacks the request, which is made for the key in file 'key_name'. */
static int make_leaf(const struct admin_home *home, const char *key_name,
                     struct admin_certificate *what, struct ist_err *err)
{
    ADMIN_PEM key;
    ADMIN_PEM pem;
    ADMIN_PEM request;
    int rc;

    admin_pem_init(&key);
    admin_pem_init(&pem);
    admin_pem_init(&request);
    rc = make_key(home, key_name, &key, err);
    if (rc == 0)
        rc = ist_x509_request_make(key.data, key.len, what->leaf.cn, &request,
                                   err);
    what->request = request.data;
    what->request_size = request.len;
    return rc ? rc : admin_certify(home, what, &pem, err);
}

/* The host that was asked for, and this machine's own names. */
static void list_hosts(const char *host, const char *hosts[5])
{
    static const char *const own[] = {"localhost", "127.0.0.1", "::1"};
    size_t n = 0;

    hosts[n++] = host;
    for (size_t i = 0; i < IST_COUNT(own); i++) {
        if (strcmp(own[i], host) != 0)
            hosts[n++] = own[i];
    }
    hosts[n] = NULL;
}

static int make_server(const struct admin_home *home, const char *key_name,
                       const char *host, struct admin_certificate *what,
                       struct ist_err *err)
{
    const char *hosts[5];

    list_hosts(host, hosts);
    what->leaf.use = IST_X509_SERVER;
    what->leaf.hosts = hosts;
    what->leaf.days = ADMIN_SERVER_DAYS;
    return make_leaf(home, key_name, what, err);
}

static int make_client(const struct admin_home *home, uint64_t now_ms,
                       struct ist_err *err)
{
    char uri[160], uid[IST_ID_HEX_SIZE];
    struct admin_certificate what = {.ca = "bus",
                                     .file = "bus/cert.pem",
                                     .leaf = {.use = IST_X509_CLIENT,
                                              .cn = home->user,
                                              .uri = uri,
                                              .now_ms = now_ms,
                                              .days = ADMIN_HUB_DAYS}};

    snprintf(uri, sizeof(uri), "spiffe://%s/hub/%s", home->keys.name,
             ist_id_hex(&home->keys.self.uid, uid));
    return make_leaf(home, "tls.key", &what, err);
}

static int make_bus(const struct admin_home *home, uint64_t now_ms,
                    struct ist_err *err)
{
    struct admin_certificate broker = {
        .ca = "bus",
        .file = "broker/broker.pem",
        .leaf = {.cn = "isthmus-bus", .now_ms = now_ms}};
    ADMIN_PEM ca;
    int rc;

    admin_pem_init(&ca);
    rc = make_ca(home, "bus", "Isthmus bus CA", now_ms, &ca, err);
    if (rc == 0)
        rc = copy(home, "bus/ca.pem", &ca, err);
    if (rc == 0)
        rc = copy(home, "broker/ca.pem", &ca, err);
    if (rc == 0)
        rc = make_server(home, "broker/broker.key", home->broker_host, &broker,
                         err);
    return rc ? rc : make_client(home, now_ms, err);
}

static int make_http(const struct admin_home *home, uint64_t now_ms,
                     struct ist_err *err)
{
    struct admin_certificate server = {
        .ca = "http",
        .file = "http/cert.pem",
        .leaf = {.cn = "isthmus-hub", .now_ms = now_ms}};
    ADMIN_PEM ca;
    int rc;

    admin_pem_init(&ca);
    rc = make_ca(home, "http", "Isthmus HTTPS CA", now_ms, &ca, err);
    if (rc == 0)
        rc = copy(home, "http/ca.pem", &ca, err);
    return rc ? rc
              : make_server(home, "http/key.pem", home->http_host, &server,
                            err);
}

/* The whole */

/* What was set up before is kept where nothing was said about it. */
static int merge(struct admin_home *home, const struct setup *setup,
                 struct ist_err *err)
{
    int rc = admin_home_read(home, err);
    bool first = rc == -ENOENT;

    if (rc && !first)
        return rc;
    if (!first && setup->word && strcmp(setup->word, home->word) != 0)
        return ist_err_set(err, -EEXIST,
                           "%s is the directory of hub %s: another hub needs "
                           "another one",
                           setup->dir, home->word);
    if (first)
        snprintf(home->word, sizeof(home->word), "%s",
                 setup->word ? setup->word : "h1");
    snprintf(home->broker_host, sizeof(home->broker_host), "%s",
             setup->broker_host);
    if (first || setup->http_host)
        snprintf(home->http_host, sizeof(home->http_host), "%s",
                 setup->http_host ? setup->http_host : "localhost");
    if (first || setup->port)
        home->broker_port = setup->port ? setup->port : 5671;
    rc = admin_home_derive(home, err);
    return rc ? rc : admin_home_write(home, err);
}

static int make_all(struct admin_home *home, const struct setup *setup,
                    struct ist_err *err)
{
    IST_CLEANUP(admin_unlock) int lock = admin_lock(setup->dir, err);
    int rc;

    if (lock < 0)
        return lock;
    rc = make_dirs(home, err);
    if (rc == 0)
        rc = merge(home, setup, err);
    if (rc == 0 && setup->renew)
        rc = ist_keyfile_renew(&home->keys, setup->now_ms, err);
    if (rc == 0)
        rc = make_bus(home, setup->now_ms, err);
    if (rc == 0)
        rc = make_http(home, setup->now_ms, err);
    return rc ? rc : broker_write_definitions(home, err);
}

static void report(const struct admin_home *home)
{
    char words[IST_WORDS_SIZE], until[IST_CLOCK_TEXT_SIZE];
    const char *dir = home->keys.dir;

    printf("hub          %s of federation %s\n", home->word, home->keys.name);
    printf("fingerprint  %s\n", ist_words(home->keys.root, words));
    printf("online keys  until %s\n",
           ist_clock_text(home->keys.delegation.not_after_ms, until));
    printf("bus          %s\n", home->bus_url);
    printf("for broker   %s/broker\n", dir);
    printf("HTTPS CA     %s/http/ca.pem\n", dir);
    printf("next         give the broker its files and start it, then "
           "isthmus-hub site add;\n"
           "             keep a copy of %s/root.key offline\n",
           dir);
}

static int run(const struct setup *setup)
{
    struct admin_home home = {0};
    struct ist_err err;
    int rc = ist_keyfile_make(setup->dir, IST_ROLE_HUB, setup->federation,
                              setup->now_ms, &home.keys, &err);

    if (rc)
        return admin_complain(&err);
    rc = make_all(&home, setup, &err);
    if (rc == 0 && !setup->renew)
        rc = ist_keyfile_check(&home.keys, setup->now_ms, &err);
    if (rc == 0)
        report(&home);
    ist_keyfile_fini(&home.keys);
    return rc ? admin_complain(&err) : 0;
}

/* The command line */

static int misuse(const char *why)
{
    fprintf(stderr, "isthmus-hub setup: %s\n\n%s", why, usage);
    return 2;
}

static int check(const struct setup *setup)
{
    if (!setup->dir || !setup->federation || !setup->broker_host)
        return misuse("--state, --federation and --broker-host are needed");
    if (!ist_keyfile_federation_ok(setup->federation))
        return misuse("--federation: a-z, 0-9, '.' and '-', 2 to 63 "
                      "characters");
    if (!admin_host_ok(setup->broker_host))
        return misuse("--broker-host: not a host name or address");
    if (setup->http_host && !admin_host_ok(setup->http_host))
        return misuse("--http-host: not a host name or address");
    if (setup->word && !admin_word_ok(setup->word))
        return misuse("--hub-word: h and a number, as in h1 or h2-east");
    return 0;
}

int admin_setup_command(int argc, char **argv)
{
    static const struct option options[] = {
        {"state", required_argument, NULL, 's'},
        {"federation", required_argument, NULL, 'f'},
        {"broker-host", required_argument, NULL, 'b'},
        {"broker-port", required_argument, NULL, 'p'},
        {"http-host", required_argument, NULL, 'w'},
        {"hub-word", required_argument, NULL, 'u'},
        {"renew", no_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct setup setup = {.now_ms = ist_clock_wall_ms()};
    uint64_t port;
    int c, rc;

    optind = 0;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 's':
            setup.dir = optarg;
            break;
        case 'f':
            setup.federation = optarg;
            break;
        case 'b':
            setup.broker_host = optarg;
            break;
        case 'w':
            setup.http_host = optarg;
            break;
        case 'u':
            setup.word = optarg;
            break;
        case 'r':
            setup.renew = true;
            break;
        case 'p':
            if (!ist_parse_u64(optarg, 1, 65535, &port))
                return misuse("--broker-port: 1 to 65535");
            setup.port = (unsigned) port;
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
    rc = check(&setup);
    return rc ? rc : run(&setup);
}
