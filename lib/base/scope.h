/* Small things of the language that every file wants. */
#ifndef BASE_SCOPE_H
#define BASE_SCOPE_H

#include <stddef.h>

/* The struct of 'type' whose 'member' is at 'ptr'. (Indexed with a negative
 * offset: clang-format misreads a cast followed by a minus.) */
#define IST_CONTAINER(ptr, type, member)                                       \
    ((type *) (void *) &((char *) (ptr))[-(ptrdiff_t) offsetof(type, member)])

/* Runs 'fn(&variable)' when the variable goes out of scope. */
#define IST_CLEANUP(fn) __attribute__((cleanup(fn)))

/* Moves an owning pointer out of its variable, leaving NULL behind. */
#define IST_TAKE(p)                                                            \
    __extension__({                                                            \
        __auto_type ist_taken_ = (p);                                          \
        (p) = NULL;                                                            \
        ist_taken_;                                                            \
    })

#define IST_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define IST_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* For RB_GENERATE_INTERNAL: RB_GENERATE_STATIC wants BSD's __unused, which
 * glibc has not. */
#define IST_UNUSED_STATIC __attribute__((unused)) static

/* Use as IST_CLEANUP(ist_freep): free() for a pointer variable. */
void ist_freep(void *pp);

#endif
