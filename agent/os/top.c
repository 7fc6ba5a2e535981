#include "os/top.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void place_of(const struct os_record *record, size_t n_keys,
                     struct ist_place *place)
{
    place->site = "";
    place->id = (struct ist_bytes){record->id, strlen(record->id)};
    memcpy(place->keys, record->keys, n_keys * sizeof(place->keys[0]));
}

static int compare(const struct os_top *top, const struct os_record *a,
                   const struct os_record *b)
{
    struct ist_place left, right;

    place_of(a, top->order.n_keys, &left);
    place_of(b, top->order.n_keys, &right);
    return ist_order_cmp(&top->order, &left, &right);
}

static size_t record_size(const struct os_record *record, size_t n_keys)
{
    size_t size = strlen(record->id) + 1 + record->body.size;

    for (size_t i = 0; i < n_keys; i++)
        size += record->keys[i].size;
    return size;
}

bool os_record_make(struct os_record *record, size_t n_keys,
                    const struct ist_place *place, const struct ist_bytes *body)
{
    size_t size = place->id.size + 1 + body->size;
    char *at;

    for (size_t i = 0; i < n_keys; i++)
        size += place->keys[i].size;
    /* The id comes first: so its address is the block's. */
    at = malloc(size);
    if (!at)
        return false;
    record->id = at;
    memcpy(at, place->id.data, place->id.size);
    at[place->id.size] = '\0';
    at += place->id.size + 1;
    for (size_t i = 0; i < n_keys; i++) {
        record->keys[i] = (struct ist_bytes){at, place->keys[i].size};
        if (place->keys[i].size)
            memcpy(at, place->keys[i].data, place->keys[i].size);
        at += place->keys[i].size;
    }
    record->body = (struct ist_bytes){at, body->size};
    if (body->size)
        memcpy(at, body->data, body->size);
    return true;
}

void os_record_free(struct os_record *record)
{
    free((char *) record->id);
    *record = (struct os_record){.id = NULL};
}

int os_top_init(struct os_top *top, const struct ist_order *order, size_t limit,
                size_t memory)
{
    *top = (struct os_top){.order = *order, .limit = limit, .memory = memory};
    /* Not cleared: of a long list's room a short one uses little. */
    top->records = reallocarray(NULL, limit, sizeof(*top->records));
    return top->records ? 0 : -ENOMEM;
}

void os_top_clear(struct os_top *top)
{
    for (size_t i = 0; i < top->n; i++)
        os_record_free(&top->records[i]);
    top->n = top->bytes = 0;
    top->sorted = false;
}

void os_top_fini(struct os_top *top)
{
    os_top_clear(top);
    free(top->records);
    top->records = NULL;
}

static void swap(struct os_record *a, struct os_record *b)
{
    struct os_record c = *a;

    *a = *b;
    *b = c;
}

static void sift_up(struct os_top *top, size_t i)
{
    while (i > 0) {
        size_t parent = (i - 1) / 2;

        if (compare(top, &top->records[i], &top->records[parent]) <= 0)
            return;
        swap(&top->records[i], &top->records[parent]);
        i = parent;
    }
}

static void sift_down(struct os_top *top, size_t i)
{
    for (;;) {
        size_t worst = i;

        for (size_t child = 2 * i + 1; child <= 2 * i + 2; child++) {
            if (child < top->n &&
                compare(top, &top->records[child], &top->records[worst]) > 0)
                worst = child;
        }
        if (worst == i)
            return;
        swap(&top->records[i], &top->records[worst]);
        i = worst;
    }
}

bool os_top_wants(const struct os_top *top, const struct ist_place *place)
{
    struct ist_place worst;

    if (top->n < top->limit)
        return true;
    if (top->in_order)
        return false;
    place_of(&top->records[0], top->order.n_keys, &worst);
    return ist_order_cmp(&top->order, place, &worst) < 0;
}

int os_top_add(struct os_top *top, const struct ist_place *place,
               const struct ist_bytes *body)
{
    size_t n_keys = top->order.n_keys;
    bool full = top->n == top->limit;
    size_t freed = full ? record_size(&top->records[0], n_keys) : 0;
    struct os_record record = {.id = NULL};
    size_t size;

    if (!os_record_make(&record, n_keys, place, body))
        return -ENOMEM;
    size = record_size(&record, n_keys);
    if (size > top->memory || top->bytes - freed > top->memory - size) {
        os_record_free(&record);
        return -ENOBUFS;
    }
    top->bytes += size - freed;
    if (full) {
        os_record_free(&top->records[0]);
        top->records[0] = record;
        sift_down(top, 0);
    } else {
        top->records[top->n++] = record;
        if (!top->in_order)
            sift_up(top, top->n - 1);
    }
    return 0;
}

static int compare_r(const void *a, const void *b, void *arg)
{
    return compare(arg, a, b);
}

void os_top_sort(struct os_top *top)
{
    size_t kept = 0;

    if (top->sorted || !top->records)
        return;
    if (!top->in_order)
        qsort_r(top->records, top->n, sizeof(*top->records), compare_r, top);
    for (size_t i = 0; i < top->n; i++) {
        struct os_record *record = &top->records[i];

        if (kept && compare(top, &top->records[kept - 1], record) == 0) {
            os_record_free(record);
            continue;
        }
        if (&top->records[kept] != record) {
            top->records[kept] = *record;
            *record = (struct os_record){.id = NULL};
        }
        kept++;
    }
    top->n = kept;
    top->sorted = true;
}
