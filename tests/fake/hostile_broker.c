#include "hostile_broker.h"

#include "bus/amqp_codec.h"
#include "bus/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct ist_link {
    const struct ist_link_events *events;
    void *owner;
    int role;
    unsigned address;
    uint64_t hard_max, progress_at;
    uint8_t *out;
    size_t used;
    struct ist_frames frames;
    bool has_header, is_opened, is_closing, is_broken;
    bool confirms[256];
    uint64_t n_published[256];
    struct ist_timer timer;
};

struct hostile hostile;
static struct ist_link *links[2]; /* The newest of each role. */

const uint8_t hostile_start_arguments[] = "\0\x09\0\0\0\0"
                                          "\0\0\0\x0e"
                                          "EXTERNAL PLAIN"
                                          "\0\0\0\5en_US";
const size_t hostile_start_size = sizeof(hostile_start_arguments) - 1;

void hostile_reset(struct ist_loop *loop)
{
    hostile = (struct hostile){.loop = loop,
                               .channel_max = 2047,
                               .heartbeat_s = 60,
                               .frame_max = IST_FRAME_MAX,
                               .n_addresses = 1};
    links[0] = links[1] = NULL;
}

static uint8_t slot(uint32_t method)
{
    return (uint8_t) (((method >> 16) * 16) + (method & 0xffff));
}

unsigned hostile_seen(uint32_t method)
{
    return hostile.n_methods[slot(method)];
}

/* To the client. */

bool hostile_feed(int role, const void *data, size_t size)
{
    struct ist_link *link = links[role];

    if (!link || link->is_closing || link->is_broken)
        return false;
    link->events->received(link->owner, data, size);
    return true;
}

bool hostile_frame(int role, uint8_t type, uint16_t channel,
                   const void *payload, size_t size)
{
    uint8_t *frame = malloc(size + IST_FRAME_OVERHEAD);
    bool ok;

    frame[0] = type;
    ist_put16(frame + 1, channel);
    ist_put32(frame + 3, (uint32_t) size);
    if (size)
        memcpy(frame + 7, payload, size);
    frame[7 + size] = IST_FRAME_END;
    ok = hostile_feed(role, frame, size + IST_FRAME_OVERHEAD);
    free(frame);
    return ok;
}

bool hostile_method(int role, uint16_t channel, uint32_t method,
                    const void *arguments, size_t size)
{
    uint8_t payload[4096];

    if (size > sizeof(payload) - 4)
        return false;
    ist_put32(payload, method);
    if (size)
        memcpy(payload + 4, arguments, size);
    return hostile_frame(role, IST_FRAME_METHOD, channel, payload, 4 + size);
}

bool hostile_deliver(uint16_t channel, uint64_t tag, const char *body)
{
    uint8_t method[] = "\1cTTTTTTTT\0\1x\1k";
    uint8_t header[] = "\0\x3c\0\0LLLLLLLL\0\0";
    size_t size = strlen(body);

    ist_put64(method + 2, tag);
    ist_put64(header + 4, size);
    return hostile_method(HOSTILE_CONSUME, channel, IST_BASIC_DELIVER, method,
                          sizeof(method) - 1) &&
           hostile_frame(HOSTILE_CONSUME, IST_FRAME_HEADER, channel, header,
                         sizeof(header) - 1) &&
           (size == 0 || hostile_frame(HOSTILE_CONSUME, IST_FRAME_BODY, channel,
                                       body, size));
}

void hostile_break(int role)
{
    struct ist_link *link = links[role];
    struct ist_err err = {0};

    if (!link || link->is_closing || link->is_broken)
        return;
    link->is_broken = true;
    ist_err_set(&err, -ECONNRESET, "broken by the test");
    link->events->broken(link->owner, &err);
}

/* Politeness. */

static void answer_tune(int role)
{
    uint8_t tune[8];

    ist_put16(tune, hostile.channel_max);
    ist_put32(tune + 2, hostile.frame_max);
    ist_put16(tune + 6, hostile.heartbeat_s);
    hostile_method(role, 0, IST_CONNECTION_TUNE, tune, sizeof(tune));
}

static void answer_publish(struct ist_link *link, uint16_t channel)
{
    uint8_t ack[9] = {0};

    if (channel >= 256 || !link->confirms[channel])
        return;
    ist_put64(ack, ++link->n_published[channel]);
    hostile_method(link->role, channel, IST_BASIC_ACK, ack, sizeof(ack));
}

static const struct {
    uint32_t method, answer;
    const char *arguments;
    size_t size;
} answers[] = {
    {IST_CONNECTION_OPEN, IST_CONNECTION_OPEN_OK, "\0", 1},
    {IST_CONNECTION_CLOSE, IST_CONNECTION_CLOSE_OK, "", 0},
    {IST_CHANNEL_OPEN, IST_CHANNEL_OPEN_OK, "\0\0\0\0", 4},
    {IST_CHANNEL_CLOSE, IST_CHANNEL_CLOSE_OK, "", 0},
    {IST_QUEUE_DECLARE, IST_QUEUE_DECLARE_OK, "\1q\0\0\0\0\0\0\0\0", 10},
    {IST_QUEUE_BIND, IST_QUEUE_BIND_OK, "", 0},
    {IST_BASIC_QOS, IST_BASIC_QOS_OK, "", 0},
    {IST_BASIC_CONSUME, IST_BASIC_CONSUME_OK, "\1c", 2},
    {IST_CONFIRM_SELECT, IST_CONFIRM_SELECT_OK, "", 0},
};

static void answer(struct ist_link *link, const struct ist_frame *frame)
{
    uint32_t method;

    if (frame->type == IST_FRAME_HEARTBEAT)
        hostile.n_heartbeats++;
    if (frame->type != IST_FRAME_METHOD || frame->size < 4)
        return;
    method = ist_get32(frame->payload);
    hostile.n_methods[slot(method)]++;
    if (method == IST_BASIC_ACK)
        hostile.last_acked = ist_get64(frame->payload + 4);
    if (method == IST_CONFIRM_SELECT && frame->channel < 256)
        link->confirms[frame->channel] = true;
    if (method == IST_CHANNEL_OPEN && frame->channel < 256) {
        link->confirms[frame->channel] = false;
        link->n_published[frame->channel] = 0;
    }
    if (hostile.hook && hostile.hook(link->role, frame->channel, method))
        return;
    if (method == IST_CONNECTION_START_OK)
        answer_tune(link->role);
    if (method == IST_BASIC_PUBLISH)
        answer_publish(link, frame->channel);
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        if (answers[i].method == method)
            hostile_method(link->role, frame->channel, answers[i].answer,
                           answers[i].arguments, answers[i].size);
}

static void take_output(struct ist_link *link)
{
    uint8_t *data = link->out;
    size_t used = link->used, skip = 0;
    struct ist_frame frame;

    link->out = NULL;
    link->used = 0;
    if (!link->has_header && used >= 8) {
        link->has_header = true;
        skip = 8;
        if (!hostile.hook || !hostile.hook(link->role, 0, 0))
            hostile_method(link->role, 0, IST_CONNECTION_START,
                           hostile_start_arguments, hostile_start_size);
    }
    ist_frames_push(&link->frames, data + skip, used - skip);
    while (!link->is_closing && !link->is_broken &&
           ist_frames_next(&link->frames, &frame) == 1)
        answer(link, &frame);
    free(data);
    if (!link->is_closing && !link->is_broken)
        link->events->sent(link->owner);
}

/* The link's interface. */

static void on_timer(struct ist_timer *timer)
{
    struct ist_link *link = IST_CONTAINER(timer, struct ist_link, timer);
    struct ist_err err = {0};

    if (link->is_closing) {
        const struct ist_link_events *events = link->events;
        void *owner = link->owner;

        if (links[link->role] == link)
            links[link->role] = NULL;
        ist_frames_fini(&link->frames);
        free(link->out);
        free(link);
        hostile.n_open--;
        events->gone(owner);
        return;
    }
    if (link->is_broken) {
        ist_err_set(&err, -ENOBUFS, "the write buffer is full");
        link->events->broken(link->owner, &err);
        return;
    }
    if (!link->is_opened && hostile.refuses) {
        link->is_broken = true;
        ist_err_set(&err, -ECONNREFUSED, "refused by the test");
        link->events->broken(link->owner, &err);
        return;
    }
    if (!link->is_opened) {
        link->is_opened = true;
        link->events->opened(link->owner);
    }
    if (link->used && hostile.is_deaf) {
        link->used = 0;
    } else if (link->used && !hostile.is_slow) {
        link->progress_at = ist_loop_now(hostile.loop);
        take_output(link);
    }
}

struct ist_link *ist_link_new(struct ist_loop *loop,
                              const struct ist_link_conf *conf,
                              const struct ist_link_events *events, void *owner)
{
    struct ist_link *link = calloc(1, sizeof(*link));

    link->events = events;
    link->owner = owner;
    link->role = hostile.n_links++ % 2 ? HOSTILE_CONSUME : HOSTILE_PUBLISH;
    link->address = hostile.last_address = conf->address;
    link->hard_max = conf->hard_max;
    link->progress_at = ist_loop_now(loop);
    ist_frames_init(&link->frames, IST_FRAME_MAX);
    links[link->role] = link;
    hostile.n_open++;
    ist_timer_arm_in(&link->timer, loop, 0, on_timer);
    return link;
}

void ist_link_close(struct ist_link *link)
{
    if (link->is_closing)
        return;
    link->is_closing = true;
    ist_timer_arm_in(&link->timer, hostile.loop, 0, on_timer);
}

uint8_t *ist_link_reserve(struct ist_link *link, size_t size)
{
    if (link->is_closing || link->is_broken)
        return NULL;
    if (size > link->hard_max || link->used > link->hard_max - size) {
        link->is_broken = true;
        ist_timer_arm_in(&link->timer, hostile.loop, 0, on_timer);
        return NULL;
    }
    link->out = realloc(link->out, link->used + size);
    return link->out + link->used;
}

void ist_link_commit(struct ist_link *link, size_t size)
{
    if (link->used == 0)
        link->progress_at = ist_loop_now(hostile.loop);
    link->used += size;
    ist_timer_arm_in(&link->timer, hostile.loop, 0, on_timer);
}

uint64_t ist_link_queued(const struct ist_link *link)
{
    return link->used;
}

uint64_t ist_link_progress_at(struct ist_link *link)
{
    /* As on a real clock, which goes on after the caller has looked at it. */
    return link->used ? link->progress_at : ist_loop_now(hostile.loop) + 1;
}

unsigned ist_link_n_addresses(const struct ist_link *link)
{
    (void) link;
    return hostile.n_addresses;
}

const char *ist_link_peer(const struct ist_link *link)
{
    (void) link;
    return "hostile:5672";
}
