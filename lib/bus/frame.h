/* AMQP 0-9-1 frames as bytes: cutting them out of a stream, and judging their
 * field tables before anyone decodes them. Pure, and the first thing that
 * bytes from the network meet: a fuzz target.
 *
 * librabbitmq's decoder recurses into tables without a limit, and any site can
 * send a table that fills a frame through an honest broker. So a table is
 * walked here first, without recursion, and refused when it is too deep or too
 * long. Source: AMQP 0-9-1 specification, 2.3.5 and 4.2; RabbitMQ's errata for
 * the type letters. */
#ifndef BUS_FRAME_H
#define BUS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IST_FRAME_MIN      4096   /* Least that frame_max may be. */
#define IST_FRAME_MAX      131072 /* What we ask for: RabbitMQ's own default. */
#define IST_FRAME_OVERHEAD 8      /* Type, channel, size; end byte. */
#define IST_FRAME_END      0xCE

#define IST_TABLE_DEPTH   8   /* Tables and arrays in each other, */
#define IST_TABLE_ENTRIES 128 /* and entries in all of them, at most. */

enum ist_frame_type {
    IST_FRAME_METHOD = 1,
    IST_FRAME_HEADER = 2,
    IST_FRAME_BODY = 3,
    IST_FRAME_HEARTBEAT = 8,
};

struct ist_frame {
    uint8_t type; /* One of the above. */
    uint16_t channel;
    const uint8_t *payload; /* Borrowed until the splitter's next call. */
    size_t size;
};

/* The splitter. Holds at most one incomplete frame. */
struct ist_frames {
    size_t max; /* Whole size a frame may have. */

    /* Private to frame.c. */
    uint8_t *kept; /* Owned. Begin of a frame whose end is to come. */
    size_t n_kept, room;
    bool is_given;       /* 'kept' was handed out: forget it. */
    const uint8_t *data; /* Borrowed. */
    size_t size;
    int rc; /* First error, sticky. */
};

void ist_frames_init(struct ist_frames *, size_t max);
void ist_frames_fini(struct ist_frames *);

/* More bytes; borrowed until ist_frames_next() has returned 0. */
void ist_frames_push(struct ist_frames *, const void *data, size_t size);

/* 1 with a frame; 0 when more bytes are needed; -EPROTO for a type, size or
 * end byte that cannot be, -EPROTONOSUPPORT when the peer answered with a
 * protocol header (it speaks another version), -ENOMEM. */
int ist_frames_next(struct ist_frames *, struct ist_frame *ret);

/* The two headers that anybody reads. */
struct ist_table_found {
    bool has_stream_offset, has_delivery_count;
    uint64_t stream_offset, delivery_count;
};

/* 'data' begins with the length of a table. 0 with the size of all of it and
 * what was found at its top level; -E2BIG when it is over the limits;
 * -EBADMSG when it is no table: cut short, unknown type, empty key. */
int ist_table_check(const uint8_t *data, size_t size, size_t *ret_size,
                    struct ist_table_found *ret);

/* A content header's payload. */
struct ist_content {
    uint64_t body_size;
    const uint8_t *properties; /* Flags and what they announce. Borrowed. */
    size_t properties_size;
    bool is_encoded; /* A content encoding is named, and it is not that of
                      * plain text, "utf-8". */
    struct ist_table_found found;
};

/* 0; -EPROTO when it is none of class basic (60), has a weight or unknown
 * flags: nothing after it can be trusted; -E2BIG or -EBADMSG when only its
 * header table is refused: the message must be dropped, 'ret' is filled. */
int ist_content_parse(const uint8_t *payload, size_t size,
                      struct ist_content *ret);

uint16_t ist_get16(const uint8_t *);
uint32_t ist_get32(const uint8_t *);
uint64_t ist_get64(const uint8_t *);
void ist_put16(uint8_t *, uint16_t);
void ist_put32(uint8_t *, uint32_t);
void ist_put64(uint8_t *, uint64_t);

#endif
