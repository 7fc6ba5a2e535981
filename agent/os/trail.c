#include "os/trail.h"

#include <stdlib.h>
#include <string.h>

static void trail_fini(struct os_trail *trail)
{
    free(trail->records);
    free(trail->signature);
    *trail = (struct os_trail){.signature = NULL};
}

void os_trails_fini(struct os_trails *trails)
{
    for (size_t i = 0; i < OS_TRAILS; i++)
        trail_fini(&trails->trails[i]);
}

static struct os_trail *find(struct os_trails *trails, const char *signature)
{
    for (size_t i = 0; i < OS_TRAILS; i++) {
        struct os_trail *trail = &trails->trails[i];

        if (trail->signature && strcmp(trail->signature, signature) == 0)
            return trail;
    }
    return NULL;
}

/* One that is unused, else the one used longest ago. */
static struct os_trail *pick(struct os_trails *trails)
{
    struct os_trail *oldest = &trails->trails[0];

    for (size_t i = 1; i < OS_TRAILS; i++) {
        if (trails->trails[i].used < oldest->used)
            oldest = &trails->trails[i];
    }
    return oldest;
}

static size_t place_size(const struct os_record *record, size_t n_keys,
                         struct ist_place *place)
{
    size_t size = sizeof(*record);

    *place =
        (struct ist_place){.site = "", .id = {record->id, strlen(record->id)}};
    for (size_t i = 0; i < n_keys; i++) {
        place->keys[i] = record->keys[i];
        size += record->keys[i].size;
    }
    return size + place->id.size + 1;
}

void os_trail_forget(struct os_trails *trails, const char *signature)
{
    struct os_trail *trail = find(trails, signature);

    if (trail)
        trail_fini(trail);
}

static char *put(char *to, const void *data, size_t size)
{
    if (size)
        memcpy(to, data, size);
    return to + size;
}

/* The records first, then their texts. */
static struct os_record *copy(const struct os_record *records, size_t n,
                              size_t n_keys, size_t size)
{
    struct os_record *copies = malloc(size);
    char *at = (char *) (copies + n);

    for (size_t i = 0; copies && i < n; i++) {
        copies[i] = (struct os_record){.id = at};
        at = put(at, records[i].id, strlen(records[i].id) + 1);
        for (size_t k = 0; k < n_keys; k++) {
            copies[i].keys[k] = (struct ist_bytes){at, records[i].keys[k].size};
            at = put(at, records[i].keys[k].data, records[i].keys[k].size);
        }
    }
    return copies;
}

void os_trail_store(struct os_trails *trails, const char *signature,
                    size_t n_keys, const struct os_record *records, size_t n)
{
    struct ist_place place;
    struct os_trail *trail;
    size_t size = 0;

    os_trail_forget(trails, signature);
    for (size_t i = 0; i < n; i++)
        size += place_size(&records[i], n_keys, &place);
    if (n == 0 || size > OS_TRAIL_MEMORY)
        return;
    trail = pick(trails);
    trail_fini(trail);
    trail->signature = strdup(signature);
    trail->records = copy(records, n, n_keys, size);
    trail->n_keys = n_keys;
    trail->n = n;
    trail->used = ++trails->clock;
    if (!trail->signature || !trail->records)
        trail_fini(trail);
}

bool os_is_behind(const struct ist_order *order, const struct ist_place *place,
                  const struct ist_place *after, enum os_ties ties)
{
    int cmp = ist_order_cmp_keys(order, place, after);

    if (cmp == 0 && ties == OS_TIES_AFTER_ID)
        cmp = ist_bytes_cmp(&place->id, &after->id);
    return ties == OS_TIES_TAKE ? cmp >= 0 : cmp > 0;
}

const char *os_trail_find(struct os_trails *trails, const char *signature,
                          const struct ist_order *order,
                          const struct ist_place *after, enum os_ties ties)
{
    struct os_trail *trail = find(trails, signature);
    size_t low = 0, high = trail ? trail->n : 0;

    if (!trail || trail->n_keys != order->n_keys)
        return NULL;
    trail->used = ++trails->clock;
    /* The records that are behind come last. */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct ist_place place;

        place_size(&trail->records[middle], order->n_keys, &place);
        if (os_is_behind(order, &place, after, ties))
            high = middle;
        else
            low = middle + 1;
    }
    return low ? trail->records[low - 1].id : NULL;
}
