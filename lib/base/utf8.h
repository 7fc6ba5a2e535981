/* UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the character at 'text' (1 to 4), 0 if it is not valid. */
size_t ist_utf8_len(const char *text, size_t len);

bool ist_utf8_valid(const char *text, size_t len);

#endif
