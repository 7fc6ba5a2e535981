/* One notification of a service, read: which rows it is about. Nothing else of
 * it is looked at, and nothing leaves but ids: payloads hold live tokens, keys
 * and whatever a driver puts there.
 *
 *   {"oslo.version": "2.0", "oslo.message": "<JSON as a string>"}
 *       inside: {"event_type": "instance.create.end", "payload": {...}, ...}
 *
 * The event type is read first; a table says of which kinds a type tells, and
 * where in the payload their ids are. */
#ifndef FEED_NOTIFY_READ_H
#define FEED_NOTIFY_READ_H

#include "base/sb.h"

#include <stdbool.h>
#include <stddef.h>

#define NOTIFY_BODY_MAX (1024U * 1024) /* Bytes; about 12 KiB were seen. */
#define NOTIFY_IDS_MAX  32 /* Of one list in it; more is the whole kind. */

/* Why a message, or a part of it, could not be used. */
enum notify_fault {
    NOTIFY_FINE,
    NOTIFY_LARGE,  /* Over NOTIFY_BODY_MAX. */
    NOTIFY_SYNTAX, /* Not JSON, outside or inside. */
    NOTIFY_DEPTH,  /* Nested too deeply. */
    NOTIFY_SHAPE,  /* JSON, but no notification. */
    NOTIFY_TWICE,  /* A member that matters came twice. */
    NOTIFY_ID,     /* An id is missing, or not one we would ask for. */
    NOTIFY_FAULTS,
};

/* A word for it, for metrics. Static. */
const char *notify_fault_name(enum notify_fault);

/* 'id' "": all of that kind. Borrowed until it returns. */
typedef void notify_touch_fn(void *arg, const char *kind, const char *id);

struct notify_verdict {
    bool wanted; /* The table knows its type. */
    enum notify_fault fault;
};

/* Reads a message that came on the exchange of 'service' and calls 'touch' for
 * each row it tells of. Where an id of a wanted type cannot be had, the whole
 * kind is touched; where the message is over NOTIFY_BODY_MAX, all kinds of the
 * service are. 'scratch' is room to work in, the caller's to keep between
 * calls; it is wiped before the call returns. */
struct notify_verdict notify_read(const char *service, const void *body,
                                  size_t size, struct ist_sb *scratch,
                                  notify_touch_fn *touch, void *arg);

/* Something was missed: touches all kinds of that service. */
void notify_touch_all(const char *service, notify_touch_fn *touch, void *arg);

#endif
