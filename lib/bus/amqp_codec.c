#include "bus/amqp_codec.h"

#include "bus/frame.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <amqp.h>
#include <amqp_framing.h>

#define HEAD_SIZE 7    /* Of a frame: type, channel, size. */
#define POOL_PAGE 4096 /* Recycled after each call. */

struct ist_codec {
    amqp_pool_t pool;
};

struct ist_codec *ist_codec_new(void)
{
    struct ist_codec *codec = calloc(1, sizeof(*codec));

    if (codec)
        init_amqp_pool(&codec->pool, POOL_PAGE);
    return codec;
}

struct ist_codec *ist_codec_free(struct ist_codec *codec)
{
    if (codec) {
        empty_amqp_pool(&codec->pool);
        free(codec);
    }
    return NULL;
}

/* Decoding. */

static void copy(amqp_bytes_t bytes, char *ret, size_t size)
{
    size_t n = bytes.len < size - 1 ? bytes.len : size - 1;

    if (n)
        memcpy(ret, bytes.bytes, n);
    ret[n] = '\0';
}

/* Foreign text for people: one line of plain characters. */
static void copy_text(amqp_bytes_t bytes, char *ret, size_t size)
{
    copy(bytes, ret, size);
    for (; *ret; ret++)
        if (*ret < ' ' || *ret > '~')
            *ret = '?';
}

/* A key is a C string to us: one with a NUL in it is none of ours. */
static bool copy_name(amqp_bytes_t bytes, char *ret)
{
    if (bytes.len > 255 || (bytes.len && memchr(bytes.bytes, 0, bytes.len)))
        return false;
    copy(bytes, ret, 256);
    return true;
}

static bool has_word(amqp_bytes_t bytes, const char *word)
{
    const char *text = bytes.bytes;
    size_t at = 0, len = strlen(word);

    while (at < bytes.len) {
        const char *space = memchr(text + at, ' ', bytes.len - at);
        size_t n = space ? (size_t) (space - text) - at : bytes.len - at;

        if (n == len && memcmp(text + at, word, n) == 0)
            return true;
        at += n + 1;
    }
    return false;
}

static int take_start(const amqp_connection_start_t *m, const char *mechanism,
                      struct ist_method *ret)
{
    ret->major = m->version_major;
    ret->minor = m->version_minor;
    ret->has_mechanism = has_word(m->mechanisms, mechanism);
    return 0;
}

static int take_tune(const amqp_connection_tune_t *m, struct ist_method *ret)
{
    ret->channel_max = m->channel_max;
    ret->frame_max = m->frame_max;
    ret->heartbeat_s = m->heartbeat;
    return 0;
}

static int take_deliver(const amqp_basic_deliver_t *m, struct ist_method *ret)
{
    ret->tag = m->delivery_tag;
    ret->redelivered = m->redelivered;
    return copy_name(m->exchange, ret->exchange) &&
                   copy_name(m->routing_key, ret->key)
               ? 0
               : -EPROTO;
}

static int take_return(const amqp_basic_return_t *m, struct ist_method *ret)
{
    ret->code = m->reply_code;
    copy_text(m->reply_text, ret->text, sizeof(ret->text));
    return copy_name(m->exchange, ret->exchange) &&
                   copy_name(m->routing_key, ret->key)
               ? 0
               : -EPROTO;
}

static int take(const void *m, const char *mechanism, struct ist_method *ret)
{
    switch (ret->id) {
    case IST_CONNECTION_START:
        return take_start(m, mechanism, ret);
    case IST_CONNECTION_TUNE:
        return take_tune(m, ret);
    case IST_CONNECTION_CLOSE: {
        const amqp_connection_close_t *close = m;

        ret->code = close->reply_code;
        copy_text(close->reply_text, ret->text, sizeof(ret->text));
        return 0;
    }
    case IST_CHANNEL_CLOSE: {
        const amqp_channel_close_t *close = m;

        ret->code = close->reply_code;
        copy_text(close->reply_text, ret->text, sizeof(ret->text));
        return 0;
    }
    case IST_CONNECTION_BLOCKED:
        copy_text(((const amqp_connection_blocked_t *) m)->reason, ret->text,
                  sizeof(ret->text));
        return 0;
    case IST_CHANNEL_FLOW:
        ret->active = ((const amqp_channel_flow_t *) m)->active;
        return 0;
    case IST_BASIC_DELIVER:
        return take_deliver(m, ret);
    case IST_BASIC_RETURN:
        return take_return(m, ret);
    case IST_BASIC_ACK:
        ret->tag = ((const amqp_basic_ack_t *) m)->delivery_tag;
        ret->multiple = ((const amqp_basic_ack_t *) m)->multiple;
        return 0;
    case IST_BASIC_NACK:
        ret->tag = ((const amqp_basic_nack_t *) m)->delivery_tag;
        ret->multiple = ((const amqp_basic_nack_t *) m)->multiple;
        return 0;
    default:
        return 0; /* The others say nothing we need. */
    }
}

int ist_codec_method(struct ist_codec *codec, const uint8_t *payload,
                     size_t size, const char *mechanism, struct ist_method *ret)
{
    struct ist_table_found found;
    size_t table_size;
    void *decoded = NULL;
    int rc;

    if (size < 4)
        return -EPROTO;
    ret->id = ist_get32(payload);
    payload += 4;
    size -= 4;
    /* The only one of them with a table: after two bytes of version. */
    if (ret->id == IST_CONNECTION_START &&
        (size < 2 ||
         ist_table_check(payload + 2, size - 2, &table_size, &found)))
        return -EPROTO;
    rc = amqp_decode_method(
        ret->id, &codec->pool,
        (amqp_bytes_t){.len = size, .bytes = (void *) (uintptr_t) payload},
        &decoded);
    rc = rc < 0 || !decoded ? -EPROTO : take(decoded, mechanism, ret);
    recycle_amqp_pool(&codec->pool);
    return rc;
}

static uint64_t parse_number(amqp_bytes_t bytes, int base)
{
    char text[24], *end;
    uint64_t number;

    if (bytes.len == 0 || bytes.len >= sizeof(text))
        return 0;
    copy(bytes, text, sizeof(text));
    if (strspn(text, base == 16 ? "0123456789abcdef" : "0123456789") !=
        bytes.len)
        return 0;
    errno = 0;
    number = strtoull(text, &end, base);
    return errno ? 0 : number;
}

void ist_codec_properties_clear(struct ist_properties *properties)
{
    memset(properties, 0, offsetof(struct ist_properties, texts));
}

static const char *take_text(char **at, amqp_bytes_t bytes)
{
    char *text = *at;

    memcpy(text, bytes.bytes, bytes.len);
    text[bytes.len] = '\0';
    *at += bytes.len + 1;
    return text;
}

/* Those that are text, are short enough and have room. */
static void take_headers(const amqp_table_t *table, struct ist_properties *ret)
{
    char *at = ret->texts;
    size_t left = IST_BUS_HEADERS_SIZE;

    for (int i = 0; i < table->num_entries; i++) {
        const amqp_table_entry_t *entry = &table->entries[i];
        amqp_bytes_t value = entry->value.value.bytes;

        if (entry->value.kind != AMQP_FIELD_KIND_UTF8 ||
            ret->n_headers == IST_BUS_HEADERS_MAX || value.len == 0 ||
            entry->key.len + value.len > left ||
            memchr(value.bytes, 0, value.len) ||
            memchr(entry->key.bytes, 0, entry->key.len))
            continue;
        left -= entry->key.len + value.len;
        ret->headers[ret->n_headers].name = take_text(&at, entry->key);
        ret->headers[ret->n_headers++].value = take_text(&at, value);
    }
}

static void take_properties(const amqp_basic_properties_t *p,
                            struct ist_properties *ret)
{
    const amqp_flags_t flags = p->_flags;

    ist_codec_properties_clear(ret);
    if (flags & AMQP_BASIC_HEADERS_FLAG)
        take_headers(&p->headers, ret);
    if (flags & AMQP_BASIC_TYPE_FLAG)
        copy(p->type, ret->type, sizeof(ret->type));
    if (flags & AMQP_BASIC_USER_ID_FLAG)
        copy(p->user_id, ret->user, sizeof(ret->user));
    if (flags & AMQP_BASIC_CORRELATION_ID_FLAG)
        ret->correlation = parse_number(p->correlation_id, 16);
    if (flags & AMQP_BASIC_MESSAGE_ID_FLAG)
        ret->message_id = parse_number(p->message_id, 16);
    if (flags & AMQP_BASIC_EXPIRATION_FLAG)
        ret->expiration_ms = parse_number(p->expiration, 10);
    if (flags & AMQP_BASIC_DELIVERY_MODE_FLAG)
        ret->is_persistent = p->delivery_mode == AMQP_DELIVERY_PERSISTENT;
}

int ist_codec_properties(struct ist_codec *codec, const uint8_t *data,
                         size_t size, struct ist_properties *ret)
{
    void *decoded = NULL;
    int rc = amqp_decode_properties(
        AMQP_BASIC_CLASS, &codec->pool,
        (amqp_bytes_t){.len = size, .bytes = (void *) (uintptr_t) data},
        &decoded);

    if (rc >= 0 && decoded)
        take_properties(decoded, ret);
    recycle_amqp_pool(&codec->pool);
    return rc >= 0 && decoded ? 0 : -EPROTO;
}

/* Encoding. */

static amqp_bytes_t text(const char *text_)
{
    return amqp_cstring_bytes(text_);
}

/* Head and end around 'size' bytes of payload that stand at buf + HEAD_SIZE. */
static ssize_t seal(uint8_t *buf, uint8_t type, uint16_t channel, size_t size)
{
    buf[0] = type;
    ist_put16(buf + 1, channel);
    ist_put32(buf + 3, (uint32_t) size);
    buf[HEAD_SIZE + size] = IST_FRAME_END;
    return (ssize_t) (size + IST_FRAME_OVERHEAD);
}

/* The method may use what is left of IST_CODEC_MAX after 'used'. */
static ssize_t method(uint8_t *buf, size_t used, uint16_t channel, uint32_t id,
                      void *decoded)
{
    amqp_bytes_t room = {.len = IST_CODEC_MAX - used - HEAD_SIZE - 4 - 1,
                         .bytes = buf + used + HEAD_SIZE + 4};
    int n = amqp_encode_method(id, decoded, room);

    if (n < 0)
        return -EMSGSIZE;
    ist_put32(buf + used + HEAD_SIZE, id);
    return seal(buf + used, IST_FRAME_METHOD, channel, 4 + (size_t) n);
}

static amqp_table_entry_t entry_text(const char *key, const char *value)
{
    return (amqp_table_entry_t){
        .key = text(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = text(value)}};
}

static amqp_table_entry_t entry_number(const char *key, uint64_t value)
{
    return (amqp_table_entry_t){.key = text(key),
                                .value = {.kind = AMQP_FIELD_KIND_I64,
                                          .value.i64 = value > INT64_MAX
                                                           ? INT64_MAX
                                                           : (int64_t) value}};
}

/* Without all six the broker keeps quiet about being blocked and about
 * cancelled consumers. */
static const char *const capabilities[] = {
    "publisher_confirms",           "basic.nack",
    "consumer_cancel_notify",       "connection.blocked",
    "authentication_failure_close", "exchange_exchange_bindings",
};

#define N_CAPABILITIES (sizeof(capabilities) / sizeof(capabilities[0]))

static void fill_capabilities(amqp_table_entry_t *entries)
{
    for (size_t i = 0; i < N_CAPABILITIES; i++)
        entries[i] = (amqp_table_entry_t){
            .key = text(capabilities[i]),
            .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
}

ssize_t ist_codec_start_ok(uint8_t *buf, const struct ist_codec_login *login)
{
    amqp_table_entry_t can[N_CAPABILITIES];
    amqp_table_entry_t entries[] = {
        entry_text("product", "Isthmus"),
        entry_text("version", IST_VERSION),
        entry_text("connection_name", login->name),
        {.key = text("capabilities"),
         .value = {.kind = AMQP_FIELD_KIND_TABLE,
                   .value.table = {.num_entries = N_CAPABILITIES,
                                   .entries = can}}},
    };
    amqp_connection_start_ok_t m = {
        .client_properties = {.num_entries = IST_COUNT(entries),
                              .entries = entries},
        .mechanism = text(login->mechanism),
        .locale = text("en_US"),
    };
    char response[516];
    int len = 0;

    fill_capabilities(can);
    if (strcmp(login->mechanism, "PLAIN") == 0)
        len = snprintf(response, sizeof(response), "%c%s%c%s", 0, login->user,
                       0, login->password);
    m.response = (amqp_bytes_t){.len = (size_t) len, .bytes = response};
    return method(buf, 0, 0, IST_CONNECTION_START_OK, &m);
}

ssize_t ist_codec_tune_ok(uint8_t *buf, uint16_t channel_max,
                          uint32_t frame_max, uint16_t heartbeat_s)
{
    amqp_connection_tune_ok_t m = {.channel_max = channel_max,
                                   .frame_max = frame_max,
                                   .heartbeat = heartbeat_s};

    return method(buf, 0, 0, IST_CONNECTION_TUNE_OK, &m);
}

ssize_t ist_codec_open(uint8_t *buf, const char *vhost)
{
    amqp_connection_open_t m = {.virtual_host = text(vhost), .insist = 1};

    return method(buf, 0, 0, IST_CONNECTION_OPEN, &m);
}

ssize_t ist_codec_close(uint8_t *buf, uint16_t channel)
{
    amqp_connection_close_t connection = {.reply_code = AMQP_REPLY_SUCCESS,
                                          .reply_text = text("goodbye")};
    amqp_channel_close_t m = {.reply_code = AMQP_REPLY_SUCCESS,
                              .reply_text = text("goodbye")};

    return channel ? method(buf, 0, channel, IST_CHANNEL_CLOSE, &m)
                   : method(buf, 0, 0, IST_CONNECTION_CLOSE, &connection);
}

ssize_t ist_codec_bare(uint8_t *buf, uint16_t channel, uint32_t id)
{
    /* Each is nothing but zeros: an empty string, a flag not set. */
    union {
        amqp_channel_open_t open;
        amqp_confirm_select_t select;
        amqp_channel_close_ok_t channel_close_ok;
        amqp_connection_close_ok_t connection_close_ok;
    } m;

    memset(&m, 0, sizeof(m));
    return method(buf, 0, channel, id, &m);
}

ssize_t ist_codec_flow_ok(uint8_t *buf, uint16_t channel, bool active)
{
    amqp_channel_flow_ok_t m = {.active = active};

    return method(buf, 0, channel, IST_CHANNEL_FLOW_OK, &m);
}

ssize_t ist_codec_qos(uint8_t *buf, uint16_t channel, uint16_t prefetch)
{
    amqp_basic_qos_t m = {.prefetch_count = prefetch};

    return method(buf, 0, channel, IST_BASIC_QOS, &m);
}

ssize_t ist_codec_exchange(uint8_t *buf, uint16_t channel, const char *name)
{
    amqp_exchange_declare_t m = {.exchange = text(name), .type = text("topic")};

    return method(buf, 0, channel, IST_EXCHANGE_DECLARE, &m);
}

ssize_t ist_codec_declare(uint8_t *buf, uint16_t channel, const char *queue,
                          uint64_t ttl_ms, uint64_t max_length)
{
    amqp_table_entry_t entries[2];
    amqp_queue_declare_t m = {.queue = text(queue),
                              .exclusive = 1,
                              .auto_delete = 1,
                              .arguments = {.entries = entries}};

    if (ttl_ms)
        entries[m.arguments.num_entries++] =
            entry_number("x-message-ttl", ttl_ms);
    if (max_length)
        entries[m.arguments.num_entries++] =
            entry_number("x-max-length", max_length);
    return method(buf, 0, channel, IST_QUEUE_DECLARE, &m);
}

ssize_t ist_codec_bind(uint8_t *buf, uint16_t channel, const char *queue,
                       const char *exchange, const char *key)
{
    amqp_queue_bind_t m = {.queue = text(queue),
                           .exchange = text(exchange),
                           .routing_key = text(key)};

    return method(buf, 0, channel, IST_QUEUE_BIND, &m);
}

ssize_t ist_codec_consume(uint8_t *buf, uint16_t channel,
                          const struct ist_codec_consume *consume)
{
    amqp_table_entry_t entries[2];
    amqp_basic_consume_t m = {.queue = text(consume->queue),
                              .consumer_tag = text("c"),
                              .no_ack = consume->no_ack,
                              .arguments = {.entries = entries}};

    if (consume->priority)
        entries[m.arguments.num_entries++] =
            entry_number("x-priority", consume->priority);
    if (consume->has_number)
        entries[m.arguments.num_entries++] =
            entry_number("x-stream-offset", consume->offset_number);
    else if (consume->offset)
        entries[m.arguments.num_entries++] =
            entry_text("x-stream-offset", consume->offset);
    return method(buf, 0, channel, IST_BASIC_CONSUME, &m);
}

static void fill_properties(amqp_basic_properties_t *p,
                            const struct ist_bus_message *message,
                            const char *user)
{
    p->_flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_USER_ID_FLAG;
    p->delivery_mode = message->persistent ? AMQP_DELIVERY_PERSISTENT
                                           : AMQP_DELIVERY_NONPERSISTENT;
    p->user_id = text(user);
    if (message->type) {
        p->_flags |= AMQP_BASIC_TYPE_FLAG;
        p->type = text(message->type);
    }
    if (message->content_type) {
        p->_flags |= AMQP_BASIC_CONTENT_TYPE_FLAG;
        p->content_type = text(message->content_type);
    }
}

static void fill_headers(amqp_basic_properties_t *p,
                         const struct ist_bus_message *message,
                         amqp_table_entry_t entries[IST_BUS_HEADERS_MAX])
{
    size_t n = message->n_headers;

    for (size_t i = 0; i < n; i++)
        entries[i] =
            entry_text(message->headers[i].name, message->headers[i].value);
    if (n) {
        p->_flags |= AMQP_BASIC_HEADERS_FLAG;
        p->headers = (amqp_table_t){.num_entries = (int) n, .entries = entries};
    }
}

ssize_t ist_codec_publish(uint8_t *buf, uint16_t channel,
                          const struct ist_bus_message *message,
                          const char *user, uint64_t message_id)
{
    amqp_basic_publish_t m = {.exchange = text(message->exchange),
                              .routing_key = text(message->key),
                              .mandatory = message->mandatory};
    amqp_basic_properties_t p = {.delivery_mode = 0};
    amqp_table_entry_t entries[IST_BUS_HEADERS_MAX];
    char id[24], correlation[24], expiration[24];
    ssize_t used = method(buf, 0, channel, IST_BASIC_PUBLISH, &m);
    uint8_t *at;
    int n;

    if (used < 0)
        return used;
    fill_properties(&p, message, user);
    fill_headers(&p, message, entries);
    snprintf(id, sizeof(id), "%" PRIx64, message_id);
    snprintf(correlation, sizeof(correlation), "%016" PRIx64,
             message->correlation);
    snprintf(expiration, sizeof(expiration), "%" PRIu64,
             message->expiration_ms);
    if (message_id) {
        p._flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
        p.message_id = text(id);
    }
    if (message->correlation) {
        p._flags |= AMQP_BASIC_CORRELATION_ID_FLAG;
        p.correlation_id = text(correlation);
    }
    if (message->expiration_ms) {
        p._flags |= AMQP_BASIC_EXPIRATION_FLAG;
        p.expiration = text(expiration);
    }
    at = buf + used + HEAD_SIZE;
    ist_put16(at, AMQP_BASIC_CLASS);
    ist_put16(at + 2, 0);
    ist_put64(at + 4, message->size);
    n = amqp_encode_properties(
        AMQP_BASIC_CLASS, &p,
        (amqp_bytes_t){.len = IST_CODEC_MAX - (size_t) used - HEAD_SIZE - 13,
                       .bytes = at + 12});
    if (n < 0)
        return -EMSGSIZE;
    return used + seal(buf + used, IST_FRAME_HEADER, channel, 12 + (size_t) n);
}

ssize_t ist_codec_ack(uint8_t *buf, uint16_t channel, uint64_t tag)
{
    amqp_basic_ack_t m = {.delivery_tag = tag};

    return method(buf, 0, channel, IST_BASIC_ACK, &m);
}
