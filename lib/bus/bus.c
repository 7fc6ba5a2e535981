#include "bus/bus.h"

#include "base/rand.h"
#include "bus/bus_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void ist_bus_close(struct ist_bus *bus)
{
    bus->class->close(bus);
}

struct ist_bus *ist_bus_free(struct ist_bus *bus)
{
    return bus ? bus->class->free(bus) : NULL;
}

int ist_bus_send(struct ist_bus *bus, const struct ist_bus_message *message)
{
    int rc = ist_bus_message_check(message);

    return rc ? rc : bus->class->send(bus, message);
}

/* Never started: every outcome must still arrive in 'done'. */
static void publish_invalid(struct ist_bus_publish *publish, int rc)
{
    ist_op_begin(&publish->op, NULL);
    ist_op_finish(&publish->op, rc);
}

void ist_bus_publish(struct ist_bus *bus, struct ist_bus_publish *publish,
                     const struct ist_bus_message *message)
{
    int rc = ist_bus_message_check(message);

    publish->tag = 0;
    memset(publish->link, 0, sizeof(publish->link));
    if (rc)
        publish_invalid(publish, rc);
    else
        bus->class->publish(bus, publish, message);
}

void ist_bus_consume(struct ist_bus *bus, struct ist_bus_consumer *consumer)
{
    bus->class->consume(bus, consumer);
}

void ist_bus_cancel(struct ist_bus *bus, struct ist_bus_consumer *consumer)
{
    bus->class->cancel(bus, consumer);
}

int ist_bus_ack(struct ist_bus *bus, struct ist_bus_consumer *consumer,
                uint64_t tag)
{
    return bus->class->ack(bus, consumer, tag);
}

uint64_t ist_bus_generation(const struct ist_bus *bus)
{
    return bus->generation;
}

bool ist_bus_expand(const char *text, uint64_t n, char *buf, size_t size)
{
    char number[24];
    size_t used = 0;
    int len = snprintf(number, sizeof(number), "%" PRIu64, n);

    while (*text) {
        bool is_number = strncmp(text, "{n}", 3) == 0;
        size_t add = is_number ? (size_t) len : 1;

        if (add >= size - used)
            return false;
        memcpy(buf + used, is_number ? number : text, add);
        used += add;
        text += is_number ? 3 : 1;
    }
    buf[used] = '\0';
    return true;
}

uint64_t ist_bus_next_generation(const struct ist_bus *bus)
{
    uint64_t wall = ist_loop_wall(bus->loop);

    return wall > bus->generation ? wall : bus->generation + 1;
}

uint64_t ist_bus_backoff_ms(uint64_t base, uint64_t cap, uint64_t n_failed)
{
    uint64_t limit = base;

    while (n_failed-- > 0 && limit < cap)
        limit *= 2;
    if (limit > cap)
        limit = cap;
    return 1 + ist_rand_below(limit);
}

static bool headers_ok(const struct ist_bus_message *message)
{
    size_t size = 0;

    if (message->n_headers > IST_BUS_HEADERS_MAX)
        return false;
    for (size_t i = 0; i < message->n_headers; i++) {
        size_t name = strlen(message->headers[i].name);

        size += name + strlen(message->headers[i].value);
        if (name > IST_BUS_NAME_MAX)
            return false;
    }
    return size <= IST_BUS_HEADERS_SIZE;
}

int ist_bus_message_check(const struct ist_bus_message *message)
{
    if (!message->exchange || !message->key ||
        (!message->body && message->size))
        return -EINVAL;
    if (strlen(message->exchange) > IST_BUS_NAME_MAX ||
        strlen(message->key) > IST_BUS_NAME_MAX ||
        (message->type && strlen(message->type) > IST_BUS_NAME_MAX) ||
        (message->content_type &&
         strlen(message->content_type) > IST_BUS_NAME_MAX))
        return -EINVAL;
    return headers_ok(message) ? 0 : -EINVAL;
}
