/* Small records in hub.db by a key of 32 bytes: what the hub keeps of tokens
 * and of application credentials. A record is a packed message, told by its own
 * kind whether its time is over; those are swept away every ten minutes. */
#ifndef FACADE_KEEP_H
#define FACADE_KEEP_H

#include "base/arena.h"
#include "store/tree.h"

#include <protobuf-c/protobuf-c.h>
#include <sodium.h>

#define FACADE_KEY_BYTES crypto_hash_sha256_BYTES

struct facade_keep_kind {
    const char *map; /* Name of the map in hub.db. */
    const ProtobufCMessageDescriptor *message;
    size_t n_max; /* Records at once; more are refused. */
    bool (*is_over)(const void *message, uint64_t wall_ms);
};

struct facade_keep;

/* Tree and kind are borrowed. NULL with 'err'. */
struct facade_keep *facade_keep_open(struct ist_tree *,
                                     const struct facade_keep_kind *,
                                     struct ist_err *err);
/* No write may be under way. NULL is fine; returns NULL. */
struct facade_keep *facade_keep_free(struct facade_keep *);
/* Stops the sweep; one under way still ends. */
void facade_keep_stop(struct facade_keep *);
bool facade_keep_busy(const struct facade_keep *);

/* The record in the arena; NULL: there is none, or its time is over. */
const void *facade_keep_get(struct facade_keep *,
                            const uint8_t key[FACADE_KEY_BYTES],
                            struct ist_arena *);

/* Called for each record whose time is not over; the message is gone when it
 * returns, but for what it took of its own arena. False ends it. */
typedef bool facade_keep_each_fn(void *arg, const uint8_t key[FACADE_KEY_BYTES],
                                 const void *message);
void facade_keep_each(struct facade_keep *, facade_keep_each_fn *, void *arg);

/* A record put or deleted, durable in 'done'. rc: 0, or a fault. */
struct facade_keep_write {
    struct ist_write write; /* write.op prepared by the caller. */
    bool is_full; /* Of a put, in 'done' with rc 0: there was no room. */

    /* Private. */
    struct facade_keep *keep;
    uint8_t key[FACADE_KEY_BYTES];
    void *data; /* Owned. */
    size_t size;
};

void facade_keep_put(struct facade_keep *, struct facade_keep_write *,
                     const uint8_t key[FACADE_KEY_BYTES], const void *message);
/* The same for whoever does not wait for it: durable some time after it
 * returns; what goes wrong is logged. */
void facade_keep_note(struct facade_keep *, const uint8_t key[FACADE_KEY_BYTES],
                      const void *message);
/* That there is none is no fault. */
void facade_keep_delete(struct facade_keep *, struct facade_keep_write *,
                        const uint8_t key[FACADE_KEY_BYTES]);
/* Safe on a zeroed one. */
void facade_keep_write_fini(struct facade_keep_write *);

#endif
