/* protobuf-c decoding into a bounded arena: the cap, not the frame size, is
 * what protects us (a 20 kB message of empty strings unpacks to 760 kB). */
#ifndef CODEC_UNPACK_H
#define CODEC_UNPACK_H

#include "base/arena.h"

#include <protobuf-c/protobuf-c.h>

/* The message, living in 'arena'; NULL when the bytes are not one, or when it
 * does not fit. Never freed by itself. */
void *ist_unpack(const ProtobufCMessageDescriptor *, struct ist_arena *,
                 const void *data, size_t size);

/* The packed bytes, in 'arena'; NULL when it does not fit. */
void *ist_pack(const void *message, struct ist_arena *, size_t *ret_size);

#endif
