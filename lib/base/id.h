/* 128-bit ids: principals, messages, operations. Compared by their bytes,
 * written as RFC 4122 text or as plain hex. */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ist_id {
    uint8_t b[16];
};

#define IST_ID_HEX_SIZE  33 /* With the NUL. */
#define IST_ID_UUID_SIZE 37

/* Random (version 4 UUID bits are set, so that it also reads as one). */
struct ist_id ist_id_random(void);

bool ist_id_eq(const struct ist_id *a, const struct ist_id *b);
bool ist_id_is_zero(const struct ist_id *);
int ist_id_cmp(const struct ist_id *a, const struct ist_id *b);

/* Is it one as ist_id_hex() writes it, and Keystone too: 32 lower-case digits?
 */
bool ist_id_is_hex(const char *text);

/* 'buf' has IST_ID_HEX_SIZE, IST_ID_UUID_SIZE bytes; returned. */
char *ist_id_hex(const struct ist_id *, char *buf);
char *ist_id_uuid(const struct ist_id *, char *buf);

/* Lower- or upper-case hex of exactly 2 * size digits. False if it is not;
 * 'ret' is untouched then. */
bool ist_hex_parse(const char *text, size_t len, void *ret, size_t size);
/* 'buf' has 2 * size + 1 bytes; returned. */
char *ist_hex(const void *data, size_t size, char *buf);

#endif
