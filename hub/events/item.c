/* A record: the numbers, the sizes of the texts, the texts each with a NUL
 * behind it, the CloudEvent. Host byte order: the file does not travel. */
#include "events/item.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TIME_MAX_MS                                                            \
    253402300799999ULL /* The year 9999: RFC 3339 ends there.                  \
                        */

enum { SITE, ORIGIN, SERVICE, KIND, ACTION, SUBJECT, PROJECT, TEXT, TEXTS };

static const struct {
    size_t offset;  /* In struct events_item. */
    size_t len_max; /* Bytes; longer ones are cut between two characters. */
} texts[TEXTS] = {
    [SITE] = {offsetof(struct events_item, site), 64},
    [ORIGIN] = {offsetof(struct events_item, origin), 64},
    [SERVICE] = {offsetof(struct events_item, service), 64},
    [KIND] = {offsetof(struct events_item, kind), 64},
    [ACTION] = {offsetof(struct events_item, action), 64},
    [SUBJECT] = {offsetof(struct events_item, subject), 255},
    [PROJECT] = {offsetof(struct events_item, project), 255},
    [TEXT] = {offsetof(struct events_item, text), 512},
};

struct record {
    uint64_t received_ms, epoch, sequence, time_ms;
    uint32_t json_size;
    uint16_t len[TEXTS];
    uint8_t severity;
};

static const char **text_of(struct events_item *item, size_t i)
{
    return (const char **) (void *) ((char *) item + texts[i].offset);
}

/* Control characters become spaces, what is no UTF-8 a '?', and what is too
 * long is cut. Returns the length. */
static size_t put_clean(struct ist_sb *out, const char *text, size_t max)
{
    size_t len = strnlen(text, max + 4), at = 0, kept = 0, start = out->len;

    while (at < len) {
        unsigned char c = (unsigned char) text[at];
        size_t n = c < 0x80 ? 1 : ist_utf8_len(text + at, len - at);
        bool is_control = c < 0x20 || c == 0x7F;

        if (at + (n ? n : 1) > max)
            break;
        if (is_control || n == 0) {
            ist_sb_add(out, text + kept, at - kept);
            ist_sb_putc(out, is_control ? ' ' : '?');
            kept = at + 1;
        }
        at += n ? n : 1;
    }
    ist_sb_add(out, text + kept, at - kept);
    ist_sb_putc(out, '\0');
    return out->rc ? 0 : out->len - start - 1;
}

static void put_member(struct ist_sb *out, const char *name, const char *text)
{
    ist_sb_printf(out, ",\"%s\":", name);
    ist_sb_json(out, text, strlen(text));
}

char *events_item_id(const struct events_item *item, char *buf)
{
    snprintf(buf, EVENTS_ID_SIZE, "%s:%" PRIu64 ":%" PRIu64, item->origin,
             item->epoch, item->sequence);
    return buf;
}

/* Extension attributes are lower case letters and digits: CloudEvents 1.0,
 * "Attribute Naming". 'sequence' is its extension of that name. */
static void put_cloud_event(struct ist_sb *out, const struct events_item *item)
{
    char time[IST_CLOCK_TEXT_SIZE], id[EVENTS_ID_SIZE];

    ist_sb_printf(out, "{\"specversion\":\"1.0\",\"id\":\"%s\"",
                  events_item_id(item, id));
    ist_sb_printf(out, ",\"source\":\"/sites/%s/%s\"", item->site,
                  item->service);
    ist_sb_printf(out, ",\"type\":\"io.isthmus.%s.%s.v1\"", item->kind,
                  item->action);
    ist_sb_puts(out, ",\"subject\":");
    if (*item->subject) {
        IST_CLEANUP(ist_sb_fini) struct ist_sb subject;

        ist_sb_init(&subject, 0);
        ist_sb_printf(&subject, "%s/%s", item->kind, item->subject);
        ist_sb_json(out, ist_sb_text(&subject), subject.len);
    } else {
        ist_sb_json(out, item->kind, strlen(item->kind));
    }
    ist_sb_printf(out,
                  ",\"time\":\"%s\",\"datacontenttype\":\"application/json\"",
                  ist_clock_text(item->time_ms, time));
    put_member(out, "site", item->site);
    put_member(out, "origin", item->origin);
    if (*item->project)
        put_member(out, "project", item->project);
    put_member(out, "severity", events_severity_name(item->severity));
    ist_sb_printf(out,
                  ",\"epoch\":\"%" PRIu64 "\",\"sequence\":\"%" PRIu64
                  "\",\"data\":{\"service\":",
                  item->epoch, item->sequence);
    ist_sb_json(out, item->service, strlen(item->service));
    put_member(out, "kind", item->kind);
    put_member(out, "action", item->action);
    put_member(out, "id", item->subject);
    put_member(out, "text", item->text);
    ist_sb_puts(out, "}}");
}

/* Words that stand in a URI and in a type: letters, digits, '_', '-'. */
static void make_word(char *text)
{
    for (; *text; text++) {
        bool ok =
            (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
            (*text >= '0' && *text <= '9') || *text == '_' || *text == '-';

        if (!ok)
            *text = '_';
    }
}

void events_item_write(struct ist_sb *out, const struct events_item *item)
{
    struct record record = {.received_ms = item->received_ms,
                            .epoch = item->epoch,
                            .sequence = item->sequence,
                            .time_ms = item->time_ms <= TIME_MAX_MS
                                           ? item->time_ms
                                           : item->received_ms,
                            .severity = (uint8_t) item->severity};
    struct events_item clean = *item;
    size_t start = out->len, at, json;

    clean.time_ms = record.time_ms;
    ist_sb_add(out, &record, sizeof(record));
    for (size_t i = 0; i < TEXTS; i++) {
        const char *text = *text_of(&clean, i);

        record.len[i] =
            (uint16_t) put_clean(out, text ? text : "", texts[i].len_max);
    }
    /* Room first, so that the texts stay where they are while they are read. */
    if (!ist_sb_reserve(out, 16384))
        return;
    at = start + sizeof(record);
    for (size_t i = 0; i < TEXTS; i++) {
        if (i <= ACTION)
            make_word(out->data + at);
        *text_of(&clean, i) = out->data + at;
        at += record.len[i] + 1U;
    }
    json = out->len;
    put_cloud_event(out, &clean);
    if (out->rc)
        return;
    record.json_size = (uint32_t) (out->len - json);
    memcpy(out->data + start, &record, sizeof(record));
}

bool events_item_read(const void *data, size_t size, uint64_t id,
                      struct events_item *ret)
{
    struct record record;
    const char *at = (const char *) data + sizeof(record);
    const char *end = (const char *) data + size;

    if (size < sizeof(record))
        return false;
    memcpy(&record, data, sizeof(record));
    *ret = (struct events_item){.id = id,
                                .received_ms = record.received_ms,
                                .epoch = record.epoch,
                                .sequence = record.sequence,
                                .time_ms = record.time_ms,
                                .severity = record.severity};
    for (size_t i = 0; i < TEXTS; i++) {
        if ((size_t) (end - at) < record.len[i] + 1U || at[record.len[i]])
            return false;
        *text_of(ret, i) = at;
        at += record.len[i] + 1U;
    }
    ret->json = (struct ist_bytes){at, record.json_size};
    return (size_t) (end - at) == record.json_size &&
           record.severity <= EVENTS_CRITICAL;
}

uint64_t events_item_received(const void *data, size_t size)
{
    struct record record;

    if (size < sizeof(record))
        return 0;
    memcpy(&record, data, sizeof(record));
    return record.received_ms;
}
