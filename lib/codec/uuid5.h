/* Ids made of names: version 5 UUIDs (RFC 9562, section 5.5). The same of the
 * same, wherever they are made. Pure. */
#ifndef CODEC_UUID5_H
#define CODEC_UUID5_H

#include "base/id.h"

struct ist_id ist_uuid5(const struct ist_id *space, const char *name);

#endif
