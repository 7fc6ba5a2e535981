/* A webhook as it is kept in hub.db: JSON, for there are few and members may
 * come. The file is the hub's alone (mode 0600), the keys in it are secrets. */
#include "events/webhook_priv.h"

#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    size_t offset, size;
} texts[] = {
#define TEXT(name, member)                                                     \
    {                                                                          \
        name, offsetof(struct webhook, member),                                \
            sizeof(((struct webhook *) NULL)->member)                          \
    }
    TEXT("url", want.url),
    TEXT("description", want.description),
    TEXT("reason", reason),
};

static const struct {
    const char *name;
    size_t offset;
} numbers[] = {
    {"id", offsetof(struct webhook, id)},
    {"batch", offsetof(struct webhook, want.batch_max)},
    {"created_ms", offsetof(struct webhook, created_ms)},
    {"failing_ms", offsetof(struct webhook, failing_ms)},
    {"old_until_ms", offsetof(struct webhook, old_until_ms)},
};

static void put_key(json_t *record, const char *name,
                    const struct events_key *key)
{
    char text[EVENTS_SECRET_SIZE];

    if (key->size)
        json_object_set_new(record, name,
                            json_string(events_key_write(key, text)));
    sodium_memzero(text, sizeof(text));
}

void hook_record_write(const struct webhook *hook, struct ist_sb *out)
{
    json_t *record = json_object(), *filter = json_object();
    const char *base = (const char *) hook;
    char *dump;

    for (size_t i = 0; i < IST_COUNT(texts); i++)
        json_object_set_new(record, texts[i].name,
                            json_string(base + texts[i].offset));
    for (size_t i = 0; i < IST_COUNT(numbers); i++) {
        uint64_t n;

        memcpy(&n, base + numbers[i].offset, sizeof(n));
        json_object_set_new(record, numbers[i].name,
                            json_integer((json_int_t) n));
    }
    for (size_t i = 0; events_filter_names[i]; i++) {
        const char *value =
            events_filter_get(&hook->want.filter, events_filter_names[i]);

        if (value)
            json_object_set_new(filter, events_filter_names[i],
                                json_string(value));
    }
    json_object_set_new(record, "filter", filter);
    json_object_set_new(record, "disabled", json_boolean(hook->is_disabled));
    put_key(record, "key", &hook->want.key);
    put_key(record, "old_key", &hook->old_key);
    dump = json_dumps(record, JSON_COMPACT);
    if (dump)
        ist_sb_puts(out, dump);
    else
        out->rc = -ENOMEM;
    free(dump);
    json_decref(record);
}

static bool read_key(const json_t *record, const char *name,
                     struct events_key *ret)
{
    const char *text = json_string_value(json_object_get(record, name));

    return !text || events_key_read(ret, text);
}

static bool read_filter(const json_t *filter, struct events_filter *ret)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *) (uintptr_t) filter, name, value)
    {
        struct ist_err err;

        if (events_filter_set(ret, name, json_string_value(value), &err))
            return false;
    }
    return true;
}

static bool read_members(const json_t *record, struct webhook *ret)
{
    char *base = (char *) ret;

    for (size_t i = 0; i < IST_COUNT(texts); i++) {
        const char *text =
            json_string_value(json_object_get(record, texts[i].name));

        snprintf(base + texts[i].offset, texts[i].size, "%s", text ? text : "");
    }
    for (size_t i = 0; i < IST_COUNT(numbers); i++) {
        uint64_t n = (uint64_t) json_integer_value(
            json_object_get(record, numbers[i].name));

        memcpy(base + numbers[i].offset, &n, sizeof(n));
    }
    ret->is_disabled = json_is_true(json_object_get(record, "disabled"));
    return ret->id && ret->want.url[0] && ret->want.batch_max &&
           ret->want.batch_max <= WEBHOOK_BATCH_MAX &&
           read_key(record, "key", &ret->want.key) && ret->want.key.size &&
           read_key(record, "old_key", &ret->old_key) &&
           read_filter(json_object_get(record, "filter"), &ret->want.filter);
}

bool hook_record_read(const void *data, size_t size, struct webhook *ret)
{
    json_t *record = json_loadb(data, size, 0, NULL);
    bool good;

    *ret = (struct webhook){.id = 0};
    good = json_is_object(record) && read_members(record, ret);
    if (!good)
        events_filter_fini(&ret->want.filter);
    json_decref(record);
    return good;
}
