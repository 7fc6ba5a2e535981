/* What the commands share about the hub's directory. */
#ifndef ADMIN_HOME_PRIV_H
#define ADMIN_HOME_PRIV_H

#include "admin/home.h"
#include "base/sb.h"
#include "codec/x509.h"

/* Days that certificates are valid. Those of sites are renewed by another
 * 'site add', those of NOC readers by another 'noc add', all others by another
 * 'setup'. */
#define ADMIN_CA_DAYS     3650
#define ADMIN_SERVER_DAYS 397
#define ADMIN_HUB_DAYS    90
#define ADMIN_SITE_DAYS   30
#define ADMIN_NOC_DAYS    90

/* One command at a time works on the directory: a descriptor for
 * admin_unlock(), or a fault. */
int admin_lock(const char *dir, struct ist_err *err);
void admin_unlock(int *fd);

/* Fills paths, user and address from word, hosts and port. */
int admin_home_derive(struct admin_home *, struct ist_err *err);

/* Writes hub.json. */
int admin_home_write(const struct admin_home *, struct ist_err *err);

/* Reads hub.json alone; 'keys' are there already. -ENOENT: not yet. */
int admin_home_read(struct admin_home *, struct ist_err *err);

/* DIR/name of the hub's directory into PATH_MAX bytes. */
int admin_path(const struct admin_home *, const char *name, char *path,
               struct ist_err *err);

/* Is that a hub's word: ^h[0-9]{1,6}(-[a-z0-9-]{1,8})?$ */
bool admin_word_ok(const char *word);
/* A DNS name or an address, fit for a certificate and a URL. */
bool admin_host_ok(const char *host);

/* Files by their name in the directory. 'secret' for keys. */
int admin_read(const struct admin_home *, const char *name, bool secret,
               struct ist_sb *, struct ist_err *err);
int admin_write(const struct admin_home *, const char *name, bool secret,
                const struct ist_sb *, struct ist_err *err);

/* The names in a folder of the directory ("sites", "noc"), sorted; what is no
 * such name is left out. A folder that is not there has none. To be freed also
 * after a failure. */
struct admin_names {
    const char *const *names;
    size_t n;
};
int admin_names(const struct admin_home *, const char *folder,
                struct admin_names *ret, struct ist_err *err);
void admin_names_free(struct admin_names *);

/* Builders for PEM; the secret one is wiped. */
void admin_pem_init(struct ist_sb *);
void admin_pem_fini(struct ist_sb *);
#define ADMIN_PEM IST_CLEANUP(admin_pem_fini) struct ist_sb

/* A certificate of a CA of ours, kept in a file of the directory. */
struct admin_certificate {
    const char *ca;      /* "bus", "http" */
    const char *file;    /* "bus/cert.pem" */
    const void *request; /* PKCS #10, DER: for whose key. */
    size_t request_size;
    struct ist_x509_leaf leaf;
};

/* Fills 'pem' with the one that is there, as long as it is for that key and
 * use, and has more than a third of its days left; else signs a new one, and
 * writes it. */
int admin_certify(const struct admin_home *, const struct admin_certificate *,
                  struct ist_sb *pem, struct ist_err *err);

/* Says it on stderr; returns 1. */
int admin_complain(const struct ist_err *err);

#endif
