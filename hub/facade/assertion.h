/* The hub's word to a site for what a client asks: who he is, for which
 * project, and what he wants. Signed, for that one site, for a minute. */
#ifndef FACADE_ASSERTION_H
#define FACADE_ASSERTION_H

#include "facade/facade.h"

#include "isthmus/v1/relay.pb-c.h"

/* Fills assertion, signature, address and swaps of 'ret', whose body (or
 * body_follows) is set. All in the arena. False: no memory. */
bool facade_assert(const struct facade *, const struct facade_asked *,
                   const char *method, const char *request_id,
                   struct ist_arena *, Isthmus__V1__Relay *ret);

/* The headers of a request that a service may see. */
bool facade_pass_headers(const struct ist_httpd_request *,
                         const struct facade_asked *, struct ist_arena *,
                         Isthmus__V1__Relay *ret);

#endif
