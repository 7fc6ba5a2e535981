/* Bytes as text that survives mail and terminals, after RFC 7468 (strict):
 *
 *     -----BEGIN ISTHMUS SITE BUNDLE-----
 *     base64, 64 characters a line
 *     -----END ISTHMUS SITE BUNDLE-----
 *
 * White space before, behind and between the characters is borne; anything
 * else around is not, and there is one block only. */
#ifndef CODEC_ARMOUR_H
#define CODEC_ARMOUR_H

#include "base/sb.h"

#include <stddef.h>

void ist_armour_write(struct ist_sb *out, const char *label, const void *data,
                      size_t size);

/* Appends the bytes to 'out'. -EINVAL: other label, or not of that form;
 * -ENOBUFS: over the cap of 'out'. */
int ist_armour_read(const char *text, size_t size, const char *label,
                    struct ist_sb *out);

#endif
