/* The frames of an answer on their way to the hub that asked: numbered, sealed
 * for it, under the op id and the hash of its call. */
#ifndef SERVE_STREAM_H
#define SERVE_STREAM_H

#include "serve/serve.h"

struct serve_stream {
    struct serve *serve; /* Borrowed. */
    struct ist_id id;    /* The call's op id. */
    uint8_t hash[32];
    uint64_t hub_epoch;
    struct ist_bus *bus; /* Borrowed. */
    char key[80];        /* "<reply word>.<site>" */
    uint32_t index;      /* Of the next frame. */
    uint8_t n_dense;     /* Of their bodies. */
};

void serve_stream_init(struct serve_stream *, struct serve *,
                       const struct ist_letter *call, const char *reply_word);

/* From the next frame on: there. */
void serve_stream_turn(struct serve_stream *, struct ist_bus *,
                       const char *reply_word);

/* Sends 'reply' as the next frame. 0; -EAGAIN: the bus takes nothing now, the
 * frame is still to be sent; anything else: it never can be. */
int serve_stream_send(struct serve_stream *, Isthmus__V1__Reply *reply);

#endif
