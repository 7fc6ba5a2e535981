#include "base/grow.h"

#include <stdint.h>
#include <stdlib.h>

#define FIRST_SIZE 16

void *ist_grow(void *array, size_t *size, size_t n, size_t each)
{
    size_t more = *size > FIRST_SIZE / 2 ? *size * 2 : FIRST_SIZE;
    void *moved;

    if (n <= *size)
        return array;
    if (more < n)
        more = n;
    if (more > SIZE_MAX / each)
        return NULL;
    moved = realloc(array, more * each);
    if (moved)
        *size = more;
    return moved;
}
