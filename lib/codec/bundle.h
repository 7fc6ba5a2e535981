/* What site and hub hand each other once, by their admins, as a text file:
 * public keys, the delegation to online keys, and what TLS needs. There is no
 * secret in it; what protects it is that both admins compare the six words of
 * the root keys (codec/words.h).
 *
 * Everything in a bundle is judged by the receiver before use, in the order of
 * the refusals below. */
#ifndef CODEC_BUNDLE_H
#define CODEC_BUNDLE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/sb.h"
#include "codec/delegation.h"

#define IST_BUNDLE_TEXT_MAX (96 * 1024) /* Bytes of the file. */
#define IST_BUNDLE_MAX      (64 * 1024) /* Bytes of the message in it. */
#define IST_BUNDLE_URL_MAX  1024

enum ist_bundle_refusal {
    IST_BUNDLE_ARMOUR = 1, /* Not such a file, or over the cap. */
    IST_BUNDLE_MESSAGE,    /* Not the protobuf message, or parts too large. */
    IST_BUNDLE_NAME,       /* Site's or federation's name. */
    IST_BUNDLE_ROOT,       /* This and the next six: delegation.h. */
    IST_BUNDLE_SHAPE,
    IST_BUNDLE_SIGNATURE,
    IST_BUNDLE_SUBJECT,
    IST_BUNDLE_TIMES,
    IST_BUNDLE_KINDS,
    IST_BUNDLE_KEYS,
    IST_BUNDLE_REQUEST,     /* Certificate request: see codec/x509.h. */
    IST_BUNDLE_URL,         /* Of the bus: amqps, host, no password. */
    IST_BUNDLE_CERTIFICATE, /* Of the bus: CA, or not for that site and key. */
    IST_BUNDLE_REFUSALS,
};

/* "armour", "times"...; "unknown" for another number. */
const char *ist_bundle_refusal_name(int refusal);

/* Pointers are into the arena given to parse, or the maker's own. */
struct ist_bundle_site {
    const char *name;
    uint8_t root[crypto_sign_PUBLICKEYBYTES];
    struct ist_delegation delegation;
    const void *signed_delegation, *request; /* The latter PKCS #10, DER. */
    size_t signed_size, request_size;
};

struct ist_bundle_hub {
    const char *federation, *site;
    uint8_t root[crypto_sign_PUBLICKEYBYTES];
    struct ist_delegation delegation;
    const void *signed_delegation;
    size_t signed_size;
    const char *bus_url, *bus_ca, *bus_certificate; /* The latter two PEM. */
    uint64_t lowest_epoch;
};

/* The text, appended to 'out' (out->rc says whether it fit). 'delegation' is
 * not looked at, 'signed_delegation' is. */
void ist_bundle_site_make(const struct ist_bundle_site *, struct ist_sb *out);
void ist_bundle_hub_make(const struct ist_bundle_hub *, struct ist_sb *out);

/* 0, or the first refusal with 'err' filled; -ENOMEM when the arena (256 KiB
 * do) is full. 'now_ms' 0: what has run out is accepted, for what was verified
 * when it was stored. */
int ist_bundle_site_parse(const char *text, size_t size, uint64_t now_ms,
                          struct ist_arena *, struct ist_bundle_site *ret,
                          struct ist_err *err);

/* 'key_hash': SHA-256 of the public TLS key of the site that reads it, which
 * the certificate must be for. */
int ist_bundle_hub_parse(const char *text, size_t size, uint64_t now_ms,
                         const uint8_t key_hash[32], struct ist_arena *,
                         struct ist_bundle_hub *ret, struct ist_err *err);

/* amqps://host[:port][/vhost], no user or password, no control characters;
 * several, with commas. */
bool ist_bundle_url_ok(const char *url);

#endif
