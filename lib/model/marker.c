#include "model/marker.h"

#include "codec/unpack.h"
#include "isthmus/v1/marker.pb-c.h"

#include <sodium.h>
#include <string.h>

#define VARIANT sodium_base64_VARIANT_URLSAFE_NO_PADDING

static ProtobufCBinaryData binary(const struct ist_bytes *bytes)
{
    return (ProtobufCBinaryData){bytes->size, (uint8_t *) bytes->data};
}

void ist_marker_put(struct ist_sb *out, const char *kind, const char *sort,
                    size_t n_keys, const struct ist_place *place)
{
    ProtobufCBinaryData keys[IST_ORDER_KEYS_MAX];
    Isthmus__V1__Marker marker = ISTHMUS__V1__MARKER__INIT;
    struct ist_arena arena;
    char *id, *text;
    void *packed;
    size_t size, len;

    ist_arena_init(&arena, 64U * 1024);
    for (size_t i = 0; i < n_keys; i++)
        keys[i] = binary(&place->keys[i]);
    id = ist_arena_dup(&arena, place->id.data, place->id.size);
    marker.kind = (char *) kind;
    marker.sort = (char *) sort;
    marker.n_keys = n_keys;
    marker.keys = keys;
    marker.site = (char *) place->site;
    marker.id = id; /* NULL is packed as "". */
    packed = ist_pack(&marker, &arena, &size);
    len = packed ? sodium_base64_encoded_len(size, VARIANT) : 0;
    text = packed ? ist_sb_reserve(out, len) : NULL;
    if (text) {
        sodium_bin2base64(text, len, packed, size, VARIANT);
        out->len += len - 1; /* It counts the NUL. */
    }
    ist_arena_fini(&arena);
}

static bool fits(const Isthmus__V1__Marker *marker, const char *kind,
                 const char *sort, size_t n_keys)
{
    return strcmp(marker->kind, kind) == 0 && strcmp(marker->sort, sort) == 0 &&
           marker->n_keys == n_keys;
}

int ist_marker_parse(const char *text, const char *kind, const char *sort,
                     size_t n_keys, struct ist_arena *arena,
                     struct ist_place *ret)
{
    size_t len = strlen(text), size;
    const Isthmus__V1__Marker *marker;
    uint8_t *data;

    if (len == 0 || len > IST_MARKER_MAX || n_keys > IST_ORDER_KEYS_MAX)
        return IST_MARKER_MALFORMED;
    data = ist_arena_alloc(arena, len);
    if (!data || sodium_base642bin(data, len, text, len, NULL, &size, NULL,
                                   VARIANT) != 0)
        return IST_MARKER_MALFORMED;
    marker = ist_unpack(&isthmus__v1__marker__descriptor, arena, data, size);
    if (!marker || !marker->kind[0] || !marker->site[0] || !marker->id[0])
        return IST_MARKER_MALFORMED;
    if (!fits(marker, kind, sort, n_keys))
        return IST_MARKER_OTHER_LIST;
    *ret = (struct ist_place){.site = marker->site,
                              .id = {marker->id, strlen(marker->id)}};
    for (size_t i = 0; i < n_keys; i++)
        ret->keys[i] =
            (struct ist_bytes){marker->keys[i].data, marker->keys[i].len};
    return 0;
}
