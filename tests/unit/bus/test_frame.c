#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bus/frame.h"

#include <errno.h>
#include <pthread.h>

#include <amqp.h>

#define TABLE_MAX (IST_FRAME_MAX - IST_FRAME_OVERHEAD)

/* The splitter. */

static size_t put_frame(uint8_t *at, uint8_t type, uint16_t channel,
                        uint8_t fill, uint32_t size)
{
    at[0] = type;
    ist_put16(at + 1, channel);
    ist_put32(at + 3, size);
    memset(at + 7, fill, size);
    at[7 + size] = IST_FRAME_END;
    return size + IST_FRAME_OVERHEAD;
}

/* Every way to cut a stream into pieces of 'step' bytes gives the same. */
static void test_split(void **state)
{
    static uint8_t stream[8192];
    const uint32_t sizes[] = {0, 1, 4, 100, 2000, 0, 7};
    const uint8_t types[] = {8, 1, 2, 3, 3, 8, 1};
    size_t total = 0;

    (void) state;
    for (size_t i = 0; i < 7; i++)
        total += put_frame(stream + total, types[i], (uint16_t) (i * 1000),
                           (uint8_t) i, sizes[i]);
    for (size_t step = 1; step <= total; step += step < 64 ? 1 : 97) {
        struct ist_frames frames;
        struct ist_frame frame;
        size_t n = 0;

        ist_frames_init(&frames, IST_FRAME_MIN);
        for (size_t at = 0; at < total; at += step) {
            ist_frames_push(&frames, stream + at,
                            total - at < step ? total - at : step);
            while (ist_frames_next(&frames, &frame) == 1) {
                assert_true(n < 7);
                assert_int_equal(frame.type, types[n]);
                assert_int_equal(frame.channel, n * 1000);
                assert_int_equal(frame.size, sizes[n]);
                for (size_t k = 0; k < frame.size; k++)
                    assert_int_equal(frame.payload[k], n);
                n++;
            }
        }
        assert_int_equal(n, 7);
        ist_frames_fini(&frames);
    }
}

static int first(const void *bytes, size_t size, size_t max)
{
    struct ist_frames frames;
    struct ist_frame frame;
    int rc;

    ist_frames_init(&frames, max);
    ist_frames_push(&frames, bytes, size);
    rc = ist_frames_next(&frames, &frame);
    if (rc < 0) /* Sticky. */
        assert_int_equal(ist_frames_next(&frames, &frame), rc);
    ist_frames_fini(&frames);
    return rc;
}

static void test_split_bad(void **state)
{
    static uint8_t frame[IST_FRAME_MAX + 8];

    (void) state;
    put_frame(frame, 1, 1, 0, 4);
    assert_int_equal(first(frame, 12, 4096), 1);
    frame[11] = 0xCD;
    assert_int_equal(first(frame, 12, 4096), -EPROTO);
    for (unsigned type = 0; type < 256; type++) {
        bool good = type == 1 || type == 2 || type == 3 || type == 8;

        put_frame(frame, (uint8_t) type, 1, 0, 4);
        if (type != 'A')
            assert_int_equal(first(frame, 12, 4096), good ? 1 : -EPROTO);
        if (type != 'A') /* As soon as it can be known. */
            assert_int_equal(first(frame, 1, 4096), good ? 0 : -EPROTO);
    }
    assert_int_equal(first("AMQP\0\0\x08\0", 8, 4096), -EPROTONOSUPPORT);

    put_frame(frame, 3, 1, 0, 4096 - 8);
    assert_int_equal(first(frame, 4096, 4096), 1);
    put_frame(frame, 3, 1, 0, 4096 - 7);
    assert_int_equal(first(frame, 7, 4096), -EPROTO);
    put_frame(frame, 3, 1, 0, IST_FRAME_MAX - 8);
    assert_int_equal(first(frame, IST_FRAME_MAX, IST_FRAME_MAX), 1);
    memset(frame + 3, 0xff, 4);
    assert_int_equal(first(frame, 7, IST_FRAME_MAX), -EPROTO);
    memset(frame + 3, 0xff, 4);
    assert_int_equal(first(frame, 6, IST_FRAME_MAX), 0);
}

/* Tables. */

static struct ist_table_found found;
static size_t table_size;

static int check(const void *bytes, size_t size)
{
    /* Of exactly that size, for the sanitizer. */
    uint8_t *copy = malloc(size ? size : 1);
    int rc;

    memcpy(copy, bytes, size);
    rc = ist_table_check(copy, size, &table_size, &found);
    free(copy);
    return rc;
}

#define CHECK(literal) check(literal, sizeof(literal) - 1)

static void test_table_values(void **state)
{
    /* Every kind there is. */
    static const char all[] =
        "\0\0\0\x88"
        "\1at\1\1bb\xff\1cB\x01\1ds\xff\xff\1eu\0\1\1fI\xff\xff\xff\xff"
        "\1gi\0\0\0\1\1hl\xff\xff\xff\xff\xff\xff\xff\xff"
        "\1jL\0\0\0\0\0\0\0\1\1kf\0\0\0\0\1md\0\0\0\0\0\0\0\0"
        "\1nD\2\0\0\0\1\1oT\0\0\0\0\0\0\0\0\1pV"
        "\1qS\0\0\0\2hi\1rx\0\0\0\1\0\1sF\0\0\0\3\1tV"
        "\1uA\0\0\0\4VVt\1";

    (void) state;
    assert_int_equal(sizeof(all) - 1 - 4, 0x88);
    assert_int_equal(CHECK(all), 0);
    assert_int_equal(table_size, sizeof(all) - 1);
    /* Cut short anywhere it is no table. */
    for (size_t n = 0; n < sizeof(all) - 1; n++)
        assert_int_equal(check(all, n), -EBADMSG);
    /* Shortened from within, it is one only where an entry ends. */
    for (uint8_t n = 0; n < 0x88; n++) {
        char bytes[sizeof(all)];
        int rc;

        memcpy(bytes, all, sizeof(all));
        bytes[3] = (char) n;
        rc = check(bytes, sizeof(all) - 1);
        assert_true(rc == 0 || rc == -EBADMSG);
    }
}

static void test_table_bad(void **state)
{
    (void) state;
    assert_int_equal(CHECK("\0\0\0\0"), 0);
    assert_int_equal(CHECK("\xff\xff\xff\xff"), -EBADMSG);
    assert_int_equal(CHECK("\0\0\0\2\0V"), -EBADMSG);  /* Empty key. */
    assert_int_equal(CHECK("\0\0\0\3\1kZ"), -EBADMSG); /* Unknown type. */
    assert_int_equal(CHECK("\0\0\0\2\1k"), -EBADMSG);  /* No type. */
    assert_int_equal(CHECK("\0\0\0\2\5k"), -EBADMSG);  /* Key too long. */
    assert_int_equal(CHECK("\0\0\0\6\1kl\0\0\0"), -EBADMSG);
    assert_int_equal(CHECK("\0\0\0\7\1kS\0\0\0\1"), -EBADMSG);
    assert_int_equal(CHECK("\0\0\0\7\1kS\xff\xff\xff\xff"), -EBADMSG);
    /* An inner table longer than the outer one. */
    assert_int_equal(CHECK("\0\0\0\7\1kF\0\0\0\3\1kV"), -EBADMSG);
}

static void test_table_found(void **state)
{
    (void) state;
    assert_int_equal(CHECK("\0\0\0\x2d"
                           "\x0fx-stream-offsetl\0\0\0\0\0\0\x30\x39"
                           "\x10x-delivery-counti\0\0\0\2"),
                     -EBADMSG); /* The length is one too many. */
    assert_int_equal(CHECK("\0\0\0\x2f"
                           "\x0fx-stream-offsetl\0\0\0\0\0\0\x30\x39"
                           "\x10x-delivery-countI\0\0\0\2"),
                     0);
    assert_true(found.has_stream_offset && found.stream_offset == 12345);
    assert_true(found.has_delivery_count && found.delivery_count == 2);
    /* Negative, of another type, not at the top level: not found. */
    assert_int_equal(CHECK("\0\0\0\x13"
                           "\x10x-delivery-countb\xff"),
                     0);
    assert_false(found.has_delivery_count);
    assert_int_equal(CHECK("\0\0\0\x13"
                           "\x10x-delivery-countt\x01"),
                     0);
    assert_false(found.has_delivery_count);
    assert_int_equal(CHECK("\0\0\0\x1a\1aF\0\0\0\x13"
                           "\x10x-delivery-countB\x01"),
                     0);
    assert_false(found.has_delivery_count);
}

enum nesting { TABLES, KEYLESS, ARRAYS };

/* Bytes of a level below the first: key, type letter, length. */
static unsigned level_size(enum nesting kind)
{
    return kind == TABLES ? 7 : kind == KEYLESS ? 6 : 5;
}

/* 'levels' tables or arrays in each other, the outermost table included. */
static size_t nest(uint8_t *bytes, unsigned levels, enum nesting kind)
{
    unsigned step = level_size(kind), first_size = kind == KEYLESS ? 6 : 7;
    uint8_t *at = bytes;

    ist_put32(at, levels > 1 ? first_size + (levels - 2) * step : 0);
    at += 4;
    for (unsigned i = 1; i < levels; i++) {
        if (kind == KEYLESS) {
            *at++ = 0;
        } else if (kind == TABLES || i == 1) {
            *at++ = 1;
            *at++ = 'k';
        }
        *at++ = kind == ARRAYS ? 'A' : 'F';
        ist_put32(at, (levels - 1 - i) * step);
        at += 4;
    }
    return (size_t) (at - bytes);
}

static void test_table_limits(void **state)
{
    static uint8_t bytes[4096];
    size_t size;

    (void) state;
    for (int i = 0; i < 2; i++) {
        enum nesting kind = i ? ARRAYS : TABLES;

        size = nest(bytes, IST_TABLE_DEPTH, kind);
        assert_int_equal(check(bytes, size), 0);
        assert_int_equal(table_size, size);
        size = nest(bytes, IST_TABLE_DEPTH + 1, kind);
        assert_int_equal(check(bytes, size), -E2BIG);
    }
    for (unsigned n = 127; n <= 129; n++) {
        ist_put32(bytes, 3 * n);
        for (unsigned i = 0; i < n; i++)
            memcpy(bytes + 4 + 3 * i, "\1kV", 3);
        assert_int_equal(check(bytes, 4 + 3 * n), n > 128 ? -E2BIG : 0);
    }
}

/* A whole frame of nested ones, as a site can send it: the check refuses it,
 * and should it ever be decoded all the same, a thread with the usual stack
 * survives. */
static uint8_t full[TABLE_MAX];
static size_t full_size;

static void fill_full(enum nesting kind)
{
    full_size = nest(full, TABLE_MAX / level_size(kind) - 1, kind);
    assert_in_range(full_size, TABLE_MAX - 32, TABLE_MAX);
}

static void *decode_full(void *arg)
{
    amqp_bytes_t encoded = {.len = full_size, .bytes = full};
    amqp_pool_t pool;
    amqp_table_t table;
    size_t offset = 0;

    init_amqp_pool(&pool, 4096);
    *(int *) arg = amqp_decode_table(encoded, &pool, &table, &offset);
    empty_amqp_pool(&pool);
    return NULL;
}

static void test_full_frame(void **state)
{
    (void) state;
    for (int kind = TABLES; kind <= ARRAYS; kind++) {
        pthread_t thread;
        int rc = -1;

        fill_full((enum nesting) kind);
        assert_int_equal(check(full, full_size),
                         kind == KEYLESS ? -EBADMSG : -E2BIG);
        decode_full(&rc);
        assert_int_equal(rc, 0);
        rc = -1;
        assert_int_equal(pthread_create(&thread, NULL, decode_full, &rc), 0);
        pthread_join(thread, NULL);
        assert_int_equal(rc, 0);
    }
}

/* Content headers. */

static struct ist_content content;

static int parse(const void *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    int rc;

    memcpy(copy, bytes, size);
    rc = ist_content_parse(copy, size, &content);
    free(copy);
    return rc;
}

#define PARSE(literal) parse(literal, sizeof(literal) - 1)
#define BASIC          "\0\x3c\0\0\0\0\0\0\0\0\0\x05"

static void test_content(void **state)
{
    (void) state;
    assert_int_equal(PARSE(BASIC "\0\0"), 0);
    assert_int_equal(content.body_size, 5);
    assert_int_equal(content.properties_size, 2);
    assert_false(content.is_encoded);
    assert_int_equal(PARSE("\0\x3c\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0"),
                     0);
    assert_true(content.body_size == UINT64_MAX);
    assert_int_equal(PARSE("\0\x0a\0\0\0\0\0\0\0\0\0\x05\0\0"), -EPROTO);
    assert_int_equal(PARSE("\0\x3c\0\1\0\0\0\0\0\0\0\x05\0\0"), -EPROTO);
    assert_int_equal(PARSE(BASIC "\0\1"), -EPROTO); /* A second flag word. */
    assert_int_equal(PARSE(BASIC "\0\2"), -EPROTO);
    assert_int_equal(PARSE(BASIC "\0"), -EPROTO);
    assert_int_equal(PARSE(BASIC "\x80\0\5text"), -EPROTO);
    assert_int_equal(PARSE(BASIC "\x80\0"), -EPROTO);
    assert_int_equal(PARSE(BASIC "\xc0\0\4text\4gzip"), 0);
    assert_true(content.is_encoded);
    assert_int_equal(PARSE(BASIC "\xc0\0\4text\5utf-8"), 0);
    assert_false(content.is_encoded);
    assert_int_equal(PARSE(BASIC "\xc0\0\4text\5utf-7"), 0);
    assert_true(content.is_encoded);
    assert_int_equal(PARSE(BASIC "\xe0\0\1t\1e\0\0\0\x13"
                                 "\x10x-delivery-countB\x03"),
                     0);
    assert_int_equal(content.found.delivery_count, 3);
    assert_int_equal(PARSE(BASIC "\x20\0\0\0\0\2\0V"), -EBADMSG);
    assert_int_equal(content.body_size, 5);
    assert_int_equal(PARSE(BASIC "\x20\0\0\0"), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_split_bad),
        cmocka_unit_test(test_table_values),
        cmocka_unit_test(test_table_bad),
        cmocka_unit_test(test_table_found),
        cmocka_unit_test(test_table_limits),
        cmocka_unit_test(test_full_frame),
        cmocka_unit_test(test_content),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
