#include "os/trail.h"

#include "os/top.h"

#include <stdlib.h>
#include <string.h>

static void trail_fini(struct os_trail *trail)
{
    for (size_t i = 0; i < trail->n; i++)
        os_record_free(&trail->records[i]);
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
    return size + place->id.size;
}

void os_trail_forget(struct os_trails *trails, const char *signature)
{
    struct os_trail *trail = find(trails, signature);

    if (trail)
        trail_fini(trail);
}

void os_trail_store(struct os_trails *trails, const char *signature,
                    size_t n_keys, const struct os_record *records, size_t n)
{
    const struct ist_bytes nothing = {"", 0};
    struct os_trail *trail;
    size_t size = 0;

    os_trail_forget(trails, signature);
    if (n == 0)
        return;
    trail = pick(trails);
    trail_fini(trail);
    trail->signature = strdup(signature);
    trail->records = calloc(n, sizeof(*trail->records));
    trail->n_keys = n_keys;
    trail->used = ++trails->clock;
    for (size_t i = 0; trail->signature && trail->records && i < n; i++) {
        struct ist_place place;

        size += place_size(&records[i], n_keys, &place);
        if (size > OS_TRAIL_MEMORY ||
            !os_record_make(&trail->records[i], n_keys, &place, &nothing))
            break;
        trail->n++;
    }
    if (trail->n != n)
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
