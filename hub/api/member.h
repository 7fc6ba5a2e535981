/* Members of the objects that answers are made of, but the first of each:
 * ",name:value". Errors are the builder's. */
#ifndef API_MEMBER_H
#define API_MEMBER_H

#include "base/sb.h"

#include <stdint.h>

/* NULL is null. */
void api_put_text(struct ist_sb *, const char *name, const char *text);
/* RFC 3339, UTC; 0 is null. */
void api_put_time(struct ist_sb *, const char *name, uint64_t wall_ms);
void api_put_number(struct ist_sb *, const char *name, uint64_t);

#endif
