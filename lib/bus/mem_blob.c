/* Messages as they were published, and their places in queues. */
#include "bus/mem_queue.h"

#include <stdlib.h>
#include <string.h>

static const char *blob_text(char **at, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = *at;

    memcpy(copy, text, size);
    *at += size;
    return copy;
}

static size_t headers_size(const struct ist_bus_message *message)
{
    size_t size = 0;

    for (size_t i = 0; i < message->n_headers; i++)
        size += strlen(message->headers[i].name) +
                strlen(message->headers[i].value) + 2;
    return size;
}

static void put_headers(struct mem_blob *blob, char **at,
                        const struct ist_bus_message *message)
{
    for (size_t i = 0; i < message->n_headers; i++)
        blob->headers[i] =
            (struct ist_bus_header){blob_text(at, message->headers[i].name),
                                    blob_text(at, message->headers[i].value)};
    blob->n_headers = message->n_headers;
}

struct mem_blob *mem_blob_new(const struct ist_bus_message *message,
                              const char *user)
{
    const char *type = message->type ? message->type : "";
    struct mem_blob *blob;
    char *at;

    blob = mem_must(malloc(sizeof(*blob) + strlen(message->exchange) +
                           strlen(message->key) + strlen(type) + strlen(user) +
                           4 + headers_size(message) + message->size));
    *blob = (struct mem_blob){.n_refs = 1,
                              .persistent = message->persistent,
                              .correlation = message->correlation,
                              .expiration_ms = message->expiration_ms,
                              .size = message->size};
    at = blob->bytes;
    blob->exchange = blob_text(&at, message->exchange);
    blob->key = blob_text(&at, message->key);
    blob->type = blob_text(&at, type);
    blob->user = blob_text(&at, user);
    put_headers(blob, &at, message);
    if (message->size)
        memcpy(at, message->body, message->size);
    blob->body = at;
    return blob;
}

struct mem_blob *mem_blob_ref(struct mem_blob *blob)
{
    blob->n_refs++;
    return blob;
}

struct mem_blob *mem_blob_unref(struct mem_blob *blob)
{
    if (blob && --blob->n_refs == 0)
        free(blob);
    return NULL;
}

struct mem_item *mem_item_new(struct mem_blob *blob, uint64_t seq)
{
    struct mem_item *item = mem_must(calloc(1, sizeof(*item)));

    item->blob = mem_blob_ref(blob);
    item->seq = seq;
    item->expires = UINT64_MAX;
    return item;
}

struct mem_item *mem_item_free(struct mem_item *item)
{
    if (item) {
        mem_blob_unref(item->blob);
        free(item);
    }
    return NULL;
}
