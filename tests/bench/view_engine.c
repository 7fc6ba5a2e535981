/* What all engines share: a row as bytes, and the rows of the workload. */
#include "view_engine.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_PER_SITE 1000
#define PROJECTS      300
#define BIG_PERCENT   60 /* Of all rows are the first project's. */
#define FIELDS        (2 + VE_MEMBERS)

void ve_die(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fputs("bench_view_engines: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

/* Rows as bytes: of each field its length and itself, then the body */

static uint8_t *pack_field(uint8_t *at, const void *data, size_t size)
{
    uint16_t len = (uint16_t) size;

    memcpy(at, &len, sizeof(len));
    memcpy(at + sizeof(len), data, size);
    return at + sizeof(len) + size;
}

size_t ve_pack(const struct ve_row *row, uint8_t *out)
{
    size_t total = strlen(row->site) + 1 + row->project.size + row->body.size +
                   FIELDS * sizeof(uint16_t);
    uint8_t *at = out;

    for (int i = 0; i < VE_MEMBERS; i++)
        total += row->keys[i].size;
    if (total > VE_PACKED_MAX)
        ve_die("a row of %zu bytes", total);
    at = pack_field(at, row->site, strlen(row->site) + 1);
    at = pack_field(at, row->project.data, row->project.size);
    for (int i = 0; i < VE_MEMBERS; i++)
        at = pack_field(at, row->keys[i].data, row->keys[i].size);
    memcpy(at, row->body.data, row->body.size);
    return total;
}

static struct ist_bytes unpack_field(const uint8_t **at)
{
    struct ist_bytes field;
    uint16_t len;

    memcpy(&len, *at, sizeof(len));
    field = (struct ist_bytes){*at + sizeof(len), len};
    *at += sizeof(len) + len;
    return field;
}

void ve_unpack(const uint8_t *data, size_t size, struct ve_row *ret)
{
    const uint8_t *at = data;

    ret->site = unpack_field(&at).data;
    ret->project = unpack_field(&at);
    for (int i = 0; i < VE_MEMBERS; i++)
        ret->keys[i] = unpack_field(&at);
    ret->body = (struct ist_bytes){at, size - (size_t) (at - data)};
}

/* The workload's rows */

/* splitmix64: rows must be had by their number, in any order. */
static uint64_t mix(uint64_t seed, uint64_t n, uint64_t what)
{
    uint64_t x = seed + n * 0x9E3779B97F4A7C15U + what * 0xD1B54A32D192ED03U;

    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
    return x ^ (x >> 31);
}

static struct ist_bytes uuid(char *out, size_t size, uint64_t high,
                             uint64_t low)
{
    snprintf(out, size, "%08x-%04x-4%03x-8%03x-%012" PRIx64,
             (unsigned) (high >> 32), (unsigned) (high >> 16 & 0xFFFF),
             (unsigned) (high & 0xFFF), (unsigned) (low >> 52),
             low & 0xFFFFFFFFFFFFU);
    return (struct ist_bytes){out, strlen(out)};
}

/* Of two years; a second is shared by few rows or none. */
static struct ist_bytes moment(char *out, size_t size, uint64_t minute,
                               uint64_t second)
{
    snprintf(out, size, "20%02u-%02u-%02uT%02u:%02u:%02uZ",
             (unsigned) (24 + minute / 60 / 24 / 336 % 3),
             (unsigned) (1 + minute / 60 / 24 / 28 % 12),
             (unsigned) (1 + minute / 60 / 24 % 28),
             (unsigned) (minute / 60 % 24), (unsigned) (minute % 60),
             (unsigned) (second % 60));
    return (struct ist_bytes){out, strlen(out)};
}

bool ve_is_of_big(uint64_t seed, uint64_t n)
{
    return mix(seed, n, 1) % 100 < BIG_PERCENT;
}

static void make_body(struct ve_text *text, uint64_t seed, uint64_t n,
                      const char *status, struct ve_row *ret)
{
    int len = snprintf(
        text->body, sizeof(text->body),
        "{\"id\": \"%s\", \"name\": \"%s\", \"status\": \"%s\", "
        "\"tenant_id\": \"%s\", \"created\": \"%s\", \"updated\": \"%s\", "
        "\"flavor\": {\"vcpus\": %u, \"ram\": %u, \"disk\": %u}, "
        "\"addresses\": {\"private\": [{\"version\": 4, \"addr\": "
        "\"10.%u.%u.%u\", \"OS-EXT-IPS:type\": \"fixed\"}]}, \"metadata\": {",
        text->id, text->name, status, text->project, text->created,
        text->updated, 1U << n % 5, 1024U << n % 5, 20U << n % 3,
        (unsigned) (n >> 16 & 0xFF), (unsigned) (n >> 8 & 0xFF),
        (unsigned) (n & 0xFF));

    for (unsigned i = 0; i < 14; i++)
        len += snprintf(text->body + len, sizeof(text->body) - (size_t) len,
                        "%s\"tag%02u\": \"%016" PRIx64 "%016" PRIx64 "\"",
                        i ? ", " : "", i, mix(seed, n, 100 + i),
                        mix(seed, n, 200 + i));
    len += snprintf(text->body + len, sizeof(text->body) - (size_t) len, "}}");
    ret->body = (struct ist_bytes){text->body, (size_t) len};
}

void ve_make(struct ve_text *text, uint64_t seed, uint64_t n, uint64_t version,
             struct ve_row *ret)
{
    static const char *const states[] = {
        "ACTIVE",  "ACTIVE",  "ACTIVE", "ACTIVE", "ACTIVE",
        "SHUTOFF", "SHUTOFF", "ERROR",  "BUILD",  "VERIFY_RESIZE"};
    const char *status = states[mix(seed, n, 10 + version) % IST_COUNT(states)];
    uint64_t project =
        ve_is_of_big(seed, n) ? 0 : 1 + mix(seed, n, 2) % (PROJECTS - 1);
    uint64_t minute = mix(seed, n, 3) % (2 * 336 * 24 * 60);

    snprintf(text->site, sizeof(text->site), "s%04u",
             (unsigned) (n / ROWS_PER_SITE));
    ret->site = text->site;
    ret->keys[VE_ID] =
        uuid(text->id, sizeof(text->id), mix(seed, n, 4), mix(seed, n, 5));
    ret->project = uuid(text->project, sizeof(text->project),
                        mix(seed, project, 6), mix(seed, project, 7));
    snprintf(text->name, sizeof(text->name), "%s-%05u",
             n % 3 ? "web" : "worker", (unsigned) (mix(seed, n, 8) % 100000));
    ret->keys[VE_NAME] = (struct ist_bytes){text->name, strlen(text->name)};
    ret->keys[VE_STATUS] = (struct ist_bytes){status, strlen(status)};
    ret->keys[VE_CREATED] =
        moment(text->created, sizeof(text->created), minute, mix(seed, n, 9));
    /* A change is later than all that the fill wrote. */
    minute = version ? 2 * 336 * 24 * 60 + version / 60
                     : minute + mix(seed, n, 11) % 1440;
    ret->keys[VE_UPDATED] = moment(text->updated, sizeof(text->updated), minute,
                                   version ? version : mix(seed, n, 12));
    make_body(text, seed, n, status, ret);
}
