#include "model/order.h"

#include <string.h>

int ist_bytes_cmp(const struct ist_bytes *a, const struct ist_bytes *b)
{
    size_t n = a->size < b->size ? a->size : b->size;
    int cmp = n ? memcmp(a->data, b->data, n) : 0;

    if (cmp)
        return cmp;
    return a->size < b->size ? -1 : a->size > b->size;
}

int ist_order_cmp_keys(const struct ist_order *order, const struct ist_place *a,
                       const struct ist_place *b)
{
    for (size_t i = 0; i < order->n_keys; i++) {
        int cmp = ist_bytes_cmp(&a->keys[i], &b->keys[i]);

        if (cmp)
            return order->descending[i] ? -cmp : cmp;
    }
    return 0;
}

int ist_order_cmp(const struct ist_order *order, const struct ist_place *a,
                  const struct ist_place *b)
{
    int cmp = ist_order_cmp_keys(order, a, b);

    if (cmp == 0)
        cmp = strcmp(a->site, b->site);
    return cmp ? cmp : ist_bytes_cmp(&a->id, &b->id);
}
