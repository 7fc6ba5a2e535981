/* A relayed exchange: the part of an answer whose call is a Relay.
 *
 *     hub --Relay, Data--> up ----> service
 *     hub <--Reply frames-- out <-- service
 *
 * Both ways are bounded by what the receiver granted: 'up' by our grants to the
 * hub, 'out' by the hub's to us; a service that sends faster is held back by
 * its socket. It lasts for as long as anything moves. */
#ifndef SERVE_RELAY_H
#define SERVE_RELAY_H

#include "serve/answer.h"

#include "os/exchange.h"

/* For answer.c's table: is it the hub's word, and what does it ask for? False:
 * the answer is a failure. */
bool serve_relay_look(struct serve_answer *, struct serve_asked *ret);
bool serve_relay_start(struct serve_answer *);

/* Sends what may be sent. */
void serve_relay_pump(struct serve_relay *);
/* The hub takes so many bytes more. */
void serve_relay_credit(struct serve_relay *, uint32_t bytes);
/* The request's body goes on. */
void serve_relay_data(struct serve_relay *, const Isthmus__V1__Data *);

/* Has it a large body? NULL: no. */
bool serve_relay_is_bulk(const struct serve_relay *);

/* NULL is fine. Its exchange must have finished. */
void serve_relay_free(struct serve_relay *);

#endif
