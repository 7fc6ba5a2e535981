#include "codec/unpack.h"

static void *take(void *arena, size_t size)
{
    return ist_arena_alloc(arena, size);
}

static void give(void *arena, void *ptr)
{
    (void) arena;
    (void) ptr;
}

void *ist_unpack(const ProtobufCMessageDescriptor *descriptor,
                 struct ist_arena *arena, const void *data, size_t size)
{
    ProtobufCAllocator allocator = {take, give, arena};

    return protobuf_c_message_unpack(descriptor, &allocator, size, data);
}

void *ist_pack(const void *message, struct ist_arena *arena, size_t *ret_size)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *data = ist_arena_alloc(arena, size);

    if (!data)
        return NULL;
    *ret_size = protobuf_c_message_pack(message, data);
    return data;
}
