/* Strict parsing of small values: all of the text or nothing. Results are
 * untouched on failure. */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits only: no sign, no space, no leading '+'. */
bool ist_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret);

/* A duration with its unit, "250ms", "10s", "5m", "2h", "7d", in ms. */
bool ist_parse_ms(const char *text, uint64_t *ret);

/* A size with its unit, "512", "64KiB", "16MiB", "1GiB", in bytes. */
bool ist_parse_bytes(const char *text, uint64_t *ret);

/* A site name: ^[a-z0-9][a-z0-9-]{0,30}[a-z0-9]$, and none of the words that
 * the bus reserves (res, guest, provisioner, hub-*, noc-*, h1, h1-*). */
bool ist_parse_site_name(const char *text);

/* One item of a comma-separated list. Begin with *at = text; false at the
 * end. An empty item is given as one of length 0. */
bool ist_parse_item(const char **at, const char **ret, size_t *ret_len);

#endif
