#include "bus/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_SIZE 7    /* Type, channel, size. */
#define KEEP_ROOM 8192 /* A kept buffer larger than this is not kept. */

uint16_t ist_get16(const uint8_t *p)
{
    return (uint16_t) (p[0] << 8 | p[1]);
}

uint32_t ist_get32(const uint8_t *p)
{
    return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 |
           (uint32_t) p[2] << 8 | p[3];
}

uint64_t ist_get64(const uint8_t *p)
{
    return (uint64_t) ist_get32(p) << 32 | ist_get32(p + 4);
}

void ist_put16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t) (value >> 8);
    p[1] = (uint8_t) value;
}

void ist_put32(uint8_t *p, uint32_t value)
{
    ist_put16(p, (uint16_t) (value >> 16));
    ist_put16(p + 2, (uint16_t) value);
}

void ist_put64(uint8_t *p, uint64_t value)
{
    ist_put32(p, (uint32_t) (value >> 32));
    ist_put32(p + 4, (uint32_t) value);
}

/* The splitter. */

void ist_frames_init(struct ist_frames *frames, size_t max)
{
    *frames = (struct ist_frames){.max = max};
}

void ist_frames_fini(struct ist_frames *frames)
{
    free(frames->kept);
    *frames = (struct ist_frames){.rc = -EINVAL};
}

void ist_frames_push(struct ist_frames *frames, const void *data, size_t size)
{
    frames->data = data;
    frames->size = size;
}

static bool is_type(uint8_t type)
{
    return type == IST_FRAME_METHOD || type == IST_FRAME_HEADER ||
           type == IST_FRAME_BODY || type == IST_FRAME_HEARTBEAT;
}

/* The whole size of the frame that begins with these HEAD_SIZE bytes, or 0. */
static size_t frame_size(const struct ist_frames *frames, const uint8_t *head)
{
    uint32_t size = ist_get32(head + 3);

    if (!is_type(head[0]) || size > frames->max - IST_FRAME_OVERHEAD)
        return 0;
    return size + IST_FRAME_OVERHEAD;
}

static int fail(struct ist_frames *frames, int rc)
{
    frames->size = 0;
    return frames->rc = rc;
}

/* Moves bytes from the input until 'kept' has 'wanted'. 1 when it has. */
static int keep(struct ist_frames *frames, size_t wanted)
{
    size_t n = wanted - frames->n_kept;

    if (wanted > frames->room) {
        uint8_t *more = realloc(frames->kept, wanted);

        if (!more)
            return fail(frames, -ENOMEM);
        frames->kept = more;
        frames->room = wanted;
    }
    if (n > frames->size)
        n = frames->size;
    if (n)
        memcpy(frames->kept + frames->n_kept, frames->data, n);
    frames->n_kept += n;
    frames->data += n;
    frames->size -= n;
    return frames->n_kept == wanted;
}

static int emit(struct ist_frames *frames, const uint8_t *frame, size_t size,
                struct ist_frame *ret)
{
    if (frame[size - 1] != IST_FRAME_END)
        return fail(frames, -EPROTO);
    *ret = (struct ist_frame){.type = frame[0],
                              .channel = ist_get16(frame + 1),
                              .payload = frame + HEAD_SIZE,
                              .size = size - IST_FRAME_OVERHEAD};
    return 1;
}

/* A frame that did not come in one piece. */
static int next_kept(struct ist_frames *frames, struct ist_frame *ret)
{
    size_t size;
    int rc;

    if (frames->n_kept < HEAD_SIZE) {
        rc = keep(frames, HEAD_SIZE);
        if (rc <= 0)
            return rc;
    }
    size = frame_size(frames, frames->kept);
    if (!size)
        return fail(frames, -EPROTO);
    rc = keep(frames, size);
    if (rc <= 0)
        return rc;
    frames->is_given = true;
    return emit(frames, frames->kept, size, ret);
}

static void forget_kept(struct ist_frames *frames)
{
    frames->is_given = false;
    frames->n_kept = 0;
    if (frames->room > KEEP_ROOM) {
        free(frames->kept);
        frames->kept = NULL;
        frames->room = 0;
    }
}

int ist_frames_next(struct ist_frames *frames, struct ist_frame *ret)
{
    const uint8_t *frame = frames->data;
    size_t size;

    if (frames->rc)
        return frames->rc;
    if (frames->is_given)
        forget_kept(frames);
    if (frames->n_kept)
        return next_kept(frames, ret);
    if (frames->size == 0)
        return 0;
    if (frame[0] == 'A')
        return fail(frames, -EPROTONOSUPPORT);
    if (!is_type(frame[0]))
        return fail(frames, -EPROTO);
    if (frames->size < HEAD_SIZE)
        return next_kept(frames, ret);
    size = frame_size(frames, frame);
    if (!size)
        return fail(frames, -EPROTO);
    if (frames->size < size)
        return next_kept(frames, ret);
    frames->data += size;
    frames->size -= size;
    return emit(frames, frame, size, ret);
}

/* Tables. */

enum value_kind { UNKNOWN, FIXED, SIGNED, UNSIGNED, STRING, TABLE, ARRAY };

static const struct {
    uint8_t kind, size; /* The size of what follows the letter. */
} value_types[256] = {
    ['t'] = {FIXED, 1},    ['b'] = {SIGNED, 1},   ['B'] = {UNSIGNED, 1},
    ['s'] = {SIGNED, 2},   ['u'] = {UNSIGNED, 2}, ['I'] = {SIGNED, 4},
    ['i'] = {UNSIGNED, 4}, ['l'] = {SIGNED, 8},   ['L'] = {UNSIGNED, 8},
    ['f'] = {FIXED, 4},    ['d'] = {FIXED, 8},    ['D'] = {FIXED, 5},
    ['T'] = {FIXED, 8},    ['V'] = {FIXED, 0},    ['S'] = {STRING, 4},
    ['x'] = {STRING, 4},   ['F'] = {TABLE, 4},    ['A'] = {ARRAY, 4},
};

struct level {
    size_t end;
    bool is_array;
};

struct walk {
    const uint8_t *data;
    size_t at;
    struct level levels[IST_TABLE_DEPTH];
    size_t depth; /* Levels in use. */
    size_t n_entries;
    struct ist_table_found *found;
};

static bool key_is(const uint8_t *key, const char *name)
{
    return key && key[0] == strlen(name) && memcmp(key + 1, name, key[0]) == 0;
}

static uint64_t get_integer(const uint8_t *p, size_t size)
{
    uint64_t value = 0;

    while (size--)
        value = value << 8 | *p++;
    return value;
}

/* Top-level integers only; a negative one counts as absent. */
static void note_found(struct walk *walk, const uint8_t *key, uint8_t kind,
                       size_t size)
{
    const uint8_t *value = walk->data + walk->at;
    uint64_t number;

    if (walk->depth != 1 || (kind != SIGNED && kind != UNSIGNED) ||
        (kind == SIGNED && value[0] & 0x80))
        return;
    number = get_integer(value, size);
    if (key_is(key, "x-stream-offset")) {
        walk->found->has_stream_offset = true;
        walk->found->stream_offset = number;
    } else if (key_is(key, "x-delivery-count")) {
        walk->found->has_delivery_count = true;
        walk->found->delivery_count = number;
    }
}

static int walk_enter(struct walk *walk, size_t size, bool is_array)
{
    if (walk->depth == IST_TABLE_DEPTH)
        return -E2BIG;
    walk->levels[walk->depth++] =
        (struct level){.end = walk->at + size, .is_array = is_array};
    return 0;
}

/* One entry of the innermost table or array. */
static int walk_entry(struct walk *walk)
{
    const struct level level = walk->levels[walk->depth - 1];
    const uint8_t *key = NULL;
    uint8_t kind;
    size_t size;

    if (++walk->n_entries > IST_TABLE_ENTRIES)
        return -E2BIG;
    if (!level.is_array) {
        key = walk->data + walk->at;
        if (key[0] == 0 || level.end - walk->at < 1U + key[0])
            return -EBADMSG;
        walk->at += 1U + key[0];
    }
    if (walk->at == level.end)
        return -EBADMSG;
    kind = value_types[walk->data[walk->at]].kind;
    size = value_types[walk->data[walk->at]].size;
    walk->at++;
    if (kind == UNKNOWN || level.end - walk->at < size)
        return -EBADMSG;
    note_found(walk, key, kind, size);
    walk->at += size;
    if (kind < STRING)
        return 0;
    size = ist_get32(walk->data + walk->at - 4);
    if (level.end - walk->at < size)
        return -EBADMSG;
    if (kind != STRING)
        return walk_enter(walk, size, kind == ARRAY);
    walk->at += size;
    return 0;
}

int ist_table_check(const uint8_t *data, size_t size, size_t *ret_size,
                    struct ist_table_found *ret)
{
    struct walk walk = {.data = data, .at = 4, .found = ret};
    int rc;

    *ret = (struct ist_table_found){.stream_offset = 0};
    if (size < 4 || ist_get32(data) > size - 4)
        return -EBADMSG;
    *ret_size = 4 + (size_t) ist_get32(data);
    walk_enter(&walk, *ret_size - 4, false);
    while (walk.depth) {
        if (walk.at == walk.levels[walk.depth - 1].end) {
            walk.depth--;
            continue;
        }
        rc = walk_entry(&walk);
        if (rc)
            return rc;
    }
    return 0;
}

/* Content headers. */

#define CLASS_BASIC           60
#define CONTENT_SIZE          12 /* Class, weight, body size. */
#define FLAG_CONTENT_TYPE     0x8000
#define FLAG_CONTENT_ENCODING 0x4000
#define FLAG_HEADERS          0x2000
#define FLAG_NONE_OF_BASIC    0x0003 /* More flags follow; not defined. */

static bool skip_short(const uint8_t **at, const uint8_t *end)
{
    size_t left = (size_t) (end - *at);

    if (left < 1 || left < 1U + **at)
        return false;
    *at += 1U + **at;
    return true;
}

int ist_content_parse(const uint8_t *payload, size_t size,
                      struct ist_content *ret)
{
    const uint8_t *at, *encoding, *end = payload + size;
    size_t table_size;
    uint16_t flags;

    if (size < CONTENT_SIZE + 2 || ist_get16(payload) != CLASS_BASIC ||
        ist_get16(payload + 2) != 0)
        return -EPROTO;
    *ret = (struct ist_content){.body_size = ist_get64(payload + 4),
                                .properties = payload + CONTENT_SIZE,
                                .properties_size = size - CONTENT_SIZE};
    flags = ist_get16(payload + CONTENT_SIZE);
    at = payload + CONTENT_SIZE + 2;
    if (flags & FLAG_NONE_OF_BASIC)
        return -EPROTO;
    if (flags & FLAG_CONTENT_TYPE && !skip_short(&at, end))
        return -EPROTO;
    encoding = at;
    if (flags & FLAG_CONTENT_ENCODING && !skip_short(&at, end))
        return -EPROTO;
    ret->is_encoded =
        flags & FLAG_CONTENT_ENCODING && !key_is(encoding, "utf-8");
    if (!(flags & FLAG_HEADERS))
        return 0;
    return ist_table_check(at, (size_t) (end - at), &table_size, &ret->found);
}
