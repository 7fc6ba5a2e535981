/* Header lines, their grammar alone. RFC 9110, section 5. */
#ifndef HTTP_FIELD_H
#define HTTP_FIELD_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the token at 'text'; 0: none. */
size_t http_token_len(const char *text, size_t len);

/* No control character in it, but for tabs? */
bool http_is_value(const char *text, size_t len);

/* Is it a line "name:...", in any case? */
bool http_has_name(const char *line, const char *name);

#endif
