/* One site may put into its answer what JSON allows but a strict reader does
 * not, and would so take the other sites' rows away as well. */
#ifndef CLI_MEND_H
#define CLI_MEND_H

#include "base/sb.h"

/* Appends 'text' with bytes that are not UTF-8, halves of surrogate pairs and
 * NUL as U+FFFD, and with numbers beyond 64 bits or a double as text. Anything
 * else, errors included, stays as it is. */
void cli_mend(struct ist_sb *, const char *text, size_t len);

#endif
