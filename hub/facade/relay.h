/* One request of a client, passed to a site and its answer back, both as
 * streams: no more of either lies here than one side has granted the other.
 *
 *     client --on_body--> up ---Data--> agent
 *     client <--stream--- down <--frames-- agent
 *
 * A body that is short and of known length goes within the call. */
#ifndef FACADE_RELAY_H
#define FACADE_RELAY_H

#include "facade/facade.h"
#include "facade/services.h"

/* Takes the request over; it is answered, whatever comes. */
void facade_relay_begin(struct facade *, struct ist_httpd_request *,
                        const struct facade_asked *);

/* The same of a request of whose body 'size' bytes have come, or all of it
 * ('has_ended'). If the rest is held back, the caller has it brought after. */
void facade_relay_go_on(struct facade *, struct ist_httpd_request *,
                        const struct facade_asked *, const void *body,
                        size_t size, bool has_ended);

/* The bus takes messages again. */
void facade_relay_drained(struct facade_relay *);
struct facade_relay *facade_relay_next(struct facade_relay *);

#endif
