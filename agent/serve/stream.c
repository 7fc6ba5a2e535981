#include "serve/stream.h"

#include "codec/unpack.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LIFETIME_MS 60000U

void serve_stream_init(struct serve_stream *stream, struct serve *serve,
                       const struct ist_letter *call, const char *reply_word)
{
    *stream = (struct serve_stream){
        .serve = serve, .id = call->op, .hub_epoch = call->epoch};
    memcpy(stream->hash, call->hash, sizeof(stream->hash));
    serve_stream_turn(stream, serve->bus, reply_word);
}

void serve_stream_turn(struct serve_stream *stream, struct ist_bus *bus,
                       const char *reply_word)
{
    stream->bus = bus;
    snprintf(stream->key, sizeof(stream->key), "%s.%s", reply_word,
             stream->serve->site);
}

int serve_stream_send(struct serve_stream *stream, Isthmus__V1__Reply *reply)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb wire;
    struct serve *serve = stream->serve;
    struct ist_letter letter = {.kind = IST_KIND_ANSWER,
                                .op = stream->id,
                                .audience_epoch = stream->hub_epoch};
    uint64_t now = ist_loop_wall(serve->loop);
    struct ist_bus_message message;
    int rc;

    ist_sb_init(&wire, 0);
    ist_arena_reset(&serve->packing);
    reply->index = stream->index;
    if (reply->data.len)
        letter.n_dense = &stream->n_dense;
    memcpy(letter.request_hash, stream->hash, sizeof(letter.request_hash));
    letter.expires_ms = now + LIFETIME_MS;
    letter.body = ist_pack(reply, &serve->packing, &letter.body_size);
    if (!letter.body ||
        ist_seal(serve->self, serve->hub, now, &letter, &wire) != 0)
        return -EMSGSIZE;
    message = (struct ist_bus_message){.exchange = "x.rep",
                                       .key = stream->key,
                                       .body = wire.data,
                                       .size = wire.len,
                                       .type = "reply",
                                       .expiration_ms = LIFETIME_MS};
    rc = ist_bus_send(stream->bus, &message);
    if (rc == 0) {
        stream->index++;
        serve->counts.frames++;
    }
    return rc;
}
