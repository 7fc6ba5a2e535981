/* What json.c and json_text.c share. */
#ifndef CODEC_JSON_PRIV_H
#define CODEC_JSON_PRIV_H

#include <stddef.h>

/* 0 to 15; -1: no hex digit. */
int ist_json_hex_value(char c);

/* Undoes the escapes of checked text, given without its quotes. Never longer
 * than it was: the shortest escape has two bytes for one, \uXXXX six for at
 * most three. Returns the length; writes no NUL. */
size_t ist_json_unescape(const char *text, size_t len, char *buf);

#endif
