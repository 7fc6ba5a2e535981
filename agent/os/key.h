/* Sort keys: members of a record as bytes whose order is the order meant, see
 * model/order.h. */
#ifndef OS_KEY_H
#define OS_KEY_H

#include "codec/json.h"
#include "model/kind.h"
#include "model/order.h"

#include <stdint.h>

#define OS_KEY_MAX IST_ORDER_KEY_MAX

/* Writes the key of a value to 'buf', which has OS_KEY_MAX bytes; returns its
 * length. Absent and null are "".
 *
 *   time    "2026-11-25T08:00:00.000000", in UTC
 *   number  20 digits, then the fraction; of a negative one the digits are
 *           counted down, between a '-' and a '~'
 *   text    its characters as UTF-8; of what is no string, as it is written
 *
 * What is not of the type it should be is taken as text. */
size_t os_key(enum ist_member_type, struct ist_json_slice, char *buf);

/* "2026-11-25T08:00:00Z", with a fraction or an offset, or with neither (then
 * it is UTC). Microseconds since 1970; years 1970 to 9999. */
bool os_time_parse(const char *text, size_t len, uint64_t *ret_us);
/* The same of a JSON string. */
bool os_time_read(struct ist_json_slice, uint64_t *ret_us);

#endif
