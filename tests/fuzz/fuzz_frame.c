/* What an AMQP client reads from the network, three ways; the first byte of
 * the input says which.
 *
 *   0  bytes through the frame splitter: any cut of them gives the same
 *      frames
 *   1  bytes as a field table, and as a content header
 *   2  the whole client, up and with everything in flight, against a broker
 *      that says what the input says: raw bytes, well-formed frames, time
 *      passing, and calls of the owner in between
 *
 * The third way has a small language of one-byte commands, see step(). */
#include "../fake/hostile_broker.h"

#include "base/log.h"
#include "base/rand.h"
#include "bus/amqp.h"
#include "bus/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define N_SENT 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* Frames. */

struct seen {
    uint64_t hash;
    unsigned n;
    int rc;
};

static struct seen split(const uint8_t *data, size_t size, size_t step)
{
    struct seen seen = {.hash = 1469598103934665603U};
    struct ist_frames frames;
    struct ist_frame frame;

    ist_frames_init(&frames, IST_FRAME_MIN);
    for (size_t at = 0; at < size && seen.rc >= 0; at += step) {
        ist_frames_push(&frames, data + at,
                        size - at < step ? size - at : step);
        while ((seen.rc = ist_frames_next(&frames, &frame)) > 0) {
            must(frame.size <= IST_FRAME_MIN - IST_FRAME_OVERHEAD);
            for (size_t i = 0; i < frame.size; i++)
                seen.hash = (seen.hash ^ frame.payload[i]) * 1099511628211U;
            seen.hash = (seen.hash ^ frame.type) * 1099511628211U;
            seen.n++;
        }
    }
    ist_frames_fini(&frames);
    return seen;
}

static void fuzz_split(const uint8_t *data, size_t size)
{
    struct seen whole = split(data, size, size + 1);
    struct seen bytes = split(data, size, 1), some = split(data, size, 5);

    must(whole.rc == bytes.rc && whole.rc == some.rc);
    must(whole.n == bytes.n && whole.n == some.n);
    must(whole.hash == bytes.hash && whole.hash == some.hash);
}

static void fuzz_table(const uint8_t *data, size_t size)
{
    struct ist_table_found found;
    struct ist_content content;
    size_t table_size = 0;

    if (ist_table_check(data, size, &table_size, &found) == 0)
        must(table_size >= 4 && table_size <= size);
    if (ist_content_parse(data, size, &content) == 0)
        must(content.properties_size <= size);
}

/* The client. */

static struct {
    struct ist_loop loop;
    struct ist_bus *bus;
    struct ist_bus_consumer consumers[2];
    struct ist_bus_publish sent[N_SENT];
    bool is_busy[N_SENT];
    unsigned n_started, n_done;
    uint64_t tag;
    bool closed, hush;
} t;

static void on_deliver(struct ist_bus_consumer *consumer,
                       const struct ist_bus_message *message)
{
    const uint8_t *body = message->body;
    unsigned sum = (unsigned) strlen(message->key);

    for (size_t i = 0; i < message->size; i++)
        sum += body[i];
    must(message->size <= 65536 && message->user);
    t.tag = message->tag;
    if (sum % 16 == 3)
        ist_bus_cancel(t.bus, consumer);
    if (sum % 16 == 4)
        ist_bus_ack(t.bus, consumer, message->tag);
    if (sum % 16 == 5)
        ist_bus_close(t.bus);
}

static void on_refused(struct ist_bus_consumer *consumer,
                       const struct ist_err *err)
{
    (void) consumer;
    must(err->code < 0 && err->text[0]);
}

static void on_closed(struct ist_bus *bus)
{
    (void) bus;
    t.closed = true;
}

static const struct ist_bus_events events = {.closed = on_closed};

static void on_done(struct ist_op *op)
{
    struct ist_bus_publish *publish =
        IST_CONTAINER(op, struct ist_bus_publish, op);

    t.is_busy[publish - t.sent] = false;
    t.n_done++;
}

static bool hook(int role, uint16_t channel, uint32_t method)
{
    (void) role;
    (void) channel;
    return t.hush && method == 0x003C0028; /* basic.publish: not confirmed */
}

static void run(uint64_t ms)
{
    uint64_t until = ist_loop_now(&t.loop) + ms;

    for (unsigned i = 0; i < 10000 && ist_loop_step(&t.loop, until); i++)
        ;
}

static void publish(uint8_t how)
{
    static const char *const exchanges[] = {"x", "y"};
    struct ist_bus_message message = {.exchange = exchanges[how & 1],
                                      .key = "k",
                                      .body = "hello",
                                      .size = 5,
                                      .mandatory = true};
    unsigned i = how / 2 % N_SENT;

    if (t.is_busy[i]) {
        ist_op_cancel(&t.sent[i].op, -ECANCELED);
        return;
    }
    t.is_busy[i] = true;
    t.n_started++;
    ist_op_prepare(&t.sent[i].op, &t.loop, NULL, 60000, on_done);
    ist_bus_publish(t.bus, &t.sent[i], &message);
}

static void consume(unsigned i)
{
    struct ist_bus_consumer *consumer = &t.consumers[i];

    if (consumer->link[0]) {
        ist_bus_cancel(t.bus, consumer);
        return;
    }
    *consumer = (struct ist_bus_consumer){.queue = i ? "hub.{n}" : "q",
                                          .bind_exchange = i ? "x" : NULL,
                                          .bind_key = i ? "{n}.*" : NULL,
                                          .ack = i == 0,
                                          .prefetch = 10,
                                          .deliver = on_deliver,
                                          .refused = on_refused};
    ist_bus_consume(t.bus, consumer);
}

/* One command with its argument; the bytes that it has used. */
static size_t step(const uint8_t *data, size_t size)
{
    int role = data[0] & 1;
    size_t n = size > 1 ? data[1] : 0, used = 2;

    if (size < 2)
        return size;
    switch (data[0] >> 1 & 7) {
    case 0: /* Raw bytes. */
    case 1: /* A frame: type, channel, payload. */
    case 2: /* A method frame of class basic. */
        if (n > size - used)
            n = size - used;
        if ((data[0] >> 1 & 7) == 0)
            hostile_feed(role, data + used, n);
        else if ((data[0] >> 1 & 7) == 1 && n >= 2)
            hostile_frame(role, data[used], data[used + 1], data + used + 2,
                          n - 2);
        else if (n >= 2)
            hostile_method(role, data[used], 0x003C0000U | data[used + 1],
                           data + used + 2, n - 2);
        return used + n;
    case 3:
        run((uint64_t) n * n);
        return used;
    case 4:
        publish((uint8_t) n);
        return used;
    case 5:
        consume(n & 1);
        return used;
    case 6:
        ist_bus_ack(t.bus, &t.consumers[0], n ? t.tag : t.tag + n);
        return used;
    default:
        if (n == 0)
            hostile_break(role);
        else if (n == 1)
            t.hush = !t.hush;
        else if (n == 2)
            hostile.is_slow = !hostile.is_slow;
        else if (n == 3)
            hostile.is_deaf = !hostile.is_deaf;
        return used;
    }
}

static void fuzz_client(const uint8_t *data, size_t size)
{
    char url[] = "amqp://me:secret@one,amqp://me:secret@two";
    struct ist_amqp_conf conf = {.url = url,
                                 .heartbeat_ms = 6000,
                                 .backoff_max_ms = 1000,
                                 .out_high = 65536,
                                 .out_hard = 131072,
                                 .body_max = 65536};

    memset(&t, 0, sizeof(t));
    ist_rand_plant(1);
    ist_loop_init_virtual(&t.loop, 1764000000000U);
    hostile_reset(&t.loop);
    hostile.hook = hook;
    t.bus = ist_amqp_new(&t.loop, &conf, "fuzz", &events, NULL, NULL);
    must(t.bus != NULL);
    consume(0);
    consume(1);
    run(10);
    must(t.bus->is_up);
    t.hush = true;
    for (uint8_t i = 0; i < 4; i++)
        publish((uint8_t) (i * 2));
    run(0);
    while (size && !t.closed) {
        size_t used = step(data, size);

        data += used;
        size -= used;
    }
    ist_bus_close(t.bus);
    hostile.is_slow = false;
    run(5000);
    must(t.closed && hostile.n_open == 0 && t.n_done == t.n_started);
    ist_bus_free(t.bus);
    ist_loop_fini(&t.loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ist_log_level_set(IST_LOG_ERROR);
    if (size == 0)
        return 0;
    switch (data[0]) {
    case 0:
        fuzz_split(data + 1, size - 1);
        break;
    case 1:
        fuzz_table(data + 1, size - 1);
        break;
    case 2:
        fuzz_client(data + 1, size - 1);
        break;
    default:
        break;
    }
    return 0;
}
