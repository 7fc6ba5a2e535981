/* Arrays that grow. */
#ifndef BASE_GROW_H
#define BASE_GROW_H

#include <stddef.h>

/* Room for 'n' elements of 'each' bytes in an array that has room for '*size'
 * (NULL and 0: none yet). Returns the array, which may have moved, with its new
 * size, at least twice what it was if it had to grow; NULL: out of memory, and
 * the old one stands. Owned by the caller, for free(). */
void *ist_grow(void *array, size_t *size, size_t n, size_t each);

#endif
