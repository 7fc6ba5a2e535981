/* What a site says to the hub's clients: it speaks for its own region, not for
 * the hub, whose origin its answers have in a browser. Pure. */
#ifndef FACADE_SPEECH_H
#define FACADE_SPEECH_H

#include "httpd/server.h"

#include "isthmus/v1/relay.pb-c.h"

#define FACADE_HEADERS_MAX 64

/* Is it one that an answer may end with (RFC 9110, 15)? */
bool facade_is_status(int status);

/* The answer's headers as they go out, borrowed, at most FACADE_HEADERS_MAX. */
size_t facade_speech_headers(const Isthmus__V1__Header *const *, size_t n,
                             struct ist_httpd_header *ret);

#endif
