/* The certificates that the bus and HTTPS need: keys, requests, two kinds of
 * leaf and their CA, all EC P-256. They prove who may connect; what is said
 * over the connection is proved by the envelope (codec/seal.h).
 *
 * PEM and DER go in and out as bytes. Functions return 0 or a negative errno
 * with 'err' filled: -EINVAL for what cannot be accepted, -EIO when OpenSSL
 * fails. OpenSSL's error queue is left empty. Keys come from OpenSSL's own
 * random source, which the simulation does not reach. */
#ifndef CODEC_X509_H
#define CODEC_X509_H

#include "base/err.h"
#include "base/sb.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IST_X509_NAME_SIZE 65 /* CN, RFC 5280: 64 characters at most. */
#define IST_X509_MAX       (16 * 1024) /* Bytes of one PEM or DER accepted. */

/* A new EC P-256 key, PKCS #8, PEM. The builder holds a secret: wipe it. */
int ist_x509_key_make(struct ist_sb *pem, struct ist_err *err);

/* A request (PKCS #10, DER) for that key. CN is all that it asks for. */
int ist_x509_request_make(const char *key_pem, size_t key_size, const char *cn,
                          struct ist_sb *der, struct ist_err *err);

/* Accepts a request only when it has a valid signature of its own, an EC P-256
 * or Ed25519 key, a subject of exactly CN = 'cn', and asks for no extension
 * (CA, other names: the issuer alone decides). */
int ist_x509_request_check(const void *der, size_t size, const char *cn,
                           struct ist_err *err);

/* A CA for 'days': path length 0, may sign certificates and nothing else. */
int ist_x509_ca_make(const char *cn, uint64_t now_ms, unsigned days,
                     struct ist_sb *key_pem, struct ist_sb *pem,
                     struct ist_err *err);

enum ist_x509_use { IST_X509_SERVER, IST_X509_CLIENT };

struct ist_x509_leaf {
    enum ist_x509_use use;
    const char *cn;
    const char *const *hosts; /* DNS names, addresses; NULL-ended, or NULL. */
    const char *uri;          /* Of the principal, or NULL. */
    uint64_t now_ms;          /* Valid from an hour before. */
    unsigned days;
};

/* Signs the request's key (the request is checked again). */
int ist_x509_issue(const char *ca_pem, size_t ca_size, const char *ca_key_pem,
                   size_t ca_key_size, const void *request, size_t request_size,
                   const struct ist_x509_leaf *, struct ist_sb *pem,
                   struct ist_err *err);

struct ist_x509_info {
    char cn[IST_X509_NAME_SIZE];
    uint64_t not_before_ms, not_after_ms;
    uint8_t key_hash[32]; /* SHA-256 of the public key (SPKI). */
    bool is_ca;
};

/* Reads the first certificate of a PEM. It proves nothing. */
int ist_x509_read(const char *pem, size_t size, struct ist_x509_info *ret,
                  struct ist_err *err);

/* SHA-256 of the public key of a private key (PEM) or a request (DER). */
int ist_x509_key_hash(const char *key_pem, size_t size, uint8_t ret[32],
                      struct ist_err *err);
int ist_x509_request_hash(const void *der, size_t size, uint8_t ret[32],
                          struct ist_err *err);

/* Was the leaf signed by that CA, for that use, and is it valid now? 'now_ms'
 * 0: whenever. */
int ist_x509_verify(const char *pem, size_t size, const char *ca_pem,
                    size_t ca_size, enum ist_x509_use, uint64_t now_ms,
                    struct ist_err *err);

/* Does the certificate name that host (DNS name or address)? */
bool ist_x509_has_host(const char *pem, size_t size, const char *host);

#endif
