/* Foreign text made fit for a terminal and for a line of output. Names come
 * from sites that are not trusted: they must neither move the cursor, nor
 * begin a line of their own, nor turn the direction of what follows. */
#ifndef CLI_SAFE_H
#define CLI_SAFE_H

#include "base/sb.h"

#include <stdbool.h>
#include <stdint.h>

/* Appends 'text'. Control characters (C0, DEL, C1), line and paragraph
 * separators and the marks that reorder text become "\n", "\x1b" or
 * "\u202e"; bytes that are not UTF-8 become "\xff". 'keep' lists control
 * characters to let through, "" for none. A backslash stays one. */
void cli_safe(struct ist_sb *, const char *text, size_t len, const char *keep);

/* Would cli_safe() escape this code point? */
bool cli_safe_is_control(uint32_t code);

/* The code point of the character at 'text', and its length; 'len' 0 and the
 * byte itself when it is not UTF-8. */
uint32_t cli_safe_code(const char *text, size_t size, size_t *ret_len);

#endif
