/* A signed statement: Ed25519 over bytes and what they are, in DSSE's
 * pre-authentication encoding ("ISTHMUSv1", the type, the bytes, each with its
 * size), so that the bytes of one type never pass for another's. Pure. */
#ifndef CODEC_STATEMENT_H
#define CODEC_STATEMENT_H

#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is signed: a delegation, by a root key; a batch of CloudEvents, by the
 * hub; what a relayed request is for, by the hub. */
#define IST_STATEMENT_DELEGATION "application/vnd.isthmus.delegation.v1"
#define IST_STATEMENT_EVENTS     "application/vnd.isthmus.events.v1"
#define IST_STATEMENT_ASSERTION  "application/vnd.isthmus.assertion.v1"

/* 'type' is one of these. 0, or -ENOMEM. */
int ist_statement_sign(const char *type, const void *body, size_t size,
                       const uint8_t secret[crypto_sign_SECRETKEYBYTES],
                       uint8_t ret[crypto_sign_BYTES]);
/* False also without memory. */
bool ist_statement_verify(const char *type, const void *body, size_t size,
                          const uint8_t signature[crypto_sign_BYTES],
                          const uint8_t key[crypto_sign_PUBLICKEYBYTES]);

#endif
