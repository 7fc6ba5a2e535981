/* A row as the feed looks at it: its keys, a hash that changes when it does,
 * and what news say of it. Pure functions over bytes. */
#ifndef FEED_ROW_H
#define FEED_ROW_H

#include "os/cloud.h"
#include "os/key.h"
#include "os/rows.h"

#include "isthmus/v1/event.pb-c.h"

#include <stdint.h>

#define FEED_HASH_SIZE 16
#define FEED_FACT_MAX  255 /* Bytes of a fact; longer ones are cut. */

/* What is remembered of a row beside its hash: C strings, valid UTF-8 without
 * control characters, "" where there is none. */
struct feed_facts {
    char state[FEED_FACT_MAX + 1]; /* Status, and state: "enabled/up". */
    char project[FEED_FACT_MAX + 1];
    char name[FEED_FACT_MAX + 1];
};

struct feed_row {
    ProtobufCBinaryData keys[IST_KIND_MEMBERS_MAX]; /* All but the id. */
    size_t n_keys;
    uint8_t hash[FEED_HASH_SIZE];
    struct feed_facts facts;

    /* Private to row.c. */
    char text[IST_KIND_MEMBERS_MAX][OS_KEY_MAX];
};

/* Borrows nothing from the body. Of one that is no sound object the keys are
 * "", and it counts as it stands. */
void feed_row_read(struct feed_row *, const struct ist_kind *,
                   const struct os_resource *, const struct os_record *);

/* As it is kept: the hash, then the facts, each with its NUL. */
#define FEED_STORED_MAX (FEED_HASH_SIZE + sizeof(struct feed_facts))

/* 'buf' has FEED_STORED_MAX bytes; returns how many were written. */
size_t feed_row_write(const struct feed_row *, uint8_t *buf);
/* False: it is none of ours. The hash is borrowed. */
bool feed_row_stored(const void *data, size_t size, const uint8_t **ret_hash,
                     struct feed_facts *ret);

#endif
