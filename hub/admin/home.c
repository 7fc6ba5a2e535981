#include "admin/home.h"

#include "admin/home_priv.h"
#include "base/parse.h"
#include "codec/file.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Words and hosts */

bool admin_word_ok(const char *word)
{
    size_t digits;

    if (*word++ != 'h')
        return false;
    digits = strspn(word, "0123456789");
    word += digits;
    if (digits == 0 || digits > 6)
        return false;
    if (*word == '\0')
        return true;
    return *word == '-' && strlen(word) >= 2 && strlen(word) <= 9 &&
           strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789-") ==
               strlen(word);
}

static bool is_v6(const char *host)
{
    struct in6_addr address;

    return inet_pton(AF_INET6, host, &address) == 1;
}

bool admin_host_ok(const char *host)
{
    static const char ok[] = "abcdefghijklmnopqrstuvwxyz"
                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";

    return is_v6(host) ||
           (*host && *host != '-' && *host != '.' && strlen(host) <= 253 &&
            strspn(host, ok) == strlen(host));
}

/* Paths and files */

int admin_path(const struct admin_home *home, const char *name, char *path,
               struct ist_err *err)
{
    int rc = ist_file_path(path, PATH_MAX, home->keys.dir, name);

    return rc ? ist_err_set(err, rc, "the path is too long") : 0;
}

int admin_read(const struct admin_home *home, const char *name, bool secret,
               struct ist_sb *ret, struct ist_err *err)
{
    char path[PATH_MAX];
    int rc = admin_path(home, name, path, err);

    return rc ? rc
              : ist_file_read(path, secret ? IST_FILE_SECRET : IST_FILE_OWN,
                              ret, err);
}

int admin_write(const struct admin_home *home, const char *name, bool secret,
                const struct ist_sb *data, struct ist_err *err)
{
    char path[PATH_MAX];
    int rc = admin_path(home, name, path, err);

    if (rc == 0 && data->rc)
        rc = ist_err_set(err, data->rc, "%s: too large", path);
    return rc ? rc
              : ist_file_write(path, secret ? IST_FILE_SECRET : IST_FILE_OWN,
                               ist_sb_text(data), data->len, err);
}

void admin_pem_init(struct ist_sb *pem)
{
    ist_sb_init(pem, IST_X509_MAX);
    ist_sb_reserve(pem, IST_X509_MAX); /* Growing would leave copies. */
    if (pem->data)
        pem->data[0] = '\0';
}

void admin_pem_fini(struct ist_sb *pem)
{
    if (pem->data)
        sodium_memzero(pem->data, pem->size);
    ist_sb_fini(pem);
}

int admin_complain(const struct ist_err *err)
{
    fprintf(stderr, "isthmus-hub: %s\n", err->text);
    return 1;
}

/* Certificates */

/* Has the certificate of that CA, key and use more than a third of its days
 * left? */
static bool is_fresh(const struct ist_sb *pem, const struct ist_sb *ca,
                     const uint8_t key_hash[32],
                     const struct ist_x509_leaf *leaf)
{
    struct ist_x509_info info;
    uint64_t third_ms = (uint64_t) leaf->days * 24 * 3600 * 1000 / 3;

    if (ist_x509_read(pem->data, pem->len, &info, NULL) != 0 ||
        ist_x509_verify(pem->data, pem->len, ca->data, ca->len, leaf->use,
                        leaf->now_ms, NULL) != 0)
        return false;
    for (size_t i = 0; leaf->hosts && leaf->hosts[i]; i++) {
        if (!ist_x509_has_host(pem->data, pem->len, leaf->hosts[i]))
            return false;
    }
    return strcmp(info.cn, leaf->cn) == 0 &&
           memcmp(info.key_hash, key_hash, sizeof(info.key_hash)) == 0 &&
           info.not_after_ms > leaf->now_ms + third_ms;
}

static int issue(const struct admin_home *home,
                 const struct admin_certificate *what, const struct ist_sb *ca,
                 struct ist_sb *pem, struct ist_err *err)
{
    ADMIN_PEM key;
    char name[32];
    int rc;

    admin_pem_init(&key);
    snprintf(name, sizeof(name), "ca/%s.key", what->ca);
    rc = admin_read(home, name, true, &key, err);
    if (rc == 0)
        rc = ist_x509_issue(ca->data, ca->len, key.data, key.len, what->request,
                            what->request_size, &what->leaf, pem, err);
    return rc ? rc : admin_write(home, what->file, false, pem, err);
}

int admin_certify(const struct admin_home *home,
                  const struct admin_certificate *what, struct ist_sb *pem,
                  struct ist_err *err)
{
    uint8_t key_hash[32];
    char name[32];
    ADMIN_PEM ca;
    int rc;

    admin_pem_init(&ca);
    snprintf(name, sizeof(name), "ca/%s.pem", what->ca);
    rc = admin_read(home, name, false, &ca, err);
    if (rc == 0)
        rc = ist_x509_request_hash(what->request, what->request_size, key_hash,
                                   err);
    if (rc)
        return rc;
    if (admin_read(home, what->file, false, pem, NULL) == 0 &&
        is_fresh(pem, &ca, key_hash, &what->leaf))
        return 0;
    ist_sb_reset(pem);
    return issue(home, what, &ca, pem, err);
}

/* hub.json */

int admin_home_derive(struct admin_home *home, struct ist_err *err)
{
    const struct {
        const char *name;
        char *path;
    } paths[] = {
        {"bus/ca.pem", home->bus_ca},
        {"bus/cert.pem", home->bus_certificate},
        {"tls.key", home->bus_key},
        {"http/ca.pem", home->http_ca},
        {"http/cert.pem", home->http_certificate},
        {"http/key.pem", home->http_key},
        {"sites", home->sites},
    };
    bool v6 = is_v6(home->broker_host);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < IST_COUNT(paths); i++)
        rc = admin_path(home, paths[i].name, paths[i].path, err);
    snprintf(home->user, sizeof(home->user), "hub-%s", home->word);
    snprintf(home->bus_url, sizeof(home->bus_url),
             "amqps://%s%s%s:%u/%%2Fisthmus", v6 ? "[" : "", home->broker_host,
             v6 ? "]" : "", home->broker_port);
    return rc;
}

int admin_home_write(const struct admin_home *home, struct ist_err *err)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;

    ist_sb_init(&text, 4096);
    ist_sb_printf(&text,
                  "{\"word\": \"%s\", \"broker_host\": \"%s\", "
                  "\"broker_port\": %u, \"http_host\": \"%s\"}\n",
                  home->word, home->broker_host, home->broker_port,
                  home->http_host);
    return admin_write(home, "hub.json", false, &text, err);
}

static bool parse(struct admin_home *home, const struct ist_sb *text)
{
    json_t *root =
        json_loadb(ist_sb_text(text), text->len, JSON_REJECT_DUPLICATES, NULL);
    const char *word, *broker, *http;
    int port;
    bool ok = root &&
              json_unpack(root, "{s:s, s:s, s:i, s:s !}", "word", &word,
                          "broker_host", &broker, "broker_port", &port,
                          "http_host", &http) == 0 &&
              admin_word_ok(word) && admin_host_ok(broker) &&
              admin_host_ok(http) && port > 0 && port <= 65535;

    if (ok) {
        snprintf(home->word, sizeof(home->word), "%s", word);
        snprintf(home->broker_host, sizeof(home->broker_host), "%s", broker);
        snprintf(home->http_host, sizeof(home->http_host), "%s", http);
        home->broker_port = (unsigned) port;
    }
    json_decref(root);
    return ok;
}

int admin_home_read(struct admin_home *home, struct ist_err *err)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;
    int rc;

    ist_sb_init(&text, 4096);
    rc = admin_read(home, "hub.json", false, &text, err);
    if (rc)
        return rc;
    if (!parse(home, &text))
        return ist_err_set(err, -EBADMSG, "%s/hub.json: damaged",
                           home->keys.dir);
    return admin_home_derive(home, err);
}

/* The lock */

int admin_lock(const char *dir, struct ist_err *err)
{
    return ist_file_lock(dir, ".admin", err);
}

void admin_unlock(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* Names in a folder */

static int is_name(const struct dirent *entry)
{
    return ist_parse_site_name(entry->d_name);
}

int admin_names(const struct admin_home *home, const char *folder,
                struct admin_names *ret, struct ist_err *err)
{
    struct dirent **entries;
    char path[PATH_MAX], **names;
    int rc = admin_path(home, folder, path, err), n;

    *ret = (struct admin_names){.n = 0};
    if (rc)
        return rc;
    n = scandir(path, &entries, is_name, alphasort);
    if (n < 0)
        return errno == ENOENT
                   ? 0
                   : ist_err_set(err, -errno, "%s: %s", path, strerror(errno));
    names = calloc((size_t) n + 1, sizeof(*names));
    for (int i = 0; i < n; i++) {
        if (names && rc == 0 && !(names[i] = strdup(entries[i]->d_name)))
            rc = -ENOMEM;
        free(entries[i]);
    }
    free(entries);
    if (!names || rc)
        rc = ist_err_set(err, -ENOMEM, "out of memory");
    ret->names = (const char *const *) names;
    ret->n = names ? (size_t) n : 0;
    return rc;
}

void admin_names_free(struct admin_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free((char *) (uintptr_t) names->names[i]);
    free((void *) (uintptr_t) names->names);
}

/* All of it */

static int read_expiry(struct admin_home *home, struct ist_err *err)
{
    struct ist_x509_info info;
    ADMIN_PEM pem;
    int rc;

    admin_pem_init(&pem);
    rc = ist_file_read(home->bus_certificate, IST_FILE_OWN, &pem, err);
    if (rc == 0)
        rc = ist_x509_read(pem.data, pem.len, &info, err);
    if (rc == 0)
        home->certificate_until_ms = info.not_after_ms;
    return rc;
}

int admin_home_open(const char *dir, struct admin_home *ret,
                    struct ist_err *err)
{
    struct admin_home home = {0};
    int rc = ist_keyfile_load(dir, &home.keys, err);

    if (rc == -ENOENT)
        return ist_err_set(
            err, rc, "%s: no hub has been set up here: isthmus-hub setup", dir);
    if (rc)
        return rc;
    if (home.keys.role != IST_ROLE_HUB)
        rc = ist_err_set(err, -EINVAL, "%s: these are the keys of a site", dir);
    if (rc == 0)
        rc = admin_home_read(&home, err);
    if (rc == 0)
        rc = read_expiry(&home, err);
    if (rc == -ENOENT)
        ist_err_wrap(err, "set-up was not finished, run it again");
    if (rc == 0)
        *ret = home;
    ist_self_wipe(&home.keys.self);
    return rc;
}

void admin_home_close(struct admin_home *home)
{
    ist_keyfile_fini(&home->keys);
}
