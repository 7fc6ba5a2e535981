/* Signatures of webhooks by Standard Webhooks 1.0 (standardwebhooks.com),
 * symmetric: "v1," and the HMAC-SHA256 of "id.timestamp.body" in base64. Pure.
 */
#ifndef EVENTS_SIGN_H
#define EVENTS_SIGN_H

#include "base/sb.h"

#include <stdbool.h>
#include <stdint.h>

#define EVENTS_KEY_MIN 24 /* Bytes. */
#define EVENTS_KEY_MAX 64
/* "whsec_" and the key in base64. */
#define EVENTS_SECRET_SIZE 104

struct events_key {
    uint8_t bytes[EVENTS_KEY_MAX];
    size_t size; /* 0: none. */
};

void events_key_random(struct events_key *);

/* "whsec_MfKQ...": false if it is not, or of another size than allowed. */
bool events_key_read(struct events_key *, const char *secret);
/* 'buf' has EVENTS_SECRET_SIZE bytes; returned. */
char *events_key_write(const struct events_key *, char *buf);

/* Appends "v1,..."; 'timestamp' is in seconds. */
void events_sign(struct ist_sb *out, const struct events_key *, const char *id,
                 uint64_t timestamp, const void *body, size_t size);

#endif
