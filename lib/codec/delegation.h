/* A delegation: the root key of a principal says which online keys speak for
 * it, until when, and for which kinds of message. Receivers pin the root and
 * take any delegation of a serial not below the highest they have seen. */
#ifndef CODEC_DELEGATION_H
#define CODEC_DELEGATION_H

#include "base/err.h"
#include "base/sb.h"
#include "codec/seal.h"

#define IST_DELEGATION_SIZE_MAX    1024 /* Bytes of a signed one. */
#define IST_DELEGATION_LIFE_MS     (UINT64_C(90) * 24 * 3600 * 1000)
#define IST_DELEGATION_LIFE_MAX_MS (UINT64_C(400) * 24 * 3600 * 1000)
/* It begins so long before it is made: clocks differ. */
#define IST_DELEGATION_BEFORE_MS (UINT64_C(600) * 1000)

struct ist_delegation {
    struct ist_id subject;
    uint8_t signing_key[crypto_sign_PUBLICKEYBYTES];
    uint8_t sealing_key[crypto_box_PUBLICKEYBYTES];
    uint32_t kinds; /* Bit 1 << kind. */
    uint64_t not_before_ms, not_after_ms;
    uint64_t serial;
};

/* Named reasons to refuse, in the order in which they are checked. */
enum ist_delegation_refusal {
    IST_DELEGATION_ROOT = 1,  /* The root is no key that an honest one has. */
    IST_DELEGATION_SHAPE,     /* Size, or not such a message. */
    IST_DELEGATION_SIGNATURE, /* Not signed by that root. */
    IST_DELEGATION_SUBJECT,   /* No uid. */
    IST_DELEGATION_TIMES,     /* Reversed, too long, not now. */
    IST_DELEGATION_KINDS,     /* None, unknown, or not for that role. */
    IST_DELEGATION_KEYS,      /* Small order, or not canonical. */
    IST_DELEGATION_REFUSALS,
};

const char *ist_delegation_refusal_name(int refusal);

/* What a hub, a site may send (security: each kind has one direction, but for
 * heartbeat, rotate, credit and data). Bit 1 << kind. */
uint32_t ist_delegation_kinds(enum ist_role);

/* Is that a public key an honest principal may have? */
bool ist_delegation_signing_key_ok(const uint8_t key[32]);
bool ist_delegation_sealing_key_ok(const uint8_t key[32]);

/* Appends the signed delegation (SignedDelegation, protobuf). */
void ist_delegation_sign(const struct ist_delegation *,
                         const uint8_t root_secret[crypto_sign_SECRETKEYBYTES],
                         struct ist_sb *out);

/* 0, or the first refusal with 'err' filled. 'now_ms' 0: its times need not
 * include now (one's own, that has run out, can still be shown and renewed). */
int ist_delegation_verify(const void *data, size_t size, const uint8_t root[32],
                          enum ist_role, uint64_t now_ms,
                          struct ist_delegation *ret, struct ist_err *err);

/* The peer that it describes, not yet joined: ist_peer_join() is next. */
void ist_delegation_peer(const struct ist_delegation *, enum ist_role,
                         struct ist_peer *ret);

#endif
